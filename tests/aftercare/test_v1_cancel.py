"""Cancelling an order of Zinc's v1: stopped while Zinc works on it, and at the retailer once it is placed."""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from on_v1 import ASIN, Practice, arguments, way
from server.as_a_host import both_eras, call, refused

from zinc_mcp.aftercare.cancel import cancel
from zinc_mcp.errors import OrderNotFoundError
from zinc_mcp.sandbox.aftercare.requests import changes
from zinc_mcp.server.mcp.server import build_server

LOST_AFTER = ["drop_after", "http_500_after", "html_200", "truncated"]
LOST_BEFORE = ["drop_before", "http_500_before", "html_502"]


async def placed(zinc: Practice, client: Client, practice: str | None = None, **more: Any) -> dict[str, Any]:
    """Place an order, wait until the retailer has it, and return what is told of it."""
    order = await call(client, "place_v1_order", arguments(practice=practice, **more))
    zinc.clock.now += 3
    told = await call(client, "get_order", {"order_id": order["order_id"]})
    assert told["outcome"] == "placed", told
    return told


def sent(zinc: Practice, what: str) -> list[str]:
    """Return the outcomes of the POSTs of one kind about placed orders."""
    return [str(each["outcome"]) for each in changes(zinc.sandbox) if each["path"].endswith(f"/{what}")]


@both_eras
async def test_an_order_that_zinc_works_on_is_stopped(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await call(client, "place_v1_order", arguments())
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
        again = await call(client, "cancel_order", {"order_id": order["key"]})
        money = await call(client, "get_balance", {})
    assert (told["cancellation"], told["outcome"]) == ("cancelled", "cancelled")
    assert again["summary"].startswith("It was cancelled before this call.")
    assert money["modes"][0]["limits"][0]["used"] == 0


@both_eras
async def test_an_order_that_may_still_be_placed_is_not_told_as_stopped(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await call(client, "place_v1_order", arguments(way("abort_later")))
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
        assert (told["cancellation"], told["outcome"]) == ("unknown", "accepted")
        assert "it may be stopped, or be placed" in told["summary"]
        zinc.clock.now += 3
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
    assert shown["outcome"] == "cancelled"


@both_eras
async def test_an_order_that_is_placed_although_it_was_to_be_stopped_is_cancelled_at_the_retailer(
    home: Path, mode: str
) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await call(client, "place_v1_order", arguments(way("abort_refused"), practice="cancel=direct"))
        first = await call(client, "cancel_order", {"order_id": order["order_id"]})
        assert first["cancellation"] == "unknown"
        zinc.clock.now += 6
        second = await call(client, "cancel_order", {"order_id": order["order_id"]})
        zinc.clock.now += 2
        third = await call(client, "cancel_order", {"order_id": order["order_id"]})
    assert (second["cancellation"], third["cancellation"]) == ("unknown", "cancelled")
    assert sent(zinc, "cancel") == ["accepted"]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("fault", [*LOST_AFTER, *LOST_BEFORE])
async def test_a_lost_answer_to_a_stop_is_told_by_what_the_order_shows(home: Path, fault: str) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        order = await call(client, "place_v1_order", arguments(way("slow"), practice=f"abort_fault={fault}"))
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
    if fault in LOST_AFTER:
        assert (told["cancellation"], told["outcome"]) == ("cancelled", "cancelled")
    else:
        assert (told["cancellation"], told["outcome"]) == ("unknown", "accepted")
        assert "not known whether it arrived" in told["summary"]


@pytest.mark.sampled(2)
@both_eras
@pytest.mark.parametrize("status", ["status_200", "status_4xx"])
async def test_attempting_to_cancel_is_neither_yes_nor_no(home: Path, mode: str, status: str) -> None:
    zinc = Practice(home, error_status=status)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, "cancel=attempting")
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
        zinc.clock.now += 2
        waiting = await call(client, "get_order", {"order_id": order["order_id"]})
        impatient = await call(client, "cancel_order", {"order_id": order["order_id"]})
        assert (impatient["cancellation"], sent(zinc, "cancel")) == ("unknown", ["accepted"])
        zinc.clock.now += 5
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
        again = await call(client, "cancel_order", {"order_id": order["order_id"]})
    assert (told["cancellation"], told["outcome"]) == ("unknown", "placed")
    assert "count on neither" in told["summary"] and "count on neither" in waiting["summary"]
    assert [row["outcome"] for row in waiting["requests"]] == ["unknown"]
    assert [row["outcome"] for row in shown["requests"]] == ["cancelled"]
    assert "That proves no refund." in shown["summary"]
    assert "news of the delivery" not in shown["next_step"]
    assert told["summary"].count("has not decided") == 1
    assert (again["cancellation"], again["outcome"]) == ("cancelled", "placed")
    assert sent(zinc, "cancel") == ["accepted"]


@both_eras
async def test_a_cancelled_order_counts_in_the_limits_and_its_refund_is_told_once_zinc_credits_it(
    home: Path, mode: str
) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, "cancel=direct")
        before = await call(client, "get_balance", {})
        await call(client, "cancel_order", {"order_id": order["order_id"]})
        zinc.clock.now += 2
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
        after = await call(client, "get_balance", {})
    paid = order["price"]["paid_cents"]
    assert told["cancellation"] == "cancelled"
    assert before["managed"] == {"balance_cents": 100_000_000 - paid}
    assert after["managed"]["balance_cents"] == 100_000_000
    assert [(row["order_id"], row["cents"]) for row in after["managed"]["credits"]] == [(order["order_id"], paid)]
    assert [each["modes"][0]["limits"][0]["used"] for each in (before, after)] == [paid, paid]


