"""A journal that fails while a return is sent: nothing is filed twice, and nobody is told what is not known."""

from pathlib import Path

import pytest
from aftercare.after import back, created, delivered
from conftest import HandClock, OpenProcess
from journal.test_crash_consistency import Disk
from journal.test_crash_consistency import disk as disk  # a fixture
from server.as_a_host import call, host, refused
from wanted import arguments

from zinc_mcp.sandbox import Sandbox


@pytest.fixture
def zinc(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("how", ["read-only", "failing"])
@pytest.mark.parametrize("step", ["opened", "sending", "leaving", "answered"])
async def test_a_return_sent_while_the_journal_fails_is_told_as_it_is(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, disk: Disk, home: Path, how: str, step: str
) -> None:
    armed = False

    def at(passed: str) -> None:
        if armed and passed == step:
            disk.breaks(how)

    async with open_test_process(checkpoint=at) as process, host(process, "auto") as client:
        order_id = await delivered(client, clock)
        armed = True
        told = await refused(client, "return_order", back(order_id))
        filed = len(created(zinc))
        assert told["money_may_have_moved"] is False
        if filed:
            assert (told["code"], told["outcome"]) == ("outcome_unknown", "unknown")
            assert "nothing was sent" not in (told["summary"] + told["next_step"]).lower()
            assert "Do not send it again" in told["next_step"]
        armed = False
        disk.is_well()
        clock.pass_seconds(90)
        again = await call(client, "return_order", back(order_id)) if filed else None
    assert len(created(zinc)) == filed
    if again is not None:
        assert (again["outcome"], again["new_request"]) == ("filed", False)


async def test_an_order_that_only_this_process_knows_is_told_while_the_journal_fails(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, disk: Disk, home: Path
) -> None:
    def at(passed: str) -> None:
        if passed == "answered":
            disk.breaks("failing")

    async with open_test_process(checkpoint=at) as process, host(process, "auto") as client:
        told = await refused(client, "place_order", arguments())
        assert told["code"] == "outcome_unknown"
        known = await call(client, "get_order", {"order_id": told["key"]})
        assert known["outcome"] == "accepted"
        disk.is_well()
