"""What becomes of an order and when: decided by its body alone, so that every process tells the same story."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zinc_mcp.sandbox.catalogue import Scenario, Trouble, scenario_of
from zinc_mcp.sandbox.prices import Line

# Sandbox page and measurements: placed within seconds; then one tracking number walks pending, in_transit, delivered
# within about 15 s of creation.
WORKING_AT = 1.0
TRACKED_AT = 5.0
SHIPPED_AT = 8.0
DELIVERED_AT = 15.0


@dataclass(frozen=True, slots=True)
class Course:
    """How one order goes: who leads, what is bought, what is dropped, and whether it fails."""

    scenario: Scenario
    lines: tuple[Line | None, ...]
    """What is bought of each product; None: skipped."""
    failure: Trouble | None
    concessions: tuple[dict[str, Any], ...]

    @property
    def bought(self) -> list[Line]:
        """The products that are bought."""
        return [line for line in self.lines if line is not None]


def course_of(body: Mapping[str, Any]) -> Course:
    """Decide an order (OrderCreate and FulfillmentPreferences): absent preferences are strict."""
    wishes: Mapping[str, Any] = body.get("fulfillment") or {}
    lines: list[Line | None] = []
    troubles: list[Trouble] = []
    concessions: list[dict[str, Any]] = []
    for index, product in enumerate(body["products"]):
        line, trouble, concession = _bought(product, index, wishes)
        lines.append(line)
        if trouble:
            troubles.append(trouble)
        if concession:
            concessions.append(concession)
    kept = [scenario_of(line.url) for line in lines if line]
    lead = next((scenario for scenario in kept if scenario.name != "success"), kept[0] if kept else None)
    if lead is None:
        # Every item was dropped: nothing left to buy is still a failure.
        lead = scenario_of(body["products"][0]["url"])
        troubles.append(lead.failure or Trouble("product_unavailable", "Nothing is left to buy."))
        concessions.clear()
    if body.get("is_gift") and not all(scenario.gift_option for scenario in kept):
        if wishes.get("gift") == "best_effort":
            concessions.append({"concern": "gift", "code": "gift_option_unavailable", "message": "Sent without wrap."})
        else:
            troubles.append(Trouble("gift_option_unavailable", "The retailer has no free gift option."))
    if body["max_price"] < 1:
        troubles.append(Trouble("max_price_exceeded", "The total is above max_price."))
    return Course(lead, tuple(lines), troubles[0] if troubles else None, () if troubles else tuple(concessions))


def _bought(
    product: Mapping[str, Any], index: int, wishes: Mapping[str, Any]
) -> tuple[Line | None, Trouble | None, dict[str, Any] | None]:
    url, wanted = product["url"], product.get("quantity", 1)
    scenario = scenario_of(url)
    line = Line(url, wanted)
    if scenario.failure is not None:
        if not (scenario.unbuyable and wishes.get("items") == "best_effort"):
            return line, scenario.failure, None
        return (
            None,
            None,
            {
                "concern": "items",
                "code": scenario.failure.code,
                "message": scenario.failure.message,
                "item": index,
                "url": url,
                "requested_quantity": wanted,
                "fulfilled_quantity": 0,
            },
        )
    cap = scenario.quantity_cap
    if cap is None or wanted <= cap:
        return line, None, None
    if wishes.get("quantity") != "best_effort":
        return line, Trouble("quantity_limit_exceeded", f"At most {cap} can be bought."), None
    return (
        Line(url, cap),
        None,
        {
            "concern": "quantity",
            "code": "quantity_limit_exceeded",
            "message": f"At most {cap} can be bought.",
            "item": index,
            "url": url,
            "requested_quantity": wanted,
            "fulfilled_quantity": cap,
        },
    )
