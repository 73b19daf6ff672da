"""Bodies of requests to the protocol's paths: read whole, within bounds, and answered here where they are no message.

The answers are those on stdin. The SDK takes a request whose id is none for a notification and answers 202, shows the
text of its validator, and reads no id from what is broken (mcp 2.3, `streamable_http`).
"""

from mcp.types import INVALID_REQUEST
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zinc_mcp.server.http.requests import OPEN_PATHS, PAGE_PATH
from zinc_mcp.server.message_bounds import MOST_MESSAGE_BYTES
from zinc_mcp.server.messages import Read, read_message, several


class Bodies:
    """ASGI middleware behind the check of the token: passes messages on, each in one piece."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body in one piece, or answer it here."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or scope["path"].startswith(PAGE_PATH):
            await self._app(scope, receive, send)
            return
        if is_announced_over(scope, MOST_MESSAGE_BYTES):
            await _too_large()(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return  # the client has gone
            body += message.get("body", b"")
            if len(body) > MOST_MESSAGE_BYTES:
                await _too_large()(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        whole = bytes(body)
        del body
        if scope["method"] == "POST":
            read = read_message(whole)
            if read.message is None:
                await _answer(read)(scope, receive, send)
                return
            if read.is_rewritten:
                whole = read.message.model_dump_json(by_alias=True, exclude_unset=True).encode()
                others = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
                scope = {**scope, "headers": [*others, (b"content-length", b"%d" % len(whole))]}
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


def _too_large() -> Response:
    """Return an error about no message by id, because none was read (JSON-RPC 2.0, section 5.1)."""
    error = {"code": INVALID_REQUEST, "message": f"A message may have {MOST_MESSAGE_BYTES:,} bytes."}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, 413)


def _answer(read: Read) -> Response:
    """Return one error for one body: the protocol has no list of answers."""
    if not read.refusals:
        return Response(status_code=202)
    refusal = read.refusals[0] if len(read.refusals) == 1 else several(read.refusals)
    return Response(refusal.model_dump_json(by_alias=True, exclude_unset=True), 400, media_type="application/json")
