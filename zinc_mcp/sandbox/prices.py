"""What an order comes to: never above its max_price, and the same in every process."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zinc_mcp.sandbox.products import HOSTILE, Scenario, title_of, unit_price

ORDER_FEE = 100
WALLET_BALANCE = 1_000_000

_CENTS_PER_EURO = 115


@dataclass(frozen=True, slots=True)
class Line:
    """One product as it is bought."""

    url: str
    quantity: int


def charged_cents(lines: Sequence[Line], max_price: int) -> int:
    """Return what the retailer charges, in US cents."""
    natural, _ = _natural(lines)
    # Whole percents below the ceiling: a real total hardly ever hits it exactly.
    return natural if natural <= max_price else max(1, max_price * 95 // 100)


def price_components(lines: Sequence[Line], max_price: int, scenario: Scenario) -> dict[str, Any] | None:
    """Return `job_result.price_components` (PriceComponents), or None where the scenario records none.

    The test product costs 4500 + 250 + 150 = 4900 as measured; that the 250 is the tax is our guess. Where that is
    above max_price, everything is scaled below it: the sandbox finds a cheaper shop.
    """
    if not scenario.priced:
        return None
    natural, tax = _natural(lines)
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
        # SDK: the amount charged incl. the FX markup when billed in another currency, else equal to the total.
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


def _natural(lines: Sequence[Line]) -> tuple[int, int]:
    """Return what the lines come to by themselves, and how much of it is tax."""
    listed = sum(unit_price(line.url) * line.quantity for line in lines)
    tax, shipping = listed * 250 // 4500, 150
    return listed + tax + shipping, tax
