"""Looking up what became of an order. Looking up never buys."""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from zinc_mcp.consent.approval import is_approved
from zinc_mcp.errors import OrderNotFoundError, OrderRejectedError, ZincMcpError
from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.decision import approved_too_long_ago, is_over
from zinc_mcp.journal.records.entry import FOREVER, Entry, StaleEntryError, State
from zinc_mcp.journal.records.money import nothing_taken
from zinc_mcp.journal.records.twin import KEY_FIELD
from zinc_mcp.process import Process
from zinc_mcp.rails import Ending, Rail
from zinc_mcp.spending.in_turn import Sought, Turn
from zinc_mcp.spending.looking import found_in_time, move_if_current
from zinc_mcp.spending.outcome import landed, news, stop_if_above_ceiling, stop_if_keys_are_ignored
from zinc_mcp.spending.proof import paid_no_order, proven, with_reference
from zinc_mcp.spending.same_order import as_read, is_named, must_be, wanted
from zinc_mcp.zinc.responses import Order

logger = logging.getLogger(__name__)

MOST_SWEPT = 500
"""The number of entries of one rail that one sweep looks at."""
_IN_DOUBT = Sought("doubt", frozenset({"waiting", "signing", "sending", "unknown"}))
_TO_COUNT = Sought("count", frozenset({"accepted"}), sent_again=True)


async def refresh(process: Process, entry: Entry, rail: Rail) -> tuple[Entry, Order | None]:
    """Bring an entry up to date with Zinc; the order is what Zinc showed, or None if it was not read.

    Raises:
        ZincUnreachableError, UnreadableAnswerError, OrderRejectedError: Zinc could not be asked just now, or it
            answered with another order.
    """
    known = process.unwritten.known(entry.id)
    if known is not None:
        if not await process.unwritten.written(entry.id):
            return known.entry, known.order
        entry = await process.journal.read(entry.id)
    if not is_ours(entry, rail):
        return entry, None if known is None else known.order
    if entry.state in FOREVER:
        return await _look_up(process, entry, rail)
    if entry.order_id is None:
        return entry, None
    try:
        order = await _read(process, entry, entry.order_id, rail)
    except OrderNotFoundError:
        return entry, None
    if order is None:
        return entry, None
    entry = await apply(process, entry, as_read(order, entry.order_id, entry), rail)
    if entry.attempts > 1 and entry.id not in process.counted:
        await stop_if_keys_are_ignored(process, entry, rail)  # the first count may not have been answered
    return entry, order


async def refreshed(process: Process, entry: Entry, rail: Rail) -> tuple[Entry, Order | None]:
    """Bring an entry up to date as `refresh` does, within `Clocks.refresh_seconds`. If Zinc cannot say, it stays."""
    found = await found_in_time(process, refresh(process, entry, rail))
    return found or (await process.journal.read(entry.id), None)


async def apply(
    process: Process, entry: Entry, order: Order, rail: Rail, what: str | None = None, **more: Any
) -> Entry:
    """Write down what Zinc shows, if it is news, and settle the money by it."""
    while True:
        changes = news(entry, order)
        if not changes:
            return entry
        changes |= landed(process, entry, order)
        state = cast(State, changes.pop("state"))
        await stop_if_above_ceiling(process, entry, changes)
        try:
            entry = await process.journal.move(
                entry, state, what or f"Zinc says {order.status[:60]}", **changes, **more
            )
        except StaleEntryError as stale:
            entry = stale.current
            continue
        if entry.attempts > 1:
            await stop_if_keys_are_ignored(process, entry, rail)
        return entry


async def find_landed(process: Process, entry: Entry, rail: Rail, identifiers: Sequence[str] = ()) -> Order | None:
    """Look for the order of an entry in doubt: by our key in its metadata, then by the ids in a 409."""
    if entry.body is None:
        return None
    wish = wanted(entry)
    if rail.on_v1 is not None:
        found = await rail.on_v1.find_sent(entry.key, entry.body, entry.zinc_at or entry.first_sent_at)
    else:
        found = await rail.find(KEY_FIELD, entry.key)
    for order in found:
        if must_be(order, wish):
            return order
    for identifier in identifiers:
        if identifier == entry.key:
            continue
        try:
            order = await rail.read(identifier)
        except (OrderNotFoundError, OrderRejectedError):
            continue
        if is_named(order, identifier) and must_be(order, wish):
            return order
    return None


