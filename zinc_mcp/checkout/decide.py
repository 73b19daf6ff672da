"""Asking a person about an entry, and taking the decision: it is taken once, and on a yes the order is sent."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from zinc_mcp.checkout.hear_the_time import hear_the_time
from zinc_mcp.checkout.look_up import clear_abandoned, is_ours, refuse
from zinc_mcp.checkout.repeats import await_decided, await_move
from zinc_mcp.checkout.send import await_attempt, start
from zinc_mcp.consent.anchor import anchored
from zinc_mcp.consent.approval import (
    AnyQuestion,
    described,
    how_it_stands,
    is_approved,
    kept_question,
    question_of,
    second_yes_noted,
)
from zinc_mcp.consent.question import digest_of, question_about
from zinc_mcp.errors import JournalError, PolicyDiffersError, RefusedError, TimeUnknownError
from zinc_mcp.find.check import refuse_before_asking
from zinc_mcp.find.details import look_up_order
from zinc_mcp.journal.records.decision import (
    OWNER,
    SECOND_YES,
    Decision,
    closed,
    fee_has_risen,
    new_question_id,
    noted,
    out_of_time,
)
from zinc_mcp.journal.records.entry import (
    CHANGES,
    Entry,
    Kind,
    StaleEntryError,
    UnreadableEntryError,
    tell_unreadable,
)
from zinc_mcp.journal.records.twin import any_order_of
from zinc_mcp.owner.objection import limits_of
from zinc_mcp.owner.pin import check_pin
from zinc_mcp.owner.policy import Policy
from zinc_mcp.process import Answer, Process
from zinc_mcp.rails import Rail
from zinc_mcp.spending.own_account import ACCOUNT
from zinc_mcp.zinc.wish import Wish

if TYPE_CHECKING:
    from zinc_mcp.journal.journal import Journal

logger = logging.getLogger(__name__)

Send = Callable[[Process, Entry], Awaitable[Entry]]
"""Sends an approved entry, if this process can; returns how it stands."""

_A_PAGE = 100
"""Entries that are read at once; all are read, page by page."""
MOST_WAITING = 6
"""Questions of one caller that may wait at once: few enough that a person can read them."""


async def ask(process: Process, entry: Entry, order: Wish, policy: Policy, *, saved_as: str | None) -> Entry:
    """Freeze the question in the entry. It can be answered once, until `Clocks.approval` seconds from now.

    It shows what Zinc tells about the products, if Zinc can be asked.

    Raises:
        RefusedError: `cannot_be_ordered`, `too_many_waiting`, `order_too_large`.
    """
    # With a test key Zinc checks no shop, and the check is about the shops of v2 alone.
    if policy.check_before_asking and entry.mode != "test" and entry.rail != "v1":
        await refuse_before_asking(process, order)
    looked = await look_up_order(process, entry.caller, order, _rail_to_ask(process, entry), policy)
    limits = limits_of(policy, entry.caller, entry.role)
    left = await process.journal.run(lambda journal: journal.left(entry, limits))
    now = process.times.clock()
    before = await process.journal.run(lambda journal: journal.near_twins(entry, process.clocks.twin))
    twin = next((each for each in before if each.twin == entry.twin), None)
    needs_second = await process.journal.run(lambda journal: journal.needs_second_yes(entry, limits))
    question = question_about(
        order,
        looked.products,
        rail=entry.rail,
        mode=entry.mode,
        fee_cents=entry.fee_cents,
        left_day_cents=left.day_cents,
        left_month_cents=left.month_cents,
        left_orders_day=left.orders_day,
        saved_as=saved_as,
        twin=None if twin is None else how_it_stands(twin, now),
        near=[described(each, now) for each in before if twin is None or each.twin != entry.twin],
        look_up_cents=looked.cost_cents,
        account=entry.facts.get(ACCOUNT),
        notes=second_yes_noted(entry, policy) if needs_second else (),
    )
    if doubt := entry.facts.get("clock_uncertain"):
        clock = ("The clock is uncertain", f"{doubt}: what was bought before may not be counted rightly")
        question = question.model_copy(update={"extras": (clock, *question.extras)})
    shown = question.model_dump(mode="json")
    body = anchored(entry, shown)
    consent = {
        "how": "asked",
        "id": new_question_id(),
        "digest": digest_for(question, replace(entry, body=body), entry),
        "question": shown,
        "noted": noted(before),
        **({SECOND_YES: True} if needs_second else {}),
        **until(process),
    }
    return await freeze(process, entry, consent, body)


def _rail_to_ask(process: Process, entry: Entry) -> Rail | None:
    """Return the rail to ask about the products of a question: the entry's own, or for v1 an API key for such money."""
    rail = process.rails.get(entry.rail)
    if rail is not None and rail.on_v1 is not None:
        rail = process.rails.get("account")
        return rail if rail is not None and rail.mode == entry.mode else None
    return rail


