"""Faults on demand. A test writes them into the product URL of an order, so they work across processes and transports.

`?fault=drop_after,http_500_after,none` acts on the first, second and third POST with the order's idempotency key (with
its body, if it has no key); `?read_fault=` on reads of the order; `?list_fault=` on lists that would show it. After the
end of the list there are no more faults. Only the first product's URL is read.

Not accepted (this attempt creates no order):
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
Accepted, and the answer shows another order than the one asked for. An answer without an order is unchanged. A 201 has
another id than the order's, unless the fault says otherwise; a read has the id that was asked for, and shows a failed
order (`spoilt_answers.show_other_orders`):
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
    odd_amount_underscore, odd_amount_minus, odd_amount_number  "5_100", "-5100", and a number instead of a string;
                     `odd_amount` is the first
    wrong_currency   euros, or another token
    wrong_chain, no_chain  the test network instead of the main one, or none named; only tempo has chains
    no_expiry, expired, expires_far  none, a minute ago, in ten years
    wrong_digest     of another body
    other_realm      another realm, which is harmless: a realm is not a host
    other_intent     a session instead of a charge
    other_origin_header  the credential should travel as a Cookie
    splits           half goes to another recipient
    push_only        the payer is to pay first and to report the payment afterwards
    duplicate_keys   the request has two amounts, the right one and ten times that
    malformed        a quote that never closes
    unknown_method_only  only a method that no wallet knows
And these are not challenges:
    unpaid_201       the order is created without a payment
    html_402         402 with HTML and no challenge
    redirect         to another host; `redirect_307` is the same
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from zinc_mcp.payments.encoding import base64url, digest_of
from zinc_mcp.payments.headers import Challenge
from zinc_mcp.sandbox.challenges import Draft
from zinc_mcp.sandbox.ledger import Post

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


class UnknownFaultError(Exception):
    """The URL asks for a fault that does not exist, which is a mistake in a test."""


def fault_for(body: object, parameter: str, nth: int, rail: str = "account") -> Fault | None:
    """Return the fault that an order's first product asks for on the nth request (from 0), or None.

    Raises:
        UnknownFaultError: the fault does not exist.
    """
    names = faults_in(body, parameter)
    return _fault(names[nth], parameter, rail) if nth < len(names) else None


def check_faults(body: object, rail: str) -> None:
    """Check that every fault that an order asks for on this rail exists.

    Raises:
        UnknownFaultError: one does not exist.
    """
    for parameter in ("fault", "read_fault", "list_fault", *(["pay_fault"] if rail == "agent" else [])):
        for name in faults_in(body, parameter):
            _fault(name, parameter, rail)


def faults_in(body: object, parameter: str) -> list[str]:
    """Return the names of the faults that an order asks for, one for each request."""
    try:
        url = str(cast(Any, body)["products"][0]["url"])
        parameters = dict(parse_qsl(urlsplit(url).query))
    except (TypeError, LookupError, ValueError):
        return []
    return [name.strip() for name in parameters[parameter].split(",")] if parameter in parameters else []


def _fault(name: str, parameter: str, rail: str) -> Fault | None:
    if name in ("", "none"):
        return None
    name = _ALIASES.get(name, name)
    if name == "hang":
        return Fault(name, _HANG_SECONDS)
    if name in BEFORE or name in AFTER or name in _MORE.get((parameter, rail), ()):
        return Fault(name)
    if name in OTHERS and parameter != "pay_fault":
        return Fault(name)
    if slow := _SLOW.fullmatch(name):
        return Fault("slow", float(slow[1]))
    raise UnknownFaultError(f"there is no fault {name!r}")


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
    match lie:
        case "wrong_amount":
            more = units // draft.cents * (draft.cents + 1)
            return replace(draft, cents=draft.cents + 1, request={**draft.request, "amount": str(more)})
        case "odd_amount_underscore":
            amount = f"{units:_}" if units >= 1_000 else f"0_{units}"
            return replace(draft, request={**draft.request, "amount": amount})
        case "odd_amount_minus":
            return replace(draft, request={**draft.request, "amount": f"-{units}"})
        case "odd_amount_number":
            return replace(draft, request={**draft.request, "amount": units})
        case "wrong_currency":
            wrong = "0x20c0000000000000000000000000000000000bad" if currency.startswith("0x") else "eur"
            return replace(draft, request={**draft.request, "currency": wrong})
        case "wrong_chain" if "chainId" in details:
            details["chainId"] = 4_217 if details["chainId"] == 42_431 else 42_431
        case "no_chain":
            details.pop("chainId", None)
        case "splits":
            details["splits"] = [{"amount": str(units // 2), "recipient": _SOMEBODY}]
        case "push_only":
            details["supportedModes"] = ["push"]
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
    honest = {name: value for name, value in draft.request.items() if name != "methodDetails"}
    return replace(draft, request={**honest, "methodDetails": details} if details else honest)


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
