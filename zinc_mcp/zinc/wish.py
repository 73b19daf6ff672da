"""An order as the checkout reads it, for either of Zinc's two interfaces."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from zinc_mcp.zinc.goods import Comparable

if TYPE_CHECKING:
    from zinc_mcp.zinc.product_urls.url_parts import ProductAddress


class Wish(Comparable, Protocol):
    """A checked order: `OrderCreate` of v2, or `V1Order`."""

    @property
    def idempotency_key(self) -> str | None:
        """The key that the caller gave."""
        ...

    @property
    def domain(self) -> str:
        """The registrable domain of the retailer of all products."""
        ...

    @property
    def max_price(self) -> int:
        """The most for items, tax and shipping, in US cents."""
        ...

    @property
    def ceiling_cents(self) -> int:
        """The most that may be debited for it, in US cents, without a fee of Zinc's own."""
        ...

    @property
    def pages(self) -> "Sequence[ProductAddress]":
        """The page of each product at its shop."""
        ...

    @property
    def chooses_account(self) -> bool:
        """Whether it is bought with an account at the retailer that is not Zinc's."""
        ...

    @property
    def account_id(self) -> str | None:
        """The id of that account at Zinc, if it is kept there."""
        ...

    @property
    def profile(self) -> str | None:
        """The name of that account, if it is the owner's and kept here."""
        ...

    @property
    def outside_limits(self) -> Sequence[tuple[str, str]]:
        """Its fields that cost money outside our limits, each with the switch of the policy that allows it."""
        ...

    def items(self) -> list[dict[str, Any]]:
        """Return the products as an entry keeps them to be shown."""
        ...

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON object to send, without our own notes."""
        ...
