"""Faults on demand, written into the product URL of an order so that they work across processes and on any wire.

`?fault=drop_after,http_500_after,none` acts on the first, second and third POST with the order's idempotency key (with
its body, when it has no key); `?read_fault=` on reads of the order; `?list_fault=` on lists that would show it. Past
the end of the list nothing happens. Only the first product's URL is looked at.

Not accepted (no order comes of this attempt):
    refuse           the connection is refused; on a port it is dropped instead, since the fault is in the body
    drop_before      the request is read and the connection closed
    reset_before     the same with a TCP reset
    http_500_before  500 in the error envelope; `http_500` is the same
    html_502         an edge's HTML
    redirect_307     a redirect to another host
    rate_limited     429
    unauthorized_once  401
Accepted (the order stands, or the repeat was seen), and the answer is lost or spoilt:
    drop_after       the connection is closed without a byte; `drop` is the same
    reset_after      the same with a TCP reset
    http_500_after   500 in the error envelope
    html_502_after   an edge's HTML
    html_200         200 with HTML
    redirect_after   a redirect to another host
    slow_N           the answer comes after N seconds (divided by the pace); `slow_0.5` works too
    hang             no answer ever comes
    truncated        the head and half of the body, then the connection is closed
    huge             the head of the answer and 8 MB of JSON that never ends
Accepted, and the answer shows an order that is not the one asked for (`strangers`; a 201 under an id that is not ours
unless it says so, reads under the id that was asked for, and as failed; an answer without an order stays as it is):
    other_order      another order altogether, under its own id
    other_content    all of another order, its metadata too, under the id of ours
    other_goods, other_price, other_address  no metadata, and other products, another `max_price`, another place

On the agent rail `?fault=` acts on the paid POSTs ("not accepted": nothing is settled; "accepted": settled and
ordered), and knows two more:
    second_402       a fresh challenge over twice the amount; nothing is settled
    settled_no_order  the payment is settled, no order comes of it, and the answer is 500
`?pay_fault=` acts on its unpaid POSTs. All of the above spoil the answer, and these are lies in every challenge:
    wrong_amount     ten times what it should be
    odd_amount_underscore, odd_amount_minus, odd_amount_number  "5_100", "-5100", and a number instead of a string;
                     `odd_amount` is the first
    wrong_currency   euros, or another token
    wrong_chain, no_chain  the test network instead of the main one, or none named; tempo alone has chains
    no_expiry, expired, expires_far  none, a minute ago, in ten years
    wrong_digest     of another body
    other_realm      which is harmless: a realm is no host
    other_intent     a session instead of a charge
    other_origin_header  the credential should travel as a Cookie
    splits           half goes to somebody else
    push_only        to be paid first and told of then
    duplicate_keys   the amount stands twice in the request, honest and tenfold
    malformed        a quote that never closes
    unknown_method_only  nothing but a method that nobody knows
and these are no challenges at all:
    unpaid_201       the order is created without a payment
    html_402         402 with HTML and no challenge
    redirect         to another host; `redirect_307` is the same
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, urlsplit

import anyio
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from zinc_mcp.sandbox.campaign.other_orders import OTHERS, others_answer

CONNECTION = "zinc_mcp.sandbox.connection"
"""Where the ASGI scope carries the connection that a fault may cut."""

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
_ALIASES = {
    "http_500": "http_500_before",
    "drop": "drop_after",
    "http_502": "html_502",
    "odd_amount": "odd_amount_underscore",
    "redirect": "redirect_307",
}
_MORE = {("fault", "agent"): PAID, ("pay_fault", "agent"): UNPAID}
_SLOW = re.compile(r"slow_(\d{1,4}(?:\.\d{1,3})?)")
_HANG_SECONDS = 3600.0
_ELSEWHERE = "https://elsewhere.invalid/orders"
_HTML = "<!doctype html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1><p>cloudfront</p>"


class Connection(Protocol):
    """What a fault can do to the connection under a request."""

    def refuse(self) -> None:
        """Close as if nobody had been listening."""
        ...

    def drop(self) -> None:
        """Close after what was written so far."""
        ...

    def reset(self) -> None:
        """Close with a reset: what was written may be lost as well."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with one request."""

    name: str
    seconds: float = 0.0

    @property
    def accepts(self) -> bool:
        """Whether the request is acted on before it goes wrong."""
        return self.name not in BEFORE


class UnknownFaultError(Exception):
    """The URL asks for a fault that there is none of: a slip in a test, which must not pass in silence."""


def fault_for(body: object, parameter: str, nth: int, rail: str = "account") -> Fault | None:
    """Return the fault that an order's first product asks for on the nth request (from 0), or None.

    Raises:
        UnknownFaultError: if it is not one of ours.
    """
    names = _asked(body, parameter)
    if nth >= len(names) or names[nth] in ("", "none"):
        return None
    name = _ALIASES.get(names[nth], names[nth])
    if name == "hang":
        return Fault(name, _HANG_SECONDS)
    if name in BEFORE or name in AFTER or name in _MORE.get((parameter, rail), ()):
        return Fault(name)
    if name in OTHERS and parameter != "pay_fault":
        return Fault(name)
    if slow := _SLOW.fullmatch(name):
        return Fault("slow", float(slow[1]))
    raise UnknownFaultError(f"there is no fault {name!r}")


def asks(body: object, parameter: str) -> bool:
    """Say whether an order asks for such faults at all."""
    return bool(_asked(body, parameter))


def check(body: object, rail: str) -> None:
    """Check every fault that an order asks for on this rail, before it is taken.

    Raises:
        UnknownFaultError: if one is not ours.
    """
    for parameter in ("fault", "read_fault", "list_fault", *(["pay_fault"] if rail == "agent" else [])):
        for nth in range(len(_asked(body, parameter))):
            fault_for(body, parameter, nth, rail)


def _asked(body: object, parameter: str) -> list[str]:
    try:
        url = str(cast(Any, body)["products"][0]["url"])
        parameters = dict(parse_qsl(urlsplit(url).query))
    except (TypeError, LookupError, ValueError):
        return []
    return [name.strip() for name in parameters[parameter].split(",")] if parameter in parameters else []


Envelope = Callable[[int, str, str], Response]
"""Makes an error body in the dialect's envelope, from status, code and message."""


def spoilt(fault: Fault, answer: Response, envelope: Envelope, pace: float) -> Response:
    """Return what the client gets instead of `answer`."""
    match fault.name:
        case "slow":
            return _Late(answer, fault.seconds / pace)
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
            return envelope(500, "internal_error", "An internal error occurred.")
        case "rate_limited":
            return envelope(429, "rate_limit_exceeded", "Too many requests.")
        case "unauthorized_once":
            return envelope(401, "unauthorized", "Not authenticated.")
        case "redirect_307" | "redirect_after":
            return RedirectResponse(_ELSEWHERE, 307)
        case "html_402":
            return HTMLResponse("<!doctype html><title>402 Payment Required</title>", 402)
        case name if name in OTHERS:
            return others_answer(name, answer)
        case "html_200":
            return HTMLResponse("<!doctype html><title>Zinc</title><h1>Welcome</h1>")
        case _:
            return HTMLResponse(_HTML, 502)


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
    """The answer after a while, or never; the client may go first."""

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
    """The head as it should be, half of the body, and the end of the connection."""

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
