"""The journal of the settings, for the commands that read or change it."""

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.sealing import Sealing
from zinc_mcp.owner.settings import Settings, load_settings


def open_journal(settings: Settings | None = None) -> Journal:
    """Open the journal of these settings, by default of those that hold here.

    Raises:
        SettingsError: the settings cannot be read.
        JournalError: the journal cannot be used; see `Journal.open`.
    """
    settings = settings or load_settings()
    return Journal.open(settings.journal_url, sealing=Sealing(settings.keys("journal_keys")))
