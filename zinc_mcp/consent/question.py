"""The question before money is spent. It shows the whole order, is frozen in the entry, and is the same everywhere.

It is built from all fields that would be sent, so that nothing is sent that it does not show, and none of it is cut.
Foreign words are in fields of their own, in quotes that they cannot close.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.entry import Mode
from zinc_mcp.known_settings import RailName
from zinc_mcp.text import plain, printed
from zinc_mcp.zinc.cases import CASE_REASONS
from zinc_mcp.zinc.orders import Address, OrderCreate, canonical
from zinc_mcp.zinc.places import shown_lines
from zinc_mcp.zinc.product_urls.reading import read_product_url
from zinc_mcp.zinc.products import Product
from zinc_mcp.zinc.returns import RETURN_REASONS

DIALOGUE_CHARACTERS = 24_000
"""The longest question for a host's dialogue. A longer one is asked on the page or in a terminal."""
MOST_BYTES = 256 * 1024
"""The longest question. An order that needs a longer one is refused, and nobody is asked."""

Labelled = tuple[str, str]


class Line(BaseModel):
    """One product of the question. `price_cents` is the listed price of one piece, if Zinc knows it."""

    model_config = ConfigDict(frozen=True)

    host: str
    url: str
    """The product's address as it would be sent, byte for byte."""
    product_id: str | None = None
    """The product's number in this shop, if the address names one."""
    quantity: int
    options: Sequence[Labelled] = ()
    """All other fields of this product that would be sent."""
    title: str | None = None
    seller: str | None = None
    price_cents: int | None = None


class Question(BaseModel):
    """The question. A yes allows what it shows and no more. Money is US cents."""

    model_config = ConfigDict(frozen=True)

    retailer: str
    lines: Sequence[Line]
    ship_to: Sequence[str]
    """The address as lines; of a saved address only name, city and country."""
    ship_to_whole: Sequence[str]
    """The whole address as it would be sent."""
    saved_as: str | None = None
    """The name of the saved address; None if the caller gave the address."""
    rail: RailName
    mode: Mode
    ceiling_cents: int
    fee_cents: int
    """The highest fee that may be added to the ceiling."""
    left_day_cents: int | None
    """The amount that the limit of 24 hours has left after this order."""
    left_month_cents: int | None = None
    left_orders_day: int | None = None
    extras: Sequence[Labelled] = ()
    """All other fields that would be sent."""
    twin: str | None = None
    """The state of an earlier order for the same, if there is one."""
    near: Sequence[str] = ()
    """Earlier orders of one of these products for the same address."""
    notes: Sequence[str] = ()
    """Other things that a person should know before they decide."""
    look_up_cents: int = 0
    charged_to_customer: bool = False
    """Stripe Connect: the card of the owner's customer pays, with a markup added."""

    @property
    def paid(self) -> str:
        """The way of paying, in words."""
        if self.charged_to_customer:
            return "by your customer's card, with your markup on top, which no limit here sees"
        return paid_by(self.rail)

    @property
    def most_cents(self) -> int:
        """The most that may be debited after a yes."""
        return self.ceiling_cents + self.fee_cents

    @property
    def asks(self) -> str:
        """The question in one line of our own words."""
        return f"Buy from {self.retailer} for at most {printed(self.most_cents)}?"

    @property
    def typed(self) -> str:
        """What a typed yes does, as the end of a sentence."""
        return f"to buy for at most {printed(self.most_cents)}"

    @property
    def invitation(self) -> str:
        """The question as an offer to open the page, which others may read."""
        practice = PRACTICE.get(self.mode, "")
        return (
            f"Decide on the approval page: buy from {self.retailer} for at most {printed(self.most_cents)}?{practice} "
            "Opening the page buys nothing."
        )

    @property
    def limits_left(self) -> Sequence[str]:
        """The amounts that the owner's limits have left after this order, in words."""
        left = [
            f"{printed(cents)} in {period}"
            for cents, period in ((self.left_day_cents, "24 hours"), (self.left_month_cents, "30 days"))
            if cents is not None
        ]
        if self.left_orders_day is not None:
            orders = "order" if self.left_orders_day == 1 else "orders"
            left.append(f"{self.left_orders_day} more {orders} in 24 hours")
        return left

    @property
    def warnings(self) -> Sequence[str]:
        """Warnings before a yes: earlier orders like this one, and other notes."""
        said = [] if self.twin is None else [f"The same was ordered before: {self.twin}. A yes buys it a second time."]
        said += [f"Part of this was ordered before: {each}." for each in self.near]
        return [*said, *self.notes]

    def text(self) -> str:
        """Return the whole question as plain lines, for a host's dialogue or a terminal. Nothing is cut.

        Foreign words are in quotes that they cannot close, one field on each line.
        """
        said = [f"{self.asks}{PRACTICE.get(self.mode, '')}"]
        said += self.warnings
        for number, line in enumerate(self.lines, start=1):
            said += describe(line, number if len(self.lines) > 1 else None)
        if self.saved_as is not None:
            said.append(f"Ship to your saved address {quoted(self.saved_as)}: {', '.join(map(visible, self.ship_to))}")
        else:
            said.append("Ship to an address that was given:")
            said += [f"  {quoted(part)}" for part in self.ship_to]
        said += [f"{label}: {quoted(value)}" for label, value in self.extras]
        said.append(
            f"Paid {self.paid}: at most {printed(self.ceiling_cents)} for items, tax and shipping, plus "
            f"at most {printed(self.fee_cents)} for Zinc."
        )
        if self.limits_left:
            said.append(f"Left of your limits after this: {', '.join(self.limits_left)}.")
        if self.look_up_cents:
            said.append(f"Looking up what the page says cost {printed(self.look_up_cents)}.")
        return "\n".join(said)


