"""The path for Zinc's webhooks. An event is a hint to look at one order; nothing else in it is used."""

from collections.abc import Callable

from pydantic import SecretStr
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from zinc_mcp.server.http.requests import WEBHOOK_PATH, is_announced_over
from zinc_mcp.zinc.account.webhooks import SIGNATURE_HEADER, is_signed, order_in_event

MAX_EVENT_BYTES = 64 * 1024
"""The largest event; it holds a few facts about one order."""
MOST_EVENTS = 32
"""Events that are received at once. Anybody can send to this path, and each event may take `MAX_EVENT_BYTES`."""


class Webhooks:
    """Receives events: checks the signature over the bytes as they came, and hands the order's id on."""

    def __init__(self, secret: SecretStr, hint: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            secret: the key with which Zinc signs the events.
            hint: called with the id of an order that may have news. It must return at once.
        """
        self._secret = secret
        self._hint = hint
        self._receiving = 0

    def route(self) -> Route:
        """Return the route of the path."""
        return Route(WEBHOOK_PATH, self._receive, methods=["POST"])

    async def _receive(self, request: Request) -> Response:
        if self._receiving >= MOST_EVENTS:
            return JSONResponse({"error": "too_many_requests"}, 503, {"Retry-After": "5"})
        self._receiving += 1
        try:
            content = await _content(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        finally:
            self._receiving -= 1
        if content is None:
            return JSONResponse({"error": "too_large"}, 413)
        signatures = request.headers.getlist(SIGNATURE_HEADER)
        if len(signatures) != 1 or not is_signed(content, signatures[0], self._secret):
            return JSONResponse({"error": "invalid_signature"}, 401)
        order_id = order_in_event(content)
        if order_id is not None:
            self._hint(order_id)
        return Response(status_code=204)  # after any other answer Zinc sends it again


async def _content(request: Request) -> bytes | None:
    """Return the bytes of a request; None if there are too many."""
    if is_announced_over(request.scope, MAX_EVENT_BYTES):
        return None
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MAX_EVENT_BYTES:
            return None
    return bytes(content)
