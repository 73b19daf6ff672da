"""A large answer from Zinc does not block other calls, and the parts left out of it are counted and told."""

import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from server.as_a_host import both_eras, call, host, refused
from wanted import arguments, book

from zinc_mcp.network import MAX_ANSWER_BYTES
from zinc_mcp.zinc.answers import MAX_ROWS

TURN_SECONDS = 0.25
"""Computing between two turns of the others; generous, for machines that run the tests beside other things."""

Order = dict[str, Any]


@asynccontextmanager
async def others_have_their_turn() -> AsyncGenerator[None]:
    longest, since = 0.0, time.thread_time()

    async def count() -> None:
        nonlocal longest, since
        while True:
            await anyio.lowlevel.checkpoint()
            longest, since = max(longest, time.thread_time() - since), time.thread_time()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        yield
        longest = max(longest, time.thread_time() - since)
        tasks.cancel_scope.cancel()
    assert longest < TURN_SECONDS


def rows(count: int, **row: Any) -> list[Any]:
    return [{**row, "id": str(number)} for number in range(count)]


HOSTILE: dict[str, Callable[[Order], Order]] = {
    "200,000 empty objects in metadata": lambda order: {**order, "metadata": {"x": [{}] * 200_000}},
    "a title of 200 KB of combining characters": lambda order: {
        **order,
        "job_result": {"price_components": {"cart_items": [{"name": "e" + "\u0301" * 100_000}]}},
    },
    "5,000 tracking rows of wrong types": lambda order: {
        **order,
        "attempts": "many",
        "tracking_numbers": [{"status": [1], "carrier": {}}] * 5_000,
    },
    "rows of rows of wrong types": lambda order: {
        **order,
        "attempts": [],
        "tracking_numbers": [{"tracking_number": "1", "checkpoints": [{"message": 1.5, "city": []}] * 30}] * 190,
    },
    "a street of 250 KB": lambda order: {**order, "shipping_address": {"address_line1": "A(b+)*" * 42_000}},
    "metadata of 20,000 members": lambda order: {**order, "metadata": {f"k{n}": n for n in range(10_000)}},
    "numbers in numbers": lambda order: {
        **order,
        "items": rows(60, url="https://x.example/" + "a" * 1_800),
        "job_result": {"price_components": {"cart_items": rows(200, product_id="a" * 300 + "b" + "a" * 300)}},
    },
    "nested a thousand deep": lambda order: {**order, "metadata": {"x": json.loads("[" * 900 + "]" * 900)}},
    "an unread field of 4 MB": lambda order: {**order, "unread": "x" * 4_000_000},
}


