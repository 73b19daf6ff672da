"""The sandbox's returns and cases: `POST` and `GET /returns`, `/cases`, messages and closing (SDK 2026.10.16).

A return advances with time: open, then approved with a label, then credited; or denied. A case is answered once. The
product of an order says how: `?return=denied`, `?return=refused`, `?case=refused`, `?case=silent`. Faults as in
`faults` act on the changes of the order: `?return_fault=`, `?case_fault=`, and on their lists `?returns_fault=`,
`?cases_fault=`.
"""

import json
import re
import sqlite3
import uuid
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Annotated, Any, Literal, cast
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox, checks
from zinc_mcp.sandbox.challenges import ORDER_KEY_PREFIX
from zinc_mcp.sandbox.checks import AnsweredError, problems_in
from zinc_mcp.sandbox.faults import Fault, fault_for, faults_in, spoil
from zinc_mcp.sandbox.ledger import OrderRow, fingerprint
from zinc_mcp.sandbox.order_view import order_at
from zinc_mcp.sandbox.products import HOSTILE, outcome_of

APPROVED_SECONDS, CREDITED_SECONDS = 2.0, 5.0
"""Seconds at pace 1 after a return was filed."""
ANSWERED_SECONDS = 2.0
"""Seconds at pace 1 after which a message of the customer's is answered."""
_LABEL_SECONDS = 7 * 86_400
_MAX_FILES = 5

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
_CASE_REASONS = (
    "not_received missing_item late damaged_or_wrong_item cancellation address_change return billing other".split()
)
_Json = dict[str, Any]


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


class _Page(BaseModel):
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    offset: Annotated[int, Field(ge=0)] = 0
    search: str = ""
    status: str | None = None
    reason: str | None = None
    order_id: str | None = None


# Returns


async def create_return(sandbox: Sandbox, request: Request) -> Response:
    """`POST /returns`: 201, or 409 or `return_not_allowed` where it conflicts."""
    content, caller = await request.body(), _caller(sandbox, request)
    row: OrderRow | None = None
    try:
        try:
            wanted = _Return.model_validate_json(content)
        except ValidationError as found:
            raise AnsweredError(checks.invalid(sandbox.dialect, problems_in(found, "body"))) from None
        row = _order(sandbox, caller, wanted.order_id)
        fault = _fault(sandbox, row, "return_fault")
        if fault and not fault.accepts:
            return _recorded(sandbox, request, row, Response(), f"not_accepted_{fault.name}", fault)
        body: _Json = json.loads(content)
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
        return _recorded(sandbox, request, row, answer, "created", fault)
    except AnsweredError as answered:
        status = answered.answer.status_code
        return _recorded(sandbox, request, row, answered.answer, f"rejected_{status}", None)


async def list_returns(sandbox: Sandbox, request: Request) -> Response:
    """`GET /returns`: `{return_requests, total}`."""
    caller, page = _caller(sandbox, request), _page(sandbox, request)
    rows = sandbox.ledger.select("SELECT * FROM returns WHERE caller = ? ORDER BY seq DESC", caller)
    found: list[_Json] = []
    fault: Fault | None = None
    lag = 5.0 / sandbox.pace if sandbox.dialect.after_sale_listing == "lags" else 0.0
    for stored in rows:
        row = sandbox.ledger.find(caller, stored["order_id"])
        if row is None or sandbox.clock() - stored["created_at"] < lag:
            continue
        shown = _return(sandbox, row, stored)
        if page.search in shown["order_id"] and page.status in (None, shown["status"]):
            found.append(shown)
            fault = fault or _fault(sandbox, row, "returns_fault")
    listed = {"return_requests": found[page.offset : page.offset + page.limit], "total": len(found)}
    answer = checks.as_json(listed)
    return spoil(sandbox, fault, answer) if fault else answer


async def get_return(sandbox: Sandbox, request: Request) -> Response:
    """`GET /returns/{id}`."""
    caller = _caller(sandbox, request)
    rows = sandbox.ledger.select(
        "SELECT * FROM returns WHERE caller = ? AND return_id = ?", caller, request.path_params["return_id"]
    )
    row = sandbox.ledger.find(caller, rows[0]["order_id"]) if rows else None
    if row is None:
        return checks.error(sandbox.dialect, 404, "not_found", "Return not found.")
    return checks.as_json(_return(sandbox, row, rows[0]))


