"""Cancelling: a question that waits is withdrawn, and an order that is still pending is cancelled at Zinc.

A cancellation buys nothing, and asking again is safe. It asks no person. What became of it is never guessed: the order
is read, and only Zinc's own showing of our order as cancelled gives money back to the limits (`look_up.apply`).
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import anyio

from zinc_mcp.aftercare.look_up import refreshed
from zinc_mcp.checkout.look_up import clear_abandoned, is_ours, refresh, refuse
from zinc_mcp.checkout.watch import known_entry, look, pause, why_not_asked
from zinc_mcp.consent.approval import is_approved
from zinc_mcp.errors import (
    ChangeOutcomeUnknownError,
    ChangeRejectedError,
    JournalError,
    OrderNotFoundError,
    OrderRejectedError,
    RefusedError,
    UnreadableAnswerError,
    ZincMcpError,
)
from zinc_mcp.journal.records.cancellation import How
from zinc_mcp.journal.records.decision import reference_of
from zinc_mcp.journal.records.entry import DOUBTFUL, Entry, StaleEntryError, State
from zinc_mcp.journal.records.twin import KEY_FIELD
from zinc_mcp.owner.team.member import LOCAL
from zinc_mcp.process import Answer, Process
from zinc_mcp.rails import Rail
from zinc_mcp.rails.account import AccountRail
from zinc_mcp.spending.same_order import ANOTHER_ORDER, as_read
from zinc_mcp.zinc.aftercare.cancellation import CancelAnswer
from zinc_mcp.zinc.responses import Order
from zinc_mcp.zinc.v1.answers import BY_KEY

if TYPE_CHECKING:
    from zinc_mcp.rails.v1 import V1Rail

ASKED = "cancellation asked for"
"""The event that is written before Zinc is asked."""

_WITHDRAWN = "It was withdrawn before the user decided, so nothing was sent."
_Said = CancelAnswer | Literal["nothing", "working"]
"""Also: no usable answer; v1 was asked to stop the order, and works on it still."""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """How a cancellation ended, and how the order stands."""

    how: How
    answer: Answer


async def cancel(process: Process, caller: str, handle: str) -> Cancellation:
    """Cancel an order, or withdraw its question, by our key or Zinc's id. Takes no longer than `Clocks.answer`.

    Raises:
        OrderNotFoundError: no such order for this caller; nothing was sent.
        RefusedError: it belongs to another caller; nothing was sent.
        ZincUnreachableError: nothing was sent.
        UnreadableAnswerError, OrderRejectedError: Zinc did not show an order that is not known here; nothing was sent.
        JournalError: nothing was sent.
    """
    deadline = time.monotonic() + process.clocks.answer
    try:
        entry = await known_entry(process, caller, handle)
        if entry is None:
            answer = await look(process, caller, handle)
            if answer.entry is None and answer.order is not None:
                rail = process.rails[answer.rail_name]
                if rail.on_balance is None:
                    raise _of_another_journal()
                return await _cancel_of_the_account(process, caller, answer.order, rail.on_balance, deadline)
            entry = answer.entry
        while entry is not None:
            step = await _step(process, entry, deadline)
            if isinstance(step, Cancellation):
                return step
            entry = step
    except JournalError as error:
        raise error.before_sending() from error
    raise OrderNotFoundError("No order with this id or key is known here.")


async def withdraw_change(process: Process, caller: str, handle: str) -> Answer | None:
    """Withdraw the question about a return or report that a handle names by its key; None if it names none.

    Where no question waits, the answer tells how the return or report stands.

    Raises:
        JournalError: nothing was changed.
    """
    change = await process.journal.run(lambda journal: journal.find_change(handle, caller=caller))
    if change is None or reference_of(change) is None:
        return None if change is None else Answer(await refreshed(process, change))
    moved = await refuse(process, change, "withdrawn by its caller", "withdrawn", _WITHDRAWN)
    return Answer(moved or await process.journal.read(change.id))


async def _step(process: Process, entry: Entry, deadline: float) -> Cancellation | Entry:
    """Do what the state of an entry asks for; return the entry if another step is due."""
    if process.unwritten.known(entry.id) is not None:
        if not await process.unwritten.written(entry.id):
            raise JournalError("What is known of this order could not be written down yet.")
        entry = await process.journal.read(entry.id)
    if entry.state == "waiting":
        return await _withdraw(process, entry, deadline)
    if entry.state == "accepted":
        return await _cancel_accepted(process, entry, deadline)
    return await _look_once(process, entry, deadline)


async def _withdraw(process: Process, entry: Entry, deadline: float) -> Cancellation | Entry:
    """Withdraw a question that stands. A yes that came first wins; then the order is awaited."""
    if reference_of(entry) is not None:
        moved = await refuse(process, entry, "withdrawn by its caller", "withdrawn", _WITHDRAWN)
        if moved is not None:
            return moved
        process.checkpoint("withdrawn")
        return Cancellation("withdrawn", Answer(await process.journal.read(entry.id)))
    await clear_abandoned(process, entry)
    current = await process.journal.read(entry.id)
    left = deadline - time.monotonic()
    if current.state == "waiting" and left <= 0:
        return Cancellation("approved" if is_approved(current) else "preparing", Answer(current))
    if current.state == "waiting":
        await pause(process, current, min(process.clocks.peek, left))
        current = await process.journal.read(entry.id)
    return current


async def _look_once(process: Process, entry: Entry, deadline: float) -> Cancellation | Entry:
    """Look up an entry that is in doubt, or that has ended as far as the journal knows."""
    rail = process.rails.get(entry.rail)
    order: Order | None = None
    unasked: ZincMcpError | None = None
    if rail is not None:
        try:
            entry, order = await refresh(process, entry, rail)
        except ZincMcpError as error:
            unasked = error
    if entry.state in ("accepted", "waiting"):
        return entry
    if order is None and unasked is None:
        unasked = await why_not_asked(process, entry, rail)
    if entry.state == "placed" and rail is not None and rail.on_v1 is not None:
        return await _cancel_placed(process, entry, order, rail.on_v1, unasked, deadline)
    if entry.state in DOUBTFUL:
        left = deadline - time.monotonic()
        if left > 0 and (entry.id in process.attempts or process.leases.is_held(entry)):
            await pause(process, entry, min(process.clocks.poll, left))  # it is being sent, and then Zinc can be asked
            return await process.journal.read(entry.id)
        return Cancellation("in_doubt", Answer(entry, order, unasked=unasked))
    how: How = "in_doubt" if entry.state == "paid_no_order" else "over"
    return Cancellation(how, Answer(entry, order, unasked=unasked))


async def _cancel_accepted(process: Process, entry: Entry, deadline: float) -> Cancellation | Entry:
    """Ask Zinc to cancel an order that it has accepted, once, and read what became of it."""
    rail = process.rails.get(entry.rail)
    if rail is None or not is_ours(entry, rail) or entry.order_id is None:
        return Cancellation("elsewhere", Answer(entry))
    payment = await process.unwritten.payment(entry.id) if rail.paying is not None else None
    is_nameless = rail.on_v1 is not None and entry.order_id.startswith(BY_KEY)
    if is_nameless or (rail.paying is not None and (payment is None or payment.order_key is None)):
        return Cancellation("ask_zinc", Answer(entry))
    if rail.on_v1 is not None:
        seen = await _seen_as_ours(process, entry, rail)
        if seen.state != entry.state:
            return seen
        entry = seen
    if _for_the_wire(process, deadline) <= 0:
        return Cancellation("no_time", Answer(entry))
    try:
        entry = await process.journal.move(entry, entry.state, ASKED)
    except StaleEntryError as stale:
        return stale.current
    process.checkpoint("cancelling")
    order_id = entry.order_id or ""
    said: _Said = "nothing"
    with anyio.move_on_after(_for_the_wire(process, deadline)):
        try:
            if rail.paying is not None and payment is not None and payment.order_key is not None:
                said = await rail.paying.cancel_paid_order(order_id, payment.order_key)
            elif rail.on_balance is not None:
                said = await rail.on_balance.cancel_order(order_id)
            elif rail.on_v1 is not None:
                said = await _stop(rail.on_v1, order_id)
        except ChangeOutcomeUnknownError:
            pass
    process.checkpoint("cancel_answered")
    answer = await _read_again(process, entry, rail, said, deadline)
    if rail.on_v1 is not None and answer.entry is not None and answer.entry.state == "placed":
        return answer.entry  # the retailer may cancel it
    return Cancellation(_how(said, (answer.entry or entry).state, answer.order), answer)


async def _seen_as_ours(process: Process, entry: Entry, rail: Rail) -> Entry:
    """Return an entry of v1 after a look at its order: the answer to the order gave an id, and nothing that proves it.

    Raises:
        UnreadableAnswerError: the id is that of another order; nothing was sent.
    """
    with anyio.move_on_after(process.clocks.refresh):
        try:
            entry, _ = await refresh(process, entry, rail)
        except ZincMcpError as error:
            if error.facts.get("reason") == ANOTHER_ORDER:
                raise UnreadableAnswerError(
                    "Zinc shows another order under the id that it gave for this one, so nothing was cancelled.",
                    "Tell the user: Zinc's support can say what became of the order, by its key.",
                ) from None
    return entry


async def _stop(rail: "V1Rail", order_id: str) -> _Said:
    """Ask v1 once to stop an order that it works on.

    Raises:
        ZincUnreachableError: nothing was sent.
        ChangeOutcomeUnknownError: sent, and no usable answer came.
    """
    try:
        shown = await rail.abort(order_id)
    except ChangeRejectedError:
        return "refused"
    except (OrderNotFoundError, OrderRejectedError, UnreadableAnswerError):
        return "nothing"
    return "working" if shown.stage == "accepted" else "taken" if shown.stage == "cancelled" else "not_cancellable"


async def _cancel_placed(
    process: Process,
    entry: Entry,
    order: Order | None,
    rail: "V1Rail",
    unasked: ZincMcpError | None,
    deadline: float,
) -> Cancellation | Entry:
    """Ask for a placed order of v1 at its retailer.

    Raises:
        ZincMcpError: how the order stands could not be found out; nothing was sent.
    """
    if not is_ours(entry, rail):
        return Cancellation("elsewhere", Answer(entry))
    if order is None:
        raise unasked or UnreadableAnswerError("Zinc does not show the order just now.")
    from zinc_mcp.aftercare.at_retailer import cancel_at_retailer  # few owners have a token of v1

    try:
        how, entry = await cancel_at_retailer(process, entry, order, rail, deadline)
    except StaleEntryError as stale:
        return stale.current
    return Cancellation(how, Answer(entry, order))


def _of_another_journal() -> RefusedError:
    return RefusedError(
        "This order of Zinc's v1 was not placed from here, so nothing is kept of it, and it was not cancelled.",
        "Tell the user to cancel it where it was ordered, or to ask Zinc with the order's id.",
    )


async def _read_again(process: Process, entry: Entry, rail: Rail, said: _Said, deadline: float) -> Answer:
    """Read an order until it shows what became of its cancellation, or the time is over."""
    order: Order | None = None
    until = min(deadline, time.monotonic() + process.clocks.proof)
    while True:
        unasked: ZincMcpError | None = None
        try:
            entry, seen = await refresh(process, entry, rail)
            order = seen or order
        except ZincMcpError as error:
            unasked = error
        left = until - time.monotonic()
        if left <= 0 or not _is_open(said, entry.state, order):
            return Answer(entry, order, unasked=None if order else unasked or await why_not_asked(process, entry, rail))
        await anyio.sleep(min(process.clocks.poll, left))


async def _cancel_of_the_account(
    process: Process, caller: str, order: Order, rail: AccountRail, deadline: float
) -> Cancellation:
    """Cancel an order of the local caller's account that this journal does not know."""
    if caller != LOCAL:
        raise OrderNotFoundError("No order with this id or key is known here.")
    named = order.metadata.get(KEY_FIELD)
    for handle in (order.id, named):
        known = await process.journal.find(handle) if isinstance(handle, str) else None
        if known is not None and known.caller != caller:
            raise RefusedError(
                "This order belongs to a member of this server, so it was not cancelled.",
                "Only that member can cancel it from here.",
            )
    if order.stage != "accepted":
        return Cancellation("over", Answer(None, order))
    if _for_the_wire(process, deadline) <= 0:
        return Cancellation("no_time", Answer(None, order))
    said: _Said = "nothing"
    with anyio.move_on_after(_for_the_wire(process, deadline)):
        try:
            said = await rail.cancel_order(order.id)
        except ChangeOutcomeUnknownError:
            pass
    seen = await _read_stranger(process, rail, order, said, deadline)
    shown = seen or order
    return Cancellation(_how(said, shown.stage, seen), Answer(None, shown))


