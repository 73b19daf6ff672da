"""A host with an order that was delivered in the sandbox, and what the sandbox was sent about it afterwards."""

from collections.abc import Sequence
from typing import Any

import httpx
from conftest import HandClock
from mcp import Client
from server.as_a_host import call
from wanted import arguments

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.aftercare.requests import changes
from zinc_mcp.sandbox.products import PREFIX

SUCCESS = f"{PREFIX}test-success"
ADDRESS_MESSAGE = "Please send it to Ada Buyer, 99 Other Street, Albany, NY 12207."


class Live(httpx.AsyncBaseTransport):
    """Lets a live key into the sandbox, which takes test keys only, so that live rules can be tried."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = sandbox.transport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as for a test key."""
        key = request.headers.get("authorization", "")
        request.headers["authorization"] = key.replace("zn_live_", "zn_test_")
        return await self._inner.handle_async_request(request)


class LiveSandbox:
    """A sandbox for a live key."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def transport(self) -> httpx.AsyncBaseTransport:
        """Return the network that leads to it."""
        return Live(self.sandbox)


async def delivered(client: Client, clock: HandClock, *urls: str, quantity: int = 2) -> str:
    """Place an order and wait until it was delivered; return its id."""
    products = [{"url": url, "quantity": quantity} for url in urls or (SUCCESS,)]
    placed = await call(client, "place_order", arguments(products=products, max_price=20_000))
    clock.pass_seconds(20)
    told = await call(client, "get_order", {"order_id": placed["order_id"]})
    assert told["outcome"] == "placed", told
    return str(placed["order_id"])


def back(order_id: str, **changed: Any) -> dict[str, Any]:
    """Return the arguments that send one piece of the first item back."""
    return {"order_id": order_id, "items": [{"number": 1, "quantity": 1}], "reason": "defective", **changed}


def problem(order_id: str, **changed: Any) -> dict[str, Any]:
    """Return the arguments that report a problem."""
    return {"order_id": order_id, "reason": "not_received", "message": "It never came.", **changed}


def created(sandbox: Sandbox, path: str | None = None) -> Sequence[dict[str, Any]]:
    """Return what was filed at the sandbox."""
    return [
        each for each in changes(sandbox) if each["outcome"] in ("created", "closed") and path in (None, each["path"])
    ]