@pytest.mark.sampled(3)
@both_eras
@pytest.mark.parametrize("what", HOSTILE)
async def test_an_order_that_is_hard_to_read_stops_nobody(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, what: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        placed = await call(client, "place_order", arguments())
        shown = HOSTILE[what](zinc.orders[placed["order_id"]])
        shown["metadata"] = {**shown["metadata"], **zinc.orders[placed["order_id"]]["metadata"]}
        answer = json.dumps(shown, ensure_ascii=False).encode()
        zinc.reads = [httpx.Response(200, content=answer)]
        async with others_have_their_turn():
            looked = await call(client, "get_order", {"order_id": placed["order_id"]})
    assert looked["order_id"] == placed["order_id"]
    assert looked["outcome"] == "accepted"
    assert (len(answer) > MAX_ANSWER_BYTES or "200,000" in what or "deep" in what) == ("unasked" in looked)
    assert len(json.dumps(looked)) < 20_000


async def test_a_list_that_is_hard_to_read_stops_nobody_and_hides_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.script = ["lose_after", "refuse", "refuse"]
    async with open_test_process() as process, host(process, "auto") as client:
        zinc.lists = [httpx.ReadError("lost")] * 4
        doubted = await refused(client, "place_order", arguments())
        [ours] = zinc.orders.values()
        strangers = [{**ours, "id": f"o{number}", "metadata": {"zinc_mcp_key": "k"}} for number in range(400)]
        listed = {"orders": [5, None, *strangers, ours], "total": 403}
        zinc.lists = [httpx.Response(200, content=json.dumps(listed).encode())]
        async with others_have_their_turn():
            looked = await call(client, "get_order", {"order_id": doubted["key"]})
    assert looked["order_id"] == ours["id"]


async def test_an_accepted_order_whose_answer_is_too_large_is_in_doubt_and_then_found(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.shown_when_placed = lambda order: {**order, "unread": "x" * MAX_ANSWER_BYTES}
    async with open_test_process() as process, host(process, "auto") as client:
        placed = await client.call_tool("place_order", arguments())
        assert placed.structured_content is not None
        looked = await call(client, "get_order", {"order_id": placed.structured_content["key"]})
    [ours] = zinc.orders
    assert (looked["outcome"], looked["order_id"]) == ("accepted", ours)
    assert len(zinc.posts) == 1


# A result tells that parts were left out


@both_eras
async def test_rows_beyond_the_bound_are_counted(open_test_process: OpenProcess, zinc: FakeZinc, mode: str) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        placed = await call(client, "place_order", arguments())
        parcel = {"tracking_number": "1", "status": "delivered", "checkpoints": [{"message": "m"}] * 300}
        zinc.advance(
            placed["order_id"],
            "order_placed",
            tracking_numbers=[parcel, *[{"tracking_number": "2", "status": "delivered"}] * (MAX_ROWS + 49)],
            merchant_order_ids=["112-1"] * 300,
            fulfillment={"concessions": [{"code": "c"}] * 30},
            returns=[{"id": "r", "credited_amount": 0}] * 7,
        )
        looked = await call(client, "get_order", {"order_id": placed["order_id"]})
    assert looked["left_out"] == {
        "tracking": MAX_ROWS + 50 - 5,
        "merchant_order_ids": 295,
        "concessions": 20,
        "returns": 2,
    }
    assert looked["tracking"][0]["checkpoints_left_out"] == 297
    # Fifty parcels were not read: whether everything was delivered is not known.
    assert "Everything was delivered" not in looked["summary"]


async def test_where_faults_are_more_than_are_mended_lists_are_left_out_and_counted(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        placed = await call(client, "place_order", arguments())
        checkpoints: list[Order] = [{"message": 1.5, "city": []}] * 30
        faulty: Order = {"tracking_number": "1", "status": "delivered", "checkpoints": checkpoints}
        few: list[Order] = [{**faulty, "checkpoints": [{"message": [], "location": "Reno"}]}]
        zinc.advance(placed["order_id"], "order_placed", tracking_numbers=few)
        mended = await call(client, "get_order", {"order_id": placed["order_id"]})
        zinc.advance(placed["order_id"], "order_placed", tracking_numbers=[faulty] * 190)
        looked = await call(client, "get_order", {"order_id": placed["order_id"]})
    assert mended["tracking"][0]["checkpoints"] == [{"place": "Reno"}]
    assert "tracking" not in looked
    assert looked["left_out"]["tracking"] == 190
    assert "no tracking number" not in looked["summary"]
    assert "was delivered" not in looked["summary"]


async def test_items_beyond_the_bound_are_counted(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        placed = await call(client, "place_order", arguments())
        items = [{"id": str(number), "url": "https://a.example/p", "status": "cancelled"} for number in range(250)]
        zinc.advance(placed["order_id"], "order_placed", items=items)
        looked = await call(client, "get_order", {"order_id": placed["order_id"]})
    assert (len(looked["items"]), looked["items_left_out"]) == (10, 240)
    assert looked["left_out"]["not_coming"] == MAX_ROWS - 30
    assert f"and {MAX_ROWS - 30} more" in looked["summary"]
    assert "Not everything comes" in looked["summary"]


async def test_a_parcel_that_is_not_shown_is_not_taken_for_delivered(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        placed = await call(client, "place_order", arguments())
        delivered = [{"tracking_number": str(number), "status": "delivered"} for number in range(5)]
        zinc.advance(
            placed["order_id"],
            "order_placed",
            tracking_numbers=[*delivered, {"tracking_number": "6", "status": "in_transit"}],
        )
        looked = await call(client, "get_order", {"order_id": placed["order_id"]})
    assert "Everything was delivered" not in looked["summary"]
    assert "It is in transit." in looked["summary"]


@pytest.mark.parametrize("name", ["items", "tracking_numbers"])
async def test_no_money_is_freed_by_an_end_that_unread_rows_could_speak_against(
    open_test_process: OpenProcess, zinc: FakeZinc, name: str
) -> None:
    pending = {"items": {"url": "https://a.example/p"}, "tracking_numbers": {"tracking_number": "1"}}[name]
    async with open_test_process() as process, host(process, "auto") as client:
        placed = await call(client, "place_order", arguments())
        zinc.advance(
            placed["order_id"], "cancelled", **{name: [pending] * MAX_ROWS + [{**pending, "status": "shipped"}]}
        )
        looked = await call(client, "get_order", {"order_id": placed["order_id"]})
    assert looked["outcome"] == "accepted"
    assert looked["price"]["held_cents"] == 5100


@pytest.mark.parametrize("name", ["returns", "cases"])
async def test_credits_beyond_the_bound_leave_the_money_unclear(
    open_test_process: OpenProcess, zinc: FakeZinc, name: str
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        placed = await call(client, "place_order", arguments())
        zinc.settle(placed["order_id"], 3_000)
        given = [{"id": str(number), "status": "closed", "credited_amount": 1} for number in range(MAX_ROWS + 1)]
        zinc.advance(placed["order_id"], "order_placed", **{name: given})
        looked = await call(client, "get_order", {"order_id": placed["order_id"]})
    assert looked["price"]["doubt"] == "price_unclear"


async def test_line_items_beyond_the_bound_settle_nothing(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        placed = await call(client, "place_order", arguments())
        zinc.settle(placed["order_id"], 3_000)
        components = zinc.orders[placed["order_id"]]["job_result"]["price_components"]
        components["line_items"] = [{"amount": 0}] * MAX_ROWS + [{"amount": 100}]
        looked = await call(client, "get_order", {"order_id": placed["order_id"]})
    assert looked["price"]["doubt"] == "price_unclear"


# Nothing private, without a pattern of it


@pytest.mark.parametrize(
    "street", ["12 Planted (Street", "12 [Planted", "A.*B+ Lane \\", "Große Straße 7", "İnönü 12345"]
)
async def test_the_street_is_blotted_out_whatever_signs_it_has(
    open_test_process: OpenProcess, zinc: FakeZinc, street: str
) -> None:
    wanted = arguments(products=book(3))
    wanted["shipping_address"]["address_line1"] = street
    async with open_test_process() as process, host(process, "auto") as client:
        placed = await call(client, "place_order", wanted)
        said = f"left at {street.upper() if street.isascii() else street} and {street} by the door"
        zinc.advance(
            placed["order_id"],
            "order_placed",
            tracking_numbers=[{"tracking_number": "1", "checkpoints": [{"message": said}]}],
        )
        looked = await call(client, "get_order", {"order_id": placed["order_id"]})
    assert looked["tracking"][0]["checkpoints"][0]["message"] == "left at [...] and [...] by the door"


# The fee


async def test_a_fee_that_was_not_told_is_asked_again_after_half_a_minute(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    zinc.fee_cents = 900
    zinc.wallets = [
        httpx.Response(500),
        httpx.Response(200, json={"order_fee_cents": "900"}),
        httpx.Response(200, content=b"[" * 100_000),
    ]
    fees: list[int] = []
    asked: list[int] = []
    async with open_test_process() as process, host(process, "auto") as client:
        for number, seconds in enumerate([0, 10, 25, 31, 31, 1_800, 1_799]):
            clock.pass_seconds(seconds)
            placed = await call(client, "place_order", arguments(products=book(number)))
            fees.append(placed["price"]["zinc_fee_cents"])
            asked.append(sum(request.url.path == "/wallet/me" for request in zinc.requests))
    # Twice within half a minute it is not asked; told, it holds for an hour.
    assert fees == [100, 100, 100, 100, 900, 900, 900]
    assert asked == [1, 1, 2, 3, 4, 4, 4]
