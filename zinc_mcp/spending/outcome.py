"""Writing down the outcome of an order: accepted, ended, or in doubt with the reason. Sending and look-ups use it.

The news of an order is what Zinc shows of it. Some news stops further orders.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import anyio

from zinc_mcp.errors import JournalError, ZincMcpError
from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.entry import (
    CHANGES,
    DOUBTFUL,
    FOREVER,
    LANDED,
    LEFT_TO_PEOPLE,
    NAMES,
    PLACED_BEFORE,
    WITHOUT_ORDER,
    Entry,
    StaleEntryError,
    State,
)
from zinc_mcp.journal.records.money import doubt_of, nothing_taken, problem_of, settled
from zinc_mcp.journal.records.twin import KEY_FIELD
from zinc_mcp.process import Attempt, Process
from zinc_mcp.rails import LeaseOverError, Rail
from zinc_mcp.spending import same_order
from zinc_mcp.zinc import responses
from zinc_mcp.zinc.responses import Order

logger = logging.getLogger(__name__)


# The reasons of a doubt other than a request without an answer. The entry's problem holds the reason.


DoubtReason = Literal["placed_before", "not_sent", "left_to_people"]

_UNSENT = "not_sent"
_UNANSWERED = frozenset({"timeout", "connection_lost", "unreadable"})
_MAY_BE_SENT_AGAIN = frozenset({"internal_error"})
"""Codes of v1 that may come from before Zinc has looked at the order, so that the same bytes may be taken."""
_ANSWERED = "answered_unclearly"

UNSENT_PROBLEM: Mapping[str, Any] = {
    "code": _UNSENT,
    "summary": "The order was not sent, and its payment wallet may have moved money all the same.",
}
"""The problem of an entry whose wallet was asked, and whose credential never left this process."""


def placed_before(identifiers: Sequence[str]) -> Mapping[str, Any]:
    """Return the problem of an entry whose order exists already. Zinc said so before anything was paid for it."""
    summary = "Zinc says that an order with this key was placed before. Nothing was paid for it this time."
    return {"code": PLACED_BEFORE, "summary": summary, "facts": {"named": list(identifiers)}}


def is_placed_before(entry: Entry) -> bool:
    """Say whether Zinc had the order before, so that this entry has not paid for it."""
    return (entry.problem or {}).get("code") == PLACED_BEFORE


def is_unsent(entry: Entry) -> bool:
    """Say whether an entry is in doubt although nothing of it was sent."""
    return (entry.problem or {}).get("code") == _UNSENT


def is_answered_wrongly(entry: Entry) -> bool:
    """Say whether Zinc answered an entry in doubt with another order. Then the same bytes are not sent again."""
    return (entry.problem or {}).get("code") == same_order.ANOTHER_ORDER


def may_not_repeat(entry: Entry) -> bool:
    """Say whether an entry in doubt may never be sent again: Zinc has answered it, or has taken it.

    A key's first answer is replayed (v1, "Idempotency"), so the same bytes would be told the same.
    """
    code = (entry.problem or {}).get("code")
    return entry.order_id is not None or code in (same_order.ANOTHER_ORDER, LEFT_TO_PEOPLE, _ANSWERED)


def answered_unclearly(code: str, summary: str) -> Mapping[str, Any]:
    """Return the problem of an entry whose outcome is not known after an answer of Zinc's with this code."""
    known = LEFT_TO_PEOPLE if code in responses.LEFT_TO_PEOPLE else _ANSWERED
    return {"code": known, "summary": summary, "facts": {"zinc_code": code}}


def reason_of_doubt(entry: Entry) -> DoubtReason | None:
    """Return why an entry is in doubt; None if a request was not answered, or if the entry is not in doubt."""
    if entry.state != "unknown":
        return None
    if (entry.problem or {}).get("code") == LEFT_TO_PEOPLE:
        return "left_to_people"
    return "placed_before" if is_placed_before(entry) else "not_sent" if is_unsent(entry) else None


# Before something leaves


def about_to_send(process: Process, seconds: float) -> dict[str, Any]:
    """Return the columns that change in an entry that this process is going to send within so many seconds."""
    return {**process.leases.lease(process.owner, seconds), "sender": process.holder}


async def hold(process: Process, attempt: Attempt, seconds: float) -> None:
    """Check, just before something leaves, that this process holds the entry for so many seconds more.

    If the lease ends earlier, the entry is claimed again. That succeeds only if no other process has moved the entry.

    Raises:
        StaleEntryError: another process has moved it.
        RefusedError: `paused`, or nothing was sent for it and its caller may not order any more.
    """
    if process.leases.left(attempt.entry) < seconds:
        held: dict[str, Any] = about_to_send(process, seconds + process.clocks.lease_margin_seconds)
        attempt.entry = await process.journal.run(
            lambda journal: journal.move(
                attempt.entry, attempt.entry.state, "held on to", to_send=True, admission=process.admission, **held
            )
        )


