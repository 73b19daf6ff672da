"""The owner's orders on a screen: a table where it fits, a few lines each where it does not, one line in a pipe."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import click

from zinc_mcp.cli.screen import bold, cells, columns, show_command, show_line, wrapped
from zinc_mcp.journal.decision import reference_of
from zinc_mcp.journal.entry import Entry
from zinc_mcp.process import Answer
from zinc_mcp.text import plain
from zinc_mcp.views.order import OrderView, order_view
from zinc_mcp.views.order_rows import OrderRow, order_row

_HEADER = ("What", "From", "State", "Money", "Next step")
_TABLE_COLUMNS = 80
"""Narrower screens get a few lines for each order."""
_GAP = "  "


def as_read(entry: Entry) -> OrderView:
    """Return the view of an order as the journal has it."""
    return order_view(Answer(entry), "person", mode=entry.mode, now=time.time())


def show_orders(entries: Sequence[Entry]) -> None:
    """Print orders, and how to answer those that wait for an answer."""
    for line in _lines(entries):
        click.echo(line)
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
    """What the list of orders shows."""

    entries: Sequence[Entry]
    unsettled: Sequence[Entry] = ()
    """Returns and reports that wait for an answer or are in doubt."""
    pauses: Sequence[str] = ()


def follow(read: Callable[[], Listed], show: Callable[[Listed], None], seconds: float) -> None:
    """Show the list again whenever something in it has changed, until Ctrl-C. Nobody is asked."""
    shown: object = None
    try:
        while True:
            listed = read()
            versions = [(entry.id, entry.version) for entry in (*listed.entries, *listed.unsettled)]
            present = (versions, list(listed.pauses), columns())
            if present != shown:
                if sys.stdout.isatty():
                    click.clear()
                elif shown is not None:
                    click.echo("")
                show(listed)
                sys.stdout.flush()
                shown = present
            time.sleep(seconds)
    except KeyboardInterrupt:
        click.echo("")


def _lines(entries: Sequence[Entry]) -> list[str]:
    rows = [order_row(entry, as_read(entry)) for entry in entries]
    if not sys.stdout.isatty():
        return _piped(entries, rows)
    return _table(entries, rows) if columns() >= _TABLE_COLUMNS else _stacked(entries, rows)


def _piped(entries: Sequence[Entry], rows: Sequence[OrderRow]) -> list[str]:
    """Return one line for each order, however long, for programs that go by lines."""
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
    widths = [max(map(cells, column)) for column in zip(header, *table, strict=True)]
    return [_GAP.join(map(_padded, line, widths)).rstrip() for line in (header, *table)]


def _table(entries: Sequence[Entry], rows: Sequence[OrderRow]) -> list[str]:
    """Return a table as wide as the screen, its long cells in several lines. The first column is ours.

    So no line begins with the words of others.
    """
    zone, width = _zone(), columns()
    opened, money = (16, 16) if width >= 110 else (10, 12)
    state = max(len("State"), *(len(row.state) for row in rows))
    left = width - opened - state - money - 5 * len(_GAP)
    where, step = max(10, min(20, left // 4)), max(12, min(24, left // 3))
    widths = (opened, left - where - step, where, state, money, step)
    lines = [bold(line) for line in _row((_opened_header(zone), *_HEADER), widths)]
    for entry, row in zip(entries, rows, strict=True):
        practice = "" if entry.mode == "live" else f" ({entry.mode})"
        each = (
            _local(entry.opened_at, zone),
            "\n".join(row.what),
            row.where_from,
            row.state,
            f"{row.money}{practice}",
            row.next_step,
        )
        lines += [*_row(each, widths), *_named(row, " " * (opened + len(_GAP)), width)]
    return lines


def _stacked(entries: Sequence[Entry], rows: Sequence[OrderRow]) -> list[str]:
    """Return a few lines for each order, which fit a narrow screen."""
    zone, width = _zone(), columns()
    state = max(len("State"), *(len(row.state) for row in rows))
    header = wrapped(f"{_opened_header(zone)}{_GAP}{'State'.ljust(state)}{_GAP}Money", width, "  ")
    lines = [bold(line) for line in header]
    for entry, row in zip(entries, rows, strict=True):
        practice = "" if entry.mode == "live" else f" ({entry.mode})"
        first = f"{_local(entry.opened_at, zone)}{_GAP}{row.state.ljust(state)}{_GAP}{row.money}{practice}"
        lines += wrapped(first, width, "  ")
        goods = [f"{each} at {row.where_from}" if row.where_from else each for each in row.what] or [row.where_from]
        for part in (*goods, *([f"next: {row.next_step}"] if row.next_step else [])):
            lines += wrapped(f"  {part}", width, "    ")
        lines += _named(row, "  ", width)
    return lines


def _named(row: OrderRow, indent: str, width: int) -> list[str]:
    named = f"{indent}key {row.key}"
    if row.order_id is None:
        return wrapped(named, width, f"{indent}  ")
    both = f"{named}, order {row.order_id}"
    if cells(both) <= width:
        return [both]
    return [*wrapped(named, width, f"{indent}  "), *wrapped(f"{indent}order {row.order_id}", width, f"{indent}  ")]


def _row(texts: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return the lines of one row of a table.

    The second column holds words of others. Its further lines are indented, so none of them looks like a line of ours.
    """
    cut = [
        [line for part in text.split("\n") for line in wrapped(part, width, "  " if number == 1 else "")]
        for number, (text, width) in enumerate(zip(texts, widths, strict=True))
    ]
    return [
        _GAP.join(
            _padded(each[number] if number < len(each) else "", width) for each, width in zip(cut, widths, strict=True)
        ).rstrip()
        for number in range(max(map(len, cut)))
    ]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def _zone() -> timezone:
    return timezone(datetime.now().astimezone().utcoffset() or timedelta())


def _opened_header(zone: timezone) -> str:
    return f"Opened {datetime.now(zone).isoformat()[-6:]}"


def _local(at: float, zone: timezone) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M")
