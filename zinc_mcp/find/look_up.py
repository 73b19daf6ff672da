"""A question to Zinc that costs a cent with a live key: it is paid once, and its answer is remembered.

With a live key each one is an entry of its own kind. It is reserved under the caller's limits and under the owner's
`max_lookups_day`, settled by Zinc's answer, and remembered for ten minutes by every process on the journal. A question
without an answer counts as paid, and is not asked again in that time. Test keys and the sandbox pay nothing, so nothing
is written down for them.
"""

import hashlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic

import anyio

from zinc_mcp.errors import (
    JournalError,
    OrderRejectedError,
    RefusedError,
    UnreadableAnswerError,
    ZincMcpError,
    ZincUnreachableError,
)
from zinc_mcp.journal.clocks import FREE
from zinc_mcp.journal.entry import Draft, Entry, StaleEntryError, State
from zinc_mcp.owner.kept_settings import how_to_get_a_key
from zinc_mcp.owner.objection import limits_of
from zinc_mcp.owner.policy import Policy
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail
from zinc_mcp.spending.pay_for_answer import pay_for_answer, seconds_to_pay
from zinc_mcp.text import printed
from zinc_mcp.zinc.client import READ_SECONDS
from zinc_mcp.zinc.orders import canonical
from zinc_mcp.zinc.products import LOOK_UP_CENTS, A, DataCall, Looked, kept

logger = logging.getLogger(__name__)

LOOK_UP_SECONDS = 15.0
"""The longest time for questions that a caller waits for."""
REMEMBERED_SECONDS = 600.0
MOST_KEPT_BYTES = 512 * 1024
"""The largest answer that is remembered: more than any that is read."""

_EMPTY_BALANCE = "insufficient_funds"


@dataclass(frozen=True, slots=True)
class Found(Generic[A]):
    """Zinc's answer, and what it cost this time."""

    answer: A
    cost_cents: int
    age_seconds: float | None = None
    """How long ago it was asked, if the answer was remembered."""


def rail_to_ask(process: Process, policy: Policy) -> Rail:
    """Return the way to ask questions about products: by the API key, else by the payment wallet.

    Raises:
        RefusedError: `account_not_configured`, `not_allowed`.
    """
    usable = [rail for name, rail in process.rails.items() if name not in process.unusable]
    if not usable:
        raise RefusedError(
            "Neither a Zinc API key nor a usable payment wallet is configured, so Zinc cannot be asked about products.",
            f"Tell the user to {how_to_get_a_key(process.settings)}.",
            code="account_not_configured",
        )
    allowed = [rail for rail in usable if policy.rails is None or rail.name in policy.rails]
    if not allowed:
        raise RefusedError(
            "The owner's policy allows no way to pay for questions about products.",
            "Tell the user (`rails` in zinc.toml).",
        )
    return min(allowed, key=lambda rail: rail.paying is not None)


async def look_up(
    process: Process,
    caller: str,
    rail: Rail,
    policy: Policy,
    calls: Sequence[DataCall[Any]],
    *,
    seconds: float = LOOK_UP_SECONDS,
    forgets_refusals: bool = True,
) -> list[Found[Any] | ZincMcpError]:
    """Ask Zinc several different questions at once; return for each its answer, or the reason why there is none.

    Args:
        process: the process.
        caller: whose limits count.
        rail: the way to ask.
        policy: the owner's policy.
        calls: the questions.
        seconds: the longest time to wait for all of them.
        forgets_refusals: whether a question that Zinc refused, which cost nothing, may be asked again at once.
    """
    if rail.mode != "live" and rail.paying is None:
        slow = UnreadableAnswerError("Zinc did not answer in time.", "Call again in a minute.")
        return await _all_at_once([partial(_asked_for_nothing, rail, call) for call in calls], seconds, slow)
    try:
        opened = await _opened(process, caller, rail, policy, calls, forgets_refusals)
    except ZincMcpError as error:
        return [error] * len(calls)
    slow = UnreadableAnswerError(
        f"Zinc's answer takes longer. It counts as paid ({printed(LOOK_UP_CENTS)}).",
        "Call again in a minute with the same arguments: it is not paid for twice.",
        facts={"cost_cents": LOOK_UP_CENTS},
    )
    return await _all_at_once(
        [
            partial(_failing, entry)
            if isinstance(entry, RefusedError)
            else partial(_begun if is_new else _remembered, process, rail, call, entry)
            for call, (entry, is_new) in zip(calls, opened, strict=True)
        ],
        seconds,
        slow,
    )


