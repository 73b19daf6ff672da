"""Each fault that the campaign and the crash tests once found stays mended, shown by the smallest test."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import pytest
from conftest import HandClock, OpenProcess
from deciding import yes
from fake_zinc import FakeZinc, Step, failure
from journals import entry_of
from wanted import book, intent

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import OrderNotFoundError, RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.pin import hashed
from zinc_mcp.process import Answer, Clocks


@pytest.mark.parametrize("answer", [failure(401, "unauthorized"), "refuse"], ids=["rejected", "no connection"])
async def test_a_refusal_of_an_order_that_another_process_took_over_is_not_final(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, answer: Step
) -> None:
    """Another process, whose clock runs ahead, takes over; it may send the same bytes, and buy."""

    async def taken_over() -> None:
        zinc.on_post = None
        clock.pass_seconds(21)
        with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
            [sending] = journal.entries()
            assert journal.claim(sending, "another process", 30) is not None

    zinc.on_post = taken_over
    zinc.script = [answer]
    async with open_test_process() as process:
        told = entry_of(await place_order.place(process, intent()))
        assert told.state == "sending", "it is not known what the other process does"
        clock.pass_seconds(31)
        bought = entry_of(await place_order.place(process, intent()))
    assert (bought.key, bought.state) == (told.key, "accepted")
    assert len(zinc.orders) == 1


async def test_a_second_order_for_a_key_is_noticed_though_the_process_was_killed_before_it_looked(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    class KilledError(BaseException):
        pass

    def die(step: str) -> None:
        if step == "accepted":
            raise KilledError

    zinc.keys_honoured = False
    zinc.script = ["lose_after"]
    zinc.lists = [httpx.Response(200, json={"orders": []})] * 2
    with pytest.raises(BaseException):  # noqa: B017  # a group of one KilledError
        async with open_test_process(checkpoint=die) as process:
            await place_order.place(process, intent())
    assert len(zinc.orders) == 2
    async with open_test_process() as process:
        with pytest.raises(OrderNotFoundError):
            await look(process, "ada", "nothing")  # any use of the journal wakes the sweep
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal, anyio.fail_after(15):
            while journal.paused() is None:
                await anyio.sleep(0.02)
        with pytest.raises(RefusedError) as refused:
            await place_order.place(process, intent(products=book(3)))
    assert refused.value.code == "paused"


async def test_a_second_order_for_a_key_is_noticed_by_the_next_look_if_the_first_count_was_not_answered(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.keys_honoured = False
    zinc.script = ["lose_after"]
    zinc.lists = [
        httpx.Response(200, json={"orders": []}),
        httpx.Response(200, json={"orders": []}),
        httpx.Response(500),
    ]
    async with open_test_process() as process:
        bought = entry_of(await place_order.place(process, intent()))
        assert len(zinc.orders) == 2
        assert zinc.lists == []
        await look(process, "local", bought.key)
        with pytest.raises(RefusedError) as refused:
            await place_order.place(process, intent(products=book(3)))
    assert refused.value.code == "paused"


async def test_a_process_that_was_late_tells_what_another_one_has_found_meanwhile(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, clocks: Clocks, home: Path
) -> None:
    zinc.script = ["hang"]
    hasty = replace(clocks, wire_seconds=0.4)
    answers: list[Answer] = []
    found: list[Answer] = []
    async with (
        open_test_process(clocks=hasty) as late,
        open_test_process() as other,
        anyio.create_task_group() as tasks,
    ):

        async def place() -> None:
            answers.append(await place_order.place(late, intent()))

        tasks.start_soon(place)
        with anyio.fail_after(15):
            while not zinc.orders:
                await anyio.sleep(0.01)
        clock.pass_seconds(60)
        with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
            [sending] = journal.entries()
        found.append(await look(other, "local", sending.key))
    [told, meanwhile] = [entry_of(answer) for answer in (*answers, *found)]
    assert meanwhile.state == "accepted"
    assert (told.state, told.order_id) == ("accepted", meanwhile.order_id)


@pytest.mark.parametrize("key", ["mine", None], ids=["a key of the caller's", "a key of ours"])
async def test_a_key_that_also_stands_for_an_order_in_practice_is_looked_up_in_its_own_mode(
    open_test_process: OpenProcess, zinc: FakeZinc, key: str | None
) -> None:
    async with open_test_process() as process:
        placed = entry_of(await place_order.place(process, intent(idempotency_key=key)))
        async with open_test_process(api_key=None, sandbox=True) as practising:
            wanted = intent(products=book(3), idempotency_key=placed.key)
            practised = entry_of(await place_order.place(practising, wanted))
            assert practised.key == placed.key
            assert entry_of(await look(practising, "local", placed.key)).id == practised.id
        assert entry_of(await look(process, "local", placed.key)).id == placed.id


async def test_while_the_last_pin_is_looked_at_no_further_one_is(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, write_config: Callable[[str], Path]
) -> None:
    write_config('[policy]\napproval = "auto"\n')
    async with open_test_process() as process:
        waiting = entry_of(await place_order.place(process, intent()))
        with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
            journal.set_pin(hashed("2468"))
            # Another process has written down the last free try and still compares the PIN.
            while (tried := journal.count_pin_try()) is not None and tried.free_at is None:
                pass
        with pytest.raises(RefusedError) as refused:
            await decide(process, yes(waiting, pin="2468"))
    assert refused.value.code == "approval_required"
    assert zinc.posts == []