def leaving(process: Process, attempt: Attempt) -> None:
    """Check the lease once more, right before the first byte leaves.

    Raises:
        LeaseOverError: this process does not hold the entry any more; not a byte has left.
    """
    if process.leases.left(attempt.entry) <= 0.0:
        raise LeaseOverError
    attempt.left = True
    process.checkpoint("leaving")


# Answers of Zinc


async def check_answer(process: Process, order: Order, entry: Entry) -> Order:
    """Return the order in the answer to a placing request, if it is the order that was sent.

    Raises:
        OrderOutcomeUnknownError: it is another order, or its id belongs to another entry. So the outcome of our order
            is not known.
    """
    order = same_order.as_answer(order, entry)
    try:
        known = await process.journal.find(order.id)
    except JournalError:
        return order  # the answer is written down as soon as the journal works
    if known is None or known.id == entry.id or known.order_id is None:
        return order
    if same_order.is_named(order, known.order_id) and (known.mode, known.origin) == (entry.mode, entry.origin):
        raise same_order.another_order(entry)
    return order


def news(entry: Entry, order: Order) -> dict[str, Any]:
    """Return the columns of an entry that its order changes (with `state`), or nothing if all of it is known."""
    if order.is_left_to_people:
        return _left_to_people(entry, order)
    state: State = order.stage
    if order.ending_is_unclear:
        state = "placed" if "placed" in (state, entry.state) else "accepted"  # the order stands until that is clear
    elif state == "accepted" and entry.state in ("placed", "failed", "cancelled"):
        state = entry.state  # an outdated answer does not undo an ending
    found: dict[str, Any] = {"order_id": order.id, "status": order.status, "seen": order.digest}
    money = settled(entry, state, order)
    found |= money.columns
    problem = problem_of(money.doubt)
    was_doubtful = doubt_of(entry) is not None or (entry.state in FOREVER and not is_answered_wrongly(entry))
    if problem is not None or was_doubtful or entry.state in WITHOUT_ORDER:
        found["problem"] = problem  # an earlier doubt is over now; a wrong answer stays in the entry
    if state == entry.state and all(getattr(entry, name) == value for name, value in found.items()):
        return {}
    return {"state": state, **found, **(FREE if entry.state in FOREVER else {})}


def _left_to_people(entry: Entry, order: Order) -> dict[str, Any]:
    if entry.state not in (*DOUBTFUL, "accepted"):
        return {}  # an ending, or the owner's word
    problem = answered_unclearly(order.status, "Zinc does not know whether the retailer has the order.")
    found = {"order_id": order.id, "status": order.status, "seen": order.digest, "problem": problem}
    if entry.state == "unknown" and all(getattr(entry, name) == value for name, value in found.items()):
        return {}
    return {"state": "unknown", **found, **(FREE if entry.state in FOREVER else {})}


def landed(process: Process, entry: Entry, order: Order) -> dict[str, Any]:
    """Return the columns that change when an entry's order is first seen: its creation, by Zinc's own clock."""
    if entry.order_id is not None:
        return {}
    at = order.created_at.timestamp() if order.created_at is not None else process.times.zinc()
    if at is None:
        return {}
    at = min(at, process.times.latest())
    return {"zinc_at": at, "counted_at": max(entry.counted_at, at)}


async def stop_if_above_ceiling(process: Process, entry: Entry, changes: Mapping[str, Any]) -> None:
    """Pause an entry's caller on its rail when Zinc has charged more than the order allowed, the first time."""
    problem: Mapping[str, Any] = changes.get("problem") or {}
    if problem.get("code") != "above_ceiling" or doubt_of(entry) == "above_ceiling":
        return
    reason = f"Zinc charged more than an order's max_price allows ({entry.key})"
    logger.error("%s; its caller's orders on this rail are paused", reason)
    await _pause(process, reason, entry)


async def stop_if_keys_are_ignored(process: Process, entry: Entry, rail: Rail) -> None:
    """Pause everything when Zinc shows two orders for one key, since then no key protects anybody any more."""
    try:
        orders = {order.id for order in await rail.find(KEY_FIELD, entry.key)}
    except ZincMcpError:
        return
    process.counted.add(entry.id)
    if len(orders) > 1:
        logger.error("Zinc shows %d orders for one idempotency key; ordering is paused", len(orders))
        await _pause(process, f"Zinc placed {len(orders)} orders for one idempotency key ({entry.key})")


async def _pause(process: Process, reason: str, of: Entry | None = None) -> None:
    try:
        await process.journal.run(lambda journal: journal.pause(reason, of))
    except JournalError as error:
        logger.error("the pause could not be written down: %s", error.summary)


# Writing down


async def accept(process: Process, attempt: Attempt, rail: Rail, order: Order, what: str, **more: Any) -> None:
    """Write down that Zinc has the order, and settle the money by what Zinc shows."""
    changes = {**news(attempt.entry, order), **landed(process, attempt.entry, order)}
    await stop_if_above_ceiling(process, attempt.entry, changes)
    state = changes.pop("state", attempt.entry.state)  # no change: another process has written all of it down
    await settle(process, attempt, state, what, order, **changes, **more)
    attempt.order = order  # not before: an order that is told by its id must be found by that id, in every process
    process.checkpoint("accepted")
    if attempt.entry.attempts > 1:
        await stop_if_keys_are_ignored(process, attempt.entry, rail)


