"""`zinc-mcp journal`: what only the owner does to the journal as a whole."""

import click

from zinc_mcp.cli.own_journal import open_journal
from zinc_mcp.cli.screen import show_line
from zinc_mcp.errors import RefusedError, SettingsError
from zinc_mcp.owner.settings import load_settings


@click.group()
def journal() -> None:
    """Look after the journal's secrets."""


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
