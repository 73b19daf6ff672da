"""The checks of a request, and the answers that refuse it, in the dialect's envelope.

The form of an order is written independently of our client's OrderCreate, so that a mistake there does not repeat here.
It is as strict as the documents say the live service is; Zinc's own sandbox skips the address checks. Rules that only
our client has (reserved metadata, lengths of texts, one retailer, a lowest price) are not here.
"""

import json
import re
from typing import Annotated, Any, Literal, NoReturn, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Dialect, Sandbox
from zinc_mcp.sandbox.catalogue import REFUSALS, shop_at
from zinc_mcp.sandbox.ledger import OrderRow, fingerprint
from zinc_mcp.sandbox.products import ORDER_FEE, Reason, scenario_of
from zinc_mcp.zinc.texts.countries import ALPHA_2

Problem = dict[str, Any]
"""One entry of FastAPI's `detail` list: `{type, loc, msg}`."""


class AnsweredError(Exception):
    """Ends an endpoint early with this answer."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


def as_json(content: object, status: int = 200) -> Response:
    """Return a JSON answer in ASCII, which can hold every text of an order, even half a surrogate pair."""
    return Response(json.dumps(content), status, media_type="application/json")


def error(dialect: Dialect, status: int, code: str, message: str, details: dict[str, Any] | None = None) -> Response:
    """Return an error in the envelope: nested as in the SDK, or flat as the docs pages print it."""
    content = {"code": code, "message": message, "details": details}
    return as_json({"error": content} if dialect.errors == "nested" else content, status)


def internal_error(dialect: Dialect) -> Response:
    """Return a 500 with `internal_error`."""
    return error(dialect, 500, "internal_error", "An internal error occurred.")


def invalid(dialect: Dialect, problems: list[dict[str, Any]]) -> Response:
    """Return a 422: FastAPI's `detail` list, or `validation_error` in the envelope."""
    if dialect.validation == "detail_list":
        return as_json({"detail": problems}, 422)
    return error(dialect, 422, "validation_error", "The request is invalid.", {"errors": problems})


def refused(dialect: Dialect, reason: Reason, max_price: int) -> Response:
    """Return the answer to an order that is refused at once."""
    if reason.code != "insufficient_funds":
        return error(dialect, reason.status, reason.code, reason.message)
    required = max_price + ORDER_FEE
    details = {"required": required, "available": min(250, required - 1), "fund_with": ["card", "ach", "wire"]}
    status = 402 if dialect.insufficient_funds == "status_402" else 400
    return error(dialect, status, reason.code, reason.message, details)


def conflict(dialect: Dialect, key: str | None, row: OrderRow) -> Response:
    """Return the answer to an idempotency key that was used before."""
    names: dict[str, Any] = {"resource": "Order", "identifier": key}
    details = {
        "key": names,
        "order_id": {**names, "identifier": row.order_id},
        "details_order_id": {**names, "order_id": row.order_id},
        "none": None,
    }[dialect.conflict_identifier]
    return error(dialect, 409, "already_exists", "Order already exists.", details)


def token_of(request: Request) -> str:
    """Return the token of a request's `Authorization`, of any scheme; empty without one."""
    return request.headers.get("authorization", "").partition(" ")[2]


def authorised_caller(sandbox: Sandbox, request: Request) -> str:
    """Return the fingerprint of the caller's API key.

    Raises:
        AnsweredError: with a 401, unless it is a test key, or a live key that a sign-in at this sandbox issued. Any
            other live key is refused, even with X-Test-Mode.
    """
    scheme, token = request.headers.get("authorization", "").partition(" ")[0], token_of(request)
    if scheme.lower() == "bearer" and token.startswith("zn_test_") and len(token) > len("zn_test_"):
        return fingerprint(token)
    if scheme.lower() == "bearer" and token and (caller := sandbox.ledger.signed_in(token)) is not None:
        return caller
    code = "invalid_token" if token else "unauthorized"
    raise AnsweredError(error(sandbox.dialect, 401, code, "Not authenticated."))


_Count = Annotated[int, Field(strict=True)]
_Flag = Annotated[bool, Field(strict=True)]
_Label = Annotated[str, Field(min_length=1)]
_Condition = Literal["New", "Refurbished", "UsedLikeNew", "UsedVeryGood", "UsedGood", "UsedAcceptable"]
_BestEffort = Literal["best_effort"]


class _Part(BaseModel):
    # The documents reject unknown keys inside `fulfillment` and say nothing elsewhere. They are rejected everywhere,
    # which catches a client that sends them.
    model_config = ConfigDict(extra="forbid")


class _Variant(_Part):
    label: _Label
    value: _Label


class _Product(_Part):
    url: Annotated[str, Field(pattern=r"^https://[^\s/]+\.[^\s/]+")]
    quantity: Annotated[_Count, Field(ge=1, le=100)] = 1
    variant: list[_Variant] | None = None
    condition_in: list[_Condition] | None = None
    condition_not_in: list[_Condition] | None = None

    @field_validator("url")
    @classmethod
    def _readable(cls, url: str) -> str:
        if not urlsplit(url).hostname:
            raise ValueError("Input should be a valid URL")
        return url


class _Address(_Part):
    first_name: str
    last_name: str
    address_line1: str
    address_line2: str | None = None
    city: str
    state: str | None = None
    postal_code: str
    phone_number: str
    country: str = "US"


class _Margin(_Part):
    type: Literal["flat", "percent"]
    value: Annotated[float, Field(ge=0)]


