"""A person's yes: when one is due, what it is asked about, and what a decision does. Single use, bounded in time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import anyio.to_thread

from zinc_mcp.api.orders import RESERVED_METADATA, OrderCreate
from zinc_mcp.api.products import LOOK_UP_CENTS, Product, product_of
from zinc_mcp.errors import JournalError, OrderNotFoundError, RefusedError, ZincMcpError
from zinc_mcp.ordering import pin
from zinc_mcp.ordering.entry import DAY_SECONDS, MONTH_SECONDS, Entry, Mode, StaleEntryError
from zinc_mcp.ordering.lease import FREE
from zinc_mcp.ordering.policy import Policy, objection
from zinc_mcp.ordering.question import Question, question_about
from zinc_mcp.ordering.rail import Rail
from zinc_mcp.ordering.reconcile import is_ours
from zinc_mcp.ordering.workings import Workings

LOOK_UP_SECONDS = 5.0

How = Literal["elicitation", "page", "terminal"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said, on which road, and who it was as far as that is known."""

    yes: bool
    how: How
    who: str
    pin: str | None = field(default=None, repr=False)
    """The owner's PIN as it was typed, where one is set; a no needs none."""


def consent_without_asking(
    policy: Policy, mode: Mode, most_cents: int, *, again: bool = False
) -> Mapping[str, Any] | None:
    """Return the consent to write into the entry when nobody has to be asked now; None when a person must be.

    `host` trusts the host's own prompt, `none` the limits; practising (sandbox and test keys) asks nobody unless a
    mode is set explicitly. `again`: the same was bought before, which only a person can wave through.
    """
    if policy.approval in ("host", "none"):
        return {"how": policy.approval}
    if policy.approval is None and mode != "live":
        return {"how": "practice"}
    if policy.approve_above is not None and most_cents <= policy.approve_above and not again:
        return {"how": "below approve_above"}
    return None


def question_of(entry: Entry) -> Question | None:
    """Return the question that an entry waits for an answer to, or None when it waits for none."""
    consent = entry.consent or {}
    if entry.state != "waiting" or "question" not in consent or consent.get("decision") is not None:
        return None
    return Question.model_validate(consent["question"])


def seconds_to_decide(entry: Entry, now: float) -> int:
    """Return how long the question of an entry still stands."""
    until: float | None = (entry.consent or {}).get("until")
    return max(0, int((until or now) - now))


def order_of(entry: Entry) -> OrderCreate:
    """Return the order that an entry's bytes are.

    Raises:
        RefusedError: they were purged.
    """
    if entry.body is None:
        raise RefusedError("The order's content was purged, so it cannot be sent.")
    body: dict[str, Any] = json.loads(entry.body)
    metadata: dict[str, Any] = body.pop("metadata", None) or {}
    theirs = {name: value for name, value in metadata.items() if not name.startswith(RESERVED_METADATA)}
    return OrderCreate.model_validate({**body, **({"metadata": theirs} if theirs else {})})


