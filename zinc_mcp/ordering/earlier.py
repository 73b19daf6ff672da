"""An earlier order for the same intention: waited for, brought up to date, and taken for the answer while it stands."""

import hashlib
import re
import time
from dataclasses import dataclass

import anyio

from zinc_mcp.api.responses import Order
from zinc_mcp.errors import JournalError, RefusedError, ZincMcpError
from zinc_mcp.ordering.approval import ago, question_of
from zinc_mcp.ordering.entry import FOREVER, STANDING, Draft, Entry, StaleEntryError, Standing
from zinc_mcp.ordering.rail import Rail
from zinc_mcp.ordering.settling import Attempt
from zinc_mcp.ordering.twin import KEY_FIELD, TWIN_FIELD
from zinc_mcp.ordering.workings import Workings

_KEY = re.compile("[!-~]{1,36}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an intention, as far as is known now."""

    entry: Entry | None
    """None only for an order that was not placed through this journal."""
    order: Order | None = None
    """As Zinc showed it during this call, if it was read."""
    earlier: bool = False
    """An earlier order is the answer: this call bought nothing new."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """An earlier order that stands, and that could be bought again if a person or the policy says so."""

    twin: Entry


class Earlier:
    """Deals with the order that is in the way of a new one."""

    def __init__(self, workings: Workings) -> None:
        self._workings = workings
        self._journal_is_old = False

    async def answer(self, standing: Standing, draft: Draft, deadline: float) -> Answer | Repeat | None:
        """Return the answer that an earlier order is, or None when it turns out not to stand: then open anew.

        Raises:
            ZincMcpError: what an attempt of this process at it ended with.
            JournalError: the journal failed while that order is in doubt.
        """
        twin = standing.entry
        try:
            return await self._answer(standing, draft, deadline)
        except JournalError as error:
            known = self._workings.reconciler.unwritten.known(twin.id)
            if known is not None:
                return Answer(known.entry, known.order, earlier=True)
            if error.is_told or twin.state in FOREVER:
                raise error.in_doubt("The same order was sent before", twin.key, order_id=twin.order_id) from error
            return Answer(twin, earlier=True)

    async def _answer(self, standing: Standing, draft: Draft, deadline: float) -> Answer | Repeat | None:
        workings = self._workings
        twin = standing.entry
        if await workings.reconciler.clear_abandoned(twin):
            return None
        attempt = workings.sender.running(twin)
        if attempt is not None:
            return await self.outcome(attempt, deadline, earlier=True)
        twin = await self.moved_elsewhere(await workings.reread(twin), deadline)
        rail = workings.rails.get(twin.rail)  # which need not be the one that the new call would pay by
        order = None
        if rail is not None:
            twin, order = await workings.refreshed(twin, rail)
        if twin.state == "unknown":
            answer = await self._doubted(twin, rail, deadline)
            if answer is not None:
                return answer
            twin = await workings.reread(twin)
        if twin.state not in STANDING:
            return None
        if twin.state in FOREVER or twin.state == "waiting":
            return Answer(twin, order, earlier=True)
        age = workings.times.earliest() - max(twin.opened_at, twin.zinc_at or 0.0)
        if standing.same_key or twin.body_digest == draft.body_digest or age < workings.clocks.repeat:
            return Answer(twin, order, earlier=True)
        return Repeat(twin)

    async def despite(self, error: JournalError, draft: Draft) -> Answer:
        """Return the earlier order for the same, as far as this process or a journal that can only be read knows it.

        Raises:
            JournalError: `error` with its consequence: nothing was sent, or the earlier order is in doubt.
        """
        workings = self._workings
        known = workings.reconciler.unwritten.twin_of(draft)
        if known is not None:
            return Answer(known.entry, known.order, earlier=True)
        try:
            twin = await workings.writer.run(lambda journal: journal.standing_twin(draft, workings.clocks.twin))
        except JournalError:
            twin = None
        if twin is None or (twin.state == "waiting" and twin.lease_owner == workings.owner):  # this call's own
            raise error.before_sending() from error
        if twin.state in FOREVER:
            raise error.in_doubt("The same order was sent before", twin.key, order_id=twin.order_id) from error
        return Answer(twin, earlier=True)

    async def outcome(self, attempt: Attempt, deadline: float, *, earlier: bool) -> Answer:
        """Wait for an attempt of this process until the deadline, and say how it stands.

        Raises:
            ZincMcpError: what the attempt ended with.
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

    async def moved_elsewhere(self, entry: Entry, deadline: float) -> Entry:
        """Wait while another process opens or sends an entry, until it has moved on or time is up."""
        workings = self._workings
        while (
            entry.state in ("waiting", "signing", "sending")
            and workings.leases.is_held(entry)
            and time.monotonic() < deadline
        ):
            await anyio.sleep(workings.clocks.peek)
            entry = await workings.reread(entry)
        return entry

    async def decided(self, entry: Entry, deadline: float) -> Entry:
        """Wait until a person has decided about an entry, here or anywhere, or time is up."""
        workings = self._workings
        while question_of(entry) is not None and time.monotonic() < deadline:
            await anyio.sleep(workings.clocks.peek)
            entry = await workings.reread(entry)
        return entry

    def possible_duplicate(self, twin: Entry) -> RefusedError:
        """Return the refusal of a second purchase that nobody is there to say yes to."""
        return RefusedError(
            f"The same goods were ordered for the same address {ago(self._workings.clock() - twin.opened_at)}, so "
            "nothing new was sent.",
            "If the user really wants them a second time, tell them that the policy must allow it (repeat), or wait "
            "until the earlier order is a day old. Otherwise look up the earlier order with get_order.",
            code="possible_duplicate",
            facts={"key": twin.key, "order_id": twin.order_id, "earlier_outcome": twin.state},
        )

    async def make_room(self, draft: Draft) -> None:
        """Before a full limit refuses, ask Zinc what became of the orders that fill it."""
        workings = self._workings
        entries = await workings.writer.run(
            lambda journal: journal.unfinished(mode=draft.mode, caller=draft.caller, limit=20)
        )
        async with anyio.create_task_group() as tasks:
            for entry in entries:
                rail = workings.rails.get(entry.rail)
                if entry.state == "waiting":
                    await workings.reconciler.clear_abandoned(entry)
                elif rail is not None:
                    tasks.start_soon(workings.refreshed, entry, rail)

    async def adopt_listed(self, draft: Draft, rail: Rail) -> None:
        """While the journal is younger than the window, take over what Zinc lists for this twin.

        It may be young because the one before it was lost.
        """
        workings = self._workings
        if self._journal_is_old:
            return
        age = await workings.writer.run(lambda journal: journal.age_seconds())
        if age > workings.clocks.twin:
            self._journal_is_old = True
            return
        if await workings.writer.run(lambda journal: journal.knows_twin(draft)):
            return
        try:
            with anyio.fail_after(workings.clocks.refresh):
                listed = await rail.find(TWIN_FIELD, draft.twin)
        except (ZincMcpError, TimeoutError):
            return  # a derived key still meets its first use at Zinc
        for order in listed:
            await self._adopt(draft, order)

    async def _adopt(self, draft: Draft, order: Order) -> None:
        now = self._workings.times.earliest()
        created = order.created_at.timestamp() if order.created_at is not None else now
        if order.stage in ("accepted", "placed") and now - created < self._workings.clocks.twin:
            key = _key_of(order)
            await self._workings.writer.run(lambda journal: journal.adopt(draft, key, order.id, order.status, created))

    async def _doubted(self, twin: Entry, rail: Rail | None, deadline: float) -> Answer | None:
        """Send an unanswered order's own bytes again if that is still allowed; None when somebody else moved it."""
        workings = self._workings
        if rail is None or not await workings.sender.may_repeat(twin, rail):
            return Answer(twin, earlier=True)
        claimed = await workings.reconciler.claim(twin)
        if claimed is None:
            return None
        try:
            attempt = await workings.sender.start(claimed, rail, what="sending the same bytes again")
        except (StaleEntryError, RefusedError):
            return None
        return await self.outcome(attempt, deadline, earlier=True)


def _key_of(order: Order) -> str:
    """Return the key a listed order was placed with, or one for it: what a person could not type is no key."""
    for told in (order.metadata.get(KEY_FIELD), order.id):
        if isinstance(told, str) and _KEY.fullmatch(told):
            return told
    return hashlib.sha256(order.id.encode()).hexdigest()[:36]
