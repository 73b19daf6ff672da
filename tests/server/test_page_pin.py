"""The page's PIN belongs to one person, cannot be guessed fast, and never locks the owner out of a terminal."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from journals import entry_of, journal_of
from server.on_a_port import served
from server.visitor import Shown, Visitor, visitor, words
from variants import rare
from wanted import book, intent

from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.place_order import place
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.decision import Decision, reference_of
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.members import add_member, members_callers
from zinc_mcp.owner.pin import hashed
from zinc_mcp.process import Process
from zinc_mcp.server.pages.approval import address_of
from zinc_mcp.server.pages.browser import page_beside

RIGHT = "246810"


@pytest.fixture(autouse=True)
def ask_always(write_config: Callable[[str], Path]) -> None:
    write_config('[policy]\napproval = "page"\nmax_day = 100000000\nmax_order = 10000\n')


def set_pin(home: Path, clock: HandClock, pin: str, caller: str = "local") -> None:
    with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
        journal.set_pin(hashed(pin), caller)


async def placed(process: Process, number: int, caller: str = "local") -> Entry:
    return entry_of(await place(process, intent(caller, products=book(number), max_price=100)))


@asynccontextmanager
async def opened(open_test_process: OpenProcess) -> AsyncGenerator[tuple[Process, Visitor]]:
    async with open_test_process() as process, page_beside(process, show=(shown := Shown())) as page:
        await page.offer(await placed(process, 0))
        async with visitor(shown.address) as person:
            await person.open(shown.secret)
            yield process, person


async def in_the_terminal(process: Process, entry: Entry, pin: str | None) -> Entry:
    about = reference_of(entry)
    assert about is not None
    return entry_of(await decide(process, Decision(about, yes=True, how="terminal", who="owner", pin=pin)))


async def test_a_yes_needs_the_pin_and_a_no_none(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    set_pin(home, clock, RIGHT)
    async with opened(open_test_process) as (process, person):
        assert ("Your PIN" in words(person.page), "forgotten" in person.page) == (True, False)
        for answer in (await person.decide("yes"), await person.decide("yes", pin="")):
            assert (answer.status_code, "A yes needs the PIN" in answer.text) == (403, True)
        wrong = await person.decide("yes", pin="246811")
        assert (wrong.status_code, "That was not the PIN." in wrong.text) == (403, True)
        assert zinc.posts == []
        assert "Ordered" in words((await person.decide("yes", pin=RIGHT)).text)
        second = await placed(process, 1)
        await person.look(f"/approve/{second.id}")
        assert "The answer was no" in words((await person.decide("no")).text)
    assert len(zinc.posts) == 1


@pytest.mark.parametrize("every_seconds", [150, rare(50)])
async def test_guessing_over_many_orders_gets_no_faster_than_on_one(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, every_seconds: int
) -> None:
    set_pin(home, clock, "0087")  # of a time when four characters were enough
    looked_at: list[float] = []
    guesses = iter(f"{number:04}" for number in range(10_000))
    async with opened(open_test_process) as (process, person):
        begun, number = clock(), 0
        while clock() - begun < 3600:
            number += 1
            entry = await placed(process, number)
            await person.look(f"/approve/{entry.id}")
            for _ in range(5 if number == 1 else 2):
                answer = await person.decide("yes", pin=next(guesses))
                assert answer.status_code == 403
                if "That was not the PIN." in answer.text:
                    looked_at.append(clock() - begun)
                else:
                    assert "this one was not looked at. The next PIN is looked at in" in answer.text
            await person.decide("no")
            clock.pass_seconds(every_seconds)
        assert looked_at[0] == 0
        assert len(looked_at) <= 12, "in the first hour, of the many that were sent"
        later = [at for at in looked_at if at > 1800]
        assert len(later) <= 3, "and a few an hour from then on"
        assert all(sum(minute <= at < minute + 60 for at in looked_at) <= 1 for minute in range(60, 3600, 60)), (
            "never more than one a minute after the first few"
        )
        # The owner is kept from the page meanwhile, and not from the terminal.
        entry = await placed(process, number + 1)
        await person.look(f"/approve/{entry.id}")
        early = await person.decide("yes", pin="0087")
        assert "was not looked at" in early.text
        assert "UTC on." in await person.look(f"/approve/{entry.id}"), (
            "the page says until when before anything is typed"
        )
        assert zinc.posts == []
        assert (await in_the_terminal(process, entry, "0087")).state == "accepted"
        clock.pass_seconds(901)
        again = await placed(process, number + 2)
        await person.look(f"/approve/{again.id}")
        assert "Ordered" in words((await person.decide("yes", pin="0087")).text)
    assert len(zinc.posts) == 2


async def test_a_terminal_s_wrong_pins_slow_the_terminal_and_not_the_page(
    open_test_process: OpenProcess, clock: HandClock, home: Path
) -> None:
    set_pin(home, clock, RIGHT)
    async with opened(open_test_process) as (process, person):
        entry = await placed(process, 1)
        for _ in range(4):
            with pytest.raises(RefusedError, match="not the PIN"):
                await in_the_terminal(process, entry, "000000")
        with pytest.raises(RefusedError, match="not looked at") as raised:
            await in_the_terminal(process, entry, RIGHT)
        assert raised.value.code == "approval_required"
        assert "Ordered" in words((await person.decide("yes", pin=RIGHT)).text)
        clock.pass_seconds(61)
        assert (await in_the_terminal(process, entry, RIGHT)).state == "accepted"


async def test_however_many_tries_come_at_once_only_a_few_are_looked_at(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    set_pin(home, clock, RIGHT)
    told: list[httpx.Response] = []
    async with opened(open_test_process) as (_, person):
        page = person.page

        async def guess(number: int) -> None:
            other = Visitor(person.client, person.address)
            other.page = page
            told.append(await other.decide("yes", pin=f"{number:06}"))

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(guess, number)
    looked_at = [each for each in told if "That was not the PIN." in each.text]
    assert 1 <= len(looked_at) <= 4
    assert all(each.status_code == 429 or "was not looked at" in each.text for each in told if each not in looked_at)
    assert zinc.posts == []


async def test_right_pins_between_wrong_ones_cost_nobody_time(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    set_pin(home, clock, RIGHT)
    async with opened(open_test_process) as (process, person):
        for number in range(1, 5):
            for wrong in ("111111", "222222", "333333"):
                await person.decide("yes", pin=wrong)
            assert "Ordered" in words((await person.decide("yes", pin=RIGHT)).text)
            entry = await placed(process, number)
            await person.look(f"/approve/{entry.id}")
    assert len(zinc.posts) == 4


async def test_a_clock_that_is_set_back_keeps_nobody_out_for_longer_than_a_wait(
    open_test_process: OpenProcess, clock: HandClock, home: Path
) -> None:
    clock.pass_seconds(86_400 * 400)
    set_pin(home, clock, RIGHT)
    with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
        for _ in range(4):
            assert journal.count_pin_try() is not None
    clock.pass_seconds(-86_400 * 400)
    async with opened(open_test_process) as (process, person):
        assert "not looked at" in (await person.decide("yes", pin=RIGHT)).text
        clock.pass_seconds(901)
        entry = await placed(process, 1)
        await person.look(f"/approve/{entry.id}")
        assert "Ordered" in words((await person.decide("yes", pin=RIGHT)).text)


async def test_each_member_has_a_pin_and_from_those_without_one_the_owner_s_is_asked(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    tokens = {name: add_member(home / "members.json", name) for name in ("ada", "bob", "cy")}
    callers = members_callers(home / "members.json")
    set_pin(home, clock, RIGHT)
    set_pin(home, clock, "ada's own", callers["ada"])
    async with open_test_process() as process, served(process) as origin:

        async def answers(name: str, number: int, *pins: str) -> list[str]:
            entry = await placed(process, number, callers[name])
            async with visitor(address_of(origin, entry.id)) as person:
                await person.sign_in(tokens[name])
                told = [words((await person.decide("yes", pin=pin)).text) for pin in pins]
                await person.decide("no") if "Buy for" in told[-1] else None
            return told

        assert "That was not the PIN." in (await answers("ada", 1, RIGHT))[0], "the owner's is not theirs"
        assert "Ordered" in (await answers("ada", 2, "ada's own"))[0]
        assert "not the PIN" in (await answers("bob", 3, "ada's own"))[0]
        assert "Ordered" in (await answers("bob", 4, RIGHT))[0], "as before there was one for each"
        for number, name in enumerate(("bob", "cy") * 2):  # who share what they may guess at
            await answers(name, 10 + number, f"{number:06}")
        for name in ("bob", "cy"):
            assert "was not looked at" in (await answers(name, 20, RIGHT))[0]
        assert "Ordered" in (await answers("ada", 21, "ada's own"))[0], "who has one of their own goes on"
        owners = await placed(process, 22)
        assert (await in_the_terminal(process, owners, RIGHT)).state == "accepted"
        theirs = await placed(process, 23, callers["ada"])
        with pytest.raises(RefusedError, match="not the PIN"):
            await in_the_terminal(process, theirs, "ada's own")
        assert (await in_the_terminal(process, theirs, RIGHT)).state == "accepted", "the terminal is the owner's"
    assert len(zinc.posts) == 5


async def test_a_member_s_wrong_pins_do_not_slow_the_owner_s_page(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    set_pin(home, clock, RIGHT)
    with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
        tries = [journal.count_pin_try("mallory") for _ in range(50)]
    assert sum(each is not None and each.looked_at for each in tries) == 4
    async with opened(open_test_process) as (_, person):
        assert "Ordered" in words((await person.decide("yes", pin=RIGHT)).text)
    assert len(zinc.posts) == 1


async def test_a_pin_that_was_kept_by_an_older_version_works_until_it_is_changed(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    import sqlite3

    Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock).close()
    with sqlite3.connect(home / "journal.db") as database:
        ends = repr(clock() + 3700)
        database.execute("INSERT INTO zinc_meta VALUES ('pin', ?), ('pin_ends', ?)", (hashed("00878787"), ends))
    database.close()
    async with opened(open_test_process) as (process, person):
        assert "Somebody said that the PIN is forgotten, so it ends in 2 hours." in words(person.page)
        for wrong in ("0000", "0001", "0002", "0003"):
            await person.decide("yes", pin=wrong)
        assert "was not looked at" in (await person.decide("yes", pin="00878787")).text
        clock.pass_seconds(61)
        assert "Ordered" in words((await person.decide("yes", pin="00878787")).text)
        second = await placed(process, 1)
        assert "forgotten" not in await person.look(f"/approve/{second.id}"), "the right one keeps it"
        set_pin(home, clock, RIGHT)
        assert "not the PIN" in (await person.decide("yes", pin="00878787")).text
        assert "Ordered" in words((await person.decide("yes", pin=RIGHT)).text)
    assert len(zinc.posts) == 2
    assert b"00878787" not in (home / "journal.db").read_bytes()
    assert all("PIN" not in event.what for event in journal_of(home)[1])