def _check_return(sandbox: Sandbox, row: OrderRow, body: _Json) -> None:
    order = order_at(row, sandbox.clock(), sandbox.pace)
    status = int(sandbox.dialect.return_conflict.removeprefix("status_"))
    if order["status"] != "order_placed" or _asked(row, "return") == "refused":
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


def returns_of(sandbox: Sandbox, row: OrderRow) -> list[_Json]:
    """Return an order's filed returns as ReturnSummary rows, newest first."""
    stored = sandbox.ledger.select("SELECT * FROM returns WHERE order_id = ? ORDER BY seq DESC", row.order_id)
    hidden = ("order_id", "merchant_return_id")
    return [{name: part for name, part in _return(sandbox, row, each).items() if name not in hidden} for each in stored]


def _return(sandbox: Sandbox, row: OrderRow, stored: sqlite3.Row) -> _Json:
    body: _Json = json.loads(stored["body"])
    now, created, pace = sandbox.clock(), stored["created_at"], sandbox.pace
    age = (now - created) * pace
    denied = _asked(row, "return") == "denied"
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
        "created_at": _when(created),
        "updated_at": _when(changed),
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


def _credit(sandbox: Sandbox, row: OrderRow, body: _Json) -> int:
    """Return the price of what goes back: its share of the total, without Zinc's fee."""
    order = order_at(row, sandbox.clock(), sandbox.pace)
    result: _Json = order["job_result"] or {}
    price: _Json | None = result.get("price_components")
    pieces = sum(item["quantity"] for item in order["items"])
    back = sum(item["quantity"] for item in body["items"])
    return 0 if price is None else int(price["converted_payment_total"]) * back // pieces


# Cases


async def create_case(sandbox: Sandbox, request: Request) -> Response:
    """`POST /cases` (multipart): 201; 409 while another case of the order is open; `case_not_allowed`."""
    caller = _caller(sandbox, request)
    row: OrderRow | None = None
    try:
        fields = await _form(sandbox, request, {"order_id", "reason"}, {"body", "return_request_id"})
        row = _order(sandbox, caller, fields["order_id"])
        reason = fields["reason"]
        if reason not in _CASE_REASONS or (reason == "return") != ("return_request_id" in fields):
            problem = {"type": "enum", "loc": ["body", "reason"], "msg": "Input is not a reason of a case"}
            raise AnsweredError(checks.invalid(sandbox.dialect, [problem]))
        fault = _fault(sandbox, row, "case_fault")
        if fault and not fault.accepts:
            return _recorded(sandbox, request, row, Response(), f"not_accepted_{fault.name}", fault)
        if _asked(row, "case") == "refused":
            raise AnsweredError(checks.error(sandbox.dialect, 400, "case_not_allowed", "No case can be opened."))
        with sandbox.ledger.transaction() as database:
            if any(case["status"] != "closed" for case in cases_of(sandbox, row)):
                raise AnsweredError(checks.error(sandbox.dialect, 409, "already_exists", "A case is open already."))
            case_id, now = str(uuid.uuid4()), sandbox.clock()
            database.execute(
                "INSERT INTO cases (case_id, order_id, caller, reason, created_at) VALUES (?, ?, ?, ?, ?)",
                (case_id, row.order_id, caller, reason, now),
            )
            _say(database, case_id, fields.get("body", ""), now)
        return _recorded(
            sandbox, request, row, checks.as_json(_case_named(sandbox, row, case_id), 201), "created", fault
        )
    except AnsweredError as answered:
        status = answered.answer.status_code
        return _recorded(sandbox, request, row, answered.answer, f"rejected_{status}", None)


async def add_message(sandbox: Sandbox, request: Request) -> Response:
    """`POST /cases/{id}/messages` (multipart); a closed case is opened again."""
    caller = _caller(sandbox, request)
    row, stored = _stored_case(sandbox, request, caller)
    try:
        fields = await _form(sandbox, request, {"body"}, set())
    except AnsweredError as answered:
        return answered.answer
    fault = _fault(sandbox, row, "case_fault")
    if fault and not fault.accepts:
        return _recorded(sandbox, request, row, Response(), f"not_accepted_{fault.name}", fault)
    with sandbox.ledger.transaction() as database:
        _say(database, stored["case_id"], fields["body"], sandbox.clock())
        database.execute("UPDATE cases SET closed_at = NULL WHERE case_id = ?", (stored["case_id"],))
    answer = checks.as_json(_case_named(sandbox, row, stored["case_id"]), 201)
    return _recorded(sandbox, request, row, answer, "created", fault)


