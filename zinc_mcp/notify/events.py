"""The events of an entry that can be told to the owner, and the time for which an entry is followed."""

from collections.abc import Mapping
from typing import Any, cast

from zinc_mcp.journal.records.decision import reference_of
from zinc_mcp.journal.records.entry import DAY_SECONDS, Entry
from zinc_mcp.journal.records.money import told_of
from zinc_mcp.owner.notify import Notable

DOUBT_SECONDS = 10.0
"""A doubt is told only after it has lasted this long: most lost answers are found at once."""
OVERDUE_SECONDS = 7 * DAY_SECONDS
"""Money that a wallet paid up front and that came to nothing is overdue after this time."""
FOLLOWED_SECONDS = 60 * DAY_SECONDS
"""An order is followed for this time after it was sent."""
FORGOTTEN_SECONDS = DAY_SECONDS
"""What was told of an entry that is over is kept for this time, so that no other process can tell it once more."""
LOOK_SECONDS = (60.0, 6 * 3600.0)
"""Zinc is asked about an order after a quarter of the order's age, and at least and at most after these times."""

TRIES = 5
"""The most times that a message is sent."""
PAUSES = (30.0, 120.0, 600.0, 3600.0)
"""The times after which a message that was not taken is sent once more."""

SENDING = "sending"
"""A process was about to tell the event. It counts as told: if that process was killed, it may have been sent."""
TOLD = "told"
UNANSWERED = "unanswered"
"""The message was sent and no answer came. It may have been read, so it is not sent again."""
AGAIN = "again"
"""The message was certainly not taken, and is sent once more."""
GIVEN_UP = "given_up"

_FAILED = frozenset({"failed", "cancelled", "rejected"})
_LOOKED_UP = frozenset({"accepted", "placed"})


def happened(entry: Entry, told: Mapping[str, Any], now: float) -> list[Notable]:
    """Return what has happened to an entry, whether it was told or not, in the order in which it is told."""
    found: list[Notable] = []
    if reference_of(entry) is not None and float((entry.consent or {}).get("until") or 0.0) > now:
        found.append("waiting")
    if _is_in_doubt(entry, now):
        found.append("in_doubt")
    if entry.state == "placed":
        found.append("placed")
    if entry.state in _FAILED or (entry.state == "refused" and "digest" in (entry.consent or {})):
        found.append("failed")
    if entry.kind == "order" and told.get("delivered") is True and entry.state == "placed":
        found.append("delivered")
    money = told_of(entry)
    due = money.expected_back_cents or 0 if entry.authorised_cents is not None else 0
    if (entry.refunded_cents or 0) > 0 and not due:
        found.append("refund_proved")
    elif due and now > entry.counted_at + OVERDUE_SECONDS:
        found.append("refund_overdue")
    return found


def is_due(told: Mapping[str, Any], event: Notable, now: float) -> bool:
    """Say whether an event has to be told now: nobody has tried, or the last try was not taken and is old enough."""
    state, tries, at = tried(told, event)
    if state is None:
        return True
    return state == AGAIN and (now >= at + PAUSES[min(tries, len(PAUSES)) - 1] or now < at)


def tried(told: Mapping[str, Any], event: Notable) -> tuple[str | None, int, float]:
    """Return the ending of the last try to tell an event, the number of tries, and the time of the last one."""
    events: object = told.get("told")
    row: object = cast(Mapping[str, object], events).get(event) if isinstance(events, dict) else None
    match row:
        case [str() as state, int() as tries, int() | float() as at]:
            return state, max(1, tries), float(at)
        case _:
            return None, 0, 0.0


def with_try(told: Mapping[str, Any], event: Notable, state: str, tries: int, at: float) -> dict[str, Any]:
    """Return the record of what was told of an entry, with another try."""
    events: object = told.get("told")
    before = cast(dict[str, Any], events) if isinstance(events, dict) else dict[str, Any]()
    return {**told, "told": {**before, event: [state, tries, round(at, 3)]}}


def looks_due(entry: Entry, told: Mapping[str, Any], now: float) -> bool:
    """Say whether Zinc should be asked about an order: it is on its way, and nobody has asked for long enough."""
    age = now - entry.counted_at
    if entry.kind != "order" or entry.state not in _LOOKED_UP or told.get("delivered") is True:
        return False
    if not 0 <= age <= FOLLOWED_SECONDS:
        return False
    asked: object = told.get("looked_at")
    least, most = LOOK_SECONDS
    wait = min(max(age / 4, least), most)
    return not isinstance(asked, int | float) or not 0 <= now - asked < wait


def is_over(entry: Entry, told: Mapping[str, Any], now: float) -> bool:
    """Say whether nothing more is expected of an entry, and what was told of it may be forgotten."""
    if now < max(entry.updated_at, entry.counted_at) + FORGOTTEN_SECONDS:
        return False
    if any(tried(told, event)[0] == AGAIN for event in happened(entry, told, now)):
        return False
    if entry.state in ("declined", "refused"):
        return True
    is_old = now > entry.counted_at + FOLLOWED_SECONDS
    if entry.state in _FAILED and entry.counts_cents == 0:
        return True
    return is_old and entry.state in ("placed", *_FAILED)


def _is_in_doubt(entry: Entry, now: float) -> bool:
    if entry.state == "paid_no_order":
        return True
    since = entry.first_sent_at if entry.first_sent_at is not None else entry.opened_at
    return entry.state == "unknown" and not 0 <= now - since < DOUBT_SECONDS
