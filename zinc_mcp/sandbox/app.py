"""The sandbox as an ASGI app: its endpoints, an httpx transport in process, and serving it on a port.

The paths are Orders, Wallet and Health of the OpenAPI in SDK 2026.10.16. An endpoint is a function that takes the
sandbox and the request. The endpoints of orders are in `orders/`. A fault can cut a connection.
"""

import asyncio
import logging
import socket
import sqlite3
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from typing import Any, cast

import anyio
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from zinc_mcp.sandbox import Sandbox, checks, products, webhooks
from zinc_mcp.sandbox.aftercare import cases, returns
from zinc_mcp.sandbox.checks import AnsweredError
from zinc_mcp.sandbox.faults.spoilt_answers import CUT, HowToCut
from zinc_mcp.sandbox.find import agent as agent_questions
from zinc_mcp.sandbox.find import details, retailers, search, usage
from zinc_mcp.sandbox.orders import account as account_orders
from zinc_mcp.sandbox.orders import agent as agent_orders
from zinc_mcp.sandbox.products import ORDER_FEE
from zinc_mcp.sandbox.sign_in import page as sign_in_page
from zinc_mcp.sandbox.sign_in import sign_in
from zinc_mcp.sandbox.sign_in.sign_in import WALLET_BALANCE
from zinc_mcp.sandbox.v1 import routes as v1

_Endpoint = Callable[[Sandbox, Request], Awaitable[Response]]
_logger = logging.getLogger(__name__)


def build_app(sandbox: Sandbox) -> Starlette:
    """Return the ASGI app of one sandbox."""

    def route(method: str, path: str, endpoint: _Endpoint) -> Route:
        return Route(path, partial(endpoint, sandbox), methods=[method])

    return Starlette(
        routes=[
            route("POST", "/orders", account_orders.create_order),
            route("GET", "/orders", account_orders.list_orders),
            route("GET", "/orders/test-products", list_test_products),
            route("GET", "/orders/{order_id}", account_orders.get_order),
            route("GET", "/orders/{order_id}/timeline", account_orders.get_timeline),
            route("POST", "/orders/{order_id}/cancel", account_orders.cancel_order),
            route("POST", "/agent/orders", agent_orders.create_agent_order),
            route("POST", "/agent/search", agent_questions.search),
            route("POST", "/agent/products/search", agent_questions.search_one),
            route("POST", "/agent/products/details", agent_questions.get_details),
            route("POST", "/agent/products/offers", agent_questions.get_offers),
            route("GET", "/practice/settlements/{challenge_id}", agent_orders.get_settlement),
            route("GET", "/search", search.search),
            route("GET", "/products/search", search.search_one),
            route("GET", "/products/{product_id}", details.get_details),
            route("GET", "/products/{product_id}/offers", details.get_offers),
            route("GET", "/retailers", retailers.list_retailers),
            route("GET", "/retailers/check", retailers.check_retailer),
            route("POST", "/returns", returns.create_return),
            route("GET", "/returns", returns.list_returns),
            route("GET", "/returns/{return_id}", returns.get_return),
            route("POST", "/cases", cases.create_case),
            route("GET", "/cases", cases.list_cases),
            route("GET", "/cases/{case_id}", cases.get_case),
            route("POST", "/cases/{case_id}/messages", cases.add_message),
            route("POST", "/cases/{case_id}/close", cases.close_case),
            route("GET", "/usage", usage.get_usage),
            route("POST", "/device/code", sign_in.create_device_code),
            route("GET", "/device/codes/{user_code}", sign_in.describe_device_code),
            route("POST", "/device/approve", sign_in.decide_device_code),
            route("POST", "/device/token", sign_in.redeem_device_code),
            route("GET", sign_in.PAGE, sign_in_page.show),
            route("POST", sign_in.PAGE, sign_in_page.decide),
            route("POST", "/sandbox/keys", sign_in.create_sandbox_key),
            route("GET", "/sandbox/status", sign_in.get_sandbox_status),
            route("GET", "/webhooks/endpoint", webhooks.get_endpoint),
            route("PUT", "/webhooks/endpoint", webhooks.set_endpoint),
            route("DELETE", "/webhooks/endpoint", webhooks.remove_endpoint),
            route("GET", "/wallet/me", get_wallet),
            route("GET", "/health", get_health),
            *(route(method, path, endpoint) for method, path, endpoint in v1.ROUTES),
        ],
        middleware=[Middleware(_Dated, clock=sandbox.clock)],
        exception_handlers={
            AnsweredError: _answer,
            HTTPException: _framework_error,
            ClientDisconnect: _client_is_gone,
            sqlite3.Error: partial(_broken_ledger, sandbox),
        },
    )


async def list_test_products(sandbox: Sandbox, request: Request) -> Response:
    """`GET /orders/test-products`."""
    checks.authorised_caller(sandbox, request)
    return checks.as_json(products.listed())


async def get_wallet(sandbox: Sandbox, request: Request) -> Response:
    """`GET /wallet/me`."""
    checks.authorised_caller(sandbox, request)
    return checks.as_json(
        {
            "id": "3c6e0b8a-9c15-4b5e-8f2e-6f1d0a7b2c11",
            "user_id": 1,
            "balance": WALLET_BALANCE,
            "spendable_balance": WALLET_BALANCE,
            "order_fee_cents": ORDER_FEE,
            "wallet_type": "purchases",
            "billed_by_invoice": False,
            "created_at": "2026-01-01T00:00:00+00:00",
            "updated_at": "2026-01-01T00:00:00+00:00",
        }
    )


