"""A person's yes: when one is due, what it is asked about, and what a decision does. Single use, bounded in time."""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError

from zinc_mcp.api.orders import OrderCreate
from zinc_mcp.errors import JournalError, RefusedError
from zinc_mcp.money import printed
from zinc_mcp.ordering.admission import noted
from zinc_mcp.ordering.decision import Decision, closed, digest_of, new_question_id, reference_of
from zinc_mcp.ordering.entry import (
    DAY_SECONDS,
    MONTH_SECONDS,
    Entry,
    Mode,
    StaleEntryError,
    UnreadableEntryError,
)
from zinc_mcp.ordering.lease import FREE
from zinc_mcp.ordering.look_ups import look_up
from zinc_mcp.ordering.pin import OWNER, check_pin
from zinc_mcp.ordering.policy import Policy
from zinc_mcp.ordering.question import Question, question_about
from zinc_mcp.ordering.rail import Rail
from zinc_mcp.ordering.reconcile import is_ours
from zinc_mcp.ordering.twin import order_of
from zinc_mcp.ordering.workings import Workings

MOST_WAITING = 6
"""Questions of one caller that may wait at once: what is put before a person stays little enough to be read."""


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
        return {"how": BELOW}
    return None


BELOW = "below approve_above"
"""The consent of small orders; it does not cover one that resembles an earlier order."""


def question_of(entry: Entry) -> Question | None:
    """Return the question that an entry waits for an answer to, or None when it waits for none.

    Raises:
        UnreadableEntryError: it waits for an answer, and what was asked cannot be read.
    """
    return None if reference_of(entry) is None else _kept_question(entry)


def seconds_to_decide(entry: Entry, now: float) -> int:
    """Return how long the question of an entry still stands."""
    until: float | None = (entry.consent or {}).get("until")
    return max(0, int((until or now) - now))


class Approval:
    """Asks, and takes decisions. A decision is a transition of the journal: any configured process may act on it."""

    def __init__(self, workings: Workings) -> None:
        self._workings = workings

    async def ask(self, entry: Entry, order: OrderCreate, policy: Policy, *, saved_as: str | None) -> Entry:
        """Freeze the question in the entry. It can be answered once, until `Clocks.approval` seconds from now.

        Where Zinc can be asked on the entry's rail, the question says what it tells about the products.

        Raises:
            RefusedError: `too_many_waiting`, `order_too_large`.
        """
        workings = self._workings
        looked = await look_up(workings, entry.caller, order, workings.rails.get(entry.rail), policy)
        held, orders = await workings.writer.run(lambda journal: journal.counted(entry.caller, entry.mode, DAY_SECONDS))
        held_month, _ = await workings.writer.run(
            lambda journal: journal.counted(entry.caller, entry.mode, MONTH_SECONDS)
        )
        now = workings.clock()
        before = await workings.writer.run(lambda journal: journal.near_twins(entry, workings.clocks.twin))
        twin = next((each for each in before if each.twin == entry.twin), None)
        question = question_about(
            order,
            looked.products,
            rail=entry.rail,
            mode=entry.mode,
            fee_cents=entry.fee_cents,
            left_day_cents=max(0, policy.max_day - held),
            left_month_cents=None if policy.max_month is None else max(0, policy.max_month - held_month),
            left_orders_day=None if policy.max_orders_day is None else max(0, policy.max_orders_day - orders),
            saved_as=saved_as,
            twin=None if twin is None else _how_it_stands(twin, now),
            near=[_described(each, now) for each in before if twin is None or each.twin != entry.twin],
            look_up_cents=looked.cost_cents,
        )
        if doubt := entry.facts.get("clock_uncertain"):
            clock = ("The clock is uncertain", f"{doubt}: what was bought before may not be counted rightly")
            question = question.model_copy(update={"extras": (clock, *question.extras)})
        consent = {
            "how": "asked",
            "id": new_question_id(),
            "digest": _digest(question, entry, entry),
            "question": question.model_dump(mode="json"),
            "noted": noted(before),
            **workings.until(workings.clocks.approval),
        }
        asked = await workings.writer.run(lambda journal: journal.ask(entry, consent, MOST_WAITING))
        workings.bell.ring()
        return asked

    async def decide(self, decision: Decision, *, caller: str | None = None) -> Entry:
        """Take a person's decision about one question; return how its entry stands after it.

        A yes sends it at once where this process has the rail, otherwise the next process that has it does. A decision
        about any other question than the one that stands changes nothing.

        Raises:
            RefusedError: `question_closed`, the question does not stand (any more), or was asked anew because another
                order like it has come; `approval_expired`; `approval_required` (the PIN is missing or wrong; the
                question still stands); or a reason that has come up since the question was asked.
        """
        workings = self._workings
        about = decision.about
        entry = await workings.writer.run(lambda journal: journal.asked_about(about, caller))
        if entry is None or (entry.mode == "live" and workings.practises):
            raise closed()
        if await workings.reconciler.clear_abandoned(entry):
            raise RefusedError(
                "The time to approve this order is over, so nothing was sent.",
                "Place the order again to be asked again.",
                code="approval_expired",
            )
        said = {"yes": decision.yes, "how": decision.how, "who": decision.who, "at": workings.clock()}
        if not decision.yes:
            return await workings.writer.run(lambda journal: journal.decline(about, caller, said))
        if decision.how == "terminal":  # which is always the owner's
            await check_pin(workings.writer, OWNER, "terminal", decision.pin, workings.clock())
        else:  # a host's dialogue never takes a PIN
            given = decision.pin if decision.how == "page" else None
            await check_pin(workings.writer, caller or OWNER, "page", given, workings.clock())
        until = workings.until(workings.clocks.approval)
        try:
            taken = await workings.writer.run(
                lambda journal: journal.approve(about, caller, said, until, workings.admission)
            )
            if taken.refusal is not None:
                raise taken.refusal
            if taken.unnoted:
                await self._asked_anew(taken.entry)
                raise RefusedError(
                    "Since the question was asked, another order like it has come, so the answer was not taken.",
                    "The question is asked again and says so; the user decides about that one.",
                    code="question_closed",
                    facts={"key": taken.entry.key},
                )
            workings.checkpoint("approved")
            return await self.send_approved(taken.entry)
        except JournalError as error:  # the yes may have been written down, and then some process acts on it
            raise error.in_doubt("The answer was yes", entry.key) from error

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
            if not _is_what_was_shown(entry, rail):
                raise closed()
            # By the policy of the process that sends: a terminal without the rail may know other limits.
            return (await self._workings.sender.start(entry, rail, what="sending what was approved")).entry
        except StaleEntryError as stale:
            return stale.current
        except RefusedError as error:
            try:
                await self._refuse(entry, error)
            except StaleEntryError as stale:  # another process was faster, with a policy of its own
                return stale.current
            raise

    async def _asked_anew(self, entry: Entry) -> None:
        """Ask again about an entry whose question has become untrue."""
        ship_to: Mapping[str, Any] = entry.facts.get("ship_to") or {}
        try:
            await self.ask(entry, order_of(entry), self._workings.policy(), saved_as=ship_to.get("saved"))
        except RefusedError as error:
            await self._refuse(entry, error)

    async def _refuse(self, entry: Entry, error: RefusedError) -> None:
        problem = {"code": error.code, "summary": error.summary}
        await self._workings.writer.move(
            entry, "refused", f"refused: {error.code}", counts_cents=0, spent_cents=0, problem=problem, **FREE
        )


