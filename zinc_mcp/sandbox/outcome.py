"""The outcome of an order: the products bought, their price, the failure, the times, and the job result.

It is computed from the order's body and the time, so that every process gives the same answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zinc_mcp.sandbox.ledger import OrderRow
from zinc_mcp.sandbox.products import HOSTILE, Reason, Scenario, scenario_of, title_of, unit_price

ORDER_FEE = 100
WORKING_AGE_SECONDS = 1.0
"""The age in seconds at which an order stops being pending."""

# Sandbox page and measurements: placed within seconds (here: 3); then one tracking number goes through pending,
# in_transit and delivered within about 15 s of creation. Seconds after the placement:
TRACKED_SECONDS, SHIPPED_SECONDS, DELIVERED_SECONDS = 2.0, 5.0, 12.0

BOUGHT = ("order_placed", "cancelled_by_retailer")
"""The statuses in which the retailer has accepted the order."""

When = Callable[[float], str]
"""Returns the date-time of an age."""

_CENTS_PER_EURO = 115
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One product as it is bought."""

    url: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Concession:
    """One thing given up for a best effort (Concession); `item` is the product's place in the order."""

    concern: str
    reason: Reason
    item: int | None = None
    url: str | None = None
    requested: int | None = None
    fulfilled: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The decision about one order."""

    scenario: Scenario
    """The scenario that sets its times: that of the first bought product whose scenario is not `success`."""
    lines: tuple[Line | None, ...]
    """Each product as it is bought; None for a skipped one."""
    failure: Reason | None
    concessions: tuple[Concession, ...]

    @property
    def milestones(self) -> list[tuple[float, str]]:
        """All events with their age in seconds, oldest first (TimelineMilestone)."""
        scenario, placed_at = self.scenario, self.scenario.decided_at
        if placed_at is None:
            return [(0.0, "order_created")]
        if self.failure:
            return [(0.0, "order_created"), (placed_at, "order_failed")]
        found = [(0.0, "order_created"), (placed_at, "order_placed")]
        if scenario.cancelled_at is not None:
            return [*found, (scenario.cancelled_at, "cancelled")]
        steps = ((TRACKED_SECONDS, "tracking_acquired"), (SHIPPED_SECONDS, "shipped"), (DELIVERED_SECONDS, "delivered"))
        return found + [(placed_at + after, kind) for after, kind in steps]

    @property
    def bought(self) -> list[Line]:
        """The products that are bought."""
        return [line for line in self.lines if line is not None]


def age_of(row: OrderRow, now: float, pace: float) -> float:
    """Return an order's age in seconds at pace 1; a cancelled order does not grow older."""
    until = now if row.cancelled_at is None else min(now, row.cancelled_at)
    # To the millisecond: near 2**31 a float is not exact enough to reach 3.0 by adding 3.0.
    return max(0.0, round((until - row.created_at) * pace, 3))


def outcome_of(body: Mapping[str, Any]) -> Outcome:
    """Return the outcome of an order (OrderCreate and FulfillmentPreferences). An absent preference is strict."""
    products: list[Mapping[str, Any]] = body["products"]
    wishes: Mapping[str, Any] = body.get("fulfillment") or {}
    decisions = [_decide(product, index, wishes) for index, product in enumerate(products)]
    lines = tuple(line for line, _, _ in decisions)
    failures = [reason for _, reason, _ in decisions if reason]
    concessions = [concession for _, _, concession in decisions if concession]
    scenarios = [scenario_of(line.url) for line in lines if line]
    if not scenarios:
        # If every item is dropped, nothing is left to buy, and the order fails.
        scenarios, failures = [scenario_of(products[0]["url"])], [concessions[0].reason]
    if body.get("is_gift") and not all(scenario.gift_option for scenario in scenarios):
        reason = Reason("gift_option_unavailable", "The retailer has no free gift option.")
        if wishes.get("gift") == "best_effort":
            concessions.append(Concession("gift", reason))
        else:
            failures.append(reason)
    if body["max_price"] < 1:
        failures.append(Reason("max_price_exceeded", "The total is above max_price."))
    lead = next((scenario for scenario in scenarios if scenario.name != "success"), scenarios[0])
    return Outcome(lead, lines, failures[0] if failures else None, tuple(concessions))


def _decide(
    product: Mapping[str, Any], index: int, wishes: Mapping[str, Any]
) -> tuple[Line | None, Reason | None, Concession | None]:
    """Return what is bought of one product, why the order fails because of it, and what is given up."""
    url: str = product["url"]
    wanted: int = product.get("quantity", 1)
    scenario = scenario_of(url)
    if (reason := scenario.failure) is not None:
        if scenario.unbuyable and wishes.get("items") == "best_effort":
            return None, None, Concession("items", reason, index, url, wanted, 0)
        return Line(url, wanted), reason, None
    cap = scenario.quantity_cap
    if cap is None or wanted <= cap:
        return Line(url, wanted), None, None
    capped = Reason("quantity_limit_exceeded", f"At most {cap} can be bought.")
    if wishes.get("quantity") == "best_effort":
        return Line(url, cap), None, Concession("quantity", capped, index, url, wanted, cap)
    return Line(url, wanted), capped, None


