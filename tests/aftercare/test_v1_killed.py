"""Processes that are killed at each step of a change of an order of Zinc's v1 send it once and tell what is known."""

import os
import signal
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from aftercare import mover
from aftercare.test_killed import STEPS, Machine, on_a_port
from on_v1 import Moved, arguments
from variants import usual

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.aftercare.requests import changes

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals that kill a process")

CONFIG = '[policy]\napproval = "none"\n'
"""A client token is a live one, so that nobody would be asked otherwise."""


class V1Machine(Machine):
    """One machine whose orders go to Zinc's v1, where time goes on when the test says so."""

    def __init__(self, home: Path, sandbox: Sandbox, origin: str, zincs: Moved) -> None:
        super().__init__(home, sandbox, origin)
        self.zincs = zincs

    def request(self, tool: str, given: dict[str, Any], step: str = "", *, yes: bool = False) -> dict[str, Any]:
        return {**super().request(tool, given, step, yes=yes), "v1": True}

    async def bought(self, practice: str) -> str:
        """Place an order and wait until the retailer has it."""
        async with mover.opened(self.request("", {}), lambda step: None) as process:
            placed = await mover.asked(process, "place_v1_order", arguments(practice=practice))
            self.order_id = str(placed["order_id"])
            self.zincs.now += 3
            known = await mover.asked(process, "get_order", {"order_id": self.order_id})
            assert known["outcome"] == "placed"
            return self.order_id

    def sent(self) -> list[str]:
        return [str(each["outcome"]) for each in changes(self.sandbox)]

    def changes(self) -> list[Entry]:
        with Journal.open(f"sqlite:///{self.home / 'journal.db'}") as journal:
            return journal.changes_of(self.order_id, "local", "live")


@pytest.fixture
async def machine(home: Path) -> AsyncGenerator[V1Machine]:
    home.mkdir()
    (home / "zinc.toml").write_text(CONFIG, encoding="utf-8")
    zincs = Moved(time.time())
    sandbox = Sandbox(clock=zincs)
    async with on_a_port(sandbox) as origin:
        yield V1Machine(home, sandbox, origin, zincs)


@pytest.mark.parametrize("step", usual(STEPS, lambda step: step in ("leaving", "answered", "accepted")))
@pytest.mark.parametrize("tool", ["return_order", "report_problem"])
async def test_a_process_killed_at_any_step_sends_a_change_once(machine: V1Machine, tool: str, step: str) -> None:
    order_id = await machine.bought("case=silent")
    given: dict[str, Any] = {"order_id": order_id, "reason": "late", "message": "Where is it?"}
    if tool == "return_order":
        given = {"order_id": order_id, "items": [{"number": 1, "quantity": 1}], "reason": "not_as_described"}
    assert await machine.in_a_process(tool, given, step) == -signal.SIGKILL
    filed = step in ("answered", "accepted")
    assert machine.sent() == ["accepted"] * filed
    machine.ahead += 2.6  # its lease ends
    told = await machine.here(tool, given)
    # v1 shows its cases, and lists no returns: of a return nothing is known but what was written down.
    is_known = step == "accepted" or (filed and tool == "report_problem")
    assert (told["outcome"], told["new_request"]) == ("filed" if is_known else "unknown", False)
    assert len(machine.changes()) == 1
    assert machine.sent() == ["accepted"] * filed


@pytest.mark.parametrize("step", ["cancelling", "cancel_answered"])
async def test_a_cancellation_at_the_retailer_whose_process_is_killed_is_finished_by_the_next_call(
    machine: V1Machine, step: str
) -> None:
    given = {"order_id": await machine.bought("cancel=direct")}
    assert await machine.in_a_process("cancel_order", given, step) == -signal.SIGKILL
    assert machine.sent() == ["accepted"] * (step == "cancel_answered")
    known = await machine.here("get_order", given)
    [row] = known["requests"]
    assert row["kind"] == "cancellation"
    assert row["outcome"] == "unknown"
    told = await machine.here("cancel_order", given)
    assert told["cancellation"] == "unknown"
    machine.zincs.now += 1
    told = await machine.here("cancel_order", given)
    assert told["cancellation"] == "cancelled"
    assert machine.sent() == ["accepted"]
