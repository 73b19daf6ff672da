"""The endpoints of Zinc v1 about the case of a managed order ("Cases"): one for each order, with a typed history."""

from functools import partial
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.checks import as_json
from zinc_mcp.sandbox.ledger import OrderRow
from zinc_mcp.sandbox.v1 import book
from zinc_mcp.sandbox.v1.aftercare.changes import changed, checked, invalid
from zinc_mcp.sandbox.v1.aftercare.returns import returns_made
from zinc_mcp.sandbox.v1.answers import Json
from zinc_mcp.sandbox.v1.faults import asked, due_fault, spoilt
from zinc_mcp.sandbox.v1.reading import order_of, progress_now
from zinc_mcp.sandbox.v1.view import stamp

REPLY_SECONDS, CLOSED_SECONDS = 3.0, 4.0
"""The times from the opening of a case to the answer, and to its closing after a refund, at pace 1."""

_Reason = Literal[
    "return.request_label", "nondelivery.not_delivered", "nondelivery.damaged", "nondelivery.empty_box",
    "tracking.request_update", "cancel.forced_cancellation", "other",
]  # fmt: skip
REASONS: tuple[str, ...] = get_args(_Reason)

Event = tuple[float, str, str]
"""The time, the type and the text of one message."""


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid")

    message: Annotated[str, Field(min_length=1)]
    reason: _Reason | None = None


async def get_case(sandbox: Sandbox, request: Request) -> Response:
    """`GET /v1/orders/{request_id}/case`: its state is null while there is none."""
    row = order_of(sandbox, request)
    fault = due_fault(sandbox, row, "case_read_fault")
    if fault is not None and not fault.accepts:
        return spoilt(sandbox, request, fault, Response())
    return spoilt(sandbox, request, fault, as_json(_shown(sandbox, row)))


async def say_in_case(sandbox: Sandbox, request: Request) -> Response:
    """`POST /v1/orders/{request_id}/case`: with a reason it opens the case, without one it adds to it."""
    return await changed(sandbox, request, "case_fault", partial(_say, sandbox))


def _say(sandbox: Sandbox, row: OrderRow, body: Json) -> Json:
    form = checked(sandbox, _Said, body)
    if not row.body.get("addax"):
        raise invalid(sandbox, "only a managed order has a case")
    if form.reason is None and _shown(sandbox, row)["state"] != "open":
        raise invalid(sandbox, "reason: Field required to open a case")
    book.add_request(sandbox.ledger, row, "case", body, sandbox.clock())
    return _shown(sandbox, row)


def events_of(sandbox: Sandbox, row: OrderRow) -> list[Event]:
    """Return the events in the case of an order by now, oldest first."""
    if not row.body.get("addax"):
        return []
    found = [*_opened_by_zinc(sandbox, row)]
    for each in book.requests_about(sandbox.ledger, row.order_id, "case"):
        reason = each.body.get("reason")
        kind = f"case.opened.{reason}" if reason else "case.freetext"
        found.append((each.created_at, kind, str(each.body["message"])))
        if reason and asked(row.body, "case") != "silent":
            found += _replies(str(reason), each.created_at, sandbox.pace)
    now = sandbox.clock()
    return sorted((event for event in found if event[0] <= now), key=lambda event: event[0])


def refunded_at(sandbox: Sandbox, row: OrderRow) -> float | None:
    """Return when the whole order was refunded because of its case, or None."""
    return next((at for at, kind, _ in events_of(sandbox, row) if kind == "case.refund.full"), None)


def _opened_by_zinc(sandbox: Sandbox, row: OrderRow) -> list[Event]:
    """Return the events that Zinc adds by itself: for an order that the seller cancels, and for a return."""
    found: list[Event] = []
    course = progress_now(sandbox, row).bill.course
    if course.cancelled_at is not None:
        at = row.created_at + course.cancelled_at / sandbox.pace
        found.append((at, "case.opened.cancel.forced_cancellation", "The seller cancelled the order."))
        found += _replies("cancel.forced_cancellation", at, sandbox.pace)
    for each in returns_made(sandbox, row):
        found.append((each.created_at, "case.opened.return.request_label", "A return was requested."))
        found += _replies("return.request_label", each.created_at, sandbox.pace)
    return found


def _replies(reason: str, at: float, pace: float) -> list[Event]:
    after, closed = at + REPLY_SECONDS / pace, at + CLOSED_SECONDS / pace
    if reason == "return.request_label":
        return [(after, "case.return.label_generated", "A return label was made.")]
    if reason.startswith(("nondelivery.", "cancel.")):
        return [(after, "case.refund.full", "The order is refunded."), (closed, "case.closed", "The case is closed.")]
    return [(after, "case.freetext", "We look into this order.")]


def _shown(sandbox: Sandbox, row: OrderRow) -> Json:
    events = events_of(sandbox, row)
    state = None if not events else "closed" if events[-1][1] == "case.closed" else "open"
    messages = [{"type": kind, "message": text, "timestamp": stamp(at)} for at, kind, text in events]
    return {"state": state, "messages": messages}
