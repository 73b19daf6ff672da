"""The sandbox in process: an httpx transport whose faults are the exceptions that a real network raises."""

from collections.abc import AsyncGenerator
from typing import Any, cast

import anyio
import httpx
from starlette.types import ASGIApp, Message

from zinc_mcp.sandbox.campaign.faults import CONNECTION


class SandboxTransport(httpx.AsyncBaseTransport):
    """Runs one request through the app. Of the network it honours the read time-out and nothing else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, or raise what httpx raises when the connection goes away.

        Raises:
            httpx.ConnectError: refused.
            httpx.ReadError, httpx.RemoteProtocolError: cut before the answer was complete.
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
    """One request and its answer: the ASGI channels, the connection a fault may cut, and the body read from it."""

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

    def refuse(self) -> None:
        self._lose(httpx.ConnectError("All connection attempts failed"))

    def drop(self) -> None:
        self._lose(
            httpx.RemoteProtocolError("Server disconnected without sending a response.")
            if self.status is None
            else httpx.RemoteProtocolError("peer closed connection without sending complete message body")
        )

    def reset(self) -> None:
        self._lose(httpx.ReadError("[Errno 104] Connection reset by peer"))

    def _lose(self, how: httpx.TransportError) -> None:
        self.lost = how
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
        CONNECTION: exchange,
    }
