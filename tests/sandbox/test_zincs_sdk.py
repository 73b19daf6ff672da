"""Zinc's own SDK reads every answer of the sandbox: its models are generated from Zinc's OpenAPI.

A model that cannot read an answer raises, and `invented` finds fields that no model has. What the documents say of each
endpoint besides is tested in the other files here.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest
from pydantic import BaseModel
from sandbox.practising import Clock, on_a_port, order

from zinc_mcp.payments.headers import Challenge, Credential
from zinc_mcp.payments.wallet import practice_proof
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.products import SCENARIOS

sdk: Any = pytest.importorskip("zinc.client", reason="Zinc's SDK is not installed (the extra `test` has it)")
errors: Any = pytest.importorskip("zinc.errors")
api_error: Any = pytest.importorskip("zinc.core.api_error")

COFFEE = "https://www.amazon.com/dp/B0SNDBXC01"
OURS = {
    *("queue_shard", "internal", "warehouse", "assignee", "warehouse_hint"),
    *("rounding_mode", "buybox_rank", "service_level", "carrier_code", "screenshot"),
}
"""The fields that the sandbox adds on purpose: no document names them, and no client may show them."""


@asynccontextmanager
async def zinc_sdk(sandbox: Sandbox) -> AsyncGenerator[Any]:
    """Serve a sandbox on a port, and return the SDK's client of it."""
    async with on_a_port(sandbox) as http:
        yield client_of(http)


def client_of(http: httpx.AsyncClient) -> Any:
    """Return the SDK's client on an HTTP client, with that client's key or payment. It repeats no request.

    Most of the SDK's methods have a parameter `authorization` which, left out, takes the SDK's own key away: so the key
    is a header of the HTTP client as well.
    """
    key = http.headers.get("Authorization", "")
    return sdk.AsyncZincClient(base_url=str(http.base_url), api_key=key, httpx_client=http, max_retries=0)


def invented(answer: Any) -> set[str]:
    """Return the fields of an answer that the SDK's models do not have."""
    if isinstance(answer, BaseModel):
        extra = set(answer.model_extra or ()) - OURS
        return extra.union(*(invented(getattr(answer, name)) for name in type(answer).model_fields))
    if isinstance(answer, list):
        return set[str]().union(*(invented(each) for each in cast(list[Any], answer)))
    return set()


async def test_the_sdk_orders_reads_lists_and_follows() -> None:
    clock = Clock()
    async with zinc_sdk(Sandbox(clock=clock)) as zinc:
        placed = await zinc.orders.create_order(**order(metadata={"trip": "1"}, po_number="PO-1"))
        assert (placed.status, placed.items[0].quantity) == ("pending", 1)
        clock.now += 20
        seen = await zinc.orders.get_order(placed.id)
        assert (seen.status, seen.tracking_numbers[0].status) == ("order_placed", "delivered")
        assert seen.job_result.price_components.total == 4900
        listed = await zinc.orders.list_orders(metadata_key="trip", metadata_value="1", include="tracking_events")
        assert (listed.total, listed.orders) == (1, [seen])
        timeline = await zinc.orders.get_order_timeline(placed.id)
        assert [each.type for each in timeline.milestones][-1] == "delivered"
        tests = await zinc.orders.list_test_products()
        assert {"url", "scenario", "name", "is_synchronous_error"} == set(tests["products"][0])
        assert invented(placed) | invented(listed) | invented(timeline) == set()


@pytest.mark.sampled(4)
@pytest.mark.parametrize("url", sorted(SCENARIOS))
async def test_the_sdk_reads_every_practice_order_at_any_time(url: str) -> None:
    clock = Clock()
    async with zinc_sdk(Sandbox(clock=clock)) as zinc:
        wanted = order(products=[{"url": url}, *order()["products"]], fulfillment={"items": "best_effort"})
        if SCENARIOS[url].refusal is not None:
            with pytest.raises(api_error.ApiError):
                await zinc.orders.create_order(**wanted)
            return
        placed = await zinc.orders.create_order(**wanted)
        for seconds in (1, 3, 6, 12, 80):
            clock.now += seconds
            assert invented(await zinc.orders.get_order(placed.id)) == set()
            assert invented(await zinc.orders.get_order_timeline(placed.id)) == set()


