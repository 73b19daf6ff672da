"""Each dialect of v1 changes the one answer that its documents leave open, and the orders stay what they are."""

from typing import Any

import anyio
import httpx
import pytest
from sandbox.practising_v1 import COFFEE, OWN, TOKEN, V1, asking, client_of, order_v1, practised

from zinc_mcp.sandbox import Dialect, Sandbox
from zinc_mcp.sandbox.dialects.v1 import V1Dialect


def test_a_dialect_of_v1_is_spelt_as_it_is_read() -> None:
    text = "listing=lags,v1_keys=ignored,v1_echo=masked"
    dialect = Dialect.parse("v1_keys=ignored, listing=lags, v1_echo=masked")
    assert (dialect.listing, dialect.v1.keys, dialect.v1.echo, str(dialect)) == ("lags", "ignored", "masked", text)
    assert Dialect.parse(text) == dialect and str(V1Dialect()) == "default"
    for name, found in V1Dialect.named().items():
        assert name == "default" or Dialect.parse(name).v1 == found
    assert not any(name.startswith("v1") for name in Dialect.named()), "the campaigns of v2 stay as they are"


@pytest.mark.parametrize("text", ["v1_keys=lost", "v1_key=ignored", "keys=ignored,v1_", "v1=x"])
def test_a_misspelt_dialect_of_v1_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Dialect.parse(text)


@pytest.mark.parametrize("dialect", [name for name in V1Dialect.named() if "keys" not in name])
async def test_in_every_dialect_a_key_buys_once_and_the_order_is_bought(dialect: str) -> None:
    zinc = V1("" if dialect == "default" else dialect)
    first = await zinc.place(order_v1(idempotency_key="k"), 1)
    assert await zinc.place(order_v1(idempotency_key="k"), 10) == first
    (row,) = zinc.sandbox.placed()
    assert row["order_id"] == first and row["scenario"] == "ordinary"
    assert (await zinc.read(first))["_type"] == "order_response"


async def test_ignored_keys_buy_twice() -> None:
    zinc = V1("v1_keys=ignored")
    assert await zinc.place(order_v1(idempotency_key="k")) != await zinc.place(order_v1(idempotency_key="k"))
    refused = await zinc.post(order_v1(max_price=None, idempotency_key="k"))
    assert refused["code"] == "invalid_request"


async def test_two_posts_at_once_may_both_be_taken_and_later_ones_are_replayed() -> None:
    sandbox, told = Sandbox(dialect=Dialect.parse("v1_concurrent=both_accepted"), pace=2), list[str]()
    async with client_of(sandbox) as client:

        async def send() -> None:
            answer = await client.post("/orders", json=order_v1(idempotency_key="k"))
            told.append(answer.json()["request_id"])

        async with anyio.create_task_group() as senders:
            senders.start_soon(send)
            senders.start_soon(send)
        await send()
    assert len(sandbox.placed()) == 2 and len(set(told)) == 2 and told[2] in told[:2]


async def test_error_objects_have_the_status_of_the_dialect() -> None:
    seen: dict[str, list[int]] = {}
    for value in ("status_200", "status_4xx", "status_500"):
        zinc = V1(f"v1_error_status={value}")
        running = await zinc.place()
        failed = await zinc.place(practised("failed_max_price_exceeded"))
        internal = await zinc.place(practised("failed_internal_error"))
        answers = [await zinc.client.get(f"/orders/{running}")]
        zinc.clock.now += 5
        answers += [
            await zinc.client.get(f"/orders/{failed}"),
            await zinc.client.get(f"/orders/{internal}"),
            await zinc.client.get("/orders/0123"),
            await zinc.client.post("/orders", json={}),
            await zinc.client.get("/orders", auth=("invalid", "")),
        ]
        seen[value] = [answer.status_code for answer in answers]
    assert seen == {
        "status_200": [200, 200, 200, 200, 200, 200],
        "status_4xx": [200, 400, 400, 404, 400, 401],
        "status_500": [200, 400, 500, 404, 400, 401],
    }


async def test_a_list_may_be_wrapped_late_short_of_errors_or_the_other_way_round() -> None:
    async def listed(dialect: str, seconds: float) -> Any:
        zinc = V1(dialect)
        await zinc.place(order_v1(client_notes={"n": 1}), 4)
        await zinc.place(practised("failed_duplicate_order", client_notes={"n": 2}), seconds)
        return await zinc.listed()

    def notes(rows: Any) -> list[int]:
        return [row["request"]["client_notes"]["n"] for row in rows]

    assert notes(await listed("", 0)) == [2, 1]
    assert notes((await listed("v1_listing=wrapped", 0))["orders"]) == [2, 1]
    assert notes(await listed("v1_listing=placed_only", 9)) == [1]
    assert notes(await listed("v1_listing=lags", 4.9)) == [1]
    assert notes(await listed("v1_listing=lags", 5)) == [2, 1]
    assert notes(await listed("v1_list_order=oldest_first", 0)) == [1, 2]


