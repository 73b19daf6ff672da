"""An order as Zinc answers it, and its parts.

Fields are those of the OpenAPI 2026-06-26 and the SDK 2026.10.16. Fields that only repeat our request, and Zinc's
private fields, are not read. `zinc.answers` describes how leniently the rest is read.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any, Literal, cast

from pydantic import Field, field_validator

from zinc_mcp.network import decoded
from zinc_mcp.zinc.answers import Amount, Answer, Count, Flat, Moment, Rows, Text
from zinc_mcp.zinc.credits import CaseSummary, ReturnSummary, credited, without_others
from zinc_mcp.zinc.orders import canonical
from zinc_mcp.zinc.prices import PriceComponents

Stage = Literal["accepted", "placed", "failed", "cancelled"]

_STAGES: dict[str, Stage] = {
    "order_placed": "placed",
    "placed": "placed",
    "order_failed": "failed",
    "failed": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "cancelled_by_retailer": "cancelled",
    # Older pages of the documentation use these two as order statuses (List Orders); both mean that it was placed.
    "ordered": "placed",
    "shipped": "placed",
}


LEFT_TO_PEOPLE = frozenset({"order_probably_placed", "duplicate_order"})
"""Codes of v1 after which Zinc does not know whether this order was bought."""

_PARCELS = ("undeliverable", "available_for_pickup", "in_transit", "pending", "delivered")
"""Tracking.status (SDK 2026.10.9), the one that needs most attention first."""


class Variant(Answer):
    label: Text = ""
    value: Text = ""


class OrderItem(Answer):
    id: Text = ""
    url: Text = ""
    quantity: Count = 1
    status: Text = "pending"
    created_at: Moment | None = None
    updated_at: Moment | None = None
    variant: Rows[Variant] = []
    condition_in: Rows[Text] = []
    condition_not_in: Rows[Text] = []
    cancellation_reason: Text | None = None
    error_type: Text | None = None
    tracking_number_ids: Rows[Text] | None = None
    """None: unknown; Zinc never gives an empty list."""


class FieldError(Answer):
    field: Text = ""
    code: Text = ""
    message: Text = ""
    expected: Text | None = None


class LineRejection(Answer):
    url: Text | None = None
    product_id: Text | None = None
    requested_quantity: Count | None = None
    available_quantity: Count | None = None
    codes: Rows[Text] = []
    messages: Rows[Text] = []


class ErrorDetails(Answer):
    code: Text = ""
    message: Text = ""
    url: Text | None = None
    address_validation_reasons: Rows[Text] = []
    field_errors: Rows[FieldError] = []
    line_rejections: Rows[LineRejection] = []


class MerchantOrder(Answer):
    """The retailer's own order number. `account` is not read, because it may be an e-mail address."""

    merchant: Text | None = None
    merchant_order_id: Text | None = None


class JobResult(Answer):
    success: bool | None = None
    error: Text | None = None
    error_type: Text | None = None
    error_details: ErrorDetails | None = None
    price_components: PriceComponents | None = None
    estimated_delivery: Text | None = None
    merchant_order_ids: Rows[MerchantOrder] | None = None

    @property
    def shows_a_purchase(self) -> bool:
        """Whether it tells of a success, of a price, or of an order at the retailer."""
        priced = self.price_components is not None and self.price_components.names_a_price
        return self.success is True or priced or bool(self.merchant_order_ids)

    @classmethod
    def _as_documented(cls, value: Any) -> Any:
        # Seen in Zinc's own app: `error` as an object {code, message}, or {type: error, message} on top (shop-ios).
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
    status: Text | None = None
    message: Text = ""
    city: Text | None = None
    state: Text | None = None
    country: Text | None = None
    zip: Text | None = None
    location: Text | None = None


class Tracking(Answer):
    id: Text = ""
    carrier: Text = ""
    tracking_number: Text = ""
    created_at: Moment | None = None
    status: Text | None = None
    checkpoints: Rows[Checkpoint] = []
    estimated_delivery_date: Text | None = None
    zinc_tracking_number: Text | None = None
    zinc_tracking_url: Text | None = None
    delivery_proof_url: Text | None = None
    order_item_ids: Rows[Text] | None = None
    """None: unknown; Zinc never gives an empty list."""
    item_mapping: Text | None = None

    json_types = (dict, str, int)

    @classmethod
    def _as_documented(cls, value: Any) -> Any:
        # Zinc's app once decoded tracking numbers as plain strings (shop-ios).
        return {"tracking_number": value} if isinstance(value, str | int) else value


