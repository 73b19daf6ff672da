"""An open journal: its database, its clocks, and how a transaction begins."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Self

import sqlalchemy as sa

from zinc_mcp.errors import JournalError
from zinc_mcp.journal.clocks import LeaseClock, Times, Uptime, machine_uptime
from zinc_mcp.journal.database import connect, connect_to_read, explained
from zinc_mcp.journal.entry import Entry, State
from zinc_mcp.journal.file import CannotWriteError, JournalFile
from zinc_mcp.journal.glance import Glance
from zinc_mcp.journal.schema import check_now, check_readable, create
from zinc_mcp.journal.statements import begin_writing

logger = logging.getLogger(__name__)

_TRIES = 5


class OpenJournal:
    """One journal, open. Times are seconds since the epoch, money is US cents."""

    def __init__(
        self,
        engine: sa.Engine,
        clock: Callable[[], float],
        uptime: Uptime | None,
        times: Times | None = None,
        *,
        is_read_only: bool = False,
    ) -> None:
        self._engine = engine
        self.is_read_only = is_read_only
        """Whether its file, or the folder it lies in, can only be read: what is known is told, nothing is written."""
        self._times = times or Times(clock)
        self._clock = clock
        self._leases = LeaseClock(clock, uptime)
        self.file = JournalFile(engine)
        """What it is kept in, as it was when it was opened."""
        self._never_sent: list[tuple[Entry, State]] = []
        """Entries whose marking for sending may or may not have been written, with what they were before it."""

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Callable[[], float] = time.time,
        uptime: Uptime | None = machine_uptime,
        times: Times | None = None,
    ) -> Self:
        """Open the journal at a SQLAlchemy URL and create what is missing; the clocks are those of `LeaseClock`.

        `times` also knows Zinc's. A file that cannot be written is opened to be read.

        Raises:
            JournalError: it cannot be used: a network folder, no permission, a full disk, damaged, half of it missing,
                something else, open to others, or made by a newer version of this program.
        """
        try:
            return cls(_opened(lambda: connect(url), lambda engine: create(engine, clock())), clock, uptime, times)
        except CannotWriteError as error:
            with explained():
                engine = connect_to_read(url)
            if engine is None:
                raise
            given = engine
            try:
                return cls(_opened(lambda: given, check_readable), clock, uptime, times, is_read_only=True)
            except CannotWriteError:
                raise error from None

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def glance(self) -> Glance | None:
        """Open a second way in, for look-ups, where the journal is a file of this machine; the caller closes it."""
        return None if self.is_read_only else Glance.opened(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def check_writable(self) -> None:
        """Do nothing if orders could be written down.

        Raises:
            JournalError: the journal can only be read, or a newer version has changed it.
        """
        with self._reading() as connection:
            check_now(connection)
        if self.is_read_only:
            raise _only_read()

    @contextmanager
    def _writing(self, *, serial: bool = True, reads_schema: bool = False) -> Generator[sa.Connection]:
        """Begin a transaction that writes, on a journal that is still of this version.

        `reads_schema`: its first statement reads the schema's version and checks it.
        """
        if self.is_read_only:
            raise _only_read()
        with explained(), self._engine.begin() as connection:
            begin_writing(connection, serial=serial)
            if not reads_schema:
                check_now(connection)
            yield connection

    def _empty_log(self) -> None:
        """Take SQLite's log into the file and empty it, so that what was overwritten is in neither."""
        if self._engine.dialect.name != "sqlite":
            return
        with self._reading() as connection:
            for _ in range(_TRIES):
                busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
                if not busy:
                    return
        logger.warning("the journal's log could not be emptied while others read it: what was forgotten is still in it")

    @contextmanager
    def _reading(self) -> Generator[sa.Connection]:
        with explained(), self._engine.connect() as connection:
            yield connection


def _opened(connected: Callable[[], sa.Engine], prepared: Callable[[sa.Engine], None]) -> sa.Engine:
    with explained():
        engine = connected()
        try:
            prepared(engine)
        except BaseException:
            engine.dispose()
            raise
    return engine


def _only_read() -> JournalError:
    return CannotWriteError(
        "The journal can only be read (its file or folder is read-only).",
        "Tell the user to make the journal's folder and file writable, then call again. get_order tells what is known.",
        owner_step="Make the journal's folder and file writable.",
    )
