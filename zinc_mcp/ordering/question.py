"""What a person is asked before money is spent: frozen in the entry, in a person's words, the same on every road.

Everything that comes from a model or a retailer is cleaned and bounded here, once, and shown in a place of its own.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from zinc_mcp.api.orders import OrderCreate, OrderProduct
from zinc_mcp.api.product_urls import read_product_url
from zinc_mcp.api.products import Product
from zinc_mcp.money import printed
from zinc_mcp.ordering.entry import Mode, RailName
from zinc_mcp.prose import plain

MAX_LINES = 30


class Line(BaseModel):
    """One product of the question. `price_cents` is the listed price of one piece, where Zinc could tell."""

    model_config = ConfigDict(frozen=True)

    host: str
    url: str
    quantity: int
    options: Sequence[tuple[str, str]] = ()
    title: str | None = None
    seller: str | None = None
    price_cents: int | None = None


class Question(BaseModel):
    """What a yes would allow, and nothing beyond it. Money is US cents."""

    model_config = ConfigDict(frozen=True)

    retailer: str
    lines: Sequence[Line]
    lines_left_out: int = 0
    ship_to: Sequence[str]
    """The address as lines; only the city when it is a saved one."""
    saved_as: str | None = None
    """The name the owner saved the address under; None when whoever ordered gave the address."""
    rail: RailName
    mode: Mode
    ceiling_cents: int
    fee_cents: int
    left_day_cents: int | None
    """What the limit of 24 hours has left once this is bought."""
    left_month_cents: int | None = None
    left_orders_day: int | None = None
    extras: Sequence[tuple[str, str]] = ()
    """Everything else that would be sent: gift text, purchase order number, notes."""
    twin: str | None = None
    """When the same was ordered before: how that order stands."""
    look_up_cents: int = 0

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

    def text(self) -> str:
        """Return the whole question as plain lines, for a host's dialogue or a terminal.

        Words of others stand in quotes that they cannot close, one field to a line.
        """
        said = [f"Buy from {self.retailer} for at most {printed(self.most_cents)}?{PRACTICE.get(self.mode, '')}"]
        said += [describe(line) for line in self.lines]
        if self.lines_left_out:
            said.append(f"And {self.lines_left_out} more products that are not listed here.")
        if self.saved_as is not None:
            said.append(f"Ship to your saved address {quoted(self.saved_as)}: {', '.join(self.ship_to)}")
        else:
            said.append(f"Ship to an address that was given: {quoted(', '.join(self.ship_to))}")
        said += [f"{label}: {quoted(value)}" for label, value in self.extras]
        said.append(
            f"Paid {paid_by(self.rail)}: at most {printed(self.ceiling_cents)} for items, tax and shipping, plus "
            f"{printed(self.fee_cents)} for Zinc."
        )
        if self.limits_left:
            said.append(f"Left of your limits after this: {', '.join(self.limits_left)}.")
        if self.twin is not None:
            said.append(f"The same was ordered before: {self.twin}. A yes buys it a second time.")
        if self.look_up_cents:
            said.append(f"Looking up what the page says cost {printed(self.look_up_cents)}.")
        return "\n".join(said)


PRACTICE = {"sandbox": " (practice: nothing is really bought)", "test": " (test key: nothing is really bought)"}

_QUOTES = str.maketrans(
    dict.fromkeys('"\u00ab\u00bb\u201c\u201d\u201e\u201f\u2033\u2036\u275d\u275e\u301d\u301e\u301f\uff02', "'")
)


def quoted(text: str) -> str:
    """Return somebody else's words in quotes, with nothing in them that could end the quotes."""
    return f"“{text.translate(_QUOTES)}”"


def describe(line: Line) -> str:
    """Return one product as a line of text."""
    name = f"{quoted(line.title)} at {line.host}" if line.title else f"the product at {line.url}"
    seller = f", sold by {quoted(line.seller)}" if line.seller else ""
    price = f", listed at {printed(line.price_cents)} each" if line.price_cents is not None else ""
    options = "".join(f", with {quoted(f'{label}: {value}')}" for label, value in line.options)
    return f"{line.quantity} of {name}{seller}{price}{options}"


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
    twin: str | None,
    look_up_cents: int,
) -> Question:
    """Make the question for an order; `products` is what Zinc could tell about each line."""
    return Question(
        retailer=order.retailer,
        lines=[_line(line, product) for line, product in zip(order.products, products, strict=True)][:MAX_LINES],
        lines_left_out=max(0, len(order.products) - MAX_LINES),
        ship_to=_ship_to(order, saved_as),
        saved_as=None if saved_as is None else plain(saved_as, 60),
        rail=rail,
        mode=mode,
        ceiling_cents=order.max_price,
        fee_cents=fee_cents,
        left_day_cents=left_day_cents,
        left_month_cents=left_month_cents,
        left_orders_day=left_orders_day,
        extras=_extras(order),
        twin=twin,
        look_up_cents=look_up_cents,
    )


def _line(line: OrderProduct, product: Product | None) -> Line:
    options = [(plain(option.label, 60), plain(option.value, 80)) for option in line.variant or []]
    for label, conditions in (("condition", line.condition_in), ("never", line.condition_not_in)):
        if conditions:
            options.append((label, ", ".join(conditions)))
    known = product if product is not None and product.status == "completed" else None
    host = read_product_url(line.url).host
    return Line(
        # The host in ASCII, so that a look-alike in another script shows as the punycode it is.
        host=host,
        url=plain(f"{host}/{line.url.split('/', 3)[-1]}", 120),
        quantity=line.quantity,
        options=options,
        title=plain(known.title, 120) if known and known.title else None,
        seller=plain(known.seller, 80) if known and known.seller else None,
        price_cents=known.price if known and (known.currency_code or "USD") == "USD" else None,
    )


def _ship_to(order: OrderCreate, saved_as: str | None) -> list[str]:
    address = order.shipping_address
    if saved_as is not None:
        return [plain(address.city, 60)]
    parts = (
        f"{address.first_name} {address.last_name}",
        address.address_line1,
        address.address_line2,
        address.city,
        f"{address.state or ''} {address.postal_code}".strip(),
        address.country,
        f"tel. {address.phone_number}",
    )
    return [plain(part, 80) for part in parts if part]


def _extras(order: OrderCreate) -> list[tuple[str, str]]:
    """List whatever else leaves with the order: each of these is a way to carry text out or to spend more."""
    extras: list[tuple[str, str]] = []
    if order.is_gift:
        extras.append(("Gift message", plain(order.gift_message or "none", 240)))
    if order.po_number is not None:
        extras.append(("Purchase order number", plain(order.po_number, 80)))
    if order.metadata:
        notes = ", ".join(f"{name} = {value}" for name, value in order.metadata.items())
        extras.append(("Notes sent along", plain(notes, 400)))
    if order.payment is not None and order.payment.mode == "connect":
        extras.append(("Charged to", f"your customer's card {plain(order.payment.payment_method, 40)}"))
    if order.retailer_credentials_id is not None:
        extras.append(("Retailer account", plain(order.retailer_credentials_id, 60)))
    if order.customer_notifications is not None:
        extras.append(("E-mails about it to", plain(order.customer_notifications.email, 80)))
    if order.fulfillment is not None:
        loosened = [name for name in ("gift", "items", "quantity") if getattr(order.fulfillment, name)]
        if loosened:
            extras.append(("May be bought incompletely", ", ".join(loosened)))
    return extras
