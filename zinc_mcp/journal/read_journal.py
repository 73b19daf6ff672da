"""The reads of a journal; and the changes of payments, since the same callers read and change them."""

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from typing import Any, get_args

import sqlalchemy as sa

from zinc_mcp.errors import LimitExceededError
from zinc_mcp.journal.checks import look_ups, opening, shared
from zinc_mcp.journal.records.decision import pause_of
from zinc_mcp.journal.records.entry import (
    DAY_SECONDS,
    FOREVER,
    MONTH_SECONDS,
    OPEN,
    ORDERS,
    STANDING,
    Draft,
    Entry,
    Event,
    Kind,
    Limits,
    Mode,
    RailIdentity,
    State,
    UnreadableEntryError,
    Wanted,
)
from zinc_mcp.journal.records.money import Payment
from zinc_mcp.journal.server_reader import ServerReader
from zinc_mcp.journal.storage import reading, rows
from zinc_mcp.journal.storage.database import Database
from zinc_mcp.journal.storage.reading import FileReader, Look, Looks, Reader, T
from zinc_mcp.journal.storage.statements import NO_LOCK, first
from zinc_mcp.journal.storage.tables import (
    ANY_MODE,
    COUNTING,
    ENTRIES,
    IS_LOOK_UP,
    IS_ORDER,
    UNFINISHED,
    UNPROVED,
    entries_of,
    entry_of,
    number,
    one_of,
    rows_of,
)
from zinc_mcp.journal.storage.totals import TOTALS
from zinc_mcp.known_settings import RailName, Role

_MOST_FILLING = 100
"""The number of orders that are brought up to date before a full limit refuses."""
_MOST_NEWEST = 200
"""The number of newest orders of all callers that are searched for those that fill a limit over several callers."""
_SLICE = 500
# The `+` keeps SQLite from using the index of ids, by which it would read every order to find the few unfinished ones.
_ID: sa.ColumnElement[int] = sa.literal_column("+zinc_entries.id", sa.Integer)
_KNOWN_TWIN = (
    sa.select(ENTRIES.c.id)
    .where(*opening.SAME_INTENTION, sa.or_(ENTRIES.c.order_id.is_not(None), one_of(ENTRIES.c.state, STANDING)))
    .limit(1)
)


