"""The price of a v1 order in the house's breakdown.

v1's amounts are cents of the order at the retailer. A managed order costs more than that: "Successful orders will
include the bid value in their ZMA cost", and a negative discount is so many per cent "above face value" (Create Order).
Whether `total` counts both already, no page says; the other parts show it. What is added is shown as fees.
"""

from collections.abc import Mapping
from typing import Any, cast

from zinc_mcp.zinc.answers import MAX_CENTS
from zinc_mcp.zinc.client import members

_ROUNDING = 5
"""Cents that the sum of the parts may differ from the total, because each part is rounded (as in `zinc.prices`)."""
_PARTS = ("subtotal", "tax", "shipping")


def breakdown(components: object, request: Mapping[str, Any]) -> object:
    """Return v1's price components as v2's, with what the request adds to the price of a managed order."""
    if not isinstance(components, Mapping):
        return None
    given: dict[str, Any] = {str(name): part for name, part in cast(Mapping[object, Any], components).items()}
    price = {name: given[name] for name in (*_PARTS, "total", *_MONEY) if name in given}
    price["cart_items"] = (
        [
            {"product_id": row.get("product_id"), "quantity": row.get("quantity"), "unit_price": row.get("price")}
            for row in map(members, cast(list[object], given["products"]))
        ]
        if isinstance(given.get("products"), list)
        else None
    )
    paid_by_gift = _cents(given.get("gift_certificate"))
    if paid_by_gift:
        price["line_items"] = [{"description": "gift balance", "amount": -paid_by_gift}]
    total, parts = given.get("total"), [given.get(name) for name in _PARTS]
    added = _added(total, request)
    if not added or type(total) is not int:
        return price
    if any(type(part) is not int for part in parts) or abs(sum(cast(list[int], parts)) - total) <= _ROUNDING:
        price["total"] = total + added
        if type(converted := given.get("converted_payment_total")) is int and converted == total:
            price["converted_payment_total"] = converted + added
    return {**price, "fees": added}


_MONEY = ("converted_payment_total", "currency", "payment_currency")


def _added(total: object, request: Mapping[str, Any]) -> int:
    """Return the cents that bid and negative discount add to the price of a managed order, rounded up."""
    if request.get("addax") is not True:
        return 0
    discount = request.get("zma_discount")
    above = -discount if type(discount) is int and -50 <= discount <= 0 else 0
    face = total if type(total) is int else 0
    return _cents(request.get("zma_priority_bid")) - (face * -above // 100)


def _cents(value: object) -> int:
    return value if type(value) is int and 0 <= value <= MAX_CENTS else 0
