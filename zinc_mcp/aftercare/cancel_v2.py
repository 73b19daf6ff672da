"""Cancelling an order of v2 that Zinc has accepted: one request by the account's key or the order's own, then reads."""

import time
from contextlib import suppress
from functools import partial

import anyio

from zinc_mcp.aftercare.cancellation import (
    Cancellation,
    Said,
    answered,
    ask_once,
    ending_of,
    may_show_more,
    seconds_for_the_wire,
)
from zinc_mcp.errors import OrderNotFoundError, RefusedError, ZincMcpError
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.journal.records.twin import KEY_FIELD
from zinc_mcp.owner.team.member import LOCAL
from zinc_mcp.process import Answer, Process
from zinc_mcp.rails import Rail
from zinc_mcp.rails.account import AccountRail
from zinc_mcp.spending.same_order import as_read
from zinc_mcp.zinc.responses import Order


async def cancel_accepted(
    process: Process, entry: Entry, rail: Rail, order_id: str, deadline: float
) -> Cancellation | Entry:
    """Ask Zinc to cancel an accepted order, with the account's key, or the order's own where a wallet paid.

    Raises:
        RefusedError: as `ask_once`.
        ZincUnreachableError: nothing was sent.
        JournalError: nothing was sent.
    """
    if rail.on_balance is not None:
        return await ask_once(process, entry, rail, partial(rail.on_balance.cancel_order, order_id), deadline)
    payment = await process.unwritten.payment(entry.id)
    if rail.paying is None or payment is None or payment.order_key is None:
        return Cancellation("ask_zinc", Answer(entry))
    request = partial(rail.paying.cancel_paid_order, order_id, payment.order_key)
    return await ask_once(process, entry, rail, request, deadline)


async def cancel_of_the_account(
    process: Process, caller: str, order: Order, rail: AccountRail, deadline: float
) -> Cancellation:
    """Cancel an order of the local caller's account that this journal does not know.

    Raises:
        OrderNotFoundError: the caller is a member; nothing was sent.
        RefusedError: it belongs to a member; nothing was sent.
        ZincUnreachableError: nothing was sent.
    """
    if caller != LOCAL:
        raise OrderNotFoundError("No order with this id or key is known here.")
    named = order.metadata.get(KEY_FIELD)
    for handle in (order.id, named):
        known = await process.journal.find(handle) if isinstance(handle, str) else None
        if known is not None and known.caller != caller:
            raise RefusedError(
                "This order belongs to a member of this server, so it was not cancelled.",
                "Only that member can cancel it from here.",
            )
    if order.stage != "accepted":
        return Cancellation("over", Answer(None, order))
    if seconds_for_the_wire(process, deadline) <= 0:
        return Cancellation("no_time", Answer(None, order))
    said = await answered(process, partial(rail.cancel_order, order.id), deadline)
    seen = await _read_without_entry(process, rail, order, said, deadline)
    shown = seen or order
    return Cancellation(ending_of(said, shown.stage, seen), Answer(None, shown))


async def _read_without_entry(
    process: Process, rail: AccountRail, order: Order, said: Said, deadline: float
) -> Order | None:
    """Read an order that has no entry until it shows the outcome of its cancellation; None if it cannot be read."""
    seen: Order | None = None
    until = min(deadline, time.monotonic() + process.clocks.proof_seconds)
    while True:
        with suppress(ZincMcpError):
            seen = as_read(await rail.read(order.id), order.id)
        left = until - time.monotonic()
        if left <= 0 or not may_show_more(said, "accepted" if seen is None else seen.stage, seen):
            return seen
        await anyio.sleep(min(process.clocks.poll_seconds, left))
