"""PostgreSQL's messages to the processes of a journal: which entries have changed (PostgreSQL, "NOTIFY").

A trigger sends them in the transaction of the change. So a change that is undone is never told, and a change by an
earlier version is told too. Each process listens on a connection of its own. A message is lost while this connection
is broken, so nothing depends on it. Through a pooler in transaction mode no process can listen: then it looks for news
by itself.
"""

import logging
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import sqlalchemy as sa

from zinc_mcp.journal.storage.server.connecting import connected, pooling_at

if TYPE_CHECKING:
    import psycopg

logger = logging.getLogger(__name__)

_CHANNEL = "zinc_entries"
_MEMBERS = "members"
"""The message that the members have changed. Programs of the version before ignore it."""
_CONTENT = ("state", "status", "seen", "consent")
_ON_POSTGRESQL = (
    f"""
CREATE FUNCTION zinc_tell_news() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{_CHANNEL}', new.id || ' ' || new.state);
    RETURN NULL;
END $$""",
    # Only changes that somebody may wait for: PostgreSQL commits transactions with messages one after the other.
    f"CREATE TRIGGER zinc_news AFTER UPDATE OF {', '.join(_CONTENT)} ON zinc_entries FOR EACH ROW "
    f"WHEN ({' OR '.join(f'old.{name} IS DISTINCT FROM new.{name}' for name in _CONTENT)}) "
    "EXECUTE FUNCTION zinc_tell_news()",
)
_PAUSES = (0.5, 1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds between two tries to listen; the last one again and again."""


def tell_of_members(connection: sa.Connection) -> None:
    """Tell, when the transaction is committed, that the members of the team have changed, where the database can."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_notify('{_CHANNEL}', '{_MEMBERS}')")


def create(connection: sa.Connection) -> None:
    """Let the database tell changes of entries from now on, where it can."""
    if connection.dialect.name == "postgresql":
        for statement in _ON_POSTGRESQL:
            connection.exec_driver_sql(statement)


class Hearer(Protocol):
    """The receiver of the news: `journal.news.News`."""

    def tell(self, entry_id: int, state: str) -> None:
        """Hear of an entry, which is now in this state."""
        ...

    def tell_of_members(self) -> None:
        """Hear that the members of the team have changed."""
        ...

    def tell_all(self) -> None:
        """Hear that something may have been missed."""
        ...


async def keep_listening(url: str, news: Hearer) -> None:
    """Pass on what the database at a SQLAlchemy URL tells, for as long as the process runs."""
    import psycopg

    failures, told = 0, False
    while True:
        try:
            while (pooling := await pooling_at(url)) == "transaction":
                if not told:
                    logger.warning(
                        "the journal's database is behind a pooler in transaction mode: news of other servers comes "
                        "by looking, and not at once"
                    )
                told = True
                await anyio.sleep(_PAUSES[-1])
            if pooling == "session":
                logger.info("the journal's database is behind a pooler in session mode")
            told = False
            async with connected(url) as connection:
                await connection.execute(f"LISTEN {_CHANNEL}")
                failures = 0
                news.tell_all()
                await _pass_on(connection, news)
        except (psycopg.Error, OSError) as error:  # its text may name the server
            if failures == 0:
                logger.info("the journal's news cannot be heard just now (%s)", type(error).__name__)
        await anyio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
        failures += 1


async def _pass_on(connection: "psycopg.AsyncConnection[Any]", news: Hearer) -> None:
    async for said in connection.notifies():
        if said.payload == _MEMBERS:
            news.tell_of_members()
            continue
        entry_id, _, state = said.payload.partition(" ")
        if entry_id.isdecimal():
            news.tell(int(entry_id), state)
