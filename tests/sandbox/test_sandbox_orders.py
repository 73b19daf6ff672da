"""A sandbox order goes from pending to delivered or to its product's failure, and its answers say so."""

from typing import Any

import pytest
from sandbox.practising import Clock, customer, order, placed, product, read
from wanted import ADDRESS

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.order_view import order_at
from zinc_mcp.sandbox.products import SCENARIOS
from zinc_mcp.text import plain
from zinc_mcp.zinc.responses import Order


async def after(seconds: float, body: dict[str, Any], *, pace: float = 1.0) -> dict[str, Any]:
    clock = Clock()
    async with customer(Sandbox(clock=clock, pace=pace)) as client:
        taken = await placed(client, body)
        clock.now += seconds
        return await read(client, taken["id"])


async def test_an_order_is_pending_then_in_progress_then_placed_and_its_parcel_walks_to_the_door() -> None:
    clock = Clock()
    walk: list[tuple[Any, ...]] = []
    async with customer(Sandbox(clock=clock)) as client:
        taken = await placed(client, order())
        for seconds in (0, 1, 3, 5, 8, 15, 99):
            clock.now = 1_795_000_000.0 + seconds
            now = await read(client, taken["id"])
            walk.append(
                (now["status"], now["items"][0]["status"], *(each["status"] for each in now["tracking_numbers"]))
            )
    assert walk == [
        ("pending", "pending"),
        ("in_progress", "processing"),
        ("order_placed", "ordered"),
        ("order_placed", "ordered", "pending"),
        ("order_placed", "shipped", "in_transit"),
        ("order_placed", "delivered", "delivered"),
        ("order_placed", "delivered", "delivered"),
    ]


async def test_the_test_product_has_its_measured_price() -> None:
    price = (await after(3, order()))["job_result"]["price_components"]
    assert (price["subtotal"], price["tax"], price["shipping"], price["total"]) == (4500, 250, 150, 4900)


@pytest.mark.parametrize("max_price", [1, 2, 99, 4899, 4900, 1_000_000])
@pytest.mark.parametrize("quantity", [1, 7, 100])
async def test_a_placed_order_never_costs_more_than_max_price_and_its_parts_add_up(
    max_price: int, quantity: int
) -> None:
    url = "https://www.amazon.com/dp/B07JGBW826"
    products = [product(quantity=quantity), {"url": url, "quantity": 2}]
    price = (await after(3, order(products=products, max_price=max_price)))["job_result"]["price_components"]
    assert 0 < price["total"] <= max_price
    assert price["subtotal"] + price["tax"] + price["shipping"] == price["total"]
    assert min(price["subtotal"], price["tax"], price["shipping"]) >= 0
    assert sum(line["line_total"] for line in price["cart_items"]) == price["subtotal"]


async def test_a_faster_pace_gets_there_sooner() -> None:
    assert (await after(1.5, order(), pace=10))["items"][0]["status"] == "delivered"


async def test_checkpoints_are_newest_first_on_a_read_and_on_lists_only_when_included() -> None:
    clock = Clock()
    async with customer(Sandbox(clock=clock)) as client:
        taken = await placed(client, order())
        clock.now += 20
        parcel = (await read(client, taken["id"]))["tracking_numbers"][0]
        times = [each["checkpoint_time"] for each in parcel["checkpoints"]]
        assert len(times) == 3 and times == sorted(times, reverse=True)
        (row,) = (await client.get("/orders")).json()["orders"]
        assert row["tracking_numbers"][0]["checkpoints"] == []
        (row,) = (await client.get("/orders", params={"include": "tracking_events"})).json()["orders"]
        assert row["tracking_numbers"][0]["checkpoints"] == parcel["checkpoints"]


@pytest.mark.parametrize(
    ("scenario", "error_type"),
    [
        ("out-of-stock", "product_out_of_stock"),
        ("price-exceeded", "max_price_exceeded"),
        ("invalid-variant", "invalid_variant"),
        ("shipping-unavailable", "shipping_unavailable"),
        ("unknown-failure", "retailer_on_strike"),
    ],
)
async def test_a_failing_product_is_accepted_and_fails_later(scenario: str, error_type: str) -> None:
    failed = await after(3, order(scenario))
    assert failed["status"] == "order_failed"
    assert failed["job_result"]["success"] is False
    assert failed["job_result"]["error_type"] == failed["job_result"]["error_details"]["code"] == error_type
    assert failed["items"][0]["status"] == "failed"
    assert failed["items"][0]["error_type"] is None
    assert failed["job_result"]["price_components"] is None and failed["merchant_order_ids"] == []


