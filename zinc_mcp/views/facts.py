"""Build the view of an order from the journal's entry and from Zinc's last answer.

Each text of Zinc, retailers and carriers is bounded, cleaned, shown in a field of its own, and stripped of the buyer's
street, postal code and telephone number.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from zinc_mcp.errors import OrderRejectedError, ZincMcpError
from zinc_mcp.journal.entry import Entry, Mode
from zinc_mcp.spending.outcome import is_answered_wrongly, why_in_doubt
from zinc_mcp.text import plain
from zinc_mcp.views.order import (
    FINAL,
    NOT_BOUGHT,
    CheckpointView,
    FailureView,
    ItemView,
    OrderView,
    ParcelView,
    ShipToView,
    UnaskedView,
    price_view,
)
from zinc_mcp.zinc.prices import PriceComponents
from zinc_mcp.zinc.product_urls.reading import retailer_in
from zinc_mcp.zinc.responses import (
    CaseSummary,
    ErrorDetails,
    Order,
    OrderItem,
    ReturnSummary,
    Tracking,
)

MAX_ITEMS = 10
MAX_PARCELS = 5
MAX_CHECKPOINTS = 3
MAX_URL = 300
MAX_NUMBERS = 30
MAX_RETURNS = 5
MAX_MERCHANT_IDS = 5
_PARTS = re.compile(r"[/?&=#]")
_WORDS = re.compile(r"[^A-Za-z0-9]+")
_NUMBERS = re.compile(r"[^A-Za-z0-9_-]+")

_NOT_COMING = {
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "cancelled_by_retailer": "cancelled",
    "failed": "failed",
    "skipped": "skipped",
    "unavailable": "unavailable",
    "out_of_stock": "out of stock",
    "rejected": "rejected",
    "refunded": "refunded",
    "returned": "returned",
}
"""Statuses of an item that will not come (OrderItem.status, SDK 2026.9.18), each with our word for it."""


def order_view(entry: Entry | None, order: Order | None, mode: Mode) -> OrderView:
    """Return the view of an order. The caller adds the sentences, and whether this call opened the order.

    Args:
        entry: the journal's entry; None for an order that was placed elsewhere with the same API key.
        order: Zinc's last answer; None if it was not read.
        mode: the mode of this process, for an order without an entry.
    """
    outcome = entry.state if entry else order.stage if order else "unknown"
    clean = _cleaner_of(order)
    items, items_left_out = _items(entry, order, clean)
    not_coming = _not_coming(order)
    facts: Mapping[str, Any] = entry.facts if entry else {}
    return OrderView(
        outcome=outcome,
        is_final=outcome in FINAL,
        was_read=order is not None,
        order_id=_text((order.id if order else None) or (entry.order_id if entry else None), 100),
        key=entry.key if entry else None,
        status=_text((order.status if order else None) or (entry.status if entry else None), 60),
        mode=entry.mode if entry else mode,
        retailer=_text(facts.get("retailer") or _retailer(order), 100),
        items=items,
        items_left_out=items_left_out or None,
        not_coming={status: numbers[:MAX_NUMBERS] for status, numbers in not_coming.items()},
        left_out=_left_out(order, not_coming),
        ship_to=_ship_to(facts, order),
        price=price_view(entry, order, outcome),
        payment=bounded_facts(facts.get("payment") or {}) or None,
        tracking=[_parcel(each, clean) for each in order.tracking_numbers[:MAX_PARCELS]] if order else [],
        parcel_statuses=_parcel_statuses(order),
        estimated_delivery=_text(order.job_result.estimated_delivery, 40) if order and order.job_result else None,
        merchant_order_ids=[plain(each, 60) for each in order.merchant_order_ids[:MAX_MERCHANT_IDS]] if order else [],
        failure=_failure(entry, order, clean) if outcome in NOT_BOUGHT else None,
        why_in_doubt=None if entry is None else why_in_doubt(entry),
        answered_wrongly=True if entry is not None and is_answered_wrongly(entry) else None,
        concessions=_concessions(order, clean),
        returns=_returns(order),
    )


def unasked_view(entry: Entry, error: ZincMcpError, now: float) -> UnaskedView:
    """Return why Zinc could not be asked about an entry, and when the journal's state of it is from."""
    as_of = datetime.fromtimestamp(entry.updated_at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    # If Zinc refuses to show an order, it has not rejected the order itself.
    code = "zinc_unavailable" if isinstance(error, OrderRejectedError) else error.code
    ago = _ago(now - entry.updated_at)
    return UnaskedView(code=code, reason=error.summary, as_of=as_of, ago=ago, next_step=error.next_step)


def _ago(seconds: float) -> str | None:
    if seconds < 0:
        return None  # the clock was changed, so only the moment itself can be shown
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "less than a minute ago"


_Cleaner = Callable[[object, int], str | None]


def _cleaner_of(order: Order | None) -> _Cleaner:
    """Return `plain` for this order's prose: the buyer's street, postal code and telephone number blotted out."""
    address = order.shipping_address if order else {}
    private = [
        _folded(text)
        for name in ("address_line1", "address_line2", "postal_code", "phone_number")
        if len(text := str(address.get(name) or "").strip()) >= 4
    ]

    def clean(text: object, limit: int) -> str | None:
        if text is None or text == "":
            return None
        whole = plain(str(text)[: 4 * limit], 4 * limit)
        return plain(_blotted(whole, private), limit) or None

    return clean


def _blotted(text: str, private: Sequence[str]) -> str:
    """Return a text without the private parts, in any case. No foreign text is used as a regular expression."""
    for each in private:
        folded, start, kept = _folded(text), 0, list[str]()
        while (found := folded.find(each, start)) >= 0:
            kept += [text[start:found], "[...]"]
            start = found + len(each)
        text = "".join([*kept, text[start:]])
    return text


def _folded(text: str) -> str:
    """Return a text in lower case and of the same length, so that places in both texts agree."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)


def _text(text: object, limit: int) -> str | None:
    return None if text is None else plain(text, limit) or None


def _retailer(order: Order | None) -> str | None:
    return retailer_in(order.items[0].url) if order and order.items else None


def _items(entry: Entry | None, order: Order | None, clean: _Cleaner) -> tuple[list[ItemView], int]:
    """Return the shown items, and the number of items that are not shown."""
    if order and order.items:
        priced = order.job_result.price_components if order.job_result else None
        count = len(order.items) + order.rows_cut.get("items", 0)
        shown = [_item(item, order, priced, clean) for item in order.items[:MAX_ITEMS]]
        return shown, count - len(shown)
    found = entry.facts.get("items") if entry else None
    rows = cast(list[Mapping[str, Any]], found if isinstance(found, list) else [])
    shown = [
        ItemView(
            url=_text(row.get("url"), MAX_URL),
            quantity=quantity if isinstance(quantity := row.get("quantity"), int) else 1,
            variant=_options(row.get("variant")),
        )
        for row in rows[:MAX_ITEMS]
    ]
    return shown, len(rows) - len(shown)


def _not_coming(order: Order | None) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, item in enumerate(order.items if order else [], 1):
        if (status := _NOT_COMING.get(item.status.casefold())) is not None:
            found.setdefault(status, []).append(number)
    return found


def _left_out(order: Order | None, not_coming: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return the number of rows that are not shown, by the name of their list in the view."""
    if order is None:
        return {}
    cut = order.rows_cut
    concessions = order.fulfillment.concessions if order.fulfillment else []
    counted = {
        "not_coming": sum(max(0, len(numbers) - MAX_NUMBERS) for numbers in not_coming.values()),
        "tracking": _count_hidden(MAX_PARCELS, order.tracking_numbers, cut.get("tracking_numbers", 0)),
        "merchant_order_ids": _count_hidden(
            MAX_MERCHANT_IDS, order.merchant_order_ids, cut.get("merchant_order_ids", 0)
        ),
        "returns": _count_hidden(MAX_RETURNS, order.returns, cut.get("returns", 0))
        + _count_hidden(MAX_RETURNS, order.cases, cut.get("cases", 0)),
        "concessions": _count_hidden(
            MAX_ITEMS, concessions, order.fulfillment.rows_cut.get("concessions", 0) if order.fulfillment else 0
        ),
    }
    return {name: count for name, count in counted.items() if count > 0}


def _count_hidden(most: int, rows: Sequence[object], unread: int) -> int:
    """Return the number of rows that are not shown: those beyond `most`, and the unread ones."""
    return max(0, len(rows) - most) + unread


def _parcel_statuses(order: Order | None) -> frozenset[str]:
    """Return the statuses of all parcels, including those that are not shown."""
    if order is None:
        return frozenset()
    unread = ["unknown"] if "tracking_numbers" in order.rows_cut else []
    return frozenset([*(parcel.status or "" for parcel in order.tracking_numbers), *unread])


def _item(item: OrderItem, order: Order, priced: PriceComponents | None, clean: _Cleaner) -> ItemView:
    # A title is taken only from a row that certainly belongs to this item: a wrong title would mislead the reader.
    rows = (priced.cart_items if priced else None) or []
    # A set of words, because searching many texts in each other takes seconds.
    words = _words_of(item.url)
    own = [row for row in rows if row.product_id in words]
    alone = rows if len(rows) == 1 and len(order.items) == 1 else []
    certain = own if len(own) == 1 else alone
    row = certain[0] if certain else None
    return ItemView(
        title=clean(row.name, 120) if row else None,
        url=_text(item.url, MAX_URL),
        quantity=item.quantity,
        variant={plain(each.label, 40): plain(each.value, 60) for each in item.variant[:5]} or None,
        status=_text(item.status, 40),
        unit_price_cents=row.unit_price if row else None,
        error=_text(item.error_type, 60) or clean(item.cancellation_reason, 120),
    )


def _words_of(url: str) -> frozenset[str]:
    """Return the parts of an address that may be a product's id: those between signs, with and without hyphens."""
    return frozenset((*_PARTS.split(url), *_WORDS.split(url), *_NUMBERS.split(url))) - {""}


def _options(variant: object) -> dict[str, str] | None:
    if isinstance(variant, Mapping):
        named = cast(Mapping[str, Any], variant)
        return {plain(label, 40): plain(value, 60) for label, value in list(named.items())[:5]} or None
    if isinstance(variant, list):
        rows = cast(list[Any], variant)[:5]
        options = [cast(Mapping[str, Any], row) for row in rows if isinstance(row, Mapping)]
        return {plain(row.get("label"), 40): plain(row.get("value"), 60) for row in options} or None
    return None


def _ship_to(facts: Mapping[str, Any], order: Order | None) -> ShipToView | None:
    known: Mapping[str, Any] = facts.get("ship_to") or {}
    if not known and order and order.shipping_address:
        address = order.shipping_address
        name = " ".join(str(address[part]) for part in ("first_name", "last_name") if address.get(part))
        known = {"name": name or None, "city": address.get("city"), "country": address.get("country")}
    if not known:
        return None
    return ShipToView(**{name: _text(known.get(name), 80) for name in ShipToView.model_fields})


def _parcel(tracking: Tracking, clean: _Cleaner) -> ParcelView:
    # Zinc documents newest first. Sorting is stable, so rows without a time keep their order.
    newest = sorted(
        tracking.checkpoints,
        key=lambda each: each.checkpoint_time.timestamp() if each.checkpoint_time else 0.0,
        reverse=True,
    )
    return ParcelView(
        carrier=_text(tracking.carrier, 60),
        number=_text(tracking.tracking_number, 60),
        status=_text(tracking.status, 40),
        estimated_delivery=_text(tracking.estimated_delivery_date, 40),
        url=_text(tracking.zinc_tracking_url, MAX_URL),
        checkpoints=[
            CheckpointView(
                time=each.checkpoint_time.isoformat(timespec="minutes") if each.checkpoint_time else None,
                status=_text(each.status, 40),
                message=clean(each.message, 120),
                place=clean(each.location or ", ".join(part for part in (each.city, each.state) if part), 80),
            )
            for each in newest[:MAX_CHECKPOINTS]
        ],
        checkpoints_left_out=_count_hidden(MAX_CHECKPOINTS, newest, tracking.rows_cut.get("checkpoints", 0)) or None,
    )


def _failure(entry: Entry | None, order: Order | None, clean: _Cleaner) -> FailureView | None:
    result = order.job_result if order else None
    if result is not None and (result.error_type or result.error_details or result.error):
        details = result.error_details or ErrorDetails()
        return FailureView(
            code=_text(result.error_type or details.code or None, 60),
            detail_code=_text(details.code, 60) if result.error_type != details.code else None,
            message=clean(details.message or result.error, 200),
            url=_text(details.url, MAX_URL),
            address_reasons=[text for each in details.address_validation_reasons[:5] if (text := clean(each, 120))],
            fields=[_field(each.field, each.code, each.message, clean) for each in details.field_errors[:10]],
            lines=[
                {
                    "product": _text(each.url or each.product_id, MAX_URL),
                    "requested": each.requested_quantity,
                    "available": each.available_quantity,
                    "codes": [plain(code, 60) for code in each.codes[:5]],
                }
                for each in details.line_rejections[:5]
            ],
        )
    problem = entry.problem if entry else None
    if not problem:
        return None
    facts = cast(Mapping[str, Any], problem.get("facts") or {})
    return FailureView(
        code=_text(problem.get("error_type") or problem.get("code"), 60),
        message=clean(problem.get("summary"), 200),
        facts=bounded_facts({name: value for name, value in facts.items() if name not in ("key", "order_id")}),
    )


def _field(field: str, code: str, message: str, clean: _Cleaner) -> dict[str, str]:
    parts = {"field": plain(field, 60), "code": plain(code, 60), "message": clean(message, 160) or ""}
    return {name: text for name, text in parts.items() if text}


def _concessions(order: Order | None, clean: _Cleaner) -> list[dict[str, Any]]:
    made = order.fulfillment.concessions[:MAX_ITEMS] if order and order.fulfillment else []
    return [
        {
            "concern": _text(each.concern, 40),
            "code": _text(each.code, 60),
            "message": clean(each.message, 160),
            "url": _text(each.url, MAX_URL),
            "requested": each.requested_quantity,
            "fulfilled": each.fulfilled_quantity,
        }
        for each in made
    ]


def _returns(order: Order | None) -> list[dict[str, Any]]:
    rows: list[ReturnSummary | CaseSummary] = (
        [*order.returns[:MAX_RETURNS], *order.cases[:MAX_RETURNS]] if order else []
    )
    return [
        {
            "id": plain(each.id, 60),
            "status": plain(each.status, 40),
            "reason": plain(each.reason, 60),
            "credited_cents": each.credited_amount,
        }
        for each in rows
    ]


def bounded_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return codes and numbers unchanged, and texts cleaned and cut."""
    return {plain(name, 40): _bounded(value) for name, value in list(facts.items())[:12]}


def _bounded(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_bounded(item) for item in cast(Sequence[object], value)[:5]]
    return plain(value, 200)
