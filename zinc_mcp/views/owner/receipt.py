"""The receipt of one entry: its request, question, decision, sending, answer, money line by line, and events.

It holds no street and no secret. Each text of others stands behind a label of ours.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from zinc_mcp.consent.approval import asked_question
from zinc_mcp.consent.question import paid_by
from zinc_mcp.journal.records.entry import Entry, Event
from zinc_mcp.journal.records.money import CREDITED_THEN, OWNERS_WORD, told_of
from zinc_mcp.text import plain, printed
from zinc_mcp.views.order import OrderView
from zinc_mcp.views.owner.amounts import amounts_of
from zinc_mcp.views.parts import View
from zinc_mcp.views.words import in_words

When = Callable[[float], str]
"""Writes a time, given in seconds since the epoch, for the reader."""
Lines = Iterator[tuple[str, str]]

_HOW = {
    "practice": "nobody was asked: it was practice",
    "host": "your host's own prompt (approval = host)",
    "none": "nobody was asked (approval = none)",
    "below approve_above": "nobody was asked: below approve_above",
    "elicitation": "in the host's dialogue",
    "page": "on the approval page",
    "terminal": "in a terminal",
}
_KINDS = {"look_up": "a look-up of products, which is no order"}
_TOLD = frozenset({"retailer", "items", "ship_to", "payment", "product", "answer", "path", OWNERS_WORD, CREDITED_THEN})
_DOUBTS = {
    "price_unclear": "the price that Zinc shows contradicts itself",
    "ending_unclear": "Zinc's report of the ending contradicts itself",
    "above_ceiling": "Zinc charged more than max_price allows",
}


class SectionView(View):
    """One part of a receipt: labels and values; an empty label goes on with the one before it."""

    title: str
    lines: list[tuple[str, str]]


class ReceiptView(View):
    """The receipt of one entry."""

    key: str
    kind: str
    sections: list[SectionView]


def receipt_of(
    entry: Entry,
    events: Sequence[Event],
    view: OrderView | None,
    when: When,
    asked: Sequence[tuple[str, str]] = (),
) -> ReceiptView:
    """Return the receipt of an entry.

    Args:
        entry: an order, a look-up, or a change of an order.
        events: what happened to it, in order.
        view: its view, where it is an order.
        when: writes a time.
        asked: labels and values of the request and its state, for a change of an order, which costs nothing.
    """
    found: list[tuple[str, Iterable[tuple[str, str]]]] = [
        ("What was asked", asked or _asked(entry, view, when)),
        ("What the question said", () if asked else _question(entry)),
        ("Who said yes", _decision(entry, when)),
        ("What was sent", _sent(entry, when)),
        ("What came", _came(entry, view, when)),
        ("Money", () if asked else _money(entry, view)),
        ("What happened", _happened(events, when)),
    ]
    sections = [SectionView(title=title, lines=list(lines)) for title, lines in found]
    return ReceiptView(
        key=plain(entry.key, 64), kind=entry.kind, sections=[section for section in sections if section.lines]
    )


def decision_said(entry: Entry, when: When) -> str:
    """Return the decision about an entry in words: the person, the way and the time."""
    consent = entry.consent or {}
    decision = consent.get("decision")
    if isinstance(decision, Mapping):
        said = cast(Mapping[str, Any], decision)
        place = _HOW.get(str(said.get("how")), plain(said.get("how"), 30))
        at = f", {when(said['at'])}" if isinstance(said.get("at"), int | float) else ""
        return f"the answer was {'yes' if said.get('yes') else 'no'}, {place}, by {plain(said.get('who'), 60)}{at}"
    if consent.get("how") == "asked":
        return "a person; no answer yet" if entry.state == "waiting" else "a person; nobody answered"
    return _HOW.get(str(consent.get("how")), "nobody yet")


def _asked(entry: Entry, view: OrderView | None, when: When) -> Lines:
    yield "Key", plain(entry.key, 64)
    if entry.kind != "order":
        yield "Kind", _KINDS.get(entry.kind, entry.kind)
    if isinstance(path := entry.facts.get("path"), str):
        yield "Question", plain(path, 300)
    for number, item in enumerate(view.items if view else []):
        yield "" if number else "Items", item.words
        yield "", item.url or ""
    if view is not None and (place := view.ship_to) is not None:
        saved = f"your saved address {place.saved}" if place.saved else None
        yield "Ship to", ", ".join(filter(None, (saved, place.name, place.city, place.country)))
    question = asked_question(entry)
    yield "Paid", f"{question.paid if question else paid_by(entry.rail, entry.facts)} (rail {entry.rail})"
    if entry.mode != "live":
        yield "Practice", f"nothing was really bought ({entry.mode})"
    yield "Caller", plain(entry.caller, 60)
    yield "Opened", when(entry.opened_at)
    for name, value in entry.facts.items():
        if name not in _TOLD:
            yield label(name).capitalize(), readable(value)
    if entry.body is None:
        yield "Forgotten", "what was ordered and where it went (purge)"


def _question(entry: Entry) -> Lines:
    question = asked_question(entry)
    consent = entry.consent or {}
    if question is None:
        if consent.get("digest") and consent.get("question") is None:
            yield "Question", "forgotten (purge); its digest is kept"
            yield "Digest", plain(consent["digest"], 64)
        return
    if question.saved_as is None:  # the whole address was shown then, and is not shown here
        known = cast(Mapping[str, object], entry.facts.get("ship_to") or {})
        shown = [str(known[name]) for name in ("name", "city", "country") if isinstance(known.get(name), str)]
        question = question.model_copy(update={"ship_to": [*shown, "(the rest of the address is not shown here)"]})
    for number, line in enumerate(question.text().split("\n")):
        yield "" if number else "Question", plain(line, 2_200)
    if consent.get("digest"):
        yield "Digest", plain(consent["digest"], 64)


def _decision(entry: Entry, when: When) -> Lines:
    if entry.kind != "look_up":
        yield "Asked", decision_said(entry, when)


def _sent(entry: Entry, when: When) -> Lines:
    if not entry.attempts:
        yield "Sent", "never"
        return
    times = f"{entry.attempts} {'time' if entry.attempts == 1 else 'times'}"
    first = "" if entry.first_sent_at is None else f", first at {when(entry.first_sent_at)}"
    yield "Sent", f"{times}{first}"
    yield "To", plain(entry.origin, 300)
    if entry.body is not None:
        yield "Bytes", f"{len(entry.body)}, SHA-256 {hashlib.sha256(entry.body).hexdigest()}"
    yield "Intention", f"digest {plain(entry.body_digest, 64)}"


def _came(entry: Entry, view: OrderView | None, when: When) -> Lines:
    if entry.kind == "order":
        yield "Order", plain(entry.order_id, 100) if entry.order_id else "none yet"
    said = f" (Zinc says {in_words(plain(entry.status, 60))})" if entry.status else ""
    yield "State", f"{in_words(entry.state)}{said}"
    if entry.kind == "order" and entry.zinc_at is not None and entry.order_id is not None:
        yield "Created", f"{when(entry.zinc_at)} by Zinc's clock"
    for name, value in (view.payment if view is not None and view.payment else {}).items():
        if not name.endswith("_cents"):
            yield label(name).capitalize(), readable(value)
    if entry.problem:
        yield "Problem", readable(entry.problem.get("summary") or entry.problem)
        if reason := entry.problem.get("error_type") or entry.problem.get("code"):
            yield "Code", plain(reason, 60)
    yield "Last news", when(entry.updated_at)


def _money(entry: Entry, view: OrderView | None) -> Lines:
    amounts = amounts_of(entry)
    more = "" if entry.fee_is_known else ", with all that the order itself adds to max_price"
    yield "Ceiling", f"{printed(entry.ceiling_cents)} for items, tax and shipping{more}"
    fee = f"at most {printed(entry.fee_cents)}" if entry.fee_is_known else "as agreed with Zinc; v1 does not tell it"
    yield "Zinc's fee", fee
    yield "Authorised", printed(amounts.authorised_cents)
    yield "Charged", "not known yet" if amounts.charged_cents is None else printed(amounts.charged_cents)
    yield "Credited", printed(amounts.credited_cents)
    if OWNERS_WORD in entry.facts:
        yield "Came back", f"{_cents(entry.facts[OWNERS_WORD])} in all, as you said"
    yield "Expected", f"{printed(amounts.expected_cents)} still to come back"
    if amounts.unsettled_cents:
        yield "Open", f"up to {printed(amounts.unsettled_cents)} may be charged"
    yield "Limits", f"{printed(entry.counts_cents)} counts against them"
    for name, value in (view.payment if view is not None and view.payment else {}).items():
        if name.endswith("_cents"):
            yield label(name.removesuffix("_cents")).capitalize(), _cents(value)
    if (doubt := told_of(entry).doubt) is not None:
        yield "Doubt", f"{_DOUBTS[doubt]}, so nothing is settled on it"


def _happened(events: Sequence[Event], when: When) -> Lines:
    for event in events:
        detail = ", ".join(f"{label(name)}: {readable(value)}" for name, value in event.detail.items())
        what = f"{plain(event.what)} ({detail})" if detail else plain(event.what)
        yield when(event.at), f"{in_words(event.state):<9}  {what}"


def label(name: str) -> str:
    """Return the name of a fact in words."""
    return plain(name, 30).replace("_", " ")


def readable(value: object) -> str:
    """Return a fact in words, cleaned and cut."""
    if isinstance(value, Mapping):
        each = cast(Mapping[str, object], value).items()
        return plain("; ".join(f"{label(name)}: {readable(part)}" for name, part in each), 400)
    if isinstance(value, list):
        return plain(", ".join(map(readable, cast(list[object], value))), 400)
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 400)


def _cents(value: object) -> str:
    return printed(value) if type(value) is int else readable(value)
