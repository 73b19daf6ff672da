"""Spoil a correct answer as a fault demands: lose, delay, cut or replace it, or show another order."""

import json
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, cast

import anyio
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from zinc_mcp.sandbox import answers
from zinc_mcp.sandbox.answers import AnsweredError
from zinc_mcp.sandbox.faults import OTHERS, Fault, UnknownFaultError, check_faults, fault_for
from zinc_mcp.sandbox.ledger import Post, Rail
from zinc_mcp.sandbox.sandbox import Dialect, Sandbox

CUT = "zinc_mcp.sandbox.cut"
"""The key in the ASGI scope of the function that cuts the request's connection."""

HowToCut = Literal["refuse", "drop", "reset"]
"""`refuse` closes as if no server had been listening. `drop` closes after the bytes written so far. `reset` closes with
a TCP reset, which may lose the bytes written so far as well."""

_ELSEWHERE = "https://elsewhere.invalid/orders"
_HTML_502 = "<!doctype html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1><p>cloudfront</p>"


def due_fault(dialect: Dialect, post: Post, parameter: str, rail: Rail) -> Fault | None:
    """Return the fault that a POST asks for, after checking that all faults of its order exist.

    Raises:
        AnsweredError: with a 400: one does not exist.
    """
    try:
        check_faults(post.body, rail)
        return fault_for(post.body, parameter, post.nth, rail)
    except UnknownFaultError as unknown:
        raise AnsweredError(answers.error(dialect, 400, "bad_request", str(unknown))) from None


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
        raise RuntimeError("this fault cuts the connection: serve the sandbox with port.serve or use its transport")
    cut(how)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


_Json = dict[str, Any]

STRANGER = "item=stranger"
"""Part of the URL of every product in another order. A client that shows it has accepted the wrong answer."""

_URL = f"https://zinc.com/shop/products/test-success?{STRANGER}"


def show_other_orders(name: str, answer: Response) -> Response:
    """Return an answer in which each order is replaced by another one; an answer without orders is unchanged.

    A 201 has another id than the order's, except with `other_content`. A read keeps the id that was asked for, except
    with `other_order`, and shows a failed order.
    """
    content: Any = json.loads(bytes(answer.body))
    if not isinstance(content, dict):
        return answer
    shown = cast(_Json, content)
    placing = answer.status_code == 201
    if "orders" in shown:
        changed = {**shown, "orders": [_changed(name, order, placing=False) for order in shown["orders"]]}
    elif "shipping_address" in shown:
        changed = _changed(name, shown, placing=placing)
    else:
        return answer
    headers = {each: value for each, value in answer.headers.items() if each not in ("content-length", "content-type")}
    return Response(json.dumps(changed), answer.status_code, headers, media_type="application/json")


def _changed(name: str, order: _Json, *, placing: bool) -> _Json:
    changed: _Json = {**order, "metadata": {}}
    everything = name in ("other_order", "other_content")
    if everything:
        changed["metadata"] = {"zinc_mcp_key": "stranger", "zinc_mcp_twin": "0" * 64}
    if everything or name == "other_goods":
        changed["items"] = [{**item, "url": _URL} for item in order["items"]]
    if everything or name == "other_price":
        changed["max_price"] = order["max_price"] + 1_000
    if everything or name == "other_address":
        place = {"address_line1": "1 Stranger Road", "postal_code": "94105", "state": "CA"}
        changed["shipping_address"] = {**order["shipping_address"], **place}
    if name == "other_order" or (placing and name != "other_content"):
        changed["id"] = str(uuid.uuid5(uuid.UUID(order["id"]), "stranger"))
    return changed if placing else _failed(changed)


def _failed(order: _Json) -> _Json:
    result: _Json = {
        **(order["job_result"] or {}),
        "success": False,
        "error": "The product is out of stock.",
        "error_type": "product_out_of_stock",
        "price_components": None,
    }
    items = [{**item, "status": "failed"} for item in order["items"]]
    return {**order, "status": "order_failed", "job_result": result, "items": items, "tracking_numbers": []}