PRACTICE = {"sandbox": " (practice: nothing is really bought)", "test": " (test key: nothing is really bought)"}

_OUR_QUOTES = str.maketrans({"\u201c": '"', "\u201d": '"'})
_BREAKS = str.maketrans({"\r": None, "\n": "\u23ce"})


def visible(text: str) -> str:
    """Return a text on one line. A sign stands in the place of each line break."""
    return text.translate(_BREAKS)


def quoted(text: str) -> str:
    """Return foreign words in quotes that they cannot close."""
    return f"“{visible(text).translate(_OUR_QUOTES)}”"


def describe(line: Line, number: int | None = None) -> list[str]:
    """Return a product as lines: number and shop, the address as it is sent, Zinc's words, and the chosen options."""
    which = f"product {line.product_id}" if line.product_id else "the product"
    head = f"{line.quantity} of {which} at {line.host}"
    said = [head if number is None else f"{number}. {head}", f"  {line.url}"]
    told = [f"titled {quoted(line.title)}"] if line.title else []
    told += [f"sold by {quoted(line.seller)}"] if line.seller else []
    told += [f"listed at {printed(line.price_cents)} each"] if line.price_cents is not None else []
    if told:
        said.append(f"  Zinc says: {', '.join(told)}")
    return said + [f"  {label}: {quoted(value)}" for label, value in line.options]


def paid_by(rail: RailName) -> str:
    """Return in words how a rail pays."""
    return "from the Zinc balance" if rail == "account" else "by the payment wallet"


def question_about(
    order: OrderCreate,
    products: Sequence[Product | None],
    *,
    rail: RailName,
    mode: Mode,
    fee_cents: int,
    left_day_cents: int | None,
    left_month_cents: int | None = None,
    left_orders_day: int | None = None,
    saved_as: str | None,
    twin: str | None = None,
    near: Sequence[str] = (),
    notes: Sequence[str] = (),
    look_up_cents: int = 0,
) -> Question:
    """Return the question about an order. `products` holds Zinc's answer about each line, if there is one.

    Raises:
        RefusedError: `order_too_large`: the question is longer than the longest that is asked.
    """
    rest = order.to_wire()
    lines = [
        _line(wire, product)
        for wire, product in zip(cast(list[dict[str, Any]], rest.pop("products")), products, strict=True)
    ]
    whole = _ship_to(order.shipping_address, rest.pop("shipping_address"))
    question = Question(
        retailer=order.retailer,
        lines=lines,
        ship_to=whole if saved_as is None else _saved_ship_to(order.shipping_address),
        ship_to_whole=whole,
        saved_as=saved_as,
        rail=rail,
        mode=mode,
        ceiling_cents=rest.pop("max_price"),
        fee_cents=fee_cents,
        left_day_cents=left_day_cents,
        left_month_cents=left_month_cents,
        left_orders_day=left_orders_day,
        extras=[(_label(path), value) for path, value in leaves(rest)],
        twin=twin,
        near=near,
        notes=notes,
        look_up_cents=look_up_cents,
        charged_to_customer=order.payment is not None and order.payment.mode == "connect",
    )
    if len(question.text().encode()) > MOST_BYTES:
        raise RefusedError(
            f"This order is longer than a person is ever asked about ({MOST_BYTES // 1024} KB), so nothing was sent.",
            "Split it into smaller orders, or shorten what is sent along with it.",
            code="order_too_large",
        )
    return question


