"""The one thread that uses the journal, opened when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread

from zinc_mcp.ordering.entry import Entry, State

if TYPE_CHECKING:
    from zinc_mcp.ordering.journal import Journal

T = TypeVar("T")


class Writer:
    """Runs journal work one piece at a time, off the event loop. Work that has begun is never abandoned."""

    def __init__(self, opener: Callable[[], Journal]) -> None:
        """Remember how to open the journal; SQLAlchemy is imported and the file touched only on first use."""
        self._opener = opener
        self._journal: Journal | None = None
        self._one = anyio.CapacityLimiter(1)
        self.used = anyio.Event()
        """Set once the journal has been used."""

    async def run(self, work: Callable[[Journal], T]) -> T:
        """Do `work` with the journal and return what it returns.

        Raises:
            JournalError: the journal cannot be opened or used.
        """
        done = await anyio.to_thread.run_sync(self._run, work, limiter=self._one)
        self.used.set()
        return done

    async def move(self, entry: Entry, state: State, what: str, **changes: Any) -> Entry:
        """`Journal.move` on the journal's thread.

        Raises:
            StaleEntryError: somebody else moved the entry first.
            JournalError, RefusedError: as `Journal.move`.
        """
        return await self.run(lambda journal: journal.move(entry, state, what, **changes))

    async def aclose(self) -> None:
        """Close the journal if it was opened."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._close, limiter=self._one)

    def _run(self, work: Callable[[Journal], T]) -> T:
        if self._journal is None:
            self._journal = self._opener()
        return work(self._journal)

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None
