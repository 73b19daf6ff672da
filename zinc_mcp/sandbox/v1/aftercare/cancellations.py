"""The endpoints of Zinc v1 about cancellations of placed orders (v1, "Cancellations")."""

from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.ledger import OrderRow
from zinc_mcp.sandbox.products import SHIPPED_SECONDS
from zinc_mcp.sandbox.v1 import book
from zinc_mcp.sandbox.v1.aftercare.changes import (
    PROCESSED_SECONDS,
    age_of,
    changed,
    check_amazon,
    check_placed,
    checked,
    found_request,
    invalid,
    told_of,
)
from zinc_mcp.sandbox.v1.answers import Json, error_object
from zinc_mcp.sandbox.v1.faults import asked
from zinc_mcp.sandbox.v1.reading import progress_now
from zinc_mcp.sandbox.v1.rules.codes import RUNNING
from zinc_mcp.sandbox.v1.rules.progress import age_at
from zinc_mcp.sandbox.v1.view import merchant_order_ids

ATTEMPTING_SECONDS = 6.0
"""The age of a cancellation at which a retailer that attempts it has decided, at pace 1."""
NOT_CANCELLED = "cancellation_failed"
"""The code of a cancellation that the retailer did not carry out. The documents name none."""


class _Cancel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    merchant_order_id: Annotated[str, Field(min_length=1)]
    webhooks: dict[str, Any] | None = None


async def cancel_order(sandbox: Sandbox, request: Request) -> Response:
    """`POST /v1/orders/{request_id}/cancel`: for one order at the retailer, before it is shipped."""
    return await changed(sandbox, request, "cancel_fault", partial(_ask, sandbox))


def _ask(sandbox: Sandbox, row: OrderRow, body: Json) -> Json:
    form = checked(sandbox, _Cancel, body)
    check_amazon(sandbox, row, "cancelled")
    check_placed(sandbox, row)
    if form.merchant_order_id not in merchant_order_ids(row, progress_now(sandbox, row).bill):
        raise invalid(sandbox, "merchant_order_id: it is not one of this order")
    return book.add_request(sandbox.ledger, row, "cancellation", body, sandbox.clock())


async def get_cancellation(sandbox: Sandbox, request: Request) -> Response:
    """`GET /v1/cancellations/{request_id}`."""
    found, row = found_request(sandbox, request, "cancellation")
    return told_of(sandbox, request, row, found, _shown(sandbox, row, found))


def cancelled_orders(sandbox: Sandbox, row: OrderRow) -> dict[str, float]:
    """Return the retailer's orders that were cancelled as asked, each with the time."""
    found: dict[str, float] = {}
    for each in book.requests_about(sandbox.ledger, row.order_id, "cancellation"):
        if _shown(sandbox, row, each)["_type"] == "cancellation_response":
            after = PROCESSED_SECONDS if _way(row, each) == "direct" else ATTEMPTING_SECONDS
            found.setdefault(each.body["merchant_order_id"], each.created_at + after / sandbox.pace)
    return found


def _shown(sandbox: Sandbox, row: OrderRow, found: book.Request) -> Json:
    age, way = age_of(sandbox, found), _way(row, found)
    shipped_at = progress_now(sandbox, row).since + SHIPPED_SECONDS
    if age < PROCESSED_SECONDS:
        return error_object(RUNNING)
    if way == "refused" or age_at(row, found.created_at, sandbox.pace) >= shipped_at:
        return error_object(NOT_CANCELLED, message="The retailer did not cancel the order.")
    if way == "stuck" or (way.startswith("attempting") and age < ATTEMPTING_SECONDS):
        return error_object("attempting_to_cancel", {"msg": "Attempting to cancel order"})
    if way == "attempting_refused":
        return error_object(NOT_CANCELLED, message="The retailer did not cancel the order.")
    return {"_type": "cancellation_response", "merchant_order_id": found.body["merchant_order_id"]}


def _way(row: OrderRow, found: book.Request) -> str:
    """Return the course of a cancellation: the one in the order's notes; else `attempting` for about half of them.

    At Amazon a cancellation may take time.
    """
    number = str(found.body["merchant_order_id"])
    return asked(row.body, "cancel") or ("direct", "attempting")[int(number[-1], 36) % 2]
