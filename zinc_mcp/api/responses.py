"""What Zinc answers: an order and its parts, read leniently.

Fields are those of the OpenAPI 2026-06-26 and the SDK 2026.10.16. Zinc adds fields monthly and its enums grow, so an
unknown key is ignored, an unknown enum value is kept as the string it is, and a documented field of an undocumented
type falls back to its default: a read never fails over a part that was not asked for.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import (
    BaseModel,
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


class Answer(BaseModel):
    """The base of what we read: open, lenient and immutable."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _or_default(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: Any) -> Any:
        try:
            return handler(value)
        except ValidationError:
            default = cls.model_fields[info.field_name].get_default(call_default_factory=True, validated_data={})
            if default is PydanticUndefined:
                raise
            return default


class Variant(Answer):
    label: str = ""
    value: str = ""


class OrderItem(Answer):
    id: str = ""
    url: str = ""
    quantity: int = 1
    status: str = "pending"
    variant: list[Variant] = []
    cancellation_reason: str | None = None
    error_type: str | None = None
    tracking_number_ids: list[str] | None = None


class FieldError(Answer):
    field: str = ""
    code: str = ""
    message: str = ""
    expected: str | None = None


class LineRejection(Answer):
    url: str | None = None
    product_id: str | None = None
    requested_quantity: int | None = None
    available_quantity: int | None = None
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
    quantity: int | None = None
    unit_price: int | None = None
    line_total: int | None = None


class LineItem(Answer):
    description: str | None = None
    amount: int | None = None
    category: str | None = None


class PriceComponents(Answer):
    """Retailer figures in minor units of `currency`. Sums are not asserted: the sources disagree on the formula."""

    subtotal: int | None = None
    tax: int | None = None
    shipping: int | None = None
    discount: int | None = None
    fees: int | None = None
    total: int | None = None
    converted_payment_total: int | None = None
    currency: str | None = None
    payment_currency: str | None = None
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
            if amount is not None and (currency or "USD").upper() == "USD":
                return amount
        return None


class JobResult(Answer):
    success: bool | None = None
    error: str | None = None
    error_type: str | None = None
    error_details: ErrorDetails | None = None
    price_components: PriceComponents | None = None
    estimated_delivery: str | None = None

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
    checkpoint_time: datetime | None = None
    status: str | None = None
    message: str = ""
    city: str | None = None
    state: str | None = None
    country: str | None = None
    location: str | None = None


class Tracking(Answer):
    id: str = ""
    carrier: str = ""
    tracking_number: str = ""
    created_at: datetime | None = None
    status: str | None = None
    checkpoints: list[Checkpoint] = []
    estimated_delivery_date: str | None = None
    zinc_tracking_url: str | None = None
    delivery_proof_url: str | None = None
    order_item_ids: list[str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_plain_number(cls, value: Any) -> Any:
        # Zinc's app once decoded tracking numbers as plain strings (facts, 5.4).
        return {"tracking_number": value} if isinstance(value, str) else value


class ReturnItem(Answer):
    order_item_id: str = ""
    quantity: int = 1


class ReturnSummary(Answer):
    id: str = ""
    status: str = "open"
    reason: str = "other"
    items: list[ReturnItem] = []
    credited_amount: int = 0


class CaseSummary(Answer):
    id: str = ""
    status: str = "open"
    reason: str = "other"
    credited_amount: int = 0


class ConnectInfo(Answer):
    """Stripe Connect charge of an order, in cents; filled after capture."""

    state: str = ""
    secured_amount: int | None = None
    order_cost: int | None = None
    customer_margin: int | None = None
    zinc_fee: int | None = None
    stripe_fee: int | None = None
    final_charge: int | None = None
    transfer_amount: int | None = None
    payment_intent_id: str | None = None
    connected_account_id: str | None = None
    simulated: bool = False


class Concession(Answer):
    concern: str = ""
    code: str = ""
    message: str | None = None
    item_id: str | None = None
    url: str | None = None
    requested_quantity: int | None = None
    fulfilled_quantity: int | None = None


class Fulfillment(Answer):
    gift: str | None = None
    items: str | None = None
    quantity: str | None = None
    concessions: list[Concession] = []


class Order(Answer):
    """One order as `GET /orders/{id}` and the 201 of both POSTs give it."""

    id: str = Field(min_length=1, max_length=100)
    status: str = Field(min_length=1, max_length=60)
    max_price: int | None = None
    attempts: int = 0
    items: list[OrderItem] = []
    shipping_address: dict[str, Any] = {}
    created_at: datetime | None = None
    updated_at: datetime | None = None
    metadata: dict[str, Any] = {}
    po_number: str | None = None
    tracking_numbers: list[Tracking] = []
    returns: list[ReturnSummary] = []
    cases: list[CaseSummary] = []
    handling_days_max: int | None = None
    is_gift: bool = False
    retailer_credentials_id: str | None = None
    job_result: JobResult | None = None
    connect: ConnectInfo | None = None
    merchant_order_ids: list[str] = []
    fulfillment: Fulfillment | None = None

    @property
    def stage(self) -> Stage:
        """Where the order stands in our words. A status we do not know is one Zinc still works on."""
        return _STAGES.get(self.status, "accepted")

    @property
    def credited_cents(self) -> int:
        """What returns and cases have given back so far: running totals, in cents."""
        return max(
            0, sum(each.credited_amount for each in self.returns) + sum(each.credited_amount for each in self.cases)
        )
