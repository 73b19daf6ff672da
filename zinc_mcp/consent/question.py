"""What a person is asked before money is spent: the whole order, frozen in the entry, the same on every road.

It is built by walking what would be sent, so that nothing is sent that is not in the question, and nothing in it is
cut. Words of others stand in fields of their own, between quotes that they cannot close.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.entry import Mode, RailName
from zinc_mcp.text import plain, printed
from zinc_mcp.zinc.orders import Address, OrderCreate, canonical
from zinc_mcp.zinc.places import shown_lines
from zinc_mcp.zinc.prices import Product
from zinc_mcp.zinc.product_urls.reading import read_product_url

DIALOGUE_CHARACTERS = 24_000
"""The longest question that is asked in a host's dialogue; a longer one is asked on the page or in a terminal."""
MOST_BYTES = 256 * 1024
"""The longest question there is. What does not fit is refused before anything is asked."""

Labelled = tuple[str, str]


class Line(BaseModel):
    """One product of the question. `price_cents` is the listed price of one piece, where Zinc could tell."""

    model_config = ConfigDict(frozen=True)

    host: str
    url: str
    """The address as it would be sent, byte for byte."""
    product_id: str | None = None
    """The product's number in this shop, where the address names one."""
    quantity: int
    options: Sequence[Labelled] = ()
    """Everything else that is sent about this product."""
    title: str | None = None
    seller: str | None = None
    price_cents: int | None = None


class Question(BaseModel):
    """What a yes would allow, and nothing beyond it. Money is US cents."""

    model_config = ConfigDict(frozen=True)

    retailer: str
    lines: Sequence[Line]
    ship_to: Sequence[str]
    """The address as lines; name, city and country when it is a saved one."""
    ship_to_whole: Sequence[str]
    """The whole address as it would be sent."""
    saved_as: str | None = None
    """The name the owner saved the address under; None when the caller gave the address."""
    rail: RailName
    mode: Mode
    ceiling_cents: int
    fee_cents: int
    """The highest fee that may come on top of the ceiling."""
    left_day_cents: int | None
    """What the limit of 24 hours has left once this is bought."""
    left_month_cents: int | None = None
    left_orders_day: int | None = None
    extras: Sequence[Labelled] = ()
    """Everything else that would be sent."""
    twin: str | None = None
    """When the same was ordered before: how that order stands."""
    near: Sequence[str] = ()
    """Earlier orders for the same address that hold one of these products."""
    notes: Sequence[str] = ()
    """What else a person should know before they decide."""
    look_up_cents: int = 0
    charged_to_customer: bool = False
    """Stripe Connect: the card of somebody else's customer pays, with a markup on top."""

    @property
    def paid(self) -> str:
        """How it is paid, in words."""
        if self.charged_to_customer:
            return "by your customer's card, with your markup on top, which no limit here sees"
        return paid_by(self.rail)

    @property
    def most_cents(self) -> int:
        """The most a yes may debit."""
        return self.ceiling_cents + self.fee_cents

    @property
    def limits_left(self) -> Sequence[str]:
        """What the owner's limits still admit once this is bought, in words."""
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
        """What a person should weigh before a yes: earlier orders like this one, and other notes."""
        said = [] if self.twin is None else [f"The same was ordered before: {self.twin}. A yes buys it a second time."]
        said += [f"Part of this was ordered before: {each}." for each in self.near]
        return [*said, *self.notes]

    def text(self) -> str:
        """Return the whole question as plain lines, for a host's dialogue or a terminal; nothing is cut.

        Words of others stand in quotes that they cannot close, one field to a line.
        """
        said = [f"Buy from {self.retailer} for at most {printed(self.most_cents)}?{PRACTICE.get(self.mode, '')}"]
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
    """Return text on one line; where it breaks into lines, a sign stands that shows it."""
    return text.translate(_BREAKS)


def quoted(text: str) -> str:
    """Return words of others in quotes that nothing in them can end."""
    return f"“{visible(text).translate(_OUR_QUOTES)}”"


def describe(line: Line, number: int | None = None) -> list[str]:
    """Return one product as lines: what and where, its address as it is sent, what Zinc says, what is chosen."""
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
    """Say in words how a rail pays."""
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
    """Make the question for an order; `products` is what Zinc could tell about each line.

    Raises:
        RefusedError: `order_too_large`, it is longer than a person is ever asked.
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
        extras=[(_label(path), value) for path, value in _leaves(rest)],
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
    # What a page shows is its own offer: not that of another seller or variant that the address picks.
    offered = known if known and not (address.chooses_seller or address.chooses_variant) else None
    return Line(
        # The host in ASCII, so that a look-alike in another script shows as the punycode it is.
        host=address.host,
        url=url,
        product_id=address.product_id,
        quantity=quantity,
        options=[
            *((f"The address chooses {quoted(name)}", value) for name, value in address.choices),
            *options,
            *((_label(path), value) for path, value in _leaves(rest)),
        ],
        title=plain(known.title, 200) if known and known.title else None,
        seller=plain(offered.seller, 100) if offered and offered.seller else None,
        price_cents=offered.price if offered and (offered.currency_code or "USD") == "USD" else None,
    )


_IN_AN_ADDRESS = ("first_name", "last_name", "address_line1", "address_line2", "city", "state", "postal_code")


def _ship_to(address: Address, wire: Mapping[str, Any]) -> list[str]:
    rest = {name: value for name, value in wire.items() if name not in (*_IN_AN_ADDRESS, "country", "phone_number")}
    return [*shown_lines(address), *(f"{_label(path)}: {value}" for path, value in _leaves(rest))]


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
"""How fields are called before a person; one that is not here is called by its own name."""


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
}
"""What stands before a person for the words of Zinc's fields that know only a few; each has words of its own."""


def in_words(path: str, value: str) -> str:
    """Return what a person reads for a value: fields that know only a few values have words for each."""
    return _WORDS.get(path, {}).get(value, value)


def _label(path: str) -> str:
    if path.startswith("metadata."):
        return f"Note {quoted(path.removeprefix('metadata.'))}"
    return _LABELS.get(path) or f"{path.replace('_', ' ').replace('.', ', ').capitalize()}"


def _leaves(value: object, path: str = "") -> Iterator[Labelled]:
    """Walk what would be sent: each text, number and switch with the way to it; rows of a list share theirs."""
    if isinstance(value, Mapping) and value:
        for name, part in cast(Mapping[str, object], value).items():
            yield from _leaves(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for part in cast(list[object], value):
            yield from _leaves(part, path)
    elif path:
        yield path, in_words(path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def digest_of(
    question: Question, body: bytes, *, mode: Mode, rail: RailName, origin: str, payer: str, most_cents: int
) -> str:
    """Return the digest that a yes is bound to: what is shown, what would be sent, where, how, by whom, for how much.

    Args:
        question: what the person sees, as it is frozen in the entry.
        body: the exact bytes that would be sent.
        mode: whether real money moves.
        rail: how it is paid.
        origin: Zinc's origin.
        payer: the fingerprint of the API key, or of the wallet.
        most_cents: the most that may be debited, Zinc's highest fee included.
    """
    shown = question.model_dump(mode="json")
    whole = [shown, hashlib.sha256(body).hexdigest(), mode, rail, origin, payer, most_cents]
    return hashlib.sha256(canonical(whole).encode()).hexdigest()
