"""An order as v1 takes it: `V1Order`, its parts, and the bytes that it becomes.

Fields are those of the page "Create Order" of v1; its rules are validators here, so that a person is never shown a wish
that Zinc would refuse or ignore. Numbers are whole: v1 says `number`, and no page shows a fraction.

The owner decides which account buys and where webhooks go, so the model lacks these fields (`V1_NOT_IN_SCHEMA`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, cast, get_args

from pydantic import Field, field_validator, model_validator

from zinc_mcp.text import Cents
from zinc_mcp.zinc.goods import Goods
from zinc_mcp.zinc.orders import Address, Quantity, canonical
from zinc_mcp.zinc.product_urls.url_parts import ProductAddress
from zinc_mcp.zinc.texts.letters import unprintable
from zinc_mcp.zinc.texts.notes import RESERVED_METADATA, plain_notes, refuse_huge
from zinc_mcp.zinc.v1.address import V1Address
from zinc_mcp.zinc.v1.private import ELSEWHERE, refuse_secret_names
from zinc_mcp.zinc.v1.products import AMAZON, V1Retailer, address_of, domain_of, objection, page_of
from zinc_mcp.zinc.v1.request import MAX_CENTS, MAX_LISTED, SomeCents, Switch, V1Request, plain_line
from zinc_mcp.zinc.v1.sellers import DEFAULT_CRITERIA, SellerCriteria

MAX_PRODUCTS = 100
MAX_MESSAGE, MAX_MESSAGE_LINES = 240, 9
"""Characters and lines of a gift message (Create Order: "Max 240 characters or 9 lines")."""
MAX_QUEUE_SECONDS = 30 * 86_400

PROFILE_FIELD = f"{RESERVED_METADATA}profile"
"""The member of the frozen body that names a profile. It never leaves: the profile's secrets take its place."""

V1_NOT_IN_SCHEMA: Mapping[str, str] = {
    "retailer_credentials": f"a login is a secret. {ELSEWHERE}; retailer_account names it",
    "payment_method": f"a card is a secret. {ELSEWHERE}; retailer_account names it",
    "billing_address": f"it belongs to the payment. {ELSEWHERE}; retailer_account names it",
    "addax": "it follows from retailer_account: without one, Zinc's managed account buys",
    "webhooks": "the owner's settings say who is told about orders",
}
"""By the name of a field of "Create Order" that is not taken: the reason."""

ShippingMethod = Literal["cheapest", "fastest", "amazon_day", "free"]


class V1Product(V1Request):
    product_id: str = Field(description="The retailer's number, e.g. an ASIN; no address")
    quantity: Quantity = 1
    seller_selection_criteria: SellerCriteria | None = Field(
        None, description="Whose offer. Absent: prime, condition New, handling_days_max 6. Given: nothing else holds"
    )

    @field_validator("product_id")
    @classmethod
    def _a_number(cls, number: str) -> str:
        if "/" in number or "://" in number or "." in number:
            raise ValueError(
                "must be the retailer's number of the product, not an address; place_order takes addresses"
            )
        if not (number.isascii() and number.isalnum() and len(number) <= 40):
            raise ValueError("must be the retailer's number of the product: letters and digits alone")
        return number


class Shipping(V1Request):
    order_by: Literal["price", "speed"]
    max_days: Annotated[int, Field(strict=True, ge=1, le=365)] | None = None
    max_price: SomeCents | None = Field(None, description="US cents for shipping")


class PromoCode(V1Request):
    code: Annotated[str, Field(max_length=60)]
    optional: Switch | None = Field(None, description="true: order without it if it is refused")
    merchant_id: Annotated[str, Field(max_length=60)] | None = None
    discount_amount: SomeCents | None = Field(None, description="US cents")
    discount_percentage: Annotated[int, Field(strict=True, ge=0, le=100)] | None = None
    cost_override: SomeCents | None = Field(None, description="US cents")

    _plain_line = field_validator("code", "merchant_id")(plain_line)


