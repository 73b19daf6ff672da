"""The task of a process that tells the owner what happens to orders.

It looks at the journal now and then, and the journal itself is the queue. So it delays no order, and makes none fail.
Each event of an entry is told once per journal: one process claims it by compare-and-set before it sends
(`journal.notices`). A message that was certainly not taken is sent again, by any process that runs then: five times in
all, within an hour and a half. A message that went out and was not answered, or whose process was killed meanwhile, is
not sent again, since it may have been read. A lost message does less harm than a doubled one: the list of orders shows
the same at any time, and a doubled "An order was placed" would look like a second order.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from zinc_mcp.checkout.look_up import is_ours, refreshed
from zinc_mcp.errors import JournalError
from zinc_mcp.journal.notices import PAUSES as PAUSES_ROW
from zinc_mcp.journal.notices import FollowedEntry, Looked, row_of
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.notify.delivery import deliver
from zinc_mcp.notify.events import (
    AGAIN,
    GIVEN_UP,
    SENDING,
    TOLD,
    TRIES,
    UNANSWERED,
    happened,
    is_due,
    is_over,
    looks_due,
    tried,
    with_try,
)
from zinc_mcp.notify.message import about_entry, about_pauses
from zinc_mcp.owner.notify import Notable, Notify
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail

if TYPE_CHECKING:
    from zinc_mcp.journal.journal import Journal

logger = logging.getLogger(__name__)

MOST_SENT = 20
"""The number of messages of one round; the rest waits in the journal for the next."""
MOST_LOOKS = 10
"""The number of orders that Zinc is asked about in one round."""
LOOKS_SECONDS = 5.0
"""After this time no further order is asked about in a round: a slow Zinc must not keep messages waiting."""
QUIET_SECONDS = 30.0
"""The pause after a message without an answer."""
_SETTLING_TRIES = 3
_BY_LOOKING: frozenset[Notable] = frozenset({"placed", "failed", "delivered", "refund_proved", "refund_overdue"})

_Kept = tuple[str | None, Mapping[str, Any]]
"""The text of a row, and its content."""
_Row = tuple[str, str | None, Mapping[str, Any]]
"""The same, after the row's name."""


@dataclass(slots=True)
class _Rounds:
    """The state that one process keeps from one round to the next."""

    open: frozenset[int] = frozenset()
    page: str = ""
    follow_at: float = 0.0
    journal: str = ""
    """Tells this journal from others."""
    left: int = MOST_SENT
    failed: bool = False
    """The last message was not taken or not answered: the next ones wait, since they would probably not be taken."""
    quiet_until: float = 0.0
    """Until then no message is sent, after one without an answer: each of them would be lost."""
    untold: set[int] = field(default_factory=set[int])
    """Entries that are looked at again, because an event of theirs could not be told now."""


async def keep_telling(process: Process, notify: Notify) -> None:
    """Tell the owner, for as long as the process runs."""
    rounds = _Rounds()
    while True:
        try:
            await _round(process, notify, rounds)
        except JournalError as error:
            logger.info("nothing can be told now: %s", error.code)
        except Exception as error:  # an unforeseen error must not end the server
            logger.error("a round of telling the owner failed (%s)", type(error).__name__)
        await anyio.sleep(process.clocks.notices_seconds)


async def _round(process: Process, notify: Notify, rounds: _Rounds) -> None:
    now = process.times.clock()
    follows = not 0 <= rounds.follow_at - now <= process.clocks.follow_seconds
    rounds.left, rounds.failed = MOST_SENT, 0 < rounds.quiet_until - now <= QUIET_SECONDS
    wanted = frozenset(rounds.open | rounds.untold)
    looked = await process.journal.run(
        lambda journal: journal.look_for_notices(wanted, rounds.page if follows else None)
    )
    if not rounds.journal:
        created = await process.journal.run(lambda journal: journal.created_at())
        rounds.journal = created or "?"
    rounds.open, rounds.untold = looked.open, set[int]()
    if follows:
        rounds.page = looked.last or ""
        rounds.follow_at = now + process.clocks.follow_seconds
    for followed in looked.followed:
        await _tell_about(process, notify, rounds, followed)
    await _go_on_from(process, looked)
    if "paused" in notify.events:
        await _tell_about_pauses(process, notify, rounds)
    if follows and notify.events & _BY_LOOKING:
        await _ask_zinc(process, notify, rounds, looked)


async def _go_on_from(process: Process, looked: Looked) -> None:
    if looked.newest != looked.cursor:
        await process.journal.run(lambda journal: journal.has_looked(looked.cursor, looked.newest))


async def _tell_about(process: Process, notify: Notify, rounds: _Rounds, followed: FollowedEntry) -> None:
    """Tell the events of one entry that are due, and follow the entry from now on."""
    entry, text, told = followed.entry, followed.text, followed.told
    now = process.times.clock()
    name = row_of(entry.id)
    if text is not None and is_over(entry, told, now):
        stands = text
        await process.journal.run(lambda journal: journal.drop_notice(name, stands))
        return
    due: list[Notable] = [
        event for event in happened(entry, told, now) if event in notify.events and is_due(told, event, now)
    ]
    can_tell = rounds.left > 0 and not rounds.failed
    if text is None and not (due and can_tell):
        text = await process.journal.run(lambda journal: journal.keep_notice(name, None, told))
    for event in due:
        if rounds.left <= 0 or rounds.failed:
            rounds.untold.add(entry.id)
            return
        message = about_entry(entry, event, rounds.journal, now)
        claimed = await _told(process, notify, rounds, (name, text, told), event, message)
        if claimed is None:
            return  # another process was first; the next round sees what it did
        text, told = claimed
        if tried(told, event)[0] == AGAIN:
            rounds.untold.add(entry.id)


