"""The endpoints of cases: `/cases`, their messages, and closing (SDK 2026.10.16). Each message is answered once."""

import json
import sqlite3
import uuid
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox, checks
from zinc_mcp.sandbox.aftercare.requests import (
    LISTING_LAG_SECONDS,
    Json,
    asked,
    caller_of,
    fault_of,
    form_of,
    order_of,
    page_of,
    recorded,
    when,
)
from zinc_mcp.sandbox.aftercare.returns import returns_of
from zinc_mcp.sandbox.checks import AnsweredError
from zinc_mcp.sandbox.faults.asked import Fault
from zinc_mcp.sandbox.faults.spoilt_answers import spoil
from zinc_mcp.sandbox.ledger import OrderRow
from zinc_mcp.sandbox.products import HOSTILE, outcome_of

ANSWERED_SECONDS = 2.0
"""The time after which a customer's message is answered, at pace 1."""
_LINK_SECONDS = 7 * 86_400
_CASE_REASONS = (
    "not_received missing_item late damaged_or_wrong_item cancellation address_change return billing other".split()
)


def with_after_sale(sandbox: Sandbox, row: OrderRow, order: Json) -> Json:
    """Return an order with its filed returns and its cases."""
    return {**order, "returns": [*returns_of(sandbox, row), *order["returns"]], "cases": cases_of(sandbox, row)}


async def create_case(sandbox: Sandbox, request: Request) -> Response:
    """`POST /cases` (multipart): 201, 409 while another case of the order is open, or 400 `case_not_allowed`."""
    caller = caller_of(sandbox, request)
    row: OrderRow | None = None
    try:
        fields, files = await form_of(sandbox, request, {"order_id", "reason"}, {"body", "return_request_id"})
        row = order_of(sandbox, caller, fields["order_id"])
        reason = fields["reason"]
        if reason not in _CASE_REASONS or (reason == "return") != ("return_request_id" in fields):
            problem = {"type": "enum", "loc": ["body", "reason"], "msg": "Input is not a reason of a case"}
            raise AnsweredError(checks.invalid(sandbox.dialect, [problem]))
        about = fields.get("return_request_id")
        if about is not None and about not in {each["id"] for each in returns_of(sandbox, row)}:
            raise AnsweredError(checks.error(sandbox.dialect, 404, "not_found", "Return not found."))
        fault = fault_of(sandbox, row, "case_fault")
        if fault and not fault.accepts:
            return recorded(sandbox, request, row, Response(), f"not_accepted_{fault.name}", fault)
        if asked(row, "case") == "refused":
            raise AnsweredError(checks.error(sandbox.dialect, 400, "case_not_allowed", "No case can be opened."))
        with sandbox.ledger.transaction() as database:
            if any(case["status"] != "closed" for case in cases_of(sandbox, row)):
                raise AnsweredError(checks.error(sandbox.dialect, 409, "already_exists", "A case is open already."))
            case_id, now = str(uuid.uuid4()), sandbox.clock()
            database.execute(
                "INSERT INTO cases (case_id, order_id, caller, reason, created_at, return_request_id) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (case_id, row.order_id, caller, reason, now, about),
            )
            _say(database, case_id, fields.get("body", ""), now, files)
        return recorded(
            sandbox, request, row, checks.as_json(_case_named(sandbox, row, case_id), 201), "created", fault
        )
    except AnsweredError as answered:
        status = answered.answer.status_code
        return recorded(sandbox, request, row, answered.answer, f"rejected_{status}", None)


async def add_message(sandbox: Sandbox, request: Request) -> Response:
    """`POST /cases/{id}/messages` (multipart); a closed case is opened again."""
    caller = caller_of(sandbox, request)
    row, stored = _stored_case(sandbox, request, caller)
    try:
        fields, files = await form_of(sandbox, request, set(), {"body"})
    except AnsweredError as answered:
        return answered.answer
    if not fields.get("body", "").strip() and not files:
        return checks.error(sandbox.dialect, 400, "bad_request", "Say something or attach a file.")
    fault = fault_of(sandbox, row, "case_fault")
    if fault and not fault.accepts:
        return recorded(sandbox, request, row, Response(), f"not_accepted_{fault.name}", fault)
    with sandbox.ledger.transaction() as database:
        _say(database, stored["case_id"], fields.get("body", ""), sandbox.clock(), files)
        database.execute("UPDATE cases SET closed_at = NULL WHERE case_id = ?", (stored["case_id"],))
    answer = checks.as_json(_case_named(sandbox, row, stored["case_id"]), 201)
    return recorded(sandbox, request, row, answer, "created", fault)


async def close_case(sandbox: Sandbox, request: Request) -> Response:
    """`POST /cases/{id}/close`: idempotent."""
    row, stored = _stored_case(sandbox, request, caller_of(sandbox, request))
    fault = fault_of(sandbox, row, "case_fault")
    if fault and not fault.accepts:
        return recorded(sandbox, request, row, Response(), f"not_accepted_{fault.name}", fault)
    with sandbox.ledger.transaction() as database:
        database.execute(
            "UPDATE cases SET closed_at = coalesce(closed_at, ?) WHERE case_id = ?",
            (sandbox.clock(), stored["case_id"]),
        )
    answer = checks.as_json(_case_named(sandbox, row, stored["case_id"]))
    return recorded(sandbox, request, row, answer, "closed", fault)


