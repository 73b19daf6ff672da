"""The list of orders on a person's screen: when, how each stands, what it is and may cost, and what to do about it."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import click
from pydantic import ValidationError

from zinc_mcp.cli.screen import columns, show_command, show_line, wrapped
from zinc_mcp.consent.question import Question, quoted
from zinc_mcp.journal.decision import reference_of
from zinc_mcp.journal.entry import Entry
from zinc_mcp.journal.settlement import NOT_BOUGHT, told_of
from zinc_mcp.money import printed
from zinc_mcp.prose import plain
from zinc_mcp.zinc.product_urls.reading import ProductUrlError, read_product_url

_HEADER = ("Opened (UTC offset)", "Money", "State", "Amount", "Items", "Key", "Order")
_MOST_ITEMS = 3


def show_list(entries: Sequence[Entry]) -> None:
    """Print orders; in a pipe each is one line of a table, at a terminal a few lines that fit its width."""
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
    """Return what an order came to, or at most comes to."""
    told = told_of(entry)
    if told.paid_cents is not None:
        return printed(told.paid_cents)
    if told.up_front_cents is not None and entry.state in NOT_BOUGHT:
        return f"{printed(told.up_front_cents)} up front, {printed(told.refunded_cents or 0)} back"
    return f"up to {printed(told.held_cents)}"


def items_of(entry: Entry) -> list[str]:
    """Name what was ordered, one line for each product; nothing where it was forgotten.

    A title stands where Zinc could tell it when the person was asked.
    """
    question = question_kept(entry)
    if question is not None:
        return [_named(line.quantity, line.product_id, line.host, line.title) for line in question.lines]
    items = entry.facts.get("items")
    rows = cast(list[object], items) if isinstance(items, list) else []
    return [_of_row(cast(Mapping[str, Any], row)) for row in rows if isinstance(row, Mapping)]


def question_kept(entry: Entry) -> Question | None:
    """Return the question that a person was asked, answered or not, while the journal has it."""
    try:
        return Question.model_validate((entry.consent or {}).get("question"))
    except ValidationError:
        return None


def when(at: float, *, exact: bool = False) -> str:
    """Return a time of day here with its offset from UTC, to the minute, or to the second."""
    return datetime.fromtimestamp(at).astimezone().isoformat(" ", "seconds" if exact else "minutes")


def show_waiting(entry: Entry) -> None:
    """Say how to answer where an order waits for it."""
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


def _of_row(row: Mapping[str, Any]) -> str:
    url = str(row.get("url", ""))
    try:
        address = read_product_url(url)
    except ProductUrlError:
        return f"{_whole(row.get('quantity'))} x {plain(url, 80)}"
    return _named(_whole(row.get("quantity")), address.product_id, address.host, None)


def _named(quantity: int, product_id: str | None, host: str, title: str | None) -> str:
    product = f"product {plain(product_id, 60)}" if product_id else "a product"
    return f"{quantity} x {quoted(plain(title, 80)) if title else product} at {plain(host, 60)}"


def _whole(value: object) -> int:
    return value if type(value) is int else 1