async def test_an_unbuyable_item_fails_the_order_unless_it_may_be_dropped() -> None:
    strict = await after(3, order("success", "partial"))
    assert strict["job_result"]["error_type"] == "product_unavailable"
    lenient = await after(3, order("success", "partial", fulfillment={"items": "best_effort"}))
    assert [item["status"] for item in lenient["items"]] == ["ordered", "skipped"]
    (concession,) = lenient["fulfillment"]["concessions"]
    assert (concession["concern"], concession["item_id"]) == ("items", lenient["items"][1]["id"])
    assert lenient["job_result"]["price_components"]["total"] == 4900
    nothing_left = await after(3, order("partial", fulfillment={"items": "best_effort"}))
    assert nothing_left["status"] == "order_failed"


async def test_a_quantity_above_the_cap_fails_unless_fewer_will_do() -> None:
    products = [product("quantity-limit", quantity=3)]
    assert (await after(3, order(products=products)))["job_result"]["error_type"] == "quantity_limit_exceeded"
    fewer = await after(3, order(products=products, fulfillment={"quantity": "best_effort"}))
    (concession,) = fewer["fulfillment"]["concessions"]
    assert (concession["requested_quantity"], concession["fulfilled_quantity"]) == (3, 1)


async def test_a_gift_fails_without_a_gift_option_unless_it_may_go_ungifted() -> None:
    strict = await after(3, order("no-gift-option", is_gift=True))
    assert strict["job_result"]["error_type"] == "gift_option_unavailable"
    lenient = await after(3, order("no-gift-option", is_gift=True, fulfillment={"gift": "best_effort"}))
    assert [each["concern"] for each in lenient["fulfillment"]["concessions"]] == ["gift"]


async def test_a_placed_order_can_still_be_cancelled_by_its_retailer() -> None:
    assert (await after(4, order("cancelled-by-retailer")))["status"] == "order_placed"
    cancelled = await after(9, order("cancelled-by-retailer"))
    assert (cancelled["status"], cancelled["items"][0]["status"]) == ("cancelled_by_retailer", "cancelled")


async def test_a_return_is_credited_after_delivery() -> None:
    (opened,) = (await after(16.5, order("refunded")))["returns"]
    assert (opened["status"], opened["credited_amount"]) == ("open", 0)
    (credited,) = (await after(18, order("refunded")))["returns"]
    assert (credited["status"], credited["credited_amount"]) == ("credited", 4900)


async def test_a_slow_order_is_placed_after_a_minute_and_ships_after_that() -> None:
    assert (await after(59, order("slow-placement")))["status"] == "in_progress"
    just_placed = await after(60, order("slow-placement"))
    assert (just_placed["status"], just_placed["tracking_numbers"]) == ("order_placed", [])


async def test_prices_come_without_breakdown_in_euros_or_not_at_all() -> None:
    bare = (await after(3, order("no-breakdown")))["job_result"]["price_components"]
    assert (bare["breakdown_recorded"], bare["subtotal"], bare["tax"], bare["total"]) == (False, 0, 0, 4900)
    euros = (await after(3, order("foreign-currency")))["job_result"]["price_components"]
    assert (euros["currency"], euros["payment_currency"]) == ("EUR", "USD")
    assert euros["total"] < euros["converted_payment_total"] == 4900
    paid = (await after(3, order("foreign-payment")))["job_result"]["price_components"]
    assert paid["payment_currency"] == "EUR" and paid["converted_payment_total"] == paid["total"]
    assert (await after(3, order("no-price")))["job_result"]["price_components"] is None


async def test_an_unknown_status_stays_and_means_still_working() -> None:
    strange = await after(500, order("unknown-status"))
    assert strange["status"] == "awaiting_customs_review"
    assert Order.model_validate(strange).stage == "accepted"


