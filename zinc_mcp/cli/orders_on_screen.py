"""Orders on a person's screen: a list of them, or everything that the journal knows about one."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import click

from zinc_mcp.cli.changes_on_screen import facts_of, show_last_word
from zinc_mcp.cli.screen import columns, show_command, show_line, wrapped
from zinc_mcp.consent.approval import asked_question
from zinc_mcp.consent.question import paid_by
from zinc_mcp.journal.decision import reference_of
from zinc_mcp.journal.entry import CHANGES, Entry, Event
from zinc_mcp.journal.money import NOT_BOUGHT, OWNERS_WORD
from zinc_mcp.process import Answer
from zinc_mcp.text import plain, printed
from zinc_mcp.views.change import ChangeView, change_view
from zinc_mcp.views.order import OrderView, order_view

_HEADER = ("Opened (UTC offset)", "Money", "State", "Amount", "Items", "Key", "Order")
_MOST_ITEMS = 3


def show_list(entries: Sequence[Entry]) -> None:
    """Print orders: one line each as a table in a pipe, a few lines each that fit the width of a terminal."""
    if sys.stdout.isatty():
        _show_for_a_person(entries)
        return
    rows = [_HEADER, *map(_row, entries)]
    for line in _columns(rows):
        click.echo(line)
    for entry in filter(reference_of, entries):
        click.echo("")
        _show_how_to_answer(entry)


def view_of(entry: Entry) -> OrderView | ChangeView:
    """Return the view of an order, or of a change of one, as the journal has it."""
    return change_view(Answer(entry), "person") if entry.kind in CHANGES else order_of(entry)


def order_of(entry: Entry) -> OrderView:
    """Return the view of an order as the journal has it."""
    return order_view(Answer(entry), "person", mode=entry.mode, now=time.time())


def show_view(view: OrderView | ChangeView) -> None:
    """Print how an order stands and what its owner can do."""
    show_line(" ".join(filter(None, [f"{view.title}.", view.summary, view.next_step])), "")


def when(at: float, *, exact: bool = False) -> str:
    """Return a local time with its offset from UTC, to the minute, or to the second if `exact`."""
    return datetime.fromtimestamp(at).astimezone().isoformat(" ", "seconds" if exact else "minutes")


def show_waiting(entry: Entry) -> None:
    """Print how to answer, if the order waits for an answer."""
    if reference_of(entry) is not None:
        _show_how_to_answer(entry)


def _show_for_a_person(entries: Sequence[Entry]) -> None:
    opened, state = len(when(0)), max(len(entry.state) for entry in entries)
    click.echo(f"{_HEADER[0].ljust(opened)}  {'State'.ljust(state)}  Amount")
    for entry in entries:
        view = order_of(entry)
        practice = "" if view.mode == "live" else f" ({view.mode})"
        first = f"{when(entry.opened_at)}  {view.outcome.ljust(state)}  {_amount(view)}{practice}"
        named = [item.words for item in view.items]
        more = [f"and {len(named) - _MOST_ITEMS} more"] if len(named) > _MOST_ITEMS else []
        beneath = [*(named[:_MOST_ITEMS] or [view.retailer or ""]), *more, f"key {plain(entry.key, 64)}"]
        if view.order_id:
            beneath.append(f"order {view.order_id}")
        for line in (*wrapped(first, columns(), "  "), *_indented(beneath)):
            click.echo(line)
        show_waiting(entry)


def _amount(view: OrderView) -> str:
    """Return the amount that an order cost, or the most that it can cost."""
    amounts = view.price.printed if view.price else {}
    if "paid" in amounts:
        return amounts["paid"]
    if "paid_up_front" in amounts and view.outcome in NOT_BOUGHT:
        return f"{amounts['paid_up_front']} up front, {amounts.get('refunded', printed(0))} back"
    return f"up to {amounts.get('held')}"


def _show_how_to_answer(entry: Entry) -> None:
    show_line(f"  {plain(entry.key, 64)} waits for your answer. This shows the question and takes it:", "  ")
    show_command("approve", given=[plain(entry.key, 64)])


def _indented(lines: Sequence[str]) -> list[str]:
    return [part for line in lines for part in wrapped(f"  {line}", columns(), "    ")]


def _row(entry: Entry) -> tuple[str, ...]:
    view = order_of(entry)
    return (
        when(entry.opened_at),
        view.mode,
        view.outcome,
        _amount(view),
        "; ".join(item.words for item in view.items) or view.retailer or "",
        plain(entry.key, 64),
        view.order_id or "",
    )


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


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
    """Print everything that the journal knows about an order, except its street and any secret.

    `shares_its_key`: other entries have the same key, so a printed command also names the mode and the caller.
    """
    view = view_of(entry)
    show_view(view)
    show_waiting(entry)
    click.echo("")
    facts = _facts(entry, view) if isinstance(view, OrderView) else _change_facts(entry)
    for label, value in facts:
        _show_fact(label, value)
    click.echo("\nWhat happened")
    for event in events:
        detail = ", ".join(f"{_label(name)}: {_readable(value)}" for name, value in event.detail.items())
        what = f"{plain(event.what)} ({detail})" if detail else plain(event.what)
        show_line(f"  {when(event.at, exact=True)}  {event.state:<9}  {what}")
    if view.outcome in ("unknown", "paid_no_order"):
        _show_last_word(entry, shares_its_key=shares_its_key)


def _show_last_word(entry: Entry, *, shares_its_key: bool) -> None:
    key = [plain(entry.key, 64)]
    whose = ["--mode", entry.mode, "--caller", plain(entry.caller, 64)] if shares_its_key else []
    if entry.kind in CHANGES:
        show_last_word(entry, whose)
        return
    click.echo("")
    show_line("If you know that it was bought (ID is Zinc's order id):")
    show_command("orders", "resolve", "--bought", "ID", options=whose, given=key)
    show_line("If you know that it was not:")
    show_command("orders", "resolve", "--not-bought", options=whose, given=key)


def _change_facts(entry: Entry) -> Iterator[tuple[str, str]]:
    yield from facts_of(entry)
    yield "Asked", _consent(entry)
    yield "Caller", plain(entry.caller, 60)
    yield "Opened", when(entry.opened_at)
    yield "Sent", when(entry.first_sent_at, exact=True) if entry.first_sent_at else "never"
    if entry.problem:
        yield "Problem", _readable(entry.problem.get("summary") or entry.problem)
    if entry.body is None:
        yield "Forgotten", "what was sent (purge)"


def _facts(entry: Entry, view: OrderView) -> Iterator[tuple[str, str]]:
    yield "Key", plain(entry.key, 64)
    yield "Order", view.order_id or "none yet"
    yield "State", view.outcome + (f" (Zinc says {view.status})" if view.status else "")
    for number, item in enumerate(view.items):
        yield "" if number else "Items", item.words
    yield from (("", item.url or "") for item in view.items)
    if (place := view.ship_to) is not None:
        saved = f"your saved address {place.saved}" if place.saved else None
        yield "Ship to", ", ".join(filter(None, (saved, place.name, place.city, place.country)))
    yield "Money", _amount(view) + ("" if view.mode == "live" else f", practice ({view.mode})")
    yield "Limits", f"{printed(entry.counts_cents)} counts against them"
    question = asked_question(entry)
    yield "Paid", f"{question.paid if question else paid_by(entry.rail)} (rail {entry.rail})"
    for name, value in (view.payment or {}).items():
        cents = name.endswith("_cents")
        yield _label(name.removesuffix("_cents")).capitalize(), _cents(value) if cents else _readable(value)
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
            yield _label(name).capitalize(), _readable(value)
    if entry.problem:
        yield "Problem", _readable(entry.problem.get("summary") or entry.problem)
        reason = entry.problem.get("error_type") or entry.problem.get("code")
        if reason:
            yield "Code", plain(reason, 60)
    if entry.body is None:
        yield "Forgotten", "what was ordered and where it went (purge)"


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


def _label(name: str) -> str:
    return plain(name, 30).replace("_", " ")


def _cents(value: object) -> str:
    return printed(value) if type(value) is int else _readable(value)


def _readable(value: object) -> str:
    if isinstance(value, Mapping):
        parts = cast(Mapping[str, object], value).items()
        return plain("; ".join(f"{_label(name)}: {_readable(part)}" for name, part in parts), 400)
    if isinstance(value, list):
        return plain(", ".join(map(_readable, cast(list[object], value))), 400)
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 400)
