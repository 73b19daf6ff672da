"""Questions in the journal: asked, answered, closed; and the PINs that a yes needs.

Wrong PINs are counted over all orders, so more orders give nobody more tries. They are counted apart for the page and
for the terminal, so wrong PINs at a page do not lock the owner's terminal.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from zinc_mcp.errors import AnotherServerError, JournalError, RefusedError
from zinc_mcp.journal.checks import deciding, opening, second_yes, without_time
from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.decision import (
    LONGEST_WAIT_SECONDS,
    OWNER,
    PLACES,
    SECOND_YES,
    Admission,
    PinAsked,
    PinTry,
    Place,
    QuestionRef,
    Taken,
    closed,
    out_of_time,
    progress_of,
    reference_of,
    refuse_when_paused,
    wait_seconds,
)
from zinc_mcp.journal.records.entry import Entry, Limits
from zinc_mcp.journal.records.known import check_known
from zinc_mcp.journal.storage import reading, rows
from zinc_mcp.journal.storage.database import Database
from zinc_mcp.journal.storage.statements import Lock, first, locked, of_caller, of_entry
from zinc_mcp.journal.storage.tables import ANY_MODE, ENTRIES, PINS, UNFINISHED, entries_of, entry_of, number_or_none
from zinc_mcp.text import plain

_MOST_READ = 1000
_ALL_ASKED = (
    sa.select(ENTRIES)
    .where(
        ENTRIES.c.state == sa.literal_column("'waiting'"),
        ENTRIES.c.consent.is_not(None),
        # These let the index of unfinished entries find them; without it each question would read all entries.
        UNFINISHED,
        ANY_MODE,
    )
    .order_by(ENTRIES.c.id)
    .limit(_MOST_READ)
)
_ASKED = _ALL_ASKED.where(ENTRIES.c.caller == sa.bindparam("caller"))
_MEMBERS = "*"
"""Wrong PINs of all members without a PIN of their own are counted together, under this name: they are asked for the
owner's PIN. No member can have this name."""


