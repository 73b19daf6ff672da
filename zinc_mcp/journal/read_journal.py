"""What can be read in a journal, and payments, which are changed by whoever reads them."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, get_args

import sqlalchemy as sa

from zinc_mcp.journal import opening, rows
from zinc_mcp.journal.entry import (
    OPEN,
    Draft,
    Entry,
    Event,
    Mode,
    RailIdentity,
    State,
    UnreadableEntryError,
    Wanted,
)
from zinc_mcp.journal.money import Payment
from zinc_mcp.journal.open_journal import OpenJournal
from zinc_mcp.journal.records import entries_of, entry_of, page_of, rows_of
from zinc_mcp.journal.standing import standing
from zinc_mcp.journal.tables import ANY_MODE, COUNTING, ENTRIES, UNFINISHED

_SLICE = 500
# By no index of ids: that would go through every order there is to find the few that are unfinished.
_ID: sa.ColumnElement[int] = sa.literal_column("+zinc_entries.id", sa.Integer)


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
        return None if row is None else entry_of(row)

    def find(self, handle: str, *, caller: str | None = None, mode: Mode | None = None) -> Entry | None:
        """Find an entry by Zinc's order id, otherwise by its key; the newest when several match."""
        query, given = rows.found(handle, caller, mode)
        with self._reading() as connection:
            row = connection.execute(query, given).first()
        return entry_of(row) if row is not None else None

    def all_under(self, handle: str) -> list[Entry]:
        """List the entries with this order id of Zinc's, or with this key, newest first.

        Several share a key where they are of other callers, or of practice and for real.
        """
        is_named = sa.or_(ENTRIES.c.key == handle, ENTRIES.c.order_id.in_([handle, handle.lower()]))
        query = sa.select(ENTRIES).where(is_named, rows.IS_ORDER).order_by(ENTRIES.c.id.desc()).limit(100)
        with self._reading() as connection:
            return entries_of(connection, query)

    def entries(self, limit: int = 50, *, mode: Mode | None = None, caller: str | None = None) -> list[Entry]:
        """List orders, newest first; those that cannot be read are left out."""
        modes: Sequence[Mode] = get_args(Mode) if mode is None else (mode,)
        found: list[Entry] = []
        with self._reading() as connection:
            for each in modes:  # the index begins with the mode: one that has no orders costs nothing
                query = sa.select(ENTRIES).where(ENTRIES.c.mode == each, rows.IS_ORDER)
                query = query if caller is None else query.where(ENTRIES.c.caller == caller)
                found += entries_of(connection, query.order_by(ENTRIES.c.id.desc()).limit(limit))
        return sorted(found, key=lambda entry: -entry.id)[:limit]

    def unfinished(
        self,
        states: Collection[State] = OPEN,
        *,
        mode: Mode,
        by: RailIdentity | None = None,
        sent_again: bool = False,
        after: int = 0,
        limit: int = 100,
    ) -> list[Entry]:
        """List orders that somebody still has to move on, oldest first; those that cannot be read are left out.

        Args:
            states: some of `OPEN`.
            mode: whose money.
            by: only those that this way to buy, with its payer and origin, may act on.
            sent_again: only those that were sent more than once.
            after: only those with a higher id.
            limit: how many at most. Fewer are returned only where there are no more.
        """
        is_one = [ENTRIES.c.mode == mode, ENTRIES.c.state.in_(states), rows.IS_ORDER]
        if by is not None:
            is_one += [ENTRIES.c.rail == by.name, ENTRIES.c.origin == by.origin]
            is_one.append(ENTRIES.c.account.in_({by.account, by.former_account}))
        if sent_again:
            is_one.append(ENTRIES.c.attempts > 1)
        found: list[Entry] = []
        with self._reading() as connection:
            while len(found) < limit:
                query = sa.select(ENTRIES).where(*is_one, UNFINISHED, _ID > after).order_by(_ID)
                page, last = page_of(connection, query, {}, limit)
                found += page[: limit - len(found)]
                if last is None:
                    break
                after = last
        return found

    def unreadable(self, newest: int = 10_000) -> list[UnreadableEntryError]:
        """List the rows that cannot be read, among the newest entries and those that somebody still has to move on."""
        found: dict[int, UnreadableEntryError] = {}
        page: list[int] = []

        def read(row: Sequence[Any]) -> None:
            page.append(row[0])
            try:
                entry_of(row)
            except UnreadableEntryError as error:
                found[row[0]] = error

        def failed(name: Sequence[Any]) -> None:
            page.append(name[0])
            found[name[0]] = UnreadableEntryError(name[0], "all of it")

        with self._reading() as connection:
            before = connection.execute(sa.select(sa.func.coalesce(sa.func.max(ENTRIES.c.id), 0))).scalar_one() + 1
            for _ in range(0, newest, _SLICE):
                query = sa.select(ENTRIES).where(ENTRIES.c.id < before).order_by(ENTRIES.c.id.desc()).limit(_SLICE)
                page.clear()
                rows_of(connection, query, None, (ENTRIES.c.id,), read, failed)
                if not page:
                    break
                before = min(page)
            query = sa.select(ENTRIES).where(ANY_MODE, UNFINISHED).limit(newest)
            rows_of(connection, query, None, (ENTRIES.c.id,), read, failed)
        return [found[entry_id] for entry_id in sorted(found)]

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
        query = sa.select(ENTRIES.c.caller).where(ENTRIES.c.mode == mode, COUNTING).distinct()
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
            return int(count), entries_of(connection, newest)

    def knows_twin(self, draft: Draft) -> bool:
        """Say whether any entry for the same intention still stands, or has come to an order of Zinc's."""
        with self._reading() as connection:
            return opening.knows_twin(connection, draft)

    def standing_twin(self, draft: Draft, window_seconds: float) -> Entry | None:
        """Return the earlier entry for the same intention that still stands."""
        with self._reading() as connection:
            standing = opening.standing_twin(connection, draft, self._times.earliest() - window_seconds, ())
        return None if standing is None else standing.entry

    def created_at(self) -> str | None:
        """Return when this journal was created, as it stands in it: another journal has another time."""
        with self._reading() as connection:
            return rows.meta(connection, "created_at")

    def age_seconds(self) -> float:
        """Return how long ago this journal was created."""
        created = self.created_at()
        try:
            return self._times.earliest() - float(created or 0.0)
        except ValueError:
            return 0.0  # as of one that was just made: earlier orders are looked for at Zinc as well

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
