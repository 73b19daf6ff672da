"""Questions to Zinc that cost a cent each with a live key: paid once, and the answers are remembered.

With a live key each one is an entry of its own kind. It is reserved under the caller's limits and under the owner's
`max_lookups_day`, settled by Zinc's answer, and remembered for ten minutes by every process on the journal. A question
without an answer counts as paid, and is not asked again in that time. Test keys and the sandbox pay nothing, so nothing
is written down for them.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from zinc_mcp.errors import RefusedError, UnreadableAnswerError, ZincMcpError
from zinc_mcp.find.asking import ask_free_of_cost, begin, lease_seconds
from zinc_mcp.find.failures import slow
from zinc_mcp.find.question import REMEMBERED_SECONDS, Found, draft_of
from zinc_mcp.find.remembered import await_answer
from zinc_mcp.journal.records.entry import Entry, State
from zinc_mcp.owner.kept_settings import step_to_get_a_key
from zinc_mcp.owner.objection import limits_of
from zinc_mcp.owner.policy import Policy
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail
from zinc_mcp.zinc.find.products import A, DataCall


def rail_to_ask(process: Process, policy: Policy) -> Rail:
    """Return the way to ask questions about products: by the API key, else by the payment wallet.

    Raises:
        RefusedError: `account_not_configured`, `not_allowed`.
    """
    usable = [rail for name, rail in process.rails.items() if name not in process.unusable and rail.on_v1 is None]
    if not usable:
        raise RefusedError(
            "Neither a Zinc API key nor a usable payment wallet is configured, so Zinc cannot be asked about products.",
            f"Tell the user to {step_to_get_a_key(process.settings)}.",
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
    seconds: float | None = None,
    forgets_refusals: bool = True,
) -> list[Found[Any] | ZincMcpError]:
    """Ask Zinc several different questions at once; return for each its answer, or the reason why there is none.

    Args:
        process: the process.
        caller: the one whose limits count.
        rail: the way to ask.
        policy: the owner's policy.
        calls: the questions.
        seconds: the longest time to wait for all of them, if not the usual one. Zinc may take as long as for an
            order, and the answer is then kept for a later call.
        forgets_refusals: whether a question that Zinc refused, which cost nothing, may be asked again at once.
    """
    seconds = process.clocks.look_up_seconds if seconds is None else seconds
    if rail.mode != "live" and rail.paying is None:
        late = UnreadableAnswerError("Zinc did not answer in time.")
        return await _all_at_once([_Job(partial(ask_free_of_cost, rail, call), late) for call in calls], seconds)
    try:
        opened = await _opened(process, caller, rail, policy, calls, forgets_refusals)
    except ZincMcpError as error:
        return [error] * len(calls)
    jobs = [
        _job(process, rail, call, entry, is_new=is_new)
        for call, (entry, is_new) in zip(calls, opened, strict=True)
    ]  # fmt: skip
    return await _all_at_once(jobs, seconds)


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


@dataclass(frozen=True, slots=True)
class _Job:
    """The work for one question, and the error if it is not done in time."""

    run: Callable[[], Coroutine[Any, Any, Found[Any]]]
    late: ZincMcpError


def _job(process: Process, rail: Rail, call: DataCall[Any], entry: Entry | RefusedError, *, is_new: bool) -> _Job:
    late = slow(is_new=is_new)
    if isinstance(entry, RefusedError):
        return _Job(partial(_failing, entry), late)
    asked = partial(begin, process, rail, call, entry) if is_new else partial(await_answer, process, call, entry)
    return _Job(asked, late)


async def _opened(
    process: Process,
    caller: str,
    rail: Rail,
    policy: Policy,
    calls: Sequence[DataCall[Any]],
    forgets_refusals: bool,
) -> list[tuple[Entry | RefusedError, bool]]:
    role = process.role_of(caller)
    drafts = [draft_of(caller, role, rail, call) for call in calls]
    limits, own_policy = limits_of(policy, caller, role).of_money, process.own_policy(policy)
    forgotten: frozenset[State] = frozenset({"refused", "rejected"} if forgets_refusals else {"refused"})
    return await process.journal.run(
        lambda journal: journal.open_look_ups(
            drafts,
            limits,
            owner=process.owner,
            lease_seconds=lease_seconds(process, rail),
            budget_cents=policy.max_lookups_day,
            remembered_seconds=REMEMBERED_SECONDS,
            forgotten=forgotten,
            own_policy=own_policy,
        )
    )


async def _failing(entry: RefusedError) -> Found[Any]:
    raise entry


async def _all_at_once(jobs: Sequence[_Job], seconds: float) -> list[Found[Any] | ZincMcpError]:
    found: dict[int, Found[Any] | ZincMcpError] = {}

    async def run(number: int, job: _Job) -> None:
        try:
            found[number] = await job.run()
        except ZincMcpError as error:
            found[number] = error

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            for number, job in enumerate(jobs):
                tasks.start_soon(run, number, job)
    return [found.get(number, job.late) for number, job in enumerate(jobs)]
