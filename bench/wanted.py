"""The orders of the benches, and a home whose policy asks nobody."""

from pathlib import Path
from typing import Any

_POLICY = """\
[policy]
approval = "none"
max_order = 100000
max_day = 1000000000
max_month = 10000000000
"""

ADDRESS: dict[str, Any] = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "address_line1": "1 Main Street",
    "city": "New York",
    "state": "NY",
    "postal_code": "10001",
    "phone_number": "2125550147",
}


def order(number: int) -> dict[str, Any]:
    """Return the arguments of a placing call, for another product with each number."""
    return {
        "products": [{"url": f"https://www.amazon.com/dp/B{number:09d}", "quantity": 1}],
        "shipping_address": ADDRESS,
        "max_price": 6000,
    }


def v1_order(number: int) -> dict[str, Any]:
    """Return the arguments of a placing call of v1, for another product with each number."""
    place = {name: part for name, part in ADDRESS.items() if name != "postal_code"}
    return {
        "retailer": "amazon",
        "products": [{"product_id": f"B{number:09d}", "quantity": 1}],
        "shipping_address": {**place, "zip_code": ADDRESS["postal_code"]},
        "max_price": 6000,
        "shipping_method": "cheapest",
    }


def configured(home: Path, origin: str) -> dict[str, str]:
    """Write the owner's policy and return the variables of a server at this upstream."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "zinc.toml").write_text(_POLICY, encoding="utf-8")
    return {
        "ZINC_MCP_HOME": str(home),
        "ZINC_API_KEY": "zn_test_bench",
        "ZINC_API_URL": origin,
        "ZINC_V1_CLIENT_TOKEN": "token-of-a-bench",
        "ZINC_V1_API_URL": f"{origin}/v1",
        "ZINC_MCP_BROWSER": "0",
    }
