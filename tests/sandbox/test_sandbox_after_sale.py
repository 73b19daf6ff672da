"""Returns and cases in the sandbox, as the documents say and where they leave something open."""

from typing import Any

import httpx
import pytest
from sandbox.practising import Clock, customer, order

from zinc_mcp.sandbox import Dialect, Sandbox

LABEL_END = "&sig="


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def delivered(client: httpx.AsyncClient, clock: Clock, scenario: str = "success", quantity: int = 2) -> Any:
    body = order(scenario, max_price=20_000)
    body["products"][0]["quantity"] = quantity
    placed = (await client.post("/orders", json=body)).json()
    clock.now += 20
    return (await client.get(f"/orders/{placed['id']}")).json()


def back(placed: Any, quantity: int = 1, **changed: Any) -> dict[str, Any]:
    items = [{"order_item_id": placed["items"][0]["id"], "quantity": quantity}]
    return {"order_id": placed["id"], "items": items, "reason": "defective", **changed}


async def test_a_return_is_opened_approved_with_a_label_and_credited(clock: Clock) -> None:
    async with customer(Sandbox(clock=clock)) as client:
        placed = await delivered(client, clock)
        answer = await client.post("/returns", json=back(placed, notes="loose"))
        filed = answer.json()
        assert (answer.status_code, filed["status"], filed["credited_amount"]) == (201, "open", 0)
        assert filed["label_urls"] == []
        clock.now += 2.5
        approved = (await client.get(f"/returns/{filed['id']}")).json()
        assert (approved["status"], LABEL_END in approved["label_urls"][0]) == ("approved", True)
        clock.now += 3
        listed = (await client.get("/returns", params={"search": placed["id"][:8]})).json()
        assert listed["total"] == 1
        assert listed["return_requests"][0]["status"] == "credited"
        [summary] = (await client.get(f"/orders/{placed['id']}")).json()["returns"]
        total = placed["job_result"]["price_components"]["total"]
        assert summary["credited_amount"] == total // 2
        assert {"order_id", "merchant_return_id"}.isdisjoint(summary)
        [row] = (await client.get("/orders")).json()["orders"]
        assert row["returns"][0]["id"] == filed["id"]


async def test_a_denied_return_has_no_label_and_no_credit(clock: Clock) -> None:
    async with customer(Sandbox(clock=clock)) as client:
        placed = await delivered(client, clock, "success?return=denied")
        filed = (await client.post("/returns", json=back(placed, 2))).json()
        clock.now += 60
        shown = (await client.get(f"/returns/{filed['id']}")).json()
        assert (shown["status"], shown["label_urls"], shown["credited_amount"]) == ("denied", [], 0)
        assert (await client.post("/returns", json=back(placed, 2))).status_code == 201


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"reason": "late"}, 422),
        ({"items": []}, 422),
        ({"items": [{"order_item_id": "x", "quantity": 1}]}, 422),
        ({"items": [{"order_item_id": "x", "quantity": 101}]}, 422),
        ({"surprise": 1}, 422),
        ({"order_id": "00000000-0000-4000-8000-000000000000"}, 404),
    ],
)
async def test_a_malformed_return_is_refused(clock: Clock, changed: dict[str, Any], status: int) -> None:
    async with customer(Sandbox(clock=clock)) as client:
        placed = await delivered(client, clock)
        assert (await client.post("/returns", json=back(placed, **changed))).status_code == status


@pytest.mark.parametrize("conflict", [409, 422, 400])
async def test_a_return_of_returned_or_unplaced_goods_is_refused(clock: Clock, conflict: int) -> None:
    async with customer(Sandbox(clock=clock, dialect=Dialect.parse(f"return_conflict=status_{conflict}"))) as client:
        placed = await delivered(client, clock)
        assert (await client.post("/returns", json=back(placed, 2))).status_code == 201
        again = await client.post("/returns", json=back(placed))
        assert (again.status_code, again.json()["error"]["code"]) == (409, "already_exists")
        fresh = (await client.post("/orders", json=order("success"))).json()
        early = await client.post("/returns", json=back(fresh))
        assert (early.status_code, early.json()["error"]["code"]) == (conflict, "return_not_allowed")


