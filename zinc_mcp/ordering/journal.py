"""The journal: every intention, what became of it, and the money it may cost. Nothing is overwritten silently.

Synchronous; one thread at a time uses it (`ordering.writer` sees to that). SQLite by default, PostgreSQL for a team.
Each change is compare-and-set on the entry's version and appends an event in the same transaction. Everything that
opens an entry runs under one lock per journal, so that limits and twins are decided one intention after the other.
"""

import json
import time
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import sqlalchemy as sa

from zinc_mcp.errors import LimitExceededError, RefusedError
from zinc_mcp.money import printed
from zinc_mcp.ordering.database import ENTRIES, EVENTS, META, connect, create, explained, lock
from zinc_mcp.ordering.entry import (
    DOUBTFUL,
    OPEN,
    STANDING,
    Draft,
    Entry,
    Event,
    Limits,
    Mode,
    StaleEntryError,
    Standing,
    State,
)
from zinc_mcp.ordering.twin import derived_key

DAY_SECONDS = 86_400.0
MONTH_SECONDS = 30 * DAY_SECONDS

_NOTHING_SENT: frozenset[State] = frozenset({"refused", "declined"})


class Journal:
    """One journal, open. Times are seconds since the epoch, money is US cents."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], float] = time.time) -> Self:
        """Open the journal at a SQLAlchemy URL and create what is missing.

        Raises:
            JournalError: it cannot be used: a network folder, no permission, a full disk, damaged, or made by a newer
                version of this program.
        """
        with explained():
            engine = connect(url)
            try:
                create(engine, clock())
            except BaseException:
                engine.dispose()
                raise
        return cls(engine, clock)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Opening

    def open_entry(
        self,
        draft: Draft,
        limits: Limits,
        *,
        owner: str,
        lease_seconds: float,
        window_seconds: float,
        again: Collection[int] = (),
    ) -> Entry | Standing:
        """Open an entry with its reservation, or return the earlier one that already stands.

        `again` holds ids of twins that may be bought again (the policy or a person said so); an unknown one never.

        Raises:
            RefusedError: `paused`, `key_conflict` or `key_used`.
            LimitExceededError: a rolling limit does not admit it.
        """
        now = self._clock()
        with self._writing() as connection:
            self._refuse_when_paused(connection)
            if draft.given_key is not None and (named := self._by_key(connection, draft, draft.given_key)):
                if named.body_digest != draft.body_digest:
                    raise RefusedError(
                        "This idempotency_key already belongs to another order, so nothing was sent.",
                        "Leave idempotency_key out, or give a new one for a new order.",
                        code="key_conflict",
                    )
                if named.state in STANDING:
                    return Standing(named, same_key=True)
                if named.state not in _NOTHING_SENT:
                    raise RefusedError(
                        f"The order with this idempotency_key ended as {named.state}, so nothing was sent.",
                        "To order again, leave idempotency_key out or give a new one.",
                        code="key_used",
                        facts={"key": named.key, "order_id": named.order_id},
                    )
            twin = self._standing_twin(connection, draft, now - window_seconds, again)
            if twin is not None:
                return Standing(twin, same_key=False)
            self._check_limits(connection, draft, limits, now)
            key = draft.given_key or derived_key(
                draft.caller, draft.mode, draft.twin, self._count_twins(connection, draft)
            )
            return self._insert(connection, draft, key, now, owner=owner, lease_until=now + lease_seconds)

    def adopt(self, draft: Draft, key: str, order_id: str, status: str, opened_at: float) -> Entry:
        """Write down an order that Zinc lists for this twin and that this journal, lost or replaced, does not know."""
        with self._writing() as connection:
            known = connection.execute(
                sa.select(ENTRIES).where(
                    ENTRIES.c.mode == draft.mode, sa.or_(ENTRIES.c.order_id == order_id, ENTRIES.c.key == key)
                )
            ).first()
            if known is not None:
                return _entry(known)
            entry = self._insert(connection, draft, key, opened_at, owner=None, lease_until=None)
            changes = {"order_id": order_id, "status": status, "attempts": 1, "first_sent_at": opened_at}
            return self._change(
                connection, entry, "accepted", "adopted from Zinc's list", {"order_id": order_id}, changes
            )

    def _insert(
        self,
        connection: sa.Connection,
        draft: Draft,
        key: str,
        now: float,
        *,
        owner: str | None,
        lease_until: float | None,
    ) -> Entry:
        reserved = draft.ceiling_cents + draft.fee_cents
        values: dict[str, Any] = {
            "key": key,
            "caller": draft.caller,
            "mode": draft.mode,
            "origin": draft.origin,
            "account": draft.account,
            "rail": draft.rail,
            "twin": draft.twin,
            "body_digest": draft.body_digest,
            "body": draft.to_bytes(key),
            "state": "waiting",
            "version": 1,
            "lease_owner": owner,
            "lease_until": lease_until,
            "ceiling_cents": draft.ceiling_cents,
            "fee_cents": draft.fee_cents,
            "reserved_cents": reserved,
            "counts_cents": reserved,
            "attempts": 0,
            "opened_at": now,
            "counted_at": now,
            "updated_at": now,
            "facts": json.dumps(draft.facts),
        }
        entry_id = connection.execute(sa.insert(ENTRIES).returning(ENTRIES.c.id), values).scalar_one()
        self._append(connection, entry_id, 1, now, "waiting", "opened", {"reserved_cents": reserved})
        return self._read(connection, entry_id)

    def _by_key(self, connection: sa.Connection, draft: Draft, key: str) -> Entry | None:
        query = (
            sa.select(ENTRIES)
            .where(ENTRIES.c.key == key, ENTRIES.c.caller == draft.caller, ENTRIES.c.mode == draft.mode)
            .order_by(ENTRIES.c.id.desc())
            .limit(1)
        )
        row = connection.execute(query).first()
        return _entry(row) if row is not None else None

    def _standing_twin(
        self, connection: sa.Connection, draft: Draft, since: float, again: Collection[int]
    ) -> Entry | None:
        query = (
            sa.select(ENTRIES)
            .where(
                ENTRIES.c.twin == draft.twin,
                ENTRIES.c.caller == draft.caller,
                ENTRIES.c.mode == draft.mode,
                ENTRIES.c.state.in_(STANDING),
                sa.or_(ENTRIES.c.opened_at > since, ENTRIES.c.state.in_(DOUBTFUL)),
            )
            .order_by(ENTRIES.c.id.desc())
        )
        for row in connection.execute(query):
            twin = _entry(row)
            if twin.state in DOUBTFUL or twin.id not in again:
                return twin
        return None

    def _count_twins(self, connection: sa.Connection, draft: Draft) -> int:
        query = sa.select(sa.func.count()).where(
            ENTRIES.c.twin == draft.twin, ENTRIES.c.caller == draft.caller, ENTRIES.c.mode == draft.mode
        )
        return connection.execute(query).scalar_one()

    def _check_limits(self, connection: sa.Connection, draft: Draft, limits: Limits, now: float) -> None:
        asked = draft.ceiling_cents + draft.fee_cents
        for name, cents, seconds in (
            ("24 hours", limits.day_cents, DAY_SECONDS),
            ("30 days", limits.month_cents, MONTH_SECONDS),
        ):
            if cents is None:
                continue
            held, _ = self._counted(connection, draft.caller, draft.mode, now - seconds)
            if held + asked > cents:
                left = max(0, cents - held)
                raise LimitExceededError(
                    f"This order could cost {printed(asked)} with Zinc's fee, and the limit of {printed(cents)} in "
                    f"{name} has {printed(left)} left. Nothing was sent.",
                    facts={"limit_cents": cents, "left_cents": left, "asked_cents": asked, "period": name},
                )
        if limits.orders_day is not None:
            _, orders = self._counted(connection, draft.caller, draft.mode, now - DAY_SECONDS)
            if orders >= limits.orders_day:
                raise LimitExceededError(
                    f"The limit of {limits.orders_day} orders in 24 hours is reached. Nothing was sent.",
                    facts={"limit_orders": limits.orders_day, "orders": orders, "period": "24 hours"},
                )

    def _counted(self, connection: sa.Connection, caller: str, mode: Mode, since: float) -> tuple[int, int]:
        query = sa.select(sa.func.coalesce(sa.func.sum(ENTRIES.c.counts_cents), 0), sa.func.count()).where(
            ENTRIES.c.mode == mode,
            ENTRIES.c.caller == caller,
            ENTRIES.c.counted_at > since,
            ENTRIES.c.counts_cents > 0,
        )
        held, orders = connection.execute(query).one()
        return int(held), int(orders)

    # Moving on

    def move(
        self,
        entry: Entry,
        state: State,
        what: str,
        *,
        detail: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Entry:
        """Move an entry on from exactly the version given.

        Raises:
            StaleEntryError: somebody else moved it first.
            RefusedError: `paused`, when it would be sent while the journal is paused.
        """
        with self._writing(serial=state == "sending") as connection:
            if state == "sending":
                self._refuse_when_paused(connection)
            return self._change(connection, entry, state, what, detail or {}, changes)

    def claim(self, entry: Entry, owner: str, seconds: float) -> Entry | None:
        """Take the lease of an entry that nobody holds; None when somebody does (we ourselves too) or it moved."""
        now = self._clock()
        if entry.lease_owner is not None and (entry.lease_until or 0.0) > now:
            return None
        what = "claimed" if entry.lease_owner is None else "taken over"
        try:
            return self.move(entry, entry.state, what, lease_owner=owner, lease_until=now + seconds)
        except StaleEntryError:
            return None

    def _change(
        self,
        connection: sa.Connection,
        entry: Entry,
        state: State,
        what: str,
        detail: Mapping[str, Any],
        changes: Mapping[str, Any],
    ) -> Entry:
        now = self._clock()
        version = entry.version + 1
        values: dict[str, Any] = {**changes, "state": state, "version": version, "updated_at": now}
        for name in ("facts", "consent", "problem"):
            if values.get(name) is not None:
                values[name] = json.dumps(values[name])
        done = connection.execute(
            sa.update(ENTRIES).where(ENTRIES.c.id == entry.id, ENTRIES.c.version == entry.version).values(values)
        )
        if done.rowcount != 1:
            raise StaleEntryError(self._read(connection, entry.id))
        self._append(connection, entry.id, version, now, state, what, detail)
        return self._read(connection, entry.id)

    # Reading

    def read(self, entry_id: int) -> Entry:
        """Read one entry as it stands."""
        with self._reading() as connection:
            return self._read(connection, entry_id)

    def find(self, handle: str, *, caller: str | None = None, mode: Mode | None = None) -> Entry | None:
        """Find an entry by its key or by Zinc's order id; the newest when several match."""
        query = sa.select(ENTRIES).where(sa.or_(ENTRIES.c.key == handle, ENTRIES.c.order_id == handle))
        if caller is not None:
            query = query.where(ENTRIES.c.caller == caller)
        if mode is not None:
            query = query.where(ENTRIES.c.mode == mode)
        with self._reading() as connection:
            row = connection.execute(query.order_by(ENTRIES.c.id.desc()).limit(1)).first()
        return _entry(row) if row is not None else None

    def entries(self, limit: int = 50, *, mode: Mode | None = None, caller: str | None = None) -> list[Entry]:
        """List entries, newest first."""
        query = sa.select(ENTRIES).order_by(ENTRIES.c.id.desc()).limit(limit)
        if mode is not None:
            query = query.where(ENTRIES.c.mode == mode)
        if caller is not None:
            query = query.where(ENTRIES.c.caller == caller)
        with self._reading() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def unfinished(
        self,
        states: Collection[State] = OPEN,
        *,
        mode: Mode,
        caller: str | None = None,
        since: float | None = None,
        limit: int = 100,
    ) -> list[Entry]:
        """List entries that somebody still has to move on, oldest first."""
        query = sa.select(ENTRIES).where(ENTRIES.c.mode == mode, ENTRIES.c.state.in_(states))
        if caller is not None:
            query = query.where(ENTRIES.c.caller == caller)
        if since is not None:
            query = query.where(ENTRIES.c.counted_at > since)
        with self._reading() as connection:
            return [_entry(row) for row in connection.execute(query.order_by(ENTRIES.c.id).limit(limit))]

    def events(self, entry_id: int) -> list[Event]:
        """List what happened to an entry, in order."""
        query = sa.select(EVENTS).where(EVENTS.c.entry_id == entry_id).order_by(EVENTS.c.version)
        with self._reading() as connection:
            return [
                Event(row.entry_id, row.version, row.at, row.state, row.what, json.loads(row.detail))
                for row in connection.execute(query)
            ]

    def counted(self, caller: str, mode: Mode, seconds: float) -> tuple[int, int]:
        """Return (cents, orders) that count against a caller's limits over the last `seconds`."""
        with self._reading() as connection:
            return self._counted(connection, caller, mode, self._clock() - seconds)

    def knows_twin(self, draft: Draft) -> bool:
        """Say whether any entry, however it ended, is for the same intention."""
        with self._reading() as connection:
            return self._count_twins(connection, draft) > 0

    def age_seconds(self) -> float:
        """Return how long ago this journal was created."""
        return self._clock() - float(self._meta("created_at") or 0.0)

    # The owner's words

    def pause(self, reason: str) -> None:
        """Stop all placing and sending by every process on this journal, until `resume`."""
        with self._writing() as connection:
            self._set_meta(connection, "paused", reason[:500])

    def resume(self) -> None:
        """End a pause."""
        with self._writing() as connection:
            connection.execute(sa.delete(META).where(META.c.name == "paused"))

    def paused(self) -> str | None:
        """Return why the journal is paused, or None."""
        return self._meta("paused")

    def purge(self, older_than_seconds: float) -> int:
        """Forget bodies, addresses and items of finished entries that old; digests and money stay. Returns how many."""
        before = self._clock() - older_than_seconds
        query = sa.select(ENTRIES).where(
            ENTRIES.c.updated_at < before, ENTRIES.c.body.is_not(None), ENTRIES.c.state.not_in(OPEN)
        )
        with self._writing() as connection:
            rows = [_entry(row) for row in connection.execute(query)]
            for entry in rows:
                kept = {name: entry.facts[name] for name in ("retailer",) if name in entry.facts}
                self._change(connection, entry, entry.state, "purged", {}, {"body": None, "facts": kept})
        return len(rows)

    def resolve(self, key: str, *, order_id: str | None) -> Entry:
        """Take the owner's last word on an order in doubt: bought as `order_id`, or not bought at all.

        Raises:
            RefusedError: no such entry, it is not in doubt, or it is still being sent.
        """
        with self._writing() as connection:
            row = connection.execute(
                sa.select(ENTRIES).where(ENTRIES.c.key == key).order_by(ENTRIES.c.id.desc()).limit(1)
            ).first()
            if row is None:
                raise RefusedError("No order with this key is in the journal.", "See `orders` for the keys.")
            entry = _entry(row)
            if entry.state not in DOUBTFUL:
                raise RefusedError(f"This order is not in doubt: it is {entry.state}.", "Nothing needs to be resolved.")
            if entry.state == "sending" and (entry.lease_until or 0.0) > self._clock():
                raise RefusedError("This order is being sent just now.", "Try again in two minutes.")
            free: dict[str, Any] = {"lease_owner": None, "lease_until": None}
            if order_id is not None:
                return self._change(
                    connection,
                    entry,
                    "accepted",
                    "resolved by the owner",
                    {"bought": order_id},
                    {**free, "order_id": order_id},
                )
            problem = {"code": "resolved_not_bought", "summary": "The owner stated that this was not bought."}
            return self._change(
                connection,
                entry,
                "rejected",
                "resolved by the owner",
                {"bought": None},
                {**free, "spent_cents": 0, "counts_cents": 0, "problem": problem},
            )

    # Plumbing

    @contextmanager
    def _writing(self, *, serial: bool = True) -> Generator[sa.Connection]:
        with explained(), self._engine.connect().execution_options(writing=True) as connection, connection.begin():
            if serial:
                lock(connection)
            yield connection

    @contextmanager
    def _reading(self) -> Generator[sa.Connection]:
        with explained(), self._engine.connect() as connection:
            yield connection

    def _read(self, connection: sa.Connection, entry_id: int) -> Entry:
        return _entry(connection.execute(sa.select(ENTRIES).where(ENTRIES.c.id == entry_id)).one())

    def _append(
        self,
        connection: sa.Connection,
        entry_id: int,
        version: int,
        at: float,
        state: State,
        what: str,
        detail: Mapping[str, Any],
    ) -> None:
        connection.execute(
            sa.insert(EVENTS),
            {
                "entry_id": entry_id,
                "version": version,
                "at": at,
                "state": state,
                "what": what,
                "detail": json.dumps(dict(detail)),
            },
        )

    def _meta(self, name: str) -> str | None:
        with self._reading() as connection:
            return connection.execute(sa.select(META.c.value).where(META.c.name == name)).scalar_one_or_none()

    def _set_meta(self, connection: sa.Connection, name: str, value: str) -> None:
        connection.execute(sa.delete(META).where(META.c.name == name))
        connection.execute(sa.insert(META), {"name": name, "value": value})

    def _refuse_when_paused(self, connection: sa.Connection) -> None:
        reason = connection.execute(sa.select(META.c.value).where(META.c.name == "paused")).scalar_one_or_none()
        if reason is not None:
            raise RefusedError(
                "Ordering is paused, so nothing was sent.",
                "Tell the user: `zinc-mcp resume` ends the pause once they have looked into it.",
                code="paused",
            )


def _entry(row: sa.Row[Any]) -> Entry:
    values = dict(row._mapping)  # pyright: ignore[reportPrivateUsage]  # public despite its name (SQLAlchemy, "Row._mapping")
    for name in ("facts", "consent", "problem"):
        values[name] = json.loads(values[name]) if values[name] is not None else None
    values["facts"] = values["facts"] or {}
    return Entry(**values)
