"""The endpoints of Zinc v1 about orders: create, read, list, abort, retry."""

import json
import logging
from functools import partial
from typing import Any, cast

import anyio
from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.aftercare.requests import LISTING_LAG_SECONDS, record_change
from zinc_mcp.sandbox.checks import AnsweredError, as_json, key_in
from zinc_mcp.sandbox.faults.asked import Fault
from zinc_mcp.sandbox.ledger import OrderRow, Post
from zinc_mcp.sandbox.orders.account import PROCESSING_SECONDS
from zinc_mcp.sandbox.v1 import book
from zinc_mcp.sandbox.v1.aftercare.cancellations import cancelled_orders
from zinc_mcp.sandbox.v1.aftercare.changes import changed
from zinc_mcp.sandbox.v1.answers import Json, answer, caller_of, error_object, refused, token_of
from zinc_mcp.sandbox.v1.faults import due_fault, due_post_fault, spoilt
from zinc_mcp.sandbox.v1.reading import milliseconds, number_of, order_of, progress_now, read_json
from zinc_mcp.sandbox.v1.rules.bill import bill_of, refusal_of
from zinc_mcp.sandbox.v1.rules.codes import RUNNING
from zinc_mcp.sandbox.v1.rules.form import problem_of
from zinc_mcp.sandbox.v1.view import account_of, echo_of, order_at, without_secrets

DEFAULT_LIMIT, MOST_ROWS = 10, 5_000
"""The length of a list: 10 by default ("List Orders"). One example asks for 5,000; no upper bound is documented."""

_logger = logging.getLogger(__name__)


async def create_order(sandbox: Sandbox, request: Request) -> Response:
    """`POST /v1/orders`. The order of the checks is not documented; here it is: token, JSON, key, form, product."""
    content = await request.body()
    body, code = read_json(content)
    caller = caller_of(sandbox, request)
    order = cast(Json, body) if isinstance(body, dict) else {}
    post = sandbox.ledger.record_post(sandbox.clock(), caller, key_in(order), content, order, rail="v1")
    fault: Fault | None = None
    try:
        fault = due_post_fault(sandbox, post)
        if fault is not None and not fault.accepts:
            told, outcome = Response(), f"not_accepted_{fault.name}"
        elif code is not None:
            raise refused(sandbox, code)
        else:
            told, outcome = await _taken(sandbox, post, body, fault)
    except AnsweredError as ended:
        told, outcome = ended.answer, "rejected"
    sandbox.ledger.close_attempt(post, outcome, fault.name if fault is not None else None, busy=True)
    _logger.info("POST /v1/orders: %s, fault: %s", outcome, fault and fault.name)
    return spoilt(sandbox, request, fault, told)


async def _taken(sandbox: Sandbox, post: Post, body: Any, fault: Fault | None) -> tuple[Response, str]:
    """Create the order of a POST, or repeat the first answer to its key; return the answer and the outcome."""
    dialect, honour = sandbox.dialect.v1, sandbox.dialect.v1.keys == "honoured"
    if honour and (earlier := book.earlier_answer(sandbox.ledger, post.caller, post.key)) is not None:
        if dialect.concurrent == "serialised" or not book.is_busy(sandbox.ledger, post):
            return answer(sandbox, earlier), "replayed"
    problem = problem_of(body, managed_shops=dialect.managed_shops, now=post.at) or refusal_of(post.body)
    if problem is not None:
        told = error_object(*problem)
        if honour:
            told = book.keep_answer(sandbox.ledger, post.caller, post.key, told)
        return answer(sandbox, told), f"rejected_{told.get('code', '200')}"
    kept, secrets = without_secrets(post.body)
    slow = fault.seconds / sandbox.pace if fault is not None and fault.name == "slow" else 0.0
    busy = 0.0 if dialect.concurrent == "serialised" else PROCESSING_SECONDS / sandbox.pace + slow
    scenario = bill_of(post.body).course.name
    told, is_new = book.place(sandbox.ledger, post, kept, scenario, busy_seconds=busy, honour_keys=honour)
    if not is_new:
        return answer(sandbox, told), "replayed"
    if secrets:
        sandbox.v1_secrets[told["request_id"]] = secrets
    if busy:
        await anyio.sleep(PROCESSING_SECONDS / sandbox.pace)
    return answer(sandbox, told), "created"


async def get_order(sandbox: Sandbox, request: Request) -> Response:
    """`GET /v1/orders/{request_id}`."""
    row = order_of(sandbox, request)
    fault = due_fault(sandbox, row, "read_fault")
    if fault is not None and not fault.accepts:
        return spoilt(sandbox, request, fault, Response())
    told = _alone(sandbox, shown(sandbox, request, row, looking=True))
    if told.get("code") == RUNNING and sandbox.dialect.v1.running == "bare":
        told.pop("request_id", None)
    return spoilt(sandbox, request, fault, answer(sandbox, told))


