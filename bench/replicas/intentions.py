"""The things that members want, and the answers that their hosts got."""

from dataclasses import dataclass, field
from typing import Any

from bench.wanted import ADDRESS


@dataclass
class Intention:
    """One thing that a member wants, and all answers that the member's hosts got about it."""

    number: int
    member: str
    fault: str
    told: list[tuple[float, dict[str, Any]]] = field(default_factory=list[tuple[float, dict[str, Any]]])
    """Answers, each with the time at which its call began."""
    unanswered: int = 0

    @property
    def product(self) -> str:
        """The number of its product, which no other intention has."""
        return f"B{self.number:09d}"

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a placing call for it."""
        url = f"https://www.amazon.com/dp/{self.product}" + (f"?fault={self.fault}" if self.fault else "")
        return {"products": [{"url": url}], "shipping_address": ADDRESS, "max_price": 1000}
