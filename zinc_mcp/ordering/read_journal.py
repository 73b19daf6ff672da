"""What can be read in a journal, and payments, which are changed by whoever reads them."""

from collections.abc import Callable, Collection
from typing import Any

import sqlalchemy as sa

from zinc_mcp.ordering import opening, rows
from zinc_mcp.ordering.entry import (
    OPEN,
    Draft,
    Entry,
    Event,
    Mode,
    State,
    Wanted,
)
from zinc_mcp.ordering.open_journal import OpenJournal
from zinc_mcp.ordering.payment import Payment
from zinc_mcp.ordering.standing import standing
from zinc_mcp.ordering.tables import ENTRIES


class ReadJournal(OpenJournal):
    """The part of a journal that lists and finds."""

    def read(self, entry_id: int) -> Entry:
        """Read one entry as it stands."""
        with self._reading() as connection:
            return rows.read(connection, entry_id)

    def entry(self, entry_id: int) -> Entry | None:
        """Read one entry as it stands; None when there is none with this number."""
        with self._reading() as connection:
            row = connection.execute(*rows.one(entry_id)).first()
        return None if row is None else rows.entry_of(row)

    def find(self, handle: str, *, caller: str | None = None, mode: Mode | None = None) -> Entry | None:
        """Find an entry by Zinc's order id, otherwise by its key; the newest when several match."""
        query, given = rows.found(handle, caller, mode)
        with self._reading() as connection:
            row = connection.execute(query, given).first()
        return rows.entry_of(row) if row is not None else None

    def all_under(self, handle: str) -> list[Entry]:
        """List the entries with this order id of Zinc's, or with this key, newest first.

        Several share a key where they are of other callers, or of practice and for real.
        """
        is_named = sa.or_(ENTRIES.c.key == handle, ENTRIES.c.order_id.in_([handle, handle.lower()]))
        query = sa.select(ENTRIES).where(is_named, rows.IS_ORDER).order_by(ENTRIES.c.id.desc()).limit(100)
        with self._reading() as connection:
            return [rows.entry_of(row) for row in connection.execute(query)]

    def entries(self, limit: int = 50, *, mode: Mode | None = None, caller: str | None = None) -> list[Entry]:
        """List entries, newest first."""
        query = self._list(rows.IS_ORDER, caller, mode).order_by(ENTRIES.c.id.desc()).limit(limit)
        with self._reading() as connection:
            return [rows.entry_of(row) for row in connection.execute(query)]

    def unfinished(
        self, states: Collection[State] = OPEN, *, mode: Mode, caller: str | None = None, limit: int = 100
    ) -> list[Entry]:
        """List entries that somebody still has to move on, oldest first."""
        of_orders = sa.and_(ENTRIES.c.state.in_(states), rows.IS_ORDER)
        query = self._list(of_orders, caller, mode).order_by(ENTRIES.c.id).limit(limit)
        with self._reading() as connection:
            return [rows.entry_of(row) for row in connection.execute(query)]

    def events(self, entry_id: int) -> list[Event]:
        """List what happened to an entry, in order."""
        with self._reading() as connection:
            return rows.events(connection, entry_id)

    def counted(self, caller: str, mode: Mode, seconds: float) -> tuple[int, int]:
        """Return (cents, orders) that count against a caller's limits over the last `seconds`."""
        with self._reading() as connection:
            return opening.counted(connection, caller, mode, self._times.earliest() - seconds)

    def filling(self, caller: str, mode: Mode, seconds: float | None) -> list[Entry]:
        """List the orders that fill a limit; see `opening.filling`."""
        since = None if seconds is None else self._times.earliest() - seconds
        with self._reading() as connection:
            return opening.filling(connection, caller, mode, since)

    def callers(self, mode: Mode) -> list[str]:
        """List who has orders that count against their limits, or once did."""
        query = sa.select(ENTRIES.c.caller).where(ENTRIES.c.mode == mode, ENTRIES.c.counts_cents > 0).distinct()
        with self._reading() as connection:
            return sorted(connection.execute(query).scalars())

    def standing(self, wanted: Wanted, mode: Mode, window_seconds: float) -> Entry | None:
        """Return the earlier entry that stands for an intention, if there is one; `standing.standing`."""
        with self._reading() as connection:
            return standing(connection, wanted, mode, self._times.earliest() - window_seconds)

    def doubtful(self, limit: int) -> tuple[int, list[Entry]]:
        """Return how many entries nobody knows the end of, in all of the journal, and the newest of them."""
        doubtful = ENTRIES.c.state.in_(["unknown", "paid_no_order"])
        newest = sa.select(ENTRIES).where(doubtful).order_by(ENTRIES.c.id.desc()).limit(limit)
        with self._reading() as connection:
            count = connection.execute(sa.select(sa.func.count()).where(doubtful)).scalar_one()
            return int(count), [rows.entry_of(row) for row in connection.execute(newest)]

    def knows_twin(self, draft: Draft) -> bool:
        """Say whether any entry, however it ended, is for the same intention."""
        with self._reading() as connection:
            return opening.count_twins(connection, draft) > 0

    def standing_twin(self, draft: Draft, window_seconds: float) -> Entry | None:
        """Return the earlier entry for the same intention that still stands."""
        with self._reading() as connection:
            standing = opening.standing_twin(connection, draft, self._times.earliest() - window_seconds, ())
        return None if standing is None else standing.entry

    def age_seconds(self) -> float:
        """Return how long ago this journal was created."""
        with self._reading() as connection:
            return self._times.earliest() - float(rows.meta(connection, "created_at") or 0.0)

    def payment(self, entry_id: int) -> Payment | None:
        """Return what is written down about an entry's payment, or None when its wallet was never asked."""
        with self._reading() as connection:
            return rows.read_payment(connection, entry_id)

    def write_payment(self, payment: Payment) -> None:
        """Write down an entry's payment as it is now."""
        with self._writing(serial=False) as connection:
            rows.write_payment(connection, payment)

    def change_payment(self, entry_id: int, change: Callable[[Payment | None], Payment | None]) -> None:
        """Change an entry's payment as it stands now, whoever else changes it too; None leaves it as it is."""
        with self._writing(serial=False) as connection:
            changed = change(rows.read_payment(connection, entry_id, to_change=True))
            if changed is not None:
                rows.write_payment(connection, changed)

    def _list(self, which: sa.ColumnElement[bool], caller: str | None, mode: Mode | None) -> sa.Select[Any]:
        query = sa.select(ENTRIES).where(which)
        if caller is not None:
            query = query.where(ENTRIES.c.caller == caller)
        return query if mode is None else query.where(ENTRIES.c.mode == mode)
