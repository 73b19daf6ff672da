"""Lines on a person's screen, in which the words of others cannot look like a line of ours."""

import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence

import click

from zinc_mcp.invocation import command_line, setting_to_repeat

_GOES_ON = "      "
_PIPED_COLUMNS = 80
_FEWEST_COLUMNS = 20


def columns() -> int:
    """Return how wide the terminal is; 80 where there is none."""
    if not sys.stdout.isatty():
        return _PIPED_COLUMNS
    return max(_FEWEST_COLUMNS, shutil.get_terminal_size((_PIPED_COLUMNS, 24)).columns)


def show_line(line: str, goes_on: str = _GOES_ON) -> None:
    """Print a line whose parts are clean already; on a terminal it is indented by `goes_on` where it goes on.

    A terminal that breaks a line by itself begins the next one with whatever text happens to stand there.
    """
    if not sys.stdout.isatty():
        click.echo(line)
        return
    for each in wrapped(line, columns(), goes_on):
        click.echo(each)


def show_command(*words: str, options: Sequence[str] = (), given: Sequence[str] = ()) -> None:
    """Print a command of ours on a line of its own, however long: broken in two it could not be pasted.

    `given` is what a model may have written, as for `invocation.command`.
    """
    click.echo(f"  {command_line(*words, *options, given=given)}")
    if remark := setting_to_repeat():
        click.echo(f" {remark}")


def wrapped(text: str, width: int, goes_on: str = "") -> list[str]:
    """Return text as lines of at most `width` columns, broken at its spaces.

    Lines after the first begin with `goes_on`. A word is broken only where it is longer than a whole line.
    """
    body = text.lstrip(" ")
    line = text[: len(text) - len(body)]
    lines: list[str] = []
    empty = True
    for piece, goes_on_a_word in _pieces(body, max(1, width - max(len(line), len(goes_on)))):
        joined = f"{line}{piece}" if empty else f"{line} {piece}"
        if not empty and (goes_on_a_word or _cells(joined) > width):
            lines.append(line.rstrip(" "))
            joined = f"{goes_on}{piece}"
        line, empty = joined, False
    return [*lines, line.rstrip(" ")]


def _pieces(text: str, most: int) -> Iterator[tuple[str, bool]]:
    """Yield the words, those that take more than `most` columns in parts, and whether it goes on a word."""
    for word in text.split(" "):
        part, goes_on = "", False
        for character in word:
            if part and _cells(part) + _cells(character) > most:
                yield part, goes_on
                part, goes_on = "", True
            part += character
        yield part, goes_on


def _cells(text: str) -> int:
    """Return how many columns a text takes; letters of East Asian scripts take two (Unicode, UAX 11)."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )
