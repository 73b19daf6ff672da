"""What an answer proves, written down: accepted, ended, in doubt. Used by whatever sends."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from zinc_mcp.api.responses import Order
from zinc_mcp.errors import JournalError, ZincMcpError
from zinc_mcp.ordering.admission import Admission
from zinc_mcp.ordering.clocks import Clocks
from zinc_mcp.ordering.entry import DOUBTFUL, LANDED, Entry, StaleEntryError, State
from zinc_mcp.ordering.lease import FREE, LeaseClock
from zinc_mcp.ordering.rail import Rail
from zinc_mcp.ordering.reconcile import Reconciler, news
from zinc_mcp.ordering.settle import nothing_taken
from zinc_mcp.ordering.writer import Writer

Checkpoint = Callable[[str], None]
"""Called at every step that a crash could fall on; the fault campaign kills the process here."""


@dataclass(slots=True)
class Attempt:
    """One entry being sent by this process. It outlives the call that started it."""

    entry: Entry
    done: anyio.Event = field(default_factory=anyio.Event)
    order: Order | None = None
    error: ZincMcpError | None = None
    wanted: int = 0
    """How many placing calls still wait: identical bytes go again only while one does."""


class Settling:
    """Writes down what was learnt about an attempt, however hard that is."""

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
        self.clocks = clocks
        self.clock = leases.clock
        self._leases = leases
        self._owner = owner
        self.checkpoint = checkpoint
        self.admission = admission

    def lease(self, seconds: float) -> dict[str, Any]:
        """Return what changes in an entry that this process takes into its hands."""
        return self._leases.lease(self._owner, seconds)

    async def accepted(self, attempt: Attempt, rail: Rail, order: Order, what: str, **more: Any) -> None:
        """Zinc has it: settle the money on what the order shows."""
        attempt.order = order
        changes = news(attempt.entry, order)
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
        """Write down what was learnt, even if somebody took the entry over meanwhile; try hard before giving up."""
        for pause in (0.05, 0.2, 1.0, None):
            try:
                attempt.entry = await self._moved_on(attempt.entry, state, what, **changes)
                return
            except JournalError as error:
                if pause is None:
                    order_id = changes.get("order_id")
                    raise _unwritten(error, attempt.entry, state, order_id) from error
                await anyio.sleep(pause)

    async def _moved_on(self, entry: Entry, state: State, what: str, **changes: Any) -> Entry:
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
                if state in ("rejected", "refused"):
                    return entry  # taken over: the other one's doubt stands, our answer was for an attempt before it


def _unwritten(error: JournalError, entry: Entry, state: State, order_id: object) -> JournalError:
    facts: dict[str, Any] = {"key": entry.key}
    if order_id:
        facts["order_id"] = order_id
    answered = "No answer came" if state == "unknown" else f"Zinc answered (the order is {state})"
    failure = JournalError(
        f"{answered}, but the journal could not write it down. {error.summary.replace(', so nothing was sent', '')}",
        "Tell the user to mend the journal; get_order with the key finds the order again.",
        facts=facts,
    )
    failure.money_may_have_moved = state == "unknown" or state in LANDED
    return failure
