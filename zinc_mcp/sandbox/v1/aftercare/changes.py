"""Steps that all changes of a placed v1 order share: read the POST, its key and its fault, and record it."""

import json
from collections.abc import Callable
from typing import TypeVar, cast

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.aftercare.requests import record_change
from zinc_mcp.sandbox.checks import AnsweredError, key_in
from zinc_mcp.sandbox.ledger import OrderRow
from zinc_mcp.sandbox.v1 import book
from zinc_mcp.sandbox.v1.answers import Json, answer, caller_of, refused
from zinc_mcp.sandbox.v1.faults import due_fault, spoilt
from zinc_mcp.sandbox.v1.reading import order_of, progress_now, read_json
from zinc_mcp.sandbox.v1.rules.codes import RUNNING

PROCESSED_SECONDS = 1.0
"""The time for which a cancellation or a return is `request_processing`, at pace 1."""

_Form = TypeVar("_Form", bound=BaseModel)

Make = Callable[[OrderRow, Json], Json]
"""Makes a change of an order from the body of its POST; returns the answer's content, or raises `AnsweredError`."""


async def changed(sandbox: Sandbox, request: Request, parameter: str, make: Make) -> Response:
    """Answer a POST that changes a placed order. Its key replays the first answer, as of an order ("Idempotency")."""
    row = order_of(sandbox, request)
    fault = due_fault(sandbox, row, parameter)
    if fault is not None and not fault.accepts:
        record_change(sandbox, request, row, f"not_accepted_{fault.name}", fault)
        return spoilt(sandbox, request, fault, Response())
    told, outcome = _told(sandbox, row, await request.body(), make)
    record_change(sandbox, request, row, outcome, fault)
    return spoilt(sandbox, request, fault, told)


def _told(sandbox: Sandbox, row: OrderRow, content: bytes, make: Make) -> tuple[Response, str]:
    body, code = read_json(content or b"{}")
    key = key_in(cast(Json, body)) if isinstance(body, dict) and sandbox.dialect.v1.keys == "honoured" else None
    if (earlier := book.earlier_answer(sandbox.ledger, row.caller, key)) is not None:
        return answer(sandbox, earlier), "replayed"
    try:
        if code is not None:
            raise refused(sandbox, code)
        if not isinstance(body, dict):
            raise invalid(sandbox, "body: Input should be an object")
        told = book.keep_answer(sandbox.ledger, row.caller, key, make(row, cast(Json, body)))
    except AnsweredError as refusal:
        told = book.keep_answer(sandbox.ledger, row.caller, key, json.loads(bytes(refusal.answer.body)))
    return answer(sandbox, told), "rejected" if told.get("_type") == "error" else "accepted"


def checked(sandbox: Sandbox, form: type[_Form], body: Json) -> _Form:
    """Return the body of a POST in its form; `idempotency_key` is allowed in each (v1, "Idempotency").

    Raises:
        AnsweredError: with `invalid_request`.
    """
    try:
        return form.model_validate({name: value for name, value in body.items() if name != "idempotency_key"})
    except ValidationError as found:
        problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found.errors())
        raise invalid(sandbox, *problems) from None


def check_amazon(sandbox: Sandbox, row: OrderRow, done: str) -> None:
    """Refuse an order at a retailer where v1 neither cancels nor returns. `done`: the change, as a participle.

    Raises:
        AnsweredError: with `invalid_request`.
    """
    if row.body["retailer"] not in ("amazon", "amazon_uk"):
        raise invalid(sandbox, f"only orders at amazon and amazon_uk can be {done}")


def check_placed(sandbox: Sandbox, row: OrderRow) -> None:
    """Refuse an order that is not placed: these changes are "for order requests that were successful" (older pages).

    Raises:
        AnsweredError: with `invalid_request`.
    """
    if progress_now(sandbox, row).stage != "placed":
        raise invalid(sandbox, "the order is not placed")


def found_request(sandbox: Sandbox, request: Request, kind: book.Kind) -> tuple[book.Request, OrderRow]:
    """Return the request that the path names, and its order.

    Raises:
        AnsweredError: with `invalid_request_id`.
    """
    caller, request_id = caller_of(sandbox, request), request.path_params["request_id"]
    found = book.find_request(sandbox.ledger, caller, kind, request_id)
    row = sandbox.ledger.find(caller, found.order_id) if found is not None else None
    if found is None or row is None:
        raise refused(sandbox, "invalid_request_id", request_id=request_id)
    return found, row


def told_of(sandbox: Sandbox, request: Request, row: OrderRow, found: book.Request, told: Json) -> Response:
    """Return the answer to a GET of a request about an order, with its fault and its echo."""
    fault = due_fault(sandbox, row, "cancellation_fault" if found.kind == "cancellation" else "returned_fault")
    if fault is not None and not fault.accepts:
        return spoilt(sandbox, request, fault, Response())
    if told.get("code") != RUNNING or sandbox.dialect.v1.running == "full":
        if sandbox.dialect.v1.request_ids == "present":
            told = {**told, "request_id": found.request_id}
        if sandbox.dialect.v1.echo != "absent":
            told = {**told, "request": found.body}
    return spoilt(sandbox, request, fault, answer(sandbox, told))


def age_of(sandbox: Sandbox, found: book.Request) -> float:
    """Return the age of a request in seconds at pace 1, to the millisecond."""
    return max(0.0, round((sandbox.clock() - found.created_at) * sandbox.pace, 3))


def invalid(sandbox: Sandbox, *problems: str) -> AnsweredError:
    """Return the error that answers a request whose form is wrong."""
    return refused(sandbox, "invalid_request", problems=list(problems))
