"""`get_order` tells when each step happened where that is asked for, the proof of a delivery, and the day to expect."""

from typing import Any

import httpx
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc, failure
from server.as_a_host import both_eras, call, host, size
from wanted import arguments, intent

from zinc_mcp.checkout.place_order import place

STEPS: list[dict[str, Any]] = [
    {"type": "shipped", "label": "Shipped", "occurred_at": "2026-11-19T10:00:00Z", "source": "carrier", "detail": {}},
    {"type": "order_created", "label": "Created", "occurred_at": "2026-11-18T10:00:00Z", "source": "system"},
    {"type": "", "label": "Left 12 Planted Street \x1b[31m", "occurred_at": "2026-11-20T10:00:00Z"},
    {"type": "moon_landed", "label": "?", "occurred_at": "someday"},
]


async def looked(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str = "auto", *, tool: str = "place_order", **changes: Any
) -> dict[str, Any]:
    async with open_test_process(wallet="sandbox") as process, host(process, mode) as client:
        order = await call(client, tool, arguments())
        zinc.settle(order["order_id"], 4_000)
        zinc.advance(order["order_id"], "order_placed", **changes)
        return await call(client, "get_order", {"order_id": order["key"], "timeline": True})


def timelines(zinc: FakeZinc) -> list[httpx.Request]:
    return [request for request in zinc.requests if request.url.path.endswith("/timeline")]


