"""The endpoints of an account's orders: create, list, read, timeline, cancel."""

import json
import logging
from datetime import UTC, datetime
from typing import Annotated, Any

import anyio
from pydantic import BaseModel, Field, ValidationError, model_validator
from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox, checks
from zinc_mcp.sandbox.aftercare.cases import with_after_sale
from zinc_mcp.sandbox.aftercare.requests import LISTING_LAG_SECONDS, fault_of, recorded
from zinc_mcp.sandbox.challenges import ORDER_KEY_PREFIX
from zinc_mcp.sandbox.checks import AnsweredError, check_form, check_products, key_in, problems_in, read_body
from zinc_mcp.sandbox.faults.asked import Fault, due_fault
from zinc_mcp.sandbox.faults.spoilt_answers import spoil
from zinc_mcp.sandbox.ledger import OrderRow, Post, fingerprint
from zinc_mcp.sandbox.order_view import order_at, timeline_at
from zinc_mcp.sandbox.products import WORKING_AGE_SECONDS, Reason, age_of, outcome_of

PROCESSING_SECONDS = 0.2
"""The time that a POST takes, at pace 1, in dialects with concurrent POSTs."""


_RETURN_STATUSES = {"open": "open", "approved": "closed", "denied": "closed"}
"""The filter value for each status of a return; the documents do not mention other statuses."""

_Json = dict[str, Any]
_logger = logging.getLogger(__name__)


async def create_order(sandbox: Sandbox, request: Request) -> Response:
    """`POST /orders`. The order of the checks is not documented. Here it is API key, form, address, product, repeat."""
    content = await request.body()
    body, problems = read_body(content)
    post = sandbox.ledger.record_post(
        sandbox.clock(), fingerprint(checks.token_of(request)), key_in(body), content, body
    )
    fault: Fault | None = None
    try:
        checks.authorised_caller(sandbox, request)
        fault = due_fault(sandbox.dialect, post, "fault", "account")
        if fault and not fault.accepts:
            answer, outcome = Response(), f"not_accepted_{fault.name}"
        else:
            check_form(sandbox.dialect, body, problems)
            payment: _Json = body.get("payment") or {}
            if payment.get("mode") == "card":
                raise AnsweredError(
                    checks.error(sandbox.dialect, 402, "payment_required", "Pay for this order to place it.")
                )
            check_products(sandbox.dialect, body)
            answer, outcome = await _place(sandbox, post, fault)
    except AnsweredError as answered:
        answer, outcome = answered.answer, f"rejected_{answered.answer.status_code}"
    name = fault.name if fault else None
    sandbox.ledger.close_attempt(post, outcome, name, busy=name == "hang")
    _logger.info("POST /orders: %s, fault: %s", outcome, name)
    if fault is None or (name == "slow" and outcome == "created" and sandbox.dialect.concurrent != "serialised"):
        return answer
    return spoil(sandbox, fault, answer)


async def _place(sandbox: Sandbox, post: Post, fault: Fault | None) -> tuple[Response, str]:
    """Create the order of a POST, or find its earlier order; return the answer and the outcome for the ledger."""
    dialect, concurrent = sandbox.dialect, sandbox.dialect.concurrent
    processing = 0.0 if concurrent == "serialised" else PROCESSING_SECONDS / sandbox.pace
    delay = fault.seconds / sandbox.pace if fault else 0.0
    scenario = outcome_of(post.body).scenario.name
    row, acceptance = sandbox.ledger.accept(
        post, scenario, busy_seconds=processing + delay, honour_keys=dialect.keys == "honoured"
    )
    if acceptance != "created":
        if acceptance == "earlier" or concurrent == "serialised":
            answer = _repeat(sandbox, post, row)
        elif concurrent == "both_in_flight_409":
            answer = checks.conflict(dialect, post.key, row)
        else:
            answer = checks.internal_error(dialect)
        return answer, f"replayed_{answer.status_code}"
    if processing:
        # The slow fault delays the processing here, so that a second POST arrives during the first.
        await anyio.sleep(processing + (delay if fault and fault.name == "slow" else 0.0))
    if concurrent == "both_in_flight_409" and sandbox.ledger.contested(post):
        return checks.conflict(dialect, post.key, row), "created"
    return checks.as_json(order_at(row, post.at, sandbox.pace), 201), "created"


