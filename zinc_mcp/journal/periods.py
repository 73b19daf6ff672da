"""The reads of a journal that go by a period or by an account: for exports and comparisons."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from zinc_mcp.journal.records.entry import FOREVER, Entry, Mode, RailIdentity
from zinc_mcp.journal.storage.database import Database
from zinc_mcp.journal.storage.tables import (
    ENTRIES,
    IS_LOOK_UP,
    IS_ORDER,
    entries_of,
    entry_of,
    rows_of,
)

PERIOD_SLICE = 500
"""The number of entries of a period that are read at once."""
MOST_COMPARED = 5_000
"""The number of entries of one account that are compared with Zinc's list."""

_AT = sa.func.coalesce(ENTRIES.c.first_sent_at, ENTRIES.c.opened_at)
_COSTS = sa.or_(IS_ORDER, sa.and_(IS_LOOK_UP, ENTRIES.c.attempts > 0))


@dataclass(frozen=True, slots=True)
class Slice:
    """Some entries of a period, and the number of rows among them that cannot be read."""

    entries: list[Entry]
    unreadable: int


class Periods(Database):
    """The part of a journal that reads whole periods."""

    def in_period(self, since: float, until: float, modes: Collection[Mode]) -> Iterator[Slice]:
        """Yield the orders and the look-ups of all callers from `since` to before `until`, slice by slice.

        The time of an entry is that of its first sending, or of its opening if it was never sent.
        """
        after = 0
        while True:
            query = (
                sa.select(ENTRIES)
                .where(ENTRIES.c.id > after, ENTRIES.c.mode.in_(modes), _COSTS, since <= _AT, until > _AT)
                .order_by(ENTRIES.c.id)
                .limit(PERIOD_SLICE)
            )
            ids: list[int] = []

            def read(row: Sequence[Any], ids: list[int] = ids) -> Entry:
                ids.append(row[0])
                return entry_of(row)

            def failed(name: Sequence[Any], ids: list[int] = ids) -> None:
                ids.append(name[0])

            with self._reading() as connection:
                found = rows_of(connection, query, None, (ENTRIES.c.id,), read, failed)
            if ids:
                yield Slice(found, len(ids) - len(found))
                after = max(ids)
            if len(ids) < PERIOD_SLICE:
                return

    def of_account(self, by: RailIdentity, since: float) -> list[Entry]:
        """List the orders of an account from `since` on, and all that are in doubt, newest first.

        One more than `MOST_COMPARED` is returned where there are more.
        """
        is_recent = sa.or_(ENTRIES.c.opened_at >= since, ENTRIES.c.zinc_at >= since, ENTRIES.c.state.in_(FOREVER))
        query = sa.select(ENTRIES).where(
            ENTRIES.c.rail == by.name,
            ENTRIES.c.mode == by.mode,
            ENTRIES.c.origin == by.origin,
            ENTRIES.c.account.in_({by.account, by.former_account}),
            IS_ORDER,
            is_recent,
        )
        with self._reading() as connection:
            return entries_of(connection, query.order_by(ENTRIES.c.id.desc()).limit(MOST_COMPARED + 1))

    def not_of_account(self, by: RailIdentity, since: float) -> tuple[int, int, int]:
        """Count the orders with this kind of money from `since` on that another rail, key or origin placed.

        Returns those that a wallet paid for, those of Zinc's other service (v1 or v2), and those of another key or
        origin.
        """
        query = sa.select(ENTRIES.c.rail, sa.func.count()).where(
            ENTRIES.c.mode == by.mode,
            ENTRIES.c.opened_at >= since,
            ENTRIES.c.attempts > 0,
            IS_ORDER,
            sa.not_(
                sa.and_(
                    ENTRIES.c.rail == by.name,
                    ENTRIES.c.origin == by.origin,
                    ENTRIES.c.account.in_({by.account, by.former_account}),
                )
            ),
        )
        with self._reading() as connection:
            counts = {str(rail): int(count) for rail, count in connection.execute(query.group_by(ENTRIES.c.rail)).all()}
        wallet, same = counts.pop("agent", 0), counts.pop(by.name, 0)
        return wallet, sum(counts.values()), same

    def look_ups_under(self, key: str) -> list[Entry]:
        """List the look-ups with this key: one, or none."""
        query = sa.select(ENTRIES).where(ENTRIES.c.key == key, IS_LOOK_UP).order_by(ENTRIES.c.id.desc()).limit(10)
        with self._reading() as connection:
            return entries_of(connection, query)

    def looked_up_cents(self, by: RailIdentity, since: float) -> int:
        """Return the most cents that look-ups can have taken from an account from `since` on.

        Those with other keys count as well: they may be keys of the same account at Zinc.
        """
        query = sa.select(sa.func.coalesce(sa.func.sum(ENTRIES.c.counts_cents), 0)).where(
            IS_LOOK_UP,
            ENTRIES.c.mode == by.mode,
            ENTRIES.c.rail == by.name,
            ENTRIES.c.opened_at >= since,
        )
        with self._reading() as connection:
            return int(connection.execute(query).scalar_one())
