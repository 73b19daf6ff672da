"""Sending a change of an order, once; the meaning of the answer, and the look-up after a lost one.

It runs in a task of the process, which outlives the call that started it. A change is never sent a second time.
"""

import logging
from contextlib import suppress
from functools import partial
from typing import Any

import anyio

from zinc_mcp.aftercare.look_up import Filed, find, read_answer
from zinc_mcp.aftercare.placed import after_sale_for
from zinc_mcp.checkout.ask import is_what_was_shown
from zinc_mcp.checkout.look_up import is_ours, refuse
from zinc_mcp.consent.approval import is_approved
from zinc_mcp.errors import (
    ChangeOutcomeUnknownError,
    ChangeRejectedError,
    RefusedError,
    ZincMcpError,
    ZincUnreachableError,
)
from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.decision import closed
from zinc_mcp.journal.records.entry import NAMES, Entry, StaleEntryError
from zinc_mcp.process import Attempt, Process
from zinc_mcp.rails import LeaseOverError, Rail
from zinc_mcp.rails.after_sale import AfterSale
from zinc_mcp.spending.carrying import carry, leave_in_doubt
from zinc_mcp.spending.outcome import about_to_send, doubt, end, hold, leaving, never_left, settle
from zinc_mcp.zinc.aftercare.changes import Change

logger = logging.getLogger(__name__)


def first_marks(process: Process) -> dict[str, Any]:
    """Return the columns that change in an entry that is going to be sent."""
    zinc = process.times.zinc()
    return {
        "attempts": 1,
        "first_sent_at": process.times.clock(),
        **({} if zinc is None else {"zinc_at": zinc}),
        **about_to_send(process, process.clocks.wire_seconds + process.clocks.lease_margin_seconds),
    }


def send_marked(process: Process, entry: Entry, rail: Rail) -> Attempt:
    """Send an entry in a task of the process. The journal already says that it is being sent."""
    process.checkpoint("sending")
    attempt = Attempt(entry)
    process.attempts[entry.id] = attempt
    process.tasks.start_soon(_carry, process, attempt, rail, name=f"sending {entry.key}")
    return attempt


async def send_approved(process: Process, entry: Entry) -> Entry:
    """Send a change that a person has approved, if this process has its rail; otherwise leave it to another.

    Raises:
        RefusedError: `paused`; the entry is refused for good, since a yes is used once.
    """
    rail = process.rails.get(entry.rail)
    if not is_approved(entry) or rail is None or not is_ours(entry, rail):
        return entry
    try:
        if not is_what_was_shown(entry, rail):
            raise closed()
        attempt: Attempt | None = None
        with anyio.CancelScope(shield=True):
            marked = await process.journal.move(
                entry, "sending", "sending what was approved", admission=process.admission, **first_marks(process)
            )
            attempt = send_marked(process, marked, rail)
        return entry if attempt is None else attempt.entry
    except StaleEntryError as stale:
        return stale.current
    except RefusedError as error:
        if moved := await refuse(process, entry, f"refused: {error.code}", error.code, error.summary):
            return moved
        raise


async def _carry(process: Process, attempt: Attempt, rail: Rail) -> None:
    async def steps() -> None:
        await _send(process, attempt, rail)
        await leave_in_doubt(process, attempt)

    entry, name = attempt.entry, NAMES[attempt.entry.kind][0]

    def crashed() -> ChangeOutcomeUnknownError:
        return ChangeOutcomeUnknownError(
            f"Something failed while the {name} was being sent; it may have reached Zinc.",
            facts={"key": entry.key, "order_id": entry.order_id},
        )

    await carry(process, attempt, steps, sent=f"The {name} was sent", crashed=crashed, moves_money=False)


async def _send(process: Process, attempt: Attempt, rail: Rail) -> None:
    """Send once, while the entry is ours for long enough. If the first byte would be late, claim the entry again."""
    entry = attempt.entry
    if entry.body is None or entry.order_id is None:
        raise RefusedError("The request's content was purged, so it cannot be sent.")
    change = Change.from_bytes(entry.body)
    after_sale = await after_sale_for(process, rail, entry.order_id, entry.caller, entry.mode)
    if after_sale is None:
        gone = RefusedError("The order is changed with a key of its own, and that key is not kept here.")
        await end(process, attempt, "refused", "the order's key is not here: nothing was sent", gone)
        return
    while await _is_held(process, attempt):
        with suppress(LeaseOverError):
            await _send_once(process, attempt, after_sale, change)
            return


async def _is_held(process: Process, attempt: Attempt) -> bool:
    """Say whether an entry is ours for one request; if not, write down how it ended."""
    try:
        await hold(process, attempt, process.clocks.wire_seconds)
    except StaleEntryError as stale:
        await never_left(process, attempt, stale.current)
        return False
    except RefusedError as error:  # paused while we stood still, or the time of the yes is over
        await end(process, attempt, "refused", f"{error.code}: nothing was sent", error)
        return False
    marked = attempt.entry.first_sent_at
    if marked is not None and process.times.clock() - marked > process.clocks.repeat_seconds:
        again = NAMES[attempt.entry.kind][1]
        late = RefusedError(
            "The process stood still for a long time before it sent this, so nothing was sent.",
            f"{again} if it is still wanted.",
        )
        await end(process, attempt, "refused", "too late: nothing was sent", late)
        return False
    return True


async def _send_once(process: Process, attempt: Attempt, after_sale: AfterSale, change: Change) -> None:
    try:
        answer = await after_sale.send(change, partial(leaving, process, attempt))
        filed = read_answer(attempt.entry, change, answer, after_sale)
    except ZincUnreachableError as error:
        await end(process, attempt, "refused", "no connection: nothing was sent", error)
    except ChangeRejectedError as error:
        process.checkpoint("answered")
        error.facts |= {"key": attempt.entry.key, "order_id": attempt.entry.order_id}
        await end(process, attempt, "rejected", f"Zinc rejected it: {error.facts.get('zinc_code')}", error)
    except ChangeOutcomeUnknownError as error:
        process.checkpoint("answered")
        await doubt(process, attempt, f"no answer: {error.facts.get('reason')}")
        try:
            found = await find(process, attempt.entry, after_sale)
        except ZincMcpError as trouble:
            logger.info("the look-up after a lost answer failed: %s", trouble.code)
            return
        if found is not None:
            await _accept(process, attempt, found, "found at Zinc")
    else:
        process.checkpoint("answered")
        await _accept(process, attempt, filed, "accepted by Zinc")


async def _accept(process: Process, attempt: Attempt, filed: Filed, what: str) -> None:
    entry = attempt.entry
    await settle(process, attempt, what=what, **filed.changes(entry), **FREE)
    process.checkpoint("accepted")
