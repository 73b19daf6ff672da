"""The list of orders: a table on a wide screen, a few lines for each order on a narrow one, one line in a pipe."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import click
from rich.console import RenderableType
from rich.text import Text

from zinc_mcp.cli.console import GAP, STATE_STYLES, Hanging, clear, grid, show, show_aligned
from zinc_mcp.cli.screen import cells, columns, show_command, show_line
from zinc_mcp.journal.records.decision import reference_of
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.process import Answer
from zinc_mcp.text import plain
from zinc_mcp.views.order import OrderView, order_view
from zinc_mcp.views.owner.order_rows import YOUR_ANSWER, OrderRow, order_row
from zinc_mcp.views.words import in_words

_HEADER = ("What", "From", "State", "Money", "Next step")
_TABLE_COLUMNS = 80
"""Narrower screens get a few lines for each order."""


def as_read(entry: Entry) -> OrderView:
    """Return the view of an order as the journal has it."""
    return order_view(Answer(entry), "person", mode=entry.mode, now=time.time())


def show_orders(entries: Sequence[Entry]) -> None:
    """Print orders, and how to answer those that wait for an answer."""
    _shown(entries)
    for entry in entries:
        if reference_of(entry) is not None:
            click.echo("")
            show_how_to_answer(entry)


def show_how_to_answer(entry: Entry) -> None:
    """Print the command that shows an order's question and takes the answer."""
    show_line(f"  {plain(entry.key, 64)} waits for your answer. This shows the question and takes it:", "  ")
    show_command("approve", given=[plain(entry.key, 64)])


@dataclass(frozen=True, slots=True)
class Listed:
    """The content of the list of orders."""

    entries: Sequence[Entry]
    unsettled: Sequence[Entry] = ()
    """Returns and reports that wait for an answer or are in doubt."""
    pauses: Sequence[str] = ()


def follow(read: Callable[[], Listed], show_list: Callable[[Listed], None], seconds: float) -> None:
    """Show the list again whenever something in it has changed, until Ctrl-C. Only the journal is read.

    `seconds`: the time between two looks at the journal.
    """
    shown: object = None
    try:
        while True:
            listed = read()
            versions = [(entry.id, entry.version) for entry in (*listed.entries, *listed.unsettled)]
            present = (versions, list(listed.pauses), columns())
            if present != shown:
                if shown is not None or sys.stdout.isatty():
                    clear()
                show_list(listed)
                if sys.stdout.isatty():
                    click.echo("")
                    show_line("This is shown again whenever an order has changed. Ctrl-C ends it.")
                sys.stdout.flush()
                shown = present
            time.sleep(seconds)
    except KeyboardInterrupt:
        click.echo("")


def _shown(entries: Sequence[Entry]) -> None:
    rows = [order_row(entry, as_read(entry)) for entry in entries]
    if not sys.stdout.isatty():
        _show_piped(entries, rows)
    elif columns() >= _TABLE_COLUMNS:
        _show_table(entries, rows)
    else:
        _show_stacked(entries, rows)


def _show_piped(entries: Sequence[Entry], rows: Sequence[OrderRow]) -> None:
    """Print one line for each order, however long, for programs that read line by line."""
    zone = _zone()
    header = (_opened_header(zone), "Mode", *_HEADER, "Key", "Order")
    table = [
        (
            _local(entry.opened_at, zone),
            entry.mode,
            "; ".join(row.what),
            row.where_from,
            row.state,
            row.money,
            row.next_step,
            row.key,
            row.order_id or "",
        )
        for entry, row in zip(entries, rows, strict=True)
    ]
    show_aligned([header, *table])


def _show_table(entries: Sequence[Entry], rows: Sequence[OrderRow]) -> None:
    """Print a table as wide as the screen, with long cells on several lines. We write the first column.

    So no line begins with foreign text. The further lines of such text are indented, so none of them looks like ours.
    """
    zone, width = _zone(), columns()
    opened, money = (16, 16) if width >= 110 else (10, 12)
    state = max(len("State"), *(len(in_words(row.state)) for row in rows))
    left = width - opened - state - money - 5 * GAP
    where, step = max(10, min(20, left // 4)), max(12, min(24, left // 3))
    widths = (opened, left - where - step, where, state, money, step)
    parts: list[RenderableType] = [
        grid(widths, [[Hanging(name, style="bold") for name in (_opened_header(zone), *_HEADER)]]),
        Text("─" * width, style="dim"),
    ]
    for entry, row in zip(entries, rows, strict=True):
        cells = (
            Hanging(_local(entry.opened_at, zone)),
            Hanging("\n".join(row.what), "  "),
            Hanging(row.where_from),
            Hanging(in_words(row.state), style=STATE_STYLES.get(row.state, "")),
            Hanging(_money(entry, row)),
            Hanging(row.next_step, style="bold" if row.next_step == YOUR_ANSWER else ""),
        )
        parts += [grid(widths, [cells]), *_named(row, " " * (opened + GAP), width)]
    show(*parts)


def _show_stacked(entries: Sequence[Entry], rows: Sequence[OrderRow]) -> None:
    """Print a few lines for each order, which fit a narrow screen."""
    zone, width = _zone(), columns()
    state = max(len("State"), *(len(in_words(row.state)) for row in rows))
    between = " " * GAP
    header = f"{_opened_header(zone)}{between}{'State'.ljust(state)}{between}Money"
    parts: list[RenderableType] = [Hanging(header, "  ", "bold")]
    for entry, row in zip(entries, rows, strict=True):
        first = (
            f"{_local(entry.opened_at, zone)}{between}{in_words(row.state).ljust(state)}{between}{_money(entry, row)}"
        )
        parts += [Text(""), Hanging(first, "  ", STATE_STYLES.get(row.state, ""))]
        goods = [f"{each} at {row.where_from}" if row.where_from else each for each in row.what] or [row.where_from]
        step = [f"next: {row.next_step}"] if row.next_step else []
        parts += [*(Hanging(f"  {part}", "    ") for part in (*goods, *step)), *_named(row, "  ", width)]
    show(*parts)


def _money(entry: Entry, row: OrderRow) -> str:
    return row.money if entry.mode == "live" else f"{row.money} ({entry.mode})"


def _named(row: OrderRow, indent: str, width: int) -> list[RenderableType]:
    """Return the lines with key and order id. They share a line only if both fit: a broken id cannot be copied."""
    key, order = f"{indent}key {row.key}", f"order {row.order_id}"
    if row.order_id is not None and cells(f"{key}, {order}") <= width:
        return [Text(f"{key}, {order}", style="dim")]
    each = [key] if row.order_id is None else [key, f"{indent}{order}"]
    return [Hanging(line, f"{indent}  ", "dim") for line in each]


def _zone() -> timezone:
    return timezone(datetime.now().astimezone().utcoffset() or timedelta())


def _opened_header(zone: timezone) -> str:
    return f"Opened {datetime.now(zone).isoformat()[-6:]}"


def _local(at: float, zone: timezone) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M")
