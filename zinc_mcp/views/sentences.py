"""The sentences about an order: its state, and the next step.

They are our own words with amounts and ids, never foreign text. A model and a person read the same sentences about the
same facts; to a person they say "you", and a heading stands above them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from zinc_mcp.consent.approval import is_approved
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.invocation import command
from zinc_mcp.journal.records.decision import reference_of
from zinc_mcp.journal.records.entry import DOUBTFUL, FOREVER, NOTHING_SENT, OPEN, Entry, Mode, State
from zinc_mcp.journal.records.money import NOT_BOUGHT
from zinc_mcp.process import Answer
from zinc_mcp.spending.outcome import DoubtReason, is_answered_wrongly, reason_of_doubt
from zinc_mcp.text import plain, printed
from zinc_mcp.views.failures import ENDED_HERE, STEPS, why_failed
from zinc_mcp.views.parts import MAX_NUMBERS, FailureView, PriceView, unpriced
from zinc_mcp.zinc.responses import Order

Call = Literal["place", "look", "change"]
"""A call that buys, one that changes nothing, or one that changes what was placed and buys nothing."""
Reader = Literal["place", "look", "person"]
"""A model after a placing call or a look-up, or a person."""

# Zinc's ids are UUIDs, or 32 hexadecimal digits (v1). Any other id could hold words, so it is shown in its field only.
# A key is ours, or the model's own.
ORDER_ID = re.compile(r"[0-9A-Fa-f-]{1,64}")
KEY = re.compile(r"[A-Za-z0-9_.:-]{1,36}")

NOTHING_MORE = "Nothing more to do."
_EARLIER = "This is an earlier order for the same thing: nothing new was bought by this call."
PRACTISED = {
    "sandbox": "Practice in the sandbox: no real money, no real goods.",
    "test": "Practice with a test key: no real money, no real goods.",
}
_TITLES: Mapping[State, str] = {
    "waiting": "Waiting for a decision",
    "signing": "Being paid",
    "sending": "Being ordered",
    "unknown": "Not known yet",
    "accepted": "Ordered",
    "placed": "Bought",
    "failed": "Nothing was bought",
    "cancelled": "Cancelled",
    "rejected": "Nothing was bought",
    "refused": "Nothing was bought",
    "declined": "Not bought",
    "paid_no_order": "Paid, and no order is known",
}
_DELIVERED = frozenset({"delivered"})


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """The facts from which the sentences are made."""

    reader: Reader
    answer: Answer
    outcome: State
    mode: Mode
    price: PriceView | None
    failure: FailureView | None
    not_coming: Mapping[str, Sequence[int]]
    """The numbers of all items that will not come, by their status."""
    since: str | None
    """The time of the last known state, if Zinc could not be asked."""
    decide_at: str | None

    @property
    def order(self) -> Order | None:
        """The order, if it was read from Zinc. If not, its missing parts prove nothing."""
        return self.answer.order

    @property
    def doubt(self) -> DoubtReason | None:
        """The reason of a doubt; None if there is no doubt, or only a request that nobody answered."""
        return None if self.answer.entry is None else reason_of_doubt(self.answer.entry)

    @property
    def handle(self) -> str | None:
        """The id or key for `get_order`, if it is safe in a sentence."""
        entry, order = self.answer.entry, self.answer.order
        order_id = (order.id if order else None) or (entry.order_id if entry else None)
        for text, form in ((order_id, ORDER_ID), (entry.key if entry else None, KEY)):
            if text and form.fullmatch(text):
                return text
        return None

    @property
    def fee(self) -> str:
        """Whether amounts hold Zinc's fee, as the end of a sentence."""
        entry = self.answer.entry
        return "Zinc's fee included" if entry is None or entry.fee_is_known else "without Zinc's own fee for a v1 order"

    def amount(self, name: str) -> str | None:
        """Return an amount of the price as a person reads it."""
        return self.price.printed.get(name) if self.price else None


