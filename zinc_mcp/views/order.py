"""The view of an order, for tool results, the approval page and the terminal.

`order_view` builds it with its sentences, from the journal's entry and Zinc's last answer.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from pydantic import Field

from zinc_mcp.errors import OrderRejectedError, ZincMcpError
from zinc_mcp.journal.records.entry import DAY_SECONDS, OPEN, Entry, Mode, State
from zinc_mcp.journal.records.money import NOT_BOUGHT
from zinc_mcp.process import Answer
from zinc_mcp.spending.outcome import is_answered_wrongly
from zinc_mcp.text import bounded_facts, plain
from zinc_mcp.views import after_sale, delivery, parts
from zinc_mcp.views.parts import View, short
from zinc_mcp.views.sentences import NOTHING_MORE, OrderFacts, Reader, may_have_paid, sentences
from zinc_mcp.zinc.aftercare.cases import Case
from zinc_mcp.zinc.placed.timeline import Milestone
from zinc_mcp.zinc.product_urls.reading import retailer_in
from zinc_mcp.zinc.responses import Order

PRICE_LABELS = {
    "subtotal": "Subtotal",
    "tax": "Tax",
    "shipping": "Shipping",
    "fees": "Fees",
    "discount": "Discount",
    "total": "Total at the retailer",
    "zinc_fee": "Zinc's fee",
    "paid": "Paid in all",
}


class UnaskedView(View):
    """The reason why Zinc could not be asked, and the time of the state that is shown instead."""

    code: str
    reason: str
    as_of: str
    ago: str | None = None


class RefusalView(View):
    """The reason why a new order would be refused, shown beside the earlier order that answers the call."""

    code: str
    reason: str


class OrderView(View):
    """One order, as every reader is shown it."""

    title: str = Field(exclude=True)
    """The outcome as a heading for a person."""
    outcome: State
    summary: str
    next_step: str
    """Empty if a person has nothing to do."""
    new_order: bool | None
    """For a placing call: whether this call opened the order. False: an earlier order is the answer."""
    is_final: bool
    new_orders: RefusalView | None
    """For a placing call that an earlier order answers: why a new one would be refused just now."""
    unasked: UnaskedView | None
    decide_at: str | None
    """The way for the user to decide about a waiting order."""
    order_id: str | None
    key: str | None
    status: str | None
    mode: Mode
    retailer: str | None
    retailer_account: str | None
    """For an order of v1: the account at the retailer that buys, and what pays if it is one of the user's own."""
    items: list[parts.ItemView]
    items_left_out: int | None
    left_out: dict[str, int]
    """The number of rows that are not shown, by the name of their list (`tracking`, `returns`, …)."""
    not_coming: dict[str, list[int]]
    """The numbers, from 1, of items that were cancelled, failed or skipped, by their status."""
    ship_to: parts.ShipToView | None
    price: parts.PriceView | None
    money_may_have_moved: bool = Field(exclude=True)
    """Whether money has moved or may have moved, and no order is known that accounts for it."""
    payment: dict[str, Any] | None
    """For an order paid by wallet: method, what was authorised up front, the receipt's reference."""
    tracking: list[dict[str, Any]]
    timeline: list[dict[str, str]]
    """The steps of the order with their times, oldest first, where they were asked for."""
    timeline_unread: str | None
    """The reason why they could not be read."""
    estimated_delivery: str | None
    merchant_order_ids: list[str]
    failure: parts.FailureView | None
    answered_wrongly: bool | None
    """Zinc answered with an order that is not the one that was sent."""
    concessions: list[dict[str, Any]]
    returns: list[dict[str, Any]]
    cases: list[dict[str, Any]]
    requests: list[dict[str, Any]]
    """Our requests that Zinc does not show with the order: for returns and reports, and v1's cancellations."""

    @property
    def breakdown(self) -> list[tuple[str, str]]:
        """The parts of the price as a person reads them, each with its label; none until the total is known."""
        amounts = self.price.printed if self.price else {}
        if "total" not in amounts:
            return []
        return [(label, amounts[name]) for name, label in PRICE_LABELS.items() if name in amounts]


