"""Cancelling an order of v1: while v1 works on it, v1 is asked to stop; once it is placed, the retailer is asked."""

from dataclasses import replace
from functools import partial

import anyio

from zinc_mcp.aftercare.at_retailer import cancel_at_retailer
from zinc_mcp.aftercare.cancellation import Cancellation, Said, ask_once
from zinc_mcp.checkout.look_up import is_ours, refresh
from zinc_mcp.errors import (
    ChangeRejectedError,
    OrderNotFoundError,
    OrderRejectedError,
    UnreadableAnswerError,
    ZincMcpError,
)
from zinc_mcp.journal.records.entry import Entry, StaleEntryError
from zinc_mcp.process import Answer, Process
from zinc_mcp.rails.v1 import V1Rail
from zinc_mcp.spending.same_order import ANOTHER_ORDER
from zinc_mcp.zinc.responses import Order
from zinc_mcp.zinc.v1.answers import BY_KEY


async def cancel_accepted(
    process: Process, entry: Entry, rail: V1Rail, order_id: str, deadline: float
) -> Cancellation | Entry:
    """Ask v1 to stop an order that it works on; the entry if it moved before.

    Raises:
        UnreadableAnswerError: its id is that of another order; nothing was sent.
        RefusedError: as `ask_once`.
        ZincUnreachableError: nothing was sent.
        JournalError: nothing was sent.
    """
    if order_id.startswith(BY_KEY):
        return Cancellation("ask_zinc", Answer(entry))
    seen = await _seen_as_ours(process, entry, rail)
    if seen.state != entry.state:
        return seen
    ended = await ask_once(process, seen, rail, partial(_stop, rail, order_id), deadline)
    if isinstance(ended, Cancellation) and ended.answer.entry is not None and ended.answer.entry.state == "placed":
        return replace(ended, goes_on=True)
    return ended


async def cancel_placed(
    process: Process,
    entry: Entry,
    order: Order | None,
    rail: V1Rail,
    unasked: ZincMcpError | None,
    deadline: float,
) -> Cancellation | Entry:
    """Ask the retailer of a placed order of v1 to cancel it.

    Raises:
        ZincMcpError: the state of the order could not be found out; nothing was sent.
    """
    if not is_ours(entry, rail):
        return Cancellation("elsewhere", Answer(entry))
    if order is None:
        raise unasked or UnreadableAnswerError("Zinc does not show the order just now.")
    try:
        how, entry = await cancel_at_retailer(process, entry, order, rail, deadline)
    except StaleEntryError as stale:
        return stale.current
    return Cancellation(how, Answer(entry, order))


async def _seen_as_ours(process: Process, entry: Entry, rail: V1Rail) -> Entry:
    """Return an entry of v1 after its order was read: until then only an id names the order, and proves nothing.

    Raises:
        UnreadableAnswerError: the id is that of another order; nothing was sent.
    """
    with anyio.move_on_after(process.clocks.refresh_seconds):
        try:
            entry, _ = await refresh(process, entry, rail)
        except ZincMcpError as error:
            if error.facts.get("reason") == ANOTHER_ORDER:
                raise UnreadableAnswerError(
                    "Zinc shows another order under the id that it gave for this one, so nothing was cancelled.",
                    "Tell the user: Zinc's support can say what became of the order, by its key.",
                ) from None
    return entry


async def _stop(rail: V1Rail, order_id: str) -> Said:
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
