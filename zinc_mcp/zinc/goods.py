"""The parts by which two orders are compared, for either API of Zinc: the products and the place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from zinc_mcp.zinc.orders import Address


@dataclass(frozen=True, slots=True)
class Goods:
    """One line of an order in the form in which two orders are compared."""

    product: str
    """The product's page in its one spelling (`product_urls.reading`), also where an order gives a number."""
    likely: str
    """The same for pages that are only likely the same product's (`product_urls.likeness`)."""
    options: tuple[tuple[str, str], ...]
    """The options of the variant, folded and sorted."""
    quantity: int


class Comparable(Protocol):
    """An order that can be compared with others, and be sent."""

    @property
    def ship_to(self) -> Address:
        """The place it goes to, in v2's form."""
        ...

    def goods(self) -> Sequence[Goods]:
        """Return each product in the form in which two orders are compared."""
        ...

    def wished(self) -> Mapping[str, Any]:
        """Return all that the caller asked for, without the key and without fields that have their default."""
        ...

    def body(self, key: str, notes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON object to send with a key, and with notes of ours beside the caller's own."""
        ...
