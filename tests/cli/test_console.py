"""Printed text fits the terminal, has colours only where they are wanted, and is only ever text."""

import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from keyboard import at_a_terminal
from pasting import furnish, opened
from started import ROOT, Started

from zinc_mcp.cli.screen import cells
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.policy import Policy

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

Words = tuple[str, ...]
COMMANDS: tuple[Words, ...] = (
    ("orders",),
    ("orders", "show", "waits"),
    ("orders", "show", "doubtful"),
    ("approve", "waits"),
    ("policy",),
    ("doctor",),
    ("addresses", "list"),
    ("orders", "show", "nothing"),
)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
A_COMMAND = "-m zinc_mcp "


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("a person's") / "home"
    furnish(place)
    return place


@pytest.fixture
def started(furnished: Path, tmp_path: Path) -> Started:
    shutil.copytree(furnished, tmp_path / "home")
    return Started(tmp_path)


def shown(started: Started, words: Sequence[str], width: int = 80, **variables: str) -> str:
    """Return what a terminal shows, which has colours unless the variables say otherwise."""
    term = variables.pop("TERM", "xterm-256color")
    environ = {**started.environment, "ZINC_MCP_SANDBOX": "1", **variables}
    typed = [("Type yes", "no")] if words[0] == "approve" else []
    return at_a_terminal(words, environ, typed, columns=width, term=term)[1]


# Widths


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_line_is_longer_than_the_terminal_except_commands_to_paste(
    started: Started, words: Words, width: int
) -> None:
    screen = shown(started, words, width, NO_COLOR="1")
    assert [line for line in screen.splitlines() if cells(line) > width and A_COMMAND not in line] == []
    for line in screen.splitlines():
        if A_COMMAND in line and cells(line) > width:
            assert re.fullmatch(r"  (?:[A-Z_]+=\S+ )*\S+ -m zinc_mcp [^`“]+", line), "a long command has its own line"


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_amounts_keys_and_commands_are_never_broken(started: Started, words: Words, width: int) -> None:
    whole = started.quickly(*words, ZINC_MCP_SANDBOX="1") if words[0] != "approve" else None
    said = shown(started, words, 1000, NO_COLOR="1") if whole is None else whole.stdout + whole.stderr
    screen = shown(started, words, width, NO_COLOR="1")
    kept = re.compile(r"-?\$[0-9][0-9,.]*[0-9]|\b(?:waits|doubtful|failed)\b|\S+ -m zinc_mcp [a-z ]+")
    wanted = [found.strip() for found in kept.findall(said)]
    assert sorted(found.strip() for found in kept.findall(screen)) == sorted(wanted)


def test_a_command_inside_a_sentence_gets_a_line_of_its_own_where_the_line_is_short(started: Started) -> None:
    screen = shown(started, ("orders", "show", "nothing"), 60)
    [line] = [line for line in screen.splitlines() if A_COMMAND in line]
    assert re.fullmatch(r"  \S.* -m zinc_mcp orders", line)
    assert "lists them." in screen


# Colours


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_colours_change_nothing_but_colours(started: Started, words: Words) -> None:
    coloured, plain = shown(started, words), shown(started, words, NO_COLOR="1")
    without = [COLOURS.sub("", line).rstrip() for line in _at_rest(coloured)]
    assert without == [line.rstrip() for line in plain.splitlines()]
    for screen in (plain, shown(started, words, TERM="dumb")):
        assert "\x1b" not in screen
        assert "\r" not in screen


def _at_rest(screen: str) -> list[str]:
    """Return the lines of a screen without the sign that moves while the program waits."""
    return re.sub(r"\x1b\[\?25l.*?\x1b\[\?25h\r\x1b\[1A\x1b\[2K", "", screen, flags=re.DOTALL).splitlines()


def test_states_have_colours_and_their_words_as_well(started: Started) -> None:
    screen = shown(started, ("orders",), 120)
    for state, colour in (("failed", "31"), ("unknown", "1;33"), ("waiting", "33")):
        assert f"\x1b[{colour}m{state}\x1b[0m" in screen


@pytest.mark.parametrize("words", [each for each in COMMANDS if each[0] != "approve"], ids=" ".join)
def test_a_pipe_gets_no_control_sequence_whatever_is_asked_for(started: Started, words: Words) -> None:
    force = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"}
    ended = started.quickly(*words, ZINC_MCP_SANDBOX="1", TERM="xterm-256color", COLUMNS="40", **force)
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "\r" not in ended.stdout + ended.stderr


# Words of others


HOSTILE = "[red]cheap[/red] [link=https://evil.example]here[/link] :smile: [/] \\[bold] שלום é👩‍🚀 京都"