@both_eras
async def test_the_timeline_costs_a_request_only_where_it_is_asked_for(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order = await call(client, "place_order", arguments())
        assert "timeline" not in await call(client, "get_order", {"order_id": order["key"]})
        assert timelines(zinc) == []
        told = await call(client, "get_order", {"order_id": order["key"], "timeline": True})
    assert told["timeline"] == [{"at": "2026-11-18T11:06+00:00", "step": "order_created"}]
    assert len(timelines(zinc)) == 1


async def test_steps_are_told_oldest_first_and_cleaned(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order = await call(client, "place_order", arguments())
        shown = {"order_id": order["order_id"], "current_status": "x", "milestones": STEPS * 10}
        zinc.timelines = [httpx.Response(200, json=shown)]
        told = await call(client, "get_order", {"order_id": order["key"], "timeline": True})
    assert told["timeline"][-1] == {"at": "2026-11-20T10:00+00:00", "step": "Left [...]"}
    assert told["timeline"][0]["step"] == "shipped"
    assert (len(told["timeline"]), told["left_out"]["timeline"]) == (20, 20)


WITHOUT: list[Any] = [
    httpx.ConnectError("down"),
    failure(404, "not_found"),
    failure(403, "forbidden"),
    httpx.Response(200, text="<html>"),
    httpx.Response(200, json={"order_id": "another", "milestones": STEPS}),
    httpx.Response(200, json={"milestones": "none"}),
    httpx.Response(200, json=[]),
    httpx.Response(307, headers={"Location": "https://elsewhere.invalid"}),
]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("number", range(len(WITHOUT)))
async def test_a_timeline_that_cannot_be_read_hides_no_order(
    open_test_process: OpenProcess, zinc: FakeZinc, number: int
) -> None:
    zinc.timelines = [WITHOUT[number]]
    told = await looked(open_test_process, zinc)
    assert told["outcome"] == "placed"
    assert told["timeline_unread"]
    assert "timeline" not in told


async def test_an_order_paid_by_wallet_is_asked_for_with_its_own_key(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    told = await looked(open_test_process, zinc, tool="place_agent_order")
    assert [request.headers["authorization"] for request in timelines(zinc)] == ["Bearer zn_live_order-1"]
    assert told["timeline"]


async def test_an_order_that_is_not_at_zinc_yet_has_none(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Any
) -> None:
    write_config('[policy]\napproval = "page"\n')
    async with open_test_process() as process, host(process, "auto") as client:
        waiting = (await place(process, intent())).entry
        assert waiting is not None
        told = await call(client, "get_order", {"order_id": waiting.key, "timeline": True})
    assert told["timeline_unread"] == "There is no order at Zinc yet, so it has no timeline."
    assert timelines(zinc) == []


@pytest.mark.parametrize("steps", [None, [], "none", [7, None]])
async def test_a_timeline_without_a_step_is_told_as_not_read(
    open_test_process: OpenProcess, zinc: FakeZinc, steps: Any
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order = await call(client, "place_order", arguments())
        zinc.timelines = [httpx.Response(200, json={"order_id": order["order_id"], "milestones": steps})]
        told = await call(client, "get_order", {"order_id": order["key"], "timeline": True})
    assert "timeline" not in told
    assert told["timeline_unread"] == "Zinc shows no steps of this order."


def parcel(number: int, **changes: Any) -> dict[str, Any]:
    return {"id": f"t{number}", "carrier": "usps", "tracking_number": str(number), "status": "in_transit", **changes}


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("https://photos.example/1.jpg?sig=a%20b", True),
        ("http://photos.example/1.jpg", False),
        ("javascript:alert(1)", False),
        ("https://photos.example/a b", False),
        ("https://bank.example@photos.example/", False),
        ("https:///1.jpg", False),
        ("https://photos.example/\u202e", False),
        ("https://" + "x" * 1_000, False),
        (5, False),
        (None, False),
    ],
)
async def test_the_proof_of_a_delivery_and_its_page_are_a_link_or_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, url: Any, is_shown: bool
) -> None:
    shown = parcel(1, status="delivered", delivery_proof_url=url, zinc_tracking_url=url)
    told = await looked(open_test_process, zinc, tracking_numbers=[shown])
    assert told["tracking"][0].get("proof") == (url if is_shown else None)
    assert told["tracking"][0].get("url") == (url if is_shown else None)
    assert [request.url.host for request in zinc.requests if "photos" in request.url.host] == []


@pytest.mark.parametrize(
    ("parcels", "said", "day"),
    [
        ([parcel(1, estimated_delivery_date="2026-11-24")], "2026-11-22", "2026-11-24"),
        ([parcel(1, estimated_delivery_date="2026-11-24"), parcel(2)], None, "2026-11-24"),
        (
            [
                parcel(1, estimated_delivery_date="2026-11-30", status="delivered"),
                parcel(2, estimated_delivery_date="2026-11-25"),
            ],
            None,
            "2026-11-25",
        ),
        ([parcel(1, estimated_delivery_date="soon")], "2026-11-22T10:00:00+00:00", "2026-11-22"),
        ([], "Tuesday, perhaps", "Tuesday, perhaps"),
        ([parcel(1, estimated_delivery_date="2026-11-24", status="delivered")], "2026-11-22", None),
        ([], None, None),
    ],
)
async def test_the_day_to_expect_is_that_of_the_last_parcel(
    open_test_process: OpenProcess, zinc: FakeZinc, parcels: list[Any], said: str | None, day: str | None
) -> None:
    told = await looked(
        open_test_process,
        zinc,
        tracking_numbers=parcels,
        job_result={"success": True, "price_components": {"total": 900}, "estimated_delivery": said},
    )
    assert told.get("estimated_delivery") == day


async def test_a_wish_that_was_given_up_is_told(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    given_up = {"concern": "gift", "code": "gift_option_unavailable", "message": "No gift option."}
    told = await looked(open_test_process, zinc, fulfillment={"concessions": [given_up]})
    assert "Not all of it is as it was asked for: see concessions." in told["summary"]
    assert told["concessions"][0]["concern"] == "gift"


async def test_a_typical_look_with_its_timeline_stays_small(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    told = await looked(open_test_process, zinc, tracking_numbers=[parcel(1, estimated_delivery_date="2026-11-24")])
    assert size(told) / 4 < 600