def _repeat(sandbox: Sandbox, post: Post, row: OrderRow) -> Response:
    dialect = sandbox.dialect
    match dialect.repeat:
        case "conflict_409":
            return checks.conflict(dialect, post.key, row)
        case "conflict_500":
            return checks.internal_error(dialect)
        case "unauthorized_401":
            return checks.error(dialect, 401, "token_expired", "The token has expired.")
        case "payment_402":
            too_low = Reason("insufficient_funds", "The balance is too low.")
            return checks.refused(dialect, too_low, post.body["max_price"])


async def get_order(sandbox: Sandbox, request: Request) -> Response:
    """`GET /orders/{id}`: 404 if the order is unknown or belongs to another caller."""
    row = _row(sandbox, request, _reader(sandbox, request))
    fault = fault_of(sandbox, row, "read_fault")
    answer = checks.as_json(with_after_sale(sandbox, row, order_at(row, sandbox.clock(), sandbox.pace)))
    return spoil(sandbox, fault, answer) if fault else answer


async def get_timeline(sandbox: Sandbox, request: Request) -> Response:
    """`GET /orders/{id}/timeline`."""
    row = _row(sandbox, request, _reader(sandbox, request))
    return checks.as_json(timeline_at(row, sandbox.clock(), sandbox.pace))


async def cancel_order(sandbox: Sandbox, request: Request) -> Response:
    """`POST /orders/{id}/cancel`: 204 while pending; the status of the refusal is not documented."""
    row, now = _row(sandbox, request, checks.authorised_caller(sandbox, request)), sandbox.clock()
    fault = fault_of(sandbox, row, "cancel_fault")
    if fault is not None and fault.name == "false_204":
        return recorded(sandbox, request, row, Response(status_code=204), "not_accepted_false_204", None)
    if fault is not None and not fault.accepts:
        return recorded(sandbox, request, row, Response(), f"not_accepted_{fault.name}", fault)
    answer = _cancelled(sandbox, row, now)
    outcome = "cancelled" if answer.status_code == 204 else f"rejected_{answer.status_code}"
    return recorded(sandbox, request, row, answer, outcome, fault)


def _cancelled(sandbox: Sandbox, row: OrderRow, now: float) -> Response:
    pending = row.cancelled_at is None and age_of(row, now, sandbox.pace) < WORKING_AGE_SECONDS
    if pending and sandbox.ledger.cancel(row.order_id, now):
        return Response(status_code=204)
    status = int(sandbox.dialect.not_cancellable.removeprefix("status_"))
    return checks.error(sandbox.dialect, status, "order_not_cancellable", "Only a pending order can be cancelled.")


async def list_orders(sandbox: Sandbox, request: Request) -> Response:
    """`GET /orders` (List Orders; SDK 2026.8.21 and later)."""
    caller, now, listing = _reader(sandbox, request), sandbox.clock(), sandbox.dialect.listing
    try:
        query = _Query.model_validate({**request.query_params, "include": request.query_params.getlist("include")})
    except ValidationError as found:
        return checks.invalid(sandbox.dialect, problems_in(found, "query"))
    if query.metadata_key is None or query.metadata_value is None or listing == "unfiltered":
        rows = sandbox.ledger.orders_of(caller)
    else:
        rows = sandbox.ledger.orders_of(caller, having=query.metadata_value)
        rows = [row for row in rows if _has_metadata(row, query.metadata_key, query.metadata_value)]
    fault = next(filter(None, [fault_of(sandbox, row, "list_fault") for row in rows]), None)
    if listing == "lags":
        rows = [row for row in rows if (now - row.created_at) * sandbox.pace >= LISTING_LAG_SECONDS]
    events = "tracking_events" in query.include
    orders = [with_after_sale(sandbox, row, order_at(row, now, sandbox.pace, events=events)) for row in rows]
    orders = [order for order in orders if _matches(query, order)]
    page: _Json = {"orders": orders}
    if listing != "unpaged":
        shown = orders[query.offset : query.offset + query.limit]
        page = {"orders": shown, "total": len(orders), "limit": query.limit, "offset": query.offset}
    answer = checks.as_json(page)
    return spoil(sandbox, fault, answer) if fault else answer


