"""A journal that fails after an order may have left loses nothing, and nobody is told that nothing was sent."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from checkout.test_promises import PAYS
from checkout.test_promises import by_program as by_program  # a fixture
from conftest import HandClock, OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from journal.test_crash_consistency import Disk, place
from journal.test_crash_consistency import disk as disk  # a fixture
from journals import entry_of, journal_of
from server.as_a_host import host, said
from wanted import arguments, intent, order

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.milestones import milestones
from zinc_mcp.checkout.place_order import Intent
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import JournalError, OrderRejectedError
from zinc_mcp.process import Answer

BY_WALLET = Intent("local", "agent", order())
HOW = ["read-only", "failing"]


def doubted(told: object) -> JournalError:
    assert isinstance(told, JournalError), told
    assert (told.code, told.money_may_have_moved) == ("outcome_unknown", True)
    assert "nothing was sent" not in (told.summary + told.next_step).lower()
    assert told.facts["key"]
    return told


@pytest.mark.sampled(4)
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("step", ["sending", "leaving:2", "headers", "answered"])
async def test_an_order_paid_while_the_journal_fails_is_in_doubt_and_known_once_it_works_again(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    disk: Disk,
    home: Path,
    step: str,
    how: str,
) -> None:
    name, _, left = step.partition(":")
    seen = 0

    def at(passed: str) -> None:
        nonlocal seen
        seen += passed == name
        if passed == name and seen == int(left or 1):
            disk.breaks(how)

    async with open_test_process(api_key=None, wallet="sandbox", checkpoint=at) as process:
        told = doubted(await place(process, BY_WALLET))
        assert len(zinc.orders) == len(zinc.settlements) == 1, "the body was read to its end"
        assert told.facts["order_id"] in zinc.orders
        found = await look(process, "local", told.facts["key"])
        assert (entry_of(found).state, found.order is not None) == ("accepted", True), "this process knows it"
        again = await place(process, BY_WALLET)
        assert isinstance(again, Answer) and again.earlier, "nobody is told that nothing was sent"
        disk.is_well()
        assert entry_of(await look(process, "local", told.facts["order_id"])).state == "accepted"
    [entry], _ = journal_of(home)
    assert entry.state == "accepted"
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        zinc.advance(told.facts["order_id"], "order_placed")
        assert entry_of(await look(process, "local", entry.key)).state == "placed", "its own key was written too"
    assert len(zinc.orders) == len(zinc.settlements) == 1


async def test_the_timeline_of_a_paid_order_is_read_with_its_key_before_the_key_could_be_written_down(
    open_test_process: OpenProcess, zinc: FakeZinc, disk: Disk
) -> None:
    def at(passed: str) -> None:
        if passed == "sending":
            disk.breaks("read-only")

    async with open_test_process(api_key=None, wallet="sandbox", checkpoint=at) as process:
        told = doubted(await place(process, BY_WALLET))
        found = await look(process, "local", told.facts["key"])
        assert isinstance(await milestones(process, found), list)
        disk.is_well()


@pytest.mark.parametrize("how", HOW)
async def test_an_unwritten_answer_is_written_when_the_process_ends_and_the_journal_works(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    disk: Disk,
    home: Path,
    how: str,
) -> None:
    zinc.listing = False

    def at(passed: str) -> None:
        if passed == "answered":
            disk.breaks(how)

    async with open_test_process(checkpoint=at) as process:
        told = doubted(await place(process))
        disk.is_well()
    [entry], _ = journal_of(home)
    assert (entry.state, entry.order_id) == ("accepted", told.facts["order_id"])


def not_sent(told: object) -> JournalError:
    assert isinstance(told, JournalError), told
    assert not told.money_may_have_moved
    assert "The order was not sent" in told.summary
    return told


@pytest.mark.parametrize("step", ["leaving", "signed"])
async def test_a_journal_that_fails_while_a_wallet_signs_sends_nothing_and_says_so(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    disk: Disk,
    home: Path,
    step: str,
) -> None:
    def at(passed: str) -> None:
        if passed == step:
            disk.breaks("read-only")

    async with open_test_process(api_key=None, wallet="sandbox", checkpoint=at) as process:
        told = not_sent(await place(process, BY_WALLET))
        disk.is_well()
        looked = entry_of(await look(process, "local", told.facts["key"]))
    assert (looked.state, looked.counts_cents) == ("refused", 0), "its credential never left, and is not kept"
    assert zinc.settlements == []
    assert b"Payment ey" not in (home / "journal.db").read_bytes()


async def test_a_journal_that_fails_before_the_wallet_is_asked_says_that_nothing_was_sent(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    disk: Disk,
) -> None:
    def at(passed: str) -> None:
        if passed == "signing":
            disk.breaks("read-only")

    async with open_test_process(api_key=None, wallet="sandbox", checkpoint=at) as process:
        told = not_sent(await place(process, BY_WALLET))
        disk.is_well()
        looked = entry_of(await look(process, "local", told.facts["key"]))
    assert (looked.state, looked.counts_cents) == ("refused", 0)
    assert zinc.settlements == []


@pytest.mark.parametrize("step", ["leaving", "signed"])
async def test_a_journal_that_fails_while_a_program_pays_is_a_doubt(
    open_test_process: OpenProcess, zinc: FakeZinc, disk: Disk, by_program: Any, step: str
) -> None:
    def at(passed: str) -> None:
        if passed == step:
            disk.breaks("read-only")

    async with open_test_process(checkpoint=at, **by_program(PAYS)) as process:
        told = doubted(await place(process, BY_WALLET))
        disk.is_well()
        looked = entry_of(await look(process, "local", told.facts["key"]))
    assert (looked.state, looked.counts_cents) == ("unknown", 5100), "it may have moved money by itself"
    assert "was sent" not in told.summary


@pytest.mark.parametrize("wallet", [None, "sandbox"], ids=["balance", "wallet"])
async def test_a_journal_that_fails_just_before_the_first_byte_leaves_no_doubt(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, disk: Disk, wallet: str | None
) -> None:
    """The process stood still, so it must claim the entry again, and the journal fails at that moment."""

    def at(passed: str) -> None:
        if passed == "sending":
            clock.pass_seconds(100)
            disk.breaks("read-only")

    by = {"api_key": None, "wallet": wallet} if wallet else {}
    async with open_test_process(checkpoint=at, **by) as process:
        told = not_sent(await place(process, BY_WALLET if wallet else intent()))
        kept = entry_of(await look(process, "local", told.facts["key"]))
        assert kept.state == "refused", "this process knows it before it can be written down"
        disk.is_well()
        looked = entry_of(await look(process, "local", told.facts["key"]))
    assert (looked.state, looked.counts_cents) == ("refused", 0)
    assert zinc.orders == {}


async def test_a_call_for_an_order_in_doubt_is_told_so_when_the_journal_fails(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    disk: Disk,
) -> None:
    zinc.script = ["lose_before", httpx.ReadError("lost")]
    async with open_test_process() as process:
        first = entry_of(await place_order.place(process, intent()))
        assert first.state == "unknown"
        zinc.script = ["ok"]
        disk.breaks("read-only")
        assert doubted(await place(process)).facts["key"] == first.key
        disk.is_well()


@pytest.mark.parametrize("step", ["asked", "sending", "answered"])
async def test_a_yes_whose_order_the_journal_cannot_follow_is_told_as_a_doubt(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    disk: Disk,
    home: Path,
    step: str,
) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "zinc.toml").write_text('[policy]\napproval = "page"\n', encoding="utf-8")

    def at(passed: str) -> None:
        if passed == step:
            disk.breaks("read-only")

    async with open_test_process(checkpoint=at) as process:
        asked = entry_of(await place_order.place(process, intent()))
        try:
            ended = await decide(process, yes(asked))
        except JournalError as told:
            doubted(told)
            assert told.facts["key"] == asked.key
        else:
            assert entry_of(ended).state != "refused"
        disk.is_well()
        sent = entry_of(await look(process, "local", asked.key)).state
    assert sent in ("waiting", "accepted")
    assert len(zinc.orders) <= 1


async def test_a_host_is_told_of_the_doubt_and_the_key(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    disk: Disk,
) -> None:
    def at(passed: str) -> None:
        if passed == "answered":
            disk.breaks("read-only")

    async with open_test_process(checkpoint=at) as process, host(process, "legacy") as client:
        told = said(await client.call_tool("place_order", arguments()))
        assert (told["code"], told["outcome"], told["money_may_have_moved"]) == ("outcome_unknown", "unknown", True)
        assert told["order_id"] in zinc.orders
        looked = said(await client.call_tool("get_order", {"order_id": told["key"]}))
        assert looked["order_id"] == told["order_id"]
        disk.is_well()


async def test_a_rejection_by_zinc_stays_a_rejection(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.script = [httpx.Response(400, json={"error": {"code": "out_of_stock"}})]
    async with open_test_process() as process:
        assert isinstance(await place(process), OrderRejectedError)