def sentences(known: OrderFacts) -> tuple[str, str, str]:
    """Return the texts about an order: a heading for a person, a summary, and the next step."""
    entry, is_person = known.answer.entry, known.reader == "person"
    title = _TITLES[known.outcome]
    summary, next_step = _for_a_model(known)
    if is_person:
        title, summary = _for_a_person(known, title, summary)
        reasons = (known.doubt, known.price.doubt if known.price else None, known.outcome)
        next_step = next((STEPS[reason] for reason in reasons if reason is not None and reason in STEPS), "")
    if known.reader != "look" and known.outcome != "paid_no_order" and may_have_paid(entry, known.outcome):
        summary = f"{summary} Money may have moved."
    if entry is not None and is_answered_wrongly(entry):
        summary = (
            f"{summary} WARNING: Zinc answered it with another order, which was not taken for this one; "
            f"{'you' if is_person else 'the user'} should ask Zinc about it."
        )
    before = [_EARLIER] if known.reader == "place" and known.answer.earlier else []
    if known.mode != "live" and not (is_person and known.outcome in NOTHING_SENT):
        before.append(PRACTISED[known.mode])
    if known.since is not None and known.answer.unasked is not None:
        reason = known.answer.unasked.summary
        summary = f"How the order stands now could not be found out: {reason} As last known {known.since}: {summary}"
        next_step = next_step if is_person else _after_asking_in_vain(known, known.answer.unasked, next_step)
    after: list[str] = []
    if (refusal := known.answer.refusal) is not None:
        after.append(f"A new order would be refused just now: {refusal.summary}")
        next_step = f"{next_step} About new orders: {refusal.next_step}"
    return title, " ".join([*before, summary, *after]), next_step


def may_have_paid(entry: Entry | None, outcome: State) -> bool:
    """Say whether money has moved, or may have moved, while no order is known for it."""
    placed_before = entry is not None and reason_of_doubt(entry) == "placed_before"
    return outcome in FOREVER and not placed_before


def _after_asking_in_vain(known: OrderFacts, unasked: ZincMcpError, next_step: str) -> str:
    if known.outcome not in OPEN and known.outcome != "placed":
        return next_step  # no answer of Zinc could change it
    return f"{'Do not order again. ' if known.outcome in DOUBTFUL else ''}{unasked.next_step}"


def _for_a_person(known: OrderFacts, title: str, summary: str) -> tuple[str, str]:
    """Return title and summary where a person is told more than a model, or about themselves."""
    entry = known.answer.entry
    if known.outcome == "waiting" and entry is not None:
        if reference_of(entry) is not None:
            return title, "Nothing has been sent and nothing was bought."
        if is_approved(entry):
            return "Approved", "The answer was yes. It is sent as soon as a server that can pay for it sees that."
        return "Being prepared", "Nothing has been sent yet."
    if known.outcome == "declined":
        summary = "The answer was no. Nothing was sent."
    problem = (entry.problem if entry else None) or {}
    why = f" {plain(problem['summary'], 300)}" if known.outcome in NOT_BOUGHT and problem.get("summary") else ""
    return title, f"{summary}{why}"


def _for_a_model(known: OrderFacts) -> tuple[str, str]:
    handle = known.handle
    order = f"order {handle}" if handle and known.reader != "person" else "the order"
    first_word_up = order[0].upper() + order[1:]
    look = f"get_order with order_id {handle}" if handle else "get_order with its order_id"
    match known.outcome:
        case "accepted":
            most = known.amount("held")
            ceiling = f" At most {most} is debited, {known.fee}." if most else ""
            if known.price is not None and known.price.doubt == "ending_unclear":
                return (
                    f"The ending of {order} is unclear: Zinc's report of it contradicts itself.{ceiling}",
                    f"Do not order again. Tell the user to ask Zinc about it; call {look} another day.",
                )
            placing = "" if _odd_status(known) else " and is placing it with the retailer"
            return (
                f"Zinc has accepted {order}{placing}.{_odd_status(known)}{ceiling}{_not_coming(known)}",
                f"Placing takes some minutes. Call {look} and wait_seconds 25 until is_final is true.",
            )
        case "placed":
            parts = (_not_coming(known), _conceded(known), _cost(known), _shipping(known), _warning(known))
            return f"The retailer has {order}.{_odd_status(known)}{''.join(parts)}", _after_placing(known, look)
        case "failed":
            why, next_step = _failure(known)
            return f"Nothing was bought: {order} failed{why}{_given_back(known)}", next_step
        case "cancelled":
            return (
                f"{first_word_up} was cancelled.{_given_back(known)}",
                "Tell the user. Order again only if they want that.",
            )
        case "signing" | "sending":
            summary = f"{first_word_up} is on its way to Zinc; no answer yet."
            if known.outcome == "signing":
                summary = "The payment for the order is being prepared; the order has not been sent with it yet."
            return summary, f"Do not order again. Call {look} and wait_seconds 25."
        case "paid_no_order":
            amount = known.amount("paid_up_front")
            return (
                f"The payment{f' of {amount}' if amount else ''} was taken and no order is known for it: "
                "money has moved.",
                "Do not order again. Tell the user to ask Zinc with the key and the payment's reference; "
                f"{_details(known)} then says how to settle it here.",
            )
        case "unknown":
            return _in_doubt(known, look)
        case "waiting":
            return _waiting(known, look)
        case "rejected":
            problem = (known.answer.entry and known.answer.entry.problem) or {}
            by_zinc = "Change what failure names, then order again." if _says_why(known) else "Tell the user."
            summary, next_step = ENDED_HERE.get(
                problem.get("code"), ("Zinc did not accept the order: nothing was bought.", by_zinc)
            )
            return f"{summary}{_given_back(known)}", next_step
        case "refused":
            next_step = "See failure for the reason." if _says_why(known) else "Tell the user."
            return "The order was not sent: nothing was bought.", next_step
        case "declined":
            return "The user said no: nothing was bought.", "Do not order it again unless the user asks."


