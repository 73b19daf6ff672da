"""Sending the entries that a person has approved, in a process that has the rail for them."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from zinc_mcp.checkout.ask import is_what_was_shown
from zinc_mcp.checkout.hear_the_time import hear_the_time
from zinc_mcp.checkout.look_up import clear_abandoned, is_ours, refuse
from zinc_mcp.checkout.send import start
from zinc_mcp.consent.approval import is_approved, question_of
from zinc_mcp.errors import AnotherServerError, JournalError, RefusedError, TimeUnknownError
from zinc_mcp.journal.records.decision import closed, fee_has_risen
from zinc_mcp.journal.records.entry import (
    CHANGES,
    Entry,
    Kind,
    StaleEntryError,
    UnreadableEntryError,
    tell_unreadable,
)
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail

if TYPE_CHECKING:
    from zinc_mcp.journal.journal import Journal

logger = logging.getLogger(__name__)

Send = Callable[[Process, Entry], Awaitable[Entry]]
"""Sends an approved entry, if this process can; returns the entry as it is then."""

_A_PAGE = 100
"""The number of entries that are read at once; all are read, page by page."""


async def send_approved(process: Process, entry: Entry) -> Entry:
    """Send an entry that a person has approved, if this process has its rail; otherwise leave it to another.

    Raises:
        RefusedError: `paused`, or what the policy does not allow any more; the entry is refused for good, since a
            yes is used once.
    """
    rail = process.rails.get(entry.rail)
    if entry.kind != "order" or not is_approved(entry) or rail is None or not is_ours(entry, rail):
        return entry
    if not process.times.agree:
        await hear_the_time(process, rail)
    try:
        if not is_what_was_shown(entry, rail):
            raise closed()
        fee_cents = await rail.on_balance.told_fee_cents() if rail.on_balance is not None else None
        if fee_cents is not None and fee_cents > entry.fee_cents:
            raise fee_has_risen(entry.fee_cents, fee_cents)
        # This checks the policy of the process that sends: a terminal without the rail may know other limits.
        return (await start(process, entry, rail, what="sending what was approved")).entry
    except (TimeUnknownError, AnotherServerError):
        # The yes stands until its time is over: the next sweep asks Zinc again, or another server sends it.
        return entry
    except StaleEntryError as stale:
        return stale.current
    except RefusedError as error:
        if moved := await refuse(process, entry, f"refused: {error.code}", error.code, error.summary):
            return moved  # another process was faster, with a policy of its own
        raise


async def send_all_approved(process: Process, send: Send | None = None) -> bool:
    """Send the approved entries that no process has sent yet; say whether other questions are still open.

    `send` sends one of them; by default only orders are sent.

    Raises:
        RefusedError: one of them may not be sent any more; the others were looked at all the same.
        JournalError: the journal failed.
    """
    undecided = False
    refused: list[RefusedError] = []
    for rail in process.rails.values():
        after = 0
        while True:
            waiting = await process.journal.run(partial(_waiting, by=rail, after=after))
            for entry in waiting:
                undecided |= await _sent_if_approved(process, entry, send or send_approved, refused)
            if len(waiting) < _A_PAGE:
                break
            after = waiting[-1].id
    if refused:
        raise refused[0]
    return undecided


def _waiting(journal: "Journal", *, by: Rail, after: int) -> list[Entry]:
    kinds: set[Kind] = {"order", *CHANGES}
    return journal.unfinished({"waiting"}, mode=by.mode, by=by, kinds=kinds, after=after, limit=_A_PAGE)


async def _sent_if_approved(process: Process, entry: Entry, send: Send, refused: list[RefusedError]) -> bool:
    """Send an entry if it was approved; say whether its question still stands. A failure stops no other entry."""
    try:
        if question_of(entry) is not None:
            return True
        if is_approved(entry) and not await clear_abandoned(process, entry):
            await send(process, entry)
    except UnreadableEntryError as error:
        tell_unreadable(process.told, "zinc_entries", (error.entry_id,), error.column)
        await clear_abandoned(process, entry)
    except RefusedError as error:
        refused.append(error)
    except JournalError:
        raise
    except Exception as error:
        logger.error("entry %d was approved and could not be sent (%s)", entry.id, type(error).__name__)
    return False
