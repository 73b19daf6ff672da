"""Sending an order: the writing before the wire, the request, the meaning of each answer, and the look-up after it.

It is the same for all rails, and runs in a task of the process, which outlives the call that started it. The rails
differ in how an order is paid: without a wallet, from a balance at Zinc or by an account at the retailer; or by a
wallet, whose credential `pay` gets before the sending.
"""

import logging
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from pydantic import SecretStr

from zinc_mcp.checkout.look_up import find_landed, is_ours
from zinc_mcp.errors import (
    JournalError,
    OrderAlreadyExistsError,
    OrderOutcomeUnknownError,
    OrderRejectedError,
    RefusedError,
    ZincMcpError,
    ZincUnreachableError,
)
from zinc_mcp.journal.records.clocks import APART_SECONDS
from zinc_mcp.journal.records.entry import DOUBTFUL, Entry, StaleEntryError
from zinc_mcp.network import Leaving
from zinc_mcp.process import Answer, Attempt, Process
from zinc_mcp.rails import LeaseOverError, Rail
from zinc_mcp.secret_body import SecretBody
from zinc_mcp.spending import pay
from zinc_mcp.spending.carrying import carry, leave_in_doubt
from zinc_mcp.spending.outcome import (
    UNSENT_PROBLEM,
    about_to_send,
    accept,
    answered_unclearly,
    check_answer,
    doubt,
    doubt_lost_answer,
    end,
    hold,
    is_unsent,
    leaving,
    may_not_repeat,
    never_left,
)
from zinc_mcp.spending.own_account import ACCOUNT, outgoing
from zinc_mcp.spending.proof import with_reference
from zinc_mcp.zinc.responses import Order

if TYPE_CHECKING:
    from zinc_mcp.rails.agent import AgentRail

logger = logging.getLogger(__name__)


# Before the wire


async def start(process: Process, entry: Entry, rail: Rail, *, what: str = "sending", **changes: Any) -> Attempt:
    """Write down that an entry is being sent, then send it in a task of the process.

    Raises:
        StaleEntryError: somebody else moved the entry first.
        RefusedError: `paused`, or what the policy does not allow any more.
        JournalError: it could not be written down, so this attempt sends nothing.
    """
    attempt = Attempt(entry, left=entry.state in DOUBTFUL)
    with anyio.CancelScope(shield=True):
        if rail.paying is not None and entry.state == "waiting":
            attempt.entry = await pay.mark(process, entry, rail.paying, **changes)
        else:
            attempt.entry = await _marked(process, entry, what, **changes)
        _begin(process, attempt, rail)
    return attempt


def send_marked(process: Process, entry: Entry, rail: Rail) -> Attempt:
    """Send an entry in a task of the process. Its opening has already written down that it is being sent."""
    process.checkpoint("sending")
    attempt = Attempt(entry)
    _begin(process, attempt, rail)
    return attempt


def first_marks(process: Process, counted_at: float = 0.0) -> dict[str, Any]:
    """Return the columns that change in an entry that is going to be sent for the first time."""
    zinc = process.times.zinc()
    return {
        "attempts": 1,
        "first_sent_at": process.times.clock(),
        "counted_at": max(process.times.latest(), counted_at),
        **({} if zinc is None else {"zinc_at": zinc}),
        **_marks(process),
    }


def _marks(process: Process) -> dict[str, Any]:
    return about_to_send(process, process.clocks.wire_seconds + process.clocks.lease_margin_seconds)


async def _marked(process: Process, entry: Entry, what: str, **changes: Any) -> Entry:
    marks = first_marks(process, entry.counted_at) if entry.first_sent_at is None else _marks(process)
    if is_unsent(entry):
        marks["problem"] = None  # it is sent now
    marks |= {"attempts": entry.attempts + 1, **changes}
    marked = await process.journal.move(entry, "sending", what, admission=process.admission, **marks)
    process.checkpoint("sending")
    return marked


