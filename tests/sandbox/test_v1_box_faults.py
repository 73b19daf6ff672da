"""Each fault breaks an answer of the sandbox's Zinc v1 as its name says, and the ledger knows what came of it."""

from typing import Any

import anyio
import httpx
import pytest
from sandbox.practising import on_a_port
from sandbox.practising_v1 import BASE, TOKEN, V1, asking, client_of, order_v1
from sandbox.test_sandbox_faults import FAULTS as FAULTS_OF_V2

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.faults.asked import AFTER, BEFORE
from zinc_mcp.sandbox.v1.faults import PARAMETERS, STRANGER

FAULTS = [
    *(
        (name, accepted, 200 if seen in (201, 401) else seen, on_port)
        for name, accepted, seen, on_port in FAULTS_OF_V2
        if name in BEFORE | AFTER | {"slow_2"}
    ),
    ("other_order", True, 200, None),
]
"""As in the table of v2. v1 says 200 to an order, and with a no as well: HTTP statuses prove nothing."""
CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "abort_fault": ("abort", {}),
    "retry_fault": ("retry", {}),
    "cancel_fault": ("cancel", {"merchant_order_id": "x"}),
    "return_fault": ("return", {}),
    "case_fault": ("case", {"reason": "other", "message": "Help."}),
}


async def seen(client: httpx.AsyncClient, body: dict[str, Any]) -> Any:
    try:
        return (await client.post("/orders", json=body, timeout=1.5)).status_code
    except httpx.TransportError as error:
        return type(error)


def faulty(text: str, **fields: Any) -> dict[str, Any]:
    return order_v1(client_notes=asking(text), **fields)


def test_every_fault_is_listed_here() -> None:
    assert {*BEFORE, *AFTER, "slow_2", "other_order"} == {name for name, *_ in FAULTS}


async def test_in_process_each_fault_is_what_httpx_would_raise_and_the_key_tells_what_came_of_it() -> None:
    for name, accepted, expected, _ in FAULTS:
        sandbox = Sandbox(pace=100)
        async with client_of(sandbox) as client:
            body = faulty(f"fault={name}", idempotency_key="k")
            assert await seen(client, body) == expected, name
            assert len(sandbox.placed()) == accepted, name
            again = (await client.post("/orders", json=body)).json()
            assert again == {"request_id": sandbox.placed()[0]["order_id"]}, name
            assert len(sandbox.placed()) == 1
            outcome = "replayed" if accepted else "created"
            assert sandbox.attempts()[1]["outcome"] == outcome, name


async def test_on_a_port_each_fault_is_real() -> None:
    sandbox = Sandbox(pace=100)
    async with on_a_port(sandbox) as v2, httpx.AsyncClient(base_url=f"{v2.base_url}/v1", auth=(TOKEN, "")) as client:
        for name, accepted, expected, on_port in FAULTS:
            before = len(sandbox.placed())
            assert await seen(client, faulty(f"fault={name}", idempotency_key=name)) == (on_port or expected), name
            assert len(sandbox.placed()) - before == accepted, name
        assert (await client.post("/orders", json=order_v1())).json()["request_id"]


async def test_faults_follow_one_another_over_the_attempts_with_one_key() -> None:
    sandbox = Sandbox()
    async with client_of(sandbox) as client:
        body = faulty("fault=drop_before,none,http_500_after,drop_after", idempotency_key="k")
        found = [await seen(client, body) for _ in range(5)]
        assert found == [httpx.RemoteProtocolError, 200, 500, httpx.RemoteProtocolError, 200]
        assert await seen(client, {**body, "idempotency_key": "other"}) == httpx.RemoteProtocolError
    assert [attempt["outcome"] for attempt in sandbox.attempts()] == [
        "not_accepted_drop_before",
        "created",
        "replayed",
        "replayed",
        "replayed",
        "not_accepted_drop_before",
    ]


async def test_reads_and_lists_break_as_asked_and_then_work() -> None:
    zinc = V1()
    request_id = await zinc.place(faulty("read_fault=html_502,drop,none,http_500&list_fault=truncated"), 5)
    path = f"/orders/{request_id}"
    assert (await zinc.client.get(path)).status_code == 502
    with pytest.raises(httpx.RemoteProtocolError):
        await zinc.client.get(path)
    assert [(await zinc.client.get(path)).status_code for _ in range(3)] == [200, 500, 200]
    with pytest.raises(httpx.RemoteProtocolError):
        await zinc.listed()
    assert len(await zinc.listed()) == 1


