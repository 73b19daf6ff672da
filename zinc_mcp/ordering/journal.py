"""The journal: every intention, what became of it, and the money it may cost. Nothing is overwritten silently.

Synchronous; one thread at a time uses it (`ordering.writer` sees to that). SQLite by default, PostgreSQL for a team.
Each change is compare-and-set on the entry's version and appends an event in the same transaction. Everything that
opens an entry runs under one lock per journal, so that limits and twins are decided one intention after the other.
"""

import json
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import sqlalchemy as sa

from zinc_mcp.errors import RefusedError
from zinc_mcp.invocation import command
from zinc_mcp.ordering import look_up_rows, opening, pins, questions, rows
from zinc_mcp.ordering.admission import Admission
from zinc_mcp.ordering.database import connect, create, explained
from zinc_mcp.ordering.decision import QuestionRef, reference_of
from zinc_mcp.ordering.entry import (
    DOUBTFUL,
    FOREVER,
    OPEN,
    Draft,
    Entry,
    Event,
    Limits,
    Mode,
    Resembling,
    StaleEntryError,
    Standing,
    State,
    Wanted,
)
from zinc_mcp.ordering.glance import Glance
from zinc_mcp.ordering.holder import may_still_run
from zinc_mcp.ordering.lease import FREE, LeaseClock, Uptime, machine_uptime
from zinc_mcp.ordering.payment import Payment
from zinc_mcp.ordering.pin import OWNER, PinAsked, PinTry, Place
from zinc_mcp.ordering.questions import Taken
from zinc_mcp.ordering.settle import OWNERS_WORD, refunded_by_owner, without_order
from zinc_mcp.ordering.standing import standing
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
        unless_resembling: bool = False,
        asks: bool = True,
    ) -> Entry | Standing | Resembling:
        """Open an entry with its reservation, or return the earlier one that already stands.

        Args:
            draft: what is wanted.
            limits: those that the reservation must keep.
            owner: who opens it.
            lease_seconds: how long nobody else may clear it away.
            window_seconds: how long an earlier order for the same stands.
            again: ids of twins that may be bought again (the policy or a person said so); one in doubt never.
            sending: gives what changes where it is sent at once, with nobody to ask: it is marked in the same commit.
            unless_resembling: open it as waiting, and say so, where an earlier order holds one of its products.
            asks: a person will be asked before anything is sent, or nothing real is bought.

        Raises:
            RefusedError: `paused`, `key_conflict`, `key_used`, or `clock_uncertain` where nobody would be asked.
            LimitExceededError: a rolling limit does not admit it.
        """
        now, earliest, zinc_at = self._clock(), self._times.earliest(), self._times.zinc()
        with self._writing() as connection:
            before = opening.looked_up(connection, draft, limits, earliest)
            rows.refuse_when_paused(before.paused)
            earlier = opening.named_by_key(connection, draft)
            if earlier is None and before.twins > 0:
                earlier = opening.standing_twin(connection, draft, earliest - window_seconds, again)
            if earlier is not None:
                return earlier
            opening.check_limits(draft, limits, before)
            draft = opening.with_doubt(draft, self._times.doubt(before.newest, before.clock), asks=asks)
            key = draft.given_key or derived_key(draft.caller, draft.mode, draft.twin, before.twins)
            resembling = unless_resembling and opening.resembles(connection, draft, earliest - window_seconds)
            marks = None if sending is None or resembling else sending()
            lease = self._leases.lease(owner, lease_seconds)
            entry = rows.insert(connection, draft, key, now, zinc_at=zinc_at, lease=lease, sending=marks)
            return Resembling(entry) if resembling else entry

    def open_look_ups(
        self, drafts: Sequence[Draft], limits: Limits, *, owner: str, lease_seconds: float, **bounds: float
    ) -> list[tuple[Entry | None, bool]]:
        """Open look-ups that cost, or return those that are remembered; see `look_up_rows.opened`."""
        lease = self._leases.lease(owner, lease_seconds)
        now = self._times.earliest()
        with self._writing() as connection:
            return look_up_rows.opened(connection, drafts, limits, lease=lease, now=now, **bounds)

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
            changes: dict[str, Any] = {
                "order_id": order_id,
                "status": status,
                "attempts": 1,
                "first_sent_at": opened_at,
            }
            what = "adopted from Zinc's list"
            return rows.change(connection, entry, "accepted", what, {"order_id": order_id}, changes, self._clock())

    # Questions

    def ask(self, entry: Entry, consent: Mapping[str, Any], most: int) -> Entry:
        """Freeze a question in its entry; see `questions.ask`."""
        with self._writing() as connection:
            return questions.ask(connection, entry, consent, most, self._clock())

    def asked_about(self, about: QuestionRef, caller: str | None) -> Entry | None:
        """Return the entry that waits for an answer to exactly this question, or None."""
        with self._reading() as connection:
            return questions.asked_about(connection, about, caller)

    def waiting(self, caller: str) -> list[Entry]:
        """Return the entries of a caller whose question stands, oldest first."""
        with self._reading() as connection:
            return questions.waiting(connection, caller, self._clock())

    def asked_under(self, key: str) -> list[Entry]:
        """Return the entries with this key whose question stands, whosever they are, oldest first."""
        query = sa.select(ENTRIES).where(ENTRIES.c.key == key, ENTRIES.c.state == "waiting").order_by(ENTRIES.c.id)
        with self._reading() as connection:
            found = [rows.entry_of(row) for row in connection.execute(query)]
        return [entry for entry in found if reference_of(entry) is not None]

    def near_twins(self, entry: Entry, window_seconds: float) -> list[Entry]:
        """Return the standing orders within the window that are the same as an entry, or hold one of its products."""
        with self._reading() as connection:
            return opening.near_twins(connection, entry, self._times.earliest() - window_seconds)

    def decline(self, about: QuestionRef, caller: str | None, said: Mapping[str, Any]) -> Entry:
        """Take a no; see `questions.decline`."""
        with self._writing() as connection:
            return questions.decline(connection, about, caller, said, self._clock())

    def approve(
        self,
        about: QuestionRef,
        caller: str | None,
        said: Mapping[str, Any],
        until: Mapping[str, Any],
        admission: Admission,
    ) -> Taken:
        """Take a yes; see `questions.approve`."""
        with self._writing() as connection:
            earliest = self._times.earliest()
            return questions.approve(
                connection, about, caller, said, until, admission, now=self._clock(), earliest=earliest
            )

    # Moving on

    def move(
        self,
        entry: Entry,
        state: State,
        what: str,
        *,
        detail: Mapping[str, Any] | None = None,
        admission: Admission | None = None,
        to_send: bool = False,
        payment: Payment | None = None,
        **changes: Any,
    ) -> Entry:
        """Move an entry on from exactly the version given.

        An entry that ends keeps no credential: it is forgotten in the same transaction.

        Args:
            entry: the version to move on from.
            state: where to.
            what: for the event: why, in a few words.
            detail: for the event.
            admission: checks the whole policy again where the entry is going to be sent for the first time.
            to_send: it is going to be sent, or its wallet asked, right after; so it is whenever it gets such a state.
            payment: is written in the same transaction.
            **changes: columns that change.

        Raises:
            StaleEntryError: somebody else moved it first.
            RefusedError: when it would be sent: `paused`, or what the policy does not allow any more.
        """
        to_be_sent = to_send or (state in ("signing", "sending") and entry.state != state)
        with self._writing(serial=to_be_sent) as connection:
            if to_be_sent:
                rows.refuse_when_paused(rows.why_paused(connection, entry))
                if admission is not None and entry.state in ("waiting", "signing"):
                    admission.check(connection, entry, self._times.earliest())
            moved = rows.change(connection, entry, state, what, detail or {}, changes, self._clock())
            if payment is not None:
                rows.write_payment(connection, payment)
            if entry.rail == "agent" and entry.state in DOUBTFUL and state not in DOUBTFUL:
                rows.forget_credential(connection, entry.id)
            return moved

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

    # The owner's words

    def pause(self, reason: str, of: Entry | None = None) -> None:
        """Stop all placing and sending by every process on this journal, until `resume`; `of`: its caller and rail."""
        with self._writing() as connection:
            name = "paused" if of is None else rows.pause_of(of.caller, of.mode, of.rail)
            rows.set_meta(connection, name, reason[:500])

    def resume(self) -> None:
        """End every pause."""
        with self._writing() as connection:
            rows.end_pauses(connection)

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
        """Return why the whole journal is paused, or None."""
        with self._reading() as connection:
            return rows.meta(connection, "paused")

    def pauses(self) -> list[str]:
        """Return why the journal, or one caller of it on one rail, is paused."""
        with self._reading() as connection:
            return rows.pauses(connection)

    def pin(self, caller: str = OWNER) -> str | None:
        """Return what is kept of a caller's own PIN (`pin.hashed`), or None when none is set or it has ended."""
        with self._reading() as connection:
            return pins.own_pin(connection, caller, self._clock())

    def asked_pin(self, caller: str) -> PinAsked | None:
        """Return the PIN that a caller's yes needs: their own, otherwise the owner's; None when neither is set."""
        with self._reading() as connection:
            return pins.asked_pin(connection, caller, self._clock())

    def pin_ends(self, caller: str = OWNER) -> float | None:
        """Return when a caller's own PIN ends, where somebody has said that it is forgotten."""
        with self._reading() as connection:
            return pins.pin_ends(connection, caller, self._clock())

    def set_pin(self, kept: str | None, caller: str = OWNER) -> None:
        """Keep another PIN, or none."""
        with self._writing() as connection:
            pins.set_pin(connection, caller, kept)

    def end_pin(self, at: float | None, caller: str = OWNER) -> None:
        """Let a PIN end then, or stay."""
        with self._writing() as connection:
            pins.end_pin(connection, caller, at)

    def count_pin_try(self, caller: str = OWNER, place: Place = "page", now: float | None = None) -> PinTry | None:
        """Write a try at a PIN down before it is looked at; see `pins.count_try`."""
        with self._writing() as connection:
            return pins.count_try(connection, caller, place, self._clock() if now is None else now)

    def pin_was_right(self, tried: PinTry) -> None:
        """Forget the wrong ones before a right one; see `pins.was_right`."""
        with self._writing() as connection:
            pins.was_right(connection, tried)

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
                kept = {name: entry.facts[name] for name in ("retailer", OWNERS_WORD) if name in entry.facts}
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
            entry = self._with_key(connection, key)
            if entry.state not in FOREVER:
                raise RefusedError(
                    f"This order is not in doubt: it is {entry.state}.", owner_step="Nothing needs to be resolved."
                )
            if entry.state in ("signing", "sending") and self._leases.is_held(entry):
                raise RefusedError("This order is being sent just now.", owner_step="Try again in two minutes.")
            same_machine = self._engine.dialect.name == "sqlite"  # on a network folder there is no such journal
            if order_id is None and entry.sender is not None and not holder_ended:
                if may_still_run(entry.sender, same_machine=same_machine):
                    raise RefusedError(
                        "The process that was sending this order may still run, and could send it after all.",
                        owner_step="Stop that server, or, if it ran elsewhere and has ended, say so with "
                        "--holder-ended.",
                    )
            what, detail = "resolved by the owner", {"bought": order_id}
            if entry.rail == "agent":
                rows.forget_credential(connection, entry.id)
            if order_id is not None:
                bought = {**FREE, "sender": None, "order_id": order_id, "problem": None}
                return rows.change(connection, entry, "accepted", what, detail, bought, now)
            problem = {"code": "resolved_not_bought", "summary": "The owner stated that this was not bought."}
            was_asked = rows.read_payment(connection, entry.id) is not None
            not_bought = {
                **FREE,
                "sender": None,
                **without_order(entry, wallet_was_asked=was_asked),
                "problem": problem,
            }
            return rows.change(connection, entry, "rejected", what, detail, not_bought, now)

    def refunded(self, key: str, cents: int) -> Entry:
        """Take the owner's word that so much, in all, has come back of what a wallet paid up front for an order.

        Raises:
            RefusedError: no such entry, it has not ended, or more is said to have come back than was paid.
        """
        with self._writing() as connection:
            entry = self._with_key(connection, key)
            changes, detail = refunded_by_owner(entry, cents), {"refunded_cents": cents}
            what = "the owner says what has come back"
            return rows.change(connection, entry, entry.state, what, detail, changes, self._clock())

    # Plumbing

    def _with_key(self, connection: sa.Connection, key: str) -> Entry:
        query = sa.select(ENTRIES).where(ENTRIES.c.key == key, rows.IS_ORDER).order_by(ENTRIES.c.id.desc()).limit(1)
        row = connection.execute(query).first()
        if row is None:
            raise RefusedError(
                "No order with this key is in the journal.", owner_step=f"{command('orders')} lists the keys."
            )
        return rows.entry_of(row)

    def _list(self, which: sa.ColumnElement[bool], caller: str | None, mode: Mode | None) -> sa.Select[Any]:
        query = sa.select(ENTRIES).where(which)
        if caller is not None:
            query = query.where(ENTRIES.c.caller == caller)
        return query if mode is None else query.where(ENTRIES.c.mode == mode)

    @contextmanager
    def _writing(self, *, serial: bool = True) -> Generator[sa.Connection]:
        with explained(), self._engine.begin() as connection:
            begin_writing(connection, serial=serial)
            yield connection

    @contextmanager
    def _reading(self) -> Generator[sa.Connection]:
        with explained(), self._engine.connect() as connection:
            yield connection
