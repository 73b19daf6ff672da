"""Sending: the exact bytes of an entry on the wire, in a task of the process, and what the answer proves."""

import logging
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup

from zinc_mcp.errors import (
    JournalError,
    OrderAlreadyExistsError,
    OrderOutcomeUnknownError,
    OrderRejectedError,
    RefusedError,
    ZincMcpError,
    ZincUnreachableError,
)
from zinc_mcp.ordering.entry import DOUBTFUL, Entry, StaleEntryError
from zinc_mcp.ordering.lease import FREE
from zinc_mcp.ordering.paying import Payer
from zinc_mcp.ordering.rail import LeaseOverError, Rail, is_paying
from zinc_mcp.ordering.reconcile import Reconciler, is_ours
from zinc_mcp.ordering.same_order import is_answered_wrongly, told_loudly
from zinc_mcp.ordering.settling import Attempt, Settling
from zinc_mcp.ordering.times import APART_SECONDS

logger = logging.getLogger(__name__)


class Sender:
    """Sends entries, each by at most one task of this process at a time."""

    def __init__(self, settling: Settling, reconciler: Reconciler, tasks: TaskGroup) -> None:
        self._settling = settling
        self._payer = Payer(settling)
        self._reconciler = reconciler
        self._tasks = tasks
        self._writer = settling.writer
        self._clocks = settling.clocks
        self._clock = settling.clock
        self._checkpoint = settling.checkpoint
        self._attempts: dict[int, Attempt] = {}

    def running(self, entry: Entry) -> Attempt | None:
        """Return the attempt of this process at an entry, if there is one."""
        return self._attempts.get(entry.id)

    async def drained(self) -> None:
        """Wait until nothing is on the wire any more. Each attempt is bounded, so this is."""
        while self._attempts:
            await next(iter(self._attempts.values())).done.wait()

    async def start(self, entry: Entry, rail: Rail, *, what: str = "sending", **changes: Any) -> Attempt:
        """Make sending durable, then send in a task of the process.

        Raises:
            StaleEntryError: somebody else moved the entry first.
            RefusedError: `paused`.
            JournalError: it could not be made durable, so this attempt sends nothing.
        """
        attempt = Attempt(entry, left=entry.state in DOUBTFUL)
        with anyio.CancelScope(shield=True):
            if is_paying(rail) and entry.state == "waiting":
                attempt.entry = await self._payer.marked(entry, rail, **changes)
            else:
                attempt.entry = await self._marked(entry, what, **changes)
            self._begin(attempt, rail)
        return attempt

    def first_marks(self, counted_at: float = 0.0) -> dict[str, Any]:
        """Return what changes in an entry that is going to be sent for the first time."""
        times, zinc = self._settling.times, self._settling.times.zinc()
        stamps = {"first_sent_at": self._clock(), "counted_at": max(times.latest(), counted_at)}
        return {"attempts": 1, **stamps, **({} if zinc is None else {"zinc_at": zinc}), **self._marks()}

    def send_marked(self, entry: Entry, rail: Rail) -> Attempt:
        """Send an entry whose first sending was made durable with its opening, in a task of the process."""
        self._checkpoint("sending")
        attempt = Attempt(entry)
        self._begin(attempt, rail)
        return attempt

    def _begin(self, attempt: Attempt, rail: Rail) -> None:
        self._attempts[attempt.entry.id] = attempt
        self._tasks.start_soon(self._carry, attempt, rail, name=f"sending {attempt.entry.key}")

    async def may_repeat(self, entry: Entry, rail: Rail) -> bool:
        """Say whether identical bytes may go again: same origin and key, soon after the first time, body still here."""
        return (
            is_ours(entry, rail)
            and entry.body is not None
            and not is_answered_wrongly(entry)
            and self._is_recent(entry)
            and (not is_paying(rail) or await self._payer.may_repeat(entry))
        )

    def _is_recent(self, entry: Entry) -> bool:
        """Say whether an entry was first sent a short while ago, by our clock and by Zinc's."""
        if entry.first_sent_at is None:
            return False
        ours, zinc = self._clock() - entry.first_sent_at, self._settling.times.zinc()
        theirs = 0.0 if zinc is None or entry.zinc_at is None else zinc - entry.zinc_at
        return 0 <= ours <= self._clocks.repeat and -APART_SECONDS <= theirs <= self._clocks.repeat

    def _marks(self) -> dict[str, Any]:
        return self._settling.about_to_send(self._clocks.wire + self._clocks.lease_margin)

    async def _marked(self, entry: Entry, what: str, **changes: Any) -> Entry:
        marks = self.first_marks(entry.counted_at) if entry.first_sent_at is None else self._marks()
        marks |= {"attempts": entry.attempts + 1, **changes}
        marked = await self._writer.move(entry, "sending", what, admission=self._settling.admission, **marks)
        self._checkpoint("sending")
        return marked

    async def _carry(self, attempt: Attempt, rail: Rail) -> None:
        try:
            with anyio.CancelScope(shield=True):
                if is_paying(rail) and not await self._payer.paid(attempt, rail):
                    return
                await self._send(attempt, rail)
                if attempt.entry.state == "unknown" and await self._marked_again(attempt, rail):
                    await self._send(attempt, rail)
                if attempt.entry.state == "unknown" and is_paying(rail):
                    await self._payer.prove(attempt, rail)
                if attempt.entry.state == "unknown":
                    await self._settling.settle(attempt, "unknown", "left in doubt", **FREE)
        except JournalError as error:
            attempt.error = self._told(attempt, error)
            with suppress(JournalError):  # whatever was marked and never sent is freed with the next work that succeeds
                await self._writer.run(lambda journal: None)
        except ZincMcpError as error:
            attempt.error = error
        except StaleEntryError as stale:
            attempt.entry = stale.current
        except Exception:
            # A crash of ours after the wire must not take the process down with other orders in flight; the entry
            # stays as the journal has it, in doubt, and every waiting call is told so.
            logger.exception("sending %s crashed", attempt.entry.key)
            attempt.error = OrderOutcomeUnknownError(
                "Something failed while the order was being sent; it may have been placed.",
                facts={"key": attempt.entry.key},
            )
        finally:
            self._attempts.pop(attempt.entry.id, None)
            attempt.done.set()

    def _told(self, attempt: Attempt, error: JournalError) -> JournalError:
        return error.in_doubt("The order was sent", attempt.entry.key) if attempt.left else error.before_sending()

    async def _send(self, attempt: Attempt, rail: Rail) -> None:
        if is_paying(rail):
            await self._payer.send(attempt, rail)
            return
        while await self._held(attempt):
            with suppress(LeaseOverError):
                await self._send_by_account(attempt, rail)
                return

    async def _held(self, attempt: Attempt) -> bool:
        """Say whether an entry is in our hands for one more request; if not, what became of it is written down."""
        try:
            await self._settling.hold(attempt, self._clocks.wire)
        except StaleEntryError as stale:
            if attempt.left:
                raise
            await self._settling.never_left(attempt, stale.current)
            return False
        except RefusedError as error:  # paused while we stood still
            if attempt.left:
                await self._settling.doubted(attempt, "paused before the repeat")
            else:
                await self._settling.ended(attempt, "refused", "paused before sending", error)
            return False
        return True

    async def _send_by_account(self, attempt: Attempt, rail: Rail) -> None:
        entry = attempt.entry
        if entry.body is None:
            raise RefusedError("The order's content was purged, so it cannot be sent.")
        first = entry.attempts == 1
        attempt.error = None
        try:
            answer = await rail.send(entry.body, partial(self._settling.leaving, attempt))
            order = await self._settling.as_answer(answer, entry)
        except OrderAlreadyExistsError as error:
            self._checkpoint("answered")
            await self._landed(attempt, rail, error)
            return
        except ZincUnreachableError as error:
            if first:
                await self._settling.ended(attempt, "refused", "no connection: nothing was sent", error)
            else:
                await self._settling.doubted(attempt, "no connection for the repeat")
            return
        except OrderRejectedError as error:
            self._checkpoint("answered")
            if first:
                error.facts["key"] = entry.key
                await self._settling.ended(attempt, "rejected", f"Zinc rejected it: {error.zinc_code}", error)
            else:
                # The first attempt may be the reason for it (a used key, a drained balance): it proves nothing.
                await self._settling.doubted(attempt, f"a repeat was rejected: {error.zinc_code}")
            return
        except OrderOutcomeUnknownError as error:
            self._checkpoint("answered")
            await self._settling.doubted(attempt, f"no answer: {error.facts.get('reason')}", **told_loudly(error))
            await self._found(attempt, rail)
            return
        self._checkpoint("answered")
        await self._settling.accepted(attempt, rail, order, "accepted by Zinc")

    async def _landed(self, attempt: Attempt, rail: Rail, error: OrderAlreadyExistsError) -> None:
        await self._settling.doubted(attempt, "Zinc has had this key before")
        await self._found(attempt, rail, error)

    async def _found(self, attempt: Attempt, rail: Rail, error: OrderAlreadyExistsError | None = None) -> None:
        try:
            order = await self._reconciler.find_landed(attempt.entry, rail, error.identifiers if error else ())
        except ZincMcpError as trouble:
            logger.info("the look-up after a lost answer failed: %s", trouble.code)
            return
        if order is not None:
            await self._settling.accepted(attempt, rail, order, "found at Zinc")

    async def _marked_again(self, attempt: Attempt, rail: Rail) -> bool:
        """Mark an unanswered entry for one more sending of the same bytes, if that is still wanted and allowed."""
        try:
            if not attempt.wanted or not await self.may_repeat(attempt.entry, rail):
                return False
            attempt.entry = await self._marked(attempt.entry, "sending the same bytes again")
        except (RefusedError, JournalError):
            return False  # the first attempt's doubt stands
        return True
