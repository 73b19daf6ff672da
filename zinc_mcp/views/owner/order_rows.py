"""Rows of the owner's list of orders: goods, retailer, state, money and next step. Only the journal is read."""

from collections.abc import Mapping
from typing import Any

from zinc_mcp.consent.approval import is_approved
from zinc_mcp.consent.field_words import quoted
from zinc_mcp.journal.records.decision import reference_of
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.journal.records.money import NOT_BOUGHT
from zinc_mcp.text import plain, printed
from zinc_mcp.views.order import OrderView
from zinc_mcp.views.owner.amounts import NAMES, amounts_of
from zinc_mcp.views.owner.export import moment
from zinc_mcp.views.parts import ItemView, View
from zinc_mcp.zinc.product_urls.reading import read_product_url
from zinc_mcp.zinc.product_urls.url_parts import ProductUrlError

MOST_ITEMS = 3
YOUR_ANSWER = "your answer"
"""The next step of an order that waits for its owner."""


class OrderRow(View):
    """One order on a line. Each text is clean."""

    what: list[str]
    where_from: str
    state: str
    money: str
    next_step: str
    """In a few words; empty if nothing is left to do."""
    key: str
    order_id: str | None


def order_row(entry: Entry, view: OrderView) -> OrderRow:
    """Return the row of an order."""
    named = [_named(item) for item in view.items]
    more = [f"and {len(named) - MOST_ITEMS} more"] if len(named) > MOST_ITEMS else []
    return OrderRow(
        what=[*named[:MOST_ITEMS], *more],
        where_from=plain(view.retailer or "", 40),
        state=view.outcome,
        money=money_said(view),
        next_step=_next_step(entry),
        key=plain(entry.key, 64),
        order_id=view.order_id,
    )


def money_said(view: OrderView) -> str:
    """Return the amount that an order cost, or the most that it can cost."""
    amounts = view.price.printed if view.price else {}
    if "paid" in amounts:
        return amounts["paid"]
    if "paid_up_front" in amounts and view.outcome in NOT_BOUGHT:
        return f"{amounts['paid_up_front']} up front, {amounts.get('refunded', printed(0))} back"
    return f"up to {amounts.get('held')}"


def record_of(entry: Entry, view: OrderView) -> Mapping[str, Any]:
    """Return an order for programs. Names are only added; times are UTC (ISO 8601), amounts are US cents."""
    amounts = amounts_of(entry)
    return {
        "key": plain(entry.key, 64),
        "order_id": view.order_id,
        "mode": entry.mode,
        "rail": entry.rail,
        "caller": plain(entry.caller, 64),
        "state": entry.state,
        "status": view.status,
        "opened_at": moment(entry.opened_at),
        "sent_at": moment(entry.first_sent_at),
        "updated_at": moment(entry.updated_at),
        "retailer": view.retailer,
        "items": [{"title": item.title, "url": item.url, "quantity": item.quantity} for item in view.items],
        "ship_to": view.ship_to.model_dump(exclude_none=True) if view.ship_to else None,
        **{name: getattr(amounts, name) for name in NAMES},
        "counts_cents": entry.counts_cents,
        "money": money_said(view),
        "next_step": _next_step(entry) or None,
        "waits_for_answer": reference_of(entry) is not None,
        "problem": plain((entry.problem or {}).get("code"), 60) if (entry.problem or {}).get("code") else None,
        "attempts": entry.attempts,
        "body_kept": entry.body is not None,
    }


def _named(item: ItemView) -> str:
    if item.title:
        return f"{item.quantity} x {quoted(plain(item.title, 80))}"
    try:
        number = read_product_url(item.url or "").product_id
    except ProductUrlError:
        return f"{item.quantity} x {plain(item.url, 80)}"
    return f"{item.quantity} x product {plain(number, 60)}" if number else f"{item.quantity} x a product"


def _next_step(entry: Entry) -> str:
    if entry.state == "waiting":
        if is_approved(entry):
            return "wait: approved, not sent yet"
        return YOUR_ANSWER if reference_of(entry) is not None else "wait"
    if entry.state in ("signing", "sending"):
        return "wait: it is being sent"
    if entry.state == "unknown":
        return "look at it: it may have been bought"
    if entry.state == "paid_no_order":
        return "ask Zinc: paid, no order known"
    if entry.state == "accepted":
        return "wait: Zinc is buying it"
    expected = amounts_of(entry).expected_cents
    return f"wait: {printed(expected)} should come back" if expected else ""
