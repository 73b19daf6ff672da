"""Cancelling an order at Zinc (`POST /orders/{id}/cancel`), and the meaning of its answer."""

from http import HTTPStatus
from typing import Literal

from pydantic import SecretStr

from zinc_mcp.errors import ChangeOutcomeUnknownError, OrderNotFoundError
from zinc_mcp.zinc.client import GAVE_UP, ZincClient
from zinc_mcp.zinc.failures import read_failure
from zinc_mcp.zinc.responses import is_a_segment

CancelAnswer = Literal["taken", "not_cancellable", "not_allowed", "not_found", "refused"]
"""Zinc took it; the order is not pending any more; this key may not; no such order for this key; any other no."""


async def cancel_order(client: ZincClient, order_id: str, api_key: SecretStr) -> CancelAnswer:
    """Ask Zinc once to cancel an order. An answer proves nothing about the order: read it afterwards.

    Zinc answers 204 while the order is pending. The HTTP status of `order_not_cancellable` is not documented.

    Raises:
        OrderNotFoundError: no order has an id like this; nothing was sent.
        ZincUnreachableError: nothing was sent.
        ChangeOutcomeUnknownError: sent, and no usable answer came.
    """
    if not is_a_segment(order_id):
        raise OrderNotFoundError("No order has an id like this.")
    answer = await client.change(f"/orders/{order_id}/cancel", b"", api_key)
    if 200 <= answer.status < 300:
        return "taken"
    if not 400 <= answer.status < 500 or answer.status in GAVE_UP:
        # A redirect is not followed, and a 5xx may come after the order was cancelled: neither proves anything.
        raise ChangeOutcomeUnknownError(
            f"Zinc answered a cancellation with HTTP status {answer.status}, which does not say what became of it.",
            facts={"reason": f"http_{answer.status}"},
        )
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "not_allowed"
    if read_failure(answer.json()).code == "order_not_cancellable":
        return "not_cancellable"
    return "not_found" if answer.status == HTTPStatus.NOT_FOUND else "refused"
