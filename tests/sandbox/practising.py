"""The order, the clock and the clients that the sandbox's tests share, in process and on a port."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from wanted import ADDRESS

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.app import serve

SHOP = "https://zinc.com/shop/products/test-"


class Clock:
    """Seconds since the epoch, moved by the test."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


def product(scenario: str = "success", **fields: Any) -> dict[str, Any]:
    """Return one product of an order; `scenario` may carry a query with faults."""
    return {"url": f"{SHOP}{scenario}", **fields}


def order(*scenarios: str, **fields: Any) -> dict[str, Any]:
    """Return an order's body."""
    products = [product(scenario) for scenario in scenarios or ("success",)]
    return {"products": products, "shipping_address": ADDRESS, "max_price": 5000, **fields}


def customer(sandbox: Sandbox, api_key: str = "zn_test_ada", **options: Any) -> httpx.AsyncClient:
    """Return a client of this sandbox, in process."""
    return httpx.AsyncClient(
        transport=sandbox.transport(),
        base_url="https://api.zinc.com",
        headers={"Authorization": f"Bearer {api_key}"},
        **options,
    )


@asynccontextmanager
async def on_a_port(sandbox: Sandbox) -> AsyncGenerator[httpx.AsyncClient]:
    """Serve the sandbox on a free port and return a client of it."""
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(sandbox, "127.0.0.1", 0, ready=ready.set_result))
    try:
        port = await ready
        headers = {"Authorization": "Bearer zn_test_ada"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=2) as client:
            yield client
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def placed(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    """Place an order that must be taken, and return it."""
    answer = await client.post("/orders", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def read(client: httpx.AsyncClient, order_id: str) -> dict[str, Any]:
    """Read an order."""
    answer = await client.get(f"/orders/{order_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found
