"""The access of a process to its journal: on threads of its own, opened at the first need.

`Runner` does work on them. `Unwritten` keeps facts that this process has learnt and could not write down. It
tries again later to write them, and look-ups find them meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio import lowlevel

from zinc_mcp.errors import JournalError
from zinc_mcp.journal.records.decision import Admission
from zinc_mcp.journal.records.entry import STANDING, Draft, Entry, Mode, State
from zinc_mcp.journal.records.money import Payment
from zinc_mcp.zinc.responses import Order

if TYPE_CHECKING:
    from zinc_mcp.journal.journal import Journal
    from zinc_mcp.journal.storage.reading import Look, Looks, Reader
    from zinc_mcp.journal.storage.sqlite import JournalFile

logger = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE = 4
"""Pieces of work that a process does at the same time on PostgreSQL, each on a connection of its own."""
READ_ONLY_SECONDS = 5.0
"""After this time, a journal that could only be read is opened again, since it may be writable by now."""
PaymentChange = Callable[[Payment | None], Payment | None]
"""Returns a payment as it is changed, or None for no change. Applying it twice has the same result as once."""

_PAUSES = (1.0, 2.0, 5.0, 15.0)
"""Seconds between two tries to write; the last one again and again."""


class Runner:
    """Runs journal work off the event loop, on SQLite one piece at a time. Work that has begun is never abandoned."""

    def __init__(self, opener: Callable[[], Journal], *, at_once: int = 1) -> None:
        """Remember how to open the journal; SQLAlchemy is imported and the file touched only on first use.

        `at_once`: pieces of work that are done at the same time; only a journal on PostgreSQL takes several.
        """
        self._opener = opener
        self._journal: Journal | None = None
        self._reader: Reader | None = None
        self._look_again = 0.0
        self._free = anyio.Semaphore(at_once, fast_acquire=True)
        self._threads = _Threads(at_once, "journal")
        self._opening = threading.Lock()
        self._is_old = False
        self._file: JournalFile | None = None
        self._created: str | None = None
        """These two stay when the journal is closed: the one that is opened again must be the same."""
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
        """Find an entry as `Journal.find` does, without waiting for a thread if there is a reader.

        Raises:
            JournalError: as `run`.
        """
        return await self._seen(lambda looks: looks.find(handle, caller=caller, mode=mode))

    async def find_with_changes(self, handle: str, caller: str) -> tuple[Entry | None, bool]:
        """Find an entry as `Looks.find_with_changes` says, without waiting for a thread if there is a reader.

        Raises:
            JournalError: as `run`.
        """
        return await self._seen(lambda looks: looks.find_with_changes(handle, caller))

    async def read(self, entry_id: int) -> Entry:
        """Read an entry as `Journal.read` does, without waiting for a thread if there is a reader.

        Raises:
            JournalError: as `run`.
        """
        return await self._seen(lambda looks: looks.read(entry_id))

    async def has_changes(self, order_id: str, caller: str, mode: Mode) -> bool:
        """Say whether an order was changed, as `Looks.has_changes` says, without waiting for a thread if possible.

        Raises:
            JournalError: as `run`.
        """
        return await self._seen(lambda looks: looks.has_changes(order_id, caller, mode))

    async def move(
        self, entry: Entry, state: State, what: str, *, admission: Admission | None = None, **changes: Any
    ) -> Entry:
        """Move an entry on as `Journal.move` does, on a thread of the journal.

        Raises:
            StaleEntryError: somebody else moved the entry first.
            JournalError, RefusedError: as `Journal.move`.
        """
        return await self.run(lambda journal: journal.move(entry, state, what, admission=admission, **changes))

    async def may_be_listed(self, draft: Draft, window_seconds: float) -> bool:
        """Say whether only Zinc may know a twin of this draft: the journal is younger than the window, and knows none.

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
            if self._reader is not None:  # first: the last connection writes the log into the file, and a reader cannot
                reader, self._reader = self._reader, None
                await reader.aclose()
            await self._on_thread(self._close)
        self._threads.end()

    async def _on_thread(self, work: Callable[[], T]) -> T:
        # `anyio.to_thread.run_sync` yields to the event loop three times, and each time counts under load.
        await lowlevel.checkpoint_if_cancelled()
        async with self._free:
            # In the context of the call: the marks of members depend on it (`owner.team.places.let_in`).
            running = self._threads.do(partial(copy_context().run, work))
            with anyio.CancelScope(shield=True):
                await running
            return running.result()

    async def _seen(self, look: Callable[[type[Looks]], Look[T]]) -> T:
        if self._reader is not None:
            from zinc_mcp.journal.storage.reading import Looks, NothingSeenError  # SQLAlchemy: it is loaded by now

            with suppress(NothingSeenError):
                return await self._reader.see(look(Looks))
        return await self.run(lambda journal: journal.see(look(journal.looks)))

    def _run(self, work: Callable[[Journal], T]) -> T:
        with self._opening:
            journal = self._opened()
        return work(journal)

    def _opened(self) -> Journal:
        if self._journal is not None and self._journal.is_read_only and time.monotonic() >= self._look_again:
            self._close()  # it may be writable by now
        if self._journal is None:
            self._journal = self._opener()
            created = self._journal.created_at()
            if self._file is not None:
                self._journal.file.goes_on_from(self._file, is_same=created == self._created)
            self._file, self._created = self._journal.file, created
            self._reader = self._journal.reader()
            self._look_again = time.monotonic() + READ_ONLY_SECONDS
        if self._journal.has_never_sent:
            # The journal's failure is told by the work itself, if it still fails.
            with suppress(JournalError):
                self._journal.free_never_sent()
        return self._journal

    def _close(self) -> None:
        if self._journal is not None:
            with suppress(JournalError):
                self._journal.free_never_sent()
            self._journal.close()
            self._journal = None
        self._is_old = False  # another file may stand there when it is opened again


