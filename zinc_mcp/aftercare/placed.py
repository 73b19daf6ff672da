"""The order that a change is about: the caller's own, as Zinc shows it now, with the key that may change it."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import OrderNotFoundError, RefusedError, UnreadableAnswerError
from zinc_mcp.journal.records.entry import NAMES, Entry, Mode
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail
from zinc_mcp.rails.after_sale import AfterSale, SentOrder
from zinc_mcp.zinc.credits import ReturnSummary
from zinc_mcp.zinc.product_urls.reading import retailer_in
from zinc_mcp.zinc.responses import Order

_READING = 0.6
"""The part of `Clocks.answer_seconds` that may pass with reading."""
_ASK_ZINC = "Tell the user to ask Zinc about it, with the order's id."


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """One order at Zinc, with the object that changes it."""

    caller: str
    order: Order
    entry: Entry | None
    """None for an order that was not placed through this journal."""
    rail: Rail
    after_sale: AfterSale

    @property
    def retailer(self) -> str:
        """The retailer's domain, or a word for it."""
        known = self.entry.facts.get("retailer") if self.entry is not None else None
        named = known or (retailer_in(self.order.items[0].url) if self.order.items else None)
        return named if isinstance(named, str) and named else "the retailer"


@contextmanager
def reading(process: Process) -> Generator[None]:
    """Bound the time of the reads before a request: a tool has to answer in time.

    Raises:
        UnreadableAnswerError: it took too long.
    """
    try:
        with anyio.fail_after(process.clocks.answer_seconds * _READING):
            yield
    except TimeoutError:
        raise UnreadableAnswerError("Zinc took too long to show the order.") from None


async def read_placed(process: Process, caller: str, handle: str) -> PlacedOrder:
    """Return a caller's order as Zinc shows it now.

    Raises:
        OrderNotFoundError: this caller has no such order.
        RefusedError: Zinc has no order yet, it cannot be changed from here, or the handle names a return or report.
        ZincUnreachableError, UnreadableAnswerError, OrderRejectedError: Zinc does not show it just now.
        JournalError: the journal cannot be read.
    """
    try:
        answer = await look(process, caller, handle)
    except OrderNotFoundError:
        change = await process.journal.run(lambda journal: journal.find_change(handle, caller=caller))
        if change is None:
            raise
        raise RefusedError(
            f"This is the key of a {NAMES[change.kind][0]}, and not of an order. Nothing was sent.",
            "Name the order that it is about.",
            facts={"order_id": change.order_id},
        ) from None
    entry, order = answer.entry, answer.order
    if answer.unasked is not None:
        raise answer.unasked
    if order is None:
        state = "not known" if entry is None else entry.state
        raise RefusedError(
            f"Zinc has no order for this yet: it is {state}. Nothing was sent.",
            "Call get_order to see how it stands.",
        )
    if entry is None:
        # Another caller of this journal may have placed it with the same API key.
        known = await process.journal.find(order.id)
        if known is not None and known.caller != caller:
            raise OrderNotFoundError("No order with this id or key is known here.")
    rail = process.rails.get(answer.rail_name)
    if rail is None:
        raise RefusedError(
            "The order was placed in a way that is not set up here, so nothing was sent.",
            "Tell the user to do this where it was ordered.",
        )
    mode = rail.mode if entry is None else entry.mode
    after_sale = await after_sale_for(process, rail, order.id, caller, mode)
    if after_sale is None:
        raise RefusedError("The order is changed with a key of its own, and that key is not kept here.", _ASK_ZINC)
    order_id = order.id
    changes = await process.journal.run(lambda journal: journal.changes_of(order_id, caller, mode))
    order = await after_sale.completed(order, sent_of(entry, changes))
    return PlacedOrder(caller, order, entry, rail, after_sale)


def sent_of(entry: Entry | None, changes: Sequence[Entry]) -> SentOrder:
    """Return the facts that the journal has about an order, and about its returns that are at Zinc."""
    filed = [
        ReturnSummary.read(
            {
                "id": each.facts["zinc_id"],
                "status": each.status or "open",
                "reason": each.facts.get("reason"),
                "items": each.facts.get("items") or [],
            }
        )
        for each in changes
        if each.kind == "return" and each.state in ("placed", "failed") and each.facts.get("zinc_id")
    ]
    return SentOrder(None if entry is None else entry.body, filed)


async def after_sale_for(process: Process, rail: Rail, order_id: str, caller: str, mode: Mode) -> AfterSale | None:
    """Return the requests about an order that the key which reads it can make; None if that key is not here."""
    if rail.paying is None:
        return rail.after_sale(None)
    known = await process.journal.find(order_id, caller=caller, mode=mode)
    payment = None if known is None else await process.unwritten.payment(known.id)
    return rail.after_sale(None if payment is None else payment.order_key)