class Questions(Database):
    """The part of a journal that keeps questions, takes answers, and keeps PINs."""

    def ask(self, entry: Entry, consent: Mapping[str, Any], most: int, *, body: bytes | None = None) -> Entry:
        """Freeze a question in its entry, and the bytes that a yes would send, where the question changes them.

        Raises:
            StaleEntryError: somebody else moved the entry first.
            RefusedError: `too_many_waiting`, the caller has `most` questions before the person already.
        """
        with self._writing(of_caller(entry.caller)) as connection:
            now = self._clock()
            others = [each for each in _waiting(connection, entry.caller, now) if each.id != entry.id]
            if len(others) >= most:
                name = "orders" if all(each.kind == "order" for each in others) else "requests"
                raise RefusedError(
                    f"{len(others)} {name} wait for the user's decision already, so nothing more is put before them.",
                    "Ask the user to decide about those first, then call again.",
                    code="too_many_waiting",
                    facts={"waiting": [each.key for each in others]},
                )
            changes: dict[str, Any] = {"consent": dict(consent), **FREE, **({} if body is None else {"body": body})}
            return rows.change(connection, entry, "waiting", "asked", {}, changes, now)

    def asked_about(self, about: QuestionRef, caller: str | None) -> Entry | None:
        """Return the entry that waits for an answer to exactly this question, or None."""
        with self._reading() as connection:
            return _asked_about(connection, about, caller)

    def waiting(self, caller: str | None) -> list[Entry]:
        """Return the entries of a caller, or of all, whose question stands, oldest first."""
        with self._reading() as connection:
            return _waiting(connection, caller, self._clock())

    def asked_under(self, key: str) -> list[Entry]:
        """Return the entries of any caller with this key whose question stands, oldest first."""
        query = sa.select(ENTRIES).where(ENTRIES.c.key == key, ENTRIES.c.state == "waiting").order_by(ENTRIES.c.id)
        with self._reading() as connection:
            found = entries_of(connection, query.limit(100))
        return [entry for entry in found if reference_of(entry) is not None]

    def decline(self, about: QuestionRef, caller: str | None, said: Mapping[str, Any]) -> Entry:
        """Take a no.

        Raises:
            RefusedError: `question_closed`; or `not_allowed`, this process does not know who answers as the journal
                does.
        """
        with self._kept_after_all(about, said) as kept:
            kept.append(self._declined(about, caller, said))
        return kept[0]

    def _declined(self, about: QuestionRef, caller: str | None, said: Mapping[str, Any]) -> Entry:
        with self._writing(of_entry(about.entry_id)) as connection:
            entry = _standing(connection, about, caller)
            consent = {**(entry.consent or {}), "decision": dict(said)}
            changes: dict[str, Any] = {"consent": consent, **FREE, "counts_cents": 0, "spent_cents": 0}
            what = f"declined ({said['how']})"
            return rows.change(
                connection, entry, "declined", what, {}, changes, self._clock(), self.marks, by=said.get("by")
            )

    def approve(
        self,
        about: QuestionRef,
        caller: str | None,
        said: Mapping[str, Any],
        until: Mapping[str, Any],
        admission: Admission,
        *,
        by_another: bool = False,
        seen: Entry | None = None,
    ) -> Taken:
        """Take a yes: look for orders like it that have come since, check the whole policy, and mark the entry.

        Args:
            about: the question that was answered.
            caller: the caller whose order it must be; None for the owner, who decides about everybody's.
            said: the decision, as the journal keeps it.
            until: the members of a consent that say when the yes is over.
            admission: the policy as it stands.
            by_another: it can count as the yes of another person than the caller.
            seen: the entry as it was read before. Nothing is decided by it: it says what else has to be read, which is
                then read together with the entry itself.

        Raises:
            RefusedError: `question_closed`, `approval_expired`; `approval_required`: the policy takes no answer from a
                dialogue any more; `not_allowed`: another person has to say yes, or the members have just changed.
            AnotherServerError: this server has another policy than the published one, or does not know the team's
                members; the question still stands.
            TimeUnknownError: it depends on the time, which Zinc has not told; the question still stands.
        """
        taken: list[Taken] = []
        with self._kept_after_all(about, said) as kept:

            def approved(lock: Lock) -> Taken:
                return self._approved(lock, about, caller, said, until, admission, seen, by_another=by_another)

            taken.append(locked(of_entry(about.entry_id), approved, is_shared=admission.shares()))
        return taken[0] if taken else Taken(kept[0])

    def _approved(
        self,
        lock: Lock,
        about: QuestionRef,
        caller: str | None,
        said: Mapping[str, Any],
        until: Mapping[str, Any],
        admission: Admission,
        seen: Entry | None,
        *,
        by_another: bool,
    ) -> Taken:
        with self._writing(lock) as connection:
            now, earliest, unknown = self._clock(), self._times.earliest(), self._times.zinc() is None
            if seen is not None:
                opening.ask_near_twins(connection, seen, earliest - admission.window_seconds)
                deciding.ask_to_read(connection, seen, said.get("by"))
                opening.ask_limits_again(connection, seen, earliest)
            entry = _standing(connection, about, caller)
            if _until(entry) <= now:
                raise out_of_time(entry)
            consent = entry.consent or {}
            noted: Mapping[str, str] = consent.get("noted") or {}
            near = opening.near_twins(connection, entry, earliest - admission.window_seconds)
            if unnoted := tuple(each for each in near if noted.get(str(each.id)) not in (progress_of(each), "sent")):
                return Taken(entry, unnoted=unnoted)
            if said["how"] == "elicitation" and not admission.takes_dialogues():
                raise RefusedError(
                    "The owner's policy takes answers on the page or in a terminal only, so this one was not taken.",
                    "Nothing was sent; the question still stands.",
                    code="approval_required",
                )
            found = deciding.read(connection, entry, said.get("by"))
            if "by" in said:
                check_known(self.marks, said["by"], found.by)
            try:
                refuse_when_paused(found.paused)
                limits = deciding.admit(connection, entry, admission, found)
                opening.check_limits_again(connection, entry, limits, earliest)
            except AnotherServerError as error:
                summary = f"{error.summary} The answer was not taken; the question still stands."
                raise type(error)(summary, error.next_step, owner_step=error.owner_step) from None
            except RefusedError as error:
                problem = {"code": error.code, "summary": error.summary}
                changes = {"counts_cents": 0, "spent_cents": 0, "problem": problem, **FREE}
                refused = rows.change(connection, entry, "refused", f"refused: {error.code}", {}, changes, now)
                return Taken(refused, refusal=error)
            check_known(self.marks, entry.caller, found.caller.mark)
            if unknown and entry.kind == "order":
                _check_without_time(connection, entry, noted, limits)
            is_second = second_yes.is_due(connection, entry, limits, None if unknown else earliest)
            if is_second and not by_another:
                if not consent.get(SECOND_YES):
                    return Taken(entry, is_untrue=True)
                raise second_yes.missing(limits)
            decision = {**said, "second": True} if is_second else dict(said)
            approved = {"consent": {**consent, "decision": decision, **until}}
            return Taken(rows.change(connection, entry, "waiting", f"approved ({said['how']})", {}, approved, now))

    def needs_second_yes(self, entry: Entry, limits: Limits) -> bool:
        """Say whether an order needs the yes of another person."""
        with self._reading() as connection:
            now = None if self._times.zinc() is None else self._times.earliest()
            return second_yes.is_due(connection, entry, limits, now)

    @contextmanager
    def _kept_after_all(self, about: QuestionRef, said: Mapping[str, Any]) -> Generator[list[Entry]]:
        """If the writing of a decision fails, look whether it is written all the same, and add its entry to the list.

        Only the answer to its commit may have been lost. The lock is taken first: it is free once the lost transaction
        has ended.
        """
        kept: list[Entry] = []
        try:
            yield kept
        except JournalError:
            with self._writing(of_entry(about.entry_id)) as connection:
                row = first(connection, *reading.one(about.entry_id, to_change=True))
                entry = None if row is None else entry_of(row)
            decision: Mapping[str, Any] = {} if entry is None else (entry.consent or {}).get("decision") or {}
            if entry is None or {name: value for name, value in decision.items() if name != "second"} != said:
                raise
            kept.append(entry)

    # PINs

    def pin(self, caller: str = OWNER) -> str | None:
        """Return what is kept of a caller's own PIN (`pin.hashed`), or None when none is set or it has ended."""
        with self._reading() as connection:
            return _pin(connection, caller, self._clock())[0]

    def asked_pin(self, caller: str) -> PinAsked | None:
        """Return the PIN that a caller's yes needs: their own, otherwise the owner's; None when neither is set."""
        with self._reading() as connection:
            return _asked_pin(connection, caller, self._clock())

    def pin_ends(self, caller: str = OWNER) -> float | None:
        """Return when a caller's own PIN ends, where somebody has said that it is forgotten."""
        with self._reading() as connection:
            return _pin(connection, caller, self._clock())[1]

    def set_pin(self, kept: str | None, caller: str = OWNER) -> None:
        """Keep another PIN, or none; wrong ones are counted anew."""
        with self._writing() as connection:
            connection.execute(sa.delete(PINS).where(PINS.c.caller == caller))
            if kept is not None:
                connection.execute(sa.insert(PINS), {"caller": caller, "kept": kept})
            if caller == OWNER:
                connection.execute(sa.delete(PINS).where(PINS.c.caller == _MEMBERS))
                rows.set_meta(connection, "pin", None)
                rows.set_meta(connection, "pin_ends", None)

    def end_pin(self, at: float | None, caller: str = OWNER) -> None:
        """Set the time at which a PIN ends; None: it stays."""
        with self._writing() as connection:
            _end_pin(connection, caller, at)

    def count_pin_try(self, caller: str = OWNER, place: Place = "page", now: float | None = None) -> PinTry | None:
        """Write a try down before it is checked; None when no PIN is needed.

        A try that comes too early is not checked and does not count, however many come at once.
        """
        with self._writing() as connection:
            now = self._clock() if now is None else now
            asked = _asked_pin(connection, caller, now)
            if asked is None:
                return None
            before = asked.free_at(place)
            if before is not None:
                _count(connection, asked.counted_under, {f"{place}_free_at": before})
                return PinTry(asked, place, before, looked_at=False)
            wrong = int(_kept(connection, asked.counted_under)[f"{place}_wrong"]) + 1
            wait = wait_seconds(wrong)
            then = now + wait if wait else None
            _count(connection, asked.counted_under, {f"{place}_wrong": wrong, f"{place}_free_at": then})
            return PinTry(asked, place, then, looked_at=True)

    def pin_was_right(self, tried: PinTry) -> None:
        """Forget the wrong PINs that were counted at that place. A PIN that was said to be forgotten stays valid."""
        with self._writing() as connection:
            counted = {f"{tried.place}_wrong": 0, f"{tried.place}_free_at": None}
            _count(connection, tried.asked.counted_under, counted)
            _end_pin(connection, tried.asked.whose, None)


