"""Printed lines fit the terminal, words stay whole, and tables and the demo show what a person needs."""

import json
import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from journals import entry_of
from keyboard import at_a_terminal
from mcp import Client
from pasting import pasted
from started import Started
from variants import rare
from wanted import BOOK, LISTED, book, intent

from zinc_mcp.checkout.place_order import place
from zinc_mcp.cli.screen import wrapped
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.pin import hashed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

PIN = "246810"
OURS = re.compile(r"-m zinc_mcp [a-z]")
"""A command to paste, which is one line however long."""


@pytest.fixture
def clock() -> Any:
    return time.time


@pytest.fixture
def started(tmp_path: Path) -> Started:
    started = Started(tmp_path)
    started.configure('[policy]\napproval = "page"\nmax_day = 1000000\n')
    return started


# Lines


@pytest.mark.parametrize("width", [20, 40, 79, 120])
def test_words_stay_whole_and_no_line_is_wider_than_the_screen(width: int) -> None:
    text = "The wallet pays 02aa8179-3ae7 at most $1,234.56, once; well-known, half-way and e-mail stay whole " * 3
    lines = wrapped(text.strip(), width, "    ")
    assert [line for line in lines if len(line) > width] == []
    assert [line for line in lines[1:] if not line.startswith("    ")] == []
    assert " ".join(line.strip() for line in lines).split() == text.split()


@pytest.mark.parametrize("word", ["x" * 95, "界" * 50, f"https://www.amazon.com/{'a-b' * 60}"])
def test_a_word_longer_than_a_line_is_broken_and_nothing_is_put_into_it(word: str) -> None:
    lines = wrapped(f"  {word} end", 40, "      ")
    whole = "".join(line.strip() for line in lines)
    assert whole in (f"{word}end", f"{word} end")
    wide = [line for line in lines if len(line) + sum(each == "界" for each in line) > 40]
    assert wide == []


# The demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the output of the demo without a terminal."""
    return Started(tmp_path_factory.mktemp("demo")).quickly("demo").stdout


@pytest.mark.parametrize("width", [60, rare(120)])
def test_the_demo_fits_the_terminal_and_ends_by_saying_what_to_do_next(tmp_path: Path, width: int) -> None:
    environ = Started(tmp_path).environment
    code, screen = at_a_terminal(["demo"], environ, seconds=90, columns=width)
    lines = re.sub(r"\x1b\[[0-9]*m", "", screen).splitlines()
    assert code == 0
    last = next(number for number, line in enumerate(lines) if line.startswith("What to do next"))
    assert [line for line in lines if len(line) > width and not OURS.search(line) and sys.executable not in line] == []
    assert any(len(line) > 0.8 * width for line in lines[:last]), "all of the width is used"
    said = " ".join(" ".join(lines).split())
    assert "nothing new was bought by this call. Practice in the sandbox" in said, "no word is broken"
    assert "Nothing was bought: all of it was practice." in " ".join(" ".join(lines[last - 4 : last]).split())


def test_the_demo_lives_through_a_whole_order_in_less_than_20_seconds(demo: str) -> None:
    said = " ".join(demo.split())
    steps = (
        "A wish: whole bean coffee under $20.00",
        "6 products were found.",
        "Can the first one be ordered?",
        "Product Practice Roasters whole bean coffee, medium roast, 2 lb",
        "An order of two",
        "Zinc has accepted order",
        "Same order? yes: one intention, one purchase",
        "Sent once, found again? yes",
        "failed because a product is out of stock",
        "Credential kept? no: the order is known",
        "Should come back $11.00",
        "News order_placed / delivered",
        "Item 2 x Practice Roasters whole bean coffee, medium roast, 2 lb (delivered)",
        "Paid in all $34.14",
        "Zinc has the return, and decides about it.",
        "News order_placed / delivered / credited",
        "Labels to print 1",
        "Credited $16.57",
        "What to do next",
    )
    places = [said.find(step) for step in steps]
    assert (places, -1 in places) == (sorted(places), False)
    [seconds] = re.findall(r"Done in ([0-9.]+) s", said)
    share = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # a run of all tests leaves it a part of a core
    assert float(seconds) < 20 * share