async def get_health(sandbox: Sandbox, request: Request) -> Response:
    """`GET /health`: public."""
    now = datetime.fromtimestamp(sandbox.clock(), UTC).isoformat()
    components = {"db": "up", "queue": "up", "ordering": "up"}
    return checks.as_json({"status": "up", "components": components, "updated_at": now})


async def _answer(request: Request, error: Exception) -> Response:
    return cast(AnsweredError, error).answer


async def _framework_error(request: Request, error: Exception) -> Response:
    # The web framework's own errors (no such path, no such method) keep their plain shape.
    known = error if isinstance(error, HTTPException) else HTTPException(500)
    return checks.as_json({"detail": known.detail}, known.status_code)


async def _client_is_gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)


async def _broken_ledger(sandbox: Sandbox, request: Request, error: Exception) -> Response:
    _logger.error("the ledger is out of order: %s", error)
    return checks.internal_error(sandbox.dialect)


class _Dated:
    """Adds a `Date` header with the sandbox's time to every answer (RFC 9110, section 6.6.1)."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float]) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = (b"date", formatdate(self._clock(), usegmt=True).encode())
                message = {**message, "headers": [*message.get("headers", ()), date]}
            await send(message)

        await self._app(scope, receive, send_dated)


class SandboxTransport(httpx.AsyncBaseTransport):
    """Runs requests through the app. Of a request's time-outs only the read time-out has an effect."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, or raise httpx's error for a lost connection.

        Raises:
            httpx.ConnectError: the connection was refused.
            httpx.ReadError, httpx.RemoteProtocolError: it was cut before the answer was complete.
            httpx.ReadTimeout: nothing came within the request's read time-out.
        """
        body = b"".join([chunk async for chunk in cast(httpx.AsyncByteStream, request.stream)])
        exchange = _Exchange(body)
        timeout = request.extensions.get("timeout", {}).get("read")
        with anyio.move_on_after(timeout) as patience:
            await self._app(_scope(request, exchange), exchange.receive, exchange.send)
        if patience.cancelled_caught:
            raise httpx.ReadTimeout("", request=request)
        if exchange.status is None:
            raise exchange.lost or httpx.RemoteProtocolError("Server disconnected without sending a response.")
        return httpx.Response(exchange.status, headers=exchange.headers, stream=exchange)


class _Exchange(httpx.AsyncByteStream):
    """One request and its answer. It has the ASGI channels, the body, and the connection that a fault may cut."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._gone = anyio.Event()
        self._parts: list[bytes] = []
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.lost: httpx.TransportError | None = None

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self._parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                self._gone.set()

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        for part in self._parts:
            yield part
        if self.lost:
            raise self.lost

    def cut(self, how: HowToCut) -> None:
        match how:
            case "refuse":
                self.lost = httpx.ConnectError("All connection attempts failed")
            case "reset":
                self.lost = httpx.ReadError("[Errno 104] Connection reset by peer")
            case "drop" if self.status is None:
                self.lost = httpx.RemoteProtocolError("Server disconnected without sending a response.")
            case "drop":
                self.lost = httpx.RemoteProtocolError("peer closed connection without sending complete message body")
        self._gone.set()


def _scope(request: httpx.Request, exchange: _Exchange) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "server": (request.url.host, request.url.port),
        "client": ("127.0.0.1", 0),
        "root_path": "",
        "state": {},
        CUT: exchange.cut,
    }


async def serve(sandbox: Sandbox, host: str, port: int, *, ready: Callable[[int], None] | None = None) -> None:
    """Serve a sandbox over HTTP until cancelled or interrupted; nothing is written to stdout.

    Port 0 takes any free port. `ready` is called with the port once clients can connect.

    Raises:
        OSError: the address cannot be bound.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with socket.create_server(cast(Any, address)[:2], family=family, backlog=128) as listening:
        listening.setblocking(False)
        # Connections inherit this option. Without it, an answer in two pieces waits 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            sandbox.app,
            http=_CuttableProtocol,
            ws="none",
            lifespan="off",
            access_log=False,  # uvicorn's own goes to stdout
            log_config=None,
            server_header=False,
            date_header=False,  # the sandbox has a clock of its own
        )
        server = _Server(config)
        if ready:
            # Clients that connect now wait until uvicorn has started.
            ready(listening.getsockname()[1])
        sending = asyncio.create_task(webhooks.keep_sending(sandbox))
        try:
            await server.serve(sockets=[listening])
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await server.shutdown()
            raise
        finally:
            sending.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.gather(sending, return_exceptions=True)


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop at once. Every open connection is cut, so that a hanging request never gets an answer."""
        for listener in getattr(self, "servers", []):
            listener.close()
        for connection in list(self.server_state.connections):
            cast(_CuttableProtocol, connection).transport.abort()
        # Answers that wait until their client is gone now end by themselves.
        await asyncio.sleep(0.01)
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _CuttableProtocol(H11Protocol):
    """HTTP/1.1 that lets the app cut its connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = cast(asyncio.Transport, transport)
        super().connection_made(connection)
        app = cast(ASGIApp, self.app)

        async def cuttable(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, CUT: partial(_cut, connection)}, receive, send)

        self.app = cast(Any, cuttable)


def _cut(connection: asyncio.Transport, how: HowToCut) -> None:
    if how == "drop":
        connection.close()
        return
    if how == "reset":
        # A linger time of zero makes the kernel send a reset instead of an orderly end.
        held = connection.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # A connection that has sent a body cannot be refused any more, so it is aborted.
    connection.abort()
