"""What Zinc answers: an order and its parts, read leniently.

Fields are those of the OpenAPI 2026-06-26 and the SDK 2026.10.16. Zinc adds fields monthly and its enums grow, so an
unknown key is ignored, an unknown enum value is kept as the string it is, and a documented field of an undocumented
type falls back to its default, a row of a list that is not one is passed over: a read never fails over a part that
was not asked for. What only repeats what we sent, or is private to Zinc, is not read.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticUndefined

Stage = Literal["accepted", "placed", "failed", "cancelled"]

_STAGES: dict[str, Stage] = {
    "order_placed": "placed",
    "placed": "placed",
    "order_failed": "failed",
    "failed": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "cancelled_by_retailer": "cancelled",
    # Older pages of the documentation use these two as order statuses (facts: LIST); both mean that it was placed.
    "ordered": "placed",
    "shipped": "placed",
}


MAX_ROWS = 1_000
"""Rows of any list that are read; no order has more."""


def _not_a_switch(value: object) -> object:
    if isinstance(value, bool):  # would be read as one cent
        raise ValueError("is not an amount")
    return value


def _code(value: object) -> object:
    # Never taken for dollars, and never shown: XXX is ISO 4217's code for no currency at all.
    if value is None or value == "":
        return None
    known = isinstance(value, str) and len(value) == 3 and value.isascii() and value.isalpha()
    return cast(str, value).upper() if known else "XXX"


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _storable(content: dict[str, Any]) -> dict[str, Any]:
    """Return free content so that it can be written as JSON again: half characters and NaN are valid in neither."""
    try:
        text = json.dumps(content, ensure_ascii=False).encode(errors="replace").decode()
        return cast(dict[str, Any], json.loads(text, parse_constant=lambda _: None))
    except (ValueError, RecursionError):
        return {}


Amount = Annotated[int, BeforeValidator(_not_a_switch), Field(ge=-(10**12), le=10**12)]
"""Minor units of a currency; what could not be one in a lifetime is not stored."""
Credit = Annotated[int, BeforeValidator(_not_a_switch), Field(ge=0, le=10**12)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Currency = Annotated[str | None, BeforeValidator(_code)]
Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A point in time; one without an offset is UTC, as servers that leave it out mean it."""
Open = Annotated[dict[str, Any], AfterValidator(_storable)]


class Answer(BaseModel):
    """The base of what we read: open, lenient and immutable."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        coerce_numbers_to_str=True,
        defer_build=True,  # until something is read: whoever only lists the tools does not wait for it
    )

    @field_validator("*", mode="wrap")
    @classmethod
    def _or_default(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: Any) -> Any:
        if isinstance(value, list):
            value = [_whole(row) for row in cast(list[Any], value)[:MAX_ROWS]]
        try:
            return handler(_whole(value))
        except ValidationError:
            if rows := _readable_rows(value, handler):
                return rows
            default = cls.model_fields[info.field_name].get_default(call_default_factory=True, validated_data={})
            if default is PydanticUndefined:
                raise
            return default


def _whole(value: Any) -> Any:
    # Half a character (JSON can escape one) is text to Python and to nothing that writes it down, and PostgreSQL
    # writes no NUL.
    if not isinstance(value, str):
        return value
    whole = value if value.isascii() else value.encode(errors="replace").decode()
    return whole.replace("\0", "?")


def _readable_rows(value: Any, handler: ValidatorFunctionWrapHandler) -> list[Any]:
    """Return what a list holds besides the rows that cannot be read."""
    readable: list[Any] = []
    for row in cast(list[Any], value) if isinstance(value, list) else []:
        try:
            read = handler([row])
        except ValidationError:
            continue
        if isinstance(read, list):
            readable += cast(list[Any], read)
    return readable


class Variant(Answer):
    label: str = ""
    value: str = ""


class OrderItem(Answer):
    id: str = ""
    url: str = ""
    quantity: Count = 1
    status: str = "pending"
    created_at: Moment | None = None
    updated_at: Moment | None = None
    variant: list[Variant] = []
    condition_in: list[str] = []
    condition_not_in: list[str] = []
    cancellation_reason: str | None = None
    error_type: str | None = None
    tracking_number_ids: list[str] | None = None
    """None: unknown; Zinc never gives an empty list."""


class FieldError(Answer):
    field: str = ""
    code: str = ""
    message: str = ""
    expected: str | None = None


class LineRejection(Answer):
    url: str | None = None
    product_id: str | None = None
    requested_quantity: Count | None = None
    available_quantity: Count | None = None
    codes: list[str] = []
    messages: list[str] = []


class ErrorDetails(Answer):
    code: str = ""
    message: str = ""
    url: str | None = None
    address_validation_reasons: list[str] = []
    field_errors: list[FieldError] = []
    line_rejections: list[LineRejection] = []


class CartItem(Answer):
    name: str | None = None
    product_id: str | None = None
    quantity: Count | None = None
    unit_price: Amount | None = None
    line_total: Amount | None = None


class LineItem(Answer):
    description: str | None = None
    amount: Amount | None = None
    category: str | None = None


class PriceComponents(Answer):
    """Retailer figures in minor units of `currency`. Sums are not asserted: the sources disagree on the formula."""

    subtotal: Amount | None = None
    tax: Amount | None = None
    shipping: Amount | None = None
    discount: Amount | None = None
    fees: Amount | None = None
    total: Amount | None = None
    converted_payment_total: Amount | None = None
    currency: Currency = None
    payment_currency: Currency = None
    cart_items: list[CartItem] | None = None
    line_items: list[LineItem] | None = None
    breakdown_recorded: bool | None = None
    """False: subtotal, tax and shipping are placeholders and only the total counts. None means true."""

    @property
    def charged_cents(self) -> int | None:
        """What was charged for the order, in US cents, or None when it is not stated in US dollars."""
        for amount, currency in (
            (self.converted_payment_total, self.payment_currency or self.currency),
            (self.total, self.currency),
        ):
            if amount is not None and amount >= 0 and (currency or "USD") == "USD":
                return amount
        return None


class MerchantOrder(Answer):
    """The retailer's own number of an order. `account`, which may be an e-mail address, is not read."""

    merchant: str | None = None
    merchant_order_id: str | None = None


