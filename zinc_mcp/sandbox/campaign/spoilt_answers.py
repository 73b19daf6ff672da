"""The answers that a fault makes of honest ones: lost, late, cut short, or replaced."""

from collections.abc import Callable
from typing import Protocol, cast

import anyio
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from zinc_mcp.sandbox.answers import AnsweredError, error, internal_error
from zinc_mcp.sandbox.campaign.dialect import Dialect
from zinc_mcp.sandbox.campaign.faults import OTHERS, Fault, UnknownFaultError, check_faults, fault_for
from zinc_mcp.sandbox.campaign.other_orders import show_other_orders
from zinc_mcp.sandbox.ledger import Post, Rail
from zinc_mcp.sandbox.sandbox import Sandbox

CONNECTION = "zinc_mcp.sandbox.connection"
"""Where the ASGI scope carries the connection that a fault may cut."""

_ELSEWHERE = "https://elsewhere.invalid/orders"
_HTML_502 = "<!doctype html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1><p>cloudfront</p>"


class Connection(Protocol):
    """What a fault can do to the connection under a request."""

    def refuse(self) -> None:
        """Close as if no server had been listening."""
        ...

    def drop(self) -> None:
        """Close after what was written so far."""
        ...

    def reset(self) -> None:
        """Close with a reset: what was written may be lost as well."""
        ...


def due_fault(dialect: Dialect, post: Post, parameter: str, rail: Rail) -> Fault | None:
    """Return the fault that a POST asks for, once all faults that its order asks for are known to exist.

    Raises:
        AnsweredError: with a 400, if one does not exist.
    """
    try:
        check_faults(post.body, rail)
        return fault_for(post.body, parameter, post.nth, rail)
    except UnknownFaultError as unknown:
        raise AnsweredError(error(dialect, 400, "bad_request", str(unknown))) from None


def spoilt(sandbox: Sandbox, fault: Fault, answer: Response) -> Response:
    """Return what the client gets instead of `answer`."""
    match fault.name:
        case "slow":
            return _Late(answer, fault.seconds / sandbox.pace)
        case "hang":
            return _Late(answer, None)
        case "truncated":
            return _Truncated(answer)
        case "huge":
            return _Huge(answer)
        case "refuse":
            return _Cut(lambda connection: connection.refuse())
        case "drop_before" | "drop_after":
            return _Cut(lambda connection: connection.drop())
        case "reset_before" | "reset_after":
            return _Cut(lambda connection: connection.reset())
        case "http_500_before" | "http_500_after":
            return internal_error(sandbox.dialect)
        case "rate_limited":
            return error(sandbox.dialect, 429, "rate_limit_exceeded", "Too many requests.")
        case "unauthorized_once":
            return error(sandbox.dialect, 401, "unauthorized", "Not authenticated.")
        case "redirect_307" | "redirect_after":
            return RedirectResponse(_ELSEWHERE, 307)
        case "html_402":
            return HTMLResponse("<!doctype html><title>402 Payment Required</title>", 402)
        case "html_200":
            return HTMLResponse("<!doctype html><title>Zinc</title><h1>Welcome</h1>")
        case name if name in OTHERS:
            return show_other_orders(name, answer)
        case _:
            return HTMLResponse(_HTML_502, 502)


def _connection(scope: Scope) -> Connection:
    connection = scope.get(CONNECTION)
    if connection is None:
        raise RuntimeError("this fault cuts the connection: serve the sandbox with port.serve or use its transport")
    return cast(Connection, connection)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Cut(Response):
    """No answer: the connection goes away."""

    def __init__(self, how: Callable[[Connection], None]) -> None:
        super().__init__()
        self._how = how

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._how(_connection(scope))
        # A server answers 500 for an app that returns in silence, unless it knows that the client has gone.
        await _gone(receive)


class _Late(Response):
    """The answer after some seconds, or never; it is not sent once the client has gone."""

    def __init__(self, answer: Response, seconds: float | None) -> None:
        super().__init__()
        self._answer = answer
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with anyio.move_on_after(self._seconds):
            await _gone(receive)
            return
        await self._answer(scope, receive, send)


class _Truncated(Response):
    """The honest head, half of the body, and then the end of the connection."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        half = bytes(self._answer.body)[: len(self._answer.body) // 2]
        await send(
            {
                "type": "http.response.start",
                "status": self._answer.status_code,
                "headers": self._answer.raw_headers,
            }
        )
        await send({"type": "http.response.body", "body": half, "more_body": True})
        _connection(scope).drop()
        await _gone(receive)


class _Huge(Response):
    """A body that starts like JSON and goes on for 8 MB."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in self._answer.raw_headers if name != b"content-length"]
        await send({"type": "http.response.start", "status": self._answer.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"id":"', "more_body": True})
        for _ in range(128):
            await send({"type": "http.response.body", "body": b"A" * 65_536, "more_body": True})
            await anyio.lowlevel.checkpoint()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
