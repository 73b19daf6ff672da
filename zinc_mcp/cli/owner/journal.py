"""`zinc-mcp journal`: the owner's changes to the whole journal, which are new encryption and the end of an upgrade."""

import click

from zinc_mcp.cli.own_journal import open_journal
from zinc_mcp.cli.screen import agreed, show_line
from zinc_mcp.errors import RefusedError, SettingsError
from zinc_mcp.journal.storage.schema import steps_left
from zinc_mcp.journal.storage.tables import SCHEMA_VERSION
from zinc_mcp.owner.settings import load_settings


@click.group()
def journal() -> None:
    """Look after the journal's secrets and versions."""


@journal.command()
def rotate_keys() -> None:
    """Encrypt all secrets in the journal with the first of ZINC_MCP_JOURNAL_KEYS.

    Servers may run meanwhile, if they have the same keys. Afterwards no secret needs the other keys.
    """
    settings = load_settings()
    if not settings.keys("journal_keys"):
        raise SettingsError(
            "There are no keys for the journal's secrets.",
            "Set ZINC_MCP_JOURNAL_KEYS; see docs/hosting.md.",
        )
    with open_journal(settings) as opened:
        count, unreadable = opened.seal_anew()
    show_line(f"{count} {'secret is' if count == 1 else 'secrets are'} encrypted anew, with the first key.")
    if unreadable:
        entries = ", ".join(map(str, unreadable))
        raise RefusedError(
            f"{len(unreadable)} of the journal's secrets cannot be read and {'is' if len(unreadable) == 1 else 'are'} "
            "as before.",
            owner_step=f"Keep a copy of the journal. These are payments of the entries {entries}.",
            code="journal_unavailable",
        )
    show_line("No secret in the journal needs another key now.")


@journal.command()
@click.option("--others-ended", is_flag=True, help="Every server and host of an earlier version has ended.")
@click.option("--yes", is_flag=True, help="Finish without asking.")
def finish_upgrade(others_ended: bool, yes: bool) -> None:
    """End the time in which the earlier version of zinc-mcp can use the journal beside this one.

    Afterwards a program of an earlier version neither opens the journal nor writes to it, and says why. There is no way
    back but a backup.
    """
    with open_journal() as opened:
        found = opened.kept_schema()
        if found.schema == SCHEMA_VERSION:
            show_line(f"There is nothing to finish: the journal is of version {SCHEMA_VERSION}.")
            return
        show_line(f"The journal is of version {found.schema}, and has what version {SCHEMA_VERSION} adds to it.")
        if changing := steps_left(found):
            show_line(f"This changes it for good: {len(changing)} of the steps do more than add.")
        show_line(f"Programs that know no version {SCHEMA_VERSION} neither open it afterwards nor write to it.")
        if not agreed("Finish the upgrade?", "finish", yes=yes):
            return
        opened.finish_upgrade(others_ended=others_ended)
    show_line(f"The upgrade is finished: the journal is of version {SCHEMA_VERSION}.")
