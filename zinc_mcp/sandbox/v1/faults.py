"""Faults on demand for Zinc v1. A test writes them into the `client_notes` of an order, under `practice`.

`{"practice": "fault=drop_after,none&read_fault=http_500"}` acts on the first and second POST with the order's
idempotency key (with its body, if it has no key), and on the first GET of the order. `list_fault` acts on lists that
would show it; `abort_fault`, `retry_fault`, `cancel_fault`, `return_fault` and `case_fault` on POSTs about it;
`cancellation_fault`, `returned_fault` and `case_read_fault` on GETs of their results. The names are those of
`zinc_mcp.sandbox.faults` except those about payments; `other_order` shows another order, or gives its id.

The same text says how changes end: `cancel=direct`, `attempting`, `attempting_refused`, `stuck` or `refused`;
`return=in_progress` or `refused`; `case=silent`.
"""

import json
from typing import Any, cast
from urllib.parse import parse_qsl
from uuid import UUID, uuid5

from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.checks import as_json
from zinc_mcp.sandbox.faults.asked import OTHERS, Fault, named_fault
from zinc_mcp.sandbox.faults.spoilt_answers import spoil
from zinc_mcp.sandbox.ledger import OrderRow, Post
from zinc_mcp.sandbox.v1.answers import Json, error_object, refused, status_of

PARAMETERS = (
    "fault", "read_fault", "list_fault", "abort_fault", "retry_fault", "cancel_fault", "return_fault", "case_fault",
    "cancellation_fault", "returned_fault", "case_read_fault",
)  # fmt: skip
OTHER_ORDER = "other_order"
STRANGER = "V1STRANGER"
"""The product of the order that `other_order` shows."""


def asked(body: object, name: str) -> str | None:
    """Return the value of a name in the notes of an order, or None."""
    try:
        text = str(cast(Any, body)["client_notes"]["practice"])
    except (TypeError, LookupError):
        return None
    return dict(parse_qsl(text)).get(name)


def due_post_fault(sandbox: Sandbox, post: Post) -> Fault | None:
    """Return the fault of a POST that would create an order, after checking that all faults of its order exist.

    Raises:
        AnsweredError: one does not exist, which is a mistake in a test.
    """
    try:
        found = {name: [_named(each) for each in _names(post.body, name)] for name in PARAMETERS}
    except LookupError as unknown:
        raise refused(sandbox, "invalid_request", problems=[str(unknown)]) from None
    return found["fault"][post.nth] if post.nth < len(found["fault"]) else None


def due_fault(sandbox: Sandbox, row: OrderRow, parameter: str) -> Fault | None:
    """Return the fault of a request about an order, or None. Each call counts as one request."""
    names = _names(row.body, parameter)
    if not names:  # other requests write nothing
        return None
    nth = sandbox.ledger.count_read(row.order_id, parameter)
    return _named(names[nth]) if nth < len(names) else None


def spoilt(sandbox: Sandbox, request: Request, fault: Fault | None, answer: Response) -> Response:
    """Return an answer with a fault, or the answer itself where there is none."""
    match fault.name if fault is not None else None:
        case None:
            return answer
        case "http_500_before" | "http_500_after":
            return as_json(error_object("internal_error"), 500)
        case "rate_limited":
            # v1 documents no such answer; its proxy could give one.
            return Response("Too Many Requests", 429, media_type="text/plain")
        case "unauthorized_once":
            told = error_object("invalid_client_token")
            return as_json(told, status_of(sandbox, told))
        case "other_order":
            return _other_order(request, answer)
        case _:
            return spoil(sandbox, cast(Fault, fault), answer)


def _names(body: object, parameter: str) -> list[str]:
    return [name.strip() for name in (asked(body, parameter) or "").split(",") if name.strip()]


def _named(name: str) -> Fault | None:
    if name in OTHERS and name != OTHER_ORDER:
        raise LookupError(f"there is no fault {name!r} in v1")
    return named_fault(name, "fault", "account")


def _other_order(request: Request, answer: Response) -> Response:
    shown: Any = json.loads(bytes(answer.body))
    if isinstance(shown, list):
        rows = cast(list[Json], shown)
        return as_json([_stranger(each) for each in rows], answer.status_code)
    held = cast(Json, shown)
    if request.method == "POST" and "_type" not in held:
        return as_json({**held, "request_id": _other_id(str(held.get("request_id")))}, answer.status_code)
    return as_json(_stranger(held), answer.status_code)


def _stranger(shown: Json) -> Json:
    """Return a failed order with foreign notes and a foreign product instead of the one shown."""
    request: Json = shown.get("request") or {}
    product = {"product_id": STRANGER, "quantity": 1}
    notes = {"zinc_mcp_key": "stranger", "zinc_mcp_twin": "0" * 64}
    other = error_object("product_unavailable", {"product_id": STRANGER})
    if "request_id" in shown:
        other["request_id"] = _other_id(str(shown["request_id"]))
    return {**other, "request": {**request, "products": [product], "client_notes": notes}}


def _other_id(request_id: str) -> str:
    return uuid5(UUID(int=0), request_id).hex
