"""The endpoints of Zinc v1 about returns (v1, "Returns")."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.ledger import OrderRow
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
from zinc_mcp.sandbox.v1.rules.codes import RUNNING
from zinc_mcp.sandbox.v1.view import stamp

REFUNDED_METHOD = "UPS Dropoff"
"""The only method with an automatic refund on managed orders (older pages)."""
REFUND_SECONDS = 6.0
"""The age of a return at which it is refunded, at pace 1."""
NOT_RETURNED = "return_failed"
"""The code of a return that the retailer did not take. The documents name none."""
_DAYS_TO_RETURN = 30
_NO_METHOD = "Dummy Method Code"
"""The method with which no return can start. V1 uses it to ask for the state of a return."""


class _Returned(BaseModel):
    model_config = ConfigDict(extra="ignore")

    product_id: str
    quantity: Annotated[int, Field(strict=True, ge=1)]


class _Return(BaseModel):
    model_config = ConfigDict(extra="forbid")

    products: Annotated[list[_Returned], Field(min_length=1)]
    reason_code: Annotated[str, Field(min_length=1)]
    method_code: Annotated[str, Field(min_length=1)]
    explanation: str
    webhooks: dict[str, Any] | None = None
    cancel_pending: Annotated[bool, Field(strict=True)] = False
    return_address: dict[str, Any] | None = None


async def return_order(sandbox: Sandbox, request: Request) -> Response:
    """`POST /v1/orders/{request_id}/return`."""
    return await changed(sandbox, request, "return_fault", partial(_ask, sandbox))


def _ask(sandbox: Sandbox, row: OrderRow, body: Json) -> Json:
    form = checked(sandbox, _Return, body)
    check_amazon(sandbox, row, "returned")
    check_placed(sandbox, row)
    bought = {each["product_id"]: int(each["quantity"]) for each in row.body["products"]}
    if wrong := [each.product_id for each in form.products if each.quantity > bought.get(each.product_id, 0)]:
        raise invalid(sandbox, f"products: more than was ordered of {', '.join(wrong)}")
    return book.add_request(sandbox.ledger, row, "return", body, sandbox.clock())


async def get_return(sandbox: Sandbox, request: Request) -> Response:
    """`GET /v1/returns/{request_id}`."""
    found, row = found_request(sandbox, request, "return")
    return told_of(sandbox, request, row, found, _shown(sandbox, row, found))


def returns_made(sandbox: Sandbox, row: OrderRow) -> list[book.Request]:
    """Return the returns of an order for which there is a label, oldest first."""
    found = book.requests_about(sandbox.ledger, row.order_id, "return")
    return [each for each in found if _shown(sandbox, row, each)["_type"] == "return_response"]


def _shown(sandbox: Sandbox, row: OrderRow, found: book.Request) -> Json:
    if age_of(sandbox, found) < PROCESSED_SECONDS:
        return error_object(RUNNING)
    way = asked(row.body, "return")
    if way == "in_progress" or (_is_pending(sandbox, row, found) and not found.body.get("cancel_pending")):
        status = {"status": "Return started", "description": "The return was started."}
        return error_object("return_in_progress", {"status": status})
    if way == "refused" or found.body["method_code"] == _NO_METHOD:
        return error_object(NOT_RETURNED, message="The retailer did not take the return.")
    return {
        "_type": "return_response",
        "merchant_return_id": str(UUID(found.request_id)),
        "return_by": stamp(found.created_at + _DAYS_TO_RETURN * 86_400)[:19],
        "label_urls": [f"https://sandbox.invalid/labels/{found.request_id}_return_label.pdf"],
    }


def _is_pending(sandbox: Sandbox, row: OrderRow, found: book.Request) -> bool:
    """Say whether an earlier return of one of these products is under way."""
    ids = {each["product_id"] for each in found.body["products"]}
    earlier = [
        each for each in book.requests_about(sandbox.ledger, row.order_id, "return") if each.number < found.number
    ]
    return any(
        ids & {product["product_id"] for product in each.body["products"]} and each.body["method_code"] != _NO_METHOD
        for each in earlier
    )
