"""The order and the clients that the tests of the sandbox's Zinc v1 share. They speak HTTP only."""

from typing import Any

import httpx
from sandbox.practising import Clock

from zinc_mcp.sandbox import Dialect, Sandbox
from zinc_mcp.sandbox.v1.rules.products import practice_id

BASE = "https://api.zinc.io/v1"
TOKEN = "sandbox"
COFFEE = "B0SNDBXC01"
ADDRESS: dict[str, Any] = {
    "first_name": "Ada",
    "last_name": "Buyer",
    "address_line1": "12 Planted Street",
    "address_line2": "",
    "zip_code": "10001",
    "city": "New York",
    "state": "NY",
    "country": "US",
    "phone_number": "2125550147",
}
OWN: dict[str, Any] = {
    "addax": None,
    "retailer_credentials": {"email": "ada@planted.example", "password": "planted-password", "totp_2fa_key": "PLANTED"},
    "payment_method": {
        "name_on_card": "Ada Buyer",
        "number": "5555555555554444",
        "security_code": "123",
        "expiration_month": 1,
        "expiration_year": 2040,
        "use_gift": False,
    },
    "billing_address": {**ADDRESS, "address_line1": "7 Planted Lane"},
}
"""The members of an order by an own account."""


def order_v1(product_id: str = COFFEE, **fields: Any) -> dict[str, Any]:
    """Return the body of a managed order; a field that is None is left out."""
    body = {
        "retailer": "amazon",
        "products": [{"product_id": product_id, "quantity": 1}],
        "shipping_address": ADDRESS,
        "is_gift": False,
        "shipping_method": "cheapest",
        "addax": True,
        "max_price": 9000,
        **fields,
    }
    return {name: value for name, value in body.items() if value is not None}


def practised(name: str, **fields: Any) -> dict[str, Any]:
    """Return a managed order of a product to practise on."""
    return order_v1(practice_id(name), **fields)


def asking(text: str) -> dict[str, Any]:
    """Return the notes that ask for faults."""
    return {"practice": text}


def client_of(sandbox: Sandbox, token: str = TOKEN, **options: Any) -> httpx.AsyncClient:
    """Return a client of the sandbox's v1, in process."""
    return httpx.AsyncClient(transport=sandbox.transport(), base_url=BASE, auth=(token, ""), **options)


class V1:
    """A practised Zinc v1 with a clock, and what a client does with it."""

    def __init__(self, dialect: str = "", **options: Any) -> None:
        self.clock = Clock()
        self.sandbox = Sandbox(clock=self.clock, dialect=Dialect.parse(dialect), **options)
        self.client = client_of(self.sandbox)

    async def post(self, body: Any = None, path: str = "") -> Any:
        """POST about orders, and return the content."""
        return (await self.client.post(f"/orders{path}", json=order_v1() if body is None else body)).json()

    async def place(self, body: Any = None, seconds: float = 0.0) -> str:
        """Place an order that must be taken, let some seconds go by, and return its id."""
        told = await self.post(body)
        assert set(told) == {"request_id"}, told
        self.clock.now += seconds
        return str(told["request_id"])

    async def read(self, request_id: str, of: str = "orders") -> Any:
        """Read an order or something that became of it."""
        return (await self.client.get(f"/{of}/{request_id}")).json()

    async def outcome(self, body: Any) -> tuple[Any, Any]:
        """Place an order, let a day go by, and return `_type` and code."""
        shown = await self.read(await self.place(body, 86_400))
        return shown["_type"], shown.get("code")

    async def listed(self, **query: Any) -> Any:
        """Read a list."""
        return (await self.client.get("/orders", params=query)).json()
