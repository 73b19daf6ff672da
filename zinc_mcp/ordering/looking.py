"""Looking an order up for its caller, and waiting a while for news of it. Looking up never buys."""

import time
from collections.abc import Awaitable, Callable

import anyio

from zinc_mcp.api.responses import Order
from zinc_mcp.errors import JournalError, OrderNotFoundError, ZincMcpError
from zinc_mcp.ordering.earlier import Answer
from zinc_mcp.ordering.entry import Entry
from zinc_mcp.ordering.workings import Workings

Progress = Callable[[str], Awaitable[None]]

_FINAL = frozenset({"failed", "cancelled", "rejected", "refused", "declined"})


async def look(
    workings: Workings, caller: str, handle: str, *, wait_seconds: float = 0.0, progress: Progress | None = None
) -> Answer:
    """Look an order up by our key or Zinc's id; with `wait_seconds` (at most 25) wait that long for news.

    Raises:
        OrderNotFoundError: no such order for this caller.
        ZincUnreachableError, UnreadableAnswerError: Zinc could not be asked and there is nothing to show.
    """
    deadline = time.monotonic() + min(wait_seconds, workings.clocks.answer)
    kept = workings.reconciler.unwritten.find(handle, caller)
    try:
        entry = await workings.writer.find(handle, caller=caller)
    except JournalError:
        if kept is None:
            raise
        return Answer(kept.entry, kept.order)
    entry = entry or (None if kept is None else kept.entry)
    if entry is None:
        return await _look_elsewhere(workings, caller, handle, deadline, progress)
    known = (entry.state, entry.seen)
    rail = workings.rails.get(entry.rail)
    order: Order | None = None
    told: str | None = None
    while True:
        try:
            if rail is not None and entry.state != "waiting":
                entry, seen = await workings.reconciler.refresh(entry, rail)
                order = seen or order
            else:
                await workings.reconciler.clear_abandoned(entry)
                entry = await workings.reread(entry)
        except ZincMcpError:
            if time.monotonic() >= deadline and order is None:
                raise
        left = deadline - time.monotonic()
        if left <= 0 or (entry.state, entry.seen) != known or is_over(entry, order):
            return Answer(entry, order)
        status = order.status if order is not None else entry.state
        if progress is not None and status != told:
            told = status
            await progress(status)
        await _pause(workings, entry, min(workings.clocks.poll, left))


def is_over(entry: Entry, order: Order | None) -> bool:
    """Say whether nothing more is to be expected of an order."""
    if entry.state in _FINAL:
        return True
    if entry.state != "placed" or order is None:
        return False
    shipments = order.tracking_numbers
    return bool(shipments) and all(tracking.status in ("delivered", "undeliverable") for tracking in shipments)


async def _look_elsewhere(
    workings: Workings, caller: str, handle: str, deadline: float, progress: Progress | None
) -> Answer:
    """Read an order this journal does not know, for the local caller: it was placed elsewhere with the same key."""
    rail = workings.rails.get("account")
    if caller != "local" or rail is None:
        raise OrderNotFoundError("No order with this id or key is known here.")
    first: str | None = None
    while True:
        order = await rail.read(handle)
        seen = order.digest
        first = first or seen
        left = deadline - time.monotonic()
        if left <= 0 or seen != first or order.stage in _FINAL:
            return Answer(None, order)
        if progress is not None:
            await progress(order.status)
        await anyio.sleep(min(workings.clocks.poll, left))


async def _pause(workings: Workings, entry: Entry, seconds: float) -> None:
    attempt = workings.sender.running(entry)
    if attempt is None:
        await anyio.sleep(seconds)
        return
    with anyio.move_on_after(seconds):
        await attempt.done.wait()
