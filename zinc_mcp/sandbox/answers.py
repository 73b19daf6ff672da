"""Answers in the dialect's spelling: JSON, error envelopes, and FastAPI's complaints."""

import json
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zinc_mcp.sandbox.campaign.dialect import Dialect


class Dated:
    """Puts the sandbox's own time on every answer, as servers do (RFC 9110, section 6.6.1)."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float]) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = (b"date", formatdate(self._clock(), usegmt=True).encode())
                message = {**message, "headers": [*message.get("headers", ()), date]}
            await send(message)

        await self._app(scope, receive, dated)


class AnsweredError(Exception):
    """An endpoint has nothing more to do: this is the answer."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


class Answers:
    """Makes the bodies of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def error(self, status: int, code: str, message: str, details: dict[str, Any] | None = None) -> Response:
        """Return an error in the envelope: nested as in the SDK, or flat as the docs pages print it."""
        error = {"code": code, "message": message, "details": details}
        return as_json({"error": error} if self._dialect.errors == "nested" else error, status)

    def invalid(self, problems: list[dict[str, Any]]) -> Response:
        """Return a 422: FastAPI's `detail` list, or `validation_error` in the envelope."""
        if self._dialect.validation == "detail_list":
            return as_json({"detail": problems}, 422)
        return self.error(422, "validation_error", "The request is invalid.", {"errors": problems})


def as_json(content: object, status: int = 200) -> Response:
    """Return a JSON answer. ASCII only: whatever text an order carries, half a surrogate pair too, can be echoed."""
    return Response(json.dumps(content), status, media_type="application/json")