def _waiting(known: OrderFacts, look: str) -> tuple[str, str]:
    entry, wait = known.answer.entry, f"call {look} and wait_seconds 25."
    if entry is not None and is_approved(entry):
        return (
            "The user said yes. The order is sent as soon as a server that can pay for it sees that; nothing has been "
            "sent yet.",
            f"Do not order it again; {wait}",
        )
    if entry is not None and reference_of(entry) is None and known.decide_at is None:
        return "The order is being prepared; nothing has been sent and nothing was bought.", f"C{wait[1:]}"
    return (
        "The order waits for the user's approval; nothing has been sent and nothing was bought.",
        f"{known.decide_at or 'Ask the user to decide.'} Then {wait}",
    )


def _in_doubt(known: OrderFacts, look: str) -> tuple[str, str]:
    if known.doubt == "placed_before":
        return (
            "Zinc says that it has had this order before, by the same key, and shows it to nobody here. Nothing was "
            "paid or sent this time: it may have been bought from another machine, or from a journal that is lost.",
            f"Do not order again. Tell the user to look whether it was bought; {_details(known)} then says how to "
            "settle it here.",
        )
    if known.doubt == "left_to_people":
        return (
            f"Zinc itself does not know whether the retailer has the order: {_why_unknown(known)}.",
            "Do not order again. Tell the user to look in the orders of the account at the retailer, or to ask Zinc; "
            f"{_details(known)} then says how to settle it here.",
        )
    next_step = f"Do not order again. Call {look} and wait_seconds 25 to find out."
    if known.answer.entry is not None and known.answer.entry.facts.get("payment"):
        next_step = (
            f"Call {look} and wait_seconds 25 to find out. If it stays unknown, call place_agent_order again "
            "with exactly the same arguments: only the same payment is sent again, which never pays twice."
        )
    if known.doubt == "not_sent":
        return (
            "The order was not sent, and it is not known whether the payment wallet has moved money for it.",
            f"{next_step} The user can look into the wallet; {_details(known)} then says how to settle it here.",
        )
    return "The order was sent and its outcome is not known: it may or may not have been placed.", next_step


def _why_unknown(known: OrderFacts) -> str:
    entry = known.answer.entry
    facts: Mapping[str, object] = ((entry.problem if entry else None) or {}).get("facts") or {}
    if facts.get("zinc_code") == "duplicate_order":
        return "it took it for a second order of the same, and the first may be this very one"
    return "it was probably placed"


def _cost(known: OrderFacts) -> str:
    price, most = known.price, known.amount("held")
    if price is not None and price.doubt in ("price_unclear", "ending_unclear"):
        ceiling = f" {most}, the most it may cost, counts until that is clear." if most else ""
        what = "price" if price.doubt == "price_unclear" else "ending"
        return f" The {what} is unclear: Zinc's report of it contradicts itself.{ceiling}"
    if price is None or price.paid_cents is None:
        return f"{unpriced(known.order)} most {most} is debited." if most else ""
    back = price.expected_back_cents
    returned = f"; {printed(back)} of what was held comes back" if back else ""
    if back and price.paid_up_front_cents is not None:
        returned = f"; {printed(back)} of what was paid up front should come back, which is not proved yet"
    credited = f" {known.amount('credited')} was credited since." if known.amount("credited") else ""
    return f" Paid: {known.amount('paid')}, {known.fee}{returned}.{credited}"