async def close_case(sandbox: Sandbox, request: Request) -> Response:
    """`POST /cases/{id}/close`: idempotent."""
    row, stored = _stored_case(sandbox, request, _caller(sandbox, request))
    fault = _fault(sandbox, row, "case_fault")
    if fault and not fault.accepts:
        return _recorded(sandbox, request, row, Response(), f"not_accepted_{fault.name}", fault)
    with sandbox.ledger.transaction() as database:
        database.execute(
            "UPDATE cases SET closed_at = coalesce(closed_at, ?) WHERE case_id = ?",
            (sandbox.clock(), stored["case_id"]),
        )
    answer = checks.as_json(_case_named(sandbox, row, stored["case_id"]))
    return _recorded(sandbox, request, row, answer, "closed", fault)


async def list_cases(sandbox: Sandbox, request: Request) -> Response:
    """`GET /cases`: `{cases, total}`, newest activity first."""
    caller, page = _caller(sandbox, request), _page(sandbox, request)
    found: list[_Json] = []
    fault: Fault | None = None
    lag = 5.0 / sandbox.pace if sandbox.dialect.after_sale_listing == "lags" else 0.0
    for stored in sandbox.ledger.select("SELECT * FROM cases WHERE caller = ?", caller):
        row = sandbox.ledger.find(caller, stored["order_id"])
        if row is None or sandbox.clock() - stored["created_at"] < lag:
            continue
        shown = _case(sandbox, row, stored)
        wanted = {"status": page.status, "reason": page.reason, "order_id": page.order_id}
        if all(value in (None, shown[name]) for name, value in wanted.items()) and page.search in shown["order_id"]:
            found.append({**shown, "messages": []} if sandbox.dialect.case_list == "summaries" else shown)
            fault = fault or _fault(sandbox, row, "cases_fault")
    found.sort(key=lambda case: case["updated_at"], reverse=True)
    answer = checks.as_json({"cases": found[page.offset : page.offset + page.limit], "total": len(found)})
    return spoil(sandbox, fault, answer) if fault else answer


async def get_case(sandbox: Sandbox, request: Request) -> Response:
    """`GET /cases/{id}`: with the whole thread."""
    row, stored = _stored_case(sandbox, request, _caller(sandbox, request))
    return checks.as_json(_case(sandbox, row, stored))


def cases_of(sandbox: Sandbox, row: OrderRow) -> list[_Json]:
    """Return an order's cases as CaseSummary rows, newest first."""
    stored = sandbox.ledger.select("SELECT * FROM cases WHERE order_id = ? ORDER BY seq DESC", row.order_id)
    hidden = ("messages",)
    return [{name: part for name, part in _case(sandbox, row, each).items() if name not in hidden} for each in stored]


def _case_named(sandbox: Sandbox, row: OrderRow, case_id: str) -> _Json:
    (stored,) = sandbox.ledger.select("SELECT * FROM cases WHERE case_id = ?", case_id)
    return _case(sandbox, row, stored)


def _case(sandbox: Sandbox, row: OrderRow, stored: sqlite3.Row) -> _Json:
    """Return CaseResponse: each message of the customer's is answered after a while."""
    now, closed = sandbox.clock(), stored["closed_at"]
    hostile = outcome_of(row.body).scenario.hostile
    messages: list[_Json] = []
    for each in sandbox.ledger.select("SELECT * FROM case_messages WHERE case_id = ? ORDER BY seq", stored["case_id"]):
        messages.append(_message(each["message_id"], "customer", each["body"], each["created_at"]))
        answered = each["created_at"] + ANSWERED_SECONDS / sandbox.pace
        if answered <= now and _asked(row, "case") != "silent":
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
        "return_request_id": None,
        "created_at": _when(stored["created_at"]),
        "updated_at": max([_when(closed or stored["created_at"]), *(each["created_at"] for each in messages)]),
        "closed_at": None if closed is None else _when(closed),
        "credited_amount": 0,
        "opened_by_name": None,
        "messages": messages,
        "assignee": "must-not-leak",
    }


def _message(message_id: str, author: str, body: str, at: float) -> _Json:
    return {
        "id": message_id,
        "author": author,
        "author_name": None,
        "from_you": author == "customer",
        "body": body,
        "attachments": [],
        "created_at": _when(at),
    }


def _say(database: sqlite3.Connection, case_id: str, body: str, at: float) -> None:
    database.execute(
        "INSERT INTO case_messages (message_id, case_id, body, created_at) VALUES (?, ?, ?, ?)",
        (str(uuid.uuid4()), case_id, body, at),
    )


