"""The view of an order: the models that a tool result shows, and the price among them.

`facts` fills the models, `sentences` adds the summary and the next step.
"""

from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field

from zinc_mcp.journal.entry import Entry, Mode, State
from zinc_mcp.journal.money import Told, told_of
from zinc_mcp.spending.outcome import Why
from zinc_mcp.text import printed
from zinc_mcp.zinc.prices import PriceComponents
from zinc_mcp.zinc.responses import Order

FINAL: frozenset[State] = frozenset(
    {"placed", "failed", "cancelled", "rejected", "refused", "declined", "paid_no_order"}
)
NOT_BOUGHT: frozenset[State] = frozenset({"failed", "cancelled", "rejected", "refused", "declined"})


class View(BaseModel):
    """The base of all views. `compact` leaves out fields that are None or empty."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class ItemView(View):
    title: str | None = None
    url: str | None = None
    quantity: int = 1
    variant: dict[str, str] | None = None
    status: str | None = None
    unit_price_cents: int | None = None
    error: str | None = None


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
    printed: dict[str, str] | None = None


class CheckpointView(View):
    time: str | None = None
    status: str | None = None
    message: str | None = None
    place: str | None = None


class ParcelView(View):
    carrier: str | None = None
    number: str | None = None
    status: str | None = None
    estimated_delivery: str | None = None
    url: str | None = None
    checkpoints: list[CheckpointView] = []
    checkpoints_left_out: int | None = None


class FailureView(View):
    code: str | None = None
    detail_code: str | None = None
    message: str | None = None
    url: str | None = None
    address_reasons: list[str] = []
    fields: list[dict[str, str]] = []
    lines: list[dict[str, Any]] = []
    facts: dict[str, Any] | None = None


class UnaskedView(View):
    """Why Zinc could not be asked, and the time of the state that is shown instead."""

    code: str
    reason: str
    as_of: str
    ago: str | None = None
    next_step: str = Field("", exclude=True)


class RefusalView(View):
    """Why a new order would be refused, shown beside the earlier order that answers the call."""

    code: str
    reason: str
    next_step: str = Field("", exclude=True)


class OrderView(View):
    """One order, as every tool of ours shows it."""

    outcome: State
    summary: str = ""
    next_step: str = ""
    new_order: bool | None = None
    """For a placing call: whether this call opened the order. False: an earlier order is the answer."""
    is_final: bool
    new_orders: RefusalView | None = None
    """For a placing call that an earlier order answers: why a new one would be refused just now."""
    unasked: UnaskedView | None = None
    was_read: bool = Field(False, exclude=True)
    """Whether the order was read from Zinc during this call. If not, empty fields prove nothing."""
    decide_at: str | None = None
    """How the user can decide about a waiting order."""
    order_id: str | None = None
    key: str | None = None
    status: str | None = None
    mode: Mode
    retailer: str | None = None
    items: list[ItemView] = []
    items_left_out: int | None = None
    left_out: dict[str, int] = {}
    """The number of rows that are not shown, by the name of their list (`tracking`, `returns`, …)."""
    parcel_statuses: frozenset[str] = Field(frozenset(), exclude=True)
    """The statuses of all parcels; parcels that were not read are `unknown`."""
    not_coming: dict[str, list[int]] = {}
    """The numbers, from 1, of items that were cancelled, failed or skipped, by their status."""
    ship_to: ShipToView | None = None
    price: PriceView | None = None
    payment: dict[str, Any] | None = None
    """For an order paid by wallet: method, what was authorised up front, the receipt's reference."""
    tracking: list[ParcelView] = []
    estimated_delivery: str | None = None
    merchant_order_ids: list[str] = []
    failure: FailureView | None = None
    why_in_doubt: Why | None = Field(None, exclude=True)
    """Of an order in doubt: why, where that is not a request that nobody answered."""
    answered_wrongly: bool | None = None
    """Zinc answered with an order that is not the one that was sent."""
    concessions: list[dict[str, Any]] = []
    returns: list[dict[str, Any]] = []


def compact(view: View) -> dict[str, Any]:
    """Return a view as plain data, without None and empty values at any depth."""
    return _without_empty(view.model_dump(exclude_none=True))


def _without_empty(parts: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, part in parts.items():
        if isinstance(part, dict):
            part = _without_empty(cast(dict[str, Any], part))
        elif isinstance(part, list):
            rows = cast(list[Any], part)
            part = [_without_empty(cast(dict[str, Any], row)) if isinstance(row, dict) else row for row in rows]
        if part is not None and part != [] and part != {}:
            kept[name] = part
    return kept


def price_view(entry: Entry | None, order: Order | None, outcome: State) -> PriceView | None:
    """Return the known prices of an order. Placeholders are left out, not shown as $0.00."""
    components = order.job_result.price_components if order and order.job_result else None
    charged = components.charged_cents if components else None
    told = told_of(entry) if entry else None
    doubt = told.doubt if told else "price_unclear" if components and components.is_unclear else None
    currency = (components.currency or "USD").upper()[:3] if components else "USD"
    cents: dict[str, int | None] = {
        **(_retailer_cents(components) if components else {}),
        "total_in_usd_cents": charged if currency != "USD" else None,
        "zinc_fee_cents": entry.fee_cents if entry else None,
        "max_price_cents": entry.ceiling_cents if entry else order.max_price if order else None,
        **(_of_money(told) if told else {}),
        "credited_cents": (order.credited_cents or None) if order else None,
    }
    known = {name: amount for name, amount in cents.items() if amount is not None}
    if not known:
        return None
    as_read = {
        name.removesuffix("_cents"): printed(amount, currency if name in _IN_CURRENCY else "USD")
        for name, amount in known.items()
    }
    return PriceView(currency=currency if components else None, doubt=doubt, **known, printed=as_read)


_IN_CURRENCY = frozenset(
    {"subtotal_cents", "tax_cents", "shipping_cents", "fees_cents", "discount_cents", "total_cents"}
)


def _of_money(told: Told) -> dict[str, int | None]:
    return {
        "paid_cents": told.paid_cents,
        "paid_up_front_cents": told.up_front_cents,
        "refunded_cents": told.refunded_cents,
        "held_cents": told.held_cents,
        "expected_back_cents": told.expected_back_cents,
    }


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
