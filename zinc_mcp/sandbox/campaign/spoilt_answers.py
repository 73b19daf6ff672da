"""The answers that a fault makes of honest ones: lost, late, cut short, or replaced."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal

import anyio
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from zinc_mcp.sandbox import answers
from zinc_mcp.sandbox.answers import AnsweredError
from zinc_mcp.sandbox.campaign.dialect import Dialect
from zinc_mcp.sandbox.campaign.faults import OTHERS, Fault, UnknownFaultError, check_faults, fault_for
from zinc_mcp.sandbox.campaign.other_orders import show_other_orders
from zinc_mcp.sandbox.ledger import Post, Rail
from zinc_mcp.sandbox.sandbox import Sandbox

CUT = "zinc_mcp.sandbox.cut"
"""The key in the ASGI scope of the function that cuts the request's connection."""

HowToCut = Literal["refuse", "drop", "reset"]
"""`refuse` closes as if no server had been listening, `drop` closes after what was written so far, and `reset` closes
with a TCP reset: what was written may be lost as well."""

_ELSEWHERE = "https://elsewhere.invalid/orders"
_HTML_502 = "<!doctype html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1><p>cloudfront</p>"


def due_fault(dialect: Dialect, post: Post, parameter: str, rail: Rail) -> Fault | None:
    """Return the fault that a POST asks for, once all faults that its order asks for are known to exist.

    Raises:
        AnsweredError: with a 400, if one does not exist.
    """
    try:
        check_faults(post.body, rail)
        return fault_for(post.body, parameter, post.nth, rail)
    except UnknownFaultError as unknown:
        raise AnsweredError(answers.error(dialect, 400, "bad_request", str(unknown))) from None


def spoilt(sandbox: Sandbox, fault: Fault, answer: Response) -> Response:
    """Return what the client gets instead of `answer`."""
    match fault.name:
        case "slow":
            return _Spoilt(partial(_send_late, answer, fault.seconds / sandbox.pace))
        case "hang":
            return _Spoilt(partial(_send_late, answer, None))
        case "truncated":
            return _Spoilt(partial(_send_half, answer))
        case "huge":
            return _Spoilt(partial(_send_huge, answer))
        case "refuse":
            return _Spoilt(partial(_send_nothing, "refuse"))
        case "drop_before" | "drop_after":
            return _Spoilt(partial(_send_nothing, "drop"))
        case "reset_before" | "reset_after":
            return _Spoilt(partial(_send_nothing, "reset"))
        case "http_500_before" | "http_500_after":
            return answers.internal_error(sandbox.dialect)
        case "rate_limited":
            return answers.error(sandbox.dialect, 429, "rate_limit_exceeded", "Too many requests.")
        case "unauthorized_once":
            return answers.error(sandbox.dialect, 401, "unauthorized", "Not authenticated.")
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


class _Spoilt(Response):
    """An answer that is sent in an unusual way."""

    def __init__(self, sending: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        super().__init__()
        self._sending = sending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._sending(scope, receive, send)


async def _send_nothing(how: HowToCut, scope: Scope, receive: Receive, send: Send) -> None:
    _cut(scope, how)
    # A server answers 500 for an app that returns without an answer, unless it knows that the client has gone.
    await _until_gone(receive)


async def _send_late(answer: Response, seconds: float | None, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the answer after some seconds, or never; a client that has gone by then gets nothing."""
    with anyio.move_on_after(seconds):
        await _until_gone(receive)
        return
    await answer(scope, receive, send)


async def _send_half(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the whole head and half of the body, and close the connection."""
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
        raise RuntimeError("this fault cuts the connection: serve the sandbox with port.serve or use its transport")
    cut(how)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
