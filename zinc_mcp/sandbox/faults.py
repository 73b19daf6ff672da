"""Faults on demand, for the campaign: lost, late, cut and false answers, and lies in the challenges of a 402.

A test writes them into the first product's URL of an order, so they work across processes and transports.
`?fault=drop_after,http_500_after,none` acts on the first, second and third POST with the order's idempotency key (with
its body, if it has no key), and on no later one. `?read_fault=` acts on reads of the order; `?list_fault=` on lists
that would show it; `?return_fault=` and `?case_fault=` on POSTs about its returns and cases; `?returns_fault=` and
`?cases_fault=` on their lists; `?cancel_fault=` on cancellations, where `false_204` answers 204 and cancels nothing.

Not accepted (this attempt creates no order):
    refuse           the connection is refused; on a port it is dropped instead, since the fault is in the body
    drop_before, reset_before  the request is read and the connection closed, or reset (TCP)
    http_500_before  500 in the error envelope; `http_500` is the same
    html_502         502 with HTML, as a proxy before Zinc writes it
    redirect_307     a redirect to another host
    rate_limited     429
    unauthorized_once  401
Accepted (the order stands, or the repeat was seen), and the answer is lost or spoilt:
    drop_after (or drop), reset_after  the connection is closed without a byte, or reset (TCP)
    http_500_after   500 in the error envelope
    html_502_after, html_200  HTML as a proxy before Zinc writes it, with 502 or with 200
    redirect_after   a redirect to another host
    slow_N           the answer comes after N seconds (divided by the pace); `slow_0.5` works too
    hang             no answer ever comes
    truncated        the head and half of the body, then the connection is closed
    huge             the head of the answer and 8 MB of JSON that never ends
Accepted, and the answer shows another order than the one asked for. An answer without an order is unchanged. A 201 has
another id than the order's, unless the fault says otherwise; a read has the id that was asked for, and shows a failed
order (`show_other_orders`):
    other_order      another order under its own id
    other_content    all of another order, with its metadata, under the id of the right order
    other_goods, other_price, other_address  no metadata, and other products, another `max_price`, another place

On the agent rail `?fault=` acts on the paid POSTs ("not accepted": nothing is settled; "accepted": settled and
ordered), and has two more:
    second_402       a fresh challenge over twice the amount; nothing is settled
    settled_no_order  the payment is settled, no order is created, and the answer is 500
`?pay_fault=` acts on the unpaid POSTs. All faults above spoil the answer. These put a lie into every challenge
(`falsify`, `garble`):
    wrong_amount     a cent more than the right amount, which no limit stops
    odd_amount_underscore (or odd_amount), odd_amount_minus, odd_amount_number  "5_100", "-5100", and a number
    wrong_currency   euros, or another token
    wrong_chain, no_chain  the test network instead of the main one, or none named; only tempo has chains
    no_expiry, expired, expires_far  no expiry, one a minute ago, one in ten years
    wrong_digest     the digest of another body
    other_realm      another realm, which is harmless: a realm is not a host
    other_intent     a session instead of a charge
    other_origin_header  the credential should travel as a Cookie
    splits           half goes to another recipient
    push_only        the payer is to pay first and to report the payment afterwards
    duplicate_keys   the request has two amounts, the right one and ten times that
    malformed, unknown_method_only  a quote that never closes; only a method that no wallet knows
And these are not challenges:
    unpaid_201       the order is created without a payment
    html_402, redirect (or redirect_307)  402 with HTML and no challenge, or a redirect to another host
"""

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, cast
from urllib.parse import parse_qsl, urlsplit

import anyio
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from zinc_mcp.payments.headers import Challenge, base64url, digest_of
from zinc_mcp.sandbox import Dialect, Sandbox, checks
from zinc_mcp.sandbox.challenges import Draft
from zinc_mcp.sandbox.checks import AnsweredError
from zinc_mcp.sandbox.ledger import Post, Rail

