"""The faults that an order asks for in its first product's URL, and the names of all faults."""

import re
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from zinc_mcp.sandbox import Dialect, checks
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
