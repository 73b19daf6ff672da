"""The road of an intention: open, decide, send, settle. The only code that may cause a purchase."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from zinc_mcp.api.orders import OrderCreate
from zinc_mcp.api.responses import Order
from zinc_mcp.errors import LimitExceededError, OrderNotFoundError, RefusedError, ZincMcpError
from zinc_mcp.ordering.approval import consent_for
from zinc_mcp.ordering.clocks import Clocks
from zinc_mcp.ordering.entry import DOUBTFUL, STANDING, Draft, Entry, Limits, RailName, StaleEntryError, Standing
from zinc_mcp.ordering.policy import Policy, objection
from zinc_mcp.ordering.rail import Rail
from zinc_mcp.ordering.reconcile import FREE, Reconciler, digest
from zinc_mcp.ordering.sending import Attempt, Checkpoint, Sender
from zinc_mcp.ordering.twin import KEY_FIELD, TWIN_FIELD, body_digest, given_key, to_bytes, twin_digest
from zinc_mcp.ordering.writer import Writer

Progress = Callable[[str], Awaitable[None]]

_FINAL = frozenset({"failed", "cancelled", "rejected", "refused", "declined"})


@dataclass(frozen=True, slots=True)
class Intent:
    """What a caller wants bought: the order with its address resolved, and how to pay for it."""

    caller: str
    rail: RailName
    order: OrderCreate
    saved_as: str | None = None
    """The name under which the owner saved the shipping address, when the caller used one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an intention, as far as is known now."""

    entry: Entry | None
    """None only for an order that was not placed through this journal."""
    order: Order | None = None
    """As Zinc showed it during this call, if it was read."""
    earlier: bool = False
    """An earlier order is the answer: this call bought nothing new."""


class Checkout:
    """Takes intentions through to an order, each at most once."""

    def __init__(
        self,
        rails: Mapping[RailName, Rail],
        writer: Writer,
        sender: Sender,
        reconciler: Reconciler,
        policy: Callable[[], Policy],
        clocks: Clocks,
        clock: Callable[[], float],
        owner: str,
        fee_cents: int,
        checkpoint: Checkpoint,
    ) -> None:
        self._rails = rails
        self._writer = writer
        self._sender = sender
        self._reconciler = reconciler
        self._policy = policy
        self._clocks = clocks
        self._clock = clock
        self._owner = owner
        self._fee_cents = fee_cents
        self._checkpoint = checkpoint
        self._journal_is_old = False

    async def place(self, intent: Intent) -> Answer:
        """Buy what is wanted, unless it was bought already; answers within `Clocks.answer` seconds.

        The sending goes on when the answer cannot wait for it, and when this call is cancelled.

        Raises:
            RefusedError: nothing was sent, and why.
            ZincUnreachableError: nothing was sent.
            OrderRejectedError: Zinc said no; nothing was bought.
            JournalError: the journal failed; `money_may_have_moved` says whether something was sent.
        """
        deadline = time.monotonic() + self._clocks.answer
        rail = self._rail(intent.rail)
        policy = self._policy()
        refusal = objection(
            policy,
            intent.order,
            rail=rail.name,
            mode=rail.mode,
            saved=intent.saved_as is not None,
            fee_cents=self._fee_cents,
        )
        if refusal is not None:
            raise refusal
        consent = consent_for(policy, rail.mode)
        draft = self._draft(intent, rail)
        await self._adopt_listed(draft, rail)
        again: set[int] = set()
        made_room = False
        while True:
            opened: Attempt | Standing | None = None
            try:
                with anyio.CancelScope(shield=True):  # never between opening and sending
                    opened = await self._open_and_send(draft, rail, policy, consent, again)
            except LimitExceededError:
                if made_room:
                    raise
                made_room = True
                await self._make_room(draft, rail)
            except StaleEntryError:
                continue  # cleared away by somebody whose clock runs ahead: open anew
            if isinstance(opened, Attempt):
                return await self._outcome(opened, deadline, earlier=False)
            if opened is not None and (answer := await self._stand(opened, draft, rail, policy, deadline, again)):
                return answer

    async def look(
        self, caller: str, handle: str, *, wait_seconds: float = 0.0, progress: Progress | None = None
    ) -> Answer:
        """Look an order up by our key or Zinc's id; with `wait_seconds` (at most 25) wait that long for news.

        Looking up never buys.

        Raises:
            OrderNotFoundError: no such order for this caller.
            ZincUnreachableError, UnreadableAnswerError: Zinc could not be asked and there is nothing to show.
        """
        deadline = time.monotonic() + min(wait_seconds, self._clocks.answer)
        entry = await self._writer.run(lambda journal: journal.find(handle, caller=caller))
        if entry is None:
            return await self._look_elsewhere(caller, handle, deadline, progress)
        known = (entry.state, entry.seen)
        rail = self._rails.get(entry.rail)
        order: Order | None = None
        told: str | None = None
        while True:
            try:
                if rail is not None and entry.state != "waiting":
                    entry, seen = await self._reconciler.refresh(entry, rail)
                    order = seen or order
                else:
                    entry = await self._reread(entry)
            except ZincMcpError:
                if time.monotonic() >= deadline and order is None:
                    raise
            left = deadline - time.monotonic()
            if left <= 0 or (entry.state, entry.seen) != known or _is_over(entry, order):
                return Answer(entry, order)
            status = order.status if order is not None else entry.state
            if progress is not None and status != told:
                told = status
                await progress(status)
            await self._pause(entry, min(self._clocks.poll, left))

    # Opening

    def _rail(self, name: RailName) -> Rail:
        rail = self._rails.get(name)
        if rail is not None:
            return rail
        if name == "agent":
            raise RefusedError(
                "No payment wallet is set up, and this version cannot pay with one yet. Nothing was sent.",
                "Use place_order with a Zinc API key (ZINC_API_KEY).",
                code="wallet_not_configured",
            )
        raise RefusedError(
            "No Zinc API key is configured, so no order can be placed. Nothing was sent.",
            "Tell the user to set ZINC_API_KEY, or ZINC_MCP_SANDBOX=1 to practise.",
            code="account_not_configured",
        )

    def _draft(self, intent: Intent, rail: Rail) -> Draft:
        order = intent.order
        twin = twin_digest(intent.caller, order)
        key = order.idempotency_key
        address = order.shipping_address
        ship_to = {
            "name": f"{address.first_name} {address.last_name}",
            "city": address.city,
            "country": address.country,
        }
        if intent.saved_as is not None:
            ship_to["saved"] = intent.saved_as
        items = [
            {
                "url": product.url,
                "quantity": product.quantity,
                **({"variant": [option.model_dump() for option in product.variant]} if product.variant else {}),
            }
            for product in order.products
        ]
        return Draft(
            caller=intent.caller,
            mode=rail.mode,
            origin=rail.origin,
            account=rail.account,
            rail=rail.name,
            twin=twin,
            body_digest=body_digest(order),
            given_key=None if key is None else given_key(intent.caller, key),
            to_bytes=lambda wire_key: to_bytes(order, wire_key, twin),
            ceiling_cents=order.max_price,
            fee_cents=self._fee_cents,
            facts={"retailer": order.retailer, "items": items, "ship_to": ship_to},
        )

    async def _open_and_send(
        self, draft: Draft, rail: Rail, policy: Policy, consent: Mapping[str, Any], again: set[int]
    ) -> Attempt | Standing:
        limits = Limits(policy.max_day, policy.max_month, policy.max_orders_day)
        opened = await self._writer.run(
            lambda journal: journal.open_entry(
                draft,
                limits,
                owner=self._owner,
                lease_seconds=self._clocks.opening_lease,
                window_seconds=self._clocks.twin,
                again=frozenset(again),
            )
        )
        if isinstance(opened, Standing):
            return opened
        self._checkpoint("opened")
        try:
            return await self._sender.start(opened, rail, consent=dict(consent))
        except RefusedError as error:  # paused meanwhile: nothing was sent, so the money is free again
            problem = {"code": error.code, "summary": error.summary}
            await self._writer.move(
                opened, "refused", "paused before sending", counts_cents=0, spent_cents=0, problem=problem, **FREE
            )
            raise

    async def _adopt_listed(self, draft: Draft, rail: Rail) -> None:
        """While the journal is younger than the window, take over what Zinc lists for this twin.

        It may be young because the one before it was lost.
        """
        if self._journal_is_old:
            return
        age = await self._writer.run(lambda journal: journal.age_seconds())
        if age > self._clocks.twin:
            self._journal_is_old = True
            return
        if await self._writer.run(lambda journal: journal.knows_twin(draft)):
            return
        try:
            with anyio.fail_after(self._clocks.refresh):
                listed = await rail.find(TWIN_FIELD, draft.twin)
        except (ZincMcpError, TimeoutError):
            return  # a derived key still meets its first use at Zinc
        for order in listed:
            await self._adopt(draft, order)

    async def _adopt(self, draft: Draft, order: Order) -> None:
        now = self._clock()
        created = order.created_at.timestamp() if order.created_at is not None else now
        if order.stage in ("accepted", "placed") and now - created < self._clocks.twin:
            key = str(order.metadata.get(KEY_FIELD) or order.id)[:36]
            await self._writer.run(lambda journal: journal.adopt(draft, key, order.id, order.status, created))

    async def _make_room(self, draft: Draft, rail: Rail) -> None:
        """Before a full limit refuses, ask Zinc what became of the orders that fill it."""
        entries = await self._writer.run(
            lambda journal: journal.unfinished(mode=draft.mode, caller=draft.caller, limit=20)
        )
        with anyio.move_on_after(self._clocks.refresh):
            async with anyio.create_task_group() as tasks:
                for entry in entries:
                    tasks.start_soon(self._refreshed, entry, rail)

    # An earlier order that stands

    async def _stand(
        self, standing: Standing, draft: Draft, rail: Rail, policy: Policy, deadline: float, again: set[int]
    ) -> Answer | None:
        """Return the answer that an earlier order is, or None when it turns out not to stand: then open anew."""
        twin = standing.entry
        if await self._reconciler.clear_abandoned(twin):
            return None
        attempt = self._sender.running(twin)
        if attempt is not None:
            return await self._outcome(attempt, deadline, earlier=True)
        twin = await self._moved_elsewhere(await self._reread(twin), deadline)
        twin, order = await self._refreshed(twin, rail)
        if twin.state == "unknown":
            answer = await self._doubted(twin, rail, deadline)
            if answer is not None:
                return answer
            twin = await self._reread(twin)
        if twin.state not in STANDING:
            return None
        if twin.state in DOUBTFUL or twin.state == "waiting":
            return Answer(twin, order, earlier=True)
        age = self._clock() - twin.opened_at
        if standing.same_key or twin.body_digest == draft.body_digest or age < self._clocks.repeat:
            return Answer(twin, order, earlier=True)
        if policy.repeat == "allow":
            again.add(twin.id)
            return None
        raise RefusedError(
            f"The same goods were ordered for the same address {_ago(age)}, so nothing new was sent.",
            "If the user really wants them a second time, tell them that the policy must allow it (repeat), or wait "
            "until the earlier order is a day old. Otherwise look up the earlier order with get_order.",
            code="possible_duplicate",
            facts={"key": twin.key, "order_id": twin.order_id, "earlier_outcome": twin.state},
        )

    async def _doubted(self, twin: Entry, rail: Rail, deadline: float) -> Answer | None:
        """Send an unanswered order's own bytes again if that is still allowed; None when somebody else moved it."""
        if not self._sender.may_repeat(twin, rail):
            return Answer(twin, earlier=True)
        claimed = await self._reconciler.claim(twin)
        if claimed is None:
            return None
        try:
            attempt = await self._sender.start(claimed, rail, what="sending the same bytes again")
        except (StaleEntryError, RefusedError):
            return None
        return await self._outcome(attempt, deadline, earlier=True)

    async def _moved_elsewhere(self, entry: Entry, deadline: float) -> Entry:
        """Wait while another process decides about or sends an entry, until it has moved on or time is up."""
        while entry.state in ("waiting", "sending") and (entry.lease_until or 0.0) > self._clock():
            if time.monotonic() >= deadline:
                break
            await anyio.sleep(self._clocks.peek)
            entry = await self._reread(entry)
        return entry

    async def _refreshed(self, entry: Entry, rail: Rail) -> tuple[Entry, Order | None]:
        """`Reconciler.refresh` that takes no longer than a refusal may wait, and no trouble for an answer."""
        with anyio.move_on_after(self._clocks.refresh):
            try:
                return await self._reconciler.refresh(entry, rail)
            except ZincMcpError:
                pass
        return await self._reread(entry), None

    # Answering

    async def _outcome(self, attempt: Attempt, deadline: float, *, earlier: bool) -> Answer:
        attempt.wanted += 1
        try:
            with anyio.move_on_after(max(0.0, deadline - time.monotonic())):
                await attempt.done.wait()
        finally:
            attempt.wanted -= 1
        if attempt.error is not None:
            raise attempt.error
        return Answer(attempt.entry, attempt.order, earlier=earlier)

    async def _look_elsewhere(self, caller: str, handle: str, deadline: float, progress: Progress | None) -> Answer:
        """Read an order this journal does not know, for the local caller: it was placed elsewhere with the same key."""
        rail = self._rails.get("account")
        if caller != "local" or rail is None:
            raise OrderNotFoundError("No order with this id or key is known here.")
        first: str | None = None
        while True:
            order = await rail.read(handle)
            seen = digest(order)
            first = first or seen
            left = deadline - time.monotonic()
            if left <= 0 or seen != first or order.stage in _FINAL:
                return Answer(None, order)
            if progress is not None:
                await progress(order.status)
            await anyio.sleep(min(self._clocks.poll, left))

    async def _pause(self, entry: Entry, seconds: float) -> None:
        attempt = self._sender.running(entry)
        if attempt is None:
            await anyio.sleep(seconds)
            return
        with anyio.move_on_after(seconds):
            await attempt.done.wait()

    async def _reread(self, entry: Entry) -> Entry:
        return await self._writer.run(lambda journal: journal.read(entry.id))


def _is_over(entry: Entry, order: Order | None) -> bool:
    """Say whether nothing more is to be expected."""
    if entry.state in _FINAL:
        return True
    if entry.state != "placed" or order is None:
        return False
    shipments = order.tracking_numbers
    return bool(shipments) and all(tracking.status in ("delivered", "undeliverable") for tracking in shipments)


def _ago(seconds: float) -> str:
    minutes = int(max(0.0, seconds) // 60)
    return f"{minutes} minutes ago" if minutes < 120 else f"{minutes // 60} hours ago"
