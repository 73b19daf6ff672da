"""A fake Zinc: `script` says what happens to the next placing requests, one after the other."""

import base64
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Literal

import anyio
import httpx
from payments.payees import Payee

from zinc_mcp.payments.headers import encoded_object, to_payment_receipt
from zinc_mcp.sandbox.challenges import bound
from zinc_mcp.sandbox.orders.agent import verify

Changed = Callable[[dict[str, Any]], dict[str, Any]]
Step = str | httpx.Response | Exception
Quoted = dict[str, Any] | httpx.Response | Exception | Literal["given", "given_truncated"]
"""Changes to the honest challenge (members of `request`; parameters with a leading dot), or another answer: an order
that nobody asked to pay for, its body cut short."""

NOTHING_FOUND: dict[str, Any] = {"status": "completed", "query": "", "results": []}
ORDERABLE: dict[str, Any] = {
    "orderable": True,
    "support": "verified",
    "support_detail": "Daily test orders pass.",
    "how_to_order": "Send it to POST /orders.",
    "ships_to": None,
    "checkout": {"guest_checkout": True, "use_your_account": True},
}

PAYEE = b"a payee's secret of 32 bytes or more"


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
    fee_cents: int = 100
    listing: bool = True
    reads: list[httpx.Response | Exception] = field(default_factory=list[httpx.Response | Exception])
    lists: list[httpx.Response | Exception] = field(default_factory=list[httpx.Response | Exception])
    wallets: list[httpx.Response | Exception] = field(default_factory=list[httpx.Response | Exception])
    """The next answer of `GET /wallet/me`, instead of balance and fee."""
    products: dict[str, dict[str, Any] | httpx.Response] = field(
        default_factory=dict[str, dict[str, Any] | httpx.Response]
    )
    """By the path after `/products/`: an id, or an id and `/offers`."""
    searches: list[httpx.Response | Exception] = field(default_factory=list[httpx.Response | Exception])
    check: dict[str, Any] | httpx.Response | Exception = field(default_factory=lambda: dict(ORDERABLE))
    """The answer to `GET /retailers/check`."""
    quotes: list[Quoted] = field(default_factory=list[Quoted])
    """The next answers to unpaid agent orders, instead of an honest 402."""
    settled: dict[str, str] = field(default_factory=dict[str, str])
    payments_over: bool = False
    """Whether an unsettled challenge is proved never to settle."""
    settlements: list[str] = field(default_factory=list[str])
    """References of the payments taken."""
    order_keys: dict[str, str] = field(default_factory=dict[str, str])
    payee: Payee | None = None
    """The payee that asks for the money and verifies the payments, instead of the practice wallet's payee."""
    meanwhile: Callable[[], object] | None = None
    """Happens once, when the next order is accepted and before its answer."""
    replays: bool = False
    """Whether a payment's first answer comes again for it (the draft's "SHOULD"), or 403."""
    on_post: Callable[[], Awaitable[None]] | None = None
    shown_when_placed: Changed = dict
    """Returns the part of a placed order that a 201 shows."""
    shown_when_read: Changed = dict
    """Returns the part of an order that a read shows."""
    cancels: list[Step] = field(default_factory=list[Step])
    """The steps for the next cancellations: `lose_after`, `lose_before`, `500_after`, `refuse`, `lie` (204, and
    nothing is cancelled), `hang`, or an answer to give instead."""
    unpaged: bool = False
    """Whether lists have no `total`, as before SDK 2026.7.17."""
    timelines: list[httpx.Response | Exception] = field(default_factory=list[httpx.Response | Exception])
    dated: bool = True
    """Whether answers carry the time, by `clock`."""

    def transport(self) -> httpx.MockTransport:
        """Return this fake as the network."""
        return httpx.MockTransport(self._answer)

    @property
    def posts(self) -> list[httpx.Request]:
        """The placing requests seen."""
        return [
            request
            for request in self.requests
            if request.method == "POST" and not request.url.path.endswith("/cancel")
        ]

    @property
    def cancellations(self) -> list[str]:
        """The ids of the orders that Zinc was asked to cancel."""
        return [request.url.path.split("/")[-2] for request in self.requests if request.url.path.endswith("/cancel")]

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

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        response = await self._handle(request)
        if self.dated:
            response.headers["Date"] = formatdate(self.clock(), usegmt=True)
        return response

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.method == "POST" and self.on_post is not None:
            await self.on_post()
        if request.url.path == "/agent/orders":
            return await self._agent(request)
        if request.url.path.endswith("/cancel"):
            return await self._cancel(request)
        if request.url.path.startswith("/agent/"):
            return self._agent_question(request)
        if request.method == "POST":
            return await self._post(request)
        if request.url.path.startswith("/practice/settlements/"):
            return self._settlement(request.url.path.rsplit("/", 1)[-1])
        if request.url.path == "/health":
            return httpx.Response(200, json={"status": "up"})
        if request.url.path == "/wallet/me":
            if self.wallets:
                return _given(self.wallets.pop(0))
            return httpx.Response(200, json={"balance": 10_000_000, "order_fee_cents": self.fee_cents})
        if request.url.path == "/retailers/check":
            if isinstance(self.check, Exception):
                raise self.check
            return self.check if isinstance(self.check, httpx.Response) else httpx.Response(200, json=self.check)
        if request.url.path == "/search":
            return _given(self.searches.pop(0)) if self.searches else httpx.Response(200, json=NOTHING_FOUND)
        if request.url.path.startswith("/products/"):
            product = self.products.get(request.url.path.removeprefix("/products/"), failure(404, "not_found"))
            return product if isinstance(product, httpx.Response) else httpx.Response(200, json=product)
        if request.url.path == "/orders":
            if self.lists:
                return _given(self.lists.pop(0))
            return self._listed(request.url.params)
        if request.url.path.endswith("/timeline"):
            return self._timeline(request.url.path.split("/")[-2])
        if self.reads:
            return _given(self.reads.pop(0))
        order = self.orders.get(request.url.path.rsplit("/", 1)[-1])
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if key in self.order_keys and order is not None and self.order_keys[key] != order["id"]:
            order = None
        if order is None:
            return failure(404, "not_found")
        return httpx.Response(200, json=self.shown_when_read(order))

    def _listed(self, asked: httpx.QueryParams) -> httpx.Response:
        found = list(self.orders.values()) if self.listing else []
        if "metadata_key" in asked:
            name, value = asked["metadata_key"], asked["metadata_value"]
            found = [order for order in found if order["metadata"].get(name) == value]
        if self.unpaged:
            return httpx.Response(200, json={"orders": found})
        start, most = int(asked.get("offset", 0)), int(asked.get("limit", 50))
        return httpx.Response(200, json={"orders": found[start : start + most], "total": len(found)})

    def _timeline(self, order_id: str) -> httpx.Response:
        if self.timelines:
            return _given(self.timelines.pop(0))
        order = self.orders.get(order_id)
        if order is None:
            return failure(404, "not_found")
        step = {"type": "order_created", "label": "Created", "occurred_at": order["created_at"], "source": "system"}
        shown = {"order_id": order_id, "current_status": order["status"], "milestones": [step]}
        return httpx.Response(200, json=shown)

    async def _cancel(self, request: httpx.Request) -> httpx.Response:
        step = self.cancels.pop(0) if self.cancels else "ok"
        if step == "refuse":
            raise httpx.ConnectError("refused", request=request)
        if step == "lose_before":
            raise httpx.ReadError("lost", request=request)
        if not isinstance(step, str):
            return _given(step)
        order = self.orders.get(request.url.path.split("/")[-2])
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if order is None or self.order_keys.get(key, order["id"]) != order["id"]:
            return failure(404, "not_found")
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if step == "lie":
            return httpx.Response(204)
        if order["status"] != "pending":
            return failure(422, "order_not_cancellable")
        self.advance(order["id"], "cancelled")
        if step == "hang":
            await anyio.sleep_forever()
        if step == "lose_after":
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        return failure(500, "internal_error") if step == "500_after" else httpx.Response(204)

    def _next_step(self, request: httpx.Request) -> str | httpx.Response:
        """Take the next step of the script; fail or give its response if nothing is to be accepted."""
        step = self.script.pop(0) if self.script else "ok"
        if step == "refuse":
            raise httpx.ConnectError("refused", request=request)
        if step == "lose_before":
            raise httpx.ReadError("lost", request=request)
        return step if isinstance(step, str) else _given(step)

    async def _post(self, request: httpx.Request) -> httpx.Response:
        step = self._next_step(request)
        if isinstance(step, httpx.Response):
            return step
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
        return httpx.Response(201, json=self.shown_when_placed(order))

    async def _agent(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        authorization = request.headers.get("authorization")
        if authorization is None:
            return await self._quote(request.content, body)
        step = self._next_step(request)
        if isinstance(step, httpx.Response):
            return step
        reference = await self._reference(request.content, authorization, body)
        if reference is None or reference in self.settlements:
            return self._replayed(body) if self.replays else failure(403, "forbidden")
        self.settlements.append(reference)
        if step == "settled_no_order":
            return failure(500, "internal_error")
        order = self._accept(body)
        receipt = to_payment_receipt("sandbox", reference, "2026-11-21T00:00:00Z")
        headers = {"X-Api-Key": self._order_key(order), "Payment-Receipt": receipt}
        if step == "lose_after":
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        if step == "500_after":
            return failure(500, "internal_error")
        if step == "truncated":
            return httpx.Response(201, headers=headers, stream=_Truncated())
        if step == "conflict_after":
            conflict = failure(409, "already_exists", order_id=order["id"])
            return httpx.Response(409, content=conflict.content, headers={"X-Api-Key": headers["X-Api-Key"]})
        shown = self.shown_when_placed(order)
        return httpx.Response(201, json=shown, headers=headers if step != "no_headers" else {})

    def _agent_question(self, request: httpx.Request) -> httpx.Response:
        """Answer a question about products that is paid by wallet: a cent, once for each challenge."""
        assert request.content == b"" and request.url.query
        authorization = request.headers.get("authorization")
        if authorization is None:
            change = self.quotes.pop(0) if self.quotes else {}
            return (
                self._challenge(change, 1, opaque=encoded_object({"nonce": str(len(self.requests))}))
                if isinstance(change, dict)
                else _given(_not_order(change))
            )
        step = self._next_step(request)
        if isinstance(step, httpx.Response):
            return step
        challenge, reference = verify(PAYEE, authorization, body=b"", now=self.clock())
        if reference in self.settlements:
            return failure(403, "forbidden")
        self.settlements.append(reference)
        self.settled.setdefault(challenge.id, reference)
        if step == "lose_after":
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        if step == "500_after":
            return failure(500, "internal_error")
        if request.url.path == "/agent/search":
            return _given(self.searches.pop(0)) if self.searches else httpx.Response(200, json=NOTHING_FOUND)
        number = request.url.params["product_id"]
        name = f"{number}/offers" if request.url.path.endswith("/offers") else number
        product = self.products.get(name, failure(404, "not_found"))
        return product if isinstance(product, httpx.Response) else httpx.Response(200, json=product)

    def _challenge(self, change: dict[str, Any], cents: int, **more: str) -> httpx.Response:
        asked: dict[str, Any] = {"amount": str(cents), "currency": "usd"}
        asked |= {name: value for name, value in change.items() if not name.startswith(".")}
        parameters: dict[str, Any] = {
            "realm": "api.zinc.com",
            "expires": datetime.fromtimestamp(self.clock() + 300, UTC).isoformat(),
            **more,
        }
        parameters |= {name[1:]: value for name, value in change.items() if name.startswith(".")}
        line = bound(PAYEE, request=asked, **parameters).to_www_authenticate()
        return httpx.Response(402, headers=[("WWW-Authenticate", line)], json={})

    def _replayed(self, body: dict[str, Any]) -> httpx.Response:
        [order] = [order for order in self.orders.values() if order["idempotency_key"] == body["idempotency_key"]]
        return httpx.Response(201, json=order, headers={"X-Api-Key": self._order_key(order)})

    def _order_key(self, order: dict[str, Any]) -> str:
        for key, order_id in self.order_keys.items():
            if order_id == order["id"]:
                return key
        key = f"zn_live_order-{len(self.orders)}"
        self.order_keys[key] = order["id"]
        return key

    async def _reference(self, content: bytes, authorization: str, body: dict[str, Any]) -> str | None:
        """Take the payment, and return its reference; None where it is not taken."""
        if self.payee is not None:
            return (await self.payee.ask([("Authorization", authorization)], content, _cents(body))).reference
        challenge, reference = verify(PAYEE, authorization, body=content, now=self.clock())
        self.settled.setdefault(challenge.id, reference)
        return reference

    async def _quote(self, content: bytes, body: dict[str, Any]) -> httpx.Response:
        change = self.quotes.pop(0) if self.quotes else {}
        if change == "given" or change == "given_truncated":
            order = self._accept(body)
            headers = {"X-Api-Key": self._order_key(order)}
            if change == "given":
                return httpx.Response(201, json=order, headers=headers)
            return httpx.Response(201, headers=headers, stream=_Truncated())
        if not isinstance(change, dict):
            return _given(change)
        if self.payee is not None:
            unpaid = await self.payee.ask([], content, _cents(body))
            return httpx.Response(402, headers=[("WWW-Authenticate", each) for each in unpaid.challenges], json={})
        digest = f"sha-256={base64.b64encode(hashlib.sha256(content).digest()).decode()}"
        return self._challenge(change, _cents(body), digest=digest)

    def _settlement(self, challenge_id: str) -> httpx.Response:
        reference = self.settled.get(challenge_id)
        ending = "settled" if reference else "unpaid" if self.payments_over else "open"
        return httpx.Response(200, json={"ending": ending, "reference": reference})

    def _accept(self, body: dict[str, Any]) -> dict[str, Any]:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
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


def _not_order(quoted: Quoted) -> httpx.Response | Exception:
    assert isinstance(quoted, httpx.Response | Exception)
    return quoted


def _cents(body: dict[str, Any]) -> int:
    return int(body["max_price"]) + 100


class _Truncated(httpx.AsyncByteStream):
    """Half of a body, and then the connection is gone."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"id": "half of'
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


def _given(step: httpx.Response | Exception) -> httpx.Response:
    if isinstance(step, Exception):
        raise step
    return step
