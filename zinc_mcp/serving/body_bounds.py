"""The bodies of requests to the protocol's paths: read whole, within a bound, before anything is made of them."""

from mcp.types import INVALID_REQUEST
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zinc_mcp.serving.door import OPEN_PATHS, PAGE_PATH
from zinc_mcp.serving.message_bounds import MAX_MESSAGE_BYTES, objection_to

TOO_LARGE = 413


class BoundedBodies:
    """ASGI middleware: refuses a body over the bounds of a message. It stands behind the check of the token."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body in one piece, or answer it here."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or scope["path"].startswith(PAGE_PATH):
            await self._app(scope, receive, send)
            return
        if is_announced_over(scope, MAX_MESSAGE_BYTES):
            await _refused(TOO_LARGE, f"A message may have {MAX_MESSAGE_BYTES:,} bytes.")(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return  # the client has gone
            body += message.get("body", b"")
            if len(body) > MAX_MESSAGE_BYTES:
                await _refused(TOO_LARGE, f"A message may have {MAX_MESSAGE_BYTES:,} bytes.")(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        whole = bytes(body)
        del body
        objection = objection_to(whole)
        if objection is not None:
            await _refused(400, objection)(scope, receive, send)
            return
        waiting: list[Message] = [{"type": "http.request", "body": whole, "more_body": False}]
        del whole

        async def replayed() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, replayed, send)


def is_announced_over(scope: Scope, most_bytes: int) -> bool:
    """Say whether a request announces a body of more bytes than that."""
    announced = Headers(scope=scope).get("content-length", "")
    # A number of so many digits cannot be read, and need not be.
    return announced.isdecimal() and (len(announced) > 15 or int(announced) > most_bytes)


def _refused(status: int, sentence: str) -> Response:
    """Return an error of the protocol: about no message by id, because none was read (JSON-RPC 2.0, section 5.1)."""
    error = {"code": INVALID_REQUEST, "message": sentence}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, status)
