"""Opening the configured journal and its team's members, for the commands that read or change them."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.sealing import Sealing
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.owner.team.places import FILE, MembersFile, MembersTable, Place


def open_journal(settings: Settings | None = None) -> Journal:
    """Open the journal that settings name, by default the settings that hold here.

    Raises:
        SettingsError: the settings cannot be read.
        JournalError: the journal cannot be used; see `Journal.open`.
    """
    settings = settings or load_settings()
    return Journal.open(settings.journal_url, sealing=Sealing(settings.keys("journal_keys")))


@contextmanager
def open_members(settings: Settings | None = None, path: Path | None = None) -> Generator[Place]:
    """Open the place of the members: the file at `path`, else the journal if it is in PostgreSQL, else the home's file.

    Raises:
        SettingsError, JournalError: as `open_journal`.
    """
    settings = settings or load_settings()
    if path is not None or not settings.is_shared:
        yield MembersFile(path or settings.home / FILE)
        return
    with open_journal(settings) as journal:
        yield MembersTable(journal)
