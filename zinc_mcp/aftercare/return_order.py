"""Sending something back: a return is checked against the order, and then filed at Zinc, once."""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from zinc_mcp.aftercare.look_up import changes_of, kept_id
from zinc_mcp.aftercare.placed import PlacedOrder, read_placed, reading
from zinc_mcp.aftercare.request import ChangeWish, request
from zinc_mcp.consent.change_question import ChangeQuestion, ReturnLine, fields_of
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.records.entry import OPEN, Draft, Entry
from zinc_mcp.journal.records.twin import change_digest
from zinc_mcp.process import Answer, Process
from zinc_mcp.rails.after_sale import ReturnAsked
from zinc_mcp.text import plain
from zinc_mcp.zinc.aftercare.returns import DENIED
from zinc_mcp.zinc.product_urls.url_parts import host_in
from zinc_mcp.zinc.responses import Order, OrderItem

_NOT_BOUGHT = frozenset({"cancelled", "canceled", "cancelled_by_retailer", "failed", "skipped", "unavailable"})
_IN_DOUBT = frozenset({"sending", "unknown"})
MAX_NOTES = 2_000
"""The most characters of a return's notes (reported by third parties; the documents name no limit)."""


@dataclass(frozen=True, slots=True)
class ReturnedItem:
    """One item to send back, named by its id at Zinc or by its number in the order."""

    quantity: int
    order_item_id: str | None = None
    number: int | None = None


@dataclass(frozen=True, slots=True)
class ReturnWish:
    """A caller's wish to send something back."""

    caller: str
    order: str
    """Zinc's order id, or our key."""
    items: Sequence[ReturnedItem]
    reason: str
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    item: OrderItem
    quantity: int


async def return_order(process: Process, wish: ReturnWish) -> Answer:
    """File a return, unless it was filed already. If a person must be asked first, the answer's entry is `waiting`.

    Raises:
        RefusedError: nothing was sent; the sentence says why.
        ZincMcpError: as `read_placed` and `request`.
    """
    deadline = time.monotonic() + process.clocks.answer_seconds
    with reading(process):
        placed = await read_placed(process, wish.caller, wish.order)
        _check_placed(placed.order)
        lines = _lines(placed.order, wish.items)
        changes = await changes_of(process, placed)
    return await request(process, _checked(wish, placed, lines, changes), deadline)


def _checked(wish: ReturnWish, placed: PlacedOrder, lines: Sequence[_Line], changes: Sequence[Entry]) -> ChangeWish:
    order, rail = placed.order, placed.rail
    items = [(line.item.id, line.quantity) for line in lines]
    change = placed.after_sale.return_change(ReturnAsked(order.id, placed.retailer, items, wish.reason, wish.notes))
    body = change.to_bytes()
    mode = rail.mode if placed.entry is None else placed.entry.mode
    sent_id, sent_items, fields = fields_of(change)
    by_id = {line.item.id: line for line in lines}
    titles = _titles(order)
    question = ChangeQuestion(
        action="return",
        retailer=plain(placed.retailer, 100),
        mode=mode,
        rail=rail.name,
        order_id=sent_id or order.id,
        lines=[
            ReturnLine(
                order_item_id=str(row["order_item_id"]),
                quantity=int(row["quantity"]),
                ordered=by_id[str(row["order_item_id"])].item.quantity,
                number=by_id[str(row["order_item_id"])].number,
                host=host_in(by_id[str(row["order_item_id"])].item.url),
                url=plain(by_id[str(row["order_item_id"])].item.url, 2100) or None,
                title=titles.get(str(row["order_item_id"])),
            )
            for row in sent_items
        ],
        fields=fields,
        warnings=_warnings(order, changes),
    )
    twin = change_digest(
        [
            "return",
            wish.caller,
            mode,
            order.id.lower(),
            sorted((item_id.lower(), n) for item_id, n in items),
            wish.reason,
        ]
    )
    draft = Draft(
        caller=wish.caller,
        mode=mode,
        origin=rail.origin,
        account=rail.account,
        rail=rail.name,
        twin=twin,
        body_digest=hashlib.sha256(body).hexdigest()[:40],
        given_key=None,
        to_bytes=lambda key: body,
        ceiling_cents=0,
        fee_cents=0,
        facts={
            "action": "return",
            "retailer": placed.retailer,
            "reason": wish.reason,
            "items": [
                {
                    "number": line.number,
                    "order_item_id": line.item.id,
                    "url": line.item.url,
                    "quantity": line.quantity,
                }
                for line in lines
            ],
            "before": [kept_id(each.id) for each in order.returns],
        },
        kind="return",
        order_id=order.id,
    )
    return ChangeWish(draft, rail, question, admits=lambda others: _admit(order, lines, others))