def _waiting(connection: sa.Connection, caller: str | None, now: float) -> list[Entry]:
    asked = entries_of(connection, _ALL_ASKED) if caller is None else entries_of(connection, _ASKED, {"caller": caller})
    return [entry for entry in asked if reference_of(entry) is not None and _until(entry) > now]


def _asked_about(
    connection: sa.Connection, about: QuestionRef, caller: str | None, *, to_change: bool = False
) -> Entry | None:
    row = first(connection, *reading.one(about.entry_id, to_change=to_change))
    if row is None:
        return None
    entry = entry_of(row)
    theirs = caller is None or entry.caller == caller
    return entry if theirs and reference_of(entry) == about else None


def _standing(connection: sa.Connection, about: QuestionRef, caller: str | None) -> Entry:
    entry = _asked_about(connection, about, caller, to_change=True)
    if entry is None:
        raise closed()
    return entry


def _check_without_time(connection: sa.Connection, entry: Entry, noted: Mapping[str, str], limits: Limits) -> None:
    """Check that a yes may be taken however recent all earlier orders are; see `without_time.check_without_time`."""
    # An order that the question did not name may have been too old for it then, or have come since.
    if any(str(each.id) not in noted for each in opening.near_twins(connection, entry, 0.0)):
        raise without_time.time_unknown("There are earlier orders like it that the question did not name")
    without_time.check_limits_without_time(connection, entry, limits)


