"""The steps of a change: open, ask, send, answer. They are the same for a return and for each step of a case."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from zinc_mcp.aftercare.look_up import refreshed
from zinc_mcp.aftercare.send import first_marks, send_marked
from zinc_mcp.checkout.ask import digest_for, freeze, until
from zinc_mcp.checkout.look_up import clear_abandoned, refuse
from zinc_mcp.checkout.repeats import await_move
from zinc_mcp.checkout.send import await_attempt
from zinc_mcp.consent.change_question import ChangeQuestion, check_length
from zinc_mcp.errors import JournalError, RefusedError
from zinc_mcp.journal.records.decision import new_question_id
from zinc_mcp.journal.records.entry import NAMES, STANDING, Admits, Draft, Entry, StaleEntryError, Standing
from zinc_mcp.owner.policy import Policy
from zinc_mcp.process import Answer, Attempt, Process
from zinc_mcp.rails import Rail


@dataclass(frozen=True, slots=True)
class ChangeWish:
    """A caller's wish to change an order, checked against the order as Zinc shows it."""

    draft: Draft
    rail: Rail
    question: ChangeQuestion
    admits: Admits
    """Checks the wish against the other changes of its order, under the journal's lock."""
    needs_a_person: bool = False
    """Whether a person is asked in every mode of approval, if the key is live."""


async def request(process: Process, wish: ChangeWish, deadline: float) -> Answer:
    """Make a change, unless it was made already; answer at the deadline (`time.monotonic`).

    If a person must be asked first, the answer's entry is `waiting` and has its question.

    Raises:
        RefusedError: nothing was sent; the sentence says why.
        ZincUnreachableError: nothing was sent.
        ChangeRejectedError: Zinc said no, and nothing was changed.
        JournalError: the journal failed.
    """
    consent = _consent(wish, process.policy())
    if consent is None:
        check_length(wish.question)
    while True:
        opened: Entry | Standing | None = None
        attempt: Attempt | None = None
        try:
            with anyio.CancelScope(shield=True):  # never between opening and sending
                opened = await _opened(process, wish, consent)
                if isinstance(opened, Entry) and consent is not None:
                    attempt = send_marked(process, opened, wish.rail)
        except JournalError as error:
            raise error.before_sending() from error
        if isinstance(opened, Standing):
            found = await _earlier(process, opened.entry, deadline)
            if found is not None:
                return found
            continue
        if attempt is not None:
            return await await_attempt(attempt, deadline, earlier=False)
        if opened is None:
            raise AssertionError
        try:
            return Answer(await _asked(process, opened, wish))
        except StaleEntryError:
            continue  # cleared away while the question was made: open anew


def _consent(wish: ChangeWish, policy: Policy) -> Mapping[str, Any] | None:
    """Return the consent to write down if nobody has to be asked now; None if a person must be asked.

    A change has no price, so `approve_above` says nothing about it.
    """
    if wish.needs_a_person and wish.draft.mode == "live":
        return None
    if policy.approval in ("host", "none"):
        return {"how": policy.approval}
    return {"how": "practice"} if policy.approval is None and wish.draft.mode != "live" else None


async def _opened(process: Process, wish: ChangeWish, consent: Mapping[str, Any] | None) -> Entry | Standing:
    def marks() -> Mapping[str, Any]:
        return {**first_marks(process), "consent": dict(consent or {})}

    opened = await process.journal.run(
        lambda journal: journal.open_change(
            wish.draft,
            owner=process.owner,
            lease_seconds=process.clocks.opening_lease_seconds,
            window_seconds=process.clocks.twin_seconds,
            repeat_seconds=process.clocks.repeat_seconds,
            admits=wish.admits,
            sending=None if consent is None else marks,
        )
    )
    if isinstance(opened, Entry):
        process.checkpoint("opened")
    return opened


async def _asked(process: Process, entry: Entry, wish: ChangeWish) -> Entry:
    """Freeze the question in the entry.

    Raises:
        RefusedError: `too_many_waiting`.
        StaleEntryError: another process has cleared the entry away.
    """
    consent = {
        "how": "asked",
        "id": new_question_id(),
        "digest": digest_for(wish.question, entry, entry),
        "question": wish.question.model_dump(mode="json"),
        "noted": {},
        **until(process),
    }
    try:
        asked = await freeze(process, entry, consent)
    except RefusedError as error:
        await refuse(process, entry, f"refused: {error.code}", error.code, error.summary)
        raise
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            summary = "The call ended before the question was asked."
            await refuse(process, entry, "refused: approval_expired", "approval_expired", summary)
        raise
    process.checkpoint("asked")
    return asked


async def _earlier(process: Process, twin: Entry, deadline: float) -> Answer | None:
    """Return an earlier change as the answer; None if it does not stand any more, so that an entry is opened anew."""
    try:
        if await clear_abandoned(process, twin):
            return None
        attempt = process.attempts.get(twin.id)
        if attempt is not None:
            return await await_attempt(attempt, deadline, earlier=True)
        twin = await await_move(process, await process.journal.read(twin.id), deadline)
        twin = await refreshed(process, twin)
    except JournalError as error:
        if error.is_told:
            raise
        happened = f"The same {NAMES[twin.kind][0]} was sent before"
        raise error.in_doubt(happened, twin.key, moves_money=False) from error
    return Answer(twin, earlier=True) if twin.state in STANDING or twin.state == "failed" else None