def _check_placed(order: Order) -> None:
    """Refuse an order of which Zinc takes no return: only one that the retailer has can be sent back (ReturnCreate)."""
    if not order.rows_cut.keys().isdisjoint(("items", "returns")):
        raise RefusedError(
            "Zinc shows more items or returns of this order than can be read here, so nothing was sent.",
            "Tell the user to file the return with Zinc directly.",
        )
    if order.stage == "placed":
        return
    ended = {"failed": "it failed, and nothing was bought", "cancelled": "it was cancelled"}
    not_yet = "Zinc does not know whether the retailer has it" if order.is_left_to_people else None
    if order.ending_is_unclear:
        not_yet = "Zinc's report of its ending contradicts itself"
    why = ended.get(order.stage, not_yet or "the retailer has not got it yet")
    raise RefusedError(
        f"This order cannot be sent back: {why}. Nothing was sent.",
        "Call get_order to see how it stands.",
    )


def _lines(order: Order, wanted: Sequence[ReturnedItem]) -> list[_Line]:
    """Return the items of an order that a caller names.

    Raises:
        RefusedError: one is not in the order, is named twice, or cannot be told from another.
    """
    ids = Counter(item.id for item in order.items)
    found: list[_Line] = []
    for each in wanted:
        numbered = enumerate(order.items, start=1)
        fits = [
            _Line(number, item, each.quantity)
            for number, item in numbered
            if each.number in (None, number)
            and (each.order_item_id is None or item.id.lower() == each.order_item_id.lower())
        ]
        if len(fits) != 1 or not fits[0].item.id or ids[fits[0].item.id] != 1:
            raise RefusedError(
                f"The order has {len(order.items)} items, and one that was named is not clearly one of them. Nothing "
                "was sent.",
                "Call get_order, and name each item by its number there, counted from 1.",
            )
        if any(line.number == fits[0].number for line in found):
            raise RefusedError("One item is named twice. Nothing was sent.", "Name each item once, with its quantity.")
        found.append(fits[0])
    return found


def _admit(order: Order, lines: Sequence[_Line], others: Sequence[Entry]) -> None:
    """Check that no more goes back than was bought and is not in another return, and that none of it is in doubt.

    Raises:
        RefusedError: more would, or an earlier return of the same items may have reached Zinc.
    """
    wanted = {line.item.id.lower() for line in lines}
    for other in others:
        rows = other.facts.get("items") or () if other.kind == "return" and other.state in _IN_DOUBT else ()
        if any(str(row.get("order_item_id")).lower() in wanted for row in rows):
            raise RefusedError(
                "An earlier return of these items is in doubt: Zinc may have it. While it is, no other one of them is "
                "filed. Nothing was sent.",
                "Call get_order to see how that one ends.",
                facts={"key": other.key, "order_id": other.order_id},
            )
    gone: Counter[str] = Counter()
    denied = {kept_id(each.id) for each in order.returns if each.status.casefold() in DENIED}
    for each in order.returns:
        if each.status.casefold() not in DENIED:
            for row in each.items:
                gone[row.order_item_id.lower()] += row.quantity
    shown = {kept_id(each.id) for each in order.returns if each.items}
    for other in others:
        # Those at Zinc are in the order already, unless its list lags or does not name their items.
        if other.kind == "return" and (
            other.state in OPEN or (other.state == "placed" and other.facts.get("zinc_id") not in shown | denied)
        ):
            for row in other.facts.get("items") or ():
                gone[str(row.get("order_item_id")).lower()] += int(row.get("quantity") or 0)
    for line in lines:
        bought = 0 if line.item.status.casefold() in _NOT_BOUGHT else _bought(order, line.item)
        left = max(0, bought - gone[line.item.id.lower()])
        if line.quantity > left:
            in_returns = min(bought, gone[line.item.id.lower()])
            already = f", {in_returns} of them in other returns" if in_returns else ""
            raise RefusedError(
                f"Of {bought} of item {line.number} bought, {left} can still be sent back{already}. Nothing was sent.",
                "Call get_order to see the order's returns, and ask for no more than that.",
                facts={"item": line.number, "left": left},
            )


def _bought(order: Order, item: OrderItem) -> int:
    """Return the number of pieces of an item that were bought, as the order's concessions say."""
    fewer = [
        each.fulfilled_quantity
        for each in (order.fulfillment.concessions if order.fulfillment else [])
        if each.item_id == item.id and each.fulfilled_quantity is not None
    ]
    return min([item.quantity, *fewer])


def _titles(order: Order) -> dict[str, str]:
    """Return Zinc's titles of the items, by their ids, of those to which a row certainly belongs."""
    priced = order.job_result.price_components if order.job_result else None
    rows = (priced.cart_items if priced else None) or []
    if len(rows) == 1 and len(order.items) == 1 and rows[0].name:
        return {order.items[0].id: plain(rows[0].name, 200)}
    found: dict[str, str] = {}
    for item in order.items:
        own = [row for row in rows if row.product_id and row.product_id in item.url and row.name]
        if len(own) == 1:
            found[item.id] = plain(own[0].name, 200)
    return found


def _warnings(order: Order, changes: Sequence[Entry]) -> list[str]:
    said: list[str] = []
    standing = sum(1 for each in order.returns if each.status.casefold() not in DENIED)
    if standing:
        said.append(f"Zinc has {standing} earlier {'return' if standing == 1 else 'returns'} of this order.")
    doubtful = sum(1 for each in changes if each.kind == "return" and each.state in ("sending", "unknown"))
    if doubtful:
        said.append("An earlier return of this order is in doubt: Zinc may have it.")
    return said