async def freeze(process: Process, entry: Entry, consent: Mapping[str, Any], body: bytes | None = None) -> Entry:
    """Write a question down in its entry, with the bytes that a yes would send, where the question changes them.

    Raises:
        RefusedError: `too_many_waiting`.
    """
    asked = await process.journal.run(lambda journal: journal.ask(entry, consent, MOST_WAITING, body=body))
    process.asked.set()
    return asked


def digest_for(question: AnyQuestion, entry: Entry, by: Entry | Rail) -> str:
    """Return the digest for sending an entry by its own columns, or by a rail of this process."""
    return digest_of(
        question,
        entry.body or b"",
        mode=by.mode,
        rail=by.rail if isinstance(by, Entry) else by.name,
        origin=by.origin,
        payer=by.account,
        most_cents=entry.ceiling_cents + entry.fee_cents,
    )


def is_what_was_shown(entry: Entry, rail: Rail) -> bool:
    """Say whether a rail of this process would send exactly what the entry's question showed."""
    return (entry.consent or {}).get("digest") == digest_for(kept_question(entry), entry, rail)


def until(process: Process) -> dict[str, Any]:
    """Return when a consent that begins now is over, by our clock and by Zinc's."""
    seconds, zinc = process.clocks.approval, process.times.zinc()
    return {"until": process.times.clock() + seconds, "zinc_until": None if zinc is None else zinc + seconds}


async def decide(
    process: Process,
    decision: Decision,
    *,
    caller: str | None = None,
    wait_seconds: float | None = None,
    send: Send | None = None,
) -> Answer:
    """Take a person's decision about one question, send its order on a yes, and say how it stands.

    A decision about a closed question, or after the time to decide, buys nothing. The outcome of a yes is awaited for
    `wait_seconds`, or as long as any answer; sending goes on in any case. `send` sends what was approved; by default
    only an order is sent.

    Raises:
        RefusedError: `question_closed`, `approval_expired`, `approval_required`, `paused`, or what the policy does
            not allow any more.
        ZincMcpError: what the sending ended with; see `place`.
    """
    wait_seconds = process.clocks.answer if wait_seconds is None else wait_seconds
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
        entry: waits for the decision.
        earlier: an earlier call has opened it.
        deadline: by `time.monotonic`, when to say how it stands in any case.
        send: as in `decide`.

    Raises:
        ZincMcpError: what the sending ended with; see `place`.
    """
    try:
        entry = await await_decided(process, entry, deadline)
        if is_approved(entry):
            entry = await (send or send_approved)(process, entry)
    except JournalError as error:
        buys = entry.kind not in CHANGES
        raise error.in_doubt("A person was asked, who may have said yes", entry.key, moves_money=buys) from error
    return await _followed(process, entry, deadline, earlier=earlier)


async def questions_for(process: Process, caller: str) -> list[Entry]:
    """Return the entries of a caller whose question stands and may be answered by this process, oldest first."""
    waiting = await process.journal.run(lambda journal: journal.waiting(caller))
    return [entry for entry in waiting if is_asked_here(process, entry)]


def is_asked_here(process: Process, entry: Entry) -> bool:
    """Say whether the question of an entry stands, and this process may decide about it."""
    if entry.mode == "live" and process.practises:
        return False
    try:
        return question_of(entry) is not None
    except UnreadableEntryError as error:
        tell_unreadable(process.told, "zinc_entries", (error.entry_id,), error.column)
        return False


async def send_all_approved(process: Process, send: Send | None = None) -> bool:
    """Send the approved entries that no process has sent yet; say whether other questions are still open.

    `send` is as in `decide`.

    Raises:
        RefusedError: one of them may not be sent any more; the others were looked at all the same.
        JournalError: the journal failed.
    """
    undecided = False
    refused: list[RefusedError] = []
    for rail in process.rails.values():
        after = 0
        while True:
            waiting = await process.journal.run(partial(_waiting, by=rail, after=after))
            for entry in waiting:
                undecided |= await _sent_if_approved(process, entry, send or send_approved, refused)
            if len(waiting) < _A_PAGE:
                break
            after = waiting[-1].id
    if refused:
        raise refused[0]
    return undecided


def _waiting(journal: "Journal", *, by: Rail, after: int) -> list[Entry]:
    kinds: set[Kind] = {"order", *CHANGES}
    return journal.unfinished({"waiting"}, mode=by.mode, by=by, kinds=kinds, after=after, limit=_A_PAGE)


async def _sent_if_approved(process: Process, entry: Entry, send: Send, refused: list[RefusedError]) -> bool:
    """Send an entry if it was approved; say whether its question still stands. A failure stops no other entry."""
    try:
        if question_of(entry) is not None:
            return True
        if is_approved(entry) and not await clear_abandoned(process, entry):
            await send(process, entry)
    except UnreadableEntryError as error:
        tell_unreadable(process.told, "zinc_entries", (error.entry_id,), error.column)
        await clear_abandoned(process, entry)
    except RefusedError as error:
        refused.append(error)
    except JournalError:
        raise
    except Exception as error:
        logger.error("entry %d was approved and could not be sent (%s)", entry.id, type(error).__name__)
    return False


async def _take(process: Process, decision: Decision, send: Send, *, caller: str | None = None) -> Entry:
    """Take a decision in the journal; return how its entry stands after it.

    A yes sends it at once where this process has the rail, otherwise the next process that has it does. A decision
    about any other question than the one that stands changes nothing.

    Raises:
        RefusedError: `question_closed`, the question does not stand (any more), or was asked anew because another
            order like it has come; `approval_expired`; `approval_required` (the PIN is missing or wrong; the
            question still stands); a reason that has come up since the question was asked; or `clock_uncertain`, it
            depends on the time, which Zinc did not tell (the question still stands).
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
    if decision.how == "terminal":  # which is always the owner's
        await check_pin(process.journal, OWNER, "terminal", decision.pin, process.times.clock())
    else:  # a host's dialogue never takes a PIN
        given = decision.pin if decision.how == "page" else None
        await check_pin(process.journal, by, "page", given, process.times.clock())
    if entry.kind == "order" and not process.times.agree:
        await hear_the_time(process, process.rails.get(entry.rail))
    over = until(process)
    try:
        by_another = decision.can_be_second and by != entry.caller
        taken = await process.journal.run(
            lambda journal: journal.approve(
                about, caller, said, over, process.admission, by_another=by_another, seen=entry
            )
        )
        if taken.refusal is not None:
            raise taken.refusal
        if taken.unnoted or taken.is_untrue:
            with suppress(StaleEntryError):  # somebody else was faster, and the question is closed in any case
                await _asked_anew(process, taken.entry)
            come = "another person has to say yes" if taken.is_untrue else "another order like it has come"
            raise RefusedError(
                f"Since the question was asked, {come}, so the answer was not taken.",
                "The question is asked again and says so; the user decides about that one.",
                code="question_closed",
                facts={"key": taken.entry.key},
            )
        process.checkpoint("approved")
        return await send(process, taken.entry)
    except JournalError as error:  # the yes may have been written down, and then some process acts on it
        raise error.in_doubt("The answer was yes", entry.key, moves_money=entry.kind not in CHANGES) from error


