"""Servers that share a journal on PostgreSQL look up what is in doubt once between them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from journal.test_journal import draft, entry

from zinc_mcp.checkout.look_up import sweep
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Limits
from zinc_mcp.process import Process

DOUBTS = 50


def leave_in_doubt(journal: Journal, process: Process) -> None:
    rail = process.rails["account"]
    for number in range(DOUBTS):
        wanted = replace(draft(number), account=rail.account, origin=rail.origin, mode=rail.mode)
        opened = entry(journal, wanted, limits=Limits(day_cents=10_000_000))
        journal.move(opened, "unknown", "no answer", attempts=1, lease_until=None)


def looked_up(zinc: FakeZinc) -> Counter[str]:
    asked = [request.url.params for request in zinc.requests if request.url.path == "/orders"]
    return Counter(each["metadata_value"] for each in asked if "metadata_value" in each)


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_two_servers_look_each_one_up_once_and_what_a_stopped_one_took_in_the_next_round(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clock: HandClock,
    make_database: Callable[..., str],
    is_stopped: bool,
) -> None:
    address = make_database()
    Journal.open(address, clock=clock).close()
    async with open_test_process(journal=address) as one, open_test_process(journal=address) as other:
        with Journal.open(address, clock=clock) as journal:
            leave_in_doubt(journal, one)
        if is_stopped:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sweep, one, one.rails["account"])
                while len(looked_up(zinc)) < 3:
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
        async with anyio.create_task_group() as tasks:
            for process in (other,) if is_stopped else (one, other):
                tasks.start_soon(sweep, process, process.rails["account"])
        first = looked_up(zinc)
        assert set(first.values()) == {1}, "no server asks what another one has asked"
        assert len(first) >= DOUBTS - 10 if is_stopped else len(first) == DOUBTS
        zinc.requests.clear()
        await sweep(other, other.rails["account"])
        assert not looked_up(zinc), "that round is over, and the next one has time"
        clock.now += 31
        await sweep(other, other.rails["account"])
        assert looked_up(zinc) == Counter(dict.fromkeys(looked_up(zinc), 1)) and len(looked_up(zinc)) == DOUBTS
