"""The parts of an order's view, from the journal's entry and Zinc's answer: items, price, parcels, failure, returns.

Each text of Zinc, retailers and carriers is bounded, cleaned, shown in a field of its own, and stripped of the buyer's
street, postal code and telephone number.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from zinc_mcp.consent.approval import asked_question
from zinc_mcp.consent.field_words import quoted
from zinc_mcp.journal.records.entry import ADOPTED, Entry
from zinc_mcp.journal.records.money import Doubt, told_of
from zinc_mcp.text import blotted, bounded_facts, plain, printed
from zinc_mcp.zinc.answers import Answer
from zinc_mcp.zinc.prices import PriceComponents
from zinc_mcp.zinc.product_urls.reading import read_product_url
from zinc_mcp.zinc.product_urls.url_parts import ProductUrlError
from zinc_mcp.zinc.responses import ErrorDetails, Order, OrderItem

MAX_ITEMS = 10
MAX_PARCELS = 5
MAX_URL = 300
MAX_NUMBERS = 30
MAX_RETURNS = 5
MAX_MERCHANT_IDS = 5
_MAX_WHOLE_URL = 2100

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

Cleaner = Callable[[object, int], str | None]


class View(BaseModel):
    """The base of all views. `order.compact` leaves out fields that are None or empty."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class ItemView(View):
    title: str | None = None
    url: str | None = None
    quantity: int = 1
    variant: dict[str, str] | None = None
    status: str | None = None
    unit_price_cents: int | None = None
    error: str | None = None

    @property
    def words(self) -> str:
        """The item in words for a person: its quantity, its title or number, and its shop."""
        try:
            address = read_product_url(self.url or "")
        except ProductUrlError:
            return f"{self.quantity} x {plain(self.url, 80)}"
        product = f"product {plain(address.product_id, 60)}" if address.product_id else "a product"
        name = quoted(plain(self.title, 80)) if self.title else product
        variant = ", ".join(f"{plain(label, 40)}: {plain(value, 60)}" for label, value in (self.variant or {}).items())
        return f"{self.quantity} x {name}{f' ({variant})' if variant else ''} at {plain(address.host, 60)}"


class ShipToView(View):
    name: str | None = None
    city: str | None = None
    country: str | None = None
    saved: str | None = None


class PriceView(View):
    """Amounts in minor units: the retailer's in `currency`, Zinc's fee and everything below it in US cents."""

    currency: str | None = None
    subtotal_cents: int | None = None
    tax_cents: int | None = None
    shipping_cents: int | None = None
    fees_cents: int | None = None
    discount_cents: int | None = None
    total_cents: int | None = None
    total_in_usd_cents: int | None = None
    zinc_fee_cents: int | None = None
    paid_cents: int | None = None
    paid_up_front_cents: int | None = None
    """The amount that a payment wallet paid before anything was bought."""
    refunded_cents: int | None = None
    """The part of it that is proved to have been refunded."""
    max_price_cents: int | None = None
    held_cents: int | None = None
    expected_back_cents: int | None = None
    credited_cents: int | None = None
    doubt: str | None = None
    """`price_unclear`: Zinc's figures contradict themselves; `above_ceiling`: more was charged than allowed."""
    printed: dict[str, str]
    """The same amounts as a person reads them, by their names without `_cents`."""


class FailureView(View):
    code: str | None = None
    detail_code: str | None = None
    message: str | None = None
    url: str | None = None
    address_reasons: list[str] = []
    fields: list[dict[str, str]] = []
    lines: list[dict[str, Any]] = []
    facts: dict[str, Any] | None = None


def cleaner_of(order: Order | None) -> Cleaner:
    """Return `plain` for this order's prose: the buyer's street, postal code and telephone number blotted out."""
    address = order.shipping_address if order else {}
    private = [
        text
        for name in ("address_line1", "address_line2", "postal_code", "phone_number")
        if len(text := str(address.get(name) or "").strip()) >= 4
    ]

    def clean(text: object, limit: int) -> str | None:
        if text is None or text == "":
            return None
        whole = plain(str(text)[: 4 * limit], 4 * limit)
        return plain(blotted(whole, private), limit) or None

    return clean


def short(text: object, limit: int) -> str | None:
    """Return a text cleaned and cut; None if it is empty."""
    return None if text is None else plain(text, limit) or None


def items(entry: Entry | None, order: Order | None, clean: Cleaner) -> tuple[list[ItemView], int]:
    """Return the items that a model is shown, and the number of items that are not shown."""
    if order and order.items:
        priced = order.job_result.price_components if order.job_result else None
        shown = [_item(item, order, priced, clean) for item in order.items[:MAX_ITEMS]]
        return shown, count_hidden(order, "items", MAX_ITEMS)
    rows = _rows(entry)
    return [_kept_item(row, MAX_URL) for row in rows[:MAX_ITEMS]], max(0, len(rows) - MAX_ITEMS)