async def _read_stranger(
    process: Process, rail: AccountRail, order: Order, said: _Said, deadline: float
) -> Order | None:
    """Do as `_read_again` with an order that has no entry; None if it could not be read."""
    seen: Order | None = None
    until = min(deadline, time.monotonic() + process.clocks.proof)
    while True:
        with suppress(ZincMcpError):
            seen = as_read(await rail.read(order.id), order.id)
        left = until - time.monotonic()
        if left <= 0 or not _is_open(said, "accepted" if seen is None else seen.stage, seen):
            return seen
        await anyio.sleep(min(process.clocks.poll, left))


def _for_the_wire(process: Process, deadline: float) -> float:
    """Return how long Zinc may take to answer, so that there is time to read the order afterwards."""
    return max(0.0, min(process.clocks.wire, deadline - time.monotonic() - process.clocks.refresh))


def _is_open(said: _Said, state: State, order: Order | None) -> bool:
    """Say whether another look at the order may show more of what became of its cancellation."""
    return state == "accepted" and (said in ("taken", "nothing", "working") or _contradicts(said, order))


def _contradicts(said: _Said, order: Order | None) -> bool:
    """Say whether Zinc shows an order as pending of which it has said that it is not."""
    return said == "not_cancellable" and order is not None and order.status == "pending"


def _how(said: _Said, state: State, order: Order | None) -> How:
    """Return how a cancellation ended, by Zinc's answer, and by the order if it was read afterwards."""
    if state == "cancelled":
        return "cancelled"
    if state == "failed":
        return "over"
    if state in DOUBTFUL:  # v1 lost sight of it at the retailer
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