BEFORE = frozenset(
    "refuse drop_before reset_before http_500_before html_502 redirect_307 rate_limited unauthorized_once".split()
)
AFTER = frozenset(
    "drop_after reset_after http_500_after html_502_after html_200 redirect_after hang truncated huge".split()
)
PAID = frozenset("second_402 settled_no_order".split())
LIES = frozenset(
    "wrong_amount odd_amount_underscore odd_amount_minus odd_amount_number wrong_currency wrong_chain no_chain "
    "no_expiry expired expires_far wrong_digest other_realm other_intent other_origin_header splits push_only "
    "duplicate_keys malformed unknown_method_only".split()
)
UNPAID = LIES | {"unpaid_201", "html_402"}
OTHERS = frozenset("other_order other_content other_goods other_price other_address".split())
_ALIASES = {
    "http_500": "http_500_before",
    "drop": "drop_after",
    "http_502": "html_502",
    "odd_amount": "odd_amount_underscore",
    "redirect": "redirect_307",
}
_MORE = {("fault", "agent"): PAID, ("pay_fault", "agent"): UNPAID}
_AFTER_SALE = ("cancel_fault", "return_fault", "returns_fault", "case_fault", "cases_fault")
_SLOW = re.compile(r"slow_(\d{1,4}(?:\.\d{1,3})?)")
_HANG_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one request. `seconds` is the duration of a slow answer or a hang, at pace 1."""

    name: str
    seconds: float = 0.0

    @property
    def accepts(self) -> bool:
        """Whether the request is carried out before it goes wrong."""
        return self.name not in BEFORE


def due_fault(dialect: Dialect, post: Post, parameter: str, rail: Rail) -> Fault | None:
    """Return the fault that a POST asks for, after checking that all faults of its order exist.

    Raises:
        AnsweredError: with a 400: one does not exist.
    """
    try:
        for other in ("fault", "read_fault", "list_fault", *_AFTER_SALE, *(["pay_fault"] if rail == "agent" else [])):
            for name in faults_in(post.body, other):
                named_fault(name, other, rail)
        return fault_for(post.body, parameter, post.nth, rail)
    except LookupError as unknown:
        raise AnsweredError(checks.error(dialect, 400, "bad_request", str(unknown))) from None


def fault_for(body: object, parameter: str, nth: int, rail: Rail = "account") -> Fault | None:
    """Return the fault that an order's first product asks for on the nth request (from 0), or None.

    Raises:
        LookupError: the fault does not exist, which is a mistake in a test.
    """
    names = faults_in(body, parameter)
    return named_fault(names[nth], parameter, rail) if nth < len(names) else None


def faults_in(body: object, parameter: str) -> list[str]:
    """Return the names of the faults that an order asks for, one for each request."""
    try:
        url = str(cast(Any, body)["products"][0]["url"])
        parameters = dict(parse_qsl(urlsplit(url).query))
    except (TypeError, LookupError, ValueError):
        return []
    return [name.strip() for name in parameters[parameter].split(",")] if parameter in parameters else []


def named_fault(name: str, parameter: str, rail: str) -> Fault | None:
    """Return the fault with a name; None for `none`.

    Raises:
        LookupError: there is no such fault.
    """
    if name in ("", "none"):
        return None
    name = _ALIASES.get(name, name)
    if name == "hang":
        return Fault(name, _HANG_SECONDS)
    if name in BEFORE or name in AFTER or name in _MORE.get((parameter, rail), ()):
        return Fault(name)
    if (name in OTHERS and parameter != "pay_fault") or (name, parameter) == ("false_204", "cancel_fault"):
        return Fault(name)
    if slow := _SLOW.fullmatch(name):
        return Fault("slow", float(slow[1]))
    raise LookupError(f"there is no fault {name!r}")


_Json = dict[str, Any]
_TEN_YEARS_SECONDS = 10 * 365 * 86_400
_SOMEBODY = "0x000000000000000000000000000000000000dEaD"


def falsify(lie: str, drafts: Sequence[Draft], post: Post) -> list[Draft]:
    """Return the drafts of a POST's challenges, each with the lie."""
    if lie == "unknown_method_only":
        request = {"amount": str(drafts[0].cents), "currency": "sat", "recipient": "lnbc1practice"}
        return [replace(drafts[0], method="lightning", request=request)]
    return [_false(lie, draft, post) for draft in drafts]


def _false(lie: str, draft: Draft, post: Post) -> Draft:
    units, currency = int(draft.request["amount"]), str(draft.request["currency"])
    details = dict(draft.request.get("methodDetails", {}))

    def asking(**members: object) -> Draft:
        return replace(draft, request={**draft.request, **members})

    match lie:
        case "wrong_amount":
            more = units // draft.cents * (draft.cents + 1)
            return replace(asking(amount=str(more)), cents=draft.cents + 1)
        case "odd_amount_underscore":
            return asking(amount=f"{units:_}" if units >= 1_000 else f"0_{units}")
        case "odd_amount_minus":
            return asking(amount=f"-{units}")
        case "odd_amount_number":
            return asking(amount=units)
        case "wrong_currency":
            return asking(currency="0x20c0000000000000000000000000000000000bad" if currency[:2] == "0x" else "eur")
        case "wrong_chain" if "chainId" in details:
            return asking(methodDetails={**details, "chainId": 4_217 if details["chainId"] == 42_431 else 42_431})
        case "no_chain":
            details.pop("chainId", None)
            honest = {name: part for name, part in draft.request.items() if name != "methodDetails"}
            return replace(draft, request={**honest, "methodDetails": details} if details else honest)
        case "splits":
            return asking(methodDetails={**details, "splits": [{"amount": str(units // 2), "recipient": _SOMEBODY}]})
        case "push_only":
            return asking(methodDetails={**details, "supportedModes": ["push"]})
        case "no_expiry":
            return replace(draft, expires_at=None)
        case "expired":
            return replace(draft, expires_at=post.at - 60)
        case "expires_far":
            return replace(draft, expires_at=post.at + _TEN_YEARS_SECONDS)
        case "wrong_digest":
            return replace(draft, digest=digest_of(post.content + b" "))
        case "other_realm":
            return replace(draft, realm="zinc")
        case "other_intent":
            return replace(draft, intent="session")
        case "other_origin_header":
            return replace(draft, header="Cookie")
        case _:
            return draft


def garble(lie: str | None, line: str) -> str:
    """Return a challenge's header line with a lie that is no valid header or no strict JSON."""
    if lie == "malformed":
        return line[:-1]
    if lie == "duplicate_keys":
        (challenge,) = Challenge.from_www_authenticate([line])
        honest = json.dumps(challenge.charge_request.members, separators=(",", ":"), sort_keys=True)
        forged = f'{honest[:-1]},"amount":"{challenge.charge_request.amount}0"}}'
        # The id still binds the honest request, but a reader must refuse two amounts before it checks the id.
        return line.replace(challenge.request, base64url(forged.encode()))
    return line


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
    return order | {"status": "order_failed", "job_result": result, "items": items, "tracking_numbers": []}
