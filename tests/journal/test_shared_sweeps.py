"""Servers that share a journal on PostgreSQL look up between them what is in doubt, each entry by one of them."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import psycopg
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from journal.test_journal import draft, entry
from journal.test_lost_commit import Cutting, behind

from zinc_mcp.checkout.look_up import sweep
from zinc_mcp.errors import JournalError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Limits
from zinc_mcp.journal.shared.sweeps import SHARE
from zinc_mcp.process import Process

__all__ = ["behind"]

DOUBTS = 3 * SHARE
ROUND_SECONDS = 31
"""After this time a round may begin anew (`Clocks.looking_lease_seconds`)."""


@pytest.fixture
def address(make_database: Callable[..., str], clock: HandClock) -> str:
    made = make_database()
    Journal.open(made, clock=clock).close()
    return made


def leave_in_doubt(address: str, clock: HandClock, process: Process, numbers: Iterable[int]) -> None:
    rail = process.rails["account"]
    with Journal.open(address, clock=clock) as journal:
        for number in numbers:
            wanted = replace(draft(number), account=rail.account, origin=rail.origin, mode=rail.mode)
            opened = entry(journal, wanted, limits=Limits(day_cents=10_000_000))
            journal.move(opened, "unknown", "no answer", attempts=1, lease_until=None)


async def ready(address: str, zinc: FakeZinc, clock: HandClock, *processes: Process) -> None:
    """Leave orders in doubt to servers that have swept by themselves, and do not do so again for an hour."""
    leave_in_doubt(address, clock, processes[0], range(1))
    for process in processes:
        clock.now += ROUND_SECONDS
        await process.journal.run(lambda journal: journal.entries(limit=1))
        with anyio.fail_after(60):
            while not looked_up(zinc):
                await anyio.sleep(0.01)
    leave_in_doubt(address, clock, processes[0], range(1, DOUBTS))
    clock.now += ROUND_SECONDS


def looked_up(zinc: FakeZinc) -> Counter[str]:
    """Return how often each order was looked for, by its key, and forget that."""
    asked = [request.url.params for request in zinc.requests if request.url.path == "/orders"]
    zinc.requests.clear()
    return Counter(each["metadata_value"] for each in asked if "metadata_value" in each)


async def sweep_at_once(*processes: Process) -> None:
    async with anyio.create_task_group() as tasks:
        for process in processes:
            tasks.start_soon(sweep, process, process.rails["account"])


def once_each(found: Counter[str], count: int = DOUBTS) -> None:
    assert (set(found.values()), len(found)) == ({1}, count)


@pytest.fixture
async def two_servers(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, address: str
) -> AsyncGenerator[tuple[Process, Process]]:
    """Give two servers on a journal with orders in doubt."""
    async with open_test_process(journal=address) as one, open_test_process(journal=address) as other:
        await ready(address, zinc, clock, one, other)
        yield one, other


async def test_three_servers_look_each_entry_up_once_in_a_round(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, address: str
) -> None:
    async with (
        open_test_process(journal=address) as one,
        open_test_process(journal=address) as two,
        open_test_process(journal=address) as three,
    ):
        await ready(address, zinc, clock, one, two, three)
        await sweep_at_once(one, two, three)
        once_each(looked_up(zinc))
        await sweep_at_once(three)
        assert not looked_up(zinc), "that round is over, and the next one has time"
        clock.now += ROUND_SECONDS
        await sweep_at_once(two)
        once_each(looked_up(zinc))


async def test_a_share_of_a_server_that_stands_still_comes_up_in_the_next_round(
    two_servers: tuple[Process, Process], zinc: FakeZinc, clock: HandClock
) -> None:
    one, other = two_servers
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sweep, one, one.rails["account"])
        while not zinc.requests:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    by_one = looked_up(zinc)
    await sweep_at_once(other)
    by_other = looked_up(zinc)
    assert 0 < len(by_other) < DOUBTS and len(by_other) % SHARE == 0, "what is left of that round"
    once_each(by_one + by_other, len(by_one) + len(by_other))
    clock.now += ROUND_SECONDS
    await sweep_at_once(other)
    once_each(looked_up(zinc))


async def test_a_server_that_finds_another_one_at_its_share_is_not_held_up_and_does_not_look_up(
    two_servers: tuple[Process, Process], zinc: FakeZinc, clock: HandClock, address: str
) -> None:
    one, other = two_servers
    await sweep_at_once(one)
    once_each(looked_up(zinc))
    clock.now += ROUND_SECONDS
    async with await psycopg.AsyncConnection.connect(address) as third:
        await third.execute("SELECT * FROM zinc_meta WHERE name LIKE 'swept-%' FOR UPDATE")
        with anyio.fail_after(60):
            await sweep_at_once(one, other)
        assert not looked_up(zinc)
    await sweep_at_once(one, other)
    once_each(looked_up(zinc))


async def test_a_share_whose_commit_was_cut_off_harms_nothing_and_comes_up_in_the_next_round(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clock: HandClock,
    behind: tuple[Cutting, str, str],  # the fixture
) -> None:
    proxy, through, straight = behind
    Journal.open(straight, clock=clock).close()
    async with open_test_process(journal=through) as one, open_test_process(journal=straight) as other:
        await ready(straight, zinc, clock, one, other)
        before = states(straight, clock)
        proxy.sweeps = 1
        with pytest.raises(JournalError):
            await sweep(one, one.rails["account"])
        assert proxy.sweeps == 0 and not looked_up(zinc)
        assert states(straight, clock) == before
        await sweep_at_once(other)
        once_each(looked_up(zinc), DOUBTS - SHARE)
        clock.now += ROUND_SECONDS
        await sweep_at_once(one)
        once_each(looked_up(zinc))
        assert not zinc.posts


def states(address: str, clock: HandClock) -> list[tuple[Any, ...]]:
    with Journal.open(address, clock=clock) as journal:
        return [(each.id, each.state, each.version, each.counts_cents) for each in journal.entries(limit=2 * DOUBTS)]


async def test_a_server_that_finds_nothing_in_doubt_writes_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, address: str
) -> None:
    async with open_test_process(journal=address) as one:
        await sweep_at_once(one)
    with psycopg.connect(address) as database:
        assert database.execute("SELECT count(*) FROM zinc_meta WHERE name LIKE 'swept-%'").fetchone() == (0,)