def _begin(process: Process, attempt: Attempt, rail: Rail) -> None:
    process.attempts[attempt.entry.id] = attempt
    process.tasks.start_soon(_carry, process, attempt, rail, name=f"sending {attempt.entry.key}")


# The attempt


async def _carry(process: Process, attempt: Attempt, rail: Rail) -> None:
    steps, crashed = partial(_go, process, attempt, rail), partial(_crashed, attempt)
    await carry(process, attempt, steps, sent="The order was sent", crashed=crashed, moves_money=True)


def _crashed(attempt: Attempt) -> OrderOutcomeUnknownError:
    return OrderOutcomeUnknownError(
        "Something failed while the order was being sent; it may have been placed.", facts={"key": attempt.entry.key}
    )


async def _go(process: Process, attempt: Attempt, rail: Rail) -> None:
    """Pay if a wallet does that, send, and send the same bytes once more if no answer came and a call still waits."""
    if rail.paying is not None and not await pay.pay(process, attempt, rail.paying):
        return
    await _send(process, attempt, rail)
    if attempt.entry.state == "unknown" and await _marked_again(process, attempt, rail):
        await _send(process, attempt, rail)
    if attempt.entry.state == "unknown" and rail.paying is not None:
        await pay.prove(process, attempt, rail.paying)
    await leave_in_doubt(process, attempt)


async def _send(process: Process, attempt: Attempt, rail: Rail) -> None:
    """Send once, while the entry is ours for long enough. If the first byte would be late, claim the entry again."""
    attempt.error = None
    first = attempt.entry.attempts == 1
    credential: SecretStr | None = None
    if rail.paying is not None:
        if attempt.payment is None or not first:
            first, attempt.payment = False, await process.unwritten.payment(attempt.entry.id)
        credential = None if attempt.payment is None else attempt.payment.credential
        if credential is None:
            await doubt(process, attempt, "the credential is not there any more")
            return
    if attempt.entry.body is None:
        raise RefusedError("The order's content was purged, so it cannot be sent.")
    body: bytes | SecretBody = attempt.entry.body
    try:
        if ACCOUNT in attempt.entry.facts:
            body = await outgoing(process, attempt.entry, attempt.entry.body, rail)
    except RefusedError as error:
        await _not_sent(process, attempt, rail, error.code, error, first=first)
        return
    while await _is_held(process, attempt, rail, first=first):
        with suppress(LeaseOverError):
            if rail.paying is not None and credential is not None:
                await _send_with_credential(process, attempt, rail.paying, attempt.entry.body, credential, first=first)
            else:
                await _send_on_balance(process, attempt, rail, body, first=first)
            return


async def _is_held(process: Process, attempt: Attempt, rail: Rail, *, first: bool) -> bool:
    """Say whether an entry is ours for one more request; if not, write down how it ended."""
    try:
        await hold(process, attempt, process.clocks.wire_seconds)
    except StaleEntryError as stale:
        if not first:
            raise
        if rail.paying is not None:
            await pay.take_back_unsent(process, attempt, rail.paying, stale.current)
        else:
            await never_left(process, attempt, stale.current)
        return False
    except RefusedError as error:  # paused while we stood still, or the time of the yes is over
        await _not_sent(process, attempt, rail, error.code, error, first=first)
        return False
    except JournalError as error:
        if not first or rail.paying is None:
            raise
        await pay.end_unsent(process, attempt, rail.paying, f"not sent: {error.code}", error)
        return False
    if first and _is_old(process, attempt.entry):
        too_late = RefusedError(
            "The process stood still for a long time before it sent the order, so nothing was sent.",
            "Place the order again if it is still wanted.",
        )
        await _not_sent(process, attempt, rail, "too late", too_late, first=True)
        return False
    return True


