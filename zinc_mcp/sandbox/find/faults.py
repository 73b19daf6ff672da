"""Faults on demand for the questions about products and shops: a test writes them into the question itself.

In the words of a search, `coffee fault=drop_after,none` acts on the first and second request with these words that is
answered (on the agent rail: that is paid), and on no later one. A `+` behind the last fault repeats it for ever.
`pay_fault=` acts on the unpaid requests. Both are removed before anything is searched. Details and offers have no
words, so a range of product numbers at Walmart names the faults (`marked_number`); each of these numbers is a product.
The query of the product's address in `GET /retailers/check` takes `check_fault=`. The names are those of
`sandbox.faults`.

With a fault that does not accept (`Fault.accepts`) the question is not answered and nothing is taken for it. With any
other fault the question counts as answered, and a payment is taken, even if the client gets no answer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from zinc_mcp.sandbox import Sandbox, checks
from zinc_mcp.sandbox.catalogue import Item, Seller
from zinc_mcp.sandbox.checks import AnsweredError
from zinc_mcp.sandbox.faults.asked import AFTER, BEFORE, LIES, Fault, named_fault

NUMBERED: tuple[str, ...] = ("none", *sorted(BEFORE), *sorted(AFTER), "slow_4", "slow_30")
"""The faults that a product's number can name, by their place here."""
NUMBERED_LIES: tuple[str, ...] = ("none", *sorted(LIES), "html_402", "html_200", "http_500_after", "rate_limited")

_IN_WORDS = re.compile(r"\s*\b(fault|pay_fault)=([a-z0-9_.,]+\+?)")
_NUMBER = re.compile(r"97(\d\d)(\d\d)(\d{4,6})")


@dataclass(frozen=True, slots=True)
class Marks:
    """The faults that a question asks for, one for each of its requests."""

    faults: Sequence[str] = ()
    pay_faults: Sequence[str] = ()


def without_marks(words: str) -> str:
    """Return the words of a search without the faults that they ask for."""
    return _IN_WORDS.sub("", words).strip()


def marked_number(fault: str, pay_fault: str, number: int) -> str:
    """Return a product number at Walmart that asks for a fault once, and for a false 402 each time."""
    return f"97{NUMBERED.index(fault):02}{NUMBERED_LIES.index(pay_fault):02}{number:04}"


def marked_item(retailer: str, product_id: str) -> Item | None:
    """Return the product of a number that names faults; None for any other number."""
    if retailer != "walmart" or not _NUMBER.fullmatch(product_id):
        return None
    url, title = f"https://www.walmart.com/ip/{product_id}", f"Practice product {product_id}"
    return Item(url, retailer, product_id, title, 1000, sellers=(Seller(f"Seller of {product_id}", 1000),))


def due_answer_fault(sandbox: Sandbox, request: Request) -> Fault | None:
    """Return the fault of a request that is going to be answered.

    Raises:
        AnsweredError: with a 400: there is no such fault.
    """
    return _due(sandbox, request, "fault", _marks(request).faults)


def due_pay_fault(sandbox: Sandbox, request: Request) -> Fault | None:
    """Return the fault of an unpaid request; see `due_answer_fault`."""
    return _due(sandbox, request, "pay_fault", _marks(request).pay_faults)


def due_check_fault(sandbox: Sandbox, request: Request) -> Fault | None:
    """Return the fault of a check of a shop; see `due_answer_fault`."""
    named = dict(parse_qsl(urlsplit(request.query_params.get("url", "")).query)).get("check_fault", "")
    return _due(sandbox, request, "fault", named.split(",") if named else ())


def _due(sandbox: Sandbox, request: Request, parameter: str, names: Sequence[str]) -> Fault | None:
    if not names:  # other questions write nothing
        return None
    question = sha256(f"{request.url.path}?{request.url.query}".encode()).hexdigest()
    nth = sandbox.ledger.count_read(question, parameter)
    named = names[nth] if nth < len(names) else names[-1] if names[-1].endswith("+") else ""
    try:
        return named_fault(named.removesuffix("+"), parameter, "agent")
    except LookupError as unknown:
        raise AnsweredError(checks.error(sandbox.dialect, 400, "bad_request", str(unknown))) from None


def _marks(request: Request) -> Marks:
    given = request.query_params
    number = _NUMBER.fullmatch(request.path_params.get("product_id") or given.get("product_id", ""))
    if number is not None and given.get("retailer", "").lower() == "walmart":
        fault, lie = int(number[1]), int(number[2])
        if fault >= len(NUMBERED) or lie >= len(NUMBERED_LIES):
            return Marks()
        lies = (f"{NUMBERED_LIES[lie]}+",) if lie else ()
        return Marks((NUMBERED[fault],) if fault else (), lies)
    found = {name: names.split(",") for name, names in _IN_WORDS.findall(given.get("q") or given.get("query") or "")}
    return Marks(found.get("fault", ()), found.get("pay_fault", ()))