@both_eras
async def test_each_part_of_a_split_order_is_cancelled_on_its_own(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, products=[{"product_id": way("two_parcels")}], max_price=20_000)
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
        zinc.clock.now += 1.5
        later = await call(client, "cancel_order", {"order_id": order["order_id"]})
    assert [row["merchant_order_id"] for row in told["parts"]] == order["merchant_order_ids"]
    assert told["cancellation"] == "unknown"
    # Two numbers that follow each other: the sandbox cancels one at once, and takes its time with the other.
    assert sorted(row["outcome"] for row in later["parts"]) == ["cancelled", "unknown"]
    assert later["cancellation"] == "partly"
    assert sent(zinc, "cancel") == ["accepted", "accepted"]


async def cancel_all_parts(client: Client, order_id: str) -> dict[str, Any]:
    """Cancel an order, and call again while a part of it was not asked for: a slow machine may need several calls."""
    for _ in range(6):
        told = await call(client, "cancel_order", {"order_id": order_id})
        if not told["next_step"].startswith("Not every part of the order was asked for: call cancel_order again"):
            return told
    raise AssertionError("some parts were never asked for")


@both_eras
async def test_of_a_split_order_no_single_part_is_told_as_the_whole(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, products=[{"product_id": way("two_parcels")}], max_price=20_000)
        await cancel_all_parts(client, order["order_id"])
        zinc.clock.now += 1.5
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
    counted = "split the order into 2 parts. Cancellations: 1 cancelled (which proves no refund), 1 not decided."
    assert counted in shown["summary"] and counted in told["summary"]
    assert "has cancelled it" not in shown["summary"]
    assert "call cancel_order again" not in told["next_step"]


@both_eras
async def test_an_order_in_six_parts_is_told_as_cancelled_only_with_the_sixth(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, products=[{"product_id": way("six_parcels")}], max_price=20_000)
        await cancel_all_parts(client, order["order_id"])
        zinc.clock.now += 1.5
        half = await call(client, "get_order", {"order_id": order["order_id"]})
        zinc.clock.now += 7
        whole = await call(client, "get_order", {"order_id": order["order_id"]})
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
    assert "Cancellations: 3 cancelled (which proves no refund), 3 not decided." in half["summary"]
    assert "Cancellations: 6 cancelled (which proves no refund)." in whole["summary"]
    assert [each["next_step"].startswith("Tell the user. Refunds") for each in (half, whole)] == [False, True]
    assert [len(each) for each in (half["requests"], whole["requests"], told["parts"])] == [6, 6, 6]
    assert told["cancellation"] == "cancelled"
    assert sent(zinc, "cancel") == ["accepted"] * 6


