"""An order of Zinc v1 in the sandbox goes every way that the documents know, by the product it buys."""

from typing import Any

import pytest
from sandbox.practising import customer, order
from sandbox.practising_v1 import COFFEE, OWN, V1, order_v1, practised

from zinc_mcp.sandbox.v1.rules.products import RETAILERS, WAYS, Product, practice_id
from zinc_mcp.sandbox.v1.truth import orders
from zinc_mcp.zinc.product_urls.reading import comparable

OURS = "B0SNDBXC02"


def shipped(**wishes: Any) -> dict[str, Any]:
    return practised("placed", shipping_method=None, shipping=wishes)


async def codes(zinc: V1, body: dict[str, Any], *seconds: float) -> list[str]:
    """Place an order and read it after each time; return the codes, or the `_type` of what is placed."""
    request_id = await zinc.place(body)
    found: list[str] = []
    for each in seconds:
        zinc.clock.now += each
        shown = await zinc.read(request_id)
        found.append(str(shown.get("code", shown["_type"])))
    return found


async def test_some_orders_are_processed_for_a_number_of_looks_and_some_for_ever() -> None:
    running, placed = "request_processing", "order_response"
    assert await codes(V1(), practised("looks"), 0, 500, 0, 0, 0) == [running, running, running, placed, placed]
    assert await codes(V1(), practised("slow"), 59, 1) == [running, placed]
    assert await codes(V1(), practised("never_decided"), 10**8) == [running]
    assert await codes(V1(pace=10), practised("slow"), 5, 1) == [running, placed]


async def test_lists_do_not_count_as_looks() -> None:
    zinc = V1()
    request_id = await zinc.place(practised("looks"))
    for _ in range(5):
        assert (await zinc.listed())[0]["code"] == "request_processing"
    assert (await zinc.read(request_id))["code"] == "request_processing"


async def test_a_review_by_hand_is_no_end() -> None:
    review = "manual_review_required"
    assert await codes(V1(), practised("manual_review"), 0, 1, 4, 1) == ["request_processing", review, review, "order_response"]  # fmt: skip  # noqa: E501
    assert await codes(V1(), practised("manual_review_stays"), 2, 10**8) == [review, review]


async def test_a_managed_order_waits_in_the_queue_as_long_as_it_says() -> None:
    overloaded = "zma_temporarily_overloaded"
    running, placed = "request_processing", "order_response"
    assert await codes(V1(), practised("queue"), 12, 1) == [running, placed]
    assert await codes(V1(), practised("queue", addax_queue_timeout=9), 8, 1) == [running, overloaded]
    assert await codes(V1(), practised("queue_full"), 14_399, 1) == [running, overloaded]
    assert await codes(V1(), practised("queue_full", addax_queue_timeout=60), 60) == [overloaded]
    assert await codes(V1(), practised("queue_full", **OWN), 3) == [placed], "an own account needs no queue"


async def test_every_way_ends_as_it_is_called() -> None:
    """Each way is read after a day; those that are told otherwise here are placed."""
    others = {
        "never_decided": "request_processing",
        "looks": "request_processing",
        "manual_review_stays": "manual_review_required",
        "queue_full": "zma_temporarily_overloaded",
        "probably_placed": "order_probably_placed",
        "probably_not_placed": "order_probably_placed",
        "hostile_failure": "product_unavailable",
        "unknown_code": "retailer_on_strike",
        "unknown_type": "order_held",
    }
    for way in WAYS:
        assert await codes(V1(), practised(way.name), 86_400) == [others.get(way.name, "order_response")], way.name