class Approval:
    """Asks, and takes decisions. A decision is a transition of the journal: any configured process may act on it."""

    def __init__(self, workings: Workings) -> None:
        self._workings = workings

    async def ask(
        self, entry: Entry, order: OrderCreate, rail: Rail, policy: Policy, *, saved_as: str | None, twin: Entry | None
    ) -> Entry:
        """Freeze the question in the entry. It can be answered once, until `Clocks.approval` seconds from now."""
        workings = self._workings
        products = await self._look_up(order, rail)
        held, orders = await workings.writer.run(lambda journal: journal.counted(entry.caller, entry.mode, DAY_SECONDS))
        held_month, _ = await workings.writer.run(
            lambda journal: journal.counted(entry.caller, entry.mode, MONTH_SECONDS)
        )
        now = workings.clock()
        told = sum(product is not None for product in products)
        question = question_about(
            order,
            products,
            rail=rail.name,
            mode=rail.mode,
            fee_cents=entry.fee_cents,
            left_day_cents=max(0, policy.max_day - held),
            left_month_cents=None if policy.max_month is None else max(0, policy.max_month - held_month),
            left_orders_day=None if policy.max_orders_day is None else max(0, policy.max_orders_day - orders),
            saved_as=saved_as,
            twin=None if twin is None else _earlier(twin, now),
            look_up_cents=LOOK_UP_CENTS * told if rail.mode == "live" else 0,
        )
        if doubt := entry.facts.get("clock_uncertain"):
            clock = ("The clock is uncertain", f"{doubt}: what was bought before may not be counted rightly")
            question = question.model_copy(update={"extras": (clock, *question.extras)})
        consent = {
            "how": "asked",
            "question": question.model_dump(mode="json"),
            "body_digest": entry.body_digest,
            **workings.until(workings.clocks.approval),
        }
        asked = await workings.writer.move(entry, "waiting", "asked", consent=consent, **FREE)
        workings.bell.ring()
        return asked

    async def decide(self, key: str, decision: Decision, *, caller: str | None = None) -> Entry:
        """Take a person's decision on the entry with this key; return how the entry stands after it.

        A yes sends it at once where this process has the rail, otherwise the next process that has it does. A second
        decision, or one that comes too late, changes nothing.

        Raises:
            OrderNotFoundError: there is no such entry for this caller.
            RefusedError: `approval_expired`, `approval_required` (the PIN is missing or wrong; the question still
                stands), or a reason that has come up since the question was asked.
        """
        workings = self._workings
        entry = await workings.writer.run(lambda journal: journal.find(key, caller=caller))
        if entry is None or entry.key != key:
            raise OrderNotFoundError("No order with this key waits for a decision.")
        if question_of(entry) is None:
            return entry
        if await workings.reconciler.clear_abandoned(entry):
            raise RefusedError(
                "The time to approve this order is over, so nothing was sent.",
                "Place the order again to be asked again.",
                code="approval_expired",
            )
        try:
            if not decision.yes:
                return await self._declined(entry, decision, f"declined ({decision.how})")
            entry = await self._with_pin(entry, decision)
            if entry.state == "declined":
                return entry
            consent = {**self._decided(entry, decision), **workings.until(workings.clocks.approval)}
            try:
                entry = await workings.writer.move(entry, "waiting", f"approved ({decision.how})", consent=consent)
                return await self.send_approved(entry)
            except JournalError as error:  # the yes may have been written down, and then somebody acts on it
                raise error.in_doubt("The answer was yes", entry.key) from error
        except StaleEntryError as stale:
            return stale.current

    async def send_approved(self, entry: Entry) -> Entry:
        """Send an entry that a person has approved, if this process has its rail; otherwise leave it to another.

        Raises:
            RefusedError: `paused`, or what the policy does not allow any more; the entry is refused for good, since a
                yes is used once.
        """
        rail = self._workings.rails.get(entry.rail)
        if not is_approved(entry) or rail is None or not is_ours(entry, rail):
            return entry
        try:
            # By the policy of who sends: a terminal without the rail may know other limits.
            await self._check(entry)
            return (await self._workings.sender.start(entry, rail, what="sending what was approved")).entry
        except StaleEntryError as stale:
            return stale.current
        except RefusedError as error:
            try:
                await self._refuse(entry, error)
            except StaleEntryError as stale:  # another process was faster, with a policy of its own
                return stale.current
            raise

    def _decided(self, entry: Entry, decision: Decision) -> dict[str, Any]:
        said = {"yes": decision.yes, "how": decision.how, "who": decision.who, "at": self._workings.clock()}
        return {**(entry.consent or {}), "decision": said}

    async def _declined(self, entry: Entry, decision: Decision, what: str, **changes: Any) -> Entry:
        consent = self._decided(entry, decision)
        return await self._workings.writer.move(
            entry, "declined", what, consent=consent, counts_cents=0, spent_cents=0, **FREE, **changes
        )

    async def _with_pin(self, entry: Entry, decision: Decision) -> Entry:
        """Hold a yes against the owner's PIN, where one is set.

        A try is written down before it is looked at, so that however many come at once, no more are looked at.

        Raises:
            RefusedError: `approval_required`.
        """
        writer = self._workings.writer
        kept = await writer.run(lambda journal: journal.pin())
        if kept is None:
            return entry
        given = decision.pin
        if not given:
            raise _needs_pin("The owner's PIN is needed, on the approval page or in a terminal.")
        consent = entry.consent or {}
        tries = int(consent.get("pin_tries", 0)) + 1
        if tries > pin.MOST_TRIES:  # the last one is being looked at just now
            raise _needs_pin(f"The PIN was tried {pin.MOST_TRIES} times.")
        entry = await writer.move(entry, "waiting", "a PIN was tried", consent={**consent, "pin_tries": tries})
        if await anyio.to_thread.run_sync(pin.matches, kept, given):
            if await writer.run(lambda journal: journal.pin_ends()) is not None:
                await writer.run(lambda journal: journal.end_pin(None))  # whoever knows it has not forgotten it
            return entry
        if tries < pin.MOST_TRIES:
            left = pin.MOST_TRIES - tries
            raise _needs_pin(f"That was not the PIN. {left} {'try is' if left == 1 else 'tries are'} left.")
        problem = {"code": "declined", "summary": f"The PIN was wrong {pin.MOST_TRIES} times."}
        no = Decision(yes=False, how=decision.how, who=decision.who)
        return await self._declined(entry, no, "declined: too many wrong PINs", problem=problem)

    async def _check(self, entry: Entry) -> None:
        """Refuse what the policy does not allow any more."""
        saved = "saved" in entry.facts.get("ship_to", {})
        refusal = objection(
            self._workings.policy(),
            order_of(entry),
            rail=entry.rail,
            mode=entry.mode,
            saved=saved,
            fee_cents=entry.fee_cents,
        )
        if refusal is None and await self._workings.writer.run(lambda journal: journal.paused()) is not None:
            refusal = RefusedError("Ordering is paused, so nothing was sent.", code="paused")
        if refusal is not None:
            raise refusal

    async def _refuse(self, entry: Entry, error: RefusedError) -> None:
        problem = {"code": error.code, "summary": error.summary}
        await self._workings.writer.move(
            entry, "refused", f"refused: {error.code}", counts_cents=0, spent_cents=0, problem=problem, **FREE
        )

    async def _look_up(self, order: OrderCreate, rail: Rail) -> list[Product | None]:
        """Ask Zinc for titles and prices, all at once and not for long; what it cannot tell is None."""
        found: list[Product | None] = [None] * len(order.products)

        async def look(index: int, retailer: str, product_id: str) -> None:
            try:
                found[index] = await rail.product(retailer, product_id)
            except ZincMcpError:
                pass

        with anyio.move_on_after(LOOK_UP_SECONDS):
            async with anyio.create_task_group() as tasks:
                for index, line in enumerate(order.products[:10]):
                    if known := product_of(line.url):
                        tasks.start_soon(look, index, *known)
        return found


def is_approved(entry: Entry) -> bool:
    """Say whether a person has said yes and nobody has sent it yet."""
    decision = (entry.consent or {}).get("decision")
    return entry.state == "waiting" and decision is not None and bool(decision.get("yes"))


def ago(seconds: float) -> str:
    """Say how long ago something was."""
    minutes = int(max(0.0, seconds) // 60)
    return f"{minutes} minutes ago" if minutes < 120 else f"{minutes // 60} hours ago"


def _needs_pin(summary: str) -> RefusedError:
    return RefusedError(summary, "Nothing was sent; the question still stands.", code="approval_required")


def _earlier(twin: Entry, now: float) -> str:
    return f"{ago(now - twin.opened_at)}, and that order is {twin.state}"