@both_eras
async def test_parts_that_a_call_could_not_ask_for_are_counted_and_asked_for_by_the_next_call(
    home: Path, mode: str
) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        practice = "cancel=attempting&cancel_fault=none,refuse"
        order = await placed(zinc, client, practice, products=[{"product_id": way("six_parcels")}], max_price=20_000)
        first = await call(client, "cancel_order", {"order_id": order["order_id"]})
        second = await cancel_all_parts(client, order["order_id"])
    assert "Cancellations: 5 not asked for, 1 not decided." in first["summary"]
    assert first["next_step"].startswith("Not every part of the order was asked for: call cancel_order again")
    assert "Cancellations: 6 not decided." in second["summary"]
    assert sent(zinc, "cancel").count("accepted") == 6


@pytest.mark.parametrize("way_of_it", ["refused", "attempting_refused"])
async def test_a_refusal_of_the_retailer_is_told_and_asking_again_is_another_request(
    home: Path, way_of_it: str
) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        order = await placed(zinc, client, f"cancel={way_of_it}")
        await call(client, "cancel_order", {"order_id": order["order_id"]})
        zinc.clock.now += 7
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
        assert [row["outcome"] for row in shown["requests"]] == ["refused"]
        assert "the retailer did not cancel it" in shown["summary"]
        await call(client, "cancel_order", {"order_id": order["order_id"]})
    assert sent(zinc, "cancel") == ["accepted", "accepted"]


@pytest.mark.parametrize("fault", LOST_AFTER)
async def test_a_cancellation_whose_answer_is_lost_is_not_told_as_done_and_found_by_its_key(
    home: Path, fault: str
) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        order = await placed(zinc, client, f"cancel=direct&cancel_fault={fault}")
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
        assert (told["cancellation"], told["outcome"]) == ("unknown", "placed")
        zinc.clock.now += 1
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
        assert "not known whether it arrived" in shown["summary"]
        assert sent(zinc, "cancel") == ["accepted"], "looking sends nothing"
        again = await call(client, "cancel_order", {"order_id": order["order_id"]})
    assert again["cancellation"] == "cancelled"
    assert sent(zinc, "cancel") == ["accepted", "replayed"]


@pytest.mark.parametrize("fault", LOST_BEFORE)
async def test_a_cancellation_that_never_arrived_may_be_asked_for_again(home: Path, fault: str) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        order = await placed(zinc, client, f"cancel=direct&cancel_fault={fault}")
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
        again = await call(client, "cancel_order", {"order_id": order["order_id"]})
    assert told["cancellation"] == again["cancellation"] == "unknown"
    assert sent(zinc, "cancel")[1:] == ["accepted"]


async def test_a_cancellation_that_never_left_is_not_told_as_asked_for(home: Path) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        order = await placed(zinc, client, "cancel=direct&cancel_fault=refuse")
        told = await refused(client, "cancel_order", {"order_id": order["order_id"]})
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
        await call(client, "cancel_order", {"order_id": order["order_id"]})
    assert told["code"] == "zinc_unreachable"
    assert not shown.get("requests") and "ancellation" not in shown["summary"]
    assert sent(zinc, "cancel")[1:] == ["accepted"]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "fault", ["http_500", "html_502", "truncated", "other_order", "unauthorized_once", "rate_limited"]
)
@pytest.mark.parametrize("ids", ["present", "absent"])
async def test_an_outcome_that_cannot_be_read_is_not_believed(home: Path, fault: str, ids: str) -> None:
    zinc = Practice(home, request_ids=ids)
    async with zinc.host("auto") as client:
        order = await placed(zinc, client, f"cancel=direct&cancellation_fault={','.join([fault] * 50)}")
        await call(client, "cancel_order", {"order_id": order["order_id"]})
        zinc.clock.now += 5
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
    assert (told["cancellation"], [row["outcome"] for row in told["parts"]]) == ("unknown", ["unknown"])


