"""The milestones of an order at Zinc. They cost a request of their own, and a failure to read them hides no order."""

import anyio

from zinc_mcp.checkout.look_up import is_ours
from zinc_mcp.errors import UnreadableAnswerError, ZincMcpError
from zinc_mcp.process import Answer, Process
from zinc_mcp.zinc.placed.timeline import Milestone, Timeline

TIMELINE_SECONDS = 5.0


async def milestones(process: Process, answer: Answer) -> list[Milestone] | ZincMcpError:
    """Return the milestones of an order that was looked up, or the error that says why they could not be read."""
    try:
        with anyio.fail_after(TIMELINE_SECONDS):
            return (await _timeline(process, answer)).milestones
    except TimeoutError:
        return UnreadableAnswerError("Zinc did not show the timeline in time.")
    except ZincMcpError as error:
        return error


async def _timeline(process: Process, answer: Answer) -> Timeline:
    entry, order = answer.entry, answer.order
    order_id = order.id if order is not None else entry.order_id if entry is not None else None
    if order_id is None:
        raise UnreadableAnswerError("There is no order at Zinc yet, so it has no timeline.")
    rail = process.rails.get("account" if entry is None else entry.rail)
    if rail is None or (entry is not None and not is_ours(entry, rail)):
        raise UnreadableAnswerError("The order was placed in a way that is not set up here, so it has no timeline.")
    if rail.on_v1 is not None:
        raise UnreadableAnswerError("Zinc's v1 has no timeline of an order.")
    if rail.on_balance is not None:
        return await rail.on_balance.timeline(order_id)
    payment = None if entry is None else await process.unwritten.payment(entry.id)
    if rail.paying is None or payment is None or payment.order_key is None:
        raise UnreadableAnswerError("The order's own key is not kept here, so its timeline cannot be read.")
    return await rail.paying.timeline_paid(order_id, payment.order_key)
