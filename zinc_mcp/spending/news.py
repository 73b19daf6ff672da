"""News of an order: what changes in its entry by what Zinc shows, and what stops further orders."""

import logging
from collections.abc import Mapping
from typing import Any

from zinc_mcp.errors import JournalError, ZincMcpError
from zinc_mcp.journal.clocks import FREE
from zinc_mcp.journal.entry import FOREVER, WITHOUT_ORDER, Entry, State
from zinc_mcp.journal.money import doubt_of, problem_of, settled
from zinc_mcp.journal.twin import KEY_FIELD
from zinc_mcp.process import Process
from zinc_mcp.rails.rail import Rail
from zinc_mcp.spending.same_order import is_answered_wrongly
from zinc_mcp.zinc.responses import Order

logger = logging.getLogger(__name__)


def news(entry: Entry, order: Order) -> dict[str, Any]:
    """Return what an order's state changes in its entry (with `state`), or nothing when all of it is known."""
    state: State = order.stage
    if order.ending_is_unclear:
        state = "placed" if "placed" in (state, entry.state) else "accepted"  # it stands until that is clear
    elif state == "accepted" and entry.state in ("placed", "failed", "cancelled"):
        state = entry.state  # a lagging read does not undo an ending
    money = settled(entry, state, order)
    found: dict[str, Any] = {
        "order_id": order.id,
        "status": order.status,
        **money.columns,
        "seen": order.digest,
    }
    problem = problem_of(money.doubt)
    was_doubtful = (entry.state in FOREVER and not is_answered_wrongly(entry)) or doubt_of(entry) is not None
    if problem is not None or was_doubtful or entry.state in WITHOUT_ORDER:
        found["problem"] = problem  # what was doubtful before is known now; a wrong answer stays told
    if state == entry.state and all(getattr(entry, name) == value for name, value in found.items()):
        return {}
    return {"state": state, **found, **(FREE if entry.state in FOREVER else {})}


def landed(process: Process, entry: Entry, order: Order) -> dict[str, Any]:
    """Return what changes in an entry when its order is first seen: when it came to be, by Zinc's own clock."""
    if entry.order_id is not None:
        return {}
    at = order.created_at.timestamp() if order.created_at is not None else process.times.zinc()
    if at is None:
        return {}
    at = min(at, process.times.latest())
    return {"zinc_at": at, "counted_at": max(entry.counted_at, at)}


async def stop_if_above_ceiling(process: Process, entry: Entry, changes: Mapping[str, Any]) -> None:
    """Pause an entry's caller on its rail when Zinc has charged more than the order allowed, the first time."""
    if changes.get("problem") != problem_of("above_ceiling") or doubt_of(entry) == "above_ceiling":
        return
    reason = f"Zinc charged more than an order's max_price allows ({entry.key})"
    logger.error("%s; its caller's orders on this rail are paused", reason)
    try:
        await process.journal.run(lambda journal: journal.pause(reason, entry))
    except JournalError as error:
        logger.error("the pause could not be written down: %s", error.summary)


async def stop_if_keys_are_ignored(process: Process, entry: Entry, rail: Rail) -> bool:
    """Pause everything when Zinc shows two orders for one key: then no key protects anybody any more."""
    try:
        orders = {order.id for order in await rail.find(KEY_FIELD, entry.key)}
    except ZincMcpError:
        return False
    process.counted.add(entry.id)
    if len(orders) < 2:
        return False
    logger.error("Zinc shows %d orders for one idempotency key; ordering is paused", len(orders))
    reason = f"Zinc placed {len(orders)} orders for one idempotency key ({entry.key})"
    try:
        await process.journal.run(lambda journal: journal.pause(reason))
    except JournalError as error:
        logger.error("the pause could not be written down: %s", error.summary)
    return True