async def test_hostile_text_is_hostile_until_it_is_made_plain() -> None:
    hostile = await after(20, order("hostile-text"))
    title = hostile["job_result"]["price_components"]["cart_items"][0]["name"]
    assert "\x1b" in title and "\u202e" in title and "\n" in title
    assert not {"\x1b", "\u202e", "\n", "\u200b"} & set(plain(title, 1000))


@pytest.mark.sampled(4)
@pytest.mark.parametrize("url", sorted(SCENARIOS))
async def test_every_scenario_tells_a_story_the_client_can_read_at_any_time(url: str) -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    async with customer(sandbox) as client:
        answer = await client.post("/orders", json=order(products=[{"url": url}]))
        assert (answer.status_code == 201) == (SCENARIOS[url].refusal is None)
        for seconds in (0, 1, 3, 5, 8, 15, 40, 100):
            clock.now = 1_795_000_000.0 + seconds
            for row in sandbox.placed():
                seen = await read(client, row["order_id"])
                assert Order.model_validate(seen).id == row["order_id"]
                assert seen["created_at"] <= seen["updated_at"]


async def test_an_order_shows_every_documented_field_and_some_that_no_document_names() -> None:
    seen = await after(
        20, order(po_number="PO-1", metadata={"a": 1}, customer_notifications={"email": "ada@example.com"})
    )
    documented = (
        "id status max_price attempts items shipping_address retailer_credentials_id created_at updated_at metadata "
        "po_number tracking_numbers created_by user_id returns handling_days_max is_gift retailer_credentials_uuid "
        "job_result connect gift_message merchant_order_ids customer_notifications payment fulfillment cases"
    ).split()
    assert set(documented) < set(seen)
    assert seen["shipping_address"] == {**ADDRESS, "address_line2": None, "country": "US"}
    assert (seen["po_number"], seen["metadata"]) == ("PO-1", {"a": 1})


async def test_a_connect_order_is_charged_in_simulation() -> None:
    payment = {"mode": "connect", "payment_method": "pm_1", "margin": {"type": "percent", "value": 10}}
    assert (await after(1, order(payment=payment)))["connect"]["state"] == "secured"
    charge = (await after(3, order(payment=payment)))["connect"]
    assert (charge["simulated"], charge["customer_margin"], charge["final_charge"]) == (True, 490, 5490)


async def test_an_order_is_the_same_for_whoever_reads_the_ledger() -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    async with customer(sandbox) as client:
        taken = await placed(client, order())
        clock.now += 20
        assert await read(client, taken["id"]) == await read(client, taken["id"])


async def test_only_a_pending_order_can_be_cancelled() -> None:
    clock = Clock()
    async with customer(Sandbox(clock=clock)) as client:
        first, second = await placed(client, order()), await placed(client, order())
        assert (await client.post(f"/orders/{first['id']}/cancel")).status_code == 204
        clock.now += 30
        cancelled = await read(client, first["id"])
        assert (cancelled["status"], cancelled["items"][0]["status"]) == ("cancelled", "cancelled")
        for order_id in (first["id"], second["id"]):
            refused = await client.post(f"/orders/{order_id}/cancel")
            assert (refused.status_code, refused.json()["error"]["code"]) == (422, "order_not_cancellable")


async def test_the_timeline_tells_what_happened_and_when() -> None:
    clock = Clock()
    async with customer(Sandbox(clock=clock)) as client:
        taken = await placed(client, order())
        clock.now += 9
        timeline = (await client.get(f"/orders/{taken['id']}/timeline")).json()
    assert timeline["current_status"] == "order_placed"
    assert [each["type"] for each in timeline["milestones"]] == [
        "order_created",
        "order_placed",
        "tracking_acquired",
        "shipped",
    ]


def test_a_clock_that_runs_backwards_leaves_an_order_pending() -> None:
    from zinc_mcp.sandbox.ledger import OrderRow

    row = OrderRow("12004b34-897b-4f70-ad63-7ea3ff23d274", "x", order(), 1_795_000_000.0, None)
    assert order_at(row, 1_794_999_000.0, 1.0)["status"] == "pending"
