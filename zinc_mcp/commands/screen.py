"""Lines on a person's screen, in which the words of others cannot look like a line of ours."""

import shutil
import sys
import unicodedata
from collections.abc import Sequence

import click

from zinc_mcp.invocation import command_line, setting_to_repeat

_GOES_ON = "      "


def show_line(line: str) -> None:
    """Print a line whose parts are clean already; on a terminal it is indented where it goes on.

    A terminal that breaks a line by itself begins the next one with whatever text happens to stand there.
    """
    if not sys.stdout.isatty():
        click.echo(line)
        return
    width = max(40, min(100, shutil.get_terminal_size().columns))
    if not line.isascii() and any(unicodedata.east_asian_width(character) in "WF" for character in line):
        width //= 2  # each may take two columns, and they are counted as one
    click.echo(click.wrap_text(line, width, subsequent_indent=_GOES_ON))


def show_command(*words: str, given: Sequence[str] = ()) -> None:
    """Print a command of ours on a line of its own, however long: broken in two it could not be pasted.

    `given` is what a model may have written, as for `invocation.command`.
    """
    click.echo(f"  {command_line(*words, given=given)}")
    if remark := setting_to_repeat():
        click.echo(f" {remark}")
