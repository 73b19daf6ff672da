"""The doctor's check of the members of a team: where they are, how many, and whether a file of them is left over."""

from collections.abc import Iterator
from pathlib import Path

from zinc_mcp.cli.doctor.findings import Finding
from zinc_mcp.cli.own_journal import open_journal
from zinc_mcp.cli.screen import advice
from zinc_mcp.errors import SettingsError, ZincMcpError
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.places import FILE, MembersFile, MembersTable
from zinc_mcp.text import plain

_SUBJECT = "members"


def members(settings: Settings) -> Iterator[Finding]:
    """Yield where the members of a team are kept, unless there are none."""
    path = settings.home / FILE
    try:
        if settings.is_shared:
            yield from _in_journal(settings, path)
        elif path.exists():
            yield Finding("ok", _SUBJECT, f"{len(MembersFile(path).read())}, in the file {plain(str(path), 300)}")
    except SettingsError as error:
        yield Finding("wrong", _SUBJECT, error.summary, advice(error))
    except ZincMcpError as error:
        yield Finding("wrong", _SUBJECT, f"They cannot be read, so a server lets nobody in. {error.summary}")


def _in_journal(settings: Settings, path: Path) -> Iterator[Finding]:
    with open_journal(settings) as journal:
        table = MembersTable(journal)
        known, was_used = len(table.read()), table.was_used()
    place = plain(str(path), 300)
    if was_used:
        yield Finding("ok", _SUBJECT, f"{known}, in the journal's database")
        if path.exists():
            sentence = f"Those in the file {place} do not count here."
            step = "Remove it when no server of an earlier version reads it any more."
            yield Finding("note", _SUBJECT, sentence, step)
    elif path.exists() and (left := len(MembersFile(path).read())):
        sentence = (
            f"On PostgreSQL they are kept in the journal's database, which has none yet, and the file {place} has "
            f"{left}. A server does not start so."
        )
        yield Finding("wrong", _SUBJECT, sentence, "This takes them over:", ("members", "import"))
