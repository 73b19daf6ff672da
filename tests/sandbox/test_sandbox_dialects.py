"""Each dialect changes the one answer that the documents leave open, and the sandbox keeps its orders."""

import json
from typing import Any

import anyio
import httpx
import pytest
from sandbox.practising import Clock, customer, order, placed

from zinc_mcp.sandbox import Dialect, Sandbox
from zinc_mcp.zinc.failures import read_failure

MINE = {"metadata_key": "zinc_mcp_key", "metadata_value": "k"}


async def repeated(dialect: str) -> tuple[httpx.Response, Sandbox]:
    sandbox = Sandbox(dialect=Dialect.parse(dialect))
    async with customer(sandbox) as client:
        await placed(client, order(idempotency_key="k"))
        return await client.post("/orders", json=order(idempotency_key="k")), sandbox


async def both(dialect: str) -> tuple[list[int], list[int]]:
    """Send one order twice at once, and then once more; return the statuses of the two and of the last."""
    sandbox, statuses = Sandbox(dialect=Dialect.parse(dialect), pace=2), list[int]()
    async with customer(sandbox) as client:

        async def send() -> None:
            statuses.append((await client.post("/orders", json=order(idempotency_key="k"))).status_code)

        async with anyio.create_task_group() as senders:
            senders.start_soon(send)
            senders.start_soon(send)
        last = (await client.post("/orders", json=order(idempotency_key="k"))).status_code
    assert len(sandbox.placed()) == 1
    return sorted(statuses), [last]


def test_a_dialect_is_spelt_as_it_is_read() -> None:
    dialect = Dialect.parse("listing=lags, keys=ignored")
    assert (dialect.listing, dialect.keys, str(dialect)) == ("lags", "ignored", "listing=lags,keys=ignored")
    assert Dialect.parse("") == Dialect() and str(Dialect()) == "default"
    assert all(Dialect.parse(name) == found for name, found in Dialect.named().items() if name != "default")


@pytest.mark.parametrize("text", ["lists=lags", "listing=sometimes", "listing", "keys="])
def test_a_misspelt_dialect_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Dialect.parse(text)


@pytest.mark.parametrize(("kind", "expected"), [("key", "k"), ("order_id", None), ("details_order_id", "k")])
async def test_a_conflict_names_the_key_the_order_or_both(kind: str, expected: str | None) -> None:
    answer, sandbox = await repeated(f"conflict_identifier={kind}")
    details, order_id = answer.json()["error"]["details"], sandbox.placed()[0]["order_id"]
    assert answer.status_code == 409
    assert details["identifier"] == (expected or order_id)
    assert details.get("order_id") == (order_id if kind == "details_order_id" else None)


async def test_a_conflict_may_name_nothing() -> None:
    answer, _ = await repeated("conflict_identifier=none")
    assert answer.json()["error"]["details"] is None


@pytest.mark.parametrize(
    ("kind", "status"), [("conflict_409", 409), ("unauthorized_401", 401), ("payment_402", 402), ("conflict_500", 500)]
)
async def test_another_check_may_speak_first_on_a_repeat(kind: str, status: int) -> None:
    answer, sandbox = await repeated(f"repeat={kind}")
    assert answer.status_code == status and len(sandbox.placed()) == 1
    assert sandbox.attempts()[1]["outcome"] == f"replayed_{status}"


async def test_ignored_keys_buy_twice() -> None:
    answer, sandbox = await repeated("keys=ignored")
    assert answer.status_code == 201
    assert [row["idempotency_key"] for row in sandbox.placed()] == ["k", "k"]


async def test_concurrent_posts_end_as_the_dialect_says_and_in_one_order() -> None:
    assert await both("concurrent=serialised") == ([201, 409], [409])
    assert await both("concurrent=both_in_flight_409") == ([409, 409], [409])
    assert await both("concurrent=one_500") == ([201, 500], [409])


async def test_an_order_whose_sender_has_gone_is_in_flight_until_it_would_have_been_answered() -> None:
    clock = Clock()
    sandbox = Sandbox(dialect=Dialect(concurrent="one_500"), clock=clock, pace=100)
    body = order("success?fault=slow_90", idempotency_key="k")
    async with customer(sandbox) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/orders", json=body, timeout=0.05)
        assert (await client.post("/orders", json=body)).status_code == 500
        clock.now += 1
        assert (await client.post("/orders", json=body)).status_code == 409


