"""An order of Zinc's v1 goes down the same road: once, answered by its codes, and looked up after a lost answer."""

from pathlib import Path
from typing import Any

import pytest
from on_v1 import ASIN, Practice, arguments, failing_with, refused_with, way
from server.as_a_host import both_eras, call, refused, said
from variants import rare
from wanted import ADDRESS

from zinc_mcp.sandbox.v1.rules.codes import FINAL

PAGE = f"https://www.amazon.com/dp/{ASIN}"


@both_eras
async def test_a_managed_order_is_accepted_then_placed_and_told_with_its_price(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        placed = await call(client, "place_v1_order", arguments(zma_priority_bid=300))
        assert (placed["outcome"], placed["new_order"], placed["is_final"]) == ("accepted", True, False)
        assert placed["price"]["held_cents"] == 9300, "the bid may be debited as well"
        assert "max_price_cents" not in placed["price"], "which is another amount than what may be debited"
        assert "without Zinc's own fee" in placed["summary"]
        zinc.clock.now += 10
        shown = await call(client, "get_order", {"order_id": placed["order_id"]})
        listed = await call(client, "list_orders", {})
    assert (shown["outcome"], shown["key"]) == ("placed", placed["key"])
    assert shown["price"]["paid_cents"] == shown["price"]["total_cents"] <= 9300
    assert shown["tracking"] and shown["merchant_order_ids"]
    [row] = listed["orders"]
    assert (row["id"], row["status"], row["paid_cents"]) == (
        placed["order_id"],
        "placed",
        shown["price"]["paid_cents"],
    )
    assert "@" not in str(shown)
    [sent] = zinc.sandbox.placed()
    assert (sent["rail"], sent["body"]["addax"]) == ("v1", True)
    assert sent["body"]["client_notes"]["zinc_mcp_key"] == placed["key"] == sent["body"]["idempotency_key"]


@both_eras
async def test_the_same_again_is_the_same_order(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        first = await call(client, "place_v1_order", arguments())
        again = await call(client, "place_v1_order", arguments(max_price=8000, shipping_method="fastest"))
    assert (again["order_id"], again["new_order"]) == (first["order_id"], False)
    assert zinc.posts() == ["created"]


@both_eras
@pytest.mark.parametrize("first", ["v1", "v2"])
async def test_a_product_is_one_intention_by_number_and_by_page(home: Path, mode: str, first: str) -> None:
    zinc = Practice(home)
    by_page = {"products": [{"url": f"{PAGE}?tag=x", "quantity": 2}], "shipping_address": ADDRESS, "max_price": 9000}
    by_number = arguments(products=[{"product_id": ASIN, "quantity": 2}])
    calls: list[tuple[str, dict[str, Any]]] = [("place_v1_order", by_number), ("place_order", by_page)]
    async with zinc.host(mode) as client:
        one, other = calls if first == "v1" else calls[::-1]
        bought = await call(client, *one)
        again = await call(client, *other)
    assert (again["order_id"], again["new_order"]) == (bought["order_id"], False)
    assert zinc.posts() == ["created"]


@both_eras
async def test_another_quantity_or_address_of_one_product_is_another_intention(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        await call(client, "place_v1_order", arguments())
        await call(client, "place_v1_order", arguments(products=[{"product_id": ASIN, "quantity": 3}]))
        elsewhere = {**arguments()["shipping_address"], "address_line1": "1 Other Street"}
        await call(client, "place_v1_order", arguments(shipping_address=elsewhere))
    assert zinc.posts() == ["created"] * 3


MAY_HAVE_BOUGHT = {"internal_error", "order_probably_placed", "duplicate_order", "invalid_request_id"}
ABOUT_THE_QUESTION = {"invalid_client_token", "unauthorized_access", "invalid_json", "invalid_request_id"}
"""An error about the token or the question alone says nothing of the order."""
PROVE_THAT_IT_FAILED = sorted(set(FINAL) - MAY_HAVE_BOUGHT - ABOUT_THE_QUESTION)
CODES = pytest.mark.parametrize("code", [rare(code) if code in PROVE_THAT_IT_FAILED[6:] else code for code in FINAL])
"""Every code that is told in a way of its own, and a few of the many that are told alike."""


@pytest.mark.sampled(3)
@CODES
async def test_each_code_of_the_request_has_its_ending(home: Path, code: str) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        answer = said(await client.call_tool("place_v1_order", arguments(refused_with(code))))
        later = await call(client, "get_order", {"order_id": answer["key"]})
    if code in MAY_HAVE_BOUGHT:
        assert (answer["outcome"], answer["money_may_have_moved"]) == ("unknown", True)
        assert later["outcome"] == "unknown"
        assert "Do not order again" in answer["next_step"]
        return
    assert (answer["outcome"], answer["money_may_have_moved"]) == ("rejected", False)
    assert (later["outcome"], later["price"]["paid_cents"]) == ("rejected", 0)
    assert answer["facts"]["zinc_code"] == code
    assert answer["summary"].removeprefix("Error: ") != answer["next_step"]


@pytest.mark.sampled(3)
@CODES
async def test_each_code_of_the_result_has_its_ending(home: Path, code: str) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        placed = await call(client, "place_v1_order", arguments(failing_with(code)))
        zinc.clock.now += 10
        shown = await call(client, "get_order", {"order_id": placed["key"]})
    proves_nothing = {"order_probably_placed": "unknown", "duplicate_order": "unknown"}
    if code in ABOUT_THE_QUESTION:
        assert shown["outcome"] == "accepted"
    else:
        assert shown["outcome"] == proves_nothing.get(code, "failed")
    if shown["outcome"] == "failed":
        assert shown["price"]["paid_cents"] == 0
        assert shown["failure"]["code"] == code
        assert "could not carry it out" not in shown["summary"]


@both_eras
async def test_after_a_refusal_the_next_attempt_has_a_key_of_its_own(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        wrong = await refused(client, "place_v1_order", arguments(refused_with("invalid_address")))
        again = await refused(client, "place_v1_order", arguments(refused_with("invalid_address")))
    assert wrong["key"] != again["key"]
    assert zinc.posts() == ["rejected_invalid_address"] * 2


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize("running", ["slow", "looks", "manual_review", "queue"])
async def test_an_order_that_is_not_over_is_waited_for(home: Path, mode: str, running: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        placed = await call(client, "place_v1_order", arguments(way(running)))
        zinc.clock.now += 4
        early = shown = await call(client, "get_order", {"order_id": placed["key"]})
        for _ in range(4):
            zinc.clock.now += 60
            shown = await call(client, "get_order", {"order_id": placed["key"]})
    assert (early["outcome"], early["is_final"]) == ("accepted", False)
    assert shown["outcome"] == "placed"


@both_eras
async def test_a_full_queue_has_bought_nothing(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        placed = await call(client, "place_v1_order", arguments(way("queue_full"), addax_queue_timeout=600))
        zinc.clock.now += 700
        shown = await call(client, "get_order", {"order_id": placed["key"]})
        again = await call(client, "place_v1_order", arguments(way("queue_full"), addax_queue_timeout=600))
    assert (shown["outcome"], shown["failure"]["code"]) == ("failed", "zma_temporarily_overloaded")
    assert again["new_order"] and again["key"] != placed["key"]


# A lost answer


@pytest.mark.sampled(6)
@both_eras
@pytest.mark.parametrize(
    "fault",
    ["drop_after", "reset_after", "http_500_after", "html_200", "redirect_after", "truncated", "huge", "other_order"],
)
async def test_a_lost_answer_is_found_in_the_list_by_our_key(home: Path, mode: str, fault: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        answer = said(await client.call_tool("place_v1_order", arguments(practice=f"fault={fault}")))
    assert answer["outcome"] == "accepted", answer
    assert zinc.posts() == ["created"], "it is looked up, and not sent again"


@both_eras
async def test_a_request_that_never_arrived_is_sent_again_with_the_same_key(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        answer = await call(client, "place_v1_order", arguments(practice="fault=drop_before"))
    assert answer["outcome"] == "accepted"
    keys = {attempt["idempotency_key"] for attempt in zinc.sandbox.attempts()}
    assert len(zinc.sandbox.placed()) == 1 and keys == {answer["key"]}


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize(
    "dialect", [{"listing": "placed_only"}, {"notes": "absent"}, {"echo": "absent"}, {"listing": "lags"}]
)
async def test_a_lost_answer_that_no_list_shows_is_sent_again_and_is_one_order(
    home: Path, mode: str, dialect: dict[str, Any]
) -> None:
    zinc = Practice(home, **dialect)
    async with zinc.host(mode) as client:
        answer = await call(client, "place_v1_order", arguments(practice="fault=drop_after"))
    assert answer["outcome"] == "accepted"
    assert len(zinc.sandbox.placed()) == 1


@both_eras
async def test_an_order_that_is_listed_without_its_id_is_followed_by_its_key(home: Path, mode: str) -> None:
    zinc = Practice(home, request_ids="absent", running="full")
    async with zinc.host(mode) as client:
        answer = await call(client, "place_v1_order", arguments(practice="fault=drop_after,drop_after"))
        other = await call(client, "place_v1_order", arguments("B0SNDBXC01"))
        zinc.clock.now += 10
        shown = await call(client, "get_order", {"order_id": answer["key"]})
        listed = await call(client, "list_orders", {})
        found = await call(client, "get_order", {"order_id": listed["orders"][0]["id"]})
    assert (answer["outcome"], shown["outcome"], found["outcome"]) == ("accepted", "placed", "placed")
    assert [row["status"] for row in listed["orders"]] == ["placed", "placed"], "one order is one row"
    assert other["order_id"] in {row["id"] for row in listed["orders"]}
    assert len(zinc.sandbox.placed()) == 2


@both_eras
async def test_a_refusal_of_the_bytes_alone_ends_a_repeat(home: Path, mode: str) -> None:
    zinc = Practice(home)
    order = arguments(refused_with("invalid_address"), practice="fault=drop_after")
    async with zinc.host(mode) as client:
        answer = await refused(client, "place_v1_order", order)
    assert (answer["outcome"], answer["facts"]["zinc_code"]) == ("rejected", "invalid_address")


@both_eras
@pytest.mark.parametrize("code", ["insufficient_zma_balance", "invalid_client_token", "product_unavailable"])
async def test_another_refusal_of_a_repeat_proves_nothing(home: Path, mode: str, code: str) -> None:
    zinc = Practice(home)
    order = arguments(refused_with(code), practice="fault=drop_after")
    async with zinc.host(mode) as client:
        answer = await refused(client, "place_v1_order", order)
    assert (answer["outcome"], answer["money_may_have_moved"]) == ("unknown", True)


@both_eras
@pytest.mark.parametrize("code", ["order_probably_placed", "duplicate_order"])
async def test_an_answered_doubt_is_never_sent_again(home: Path, mode: str, code: str) -> None:
    zinc = Practice(home)
    order = arguments(refused_with(code))
    async with zinc.host(mode) as client:
        first = await refused(client, "place_v1_order", order)
        again = await refused(client, "place_v1_order", order)
    assert (first["outcome"], again["outcome"]) == ("unknown", "unknown")
    assert len(zinc.posts()) == 1
    assert "look in the orders of the account at the retailer" in again["next_step"]


@both_eras
async def test_a_lost_journal_finds_the_order_in_the_list(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        first = await call(client, "place_v1_order", arguments())
    (home / "journal.db").unlink()
    async with zinc.host(mode) as client:
        again = await call(client, "place_v1_order", arguments())
    assert (again["order_id"], again["new_order"]) == (first["order_id"], False)
    assert zinc.posts() == ["created"]


@both_eras
async def test_two_orders_for_one_key_pause_everything(home: Path, mode: str) -> None:
    zinc = Practice(home, keys="ignored", listing="lags")
    async with zinc.host(mode) as client:
        await client.call_tool("place_v1_order", arguments(practice="fault=drop_after"))
        assert len(zinc.sandbox.placed()) == 2, "Zinc breaks its promise here"
        zinc.clock.now += 20
        key = zinc.sandbox.placed()[0]["body"]["idempotency_key"]
        assert (await call(client, "get_order", {"order_id": key}))["outcome"] == "placed"
        stopped = await refused(client, "place_v1_order", arguments("B0SNDBXC01"))
    assert stopped["code"] == "paused"


# Probably placed


@pytest.mark.sampled(2)
@both_eras
@pytest.mark.parametrize("bought", [True, False])
async def test_an_order_that_was_probably_placed_waits_for_the_owner_s_word(
    home: Path, mode: str, bought: bool
) -> None:
    zinc = Practice(home)
    order = arguments(way("probably_placed" if bought else "probably_not_placed"))
    async with zinc.host(mode) as client:
        placed = await call(client, "place_v1_order", order)
        zinc.clock.now += 10
        shown = await call(client, "get_order", {"order_id": placed["key"]})
        assert shown["outcome"] == "unknown"
        assert "probably placed" in shown["summary"] and "resolve" not in shown["summary"]
        zinc.clock.now += 3 * 86_400
        again = await refused(client, "place_v1_order", order)
        assert (again["outcome"], again["key"]) == ("unknown", placed["key"])
    async with zinc.opened() as process:
        what = "112-1234567-1234567" if bought else None
        await process.journal.run(lambda journal: _resolved(journal, placed["key"], what))
    async with zinc.host(mode) as client:
        settled = await call(client, "get_order", {"order_id": placed["key"]})
        assert settled["outcome"] == ("placed" if bought else "rejected")
        later = await call(client, "get_order", {"order_id": placed["key"]})
        assert later["outcome"] == settled["outcome"], "what Zinc still does not know changes nothing"
    assert zinc.posts() == ["created"]


def _resolved(journal: Any, key: str, order_id: str | None) -> None:
    from zinc_mcp.journal.owned_journal import OwnedJournal

    assert isinstance(journal, OwnedJournal)
    journal.resolve(key, order_id=order_id, holder_ended=True)
