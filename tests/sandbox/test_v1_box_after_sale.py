"""After a v1 order is placed the sandbox cancels it, takes it back, keeps its case, and moves its money."""

from typing import Any

import pytest
from sandbox.practising_v1 import COFFEE, OWN, V1, asking, order_v1, practised

from zinc_mcp.sandbox.v1.aftercare.cases import REASONS

RETURN: dict[str, Any] = {
    "products": [{"product_id": COFFEE, "quantity": 1}],
    "reason_code": "inaccurate website description",
    "method_code": "UPS Dropoff",
    "explanation": "It is another one.",
}
PRICE, GOODS = 1582, 1499


async def placed(zinc: V1, **fields: Any) -> tuple[str, str]:
    """Place an order; return its id and the retailer's."""
    request_id = await zinc.place(order_v1(**fields), 3)
    shown = await zinc.read(request_id)
    return request_id, shown["merchant_order_ids"][0]["merchant_order_id"]


async def cancelled(zinc: V1, way: str, *seconds: float) -> list[str]:
    """Cancel a placed order and read the cancellation after each time."""
    request_id, number = await placed(zinc, client_notes=asking(f"cancel={way}"))
    told = await zinc.post({"merchant_order_id": number}, f"/{request_id}/cancel")
    found: list[str] = []
    for each in seconds:
        zinc.clock.now += each
        shown = await zinc.read(told["request_id"], "cancellations")
        found.append(str(shown.get("code", shown["_type"])))
    return found


async def balance(zinc: V1) -> int:
    return int((await zinc.client.get("/addax/balance")).json()["balance"])


async def moved(zinc: V1) -> list[int]:
    """Return the amounts that were moved after the deposit, oldest first, and check that they are the balance."""
    rows = (await zinc.client.get("/addax/transactions")).json()["transactions"][::-1]
    assert sum(row["amount"] for row in rows) == await balance(zinc)
    return [row["amount"] for row in rows[1:]]


async def test_a_cancellation_may_take_time_and_may_fail() -> None:
    attempting, done = "attempting_to_cancel", "cancellation_response"
    assert await cancelled(V1(), "direct", 0, 1) == ["request_processing", done]
    assert await cancelled(V1(), "attempting", 1, 4.9, 0.1) == [attempting, attempting, done]
    assert await cancelled(V1(), "attempting_refused", 1, 5) == [attempting, "cancellation_failed"]
    assert await cancelled(V1(), "stuck", 10**6) == [attempting]
    assert await cancelled(V1(), "refused", 1) == ["cancellation_failed"]


async def test_about_half_of_the_cancellations_take_time() -> None:
    seen: set[str] = set()
    zinc = V1()
    for number in range(20):
        request_id, merchant = await placed(zinc, client_notes={"n": number})
        told = await zinc.post({"merchant_order_id": merchant}, f"/{request_id}/cancel")
        zinc.clock.now += 2
        shown = await zinc.read(told["request_id"], "cancellations")
        seen.add(str(shown.get("code", shown["_type"])))
    assert seen == {"attempting_to_cancel", "cancellation_response"}


async def test_a_shipped_order_is_not_cancelled_any_more() -> None:
    zinc = V1()
    request_id, number = await placed(zinc, client_notes=asking("cancel=direct"))
    zinc.clock.now += 5
    told = await zinc.post({"merchant_order_id": number}, f"/{request_id}/cancel")
    zinc.clock.now += 1
    assert (await zinc.read(told["request_id"], "cancellations"))["code"] == "cancellation_failed"
    assert await moved(zinc) == [-PRICE]


async def test_a_cancelled_order_reads_as_before_has_no_parcel_and_brings_its_money_back() -> None:
    zinc = V1()
    request_id, number = await placed(zinc, client_notes=asking("cancel=direct"), zma_priority_bid=50)
    assert await moved(zinc) == [-PRICE - 50]
    body = {"merchant_order_id": number, "idempotency_key": "c", "webhooks": {"request_failed": "https://x.example"}}
    told = await zinc.post(body, f"/{request_id}/cancel")
    assert await zinc.post(body, f"/{request_id}/cancel") == told
    zinc.clock.now += 60
    shown = await zinc.read(request_id)
    assert shown["_type"] == "order_response" and shown["tracking"] == []
    assert await moved(zinc) == [-PRICE - 50, PRICE + 50]
    found = await zinc.read(told["request_id"], "cancellations")
    assert (found["merchant_order_id"], found["request"]) == (number, body)


