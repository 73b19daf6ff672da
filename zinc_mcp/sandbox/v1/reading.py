"""Reading requests to Zinc v1: a JSON body, a number of the query, and the order that the path names."""

import json
from typing import Any, Literal

from starlette.requests import Request

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.checks import not_json
from zinc_mcp.sandbox.ledger import OrderRow
from zinc_mcp.sandbox.v1 import book
from zinc_mcp.sandbox.v1.answers import caller_of, refused
from zinc_mcp.sandbox.v1.rules.bill import bill_of
from zinc_mcp.sandbox.v1.rules.progress import Progress, progress_of


def read_json(content: bytes) -> tuple[Any, Literal["invalid_json"] | None]:
    """Return a body, and the code of its error if it is no JSON."""
    try:
        decoded = json.loads(content, parse_constant=not_json)
        json.dumps(decoded, allow_nan=False)
    except (ValueError, RecursionError):
        return None, "invalid_json"
    return decoded, None


def order_of(sandbox: Sandbox, request: Request) -> OrderRow:
    """Return the caller's order that the path names.

    Raises:
        AnsweredError: with `invalid_request_id`: it is unknown, or another caller's.
    """
    row = sandbox.ledger.find(caller_of(sandbox, request), request.path_params["request_id"])
    if row is None:
        raise refused(sandbox, "invalid_request_id", request_id=request.path_params["request_id"])
    return row


def progress_now(sandbox: Sandbox, row: OrderRow, *, looking: bool = False) -> Progress:
    """Return the state of an order by now. `looking`: count this as a look, if the order's course depends on looks."""
    looks = 0
    if bill_of(row.body).course.looks:
        count = sandbox.ledger.count_read
        looks = count(row.order_id, "look") if looking else book.looks_at(sandbox.ledger, row.order_id)
    return progress_of(row, sandbox.clock(), sandbox.pace, looks)


def milliseconds(at: float) -> int:
    """Return a time in milliseconds since the epoch, as the lists of v1 take it."""
    return int(at * 1000)


def number_of(sandbox: Sandbox, request: Request, name: str) -> int | None:
    """Return a number of the query, or None.

    Raises:
        AnsweredError: with `invalid_request`.
    """
    given = request.query_params.get(name)
    if given is None:
        return None
    if not given.isascii() or not given.isdigit():
        raise refused(sandbox, "invalid_request", problems=[f"{name}: Input should be a number"])
    return int(given)