async def _not_sent(
    process: Process, attempt: Attempt, rail: Rail, why: str, error: ZincMcpError, *, first: bool
) -> None:
    """Write down that a request was not sent: nothing was bought if it was the first, else the doubt stands."""
    if not first:
        await doubt(process, attempt, f"{why} before the repeat")
        return
    if rail.paying is None:
        await end(process, attempt, "refused", f"{why}: nothing was sent", error)
    elif rail.paying.signs_only or not isinstance(error, ZincUnreachableError):
        await pay.end_unsent(process, attempt, rail.paying, f"{why}: nothing was sent", error)
    else:  # the wallet may have paid by itself, so the same credential goes again while it can settle
        await doubt(process, attempt, f"{why}: nothing was sent", problem=UNSENT_PROBLEM)


# Paid without a wallet: Zinc's no to the first request is an end, since no other request can have caused it


async def _send_on_balance(
    process: Process, attempt: Attempt, rail: Rail, body: bytes | SecretBody, *, first: bool
) -> None:
    try:
        answer = await _posted(rail, body, partial(leaving, process, attempt))
        order = await check_answer(process, answer, attempt.entry)
    except ZincUnreachableError as error:
        await _not_sent(process, attempt, rail, "no connection", error, first=first)
    except RefusedError as error:  # the bytes that go out could not be made
        await _not_sent(process, attempt, rail, error.code, error, first=first)
    except OrderAlreadyExistsError as error:
        process.checkpoint("answered")
        more = {} if rail.on_v1 is None else {"problem": answered_unclearly(error.zinc_code, error.summary)}
        await doubt(process, attempt, "Zinc has had this key before" if not more else error.summary, **more)
        await _find_landed(process, attempt, rail, error)
    except OrderRejectedError as error:
        process.checkpoint("answered")
        if first or (rail.on_v1 is not None and rail.on_v1.ends_a_repeat(error)):
            error.facts["key"] = attempt.entry.key
            await end(process, attempt, "rejected", f"Zinc rejected it: {error.zinc_code}", error)
        else:
            # The first attempt may be its reason (a used key, an empty balance), so it proves nothing.
            await doubt(process, attempt, f"a repeat was rejected: {error.zinc_code}")
    except OrderOutcomeUnknownError as error:
        process.checkpoint("answered")
        await doubt_lost_answer(process, attempt, f"no answer: {error.facts.get('reason')}", error)
        await _find_landed(process, attempt, rail)
    else:
        process.checkpoint("answered")
        await accept(process, attempt, rail, order, "accepted by Zinc")


async def _posted(rail: Rail, body: bytes | SecretBody, leaving: Leaving) -> Order:
    if not isinstance(body, SecretBody):
        return await rail.send(body, leaving)
    if rail.on_v1 is None:  # no other rail knows accounts of the owner's own
        raise AssertionError
    return await rail.on_v1.send(body, leaving)


async def _find_landed(
    process: Process, attempt: Attempt, rail: Rail, error: OrderAlreadyExistsError | None = None
) -> None:
    try:
        order = await find_landed(process, attempt.entry, rail, error.identifiers if error else ())
    except ZincMcpError as trouble:
        logger.info("the look-up after a lost answer failed: %s", trouble.code)
        return
    if order is not None:
        await accept(process, attempt, rail, order, "found at Zinc")


# Paid by a wallet: only an order ends the doubt, since the credential has left


async def _send_with_credential(
    process: Process, attempt: Attempt, rail: "AgentRail", body: bytes, credential: SecretStr, *, first: bool
) -> None:
    try:
        answer = await _answered(process, attempt, rail, body, credential)
        order = await check_answer(process, answer, attempt.entry)
    except ZincUnreachableError as error:
        await _not_sent(process, attempt, rail, "no connection", error, first=first)
        return
    except (OrderRejectedError, OrderOutcomeUnknownError) as error:
        process.checkpoint("answered")
        reason = error.facts.get("zinc_code") or error.facts.get("reason")
        await doubt_lost_answer(process, attempt, f"no order for the payment: {reason}", error)
        if isinstance(error, OrderAlreadyExistsError):
            await pay.keep_identifiers(process, attempt, error.identifiers)
        await pay.reopen(process, attempt)
        found, what = await pay.find(process, attempt.entry, rail), "found at Zinc"
        if found is None:
            return
        order = found
    else:
        process.checkpoint("answered")
        what = "paid and accepted by Zinc"
    await accept(process, attempt, rail, order, what, facts=with_reference(attempt.entry, attempt.payment))