async def list_cases(sandbox: Sandbox, request: Request) -> Response:
    """`GET /cases`: `{cases, total}`, newest activity first."""
    caller, page = caller_of(sandbox, request), page_of(sandbox, request)
    found: list[Json] = []
    fault: Fault | None = None
    lag = LISTING_LAG_SECONDS / sandbox.pace if sandbox.dialect.after_sale_listing == "lags" else 0.0
    for stored in sandbox.ledger.select("SELECT * FROM cases WHERE caller = ?", caller):
        row = sandbox.ledger.find(caller, stored["order_id"])
        if row is None or sandbox.clock() - stored["created_at"] < lag:
            continue
        shown = _case(sandbox, row, stored)
        wanted = {"status": page.status, "reason": page.reason, "order_id": page.order_id}
        if all(value in (None, shown[name]) for name, value in wanted.items()) and page.search in shown["order_id"]:
            found.append({**shown, "messages": []} if sandbox.dialect.case_list == "summaries" else shown)
            fault = fault or fault_of(sandbox, row, "cases_fault")
    found.sort(key=lambda case: case["updated_at"], reverse=True)
    answer = checks.as_json({"cases": found[page.offset : page.offset + page.limit], "total": len(found)})
    return spoil(sandbox, fault, answer) if fault else answer


async def get_case(sandbox: Sandbox, request: Request) -> Response:
    """`GET /cases/{id}`: the case with all its messages."""
    row, stored = _stored_case(sandbox, request, caller_of(sandbox, request))
    return checks.as_json(_case(sandbox, row, stored))


def cases_of(sandbox: Sandbox, row: OrderRow) -> list[Json]:
    """Return an order's cases as CaseSummary rows, newest first."""
    stored = sandbox.ledger.select("SELECT * FROM cases WHERE order_id = ? ORDER BY seq DESC", row.order_id)
    hidden = ("messages",)
    return [{name: part for name, part in _case(sandbox, row, each).items() if name not in hidden} for each in stored]


def _case_named(sandbox: Sandbox, row: OrderRow, case_id: str) -> Json:
    (stored,) = sandbox.ledger.select("SELECT * FROM cases WHERE case_id = ?", case_id)
    return _case(sandbox, row, stored)


def _case(sandbox: Sandbox, row: OrderRow, stored: sqlite3.Row) -> Json:
    """Return a case as CaseResponse. Each message of the customer is answered after `ANSWERED_SECONDS`."""
    now, closed = sandbox.clock(), stored["closed_at"]
    hostile = outcome_of(row.body).scenario.hostile
    messages: list[Json] = []
    for each in sandbox.ledger.select("SELECT * FROM case_messages WHERE case_id = ? ORDER BY seq", stored["case_id"]):
        attached = [_attachment(each, number, file) for number, file in enumerate(json.loads(each["attachments"]))]
        messages.append(_message(each["message_id"], "customer", each["body"], each["created_at"], attached))
        answered = each["created_at"] + ANSWERED_SECONDS / sandbox.pace
        if answered <= now and asked(row, "case") != "silent":
            said = HOSTILE if hostile else "We are looking into it."
            name = str(uuid.uuid5(uuid.UUID(each["message_id"]), "answer"))
            messages.append(_message(name, "zinc", said, answered))
    messages.sort(key=lambda message: message["created_at"])
    waiting = bool(messages) and messages[-1]["author"] == "zinc"
    return {
        "id": stored["case_id"],
        "order_id": row.order_id,
        "reason": stored["reason"],
        "status": "closed" if closed is not None else "waiting_on_customer" if waiting else "open",
        "return_request_id": stored["return_request_id"],
        "created_at": when(stored["created_at"]),
        "updated_at": max([when(closed or stored["created_at"]), *(each["created_at"] for each in messages)]),
        "closed_at": None if closed is None else when(closed),
        "credited_amount": 0,
        "opened_by_name": None,
        "messages": messages,
        "assignee": "must-not-leak",
    }


def _attachment(message: sqlite3.Row, number: int, file: Json) -> Json:
    """Return a file as Attachment. Its address names an end after a week, and the sandbox does not serve it."""
    found = str(uuid.uuid5(uuid.UUID(message["message_id"]), f"file {number}"))
    expires = int(message["created_at"]) + _LINK_SECONDS
    return {"id": found, **file, "url": f"https://files.sandbox.invalid/{found}?expires={expires}"}


def _message(message_id: str, author: str, body: str, at: float, attachments: Sequence[Json] = ()) -> Json:
    return {
        "id": message_id,
        "author": author,
        "author_name": None,
        "from_you": author == "customer",
        "body": body,
        "attachments": list(attachments),
        "created_at": when(at),
    }


def _say(database: sqlite3.Connection, case_id: str, body: str, at: float, files: list[Json]) -> None:
    database.execute(
        "INSERT INTO case_messages (message_id, case_id, body, created_at, attachments) VALUES (?, ?, ?, ?, ?)",
        (str(uuid.uuid4()), case_id, body, at, json.dumps(files)),
    )


def _stored_case(sandbox: Sandbox, request: Request, caller: str) -> tuple[OrderRow, sqlite3.Row]:
    rows = sandbox.ledger.select(
        "SELECT * FROM cases WHERE caller = ? AND case_id = ?", caller, request.path_params["case_id"]
    )
    row = sandbox.ledger.find(caller, rows[0]["order_id"]) if rows else None
    if row is None:
        raise AnsweredError(checks.error(sandbox.dialect, 404, "not_found", "Case not found."))
    return row, rows[0]
