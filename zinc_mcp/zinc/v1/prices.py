"""The price of a v1 order in the form of `zinc.prices`.

v1's amounts are cents of the order at the retailer. A managed order costs more than that: "Successful orders will
include the bid value in their ZMA cost", and a negative discount is so many per cent "above face value" (Create Order).
No page says whether `total` already counts both; the other parts show it. The added amounts are shown as fees.
"""

from collections.abc import Mapping
from typing import Any, cast

from zinc_mcp.zinc.answers import MAX_CENTS
from zinc_mcp.zinc.client import members

_ROUNDING = 5
"""Cents that the sum of the parts may differ from the total, because each part is rounded (as in `zinc.prices`)."""
_PARTS = ("subtotal", "tax", "shipping")
_TAKEN = (*_PARTS, "total", "converted_payment_total", "currency", "payment_currency")


def breakdown(components: object, request: Mapping[str, Any]) -> object:
    """Return v1's price components as v2's, with what the request adds to the price of a managed order."""
    if not isinstance(components, Mapping):
        return None
    given: dict[str, Any] = {str(name): part for name, part in cast(Mapping[object, Any], components).items()}
    price = {name: given[name] for name in _TAKEN if name in given}
    if isinstance(products := given.get("products"), list):
        price["cart_items"] = [_cart_item(members(row)) for row in cast(list[object], products)]
    if paid_by_gift := _cents(given.get("gift_certificate")):
        price["line_items"] = [{"description": "gift balance", "amount": -paid_by_gift}]
        price |= _with_gift_balance(price, paid_by_gift)
    return price | _with_what_is_added(price, request)


def _with_gift_balance(price: Mapping[str, Any], gift: int) -> dict[str, Any]:
    """Return the totals with the amount that the gift balance paid, which is the owner's money like any other.

    No page says whether `total` counts it; the other parts show it. Without them no total is taken.
    """
    totals = [name for name in ("total", "converted_payment_total") if price.get(name) is not None]
    parts = [price.get(name) for name in _PARTS]
    if any(type(part) is not int for part in parts):
        return dict.fromkeys(totals)
    total, whole = price.get("total"), sum(cast(list[int], parts))
    if type(total) is not int or abs(whole - gift - total) > _ROUNDING:
        return {}
    if (price.get("payment_currency") or price.get("currency")) != price.get("currency"):
        return dict.fromkeys(totals)  # the amount of the gift balance is not known in the other currency
    return {name: price[name] + gift for name in totals if type(price[name]) is int}


def _cart_item(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"product_id": row.get("product_id"), "quantity": row.get("quantity"), "unit_price": row.get("price")}


def _with_what_is_added(price: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the amounts that differ from v1's, because the balance is debited with more than the retailer charges."""
    total, converted = price.get("total"), price.get("converted_payment_total")
    currency = price.get("currency") or "USD"
    if (price.get("payment_currency") or currency) != currency:
        # The added amounts are US cents, so a total in another currency does not hold them.
        added = _added(converted, request)
        return {"converted_payment_total": converted + added} if added and type(converted) is int else {}
    added = _added(total, request)
    if not added or type(total) is not int or currency != "USD":
        return {}
    if type(converted) is int and converted != total:
        is_counted = abs(converted - total - added) <= _ROUNDING
        return {"total": converted, "fees": added} if is_counted else {}
    parts = [price.get(name) for name in _PARTS]
    if all(type(part) is int for part in parts) and abs(sum(cast(list[int], parts)) - total) > _ROUNDING:
        return {"fees": added}  # the parts are less than the total, so it is counted, or they contradict each other
    both = {"total": total + added, "fees": added}
    return both if converted is None else {**both, "converted_payment_total": total + added}


def _added(face_value: object, request: Mapping[str, Any]) -> int:
    """Return the US cents that bid and negative discount add to the price of a managed order, rounded up."""
    if request.get("addax") is not True:
        return 0
    discount = request.get("zma_discount")
    above = -discount if type(discount) is int and -50 <= discount <= 0 else 0
    return _cents(request.get("zma_priority_bid")) + (_cents(face_value) * above + 99) // 100


def _cents(value: object) -> int:
    return value if type(value) is int and 0 <= value <= MAX_CENTS else 0