# What they share


def with_after_sale(sandbox: Sandbox, row: OrderRow, order: _Json) -> _Json:
    """Return an order with its filed returns and its cases."""
    return {**order, "returns": [*returns_of(sandbox, row), *order["returns"]], "cases": cases_of(sandbox, row)}


def changes(sandbox: Sandbox) -> list[_Json]:
    """Return every POST about a return or a case, oldest first, with its outcome; for tests and benches."""
    return [dict(row) for row in sandbox.ledger.select("SELECT * FROM changes ORDER BY seq")]


def _recorded(
    sandbox: Sandbox, request: Request, row: OrderRow | None, answer: Response, outcome: str, fault: Fault | None
) -> Response:
    with sandbox.ledger.transaction() as database:
        database.execute(
            "INSERT INTO changes (at, path, order_id, outcome, fault) VALUES (?, ?, ?, ?, ?)",
            (sandbox.clock(), request.url.path, row and row.order_id, outcome, fault and fault.name),
        )
    return answer if fault is None else spoil(sandbox, fault, answer)


def _caller(sandbox: Sandbox, request: Request) -> str:
    """Return who asks. Whether an order's own key may do this is not documented (22.4)."""
    token = checks.token_of(request)
    if token.startswith(ORDER_KEY_PREFIX) and sandbox.ledger.orders_of(fingerprint(token)):
        if sandbox.dialect.order_key_after_sale == "allowed":
            return fingerprint(token)
        status = int(sandbox.dialect.order_key_after_sale.rpartition("_")[2])
        code = "unauthorized" if status == 401 else "forbidden"
        raise AnsweredError(checks.error(sandbox.dialect, status, code, "Not with this key."))
    return checks.authorised_caller(sandbox, request)


def _order(sandbox: Sandbox, caller: str, order_id: str) -> OrderRow:
    row = sandbox.ledger.find(caller, order_id)
    if row is None:
        raise AnsweredError(checks.error(sandbox.dialect, 404, "not_found", "Order not found."))
    return row


def _stored_case(sandbox: Sandbox, request: Request, caller: str) -> tuple[OrderRow, sqlite3.Row]:
    rows = sandbox.ledger.select(
        "SELECT * FROM cases WHERE caller = ? AND case_id = ?", caller, request.path_params["case_id"]
    )
    row = sandbox.ledger.find(caller, rows[0]["order_id"]) if rows else None
    if row is None:
        raise AnsweredError(checks.error(sandbox.dialect, 404, "not_found", "Case not found."))
    return row, rows[0]


def _page(sandbox: Sandbox, request: Request) -> _Page:
    try:
        return _Page.model_validate(dict(request.query_params))
    except ValidationError as found:
        raise AnsweredError(checks.invalid(sandbox.dialect, problems_in(found, "query"))) from None


def _fault(sandbox: Sandbox, row: OrderRow, parameter: str) -> Fault | None:
    if not faults_in(row.body, parameter):
        return None
    return fault_for(row.body, parameter, sandbox.ledger.count_read(row.order_id, parameter))


def _asked(row: OrderRow, parameter: str) -> str | None:
    url = str(cast(Any, row.body)["products"][0]["url"])
    return dict(parse_qsl(urlsplit(url).query)).get(parameter)


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


_TYPE = re.compile(r'multipart/form-data; *boundary="?[A-Za-z0-9\'()+_,./:=? -]{1,70}"?')


async def _form(sandbox: Sandbox, request: Request, required: set[str], optional: set[str]) -> dict[str, str]:
    """Read a multipart form by the standard library, so that a mistake in our own writer does not repeat here."""
    kind = request.headers.get("content-type", "")
    problem = {"type": "missing", "loc": ["body"], "msg": "Field required"}
    if not _TYPE.fullmatch(kind):
        raise AnsweredError(checks.invalid(sandbox.dialect, [problem]))
    head = f"Content-Type: {kind}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    read = message_from_bytes(head + await request.body(), policy=policy.HTTP)
    fields: dict[str, str] = {}
    files = 0
    for part in read.iter_parts() if read.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        if part.get_filename():
            files += 1
        elif isinstance(name, str):
            content = part.get_payload(decode=True)
            fields[name] = content.decode() if isinstance(content, bytes) else ""
    if files > _MAX_FILES or not required <= fields.keys() or not fields.keys() <= required | optional:
        raise AnsweredError(checks.invalid(sandbox.dialect, [problem]))
    return fields
