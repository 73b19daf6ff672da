"""The one thread that uses the journal, opened when it is first needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio import lowlevel

from zinc_mcp.errors import JournalError
from zinc_mcp.journal.entry import Draft, Entry, Mode, State

if TYPE_CHECKING:
    from zinc_mcp.journal.admission import Admission
    from zinc_mcp.journal.file import JournalFile
    from zinc_mcp.journal.glance import Glance
    from zinc_mcp.journal.journal import Journal

T = TypeVar("T")

READ_ONLY_SECONDS = 5.0
"""For how long a journal that could only be read is taken for one that still is."""


class Runner:
    """Runs journal work one piece at a time, off the event loop. Work that has begun is never abandoned."""

    def __init__(self, opener: Callable[[], Journal]) -> None:
        """Remember how to open the journal; SQLAlchemy is imported and the file touched only on first use."""
        self._opener = opener
        self._journal: Journal | None = None
        self._glance: Glance | None = None
        self._look_again = 0.0
        self._one = anyio.Lock(fast_acquire=True)
        self._thread = ThreadPoolExecutor(1, "journal")
        self._is_old = False
        self._file: JournalFile | None = None
        self._created: str | None = None
        """Stays over a closing: what is opened again must be the same."""
        self.used = anyio.Event()
        """Set once the journal has been used."""

    async def run(self, work: Callable[[Journal], T]) -> T:
        """Do `work` with the journal and return what it returns.

        Raises:
            JournalError: the journal cannot be opened or used.
        """
        done = await self._on_thread(partial(self._run, work))
        self.used.set()
        return done

    async def find(self, handle: str, *, caller: str | None = None, mode: Mode | None = None) -> Entry | None:
        """`Journal.find`, without waiting for the thread where that can be.

        Raises:
            JournalError: as `run`.
        """
        return await self._seen(
            lambda glance: glance.find(handle, caller, mode),
            lambda journal: journal.find(handle, caller=caller, mode=mode),
        )

    async def read(self, entry_id: int) -> Entry:
        """`Journal.read`, without waiting for the thread where that can be.

        Raises:
            JournalError: as `run`.
        """
        return await self._seen(lambda glance: glance.read(entry_id), lambda journal: journal.read(entry_id))

    async def move(
        self, entry: Entry, state: State, what: str, *, admission: Admission | None = None, **changes: Any
    ) -> Entry:
        """`Journal.move` on the journal's thread.

        Raises:
            StaleEntryError: somebody else moved the entry first.
            JournalError, RefusedError: as `Journal.move`.
        """
        return await self.run(lambda journal: journal.move(entry, state, what, admission=admission, **changes))

    async def may_be_listed(self, draft: Draft, window_seconds: float) -> bool:
        """Say whether only Zinc may know a twin of this draft: the journal is younger than that, and knows none.

        Raises:
            JournalError: as `run`.
        """

        def look(journal: Journal) -> bool:
            self._is_old = journal.age_seconds() > window_seconds
            return not self._is_old and not journal.knows_twin(draft)

        return not self._is_old and await self.run(look)

    async def aclose(self) -> None:
        """Close the journal if it was opened."""
        with anyio.CancelScope(shield=True):
            await self._on_thread(self._close)
        self._thread.shutdown(wait=False)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        # `anyio.to_thread.run_sync` yields to the event loop three times, and each time counts under load.
        await lowlevel.checkpoint_if_cancelled()
        async with self._one:
            running = asyncio.get_running_loop().run_in_executor(self._thread, work)
            with anyio.CancelScope(shield=True):
                await running
            return running.result()

    async def _seen(self, look: Callable[[Glance], T], work: Callable[[Journal], T]) -> T:
        if self._glance is not None:
            from zinc_mcp.journal.glance import NothingSeenError

            with suppress(NothingSeenError):
                return look(self._glance)
        return await self.run(work)

    def _run(self, work: Callable[[Journal], T]) -> T:
        if self._journal is not None and self._journal.is_read_only and time.monotonic() >= self._look_again:
            self._close()  # it may be writable by now
        if self._journal is None:
            self._journal = self._opener()
            created = self._journal.created_at()
            if self._file is not None:
                self._journal.file.goes_on_from(self._file, is_same=created == self._created)
            self._file, self._created = self._journal.file, created
            self._glance = self._journal.glance()
            self._look_again = time.monotonic() + READ_ONLY_SECONDS
        if self._journal.has_never_sent:
            # The journal's failure is told by the work itself, if it still fails.
            with suppress(JournalError):
                self._journal.free_never_sent()
        return work(self._journal)

    def _close(self) -> None:
        if self._glance is not None:  # first: whoever closes the file last takes the log into it
            self._glance.close()
            self._glance = None
        if self._journal is not None:
            with suppress(JournalError):
                self._journal.free_never_sent()
            self._journal.close()
            self._journal = None
        self._is_old = False  # another file may stand there when it is opened again