def order_view(
    answer: Answer,
    reader: Reader,
    *,
    mode: Mode,
    now: float,
    decide_at: str | None = None,
    steps: Sequence[Milestone] | ZincMcpError | None = None,
    changes: Sequence[Entry] = (),
    thread: Case | ZincMcpError | None = None,
) -> OrderView:
    """Return the view of an order.

    Args:
        answer: the journal's entry, what Zinc showed of the order, and what this call adds to them.
        reader: a model after a placing call or a look-up, or a person, who is shown all items.
        mode: the mode of this process, for an order without an entry.
        now: seconds since the epoch.
        decide_at: a sentence that says where the user can decide, if the order or one of its changes waits for that.
        steps: the order's milestones, or why they could not be read, where they were asked for.
        changes: the caller's returns and reports, as the journal has them.
        thread: the case that matters now with its messages, or why they could not be read.
    """
    entry, order = answer.entry, answer.order
    outcome = entry.state if entry else order.stage if order else "unknown"
    clean = parts.cleaner_of(order)
    facts: Mapping[str, Any] = entry.facts if entry else {}
    items, items_left_out = parts.items(entry, order, clean)
    if reader == "person" and entry is not None and (whole := parts.whole_items(entry)):
        items, items_left_out = whole, 0
    not_coming = parts.not_coming(order)
    milestones: Sequence[Milestone] = () if steps is None or isinstance(steps, ZincMcpError) else steps
    price = parts.price(entry, order)
    failure = parts.failure(entry, order, clean) if outcome in NOT_BOUGHT else None
    unasked = None if entry is None or answer.unasked is None else _unasked_view(entry, answer.unasked, now)
    refusal = answer.refusal
    mode = entry.mode if entry else mode
    since = None if unasked is None else f"{unasked.ago} ({unasked.as_of})" if unasked.ago else f"at {unasked.as_of}"
    title, summary, next_step = sentences(
        OrderFacts(reader, answer, outcome, mode, price, failure, not_coming, since, decide_at)
    )
    requests = after_sale.requests(order, changes, now, DAY_SECONDS)
    if reader == "look" or (reader == "place" and outcome == "placed"):
        told, step = after_sale.news(order, entry, changes, requests, decide_at if outcome == "placed" else None)
        summary = f"{summary} {told}".rstrip()
        if after_sale.is_cancelled(order, entry):
            next_step = "Tell the user. Refunds that Zinc has credited are in get_balance."
        if step:
            next_step = step if next_step == NOTHING_MORE else f"{next_step} {step}"
    return OrderView(
        title=title,
        outcome=outcome,
        summary=summary,
        next_step=next_step,
        new_order=not answer.earlier if reader == "place" else None,
        is_final=outcome not in OPEN,
        new_orders=None if refusal is None else RefusalView(code=refusal.code, reason=refusal.summary),
        unasked=unasked,
        decide_at=decide_at,
        order_id=short((order.id if order else None) or (entry.order_id if entry else None), 100),
        key=entry.key if entry else None,
        status=short((order.status if order else None) or (entry.status if entry else None), 60),
        mode=mode,
        retailer=short(facts.get("retailer") or _retailer(order), 100),
        retailer_account=parts.retailer_account(entry),
        items=items,
        items_left_out=items_left_out or None,
        left_out=parts.left_out(order, not_coming, len(milestones) - delivery.MAX_STEPS),
        not_coming={status: numbers[: parts.MAX_NUMBERS] for status, numbers in not_coming.items()},
        ship_to=parts.ship_to(facts, order),
        price=price,
        money_may_have_moved=may_have_paid(entry, outcome),
        payment=bounded_facts(facts.get("payment") or {}) or None,
        tracking=[delivery.parcel(each, clean) for each in order.tracking_numbers[: parts.MAX_PARCELS]]
        if order
        else [],
        timeline=delivery.timeline(milestones, clean),
        timeline_unread=steps.summary if isinstance(steps, ZincMcpError) else None,
        estimated_delivery=delivery.estimated_day(order),
        merchant_order_ids=[plain(each, 60) for each in order.merchant_order_ids[: parts.MAX_MERCHANT_IDS]]
        if order
        else [],
        failure=failure,
        answered_wrongly=True if entry is not None and is_answered_wrongly(entry) else None,
        concessions=parts.concessions(order, clean),
        returns=after_sale.returns(order, changes, clean),
        cases=after_sale.cases(order, changes, thread, clean),
        requests=requests + after_sale.cancellations(entry),
    )


def compact(view: View) -> dict[str, Any]:
    """Return a view as plain data, without None and empty values at any depth."""
    return _without_empty(view.model_dump(exclude_none=True))


def _without_empty(parts: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, part in parts.items():
        if isinstance(part, dict):
            part = _without_empty(cast(dict[str, Any], part)) or None
        elif isinstance(part, list):
            rows = cast(list[Any], part)
            part = [_without_empty(cast(dict[str, Any], row)) if isinstance(row, dict) else row for row in rows] or None
        if part is not None:
            kept[name] = part
    return kept


def _retailer(order: Order | None) -> str | None:
    return retailer_in(order.items[0].url) if order and order.items else None


def _unasked_view(entry: Entry, error: ZincMcpError, now: float) -> UnaskedView:
    """Return the reason why Zinc could not be asked about an entry, and the time of the journal's state of it."""
    as_of = datetime.fromtimestamp(entry.updated_at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    # If Zinc refuses to show an order, it has not rejected the order itself.
    code = "zinc_unavailable" if isinstance(error, OrderRejectedError) else error.code
    return UnaskedView(code=code, reason=error.summary, as_of=as_of, ago=_ago(now - entry.updated_at))


def _ago(seconds: float) -> str | None:
    if seconds < 0:
        return None  # the clock was changed, so only the moment itself can be shown
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "less than a minute ago"
