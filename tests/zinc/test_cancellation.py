"""A cancellation, a timeline and a list are asked for at their addresses, and an answer says no more than it proves."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from zinc_mcp.errors import (
    ChangeOutcomeUnknownError,
    OrderNotFoundError,
    OrderRejectedError,
    UnreadableAnswerError,
    ZincMcpError,
    ZincUnreachableError,
)
from zinc_mcp.zinc.aftercare.cancellation import cancel_order
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.placed.order_list import OrderList, read_list
from zinc_mcp.zinc.placed.timeline import get_timeline

KEY = SecretStr("zn_test_planted")
ID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def client_of(answer: Callable[[httpx.Request], httpx.Response]) -> ZincClient:
    return ZincClient("https://zinc.example", transport=httpx.MockTransport(answer))


def refusal(status: int, code: str, *, flat: bool = False) -> httpx.Response:
    error = {"code": code, "message": "prose", "details": None}
    return httpx.Response(status, json=error if flat else {"error": error})


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (httpx.Response(204), "taken"),
        (httpx.Response(200, json={"id": "another"}), "taken"),
        (refusal(422, "order_not_cancellable"), "not_cancellable"),
        (refusal(409, "order_not_cancellable", flat=True), "not_cancellable"),
        (refusal(400, "order_not_cancellable"), "not_cancellable"),
        (refusal(401, "unauthorized"), "not_allowed"),
        (refusal(403, "order_not_cancellable"), "not_allowed"),
        (httpx.Response(401, text="<html>"), "not_allowed"),
        (refusal(404, "not_found"), "not_found"),
        (httpx.Response(422, json={"detail": [{"loc": ["path"], "msg": "x", "type": "y"}]}), "refused"),
        (httpx.Response(429), "refused"),
        (httpx.Response(402, json={"detail": "pay"}), "refused"),
        (httpx.Response(408), ChangeOutcomeUnknownError),
        (httpx.Response(499), ChangeOutcomeUnknownError),
        (httpx.Response(500), ChangeOutcomeUnknownError),
        (refusal(503, "order_not_cancellable"), ChangeOutcomeUnknownError),
        (httpx.Response(302, headers={"Location": "https://evil.example"}), ChangeOutcomeUnknownError),
        (httpx.ReadError("lost"), ChangeOutcomeUnknownError),
        (httpx.ReadTimeout("slow"), ChangeOutcomeUnknownError),
        (httpx.ConnectError("down"), ZincUnreachableError),
    ],
)
async def test_an_answer_to_a_cancellation_is_sorted_by_what_it_says(answer: Any, outcome: Any) -> None:
    asked: list[httpx.Request] = []

    def give(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        found: httpx.Response = answer
        return found

    try:
        told: Any = await cancel_order(client_of(give), ID, KEY)
    except ZincMcpError as error:
        told = type(error)
        assert KEY.get_secret_value() not in repr(error)
    assert told == outcome
    [request] = asked
    assert (request.method, str(request.url), request.content) == (
        "POST",
        f"https://zinc.example/orders/{ID}/cancel",
        b"",
    )
    assert request.headers["authorization"] == f"Bearer {KEY.get_secret_value()}"


@pytest.mark.parametrize("order_id", ["", "../orders", "a/b", "a?b", "a b", "é", "x" * 101])
async def test_an_id_that_is_none_never_leaves(order_id: str) -> None:
    def never(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.url)

    for ask in (cancel_order, get_timeline):
        with pytest.raises(OrderNotFoundError):
            await ask(client_of(never), order_id, KEY)


async def test_a_timeline_is_read_leniently_and_only_of_the_order_that_was_asked_for() -> None:
    shown: dict[str, Any] = {
        "order_id": ID.upper(),
        "current_status": "new_status",
        "milestones": [{"type": "x", "occurred_at": "no time"}, "odd", {"label": 5, "detail": {"a": "b"}}],
    }
    timeline = await get_timeline(client_of(lambda request: httpx.Response(200, json=shown)), ID, KEY)
    assert [(step.type, step.occurred_at) for step in timeline.milestones] == [("x", None), ("", None)]
    shown["order_id"] = "another"
    with pytest.raises(UnreadableAnswerError):
        await get_timeline(client_of(lambda request: httpx.Response(200, json=shown)), ID, KEY)


def pages(total: int, most: int = 500) -> tuple[list[httpx.Request], Callable[[httpx.Request], httpx.Response]]:
    asked: list[httpx.Request] = []

    def give(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        start, limit = int(request.url.params.get("offset", 0)), int(request.url.params["limit"])
        rows = [{"id": f"order-{number}", "status": "pending"} for number in range(total)]
        shown = rows[start : start + min(limit, most)]
        return httpx.Response(200, json={"orders": shown, "total": total, "limit": limit, "offset": start})

    return asked, give


@pytest.mark.parametrize(
    ("total", "most", "read", "requests", "is_whole"),
    [
        (0, 500, 0, 1, True),
        (50, 500, 50, 1, True),
        (120, 500, 120, 3, True),
        (900, 500, 500, 10, False),
        (60, 7, 60, 9, True),
    ],
)
async def test_a_list_is_read_page_by_page_within_its_bound(
    total: int, most: int, read: int, requests: int, is_whole: bool
) -> None:
    asked, give = pages(total, most)
    into = OrderList()
    await read_list(client_of(give), KEY, into, None, None)
    assert (len(into.orders), len(asked), into.is_whole) == (read, requests, is_whole)


async def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones() -> None:
    asked, give = pages(25)

    def large(request: httpx.Request) -> httpx.Response:
        answer = give(request)
        return answer if request.url.params["limit"] == "10" else httpx.Response(200, text=answer.text + " " * 600_000)

    into = OrderList()
    await read_list(client_of(large), KEY, into, None, None)
    assert [(url.params["limit"], url.params.get("offset")) for url in (each.url for each in asked)] == [
        ("50", None),
        ("10", None),
        ("10", "10"),
        ("10", "20"),
    ]
    assert (len(into.orders), into.is_whole) == (25, True)


async def test_a_day_before_all_clocks_is_asked_for_as_it_is() -> None:
    asked, give = pages(1)
    await read_list(client_of(give), KEY, OrderList(), -62_135_596_800.0, None)
    assert asked[0].url.params["created_after"] == "0001-01-01T00:00:00Z"


async def test_the_time_is_asked_for_and_a_zinc_without_that_filter_is_asked_again() -> None:
    asked: list[httpx.URL] = []

    def give(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        if "created_after" in request.url.params:
            return httpx.Response(422, json={"detail": []})
        return httpx.Response(200, content=json.dumps([{"id": "order-1", "status": "pending"}]))

    into = OrderList()
    await read_list(client_of(give), KEY, into, 1_795_000_000.0, 1_795_000_060.5)
    first, second = asked
    assert dict(first.params) == {
        "created_after": "2026-11-18T11:06:40Z",
        "created_before": "2026-11-18T11:07:40.500000Z",
        "limit": "50",
    }
    assert dict(second.params) == {"limit": "50"}
    assert (list(into.orders), into.is_whole) == (["order-1"], True)


async def test_a_list_that_fails_in_the_middle_keeps_what_was_read() -> None:
    asked, give = pages(120)

    def broken(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401) if len(asked) == 2 else give(request)

    into = OrderList()
    with pytest.raises(OrderRejectedError):
        await read_list(client_of(broken), KEY, into, None, None)
    assert (len(into.orders), into.is_whole) == (100, False)
