"""The parts of an order's view about its returns, its cases with Zinc's support, and our requests for them.

Zinc's words stand in fields that say so (`zinc_says`), each bounded and cleaned.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.records.cancellation import MAX_PARTS, PARTS
from zinc_mcp.journal.records.entry import OPEN, Entry, State
from zinc_mcp.text import plain
from zinc_mcp.views.change import is_found, row_of, word_for
from zinc_mcp.views.delivery import link
from zinc_mcp.views.parts import MAX_RETURNS, Cleaner
from zinc_mcp.zinc.aftercare.cases import CLOSED, Case
from zinc_mcp.zinc.credits import CaseSummary, ReturnSummary
from zinc_mcp.zinc.responses import Order

MAX_LABELS = 3
MAX_MESSAGES = 5
MAX_MESSAGE = 400
MAX_REQUESTS = 5

_SAID = {"customer": "you_said", "unknown": "said"}
"""The field of a message by its author. v1 does not show the author of some messages."""
_RETURNS = ("open", "approved", "denied", "credited")
"""Zinc's words for the state of a return, as its documents have them."""
_CANCELLATIONS = {
    "sent": "A cancellation was sent, and it is not known whether it arrived.",
    "asked": "The retailer was asked to cancel it, and has not decided: count on neither.",
    "cancelled": "Zinc says that the retailer has cancelled it. That proves no refund.",
    "refused": "Zinc says that the retailer did not cancel it.",
    "not_taken": "Zinc did not take the cancellation.",
}
"""A sentence for each outcome of a cancellation at the retailer, for an order that the retailer has not split."""
_OF_PARTS = {
    "cancelled": "cancelled (which proves no refund)",
    "asked": "not decided",
    "refused": "refused by the retailer",
    "not_taken": "not taken by Zinc",
    "sent": "sent without a clear answer",
}
"""The same outcomes as words, for the parts of an order that the retailer has split."""
_BY_THE_SELLER = "cancel.forced_cancellation"
"""v1's reason of a case about an order "force cancelled by the source". Such an order is still shown as placed."""
_OWN_STATUS = "with a status of their own"
_CASES = {"open": "open", "waiting_on_customer": "waiting for the user's answer", "on_hold": "on hold"}
"""Zinc's words for the state of a case, as its documents have them, with ours. A closed case is no news."""


def returns(order: Order | None, changes: Sequence[Entry], clean: Cleaner) -> list[dict[str, Any]]:
    """Return an order's returns: status, items by their number, credit, and labels as links."""
    if order is None:
        return []
    numbers = {item.id: number for number, item in enumerate(order.items, start=1) if item.id}
    keys = _keys(changes)
    return [
        {
            "id": plain(each.id, 60),
            "status": plain(each.status, 40),
            "reason": plain(each.reason, 60),
            "items": _items(each, numbers),
            "credited_cents": each.credited_amount,
            "zinc_says": clean(each.resolution_notes, MAX_MESSAGE),
            "key": keys.get(each.id),
            **_labels(each),
        }
        for each in order.returns[:MAX_RETURNS]
    ]


def cases(
    order: Order | None, changes: Sequence[Entry], thread: Case | ZincMcpError | None, clean: Cleaner
) -> list[dict[str, Any]]:
    """Return an order's cases, and the last messages of the one that matters now, or why they could not be read."""
    if order is None:
        return []
    keys = _keys(changes)
    shown = list(order.cases[:MAX_RETURNS])
    if isinstance(thread, Case) and thread.id not in {each.id for each in shown}:
        shown = [thread, *shown]
    unread = thread.summary if isinstance(thread, ZincMcpError) else None
    return [
        {
            "id": plain(each.id, 60),
            "status": plain(each.status, 40),
            "reason": plain(each.reason, 60),
            "credited_cents": each.credited_amount,
            "key": keys.get(each.id),
            **(_messages(thread, clean) if isinstance(thread, Case) and thread.id == each.id else {}),
            "messages_unread": unread if each.status.casefold() != CLOSED else None,
        }
        for each in shown
    ]


def requests(order: Order | None, changes: Sequence[Entry], now: float, day_seconds: float) -> list[dict[str, Any]]:
    """Return our requests that Zinc's own rows do not show: those that are open, and those of the last day."""
    there: list[ReturnSummary | CaseSummary] = [] if order is None else [*order.returns, *order.cases]
    shown = {each.id[:100] for each in there}
    rows = [
        row_of(entry)
        for entry in changes
        if (entry.state in OPEN or now - entry.updated_at < day_seconds) and entry.facts.get("zinc_id") not in shown
    ]
    return rows[:MAX_REQUESTS]


def cancellations(entry: Entry | None) -> list[dict[str, Any]]:
    """Return the cancellations that v1 asked the retailer for, with their outcomes: one row for each part."""
    return [
        {
            "kind": "cancellation",
            "merchant_order_id": plain(str(part["number"]), 60),
            "outcome": "unknown" if part["outcome"] in ("asked", "sent") else str(part["outcome"]),
            "summary": _CANCELLATIONS.get(str(part["outcome"]), ""),
        }
        for part in _asked(entry)[:MAX_PARTS]
    ]


def is_cancelled(order: Order | None, entry: Entry | None) -> bool:
    """Say whether Zinc says of each of the retailer's orders that it was cancelled there (v1)."""
    cancelled = {str(part["number"]) for part in _asked(entry) if part["outcome"] == "cancelled"}
    if order is None or not order.merchant_order_ids or "merchant_order_ids" in order.rows_cut:
        return False
    return set(order.merchant_order_ids) <= cancelled