def _until(entry: Entry) -> float:
    return float((entry.consent or {}).get("until") or 0.0)


def _asked_pin(connection: sa.Connection, caller: str, now: float) -> PinAsked | None:
    for whose in dict.fromkeys((caller, OWNER)):
        kept, ends = _pin(connection, whose, now)
        if kept is not None:
            under = caller if caller == whose else _MEMBERS
            counted = _kept(connection, under)
            free = {place: _waited_for(counted, place, now) for place in PLACES}
            return PinAsked(kept, whose, under, ends, free["page"], free["terminal"])
    return None


def _waited_for(counted: Mapping[str, Any], place: Place, now: float) -> float | None:
    # A clock that was set back must not keep anybody out for longer than a wait ever is.
    at = counted[f"{place}_free_at"]
    return None if at is None or at <= now else min(float(at), now + LONGEST_WAIT_SECONDS)


def _pin(connection: sa.Connection, caller: str, now: float) -> tuple[str | None, float | None]:
    """Return what is kept of a caller's own PIN, and the time at which it ends; nothing of one that has ended."""
    row = _kept(connection, caller)
    kept, ends = row["kept"], row["ends"]
    if kept is None and caller == OWNER:
        # Before version 5 of the schema there was only one PIN. It was kept here.
        kept, text = rows.meta(connection, "pin"), rows.meta(connection, "pin_ends")
        try:
            ends = None if text is None else float(text)
        except ValueError:
            raise JournalError("The journal's record of the end of the owner's PIN cannot be read.") from None
    return (None, None) if ends is not None and ends <= now else (kept, ends)


def _end_pin(connection: sa.Connection, caller: str, at: float | None) -> None:
    if _kept(connection, caller)["kept"] is not None:
        connection.execute(sa.update(PINS).where(PINS.c.caller == caller).values(ends=at))
    elif caller == OWNER:
        rows.set_meta(connection, "pin_ends", None if at is None else repr(at))


def _kept(connection: sa.Connection, caller: str) -> dict[str, Any]:
    row = connection.execute(sa.select(PINS).where(PINS.c.caller == caller)).mappings().first()
    if row is None:
        return {**dict.fromkeys(PINS.c.keys()), "page_wrong": 0, "terminal_wrong": 0}
    found = dict(row)
    try:
        for name in ("ends", "page_free_at", "terminal_free_at"):
            found[name] = number_or_none(found[name])
        return found | {f"{place}_wrong": int(found[f"{place}_wrong"]) for place in PLACES}
    except (ValueError, TypeError):
        raise JournalError(f"The journal's record of the PIN of {plain(caller, 64)} cannot be read.") from None


def _count(connection: sa.Connection, caller: str, counted: Mapping[str, Any]) -> None:
    if connection.execute(sa.update(PINS).where(PINS.c.caller == caller).values(counted)).rowcount == 0:
        connection.execute(sa.insert(PINS), {"caller": caller, **counted})
