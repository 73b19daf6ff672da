"""A cancellation whose process is killed or stopped at any step is found out by the next one, and filed once."""

import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from checkout import buyer
from checkout.test_stopped_processes import Buyer, Machine, state_of
from variants import usual
from wanted import arguments

from zinc_mcp.aftercare.cancel import cancel
from zinc_mcp.aftercare.cancellation import ASKED
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import DAY_SECONDS
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.app import serve

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals that stop a process")

STEPS = ("cancelling", "cancel_answered")
SHOP = "https://zinc.com/shop/products/test-success"


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    gone = tmp_path / "ahead"
    gone.write_text("0", encoding="ascii")
    # A hundred times slower than documented, so that an order is pending for as long as a test needs.
    sandbox = Sandbox(clock=lambda: time.time() + buyer.ahead(gone), pace=0.01)
    ports: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: serve(sandbox, "127.0.0.1", 0, ready=ports.append))
        while not ports:
            await anyio.sleep(0.01)
        machine = Machine(tmp_path, sandbox, ports[0], gone)
        try:
            yield machine
        finally:
            for process in machine.processes:
                process.close()
        tasks.cancel_scope.cancel()


async def ordered(machine: Machine, query: str = "") -> str:
    """Place an order, and return its key."""
    request = machine.request("account") | {"order": arguments(products=[{"url": f"{SHOP}{query}"}])}
    async with buyer.opened(request, lambda step: None) as ours:
        assert await buyer.place(ours, request) == "accepted"
    [entry] = machine.entries()
    return str(entry.key)


async def stopped(machine: Machine, key: str, step: str) -> Buyer:
    """Start a process that cancels, and wait until it stands still."""
    process = Buyer(machine.request("account", step) | {"cancel": key}, "aftercare.canceller")
    machine.processes.append(process)
    with anyio.fail_after(60):
        while (state := state_of(process.program.pid)) != "T":
            assert state not in ("", "Z"), f"it never stood still at {step}"
            await anyio.sleep(0.02)
    return process


async def cancelled(machine: Machine, key: str) -> tuple[str, int]:
    """Cancel in a process that lives; return how it ended, and the cents that count against the limits then."""
    async with buyer.opened(machine.request("account"), lambda step: None) as ours:
        how = (await cancel(ours, "local", key)).how
        cents, _ = await ours.journal.run(lambda journal: journal.counted("local", "test", DAY_SECONDS))
    return how, cents


def events(machine: Machine) -> list[str]:
    with Journal.open(f"sqlite:///{machine.home / 'journal.db'}") as journal:
        [entry] = journal.entries()
        return [event.what for event in journal.events(entry.id)]


@pytest.mark.parametrize("step", STEPS)
async def test_a_cancellation_whose_process_is_killed_is_finished_by_the_next_one(machine: Machine, step: str) -> None:
    key = await ordered(machine)
    process = await stopped(machine, key, step)
    assert events(machine)[-1] == ASKED, "it is written down before Zinc is asked"
    [entry] = machine.entries()
    assert entry.counts_cents == entry.reserved_cents, "nothing is given back before it is proved"
    await process.kill()
    assert await cancelled(machine, key) == ("cancelled", 0)
    assert len(machine.sandbox.placed()) == 1


@pytest.mark.parametrize("step", STEPS)
async def test_a_stopped_cancellation_that_goes_on_later_tells_the_same(machine: Machine, step: str) -> None:
    key = await ordered(machine)
    process = await stopped(machine, key, step)
    assert (await cancelled(machine, key))[1] == 0
    assert await process.go_on() == "cancelled"
    [entry] = machine.entries()
    assert (entry.state, entry.counts_cents) == ("cancelled", 0)


async def test_a_stopped_cancellation_that_goes_on_after_the_order_was_placed_tells_that(machine: Machine) -> None:
    key = await ordered(machine)
    process = await stopped(machine, key, "cancelling")
    machine.pass_seconds(400)
    assert await process.go_on() == "too_late"
    [entry] = machine.entries()
    assert (entry.state, entry.counts_cents > 0) == ("placed", True)


FAULTS = {
    "drop_before": ("not_known", False),
    "reset_before": ("not_known", False),
    "http_500_before": ("not_known", False),
    "html_502": ("not_known", False),
    "redirect_307": ("not_known", False),
    "false_204": ("not_proved", False),
    "unauthorized_once": ("ask_zinc", False),
    "rate_limited": ("not_taken", False),
    "drop_after": ("cancelled", True),
    "reset_after": ("cancelled", True),
    "http_500_after": ("cancelled", True),
    "html_502_after": ("cancelled", True),
    "html_200": ("cancelled", True),
    "redirect_after": ("cancelled", True),
    "hang": ("cancelled", True),
    "huge": ("cancelled", True),
}
OFTEN = ("drop_before", "false_204", "unauthorized_once", "rate_limited", "drop_after", "html_200", "hang")
"""A fault of each ending, and those that say something untrue or nothing."""


@pytest.mark.parametrize("fault", usual(FAULTS, lambda fault: fault in OFTEN))
async def test_the_order_decides_what_is_told_whatever_happens_to_the_answer(machine: Machine, fault: str) -> None:
    how, is_free = FAULTS[fault]
    key = await ordered(machine, f"?cancel_fault={fault}")
    told, cents = await cancelled(machine, key)
    assert (told, cents == 0) == (how, is_free)
    if not is_free:
        assert await cancelled(machine, key) == ("cancelled", 0), "asking again is safe"


async def test_two_processes_that_cancel_at_once_cancel_once(machine: Machine) -> None:
    key = await ordered(machine)
    processes = [await stopped(machine, key, "cancelling") for _ in range(2)]
    told: list[str] = []

    async def go_on(process: Buyer) -> None:
        told.append(await process.go_on())

    async with anyio.create_task_group() as tasks:
        for process in processes:
            tasks.start_soon(go_on, process)
    assert told == ["cancelled", "cancelled"]
    assert json.dumps(events(machine)).count(ASKED) == 2
    [entry] = machine.entries()
    assert (entry.state, entry.counts_cents) == ("cancelled", 0)
