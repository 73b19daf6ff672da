"""The doctor's findings: printed on a screen, and as records for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.text import Text

from zinc_mcp.cli.console import Hanging, grid, show
from zinc_mcp.cli.screen import show_command, show_sentences
from zinc_mcp.invocation import command_line
from zinc_mcp.text import plain

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "wrong": ("WRONG", "bold red")}
_MARK_COLUMNS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    level: Literal["ok", "note", "wrong"]
    subject: str
    sentence: str
    advice: str = ""
    command: tuple[str, ...] = ()
    """A zinc-mcp command that shows more, or removes the fault."""
    given: tuple[str, ...] = ()
    """The command's further words, which a model may have written."""


@dataclass(frozen=True, slots=True)
class Configured:
    """One setting: its name, its value where it is no secret, and where it comes from."""

    name: str
    value: str
    source: str


def show_configured(settings: Sequence[Configured]) -> None:
    """Print the settings, one below the other."""
    rows = [(Text(""), Text(each.name), Hanging(f"{each.value} ({each.source})", "  ")) for each in settings]
    show(grid((0, max(len(each.name) for each in settings), None), rows))


def show_finding(finding: Finding) -> None:
    """Print one finding, with the advice below it and the command on a line of its own."""
    mark, style = _MARKS[finding.level]
    said = f"{finding.subject}: {plain(finding.sentence, 600)}"
    show(grid((1, _MARK_COLUMNS, None), [(Text(""), Text(mark, style), Hanging(said, "  "))], gap=1))
    if finding.advice:
        show_sentences(plain(finding.advice, 600), " " * (_MARK_COLUMNS + 3))
    if finding.command:
        show_command(*finding.command, given=finding.given)


def findings_record(findings: Sequence[Finding]) -> list[Mapping[str, Any]]:
    """Return the findings for programs. Names are only added."""
    return [
        {
            "level": each.level,
            "subject": each.subject,
            "sentence": plain(each.sentence, 600),
            "advice": plain(each.advice, 600) or None,
            "command": command_line(*each.command, given=each.given) if each.command else None,
        }
        for each in findings
    ]