async def look_up_one(process: Process, caller: str, rail: Rail, policy: Policy, call: DataCall[A]) -> Found[A]:
    """Ask Zinc one question, or remember its answer.

    Raises:
        RefusedError: `limit_exceeded`, `paused`; nothing was asked.
        ZincUnreachableError: nothing was asked.
        OrderRejectedError: Zinc refused to answer, which costs nothing.
        UnreadableAnswerError: it was asked and not answered, now or some minutes ago, which counts as paid.
        JournalError: the journal failed; nothing was asked.
    """
    [found] = await look_up(process, caller, rail, policy, [call])
    if isinstance(found, ZincMcpError):
        raise found
    return found


async def _opened(
    process: Process,
    caller: str,
    rail: Rail,
    policy: Policy,
    calls: Sequence[DataCall[Any]],
    forgets_refusals: bool,
) -> list[tuple[Entry | RefusedError, bool]]:
    drafts = [_draft(caller, rail, call) for call in calls]
    limits = replace(limits_of(policy), orders_day=None, unproved_cents=None)  # a look-up is no order
    forgotten: frozenset[State] = frozenset({"refused", "rejected"} if forgets_refusals else {"refused"})
    return await process.journal.run(
        lambda journal: journal.open_look_ups(
            drafts,
            limits,
            owner=process.owner,
            lease_seconds=READ_SECONDS + process.clocks.lease_margin
            if rail.paying is None
            else seconds_to_pay(process, rail.paying),
            budget_cents=policy.max_lookups_day,
            remembered_seconds=REMEMBERED_SECONDS,
            forgotten=forgotten,
        )
    )


async def _asked_for_nothing(rail: Rail, call: DataCall[Any]) -> Found[Any]:
    try:
        return Found(await rail.look_up(call), 0)
    except OrderRejectedError as error:
        raise _refused(error) from error
    except UnreadableAnswerError as error:
        raise UnreadableAnswerError(error.summary, "Call again in a minute.") from error


async def _begun(process: Process, rail: Rail, call: DataCall[Any], entry: Entry) -> Found[Any]:
    """Ask Zinc in a task of the process: what is paid for is not lost when the caller stops waiting."""
    ended, outcome = anyio.Event(), list[Found[Any] | ZincMcpError]()

    async def run() -> None:
        try:
            outcome.append(await _asked(process, rail, call, entry))
        except ZincMcpError as error:
            outcome.append(error)
        except Exception as error:  # it must not end the process
            logger.error("a question about products failed (%s)", type(error).__name__)
            outcome.append(_unanswered("Something unexpected went wrong.", REMEMBERED_SECONDS, LOOK_UP_CENTS))
        finally:
            ended.set()

    process.tasks.start_soon(run)
    await ended.wait()
    found = outcome[0] if outcome else _unanswered("This process is ending.", REMEMBERED_SECONDS, LOOK_UP_CENTS)
    if isinstance(found, ZincMcpError):
        raise found
    return found


async def _asked(process: Process, rail: Rail, call: DataCall[Any], entry: Entry) -> Found[Any]:
    """Ask Zinc, and settle what it cost."""
    # A wallet may have paid for nothing: that is in doubt, and no proof of it is looked for.
    state: State = "failed" if rail.paying is None else "unknown"
    what, cost, known = "no answer: it may have cost", LOOK_UP_CENTS, dict[str, Any]()
    try:
        if rail.paying is None:
            answer, paid_cents = await rail.look_up(call), LOOK_UP_CENTS
        else:
            answer, paid_cents = await pay_for_answer(process, rail.paying, entry, call)
        state, what, cost, known = "placed", "looked up", paid_cents, _kept(answer)
        return Found(answer, paid_cents)
    except ZincUnreachableError:
        state, what, cost = "refused", "no connection: nothing was asked", 0
        raise
    except RefusedError as error:
        state, what, cost = "refused", f"not paid: {error.code}", 0
        raise
    except OrderRejectedError as error:  # only a successful call costs (SDK 2026.9.18)
        state, what, cost = "rejected", f"Zinc says no: {error.zinc_code}", 0
        raise _refused(error) from error
    except UnreadableAnswerError as error:
        raise _unanswered(error.summary, REMEMBERED_SECONDS, LOOK_UP_CENTS) from error
    finally:
        with anyio.CancelScope(shield=True):
            changes: dict[str, Any] = {
                "spent_cents": cost,
                "counts_cents": cost,
                "facts": {**entry.facts, **known},
                **FREE,
            }
            if rail.paying is not None and cost:
                changes["authorised_cents"] = cost
            try:
                if rail.paying is not None:
                    entry = await process.journal.read(entry.id)  # paying has moved it on
                await process.journal.move(entry, state, what, **changes)
            except (JournalError, StaleEntryError):
                pass  # its reservation stands, so it counts as paid and is not asked again


