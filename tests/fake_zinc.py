"""Zinc as a callable: what a test puts into `script` happens to the next placing requests, one after the other."""

import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx

Step = str | httpx.Response | Exception


@dataclass
class FakeZinc:
    """Accepts orders, remembers them, and misbehaves as scripted.

    Steps for placing requests: `ok`; `lose_after` and `lose_before` (accepted or not, then the connection is lost);
    `500_after`; `refuse` (no connection); `hang` (accepted, never answered); `slow` (accepted, answered after 0.3 s);
    a response or an exception to give instead (nothing accepted).
    """

    clock: Callable[[], float]
    script: list[Step] = field(default_factory=list[Step])
    orders: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    requests: list[httpx.Request] = field(default_factory=list[httpx.Request])
    keys_honoured: bool = True
    listing: bool = True
    reads: list[httpx.Response | Exception] = field(default_factory=list[httpx.Response | Exception])
    lists: list[httpx.Response | Exception] = field(default_factory=list[httpx.Response | Exception])
    products: dict[str, dict[str, Any] | httpx.Response] = field(
        default_factory=dict[str, dict[str, Any] | httpx.Response]
    )
    on_post: Callable[[], Awaitable[None]] | None = None

    def transport(self) -> httpx.MockTransport:
        """Return this fake as the network."""
        return httpx.MockTransport(self._handle)

    @property
    def posts(self) -> list[httpx.Request]:
        """The placing requests seen."""
        return [request for request in self.requests if request.method == "POST"]

    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of the placing requests."""
        return [json.loads(request.content) for request in self.posts]

    def advance(self, order_id: str, status: str, **changes: Any) -> None:
        """Let an order's status change."""
        self.orders[order_id].update({"status": status, **changes})

    def settle(self, order_id: str, total: int) -> None:
        """Let an order be placed at a total, in cents."""
        components = {"subtotal": total, "tax": 0, "shipping": 0, "total": total, "currency": "USD"}
        self.advance(order_id, "order_placed", job_result={"success": True, "price_components": components})

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.method == "POST":
            return await self._post(request)
        if request.url.path.startswith("/products/"):
            product = self.products.get(request.url.path.rsplit("/", 1)[-1], failure(404, "not_found"))
            return product if isinstance(product, httpx.Response) else httpx.Response(200, json=product)
        if request.url.path == "/orders":
            if self.lists:
                return _given(self.lists.pop(0))
            name, value = request.url.params["metadata_key"], request.url.params["metadata_value"]
            found = [order for order in self.orders.values() if order["metadata"].get(name) == value]
            return httpx.Response(200, json={"orders": found if self.listing else [], "total": len(found)})
        if self.reads:
            return _given(self.reads.pop(0))
        order = self.orders.get(request.url.path.rsplit("/", 1)[-1])
        if order is None:
            return failure(404, "not_found")
        return httpx.Response(200, json=order)

    async def _post(self, request: httpx.Request) -> httpx.Response:
        if self.on_post is not None:
            await self.on_post()
        step = self.script.pop(0) if self.script else "ok"
        if step == "refuse":
            raise httpx.ConnectError("refused", request=request)
        if step == "lose_before":
            raise httpx.ReadError("lost", request=request)
        if not isinstance(step, str):
            return _given(step)
        body = json.loads(request.content)
        key = body["idempotency_key"]
        if self.keys_honoured and any(order["idempotency_key"] == key for order in self.orders.values()):
            return failure(409, "already_exists", resource="Order", identifier=key)
        order = self._accept(body)
        if step == "hang":
            await anyio.sleep_forever()
        if step == "slow":
            await anyio.sleep(0.3)
        if step == "lose_after":
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        if step == "500_after":
            return failure(500, "internal_error")
        return httpx.Response(201, json=order)

    def _accept(self, body: dict[str, Any]) -> dict[str, Any]:
        order_id = str(uuid.uuid4())
        now = datetime.fromtimestamp(self.clock(), UTC).isoformat()
        self.orders[order_id] = {
            "id": order_id,
            "status": "pending",
            "max_price": body["max_price"],
            "attempts": 0,
            "items": [
                {
                    "id": str(uuid.uuid4()),
                    "url": product["url"],
                    "quantity": product.get("quantity", 1),
                    "status": "pending",
                    "created_at": now,
                    "updated_at": now,
                }
                for product in body["products"]
            ],
            "shipping_address": body["shipping_address"],
            "metadata": body.get("metadata", {}),
            "retailer_credentials_id": None,
            "created_at": now,
            "updated_at": now,
            "idempotency_key": body["idempotency_key"],
            "backend_only": "must-not-leak",
        }
        return self.orders[order_id]


def failure(status: int, code: str, **details: Any) -> httpx.Response:
    """Return an error in the shape Zinc really sends."""
    return httpx.Response(status, json={"error": {"code": code, "message": "prose from Zinc", "details": details}})


def _given(step: httpx.Response | Exception) -> httpx.Response:
    if isinstance(step, Exception):
        raise step
    return step