def _reader(sandbox: Sandbox, request: Request) -> str:
    # The key of a paid order is for its status (MPP page), so it can read and list that one order.
    token = checks.token_of(request)
    if token.startswith(ORDER_KEY_PREFIX) and sandbox.ledger.orders_of(fingerprint(token)):
        return fingerprint(token)
    return checks.authorised_caller(sandbox, request)


def _row(sandbox: Sandbox, request: Request, caller: str) -> OrderRow:
    order_id = request.path_params["order_id"]
    row = sandbox.ledger.find(caller, order_id)
    if row is None:
        details = {"resource": "Order", "identifier": order_id}
        raise AnsweredError(checks.error(sandbox.dialect, 404, "not_found", "Order not found.", details))
    return row


class _Query(BaseModel):
    """The query of a list. Unknown parameters are ignored, as in FastAPI."""

    # The default and the bound are not documented; these are the numbers of returns and managed accounts.
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    offset: Annotated[int, Field(ge=0)] = 0
    metadata_key: str | None = None
    metadata_value: str | None = None
    order_id: str = ""
    search: str = ""
    merchant_order_id: str | None = None
    shipping_name: str = ""
    status_filter: str | None = None
    tracking_status: str | None = None
    has_tracking: bool | None = None
    return_status: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    user_email: str = ""
    include: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _metadata_is_a_pair(self) -> "_Query":
        if (self.metadata_key is None) != (self.metadata_value is None):
            raise ValueError("metadata_key and metadata_value go together")
        return self


def _has_metadata(row: OrderRow, key: str, value: str) -> bool:
    """Say whether a top-level key has exactly this value. A value that is no string is compared as JSON text."""
    metadata: _Json = row.body.get("metadata") or {}
    found = metadata.get(key, ...)
    return found is not ... and value == (found if isinstance(found, str) else json.dumps(found))


def _matches(query: _Query, order: _Json) -> bool:
    """Say whether an order passes all filters except the one for metadata."""
    address, tracking = order["shipping_address"], order["tracking_numbers"]
    name = f"{address['first_name']} {address['last_name']}".casefold()
    # A merchant's number can be searched with and without its dashes.
    merchants = [spelt for number in order["merchant_order_ids"] for spelt in (number, number.replace("-", ""))]
    returns = [_RETURN_STATUSES.get(each["status"]) for each in order["returns"]]
    created = datetime.fromisoformat(order["created_at"])
    return (
        query.order_id in order["id"]
        and any(query.search in each for each in (order["id"], *(each["tracking_number"] for each in tracking)))
        and (query.merchant_order_id is None or query.merchant_order_id in merchants)
        and query.shipping_name.casefold() in name
        and query.status_filter in (None, order["status"])
        and (query.tracking_status is None or query.tracking_status in [each["status"] for each in tracking])
        and query.has_tracking in (None, bool(tracking))
        and (query.return_status is None or query.return_status in returns)
        and query.user_email.casefold() in (order["created_by"] or "").casefold()
        and (query.created_after is None or created >= _in_utc(query.created_after))
        and (query.created_before is None or created < _in_utc(query.created_before))
    )


def _in_utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
