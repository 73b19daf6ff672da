"""The milestones of an order (`GET /orders/{id}/timeline`)."""

from pydantic import SecretStr, ValidationError

from zinc_mcp.errors import OrderNotFoundError, UnreadableAnswerError
from zinc_mcp.zinc.answers import Answer, Moment, Rows, Text
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.responses import is_a_segment

MAX_TIMELINE_BYTES = 256 * 1024
"""Bytes that are read of the answer with all milestones of one order."""


class Milestone(Answer):
    """One step of an order. `detail` is an object without a documented form, and is not read."""

    type: Text = ""
    label: Text = ""
    occurred_at: Moment | None = None
    source: Text | None = None


class Timeline(Answer):
    order_id: Text = ""
    current_status: Text = ""
    milestones: Rows[Milestone] = []


async def get_timeline(client: ZincClient, order_id: str, api_key: SecretStr) -> Timeline:
    """Read the milestones of one order.

    Raises:
        OrderNotFoundError: no order has an id like this.
        UnreadableAnswerError: the answer is no timeline, is about another order, or names no step.
    """
    if not is_a_segment(order_id):
        raise OrderNotFoundError("No order has an id like this.")
    content = await client.get_json(f"/orders/{order_id}/timeline", api_key, None, MAX_TIMELINE_BYTES)
    try:
        timeline = Timeline.read(content)
    except ValidationError as error:
        raise UnreadableAnswerError("Zinc did not give a readable timeline.") from error
    if timeline.order_id.casefold() != order_id.casefold():
        raise UnreadableAnswerError("Zinc answered with the timeline of another order.")
    if not timeline.milestones:
        raise UnreadableAnswerError("Zinc shows no steps of this order.")
    return timeline
