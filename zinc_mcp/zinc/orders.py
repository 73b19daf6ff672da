"""An order as we send it to Zinc: `OrderCreate`, `Address` and the other parts, with each rule that can be checked.

Fields, bounds and enums are those of Zinc's OpenAPI 2026-04-27 and 2026-06-26 and of its SDK 2026.10.16. A rule that
the OpenAPI does not state as a schema keyword is a validator here, so that the published schema stays Zinc's own.
Requests forbid unknown keys and write only fields that were set, so both API versions accept them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from zinc_mcp.text import Cents, selects_a_variation
from zinc_mcp.zinc.goods import Goods
from zinc_mcp.zinc.product_urls.reading import read_product_url
from zinc_mcp.zinc.product_urls.url_parts import ProductAddress
from zinc_mcp.zinc.texts.countries import ALPHA_2
from zinc_mcp.zinc.texts.letters import filled, fold_label, printable, printable_or_none, stray_joiner, unprintable
from zinc_mcp.zinc.texts.notes import plain_notes, refuse_huge

MAX_PRODUCTS = 100
MAX_OPTIONS = 50

_NOT_GIVEN = frozenset({"null", "None", "undefined", "NULL", "NONE", "UNDEFINED"})
"""Words that some hosts and tables write for a missing value. Case counts, because `Null` is a family name."""


def given_or_none(text: str | None) -> str | None:
    """Return a text; None if it is blank or a word for a missing value."""
    return text if text and text.strip() and text.strip() not in _NOT_GIVEN else None


def _all_seen(text: str | None) -> str | None:
    # An invisible character could make two different addresses of one, so it is not sent.
    if text is None or text.isascii():
        return text  # most text: no single character needs a check
    if stray_joiner(text) or any(map(selects_a_variation, text)):
        raise ValueError("contains invisible characters; send plain text")
    return text


class Request(BaseModel):
    """The base of the models that we send. Unknown fields are refused; a checked model cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Address(Request):
    """The shipping address of an order. It is sent and shown as it was given; invisible characters are refused."""

    first_name: str
    last_name: str
    address_line1: str = Field(description="At most 60 characters")
    address_line2: str | None = Field(None, description="At most 60 characters")
    city: str
    state: str | None = Field(None, description="Two letters in the US, e.g. NY")
    postal_code: str
    phone_number: str
    country: str = Field("US", description="ISO 3166-1 alpha-2")

    if TYPE_CHECKING:  # pydantic makes it, because the model is frozen

        def __hash__(self) -> int: ...

    _printable = field_validator("*")(printable_or_none)
    _not_empty = field_validator("first_name", "last_name", "address_line1", "city", "postal_code", "phone_number")(
        filled
    )
    _all_seen = field_validator("*")(_all_seen)
    _blank_is_none = field_validator("address_line2", "state")(given_or_none)

    @field_validator("first_name", "last_name", "address_line1", "postal_code")
    @classmethod
    def _is_given(cls, text: str, info: ValidationInfo) -> str:
        first = str(info.data.get("first_name", "")).strip()
        in_capitals = info.field_name == "last_name" and text.strip() == "NULL" and len(first) > 1 and first.isupper()
        if text.strip() in _NOT_GIVEN and not in_capitals:
            raise ValueError(f'must be the real value, not the text "{text.strip()}"')
        return text

    @field_validator("address_line1", "address_line2")
    @classmethod
    def _short_line(cls, line: str | None) -> str | None:
        # SDK 2026.9.30: a longer line is rejected, not truncated.
        if line is not None and len(line) > 60:
            raise ValueError("is longer than 60 characters; move the rest to address_line2 or shorten it")
        return line

    @field_validator("country")
    @classmethod
    def _alpha_2(cls, country: str) -> str:
        if country.upper() not in ALPHA_2:
            raise ValueError("must be an ISO 3166-1 alpha-2 code such as US, CA or GB (not USA, not UK)")
        return country.upper()

    @field_validator("phone_number")
    @classmethod
    def _has_digits(cls, phone: str) -> str:
        if sum(map(str.isdigit, phone)) < 7:
            raise ValueError("must be a phone number with at least 7 digits")
        return phone

    @model_validator(mode="after")
    def _city_is_given(self) -> "Address":
        # There is a town named None near Turin.
        if self.city.strip() in _NOT_GIVEN and (self.city.strip().capitalize(), self.country) != ("None", "IT"):
            raise ValueError(f'city: must be the real value, not the text "{self.city.strip()}"')
        return self

    @model_validator(mode="after")
    def _zip_in_the_us(self) -> "Address":
        # SDK 2026.9.18: US postal codes are 5 digits or 5+4.
        if self.country == "US":
            head, dash, tail = self.postal_code.partition("-")
            digits = (head + tail).isascii() and (head + tail).isdigit()
            if not (digits and len(head) == 5 and (len(tail) == 4 if dash else not tail)):
                raise ValueError("postal_code: a US ZIP code is 5 digits, or 5+4 such as 10001-1234")
        return self


