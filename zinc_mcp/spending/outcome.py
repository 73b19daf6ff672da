"""What an answer proves, written down: accepted, ended, in doubt. Used by whatever sends."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import anyio

from zinc_mcp.errors import JournalError, ZincMcpError
from zinc_mcp.journal.clocks import FREE
from zinc_mcp.journal.entry import DOUBTFUL, LANDED, Entry, StaleEntryError, State
from zinc_mcp.journal.money import nothing_taken
from zinc_mcp.process import Attempt, Process
from zinc_mcp.rails.rail import LeaseOverError, Rail
from zinc_mcp.spending import same_order
from zinc_mcp.spending.doubts import is_placed_before, is_unsent
from zinc_mcp.spending.news import landed, news, stop_if_above_ceiling, stop_if_keys_are_ignored
from zinc_mcp.zinc.responses import Order


def about_to_send(process: Process, seconds: float) -> dict[str, Any]:
    """Return what changes in an entry that this process is going to send within so many seconds."""
    return {**process.leases.lease(process.owner, seconds), "sender": process.holder}


async def hold(process: Process, attempt: Attempt, seconds: float) -> None:
    """Look, just before something leaves, whether the entry is still in our hands for that long.

    If its lease is over or nearly, it is claimed again, which only succeeds on the entry as we left it.

    Raises:
        StaleEntryError: somebody else has moved it.
        RefusedError: `paused`.
    """
    if process.leases.left(attempt.entry) < seconds:
        held: dict[str, Any] = about_to_send(process, seconds + process.clocks.lease_margin)
        attempt.entry = await process.journal.run(
            lambda journal: journal.move(attempt.entry, attempt.entry.state, "held on to", to_send=True, **held)
        )


def leaving(process: Process, attempt: Attempt) -> None:
    """Look once more at the first byte itself.

    Raises:
        LeaseOverError: the entry is not in our hands any more; not a byte has left.
    """
    if process.leases.left(attempt.entry) <= 0.0:
        raise LeaseOverError
    attempt.left = True
    process.checkpoint("leaving")


async def never_left(process: Process, attempt: Attempt, current: Entry) -> None:
    """End an entry that somebody took over while we stood still, and that we know was never sent.

    Only while nobody else has it: whoever sends it again knows more than we do.
    """
    attempt.entry = current
    if current.state != "unknown" or current.attempts > 1 or process.leases.is_held(current):
        return
    summary = "The process stood still until its time to send was over, so nothing was sent."
    problem = {"code": "internal_error", "summary": summary}
    nothing: Mapping[str, Any] = nothing_taken(current)
    await settle(process, attempt, "refused", "never sent", unsent=True, **nothing, problem=problem, **FREE)


async def check_answer(process: Process, order: Order, entry: Entry) -> Order:
    """Return the order that a placing request was answered with, if it is the one that was sent.

    Raises:
        OrderOutcomeUnknownError: it is not, or its id is another entry's, so that it is not known what became of
            ours.
    """
    order = same_order.as_answer(order, entry)
    try:
        known = await process.journal.find(order.id)
    except JournalError:
        return order  # what was answered is written down as soon as the journal works
    if known is None or known.id == entry.id or known.order_id is None:
        return order
    if same_order.is_named(order, known.order_id) and (known.mode, known.origin) == (entry.mode, entry.origin):
        raise same_order.another_order(entry)
    return order


async def accept(process: Process, attempt: Attempt, rail: Rail, order: Order, what: str, **more: Any) -> None:
    """Write down that Zinc has the order, and settle the money on what it shows."""
    changes = {**news(attempt.entry, order), **landed(process, attempt.entry, order)}
    await stop_if_above_ceiling(process, attempt.entry, changes)
    state = changes.pop("state", attempt.entry.state)  # no change: somebody else has written all of it down
    await settle(process, attempt, state, what, order, **changes, **more)
    attempt.order = order  # not before: what is told by its id must be found by it, in every process
    process.checkpoint("accepted")
    if attempt.entry.attempts > 1:
        await stop_if_keys_are_ignored(process, attempt.entry, rail)


async def end(
    process: Process, attempt: Attempt, state: State, what: str, error: ZincMcpError, *, unsent: bool = False
) -> None:
    """Write down that nothing was bought, give the money back, and have `error` told to the waiting calls.

    `unsent`: not a byte of it has left this process; see `settle`.
    """
    problem = {"code": error.code, "summary": error.summary, "facts": error.facts}
    nothing: Mapping[str, Any] = nothing_taken(attempt.entry)
    await settle(process, attempt, state, what, unsent=unsent, **nothing, problem=problem, **FREE)
    if attempt.entry.state == state:  # else it was taken over, and what became of it is not ours to tell
        attempt.error = error
    process.checkpoint("ended")


async def doubt(process: Process, attempt: Attempt, what: str, **more: Any) -> None:
    """Write down that the order may or may not have landed; the entry stays in our hands while we look."""
    lease = process.leases.lease(process.owner, process.clocks.looking_lease)
    await settle(process, attempt, "unknown", what, **lease, **more)
    process.checkpoint("unknown")


async def settle(
    process: Process,
    attempt: Attempt,
    state: State,
    what: str,
    order: Order | None = None,
    *,
    unsent: bool = False,
    **changes: Any,
) -> None:
    """Write down what was learnt, even if somebody took the entry over meanwhile; try hard before giving up.

    Args:
        process: what this process shares.
        attempt: the entry that is being sent.
        state: where it is going.
        what: for the event.
        order: the order that it came to, for whoever asks before this is written down.
        unsent: this process has sent nothing of it, and nobody else has tried: that ends a doubt which somebody wrote
            down who only saw that its time was over.
        **changes: columns that change.

    Raises:
        JournalError: it could not be written down yet; it is kept, and written as soon as that works.
    """
    entry, changes = attempt.entry, {"sender": None, **changes}
    for pause in (0.05, 0.2, 1.0, None):
        try:
            attempt.entry = await _moved_on(process, entry, state, what, changes, unsent=unsent)
        except JournalError as error:
            if pause is not None:
                await anyio.sleep(pause)
                continue
            known = replace(entry, state=state, **changes)
            process.unwritten.keep(known, order, lambda: _moved_on(process, entry, state, what, changes, unsent=unsent))
            raise _untold(error, known) from error
        process.unwritten.drop(entry.id)
        return


async def _moved_on(
    process: Process, entry: Entry, state: State, what: str, changes: Mapping[str, Any], *, unsent: bool
) -> Entry:
    changes, sender = dict(changes), entry.sender
    while True:
        if state not in LANDED and entry.lease_owner != process.owner and process.leases.is_held(entry):
            return entry  # taken over, and perhaps on the wire just now: only a found order is news to whoever has it
        try:
            return await process.journal.move(entry, state, what, **changes)
        except StaleEntryError as stale:
            entry = stale.current
            settled = entry.state not in DOUBTFUL
            landed_after_all = state in LANDED and entry.state in ("rejected", "refused", "paid_no_order")
            if settled and not landed_after_all:
                return entry
            if landed_after_all:
                changes.setdefault("problem", None)
            if entry.sender != sender:
                changes.pop("sender", None)  # another process sends it, and may still be at it
            if state in ("rejected", "refused") and not (unsent and entry.attempts <= 1):
                return entry  # taken over: the other one's doubt stands, our answer was for an attempt before it


def _untold(error: JournalError, entry: Entry) -> JournalError:
    if entry.state in ("rejected", "refused"):
        happened = "Zinc rejected the order" if entry.state == "rejected" else "The order was not sent"
        return error.after_a_no(happened, entry.key)
    happened = "The order was sent and no answer came" if entry.state == "unknown" else "Zinc has the order"
    if is_unsent(entry):
        happened = "The payment wallet may have paid for the order, and it did not go out"
    if is_placed_before(entry):
        happened = "Zinc says that it has had this order before"
    return error.in_doubt(happened, entry.key, order_id=entry.order_id)
