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

from zinc_mcp.errors import JournalError, RefusedError
from zinc_mcp.ordering import opening, rows
from zinc_mcp.ordering.database import connect, create, explained
from zinc_mcp.ordering.entry import (
    DOUBTFUL,
    FOREVER,
    OPEN,
    Draft,
    Entry,
    Event,
    Limits,
    Mode,
    StaleEntryError,
    Standing,
    State,
)
from zinc_mcp.ordering.file import JournalFile
from zinc_mcp.ordering.glance import Glance
from zinc_mcp.ordering.holder import may_still_run
from zinc_mcp.ordering.lease import FREE, LeaseClock, Uptime, machine_uptime
from zinc_mcp.ordering.payment import Payment
from zinc_mcp.ordering.statements import begin_writing
from zinc_mcp.ordering.tables import ADDRESSES, ENTRIES
from zinc_mcp.ordering.times import FUTURE_SECONDS, Clock, Times
from zinc_mcp.ordering.twin import derived_key


class Journal:
    """One journal, open. Times are seconds since the epoch, money is US cents."""

    def __init__(
        self, engine: sa.Engine, clock: Callable[[], float], uptime: Uptime | None, times: Times | None = None
    ) -> None:
        self._engine = engine
        self._times = times or Times(clock)
        self._clock = clock
        self._leases = LeaseClock(clock, uptime)
        self._file = JournalFile(engine)
        self._never_sent: list[tuple[Entry, State]] = []
        """Entries whose marking for sending may or may not have been written, with what they were before it."""

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Callable[[], float] = time.time,
        uptime: Uptime | None = machine_uptime,
        times: Times | None = None,
    ) -> Self:
        """Open the journal at a SQLAlchemy URL and create what is missing; the clocks are those of `LeaseClock`.

        `times` also knows Zinc's.

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
        return cls(engine, clock, uptime, times)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def glance(self) -> Glance | None:
        """Open a second way in, for look-ups, where the journal is a file of this machine; the caller closes it."""
        return Glance.opened(self._engine)

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
        sending: Callable[[], Mapping[str, Any]] | None = None,
        asks: bool = True,
    ) -> Entry | Standing:
        """Open an entry with its reservation, or return the earlier one that already stands.

        Args:
            draft: what is wanted.
            limits: those that the reservation must keep.
            owner: who opens it.
            lease_seconds: how long nobody else may clear it away.
            window_seconds: how long an earlier order for the same stands.
            again: ids of twins that may be bought again (the policy or a person said so); one in doubt never.
            sending: gives what changes where it is sent at once, with nobody to ask: it is marked in the same commit.
            asks: a person will be asked before anything is sent, or nothing real is bought.

        Raises:
            JournalError: it failed, or its file is not the one that stands at its path any more.
            RefusedError: `paused`, `key_conflict`, `key_used`, or `clock_uncertain` where nobody would be asked.
            LimitExceededError: a rolling limit does not admit it.
        """
        now, earliest, zinc_at = self._clock(), self._times.earliest(), self._times.zinc()
        with self._marking() as marked, self._writing() as connection:
            before = opening.looked_up(connection, draft, limits, earliest)
            self._file.check(before.newest_id)
            rows.refuse_when_paused(before.paused)
            earlier = opening.named_by_key(connection, draft)
            if earlier is None and before.twins > 0:
                earlier = opening.standing_twin(connection, draft, earliest - window_seconds, again)
            if earlier is not None:
                return earlier
            opening.check_limits(draft, limits, before)
            draft = opening.with_doubt(draft, self._times.doubt(before.newest, before.clock), asks=asks)
            key = draft.given_key or derived_key(draft.caller, draft.mode, draft.twin, before.twins)
            marks = None if sending is None else sending()
            lease = self._leases.lease(owner, lease_seconds)
            entry = rows.insert(connection, draft, key, now, zinc_at=zinc_at, lease=lease, sending=marks)
            marked.append((entry, "waiting"))
        self._file.wrote(entry.id)
        return entry

    def adopt(self, draft: Draft, key: str, order_id: str, status: str, opened_at: float) -> Entry:
        """Write down an order that Zinc lists for this twin and that this journal, lost or replaced, does not know."""
        with self._writing() as connection:
            known = connection.execute(
                sa.select(ENTRIES).where(
                    ENTRIES.c.mode == draft.mode, sa.or_(ENTRIES.c.order_id == order_id, ENTRIES.c.key == key)
                )
            ).first()
            if known is not None:
                return rows.entry_of(known)
            entry = rows.insert(connection, draft, key, opened_at, zinc_at=opened_at)
            changes = {"order_id": order_id, "status": status, "attempts": 1, "first_sent_at": opened_at}
            what = "adopted from Zinc's list"
            return rows.change(connection, entry, "accepted", what, {"order_id": order_id}, changes, self._clock())

    # Moving on

    def move(
        self,
        entry: Entry,
        state: State,
        what: str,
        *,
        detail: Mapping[str, Any] | None = None,
        to_send: bool = False,
        payment: Payment | None = None,
        **changes: Any,
    ) -> Entry:
        """Move an entry on from exactly the version given.

        An entry that ends keeps no credential: it is forgotten in the same transaction.

        Args:
            entry: the entry as it was left.
            state: what becomes of it.
            what: why, in a few words.
            detail: what else the event says.
            to_send: it is going to be sent, or its wallet asked, right after; so it is whenever it gets such a state.
            payment: is written in the same transaction.
            changes: its other columns.

        Raises:
            StaleEntryError: somebody else moved it first.
            RefusedError: `paused`, when it would be sent while the journal is paused.
        """
        to_be_sent = to_send or (state in ("signing", "sending") and entry.state != state)
        if to_be_sent:
            self._file.check(self._file.newest)
        with self._marking() as marked, self._writing(serial=to_be_sent) as connection:
            if to_be_sent:
                rows.refuse_when_paused(rows.meta(connection, "paused"))
            moved = rows.change(connection, entry, state, what, detail or {}, changes, self._clock())
            if payment is not None:
                rows.write_payment(connection, payment)
            if entry.rail == "agent" and entry.state in DOUBTFUL and state not in DOUBTFUL:
                rows.forget_credential(connection, entry.id)
            if to_be_sent:
                marked.append((moved, entry.state))
            return moved

    def free_never_sent(self) -> None:
        """Free the entries of which this process knows that they never were sent, as soon as the journal works again.

        Their marking was committed, or not, and the word of that was lost: so nothing was sent. The lock is taken
        first, which is free once whatever was under way has ended.
        """
        while self._never_sent:
            entry, before = self._never_sent[0]
            with self._writing() as connection:
                now = self._clock()
                row = connection.execute(*rows.one(entry.id)).first()
                found = None if row is None else rows.entry_of(row)
                same = ("key", "version", "updated_at", *FREE)
                if found is not None and all(getattr(found, name) == getattr(entry, name) for name in same):
                    freed = {**FREE, "sender": None}
                    if before in FOREVER and (before != "signing" or found.state == "sending"):
                        # An earlier attempt's doubt stands; a credential that never left is of no use any more.
                        if before == "signing":
                            rows.forget_credential(connection, entry.id, never_left=True)
                        rows.change(connection, found, "unknown", "never sent this time", {}, freed, now)
                    else:
                        problem = {"code": "journal_unavailable", "summary": "The journal failed before it was sent."}
                        freed |= {"counts_cents": 0, "spent_cents": 0, "problem": problem}
                        rows.change(connection, found, "refused", "never sent", {}, freed, now)
            self._never_sent.pop(0)

    @property
    def has_never_sent(self) -> bool:
        """Whether `free_never_sent` has something to do."""
        return bool(self._never_sent)

    def claim(self, entry: Entry, owner: str, seconds: float) -> Entry | None:
        """Take the lease of an entry that nobody holds; None when somebody does (we ourselves too) or it moved."""
        if self._leases.is_held(entry):
            return None
        what = "claimed" if entry.lease_owner is None else "taken over"
        try:
            return self.move(entry, entry.state, what, **self._leases.lease(owner, seconds))
        except StaleEntryError:
            return None

    # Reading

    def read(self, entry_id: int) -> Entry:
        """Read one entry as it stands."""
        with self._reading() as connection:
            return rows.read(connection, entry_id)

    def find(self, handle: str, *, caller: str | None = None, mode: Mode | None = None) -> Entry | None:
        """Find an entry by its key or by Zinc's order id; the newest when several match."""
        query, given = rows.found(handle, caller, mode)
        with self._reading() as connection:
            row = connection.execute(query, given).first()
        return rows.entry_of(row) if row is not None else None

    def entries(self, limit: int = 50, *, mode: Mode | None = None, caller: str | None = None) -> list[Entry]:
        """List entries, newest first."""
        query = self._list(sa.true(), caller, mode).order_by(ENTRIES.c.id.desc()).limit(limit)
        with self._reading() as connection:
            return [rows.entry_of(row) for row in connection.execute(query)]

    def unfinished(
        self, states: Collection[State] = OPEN, *, mode: Mode, caller: str | None = None, limit: int = 100
    ) -> list[Entry]:
        """List entries that somebody still has to move on, oldest first."""
        query = self._list(ENTRIES.c.state.in_(states), caller, mode).order_by(ENTRIES.c.id).limit(limit)
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

    def callers(self, mode: Mode) -> list[str]:
        """List who has orders that count against their limits, or once did."""
        query = sa.select(ENTRIES.c.caller).where(ENTRIES.c.mode == mode, ENTRIES.c.counts_cents > 0).distinct()
        with self._reading() as connection:
            return sorted(connection.execute(query).scalars())

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

    # The owner's words

    def pause(self, reason: str) -> None:
        """Stop all placing and sending by every process on this journal, until `resume`."""
        with self._writing() as connection:
            rows.set_meta(connection, "paused", reason[:500])

    def resume(self) -> None:
        """End a pause."""
        with self._writing() as connection:
            rows.set_meta(connection, "paused", None)

    def note_clock(self) -> None:
        """Write down by how much the clocks are apart, so that the owner can accept it in a terminal."""
        with self._writing() as connection:
            newest = opening.newest(connection)
            rows.set_meta(connection, "clock_noted", Clock(self._times.apart_seconds(), newest).kept())

    def accept_clock(self) -> bool:
        """Take this machine's clock for right as it stands; say whether anything was uncertain about it.

        An entry that a wrong clock has put into the future counts from then on from the time that Zinc gave it.
        """
        now = self._clock()
        with self._writing() as connection:
            noted = rows.meta(connection, "clock_noted")
            if noted is None:
                return False
            rows.set_meta(connection, "clock_noted", None)
            rows.set_meta(connection, "clock_accepted", noted)
            for entry in opening.from_the_future(connection, now + FUTURE_SECONDS):
                if entry.zinc_at is not None and entry.zinc_at <= now + FUTURE_SECONDS:
                    times = {"opened_at": entry.opened_at, "counted_at": entry.counted_at}
                    right = {name: min(at, entry.zinc_at) for name, at in times.items()}
                    rows.change(connection, entry, entry.state, "clock put right by the owner", times, right, now)
        return True

    def paused(self) -> str | None:
        """Return why the journal is paused, or None."""
        with self._reading() as connection:
            return rows.meta(connection, "paused")

    def pin(self) -> str | None:
        """Return what is kept of the owner's PIN (`ordering.pin`), or None when none is set or it has ended."""
        with self._reading() as connection:
            kept, ends = rows.meta(connection, "pin"), rows.meta(connection, "pin_ends")
        return None if ends is not None and float(ends) <= self._clock() else kept

    def pin_ends(self) -> float | None:
        """Return when the PIN ends, where somebody has said that it is forgotten."""
        with self._reading() as connection:
            ends = rows.meta(connection, "pin_ends")
        return None if ends is None or float(ends) <= self._clock() else float(ends)

    def set_pin(self, kept: str | None) -> None:
        """Keep another PIN, or none."""
        with self._writing() as connection:
            rows.set_meta(connection, "pin", kept)
            rows.set_meta(connection, "pin_ends", None)

    def end_pin(self, at: float | None) -> None:
        """Let the PIN end then, or stay."""
        with self._writing() as connection:
            rows.set_meta(connection, "pin_ends", None if at is None else repr(at))

    def addresses(self) -> dict[str, Mapping[str, Any]]:
        """Return the addresses the owner saved here, by name, as they were given."""
        with self._reading() as connection:
            return {row.name: json.loads(row.fields) for row in connection.execute(sa.select(ADDRESSES))}

    def save_address(self, name: str, fields: Mapping[str, Any]) -> bool:
        """Save an address under a name; False when one is saved under it, in upper or lower case."""
        with self._writing() as connection:
            taken = {kept.casefold() for kept in connection.execute(sa.select(ADDRESSES.c.name)).scalars()}
            if name.casefold() in taken:
                return False
            connection.execute(sa.insert(ADDRESSES), {"name": name, "fields": json.dumps(dict(fields))})
        return True

    def remove_address(self, name: str) -> bool:
        """Remove a saved address; False when there was none."""
        with self._writing() as connection:
            return connection.execute(sa.delete(ADDRESSES).where(ADDRESSES.c.name == name)).rowcount > 0

    def purge(self, older_than_seconds: float) -> int:
        """Forget bodies, addresses and items of finished entries that old; digests and money stay. Returns how many."""
        now = self._clock()
        query = sa.select(ENTRIES).where(
            ENTRIES.c.updated_at < now - older_than_seconds, ENTRIES.c.body.is_not(None), ENTRIES.c.state.not_in(OPEN)
        )
        with self._writing() as connection:
            found = [rows.entry_of(row) for row in connection.execute(query)]
            for entry in found:
                kept = {name: entry.facts[name] for name in ("retailer",) if name in entry.facts}
                # The question repeats the address; who decided, and how, stays.
                consent = {name: part for name, part in (entry.consent or {}).items() if name != "question"} or None
                changes = {"body": None, "facts": kept, "consent": consent}
                rows.change(connection, entry, entry.state, "purged", {}, changes, now)
        return len(found)

    def resolve(self, key: str, *, order_id: str | None, holder_ended: bool = False) -> Entry:
        """Take the owner's last word on an order in doubt: bought as `order_id`, or not bought at all.

        `holder_ended`: the owner states that the process which was sending it has ended.

        Raises:
            RefusedError: no such entry, it is not in doubt, it is still being sent, or it is said not to be bought
                while the process that was sending it may still run, and send it.
        """
        now = self._clock()
        with self._writing() as connection:
            query = sa.select(ENTRIES).where(ENTRIES.c.key == key).order_by(ENTRIES.c.id.desc()).limit(1)
            row = connection.execute(query).first()
            if row is None:
                raise RefusedError("No order with this key is in the journal.", "See `orders` for the keys.")
            entry = rows.entry_of(row)
            if entry.state not in FOREVER:
                raise RefusedError(f"This order is not in doubt: it is {entry.state}.", "Nothing needs to be resolved.")
            if entry.state in ("signing", "sending") and self._leases.is_held(entry):
                raise RefusedError("This order is being sent just now.", "Try again in two minutes.")
            same_machine = self._engine.dialect.name == "sqlite"  # on a network folder there is no such journal
            if order_id is None and entry.sender is not None and not holder_ended:
                if may_still_run(entry.sender, same_machine=same_machine):
                    raise RefusedError(
                        "The process that was sending this order may still run, and could send it after all.",
                        "Stop that server, or, if it ran elsewhere and has ended, say so with --holder-ended.",
                    )
            what, detail = "resolved by the owner", {"bought": order_id}
            if entry.rail == "agent":
                rows.forget_credential(connection, entry.id)
            if order_id is not None:
                bought = {**FREE, "sender": None, "order_id": order_id, "problem": None}
                return rows.change(connection, entry, "accepted", what, detail, bought, now)
            problem = {"code": "resolved_not_bought", "summary": "The owner stated that this was not bought."}
            not_bought = {**FREE, "sender": None, "spent_cents": 0, "counts_cents": 0, "problem": problem}
            return rows.change(connection, entry, "rejected", what, detail, not_bought, now)

    # Plumbing

    def _list(self, which: sa.ColumnElement[bool], caller: str | None, mode: Mode | None) -> sa.Select[Any]:
        query = sa.select(ENTRIES).where(which)
        if caller is not None:
            query = query.where(ENTRIES.c.caller == caller)
        return query if mode is None else query.where(ENTRIES.c.mode == mode)

    @contextmanager
    def _marking(self) -> Generator[list[tuple[Entry, State]]]:
        """Remember what was marked in a transaction whose end is not known: whoever marked it sends nothing then."""
        marked: list[tuple[Entry, State]] = []
        try:
            yield marked
        except JournalError:
            self._never_sent += marked
            raise

    @contextmanager
    def _writing(self, *, serial: bool = True) -> Generator[sa.Connection]:
        with explained(), self._engine.begin() as connection:
            begin_writing(connection, serial=serial)
            yield connection

    @contextmanager
    def _reading(self) -> Generator[sa.Connection]:
        with explained(), self._engine.connect() as connection:
            yield connection