@pytest.mark.parametrize(
    ("body", "ends"),
    [
        (practised("expired"), None),
        (practised("expired", strict_expired_product_id=True), "expired_product_id"),
        (practised("no_gift_option", is_gift=True), None),
        (practised("no_gift_option", is_gift=True, require_gift=True), "no_gift_shipping"),
        (practised("no_gift_option", require_gift=True), None),
        (practised("placed", fail_if_taxed=True), "order_was_taxed"),
        (practised("untaxed", fail_if_taxed=True), None),
        (practised("slow_delivery", max_delivery_days=19), "max_delivery_days_exceeded"),
        (practised("slow_delivery", max_delivery_days=20), None),
        (practised("placed", max_price=4900), None),
        (practised("placed", max_price=4899), "max_price_exceeded"),
        (order_v1("B07JGBW826", max_price=10), None),
        (order_v1("B07JGBW826", max_price=0), "max_price_exceeded"),
        (order_v1(OURS, max_price=100), "max_price_exceeded"),
        (order_v1("B0SNDBXC03"), "product_unavailable"),
        (order_v1("B0SNDBXE01"), "item_not_supported"),
        (order_v1(COFFEE, shipping_method="free"), None),
        (order_v1(OURS, shipping_method="free"), "no_free_shipping"),
        (shipped(order_by="price", max_days=2), "shipping_method_unavailable"),
        (shipped(order_by="price", max_price=1), "shipping_method_unavailable"),
        (shipped(order_by="speed", max_price=600), None),
        (practised("placed", promo_codes=[{"code": "EXPIRED"}]), "invalid_promo_code"),
        (practised("placed", promo_codes=[{"code": "EXPIRED", "optional": True}]), None),
    ],
)  # fmt: skip
async def test_the_rules_of_an_order_decide_how_it_ends(body: dict[str, Any], ends: str | None) -> None:
    assert await V1().outcome(body) == (("error", ends) if ends else ("order_response", None))


@pytest.mark.parametrize(
    ("criteria", "buys"),
    [
        (None, ("Practice Mart", 1499)),
        ({}, ("Dented Tins", 700)),
        ({"condition_in": ["New"]}, ("Practice Mart", 1499)),
        ({"condition_in": ["New"], "handling_days_max": 9, "international": True}, ("Beans Abroad", 1290)),
        ({"condition_in": ["Used - Like New"]}, ("Second Cup Resale", 1150)),
        ({"first_party_seller": False, "condition_in": ["New"], "international": False}, ("Corner Stock", 1399)),
        ({"max_item_price": 600}, None),
        ({"condition_in": ["UsedLikeNew"]}, None),
        ({"condition_in": ["Used - Like New"], "prime": True}, None),
    ],
)
async def test_the_cheapest_offer_that_fits_the_criteria_is_bought(criteria: Any, buys: Any) -> None:
    product: dict[str, Any] = {"product_id": COFFEE, "quantity": 1, "seller_selection_criteria": criteria}
    zinc = V1()
    shown = await zinc.read(await zinc.place(order_v1(products=[product]), 5))
    if buys is None:
        assert shown["code"] == "product_unavailable"
    else:
        (bought,) = shown["price_components"]["products"]
        assert (bought["seller_id"], bought["price"]) == buys


async def test_the_buy_box_is_taken_without_any_criteria() -> None:
    product = {"product_id": COFFEE, "quantity": 1, "seller_selection_criteria": {"max_item_price": 1}}
    assert await V1().outcome(order_v1(products=[product], take_buybox_offers=True)) == ("order_response", None)


async def test_an_expired_id_buys_the_one_to_which_the_retailer_leads() -> None:
    zinc = V1()
    shown = await zinc.read(await zinc.place(practised("expired"), 8))
    assert shown["price_components"]["products"][0]["product_id"] == COFFEE
    assert shown["tracking"][0]["product_id"] == COFFEE


