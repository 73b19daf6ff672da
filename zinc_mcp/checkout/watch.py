"""Looking an order up for its caller, and waiting a while for news. Looking up never buys."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import anyio

from zinc_mcp.checkout.look_up import apply, clear_abandoned, is_ours, refresh
from zinc_mcp.errors import JournalError, OrderNotFoundError, UnreadableAnswerError, ZincMcpError
from zinc_mcp.journal.news import Heard
from zinc_mcp.journal.records.entry import FOREVER, WITHOUT_ORDER, Entry, Mode
from zinc_mcp.journal.records.twin import KEY_FIELD
from zinc_mcp.process import Answer, Process
from zinc_mcp.rails import Rail
from zinc_mcp.spending.same_order import as_read, must_be, wanted
from zinc_mcp.zinc.responses import Order

logger = logging.getLogger(__name__)

Progress = Callable[[str], Awaitable[None]]

_FINAL = frozenset({"failed", "cancelled", "rejected", "refused", "declined"})


async def look(
    process: Process, caller: str, handle: str, *, wait_seconds: float = 0.0, progress: Progress | None = None
) -> Answer:
    """Look an order up by our key or Zinc's id; with `wait_seconds` (at most 25) wait that long for news.

    A process that was told to stop waits no longer.

    An order of this journal is shown as last known where Zinc cannot say how it stands (`Answer.unasked`).

    Raises:
        OrderNotFoundError: no such order for this caller.
        ZincUnreachableError, UnreadableAnswerError, OrderRejectedError: Zinc cannot say, and nothing is known here.
        JournalError: the journal cannot be read.
    """
    deadline = time.monotonic() + min(wait_seconds, process.clocks.answer_seconds)
    kept = process.unwritten.find(handle, caller)
    try:
        entry, is_changed = await _known(process, caller, handle)
    except JournalError:
        if kept is None:
            raise
        return Answer(kept.entry, kept.order)
    entry = entry or (None if kept is None else kept.entry)
    if entry is None:
        return await _look_elsewhere(process, caller, handle, deadline, progress)
    known = (entry.state, entry.seen)
    if wait_seconds > 0.0 or entry.order_id is None:
        is_changed = None  # the order, or its changes, may have come by then
    rail = process.rails.get(entry.rail)
    order: Order | None = None
    told: str | None = None
    heard: Heard | None = None
    while True:
        mark = process.news.mark()
        unasked: ZincMcpError | None = None
        try:
            if heard is not None:
                entry, order = heard.entry, heard.order
            elif rail is not None and entry.state != "waiting":
                entry, seen = await refresh(process, entry, rail)
                order = seen or order
            else:
                await clear_abandoned(process, entry)
                entry = await process.journal.read(entry.id)
        except ZincMcpError as error:
            unasked = error
        left = deadline - time.monotonic()
        is_late = left <= 0 or process.stopping.is_set()
        if is_late or (entry.state, entry.seen) != known or is_over(entry, order):
            if order is not None:
                return Answer(entry, order, is_changed=is_changed)
            return Answer(entry, unasked=unasked or await unasked_error(process, entry, rail), is_changed=is_changed)
        status = order.status if order is not None else entry.state
        if progress is not None and status != told:
            told = status
            await progress(status)
        heard = await wait_for_news(process, entry, min(process.clocks.poll_seconds, left), mark)


def is_over(entry: Entry, order: Order | None) -> bool:
    """Say whether no more news of an order is expected."""
    if entry.state in _FINAL:
        return True
    if entry.state != "placed" or order is None:
        return False
    shipments = [] if "tracking_numbers" in order.rows_cut else order.tracking_numbers
    return bool(shipments) and all(tracking.status in ("delivered", "undeliverable") for tracking in shipments)


async def entry_of(process: Process, entry_id: int, *, caller: str | None = None) -> Entry | None:
    """Return an entry by its id; None if there is none, or if it is another caller's.

    Raises:
        JournalError: the journal cannot be read.
    """
    entry = await process.journal.run(lambda journal: journal.entry(entry_id))
    return entry if entry is not None and caller in (None, entry.caller) else None


async def entry_with_key(process: Process, key: str, *, caller: str | None = None) -> Entry | None:
    """Return the entry with exactly this key. An entry whose order has it as its id does not count.

    Raises:
        JournalError: the journal cannot be read.
    """
    entry = await process.journal.find(key, caller=caller)
    return entry if entry is not None and entry.key == key else None


async def known_entry(process: Process, caller: str, handle: str) -> Entry | None:
    """Return a caller's entry that a handle names: by Zinc's id, then by a key of this process's own kind of money.

    Raises:
        JournalError: the journal cannot be read.
    """
    entry, _ = await _known(process, caller, handle)
    return entry


async def _known(process: Process, caller: str, handle: str) -> tuple[Entry | None, bool | None]:
    """Return the entry of `known_entry`, and whether the caller has changed its order, or wanted to."""
    entry, is_changed = await process.journal.find_with_changes(handle, caller)
    modes: list[Mode] = [rail.mode for rail in process.rails.values()]
    if entry is None or entry.order_id == handle or entry.mode in modes:
        return entry, is_changed
    # The newest with this key is of another mode: practice does not hide a real order, nor a real order practice.
    for mode in modes:
        own = await process.journal.find(handle, caller=caller, mode=mode)
        if own is not None:
            return own, None
    return entry, is_changed


async def unasked_error(process: Process, entry: Entry, rail: Rail | None) -> ZincMcpError | None:
    """Return the error that says why an order at Zinc was not read; None if there is no order to read."""
    if entry.order_id is None and entry.state not in FOREVER:
        return None
    if rail is None or not is_ours(entry, rail):
        return UnreadableAnswerError(
            "The order was placed in a way that is not set up here (another key, wallet, mode or address of Zinc).",
            "Tell the user to look it up where it was ordered.",
        )
    if entry.order_id is None:
        return None  # in doubt: Zinc was asked and showed no order
    if rail.paying is not None:
        try:
            payment = await process.journal.run(lambda journal: journal.payment(entry.id))
        except JournalError as error:
            return error
        if payment is None or payment.order_key is None:
            return UnreadableAnswerError(
                "The order is read with a key of its own, and that key is not kept here.",
                "Tell the user to ask Zinc about the order, with its id.",
            )
    return UnreadableAnswerError(
        "Zinc knows no order with this id for this key just now.",
        "Call get_order again in some minutes; if it stays so, tell the user to ask Zinc with the order's id.",
    )


async def _look_elsewhere(
    process: Process, caller: str, handle: str, deadline: float, progress: Progress | None
) -> Answer:
    """Read an order that this journal does not know, for the local caller: the same API key placed it elsewhere."""
    rails = [rail for rail in process.rails.values() if rail.lists is not None]
    if caller != "local" or not rails:
        raise OrderNotFoundError("No order with this id or key is known here.")
    order, rail = await _read_at_one(rails, handle)
    first: str | None = None
    while True:
        ours = await _named_in(process, caller, order)
        if ours is not None and (known := await _known_now(process, ours, order, rail)) is not None:
            return Answer(known, order)
        seen = order.digest
        first = first or seen
        left = deadline - time.monotonic()
        if left <= 0 or seen != first or order.stage in _FINAL or process.stopping.is_set():
            return Answer(None, order, shown_by=rail.name)
        if progress is not None:
            await progress(order.status)
        await anyio.sleep(min(process.clocks.poll_seconds, left))
        order = as_read(await rail.read(handle), handle)


async def _read_at_one(rails: Sequence[Rail], handle: str) -> tuple[Order, Rail]:
    """Read an order at the first of these payers that has it.

    Raises:
        OrderNotFoundError: none has it.
        ZincUnreachableError, UnreadableAnswerError, OrderRejectedError: one of them cannot say, and none has it.
    """
    troubles: list[ZincMcpError] = []
    for rail in rails:
        try:
            return as_read(await rail.read(handle), handle), rail
        except ZincMcpError as error:
            troubles.append(error)
    raise next((error for error in troubles if not isinstance(error, OrderNotFoundError)), troubles[0])


async def _named_in(process: Process, caller: str, order: Order) -> Entry | None:
    """Return the entry whose key an order names, if that entry has no order yet."""
    key = order.metadata.get(KEY_FIELD)
    entry = await process.journal.find(key, caller=caller) if isinstance(key, str) else None
    return entry if entry is not None and entry.key == key and entry.order_id is None else None


async def _known_now(process: Process, entry: Entry, order: Order, rail: Rail) -> Entry | None:
    """Write down an order that Zinc shows for an entry without one; None if it is not the entry's order.

    The entry's end (by the owner's word, a no, or a list at Zinc that lags) was wrong then.
    """
    if not is_ours(entry, rail) or entry.state not in FOREVER | WITHOUT_ORDER or not must_be(order, wanted(entry)):
        return None
    try:
        return await apply(process, entry, order, rail, "found at Zinc by its id")
    except JournalError as error:
        logger.info("what Zinc shows of an order could not be written down: %s", error.summary)
        return None


async def wait_for_news(process: Process, entry: Entry, seconds: float, since: int | None = None) -> Heard | None:
    """Wait for these seconds, or until this process has sent the entry, or until anybody has news of it.

    It returns the order that Zinc has just shown to another part of this process; None: Zinc has to be asked. `since`
    is the mark of the news from before the entry was read.
    """
    attempt = process.attempts.get(entry.id)
    if attempt is not None:
        with anyio.move_on_after(seconds):
            await attempt.done.wait()
        return None
    if process.settings.is_shared:  # PostgreSQL tells what other processes write
        return await process.news.wait(entry.id, seconds, since)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        heard = await process.news.wait(entry.id, min(process.clocks.glance_seconds, left))
        if heard is not None:
            return heard
        with suppress(JournalError):  # the look-up that follows says so
            if (await process.journal.read(entry.id)).version != entry.version:
                return None
    return None