@pytest.mark.thorough
def test_the_demo_ends_with_commands_that_work_as_printed(tmp_path: Path, demo: str) -> None:
    assert max(len(line) for line in demo.splitlines() if sys.executable not in line) <= 80
    lines = [
        line.strip()
        for line in demo.splitlines()
        if line.rstrip().endswith((" install --sandbox", " login", " doctor"))
    ]
    assert len(lines) == 3, demo
    home = {"HOME": str(tmp_path), "ZINC_MCP_SANDBOX": "1"}
    install, login, doctor = [" ".join(pasted(line, environ=home)[1].split()) for line in lines]
    assert "No known host was used on this machine." in install
    assert "the built-in sandbox takes no sign-in" in login
    assert "the built-in sandbox" in doctor


# The list of orders, and one of them


async def _three(open_test_process: OpenProcess, zinc: FakeZinc) -> list[Entry]:
    """An order that waits, one of two products, and one that was placed."""
    zinc.products["B07JGBW826"] = {"status": "completed", "title": "The Old Man and the Sea", "price": 1499}
    async with open_test_process(api_key="zn_live_planted") as ours:
        first = entry_of(await place(ours, intent(idempotency_key="first", products=[{"url": BOOK}])))
        two = [{"url": "https://www.amazon.com/dp/B000000002", "quantity": 3}, *book(7)]
        second = entry_of(await place(ours, intent(idempotency_key="it's;second", products=two)))
    async with open_test_process() as ours:
        third = entry_of(await place(ours, replace(intent(products=book(3)), saved_as="home")))
    return [first, second, third]


@pytest.mark.parametrize("width", [80, 40, *map(rare, (120, 60))])
async def test_orders_name_goods_time_and_how_to_answer(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started, width: int
) -> None:
    entries = await _three(open_test_process, zinc)
    environ = {**started.environment, "TZ": "XYZ-5:30"}  # five and a half hours east
    code, screen = at_a_terminal(["orders"], environ, columns=width)
    assert code == 0
    assert [line for line in screen.splitlines() if len(line) > width and not OURS.search(line)] == []
    said = " ".join(screen.split())
    header = ["Opened", "What", "From", "State", "Money", "Next step"] if width >= 80 else ["Opened", "State", "Money"]
    assert re.split("  +", screen.splitlines()[0].replace(" +05:30", "")) == header
    assert "+05:30" in "".join(screen.splitlines()[:2])
    words = ["Old", "Man", "Sea", "B000000002", "B000000007", "amazon.com", "up", "$51.00", "waiting", "answer"]
    assert [word for word in words if word not in said] == []
    assert "\x1b" not in screen, "a terminal without colours gets none"
    for line in screen.splitlines():
        assert not re.match(r" ?(?:amazon|“|\dx|product|The|Man)", line), "the words of others begin no line"
    for entry in entries:
        assert f"key {entry.key}" in said
    hints = [line.strip() for line in screen.splitlines() if " approve " in line]
    assert len(hints) == 3, "all three wait: practice is asked about too where the policy says so"
    code, asked = pasted(hints[1], [("Type yes", "no")], Path("/"))
    assert "3 of product B000000002" in asked


