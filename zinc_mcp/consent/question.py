"""The question before money is spent. It shows the whole order, is frozen in the entry, and is the same everywhere.

It is built from all fields that would be sent, so that nothing is sent that it does not show, and none of it is cut.
Foreign words are in fields of their own, in quotes that they cannot close.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field

from zinc_mcp.consent.field_words import Labelled, by_account, label_of, leaves, quoted, visible
from zinc_mcp.consent.v1_terms import NO_TERMS, v1_terms
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.records.entry import ADOPTED, Mode
from zinc_mcp.known_settings import RailName
from zinc_mcp.text import plain, printed
from zinc_mcp.zinc.find.products import Product
from zinc_mcp.zinc.orders import Address, canonical
from zinc_mcp.zinc.places.reading import shown_lines
from zinc_mcp.zinc.product_urls.url_parts import ProductAddress
from zinc_mcp.zinc.wish import Wish

DIALOGUE_CHARACTERS = 24_000
"""The longest question for a host's dialogue. A longer one is asked on the page or in a terminal."""
MOST_BYTES = 256 * 1024
"""The longest question. An order that needs a longer one is refused, and nobody is asked."""

_V1_FEE = "Zinc's own fee for it comes on top, as you agreed with Zinc: v1 does not tell it."


def _is_empty(value: object) -> bool:
    # A question that was frozen before a field was there has to read as it did: a yes is bound to a digest over it.
    return not value


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
    beside: Sequence[tuple[str, int]] = Field((), exclude_if=_is_empty)
    """The parts of the ceiling that may come on top of the order's own `max_price`, in words and in cents."""
    account: str = Field("", exclude_if=_is_empty)
    """The account at the retailer and its way of paying, in words, where neither is Zinc's."""

    @property
    def paid(self) -> str:
        """The way of paying, in words."""
        if self.charged_to_customer:
            return "by your customer's card, with your markup on top, which no limit here sees"
        return self.account or paid_by(self.rail)

    @property
    def made_of(self) -> str:
        """The parts of the most that may be debited, as the end of a sentence."""
        itself = self.ceiling_cents - sum(cents for _, cents in self.beside)
        parts = [f"{printed(itself)} for items, tax and shipping"]
        parts += [f"{printed(cents)} for {what}" for what, cents in self.beside]
        if self.rail == "v1":
            return f"{', '.join(parts)}. {_V1_FEE}"
        return f"{', '.join(parts)}, plus at most {printed(self.fee_cents)} for Zinc."

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
        """The effect of a typed yes, as the end of a sentence."""
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
        said.append(f"Paid {self.paid}: at most {self.made_of}")
        if self.limits_left:
            said.append(f"Left of your limits after this: {', '.join(self.limits_left)}.")
        if self.look_up_cents:
            said.append(f"Looking up what the page says cost {printed(self.look_up_cents)}.")
        return "\n".join(said)


PRACTICE = {"sandbox": " (practice: nothing is really bought)", "test": " (test key: nothing is really bought)"}


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


def paid_by(rail: RailName, facts: Mapping[str, Any] | None = None) -> str:
    """Return the words that say how an order of a rail is paid; `facts` are those of its entry."""
    account: Mapping[str, Any] | None = (facts or {}).get("retailer_account")
    if rail == "v1" and ADOPTED in (facts or {}):
        return "through Zinc's v1"  # by a managed account or one of the owner's own
    return _PAID_BY[rail] if account is None else by_account(account)


_PAID_BY: Mapping[RailName, str] = {
    "account": "from the Zinc balance",
    "agent": "by the payment wallet",
    "v1": "from the balance of your managed accounts at Zinc (v1)",
}


def question_about(
    order: Wish,
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
    account: Mapping[str, str] | None = None,
) -> Question:
    """Return the question about an order. `products` holds Zinc's answer about each line, if there is one.

    `account` is what an entry keeps of an account of the owner's own, if one buys.

    Raises:
        RefusedError: `order_too_large`: the question is longer than the longest that is asked.
    """
    rest = order.to_wire()
    terms = v1_terms(rest, order, account) if rail == "v1" else NO_TERMS
    rows = cast(list[dict[str, Any]], rest.pop("products"))
    sellers = terms.sellers or [()] * len(rows)
    lines = [
        _line(wire, page, product, seller)
        for wire, page, product, seller in zip(rows, order.pages, products, sellers, strict=True)
    ]
    whole = _ship_to(order.ship_to, rest.pop("shipping_address"))
    del rest["max_price"]  # shown as money, in the ceiling
    question = Question(
        retailer=order.domain,
        lines=lines,
        ship_to=whole if saved_as is None else _saved_ship_to(order.ship_to),
        ship_to_whole=whole,
        saved_as=saved_as,
        rail=rail,
        mode=mode,
        ceiling_cents=order.ceiling_cents,
        fee_cents=fee_cents,
        left_day_cents=left_day_cents,
        left_month_cents=left_month_cents,
        left_orders_day=left_orders_day,
        extras=[*terms.extras, *((label_of(path), value) for path, value in leaves(rest))],
        twin=twin,
        near=near,
        notes=notes,
        look_up_cents=look_up_cents,
        charged_to_customer=any(switch == "connect" for _, switch in order.outside_limits),
        beside=terms.beside,
        account=terms.account,
    )
    if len(question.text().encode()) > MOST_BYTES:
        raise RefusedError(
            f"This order is longer than a person is ever asked about ({MOST_BYTES // 1024} KB), so nothing was sent.",
            "Split it into smaller orders, or shorten what is sent along with it.",
            code="order_too_large",
        )
    return question


def _line(wire: Mapping[str, Any], address: ProductAddress, product: Product | None, more: Sequence[Labelled]) -> Line:
    rest = dict(wire)
    quantity = int(rest.pop("quantity", 1))
    rest.pop("url", None)  # shown as the address, and so is the number that v1 has in its place
    number = rest.pop("product_id", address.product_id)
    options = [
        (f"With {quoted(str(option['label']))}", str(option["value"]))
        for option in cast(list[Mapping[str, Any]], rest.pop("variant", None) or [])
    ]
    known = product if product is not None and product.status == "completed" else None
    # Zinc shows the page's own offer, not that of another seller or variant that the address chooses.
    offered = known if known and not (address.chooses_seller or address.chooses_variant) else None
    return Line(
        # The host in ASCII: a look-alike in another script is shown as punycode.
        host=address.host,
        url=address.url,
        product_id=None if number is None else str(number),
        quantity=quantity,
        options=[
            *((f"The address chooses {quoted(name)}", value) for name, value in address.choices),
            *options,
            *((label_of(path), value) for path, value in leaves(rest)),
            *more,
        ],
        title=plain(known.title, 200) if known and known.title else None,
        seller=plain(offered.seller, 100) if offered and offered.seller else None,
        price_cents=offered.price if offered and (offered.currency_code or "USD") == "USD" else None,
    )


_IN_AN_ADDRESS = ("first_name", "last_name", "address_line1", "address_line2", "city", "state")


_SHOWN = (*_IN_AN_ADDRESS, "postal_code", "zip_code", "country", "phone_number")


def _ship_to(address: Address, wire: Mapping[str, Any]) -> list[str]:
    rest = {name: value for name, value in wire.items() if name not in _SHOWN}
    return [*shown_lines(address), *(f"{label_of(path)}: {value}" for path, value in leaves(rest))]


def _saved_ship_to(address: Address) -> list[str]:
    return [f"{address.first_name} {address.last_name}", address.city, address.country]


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
