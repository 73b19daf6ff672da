"""Answers that come late, cut, without end or not at all, or with another status or content."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal

import anyio
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from zinc_mcp.sandbox import Sandbox, checks
from zinc_mcp.sandbox.faults.asked import OTHERS, Fault
from zinc_mcp.sandbox.faults.other_orders import show_other_orders

CUT = "zinc_mcp.sandbox.cut"
"""The key in the ASGI scope of the function that cuts the request's connection."""

HowToCut = Literal["refuse", "drop", "reset"]
"""`refuse` closes as if no server had been listening. `drop` closes after the bytes written so far. `reset` closes with
a TCP reset, which may lose the bytes written so far as well."""

_ELSEWHERE = "https://elsewhere.invalid/orders"
_HTML_502 = "<!doctype html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1><p>cloudfront</p>"


def spoil(sandbox: Sandbox, fault: Fault, answer: Response) -> Response:
    """Return the spoilt answer that the client gets instead of `answer`."""
    match fault.name:
        case "slow":
            return _SpoiltAnswer(partial(_send_late, answer, fault.seconds / sandbox.pace))
        case "hang":
            return _SpoiltAnswer(partial(_send_late, answer, None))
        case "truncated":
            return _SpoiltAnswer(partial(_send_half, answer))
        case "huge":
            return _SpoiltAnswer(partial(_send_huge, answer))
        case "refuse":
            return _SpoiltAnswer(partial(_send_nothing, "refuse"))
        case "drop_before" | "drop_after":
            return _SpoiltAnswer(partial(_send_nothing, "drop"))
        case "reset_before" | "reset_after":
            return _SpoiltAnswer(partial(_send_nothing, "reset"))
        case "http_500_before" | "http_500_after":
            return checks.internal_error(sandbox.dialect)
        case "rate_limited":
            return checks.error(sandbox.dialect, 429, "rate_limit_exceeded", "Too many requests.")
        case "unauthorized_once":
            return checks.error(sandbox.dialect, 401, "unauthorized", "Not authenticated.")
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


class _SpoiltAnswer(Response):
    """An answer that is sent in an unusual way."""

    def __init__(self, sending: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        super().__init__()
        self._sending = sending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._sending(scope, receive, send)


async def _send_nothing(how: HowToCut, scope: Scope, receive: Receive, send: Send) -> None:
    _cut(scope, how)
    # A server answers 500 if an app returns without an answer, unless it knows that the client is gone.
    await _until_gone(receive)


async def _send_late(answer: Response, seconds: float | None, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the answer after some seconds, or never. A client that is gone by then gets nothing."""
    with anyio.move_on_after(seconds):
        await _until_gone(receive)
        return
    await answer(scope, receive, send)


async def _send_half(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send all headers and half of the body, and close the connection."""
    half = bytes(answer.body)[: len(answer.body) // 2]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": half, "more_body": True})
    _cut(scope, "drop")
    await _until_gone(receive)


async def _send_huge(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a body that starts like JSON and goes on for 8 MB."""
    headers = [(name, value) for name, value in answer.raw_headers if name != b"content-length"]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"id":"', "more_body": True})
    for _ in range(128):
        await send({"type": "http.response.body", "body": b"A" * 65_536, "more_body": True})
        await anyio.lowlevel.checkpoint()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _cut(scope: Scope, how: HowToCut) -> None:
    cut = scope.get(CUT)
    if cut is None:
        raise RuntimeError("this fault cuts the connection: serve the sandbox with app.serve or use its transport")
    cut(how)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
