"""One order on a person's screen: how it stands, what it is, whose yes it had, and everything that happened to it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import click

from zinc_mcp.cli.order_list import amount_of, items_of, question_kept, show_waiting, when
from zinc_mcp.cli.screen import columns, show_command, show_line
from zinc_mcp.consent.question import paid_by
from zinc_mcp.journal.entry import Entry, Event
from zinc_mcp.journal.settlement import OWNERS_WORD
from zinc_mcp.money import printed
from zinc_mcp.prose import plain
from zinc_mcp.views.ending import ending_of

_LABEL_COLUMNS = 14
_NARROW_COLUMNS = 50

_HOW = {
    "practice": "nobody was asked: it was practice",
    "host": "your host's own prompt (approval = host)",
    "none": "nobody was asked (approval = none)",
    "below approve_above": "nobody was asked: below approve_above",
    "elicitation": "in the host's dialogue",
    "page": "on the approval page",
    "terminal": "in a terminal",
}


def show_order(entry: Entry, events: Sequence[Event], *, shares_its_key: bool = False) -> None:
    """Print everything that the journal knows of an order, without its street and without a secret.

    `shares_its_key`: others have it too, so that a command has to say more to name this one.
    """
    ending = ending_of(entry)
    show_line(f"{ending.title}. {' '.join(ending.sentences)}", "")
    show_waiting(entry)
    click.echo("")
    for label, value in _facts(entry):
        _show_fact(label, value)
    click.echo("\nWhat happened")
    for event in events:
        detail = ", ".join(f"{_worded(name)}: {_readable(value)}" for name, value in event.detail.items())
        what = f"{plain(event.what)} ({detail})" if detail else plain(event.what)
        show_line(f"  {when(event.at, exact=True)}  {event.state:<9}  {what}")
    if entry.state in ("unknown", "paid_no_order"):
        _show_last_word(entry, shares_its_key=shares_its_key)


def _show_last_word(entry: Entry, *, shares_its_key: bool) -> None:
    sent = "It was sent and never answered." if entry.state == "unknown" else "It was paid, and no order is known."
    key = [plain(entry.key, 64)]
    whose = ["--mode", entry.mode, "--caller", plain(entry.caller, 64)] if shares_its_key else []
    click.echo("")
    show_line(f"{sent} If you know that it was bought (ID is Zinc's order id):")
    show_command("orders", "resolve", "--bought", "ID", options=whose, given=key)
    show_line("If you know that it was not:")
    show_command("orders", "resolve", "--not-bought", options=whose, given=key)


def _facts(entry: Entry) -> Iterator[tuple[str, str]]:
    yield "Key", plain(entry.key, 64)
    yield "Order", plain(entry.order_id or "none yet", 64)
    yield "State", entry.state + (f" (Zinc says {plain(entry.status, 60)})" if entry.status else "")
    for number, item in enumerate(items_of(entry)):
        yield "" if number else "Items", item
    yield from _addresses(entry)
    yield from _ship_to(entry.facts.get("ship_to"))
    yield "Money", amount_of(entry) + ("" if entry.mode == "live" else f", practice ({entry.mode})")
    yield "Limits", f"{printed(entry.counts_cents)} counts against them"
    question = question_kept(entry)
    yield "Paid", f"{question.paid if question else paid_by(entry.rail)} (rail {entry.rail})"
    yield from _payment(entry.facts.get("payment"))
    if OWNERS_WORD in entry.facts:
        yield "Came back", f"{_cents(entry.facts[OWNERS_WORD])} in all, as you said"
    yield "Asked", _consent(entry)
    yield "Caller", plain(entry.caller, 60)
    yield "Opened", when(entry.opened_at)
    sent = f"{entry.attempts} {'time' if entry.attempts == 1 else 'times'}" if entry.attempts else "never"
    yield "Sent", sent + (f", first at {when(entry.first_sent_at, exact=True)}" if entry.first_sent_at else "")
    known = {"retailer", "items", "ship_to", "payment", OWNERS_WORD}
    for name, value in entry.facts.items():
        if name not in known:
            yield _worded(name).capitalize(), _readable(value)
    if entry.problem:
        yield "Problem", _readable(entry.problem.get("summary") or entry.problem)
        reason = entry.problem.get("error_type") or entry.problem.get("code")
        if reason:
            yield "Code", plain(reason, 60)
    if entry.body is None:
        yield "Forgotten", "what was ordered and where it went (purge)"


def _addresses(entry: Entry) -> Iterator[tuple[str, str]]:
    question, items = question_kept(entry), entry.facts.get("items")
    rows = [line.url for line in question.lines] if question is not None else _urls(items)
    for url in rows:
        yield "", plain(url, 2100)


def _urls(items: object) -> list[str]:
    rows = cast(list[object], items) if isinstance(items, list) else []
    return [str(cast(Mapping[str, Any], row).get("url", "")) for row in rows if isinstance(row, Mapping)]


def _ship_to(place: object) -> Iterator[tuple[str, str]]:
    if not isinstance(place, Mapping):
        return
    parts = cast(Mapping[str, Any], place)
    named = [plain(parts[name], 80) for name in ("name", "city", "country") if parts.get(name)]
    saved = [f"your saved address {plain(parts['saved'], 64)}"] if parts.get("saved") else []
    yield "Ship to", ", ".join([*saved, *named])


def _payment(payment: object) -> Iterator[tuple[str, str]]:
    if not isinstance(payment, Mapping):
        return
    for name, value in cast(Mapping[str, Any], payment).items():
        cents = name.endswith("_cents")
        yield _worded(name.removesuffix("_cents")).capitalize(), _cents(value) if cents else _readable(value)


def _consent(entry: Entry) -> str:
    consent = entry.consent or {}
    decision = consent.get("decision")
    if isinstance(decision, Mapping):
        said = cast(Mapping[str, Any], decision)
        place = _HOW.get(str(said.get("how")), plain(said.get("how"), 30))
        at = f", {when(said['at'], exact=True)}" if isinstance(said.get("at"), int | float) else ""
        return f"the answer was {'yes' if said.get('yes') else 'no'}, {place}, by {plain(said.get('who'), 60)}{at}"
    if consent.get("how") == "asked":
        return "a person; no answer yet" if entry.state == "waiting" else "a person; nobody answered"
    return _HOW.get(str(consent.get("how")), "nobody yet")


def _show_fact(label: str, value: str) -> None:
    if columns() < _NARROW_COLUMNS:
        show_line(f"{label}: {value}" if label else f"  {value}", "  ")
    else:
        show_line(f"{label:<{_LABEL_COLUMNS}}{value}", " " * _LABEL_COLUMNS)


def _worded(name: str) -> str:
    return plain(name, 30).replace("_", " ")


def _cents(value: object) -> str:
    return printed(value) if type(value) is int else _readable(value)


def _readable(value: object) -> str:
    if isinstance(value, Mapping):
        parts = cast(Mapping[str, object], value).items()
        return plain("; ".join(f"{_worded(name)}: {_readable(part)}" for name, part in parts), 400)
    if isinstance(value, list):
        return plain(", ".join(map(_readable, cast(list[object], value))), 400)
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 400)