def is_approved(entry: Entry) -> bool:
    """Say whether a person has said yes and nobody has sent it yet."""
    decision = (entry.consent or {}).get("decision")
    return entry.state == "waiting" and decision is not None and bool(decision.get("yes"))


def ago(seconds: float) -> str:
    """Say how long ago something was."""
    minutes = int(max(0.0, seconds) // 60)
    return f"{minutes} minutes ago" if minutes < 120 else f"{minutes // 60} hours ago"


def _digest(question: Question, entry: Entry, by: Entry | Rail) -> str:
    """Return the digest for sending an entry as the entry says, or as a rail of this process would."""
    return digest_of(
        question,
        entry.body or b"",
        mode=by.mode,
        rail=by.rail if isinstance(by, Entry) else by.name,
        origin=by.origin,
        payer=by.account,
        most_cents=entry.ceiling_cents + entry.fee_cents,
    )


def _is_what_was_shown(entry: Entry, rail: Rail) -> bool:
    return (entry.consent or {}).get("digest") == _digest(_kept_question(entry), entry, rail)


def _kept_question(entry: Entry) -> Question:
    try:
        return Question.model_validate((entry.consent or {}).get("question"))
    except ValidationError:
        raise UnreadableEntryError(entry.id, "consent, question") from None


def _how_it_stands(twin: Entry, now: float) -> str:
    waits = "it still waits for a decision" if twin.state == "waiting" else f"that order is {twin.state}"
    return f"{ago(now - twin.opened_at)}, and {waits}"


def _described(near: Entry, now: float) -> str:
    items = cast(list[Mapping[str, Any]], near.facts.get("items") or [])
    pieces = sum(each for each in (item.get("quantity", 1) for item in items) if isinstance(each, int))
    goods = f"{pieces} {'piece' if pieces == 1 else 'pieces'}" if pieces else "an order"
    return f"{goods} for at most {printed(near.ceiling_cents)}, {_how_it_stands(near, now)}"
