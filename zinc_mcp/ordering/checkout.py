"""The road of an intention: open, decide, send, settle. The only code that may cause a purchase."""

import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from zinc_mcp.api.orders import OrderCreate
from zinc_mcp.api.places import place_of
from zinc_mcp.errors import JournalError, LimitExceededError, RefusedError
from zinc_mcp.ordering import looking
from zinc_mcp.ordering.admission import limits_of
from zinc_mcp.ordering.approval import BELOW, Approval, consent_without_asking, is_approved, question_of
from zinc_mcp.ordering.approved import Approved
from zinc_mcp.ordering.decision import Decision
from zinc_mcp.ordering.earlier import Answer, Earlier
from zinc_mcp.ordering.entry import (
    Draft,
    Entry,
    Mode,
    RailName,
    Resembling,
    StaleEntryError,
    Standing,
    Wanted,
)
from zinc_mcp.ordering.lease import FREE
from zinc_mcp.ordering.pin import PinAsked
from zinc_mcp.ordering.policy import Policy, objection
from zinc_mcp.ordering.rail import Rail, is_paying
from zinc_mcp.ordering.settling import Attempt
from zinc_mcp.ordering.twin import body_digest, given_key, near_digests, to_bytes, twin_digest
from zinc_mcp.ordering.workings import Workings

_ABOUT_NEW_ORDERS = frozenset(
    {
        "paused",
        "not_allowed",
        "limit_exceeded",
        "policy_invalid",
        "account_not_configured",
        "wallet_not_configured",
        "wallet_unavailable",
        "too_many_waiting",
    }
)
"""Codes of refusals that say nothing about an order that was placed before."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What a caller wants bought: the order with its address resolved, and how to pay for it."""

    caller: str
    rail: RailName
    order: OrderCreate
    saved_as: str | None = None
    """The name under which the owner saved the shipping address, when the caller used one."""