class ConnectInfo(Answer):
    """The Stripe Connect charge of an order, in cents; filled in after capture."""

    state: Text = ""
    secured_amount: Amount | None = None
    order_cost: Amount | None = None
    customer_margin: Amount | None = None
    zinc_fee: Amount | None = None
    stripe_fee: Amount | None = None
    final_charge: Amount | None = None
    transfer_amount: Amount | None = None
    payment_intent_id: Text | None = None
    connected_account_id: Text | None = None
    simulated: bool = False


class Concession(Answer):
    concern: Text = ""
    code: Text = ""
    message: Text | None = None
    item_id: Text | None = None
    url: Text | None = None
    requested_quantity: Count | None = None
    fulfilled_quantity: Count | None = None


class Fulfillment(Answer):
    gift: Text | None = None
    items: Text | None = None
    quantity: Text | None = None
    excluded_merchants: Rows[Text] = []
    concessions: Rows[Concession] = []
    """The wishes that were given up so that the order could be placed; empty if it was placed as asked."""


class Notifications(Answer):
    """E-mails to the shopper, which Zinc charges for. `delivered` is None until the first was sent."""

    email: Text = ""
    delivered: bool | None = None


_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")


def is_a_segment(text: str) -> bool:
    """Say whether an id is safe as one segment of a path. Zinc's own ids are UUIDs."""
    return _SEGMENT.fullmatch(text) is not None


_ON_ITS_WAY = frozenset({"shipped", "in_transit", "out_for_delivery", "available_for_pickup", "delivered"})
_BOUGHT = frozenset({"ordered", "placed", "order_placed"})
"""Statuses of an item that the retailer has taken. `ordered` is an item's (SDK 2026.10.16), the others an order's."""