class ProductVariant(Request):
    label: str = Field(min_length=1, description="As on the page, e.g. Color")
    value: str = Field(min_length=1, description="As on the page, e.g. Black")

    _printable = field_validator("label", "value")(printable)


ProductCondition = Literal["New", "Refurbished", "UsedLikeNew", "UsedVeryGood", "UsedGood", "UsedAcceptable"]
Quantity = Annotated[int, Field(strict=True, ge=1, le=100)]


def _is_longer(value: object, most: int) -> bool:
    return isinstance(value, list) and len(cast(list[object], value)) > most


class OrderProduct(Request):
    url: str = Field(description="Direct https product page, not a search page")
    quantity: Quantity = 1
    variant: list[ProductVariant] | None = Field(None, description="Options, spelled exactly as on the page")
    condition_in: list[ProductCondition] | None = Field(None, description="Buy only these conditions")
    condition_not_in: list[ProductCondition] | None = Field(None, description="Never buy these conditions")

    @field_validator("variant", mode="before")
    @classmethod
    def _countable(cls, variant: Any) -> Any:
        if _is_longer(variant, MAX_OPTIONS):
            raise ValueError(f"has more than {MAX_OPTIONS} options")
        return variant

    @field_validator("url")
    @classmethod
    def _product_page(cls, url: str) -> str:
        read_product_url(url)
        return url


def _as_given(value: object, check: ValidatorFunctionWrapHandler) -> float:
    # A union of int and float would report each mistake twice, and a float would send 250 as 250.0.
    checked = check(value)
    return value if type(value) is int else cast(float, checked)


Number = Annotated[
    float,
    Field(strict=True, ge=0, allow_inf_nan=False),
    WrapValidator(_as_given),
    PlainSerializer(lambda number: number, return_type=int | float),
]


class MarginSpec(Request):
    type: Literal["flat", "percent"] = Field(description="flat: cents; percent: 15 is 15 %")
    value: Number

    @model_validator(mode="after")
    def _whole_cents(self) -> "MarginSpec":
        if self.type == "flat" and not isinstance(self.value, int):
            raise ValueError("value: a flat margin is whole cents")
        return self


class OrderPayment(Request):
    mode: Literal["wallet", "connect"] = Field(
        "wallet", description="wallet: the Zinc balance; connect: Stripe Connect"
    )
    payment_method: str | None = Field(None, description="connect: pm_...")
    customer: str | None = Field(None, description="connect: cus_...")
    margin: MarginSpec | None = Field(None, description="connect: your markup")

    @model_validator(mode="after")
    def _connect_fields(self) -> "OrderPayment":
        given = (self.payment_method, self.customer, self.margin)
        if self.mode == "connect" and not self.payment_method:
            raise ValueError("payment_method: connect mode needs the end customer's pm_... id")
        if self.mode == "wallet" and any(value is not None for value in given):
            raise ValueError("mode: payment_method, customer and margin belong to mode connect")
        if self.payment_method is not None and not self.payment_method.startswith("pm_"):
            raise ValueError("payment_method: must be a Stripe payment method id, pm_...")
        if self.customer is not None and not self.customer.startswith("cus_"):
            raise ValueError("customer: must be a Stripe customer id, cus_...")
        return self

    _printable = field_validator("payment_method", "customer")(printable_or_none)


class CustomerNotifications(Request):
    email: str

    @field_validator("email")
    @classmethod
    def _an_address(cls, email: str) -> str:
        name, _, domain = printable(email).rpartition("@")
        if not name or "@" in name or "." not in domain.strip(".") or " " in email:
            raise ValueError("must be an e-mail address")
        return email


class FulfillmentPreferences(Request):
    gift: Literal["best_effort"] | None = None
    items: Literal["best_effort"] | None = Field(None, description="Drop what cannot be bought")
    quantity: Literal["best_effort"] | None = Field(None, description="Take fewer when capped")
    excluded_merchants: Annotated[list[str], Field(max_length=20)] | None = None

    @field_validator("excluded_merchants")
    @classmethod
    def _plain_names(cls, names: list[str] | None) -> list[str] | None:
        return [filled(printable(name)) for name in names] if names else names


