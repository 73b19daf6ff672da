"""Looking up: what became of an order. Looking up never buys."""

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from zinc_mcp.api.responses import Order
from zinc_mcp.errors import JournalError, OrderNotFoundError, OrderRejectedError, ZincMcpError
from zinc_mcp.ordering.clocks import Clocks
from zinc_mcp.ordering.entry import FOREVER, Entry, RailName, StaleEntryError, State
from zinc_mcp.ordering.lease import FREE, LeaseClock
from zinc_mcp.ordering.proof import paid_no_order, proven, with_reference
from zinc_mcp.ordering.rail import Ending, Rail, is_paying
from zinc_mcp.ordering.same_order import as_read, is_answered_wrongly, is_named, must_be, wanted
from zinc_mcp.ordering.settle import doubt_of, nothing_taken, problem_of, settled
from zinc_mcp.ordering.times import APART_SECONDS, Times
from zinc_mcp.ordering.twin import KEY_FIELD
from zinc_mcp.ordering.unwritten import Unwritten
from zinc_mcp.ordering.writer import Writer

logger = logging.getLogger(__name__)

MOST_SWEPT = 500
"""Entries of one rail that one round of a sweep looks at; the next round goes on after them."""
_TO_LOOK_UP: frozenset[State] = frozenset({"waiting", "signing", "sending", "unknown"})
_TO_COUNT: frozenset[State] = frozenset({"accepted"})


