"""Printing with rich: tables, labelled lines, and a sign that the program waits.

Colour and movement are for terminals that have them. A pipe, `NO_COLOR` (no-color.org) and `TERM=dumb` get plain text,
and a pipe gets no line breaks of ours. Nothing that is printed is read as markup.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import click
from rich.cells import set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from zinc_mcp.cli.screen import cells, columns, is_dumb, is_plain, visible_only, wrapped

GAP = 2
"""Columns between two cells of a table."""
_UNBROKEN = 100_000
"""The width of a pipe, in columns: no line is broken there, because programs read line by line."""
_LINES = 25
"""Nothing here depends on the height. Without one, rich takes every dumb terminal for 80 columns wide."""

STATE_STYLES: Mapping[str, str] = {
    "waiting": "yellow",
    "signing": "yellow",
    "sending": "yellow",
    "unknown": "bold yellow",
    "accepted": "cyan",
    "placed": "green",
    "failed": "red",
    "rejected": "red",
    "refused": "red",
    "paid_no_order": "bold red",
}
"""The colours of states. The word for the state is always printed as well."""


def show(*parts: RenderableType, width: int | None = None) -> None:
    """Print parts one below the other, without blanks at the ends of lines.

    `width` is in columns. By default it is the terminal's; in a pipe no line is broken.
    """
    console = _console(width or (columns() if sys.stdout.isatty() else _UNBROKEN))
    with console.capture() as printed:
        for part in parts:
            console.print(part)
    for line in printed.get().splitlines():
        click.echo(line.rstrip(" "))


def clear() -> None:
    """Clear the screen, if the terminal can; otherwise print an empty line."""
    if not sys.stdout.isatty() or is_dumb():
        click.echo("")
    else:
        click.clear()


def working(text: str) -> AbstractContextManager[object]:
    """Show a moving sign beside a text of ours while the program waits, if the terminal can; print nothing else."""
    return nullcontext() if is_plain() else _console(columns()).status(Text(text))


class Hanging:
    """Text on lines that fit. Each line after the first begins with `continued`."""

    def __init__(self, text: str, continued: str = "", style: str = "") -> None:
        """Keep a text whose parts are clean, the beginning of further lines, and the style."""
        self._text = text
        self._continued = continued
        self._style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield one line after the other."""
        for part in self._text.split("\n"):
            for line in wrapped(part, options.max_width, self._continued):
                yield Text(visible_only(line), style=self._style, no_wrap=True, overflow="ignore")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the widths of the longest word and of the longest line, in columns."""
        beside = cells(self._continued)  # no part of a word is wider than a line that continues another one
        most = max(map(cells, self._text.split("\n"))) + beside
        least = max(map(cells, self._text.split()), default=0) + beside
        return Measurement(min(least, most), most).with_maximum(options.max_width)


def grid(widths: Iterable[int | None], rows: Iterable[Iterable[RenderableType]], gap: int = GAP) -> Table:
    """Return a table without lines. A width of None is as wide as its longest cell, where there is room."""
    table = Table.grid(*[Column(width=width) for width in widths], padding=(0, gap, 0, 0), pad_edge=False)
    for row in rows:
        table.add_row(*row)
    return table


def show_aligned(lines: Sequence[Sequence[str]]) -> None:
    """Print one line for each row, its cells below each other. A table of rich takes seconds for thousands of rows."""
    clean = [[visible_only(cell) for cell in line] for line in lines]
    widths = [max(map(cells, column)) for column in zip(*clean, strict=True)]
    for line in clean:
        click.echo((" " * GAP).join(map(set_cell_size, line, widths)).rstrip())


def show_facts(facts: Iterable[tuple[str, str]], label_columns: int, fewest: int, style: str = "") -> None:
    """Print labels and values side by side, or one below the other if fewer than `fewest` columns are left for values.

    A line with an empty label belongs to the label before it.
    """
    if not sys.stdout.isatty():
        for label, value in facts:
            click.echo(f"  {label:<{label_columns}}{value}".rstrip() if label or value else "")
        return
    if columns() - label_columns - GAP < fewest:
        for label, value in facts:
            parts = [f"  {label}:"] if label else []
            show(*[Hanging(part, "    ", "bold") for part in parts], Hanging(f"    {value}", "    ", style))
        return
    rows = [(Text(""), Hanging(label), Hanging(value, "  ", style)) for label, value in facts]
    show(grid((0, label_columns - GAP, None), rows))


def _console(width: int) -> Console:
    plain = is_plain()
    return Console(
        force_terminal=sys.stdout.isatty(),  # FORCE_COLOR and the like do not colour a pipe
        color_system=None if plain else "auto",
        no_color=plain,
        width=width,
        height=_LINES,
        markup=False,
        emoji=False,
        highlight=False,
        force_jupyter=False,
        force_interactive=not plain,
    )