async def _remembered(process: Process, rail: Rail, call: DataCall[Any], entry: Entry) -> Found[Any]:
    """Return the answer to the same question, which was asked before or is being asked by somebody else."""
    while entry.state == "sending" and process.leases.is_held(entry):
        await anyio.sleep(process.clocks.peek)
        entry = await process.journal.read(entry.id)
    age = max(0.0, process.times.clock() - entry.opened_at)
    content = entry.facts.get("answer")
    if content is None:
        if entry.state == "rejected":
            raise UnreadableAnswerError("Zinc refused the same question some minutes ago.", "Ask something else.")
        if entry.state == "refused":
            raise ZincUnreachableError("The same question was being asked by another call, and was not sent.")
        raise _unanswered("Zinc did not answer the same question some minutes ago.", REMEMBERED_SECONDS - age, 0)
    return Found(call.read(content), 0, age)


async def _failing(entry: RefusedError) -> Found[Any]:
    raise entry


async def _all_at_once(
    jobs: Sequence[Callable[[], Coroutine[Any, Any, Found[Any]]]], seconds: float, slow: ZincMcpError
) -> list[Found[Any] | ZincMcpError]:
    found: dict[int, Found[Any] | ZincMcpError] = {}

    async def run(number: int, job: Callable[[], Coroutine[Any, Any, Found[Any]]]) -> None:
        try:
            found[number] = await job()
        except ZincMcpError as error:
            found[number] = error

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            for number, job in enumerate(jobs):
                tasks.start_soon(run, number, job)
    return [found.get(number, slow) for number in range(len(jobs))]


def _unanswered(happened: str, left_seconds: float, cost_cents: int) -> UnreadableAnswerError:
    """Return the error for a question that was asked and not answered; `cost_cents` is what it cost this time."""
    minutes = max(1, round(left_seconds / 60))
    return UnreadableAnswerError(
        happened,
        f"It counts as paid ({printed(LOOK_UP_CENTS)}) and is not asked again for {minutes} "
        f"minute{'' if minutes == 1 else 's'}; go on without it, or ask again after that.",
        facts={"cost_cents": cost_cents},
    )


def _refused(error: OrderRejectedError) -> OrderRejectedError:
    """Return the error for a question that Zinc refused, with what it means for a question about products."""
    sentence, next_step = error.summary, error.next_step
    if error.status == 402 or error.zinc_code == _EMPTY_BALANCE:
        sentence = "The Zinc balance is too small even for this question; it was not asked and cost nothing."
        next_step = "Tell the user to top up the Zinc balance."
    elif error.status == 404:
        sentence, next_step = "Zinc knows no such product. That cost nothing.", "Find it with search_products."
    elif error.zinc_code == "validation_error" or error.status in (400, 422):
        sentence = f"Zinc does not take this question (HTTP {error.status}). That cost nothing."
        next_step = "Change the question, such as its retailers, or go on without it."
    return OrderRejectedError(
        sentence,
        next_step,
        status=error.status,
        zinc_code=error.zinc_code,
        facts={name: fact for name, fact in error.facts.items() if name == "zinc_message"},
        problems=error.problems,
    )


def _kept(answer: Looked) -> dict[str, Any]:
    content = kept(answer)
    return {"answer": content} if len(canonical(content).encode()) <= MOST_KEPT_BYTES else {}


def _draft(caller: str, rail: Rail, call: DataCall[Any]) -> Draft:
    asked = canonical(["look_up", rail.origin, call.path, call.parameters]).encode()
    digest = hashlib.sha256(asked).hexdigest()[:40]
    return Draft(
        caller=caller,
        mode=rail.mode,
        origin=rail.origin,
        account=rail.account,
        rail=rail.name,
        twin=digest,
        body_digest=digest,
        given_key=None,
        to_bytes=lambda key: asked,
        ceiling_cents=LOOK_UP_CENTS,
        fee_cents=0,
        facts={"path": call.path},
        kind="look_up",
    )