class RetailerAccount(V1Request):
    profile: Annotated[str, Field(max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class V1Order(V1Request):
    """An order as `POST /v1/orders` takes it, without the fields that the owner decides."""

    retailer: V1Retailer
    products: list[V1Product] = Field(description="All from that retailer")
    shipping_address: V1Address
    max_price: Cents = Field(description="US cents: the most for items, tax and shipping together")
    shipping_method: ShippingMethod | None = Field(None, description="Either this or shipping")
    shipping: Shipping | None = None
    is_gift: Switch = False
    gift_message: str | None = Field(None, description="Needs is_gift; at most 240 characters in 9 lines")
    require_gift: Switch = Field(False, description="Needs is_gift: fail without a gift option")
    promo_codes: Annotated[list[PromoCode], Field(max_length=MAX_LISTED)] | None = None
    max_delivery_days: Annotated[int, Field(strict=True, ge=1, le=365)] | None = Field(None, description="Amazon")
    strict_expired_product_id: Switch = Field(False, description="Fail if the product's number has expired")
    fail_if_taxed: Switch = False
    take_buybox_offers: Switch = Field(False, description="The page's default offer, whoever sells it")
    force_offers_postal_code: Annotated[str, Field(max_length=20)] | None = None
    zma_discount: Annotated[int, Field(strict=True, ge=-50, le=0)] = Field(
        0, description="Per cent; negative is above face value and goes first"
    )
    addax_queue_timeout: Annotated[int, Field(strict=True, ge=1, le=MAX_QUEUE_SECONDS)] | None = Field(
        None, description="Seconds; absent: 14400"
    )
    zma_prime_optout: Switch = False
    zma_priority_bid: SomeCents | None = Field(None, description="US cents, added to the cost")
    amazon_day: Annotated[str, Field(max_length=100)] | None = Field(
        None, description="The option's exact name, for shipping_method amazon_day"
    )
    po_number: Annotated[int, Field(strict=True, ge=0, lt=10**12)] | None = Field(None, description="Amazon Business")
    client_notes: dict[str, Any] | None = Field(None, description="Your own notes")
    idempotency_key: str | None = Field(None, max_length=36, description="Usually left out: one is derived")
    retailer_account: RetailerAccount | None = Field(
        None, description="Buy with that account of the user's own; absent: Zinc's managed account"
    )

    not_taken: ClassVar[Mapping[str, str]] = V1_NOT_IN_SCHEMA
    """The reasons why some of Zinc's fields are missing here, for the answer to a call that gives them."""

    _not_huge = field_validator("client_notes", mode="before")(refuse_huge)
    _plain_notes = field_validator("client_notes")(plain_notes)
    _no_secret_names = field_validator("client_notes")(refuse_secret_names)

    @field_validator("retailer", mode="before")
    @classmethod
    def _known_retailer(cls, code: object) -> object:
        if isinstance(code, str) and code not in get_args(V1Retailer):
            known = ", ".join(get_args(V1Retailer))
            raise ValueError(f"must be one of {known}; place_order takes the pages of other shops")
        return code

    @field_validator("products", mode="before")
    @classmethod
    def _few(cls, products: Any) -> Any:
        # Checked before the products themselves, so that a thousand wrong ones cost nothing.
        if isinstance(products, list) and len(cast(list[object], products)) > MAX_PRODUCTS:
            raise ValueError(f"has more than {MAX_PRODUCTS} products; split the order")
        return cast(Any, products)

    @field_validator("max_price")
    @classmethod
    def _spends_something(cls, cents: int) -> int:
        if not 1 <= cents <= MAX_CENTS:
            raise ValueError(f"must be between 1 and {MAX_CENTS} US cents")
        return cents

    @field_validator("gift_message")
    @classmethod
    def _short_message(cls, message: str | None) -> str | None:
        if message is None:
            return None
        if unprintable(message, lines=True):
            raise ValueError("contains control or invisible characters; send plain text")
        if len(message) > MAX_MESSAGE or len(message.splitlines()) > MAX_MESSAGE_LINES:
            raise ValueError(f"must have at most {MAX_MESSAGE} characters and {MAX_MESSAGE_LINES} lines")
        return message

    _plain_line = field_validator("force_offers_postal_code", "amazon_day")(plain_line)

    @field_validator("idempotency_key")
    @classmethod
    def _a_key(cls, key: str | None) -> str | None:
        if key is not None and (not key or any(not 33 <= ord(character) <= 126 for character in key)):
            raise ValueError("must be 1 to 36 printable ASCII characters without spaces, such as a UUID")
        return key

    @field_validator("products")
    @classmethod
    def _at_least_one(cls, products: list[V1Product]) -> list[V1Product]:
        if not products:
            raise ValueError("needs at least one product")
        return products

    @model_validator(mode="after")
    def _consistent(self) -> "V1Order":
        for rule in (_numbers, _delivery, _gift, _offers, _whose_account):
            rule(self)
        return self

    @property
    def domain(self) -> str:
        """The registrable domain of the retailer; `retailer` is Zinc's code for it."""
        return domain_of(self.retailer)

    @property
    def ship_to(self) -> Address:
        """The place that the order goes to, as v2 names it."""
        return self.shipping_address.as_v2

    @property
    def pages(self) -> Sequence[ProductAddress]:
        """The page of each product at its shop."""
        return [address_of(self.retailer, product.product_id) for product in self.products]

    @property
    def chooses_account(self) -> bool:
        """Whether an account of the user's own buys and pays. If not, it is an account of Zinc's (ZMA)."""
        return self.retailer_account is not None

    @property
    def account_id(self) -> None:
        """None: only an order of v2 takes an account that is kept at Zinc."""
        return None

    @property
    def profile(self) -> str | None:
        """The name here of the user's own account, if one buys."""
        return None if self.retailer_account is None else self.retailer_account.profile

    @property
    def outside_limits(self) -> Sequence[tuple[str, str]]:
        """No field costs money outside our limits."""
        return ()

    @property
    def surcharge_cents(self) -> int:
        """The most that a negative discount adds to the price, in US cents: its per cent of `max_price`, rounded up.

        "The percent below (or above, if negative) face value that you will be charged" (Create Order). No page says
        whether `max_price` bounds the face value or what is charged, so the higher of both is counted.
        """
        return -(self.max_price * self.zma_discount // 100)

    @property
    def ceiling_cents(self) -> int:
        """The most that may be debited for it, in US cents, before Zinc's own fee: price, surcharge and bid."""
        return self.max_price + self.surcharge_cents + (self.zma_priority_bid or 0)

    def goods(self) -> list[Goods]:
        """Return each product in the form in which two orders are compared."""
        return [_goods(self.retailer, product) for product in self.products]

    def criteria_of(self, product: V1Product) -> SellerCriteria | None:
        """Return the criteria for a product's seller; None for the page's default offer, by any seller."""
        return None if self.take_buybox_offers else product.seller_selection_criteria or DEFAULT_CRITERIA

    def items(self) -> list[dict[str, Any]]:
        """Return the products as an entry keeps them to be shown."""
        return [
            {"url": page_of(self.retailer, each.product_id), "product_id": each.product_id, "quantity": each.quantity}
            for each in self.products
        ]

    def wished(self) -> Mapping[str, Any]:
        """Return all that the caller asked for, without the key and without fields that have their default."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"idempotency_key"})

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON object to send, without a key and without our own notes.

        It holds no secret. With an account of the user's own it holds the name of the profile (`PROFILE_FIELD`).
        """
        wire = self.model_dump(mode="json", exclude_unset=True, exclude_none=True, exclude={"retailer_account"})
        for product, line in zip(self.products, wire["products"], strict=True):
            line["quantity"] = product.quantity
        wire["shipping_address"]["country"] = self.shipping_address.country
        whose = {"addax": True} if self.retailer_account is None else {PROFILE_FIELD: self.retailer_account.profile}
        return {**wire, **whose, "is_gift": self.is_gift}

    def body(self, key: str, notes: Mapping[str, Any]) -> dict[str, Any]:
        """Return `to_wire` with a key, and with notes of ours beside the caller's own."""
        told = {**(self.client_notes or {}), **notes}
        return {**self.to_wire(), "idempotency_key": key, "client_notes": told}

    def wire(self, key: str, notes: Mapping[str, Any]) -> bytes:
        """Return `body` as the bytes that are frozen."""
        return canonical(self.body(key, notes)).encode()

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "V1Order":
        """Return the order of a frozen body.

        Raises:
            ValidationError: a rule of today refuses it.
        """
        parts = {name: value for name, value in body.items() if name not in ("addax", PROFILE_FIELD, "client_notes")}
        told: object = body.get("client_notes")
        notes = cast(dict[str, Any], told) if isinstance(told, dict) else dict[str, Any]()
        theirs = {name: value for name, value in notes.items() if not name.startswith(RESERVED_METADATA)}
        profile = body.get(PROFILE_FIELD)
        return cls.model_validate(
            {
                **parts,
                **({"client_notes": theirs} if theirs else {}),
                **({} if profile is None else {"retailer_account": {"profile": profile}}),
            }
        )


def _goods(retailer: V1Retailer, product: V1Product) -> Goods:
    address = address_of(retailer, product.product_id)
    return Goods(address.canonical, address.likely, (), product.quantity)


# Rules about several fields. Each message begins with the field that it is about.


def _numbers(order: V1Order) -> None:
    for place, product in enumerate(order.products, 1):
        if (why := objection(order.retailer, product.product_id)) is not None:
            raise ValueError(f"products: the product_id of product {place} {why}")


def _delivery(order: V1Order) -> None:
    if (order.shipping_method is None) == (order.shipping is None):
        raise ValueError("shipping_method: give either shipping_method or shipping, and not both")
    if order.amazon_day is not None and order.shipping_method != "amazon_day":
        raise ValueError("amazon_day: needs shipping_method amazon_day")
    if order.retailer not in AMAZON:
        for name in ("max_delivery_days", "po_number", "amazon_day"):
            if getattr(order, name) is not None:
                raise ValueError(f"{name}: is known to Amazon alone; leave it out")
        if order.shipping_method == "amazon_day":
            raise ValueError("shipping_method: amazon_day is known to Amazon alone; choose another")


def _gift(order: V1Order) -> None:
    if not order.is_gift and order.gift_message is not None:
        raise ValueError("gift_message: needs is_gift true")
    if not order.is_gift and order.require_gift:
        raise ValueError("require_gift: needs is_gift true")


def _offers(order: V1Order) -> None:
    # Zinc would look at no criteria, so a person would be shown a wish that does not hold.
    if order.take_buybox_offers and any(product.seller_selection_criteria for product in order.products):
        raise ValueError("take_buybox_offers: no seller_selection_criteria hold with it; leave one of both out")


_OF_MANAGED_ACCOUNTS = ("zma_discount", "addax_queue_timeout", "zma_prime_optout", "zma_priority_bid")


def _whose_account(order: V1Order) -> None:
    if order.retailer_account is not None:
        for name in _OF_MANAGED_ACCOUNTS:
            if getattr(order, name):
                raise ValueError(f"{name}: is for Zinc's managed account alone; leave it or retailer_account out")