async def test_another_account_sees_nothing_of_it(clock: Clock) -> None:
    sandbox = Sandbox(clock=clock)
    async with customer(sandbox) as client, customer(sandbox, "zn_test_eve") as eve:
        placed = await delivered(client, clock)
        filed = (await client.post("/returns", json=back(placed))).json()
        case = (await client.post("/cases", files=_form(placed, "late"))).json()
        assert (await eve.get("/returns")).json() == {"return_requests": [], "total": 0}
        assert (await eve.get("/cases")).json() == {"cases": [], "total": 0}
        for path in (f"/returns/{filed['id']}", f"/cases/{case['id']}"):
            assert (await eve.get(path)).status_code == 404
        assert (await eve.post("/returns", json=back(placed))).status_code == 404
        assert (await eve.post(f"/cases/{case['id']}/close")).status_code == 404
    async with httpx.AsyncClient(transport=sandbox.transport(), base_url="https://api.zinc.com") as nobody:
        assert (await nobody.get("/returns")).status_code == 401


def _form(placed: Any, reason: str, body: str = "It is late.") -> dict[str, Any]:
    # httpx writes the form, so that our own writer is not checked by itself.
    return {"order_id": (None, placed["id"]), "reason": (None, reason), "body": (None, body)}


async def test_a_case_is_answered_closed_and_opened_again_by_a_message(clock: Clock) -> None:
    async with customer(Sandbox(clock=clock)) as client:
        placed = await delivered(client, clock)
        answer = await client.post("/cases", files=_form(placed, "late", "It is\nlate — “very”."))
        case = answer.json()
        assert (answer.status_code, case["status"]) == (201, "open")
        assert case["messages"][0]["body"] == "It is\nlate — “very”."
        second = await client.post("/cases", files=_form(placed, "other"))
        assert (second.status_code, second.json()["error"]["code"]) == (409, "already_exists")
        clock.now += 3
        shown = (await client.get(f"/cases/{case['id']}")).json()
        assert (shown["status"], shown["messages"][-1]["author"]) == ("waiting_on_customer", "zinc")
        for _ in range(2):  # closing is idempotent
            closed = await client.post(f"/cases/{case['id']}/close")
            assert (closed.status_code, closed.json()["status"]) == (200, "closed")
        more = await client.post(f"/cases/{case['id']}/messages", files={"body": (None, "Again.")})
        assert (more.status_code, more.json()["status"]) == (201, "open")
        listed = (await client.get("/cases", params={"order_id": placed["id"], "reason": "late"})).json()
        assert (listed["total"], len(listed["cases"][0]["messages"])) == (1, 3)
        [summary] = (await client.get(f"/orders/{placed['id']}")).json()["cases"]
        assert (summary["id"], "messages" in summary) == (case["id"], False)


@pytest.mark.parametrize("reason", ["return", "angry"])
async def test_a_case_needs_one_of_the_reasons(clock: Clock, reason: str) -> None:
    async with customer(Sandbox(clock=clock)) as client:
        placed = await delivered(client, clock)
        assert (await client.post("/cases", files=_form(placed, reason))).status_code == 422
        assert (await client.post("/cases", json={"order_id": placed["id"], "reason": "late"})).status_code == 422


async def test_new_ones_are_missing_from_lists_that_lag(clock: Clock) -> None:
    async with customer(Sandbox(clock=clock, dialect=Dialect.parse("after_sale_listing=lags"))) as client:
        placed = await delivered(client, clock)
        await client.post("/returns", json=back(placed))
        await client.post("/cases", files=_form(placed, "late"))
        assert (await client.get("/returns")).json()["total"] == (await client.get("/cases")).json()["total"] == 0
        clock.now += 6
        assert (await client.get("/returns")).json()["total"] == (await client.get("/cases")).json()["total"] == 1
