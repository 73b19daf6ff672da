"""An order followed with its returns and cases: for `get_order`, and for a person who has just decided."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from zinc_mcp.aftercare.look_up import await_news, changes_about, refreshed, thread_of
from zinc_mcp.aftercare.placed import after_sale_for, sent_of
from zinc_mcp.checkout import watch
from zinc_mcp.checkout.watch import Progress
from zinc_mcp.errors import JournalError, UnreadableAnswerError, ZincMcpError
from zinc_mcp.journal.records.entry import Entry, Mode
from zinc_mcp.process import Answer, Process
from zinc_mcp.rails import Rail
from zinc_mcp.zinc.aftercare.cases import Case
from zinc_mcp.zinc.responses import Order

if TYPE_CHECKING:
    from zinc_mcp.journal.journal import Journal
    from zinc_mcp.rails.v1 import V1Rail


@dataclass(frozen=True, slots=True)
class Followed:
    """An order, the caller's changes of it, and the case that matters now."""

    answer: Answer
    changes: list[Entry]
    thread: Case | UnreadableAnswerError | None
    """That case with its messages, or the error that says why they could not be read."""


async def look(
    process: Process, caller: str, handle: str, wait_seconds: float = 0.0, progress: Progress | None = None
) -> Followed:
    """Look an order up, by its id, by its key or by the key of a change of it.

    With `wait_seconds` it waits for news: of a change that is open, otherwise of the order.

    Raises:
        ZincMcpError: as `watch.look`.
    """
    deadline = time.monotonic() + min(wait_seconds, process.clocks.answer_seconds)
    named: _Named | None = None
    if wait_seconds > 0:
        named = await _named(process, caller, handle)
        handle = named.order
        if named.unsettled:
            await await_news(process, named.unsettled, deadline)
            wait_seconds = 0.0
    try:
        answer = await watch.look(process, caller, handle, wait_seconds=wait_seconds, progress=progress)
    except ZincMcpError:
        # Only now: most handles name an order, and this look-up would cost each of them time.
        order = handle if named is not None else (await _named(process, caller, handle)).order
        if order == handle:
            raise
        answer = await watch.look(process, caller, order, wait_seconds=wait_seconds, progress=progress)
    return await _with_changes(process, caller, answer)


async def current(process: Process, entry: Entry) -> Entry:
    """Return a change, brought up to date if Zinc can be asked."""
    try:
        return await refreshed(process, entry)
    except ZincMcpError:
        return entry


@dataclass(frozen=True, slots=True)
class _Named:
    """The order that a handle names, and the caller's changes of it that may soon have news."""

    order: str
    unsettled: list[Entry]


async def _named(process: Process, caller: str, handle: str) -> _Named:
    """Find out what a handle names, in one visit to the journal: an order, or a change of one by its key."""
    if process.unwritten.find(handle, caller) is not None:
        return _Named(handle, [])
    modes: set[Mode] = {rail.mode for rail in process.rails.values()}
    try:
        return await process.journal.run(partial(_named_in, handle=handle, caller=caller, modes=modes))
    except JournalError:
        return _Named(handle, [])  # the look-up of the order says so


def _named_in(journal: "Journal", *, handle: str, caller: str, modes: set[Mode]) -> _Named:
    entry = journal.find(handle, caller=caller)
    if entry is None:
        change = journal.find_change(handle, caller=caller)
        handle = handle if change is None or change.order_id is None else change.order_id
        entry = None if change is None else journal.find(handle, caller=caller)
    order_id = handle if entry is None else entry.order_id
    if order_id is None:
        return _Named(handle, [])
    of: set[Mode] = modes if entry is None else {entry.mode}
    changes = [each for mode in of for each in journal.changes_of(order_id, caller, mode)]
    return _Named(handle, [each for each in changes if each.state in ("waiting", "sending")])


async def _with_changes(process: Process, caller: str, answer: Answer) -> Followed:
    entry, order = answer.entry, answer.order
    rail = process.rails.get(answer.rail_name)
    order_id = order.id if order is not None else None if entry is None else entry.order_id
    if rail is None or order_id is None:
        return Followed(answer, [], None)
    mode = rail.mode if entry is None else entry.mode
    changes: list[Entry] = []
    try:
        is_changed = answer.is_changed
        if is_changed is None:
            is_changed = await process.journal.has_changes(order_id, caller, mode)
        if is_changed and (order is None or rail.on_v1 is not None):
            changes = await process.journal.run(lambda journal: journal.changes_of(order_id, caller, mode))
        if order is not None and rail.on_v1 is not None:
            order = await _completed(process, caller, answer, rail, order, changes)
            answer = replace(answer, entry=await _with_outcomes(process, entry, rail.on_v1), order=order)
        if order is not None and is_changed:
            changes = await changes_about(process, order, caller, mode)
    except JournalError:
        pass  # what is known of the order is told all the same
    thread = None
    if order is not None and order.cases:
        thread = await thread_of(process, order, caller, rail, mode)
    return Followed(answer, changes, thread)


async def _completed(
    process: Process, caller: str, answer: Answer, rail: Rail, order: Order, changes: Sequence[Entry]
) -> Order:
    """Return an order with the facts that Zinc does not show with it, as far as they are read in time."""
    mode = rail.mode if answer.entry is None else answer.entry.mode
    with anyio.move_on_after(process.clocks.refresh_seconds):
        if (found := await after_sale_for(process, rail, order.id, caller, mode)) is not None:
            return await found.completed(order, sent_of(answer.entry, changes))
    return order


async def _with_outcomes(process: Process, entry: Entry | None, rail: "V1Rail") -> Entry | None:
    """Return an order's entry with the outcomes of its cancellations, as far as they are read in time."""
    if entry is None:
        return None
    from zinc_mcp.aftercare.at_retailer import with_outcomes  # few owners have a token of v1

    with anyio.move_on_after(process.clocks.refresh_seconds):
        return await with_outcomes(process, entry, rail)
    return entry