async def test_another_order_has_another_id_other_notes_and_another_product() -> None:
    zinc = V1()
    notes = {**asking("read_fault=other_order&list_fault=other_order"), "zinc_mcp_key": "mine"}
    request_id = await zinc.place(order_v1(client_notes=notes), 5)
    for shown in (await zinc.read(request_id), (await zinc.listed())[0]):
        assert shown["request_id"] != request_id
        assert shown["request"]["client_notes"]["zinc_mcp_key"] == "stranger"
        assert shown["request"]["products"][0]["product_id"] == STRANGER
    assert (await zinc.read(request_id))["_type"] == "order_response"
    told = await zinc.post(faulty("fault=other_order", idempotency_key="k"))
    assert (await zinc.read(told["request_id"]))["code"] == "invalid_request_id"


@pytest.mark.parametrize("parameter", CHANGES)
async def test_changes_are_lost_before_and_after_they_were_taken(parameter: str) -> None:
    zinc = V1()
    path, body = CHANGES[parameter]
    request_id = await zinc.place(faulty(f"{parameter}=drop_before,http_500_after"))
    with pytest.raises(httpx.RemoteProtocolError):
        await zinc.post(body, f"/{request_id}/{path}")
    assert (await zinc.client.post(f"/orders/{request_id}/{path}", json=body)).status_code == 500
    rows = zinc.sandbox.ledger.select("SELECT path, outcome, fault FROM changes ORDER BY seq")
    assert [(row["path"], row["fault"]) for row in rows] == [
        (f"/v1/orders/{request_id}/{path}", "drop_before"),
        (f"/v1/orders/{request_id}/{path}", "http_500_after"),
    ]
    assert rows[0]["outcome"] == "not_accepted_drop_before" and not rows[1]["outcome"].startswith("not_")


async def test_the_outcome_of_a_change_can_be_lost_as_well() -> None:
    zinc = V1()
    notes = "cancellation_fault=html_502&returned_fault=drop&case_read_fault=redirect&cancel=direct"
    request_id = await zinc.place(faulty(notes), 3)
    (merchant,) = (await zinc.read(request_id))["merchant_order_ids"]
    told = await zinc.post({"merchant_order_id": merchant["merchant_order_id"]}, f"/{request_id}/cancel")
    assert (await zinc.client.get(f"/cancellations/{told['request_id']}")).status_code == 502
    assert (await zinc.client.get(f"/cancellations/{told['request_id']}")).status_code == 200
    assert (await zinc.client.get(f"/orders/{request_id}/case")).status_code == 307
    product = {"product_id": "B0SNDBXC01", "quantity": 1}
    back = {"products": [product], "reason_code": "x", "method_code": "Mail", "explanation": ""}
    told = await zinc.post(back, f"/{request_id}/return")
    with pytest.raises(httpx.RemoteProtocolError):
        await zinc.client.get(f"/returns/{told['request_id']}")


async def test_a_misspelt_fault_is_refused_at_once() -> None:
    zinc = V1()
    for parameter in PARAMETERS:
        for name in ("dorp", "none,slow_", "other_goods"):
            told = await zinc.post(faulty(f"{parameter}={name}"))
            assert told["code"] == "invalid_request" and "there is no fault" in told["data"]["problems"][0]
    assert zinc.sandbox.placed() == []


async def test_a_fault_of_the_token_is_told_in_the_words_of_v1() -> None:
    zinc = V1("v1_error_status=status_4xx")
    answer = await zinc.client.post("/orders", json=faulty("fault=unauthorized_once"))
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_client_token")


async def test_the_two_services_do_not_know_each_others_orders() -> None:
    zinc = V1()
    request_id = await zinc.place()
    headers = {"Authorization": "Bearer zn_test_ada"}
    async with httpx.AsyncClient(
        transport=zinc.sandbox.transport(), base_url="https://api.zinc.com", headers=headers
    ) as v2:
        assert (await v2.get(f"/orders/{request_id}")).status_code == 404
        assert (await v2.get("/orders")).json()["orders"] == []
        assert (await v2.get("/v1/orders")).json()["code"] == "invalid_client_token"
    assert BASE.endswith("/v1")


async def test_two_posts_with_one_key_at_once_are_one_order() -> None:
    sandbox, told = Sandbox(), list[Any]()
    async with client_of(sandbox) as client, anyio.create_task_group() as senders:

        async def send() -> None:
            told.append((await client.post("/orders", json=order_v1(idempotency_key="k"))).json())

        for _ in range(5):
            senders.start_soon(send)
        await anyio.sleep(0.2)
    assert len(sandbox.placed()) == 1 and all(each == told[0] for each in told) and len(told) == 5
