"""An open journal: its database, its clocks, and how a transaction begins."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Self

import sqlalchemy as sa

from zinc_mcp.ordering.database import connect, create, explained
from zinc_mcp.ordering.entry import (
    Entry,
    State,
)
from zinc_mcp.ordering.file import JournalFile
from zinc_mcp.ordering.glance import Glance
from zinc_mcp.ordering.lease import LeaseClock, Uptime, machine_uptime
from zinc_mcp.ordering.statements import begin_writing
from zinc_mcp.ordering.times import Times


class OpenJournal:
    """One journal, open. Times are seconds since the epoch, money is US cents."""

    def __init__(
        self, engine: sa.Engine, clock: Callable[[], float], uptime: Uptime | None, times: Times | None = None
    ) -> None:
        self._engine = engine
        self._times = times or Times(clock)
        self._clock = clock
        self._leases = LeaseClock(clock, uptime)
        self._file = JournalFile(engine)
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

        `times` also knows Zinc's.

        Raises:
            JournalError: it cannot be used: a network folder, no permission, a full disk, damaged, or made by a newer
                version of this program.
        """
        with explained():
            engine = connect(url)
            try:
                create(engine, clock())
            except BaseException:
                engine.dispose()
                raise
        return cls(engine, clock, uptime, times)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def glance(self) -> Glance | None:
        """Open a second way in, for look-ups, where the journal is a file of this machine; the caller closes it."""
        return Glance.opened(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextmanager
    def _writing(self, *, serial: bool = True) -> Generator[sa.Connection]:
        with explained(), self._engine.begin() as connection:
            begin_writing(connection, serial=serial)
            yield connection

    @contextmanager
    def _reading(self) -> Generator[sa.Connection]:
        with explained(), self._engine.connect() as connection:
            yield connection