async def test_an_abort_works_at_once_or_later_or_never_and_only_while_processed() -> None:
    zinc = V1()
    request_id = await zinc.place()
    told = await zinc.post({}, f"/{request_id}/abort")
    assert (told["code"], told["request_id"]) == ("aborted_request", request_id)
    zinc.clock.now += 100
    assert (await zinc.read(request_id))["code"] == "aborted_request"
    later = await zinc.place(practised("abort_later"))
    told = await zinc.post({}, f"/{later}/abort")
    assert (told["code"], told["request_id"]) == ("request_processing", later)
    zinc.clock.now += 2
    assert (await zinc.read(later))["code"] == "aborted_request"
    never = await zinc.place(practised("abort_refused"))
    assert (await zinc.post({}, f"/{never}/abort"))["code"] == "request_processing"
    zinc.clock.now += 6
    assert (await zinc.read(never))["_type"] == "order_response"
    assert (await zinc.post({}, f"/{never}/abort"))["_type"] == "order_response"
    assert (await zinc.post({}, "/0123/abort"))["code"] == "invalid_request_id"


async def test_only_a_failed_order_can_be_retried_and_that_is_a_new_order() -> None:
    zinc = V1()
    request_id = await zinc.place(practised("failed_internal_error"))
    assert (await zinc.post({}, f"/{request_id}/retry"))["code"] == "invalid_request"
    zinc.clock.now += 3
    key = {"idempotency_key": "again"}
    told = await zinc.post(key, f"/{request_id}/retry")
    assert told["request_id"] != request_id and await zinc.post(key, f"/{request_id}/retry") == told
    assert len(zinc.sandbox.placed()) == 2
    assert (await zinc.read(told["request_id"]))["code"] == "request_processing"


async def test_a_v1_product_is_the_product_of_its_v2_address() -> None:
    zinc = V1()
    shown = await zinc.read(await zinc.place(order_v1(OURS), 5))
    async with customer(zinc.sandbox) as v2:
        body = {**order(), "products": [{"url": Product("amazon", OURS).url}]}
        taken = (await v2.post("/orders", json=body)).json()
        zinc.clock.now += 5
        found = (await v2.get(f"/orders/{taken['id']}")).json()
        assert len((await v2.get("/orders")).json()["orders"]) == 1, "each service shows its own orders"
    assert found["job_result"]["price_components"]["subtotal"] == shown["price_components"]["subtotal"]
    assert Product("amazon", OURS).canonical == comparable(f"https://smile.amazon.com/x/dp/{OURS}?th=1")
    ids = {"walmart": "9990000001", "costco": "100123456", "homedepot": "999000001", "aliexpress": "1005001123456789"}
    for retailer in RETAILERS:
        product = Product(retailer, ids.get(retailer, OURS))
        assert product.canonical.endswith((product.product_id, f"{product.product_id}.html")), retailer
        assert practice_id("slow", retailer) and Product(retailer, practice_id("slow", retailer)).course.name == "slow"


async def test_the_products_to_practise_on_are_listed() -> None:
    zinc = V1()
    rows = (await zinc.client.get("/practice/products")).json()["products"]
    assert len({row["amazon"] for row in rows}) == len(rows) > 100
    assert {way.name for way in WAYS} <= {row["name"] for row in rows}
    with pytest.raises(LookupError):
        practice_id("no_such_course")


async def test_the_truth_knows_what_was_bought_whatever_is_shown() -> None:
    zinc = V1()
    for name in ("probably_placed", "probably_not_placed", "placed", "never_decided", "unknown_type", "queue_full"):
        await zinc.place(practised(name))
    await zinc.place(order_v1(OURS, **OWN, zma_priority_bid=100))
    zinc.clock.now += 20
    assert [(each.stage, each.is_bought, each.cents) for each in orders(zinc.sandbox)] == [
        ("failed", True, 4900),
        ("failed", False, 0),
        ("placed", True, 4900),
        ("processing", False, 0),
        ("placed", True, 4900),
        ("processing", False, 0),
        ("placed", True, 2736),
    ]
    assert orders(zinc.sandbox)[-1].canonical == (f"amazon.com/dp/{OURS}",)
