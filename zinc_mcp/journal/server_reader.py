"""Looks at entries on PostgreSQL, by the event loop itself.

A turn of a thread of the journal costs as much as the look: two changes of threads, and a connection taken from its
pool and given back.
"""

import time
from typing import TYPE_CHECKING, Any

import anyio
import sqlalchemy as sa

from zinc_mcp.journal.storage.postgresql import Row, spelled
from zinc_mcp.journal.storage.reading import Look, NothingSeenError, T
from zinc_mcp.journal.storage.server.connecting import arguments, of_session, standbys_met

if TYPE_CHECKING:
    import psycopg

READERS = 2
"""The connections of one process that only look, opened when they are needed. Each answers one look at a time."""
_CONNECT_SECONDS = 2
"""The longest wait for a connection; after it, the journal's threads read. psycopg allows no shorter one."""
_AGAIN_SECONDS = 5.0
"""For this time a server that could not be reached is left to the journal's threads."""


class ServerReader:
    """See `reading.Reader`. Used by one event loop at a time.

    After a failure the journal's threads look instead: they connect anew, and say what is wrong.
    """

    def __init__(self, engine: sa.Engine) -> None:
        """Remember the engine. The connections are opened when they are needed, with its settings."""
        self._engine = engine
        self._free = anyio.Semaphore(READERS, fast_acquire=True)
        self._idle: list[tuple[psycopg.AsyncCursor[Any], int]] = []
        """A cursor of each connection, and how many servers that take no changes had been met before it was opened."""
        self._again_at = 0.0

    async def see(self, look: Look[T]) -> T:
        """See `Reader.see`."""
        import psycopg

        text, always = spelled(look.query)
        row: Row | None = None
        async with self._free:
            with anyio.CancelScope(shield=True):  # to cancel a statement takes another connection
                cursor, met = await self._cursor()
                try:
                    await cursor.execute(text.encode(), {**always, **look.given})
                    row = await cursor.fetchone()
                except psycopg.Error as error:
                    await cursor.connection.close()
                    raise NothingSeenError from error
                except BaseException:
                    await cursor.connection.close()  # the answer is still to come on it
                    raise
                self._idle.append((cursor, met))
        return look.told(row)

    async def aclose(self) -> None:
        """See `Reader.aclose`."""
        while self._idle:
            cursor, _ = self._idle.pop()
            await cursor.connection.close()

    async def _cursor(self) -> "tuple[psycopg.AsyncCursor[Any], int]":
        met = standbys_met(self._engine)
        while self._idle:
            cursor, before = self._idle.pop()
            if before == met:
                return cursor, met
            await cursor.connection.close()
        return await self._connected(), met

    async def _connected(self) -> "psycopg.AsyncCursor[Any]":
        import psycopg

        if time.monotonic() < self._again_at:
            raise NothingSeenError
        given: dict[str, Any] = {**arguments(self._engine.url), "connect_timeout": _CONNECT_SECONDS, "autocommit": True}
        try:
            connection = await psycopg.AsyncConnection.connect(**given)
        except (psycopg.Error, OSError) as error:
            self._again_at = time.monotonic() + _AGAIN_SECONDS
            raise NothingSeenError from error
        cursor = connection.cursor()
        try:
            await cursor.execute(of_session(connection))
            if await cursor.fetchone() is None:
                connection.prepare_threshold = None  # there is a pooler in between
        except BaseException as error:
            await connection.close()
            if isinstance(error, psycopg.Error):
                raise NothingSeenError from error
            raise
        return cursor