async def test_each_order_at_the_retailer_is_cancelled_by_itself() -> None:
    zinc = V1()
    request_id = await zinc.place(practised("two_parcels", client_notes=asking("cancel=direct")), 3)
    first, second = (each["merchant_order_id"] for each in (await zinc.read(request_id))["merchant_order_ids"])
    await zinc.post({"merchant_order_id": first}, f"/{request_id}/cancel")
    zinc.clock.now += 20
    assert {each["merchant_order_id"] for each in (await zinc.read(request_id))["tracking"]} == {second}
    assert await moved(zinc) == [-4900, 2450]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("cancel", {}),
        ("cancel", {"merchant_order_id": "112-0000000-0000000"}),
        ("cancel", {"merchant_order_id": 7}),
        ("cancel", []),
        ("return", {**RETURN, "products": []}),
        ("return", {**RETURN, "products": [{"product_id": COFFEE, "quantity": 2}]}),
        ("return", {**RETURN, "products": [{"product_id": "B0SNDBXC02", "quantity": 1}]}),
        ("return", {name: value for name, value in RETURN.items() if name != "method_code"}),
        ("return", {**RETURN, "cancel_pending": "yes"}),
        ("case", {}),
        ("case", {"message": "Without a reason there is nothing to add to."}),
        ("case", {"reason": "boredom", "message": "No such reason."}),
    ],
)
async def test_a_wrong_change_is_refused_and_its_key_replays_that(path: str, body: Any) -> None:
    zinc = V1()
    request_id, _ = await placed(zinc)
    keyed: Any = {**body, "idempotency_key": "k"} if body != [] else body
    told = await zinc.post(keyed, f"/{request_id}/{path}")
    assert told["code"] == "invalid_request"
    assert await zinc.post(keyed, f"/{request_id}/{path}") == told


async def test_only_a_placed_order_is_cancelled_or_returned_and_only_at_two_shops() -> None:
    zinc = V1("v1_managed_shops=all")
    early = await zinc.place()
    wrong = {"merchant_order_id": "112-0000000-0000000"}
    assert (await zinc.post(wrong, f"/{early}/cancel"))["code"] == "invalid_request"
    assert (await zinc.post(RETURN, f"/{early}/return"))["code"] == "invalid_request"
    walmart = order_v1(retailer="walmart", products=[{"product_id": "9990000001", "quantity": 1}])
    elsewhere = await zinc.place(walmart, 5)
    assert (await zinc.post(wrong, f"/{elsewhere}/cancel"))["code"] == "invalid_request"
    assert (await zinc.post(RETURN, f"/{elsewhere}/return"))["code"] == "invalid_request"
    for kind in ("cancellations", "returns"):
        assert (await zinc.read(early, kind))["code"] == "invalid_request_id"


async def test_a_return_brings_labels_and_by_the_method_that_pays_the_price_of_the_goods() -> None:
    zinc = V1()
    request_id, _ = await placed(zinc)
    told = await zinc.post(RETURN, f"/{request_id}/return")
    assert (await zinc.read(told["request_id"], "returns"))["code"] == "request_processing"
    zinc.clock.now += 1
    shown = await zinc.read(told["request_id"], "returns")
    assert shown["_type"] == "return_response" and shown["merchant_return_id"] and shown["return_by"]
    assert all(each.startswith("https://") for each in shown["label_urls"]) and len(shown["label_urls"]) == 1
    assert shown["request"] == RETURN
    zinc.clock.now += 5
    assert await moved(zinc) == [-PRICE, GOODS]
    case = (await zinc.client.get(f"/orders/{request_id}/case")).json()
    assert case["state"] == "open"
    types = [message["type"] for message in case["messages"]]
    assert types == ["case.opened.return.request_label", "case.return.label_generated"]


async def test_a_second_return_of_the_same_is_in_progress_unless_it_cancels_the_first() -> None:
    zinc = V1()
    request_id, _ = await placed(zinc)
    made = [await zinc.post(RETURN, f"/{request_id}/return") for _ in range(2)]
    replaced = await zinc.post({**RETURN, "cancel_pending": True}, f"/{request_id}/return")
    zinc.clock.now += 1
    shown = [await zinc.read(each["request_id"], "returns") for each in (*made, replaced)]
    assert [each.get("code", each["_type"]) for each in shown] == [
        "return_response",
        "return_in_progress",
        "return_response",
    ]
    assert shown[1]["data"]["status"]["status"]


async def test_a_return_may_fail_and_another_method_pays_nothing() -> None:
    zinc = V1()
    refused, _ = await placed(zinc, client_notes=asking("return=refused"))
    other, _ = await placed(zinc)
    told = await zinc.post(RETURN, f"/{refused}/return")
    await zinc.post({**RETURN, "method_code": "Mail"}, f"/{other}/return")
    dummy = await zinc.post({**RETURN, "method_code": "Dummy Method Code"}, f"/{other}/return")
    zinc.clock.now += 60
    assert (await zinc.read(told["request_id"], "returns"))["code"] == "return_failed"
    assert (await zinc.read(dummy["request_id"], "returns"))["code"] == "return_in_progress"
    assert await moved(zinc) == [-PRICE, -PRICE]