class _Payment(_Part):
    mode: Literal["wallet", "connect", "card"] = "wallet"
    payment_method: str | None = None
    customer: str | None = None
    margin: _Margin | None = None

    @model_validator(mode="after")
    def _connect_needs_a_method(self) -> "_Payment":
        if self.mode == "connect" and not self.payment_method:
            raise ValueError("payment_method is required for connect")
        return self


class _Notifications(_Part):
    email: str


class _Fulfillment(_Part):
    # No null unions here: leaving a key out means strict (SDK 2026.9.18).
    gift: _BestEffort = cast(_BestEffort, None)
    items: _BestEffort = cast(_BestEffort, None)
    quantity: _BestEffort = cast(_BestEffort, None)
    excluded_merchants: Annotated[list[str], Field(max_length=20)] = cast(list[str], None)


class _Order(_Part):
    products: Annotated[list[_Product], Field(min_length=1)]
    shipping_address: _Address
    # 0 was accepted in June 2026 (Zinc's app, development mode); such an order never finds a price.
    max_price: Annotated[_Count, Field(ge=0)]
    idempotency_key: Annotated[str, Field(max_length=36)] | None = None
    retailer_credentials_id: str | None = None
    metadata: dict[str, Any] | None = None
    po_number: str | None = None
    handling_days_max: Annotated[_Count, Field(ge=1)] | None = None
    is_gift: _Flag = False
    gift_message: Annotated[str, Field(max_length=240)] = cast(str, None)
    payment: _Payment | None = None
    customer_notifications: _Notifications = cast(_Notifications, None)
    fulfillment: _Fulfillment = cast(_Fulfillment, None)

    @model_validator(mode="after")
    def _gift_rules(self) -> "_Order":
        given = self.model_fields_set
        if "gift_message" in given and not self.is_gift:
            raise ValueError("gift_message requires is_gift to be true")
        if "fulfillment" in given and "gift" in self.fulfillment.model_fields_set and not self.is_gift:
            raise ValueError("fulfillment.gift requires is_gift to be true")
        return self


def read_body(content: bytes) -> tuple[dict[str, Any], list[Problem]]:
    """Return an order as it was sent, and the problems of its form in FastAPI's words.

    The order is returned even if its form is wrong, so that its key can be read; it is `{}` if it is no object.
    """
    try:
        decoded: Any = json.loads(content, parse_constant=not_json)
        # 1e999 is read as infinity, which JSON cannot say.
        json.dumps(decoded, allow_nan=False)
    except (ValueError, RecursionError):
        return {}, [{"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error"}]
    body = cast(dict[str, Any], decoded) if isinstance(decoded, dict) else {}
    try:
        _Order.model_validate(decoded)
    except ValidationError as found:
        return body, problems_in(found, "body")
    return body, []


def problems_in(found: ValidationError, where: str) -> list[Problem]:
    """Return the problems of the `body` or the `query` in FastAPI's form."""
    return [
        {"type": each["type"], "loc": [where, *each["loc"]], "msg": each["msg"]}
        for each in found.errors(include_url=False, include_input=False, include_context=False)
    ]


def key_in(body: dict[str, Any]) -> str | None:
    """Return the idempotency key of an order as it was sent, valid or not; None if it is no text."""
    key = body.get("idempotency_key")
    if not isinstance(key, str):
        return None
    try:
        key.encode()
    except UnicodeEncodeError:
        return None
    return key


def not_json(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's parser accepts and JSON does not have.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{constant} is not JSON")


def check_form(dialect: Dialect, body: dict[str, Any], problems: list[Problem]) -> None:
    """Refuse a malformed body, or an address that cannot be right.

    Raises:
        AnsweredError: with the refusal.
    """
    if problems:
        raise AnsweredError(invalid(dialect, problems))
    if wrong := _address_problem(body["shipping_address"]):
        field, message = wrong
        if dialect.address == "detail_422":
            located = {"type": "value_error", "loc": ["body", "shipping_address", field], "msg": message}
            raise AnsweredError(invalid(dialect, [located]))
        raise AnsweredError(error(dialect, 400, "invalid_shipping_address", message, {"field": field}))


def check_products(dialect: Dialect, body: dict[str, Any], *, except_for: str | None = None) -> None:
    """Refuse products that cannot be ordered at all; `except_for` is a code that is ignored.

    Raises:
        AnsweredError: with the refusal.
    """
    country = str(body["shipping_address"].get("country", "US")).upper()
    for product in body["products"]:
        has_account = body.get("retailer_credentials_id") is not None
        code = shop_at(product["url"]).refusal(country, has_account=has_account)
        refusal = Reason(code, REFUSALS[code]) if code else scenario_of(product["url"]).refusal
        if refusal and refusal.code != except_for:
            raise AnsweredError(refused(dialect, refusal, body["max_price"]))


def _address_problem(address: dict[str, Any]) -> tuple[str, str] | None:
    """Return the wrong field of an address with the reason, or None (SDK 2026.9.18 and 2026.9.30)."""
    country = str(address.get("country", "US"))
    if country.upper() not in ALPHA_2:
        return "country", "country must be an ISO 3166-1 alpha-2 code, such as US"
    if country.upper() == "US" and not re.fullmatch(r"[0-9]{5}(-[0-9]{4})?", address["postal_code"]):
        return "postal_code", "a US postal code is 5 digits or 5+4"
    for line in ("address_line1", "address_line2"):
        if len(address.get(line) or "") > 60:
            return line, f"{line} is longer than 60 characters"
    return None