class Reconciler:
    """Keeps entries true to what Zinc says: finds orders in doubt, reads known ones, settles the money."""

    def __init__(self, writer: Writer, clocks: Clocks, leases: LeaseClock, owner: str, times: Times) -> None:
        self._writer = writer
        self._clocks = clocks
        self._clock = leases.clock
        self.times = times
        self._leases = leases
        self._owner = owner
        self.unwritten = Unwritten(writer)
        self._counted: set[int] = set()
        """Entries sent more than once for whose keys this process has counted Zinc's orders."""
        self._swept: dict[tuple[RailName, frozenset[State]], int] = {}
        """After which entry the next round of a sweep begins."""

    async def refresh(self, entry: Entry, rail: Rail) -> tuple[Entry, Order | None]:
        """Bring an entry up to date with Zinc; the order is what Zinc showed, or None if it was not read.

        Raises:
            ZincUnreachableError, UnreadableAnswerError, OrderRejectedError: Zinc could not be asked just now, or it
                answered with another order.
        """
        known = self.unwritten.known(entry.id)
        if known is not None:
            if not await self.unwritten.written(entry.id):
                return known.entry, known.order
            entry = await self._writer.read(entry.id)
        if not is_ours(entry, rail):
            return entry, None if known is None else known.order
        if entry.state in FOREVER:
            return await self._look_up(entry, rail)
        if entry.order_id is None:
            return entry, None
        try:
            order = await self._read(entry, entry.order_id, rail)
        except OrderNotFoundError:
            return entry, None
        if order is None:
            return entry, None
        entry = await self.apply(entry, as_read(order, entry.order_id, entry), rail)
        if entry.attempts > 1 and entry.id not in self._counted:
            await self.stop_if_keys_are_ignored(entry, rail)  # the first count may not have been answered
        return entry, order

    async def apply(self, entry: Entry, order: Order, rail: Rail, what: str | None = None, **more: Any) -> Entry:
        """Write down what Zinc shows, if it is news; settle the money on what really came."""
        while True:
            changes = news(entry, order)
            if not changes:
                return entry
            changes |= self.landed(entry, order)
            state = cast(State, changes.pop("state"))
            await self.stop_if_above_ceiling(entry, changes)
            try:
                entry = await self._writer.move(
                    entry, state, what or f"Zinc says {order.status[:60]}", **changes, **more
                )
            except StaleEntryError as stale:
                entry = stale.current
                continue
            if entry.attempts > 1:
                await self.stop_if_keys_are_ignored(entry, rail)
            return entry

    def landed(self, entry: Entry, order: Order) -> dict[str, Any]:
        """Return what changes in an entry when its order is first seen: when it came to be, by Zinc's own clock."""
        if entry.order_id is not None:
            return {}
        at = order.created_at.timestamp() if order.created_at is not None else self.times.zinc()
        if at is None:
            return {}
        at = min(at, self.times.latest())
        return {"zinc_at": at, "counted_at": max(entry.counted_at, at)}

    async def find_landed(self, entry: Entry, rail: Rail, identifiers: Sequence[str] = ()) -> Order | None:
        """Look for the order of an entry in doubt: by our key in its metadata, then by what a 409 named."""
        if entry.body is None:
            return None
        wish = wanted(entry)
        for order in await rail.find(KEY_FIELD, entry.key):
            if must_be(order, wish):
                return order
        for identifier in identifiers:
            if identifier == entry.key:
                continue
            try:
                order = await rail.read(identifier)
            except (OrderNotFoundError, OrderRejectedError):
                continue
            if is_named(order, identifier) and must_be(order, wish):
                return order
        return None

    async def stop_if_above_ceiling(self, entry: Entry, changes: Mapping[str, Any]) -> None:
        """Pause an entry's caller on its rail when Zinc has charged more than the order allowed, the first time."""
        if changes.get("problem") != problem_of("above_ceiling") or doubt_of(entry) == "above_ceiling":
            return
        reason = f"Zinc charged more than an order's max_price allows ({entry.key})"
        logger.error("%s; its caller's orders on this rail are paused", reason)
        try:
            await self._writer.run(lambda journal: journal.pause(reason, entry))
        except JournalError as error:
            logger.error("the pause could not be written down: %s", error.summary)

    async def stop_if_keys_are_ignored(self, entry: Entry, rail: Rail) -> bool:
        """Pause everything when Zinc shows two orders for one key: then no key protects anybody any more."""
        try:
            orders = {order.id for order in await rail.find(KEY_FIELD, entry.key)}
        except ZincMcpError:
            return False
        self._counted.add(entry.id)
        if len(orders) < 2:
            return False
        logger.error("Zinc shows %d orders for one idempotency key; ordering is paused", len(orders))
        reason = f"Zinc placed {len(orders)} orders for one idempotency key ({entry.key})"
        try:
            await self._writer.run(lambda journal: journal.pause(reason))
        except JournalError as error:
            logger.error("the pause could not be written down: %s", error.summary)
        return True

    async def sweep(self, rail: Rail) -> None:
        """Look up what is in doubt, clear away what was opened and never sent, and see whether keys are honoured.

        At most `MOST_SWEPT` of each in one round, which begins where the last one ended.
        """
        for entry in await self._next(rail, _TO_LOOK_UP):
            with self._one_alone(entry):
                if entry.state == "waiting":
                    await self.clear_abandoned(entry)
                else:
                    await self.refresh(entry, rail)
        # Whoever sent twice looks for a second order at once, but may have been killed before, or not been answered.
        for entry in await self._next(rail, _TO_COUNT):
            if entry.id not in self._counted:
                with self._one_alone(entry):
                    await self.stop_if_keys_are_ignored(entry, rail)

    async def _next(self, rail: Rail, states: frozenset[State]) -> list[Entry]:
        swept = (rail.name, states)
        entries = await self._writer.run(
            lambda journal: journal.unfinished(
                states,
                mode=rail.mode,
                by=rail,
                sent_again=states is _TO_COUNT,
                after=self._swept.get(swept, 0),
                limit=MOST_SWEPT,
            )
        )
        self._swept[swept] = entries[-1].id if len(entries) == MOST_SWEPT else 0
        return entries

    @contextmanager
    def _one_alone(self, entry: Entry) -> Generator[None]:
        """Let whatever is wrong with one entry be its own matter: the others, and the process, go on."""
        try:
            yield
        except ZincMcpError as error:
            logger.info("a look-up has to wait: %s", error.code)
        except Exception as error:
            logger.error("entry %d could not be looked up (%s)", entry.id, type(error).__name__)

    async def clear_abandoned(self, entry: Entry) -> bool:
        """Refuse a waiting entry whose process never came to send it, or that nobody decided about in time.

        Nothing of it was sent, so its money is free again.
        """
        if entry.state != "waiting":
            return False
        consent = entry.consent or {}
        until: float | None = consent.get("until")
        zinc_until, zinc = consent.get("zinc_until"), self.times.zinc()
        over = zinc is not None and zinc_until is not None and zinc >= zinc_until + APART_SECONDS
        if (until is not None and until > self._clock() and not over) or self._leases.is_held(entry):
            return False
        asked = entry.consent is not None
        problem = {
            "code": "approval_expired" if asked else "internal_error",
            "summary": "Nobody approved it in time." if asked else "The process ended before anything was sent.",
        }
        what = "nobody decided in time" if asked else "abandoned before sending"
        try:
            await self._writer.move(entry, "refused", what, counts_cents=0, spent_cents=0, problem=problem, **FREE)
        except StaleEntryError:
            return False
        return True

    async def claim(self, entry: Entry) -> Entry | None:
        """Take an entry in doubt into our hands, or None when somebody else has it."""
        seconds = self._clocks.looking_lease
        return await self._writer.run(lambda journal: journal.claim(entry, self._owner, seconds))

    async def _look_up(self, entry: Entry, rail: Rail) -> tuple[Entry, Order | None]:
        if self._leases.is_held(entry):
            return await self._writer.read(entry.id), None
        if entry.state in ("signing", "sending"):
            entry = await self._moved(entry, "unknown", "the sending process did not come back", **FREE)
        ending: Ending = "open"
        if is_paying(rail):
            ending, order = await proven(self.unwritten, rail, entry, self._clock())
        else:
            order = await self.find_landed(entry, rail)
        if order is not None:
            more = {"facts": with_reference(entry, await self.unwritten.payment(entry.id))} if is_paying(rail) else {}
            entry = await self.apply(entry, order, rail, "found at Zinc", **more)
        elif entry.state == "unknown" and ending == "settled":
            what = "paid, and no order is known"
            known = paid_no_order(entry, await self.unwritten.payment(entry.id))
            entry = await self._moved(entry, "paid_no_order", what, **known)
        elif entry.state == "unknown" and ending == "unpaid":
            problem = {"code": "payment_not_taken", "summary": "The payment was not taken: nothing was bought."}
            what = "the payment was not taken"
            entry = await self._moved(entry, "rejected", what, **nothing_taken(entry), problem=problem, **FREE)
        return entry, order

    async def _read(self, entry: Entry, order_id: str, rail: Rail) -> Order | None:
        """Read an order; one that was paid by wallet is read with its own key."""
        if not is_paying(rail):
            return await rail.read(order_id)
        payment = await self.unwritten.payment(entry.id)
        if payment is None or payment.order_key is None:
            return None
        return await rail.read_paid(order_id, payment.order_key)

    async def _moved(self, entry: Entry, state: State, what: str, **changes: Any) -> Entry:
        try:
            return await self._writer.move(entry, state, what, **changes)
        except StaleEntryError as stale:
            return stale.current


