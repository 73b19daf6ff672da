"""PINs in the journal: one for each caller, and how often a wrong one was given. Each function is one step inside a
transaction.

Wrong PINs are counted over all orders, so that nobody gets more tries by making more orders, and for the page and the
terminal apart, so that nobody at a page keeps the owner out of their terminal.
"""

from typing import Any

import sqlalchemy as sa

from zinc_mcp.errors import JournalError
from zinc_mcp.journal import rows
from zinc_mcp.journal.decision import LONGEST_WAIT_SECONDS, OWNER, PLACES, PinAsked, PinTry, Place, wait_seconds
from zinc_mcp.journal.records import number_or_none
from zinc_mcp.journal.tables import PINS
from zinc_mcp.text import plain

_MEMBERS = "*"
"""Counts the wrong PINs of all members who have none of their own, and from whom the owner's is asked. No member can
be called so."""


def own_pin(connection: sa.Connection, caller: str, now: float) -> str | None:
    """Return what is kept of a caller's own PIN, or None when none is set or it has ended."""
    kept, ends = _kept(connection, caller)
    return None if ends is not None and ends <= now else kept


def asked_pin(connection: sa.Connection, caller: str, now: float) -> PinAsked | None:
    """Return the PIN that a caller's yes needs: their own, otherwise the owner's; None when neither is set."""
    for whose in dict.fromkeys((caller, OWNER)):
        kept, ends = _kept(connection, whose)
        if kept is None or (ends is not None and ends <= now):
            continue
        under = caller if caller == whose else _MEMBERS
        counted = _of(connection, under)
        free = {place: _waited_for(counted, place, now) for place in PLACES}
        return PinAsked(kept, whose, under, ends, free["page"], free["terminal"])
    return None


def pin_ends(connection: sa.Connection, caller: str, now: float) -> float | None:
    """Return when a caller's own PIN ends, where somebody has said that it is forgotten."""
    _, ends = _kept(connection, caller)
    return None if ends is None or ends <= now else ends


def set_pin(connection: sa.Connection, caller: str, kept: str | None) -> None:
    """Keep another PIN, or none; wrong ones are counted anew."""
    connection.execute(sa.delete(PINS).where(PINS.c.caller == caller))
    if kept is not None:
        connection.execute(sa.insert(PINS), {"caller": caller, "kept": kept})
    if caller == OWNER:
        connection.execute(sa.delete(PINS).where(PINS.c.caller == _MEMBERS))
        rows.set_meta(connection, "pin", None)
        rows.set_meta(connection, "pin_ends", None)


def end_pin(connection: sa.Connection, caller: str, at: float | None) -> None:
    """Let a PIN end then, or stay."""
    if _of(connection, caller)["kept"] is not None:
        connection.execute(sa.update(PINS).where(PINS.c.caller == caller).values(ends=at))
    elif caller == OWNER:
        rows.set_meta(connection, "pin_ends", None if at is None else repr(at))


def count_try(connection: sa.Connection, caller: str, place: Place, now: float) -> PinTry | None:
    """Write a try down before it is looked at; None when no PIN is needed.

    One that comes too early is not looked at and does not count, however many come at once.
    """
    asked = asked_pin(connection, caller, now)
    if asked is None:
        return None
    before = asked.free_at(place)
    if before is not None:
        _count(connection, asked.counted_under, {f"{place}_free_at": before})
        return PinTry(asked, place, before, looked_at=False)
    wrong = int(_of(connection, asked.counted_under)[f"{place}_wrong"]) + 1
    wait = wait_seconds(wrong)
    then = now + wait if wait else None
    _count(connection, asked.counted_under, {f"{place}_wrong": wrong, f"{place}_free_at": then})
    return PinTry(asked, place, then, looked_at=True)


def was_right(connection: sa.Connection, tried: PinTry) -> None:
    """Forget the wrong ones given at that place; a PIN that was said to be forgotten stays."""
    counted = {f"{tried.place}_wrong": 0, f"{tried.place}_free_at": None}
    _count(connection, tried.asked.counted_under, counted)
    end_pin(connection, tried.asked.whose, None)


def _waited_for(counted: dict[str, Any], place: Place, now: float) -> float | None:
    # A clock that was set back must not keep anybody out for longer than a wait ever is.
    at = counted[f"{place}_free_at"]
    return None if at is None or at <= now else min(float(at), now + LONGEST_WAIT_SECONDS)


def _kept(connection: sa.Connection, caller: str) -> tuple[str | None, float | None]:
    row = _of(connection, caller)
    if row["kept"] is not None or caller != OWNER:
        return row["kept"], row["ends"]
    # Where versions before the fifth of the schema kept the one PIN there was.
    ends = rows.meta(connection, "pin_ends")
    try:
        return rows.meta(connection, "pin"), None if ends is None else float(ends)
    except ValueError:
        raise JournalError("When the owner's PIN ends cannot be read in the journal.") from None


def _of(connection: sa.Connection, caller: str) -> dict[str, Any]:
    row = connection.execute(sa.select(PINS).where(PINS.c.caller == caller)).mappings().first()
    nothing = {column.name: None for column in PINS.columns} | {"page_wrong": 0, "terminal_wrong": 0}
    if row is None:
        return nothing
    found = dict(row)
    try:
        for name in ("ends", "page_free_at", "terminal_free_at"):
            found[name] = number_or_none(found[name])
        wrong = {f"{place}_wrong": int(found[f"{place}_wrong"]) for place in PLACES}
    except (ValueError, TypeError):
        raise JournalError(f"What the journal keeps about the PIN of {plain(caller, 64)} cannot be read.") from None
    return found | wrong


def _count(connection: sa.Connection, caller: str, counted: dict[str, Any]) -> None:
    if connection.execute(sa.update(PINS).where(PINS.c.caller == caller).values(counted)).rowcount == 0:
        connection.execute(sa.insert(PINS), {"caller": caller, **counted})