def whole_items(entry: Entry) -> list[ItemView]:
    """Return all items as the journal has them, for a person; none if `orders purge` has deleted them.

    An item has the title that the question named.
    """
    question = asked_question(entry)
    if question is None:
        return [_kept_item(row, _MAX_WHOLE_URL) for row in _rows(entry)]
    return [
        ItemView(title=short(line.title, 200), url=plain(line.url, _MAX_WHOLE_URL), quantity=line.quantity)
        for line in question.lines
    ]


def _rows(entry: Entry | None) -> list[Mapping[str, Any]]:
    found = entry.facts.get("items") if entry else None
    rows = cast(list[object], found if isinstance(found, list) else [])
    return [cast(Mapping[str, Any], row) for row in rows if isinstance(row, Mapping)]


def _kept_item(row: Mapping[str, Any], longest_url: int) -> ItemView:
    return ItemView(
        url=short(row.get("url"), longest_url),
        quantity=quantity if type(quantity := row.get("quantity")) is int else 1,
        variant=_options(row.get("variant")),
    )


def _item(item: OrderItem, order: Order, priced: PriceComponents | None, clean: Cleaner) -> ItemView:
    # A title is taken only from a row that certainly belongs to this item: a wrong title would mislead the reader.
    rows = (priced.cart_items if priced else None) or []
    # A set of words, because searching many texts in each other takes seconds.
    words = _words_of(item.url) if rows else ()
    own = [row for row in rows if row.product_id in words]
    alone = rows if len(rows) == 1 and len(order.items) == 1 else []
    certain = own if len(own) == 1 else alone
    row = certain[0] if certain else None
    return ItemView(
        title=clean(row.name, 120) if row else None,
        url=short(item.url, MAX_URL),
        quantity=item.quantity,
        variant={plain(each.label, 40): plain(each.value, 60) for each in item.variant[:5]} or None,
        status=short(item.status, 40),
        unit_price_cents=row.unit_price if row else None,
        error=short(item.error_type, 60) or clean(item.cancellation_reason, 120),
    )


def _words_of(url: str) -> frozenset[str]:
    """Return the parts of an address that may be a product's id: those between signs, with and without hyphens."""
    return frozenset((*_PARTS.split(url), *_WORDS.split(url), *_NUMBERS.split(url))) - {""}


def _options(variant: object) -> dict[str, str] | None:
    rows = cast(list[object], variant)[:5] if isinstance(variant, list) else []
    options = [cast(Mapping[str, Any], row) for row in rows if isinstance(row, Mapping)]
    return {plain(row.get("label"), 40): plain(row.get("value"), 60) for row in options} or None


def not_coming(order: Order | None) -> dict[str, list[int]]:
    """Return the numbers, from 1, of items that will not come, by their status in our word."""
    found: dict[str, list[int]] = {}
    for number, item in enumerate(order.items if order else [], 1):
        if (status := _NOT_COMING.get(item.status.casefold())) is not None:
            found.setdefault(status, []).append(number)
    return found


def left_out(order: Order | None, missing: Mapping[str, Sequence[int]], hidden_steps: int = 0) -> dict[str, int]:
    """Return the number of rows that are not shown, by the name of their list in the view."""
    counted = {"timeline": hidden_steps}
    if order is None:
        return {name: count for name, count in counted.items() if count > 0}
    counted |= {
        "not_coming": sum(max(0, len(numbers) - MAX_NUMBERS) for numbers in missing.values()),
        "tracking": count_hidden(order, "tracking_numbers", MAX_PARCELS),
        "merchant_order_ids": count_hidden(order, "merchant_order_ids", MAX_MERCHANT_IDS),
        "returns": count_hidden(order, "returns", MAX_RETURNS),
        "cases": count_hidden(order, "cases", MAX_RETURNS),
        "concessions": count_hidden(order.fulfillment, "concessions", MAX_ITEMS) if order.fulfillment else 0,
    }
    return {name: count for name, count in counted.items() if count > 0}


def count_hidden(answer: Answer, name: str, most: int) -> int:
    """Return the number of rows of a list that are not shown: those beyond `most`, and those that were not read."""
    return max(0, len(getattr(answer, name)) - most) + answer.rows_cut.get(name, 0)


def retailer_account(entry: Entry | None) -> str | None:
    """Return the account at the retailer that an order of v1 is bought with, in words; None if it is not known."""
    if entry is None or entry.rail != "v1" or ADOPTED in entry.facts:
        return None
    account: Mapping[str, Any] | None = entry.facts.get("retailer_account")
    if account is None:
        return "one that Zinc manages (ZMA)"
    from zinc_mcp.owner.retailer_accounts import payment_in_words  # few orders are for an account of one's own

    paid = payment_in_words(str(account.get("payment")), account.get("last_four"))
    return plain(f"the user's own, kept here as {account.get('profile')}, with {paid}", 200)


def ship_to(facts: Mapping[str, Any], order: Order | None) -> ShipToView | None:
    """Return the place that it goes to: name, city and country, and the name of a saved address."""
    found = facts.get("ship_to")
    known = cast(Mapping[str, Any], found if isinstance(found, Mapping) else {})
    if not known and order and order.shipping_address:
        address = order.shipping_address
        name = " ".join(str(address[part]) for part in ("first_name", "last_name") if address.get(part))
        known = {"name": name or None, "city": address.get("city"), "country": address.get("country")}
    if not known:
        return None
    return ShipToView(**{name: short(known.get(name), 80) for name in ShipToView.model_fields})


