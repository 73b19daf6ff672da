"""Orders for tests."""

from typing import Any

from zinc_mcp.checkout.place_order import Intent
from zinc_mcp.known_settings import TOOLS
from zinc_mcp.zinc.orders import OrderCreate

ADDRESS: dict[str, Any] = {
    "first_name": "Ada",
    "last_name": "Buyer",
    "address_line1": "12 Planted Street",
    "city": "New York",
    "state": "NY",
    "postal_code": "10001",
    "phone_number": "212-555-0147",
}

LISTED = [name for name in TOOLS if name != "place_v1_order"]
"""The tools of a server without a client token of v1."""

BOOK = "https://www.amazon.com/dp/B07JGBW826"


def arguments(**changes: Any) -> dict[str, Any]:
    """Return the arguments of a placing call."""
    return {"products": [{"url": BOOK}], "shipping_address": dict(ADDRESS), "max_price": 5000, **changes}


def order(**changes: Any) -> OrderCreate:
    """Return a checked order."""
    return OrderCreate.model_validate(arguments(**changes))


def intent(caller: str = "local", **changes: Any) -> Intent:
    """Return an intention on the account rail."""
    return Intent(caller, "account", order(**changes))


def book(number: int) -> list[dict[str, Any]]:
    """Return one product, another for each number."""
    return [{"url": f"https://www.amazon.com/dp/B{number:09d}"}]