async def test_in_a_pipe_each_order_is_one_line_of_a_table(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started
) -> None:
    entries = await _three(open_test_process, zinc)
    for width in ("40", "300"):
        piped = started.quickly("orders", COLUMNS=width).stdout
        header, *rows = piped.split("\n\n")[0].splitlines()
        starts = [header.index(name) for name in ("Opened", "Mode", "What", "From", "State", "Money", "Next", "Key")]
        for row, entry in zip(rows, reversed(entries), strict=True):
            cells = [row[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
            assert [cells[1], *cells[3:]] == [
                entry.mode,
                "amazon.com",
                "waiting",
                "up to $51.00",
                "your answer",
                entry.key,
            ]
        assert "3 x product B000000002; 1 x product B000000007" in piped


@pytest.mark.parametrize("width", [90, 40])
async def test_one_order_is_a_page_that_can_be_read(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started, width: int
) -> None:
    [first, *_] = await _three(open_test_process, zinc)
    assert at_a_terminal(["decline", first.key], started.environment)[0] == 0
    code, screen = at_a_terminal(["orders", "show", first.key], started.environment, columns=width)
    assert code == 0
    assert [line for line in screen.splitlines() if len(line) > width] == []
    assert not re.search(r"[{}\[\]]|\"", screen), "no raw JSON"
    said = " ".join(screen.split())
    for part in (
        "Not bought. The answer was no. Nothing was sent.",
        "“The Old Man and the Sea” at amazon.com",
        BOOK,
        "Ada Buyer, New York, US",
        "the answer was no, in a terminal, by owner",
        "What happened",
    ):
        assert part in said, part
    assert "Planted Street" not in said


async def test_all_orders_of_a_key_are_shown_not_only_the_newest(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started
) -> None:
    async with open_test_process(api_key="zn_live_planted") as ours:
        real = entry_of(await place(ours, intent(idempotency_key="same")))
    async with open_test_process() as ours:
        practice = entry_of(await place(ours, intent(idempotency_key="same", products=book(4))))
    shown = started.run("orders", "show", "same").stdout
    assert shown.index("1 of 2 with this key") < shown.index("B000000004") < shown.index("2 of 2") < shown.index(BOOK)
    assert shown.count("What happened") == 2
    record = json.loads(started.run("orders", "show", "same", "--json").stdout)
    assert (record["id"], [other["id"] for other in record["others"]]) == (practice.id, [real.id])
    assert json.loads(started.run("orders", "show", "same", "--json").stdout)["events"][0]["state"] == "waiting"
    assert "with this key" not in started.run("orders", "show", real.order_id or "same-not").stdout


async def test_an_order_of_two_callers_under_one_id_or_purged_is_still_a_page(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started
) -> None:
    entries = await _three(open_test_process, zinc)
    at_a_terminal(["decline", entries[1].key], started.environment)
    assert started.run("orders", "purge", "--older-than", "0").returncode == 0
    shown = started.run("orders", "show", entries[1].key).stdout
    assert "what was ordered and where it went (purge)" in shown
    assert "amazon.com" in started.run("orders").stdout


# The owner's word


def _failed(started: Started) -> Entry:
    from pasting import opened

    with Journal.open(f"sqlite:///{started.home / 'journal.db'}") as journal:
        paid = journal.move(opened(journal, "failed"), "sending", "sent", authorised_cents=5100, rail="agent")
        return journal.move(paid, "failed", "Zinc says order_failed")


WORDS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "money that came back": (("orders", "refunded", "failed", "2000"), "$20.00 has come back"),
    "an order in doubt": (("orders", "resolve", "doubtful", "--not-bought"), "doubtful is now rejected"),
}


@pytest.mark.parametrize("word", WORDS)
def test_the_owner_s_word_on_money_needs_the_pin(started: Started, word: str) -> None:
    words, done = WORDS[word]
    from pasting import opened

    _failed(started)
    with Journal.open(f"sqlite:///{started.home / 'journal.db'}") as journal:
        sending = journal.move(opened(journal, "doubtful"), "sending", "sent", attempts=1)
        journal.move(sending, "unknown", "no answer", lease_until=None)
        journal.set_pin(hashed(PIN))
    code, screen = at_a_terminal(words, started.environment, [("PIN", "246811")])
    assert (code, "That was not the PIN. Nothing was changed." in screen, done in screen) == (1, True, False)
    ended = started.quickly(*words)
    assert (ended.returncode, "needs a terminal" in ended.stderr) == (1, True)
    with Journal.open(f"sqlite:///{started.home / 'journal.db'}") as journal:
        assert [entry.state for entry in journal.entries()] == ["unknown", "failed"]
        assert journal.entries()[1].counts_cents == 5100
    code, screen = at_a_terminal(words, started.environment, [("PIN", PIN)])
    assert (code, done in screen) == (0, True), screen


# Members


async def test_a_member_connects_with_what_members_add_prints(open_test_process: OpenProcess, home: Path) -> None:
    from server.on_a_port import served

    from zinc_mcp.owner.members import list_members

    started = Started(home.parent)
    async with open_test_process(sandbox=True) as ours, served(ours, members_only=True) as origin:
        added = started.run("members", "add", "ada", "--url", origin)
        assert list_members(home / "members.json") == ["ada"]
        token = added.stdout.strip()
        assert token not in added.stderr
        [snippet] = re.findall(r"^\{\n.*?^\}$", added.stderr, re.MULTILINE | re.DOTALL)
        server = json.loads(snippet)["mcpServers"]["zinc"]
        assert (server["type"], server["url"]) == ("http", f"{origin}/mcp")
        for part in ("Authorization: Bearer TOKEN", f"{origin}/sse", f"{origin}/approve/"):
            assert part in added.stderr
        headers = {name: value.replace("TOKEN", token) for name, value in server["headers"].items()}
        assert await _tools(server["url"], headers) == LISTED


async def _tools(url: str, headers: Mapping[str, str]) -> list[str]:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    async with httpx2.AsyncClient(headers=dict(headers), timeout=20) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            return [tool.name for tool in (await client.list_tools()).tools]