class Order(Answer):
    """One order as `GET /orders/{id}` and the 201 of both POSTs give it."""

    id: Text
    status: Text = Field(min_length=1, max_length=60)
    max_price: Amount | None = None
    attempts: Count = 0
    # Made anew for each order: pydantic copies any other default, which takes ten times as long (v1 shows few fields).
    items: Rows[OrderItem] = Field(default_factory=list[OrderItem])
    shipping_address: Flat = Field(default_factory=dict[str, Any])
    created_at: Moment | None = None
    updated_at: Moment | None = None
    metadata: Flat = Field(default_factory=dict[str, Any])
    po_number: Text | None = None
    tracking_numbers: Rows[Tracking] = Field(default_factory=list[Tracking])
    returns: Rows[ReturnSummary] = Field(default_factory=list[ReturnSummary])
    cases: Rows[CaseSummary] = Field(default_factory=list[CaseSummary])
    handling_days_max: Count | None = None
    is_gift: bool = False
    gift_message: Text | None = None
    retailer_credentials_id: Text | None = None
    job_result: JobResult | None = None
    connect: ConnectInfo | None = None
    merchant_order_ids: Rows[Text] = Field(default_factory=list[str])
    fulfillment: Fulfillment | None = None
    customer_notifications: Notifications | None = None

    @classmethod
    def _as_documented(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        order = cast(Mapping[str, Any], value)
        return without_others(order) if order.get("returns") or order.get("cases") else order

    @field_validator("id")
    @classmethod
    def _a_segment(cls, text: str) -> str:
        if not is_a_segment(text):
            raise ValueError("is not an order's id")
        return text

    @property
    def stage(self) -> Stage:
        """The order's stage in our words.

        An unknown status counts as `accepted`, and so does an end that the order's own parts contradict.
        """
        named = self.named_stage
        return "accepted" if named in ("failed", "cancelled") and self.ending_is_unclear else named

    @property
    def named_stage(self) -> Stage:
        """The stage that the order's status names, even if its parts contradict it."""
        return _STAGES.get(self.status, "accepted")

    @property
    def is_status_known(self) -> bool:
        """Whether the meaning of the order's status is known."""
        return self.status in (*_STAGES, "pending", "in_progress")

    @property
    def is_left_to_people(self) -> bool:
        """Whether Zinc itself does not know what became of it, so that a person has to look (v1, "Errors")."""
        return self.status in LEFT_TO_PEOPLE

    @property
    def is_unclear(self) -> bool:
        """Whether its status is not known, or its parts contradict each other in how it ended or in its money."""
        priced = self.job_result.price_components if self.job_result is not None else None
        is_money_unclear = self.credits_are_unclear or (priced is not None and priced.is_unclear)
        return not self.is_status_known or self.ending_is_unclear or is_money_unclear

    @property
    def tracking_state(self) -> str:
        """The state of the parcel that needs most attention, in one word.

        `none` if there is no parcel yet, `unknown` if the parcels were not read or have no known status.
        """
        if "tracking_numbers" in self.rows_cut:
            return "unknown"
        statuses = {(tracking.status or "").casefold() for tracking in self.tracking_numbers}
        if not statuses:
            return "none"
        return next((state for state in _PARCELS if state in statuses), "unknown")

    @cached_property
    def digest(self) -> str:
        """A short digest of all parts of the order that may change: equal digests mean no news."""
        changing = [
            self.status,
            [(item.id, item.status, item.cancellation_reason) for item in self.items],
            [
                (tracking.tracking_number, tracking.status, tracking.estimated_delivery_date, len(tracking.checkpoints))
                for tracking in self.tracking_numbers
            ],
            [(entry.id, entry.status, entry.credited_amount) for entry in self.returns],
            [(entry.id, entry.status, entry.credited_amount) for entry in self.cases],
            self.merchant_order_ids,
            self.job_result.model_dump(mode="json") if self.job_result else None,
        ]
        return hashlib.sha256(canonical(changing).encode()).hexdigest()[:16]

    @cached_property
    def credited_cents(self) -> int:
        """The cents that returns and cases have refunded so far, as `credits.credited`."""
        return credited(self.returns, self.cases) if self.returns or self.cases else 0

    @property
    def credits_are_unclear(self) -> bool:
        """Whether the refunds cannot be added up.

        That is so if a return or case shows an amount and a state or currency that contradicts it, or if not all
        returns and cases were read.
        """
        is_whole = self.rows_cut.keys().isdisjoint(("returns", "cases"))
        shown: list[ReturnSummary | CaseSummary] = [*self.returns, *self.cases]
        return not is_whole or any(each.credited_amount > 0 and not each.is_credit for each in shown)

    @property
    def ending_is_unclear(self) -> bool:
        """Whether the order's parts contradict the ending that its status names.

        A failed order has no retailer's number, no price in any currency, no bought item and no parcel (OrderResponse,
        SDK 2026.10.16). A cancelled order may have all but a parcel on its way. An ending is also unclear if not all
        parts were read that could contradict it.
        """
        result = self.job_result
        if self.named_stage == "placed":
            return result is not None and result.success is False
        if self.named_stage in ("failed", "cancelled") and not self.rows_cut.keys().isdisjoint(
            ("items", "tracking_numbers")
        ):
            return True
        is_on_its_way = any(item.status.casefold() in _ON_ITS_WAY for item in self.items) or any(
            (tracking.status or "").casefold() in _ON_ITS_WAY for tracking in self.tracking_numbers
        )
        if self.named_stage == "cancelled":
            return is_on_its_way
        if self.named_stage != "failed":
            return False
        is_bought = any(item.status.casefold() in _BOUGHT for item in self.items)
        is_bought = is_bought or (result is not None and result.shows_a_purchase)
        return is_on_its_way or is_bought or bool(self.merchant_order_ids or self.tracking_numbers)


_MOST_REMEMBERED_BYTES = 16 * 1024


def order_in(content: bytes) -> Order:
    """Return the order in the body of an answer.

    Raises:
        ValueError: the body holds no order.
    """
    # A caller that waits for news reads the same bytes again and again, so parsed orders are cached.
    return _remembered(content) if len(content) <= _MOST_REMEMBERED_BYTES else _read(content)


def _read(content: bytes) -> Order:
    return Order.read(decoded(content))


_remembered = lru_cache(maxsize=64)(_read)
