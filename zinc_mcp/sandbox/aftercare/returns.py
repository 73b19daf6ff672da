"""The endpoints of returns: `POST` and `GET /returns` (SDK 2026.10.16).

A return advances with time: open, then approved with a label, then credited; or denied.
"""

import json
import sqlite3
import uuid
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox, checks
from zinc_mcp.sandbox.aftercare.requests import (
    LISTING_LAG_SECONDS,
    Json,
    asked,
    caller_of,
    fault_of,
    order_of,
    page_of,
    recorded,
    when,
)
from zinc_mcp.sandbox.checks import AnsweredError, problems_in
from zinc_mcp.sandbox.faults.asked import Fault
from zinc_mcp.sandbox.faults.spoilt_answers import spoil
from zinc_mcp.sandbox.ledger import OrderRow
from zinc_mcp.sandbox.order_view import order_at
from zinc_mcp.sandbox.products import HOSTILE, outcome_of

APPROVED_SECONDS, CREDITED_SECONDS = 2.0, 5.0
"""Seconds at pace 1 after a return was filed."""
_LABEL_SECONDS = 7 * 86_400

_Reason = Literal[
    "damaged",
    "not_delivered",
    "empty_box",
    "wrong_item",
    "defective",
    "not_as_described",
    "wrong_size",
    "no_longer_needed",
    "forced_cancellation",
    "other",
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Item(_Part):
    order_item_id: str
    quantity: Annotated[int, Field(strict=True, ge=1, le=100)]


class _Return(_Part):
    order_id: str
    items: Annotated[list[_Item], Field(min_length=1)]
    reason: _Reason
    notes: str | None = None


async def create_return(sandbox: Sandbox, request: Request) -> Response:
    """`POST /returns`: 201, 409 if there is a return of these items already, or `return_not_allowed`."""
    content, caller = await request.body(), caller_of(sandbox, request)
    row: OrderRow | None = None
    try:
        try:
            wanted = _Return.model_validate_json(content)
        except ValidationError as found:
            raise AnsweredError(checks.invalid(sandbox.dialect, problems_in(found, "body"))) from None
        row = order_of(sandbox, caller, wanted.order_id)
        fault = fault_of(sandbox, row, "return_fault")
        if fault and not fault.accepts:
            return recorded(sandbox, request, row, Response(), f"not_accepted_{fault.name}", fault)
        body: Json = json.loads(content)
        with sandbox.ledger.transaction() as database:
            _check_return(sandbox, row, body)
            created = sandbox.clock()
            found_id = str(uuid.uuid4())
            database.execute(
                "INSERT INTO returns (return_id, order_id, caller, body, created_at) VALUES (?, ?, ?, ?, ?)",
                (found_id, row.order_id, caller, json.dumps(body), created),
            )
        (stored,) = sandbox.ledger.select("SELECT * FROM returns WHERE return_id = ?", found_id)
        answer = checks.as_json(_return(sandbox, row, stored), 201)
        return recorded(sandbox, request, row, answer, "created", fault)
    except AnsweredError as answered:
        status = answered.answer.status_code
        return recorded(sandbox, request, row, answered.answer, f"rejected_{status}", None)


async def list_returns(sandbox: Sandbox, request: Request) -> Response:
    """`GET /returns`: `{return_requests, total}`."""
    caller, page = caller_of(sandbox, request), page_of(sandbox, request)
    rows = sandbox.ledger.select("SELECT * FROM returns WHERE caller = ? ORDER BY seq DESC", caller)
    found: list[Json] = []
    fault: Fault | None = None
    lag = LISTING_LAG_SECONDS / sandbox.pace if sandbox.dialect.after_sale_listing == "lags" else 0.0
    for stored in rows:
        row = sandbox.ledger.find(caller, stored["order_id"])
        if row is None or sandbox.clock() - stored["created_at"] < lag:
            continue
        shown = _return(sandbox, row, stored)
        if page.search in shown["order_id"] and page.status in (None, shown["status"]):
            found.append(shown)
            fault = fault or fault_of(sandbox, row, "returns_fault")
    listed = {"return_requests": found[page.offset : page.offset + page.limit], "total": len(found)}
    answer = checks.as_json(listed)
    return spoil(sandbox, fault, answer) if fault else answer


async def get_return(sandbox: Sandbox, request: Request) -> Response:
    """`GET /returns/{id}`."""
    caller = caller_of(sandbox, request)
    rows = sandbox.ledger.select(
        "SELECT * FROM returns WHERE caller = ? AND return_id = ?", caller, request.path_params["return_id"]
    )
    row = sandbox.ledger.find(caller, rows[0]["order_id"]) if rows else None
    if row is None:
        return checks.error(sandbox.dialect, 404, "not_found", "Return not found.")
    return checks.as_json(_return(sandbox, row, rows[0]))


def _check_return(sandbox: Sandbox, row: OrderRow, body: Json) -> None:
    order = order_at(row, sandbox.clock(), sandbox.pace)
    status = int(sandbox.dialect.return_conflict.removeprefix("status_"))
    if order["status"] != "order_placed" or asked(row, "return") == "refused":
        raise AnsweredError(
            checks.error(sandbox.dialect, status, "return_not_allowed", "This order cannot be returned.")
        )
    left = {item["id"]: item["quantity"] for item in order["items"]}
    for each in [*order["returns"], *returns_of(sandbox, row)]:
        for item in each["items"] if each["status"] != "denied" else ():
            left[item["order_item_id"]] = left.get(item["order_item_id"], 0) - item["quantity"]
    for item in body["items"]:
        if item["order_item_id"] not in left:
            problem = {"type": "value_error", "loc": ["body", "items"], "msg": "Not an item of this order"}
            raise AnsweredError(checks.invalid(sandbox.dialect, [problem]))
        left[item["order_item_id"]] -= item["quantity"]
        if left[item["order_item_id"]] < 0:
            raise AnsweredError(checks.error(sandbox.dialect, 409, "already_exists", "A return for it exists."))


def returns_of(sandbox: Sandbox, row: OrderRow) -> list[Json]:
    """Return an order's filed returns as ReturnSummary rows, newest first."""
    stored = sandbox.ledger.select("SELECT * FROM returns WHERE order_id = ? ORDER BY seq DESC", row.order_id)
    hidden = ("order_id", "merchant_return_id")
    return [{name: part for name, part in _return(sandbox, row, each).items() if name not in hidden} for each in stored]


def _return(sandbox: Sandbox, row: OrderRow, stored: sqlite3.Row) -> Json:
    body: Json = json.loads(stored["body"])
    now, created, pace = sandbox.clock(), stored["created_at"], sandbox.pace
    age = (now - created) * pace
    denied = asked(row, "return") == "denied"
    ended = CREDITED_SECONDS if not denied else APPROVED_SECONDS
    status = "open" if age < APPROVED_SECONDS else "denied" if denied else "approved"
    status = "credited" if age >= CREDITED_SECONDS and not denied else status
    changed = created + (0 if status == "open" else (ended if status == "credited" else APPROVED_SECONDS) / pace)
    hostile = outcome_of(row.body).scenario.hostile
    label = (
        f"https://labels.sandbox.invalid/{stored['return_id']}?expires={int(created) + _LABEL_SECONDS}&sig={'5' * 64}"
    )
    return {
        "id": stored["return_id"],
        "order_id": row.order_id,
        "status": status,
        "reason": body["reason"],
        "created_at": when(created),
        "updated_at": when(changed),
        "notes": body.get("notes"),
        "resolution_notes": HOSTILE
        if hostile
        else "Denied: outside the return window."
        if status == "denied"
        else None,
        "items": body["items"],
        "label_urls": ["javascript:alert(1)" if hostile else label] if status in ("approved", "credited") else [],
        "merchant_return_id": None,
        "credited_amount": _credit(sandbox, row, body) if status == "credited" else 0,
        "warehouse": "must-not-leak",
    }


def _credit(sandbox: Sandbox, row: OrderRow, body: Json) -> int:
    """Return the credit for the returned pieces in cents: their share of the total, without Zinc's fee."""
    order = order_at(row, sandbox.clock(), sandbox.pace)
    result: Json = order["job_result"] or {}
    price: Json | None = result.get("price_components")
    pieces = sum(item["quantity"] for item in order["items"])
    back = sum(item["quantity"] for item in body["items"])
    return 0 if price is None else int(price["converted_payment_total"]) * back // pieces