class _Threads:
    """A fixed number of threads, started when they are first needed.

    Python's own `ThreadPoolExecutor` makes a future of its own beside the event loop's, with locks and callbacks. For
    the two pieces of work of a placing call this is a fiftieth of the whole call (`bench/place_order.py`).
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._work = SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None]()
        self._started = 0
        self._has_ended = False

    def do(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Begin `work` as soon as a thread is free, and return the future of what it returns or raises."""
        if self._has_ended:
            raise RuntimeError("these threads have ended")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._work.put((work, done))
        if self._started < self._most:
            self._started += 1
            # A caller waits for the thread whose result it needs, so the program may end while another one works.
            threading.Thread(target=self._go_on, name=f"{self._name}-{self._started}", daemon=True).start()
        return done

    def end(self) -> None:
        """End the threads when all work is done."""
        self._has_ended = True
        for _ in range(self._started):
            self._work.put(None)

    def _go_on(self) -> None:
        while (given := self._work.get()) is not None:
            work, done = given
            result, failure = None, None
            try:
                result = work()
            except BaseException as error:
                failure = error
            with suppress(RuntimeError):  # the loop is closed, so nobody waits
                done.get_loop().call_soon_threadsafe(_settle, done, result, failure)
            del given, work, done, result, failure  # nothing of it is kept until the next work comes


def _settle(done: asyncio.Future[T], result: T, failure: BaseException | None) -> None:
    if done.done():  # cancelled
        return
    if failure is None:
        done.set_result(result)
    else:
        done.set_exception(failure)


@dataclass(frozen=True, slots=True)
class Learnt:
    """An entry with the facts that this process has learnt, and the call that writes them down."""

    entry: Entry
    order: Order | None
    write: Callable[[], Awaitable[Entry]]


class Unwritten:
    """Facts that one process has learnt and could not write down yet. They are newer than the journal."""

    def __init__(self, writer: Runner) -> None:
        self._writer = writer
        self._learnt: dict[int, Learnt] = {}
        self._payments: dict[int, list[PaymentChange]] = {}
        self._something = anyio.Event()

    # Payments

    async def payment(self, entry_id: int) -> Payment | None:
        """Return an entry's payment with all that came since it was written.

        Raises:
            JournalError: it cannot be read, and nothing of it is known here.
        """
        changes = self._payments.get(entry_id, ())
        try:
            payment = await self._writer.run(lambda journal: journal.payment(entry_id))
        except JournalError:
            if not changes:
                raise
            payment = None
        for change in changes:
            payment = change(payment) or payment
        return payment

    async def change_payment(self, entry_id: int, change: PaymentChange) -> bool:
        """Change an entry's payment; say whether that is written down. If not, it is kept and written later."""
        kept = self._payments.setdefault(entry_id, [])
        kept.append(change)
        try:
            await self._write_payment(entry_id)
        except JournalError as error:
            logger.warning("a payment could not be written down yet: %s", error.summary)
            self._something.set()
            return False
        return True

    # Entries

    def keep(self, entry: Entry, order: Order | None, write: Callable[[], Awaitable[Entry]]) -> None:
        """Keep how an entry stands until `write` has written it down."""
        self._learnt[entry.id] = Learnt(entry, order, write)
        self._something.set()

    def known(self, entry_id: int) -> Learnt | None:
        """Return what is kept about an entry."""
        return self._learnt.get(entry_id)

    def drop(self, entry_id: int) -> None:
        """Forget what was kept about an entry: something newer has been written."""
        self._learnt.pop(entry_id, None)

    def find(self, handle: str, caller: str | None) -> Learnt | None:
        """Return what is kept about the entry with this key or order id."""
        for learnt in self._learnt.values():
            if handle in (learnt.entry.key, learnt.entry.order_id) and caller in (None, learnt.entry.caller):
                return learnt
        return None

    def twin_of(self, draft: Draft) -> Learnt | None:
        """Return what is kept about an entry for the same intention that stands."""
        wanted = (draft.twin, draft.caller, draft.mode)
        for learnt in self._learnt.values():
            same = (learnt.entry.twin, learnt.entry.caller, learnt.entry.mode) == wanted
            if same and learnt.entry.state in STANDING:
                return learnt
        return None

    # Writing

    async def written(self, entry_id: int) -> bool:
        """Try to write down what is kept about an entry; say whether nothing is kept any more."""
        try:
            await self._write_payment(entry_id)
            learnt = self._learnt.get(entry_id)
            if learnt is not None:
                await learnt.write()
                if self._learnt.get(entry_id) is learnt:
                    del self._learnt[entry_id]
        except JournalError:
            return False
        return True

    async def write_all(self) -> bool:
        """Try to write down everything; say whether nothing is kept any more."""
        done = [await self.written(entry_id) for entry_id in {*self._learnt, *self._payments}]
        return all(done)

    async def keep_writing(self) -> None:
        """Write down what is kept as soon as the journal works again, for as long as the process runs."""
        while True:
            await self._something.wait()
            self._something = anyio.Event()
            for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
                await anyio.sleep(pause)
                if await self.write_all():
                    break

    async def _write_payment(self, entry_id: int) -> None:
        kept = self._payments.get(entry_id)
        while kept:
            change = kept[0]
            await self._writer.run(partial(_change, entry_id, change))
            if kept and kept[0] is change:  # somebody else may have written it meanwhile
                kept.pop(0)
        if not kept:
            self._payments.pop(entry_id, None)


def _change(entry_id: int, change: PaymentChange, journal: Journal) -> None:
    journal.change_payment(entry_id, change)
