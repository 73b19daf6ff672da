"""What this process has learnt and could not write down: kept, written again, and found by a look meanwhile."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio

from zinc_mcp.errors import JournalError
from zinc_mcp.journal.entry import STANDING, Draft, Entry
from zinc_mcp.journal.payment import Payment
from zinc_mcp.journal.runner import Runner
from zinc_mcp.zinc.responses import Order

if TYPE_CHECKING:
    from zinc_mcp.journal.journal import Journal

logger = logging.getLogger(__name__)

PaymentChange = Callable[[Payment | None], Payment | None]
"""Changes a payment as it stands; None leaves it as it is. Doing it twice does no more than doing it once."""

_PAUSES = (1.0, 2.0, 5.0, 15.0)
"""Seconds between two tries to write; the last one again and again."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """How an entry stands by what this process knows, and how that is written down."""

    entry: Entry
    order: Order | None
    write: Callable[[], Awaitable[Entry]]


class Unwritten:
    """The memory of one process. The journal's own word is older than what is in here."""

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
            tries = 0
            while True:
                await anyio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
                tries += 1
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


def _change(entry_id: int, change: PaymentChange, journal: "Journal") -> None:
    journal.change_payment(entry_id, change)