async def test_the_sdk_cancels_a_pending_order_and_is_told_when_it_cannot() -> None:
    async with zinc_sdk(Sandbox(clock=Clock())) as zinc:
        placed = await zinc.orders.create_order(**order())
        assert await zinc.orders.cancel_order(placed.id) is None
        assert (await zinc.orders.get_order(placed.id)).status == "cancelled"
        with pytest.raises(errors.UnprocessableEntityError) as refused:
            await zinc.orders.cancel_order(placed.id)
        assert refused.value.body["error"]["code"] == "order_not_cancellable"


async def test_the_sdk_reads_every_refusal_of_an_order() -> None:
    async with zinc_sdk(Sandbox(clock=Clock())) as zinc:
        await zinc.orders.create_order(**order(idempotency_key="once"))
        for fields, status in (
            ({"idempotency_key": "once"}, 409),
            ({"max_price": "much"}, 422),
            (order("insufficient-funds"), 402),
            (order("url-unreachable"), 400),
        ):
            with pytest.raises(api_error.ApiError) as refused:
                await zinc.orders.create_order(**{**order(), **fields})
            assert refused.value.status_code == status


async def test_the_sdk_searches_and_reads_products() -> None:
    async with zinc_sdk(Sandbox(clock=Clock())) as zinc:
        found = await zinc.search.search(
            q="whole bean coffee", max_price=2000, sort="price_asc", limit=5, retailer=["amazon", "walmart"]
        )
        assert COFFEE in [each.url for each in found.results]
        one = await zinc.products.search_products(query="coffee", retailer="amazon")
        assert one.results[0].product_id
        assert invented(found) | invented(one) == set()
        for retailer, product_id in (
            ("amazon", "B0SNDBXS01"),
            ("walmart", "9990000001"),
            ("bestbuy", "J3SNDBX001"),
            ("etsy", "9990000011"),
            ("practiceroasters.example", "house-blend"),
            ("amazon", "B000000000"),
        ):
            details = await zinc.products.get_product_details(product_id, retailer=retailer)
            assert details.status == ("failed" if product_id == "B000000000" else "completed")
            assert invented(details) == set()
        offers = await zinc.products.get_product_offers("B0SNDBXC01", retailer="amazon")
        assert {each.condition for each in offers.offers} == {"New", "Used - Like New", "Unacceptable"}
        assert invented(offers) == set()
        for ask in (zinc.products.get_product_offers, zinc.products.get_product_details):
            assert (await ask("B0SNDBXC01", retailer="amazon", async_=True)).status == "processing"
            with pytest.raises(errors.UnprocessableEntityError):
                await ask("9990000011", retailer="etsy", async_=True)


async def test_the_sdk_reads_shops_and_money() -> None:
    async with zinc_sdk(Sandbox(clock=Clock())) as zinc:
        shops = await zinc.retailers.list_retailers(limit=3, name="a", include="all")
        assert (len(shops.retailers), shops.coverage.policy, invented(shops)) == (3, "open", set())
        for url in (COFFEE, "https://closedshop.example/products/lamp", "https://never-seen.example/products/x"):
            check = await zinc.retailers.check_retailer(url=url, country="us")
            assert check.orderable is (check.support != "unsupported")
            assert invented(check) == set()
        wallet = await zinc.wallet.get_wallet()
        assert (wallet.order_fee_cents, wallet.wallet_type, invented(wallet)) == (100, "purchases", set())
        health = await zinc.health.get_public_health()
        assert (health.status, invented(health)) == ("up", set())


async def test_the_sdk_counts_its_data_calls() -> None:
    clock = Clock()
    async with zinc_sdk(Sandbox(clock=clock)) as zinc:
        await zinc.search.search(q="coffee", retailer=["walmart"])
        await zinc.products.get_product_details("B000000000", retailer="amazon")
        with pytest.raises(errors.PaymentRequiredError) as short:
            await zinc.search.search(q="insufficient funds")
        assert isinstance(short.value.body["detail"], str)
        clock.now += 3 * 86_400
        await zinc.products.get_product_offers("B0SNDBXC01", retailer="amazon")
        usage = await zinc.usage.get_my_usage(window_days=2, recent=5)
        assert (usage.window_days, invented(usage)) == (2, set())
        assert [(each.endpoint, each.retailer, each.product_id) for each in usage.recent] == [
            ("product_offers", "amazon", "B0SNDBXC01")
        ]
        offers, search, details = (usage.metrics[name] for name in ("product_offers", "search", "product_details"))
        assert (offers.total, offers.series, search.total, search.prev_total) == (1, [0, 1], 0, 1)
        assert details.total == details.prev_total == 0
        with pytest.raises(errors.UnprocessableEntityError):
            await zinc.usage.get_my_usage(window_days=91)