async def _tell_about_pauses(process: Process, notify: Notify, rounds: _Rounds) -> None:
    reasons = await process.journal.run(lambda journal: journal.pauses())
    text, told = await process.journal.run(lambda journal: journal.kept_notice(PAUSES_ROW))
    now = process.times.clock()
    if sorted(reasons) != told.get("why", []):
        # A pause that ends is no news, nor are those that stay when another one ends.
        known = set(map(str, told.get("why") or ()))
        kept: Mapping[str, Any] = told if reasons and set(reasons) <= known else {}
        told, before = {"since": round(now, 3), **kept, "why": sorted(reasons)}, text
        text = await process.journal.run(lambda journal: journal.keep_notice(PAUSES_ROW, before, told))
        if text is None:
            return
    if reasons and rounds.left > 0 and not rounds.failed and is_due(told, "paused", now):
        message = about_pauses(reasons, rounds.journal, told.get("since"), now)
        await _told(process, notify, rounds, (PAUSES_ROW, text, told), "paused", message)


async def _told(
    process: Process,
    notify: Notify,
    rounds: _Rounds,
    row: _Row,
    event: Notable,
    message: Mapping[str, Any],
) -> _Kept | None:
    """Claim an event, deliver its message and write down the result; None: another process has claimed it."""
    name, text, told = row
    now = process.times.clock()
    tries = tried(told, event)[1] + 1
    claim = with_try(told, event, SENDING, tries, now)
    claimed = await process.journal.run(lambda journal: journal.keep_notice(name, text, claim))
    if claimed is None:
        return None
    process.checkpoint("telling")
    rounds.left -= 1
    # A claimed message is sent even if the process is about to end: it would be lost otherwise. It takes seconds.
    with anyio.CancelScope(shield=True):
        return await _delivered(process, notify, rounds, (name, claimed, claim), event, message)
    return None  # for the type checkers: nothing cancels this scope


async def _delivered(
    process: Process,
    notify: Notify,
    rounds: _Rounds,
    claim: _Row,
    event: Notable,
    message: Mapping[str, Any],
) -> _Kept:
    """Deliver the message of a claimed event, and write down the result."""
    tries, now = tried(claim[2], event)[1], process.times.clock()
    ended = await deliver(notify, message, route=process.settings.route, at=now, seconds=process.clocks.telling_seconds)
    process.checkpoint("told")
    rounds.failed = ended.ending != "taken"
    if ended.ending == "unanswered":
        rounds.quiet_until = process.times.clock() + QUIET_SECONDS
    if ended.ending != "taken":
        logger.warning("a message to the owner (%s) was not taken: %s", event, ended.said)
    states = {"taken": TOLD, "unanswered": UNANSWERED, "not_taken": AGAIN if tries < TRIES else GIVEN_UP}
    outcome = (states[ended.ending], tries, now)
    last = {"event": event, "at": round(now, 3), "ending": ended.ending, "said": ended.said}
    return await process.journal.run(lambda journal: _settled(journal, claim, event, outcome, last))


def _settled(
    journal: "Journal",
    row: _Row,
    event: Notable,
    outcome: tuple[str, int, float],
    last: Mapping[str, Any],
) -> _Kept:
    """Write down the result of a claimed event, even if other events of the row were told meanwhile."""
    journal.note_last_notice(last)
    name, text, told = row
    for _ in range(_SETTLING_TRIES):
        told = with_try(told, event, *outcome)
        kept = journal.keep_notice(name, text, told)
        if kept is not None:
            return kept, told
        text, told = journal.kept_notice(name)
    return text, told


async def _ask_zinc(process: Process, notify: Notify, rounds: _Rounds, looked: Looked) -> None:
    """Ask Zinc about orders that are on their way and that nobody has asked about for long enough."""
    asked, ends = 0, time.monotonic() + LOOKS_SECONDS
    for followed in looked.followed:
        rail = process.rails.get(followed.entry.rail)
        if asked >= MOST_LOOKS or time.monotonic() > ends:
            return
        if rail is None or not is_ours(followed.entry, rail):
            continue
        if looks_due(followed.entry, followed.told, process.times.clock()):
            asked += await _ask_about(process, notify, rounds, followed.entry, rail)


async def _ask_about(process: Process, notify: Notify, rounds: _Rounds, entry: Entry, rail: Rail) -> bool:
    """Ask Zinc about one order, if no process has done so for long enough; say whether it was asked."""
    name, now = row_of(entry.id), process.times.clock()
    text, told = await process.journal.run(lambda journal: journal.kept_notice(name))
    if not looks_due(entry, told, now):
        return False
    claim: Mapping[str, Any] = {**told, "looked_at": round(now, 3)}
    claimed = await process.journal.run(lambda journal: journal.keep_notice(name, text, claim))
    if claimed is None:
        return False
    entry, order = await refreshed(process, entry, rail)
    if order is not None and entry.state == "placed" and order.tracking_state == "delivered":
        seen, before = {**claim, "delivered": True}, claimed
        claim, claimed = seen, await process.journal.run(lambda journal: journal.keep_notice(name, before, seen))
    if claimed is not None:
        await _tell_about(process, notify, rounds, FollowedEntry(entry, claimed, claim))
    return True
