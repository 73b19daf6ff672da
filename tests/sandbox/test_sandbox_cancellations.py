"""The sandbox cancels a pending order as documented, misbehaves on demand, and shows the proof of a delivery."""

import httpx
import pytest
from sandbox.practising import Clock, customer, order, placed, read

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.aftercare.requests import changes
from zinc_mcp.sandbox.dialect import Dialect


async def test_a_pending_order_is_cancelled_once_and_stays_so() -> None:
    clock = Clock()
    async with customer(Sandbox(clock=clock)) as client:
        taken = await placed(client, order())
        first = await client.post(f"/orders/{taken['id']}/cancel")
        second = await client.post(f"/orders/{taken['id']}/cancel")
        clock.now += 60
        found = await read(client, taken["id"])
    assert (first.status_code, first.content, second.status_code) == (204, b"", 422)
    assert (found["status"], found["job_result"], found["tracking_numbers"]) == ("cancelled", None, [])


@pytest.mark.parametrize("status", ["status_422", "status_409", "status_400"])
async def test_a_later_cancellation_is_refused_in_each_documented_way(status: str) -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock, dialect=Dialect.parse(f"not_cancellable={status}"))
    async with customer(sandbox) as client:
        taken = await placed(client, order())
        clock.now += 2
        answer = await client.post(f"/orders/{taken['id']}/cancel")
        assert answer.status_code == int(status[-3:])
        assert answer.json()["error"]["code"] == "order_not_cancellable"
        assert (await read(client, taken["id"]))["status"] == "in_progress"


async def test_faults_spoil_the_answer_and_the_next_cancellation_is_answered() -> None:
    sandbox = Sandbox(clock=Clock())
    async with customer(sandbox) as client:
        taken = await placed(client, order("success?cancel_fault=false_204,drop_before,drop_after"))
        path = f"/orders/{taken['id']}/cancel"
        assert (await client.post(path)).status_code == 204
        assert (await read(client, taken["id"]))["status"] == "pending", "it was a lie"
        with pytest.raises(httpx.TransportError):
            await client.post(path)
        assert (await read(client, taken["id"]))["status"] == "pending"
        with pytest.raises(httpx.TransportError):
            await client.post(path)
        assert (await read(client, taken["id"]))["status"] == "cancelled"
        await client.post(path)
    outcomes = ["not_accepted_false_204", "not_accepted_drop_before", "cancelled", "rejected_422"]
    assert [(each["path"], each["outcome"]) for each in changes(sandbox)] == [(path, name) for name in outcomes]


async def test_a_fault_that_does_not_exist_is_named_when_the_order_is_placed() -> None:
    async with customer(Sandbox(clock=Clock())) as client:
        for query in ("cancel_fault=nonsense", "fault=false_204"):
            assert (await client.post("/orders", json=order(f"success?{query}"))).status_code == 400


async def test_a_stranger_s_order_cannot_be_cancelled() -> None:
    sandbox = Sandbox(clock=Clock())
    async with customer(sandbox) as ada, customer(sandbox, "zn_test_bob") as bob:
        taken = await placed(ada, order())
        assert (await bob.post(f"/orders/{taken['id']}/cancel")).status_code == 404
        assert (await read(ada, taken["id"]))["status"] == "pending"


async def test_a_delivered_parcel_has_a_proof_and_no_other_has() -> None:
    clock = Clock()
    async with customer(Sandbox(clock=clock)) as client:
        taken = await placed(client, order())
        clock.now += 9
        [moving] = (await read(client, taken["id"]))["tracking_numbers"]
        clock.now += 10
        [arrived] = (await read(client, taken["id"]))["tracking_numbers"]
    assert moving["delivery_proof_url"] is None
    assert arrived["delivery_proof_url"].startswith("https://sandbox.invalid/")


async def test_a_teammate_s_mail_only_narrows_a_list() -> None:
    async with customer(Sandbox(clock=Clock())) as client:
        await placed(client, order())
        assert (await client.get("/orders")).json()["total"] == 1
        assert (await client.get("/orders", params={"user_email": "ada@example.com"})).json()["total"] == 0
