"""The present state or the ending of an order, in words for the person who was asked about it."""

from dataclasses import dataclass

from zinc_mcp.consent.approval import is_approved, question_of
from zinc_mcp.journal.entry import Entry, State
from zinc_mcp.journal.money import problem_of, told_of
from zinc_mcp.spending.outcome import Why, why_in_doubt
from zinc_mcp.text import plain, printed

_ENDINGS: dict[State, tuple[str, str]] = {
    "signing": ("Being paid", "The payment wallet has been asked to pay for it."),
    "sending": ("Being ordered", "It is on its way to Zinc; no answer yet."),
    "unknown": (
        "Not known yet",
        "It was sent and no answer came, so it may or may not have been bought. It is looked up again and again, and "
        "never sent as a second order.",
    ),
    "accepted": ("Ordered", "Zinc has accepted the order and is placing it with the retailer."),
    "placed": ("Bought", "The retailer has the order."),
    "failed": ("Nothing was bought", "Zinc took the order, and the retailer could not carry it out."),
    "cancelled": ("Cancelled", "The order was cancelled."),
    "rejected": ("Nothing was bought", "Zinc did not accept the order."),
    "refused": ("Nothing was bought", "The order was not sent."),
    "declined": ("Not bought", "The answer was no. Nothing was sent."),
    "paid_no_order": ("Paid, and no order is known", "The wallet has paid, and Zinc shows no order for it."),
}
_DOUBTS: dict[Why, str] = {
    "placed_before": (
        "Zinc says that it has had this order before, by the same key, and shows it to nobody here. Nothing was paid "
        "or sent this time. It may have been bought from another machine, or from a journal that is lost."
    ),
    "not_sent": (
        "It was not sent, and nobody knows whether the payment wallet has moved money for it. Look into the wallet."
    ),
}
_PRACTICE = {
    "sandbox": "This was practice: nothing is really bought, and no money moves.",
    "test": "This was practice with a test key: nothing is really bought, and no money moves.",
}
_MOVING: frozenset[State] = frozenset({"waiting", "signing", "sending", "unknown", "accepted"})


@dataclass(frozen=True, slots=True)
class Ending:
    """The present state or the ending of an entry, as a title and sentences."""

    title: str
    sentences: tuple[str, ...]
    final: bool
    bought: bool
    """Whether money has moved, is moving, or may have moved."""


def ending_of(entry: Entry) -> Ending:
    """Return the present state of an entry in words."""
    if entry.state == "waiting":
        return Ending(*_while_waiting(entry), final=False, bought=False)
    title, sentence = _ENDINGS[entry.state]
    why = why_in_doubt(entry)
    sentences = [sentence if why is None else _DOUBTS[why]]
    if entry.state in ("sending", "unknown", "accepted") and why is None:
        sentences.append(f"At most {printed(entry.ceiling_cents + entry.fee_cents)} is debited.")
    if entry.mode != "live" and entry.state not in ("refused", "declined"):
        sentences.insert(0, _PRACTICE[entry.mode])
    sentences += _money_sentences(entry)
    summary = (entry.problem or {}).get("summary")
    if summary and entry.state in ("refused", "rejected", "failed", "declined"):
        sentences.append(plain(summary, 300))
    bought = entry.state in ("signing", "sending", "unknown", "accepted", "placed", "paid_no_order")
    return Ending(title, tuple(sentences), final=entry.state not in _MOVING, bought=bought)


def _money_sentences(entry: Entry) -> list[str]:
    told, sentences = told_of(entry), list[str]()
    if told.doubt is not None:
        sentences.append(str((problem_of(told.doubt) or {})["summary"]))
    if entry.state == "placed" and told.paid_cents is not None:
        sentences.append(f"Paid: {printed(told.paid_cents)}, Zinc's fee included.")
    if entry.state in ("failed", "cancelled", "rejected") and told.up_front_cents is not None:
        sentences.append(f"{printed(told.up_front_cents)} was paid up front by wallet.")
        if told.refunded_cents:
            sentences.append(f"{printed(told.refunded_cents)} of it has come back.")
    if told.up_front_cents is not None and told.expected_back_cents:
        sentences.append(f"{printed(told.expected_back_cents)} should come back, which is not proved.")
    return sentences


def _while_waiting(entry: Entry) -> tuple[str, tuple[str, ...]]:
    if question_of(entry) is not None:
        return "Waiting for a decision", ("Nothing has been sent and nothing was bought.",)
    if is_approved(entry):
        return "Approved", ("The answer was yes. It is sent as soon as a server that can pay for it sees that.",)
    return "Being prepared", ("Nothing has been sent yet.",)
