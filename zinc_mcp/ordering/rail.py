"""A rail is a way to buy: it can send, find again and read. It holds no policy and no state."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol, cast

from zinc_mcp.api.products import Product
from zinc_mcp.api.responses import Order
from zinc_mcp.ordering.entry import Mode, RailName
from zinc_mcp.ordering.twin import KEY_FIELD, TWIN_FIELD, normalised_url


class Rail(Protocol):
    """One way to buy, bound to one origin and one account."""

    @property
    def name(self) -> RailName:
        """The rail's name in the journal and the policy."""
        ...

    @property
    def mode(self) -> Mode:
        """Whether real money moves."""
        ...

    @property
    def origin(self) -> str:
        """Zinc's origin: what was sent to one is never sent to another."""
        ...

    @property
    def account(self) -> str:
        """Fingerprint of the API key."""
        ...

    async def send(self, body: bytes) -> Order:
        """Put exactly these bytes on the wire once.

        Raises:
            ZincUnreachableError: nothing was sent.
            OrderRejectedError, OrderAlreadyExistsError: Zinc answered no.
            OrderOutcomeUnknownError: sent, unanswered.
        """
        ...

    async def find(self, metadata_key: str, value: str) -> list[Order]:
        """List orders by one metadata pair; an empty list proves nothing."""
        ...

    async def read(self, order_id: str) -> Order:
        """Read one order."""
        ...

    async def product(self, retailer: str, product_id: str) -> Product:
        """Read what a product page says; may cost a cent."""
        ...


def is_the_order(order: Order, body: Mapping[str, Any]) -> bool:
    """Say whether an order that Zinc shows is the one these bytes asked for.

    Our own metadata settles it where Zinc shows it: the key is one order's, the twin digest covers ship-to and lines.
    Without it (an order named only by a 409) the price ceiling and every line must agree.
    """
    ours = cast(Mapping[str, Any], body.get("metadata") or {})
    if order.max_price is not None and order.max_price != body.get("max_price"):
        return False
    if KEY_FIELD in order.metadata:
        return all(order.metadata.get(name) == ours.get(name) for name in (KEY_FIELD, TWIN_FIELD))
    asked: Counter[str] = Counter()
    for product in cast(list[Mapping[str, Any]], body.get("products") or []):
        asked[normalised_url(str(product.get("url")))] += int(product.get("quantity", 1))
    shown: Counter[str] = Counter()
    for item in order.items:
        try:
            shown[normalised_url(item.url)] += item.quantity
        except (ValueError, UnicodeError):
            return False
    return shown == asked
