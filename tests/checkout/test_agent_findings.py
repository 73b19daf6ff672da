"""Each fault that the campaign once found on the agent rail stays mended, shown by the smallest test."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc, failure
from journals import entry_of, journal_of
from pydantic import SecretStr
from server.as_a_host import host, said
from wanted import arguments, order

from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.watch import look
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.money import Payment
from zinc_mcp.journal.runner import Runner, Unwritten
from zinc_mcp.process import Clocks
from zinc_mcp.spending.proof import without_credential


async def test_a_look_up_that_forgets_the_credential_does_not_lose_a_key_that_arrives_meanwhile(home: Path) -> None:
    """Found as an accepted order without its key: a process looked it up while another one sent it again."""
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        journal.write_payment(Payment(1, 0.0, SecretStr("credential"), 300.0))

        class Overtaken:
            arrived = False

            async def run(self, what: Callable[[Journal], Any]) -> Any:
                found, payment = what(journal), journal.payment(1)
                assert payment is not None
                if not self.arrived:
                    journal.write_payment(dataclasses.replace(payment, order_key=SecretStr("zn_live_order")))
                self.arrived = True
                return found

        await Unwritten(cast(Runner, Overtaken())).change_payment(1, partial(without_credential, recovery={}))
        left = journal.payment(1)
    assert left is not None
    assert left.credential is None
    assert left.order_key == SecretStr("zn_live_order")


def taken_for_lost(home: Path, step: str) -> None:
    """Act as another process that believes this one is dead."""
    if step != "answered":
        return
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        [sending] = journal.entries()
        unknown = journal.move(sending, "unknown", "the sending process did not come back")
        journal.move(unknown, "paid_no_order", "paid, and no order is known", problem={"code": "paid_no_order"})


async def test_an_order_that_arrives_after_somebody_took_the_payment_for_lost_is_known(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    """Found as an entry that ended as paid without an order, with the order's own key beside it."""

    async with open_test_process(api_key=None, wallet="sandbox", checkpoint=partial(taken_for_lost, home)) as process:
        entry = entry_of(await place(process, Intent("local", "agent", order())))
    assert (entry.state, entry.problem) == ("accepted", None)
    assert entry.order_id in zinc.orders


async def test_a_payment_whose_orders_key_came_is_looked_up_although_somebody_took_it_for_lost(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.script = ["truncated"]
    zinc.lists = [httpx.Response(500)]
    async with open_test_process(api_key=None, wallet="sandbox", checkpoint=partial(taken_for_lost, home)) as process:
        entry = entry_of(await place(process, Intent("local", "agent", order())))
    assert (entry.state, entry.problem) == ("accepted", None)


async def test_a_payment_without_its_orders_key_stays_taken_for_lost(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.script = ["settled_no_order"]
    async with open_test_process(api_key=None, wallet="sandbox", checkpoint=partial(taken_for_lost, home)) as process:
        entry = entry_of(await place(process, Intent("local", "agent", order())))
    assert entry.state == "paid_no_order", "nothing new is known of it"


async def test_a_process_whose_clock_is_ahead_takes_nothing_from_one_that_is_alive(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, clocks: Clocks
) -> None:
    """Found as two orders for one intention, both given for nothing: the first was asked for when it was taken over."""
    own: dict[str, Any] = {"api_key": None, "wallet": "sandbox", "uptime": lambda: ("this boot", 7.0)}
    ahead = HandClock(clock.now + 3600)
    wanted = Intent("local", "agent", order())
    told: list[str] = []

    async def meanwhile() -> None:
        zinc.on_post = None
        async with open_test_process(
            **own, clock=ahead, clocks=dataclasses.replace(clocks, answer_seconds=0.2)
        ) as other:
            told.append(entry_of(await place(other, wanted)).state)

    zinc.on_post = meanwhile
    zinc.quotes = ["given", "given"]
    async with open_test_process(**own) as process:
        entry = entry_of(await place(process, wanted))
    assert told == ["signing"]
    assert entry.state == "accepted"
    assert len(zinc.orders) == 1


async def bought_before(open_test_process: OpenProcess, home: Path) -> str:
    """Buy once, lose the journal, and return the key."""
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        first = entry_of(await place(process, Intent("local", "agent", order())))
    for file in home.glob("journal.db*"):
        file.unlink()
    return first.key


async def test_an_order_that_zinc_has_had_before_is_not_paid_again_until_the_owner_says_so(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    key = await bought_before(open_test_process, home)
    zinc.quotes = [failure(409, "already_exists", resource="Order", identifier=key)]
    async with open_test_process(api_key=None, wallet="sandbox") as process, host(process, "legacy") as client:
        for _ in range(2):
            told = said(await client.call_tool("place_agent_order", arguments()))
            assert (told["code"], told["outcome"], told["money_may_have_moved"]) == ("order_exists", "unknown", False)
            assert told["next_step"].startswith("Do not order again.")
            assert "Nothing was paid" in told["summary"]
    clock.pass_seconds(40 * 86_400)
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        looked = entry_of(await look(process, "local", key))
        again = entry_of(await place(process, Intent("local", "agent", order(max_price=6000))))
        assert (looked.state, again.id) == ("unknown", looked.id), "neither a look, a restart nor time ends it"
        assert len(zinc.settlements) == 1
        with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
            ended = journal.resolve(key, order_id=None, holder_ended=True)
        assert (ended.state, ended.counts_cents, ended.authorised_cents) == ("rejected", 0, None), "nothing was paid"
        bought = entry_of(await place(process, Intent("local", "agent", order())))
    assert (bought.state, bought.key == key) == ("accepted", False)
    assert len(zinc.settlements) == 2


async def test_an_order_that_zinc_has_had_before_is_found_with_the_key_that_came_with_the_answer(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    key = await bought_before(open_test_process, home)
    [order_id], [order_key] = zinc.orders, zinc.order_keys
    conflict = failure(409, "already_exists", order_id=order_id)
    zinc.quotes = [httpx.Response(409, content=conflict.content, headers={"X-Api-Key": order_key})]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        found = entry_of(await place(process, Intent("local", "agent", order())))
        zinc.settle(order_id, 3000)
        placed = entry_of(await look(process, "local", key))
    assert (found.state, found.order_id, found.problem) == ("accepted", order_id, None)
    assert (placed.state, placed.counts_cents) == ("placed", 3100)
    assert len(zinc.settlements) == 1
    assert [entry.attempts for entry in journal_of(home)[0]] == [0]