async def test_the_sdk_sends_something_back_and_sees_the_credit() -> None:
    clock = Clock()
    async with zinc_sdk(Sandbox(clock=clock)) as zinc:
        placed = await zinc.orders.create_order(**order())
        clock.now += 20
        items = [{"order_item_id": placed.items[0].id, "quantity": 1}]
        wanted: dict[str, Any] = {"order_id": placed.id, "items": items, "reason": "defective", "notes": "loose"}
        filed = await zinc.returns.create_return_request(**wanted)
        assert (filed.status, invented(filed)) == ("open", set())
        clock.now += 20
        seen = await zinc.returns.get_return_request(filed.id)
        assert (seen.status, seen.credited_amount) == ("credited", 4900)
        listed = await zinc.returns.list_return_requests(search=placed.id[:8], status="credited")
        assert (listed.total, listed.return_requests) == (1, [seen])
        shown = await zinc.orders.get_order(placed.id)
        assert ([each.id for each in shown.returns], invented(shown)) == ([filed.id], set())
        with pytest.raises(errors.ConflictError):
            await zinc.returns.create_return_request(**wanted)


async def test_the_sdk_opens_a_case_says_more_and_closes_it() -> None:
    clock = Clock()
    async with zinc_sdk(Sandbox(clock=clock)) as zinc:
        placed = await zinc.orders.create_order(**order())
        clock.now += 20
        items = [{"order_item_id": placed.items[0].id, "quantity": 1}]
        back = await zinc.returns.create_return_request(order_id=placed.id, items=items, reason="defective")
        photo = ("photo.png", b"\x89PNG", "image/png")
        case = await zinc.cases.create_case(
            order_id=placed.id, reason="return", body="Where is the label?", return_request_id=back.id, files=[photo]
        )
        [file] = case.messages[0].attachments
        assert (case.return_request_id, file.filename, file.size_bytes) == (back.id, "photo.png", 4)
        with pytest.raises(errors.ConflictError):
            await zinc.cases.create_case(order_id=placed.id, reason="late", body="And late.")
        clock.now += 3
        seen = await zinc.cases.get_case(case.id)
        assert ([each.author for each in seen.messages], invented(seen)) == (["customer", "zinc"], set())
        await zinc.cases.post_case_message(case.id, body="Still nothing.")
        await zinc.cases.post_case_message(case.id, files=[photo])
        with pytest.raises(errors.BadRequestError):
            await zinc.cases.post_case_message(case.id, body="")
        assert (await zinc.cases.close_case(case.id)).status == "closed"
        assert (await zinc.cases.close_case(case.id)).status == "closed"
        listed = await zinc.cases.list_cases(status="closed", reason="return", order_id=placed.id)
        assert (listed.total, len(listed.cases[0].messages)) == (1, 4)
        shown = await zinc.orders.get_order(placed.id)
        assert ([each.id for each in shown.cases], invented(shown)) == ([case.id], set())


async def test_the_sdk_pays_for_an_order_and_for_answers_without_an_account() -> None:
    one = {"product_id": "B0SNDBXC01", "retailer": "amazon"}
    async with on_a_port(Sandbox(clock=Clock())) as http:
        for call, fields in (
            ("create_mpp_order", {**order(idempotency_key="k"), "method": "sandbox"}),
            ("search", {"q": "whole bean coffee", "max_price": 2000}),
            ("product_search", {"query": "coffee", "retailer": "walmart"}),
            ("product_details", one),
            ("product_offers", one),
        ):
            http.headers.pop("Authorization")
            zinc = client_of(http)
            with pytest.raises(errors.PaymentRequiredError) as asked:
                await getattr(zinc.agent, call)(**fields)
            found = Challenge.from_www_authenticate([asked.value.headers["www-authenticate"]])
            challenge = next(each for each in found if each.method == "sandbox")
            payload = {"type": "practice", "proof": practice_proof(challenge)}
            http.headers["Authorization"] = Credential(challenge, payload).to_authorization()
            answer = await getattr(client_of(http).agent, call)(**fields)
            assert answer.status == ("pending" if "products" in fields else "completed")
            assert invented(answer) == set()
