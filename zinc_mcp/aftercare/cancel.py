"""Cancelling: a question that waits is withdrawn, and an order that is still pending is cancelled at Zinc.

A cancellation buys nothing, and asking again is safe. It asks no person. Its outcome is never guessed: the order is
read, and money goes back to the limits only if Zinc shows our order as cancelled (`look_up.apply`).
"""

import time

from zinc_mcp.aftercare import cancel_v2
from zinc_mcp.aftercare.cancellation import Cancellation
from zinc_mcp.aftercare.look_up import refreshed
from zinc_mcp.checkout.look_up import clear_abandoned, is_ours, refresh, refuse
from zinc_mcp.checkout.watch import known_entry, look, unasked_error, wait_for_news
from zinc_mcp.consent.approval import is_approved
from zinc_mcp.errors import JournalError, OrderNotFoundError, RefusedError, ZincMcpError
from zinc_mcp.journal.records.cancellation import How
from zinc_mcp.journal.records.decision import reference_of
from zinc_mcp.journal.records.entry import DOUBTFUL, Entry
from zinc_mcp.process import Answer, Process
from zinc_mcp.zinc.responses import Order

_WITHDRAWN = "It was withdrawn before the user decided, so nothing was sent."


async def cancel(process: Process, caller: str, handle: str) -> Cancellation:
    """Cancel an order, or withdraw its question, by our key or Zinc's id. Takes no longer than `Clocks.answer_seconds`.

    Raises:
        OrderNotFoundError: no such order for this caller; nothing was sent.
        RefusedError: it belongs to another caller, or this process does not know the caller as the journal does;
            nothing was sent.
        ZincUnreachableError: nothing was sent.
        UnreadableAnswerError, OrderRejectedError: Zinc did not show an order that is not known here; nothing was sent.
        JournalError: nothing was sent.
    """
    deadline = time.monotonic() + process.clocks.answer_seconds
    try:
        entry = await known_entry(process, caller, handle)
        if entry is None:
            answer = await look(process, caller, handle)
            if answer.entry is None and answer.order is not None:
                rail = process.rails[answer.rail_name]
                if rail.on_balance is None:
                    raise _of_another_journal()
                return await cancel_v2.cancel_of_the_account(process, caller, answer.order, rail.on_balance, deadline)
            entry = answer.entry
        asked: Cancellation | None = None
        while entry is not None:
            try:
                step = await _step(process, entry, deadline)
            except ZincMcpError:
                if asked is None:
                    raise
                return asked  # its sentence is true: something was sent, and the order was not cancelled
            if not isinstance(step, Cancellation):
                entry = step
            elif not step.goes_on or asked is not None:
                return step
            else:
                asked, entry = step, step.answer.entry
    except JournalError as error:
        raise error.before_sending() from error
    raise OrderNotFoundError("No order with this id or key is known here.")


async def withdraw_change(process: Process, caller: str, handle: str) -> Answer | None:
    """Withdraw the question about a return or report that a handle names by its key; None if it names none.

    If no question waits, the answer has the return or report as it is.

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
        await wait_for_news(process, current, min(process.clocks.peek_seconds, left))
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
        unasked = await unasked_error(process, entry, rail)
    if entry.state == "placed" and rail is not None and rail.on_v1 is not None:
        from zinc_mcp.aftercare import cancel_v1  # few owners have a token of v1

        return await cancel_v1.cancel_placed(process, entry, order, rail.on_v1, unasked, deadline)
    if entry.state in DOUBTFUL:
        left = deadline - time.monotonic()
        if left > 0 and (entry.id in process.attempts or process.leases.is_held(entry)):
            # It is being sent; after that Zinc can be asked.
            await wait_for_news(process, entry, min(process.clocks.poll_seconds, left))
            return await process.journal.read(entry.id)
        return Cancellation("in_doubt", Answer(entry, order, unasked=unasked))
    how: How = "in_doubt" if entry.state == "paid_no_order" else "over"
    return Cancellation(how, Answer(entry, order, unasked=unasked))


async def _cancel_accepted(process: Process, entry: Entry, deadline: float) -> Cancellation | Entry:
    """Ask Zinc once to cancel an order that it has accepted, and read the outcome."""
    rail = process.rails.get(entry.rail)
    if rail is None or not is_ours(entry, rail) or entry.order_id is None:
        return Cancellation("elsewhere", Answer(entry))
    if rail.on_v1 is not None:
        from zinc_mcp.aftercare import cancel_v1  # few owners have a token of v1

        return await cancel_v1.cancel_accepted(process, entry, rail.on_v1, entry.order_id, deadline)
    return await cancel_v2.cancel_accepted(process, entry, rail, entry.order_id, deadline)


def _of_another_journal() -> RefusedError:
    return RefusedError(
        "This order of Zinc's v1 was not placed from here, so nothing is kept of it, and it was not cancelled.",
        "Tell the user to cancel it where it was ordered, or to ask Zinc with the order's id.",
    )
