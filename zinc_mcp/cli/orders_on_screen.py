"""Orders on a person's screen: a list of them, or everything that the journal knows about one."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import click
from pydantic import ValidationError

from zinc_mcp.cli.screen import columns, show_command, show_line, wrapped
from zinc_mcp.consent.question import Question, paid_by, quoted
from zinc_mcp.journal.decision import reference_of
from zinc_mcp.journal.entry import Entry, Event
from zinc_mcp.journal.money import NOT_BOUGHT, OWNERS_WORD, told_of
from zinc_mcp.spending.outcome import why_in_doubt
from zinc_mcp.text import plain, printed
from zinc_mcp.views.ending import ending_of
from zinc_mcp.zinc.product_urls.reading import ProductUrlError, read_product_url

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


def amount_of(entry: Entry) -> str:
    """Return the amount that an order cost, or the most that it can cost."""
    told = told_of(entry)
    if told.paid_cents is not None:
        return printed(told.paid_cents)
    if told.up_front_cents is not None and entry.state in NOT_BOUGHT:
        return f"{printed(told.up_front_cents)} up front, {printed(told.refunded_cents or 0)} back"
    return f"up to {printed(told.held_cents)}"


def items_of(entry: Entry) -> list[str]:
    """Return one line for each product that was ordered; none if `orders purge` has deleted them.

    A line has the title if Zinc knew it when the person was asked.
    """
    question = kept_question(entry)
    if question is not None:
        return [_product_line(line.quantity, line.product_id, line.host, line.title) for line in question.lines]
    items = entry.facts.get("items")
    rows = cast(list[object], items) if isinstance(items, list) else []
    return [_product_line_of_row(cast(Mapping[str, Any], row)) for row in rows if isinstance(row, Mapping)]


def kept_question(entry: Entry) -> Question | None:
    """Return the question that a person was asked, whether answered or not; None if the journal has none."""
    try:
        return Question.model_validate((entry.consent or {}).get("question"))
    except ValidationError:
        return None


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
        practice = "" if entry.mode == "live" else f" ({entry.mode})"
        first = f"{when(entry.opened_at)}  {entry.state.ljust(state)}  {amount_of(entry)}{practice}"
        named = items_of(entry)
        more = [f"and {len(named) - _MOST_ITEMS} more"] if len(named) > _MOST_ITEMS else []
        beneath = [*(named[:_MOST_ITEMS] or [plain(entry.facts.get("retailer", ""), 40)]), *more]
        beneath.append(f"key {plain(entry.key, 64)}")
        if entry.order_id:
            beneath.append(f"order {plain(entry.order_id, 64)}")
        for line in (*wrapped(first, columns(), "  "), *_indented(beneath)):
            click.echo(line)
        show_waiting(entry)


def _show_how_to_answer(entry: Entry) -> None:
    show_line(f"  {plain(entry.key, 64)} waits for your answer. This shows the question and takes it:", "  ")
    show_command("approve", given=[plain(entry.key, 64)])


def _indented(lines: Sequence[str]) -> list[str]:
    return [part for line in lines for part in wrapped(f"  {line}", columns(), "    ")]


def _row(entry: Entry) -> tuple[str, ...]:
    return (
        when(entry.opened_at),
        entry.mode,
        entry.state,
        amount_of(entry),
        "; ".join(items_of(entry)) or plain(entry.facts.get("retailer", ""), 40),
        plain(entry.key, 64),
        plain(entry.order_id or "", 64),
    )


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _product_line_of_row(row: Mapping[str, Any]) -> str:
    url = str(row.get("url", ""))
    try:
        address = read_product_url(url)
    except ProductUrlError:
        return f"{_quantity(row.get('quantity'))} x {plain(url, 80)}"
    return _product_line(_quantity(row.get("quantity")), address.product_id, address.host, None)


def _product_line(quantity: int, product_id: str | None, host: str, title: str | None) -> str:
    product = f"product {plain(product_id, 60)}" if product_id else "a product"
    return f"{quantity} x {quoted(plain(title, 80)) if title else product} at {plain(host, 60)}"


def _quantity(value: object) -> int:
    return value if type(value) is int else 1


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
    ending = ending_of(entry)
    show_line(f"{ending.title}. {' '.join(ending.sentences)}", "")
    show_waiting(entry)
    click.echo("")
    for label, value in _facts(entry):
        _show_fact(label, value)
    click.echo("\nWhat happened")
    for event in events:
        detail = ", ".join(f"{_label(name)}: {_readable(value)}" for name, value in event.detail.items())
        what = f"{plain(event.what)} ({detail})" if detail else plain(event.what)
        show_line(f"  {when(event.at, exact=True)}  {event.state:<9}  {what}")
    if entry.state in ("unknown", "paid_no_order"):
        _show_last_word(entry, shares_its_key=shares_its_key)


def _show_last_word(entry: Entry, *, shares_its_key: bool) -> None:
    sent = "It was sent and never answered." if entry.state == "unknown" else "It was paid, and no order is known."
    if why_in_doubt(entry) is not None:
        sent = "Nobody but you can end this."
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
    question = kept_question(entry)
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
            yield _label(name).capitalize(), _readable(value)
    if entry.problem:
        yield "Problem", _readable(entry.problem.get("summary") or entry.problem)
        reason = entry.problem.get("error_type") or entry.problem.get("code")
        if reason:
            yield "Code", plain(reason, 60)
    if entry.body is None:
        yield "Forgotten", "what was ordered and where it went (purge)"


def _addresses(entry: Entry) -> Iterator[tuple[str, str]]:
    question, items = kept_question(entry), entry.facts.get("items")
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
        yield _label(name.removesuffix("_cents")).capitalize(), _cents(value) if cents else _readable(value)


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