@both_eras
async def test_v1_cancels_placed_orders_of_two_retailers_alone(home: Path, mode: str) -> None:
    zinc = Practice(home, managed_shops="all")
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, retailer="walmart", products=[{"product_id": "123456789"}])
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
    assert told["cancellation"] == "not_cancelled"
    assert "amazon.com and amazon.co.uk alone" in told["summary"]
    assert not changes(zinc.sandbox)


@both_eras
async def test_an_order_that_zinc_lost_sight_of_is_in_doubt_and_neither_cancelled_nor_sent_back(
    home: Path, mode: str
) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await call(client, "place_v1_order", arguments(way("probably_placed")))
        zinc.clock.now += 5
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
        items = [{"number": 1, "quantity": 1}]
        back = {"order_id": order["order_id"], "items": items, "reason": "not_as_described"}
        refusal = await refused(client, "return_order", back)
    assert (told["cancellation"], told["outcome"]) == ("not_cancelled", "unknown")
    assert "what is in doubt cannot be cancelled" in told["summary"]
    assert "Zinc does not know whether the retailer has it" in refusal["summary"]


@both_eras
async def test_an_order_under_review_may_still_be_placed(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await call(client, "place_v1_order", arguments(way("manual_review_stays"), practice="abort_fault=none"))
        zinc.clock.now += 3
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
    assert told["cancellation"] in ("cancelled", "unknown")
    assert told["cancellation"] == "cancelled" or "it may be stopped, or be placed" in told["summary"]


@both_eras
async def test_an_order_that_the_seller_cancels_is_told_by_its_case(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, products=[{"product_id": way("cancelled_by_seller")}])
        zinc.clock.now += 15
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
    assert "the seller cancelled the order: see cases" in shown["summary"]


@both_eras
async def test_an_order_of_another_journal_is_not_cancelled(home: Path, tmp_path: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client)
    zinc.home = tmp_path / "another"
    zinc.home.mkdir()
    async with zinc.host(mode) as client:
        told = await refused(client, "cancel_order", {"order_id": order["order_id"]})
        none = await refused(client, "cancel_order", {"order_id": "0" * 32})
    assert "was not placed from here" in told["summary"]
    assert none["code"] == "order_not_found"
    assert not changes(zinc.sandbox)


async def test_a_member_does_not_cancel_the_order_of_another(home: Path) -> None:
    zinc = Practice(home)
    async with zinc.opened() as process, Client(build_server(process), mode="auto") as client:
        order = await placed(zinc, client)
        entry = await process.journal.find(order["key"])
        assert entry is not None
        with pytest.raises(OrderNotFoundError):
            await cancel(process, "ada", order["order_id"])
    assert not changes(zinc.sandbox)


async def test_zinc_out_of_reach_means_that_nothing_was_sent(home: Path) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        order = await placed(zinc, client, "read_fault=none,drop_before,drop_before")
        told = await refused(client, "cancel_order", {"order_id": order["order_id"]})
    assert told["code"] in ("zinc_unavailable", "zinc_unreachable")
    assert not changes(zinc.sandbox)


@both_eras
async def test_a_waiting_question_is_withdrawn_and_nothing_is_sent(home: Path, mode: str) -> None:
    zinc = Practice(home, '[policy]\napproval = "page"\n')
    async with zinc.host(mode) as client:
        order = await call(client, "place_v1_order", arguments(ASIN))
        assert order["outcome"] == "waiting"
        told = await call(client, "cancel_order", {"order_id": order["key"]})
    assert (told["cancellation"], told["outcome"]) == ("withdrawn", "refused")
    assert not zinc.posts()
