"""The journal: every intention, what became of it, and the money it may cost. Nothing is overwritten silently.

Synchronous. SQLite by default, used by one thread at a time; PostgreSQL for a team, used by several at once
(`journal.runner` sees to that).
Each change is compare-and-set on the entry's version and appends an event in the same transaction. An entry is
opened under a lock of its caller, so limits and twins are decided one intention after the other.
"""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from zinc_mcp.errors import RefusedError
from zinc_mcp.invocation import command
from zinc_mcp.journal.changes import Changes
from zinc_mcp.journal.checks import deciding, look_ups, opening, published, second_yes, without_time
from zinc_mcp.journal.figures import Figures
from zinc_mcp.journal.notices import Notices
from zinc_mcp.journal.owned_journal import OwnedJournal
from zinc_mcp.journal.periods import Periods
from zinc_mcp.journal.questions import Questions
from zinc_mcp.journal.read_journal import ReadJournal
from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.decision import Admission, approved_too_long_ago, is_over, refuse_when_paused
from zinc_mcp.journal.records.entry import (
    ADOPTED,
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
from zinc_mcp.journal.records.known import Marks, check_known
from zinc_mcp.journal.records.money import Payment
from zinc_mcp.journal.records.own_policy import OwnPolicy
from zinc_mcp.journal.records.twin import derived_key
from zinc_mcp.journal.shared.members import KeptMembers
from zinc_mcp.journal.shared.published import PublishedPolicy
from zinc_mcp.journal.shared.sweeps import Sweeps
from zinc_mcp.journal.shared.visits import KeptVisits
from zinc_mcp.journal.storage import reading, rows
from zinc_mcp.journal.storage.statements import NO_LOCK, Lock, first, locked, of_caller
from zinc_mcp.journal.storage.tables import ENTRIES, IS_ORDER, entry_of
from zinc_mcp.journal.storage.version import check

_NEVER_ASKED: frozenset[State] = frozenset({"refused"})


class Journal(
    ReadJournal,
    Questions,
    Changes,
    Notices,
    OwnedJournal,
    Periods,
    Figures,
    KeptVisits,
    KeptMembers,
    PublishedPolicy,
    Sweeps,
):
    """One journal, open. Times are seconds since the epoch, money is US cents.

    Here entries are opened and moved on. `ReadJournal` finds them, `Periods` reads whole months of them, `Figures` adds
    up all of them, `Questions` asks about them, `Changes` opens those that change a placed order, `Notices` remembers
    what the owner was told, `OwnedJournal` changes what only the owner may change, `KeptVisits` knows the visitors of
    the approval page, `KeptMembers` the members of a team, `PublishedPolicy` the policy of all servers, and `Sweeps`
    gives each server its share of what is looked up. All of them work on one `Database`.
    """

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
        unless_second: bool = False,
        asks: bool = True,
        own_policy: OwnPolicy | None = None,
    ) -> Entry | Standing | Resembling:
        """Open an entry with its reservation, or return the earlier one that already stands.

        Args:
            draft: what is wanted.
            limits: those that the reservation must keep. Those over several callers are checked under a lock over all.
            owner: the process that opens it.
            lease_seconds: for how long no other process may end it.
            window_seconds: how long an earlier order for the same stands.
            again: ids of twins that may be bought again (the policy or a person said so); one in doubt never.
            sending: returns the columns that change where it is sent at once, without a question: they are written in
                the same commit.
            unless_resembling: open it as waiting, and say so, where an earlier order holds one of its products.
            unless_second: open it as waiting, and say so, where another person has to say yes.
            asks: a person will be asked before anything is sent, or nothing real is bought.
            own_policy: of this server, which has to be the published one; None where no other shares the journal.

        Raises:
            JournalError: it failed, or its file is not the one that stands at its path any more.
            PolicyDiffersError: this server has another policy than the published one.
            RefusedError: `paused`, `key_conflict`, `key_used`, or `clock_uncertain` where nobody would be asked.
            TimeUnknownError: it depends on the time, which Zinc has not told.
            LimitExceededError: a rolling limit does not admit it.
        """
        now, earliest, zinc_at = self._clock(), self._times.earliest(), self._times.zinc()
        written = self.file.newest

        def opened(lock: Lock) -> Entry | Standing | Resembling:
            with self._marking() as marked, self._writing(lock, reads_schema=True) as connection:
                its_id = rows.next_id(connection)
                asking = opening.ask_before(connection, draft, limits, earliest)
                before = opening.looked_up(connection, asking, draft, limits)
                check(before.schema)
                self.file.check(before.newest_id, written)
                refuse_when_paused(before.paused)
                published.check(connection, own_policy, before.policy)
                check_known(self.marks, draft.caller, before.member)
                earlier = opening.named_by_key(asking, draft)
                if earlier is None and before.twins > 0:
                    earlier = opening.standing_twin(connection, draft, earliest - window_seconds, again)
                if earlier is not None:
                    return earlier
                opening.check_limits(connection, draft, limits, before.counted, earliest)
                if zinc_at is None:
                    without_time.check_without_time(connection, draft, limits, again)
                wanted = _with_doubt(draft, self._times.doubt(before.newest, before.clock), asks=asks)
                key = draft.given_key or derived_key(draft.caller, draft.mode, draft.twin, before.twins)
                held = unless_second and second_yes.opens_above(
                    connection, draft, limits, None if zinc_at is None else before.counted.day_cents
                )
                if unless_resembling and not held:
                    held = opening.resembles(connection, draft, earliest - window_seconds)
                marks = None if sending is None or held else sending()
                lease = self._leases.lease(owner, lease_seconds)
                entry = rows.insert(
                    connection, wanted, key, now, zinc_at=zinc_at, lease=lease, sending=marks, its_id=its_id
                )
                marked.append((entry, "waiting"))
            self.file.wrote(entry.id)
            return Resembling(entry) if held else entry

        return locked(of_caller(draft.caller), opened, is_shared=limits.are_shared)

    def open_look_ups(
        self,
        drafts: Sequence[Draft],
        limits: Limits,
        *,
        owner: str,
        lease_seconds: float,
        budget_cents: int,
        remembered_seconds: float,
        forgotten: frozenset[State] = _NEVER_ASKED,
        own_policy: OwnPolicy | None = None,
    ) -> list[tuple[Entry | RefusedError, bool]]:
        """Return for each draft the entry of its look-up, and whether that is a new one.

        The same look-up is remembered for all callers, unless it ended in a state that is `forgotten`. A new one has
        its cost reserved and is marked as being asked. If it may not cost anything now, its refusal stands in the place
        of the entry.
        """
        self.file.check(self.file.newest)
        lease, now = self._leases.lease(owner, lease_seconds), self._times.earliest()
        found: list[tuple[Entry | RefusedError, bool]] = []
        with self._writing() as connection:
            for draft in drafts:
                entry = look_ups.remembered(connection, draft, now - remembered_seconds, forgotten)
                refusal = None
                if entry is None:
                    by = (own_policy, self.marks)
                    refusal = look_ups.refusal(connection, draft, limits, budget_cents, now, *by)
                if entry is None and refusal is None:
                    marks = {"attempts": 1, "first_sent_at": now}
                    new = rows.insert(connection, draft, str(uuid.uuid4()), now, lease=lease, sending=marks)
                    found.append((new, True))
                elif (known := entry or refusal) is not None:
                    found.append((known, False))
        return found

    def adopt(self, draft: Draft, key: str, order_id: str, status: str, opened_at: float) -> Entry:
        """Write down an order that Zinc lists for this twin and that this journal, lost or replaced, does not know.

        An entry of another caller with the same key is another order.
        """
        has_its_key = sa.and_(ENTRIES.c.key == key, ENTRIES.c.caller == draft.caller)
        with self._writing() as connection:
            is_it = sa.or_(ENTRIES.c.order_id == order_id, has_its_key)
            by_its_id = ENTRIES.c.order_id.is_(None)  # after those that have one
            query = (
                sa.select(ENTRIES)
                .where(ENTRIES.c.mode == draft.mode, is_it, IS_ORDER)
                .order_by(by_its_id, ENTRIES.c.id.desc())
            )
            row = connection.execute(query.with_for_update()).first()
            entry = rows.insert(connection, draft, key, opened_at, zinc_at=opened_at) if row is None else entry_of(row)
            # An earlier try here may have ended without an order, under the key of the lost journal's order.
            is_its_key = (entry.key, entry.caller, entry.twin) == (key, draft.caller, draft.twin)
            if row is not None and not (entry.state in WITHOUT_ORDER and entry.order_id is None and is_its_key):
                return entry
            changes: dict[str, Any] = {
                **{name: getattr(draft, name) for name in ("ceiling_cents", "fee_cents", "reserved_cents")},
                "counts_cents": draft.reserved_cents,
                **dict.fromkeys(("spent_cents", "refunded_cents", "problem")),
                "order_id": order_id,
                "status": status,
                "facts": {**entry.facts, ADOPTED: True},
                "attempts": 1,
                "first_sent_at": opened_at,
            }
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
        admission: Admission | None = None,
        to_send: bool = False,
        payment: Payment | None = None,
        by_caller: bool = False,
        **changes: Any,
    ) -> Entry:
        """Move an entry on from exactly the version given.

        An entry that ends keeps no credential: it is forgotten in the same transaction.

        Args:
            entry: the version to move on from.
            state: the new state.
            what: the event: its reason, in a few words.
            detail: facts of the event.
            admission: checks its caller and the whole policy again if the entry is going to be sent for the first time.
            to_send: the entry is going to be sent, or its wallet asked, right after. This is also true of an entry that
                gets the state `signing` or `sending`.
            payment: the payment to write in the same transaction.
            by_caller: the entry's caller has just asked for the move, and this process must know them as the journal
                does.
            **changes: columns that change.

        Raises:
            StaleEntryError: somebody else moved it first.
            RefusedError: when it would be sent: `paused`, what the policy does not allow any more, `not_allowed`, where
                its caller may not order any more, or `approval_expired`, where a person's yes is too old and nothing
                has been sent or signed for it. With `by_caller`: `not_allowed`, this process does not know the member
                as the journal does.
            TimeUnknownError: whether a limit admits it depends on the time, which Zinc has not told.
            JournalError: it failed, or its file is not the one that stands at its path any more.
        """
        marks = self.marks if by_caller else None
        to_be_sent = to_send or (state in ("signing", "sending") and entry.state != state)
        self.file.check(self.file.newest)

        def moved(lock: Lock) -> Entry:
            return self._moved(lock, entry, state, what, detail or {}, admission, to_be_sent, payment, marks, changes)

        if not to_be_sent:
            return moved(NO_LOCK if marks is None else of_caller(entry.caller))
        return locked(of_caller(entry.caller), moved, is_shared=admission is not None and admission.shares())

    def _moved(
        self,
        lock: Lock,
        entry: Entry,
        state: State,
        what: str,
        detail: Mapping[str, Any],
        admission: Admission | None,
        to_be_sent: bool,
        payment: Payment | None,
        marks: Marks | None,
        changes: Mapping[str, Any],
    ) -> Entry:
        with self._marking() as marked, self._writing(lock, reads_schema=True) as connection:
            if to_be_sent:
                earliest = self._times.earliest()
                if admission is not None and entry.state in ("waiting", "signing"):
                    deciding.ask_to_read(connection, entry)
                    opening.ask_limits_again(connection, entry, earliest)
                found = deciding.read(connection, entry)
                refuse_when_paused(found.paused)
                is_first = entry.state == "waiting" or (entry.state == state and entry.attempts <= 1)
                if is_first and is_over(entry, self._clock(), self._times.zinc()):
                    raise approved_too_long_ago()
                if admission is not None and entry.state in ("waiting", "signing"):
                    limits = deciding.admit(connection, entry, admission, found)
                    opening.check_limits_again(connection, entry, limits, earliest)
                    is_told = self._times.zinc() is not None
                    if not is_told:
                        without_time.check_limits_without_time(connection, entry, limits)
                    second_yes.check_given(connection, entry, limits, earliest if is_told else None)
                elif admission is not None and is_first:  # it was marked for sending and has not left yet
                    admission.check_caller(entry.caller, found.caller)
            moved = rows.change(connection, entry, state, what, detail, changes, self._clock(), marks)
            if payment is not None:
                rows.write_payment(connection, payment, self.sealing)
            if entry.rail == "agent" and entry.state in DOUBTFUL and state not in DOUBTFUL:
                rows.forget_credential(connection, entry.id)
            if to_be_sent:
                marked.append((moved, entry.state))
            return moved

    def free_never_sent(self) -> None:
        """Free the entries of which this process knows that it did not send them, now that the journal works again.

        They were marked for sending in a transaction whose answer was lost, so nothing was sent. The lock is taken
        first: it is free once that transaction has ended.
        """
        while self._never_sent:
            entry, before = self._never_sent[0]
            with self._writing(of_caller(entry.caller)) as connection:
                now = self._clock()
                row = first(connection, *reading.one(entry.id, to_change=True))
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


def _with_doubt(draft: Draft, doubt: str | None, *, asks: bool) -> Draft:
    """Return a draft with the doubt about the time at which it was opened, for the person who is asked about it.

    Raises:
        RefusedError: `clock_uncertain`, and nobody would be asked.
    """
    if doubt is None:
        return draft
    if not asks:
        raise RefusedError(
            f"It is uncertain what time it is: {doubt}. Limits and earlier orders go by the time.",
            "Tell the user to set the machine's clock right, or, if it is right, to run "
            f"{command('resume')} in a terminal.",
            code="clock_uncertain",
        )
    return replace(draft, facts={**draft.facts, "clock_uncertain": doubt})
