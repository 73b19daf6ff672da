"""The databases in which a campaign's journals may be."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from bench.campaign.journals.journal import Journals, RoundJournal
from bench.campaign.journals.sqlite import SqliteJournal, SqliteJournals

DatabaseName = Literal["sqlite", "postgresql"]


def journals_on(database: DatabaseName) -> Journals:
    """Return the maker of the rounds' journals on a database. A server of PostgreSQL is started for it."""
    if database == "sqlite":
        return SqliteJournals()
    from bench.campaign.journals.postgresql import PostgresqlJournals

    return PostgresqlJournals()


def journal_of(environ: Mapping[str, str]) -> RoundJournal:
    """Return the journal of a server with this environment."""
    folder = Path(environ["ZINC_MCP_HOME"])
    if (address := environ.get("ZINC_MCP_JOURNAL")) is None:
        return SqliteJournal(folder)
    from bench.campaign.journals.postgresql import PostgresqlJournal  # psycopg may be absent, and takes its time

    return PostgresqlJournal(address, folder)