async def _answered(process: Process, attempt: Attempt, rail: "AgentRail", body: bytes, credential: SecretStr) -> Order:
    """Send once. The answer's headers are written down while its body is read; if that fails, they are kept."""
    answer: Order | None = None
    failure: Exception | None = None
    async with anyio.create_task_group() as writing:
        try:
            keep = pay.keep_headers(process, attempt, writing)
            answer = await rail.send_paid(body, credential, keep, partial(leaving, process, attempt))
        except Exception as error:  # raised below: out of here it would come in a group
            failure = error
    if failure is not None:
        raise failure
    if answer is None:
        raise AssertionError
    return answer


# The same bytes again


async def may_repeat(process: Process, entry: Entry, rail: Rail) -> bool:
    """Say whether the same bytes may be sent again: same origin and key, soon after the first time, body still here."""
    return (
        is_ours(entry, rail)
        and entry.body is not None
        and not may_not_repeat(entry)
        and _is_recent(process, entry)
        and (rail.paying is None or await pay.may_repeat(process, entry))
    )


def _is_recent(process: Process, entry: Entry) -> bool:
    """Say whether an entry was first sent a short while ago, by our clock and by Zinc's."""
    if entry.first_sent_at is None:
        return False
    ours, theirs = _seconds_since_marked(process, entry)
    zinc = process.times.zinc()
    if zinc is not None and entry.zinc_at is None:  # Zinc had not told the time when it was sent
        theirs = zinc - entry.first_sent_at
    return 0 <= ours <= process.clocks.repeat_seconds and -APART_SECONDS <= theirs <= process.clocks.repeat_seconds


def _is_old(process: Process, entry: Entry) -> bool:
    """Say whether an entry was marked for sending too long ago to be sent now, by our clock or by Zinc's."""
    return max(_seconds_since_marked(process, entry)) > process.clocks.repeat_seconds


def _seconds_since_marked(process: Process, entry: Entry) -> tuple[float, float]:
    zinc = process.times.zinc()
    ours = 0.0 if entry.first_sent_at is None else process.times.clock() - entry.first_sent_at
    return ours, 0.0 if zinc is None or entry.zinc_at is None else zinc - entry.zinc_at


async def _marked_again(process: Process, attempt: Attempt, rail: Rail) -> bool:
    """Mark an unanswered entry for sending the same bytes again, if a call still waits and it is allowed."""
    try:
        if not attempt.wanted or not await may_repeat(process, attempt.entry, rail):
            return False
        attempt.entry = await _marked(process, attempt.entry, "sending the same bytes again")
    except (RefusedError, JournalError):
        return False  # the first attempt's doubt stands
    return True


async def await_attempt(attempt: Attempt, deadline: float, *, earlier: bool) -> Answer:
    """Wait for an attempt of this process until the deadline, and return the order as it is then.

    Raises:
        ZincMcpError: the error with which the attempt ended.
    """
    attempt.wanted += 1
    try:
        with anyio.move_on_after(max(0.0, deadline - time.monotonic())):
            await attempt.done.wait()
    finally:
        attempt.wanted -= 1
    if attempt.error is not None:
        raise attempt.error
    return Answer(attempt.entry, attempt.order, earlier=earlier)


async def wait_until_sent(process: Process) -> None:
    """Wait until no attempt is under way any more. The time of each is bounded, so the time of this wait is too."""
    while process.attempts:
        await next(iter(process.attempts.values())).done.wait()