async def listed(listing: str, seconds: float = 0.0, /, **query: Any) -> dict[str, Any]:
    clock = Clock()
    async with customer(Sandbox(dialect=Dialect.parse(f"listing={listing}"), clock=clock)) as client:
        await placed(client, order(metadata={"zinc_mcp_key": "k"}))
        await placed(client, order(metadata={"zinc_mcp_key": "K"}))
        clock.now += seconds
        found: dict[str, Any] = (await client.get("/orders", params=query)).json()
        return found


async def test_the_metadata_filter_is_exact() -> None:
    found = await listed("prompt", **MINE)
    assert [row["metadata"]["zinc_mcp_key"] for row in found["orders"]] == ["k"]
    assert (found["total"], found["limit"], found["offset"]) == (1, 50, 0)


@pytest.mark.parametrize("value", ['a "word"', "Zoë", "a\\b", "", 7, True, {"a": "ü", "b": ['"']}])
async def test_the_metadata_filter_finds_any_value(value: Any) -> None:
    async with customer(Sandbox()) as client:
        await placed(client, order(metadata={"mine": value}))
        await placed(client, order(metadata={"other": value}))
        query = {"metadata_key": "mine", "metadata_value": value if isinstance(value, str) else json.dumps(value)}
        found = (await client.get("/orders", params=query)).json()["orders"]
        assert [row["metadata"] for row in found] == [{"mine": value}]


async def test_a_lagging_list_is_empty_first() -> None:
    assert (await listed("lags", 4, **MINE))["orders"] == []
    assert len((await listed("lags", 5, **MINE))["orders"]) == 1


async def test_the_older_list_has_no_paging() -> None:
    found = await listed("unpaged", limit=1)
    assert set(found) == {"orders"} and len(found["orders"]) == 2


async def test_a_list_may_ignore_the_metadata_filter() -> None:
    assert len((await listed("unfiltered", **MINE))["orders"]) == 2


async def test_errors_may_be_flat_and_validation_wrapped() -> None:
    sandbox = Sandbox(dialect=Dialect.parse("errors=flat,validation=wrapped"))
    async with customer(sandbox) as client:
        missing = (await client.get("/orders/nope")).json()
        assert missing["code"] == read_failure(missing).code == "not_found"
        invalid = (await client.post("/orders", json=order(max_price="1"))).json()
    failure = read_failure(invalid)
    assert (failure.code, [problem.field for problem in failure.problems]) == ("validation_error", ["max_price"])


@pytest.mark.parametrize("status", [400, 409, 422])
async def test_a_refused_cancellation_has_one_of_three_statuses(status: int) -> None:
    clock = Clock()
    dialect = Dialect.parse(f"not_cancellable=status_{status}")
    async with customer(Sandbox(dialect=dialect, clock=clock)) as client:
        taken = await placed(client, order())
        clock.now += 1
        assert (await client.post(f"/orders/{taken['id']}/cancel")).status_code == status


async def test_a_short_balance_may_be_a_400() -> None:
    async with customer(Sandbox(dialect=Dialect(insufficient_funds="status_400"))) as client:
        answer = await client.post("/orders", json=order("insufficient-funds"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "insufficient_funds")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"status_filter": "order_placed"}, 1),
        ({"status_filter": "order_failed"}, 1),
        ({"status_filter": "pending"}, 0),
        ({"has_tracking": "true"}, 1),
        ({"has_tracking": "false"}, 1),
        ({"tracking_status": "in_transit"}, 1),
        ({"shipping_name": "ada BUY"}, 2),
        ({"created_after": "2026-01-01T00:00:00Z"}, 2),
        ({"created_before": "2026-01-01T00:00:00Z"}, 0),
        ({"limit": 1}, 1),
        ({"offset": 1}, 1),
        ({"search": "ZINC_TEST_"}, 1),
        ({"merchant_order_id": "nothing"}, 0),
    ],
)
async def test_lists_can_be_narrowed(query: dict[str, Any], count: int) -> None:
    clock = Clock()
    async with customer(Sandbox(clock=clock)) as client:
        await placed(client, order())
        await placed(client, order("out-of-stock"))
        clock.now += 9
        found = (await client.get("/orders", params=query)).json()
    assert len(found["orders"]) == count


@pytest.mark.parametrize("query", [{"metadata_key": "a"}, {"limit": "0"}, {"offset": "x"}, {"created_after": "soon"}])
async def test_a_malformed_query_is_a_422(query: dict[str, str]) -> None:
    async with customer(Sandbox()) as client:
        answer = await client.get("/orders", params=query)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "query"
