"""The figures of a whole journal for metrics, over all callers: open orders, money that counts, and endings of orders.

They are read from the open and the new entries alone, however many orders are over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from typing import Any, get_args

import sqlalchemy as sa

from zinc_mcp.journal.records.entry import DAY_SECONDS, OPEN, Mode, State
from zinc_mcp.journal.storage import totals
from zinc_mcp.journal.storage.database import Database
from zinc_mcp.journal.storage.statements import is_sqlite
from zinc_mcp.journal.storage.tables import (
    ANY_MODE,
    ENTRIES,
    IS_ORDER,
    META,
    UNFINISHED_INDEX,
    UNPROVED_INDEX,
)
from zinc_mcp.known_settings import RailName

Ending = tuple[Mode, RailName, State]
"""Of an order that is over: its kind of money, the way it was paid, and its state."""

_LATE = 1000
"""The number of ids that are looked at again: on PostgreSQL an entry may be committed after some with higher ids."""
_SLICE = 500
_STATES = frozenset(get_args(State))


@dataclass(frozen=True, slots=True)
class OpenMoney:
    """The open orders of a journal over all callers, and the money that counts against limits."""

    open: Mapping[tuple[Mode, State], tuple[int, int]]
    """By kind of money and state: the orders that somebody still has to move on, or that were paid and have no order,
    and the cents that they count against limits."""
    expected_back_cents: Mapping[Mode, int]
    """The cents that were paid up front for orders that ended with nothing bought, and are not proved to be back."""
    spent_day_cents: Mapping[Mode, int]
    """The cents that all other orders and look-ups of the last 24 hours count against limits: the price, or the highest
    price if Zinc has told no price."""
    pauses: int
    """The number of pauses, of the whole journal or of one caller on one rail."""


@dataclass(frozen=True, slots=True)
class Endings:
    """The orders that have ended since the look before, and the entries of this look, for the next one."""

    recent: frozenset[int]
    """The newest ids that were seen."""
    newest: int
    open: frozenset[int]
    """The orders that were not over."""
    ended: tuple[Ending, ...] = ()
    """The orders that were over at this look, and not at the one before."""


class Figures(Database):
    """The part of a journal that counts and adds up its entries."""

    def open_money(self) -> OpenMoney:
        """Add up the open orders, and the money of the last 24 hours that counts against limits."""
        with self._reading() as connection:
            unfinished, unproved = (_rows(connection, which) for which in (UNFINISHED_INDEX, UNPROVED_INDEX))
            of_orders = _by_state(unfinished).where(unfinished.c.kind == "order")
            waiting = connection.execute(of_orders).all()
            unproved_sums = connection.execute(_by_state(unproved)).all()
            minute = floor(self._clock() - DAY_SECONDS) // totals.MINUTE
            spent = connection.execute(_spent_since(minute, unfinished, unproved)).all()
            pauses = sa.select(sa.func.count()).where(META.c.name >= "paused", META.c.name < "pausee")
            paused = connection.execute(pauses).scalar_one()
        lost = [row for row in unproved_sums if row[1] == "paid_no_order"]
        expected: dict[Mode, int] = {}
        for mode, _, _, sum_cents in unproved_sums:
            expected[mode] = expected.get(mode, 0) + int(sum_cents)
        found: dict[tuple[Mode, State], tuple[int, int]] = {
            (mode, state): (int(number), int(sum_cents)) for mode, state, number, sum_cents in [*waiting, *lost]
        }
        spent_day: dict[Mode, int] = {mode: int(sum_cents) for mode, sum_cents in spent}
        return OpenMoney(found, expected, spent_day, int(paused))

    def follow_endings(self, before: Endings | None) -> Endings:
        """Find the orders that have ended since the look `before`. None: this is the first look, and it tells none.

        An order is told once, by its state at that look, whichever process or command has ended it.
        """
        ids = sa.select(ENTRIES.c.id)
        with self._reading() as connection:
            newest = int(connection.execute(sa.select(sa.func.max(ENTRIES.c.id))).scalar_one() or 0)
            seen_to = newest if before is None else min(before.newest, newest)
            some = ENTRIES.c.id.between(seen_to - _LATE, newest)
            recent = frozenset(connection.execute(ids.where(some, IS_ORDER)).scalars())
            rows = _rows(connection, UNFINISHED_INDEX)
            unfinished = frozenset(connection.execute(sa.select(rows.c.id).where(rows.c.kind == "order")).scalars())
            known = frozenset(number for number in recent if number >= newest - _LATE)
            if before is None:
                return Endings(known, newest, unfinished)
            candidates = sorted((before.open | (recent - before.recent)) - unfinished)
            ended: list[Ending] = []
            opened: set[int] = set()
            for first in range(0, len(candidates), _SLICE):
                some = ENTRIES.c.id.in_(candidates[first : first + _SLICE])
                query = sa.select(ENTRIES.c.id, ENTRIES.c.mode, ENTRIES.c.rail, ENTRIES.c.state).where(some)
                for number, mode, rail, state in connection.execute(query):
                    if state in OPEN:  # moved on between these reads
                        opened.add(number)
                    elif state in _STATES:
                        ended.append((mode, rail, state))
        return Endings(known, newest, unfinished | opened, tuple(ended))


def _rows(connection: sa.Connection, index: sa.Index) -> sa.Subquery:
    """Return the entries of a partial index.

    SQLite is told to use it: otherwise it may read all entries that count, since it has no statistics.
    """
    where = index.dialect_options["sqlite"]["where"]
    by = f"INDEXED BY {index.name}" if is_sqlite(connection) else ""
    columns = ("id", "mode", "kind", "state", "counts_cents", "counted_at")
    text = f"SELECT {', '.join(columns)} FROM zinc_entries {by} WHERE {ANY_MODE.text} AND {where.text}"  # noqa: S608
    return sa.text(text).columns(*(ENTRIES.c[name] for name in columns)).subquery(str(index.name))


def _by_state(rows: sa.Subquery) -> sa.Select[Any, Any, int, int]:
    cents = sa.func.coalesce(sa.func.sum(rows.c.counts_cents), 0)
    return sa.select(rows.c.mode, rows.c.state, sa.func.count(), cents).group_by(rows.c.mode, rows.c.state)


def _spent_since(minute: int, *without: sa.Subquery) -> sa.Select[Any, Any]:
    """Return a query for what counts from the beginning of a minute on, by mode, without these entries.

    One statement, so that an order which is settled meanwhile is counted once.
    """
    at = minute * float(totals.MINUTE)
    less = [sa.select(rows.c.mode, -rows.c.counts_cents).where(rows.c.counted_at >= at) for rows in without]
    added = sa.union_all(totals.by_mode(minute), *less).subquery("spent")
    return sa.select(added.c.mode, sa.func.sum(added.c.cents)).group_by(added.c.mode)