def _line(wire: Mapping[str, Any], product: Product | None) -> Line:
    rest = dict(wire)
    url, quantity = str(rest.pop("url")), int(rest.pop("quantity", 1))
    options = [
        (f"With {quoted(str(option['label']))}", str(option["value"]))
        for option in cast(list[Mapping[str, Any]], rest.pop("variant", None) or [])
    ]
    known = product if product is not None and product.status == "completed" else None
    address = read_product_url(url)
    # Zinc shows the page's own offer, not that of another seller or variant that the address chooses.
    offered = known if known and not (address.chooses_seller or address.chooses_variant) else None
    return Line(
        # The host in ASCII: a look-alike in another script is shown as punycode.
        host=address.host,
        url=url,
        product_id=address.product_id,
        quantity=quantity,
        options=[
            *((f"The address chooses {quoted(name)}", value) for name, value in address.choices),
            *options,
            *((_label(path), value) for path, value in leaves(rest)),
        ],
        title=plain(known.title, 200) if known and known.title else None,
        seller=plain(offered.seller, 100) if offered and offered.seller else None,
        price_cents=offered.price if offered and (offered.currency_code or "USD") == "USD" else None,
    )


_IN_AN_ADDRESS = ("first_name", "last_name", "address_line1", "address_line2", "city", "state", "postal_code")


def _ship_to(address: Address, wire: Mapping[str, Any]) -> list[str]:
    rest = {name: value for name, value in wire.items() if name not in (*_IN_AN_ADDRESS, "country", "phone_number")}
    return [*shown_lines(address), *(f"{_label(path)}: {value}" for path, value in leaves(rest))]


def _saved_ship_to(address: Address) -> list[str]:
    return [f"{address.first_name} {address.last_name}", address.city, address.country]


_LABELS = {
    "idempotency_key": "Key of this order",
    "retailer_credentials_id": "Bought with the retailer account",
    "po_number": "Purchase order number",
    "handling_days_max": "Only sellers who hand it over within this many days",
    "is_gift": "Sent as a gift",
    "gift_message": "Gift message",
    "payment.mode": "Way of payment",
    "payment.payment_method": "Your customer's card",
    "payment.customer": "Your customer",
    "payment.margin.type": "Your markup is",
    "payment.margin.value": "Your markup",
    "customer_notifications.email": "E-mails about it, which Zinc charges for, to",
    "fulfillment.gift": "Bought even where it cannot be a gift",
    "fulfillment.items": "Bought even where some items cannot be",
    "fulfillment.quantity": "Bought even where fewer pieces can be had",
    "fulfillment.excluded_merchants": "Never bought from",
    "condition_in": "Only in condition",
    "condition_not_in": "Never in condition",
}
"""The names of fields for a person. A field that is not here keeps its own name."""


_CONDITIONS = {
    "New": "new",
    "Refurbished": "refurbished",
    "UsedLikeNew": "used, like new",
    "UsedVeryGood": "used, very good",
    "UsedGood": "used, good",
    "UsedAcceptable": "used, acceptable",
}
_SWITCH = {"true": "yes", "false": "no"}
_WORDS: Mapping[str, Mapping[str, str]] = {
    "condition_in": _CONDITIONS,
    "condition_not_in": _CONDITIONS,
    "is_gift": _SWITCH,
    "payment.mode": {"wallet": "your own wallet", "connect": "your customer's card"},
    "payment.margin.type": {"flat": "in cents", "percent": "in per cent"},
    **{f"fulfillment.{name}": {"best_effort": "yes"} for name in ("gift", "items", "quantity")},
    "reason": {each: each.replace("_", " ") for each in (*RETURN_REASONS, *CASE_REASONS)},
}
"""The words for a person in place of the values of those fields that know only a few values."""


def in_words(path: str, value: str) -> str:
    """Return the words for a value of a field that knows only a few values; any other value as it is."""
    return _WORDS.get(path, {}).get(value, value)


def _label(path: str) -> str:
    if path.startswith("metadata."):
        return f"Note {quoted(path.removeprefix('metadata.'))}"
    return _LABELS.get(path) or f"{path.replace('_', ' ').replace('.', ', ').capitalize()}"


def leaves(value: object, path: str = "") -> Iterator[Labelled]:
    """Yield each text, number and switch that would be sent, with its path. The rows of a list share a path."""
    if isinstance(value, Mapping) and value:
        for name, part in cast(Mapping[str, object], value).items():
            yield from leaves(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for part in cast(list[object], value):
            yield from leaves(part, path)
    elif path:
        yield path, in_words(path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def digest_of(
    question: BaseModel, body: bytes, *, mode: Mode, rail: RailName, origin: str, payer: str, most_cents: int
) -> str:
    """Return the digest that a yes is bound to. It is over all that a person sees and all that would be sent.

    Args:
        question: the question as it is frozen in the entry.
        body: the exact bytes that would be sent.
        mode: the mode of the order.
        rail: the way it is paid.
        origin: Zinc's origin.
        payer: the fingerprint of the API key, or of the wallet.
        most_cents: the most that may be debited, Zinc's highest fee included.
    """
    shown = question.model_dump(mode="json")
    whole = [shown, hashlib.sha256(body).hexdigest(), mode, rail, origin, payer, most_cents]
    return hashlib.sha256(canonical(whole).encode()).hexdigest()