class Checkout:
    """Takes intentions through to an order, each at most once."""

    def __init__(self, workings: Workings) -> None:
        self._workings = workings
        self._earlier = Earlier(workings)
        self._approval = Approval(workings)
        self._approved = Approved(workings, self._approval)

    async def place(self, intent: Intent) -> Answer:
        """Buy what is wanted, unless it was bought already; answers within `Clocks.answer` seconds.

        Where a person must be asked first, the answer's entry is `waiting` with its question (`question_of`); then
        `decide`. Sending goes on when the answer cannot wait for it, and when this call is cancelled.

        Raises:
            RefusedError: nothing was sent, and why.
            ZincUnreachableError: nothing was sent.
            OrderRejectedError: Zinc said no; nothing was bought.
            JournalError: the journal failed; `money_may_have_moved` says whether something was sent.
        """
        try:
            return await self._bought(intent)
        except RefusedError as refusal:
            earlier = await self._despite(refusal, intent)
            if earlier is None:
                raise
            return earlier

    async def _bought(self, intent: Intent) -> Answer:
        workings = self._workings
        deadline = time.monotonic() + workings.clocks.answer
        rail = workings.rail(intent.rail)
        policy = workings.policy()
        fee_cents = await rail.fee_cents()
        refusal = objection(
            policy,
            intent.order,
            rail=rail.name,
            mode=rail.mode,
            saved=intent.saved_as is not None,
            fee_cents=fee_cents,
        )
        if refusal is not None:
            raise refusal
        draft = self._draft(intent, rail, fee_cents)
        await workings.hear_the_time(rail)
        try:
            return await self._placed(draft, intent, rail, policy, deadline)
        except JournalError as error:
            if error.is_told:
                raise
            return await self._earlier.despite_the_journal(error, draft)

    async def _placed(self, draft: Draft, intent: Intent, rail: Rail, policy: Policy, deadline: float) -> Answer:
        await self._earlier.adopt_listed(draft, rail)
        again: dict[int, Entry] = {}
        made_room = uncertain = False
        while True:
            consent = None if uncertain else self._consent(draft, policy, again)
            opened: Attempt | Entry | Resembling | Standing | None = None
            try:
                with anyio.CancelScope(shield=True):  # never between opening and sending
                    opened = await self._opened(draft, rail, policy, consent, again)
            except LimitExceededError as full:
                if made_room:
                    raise
                made_room = True
                await self._earlier.make_room(draft, full)
            except RefusedError as error:
                if error.code != "clock_uncertain":
                    raise
                await self._workings.writer.run(lambda journal: journal.note_clock())
                if policy.approval in ("host", "none"):  # nobody would be asked by us
                    raise
                uncertain = True
            except StaleEntryError:
                continue  # cleared away by somebody whose clock runs ahead: open anew
            if isinstance(opened, Attempt):
                return await self._earlier.outcome(opened, deadline, earlier=False)
            if isinstance(opened, Entry | Resembling):
                entry = opened if isinstance(opened, Entry) else opened.entry
                if "clock_uncertain" in entry.facts:
                    await self._workings.writer.run(lambda journal: journal.note_clock())
                return Answer(await self._asked(entry, intent, policy))
            if opened is not None:
                found = await self._earlier.answer(opened, draft, deadline)
                if isinstance(found, Answer):
                    return found
                if found is not None:
                    again[found.twin.id] = found.twin
                    if not self._may_be_bought_again(draft, policy, again):
                        raise self._earlier.possible_duplicate(found.twin)

    async def decide(
        self, decision: Decision, *, caller: str | None = None, wait_seconds: float | None = None
    ) -> Answer:
        """Take a person's decision about one question, send its order on a yes, and say how it stands.

        A decision about a question that does not stand, or after the time to decide, buys nothing. What comes of a yes
        is waited for as long as for any answer, or `wait_seconds`; sending goes on in any case.

        Raises:
            RefusedError: `question_closed`, `approval_expired`, `approval_required`, `paused`, or what the policy does
                not allow any more.
            ZincMcpError: what the sending ended with; see `place`.
        """
        wait_seconds = self._workings.clocks.answer if wait_seconds is None else wait_seconds
        deadline = time.monotonic() + wait_seconds
        try:
            entry = await self._approval.decide(decision, caller=caller)
        except JournalError as error:
            raise error.before_sending() from error
        return await self._followed(entry, deadline, earlier=False)

    async def await_decision(self, entry: Entry, *, earlier: bool, deadline: float) -> Answer:
        """Wait for a decision made elsewhere (a page, a terminal), and for what comes of it.

        Args:
            entry: waits for the decision.
            earlier: an earlier call has opened it.
            deadline: by `time.monotonic`, when to say how it stands in any case.

        Raises:
            ZincMcpError: what the sending ended with; see `place`.
        """
        try:
            entry = await self._earlier.decided(entry, deadline)
            if is_approved(entry):
                entry = await self._approval.send_approved(entry)
        except JournalError as error:
            raise error.in_doubt("A person was asked, who may have said yes", entry.key) from error
        return await self._followed(entry, deadline, earlier=earlier)

    async def send_approved(self) -> bool:
        """Send what people have approved and no process has sent yet; say whether they have more to decide.

        Raises:
            RefusedError: one of them may not be sent any more; the others were looked at all the same.
            JournalError: the journal failed.
        """
        return await self._approved.send()

    async def entry_of(self, entry_id: int, *, caller: str | None = None) -> Entry | None:
        """Return an entry as the journal has it; None when there is none for this caller."""
        entry = await self._workings.writer.run(lambda journal: journal.entry(entry_id))
        return entry if entry is not None and caller in (None, entry.caller) else None

    async def waiting(self, caller: str) -> list[Entry]:
        """Return the entries of a caller whose question stands and may be answered by this process, oldest first."""
        waiting = await self._workings.writer.run(lambda journal: journal.waiting(caller))
        return [entry for entry in waiting if self._approved.is_asked_here(entry)]

    def in_background(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start work of this process that outlives the call which started it; it ends with the process."""
        self._workings.tasks.start_soon(work)

    @property
    def answer_seconds(self) -> float:
        """Within which a placing call answers."""
        return self._workings.clocks.answer

    async def entry(self, key: str, *, caller: str | None = None) -> Entry | None:
        """Return the entry with this key as the journal has it; None when there is none for this caller."""
        entry = await self._workings.writer.find(key, caller=caller)
        return entry if entry is not None and entry.key == key else None

    @property
    def form_seconds(self) -> float:
        """How long a dialogue that nothing else bounds may stand."""
        return self._workings.clocks.form

    def now(self) -> float:
        """Return the time by which questions and answers expire."""
        return self._workings.clock()

    async def check_journal(self) -> None:
        """Do nothing if orders could be written down.

        Raises:
            JournalError: the journal cannot be used, or only be read.
        """
        await self._workings.writer.run(lambda journal: journal.check_writable())

    async def has_pin(self, caller: str) -> bool:
        """Say whether a caller's yes needs a PIN: their own, otherwise the owner's."""
        return await self.asked_pin(caller) is not None

    async def asked_pin(self, caller: str) -> PinAsked | None:
        """Return the PIN that a caller's yes needs, or None."""
        return await self._workings.writer.run(lambda journal: journal.asked_pin(caller))

    async def look(
        self, caller: str, handle: str, *, wait_seconds: float = 0.0, progress: looking.Progress | None = None
    ) -> Answer:
        """Look an order up; see `looking.look`. Looking up never buys."""
        return await looking.look(self._workings, caller, handle, wait_seconds=wait_seconds, progress=progress)

    async def _despite(self, refusal: RefusedError, intent: Intent) -> Answer | None:
        """Return the earlier order for an intention that is refused now, where the refusal is about new orders."""
        # Not one that says something about this intention itself, or that came after it was opened: a payment's.
        if type(refusal) not in (RefusedError, LimitExceededError) or refusal.code not in _ABOUT_NEW_ORDERS:
            return None
        key = intent.order.idempotency_key
        wanted = Wanted(
            caller=intent.caller,
            twin=twin_digest(intent.caller, intent.order),
            given_key=None if key is None else given_key(intent.caller, key),
            body_digest=body_digest(intent.order),
        )
        rails = self._workings.rails
        own = rails.get(intent.rail)
        # Whose money it would have been is not known where the way to pay is not set up: the owner's, if any.
        modes: dict[Mode, None] = {own.mode: None} if own else {"live": None}
        if own is None:
            modes |= {rail.mode: None for rail in rails.values()}
        return await self._earlier.despite(refusal, wanted, list(modes))

    # Opening

    def _draft(self, intent: Intent, rail: Rail, fee_cents: int) -> Draft:
        order = intent.order
        place = place_of(order.shipping_address)
        twin = twin_digest(intent.caller, order, place)
        key = order.idempotency_key
        address = order.shipping_address
        ship_to = {"city": address.city, "country": address.country}
        if intent.saved_as is not None:
            ship_to["saved"] = intent.saved_as
        else:
            ship_to["name"] = f"{address.first_name} {address.last_name}"
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
            fee_cents=fee_cents,
            facts={"retailer": order.retailer, "items": items, "ship_to": ship_to},
            near=near_digests(intent.caller, rail.mode, order, place),
        )

    def _consent(self, draft: Draft, policy: Policy, again: Mapping[int, Entry]) -> Mapping[str, Any] | None:
        repeat = bool(again) and policy.repeat != "allow"
        return consent_without_asking(policy, draft.mode, draft.ceiling_cents + draft.fee_cents, again=repeat)

    def _may_be_bought_again(self, draft: Draft, policy: Policy, again: Mapping[int, Entry]) -> bool:
        return policy.repeat == "allow" or self._consent(draft, policy, again) is None

    async def _opened(
        self,
        draft: Draft,
        rail: Rail,
        policy: Policy,
        consent: Mapping[str, Any] | None,
        again: Mapping[int, Entry],
    ) -> Attempt | Entry | Resembling | Standing:
        """Open an entry and send it; without consent leave it waiting; or return the one that already stands."""
        workings = self._workings
        limits = limits_of(policy)
        at_once = consent is not None and not is_paying(rail)

        def marks() -> Mapping[str, Any]:
            return {**workings.sender.first_marks(), "consent": dict(consent or {})}

        opened = await workings.writer.run(
            lambda journal: journal.open_entry(
                draft,
                limits,
                owner=workings.owner,
                lease_seconds=workings.clocks.opening_lease,
                window_seconds=workings.clocks.twin,
                again=frozenset(again),
                sending=marks if at_once else None,
                unless_resembling=consent is not None and consent["how"] == BELOW,
                asks=consent is None or consent["how"] == "practice",
            )
        )
        if isinstance(opened, Standing | Resembling):
            return opened
        workings.checkpoint("opened")
        if consent is None:
            return opened
        if at_once:
            return workings.sender.send_marked(opened, rail)
        try:
            return await workings.sender.start(opened, rail, consent=dict(consent))
        except RefusedError as error:  # paused meanwhile: nothing was sent, so the money is free again
            await self._free(opened, error.code, error.summary)
            raise

    async def _asked(self, entry: Entry, intent: Intent, policy: Policy) -> Entry:
        try:
            asked = await self._approval.ask(entry, intent.order, policy, saved_as=intent.saved_as)
        except RefusedError as error:
            await self._free(entry, error.code, error.summary)
            raise
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._free(entry, "approval_expired", "The call ended before the question was asked.")
            raise
        self._workings.checkpoint("asked")
        return asked

    async def _free(self, entry: Entry, code: str, summary: str) -> None:
        problem = {"code": code, "summary": summary}
        try:
            await self._workings.writer.move(
                entry, "refused", f"refused: {code}", counts_cents=0, spent_cents=0, problem=problem, **FREE
            )
        except StaleEntryError:
            pass  # somebody has cleared it away already

    async def _followed(self, entry: Entry, deadline: float, *, earlier: bool) -> Answer:
        """Say what became of an entry after a decision, as far as it comes out before the deadline."""
        attempt = self._workings.sender.running(entry)
        if attempt is not None:
            return await self._earlier.outcome(attempt, deadline, earlier=earlier)
        if question_of(entry) is None:
            try:
                entry = await self._earlier.moved_elsewhere(entry, deadline)
            except JournalError as error:
                raise error.in_doubt("It was being sent by another process", entry.key) from error
        return Answer(entry, earlier=earlier)
