"""The odd corners that Zinc's documents name, one by one, which the other files here do not walk through."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from sandbox.practising import Clock, customer, order, placed, read

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.catalogue import ITEMS

COFFEE = "https://www.amazon.com/dp/B0SNDBXC01"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def ada(clock: Clock) -> AsyncGenerator[httpx.AsyncClient]:
    async with customer(Sandbox(clock=clock)) as client:
        yield client


async def get(client: httpx.AsyncClient, path: str, status: int = 200, /, **parameters: Any) -> Any:
    answer = await client.get(path, params=parameters)
    assert answer.status_code == status, answer.text
    return answer.json()


# Search, products, offers


async def test_a_search_result_has_no_currency_and_says_of_variants_only_at_etsy(ada: httpx.AsyncClient) -> None:
    found = await get(ada, "/search", q="shirt mug", retailer=["amazon", "etsy"])
    assert {each["retailer"] for each in found["results"]} >= {"amazon", "etsy"}
    assert [each for each in found["results"] if "currency" in str(each.keys())] == []
    assert {each["retailer"] for each in found["results"] if each["has_variants"]} == {"etsy"}
    assert {each["has_variants"] for each in found["results"]} == {True, None}


async def test_a_price_range_drops_what_has_no_price(ada: httpx.AsyncClient) -> None:
    free = await get(ada, "/search", q="coffee filters")
    assert None in [each["price"] for each in free["results"]]
    ranged = await get(ada, "/search", q="coffee filters", min_price=0)
    assert None not in [each["price"] for each in ranged["results"]]
    assert ranged["excluded_by_price"] == 1


async def test_a_sort_orders_only_the_most_relevant_results(ada: httpx.AsyncClient) -> None:
    by_relevance = await get(ada, "/search", q="whole bean coffee", limit=3)
    by_price = await get(ada, "/search", q="whole bean coffee", limit=3, sort="price_asc")
    assert by_relevance["results"] != by_price["results"]
    assert {each["url"] for each in by_relevance["results"]} == {each["url"] for each in by_price["results"]}


async def test_one_retailer_is_searched_by_pages_where_zinc_has_pages(ada: httpx.AsyncClient) -> None:
    first = await get(ada, "/products/search", query="headphones", retailer="bestbuy")
    assert (len(first["results"]), first["next_page"]) == (1, 2)
    after = await get(ada, "/products/search", query="headphones", retailer="bestbuy", page=2)
    assert (after["results"], after["next_page"]) == ([], None)
    amazon = await get(ada, "/products/search", query="coffee", retailer="amazon", free_shipping="true")
    assert amazon["next_page"] is None
    await get(ada, "/products/search", 422, query="coffee", retailer="amazon", page=0)


async def test_a_shopify_shop_refuses_free_shipping_and_amazon_ignores_it(ada: httpx.AsyncClient) -> None:
    shop: dict[str, Any] = {"query": "coffee", "retailer": "practiceroasters"}
    assert len((await get(ada, "/products/search", **shop))["results"]) == 1
    await get(ada, "/products/search", 422, **shop, free_shipping="true")
    amazon: dict[str, Any] = {"query": "coffee", "retailer": "amazon"}
    plain = await get(ada, "/products/search", **amazon)
    assert await get(ada, "/products/search", **amazon, free_shipping="true") == plain


async def test_an_old_spelling_of_a_retailer_is_taken_and_the_slug_comes_back(ada: httpx.AsyncClient) -> None:
    assert (await get(ada, "/products/B0SNDBXD01", retailer="amazon_de"))["retailer"] == "amazon-de"


async def test_a_shopify_shop_that_is_not_catalogued_is_refused_in_practice(ada: httpx.AsyncClient) -> None:
    await get(ada, "/products/search", 422, query="tea", retailer="unknown-shop.example")


@pytest.mark.parametrize("path", ["/products/{}", "/products/{}/offers"])
async def test_an_asynchronous_question_is_processing_except_at_shopify_and_etsy(
    ada: httpx.AsyncClient, path: str
) -> None:
    waiting = await get(ada, path.format("B0SNDBXC01"), **{"retailer": "amazon", "async": "true"})
    assert (waiting["status"], "title" in waiting) == ("processing", False)
    for retailer, product in (("etsy", "9990000011"), ("practiceroasters", "house-blend")):
        await get(ada, path.format(product), 422, **{"retailer": retailer, "async": "true"})


async def test_a_product_has_variants_in_the_words_of_its_retailer(ada: httpx.AsyncClient) -> None:
    amazon = await get(ada, "/products/B0SNDBXS01", retailer="amazon")
    assert {"dimension", "value"} == set(amazon["all_variants"][0]["variant_specifics"][0])
    assert "variants" not in amazon
    etsy = await get(ada, "/products/9990000011", retailer="etsy")
    assert {"name", "value"} == set(etsy["variants"][0]["properties"][0])
    assert "all_variants" not in etsy


async def test_an_empty_wallet_refuses_data_in_a_shape_of_its_own(ada: httpx.AsyncClient) -> None:
    plain = await get(ada, "/search", 402, q="insufficient funds")
    assert list(plain) == ["detail"] and isinstance(plain["detail"], str)
    assert await get(ada, "/products/test-insufficient-funds", 402, retailer="amazon") == plain
    refused = await ada.post("/orders", json=order("insufficient-funds"))
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (402, "insufficient_funds")
    assert error["details"]["required"] > error["details"]["available"]
    assert error["details"]["fund_with"]


# Money and usage


async def test_usage_counts_what_succeeded_and_is_the_caller_s_own(clock: Clock) -> None:
    sandbox = Sandbox(clock=clock)
    async with customer(sandbox) as ada, customer(sandbox, "zn_test_eve") as eve:
        await get(ada, "/search", q="coffee", retailer=["walmart", "target"])
        await get(ada, "/search", 422, q="coffee", limit=99)
        await get(ada, "/products/B000000000", retailer="amazon")  # 200, and failed
        await get(ada, "/products/B0SNDBXC01", retailer="amazon")
        usage = await get(ada, "/usage")
        totals = {name: metric["total"] for name, metric in usage["metrics"].items()}
        assert totals == {"search": 1, "product_search": 0, "product_offers": 0, "product_details": 1}
        assert {len(metric["series"]) for metric in usage["metrics"].values()} == {usage["window_days"]}
        newest, oldest = usage["recent"]
        assert (newest["endpoint"], newest["product_id"]) == ("product_details", "B0SNDBXC01")
        assert (oldest["query"], oldest["retailer"], oldest["result_count"]) == ("coffee", None, 5)
        assert (await get(ada, "/usage", recent=1))["recent"] == [newest]
        assert (await get(ada, "/usage", recent=0))["recent"] == []
        assert (await get(eve, "/usage"))["recent"] == []
    async with httpx.AsyncClient(transport=sandbox.transport(), base_url="https://api.zinc.com") as nobody:
        assert (await nobody.get("/usage")).status_code == 401


@pytest.mark.parametrize("query", [{"window_days": 0}, {"window_days": 91}, {"recent": -1}, {"recent": "all"}])
async def test_usage_has_bounds(ada: httpx.AsyncClient, query: dict[str, Any]) -> None:
    await get(ada, "/usage", 422, **query)


async def test_no_practice_order_draws_on_the_wallet(ada: httpx.AsyncClient, clock: Clock) -> None:
    before = await get(ada, "/wallet/me")
    await placed(ada, order())
    clock.now += 60
    assert await get(ada, "/wallet/me") == before
    assert before["balance"] == before["spendable_balance"]


# Lists, timelines


async def test_times_of_a_list_are_inclusive_then_exclusive(ada: httpx.AsyncClient, clock: Clock) -> None:
    taken = await placed(ada, order())
    assert (await get(ada, "/orders", created_after=taken["created_at"]))["total"] == 1
    assert (await get(ada, "/orders", created_before=taken["created_at"]))["total"] == 0


async def test_a_merchant_s_number_is_found_as_typed_and_without_its_dashes(
    ada: httpx.AsyncClient, clock: Clock
) -> None:
    taken = await placed(ada, order())
    clock.now += 20
    [number] = (await read(ada, taken["id"]))["merchant_order_ids"]
    assert "-" in number
    for spelt in (number, number.replace("-", "")):
        assert (await get(ada, "/orders", merchant_order_id=spelt))["total"] == 1
    assert (await get(ada, "/orders", merchant_order_id=number[:-1]))["total"] == 0


async def test_a_return_is_open_then_closed_in_the_filter_of_lists(ada: httpx.AsyncClient, clock: Clock) -> None:
    taken = await placed(ada, order("success?return=denied"))
    clock.now += 20
    seen = await read(ada, taken["id"])
    items = [{"order_item_id": seen["items"][0]["id"], "quantity": 1}]
    await ada.post("/returns", json={"order_id": taken["id"], "items": items, "reason": "defective"})
    for seconds, status in ((0, "open"), (3, "closed")):
        clock.now += seconds
        assert (await get(ada, "/orders", return_status=status))["total"] == 1


@pytest.mark.parametrize(
    ("scenario", "last"), [("out-of-stock", "order_failed"), ("cancelled-by-retailer", "cancelled")]
)
async def test_a_timeline_ends_as_its_order_does(
    ada: httpx.AsyncClient, clock: Clock, scenario: str, last: str
) -> None:
    taken = await placed(ada, order(scenario))
    clock.now += 60
    timeline = await get(ada, f"/orders/{taken['id']}/timeline")
    assert timeline["milestones"][-1]["type"] == last
    assert timeline["current_status"] == (await read(ada, taken["id"]))["status"]


@pytest.mark.parametrize(
    ("scenario", "parcel", "item"),
    [
        ("pickup", "available_for_pickup", "available_for_pickup"),
        ("undeliverable", "undeliverable", "shipped"),
        ("success", "delivered", "delivered"),
    ],
)
async def test_a_parcel_ends_in_one_of_three_ways(
    ada: httpx.AsyncClient, clock: Clock, scenario: str, parcel: str, item: str
) -> None:
    taken = await placed(ada, order(scenario))
    clock.now += 20
    seen = await read(ada, taken["id"])
    assert (seen["status"], seen["items"][0]["status"]) == ("order_placed", item)
    [tracking] = seen["tracking_numbers"]
    assert (tracking["status"], tracking["checkpoints"][0]["status"]) == (parcel, parcel)
    assert (tracking["delivery_proof_url"] is None) is (parcel != "delivered")
    assert (await get(ada, f"/orders/{taken['id']}/timeline"))["milestones"][-1]["type"] == parcel
    assert (await get(ada, "/orders", tracking_status=parcel))["total"] == 1


async def test_another_s_order_looks_like_none(clock: Clock) -> None:
    sandbox = Sandbox(clock=clock)
    async with customer(sandbox) as ada, customer(sandbox, "zn_test_eve") as eve:
        taken = await placed(ada, order())
        for path in (f"/orders/{taken['id']}", f"/orders/{taken['id']}/timeline"):
            await get(ada, path)
            assert (await get(eve, path, 404))["error"]["code"] == "not_found"


# Returns and cases


async def test_a_case_about_a_return_names_it_and_keeps_its_files(ada: httpx.AsyncClient, clock: Clock) -> None:
    taken = await placed(ada, order())
    clock.now += 20
    items = [{"order_item_id": taken["items"][0]["id"], "quantity": 1}]
    back = (await ada.post("/returns", json={"order_id": taken["id"], "items": items, "reason": "defective"})).json()
    fields = {"order_id": (None, taken["id"]), "reason": (None, "return"), "body": (None, "Where is the label?")}
    unknown = {**fields, "return_request_id": (None, "none-such")}
    assert (await ada.post("/cases", files=unknown)).status_code == 404
    files: list[tuple[str, Any]] = [*fields.items(), ("return_request_id", (None, back["id"]))]
    photo = ("files", ("photo.png", b"\x89PNG", "image/png"))
    assert (await ada.post("/cases", files=[*files, *[photo] * 6])).status_code == 422
    assert (await ada.post("/cases", files=[*files, ("files", ("x.exe", b"MZ", "text/plain"))])).status_code == 422
    case = (await ada.post("/cases", files=[*files, photo])).json()
    assert case["return_request_id"] == back["id"]
    [file] = case["messages"][0]["attachments"]
    assert (file["filename"], file["content_type"], file["size_bytes"]) == ("photo.png", "image/png", 4)
    more = await ada.post(f"/cases/{case['id']}/messages", files=[photo])
    assert (more.status_code, more.json()["messages"][-1]["body"]) == (201, "")
    empty = await ada.post(f"/cases/{case['id']}/messages", files={"body": (None, " ")})
    assert (empty.status_code, empty.json()["error"]["code"]) == (400, "bad_request")


def test_the_catalogue_has_every_kind_of_price_that_the_documents_name() -> None:
    assert {item.currency for item in ITEMS} == {None, "USD", "EUR"}
    assert None in {item.price for item in ITEMS}
