"""What becomes of an order and when: decided by its body alone, so that every process tells the same story."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zinc_mcp.sandbox.prices import Line
from zinc_mcp.sandbox.products import Scenario, Trouble, scenario_of

WORKING_AT = 1.0
"""The age at which an order stops being pending."""

# Sandbox page and measurements: placed within seconds (ours: 3); then one tracking number walks pending, in_transit,
# delivered within about 15 s of creation. Seconds after the placement:
TRACKED, SHIPPED, DELIVERED = 2.0, 5.0, 12.0


@dataclass(frozen=True, slots=True)
class Concession:
    """One thing given up for a best effort (Concession); `item` is the product's place in the order."""

    concern: str
    trouble: Trouble
    item: int | None = None
    url: str | None = None
    requested: int | None = None
    fulfilled: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as the order shows it, without the item's id."""
        return {
            "concern": self.concern,
            "code": self.trouble.code,
            "message": self.trouble.message,
            "url": self.url,
            "requested_quantity": self.requested,
            "fulfilled_quantity": self.fulfilled,
        }


@dataclass(frozen=True, slots=True)
class Course:
    """How one order goes: who leads, what is bought, what is dropped, and whether it fails."""

    scenario: Scenario
    lines: tuple[Line | None, ...]
    """What is bought of each product; None: skipped."""
    failure: Trouble | None
    concessions: tuple[Concession, ...]

    @property
    def milestones(self) -> list[tuple[float, str]]:
        """Everything that will happen and at what age, oldest first (TimelineMilestone)."""
        scenario, placed_at = self.scenario, self.scenario.decided_at
        if placed_at is None:
            return [(0.0, "order_created")]
        if self.failure:
            return [(0.0, "order_created"), (placed_at, "order_failed")]
        found = [(0.0, "order_created"), (placed_at, "order_placed")]
        if scenario.cancelled_at is not None:
            return [*found, (scenario.cancelled_at, "cancelled")]
        steps = ((TRACKED, "tracking_acquired"), (SHIPPED, "shipped"), (DELIVERED, "delivered"))
        return found + [(placed_at + after, kind) for after, kind in steps]

    @property
    def bought(self) -> list[Line]:
        """The products that are bought."""
        return [line for line in self.lines if line is not None]


def course_of(body: Mapping[str, Any]) -> Course:
    """Decide an order (OrderCreate and FulfillmentPreferences): an absent preference is strict."""
    products: list[Mapping[str, Any]] = body["products"]
    wishes: Mapping[str, Any] = body.get("fulfillment") or {}
    decisions = [_decide(product, index, wishes) for index, product in enumerate(products)]
    lines = tuple(line for line, _, _ in decisions)
    troubles = [trouble for _, trouble, _ in decisions if trouble]
    given_up = [concession for _, _, concession in decisions if concession]
    wanted = [scenario_of(line.url) for line in lines if line]
    if not wanted:
        # With every item dropped nothing is left to buy, and that is still a failure.
        wanted, troubles = [scenario_of(products[0]["url"])], [given_up[0].trouble]
    if body.get("is_gift") and not all(scenario.gift_option for scenario in wanted):
        trouble = Trouble("gift_option_unavailable", "The retailer has no free gift option.")
        if wishes.get("gift") == "best_effort":
            given_up.append(Concession("gift", trouble))
        else:
            troubles.append(trouble)
    if body["max_price"] < 1:
        troubles.append(Trouble("max_price_exceeded", "The total is above max_price."))
    lead = next((scenario for scenario in wanted if scenario.name != "success"), wanted[0])
    return Course(lead, lines, troubles[0] if troubles else None, tuple(given_up))


def _decide(
    product: Mapping[str, Any], index: int, wishes: Mapping[str, Any]
) -> tuple[Line | None, Trouble | None, Concession | None]:
    """Decide one product: what is bought of it, why the order fails over it, or what is given up."""
    url: str = product["url"]
    wanted: int = product.get("quantity", 1)
    scenario = scenario_of(url)
    if (trouble := scenario.failure) is not None:
        if scenario.unbuyable and wishes.get("items") == "best_effort":
            return None, None, Concession("items", trouble, index, url, wanted, 0)
        return Line(url, wanted), trouble, None
    cap = scenario.quantity_cap
    if cap is None or wanted <= cap:
        return Line(url, wanted), None, None
    capped = Trouble("quantity_limit_exceeded", f"At most {cap} can be bought.")
    if wishes.get("quantity") == "best_effort":
        return Line(url, cap), None, Concession("quantity", capped, index, url, wanted, cap)
    return Line(url, wanted), capped, None