@pytest.mark.parametrize("words", [("orders",), ("orders", "show", "hostile")], ids=" ".join)
@pytest.mark.parametrize("width", [60, 120])
def test_words_of_others_are_never_markup(started: Started, words: Words, width: int) -> None:
    with Journal.open(f"sqlite:///{started.home / 'journal.db'}") as journal:
        journal.resume()
        entry = opened(journal, "hostile")
        items = [
            {"url": "https://www.amazon.com/dp/B07JGBW826", "quantity": 1, "title": f"\x1b[31m\x07{HOSTILE}\u202e"}
        ]
        problem = {"code": "internal_error", "summary": f"It ended. {HOSTILE}"}
        journal.move(
            entry, "unknown", HOSTILE, attempts=1, facts={"retailer": HOSTILE, "items": items}, problem=problem
        )
    for screen in (shown(started, words, width), shown(started, words, width, NO_COLOR="1")):
        said = "".join(COLOURS.sub("", "".join(_at_rest(screen))).split())
        more = ("[link=https://evil", ":smile:", "שלום") if words[1:] else ()  # the list cuts what is long
        for part in ("[red]cheap[/red]", *more):
            assert part in said, part
        assert not {"\x07", "\u202e"} & set(screen)
        assert "\x1b]8" not in screen
        assert all(cells(COLOURS.sub("", line)) <= width for line in screen.splitlines() if A_COMMAND not in line)


def test_a_screen_without_those_letters_still_shows_each_of_them(started: Started) -> None:
    with Journal.open(f"sqlite:///{started.home / 'journal.db'}") as journal:
        journal.resume()
        entry = opened(journal, "foreign")
        journal.move(entry, "unknown", "no answer", attempts=1, facts={"retailer": "Größe 京"})
    ended = started.process("-m", "zinc_mcp", "orders", PYTHONIOENCODING="iso8859-5")
    assert ended.returncode == 0
    assert r"Gr\xf6\xdfe \u4eac" in ended.stdout


# Following


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_following_orders_says_that_ctrl_c_ends_it_and_ends_by_it(started: Started, term: str) -> None:
    typed = [("Ctrl-C ends it.", "\x03")]
    code, screen = at_a_terminal(["orders", "--watch"], started.environment, typed, term=term)
    assert code == 0
    assert "doubtful" in screen
    assert ("\x1b[2J" in screen) == (term != "dumb")


# For programs

LIMITS = {
    *("config", "config_exists", "mode", "policy", "published", "addresses", "pin", "used", "used_together", "pauses"),
}
REPORT = {"version", "started_as", "mode", "settings", "findings", "wrong"}


def test_programs_get_the_limits_by_names_that_stay(started: Started) -> None:
    found: dict[str, Any] = json.loads(started.run("policy", "--json", ZINC_MCP_SANDBOX="1").stdout)
    assert set(found) == LIMITS
    assert set(found["policy"]) == set(Policy.model_fields)
    assert found["policy"]["max_order"] == {"value": 25000, "source": "default"}
    assert found["policy"]["approval"]["value"] == "page"
    assert found["pin"] == {"is_set": False, "ends_at": None}
    [used] = found["used"]
    assert (used["caller"], used["day_orders"], type(used["day_cents"])) == ("local", 3, int)
    assert found["pauses"] == ["for a look"]


def test_programs_get_the_report_by_names_that_stay(started: Started) -> None:
    ended = started.run("doctor", "--json", ZINC_MCP_SANDBOX="1")
    found: dict[str, Any] = json.loads(ended.stdout)
    assert (set(found), ended.returncode, found["wrong"]) == (REPORT, 0, 0)
    assert {tuple(each) for each in found["settings"]} == {("name", "value", "source")}
    assert {tuple(each) for each in found["findings"]} == {("level", "subject", "sentence", "advice", "command")}
    pause = next(each for each in found["findings"] if each["subject"] == "pause")
    assert pause["command"].endswith("-m zinc_mcp resume")
    wrong = started.run(
        "doctor", "--json", ZINC_API_KEY="zn_live_x", ZINC_API_URL="http://127.0.0.1:9", ZINC_MCP_SANDBOX="0"
    )
    report = json.loads(wrong.stdout)
    levels = [each["level"] for each in report["findings"]]
    assert (wrong.returncode, report["wrong"]) == (1, levels.count("wrong"))
    assert "zn_live_x" not in wrong.stdout


def test_the_output_for_programs_is_documented() -> None:
    page = (ROOT / "docs" / "owner.md").read_text(encoding="utf-8")
    used = {"caller", "name", "day_cents", "day_orders", "month_cents", "month_orders", "role"}
    finding = {"level", "subject", "sentence", "advice", "command"}
    assert {name for name in LIMITS | REPORT | used | finding if f"`{name}`" not in page} == set()