def has_unasked_parts(order: Order | None, entry: Entry | None) -> bool:
    """Say whether the next cancellation would ask for a part of an order that was not asked for yet (v1)."""
    asked = {str(part["number"]) for part in _asked(entry)}
    return order is not None and bool(asked) and not asked.issuperset(order.merchant_order_ids[:MAX_PARTS])


def _asked(entry: Entry | None) -> Sequence[Mapping[str, Any]]:
    return () if entry is None else entry.facts.get(PARTS) or ()


def _of_cancellations(order: Order | None, entry: Entry | None) -> list[str]:
    """Return the sentences about cancellations at the retailer: a count if the retailer has split the order."""
    asked = _asked(entry)
    numbers = {str(part["number"]) for part in asked}
    hidden = 0
    if order is not None:
        numbers |= set(order.merchant_order_ids)
        hidden = order.rows_cut.get("merchant_order_ids", 0)
    if not asked or len(numbers) + hidden == 1:
        return [str(row["summary"]) for row in cancellations(entry)]
    counts = Counter(_OF_PARTS[str(part["outcome"])] for part in asked)
    counts["not asked for"] = len(numbers) + hidden - len(asked)
    return [f"The retailer has split the order into {len(numbers) + hidden} parts. Cancellations: {_counted(+counts)}."]


def news(
    order: Order | None,
    entry: Entry | None,
    changes: Sequence[Entry],
    requests: Sequence[Mapping[str, Any]],
    decide_at: str | None,
) -> tuple[str, str]:
    """Return the sentences for a model about returns, cases, requests and cancellations, and the next step.

    Both are empty if there is nothing to tell. `decide_at` says where the user decides about a waiting request.
    """
    said = list(dict.fromkeys(str(row["summary"]) for row in requests if row["outcome"] in OPEN))
    said += _of_cancellations(order, entry)
    rows = [] if order is None else order.returns
    cases = [] if order is None else order.cases
    if any(case.reason == _BY_THE_SELLER for case in cases):
        said.append("Zinc has a case because the seller cancelled the order: see cases.")
    back = Counter(status if (status := each.status.casefold()) in _RETURNS else _OWN_STATUS for each in rows)
    if back:
        said.append(f"Returns: {_counted(back)}.")
    asked = Counter(_CASES[each.status.casefold()] for each in cases if each.status.casefold() in _CASES)
    if asked:
        said.append(f"Cases with Zinc's support: {_counted(asked)}.")
    return " ".join(said), " ".join(_to_do(order, changes, decide_at))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {which}" for which, count in sorted(counts.items()))


def _to_do(order: Order | None, changes: Sequence[Entry], decide_at: str | None) -> Iterator[str]:
    waits = _words_of(changes, frozenset({"waiting"}))
    if waits or decide_at is not None:
        yield decide_at or f"Ask the user to decide about the {waits} that waits for them."
    found, lost = [each for each in changes if is_found(each)], [each for each in changes if not is_found(each)]
    if doubtful := _words_of(found, frozenset({"sending", "unknown"})):
        yield f"Do not send the {doubtful} again: it may have reached Zinc, and is looked up."
    if doubtful := _words_of(lost, frozenset({"sending", "unknown"})):
        yield f"Do not send the {doubtful} again: it may have reached Zinc, which lists none of them. The user can ask."
    if order is None:
        return
    awaited: list[str] = []
    on_cases = {case.status.casefold() for case in order.cases}
    if "waiting_on_customer" in on_cases:
        yield "Show the user what zinc_says in cases, and ask for their answer."
    elif on_cases - {CLOSED}:
        awaited.append("the answer of Zinc's support")
    on_returns = {each.status.casefold() for each in order.returns}
    if any(each.label_urls and each.status.casefold() in ("open", "approved") for each in order.returns):
        yield "Give the user the labels in returns."
    elif "approved" in on_returns:
        yield "Tell the user that a return was approved."
    elif "open" in on_returns:
        awaited.append("the decision about the return")
    if awaited:
        yield f"Look again another day for {' and '.join(awaited)}."


def _words_of(changes: Sequence[Entry], states: frozenset[State]) -> str:
    return " and the ".join(dict.fromkeys(word_for(entry) for entry in changes if entry.state in states))


def _keys(changes: Sequence[Entry]) -> Mapping[str, str]:
    own = [entry for entry in changes if entry.facts.get("action") in ("return", "open")]
    return {str(entry.facts["zinc_id"]): entry.key for entry in own if entry.facts.get("zinc_id")}


def _items(each: ReturnSummary, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"number": numbers.get(row.order_item_id), "quantity": row.quantity} for row in each.items[:MAX_RETURNS]]


def _labels(each: ReturnSummary) -> dict[str, Any]:
    whole = [label for label in each.label_urls if link(label) is not None]
    left_out = len(each.label_urls) + each.rows_cut.get("label_urls", 0) - len(whole[:MAX_LABELS])
    return {"labels": whole[:MAX_LABELS], "labels_left_out": left_out or None}


def _messages(thread: Case, clean: Cleaner) -> dict[str, Any]:
    newest = thread.messages[-MAX_MESSAGES:]
    left_out = len(thread.messages) - len(newest) + thread.rows_cut.get("messages", 0)
    return {
        "messages": [
            {
                "at": each.created_at.isoformat(timespec="minutes") if each.created_at else None,
                _SAID.get(each.author, "zinc_says"): clean(each.body, MAX_MESSAGE),
            }
            for each in newest
        ],
        "messages_left_out": left_out or None,
    }
