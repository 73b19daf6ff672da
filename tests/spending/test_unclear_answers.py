"""An answer that contradicts itself, or has another order's id, frees no money and buys nothing twice."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenProcess
from deciding import yes
from fake_zinc import FakeZinc, Step
from journals import entry_of, journal_of
from server.as_a_host import both_eras, host, said, usually_one_era
from wanted import arguments, book, intent, order

from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.records.decision import Decision, reference_of
from zinc_mcp.process import Clocks

PRICED = {"price_components": {"subtotal": 4900, "tax": 0, "shipping": 0, "total": 4900, "currency": "USD"}}

AGAINST_FAILED: dict[str, dict[str, Any]] = {
    "success": {"job_result": {"success": True}},
    "a price": {"job_result": {"success": None, **PRICED}},
    "a price in other money": {
        "job_result": {"success": False, "price_components": {"total": 4900, "currency": "EUR"}}
    },
    "a price that cannot be read": {"job_result": {"price_components": {"total": "49.00", "currency": "USD"}}},
    "a price that contradicts itself": {"job_result": {"price_components": {"total": 4900, "subtotal": 90_000}}},
    "a converted price": {"job_result": {"price_components": {"converted_payment_total": 4900, "currency": "XTS"}}},
    "the retailer's number": {"merchant_order_ids": ["113-1234567"]},
    "the retailer's number in the result": {
        "job_result": {"success": False, "merchant_order_ids": [{"merchant": "etsy", "merchant_order_id": "9"}]}
    },
    "an ordered item": {"items": [{"url": book(1)[0]["url"], "quantity": 1, "status": "ordered"}]},
    "a shipped item": {"items": [{"url": book(1)[0]["url"], "quantity": 1, "status": "shipped"}]},
    "a delivered item in capitals": {"items": [{"url": book(1)[0]["url"], "quantity": 1, "status": "DELIVERED"}]},
    "a parcel": {"tracking_numbers": [{"carrier": "usps", "tracking_number": "1Z", "status": "pre_transit"}]},
}
AGAINST_CANCELLED: dict[str, dict[str, Any]] = {
    "a shipped item": {"items": [{"url": book(1)[0]["url"], "quantity": 1, "status": "shipped"}]},
    "a parcel on its way": {"tracking_numbers": [{"carrier": "usps", "tracking_number": "1Z", "status": "in_transit"}]},
}
UNCLEAR = [
    *(("order_failed", name, shown) for name, shown in AGAINST_FAILED.items()),
    *(("cancelled_by_retailer", name, shown) for name, shown in AGAINST_CANCELLED.items()),
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("status", "shown"),
    [(status, shown) for status, _, shown in UNCLEAR],
    ids=[f"{status}: {name}" for status, name, _ in UNCLEAR],
)
async def test_an_end_that_the_answer_itself_speaks_against_ends_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, status: str, shown: dict[str, Any]
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        placed = said(await client.call_tool("place_order", arguments(products=book(1))))
        zinc.advance(placed["order_id"], status, **shown)
        looked = said(await client.call_tool("get_order", {"order_id": placed["key"]}))
        again = said(await client.call_tool("place_order", arguments(products=book(1), max_price=6000)))
    assert (looked["outcome"], looked["is_final"], looked["price"]["doubt"]) == ("accepted", False, "ending_unclear")
    assert "contradicts itself" in looked["summary"]
    assert "Do not order again" in looked["next_step"]
    assert (again["new_order"], len(zinc.orders)) == (False, 1)
    [entry] = journal_of(home)[0]
    assert (entry.counts_cents, entry.spent_cents) == (5100, None)


@usually_one_era
@pytest.mark.parametrize("with_ceiling", [True, False], ids=["with its max_price", "without"])
async def test_an_end_of_an_order_placed_elsewhere_is_not_believed_against_its_own_parts(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, with_ceiling: bool
) -> None:
    stranger = "00000000-0000-4000-8000-000000000001"
    async with open_test_process() as process, host(process, mode) as client:
        placed = said(await client.call_tool("place_order", arguments(products=book(7))))
        zinc.orders[stranger] = dict(zinc.orders[placed["order_id"]], id=stranger, metadata={})
        zinc.advance(stranger, "order_failed", merchant_order_ids=["113-1234567"])
        if not with_ceiling:
            del zinc.orders[stranger]["max_price"]
        looked = said(await client.call_tool("get_order", {"order_id": stranger}))
        listed = said(await client.call_tool("list_orders", {"status": "accepted"}))
    assert (looked["outcome"], looked["is_final"], looked["price"]["doubt"]) == ("accepted", False, "ending_unclear")
    assert "contradicts itself" in looked["summary"]
    assert "Do not order again" in looked["next_step"]
    assert stranger in {row["id"] for row in listed["orders"] if row.get("unclear")}


@pytest.mark.parametrize("status", ["order_failed", "cancelled"])
async def test_an_order_whose_end_is_unclear_is_not_sent_back_and_the_refusal_says_why(
    open_test_process: OpenProcess, zinc: FakeZinc, status: str
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        placed = said(await client.call_tool("place_order", arguments(products=book(1))))
        zinc.advance(placed["order_id"], status, **AGAINST_CANCELLED["a shipped item"])
        asked = {"order_id": placed["order_id"], "items": [{"number": 1, "quantity": 1}], "reason": "other"}
        told = said(await client.call_tool("return_order", asked))
    assert told["outcome"] == "refused"
    assert "contradicts itself" in told["summary"]


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("order_failed", {"job_result": {"success": False, "error_type": "product_out_of_stock"}}),
        ("order_failed", {"job_result": {"price_components": {"total": 0, "subtotal": 0, "currency": "EUR"}}}),
        ("order_failed", {"job_result": {"merchant_order_ids": []}, "merchant_order_ids": []}),
        ("cancelled", {"merchant_order_ids": ["113-1234567"], "job_result": {"success": True, **PRICED}}),
    ],
    ids=["failed", "failed at no price", "failed without a number", "cancelled after it was placed"],
)
async def test_an_end_that_nothing_speaks_against_gives_the_money_back(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, status: str, shown: dict[str, Any]
) -> None:
    async with open_test_process() as process:
        entry = entry_of(await place(process, intent()))
        zinc.advance(str(entry.order_id), status, **shown)
        await look(process, "local", entry.key)
    assert journal_of(home)[0][0].counts_cents == 0


async def test_a_placed_order_that_is_said_not_to_have_succeeded_settles_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        placed = said(await client.call_tool("place_order", arguments()))
        zinc.advance(placed["order_id"], "order_placed", job_result={"success": False, **PRICED})
        looked = said(await client.call_tool("get_order", {"order_id": placed["key"]}))
    assert looked["price"]["doubt"] == "ending_unclear"
    assert "The ending is unclear" in looked["summary"]
    assert journal_of(home)[0][0].counts_cents == 5100


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize(
    ("components", "said_of_it"),
    [
        ({"total": 4900, "currency": "EUR"}, "not told in US dollars"),
        ({"total": 700_000, "currency": "JPY", "payment_currency": "JPY"}, "not told in US dollars"),
        ({"total": 4900, "currency": "US$"}, "not told in US dollars"),
        ({"subtotal": 4900, "currency": "EUR"}, "not reported yet"),
        ({"total": 0, "breakdown_recorded": False, "currency": "EUR"}, "not reported yet"),
        (None, "not reported yet"),
    ],
)
async def test_a_price_in_other_money_is_told_as_such_and_not_as_unreported(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, components: dict[str, Any] | None, said_of_it: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        placed = said(await client.call_tool("place_order", arguments()))
        zinc.advance(placed["order_id"], "order_placed", job_result={"success": True, "price_components": components})
        looked = said(await client.call_tool("get_order", {"order_id": placed["key"]}))
    assert said_of_it in looked["summary"]
    assert "at most $51.00 is debited" in looked["summary"]
    assert "paid_cents" not in looked["price"]


@pytest.mark.parametrize("rail", ["account", "agent"])
@pytest.mark.parametrize("shown", [{}, {"status": "order_failed"}, {"status": "order_placed"}], ids=str)
async def test_an_answer_with_the_id_of_another_order_of_ours_is_not_taken(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, rail: Any, shown: dict[str, Any]
) -> None:
    async with open_test_process(wallet="sandbox") as process:
        first = entry_of(await place(process, intent()))
        lie = {"id": first.order_id, "status": "pending", **shown}
        zinc.shown_when_placed = lambda _: lie
        zinc.listing = False
        second = entry_of(await place(process, Intent("local", rail, order(products=book(2)))))
        again = await place(process, Intent("local", rail, order(products=book(2), max_price=6000)))
        found = entry_of(await look(process, "local", str(first.order_id)))
    assert (second.state, second.order_id, second.counts_cents) == ("unknown", None, 5100)
    assert again.earlier
    assert found.id == first.id


async def test_an_answer_that_ends_an_order_and_shows_nothing_of_it_is_not_taken(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.listing = False
    zinc.shown_when_placed = lambda shown: {"id": shown["id"], "status": "order_failed"}
    async with open_test_process() as process:
        entry = entry_of(await place(process, intent()))
    assert (entry.state, entry.counts_cents) == ("unknown", 5100)


CREDITS: dict[str, tuple[dict[str, Any], int]] = {
    "credited": ({"id": "r1", "status": "credited", "credited_amount": 2000}, 3100),
    "denied": ({"id": "r1", "status": "denied", "credited_amount": 5100}, 5100),
    "open": ({"id": "r1", "status": "open", "credited_amount": 2000}, 5100),
    "in other money": ({"id": "r1", "status": "credited", "credited_amount": 2000, "currency": "EUR"}, 5100),
}


@pytest.mark.parametrize("name", CREDITS)
async def test_only_money_that_can_have_been_given_back_frees_a_wallet_s_payment(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, name: str
) -> None:
    row, counts = CREDITS[name]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, Intent("local", "agent", order())))
        zinc.advance(str(entry.order_id), "order_failed", returns=[row, row])
        await look(process, "local", entry.key)
    assert journal_of(home)[0][0].counts_cents == counts, "each return is counted once"


async def test_an_order_s_id_is_one_in_any_case_of_letters(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process:
        first = entry_of(await place(process, intent()))
        loud = str(first.order_id).upper()
        with pytest.raises(RefusedError) as refused:
            await place(process, intent(products=book(2), idempotency_key=loud))
        found = entry_of(await look(process, "local", loud))
    assert refused.value.code == "key_conflict"
    assert found.id == first.id


async def test_a_total_that_was_paid_in_other_money_settles_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process:
        entry = entry_of(await place(process, intent()))
        priced = {"total": 4900, "currency": "USD", "payment_currency": "EUR"}
        zinc.advance(str(entry.order_id), "order_placed", job_result={"success": True, "price_components": priced})
        await look(process, "local", entry.key)
    assert (journal_of(home)[0][0].counts_cents, journal_of(home)[0][0].spent_cents) == (5100, None)


async def test_a_dialogue_s_yes_counts_no_more_once_the_owner_wants_the_page(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Callable[[str], Path]
) -> None:
    write_config('[policy]\napproval = "auto"\n')
    async with open_test_process() as process:
        entry = entry_of(await place(process, intent()))
        write_config('[policy]\napproval = "page"\n')
        about = reference_of(entry)
        assert about is not None
        with pytest.raises(RefusedError) as refused:
            await decide(process, Decision(about, yes=True, how="elicitation", who="local"))
        assert (refused.value.code, zinc.posts) == ("approval_required", [])
        await decide(process, yes(entry, how="page"))
    assert len(zinc.posts) == 1, "the question still stood"


@pytest.mark.parametrize("script", [[], ["lose_after"]], ids=["answered", "found after a lost answer"])
async def test_an_order_is_told_by_its_own_id_only_once_the_journal_finds_it_by_that_id(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clocks: Clocks, script: list[Step]
) -> None:
    """Otherwise another process would accept any order that Zinc shows under that id."""
    zinc.script = list(script)
    async with open_test_process(clocks=replace(clocks, answer_seconds=0.8)) as process:
        await look(process, "local", (entry_of(await place(process, intent(products=book(2))))).key)
        with closing(sqlite3.connect(home / "journal.db", isolation_level=None, check_same_thread=False)) as busy:
            zinc.meanwhile = lambda: busy.execute("BEGIN IMMEDIATE")
            answer = await place(process, intent())
            assert answer.order is None
            assert entry_of(answer).order_id is None
            busy.execute("ROLLBACK")
        later = await look(process, "local", entry_of(answer).key, wait_seconds=5)
        assert entry_of(later).order_id in zinc.orders


async def test_a_look_by_an_id_that_only_zinc_knows_finds_the_entry_that_the_order_names(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    zinc.script, zinc.listing = ["lose_after", "lose_before"], False
    async with open_test_process(clocks=replace(clocks, answer_seconds=0.8)) as process:
        doubted = entry_of(await place(process, intent()))
        assert (doubted.state, doubted.order_id) == ("unknown", None)
        [order_id] = zinc.orders
        zinc.listing = True
        seen = entry_of(await look(process, "local", order_id))
    assert (seen.key, seen.state, seen.order_id) == (doubted.key, "accepted", order_id)
