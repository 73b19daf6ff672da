"""The sandbox answers questions about products and shops as Zinc's documents do, over goods that can be ordered."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from conftest import HandClock
from wanted import ADDRESS

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.catalogue import ITEMS
from zinc_mcp.sandbox.products import HOSTILE
from zinc_mcp.zinc.product_urls.reading import read_product_url

KEY = {"Authorization": "Bearer zn_test_1"}
TESTS = "https://zinc.com/shop/products/test-"
COFFEE = "https://www.amazon.com/dp/B0SNDBXC01"
BLEND = "https://practiceroasters.example/products/house-blend"


@pytest.fixture
async def http(clock: HandClock) -> AsyncGenerator[httpx.AsyncClient]:
    sandbox = Sandbox(clock=clock)
    async with httpx.AsyncClient(transport=sandbox.transport(), base_url="https://sandbox.invalid") as client:
        yield client


async def get(http: httpx.AsyncClient, path: str, status: int = 200, /, **parameters: Any) -> Any:
    answer = await http.get(path, params=parameters, headers=KEY)
    assert answer.status_code == status, answer.text
    return answer.json()


async def ordered(http: httpx.AsyncClient, clock: HandClock, url: str, **changes: Any) -> Any:
    product = {"url": url, **changes.pop("product", {})}
    body = {"products": [product], "shipping_address": ADDRESS, "max_price": 10_000, **changes}
    answer = await http.post("/orders", json=body, headers=KEY)
    if answer.status_code != 201:
        return answer.json()["error"]["code"]
    clock.pass_seconds(60)
    return await get(http, f"/orders/{answer.json()['id']}")


def test_every_address_of_the_catalogue_can_be_read() -> None:
    assert len({item.url for item in ITEMS}) == len(ITEMS)
    for item in ITEMS:
        assert read_product_url(item.url).url == item.url


async def test_whole_bean_coffee_under_20_dollars_can_be_found_ordered_and_delivered(
    http: httpx.AsyncClient, clock: HandClock
) -> None:
    found = await get(http, "/search", q="whole bean coffee under $20", max_price=2000)
    first = found["results"][0]
    assert (first["url"], first["price"], found["status"], found["hint"]) == (COFFEE, 1499, "completed", None)
    assert all(each["price"] <= 2000 for each in found["results"]) and found["excluded_by_price"] >= 1
    order = await ordered(http, clock, first["url"], max_price=2000)
    price = order["job_result"]["price_components"]
    assert (order["status"], price["subtotal"], price["cart_items"][0]["name"]) == (
        "order_placed",
        1499,
        first["title"],
    )
    assert order["tracking_numbers"][0]["status"] == "delivered"


async def test_searches_follow_the_documents(http: httpx.AsyncClient) -> None:
    anything = await get(http, "/search", q="coffee")
    assert {each["retailer"] for each in anything["results"]}.isdisjoint({"etsy", "practiceroasters.example"})
    assert anything["excluded_by_price"] is None
    assert all(each["free_shipping"] in (True, None) for each in anything["results"])
    assert [each["retailer"] for each in (await get(http, "/search", q="mug", retailer="etsy"))["results"]] == [
        "etsy"
    ] * 2
    named = await get(http, "/search", q="coffee", retailer=["practiceroasters", "walmart"])
    assert {each["retailer"] for each in named["results"]} == {"practiceroasters.example", "walmart"}
    cheap = [each["price"] for each in (await get(http, "/search", q="coffee", sort="price_asc", limit=50))["results"]]
    assert cheap[-1] is None and cheap[:-1] == sorted(cheap[:-1])
    rated = [each["stars"] for each in (await get(http, "/search", q="coffee", sort="rating"))["results"]]
    assert rated[0] == 5.0
    assert "price range" in (await get(http, "/search", q="whole bean coffee", max_price=1))["hint"]
    assert "only when named" in (await get(http, "/search", q="handmade mug pattern"))["hint"]
    assert (await get(http, "/search", q="antigravity"))["results"] == []
    assert (await get(http, "/search", q="hostile title"))["results"][0]["title"] == HOSTILE
    assert (await get(http, "/search", q="test product sold out"))["results"][0]["url"].endswith("/test-out-of-stock")


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/search", {}),
        ("/search", {"q": "x", "limit": "51"}),
        ("/search", {"q": "x", "limit": "many"}),
        ("/search", {"q": "x", "sort": "cheapest"}),
        ("/search", {"q": "x", "retailer": "nowhere"}),
        ("/products/search", {"query": "coffee"}),
        ("/products/B0SNDBXC01", {}),
        ("/products/B0SNDBXC01", {"retailer": "amazon", "max_age": "30"}),
        ("/products/B0SNDBXC01", {"retailer": "amazon", "max_age": "60", "newer_than": "1"}),
        ("/products/9990000011/offers", {"retailer": "etsy"}),
        ("/products/house-blend/offers", {"retailer": "practiceroasters.example"}),
        ("/retailers/check", {}),
        ("/retailers/check", {"url": COFFEE, "country": "USA"}),
    ],
)
async def test_a_wrong_question_is_a_422(http: httpx.AsyncClient, path: str, parameters: dict[str, Any]) -> None:
    assert (await get(http, path, 422, **parameters))["detail"][0]["loc"][0] == "query"


@pytest.mark.parametrize(
    "path",
    [
        "/search?q=x",
        "/products/search?query=x&retailer=amazon",
        "/products/1?retailer=amazon",
        "/products/1/offers?retailer=amazon",
    ],
)
async def test_data_needs_a_key_and_shops_do_not(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 401
    assert (await http.get("/retailers")).status_code == 200
    assert (await http.get("/retailers/check", params={"url": COFFEE})).status_code == 200


async def test_details_and_offers_have_each_shops_own_fields(http: httpx.AsyncClient) -> None:
    shirt = await get(http, "/products/B0SNDBXS01", retailer="amazon")
    assert shirt["asin"] == "B0SNDBXS01" and shirt["variant_specifics"][0] == {"dimension": "Color", "value": "Black"}
    assert len(shirt["all_variants"]) == 3
    blend = await get(http, "/products/house-blend", retailer="practiceroasters.example")
    assert blend["variants"][0]["properties"][0] == {"name": "Size", "value": "12 oz"} and "<b>" in blend["description"]
    mug = await get(http, "/products/9990000011", retailer="etsy")
    assert (mug["currency_code"], mug["price"], mug["has_variations"]) == ("EUR", 2600, True)
    pattern = await get(http, "/products/9990000012", retailer="etsy")
    assert (pattern["listing_type"], pattern["variants"]) == ("download", [])
    assert (await get(http, "/products/B0SNDBXE01", retailer="amazon"))["digital"] is True
    assert (await get(http, "/products/J3SNDBX001", retailer="bestbuy"))["offers"][1]["condition"] == "Refurbished"
    offers = await get(http, "/products/B0SNDBXC01/offers", retailer="amazon")
    assert {each["condition"] for each in offers["offers"]} == {"New", "Used - Like New", "Unacceptable"}
    asynchronous = await get(http, "/products/B0SNDBXC01/offers", **{"retailer": "amazon", "async": "true"})
    assert asynchronous == {"status": "processing", "retailer": "amazon"}
    for path in ("/products/B000000000", "/products/B000000000/offers"):
        unknown = await get(http, path, retailer="amazon")
        assert (unknown["status"], unknown["code"]) == ("failed", "product_not_found")
    rows = (await get(http, "/products/search", query="coffee", retailer="walmart"))["results"]
    assert len(rows) >= 2 and all(each["product_id"] and each["url"] for each in rows)


@pytest.mark.parametrize(
    ("url", "country", "expected"),
    [
        (COFFEE, "us", (True, "verified", None)),
        (BLEND, "CA", (True, "observed", None)),
        (BLEND, "DE", (True, "observed", "retailer_country_not_supported")),
        (BLEND, None, (True, "observed", None)),
        ("https://closedshop.example/products/lamp", "US", (False, "unsupported", "unsupported_retailer")),
        (f"{TESTS}unsupported-retailer", "US", (False, "unsupported", "unsupported_retailer")),
        ("https://never-seen.example/products/x", "US", (True, "untested", None)),
    ],
)  # fmt: skip
async def test_the_check_of_a_shop_is_the_gate_of_its_orders(
    http: httpx.AsyncClient, clock: HandClock, url: str, country: str | None, expected: tuple[bool, str, str | None]
) -> None:
    check = await get(http, "/retailers/check", url=url, **({"country": country} if country else {}))
    assert (check["orderable"], check["support"], check["unsupported_reason"]) == expected
    address = {**ADDRESS, "country": country or "US", "postal_code": "10001"}
    variant = [{"label": "Size", "value": "2 lb"}, {"label": "Grind", "value": "Whole bean"}]
    product = {"variant": variant} if url == BLEND else {}
    order = await ordered(http, clock, url, shipping_address=address, product=product)
    assert (order if expected[2] else order["status"]) == (expected[2] or "order_placed")


async def test_a_shop_for_its_own_customers_takes_only_orders_with_an_account(
    http: httpx.AsyncClient, clock: HandClock
) -> None:
    rice = "https://membersonly.example/products/rice"
    assert (await get(http, "/retailers/check", url=rice))["checkout"]["guest_checkout"] is False
    assert await ordered(http, clock, rice) == "guest_checkout_not_supported"
    assert (await ordered(http, clock, rice, retailer_credentials_id="zn_acct_1"))["status"] == "order_placed"


@pytest.mark.parametrize(
    ("url", "changes", "error"),
    [
        (COFFEE, {"max_price": 1499}, "max_price_exceeded"),
        ("https://www.amazon.com/dp/B0SNDBXC03", {}, "product_out_of_stock"),
        ("https://www.amazon.com/dp/B0SNDBXE01", {}, "product_unavailable"),
        (BLEND, {}, "product_variant_required"),
        (BLEND, {"product": {"variant": [{"label": "Size", "value": "5 lb"}]}}, "product_variant_unavailable"),
        (BLEND, {"product": {"variant": [{"label": "size", "value": "2 LB"}]}}, "product_variant_unavailable"),
    ],
)
async def test_an_item_that_cannot_be_bought_so_fails(
    http: httpx.AsyncClient, clock: HandClock, url: str, changes: dict[str, Any], error: str
) -> None:
    order = await ordered(http, clock, url, **changes)
    assert (order["status"], order["job_result"]["error_type"]) == ("order_failed", error)


async def test_a_page_that_is_gone_is_refused_at_once_and_a_foreign_price_is_converted(
    http: httpx.AsyncClient, clock: HandClock
) -> None:
    assert await ordered(http, clock, "https://www.target.com/p/-/A-99900009") == "url_unreachable"
    mug = "https://www.etsy.com/listing/9990000011/practice-mug"
    order = await ordered(http, clock, mug, product={"variant": [{"label": "Glaze", "value": "Blue"}]})
    price = order["job_result"]["price_components"]
    assert (price["currency"], price["payment_currency"]) == ("EUR", "USD")
    assert abs(price["subtotal"] - 2600) <= 2 and price["converted_payment_total"] > price["total"]


async def test_the_list_of_retailers_is_paged_and_filtered(http: httpx.AsyncClient) -> None:
    everything = await get(http, "/retailers")
    assert everything["total"] == len(everything["retailers"]) and everything["coverage"]["policy"] == "open"
    second = await get(http, "/retailers", limit=1, offset=1)
    assert second["retailers"] == everything["retailers"][1:2]
    [amazon] = [
        each for each in (await get(http, "/retailers", name="AMAZON"))["retailers"] if each["retailer"] == "amazon"
    ]
    assert (amazon["supported_countries"], amazon["support"]) == ([], "verified")