async def sweep(process: Process, rail: Rail) -> None:
    """Look up entries in doubt, clear away those that were never sent, and check that Zinc honours our keys.

    It looks at `MOST_SWEPT` entries of each kind at most, and the next sweep goes on after them. Servers that share a
    journal take turns.
    """
    in_doubt = Turn(process, rail, _IN_DOUBT, MOST_SWEPT)
    while entries := await in_doubt.next():
        for entry in entries:
            with _one_alone(entry):
                if entry.state == "waiting":
                    await clear_abandoned(process, entry)
                else:
                    await refresh(process, entry, rail)
    # The process that sent twice looks for a second order at once, but may have been killed, or got no answer.
    to_count = Turn(process, rail, _TO_COUNT, MOST_SWEPT)
    while entries := await to_count.next():
        for entry in entries:
            if entry.id not in process.counted:
                with _one_alone(entry):
                    await stop_if_keys_are_ignored(process, entry, rail)


@contextmanager
def _one_alone(entry: Entry) -> Generator[None]:
    """Log a failure with one entry, so that it stops no other entry."""
    try:
        yield
    except ZincMcpError as error:
        logger.info("a look-up has to wait: %s", error.code)
    except Exception as error:
        logger.error("entry %d could not be looked up (%s)", entry.id, type(error).__name__)


async def clear_abandoned(process: Process, entry: Entry) -> bool:
    """Refuse a waiting entry if its process ended before sending, or if nobody decided in time; say whether it did."""
    if entry.state != "waiting":
        return False
    has_time = (entry.consent or {}).get("until") is not None
    if has_time and not is_over(entry, process.times.clock(), process.times.zinc()):
        return False
    if process.leases.is_held(entry):
        return False
    what, code, summary = "nobody decided in time", "approval_expired", "Nobody approved it in time."
    if entry.consent is None:
        what, code = "abandoned before sending", "internal_error"
        summary = "The process ended before anything was sent."
    elif is_approved(entry):
        what, summary = "approved, and not sent in time", approved_too_long_ago().summary
    return await refuse(process, entry, what, code, summary) is None


async def refuse(process: Process, entry: Entry, what: str, code: str, summary: str) -> Entry | None:
    """End an entry that was never sent, and free its money; return the entry if somebody else moved it first."""
    problem = {"code": code, "summary": summary}
    try:
        await process.journal.move(entry, "refused", what, counts_cents=0, spent_cents=0, problem=problem, **FREE)
    except StaleEntryError as stale:
        return stale.current
    return None


async def _look_up(process: Process, entry: Entry, rail: Rail) -> tuple[Entry, Order | None]:
    if process.leases.is_held(entry):
        return await process.journal.read(entry.id), None
    if entry.state in ("signing", "sending"):
        entry = await move_if_current(process, entry, "unknown", "the sending process did not come back", **FREE)
    ending: Ending = "open"
    order: Order | None = None
    if rail.paying is not None:
        ending, order = await proven(process, rail.paying, entry)
    elif entry.order_id is not None:  # Zinc took it, and does not know itself what became of it
        with suppress(OrderNotFoundError):
            order = await _read(process, entry, entry.order_id, rail)
        order = None if order is None else as_read(order, entry.order_id, entry)
    else:
        order = await find_landed(process, entry, rail)
    if order is not None:
        more: dict[str, Any] = {}
        if rail.paying is not None:
            more["facts"] = with_reference(entry, await process.unwritten.payment(entry.id))
        entry = await apply(process, entry, order, rail, "found at Zinc", **more)
    elif entry.state == "unknown" and ending == "settled":
        what = "paid, and no order is known"
        known = paid_no_order(entry, await process.unwritten.payment(entry.id))
        entry = await move_if_current(process, entry, "paid_no_order", what, **known)
    elif entry.state == "unknown" and ending == "unpaid":
        problem = {"code": "payment_not_taken", "summary": "The payment was not taken: nothing was bought."}
        what = "the payment was not taken"
        entry = await move_if_current(process, entry, "rejected", what, **nothing_taken(entry), problem=problem, **FREE)
    return entry, order


async def _read(process: Process, entry: Entry, order_id: str, rail: Rail) -> Order | None:
    """Read an order; one that was paid by wallet is read with its own key."""
    if rail.on_v1 is not None:
        return await rail.on_v1.read_sent(order_id, entry.body)
    if rail.paying is None:
        return await rail.read(order_id)
    payment = await process.unwritten.payment(entry.id)
    if payment is None or payment.order_key is None:
        return None
    return await rail.paying.read_paid(order_id, payment.order_key)


def is_ours(entry: Entry, rail: Rail) -> bool:
    """Say whether this rail may act on an entry: same rail, mode, origin and payer."""
    same = (entry.rail, entry.mode, entry.origin) == (rail.name, rail.mode, rail.origin)
    return same and entry.account in (rail.account, rail.former_account)