async def end(
    process: Process,
    attempt: Attempt,
    state: State,
    what: str,
    error: ZincMcpError,
    *,
    unsent: bool = False,
    code: str | None = None,
) -> None:
    """Write down that nothing was bought, give the money back, and pass `error` to the waiting calls.

    `unsent`: not a byte of it has left this process; see `settle`. `code` is the problem's code, if not the error's.
    """
    problem = {"code": code or error.code, "summary": error.summary, "facts": error.facts}
    nothing: Mapping[str, Any] = nothing_taken(attempt.entry)
    await settle(process, attempt, state, what, unsent=unsent, **nothing, problem=problem, **FREE)
    if attempt.entry.state == state:  # else another process took the entry over, and tells its outcome
        attempt.error = error
    process.checkpoint("ended")


async def never_left(process: Process, attempt: Attempt, current: Entry) -> None:
    """End an entry that another process took over while this one stood still, and that was surely never sent.

    It ends only if no other process holds it: a process that sends the entry again knows more than this one.
    """
    attempt.entry = current
    if current.state != "unknown" or current.attempts > 1 or process.leases.is_held(current):
        return
    summary = "The process stood still until its time to send was over, so nothing was sent."
    problem = {"code": "internal_error", "summary": summary}
    nothing: Mapping[str, Any] = nothing_taken(current)
    await settle(process, attempt, "refused", "never sent", unsent=True, **nothing, problem=problem, **FREE)


async def doubt(process: Process, attempt: Attempt, what: str, **more: Any) -> None:
    """Write down that Zinc may or may not have the order. This process holds the entry while it looks the order up."""
    lease = process.leases.lease(process.owner, process.clocks.looking_lease_seconds)
    await settle(process, attempt, "unknown", what, **lease, **more)
    process.checkpoint("unknown")


async def doubt_lost_answer(process: Process, attempt: Attempt, what: str, error: ZincMcpError) -> None:
    """Write down a doubt after an error of a sent request; the problem says so if Zinc answered with another order."""
    wrong = {"code": same_order.ANOTHER_ORDER, "summary": "Zinc answered with an order that is not the one sent."}
    reason = str(error.facts.get("reason"))
    more: dict[str, Any] = {"problem": wrong} if reason == same_order.ANOTHER_ORDER else {}
    if attempt.entry.rail == "v1" and reason not in (*_UNANSWERED, *_MAY_BE_SENT_AGAIN, same_order.ANOTHER_ORDER):
        more = {"problem": answered_unclearly(reason, error.summary)}
    await doubt(process, attempt, what, **more)


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
    """Write down the outcome, even if another process took the entry over meanwhile; try several times.

    Args:
        process: what this process shares.
        attempt: the entry that is being sent.
        state: its new state.
        what: the event, in a few words.
        order: the order at Zinc, for look-ups until the outcome is written down.
        unsent: this process has sent nothing of the entry, and no other process has tried. This ends the doubt of a
            process that only saw that the time to send was over.
        **changes: columns that change.

    Raises:
        JournalError: the outcome could not be written down yet. It is kept, and written as soon as that works.
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
            return entry  # its new holder may be sending it just now: only a found order is news to that process
        try:
            return await process.journal.move(entry, state, what, **changes)
        except StaleEntryError as stale:
            entry = stale.current
            is_settled = entry.state not in DOUBTFUL
            landed_after_all = state in LANDED and entry.state in ("rejected", "refused", "paid_no_order")
            if is_settled and not landed_after_all:
                return entry
            if landed_after_all:
                changes.setdefault("problem", None)
            if entry.sender != sender:
                changes.pop("sender", None)  # another process may still be sending it
            if state in ("rejected", "refused") and not (unsent and entry.attempts <= 1):
                return entry  # its new holder's doubt stands, since our answer is about an earlier attempt


def _untold(error: JournalError, entry: Entry) -> JournalError:
    if entry.kind in CHANGES:
        name = NAMES[entry.kind][0]
        if entry.state in ("rejected", "refused"):
            answered = f"Zinc rejected the {name}" if entry.state == "rejected" else f"The {name} was not sent"
            return error.after_a_no(answered, entry.key)
        happened = f"The {name} was sent and no answer came" if entry.state == "unknown" else f"Zinc has the {name}"
        return error.in_doubt(happened, entry.key, moves_money=False, order_id=entry.order_id)
    if entry.state in ("rejected", "refused"):
        happened = "Zinc rejected the order" if entry.state == "rejected" else "The order was not sent"
        return error.after_a_no(happened, entry.key)
    happened = "The order was sent and no answer came" if entry.state == "unknown" else "Zinc has the order"
    if is_unsent(entry):
        happened = "The payment wallet may have paid for the order, and it did not go out"
    if is_placed_before(entry):
        happened = "Zinc says that it has had this order before"
    return error.in_doubt(happened, entry.key, order_id=entry.order_id)
