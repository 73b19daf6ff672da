"""JSON-RPC in HTTP bodies: what is no message is answered here, in the same words as on stdin.

The SDK takes a request whose id is none for a notification and answers 202, shows the text of its validator, and reads
no id from what is broken (mcp 2.3, `streamable_http`).
"""

from collections.abc import Sequence

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zinc_mcp.serving.messages import MOST_MESSAGE_BYTES, Read, Refusal, read_message, several


class WellFormed:
    """ASGI middleware: lets through what is a message, and what is too large to be looked at here."""

    def __init__(self, app: ASGIApp, paths: Sequence[str]) -> None:
        """Remember the paths to which messages are posted."""
        self._app = app
        self._paths = tuple(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"].rstrip("/") not in self._paths:
            await self._app(scope, receive, send)
            return
        heard: list[Message] = []
        size = 0
        while size <= MOST_MESSAGE_BYTES:
            heard.append(message := await receive())
            size += len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body", False):
                break
        is_whole = heard[-1]["type"] == "http.request" and not heard[-1].get("more_body", False)
        if is_whole and size <= MOST_MESSAGE_BYTES:
            body = b"".join(message.get("body", b"") for message in heard)
            read = read_message(body)
            if read.message is None:
                await _answer(read)(scope, receive, send)
                return
            if read.is_rewritten:
                body = read.message.model_dump_json(by_alias=True, exclude_unset=True).encode()
                scope = {**scope, "headers": [*_without_length(scope), (b"content-length", b"%d" % len(body))]}
                heard = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return heard.pop(0) if heard else await receive()

        await self._app(scope, again, send)


def _without_length(scope: Scope) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in scope["headers"] if name != b"content-length"]


def _answer(read: Read) -> Response:
    """Return one error for one body: the protocol has no list of answers."""
    if not read.refusals:
        return Response(status_code=202)
    refusal: Refusal = read.refusals[0] if len(read.refusals) == 1 else several(read.refusals)
    return Response(refusal.model_dump_json(by_alias=True, exclude_unset=True), 400, media_type="application/json")
