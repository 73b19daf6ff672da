"""Steps that the sandbox's returns and cases share: find the caller, the order and the fault, and record each POST.

The URL of an order's first product says how its returns and cases end: `?return=denied`, `?return=refused`,
`?case=refused`, `?case=silent`. The faults of `sandbox.faults` act on POSTs about them with `?return_fault=` and
`?case_fault=`, and on their lists with `?returns_fault=` and `?cases_fault=`.
"""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Annotated, Any, cast
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox, checks
from zinc_mcp.sandbox.challenges import ORDER_KEY_PREFIX
from zinc_mcp.sandbox.checks import AnsweredError, problems_in
from zinc_mcp.sandbox.faults.asked import Fault, fault_for, faults_in
from zinc_mcp.sandbox.faults.spoilt_answers import spoil
from zinc_mcp.sandbox.ledger import OrderRow, fingerprint

LISTING_LAG_SECONDS = 5.0
"""The time for which a new order, return or case is missing from lists in dialects with `lags`, at pace 1."""
_MAX_FILES, _MAX_FILE_BYTES = 5, 25 * 1024 * 1024
_FILE_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/heic", "application/pdf"})

Json = dict[str, Any]


class Page(BaseModel):
    """The query of a list."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    offset: Annotated[int, Field(ge=0)] = 0
    search: str = ""
    status: str | None = None
    reason: str | None = None
    order_id: str | None = None


def changes(sandbox: Sandbox) -> list[Json]:
    """Return every POST that changes an order, oldest first, with its outcome; for tests and benches."""
    return [dict(row) for row in sandbox.ledger.select("SELECT * FROM changes ORDER BY seq")]


def recorded(
    sandbox: Sandbox, request: Request, row: OrderRow | None, answer: Response, outcome: str, fault: Fault | None
) -> Response:
    """Record a POST, and return its answer, spoilt by the fault if there is one."""
    record_change(sandbox, request, row, outcome, fault)
    return answer if fault is None else spoil(sandbox, fault, answer)


def record_change(sandbox: Sandbox, request: Request, row: OrderRow | None, outcome: str, fault: Fault | None) -> None:
    """Record a POST that changes an order."""
    with sandbox.ledger.transaction() as database:
        database.execute(
            "INSERT INTO changes (at, path, order_id, outcome, fault) VALUES (?, ?, ?, ?, ?)",
            (sandbox.clock(), request.url.path, row and row.order_id, outcome, fault and fault.name),
        )


def caller_of(sandbox: Sandbox, request: Request) -> str:
    """Return the caller of a request. The documents do not say whether an order's own key may do this.

    Raises:
        AnsweredError: with a 401 or 403.
    """
    token = checks.token_of(request)
    if token.startswith(ORDER_KEY_PREFIX) and sandbox.ledger.orders_of(fingerprint(token)):
        if sandbox.dialect.order_key_after_sale == "allowed":
            return fingerprint(token)
        status = int(sandbox.dialect.order_key_after_sale.rpartition("_")[2])
        code = "unauthorized" if status == 401 else "forbidden"
        raise AnsweredError(checks.error(sandbox.dialect, status, code, "Not with this key."))
    return checks.authorised_caller(sandbox, request)


def order_of(sandbox: Sandbox, caller: str, order_id: str) -> OrderRow:
    """Return a caller's order.

    Raises:
        AnsweredError: with a 404.
    """
    row = sandbox.ledger.find(caller, order_id)
    if row is None:
        raise AnsweredError(checks.error(sandbox.dialect, 404, "not_found", "Order not found."))
    return row


def page_of(sandbox: Sandbox, request: Request) -> Page:
    """Return the query of a list.

    Raises:
        AnsweredError: with a 422.
    """
    try:
        return Page.model_validate(dict(request.query_params))
    except ValidationError as found:
        raise AnsweredError(checks.invalid(sandbox.dialect, problems_in(found, "query"))) from None


def fault_of(sandbox: Sandbox, row: OrderRow, parameter: str) -> Fault | None:
    """Return the fault that an order asks for on this request. Each call counts as one request."""
    if not faults_in(row.body, parameter):  # other requests write nothing
        return None
    return fault_for(row.body, parameter, sandbox.ledger.count_read(row.order_id, parameter))


def asked(row: OrderRow, parameter: str) -> str | None:
    """Return the value of a parameter in the URL of an order's first product, or None."""
    url = str(cast(Any, row.body)["products"][0]["url"])
    return dict(parse_qsl(urlsplit(url).query)).get(parameter)


def when(at: float) -> str:
    """Return a time as an ISO 8601 date-time in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat()


_TYPE = re.compile(r'multipart/form-data; *boundary="?[A-Za-z0-9\'()+_,./:=? -]{1,70}"?')


async def form_of(
    sandbox: Sandbox, request: Request, required: set[str], optional: set[str]
) -> tuple[dict[str, str], list[Json]]:
    """Read a multipart form with the standard library, so that a mistake in our own writer does not repeat here.

    Return its texts by name, and the name, type and size of each file.

    Raises:
        AnsweredError: with a 422.
    """
    kind = request.headers.get("content-type", "")
    problem = {"type": "missing", "loc": ["body"], "msg": "Field required"}
    if not _TYPE.fullmatch(kind):
        raise AnsweredError(checks.invalid(sandbox.dialect, [problem]))
    head = f"Content-Type: {kind}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    read = message_from_bytes(head + await request.body(), policy=policy.HTTP)
    fields: dict[str, str] = {}
    files: list[Json] = []
    for part in read.iter_parts() if read.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        size = len(content) if isinstance(content, bytes) else 0
        if filename := part.get_filename():
            files.append({"filename": filename, "content_type": part.get_content_type(), "size_bytes": size})
        elif isinstance(name, str):
            fields[name] = content.decode() if isinstance(content, bytes) else ""
    known = all(each["content_type"] in _FILE_TYPES and each["size_bytes"] <= _MAX_FILE_BYTES for each in files)
    named = required <= fields.keys() <= required | optional
    if len(files) > _MAX_FILES or not known or not named:
        raise AnsweredError(checks.invalid(sandbox.dialect, [problem]))
    return fields, files
