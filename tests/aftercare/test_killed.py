"""Processes that are killed at each step, and processes that ask at once, file a change once and lose none."""

import json
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import preloaded
import pytest
from aftercare import mover
from aftercare.after import SUCCESS, back, created, problem
from deciding import yes
from variants import rare
from wanted import arguments

from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.decisions import decide
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.app import serve
from zinc_mcp.views.change import outcome_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals that kill a process")

STEPS = ["opened", "sending", "leaving", "answered", "accepted"]
PACE = 30.0


class Machine:
    """One machine: a sandbox on a port, a home, an order that was placed, and clocks that the test moves."""

    def __init__(self, home: Path, sandbox: Sandbox, origin: str) -> None:
        self.home, self.sandbox, self.origin = home, sandbox, origin
        self.order_id = ""
        self.ahead = 0.0

    def request(self, tool: str, given: dict[str, Any], step: str = "", *, yes: bool = False) -> dict[str, Any]:
        asked = {"tool": tool, "arguments": given, "yes": yes}
        return {"home": str(self.home), "origin": self.origin, "step": step, "ahead": self.ahead, **asked}

    async def ordered(self, url: str = SUCCESS) -> str:
        async with mover.opened(self.request("", {}), lambda step: None) as process:
            products = [{"url": url, "quantity": 2}]
            placed = await mover.asked(process, "place_order", arguments(products=products, max_price=20_000))
            self.order_id = str(placed["order_id"])
            while True:
                known = await mover.asked(process, "get_order", {"order_id": self.order_id, "wait_seconds": 1})
                if known["outcome"] == "placed":
                    return self.order_id

    async def in_a_process(self, tool: str, given: dict[str, Any], step: str = "", *, yes: bool = False) -> int:
        word = json.dumps(self.request(tool, given, step, yes=yes))
        ended = await anyio.to_thread.run_sync(
            lambda: preloaded.finished([word], os.environ, program="aftercare.mover")
        )
        return ended.returncode

    async def here(self, tool: str, given: dict[str, Any]) -> dict[str, Any]:
        async with mover.opened(self.request("", {}), lambda step: None) as process:
            return await mover.asked(process, tool, given)

    def changes(self) -> list[Entry]:
        with Journal.open(f"sqlite:///{self.home / 'journal.db'}") as journal:
            return journal.changes_of(self.order_id, "local", "test")


@asynccontextmanager
async def on_a_port(sandbox: Sandbox) -> AsyncGenerator[str]:
    """Serve a sandbox on a port, and give its origin."""
    ports: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: serve(sandbox, "127.0.0.1", 0, ready=ports.append))
        with anyio.fail_after(20):
            while not ports:
                await anyio.sleep(0.02)
        yield f"http://127.0.0.1:{ports[0]}"
        tasks.cancel_scope.cancel()


@pytest.fixture
async def machine(home: Path) -> AsyncGenerator[Machine]:
    home.mkdir()
    sandbox = Sandbox(pace=PACE)
    async with on_a_port(sandbox) as origin:
        yield Machine(home, sandbox, origin)


@pytest.mark.parametrize(
    ("tool", "step"),
    [
        *(("return_order", step) for step in STEPS),
        ("report_problem", "leaving"),
        ("report_problem", "answered"),
        *(rare("report_problem", step) for step in ("opened", "sending", "accepted")),
    ],
)
async def test_a_process_killed_at_any_step_files_once_and_loses_nothing(
    machine: Machine, tool: str, step: str
) -> None:
    given = (back if tool == "return_order" else problem)(await machine.ordered())
    assert await machine.in_a_process(tool, given, step) == -signal.SIGKILL
    filed = len(created(machine.sandbox))
    assert filed == (step in ("answered", "accepted"))
    assert len(machine.changes()) == 1
    machine.ahead += 2.6  # its lease ends
    told = await machine.here(tool, given)
    [newest, *older] = machine.changes()
    if filed:
        assert (told["outcome"], told["new_request"]) == ("filed", False)
    elif step in ("opened", "sending", "leaving"):
        # That it was going to be sent was on disk: nobody knows whether it was, and it is not sent again.
        assert (told["outcome"], told["new_request"]) == ("unknown", False)
    assert older == []
    assert outcome_of(newest) == told["outcome"]
    assert len(created(machine.sandbox)) == filed


@pytest.mark.parametrize("step", ["asked", "approved", "sending", "leaving", "answered", "accepted"])
async def test_a_yes_is_carried_out_once_whatever_step_its_process_is_killed_at(machine: Machine, step: str) -> None:
    given = back(await machine.ordered())
    (machine.home / "zinc.toml").write_text('[policy]\napproval = "auto"\n', encoding="utf-8")
    assert await machine.in_a_process("return_order", given, step, yes=True) == -signal.SIGKILL
    filed = len(created(machine.sandbox))
    assert filed == (step in ("answered", "accepted"))
    machine.ahead += 2.6  # its lease ends
    async with mover.opened(machine.request("", {}), lambda step: None) as process:
        if step == "asked":
            [entry] = await questions_for(process, "local")
            await decide(process, yes(entry))
        await mover.asked(process, "get_order", {"order_id": machine.order_id})
        with anyio.move_on_after(5):
            while [entry.state for entry in machine.changes()] not in (["placed"], ["unknown"]):
                await anyio.sleep(0.1)
    [entry] = machine.changes()
    # Once it was going to be sent, only Zinc's list says whether it was.
    assert entry.state == ("unknown" if step in ("sending", "leaving") else "placed")
    assert len(created(machine.sandbox)) == (step not in ("sending", "leaving"))
    assert entry.attempts == 1


@pytest.mark.parametrize("tool", ["return_order", "report_problem"])
async def test_processes_that_ask_at_once_file_once(machine: Machine, tool: str) -> None:
    given = (back if tool == "return_order" else problem)(await machine.ordered())
    codes: list[int] = []

    async def one() -> None:
        codes.append(await machine.in_a_process(tool, given))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(one)
    assert codes == [0, 0, 0]
    assert len(created(machine.sandbox)) == 1
    assert [entry.state for entry in machine.changes()] == ["placed"]