async def test_request_ids_may_be_missing_from_what_is_shown() -> None:
    zinc = V1("v1_request_ids=absent")
    request_id = await zinc.place(seconds=5)
    assert "request_id" not in await zinc.read(request_id)
    assert "request_id" not in (await zinc.listed())[0]


async def test_the_request_is_echoed_as_it_was_masked_with_the_token_or_not_at_all() -> None:
    async def echoed(dialect: str) -> Any:
        zinc = V1(dialect)
        return (await zinc.read(await zinc.place(order_v1(**OWN, client_notes={"n": 1}), 5))).get("request")

    plain, masked = await echoed(""), await echoed("v1_echo=masked")
    assert plain == order_v1(**OWN, client_notes={"n": 1})
    assert masked["shipping_address"] == plain["shipping_address"]
    for name in ("retailer_credentials", "payment_method", "billing_address"):
        assert set(masked[name]) == set(plain[name])
        assert not set(map(str, plain[name].values())) & set(map(str, masked[name].values())) - {"False"}
    assert (await echoed("v1_echo=with_token")) == {**plain, "client_token": TOKEN}
    assert await echoed("v1_echo=absent") is None
    assert "client_notes" not in await echoed("v1_notes=absent")


async def test_an_order_that_is_processed_may_show_its_request() -> None:
    zinc = V1("v1_running=full")
    request_id = await zinc.place()
    shown = await zinc.read(request_id)
    assert (shown["code"], shown["request_id"], shown["request"]) == ("request_processing", request_id, order_v1())


async def test_tracking_numbers_and_the_account_have_both_documented_shapes() -> None:
    async def shown(dialect: str) -> Any:
        zinc = V1(dialect)
        return await zinc.read(await zinc.place(seconds=8))

    short, long = await shown(""), await shown("v1_tracking=v1,v1_merchant_ids=v1,v1_account_status=array")
    assert set(short["tracking"][0]) == {"product_id", "merchant_order_id", "carrier", "tracking_number", "obtained_at"}
    assert set(long["tracking"][0]) == {
        "merchant_order_id", "carrier", "tracking_number", "obtained_at", "delivery_status", "product_ids",
        "tracking_url", "retailer_tracking_number", "retailer_tracking_url",
    }  # fmt: skip
    assert long["tracking"][0]["product_ids"] == [COFFEE]
    assert set(short["merchant_order_ids"][0]) == {"merchant_order_id", "merchant", "account", "placed_at"}
    merchant = long["merchant_order_ids"][0]
    assert merchant["tracking"] == [long["tracking"][0]["tracking_number"]] and merchant["product_ids"] == [COFFEE]
    assert short["account_status"] == long["account_status"][0] and short["account_status"]["prime"] is True
    assert "account_status" not in await shown("v1_account_status=absent")


async def test_a_parcel_is_on_its_way_and_then_delivered() -> None:
    zinc = V1("v1_tracking=v1")
    request_id = await zinc.place(seconds=5)
    assert (await zinc.read(request_id))["tracking"][0]["delivery_status"] == "InTransit"
    zinc.clock.now += 10
    assert (await zinc.read(request_id))["tracking"][0]["delivery_status"] == "Delivered"


@pytest.mark.parametrize(
    ("dialect", "total", "paid"),
    [("", 1582, 1632), ("v1_debit=total", 1632, 1632), ("v1_debit=hidden", 1582, 1582)],
)
async def test_the_cost_of_a_managed_order_shows_in_one_place_or_in_none(dialect: str, total: int, paid: int) -> None:
    zinc = V1(dialect)
    prices = (await zinc.read(await zinc.place(order_v1(zma_priority_bid=50), 5)))["price_components"]
    assert (prices["total"], prices["converted_payment_total"]) == (total, paid)
    own = (await zinc.read(await zinc.place(order_v1(**OWN, zma_priority_bid=50), 5)))["price_components"]
    assert own["total"] == own["converted_payment_total"] == 1582
    rows = (await zinc.client.get("/addax/transactions")).json()["transactions"]
    assert [row["amount"] for row in rows][:-1] == [-1632]


async def test_money_has_either_shape() -> None:
    zinc = V1("v1_balance=available_balance,v1_transactions=array")
    rows = (await zinc.client.get("/addax/transactions")).json()
    assert (await zinc.client.get("/addax/balance")).json()["available_balance"] == rows[0]["amount"]


async def test_every_dialect_answers_every_request_with_json() -> None:
    for name in V1Dialect.named():
        zinc = V1("" if name == "default" else name)
        request_id = await zinc.place(order_v1(client_notes=asking("cancel=direct")), 6)
        paths = ["/orders", f"/orders/{request_id}", f"/orders/{request_id}/case", "/addax/balance"]
        answers: list[httpx.Response] = [await zinc.client.get(path) for path in paths]
        answers.append(await zinc.client.post(f"/orders/{request_id}/abort"))
        assert all(answer.status_code == 200 and answer.json() for answer in answers), name
