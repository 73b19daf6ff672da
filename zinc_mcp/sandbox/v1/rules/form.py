"""The form of `POST /v1/orders` (v1, "Create Order"), written apart from our client's model of it.

An unknown key is refused, which catches a client that sends one. Rules that only our client has are not here: our
client also requires `max_price` of an order that an own account pays, and refuses a `gift_message` without `is_gift`.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, ValidationError

from zinc_mcp.sandbox.v1.rules.products import RETAILERS
from zinc_mcp.zinc.texts.countries import ALPHA_2

Json = dict[str, Any]
Refusal = tuple[str, Json]
"""The code of an error object and its data."""

METHODS = ("cheapest", "fastest", "amazon_day", "free")
SECRETS = ("retailer_credentials", "payment_method", "billing_address")
"""The parts that an order by an own account needs, and that a managed order must leave out."""
_GIFT_BALANCE = ("amazon", "amazon_uk", "amazon_ca", "walmart")
_CARD = ("name_on_card", "number", "security_code", "expiration_month", "expiration_year")
_MOST_LINES, _MOST_CHARACTERS = 9, 240

_Text = Annotated[str, Field(min_length=1)]
_Flag = Annotated[bool, Field(strict=True)]
_MOST = 10**15
_Number = Annotated[StrictInt, Field(ge=-_MOST, le=_MOST)] | Annotated[StrictFloat, Field(ge=-_MOST, le=_MOST)]
_Cents = Annotated[int, Field(strict=True, ge=0, le=_MOST)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _Criteria(_Part):
    addon: _Flag | None = None
    buy_box: _Flag | None = None
    condition_in: list[_Text] | None = None
    condition_not_in: list[_Text] | None = None
    first_party_seller: _Flag | None = None
    handling_days_max: _Number | None = None
    international: _Flag | None = None
    max_item_price: _Number | None = None
    merchant_id_in: list[_Text] | None = None
    merchant_id_not_in: list[_Text] | None = None
    min_seller_num_ratings: _Number | None = None
    min_seller_percent_positive_feedback: _Number | None = None
    prime: _Flag | None = None
    allow_oos: _Flag | None = None


class _Product(_Part):
    product_id: _Text
    quantity: _Number
    seller_selection_criteria: _Criteria | None = None


class _Address(_Part):
    first_name: _Text
    last_name: _Text
    address_line1: _Text
    address_line2: str | None = None
    zip_code: _Text
    city: _Text
    state: str | None = None
    country: _Text
    phone_number: _Text
    instructions: str | None = None


class _Shipping(_Part):
    order_by: Literal["price", "speed"]
    max_days: _Number | None = None
    max_price: _Number | None = None


class _Payment(_Part):
    name_on_card: str | None = None
    number: str | None = None
    security_code: str | None = None
    expiration_month: _Number | None = None
    expiration_year: _Number | None = None
    use_gift: _Flag | None = None
    use_account_payment_defaults: _Flag | None = None
    is_virtual_card: _Flag | None = None
    reuse: _Flag | None = None


class _Credentials(_Part):
    email: _Text
    password: _Text
    totp_2fa_key: str | None = None
    verification_code: str | None = None


class _Webhooks(_Part):
    request_succeeded: str | list[str] | None = None
    request_failed: str | list[str] | None = None
    order_placed: str | list[str] | None = None
    order_failed: str | list[str] | None = None
    tracking_obtained: str | list[str] | None = None
    tracking_updated: str | list[str] | None = None
    status_updated: str | list[str] | None = None
    case_updated: str | list[str] | None = None


class _PromoCode(_Part):
    code: _Text
    optional: _Flag | None = None
    merchant_id: str | None = None
    discount_amount: _Number | None = None
    discount_percentage: _Number | None = None
    cost_override: _Number | None = None


class _Order(_Part):
    retailer: str
    products: Annotated[list[_Product], Field(min_length=1)]
    shipping_address: _Address
    is_gift: _Flag
    shipping_method: str | None = None
    shipping: _Shipping | None = None
    billing_address: _Address | None = None
    payment_method: _Payment | None = None
    retailer_credentials: _Credentials | None = None
    addax: _Flag | None = None
    max_price: _Cents | None = None
    gift_message: str | None = None
    require_gift: _Flag | None = None
    webhooks: _Webhooks | None = None
    client_notes: Json | None = None
    promo_codes: list[_PromoCode] | None = None
    strict_expired_product_id: _Flag | None = None
    po_number: _Number | None = None
    amazon_day: str | None = None
    fail_if_taxed: _Flag | None = None
    max_delivery_days: _Number | None = None
    take_buybox_offers: _Flag | None = None
    force_offers_postal_code: str | None = None
    zma_discount: Annotated[_Number, Field(ge=-50, le=0)] | None = None
    addax_queue_timeout: Annotated[_Number, Field(ge=0)] | None = None
    zma_prime_optout: _Flag | None = None
    zma_priority_bid: Annotated[_Number, Field(ge=0)] | None = None
    idempotency_key: _Text | None = None


def problem_of(body: object, *, managed_shops: Literal["amazon", "all"], now: float) -> Refusal | None:
    """Return the error with which an order is refused at once, or None. The order of the checks is not documented."""
    try:
        order = _Order.model_validate(body)
    except ValidationError as found:
        return _invalid(*(_spelt(each["loc"], each["msg"]) for each in found.errors(include_input=False)))
    if order.retailer not in RETAILERS:
        return "unknown_retailer", {"retailer": order.retailer}
    return (
        _way_to_pay(order, managed_shops)
        or _method(order)
        or _address(order.shipping_address)
        or _gift(order)
        or _products(order)
        or (None if order.addax else _account(order, now))
    )


def _invalid(*problems: str) -> Refusal:
    return "invalid_request", {"problems": list(problems)}


def _spelt(place: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(str(each) for each in place) or 'body'}: {message}"


def _way_to_pay(order: _Order, managed_shops: Literal["amazon", "all"]) -> Refusal | None:
    given = [name for name in SECRETS if getattr(order, name) is not None]
    if not order.addax:
        missing = [f"{name}: Field required" for name in SECRETS if name not in given]
        return _invalid(*missing) if missing else None
    if given:
        return _invalid(*(f"{name}: must be left out of a managed order" for name in given))
    if order.max_price is None:
        return _invalid("max_price: Field required")
    if managed_shops == "amazon" and order.retailer != "amazon":
        return "unauthorized_access", {"retailer": order.retailer}
    return None


def _method(order: _Order) -> Refusal | None:
    if (order.shipping is None) == (order.shipping_method is None):
        return _invalid("shipping_method: give either this or shipping")
    if order.shipping_method is not None and order.shipping_method not in METHODS:
        return "invalid_shipping_method", {"shipping_method": order.shipping_method}
    if order.shipping_method == "amazon_day" and not order.retailer.startswith("amazon"):
        return "invalid_shipping_method", {"shipping_method": order.shipping_method}
    return None


def _address(address: _Address) -> Refusal | None:
    if address.country.upper() not in ALPHA_2:
        return "invalid_address", {"field": "country"}
    if address.country.upper() == "US" and not re.fullmatch("[0-9]{5}(-[0-9]{4})?", address.zip_code):
        return "invalid_address", {"field": "zip_code"}
    if address.country.upper() == "US" and not re.fullmatch("[A-Z]{2}", address.state or ""):
        return "invalid_address", {"field": "state"}
    return None


def _gift(order: _Order) -> Refusal | None:
    message = order.gift_message or ""
    if len(message) > _MOST_CHARACTERS or len(message.splitlines()) > _MOST_LINES:
        return "invalid_gift_options", {"max_characters": _MOST_CHARACTERS, "max_lines": _MOST_LINES}
    return None


def _products(order: _Order) -> Refusal | None:
    for product in order.products:
        if product.quantity < 1 or product.quantity != int(product.quantity):
            return "invalid_quantity", {"product_id": product.product_id}
        if not re.fullmatch(RETAILERS[order.retailer].ids, product.product_id):
            return "unsupported_product_id", {"product_id": product.product_id}
    return None


def _account(order: _Order, now: float) -> Refusal | None:
    payment = order.payment_method
    if payment is None or payment.use_account_payment_defaults:
        return None
    if payment.use_gift and order.retailer not in _GIFT_BALANCE:
        return "invalid_payment_method", {"retailer": order.retailer}
    if all(getattr(payment, name) is None for name in _CARD):
        return None if payment.use_gift else ("invalid_payment_method", {})
    missing = [f"payment_method.{name}: Field required" for name in _CARD if getattr(payment, name) is None]
    return _invalid(*missing) if missing else _card(payment, now)


def _card(payment: _Payment, now: float) -> Refusal | None:
    today, number = datetime.fromtimestamp(now, UTC), (payment.number or "").replace(" ", "")
    if not re.fullmatch("[0-9]{12,19}", number) or not _sums_up(number):
        return "invalid_card_number", {}
    if not re.fullmatch("[0-9]{3,4}", payment.security_code or ""):
        return "invalid_security_code", {}
    month, year = payment.expiration_month or 0, payment.expiration_year or 0
    if not 1 <= month <= 12 or month != int(month) or (year, month) < (today.year, today.month):
        return "invalid_expiration_date", {}
    return None


def _sums_up(number: str) -> bool:
    """Check the last digit of a card's number (ISO/IEC 7812-1, the Luhn formula)."""
    doubled = (int(digit) * (1 + nth % 2) for nth, digit in enumerate(reversed(number)))
    return sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0
