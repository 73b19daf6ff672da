"""Taking a person's decision about a question, once, and waiting for the outcome of a yes."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from zinc_mcp.checkout.ask import ask_anew, until
from zinc_mcp.checkout.deciding.approved import Send, send_approved
from zinc_mcp.checkout.hear_the_time import hear_the_time
from zinc_mcp.checkout.look_up import clear_abandoned
from zinc_mcp.checkout.repeats import await_decided, await_move
from zinc_mcp.checkout.send import await_attempt
from zinc_mcp.consent.approval import is_approved, question_of
from zinc_mcp.errors import JournalError, RefusedError
from zinc_mcp.journal.records.decision import OWNER, Decision, closed, out_of_time
from zinc_mcp.journal.records.entry import CHANGES, Entry, StaleEntryError
from zinc_mcp.owner.pin import check_pin
from zinc_mcp.process import Answer, Process


async def decide(
    process: Process,
    decision: Decision,
    *,
    caller: str | None = None,
    wait_seconds: float | None = None,
    send: Send | None = None,
) -> Answer:
    """Take a person's decision about one question, send its order on a yes, and return the order as it is then.

    A decision about a closed question, or after the time to decide, buys nothing. The outcome of a yes is awaited for
    `wait_seconds`, by default for `Clocks.answer_seconds`; sending goes on in any case. `send` sends an approved entry;
    by default only an order is sent.

    Raises:
        RefusedError: `question_closed`, `approval_expired`, `approval_required`, `clock_uncertain`, `not_allowed`,
            `paused`, or another reason of the policy.
        ZincMcpError: the error with which the sending ended; see `place`.
    """
    wait_seconds = process.clocks.answer_seconds if wait_seconds is None else wait_seconds
    deadline = time.monotonic() + wait_seconds
    try:
        entry = await _take(process, decision, send or send_approved, caller=caller)
    except JournalError as error:
        raise error.before_sending() from error
    return await _followed(process, entry, deadline, earlier=False)


async def await_decision(
    process: Process, entry: Entry, *, earlier: bool, deadline: float, send: Send | None = None
) -> Answer:
    """Wait for a decision made elsewhere (a page, a terminal), and for its outcome.

    Args:
        process: what this process shares.
        entry: the entry that waits for the decision.
        earlier: whether an earlier call has opened it.
        deadline: the time by `time.monotonic` at which this returns in any case.
        send: as in `decide`.

    Raises:
        ZincMcpError: the error with which the sending ended; see `place`.
    """
    try:
        entry = await await_decided(process, entry, deadline)
        if is_approved(entry):
            entry = await (send or send_approved)(process, entry)
    except JournalError as error:
        buys = entry.kind not in CHANGES
        raise error.in_doubt("A person was asked, who may have said yes", entry.key, moves_money=buys) from error
    return await _followed(process, entry, deadline, earlier=earlier)


async def _take(process: Process, decision: Decision, send: Send, *, caller: str | None = None) -> Entry:
    """Take a decision in the journal; return its entry as it is after that.

    After a yes this process sends the entry at once if it has the rail, otherwise the next process that has it does. A
    decision about any other question than the one that stands changes nothing.

    Raises:
        RefusedError: `question_closed`, the question does not stand (any more), or was asked anew because another
            order like it has come; `approval_expired`; `approval_required` (the PIN is missing or wrong; the
            question still stands); a reason that has come up since the question was asked; or `clock_uncertain`, the
            order depends on the time, which Zinc did not tell (the question still stands).
    """
    about = decision.about
    entry = await process.journal.run(lambda journal: journal.asked_about(about, caller))
    if entry is None or (entry.mode == "live" and process.practises):
        raise closed()
    if await clear_abandoned(process, entry):
        raise out_of_time(entry)
    by = decision.by or (OWNER if decision.how == "terminal" else caller or OWNER)
    said = {"yes": decision.yes, "how": decision.how, "who": decision.who, "at": process.times.clock()}
    if by != entry.caller:
        said["by"] = by
    if not decision.yes:
        return await process.journal.run(lambda journal: journal.decline(about, caller, said))
    await _check_pin(process, decision, by)
    if entry.kind == "order" and not process.times.agree:
        await hear_the_time(process, process.rails.get(entry.rail))
    by_another = decision.can_be_second and by != entry.caller
    try:
        return await send(process, await _approved(process, decision, entry, said, caller, by_another=by_another))
    except JournalError as error:  # the yes may have been written down, and then some process acts on it
        raise error.in_doubt("The answer was yes", entry.key, moves_money=entry.kind not in CHANGES) from error


async def _check_pin(process: Process, decision: Decision, by: str) -> None:
    """Check the PIN of a yes: in a terminal the owner's, elsewhere that of the person who decides.

    Raises:
        RefusedError: `approval_required`.
    """
    if decision.how == "terminal":
        await check_pin(process.journal, OWNER, "terminal", decision.pin, process.times.clock())
        return
    given = decision.pin if decision.how == "page" else None  # a host's dialogue never takes a PIN
    await check_pin(process.journal, by, "page", given, process.times.clock())


async def _approved(
    process: Process, decision: Decision, entry: Entry, said: Mapping[str, Any], caller: str | None, *, by_another: bool
) -> Entry:
    """Write a yes down, if its question is still true; otherwise ask again.

    Raises:
        RefusedError: as `_take`.
    """
    over = until(process)
    taken = await process.journal.run(
        lambda journal: journal.approve(
            decision.about, caller, said, over, process.admission, by_another=by_another, seen=entry
        )
    )
    if taken.refusal is not None:
        raise taken.refusal
    if taken.unnoted or taken.is_untrue:
        with suppress(StaleEntryError):  # somebody else was faster, and the question is closed in any case
            await ask_anew(process, taken.entry)
        come = "another person has to say yes" if taken.is_untrue else "another order like it has come"
        raise RefusedError(
            f"Since the question was asked, {come}, so the answer was not taken.",
            "The question is asked again and says so; the user decides about that one.",
            code="question_closed",
            facts={"key": taken.entry.key},
        )
    process.checkpoint("approved")
    return taken.entry


async def _followed(process: Process, entry: Entry, deadline: float, *, earlier: bool) -> Answer:
    """Return the answer about an entry after a decision, at the deadline or earlier."""
    attempt = process.attempts.get(entry.id)
    if attempt is not None:
        return await await_attempt(attempt, deadline, earlier=earlier)
    if question_of(entry) is None:
        try:
            entry = await await_move(process, entry, deadline)
        except JournalError as error:
            buys = entry.kind not in CHANGES
            raise error.in_doubt("It was being sent by another process", entry.key, moves_money=buys) from error
    return Answer(entry, earlier=earlier)