def _alone(sandbox: Sandbox, told: Json) -> Json:
    """Return an order as a GET of it alone shows it: without its request and its time while it is processed."""
    if told.get("code") != RUNNING or sandbox.dialect.v1.running == "full":
        return told
    return {name: value for name, value in told.items() if name not in ("request", "_created_at")}


def shown(sandbox: Sandbox, request: Request, row: OrderRow, *, looking: bool = False) -> Json:
    """Return an order as a list shows it. `looking`: this is a GET of it alone, which counts where that matters."""
    progress, dialect = progress_now(sandbox, row, looking=looking), sandbox.dialect.v1
    secrets = sandbox.v1_secrets.get(row.order_id, {})
    echo = echo_of(row, dialect, secrets, token_of(request) or "")
    bought_by = account_of(row, secrets)
    cancelled = cancelled_orders(sandbox, row).keys() if progress.stage == "placed" else ()
    return order_at(row, progress, dialect, sandbox.pace, echo=echo, account=bought_by, cancelled=cancelled)


async def list_orders(sandbox: Sandbox, request: Request) -> Response:
    """`GET /v1/orders`: times are Unix milliseconds; the start belongs to the range, and the end does not."""
    caller, given, now = caller_of(sandbox, request), request.query_params, sandbox.clock()
    dialect = sandbox.dialect.v1
    limit = number_of(sandbox, request, "limit") or DEFAULT_LIMIT
    skip = number_of(sandbox, request, "skip") or 0
    start, end = number_of(sandbox, request, "starting_after"), number_of(sandbox, request, "ending_before")
    rows = [
        row
        for row in sandbox.ledger.orders_of(caller)
        if (start is None or milliseconds(row.created_at) >= start)
        and (end is None or milliseconds(row.created_at) < end)
        and given.get("retailer") in (None, row.body["retailer"])
        and (dialect.listing != "lags" or (now - row.created_at) * sandbox.pace >= LISTING_LAG_SECONDS)
    ]
    if dialect.list_order == "oldest_first":
        rows.reverse()
    if dialect.listing == "placed_only":
        rows = [row for row in rows if progress_now(sandbox, row).stage == "placed"]
    rows = rows[skip : skip + min(limit, MOST_ROWS)]
    fault = next(filter(None, [due_fault(sandbox, row, "list_fault") for row in rows]), None)
    found = [shown(sandbox, request, row) for row in rows]
    return spoilt(sandbox, request, fault, as_json({"orders": found} if dialect.listing == "wrapped" else found))


async def abort_order(sandbox: Sandbox, request: Request) -> Response:
    """`POST /v1/orders/{request_id}/abort`: answers as a GET does. An abort may take time or have no effect."""
    row = order_of(sandbox, request)
    fault = due_fault(sandbox, row, "abort_fault")
    if fault is not None and not fault.accepts:
        record_change(sandbox, request, row, f"not_accepted_{fault.name}", fault)
        return spoilt(sandbox, request, fault, Response())
    outcome = "too_late"
    if progress_now(sandbox, row).stage == "processing":
        outcome = "asked" if sandbox.ledger.cancel(row.order_id, sandbox.clock()) else "asked_again"
        row = order_of(sandbox, request)
    record_change(sandbox, request, row, outcome, fault)
    return spoilt(sandbox, request, fault, answer(sandbox, _alone(sandbox, shown(sandbox, request, row))))


async def retry_order(sandbox: Sandbox, request: Request) -> Response:
    """`POST /v1/orders/{request_id}/retry`: a new order with the body of one that has failed."""
    return await changed(sandbox, request, "retry_fault", partial(_retry, sandbox))


def _retry(sandbox: Sandbox, row: OrderRow, body: Json) -> Json:
    if progress_now(sandbox, row).stage != "failed":
        raise refused(sandbox, "invalid_request", problems=["only a failed order can be retried"])
    content = json.dumps(row.body).encode()
    post = sandbox.ledger.record_post(sandbox.clock(), row.caller, None, content, row.body, rail="v1")
    scenario = bill_of(row.body).course.name
    told, _ = book.place(sandbox.ledger, post, row.body, scenario, busy_seconds=0.0, honour_keys=False)
    sandbox.ledger.close_attempt(post, "created", None)
    if secrets := sandbox.v1_secrets.get(row.order_id):
        sandbox.v1_secrets[told["request_id"]] = secrets
    return told