def is_ours(entry: Entry, rail: Rail) -> bool:
    """Say whether this rail may act on an entry: same rail, mode, origin and payer."""
    same = (entry.rail, entry.mode, entry.origin) == (rail.name, rail.mode, rail.origin)
    return same and entry.account in (rail.account, rail.former_account)


def news(entry: Entry, order: Order) -> dict[str, Any]:
    """Return what an order's state changes in its entry (with `state`), or nothing when all of it is known."""
    state: State = order.stage
    if order.ending_is_unclear:
        state = "placed" if "placed" in (state, entry.state) else "accepted"  # it stands until that is clear
    elif state == "accepted" and entry.state in ("placed", "failed", "cancelled"):
        state = entry.state  # a lagging read does not undo an ending
    money = settled(entry, state, order)
    found: dict[str, Any] = {
        "order_id": order.id,
        "status": order.status,
        **money.columns,
        "seen": order.digest,
    }
    problem = problem_of(money.doubt)
    was_doubtful = (entry.state in FOREVER and not is_answered_wrongly(entry)) or doubt_of(entry) is not None
    if problem is not None or was_doubtful:
        found["problem"] = problem  # what was doubtful before is known now; a wrong answer stays told
    if state == entry.state and all(getattr(entry, name) == value for name, value in found.items()):
        return {}
    return {"state": state, **found, **(FREE if entry.state in FOREVER else {})}
