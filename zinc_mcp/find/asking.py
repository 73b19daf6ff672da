"""Asks Zinc one question about products once, and writes down its cost."""

import logging
from typing import Any

import anyio

from zinc_mcp.errors import (
    JournalError,
    OrderRejectedError,
    RefusedError,
    UnreadableAnswerError,
    ZincMcpError,
    ZincUnreachableError,
)
from zinc_mcp.find.failures import refused, unanswered
from zinc_mcp.find.question import Found, kept_facts
from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.entry import Entry, StaleEntryError, State
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail
from zinc_mcp.spending.pay_for_answer import pay_for_answer, seconds_to_pay
from zinc_mcp.zinc.find.products import LOOK_UP_CENTS, DataCall

logger = logging.getLogger(__name__)


def lease_seconds(process: Process, rail: Rail) -> float:
    """Return the longest time, in seconds, that one question may take."""
    if rail.paying is not None:
        return seconds_to_pay(process, rail.paying)
    return process.clocks.wire_seconds + process.clocks.lease_margin_seconds


async def ask_free_of_cost(rail: Rail, call: DataCall[Any]) -> Found[Any]:
    """Ask a question that costs nothing, so that nothing is written down.

    Raises:
        ZincUnreachableError, OrderRejectedError, UnreadableAnswerError: there is no answer.
    """
    try:
        return Found(await rail.look_up(call), 0)
    except OrderRejectedError as error:
        raise refused(call, error) from error


async def begin(process: Process, rail: Rail, call: DataCall[Any], entry: Entry) -> Found[Any]:
    """Ask Zinc in a task of the process, so that an answer that is paid for is kept if the caller stops waiting.

    Raises:
        ZincMcpError: there is no answer; see `look_up.look_up_one`.
    """
    ended, outcome = anyio.Event(), list[Found[Any] | ZincMcpError]()

    async def run() -> None:
        try:
            outcome.append(await _asked(process, rail, call, entry))
        except ZincMcpError as error:
            outcome.append(error)
        except Exception as error:  # it must not end the process
            logger.error("a question about products failed (%s)", type(error).__name__)
            outcome.append(unanswered("Something unexpected went wrong."))
        finally:
            ended.set()

    process.tasks.start_soon(run)
    await ended.wait()
    found = outcome[0] if outcome else unanswered("This process is ending.")
    if isinstance(found, ZincMcpError):
        raise found
    return found


async def _asked(process: Process, rail: Rail, call: DataCall[Any], entry: Entry) -> Found[Any]:
    """Ask Zinc, and settle the cost."""
    # A wallet may have paid without an answer. Nobody looks for a proof of that, so the entry stays in doubt.
    state: State = "failed" if rail.paying is None else "unknown"
    what, cost, known = "no answer: it may have cost", LOOK_UP_CENTS, dict[str, Any]()
    try:
        process.checkpoint("opened")
        if rail.paying is None:
            answer, paid_cents = await rail.look_up(call), LOOK_UP_CENTS
        else:
            answer, paid_cents = await pay_for_answer(process, rail.paying, entry, call)
        process.checkpoint("answered")
        state, what, cost, known = "placed", "looked up", paid_cents, dict(kept_facts(answer))
        return Found(answer, paid_cents)
    except ZincUnreachableError:
        state, what, cost = "refused", "no connection: nothing was asked", 0
        raise
    except RefusedError as error:
        state, what, cost = "refused", f"not paid: {error.code}", 0
        raise
    except OrderRejectedError as error:  # only a successful call costs (SDK 2026.9.18)
        state, what, cost = "rejected", f"Zinc says no: {error.zinc_code}", 0
        raise refused(call, error) from error
    except UnreadableAnswerError as error:
        raise unanswered(error.summary) from error
    finally:
        with anyio.CancelScope(shield=True):
            await _write_down(process, rail, entry, state, what, cost, known)


async def _write_down(
    process: Process, rail: Rail, entry: Entry, state: State, what: str, cost: int, known: dict[str, Any]
) -> None:
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
