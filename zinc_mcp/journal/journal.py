"""The journal: every intention, what became of it, and the money it may cost. Nothing is overwritten silently.

Synchronous; one thread at a time uses it (`journal.runner` sees to that). SQLite by default, PostgreSQL for a team.
Each change is compare-and-set on the entry's version and appends an event in the same transaction. Everything that
opens an entry runs under one lock per journal, so that limits and twins are decided one intention after the other.
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from zinc_mcp.errors import JournalError
from zinc_mcp.journal import look_up_rows, opening, questions, rows, schema
from zinc_mcp.journal.clocks import FREE
from zinc_mcp.journal.decision import Admission, QuestionRef, Taken, approved_too_long_ago, is_over, reference_of
from zinc_mcp.journal.entry import (
    DOUBTFUL,
    FOREVER,
    WITHOUT_ORDER,
    Draft,
    Entry,
    Limits,
    Resembling,
    StaleEntryError,
    Standing,
    State,
    UnreadableEntryError,
)
from zinc_mcp.journal.money import Payment
from zinc_mcp.journal.owned_journal import OwnedJournal
from zinc_mcp.journal.read_journal import ReadJournal
from zinc_mcp.journal.records import entries_of, entry_of
from zinc_mcp.journal.tables import ENTRIES
from zinc_mcp.journal.twin import derived_key


class Journal(ReadJournal, OwnedJournal):
    """One journal, open. Times are seconds since the epoch, money is US cents."""

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
            JournalError: it failed, or its file is not the one that stands at its path any more.
            RefusedError: `paused`, `key_conflict`, `key_used`, or `clock_uncertain` where nobody would be asked.
            LimitExceededError: a rolling limit does not admit it.
        """
        now, earliest, zinc_at = self._clock(), self._times.earliest(), self._times.zinc()
        with self._marking() as marked, self._writing(reads_schema=True) as connection:
            before = opening.looked_up(connection, draft, limits, earliest)
            schema.check(before.schema)
            self.file.check(before.newest_id)
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
            marked.append((entry, "waiting"))
        self.file.wrote(entry.id)
        return Resembling(entry) if resembling else entry

    def open_look_ups(
        self, drafts: Sequence[Draft], limits: Limits, *, owner: str, lease_seconds: float, **bounds: float
    ) -> list[tuple[Entry | None, bool]]:
        """Open look-ups that cost, or return those that are remembered; see `look_up_rows.opened`."""
        self.file.check(self.file.newest)
        lease = self._leases.lease(owner, lease_seconds)
        now = self._times.earliest()
        with self._writing() as connection:
            return look_up_rows.opened(connection, drafts, limits, lease=lease, now=now, **bounds)

    def adopt(self, draft: Draft, key: str, order_id: str, status: str, opened_at: float) -> Entry:
        """Write down an order that Zinc lists for this twin and that this journal, lost or replaced, does not know.

        Another caller's entry with its key is not about it.
        """
        has_its_key = sa.and_(ENTRIES.c.key == key, ENTRIES.c.caller == draft.caller)
        with self._writing() as connection:
            is_it = sa.or_(ENTRIES.c.order_id == order_id, has_its_key)
            by_its_id = ENTRIES.c.order_id.is_(None)  # after those that have one
            query = (
                sa.select(ENTRIES).where(ENTRIES.c.mode == draft.mode, is_it).order_by(by_its_id, ENTRIES.c.id.desc())
            )
            row = connection.execute(query.with_for_update()).first()
            entry = rows.insert(connection, draft, key, opened_at, zinc_at=opened_at) if row is None else entry_of(row)
            # A first try may have come to nothing under the key that the lost journal's order has.
            is_its_key = (entry.key, entry.caller, entry.twin) == (key, draft.caller, draft.twin)
            if row is not None and not (entry.state in WITHOUT_ORDER and entry.order_id is None and is_its_key):
                return entry
            reserved = draft.ceiling_cents + draft.fee_cents
            changes: dict[str, Any] = {
                "ceiling_cents": draft.ceiling_cents,
                "fee_cents": draft.fee_cents,
                "reserved_cents": reserved,
                "counts_cents": reserved,
                "spent_cents": None,
                "refunded_cents": None,
                "problem": None,
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
            found = entries_of(connection, query.limit(100))
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
            RefusedError: when it would be sent: `paused`, what the policy does not allow any more, or
                `approval_expired`, where a person's yes is too old and nothing has been sent or signed for it.
            JournalError: it failed, or its file is not the one that stands at its path any more.
        """
        to_be_sent = to_send or (state in ("signing", "sending") and entry.state != state)
        self.file.check(self.file.newest)
        with self._marking() as marked, self._writing(serial=to_be_sent, reads_schema=True) as connection:
            if to_be_sent:
                rows.refuse_when_paused(rows.why_paused(connection, entry))
                is_first = entry.state == "waiting" or (entry.state == state and entry.attempts <= 1)
                if is_first and is_over(entry, self._clock(), self._times.zinc()):
                    raise approved_too_long_ago()
                if admission is not None and entry.state in ("waiting", "signing"):
                    limits = admission.admit(entry)
                    opening.check_limits_again(connection, entry, limits, self._times.earliest())
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
                row = connection.execute(*rows.one(entry.id, to_change=True)).first()
                try:
                    found = None if row is None else entry_of(row)
                except UnreadableEntryError:
                    found = None
                same = ("key", "version", "updated_at", *FREE)
                if found is not None and all(getattr(found, name) == getattr(entry, name) for name in same):
                    freed = {**FREE, "sender": None}
                    was_sent = before in FOREVER and found.attempts > 1
                    if was_sent or (found.rail == "agent" and found.state == "sending"):
                        # An earlier attempt's doubt stands; a credential that never left is of no use any more.
                        if not was_sent:
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

    @contextmanager
    def _marking(self) -> Generator[list[tuple[Entry, State]]]:
        """Remember what was marked in a transaction whose end is not known: whoever marked it sends nothing then."""
        marked: list[tuple[Entry, State]] = []
        try:
            yield marked
        except JournalError:
            self._never_sent += marked
            raise