async def send_approved(process: Process, entry: Entry) -> Entry:
    """Send an entry that a person has approved, if this process has its rail; otherwise leave it to another.

    Raises:
        RefusedError: `paused`, or what the policy does not allow any more; the entry is refused for good, since a
            yes is used once.
    """
    rail = process.rails.get(entry.rail)
    if entry.kind != "order" or not is_approved(entry) or rail is None or not is_ours(entry, rail):
        return entry
    if not process.times.agree:
        await hear_the_time(process, rail)
    try:
        if not is_what_was_shown(entry, rail):
            raise closed()
        fee_cents = await rail.on_balance.told_fee_cents() if rail.on_balance is not None else None
        if fee_cents is not None and fee_cents > entry.fee_cents:
            raise fee_has_risen(entry.fee_cents, fee_cents)
        # By the policy of the process that sends: a terminal without the rail may know other limits.
        return (await start(process, entry, rail, what="sending what was approved")).entry
    except (TimeUnknownError, PolicyDiffersError):
        # The yes stands until its time is over: the next sweep asks Zinc again, or a server with the published policy
        # sends it.
        return entry
    except StaleEntryError as stale:
        return stale.current
    except RefusedError as error:
        if moved := await refuse(process, entry, f"refused: {error.code}", error.code, error.summary):
            return moved  # another process was faster, with a policy of its own
        raise


async def _asked_anew(process: Process, entry: Entry) -> None:
    """Ask again about an entry whose question has become untrue."""
    ship_to: Mapping[str, Any] = entry.facts.get("ship_to") or {}
    try:
        await ask(process, entry, any_order_of(entry), process.policy(), saved_as=ship_to.get("saved"))
    except RefusedError as error:
        await refuse(process, entry, f"refused: {error.code}", error.code, error.summary)


async def _followed(process: Process, entry: Entry, deadline: float, *, earlier: bool) -> Answer:
    """Return how an entry stands after a decision, at the deadline or earlier."""
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