@pytest.mark.parametrize("reason", REASONS)
async def test_a_case_is_opened_with_each_reason_and_has_a_typed_history(reason: str) -> None:
    zinc = V1()
    request_id, _ = await placed(zinc)
    path = f"/orders/{request_id}/case"
    assert (await zinc.client.get(path)).json() == {"state": None, "messages": []}
    told = await zinc.post({"reason": reason, "message": "Help."}, f"/{request_id}/case")
    assert (told["state"], [each["type"] for each in told["messages"]]) == ("open", [f"case.opened.{reason}"])
    added = await zinc.post({"message": "More."}, f"/{request_id}/case")
    assert [each["message"] for each in added["messages"]] == ["Help.", "More."]
    zinc.clock.now += 5
    found = (await zinc.client.get(path)).json()
    refunds = reason.startswith(("nondelivery.", "cancel."))
    assert (found["state"], found["messages"][-1]["type"] == "case.closed") == (
        "closed" if refunds else "open",
        refunds,
    )
    assert await moved(zinc) == ([-PRICE, PRICE] if refunds else [-PRICE])
    if refunds:
        assert (await zinc.post({"message": "Too late."}, f"/{request_id}/case"))["code"] == "invalid_request"


async def test_an_order_that_the_seller_cancels_is_refunded_in_a_case_of_zincs() -> None:
    zinc = V1()
    request_id = await zinc.place(practised("cancelled_by_seller"), 7)
    assert await moved(zinc) == [-4900]
    zinc.clock.now += 5
    case = (await zinc.client.get(f"/orders/{request_id}/case")).json()
    assert case["state"] == "closed"
    assert case["messages"][0]["type"] == "case.opened.cancel.forced_cancellation"
    assert await moved(zinc) == [-4900, 4900]
    assert (await zinc.read(request_id))["tracking"] == []


async def test_own_accounts_have_no_case_and_move_no_money_of_zincs() -> None:
    zinc = V1()
    request_id, _ = await placed(zinc, **OWN)
    assert (await zinc.post({"reason": "other", "message": "Help."}, f"/{request_id}/case"))[
        "code"
    ] == "invalid_request"
    assert await moved(zinc) == []


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        (order_v1(), PRICE),
        (order_v1(zma_priority_bid=100), PRICE + 100),
        (practised("untaxed", zma_discount=-6), 4929),  # 106 per cent of 4650
        (order_v1(zma_discount=-50, zma_priority_bid=100), 2473),
        (order_v1(zma_discount=-0.5, zma_priority_bid=0.5), 1591),
        (practised("probably_placed"), 4900),
        (practised("probably_not_placed"), None),
        (practised("failed_max_price_exceeded"), None),
        (practised("never_decided"), None),
        (practised("no_price"), 4900),
    ],
)
async def test_the_balance_loses_what_a_bought_order_cost_with_premium_and_bid(body: Any, cost: int | None) -> None:
    zinc = V1()
    request_id = await zinc.place(body, 4)
    assert await moved(zinc) == ([] if cost is None else [-cost])
    shown = await zinc.read(request_id)
    if "price_components" in shown:
        assert shown["price_components"]["converted_payment_total"] == cost


async def test_transactions_are_paged_newest_first() -> None:
    zinc = V1()
    ids = [await zinc.place(seconds=1) for _ in range(4)]
    zinc.clock.now += 10
    page = (await zinc.client.get("/addax/transactions", params={"count": 2, "offset": 1})).json()["transactions"]
    assert [row["request_id"] for row in page] == [ids[2], ids[1]]
    assert (await zinc.client.get("/addax/transactions?count=x")).json()["code"] == "invalid_request"


async def test_an_order_that_is_not_placed_yet_is_not_cancelled_and_the_key_keeps_that_answer() -> None:
    zinc = V1()
    request_id, number = await placed(zinc)
    body = {"merchant_order_id": number, "idempotency_key": "k"}
    zinc.clock.now -= 1
    refused = await zinc.post(body, f"/{request_id}/cancel")
    assert refused["code"] == "invalid_request"
    zinc.clock.now += 1
    assert await zinc.post(body, f"/{request_id}/cancel") == refused
    assert "request_id" in await zinc.post({**body, "idempotency_key": "another"}, f"/{request_id}/cancel")


async def test_an_order_brings_back_at_most_what_it_cost() -> None:
    zinc = V1()
    request_id, _ = await placed(zinc)
    await zinc.post(RETURN, f"/{request_id}/return")
    zinc.clock.now += 10
    await zinc.post({"reason": "nondelivery.damaged", "message": "Broken."}, f"/{request_id}/case")
    zinc.clock.now += 10
    assert await moved(zinc) == [-PRICE, GOODS, PRICE - GOODS]