class OrderCreate(Request):
    """An order as `POST /orders` and `POST /agent/orders` take it."""

    products: list[OrderProduct] = Field(description="All from one retailer, each with its url")
    shipping_address: Address
    max_price: Cents = Field(description="US cents: the most for items, tax and shipping together")
    idempotency_key: str | None = Field(None, max_length=36, description="Usually left out: one is derived")
    retailer_credentials_id: str | None = Field(None, description="zn_acct_...: buy with that retailer account")
    metadata: dict[str, Any] | None = Field(None, description="Your own notes")
    po_number: str | None = None
    handling_days_max: Annotated[int, Field(strict=True, ge=1)] | None = Field(None, description="Skip slower sellers")
    is_gift: Annotated[bool, Field(strict=True)] = False
    gift_message: Annotated[str, Field(max_length=240)] | None = Field(None, description="Needs is_gift")
    payment: OrderPayment | None = None
    customer_notifications: CustomerNotifications | None = Field(None, description="Zinc charges extra")
    fulfillment: FulfillmentPreferences | None = Field(None, description="Absent: strict")

    @field_validator("products", mode="before")
    @classmethod
    def _few(cls, products: Any) -> Any:
        # Checked before the products themselves, so that a thousand wrong ones cost nothing.
        if _is_longer(products, MAX_PRODUCTS):
            raise ValueError(f"has more than {MAX_PRODUCTS} products; split the order")
        return products

    @field_validator("products")
    @classmethod
    def _one_retailer(cls, products: list[OrderProduct]) -> list[OrderProduct]:
        if not products:
            raise ValueError("needs at least one product")
        if len({read_product_url(product.url).retailer for product in products}) > 1:
            raise ValueError("come from several retailers; place one order for each retailer")
        return products

    @field_validator("max_price")
    @classmethod
    def _spends_something(cls, cents: int) -> int:
        if not 1 <= cents <= 100_000_000:
            raise ValueError("must be between 1 and 100000000 US cents")
        return cents

    @field_validator("idempotency_key")
    @classmethod
    def _a_key(cls, key: str | None) -> str | None:
        if key is not None and (not key or any(not 33 <= ord(character) <= 126 for character in key)):
            raise ValueError("must be 1 to 36 printable ASCII characters without spaces, such as a UUID")
        return key

    @field_validator("po_number", "retailer_credentials_id")
    @classmethod
    def _plain_line(cls, text: str | None) -> str | None:
        return filled(printable(text)) if text is not None else None

    @field_validator("gift_message")
    @classmethod
    def _plain_message(cls, message: str | None) -> str | None:
        if message is not None and unprintable(message, lines=True):
            raise ValueError("contains control or invisible characters; send plain text")
        return message

    _not_huge = field_validator("metadata", mode="before")(refuse_huge)
    _small_and_plain = field_validator("metadata")(plain_notes)

    @model_validator(mode="after")
    def _gift_rules(self) -> "OrderCreate":
        if not self.is_gift:
            if self.gift_message is not None:
                raise ValueError("gift_message: needs is_gift true")
            if self.fulfillment is not None and self.fulfillment.gift is not None:
                raise ValueError("fulfillment.gift: needs is_gift true")
        return self

    @property
    def retailer(self) -> str:
        """The registrable domain of the retailer of all products."""
        return read_product_url(self.products[0].url).retailer

    @property
    def ceiling_cents(self) -> int:
        """The most that may be debited for it, in US cents, without Zinc's fee."""
        return self.max_price

    @property
    def ship_to(self) -> Address:
        """The place it goes to."""
        return self.shipping_address

    @property
    def pages(self) -> Sequence[ProductAddress]:
        """The page of each product."""
        return [read_product_url(product.url) for product in self.products]

    @property
    def chooses_account(self) -> bool:
        """Whether it is bought with an account at the retailer that is not Zinc's."""
        return self.retailer_credentials_id is not None

    @property
    def account_id(self) -> str | None:
        """The id of that account at Zinc."""
        return self.retailer_credentials_id

    @property
    def profile(self) -> None:
        """None: only an order of v1 takes an account that is kept here."""
        return None

    @property
    def outside_limits(self) -> Sequence[tuple[str, str]]:
        """Its fields that cost money outside our limits, each with the switch of the policy that allows it."""
        used = (
            (self.payment is not None and self.payment.mode == "connect", "payment.mode", "connect"),
            (self.customer_notifications is not None, "customer_notifications", "paid_notifications"),
        )
        return [(name, switch) for is_used, name, switch in used if is_used]

    def items(self) -> list[dict[str, Any]]:
        """Return the products as an entry keeps them to be shown."""
        return [
            {
                "url": product.url,
                "quantity": product.quantity,
                **({"variant": [option.model_dump() for option in product.variant]} if product.variant else {}),
            }
            for product in self.products
        ]

    def wished(self) -> Mapping[str, Any]:
        """Return all that the caller asked for, without the key and without fields that have their default."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"idempotency_key"})

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON object to send: only fields that were set, and no nulls, which the newer API may refuse."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)

    @property
    def domain(self) -> str:
        """The registrable domain of the retailer, by the name that orders of v1 have for it as well."""
        return self.retailer

    def goods(self) -> list[Goods]:
        """Return each product in the form in which two orders are compared."""
        return [_goods(product) for product in self.products]

    def body(self, key: str, notes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON object to send with a key, and with notes of ours beside the caller's own."""
        return {**self.to_wire(), "idempotency_key": key, "metadata": {**(self.metadata or {}), **notes}}


canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
"""Returns JSON in one spelling (sorted keys, no spaces), so that equal content is equal text. It is sent as UTF-8."""


def _goods(product: OrderProduct) -> Goods:
    address = read_product_url(product.url)
    # An option that is given twice counts once.
    options = sorted({(fold_label(option.label), fold_label(option.value)) for option in product.variant or []})
    return Goods(address.canonical, address.likely, tuple(options), product.quantity)