def charged_cents(lines: Sequence[Line], max_price: int) -> int:
    """Return what the retailer charges, in US cents: never above `max_price`, unless that is 0."""
    natural, _ = _listed_total(lines)
    # A whole percentage below the ceiling, because a real total hardly ever equals it.
    return natural if natural <= max_price else max(1, max_price * 95 // 100)


def _listed_total(lines: Sequence[Line]) -> tuple[int, int]:
    """Return the sum of the listed prices with tax and shipping, and the tax in it, in cents."""
    listed = sum(unit_price(line.url) * line.quantity for line in lines)
    tax, shipping = listed * 250 // 4500, 150
    return listed + tax + shipping, tax


def _price_components(lines: Sequence[Line], max_price: int, scenario: Scenario) -> _Json | None:
    """Return `job_result.price_components` (PriceComponents), or None if the scenario records none.

    The test product costs 4500 + 250 + 150 = 4900 as measured; we guess that the 250 are tax. If that is above
    max_price, all amounts are scaled below it, as if the sandbox found a cheaper shop.
    """
    if not scenario.priced:
        return None
    natural, tax = _listed_total(lines)
    total = charged = charged_cents(lines, max_price)
    if scenario.currency != "USD":
        total = max(1, total * 100 // _CENTS_PER_EURO)
    units = [unit_price(line.url) * total // natural for line in lines]
    subtotal = sum(unit * line.quantity for unit, line in zip(units, lines, strict=True))
    tax = tax * total // natural
    recorded = scenario.breakdown_recorded
    return {
        "subtotal": subtotal if recorded else 0,
        "tax": tax if recorded else 0,
        "shipping": total - subtotal - tax if recorded else 0,
        "discount": 0,
        "fees": 0,
        "total": total,
        # SDK: the charged amount with the FX markup if billed in another currency, else equal to the total.
        "converted_payment_total": charged if scenario.payment_currency != scenario.currency else total,
        "currency": scenario.currency,
        "payment_currency": scenario.payment_currency,
        "cart_items": [
            {
                "name": title_of(line.url),
                "product_id": line.url.partition("?")[0].rstrip("/").rpartition("/")[2],
                "quantity": line.quantity,
                "unit_price": unit,
                "line_total": unit * line.quantity,
                "buybox_rank": 1,
            }
            for unit, line in zip(units, lines, strict=True)
        ]
        if recorded
        else None,
        "line_items": [{"description": HOSTILE, "amount": 0, "category": "note"}] if scenario.hostile else [],
        "breakdown_recorded": recorded,
        "rounding_mode": "half_even",
    }


def job_result(row: OrderRow, status: str, outcome: Outcome, when: When) -> _Json | None:
    """Return JobResult; None while the order is processed, and if it was cancelled before that."""
    blank: _Json = {
        "success": None,
        "error": None,
        "error_type": None,
        "error_details": None,
        "price_components": None,
        "estimated_delivery": None,
        "merchant_order_ids": None,
        # Internal keys may appear (SDK: open object). No client may show them.
        "internal": {"worker": "must-not-leak", "proxy": "must-not-leak"},
    }
    scenario = outcome.scenario
    if status == "order_failed" and (reason := outcome.failure):
        failed = {"success": False, "error": reason.message, "error_type": reason.code}
        return {**blank, **failed, "error_details": _error_details(reason, row.body, scenario)}
    if status not in BOUGHT or scenario.decided_at is None:
        return None
    return {
        **blank,
        "success": True,
        "price_components": _price_components(outcome.bought, row.body["max_price"], scenario),
        "estimated_delivery": HOSTILE if scenario.hostile else when(scenario.decided_at + DELIVERED_SECONDS),
        # The keys are not documented in v2: those of v1 (V1 Retrieve an order). The account may be an e-mail address.
        "merchant_order_ids": [
            {
                "merchant_order_id": HOSTILE if scenario.hostile else f"ZINC-TEST-{row.order_id[:8]}",
                "merchant": "zinc",
                "account": "must-not-leak@sandbox.invalid",
                "placed_at": when(scenario.decided_at),
            }
        ],
    }


def _error_details(reason: Reason, body: Mapping[str, Any], scenario: Scenario) -> _Json:
    product = body["products"][0]
    rejection = {
        "url": product["url"],
        "product_id": None,
        "requested_quantity": product.get("quantity", 1),
        "available_quantity": 0,
        "codes": [reason.code],
        "messages": [reason.message],
    }
    field_error = {"field": reason.message, "code": "invalid", "message": reason.message, "received": 1}
    return {
        "code": reason.code,
        "message": reason.message,
        "url": product["url"],
        "address_validation_reasons": [reason.message] if reason.code == "shipping_unavailable" else [],
        "field_errors": [{**field_error, "expected": None}] if scenario.hostile else [],
        "line_rejections": [rejection] if scenario.unbuyable or scenario.hostile else [],
        "screenshot": None,
    }
