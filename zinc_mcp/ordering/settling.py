"""What an answer proves, written down: accepted, ended, in doubt. Used by whatever sends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from zinc_mcp.api.responses import Order
from zinc_mcp.errors import JournalError, ZincMcpError
from zinc_mcp.ordering.admission import Admission
from zinc_mcp.ordering.clocks import Clocks
from zinc_mcp.ordering.entry import DOUBTFUL, LANDED, Entry, StaleEntryError, State
from zinc_mcp.ordering.holder import this_process
from zinc_mcp.ordering.lease import FREE, LeaseClock
from zinc_mcp.ordering.payment import Payment
from zinc_mcp.ordering.rail import LeaseOverError, Rail
from zinc_mcp.ordering.reconcile import Reconciler, news
from zinc_mcp.ordering.same_order import another_order, as_answer, is_named
from zinc_mcp.ordering.settle import nothing_taken
from zinc_mcp.ordering.writer import Writer

Checkpoint = Callable[[str], None]
"""Called at every step that a crash could fall on; the fault campaign kills the process here."""


@dataclass(slots=True)
class Attempt:
    """One entry being sent by this process. It outlives the call that started it."""

    entry: Entry
    left: bool = False
    """Whether the first byte of a purchase may have left, or a wallet may have been asked: now, or earlier."""
    payment: Payment | None = None
    """What its wallet gave for it, as this process has it."""
    done: anyio.Event = field(default_factory=anyio.Event)
    order: Order | None = None
    error: ZincMcpError | None = None
    wanted: int = 0
    """How many placing calls still wait: identical bytes go again only while one does."""


class Settling:
    """Writes down what was learnt about an attempt, however hard that is, and keeps what cannot be written yet."""

    def __init__(
        self,
        writer: Writer,
        reconciler: Reconciler,
        clocks: Clocks,
        leases: LeaseClock,
        owner: str,
        checkpoint: Checkpoint,
        admission: Admission,
    ) -> None:
        self.writer = writer
        self._reconciler = reconciler
        self.unwritten = reconciler.unwritten
        self.clocks = clocks
        self.clock = leases.clock
        self.times = reconciler.times
        self._leases = leases
        self._owner = owner
        self._process = this_process()
        self.checkpoint = checkpoint
        self.admission = admission

    def lease(self, seconds: float) -> dict[str, Any]:
        """Return what changes in an entry that this process takes into its hands."""
        return self._leases.lease(self._owner, seconds)

    def about_to_send(self, seconds: float) -> dict[str, Any]:
        """Return what changes in an entry that this process is going to send within so many seconds."""
        return {**self.lease(seconds), "sender": self._process}

    def is_held(self, entry: Entry) -> bool:
        """Say whether an entry is in somebody's hands."""
        return self._leases.is_held(entry)

    async def marked(
        self, entry: Entry, state: State, what: str, payment: Payment, changes: Mapping[str, Any]
    ) -> Entry:
        """Move an entry on together with its payment, if the policy still admits it.

        A journal that fails just then is tried again for a while.

        Raises:
            StaleEntryError, RefusedError, JournalError: as `Journal.move`.
        """
        for pause in (0.05, 0.2, 1.0, None):
            try:
                return await self.writer.run(
                    lambda journal: journal.move(
                        entry, state, what, to_send=True, admission=self.admission, payment=payment, **changes
                    )
                )
            except JournalError:
                if pause is None:
                    raise
                await anyio.sleep(pause)
        raise AssertionError

    async def hold(self, attempt: Attempt, seconds: float) -> None:
        """Look, just before something leaves, whether the entry is still in our hands for that long.

        If its lease is over or nearly, it is claimed again, which only succeeds on the entry as we left it.

        Raises:
            StaleEntryError: somebody else has moved it.
            RefusedError: `paused`.
        """
        if self._leases.left(attempt.entry) < seconds:
            held: dict[str, Any] = self.about_to_send(seconds + self.clocks.lease_margin)
            attempt.entry = await self.writer.run(
                lambda journal: journal.move(attempt.entry, attempt.entry.state, "held on to", to_send=True, **held)
            )

    def leaving(self, attempt: Attempt) -> None:
        """Look once more at the first byte itself.

        Raises:
            LeaseOverError: the entry is not in our hands any more; not a byte has left.
        """
        if self._leases.left(attempt.entry) <= 0.0:
            raise LeaseOverError
        attempt.left = True
        self.checkpoint("leaving")

    async def never_left(self, attempt: Attempt, current: Entry) -> None:
        """End an entry that somebody took over while we stood still, and that we know was never sent.

        Only while nobody else has it: whoever sends it again knows more than we do.
        """
        attempt.entry = current
        if current.state != "unknown" or current.attempts > 1 or self._leases.is_held(current):
            return
        summary = "The process stood still until its time to send was over, so nothing was sent."
        problem = {"code": "internal_error", "summary": summary}
        changes: dict[str, Any] = {"counts_cents": 0, "spent_cents": 0, "problem": problem, "sender": None, **FREE}
        try:
            attempt.entry = await self.writer.move(current, "refused", "never sent", **changes)
        except StaleEntryError as stale:
            attempt.entry = stale.current

    async def as_answer(self, order: Order, entry: Entry) -> Order:
        """Return the order that a placing request was answered with, if it is the one that was sent.

        Raises:
            OrderOutcomeUnknownError: it is not, or its id is another entry's, so that it is not known what became of
                ours.
        """
        order = as_answer(order, entry)
        try:
            known = await self.writer.find(order.id)
        except JournalError:
            return order  # what was answered is written down as soon as the journal works
        if known is None or known.id == entry.id or known.order_id is None:
            return order
        if is_named(order, known.order_id) and (known.mode, known.origin) == (entry.mode, entry.origin):
            raise another_order(entry)
        return order

    async def accepted(self, attempt: Attempt, rail: Rail, order: Order, what: str, **more: Any) -> None:
        """Zinc has it: settle the money on what the order shows."""
        attempt.order = order
        changes = {**news(attempt.entry, order), **self._reconciler.landed(attempt.entry, order)}
        await self._reconciler.stop_if_above_ceiling(attempt.entry, changes)
        state = changes.pop("state", attempt.entry.state)  # no change: somebody else has written all of it down
        await self.settle(attempt, state, what, **changes, **more)
        self.checkpoint("accepted")
        if attempt.entry.attempts > 1:
            await self._reconciler.stop_if_keys_are_ignored(attempt.entry, rail)

    async def ended(self, attempt: Attempt, state: State, what: str, error: ZincMcpError) -> None:
        """Nothing was bought: give the money back, and `error` is what the waiting calls are told."""
        problem = {"code": error.code, "summary": error.summary, "facts": error.facts}
        await self.settle(attempt, state, what, **nothing_taken(attempt.entry), problem=problem, **FREE)
        if attempt.entry.state == state:  # else it was taken over, and what became of it is not ours to tell
            attempt.error = error
        self.checkpoint("ended")

    async def doubted(self, attempt: Attempt, what: str, **more: Any) -> None:
        """It may or may not have landed; the entry stays in our hands while we look."""
        await self.settle(attempt, "unknown", what, **self.lease(self.clocks.looking_lease), **more)
        self.checkpoint("unknown")

    async def settle(self, attempt: Attempt, state: State, what: str, **changes: Any) -> None:
        """Write down what was learnt, even if somebody took the entry over meanwhile; try hard before giving up.

        Raises:
            JournalError: it could not be written down yet; it is kept, and written as soon as that works.
        """
        entry, changes = attempt.entry, {"sender": None, **changes}
        for pause in (0.05, 0.2, 1.0, None):
            try:
                attempt.entry = await self._moved_on(entry, state, what, changes)
            except JournalError as error:
                if pause is not None:
                    await anyio.sleep(pause)
                    continue
                known = replace(entry, state=state, **changes)
                self.unwritten.keep(known, attempt.order, lambda: self._moved_on(entry, state, what, changes))
                raise _untold(error, known) from error
            self.unwritten.drop(entry.id)
            return

    async def _moved_on(self, entry: Entry, state: State, what: str, changes: Mapping[str, Any]) -> Entry:
        changes, sender = dict(changes), entry.sender
        while True:
            try:
                return await self.writer.move(entry, state, what, **changes)
            except StaleEntryError as stale:
                entry = stale.current
                settled = entry.state not in DOUBTFUL
                landed_after_all = state in LANDED and entry.state in ("rejected", "refused", "paid_no_order")
                if settled and not landed_after_all:
                    return entry
                if landed_after_all:
                    changes.setdefault("problem", None)
                if entry.sender != sender:
                    changes.pop("sender", None)  # another process sends it, and may still be at it
                if state in ("rejected", "refused"):
                    return entry  # taken over: the other one's doubt stands, our answer was for an attempt before it


def _untold(error: JournalError, entry: Entry) -> JournalError:
    if entry.state in ("rejected", "refused"):
        happened = "Zinc rejected the order" if entry.state == "rejected" else "The order was not sent"
        return error.after_a_no(happened, entry.key)
    happened = "The order was sent and no answer came" if entry.state == "unknown" else "Zinc has the order"
    return error.in_doubt(happened, entry.key, order_id=entry.order_id)