def _warning(known: OrderFacts) -> str:
    """Return a warning if more was charged than was allowed, or an empty text."""
    if known.price is None or known.price.doubt != "above_ceiling":
        return ""
    return (
        f" WARNING: that is more than max_price allows ({_allowed(known)}, without Zinc's fee). Further "
        f"orders paid this way are paused until {'you have' if known.reader == 'person' else 'the user has'} looked "
        f"into it ({command('resume')})."
    )


def _allowed(known: OrderFacts) -> str | None:
    return known.amount("max_price") or known.amount("held")


def _given_back(known: OrderFacts) -> str:
    price = known.price
    if price is None:
        return ""
    back = price.expected_back_cents
    if price.paid_up_front_cents is None:
        return f" The {printed(back)} that was held comes back." if back else ""
    refunded = f"; {known.amount('refunded')} of it has come back" if price.refunded_cents else ""
    due = f"; {printed(back)} should come back, which is not proved" if back else ""
    return f" {known.amount('paid_up_front')} was paid up front by wallet{refunded}{due}."


def _details(known: OrderFacts) -> str:
    entry = known.answer.entry
    return command("orders", "show", given=[entry.key]) if entry else command("orders")


def _not_coming(known: OrderFacts) -> str:
    """Return a sentence with the numbers of the items that were cancelled, failed or skipped."""
    if known.order is None or not known.not_coming:
        return ""
    named = [
        f"{_item_numbers(numbers)} {'' if status == 'failed' else 'was ' if len(numbers) == 1 else 'were '}{status}"
        for status, numbers in sorted(known.not_coming.items())
    ]
    count = sum(map(len, known.not_coming.values()))
    all_of_them = count >= len(known.order.items) + known.order.rows_cut.get("items", 0)
    left_out = sum(max(0, len(numbers) - MAX_NUMBERS) for numbers in known.not_coming.values())
    more = f", and {left_out} more" if left_out else ""
    return f" {'Nothing of it comes' if all_of_them else 'Not everything comes'}: {', '.join(named)}{more}."


def _odd_status(known: OrderFacts) -> str:
    """Return a sentence if Zinc shows the order with a status whose meaning is not known here."""
    if known.order is None or known.order.is_status_known:
        return ""
    return " Zinc shows it with a status that is not known here: see status."


def _conceded(known: OrderFacts) -> str:
    fulfillment = known.order.fulfillment if known.order is not None else None
    return " Not all of it is as it was asked for: see concessions." if fulfillment and fulfillment.concessions else ""


def _item_numbers(numbers: Sequence[int]) -> str:
    return f"item{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers[:MAX_NUMBERS]))}"


def _says_why(known: OrderFacts) -> bool:
    return known.failure is not None and known.failure.model_dump(exclude_defaults=True) != {}


def _parcel_statuses(order: Order | None) -> frozenset[str]:
    """Return the statuses of all parcels, including those that are not shown. Parcels that were not read: `unknown`."""
    if order is None:
        return frozenset()
    unread = ["unknown"] if "tracking_numbers" in order.rows_cut else []
    return frozenset([*(parcel.status or "" for parcel in order.tracking_numbers), *unread])


def _shipping(known: OrderFacts) -> str:
    if known.order is None:
        return ""
    statuses = _parcel_statuses(known.order)
    if not statuses:
        return " It has no tracking number yet."
    if statuses == _DELIVERED:
        return " Everything was delivered."
    if "undeliverable" in statuses:
        return " A parcel could not be delivered."
    if "available_for_pickup" in statuses:
        return " A parcel waits to be picked up."
    if "in_transit" in statuses:
        return " It is in transit."
    return " A tracking number exists; the parcel has not moved yet."


def _after_placing(known: OrderFacts, look: str) -> str:
    if _parcel_statuses(known.order) == _DELIVERED and not _odd_status(known):
        return NOTHING_MORE
    if known.price is not None and known.price.doubt == "above_ceiling":
        return "Tell the user at once. Do not order anything else."
    if known.reader == "place" and known.answer.earlier:
        return f"Tell the user that it was ordered before. Call {look} for news of the delivery."
    return f"Tell the user. Call {look} another day for news of the delivery."


def _failure(known: OrderFacts) -> tuple[str, str]:
    what = "what failure says" if _says_why(known) else "that no reason was given"
    is_v1 = known.answer.entry is not None and known.answer.entry.rail == "v1"
    why, next_step = why_failed((known.failure.code if known.failure else None) or "", what, is_v1=is_v1)
    return why, f"{next_step} A new order is a new purchase: give no idempotency_key, or a new one."
