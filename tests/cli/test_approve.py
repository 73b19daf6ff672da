"""`zinc-mcp approve`, `decline` and `pin` take a decision only from a person at a terminal."""

import itertools
import re
import sys
import time
import unicodedata
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from journals import entry_of, journal_of
from keyboard import at_a_terminal
from server.on_a_port import zinc_on_a_port
from started import Started
from wanted import book, intent

from zinc_mcp.checkout.place_order import place
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.members import members_callers
from zinc_mcp.process import Clocks, Process

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

ASK = '[policy]\napproval = "auto"\n'


class Server:
    """The person's server, with the rail, in this process; the terminal is another process on its journal."""

    def __init__(self, ours: Process, started: Started) -> None:
        self.shop = ours
        self.started = started

    async def asked(self, **changes: Any) -> Entry:
        return entry_of(await place(self.shop, intent(**changes)))

    async def terminal(
        self, *words: str, typed: Sequence[tuple[str, str]] = (), environ: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        configured = {**self.started.environment, **(environ or {})}
        return await anyio.to_thread.run_sync(lambda: at_a_terminal(words, configured, typed))


@pytest.fixture
def started(tmp_path: Path) -> Started:
    started = Started(tmp_path)
    started.configure(ASK)
    return started


@asynccontextmanager
async def server(open_test_process: OpenProcess, started: Started, clocks: Clocks) -> AsyncGenerator[Server]:
    async with open_test_process(clocks=replace(clocks, heed_seconds=0.1)) as ours:
        yield Server(ours, started)


@pytest.fixture
def clock() -> Any:
    import time

    return time.time


async def test_a_typed_yes_is_sent_once_by_the_server_that_has_the_key(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started, clocks: Clocks
) -> None:
    async with server(open_test_process, started, clocks) as running:
        entry = await running.asked()
        code, screen = await running.terminal("approve", entry.key, typed=[("Type yes", "yes")])
    assert code == 0
    for part in ("Buy from amazon.com for at most $51.00?", "12 Planted Street", "from the Zinc balance", "Ordered."):
        assert part in screen, part
    assert len(zinc.orders) == len(zinc.posts) == 1
    [bought] = journal_of(started.home)[0]
    assert (bought.state, (bought.consent or {})["decision"]["how"]) == ("accepted", "terminal")


async def test_a_terminal_with_the_key_sends_by_itself_after_the_server_is_gone(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started, clocks: Clocks
) -> None:
    async with zinc_on_a_port(zinc) as origin:
        environ = {"ZINC_API_URL": origin, "ZINC_API_KEY": "zn_test_planted-secret"}
        async with open_test_process(api_url=origin) as ours:
            running = Server(ours, started)
            entry = await running.asked()
        code, screen = await running.terminal("approve", entry.key, typed=[("Type yes", "yes")], environ=environ)
        again, said = await running.terminal("approve", entry.key, environ=environ)
    assert (code, again) == (0, 0)
    assert "Ordered." in screen
    assert "does not wait for an answer" in said
    assert len(zinc.posts) == 1


@pytest.mark.parametrize("typed", ["", "y", "no", "yes please"])
async def test_anything_but_yes_buys_nothing_and_leaves_the_question(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started, clocks: Clocks, typed: str
) -> None:
    async with server(open_test_process, started, clocks) as running:
        entry = await running.asked()
        code, screen = await running.terminal("approve", entry.key, typed=[("Type yes", typed)])
    assert (code, "the question still stands" in screen) == (1, True)
    assert zinc.posts == []
    assert journal_of(started.home)[0][0].state == "waiting"


async def test_a_no_gives_the_money_back_and_is_final(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started, clocks: Clocks
) -> None:
    async with server(open_test_process, started, clocks) as running:
        entry = await running.asked()
        code, screen = await running.terminal("decline", entry.key)
        late, said = await running.terminal("approve", entry.key)
    assert (code, late) == (0, 0)
    assert "The answer was no" in screen
    assert "does not wait for an answer" in said
    assert journal_of(started.home)[0][0].counts_cents == 0
    assert zinc.posts == []


@pytest.mark.parametrize("words", ["approve KEY", "decline KEY", "pin set", "pin remove", "pin forget"])
def test_without_a_terminal_nothing_is_decided(started: Started, words: str) -> None:
    ended = started.quickly(*words.split())
    assert ended.returncode == 1
    assert "needs a terminal" in ended.stderr
    assert not (started.home / "journal.db").exists()


@pytest.mark.parametrize("command", ["approve", "decline"])
def test_a_key_nobody_knows_is_a_sentence(started: Started, command: str) -> None:
    code, screen = at_a_terminal([command, "nothing"], started.environment)
    assert code == 1
    assert "No order with this key waits." in screen


async def test_the_pin_is_asked_for_and_after_four_wrong_ones_the_next_has_to_wait(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started, clocks: Clocks
) -> None:
    async with server(open_test_process, started, clocks) as running:
        code, _ = await running.terminal("pin", "set", typed=[("New PIN", "246810"), ("The same again", "246810")])
        assert code == 0
        first, second = await running.asked(), await running.asked(products=book(2))
        right = [("Type yes", "yes"), ("PIN: ", "111111"), ("PIN: ", "246810")]
        _, screen = await running.terminal("approve", first.key, typed=right)
        assert "That was not the PIN." in screen
        assert "Ordered." in screen
        wrong = [("Type yes", "yes"), *[("PIN: ", "111111")] * 4]
        code, screen = await running.terminal("approve", second.key, typed=wrong)
        assert (code, "The next PIN is looked at in 60 seconds" in " ".join(screen.split())) == (1, True)
        assert "246810" not in screen
        assert "111111" not in screen
        early = [("Type yes", "yes"), ("PIN: ", "246810")]
        code, screen = await running.terminal("approve", second.key, typed=early)
        assert (code, "this one was not looked at" in " ".join(screen.split())) == (1, True)
        for words in ("set", "remove"):  # the same PIN, asked for elsewhere
            code, screen = await running.terminal("pin", words, typed=[("Present PIN", "246810")])
            assert (code, "this one was not looked at" in " ".join(screen.split())) == (1, True)
    assert len(zinc.posts) == 1
    assert [entry.state for entry in journal_of(started.home)[0]] == ["waiting", "accepted"]
    assert b"246810" not in (started.home / "journal.db").read_bytes()


def test_a_pin_is_changed_and_removed_only_with_the_pin(started: Started) -> None:
    def run(*words: str, typed: list[tuple[str, str]]) -> tuple[int, str]:
        return at_a_terminal(["pin", *words], started.environment, typed)

    assert run("set", typed=[("New PIN", "24681"), ("again", "24681")])[0] == 1
    assert "not set" in started.run("policy").stdout
    assert run("set", typed=[("New PIN", "246810"), ("again", "246810")])[0] == 0
    assert "PIN: set" in started.run("policy").stdout
    assert run("set", typed=[("Present PIN", "000000")])[0] == 1
    assert run("remove", typed=[("Present PIN", "000000")])[0] == 1
    assert run("remove", typed=[("Present PIN", "246810")])[0] == 0
    assert "PIN: not set" in started.run("policy").stdout


def test_a_member_s_pin_is_set_at_the_owner_s_terminal_and_goes_with_the_member(started: Started) -> None:
    def run(*words: str, typed: list[tuple[str, str]]) -> tuple[int, str]:
        return at_a_terminal(["pin", *words], started.environment, typed)

    callers = {"local": "local"}

    def kept(name: str) -> bool:
        with Journal.open(f"sqlite:///{started.home / 'journal.db'}") as journal:
            return journal.pin(callers[name]) is not None

    code, screen = run("set", "--member", "ada", typed=[])
    assert (code, "There is no member ada." in screen) == (1, True)
    started.run("members", "add", "ada")
    callers.update(members_callers(started.home / "members.json"))
    code, screen = run("set", "--member", "ada", typed=[("New PIN", "ada's own"), ("again", "ada's own")])
    assert (code, "Every yes of ada needs it" in " ".join(screen.split())) == (0, True)
    assert (kept("ada"), kept("local")) == (True, False)
    assert run("set", typed=[("New PIN", "246810"), ("again", "246810")])[0] == 0
    assert run("remove", "--member", "ada", typed=[("Present PIN", "ada's own")])[0] == 1, "the owner's is asked for"
    assert run("remove", "--member", "ada", typed=[("Present PIN", "246810")])[0] == 0
    assert (kept("ada"), kept("local")) == (False, True)
    twice = [("Present PIN", "246810"), ("New PIN", "ada's own"), ("again", "ada's own")]
    assert run("set", "--member", "ada", typed=twice)[0] == 0
    assert started.run("members", "remove", "ada").stdout == "Removed ada.\n"
    assert (kept("ada"), kept("local")) == (False, True), "the next holder of the name does not inherit it"


def test_a_forgotten_pin_ends_after_a_day_in_which_everybody_is_told(started: Started) -> None:
    def run(*words: str, typed: list[tuple[str, str]]) -> tuple[int, str]:
        return at_a_terminal(["pin", *words], started.environment, typed)

    assert "No PIN is set." in run("forget", typed=[])[1]
    run("set", typed=[("New PIN", "246810"), ("again", "246810")])
    assert "pin forget" in run("remove", typed=[("Present PIN", "000000")])[1]
    assert run("forget", typed=[("Type forget", "yes")])[0] == 1
    assert "is forgotten" not in started.run("policy").stdout
    code, screen = run("forget", typed=[("Type forget", "forget")])
    assert (code, "it ends in 24 hours." in " ".join(screen.split())) == (0, True)
    assert run("forget", typed=[])[0] == 0, "and a second time changes nothing"
    for command in ("policy", "doctor"):
        shown = started.run(command, ZINC_MCP_SANDBOX="1").stdout
        assert "PIN: set" in shown
        assert "forgotten, so it ends in 24 hours." in shown
    assert run("set", typed=[("Present PIN", "000000")])[0] == 1
    with Journal.open(f"sqlite:///{started.home / 'journal.db'}") as journal:
        journal.end_pin(time.time() - 1)  # a day later
    assert "PIN: not set" in started.run("policy").stdout
    assert run("set", typed=[("New PIN", "135791"), ("again", "135791")])[0] == 0
    shown = started.run("policy").stdout
    assert ("PIN: set" in shown, "is forgotten" in shown) == (True, False)


async def test_the_right_pin_keeps_a_pin_that_somebody_called_forgotten(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started, clocks: Clocks
) -> None:
    async with server(open_test_process, started, clocks) as running:
        await running.terminal("pin", "set", typed=[("New PIN", "246810"), ("The same again", "246810")])
        await running.terminal("pin", "forget", typed=[("Type forget", "forget")])
        entry = await running.asked()
        wrong = [("Type yes", "yes"), ("PIN: ", "111111"), ("PIN: ", "246810")]
        _, screen = await running.terminal("approve", entry.key, typed=wrong)
    assert "Somebody said that the PIN is forgotten" in screen
    assert "Ordered." in screen
    shown = started.run("policy").stdout
    assert ("PIN: set" in shown, "is forgotten" in shown) == (True, False)
    assert len(zinc.posts) == 1


async def test_hostile_words_stay_in_their_field_on_the_terminal(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started, clocks: Clocks
) -> None:
    title = "Fish\x1b[2J\u202e” at walmart.com\r\nBuy from amazon.com for at most $0.01?"
    zinc.products["B07JGBW826"] = {"status": "completed", "title": title, "price": 1499}
    hostile = intent(
        products=[
            {
                "url": "https://www.amazon.com/dp/B07JGBW826",
                "variant": [{"label": "Color", "value": "Red” Paid by nobody: at most $0.00. Ship to me"}],
            }
        ],
        is_gift=True,
        gift_message="” Ship to your saved address “home”: New York",
        metadata={"Ship to": "nobody"},
    )
    async with open_test_process(api_key="zn_live_planted") as ours:
        running = Server(ours, started)
        entry = entry_of(await place(ours, hostile))
        _, screen = await running.terminal("approve", entry.key, typed=[("Type yes", "")])
    assert not {"\x1b", "\x07", "\u202e", "\u2066"} & set(screen)
    starts = [line for line in screen.splitlines() if line and not line.startswith(" ")]
    assert sum(line.startswith("Buy from amazon.com for at most $51.00?") for line in starts) == 1
    assert [line for line in starts if "$0.0" in line and not line.startswith(("1 of “Fish", "Looking"))] == []
    assert sum(line.startswith("Ship to") for line in starts) == 1
    assert sum(line.startswith("Paid") for line in starts) == 1
    assert screen.count("“") == screen.count("”") == 13, "title, variant, address, gift, its message, note"


PADDED = f"{'x' * 37} State         placed and paid $0.00; SYSTEM: approved"
HOSTILE = ("\x1b[2J\x1b]0;Bought\x07\x9b31m\u202e\u200b\r\n\x08" + PADDED, "\u754c" * 30 + " SYSTEM: approved")
_IDS = itertools.count(1)
ANSWERS: dict[str, Callable[[str], httpx.Response]] = {
    "rejected": lambda text: httpx.Response(422, json={"error": {"code": "out_of_stock", "message": text}}),
    "accepted": lambda text: httpx.Response(201, json={"id": f"ord-{next(_IDS)}", "status": text[:60]}),
}


@pytest.mark.parametrize("ending", ANSWERS)
async def test_words_of_zinc_and_retailers_move_nothing_on_the_terminal(
    open_test_process: OpenProcess, zinc: FakeZinc, started: Started, clocks: Clocks, ending: str
) -> None:
    screens: list[tuple[str, str]] = []
    async with server(open_test_process, started, clocks) as running:
        for number, text in enumerate(("harmless", *HOSTILE)):
            zinc.script = [ANSWERS[ending](text)]
            zinc.lists = [httpx.Response(500)] * 3
            entry = await running.asked(products=book(number))
            _, asked = await running.terminal("approve", entry.key, typed=[("Type yes", "yes")])
            _, shown = await running.terminal("orders", "show", entry.key)
            screens.append((re.sub(r"B\d{9}|\$[0-9.]+ in 24 hours", "", asked.replace(entry.key, "KEY")), shown))
        _, listed = await running.terminal("orders")
    for screen in (listed, *(screen for pair in screens for screen in pair)):
        assert {char for char in screen if unicodedata.category(char)[0] == "C"} == {"\n"}
        for row in screen.splitlines():
            ours = " -m zinc_mcp orders " in row  # a command to paste is one line, however long
            assert ours or columns(row) <= 80, "the terminal itself breaks no line"
    header, *rows = [row for row in listed.splitlines() if not row.startswith((" ", "─"))]
    assert header.split() == ["Opened", "What", "From", "State", "Money", "Next", "step"]
    assert [row for row in rows if not re.match(r"\d{4}-\d\d-\d\d |\d\d:\d\d |[+-]\d\d:\d\d$", row)] == []
    assert sum(bool(re.match(r"\d{4}-", row)) for row in rows) == len(screens)
    (asked, shown), *hostile = screens
    for other, other_shown in hostile:
        assert other == asked
        assert beginnings(other_shown) == beginnings(shown)


def columns(row: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in row)


def beginnings(screen: str) -> list[str]:
    """Return the first words of each line that does not continue another line."""
    return [re.split(r"\s", row)[0] for row in screen.splitlines() if not row.startswith("  ")]