class ReadJournal(Database):
    """The part of a journal that lists and finds entries."""

    looks = Looks

    def read(self, entry_id: int) -> Entry:
        """Read one entry as it stands."""
        return self.see(Looks.read(entry_id))

    def entry(self, entry_id: int) -> Entry | None:
        """Read one entry as it stands; None when there is none with this number."""
        with self._reading() as connection:
            row = first(connection, *reading.one(entry_id))
        return None if row is None else entry_of(row)

    def find(self, handle: str, *, caller: str | None = None, mode: Mode | None = None) -> Entry | None:
        """Find an entry by Zinc's order id, otherwise by its key; the newest when several match."""
        return self.see(Looks.find(handle, caller=caller, mode=mode))

    def see(self, look: Look[T]) -> T:
        """Return what a look tells."""
        with self._reading() as connection:
            row = first(connection, look.query, look.given)
        return look.told(row)

    def all_under(self, handle: str) -> list[Entry]:
        """List the orders with this id of Zinc's, and the orders and changes with this key, newest first.

        Several entries share a key if they are of several callers, or of practice and of real money.
        """
        is_its_id = sa.and_(ENTRIES.c.order_id.in_([handle, handle.lower()]), IS_ORDER)
        is_named = sa.or_(ENTRIES.c.key == handle, is_its_id)
        query = sa.select(ENTRIES).where(is_named, ~IS_LOOK_UP).order_by(ENTRIES.c.id.desc()).limit(100)
        with self._reading() as connection:
            return entries_of(connection, query)

    def entries(self, limit: int = 50, *, mode: Mode | None = None, caller: str | None = None) -> list[Entry]:
        """List orders, newest first; those that cannot be read are left out."""
        modes: Sequence[Mode] = get_args(Mode) if mode is None else (mode,)
        found: list[Entry] = []
        with self._reading() as connection:
            for each in modes:  # the index begins with the mode: a mode without orders costs nothing
                query = sa.select(ENTRIES).where(ENTRIES.c.mode == each, IS_ORDER)
                query = query if caller is None else query.where(ENTRIES.c.caller == caller)
                found += entries_of(connection, query.order_by(ENTRIES.c.id.desc()).limit(limit))
        return sorted(found, key=lambda entry: -entry.id)[:limit]

    def listed(
        self, caller: str, modes: Collection[Mode], since: float | None, until: float | None, limit: int
    ) -> list[Entry]:
        """List a caller's orders from `since` to before `until`, by our clock or by Zinc's, newest first."""
        query = sa.select(ENTRIES).where(ENTRIES.c.caller == caller, ENTRIES.c.mode.in_(modes), IS_ORDER)
        if since is not None:
            query = query.where(sa.or_(ENTRIES.c.opened_at >= since, ENTRIES.c.zinc_at >= since))
        if until is not None:
            query = query.where(sa.or_(ENTRIES.c.opened_at < until, ENTRIES.c.zinc_at < until))
        with self._reading() as connection:
            return entries_of(connection, query.order_by(ENTRIES.c.id.desc()).limit(limit))

    def of_orders(self, order_ids: Collection[str]) -> list[Entry]:
        """List the entries of all callers with one of these ids of Zinc's."""
        folded = {each.lower() for each in order_ids} | set(order_ids)
        query = sa.select(ENTRIES).where(ENTRIES.c.order_id.in_(folded), IS_ORDER).limit(2 * len(folded) + 1)
        with self._reading() as connection:
            return entries_of(connection, query)

    def unfinished(
        self,
        states: Collection[State] = OPEN,
        *,
        mode: Mode,
        by: RailIdentity | None = None,
        kinds: Collection[Kind] = ORDERS,
        sent_again: bool = False,
        after: int = 0,
        limit: int = 100,
        within: sa.Connection | None = None,
    ) -> list[Entry]:
        """List orders that somebody still has to move on, oldest first; those that cannot be read are left out.

        Args:
            states: some of `OPEN`.
            mode: the kind of money.
            by: only those that this way to buy, with its payer and origin, may act on.
            kinds: orders, or changes of orders.
            sent_again: only those that were sent more than once.
            after: only those with a higher id.
            limit: how many at most. Fewer are returned only where there are no more.
            within: the transaction in which they are read; None for one of their own.
        """
        is_one = [ENTRIES.c.mode == mode, ENTRIES.c.state.in_(states), ENTRIES.c.kind.in_(kinds)]
        if by is not None:
            is_one += [ENTRIES.c.rail == by.name, ENTRIES.c.origin == by.origin]
            is_one.append(ENTRIES.c.account.in_({by.account, by.former_account}))
        if sent_again:
            is_one.append(ENTRIES.c.attempts > 1)
        found: list[Entry] = []
        with nullcontext(within) if within is not None else self._reading() as connection:
            while len(found) < limit:
                query = sa.select(ENTRIES).where(*is_one, UNFINISHED, _ID > after).order_by(_ID)
                page, last = _page_of(connection, query, limit)
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

    def counted_together(self, mode: Mode, role: Role | None) -> shared.Together:
        """Return what counts against the limits over several callers: of those with a role, and of all."""
        with self._reading() as connection:
            return shared.count_together(connection, mode, role, self._times.earliest())

    def left(self, entry: Entry, limits: Limits) -> shared.Left:
        """Return what the limits leave for other orders of the caller; the entry counts already."""
        with self._reading() as connection:
            now = self._times.earliest()
            day_cents, day_orders = opening.counted(connection, entry.caller, entry.mode, now - DAY_SECONDS)
            month_cents, _ = opening.counted(connection, entry.caller, entry.mode, now - MONTH_SECONDS)
            own = shared.Held(day_cents=day_cents, day_orders=day_orders, month_cents=month_cents)
            together = shared.count_together(connection, entry.mode, entry.role, now) if limits.are_shared else None
        return shared.left_of(limits, own, together)

    def counted_look_ups(self, caller: str, mode: Mode) -> int:
        """Return the cents that a caller's look-ups count against `max_lookups_day`."""
        with self._reading() as connection:
            since = self._times.earliest() - DAY_SECONDS
            return look_ups.counted(connection, caller, mode, since)[0]

    def filling(self, draft: Draft, full: LimitExceededError) -> list[Entry]:
        """List the orders that fill a limit, the newest first, and before them those that are still open.

        For a limit without a period (`max_unproved`) they are orders that were paid up front and bought nothing, and
        whose money is not proved to be back. For a limit over several callers they are open, or among the newest.
        """
        since = None if full.period_seconds is None else self._times.earliest() - full.period_seconds
        counts = UNPROVED if since is None else sa.and_(COUNTING, ENTRIES.c.counted_at > since)
        is_over = sa.case((ENTRIES.c.state.in_(OPEN), 0), else_=1)
        orders = sa.select(ENTRIES).where(ENTRIES.c.mode == draft.mode, IS_ORDER)
        of_caller = orders.where(ENTRIES.c.caller == draft.caller, counts).order_by(is_over, ENTRIES.c.id.desc())
        with self._reading() as connection:
            if full.whose in ("caller", "member") or since is None:
                return entries_of(connection, of_caller.limit(_MOST_FILLING))
            # In the window of a limit, all callers may have far more orders than can be brought up to date.
            unfinished = orders.where(UNFINISHED, ENTRIES.c.state.in_(OPEN), counts).order_by(ENTRIES.c.id.desc())
            found = entries_of(connection, unfinished.limit(_MOST_FILLING))
            found += entries_of(connection, orders.order_by(ENTRIES.c.id.desc()).limit(_MOST_NEWEST))
        fills = {
            entry.id: entry
            for entry in found
            if entry.counts_cents > 0
            and entry.counted_at > since
            and (full.whose == "team" or entry.role == draft.role)
        }
        return list(fills.values())[:_MOST_FILLING]

    def freed(
        self, caller: str, mode: Mode, seconds: float, limit: int, *, look_ups_alone: bool = False
    ) -> list[tuple[float, int]]:
        """List when the money that counts against a caller's limit leaves it by age, and the cents, the next first."""
        since = self._times.earliest() - seconds
        query = sa.select(ENTRIES.c.counted_at, ENTRIES.c.counts_cents).where(
            ENTRIES.c.mode == mode, ENTRIES.c.caller == caller, COUNTING, ENTRIES.c.counted_at > since
        )
        query = query.where(IS_LOOK_UP) if look_ups_alone else query
        with self._reading() as connection:
            rows_found = connection.execute(query.order_by(ENTRIES.c.counted_at).limit(limit)).all()
        # A row that cannot be read says nothing about the money.
        return [(number(at) + seconds, cents) for at, cents in rows_found if isinstance(cents, int) and number(at)]

    def paid_up_front(self, caller: str, mode: Mode, limit: int) -> list[Entry]:
        """List a caller's orders that a wallet paid up front, that are over, and that still count, oldest first."""
        query = sa.select(ENTRIES).where(
            ENTRIES.c.mode == mode,
            ENTRIES.c.caller == caller,
            ENTRIES.c.rail == "agent",
            COUNTING,
            ENTRIES.c.state.not_in(OPEN),
            IS_ORDER,
        )
        with self._reading() as connection:
            return entries_of(connection, query.order_by(ENTRIES.c.counted_at).limit(limit))

    def unproved_cents(self, caller: str, mode: Mode) -> int:
        """Return the cents that count against `max_unproved`."""
        with self._reading() as connection:
            return opening.unproved_cents(connection, caller, mode)

    def is_paused(self, caller: str, mode: Mode, rail: RailName) -> bool:
        """Say whether a caller may order nothing on a rail: everything is paused, or that alone."""
        names = ("paused", pause_of(caller, mode, rail))
        with self._reading() as connection:
            return any(rows.meta(connection, name) is not None for name in names)

    def callers(self, mode: Mode) -> list[str]:
        """List the callers whose orders count against their limits, or once did."""
        query = sa.select(TOTALS.c.caller).where(TOTALS.c.mode == mode).distinct()
        with self._reading() as connection:
            return sorted(connection.execute(query).scalars())

    def standing(self, wanted: Wanted, mode: Mode, window_seconds: float) -> Entry | None:
        """Return the newest entry that stands for an intention: named by its key, or for the same goods and ship-to.

        An entry that may have moved money, and has no known order, stands however old it is.

        Raises:
            UnreadableEntryError: it cannot be read.
        """
        since = self._times.earliest() - window_seconds
        query = sa.select(ENTRIES).where(ENTRIES.c.caller == wanted.caller, ENTRIES.c.mode == mode, IS_ORDER)
        query = query.where(ENTRIES.c.state.in_(STANDING)).order_by(ENTRIES.c.id.desc()).limit(1)
        lasting = sa.or_(ENTRIES.c.opened_at > since, ENTRIES.c.zinc_at > since, ENTRIES.c.state.in_(FOREVER))
        with self._reading() as connection:
            if wanted.given_key is not None:
                named = connection.execute(query.where(ENTRIES.c.key == wanted.given_key)).first()
                if named is not None and entry_of(named).body_digest == wanted.body_digest:
                    return entry_of(named)
            twin = connection.execute(query.where(ENTRIES.c.twin == wanted.twin, lasting)).first()
        return None if twin is None else entry_of(twin)

    def doubtful(self, limit: int) -> tuple[int, list[Entry]]:
        """Return how many entries of the whole journal are in doubt, and the newest of them."""
        doubtful = ENTRIES.c.state.in_(["unknown", "paid_no_order"])
        newest = sa.select(ENTRIES).where(doubtful).order_by(ENTRIES.c.id.desc()).limit(limit)
        with self._reading() as connection:
            count = connection.execute(sa.select(sa.func.count()).where(doubtful)).scalar_one()
            return int(count), entries_of(connection, newest)

    def knows_twin(self, draft: Draft) -> bool:
        """Say whether any entry for the same intention stands, or has come to an order of Zinc's."""
        with self._reading() as connection:
            return first(connection, _KNOWN_TWIN, opening.intention(draft)) is not None

    def standing_twin(self, draft: Draft, window_seconds: float) -> Entry | None:
        """Return the earlier entry for the same intention that still stands."""
        with self._reading() as connection:
            standing = opening.standing_twin(connection, draft, self._times.earliest() - window_seconds, ())
        return None if standing is None else standing.entry

    def near_twins(self, entry: Entry, window_seconds: float) -> list[Entry]:
        """Return the standing orders within the window that are the same as an entry, or hold one of its products."""
        with self._reading() as connection:
            return opening.near_twins(connection, entry, self._times.since(window_seconds))

    def created_at(self) -> str | None:
        """Return the time at which this journal was created, as it keeps it: another journal has another time."""
        with self._reading() as connection:
            return rows.meta(connection, "created_at")

    def age_seconds(self) -> float:
        """Return how long ago this journal was created; 0.0 while Zinc has not told the time."""
        created = self.created_at()
        try:
            return 0.0 if self._times.zinc() is None else self._times.earliest() - float(created or 0.0)
        except ValueError:
            return 0.0  # as if it were new: then earlier orders are looked for at Zinc as well

    def payment(self, entry_id: int) -> Payment | None:
        """Return what is written down about an entry's payment, or None when its wallet was never asked."""
        with self._reading() as connection:
            return rows.read_payment(connection, entry_id, self.sealing)

    def write_payment(self, payment: Payment) -> None:
        """Write down an entry's payment as it is now."""
        with self._writing(NO_LOCK) as connection:
            rows.write_payment(connection, payment, self.sealing)

    def change_payment(self, entry_id: int, change: Callable[[Payment | None], Payment | None]) -> None:
        """Change an entry's payment as it stands now, even if others change it too; None leaves it as it is."""
        with self._writing(NO_LOCK) as connection:
            changed = change(rows.read_payment(connection, entry_id, self.sealing, to_change=True))
            if changed is not None:
                rows.write_payment(connection, changed, self.sealing)

    def reader(self) -> Reader | None:
        """Return a reader that does not wait for the threads, where there can be one. The caller closes it."""
        if self.is_read_only:
            return None
        return FileReader.opened(self._engine) if self._kept is not None else ServerReader(self._engine)


def _page_of(connection: sa.Connection, query: sa.Select[Any], limit: int) -> tuple[list[Entry], int | None]:
    """Return the first `limit` rows' entries, and the id of the last row; None where there is no further row.

    A row that cannot be read counts as one, so that it never stands in the way of those after it.
    """
    ids: list[int] = []

    def read(row: Sequence[Any]) -> Entry:
        ids.append(row[0])
        return entry_of(row)

    entries = rows_of(connection, query.limit(limit), None, (ENTRIES.c.id,), read, lambda name: ids.append(name[0]))
    return entries, max(ids) if len(ids) == limit else None