class JobResult(Answer):
    success: bool | None = None
    error: str | None = None
    error_type: str | None = None
    error_details: ErrorDetails | None = None
    price_components: PriceComponents | None = None
    estimated_delivery: str | None = None
    merchant_order_ids: list[MerchantOrder] | None = None

    @model_validator(mode="before")
    @classmethod
    def _older_shapes(cls, value: Any) -> Any:
        # Seen in Zinc's own app: `error` as an object {code, message}, or {type: error, message} on top (facts, 5.3).
        if isinstance(value, Mapping):
            found: dict[str, Any] = {str(name): item for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            if isinstance(inner := found.get("error"), Mapping):
                detail: dict[str, Any] = dict(inner)  # pyright: ignore[reportUnknownArgumentType]
                found.setdefault("error_type", detail.get("code") or detail.get("type"))
                found["error"] = detail.get("message")
            elif found.get("type") == "error" and "error" not in found:
                found["error"] = found.get("message")
            return found
        return value


class Checkpoint(Answer):
    checkpoint_time: Moment | None = None
    status: str | None = None
    message: str = ""
    city: str | None = None
    state: str | None = None
    country: str | None = None
    zip: str | None = None
    location: str | None = None


class Tracking(Answer):
    id: str = ""
    carrier: str = ""
    tracking_number: str = ""
    created_at: Moment | None = None
    status: str | None = None
    checkpoints: list[Checkpoint] = []
    estimated_delivery_date: str | None = None
    zinc_tracking_number: str | None = None
    zinc_tracking_url: str | None = None
    delivery_proof_url: str | None = None
    order_item_ids: list[str] | None = None
    """None: unknown; Zinc never gives an empty list."""
    item_mapping: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_plain_number(cls, value: Any) -> Any:
        # Zinc's app once decoded tracking numbers as plain strings (facts, 5.4).
        return {"tracking_number": value} if isinstance(value, str | int) else value


class ReturnItem(Answer):
    order_item_id: str = ""
    quantity: Count = 1


class ReturnSummary(Answer):
    id: str = ""
    status: str = "open"
    reason: str = "other"
    notes: str | None = None
    resolution_notes: str | None = None
    items: list[ReturnItem] = []
    label_urls: list[str] = []
    created_at: Moment | None = None
    updated_at: Moment | None = None
    credited_amount: Credit = 0


class CaseSummary(Answer):
    id: str = ""
    status: str = "open"
    reason: str = "other"
    return_request_id: str | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None
    closed_at: Moment | None = None
    credited_amount: Credit = 0


class ConnectInfo(Answer):
    """Stripe Connect charge of an order, in cents; filled after capture."""

    state: str = ""
    secured_amount: Amount | None = None
    order_cost: Amount | None = None
    customer_margin: Amount | None = None
    zinc_fee: Amount | None = None
    stripe_fee: Amount | None = None
    final_charge: Amount | None = None
    transfer_amount: Amount | None = None
    payment_intent_id: str | None = None
    connected_account_id: str | None = None
    simulated: bool = False


class Concession(Answer):
    concern: str = ""
    code: str = ""
    message: str | None = None
    item_id: str | None = None
    url: str | None = None
    requested_quantity: Count | None = None
    fulfilled_quantity: Count | None = None


class Fulfillment(Answer):
    gift: str | None = None
    items: str | None = None
    quantity: str | None = None
    excluded_merchants: list[str] = []
    concessions: list[Concession] = []
    """What was given up so that the order could go through; none: exactly as asked."""


class Notifications(Answer):
    """E-mails to the shopper, which Zinc charges for. `delivered` is None until one was sent."""

    email: str = ""
    delivered: bool | None = None


class Order(Answer):
    """One order as `GET /orders/{id}` and the 201 of both POSTs give it."""

    id: str = Field(min_length=1, max_length=100)
    status: str = Field(min_length=1, max_length=60)
    max_price: Amount | None = None
    attempts: Count = 0
    items: list[OrderItem] = []
    shipping_address: Open = {}
    created_at: Moment | None = None
    updated_at: Moment | None = None
    metadata: Open = {}
    po_number: str | None = None
    tracking_numbers: list[Tracking] = []
    returns: list[ReturnSummary] = []
    cases: list[CaseSummary] = []
    handling_days_max: Count | None = None
    is_gift: bool = False
    gift_message: str | None = None
    retailer_credentials_id: str | None = None
    job_result: JobResult | None = None
    connect: ConnectInfo | None = None
    merchant_order_ids: list[str] = []
    fulfillment: Fulfillment | None = None
    customer_notifications: Notifications | None = None

    @property
    def stage(self) -> Stage:
        """Where the order stands in our words. A status we do not know is one Zinc still works on."""
        return _STAGES.get(self.status, "accepted")

    @property
    def credited_cents(self) -> int:
        """What returns and cases have given back so far: running totals, in cents."""
        return sum(each.credited_amount for each in self.returns) + sum(each.credited_amount for each in self.cases)