def price(entry: Entry | None, order: Order | None) -> PriceView | None:
    """Return the known prices of an order. Placeholders are left out, not shown as $0.00."""
    components = order.job_result.price_components if order and order.job_result else None
    charged = components.charged_cents if components else None
    told = told_of(entry) if entry else None
    doubt = told.doubt if told else _doubt_shown(order)
    currency = (components.currency or "USD").upper()[:3] if components else "USD"
    retailers = _retailer_cents(components) if components else {}
    cents: dict[str, int | None] = {
        **retailers,
        "total_in_usd_cents": charged if currency != "USD" else None,
        "zinc_fee_cents": entry.fee_cents if entry and entry.fee_is_known else None,
        "max_price_cents": _max_price(entry) if entry else order.max_price if order else None,
        "paid_cents": told.paid_cents if told else None,
        "paid_up_front_cents": told.up_front_cents if told else None,
        "refunded_cents": told.refunded_cents if told else None,
        "held_cents": told.held_cents if told else None,
        "expected_back_cents": told.expected_back_cents if told else None,
        "credited_cents": (order.credited_cents or None) if order else None,
    }
    known = {name: amount for name, amount in cents.items() if amount is not None}
    if not known and doubt is None:
        return None
    as_read = {
        name.removesuffix("_cents"): printed(amount, currency if name in retailers else "USD")
        for name, amount in known.items()
    }
    return PriceView(currency=currency if components else None, doubt=doubt, **known, printed=as_read)


def unpriced(order: Order | None) -> str:
    """Return the reason why the paid amount is not known, as the beginning of a sentence about its upper bound."""
    if order is None:
        return " At"
    priced = order.job_result.price_components if order.job_result is not None else None
    if priced is not None and priced.names_a_price:
        return " What was charged is not told in US dollars; at"
    return " The price is not reported yet; at"


def _doubt_shown(order: Order | None) -> Doubt | None:
    """Return the doubt about an order that is not in the journal."""
    if order is None:
        return None
    priced = order.job_result.price_components if order.job_result is not None else None
    return "ending_unclear" if order.ending_is_unclear else "price_unclear" if priced and priced.is_unclear else None


def _max_price(entry: Entry) -> int | None:
    # The ceiling of an order of v1 also holds the amounts that the order adds to its max_price, so it is told as held.
    return None if entry.rail == "v1" else entry.ceiling_cents


def _retailer_cents(components: PriceComponents) -> dict[str, int | None]:
    # breakdown_recorded false: "subtotal, tax, shipping zeros are placeholders, do not show $0.00 tax" (SDK 9.18).
    itemised = components.breakdown_recorded is not False
    return {
        "subtotal_cents": components.subtotal if itemised else None,
        "tax_cents": components.tax if itemised else None,
        "shipping_cents": components.shipping if itemised else None,
        "fees_cents": components.fees or None,
        "discount_cents": components.discount or None,
        "total_cents": components.total,
    }


def failure(entry: Entry | None, order: Order | None, clean: Cleaner) -> FailureView | None:
    """Return the reason why an order was not bought: from Zinc's job result, else from the entry."""
    result = order.job_result if order else None
    if result is not None and (result.error_type or result.error_details or result.error):
        details = result.error_details or ErrorDetails()
        return FailureView(
            code=short(result.error_type or details.code or None, 60),
            detail_code=short(details.code, 60) if result.error_type != details.code else None,
            message=clean(details.message or result.error, 200),
            url=short(details.url, MAX_URL),
            address_reasons=[text for each in details.address_validation_reasons[:5] if (text := clean(each, 120))],
            fields=[_field(each.field, each.code, each.message, clean) for each in details.field_errors[:10]],
            lines=[
                {
                    "product": short(each.url or each.product_id, MAX_URL),
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
        code=short(problem.get("error_type") or problem.get("code"), 60),
        message=clean(problem.get("summary"), 200),
        facts=bounded_facts({name: value for name, value in facts.items() if name not in ("key", "order_id")}),
    )


def _field(field: str, code: str, message: str, clean: Cleaner) -> dict[str, str]:
    parts = {"field": plain(field, 60), "code": plain(code, 60), "message": clean(message, 160) or ""}
    return {name: text for name, text in parts.items() if text}


def concessions(order: Order | None, clean: Cleaner) -> list[dict[str, Any]]:
    """Return the wishes that were given up so that the order could be placed."""
    made = order.fulfillment.concessions[:MAX_ITEMS] if order and order.fulfillment else []
    return [
        {
            "concern": short(each.concern, 40),
            "code": short(each.code, 60),
            "message": clean(each.message, 160),
            "url": short(each.url, MAX_URL),
            "requested": each.requested_quantity,
            "fulfilled": each.fulfilled_quantity,
        }
        for each in made
    ]
