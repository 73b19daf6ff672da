"""The common part of all cancellations: one request, and then reads of the order that show its end."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import anyio

from zinc_mcp.checkout.look_up import refresh
from zinc_mcp.checkout.watch import unasked_error
from zinc_mcp.errors import ChangeOutcomeUnknownError, ZincMcpError
from zinc_mcp.journal.records.cancellation import How
from zinc_mcp.journal.records.entry import DOUBTFUL, Entry, StaleEntryError, State
from zinc_mcp.process import Answer, Process
from zinc_mcp.rails import Rail
from zinc_mcp.zinc.aftercare.cancellation import CancelAnswer
from zinc_mcp.zinc.responses import Order

ASKED = "cancellation asked for"
"""The event that is written before Zinc is asked."""

Said = CancelAnswer | Literal["nothing", "working"]
"""Zinc's answer to the request. `nothing`: no usable answer came. `working`: v1 still works on the order."""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The ending of a cancellation, and the order as it is then."""

    how: How
    answer: Answer
    goes_on: bool = False
    """Zinc was asked and did not cancel the order, and somebody else may: the retailer, where v1 has placed it."""


async def ask_once(
    process: Process, entry: Entry, rail: Rail, request: Callable[[], Awaitable[Said]], deadline: float
) -> Cancellation | Entry:
    """Write down that Zinc is asked, ask it once, and read the outcome; return the entry if it moved before.

    Raises:
        ZincUnreachableError: nothing was sent.
        RefusedError: this process does not know the caller as the journal does; nothing was sent.
        JournalError: it could not be written down, and nothing was sent.
    """
    if seconds_for_the_wire(process, deadline) <= 0:
        return Cancellation("no_time", Answer(entry))
    try:
        entry = await process.journal.move(entry, entry.state, ASKED, by_caller=True)
    except StaleEntryError as stale:
        return stale.current
    process.checkpoint("cancelling")
    said = await answered(process, request, deadline)
    process.checkpoint("cancel_answered")
    answer = await _read_again(process, entry, rail, said, deadline)
    return Cancellation(ending_of(said, (answer.entry or entry).state, answer.order), answer)


async def answered(process: Process, request: Callable[[], Awaitable[Said]], deadline: float) -> Said:
    """Return what Zinc says to a request; `nothing` if no usable answer comes in time.

    Raises:
        ZincUnreachableError: nothing was sent.
    """
    with anyio.move_on_after(seconds_for_the_wire(process, deadline)):
        try:
            return await request()
        except ChangeOutcomeUnknownError:
            pass
    return "nothing"


async def _read_again(process: Process, entry: Entry, rail: Rail, said: Said, deadline: float) -> Answer:
    """Read an order until it shows the outcome of its cancellation, or the time is over."""
    order: Order | None = None
    until = min(deadline, time.monotonic() + process.clocks.proof_seconds)
    while True:
        unasked: ZincMcpError | None = None
        try:
            entry, seen = await refresh(process, entry, rail)
            order = seen or order
        except ZincMcpError as error:
            unasked = error
        left = until - time.monotonic()
        if left <= 0 or not may_show_more(said, entry.state, order):
            return Answer(entry, order, unasked=None if order else unasked or await unasked_error(process, entry, rail))
        await anyio.sleep(min(process.clocks.poll_seconds, left))


def seconds_for_the_wire(process: Process, deadline: float) -> float:
    """Return the seconds that Zinc may take to answer, so that there is time to read the order afterwards."""
    return max(0.0, min(process.clocks.wire_seconds, deadline - time.monotonic() - process.clocks.refresh_seconds))


def may_show_more(said: Said, state: State, order: Order | None) -> bool:
    """Say whether another read of the order may show more about the outcome of its cancellation."""
    return state == "accepted" and (said in ("taken", "nothing", "working") or _contradicts(said, order))


def _contradicts(said: Said, order: Order | None) -> bool:
    """Say whether Zinc shows an order as pending of which it has said that it is not."""
    return said == "not_cancellable" and order is not None and order.status == "pending"


def ending_of(said: Said, state: State, order: Order | None) -> How:
    """Return the ending of a cancellation, by Zinc's answer, and by the order if it was read afterwards."""
    if state == "cancelled":
        return "cancelled"
    if state == "failed":
        return "over"
    if state in DOUBTFUL:  # v1 does not know whether the retailer has it
        return "in_doubt"
    if said == "taken":
        return "not_proved"
    if said == "working":
        return "stopping" if state == "accepted" else "too_late"
    if said == "not_allowed":
        return "ask_zinc"
    if said == "nothing" or _contradicts(said, order):
        return "not_known" if state == "accepted" else "too_late"
    return "too_late" if said == "not_cancellable" else "not_taken"
