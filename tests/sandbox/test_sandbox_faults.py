"""Each fault breaks the answer as its name says, and the ledger knows whether the request made an order."""

import socket
import subprocess
import sys
from typing import Any

import anyio
import httpx
import pytest
from sandbox.practising import customer, on_a_port, order, placed, read

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.faults.asked import AFTER, BEFORE, OTHERS
from zinc_mcp.sandbox.faults.other_orders import STRANGER

# fault, whether an order comes of it, what the client sees in process, and on a port where that differs
FAULTS: list[tuple[str, bool, Any, Any]] = [
    ("refuse", False, httpx.ConnectError, httpx.RemoteProtocolError),
    ("drop_before", False, httpx.RemoteProtocolError, None),
    ("reset_before", False, httpx.ReadError, None),
    ("http_500", False, 500, None),
    ("http_500_before", False, 500, None),
    ("html_502", False, 502, None),
    ("redirect_307", False, 307, None),
    ("rate_limited", False, 429, None),
    ("unauthorized_once", False, 401, None),
    ("drop", True, httpx.RemoteProtocolError, None),
    ("drop_after", True, httpx.RemoteProtocolError, None),
    ("reset_after", True, httpx.ReadError, None),
    ("http_500_after", True, 500, None),
    ("html_502_after", True, 502, None),
    ("html_200", True, 200, None),
    ("redirect_after", True, 307, None),
    ("slow_2", True, 201, None),
    ("hang", True, httpx.ReadTimeout, None),
    ("truncated", True, httpx.RemoteProtocolError, None),
    ("huge", True, 201, None),
]


async def outcome(client: httpx.AsyncClient, body: dict[str, Any]) -> Any:
    try:
        return (await client.post("/orders", json=body, timeout=1.5)).status_code
    except httpx.TransportError as error:
        return type(error)


def test_every_fault_is_listed_here() -> None:
    listed = {name for name, *_ in FAULTS}
    assert (BEFORE | AFTER | {"slow_2"}) - listed == set()


async def test_in_process_each_fault_is_what_httpx_would_raise() -> None:
    for name, accepted, seen, _ in FAULTS:
        sandbox = Sandbox(pace=100)
        async with customer(sandbox) as client:
            assert await outcome(client, order(f"success?fault={name}", idempotency_key="k")) == seen, name
            assert len(sandbox.placed()) == accepted, name
            assert await outcome(client, order(f"success?fault={name}", idempotency_key="k")) == 409 - 208 * (
                not accepted
            )
            assert len(sandbox.placed()) == 1


async def test_on_a_port_each_fault_is_real() -> None:
    sandbox = Sandbox(pace=100)
    async with on_a_port(sandbox) as client:
        for name, accepted, seen, on_port in FAULTS:
            before = len(sandbox.placed())
            assert await outcome(client, order(f"success?fault={name}", idempotency_key=name)) == (on_port or seen), (
                name
            )
            assert len(sandbox.placed()) - before == accepted, name
        await placed(client, order())


async def test_a_truncated_answer_arrives_with_its_head_and_half_of_its_body() -> None:
    async with on_a_port(Sandbox()) as client:
        received = b""
        async with client.stream("POST", "/orders", json=order("success?fault=truncated")) as answer:
            assert answer.status_code == 201
            with pytest.raises(httpx.RemoteProtocolError):
                async for chunk in answer.aiter_bytes():
                    received += chunk
        assert 0 < len(received) < int(answer.headers["content-length"])


async def test_faults_follow_one_another_over_the_attempts_with_one_key() -> None:
    sandbox = Sandbox()
    async with customer(sandbox) as client:
        body = order("success?fault=drop_before,none,http_500_after,drop_after", idempotency_key="k")
        seen = [await outcome(client, body) for _ in range(5)]
        assert seen == [httpx.RemoteProtocolError, 201, 500, httpx.RemoteProtocolError, 409]
        assert await outcome(client, {**body, "idempotency_key": "other"}) == httpx.RemoteProtocolError
    assert [attempt["outcome"] for attempt in sandbox.attempts()[:5]] == [
        "not_accepted_drop_before",
        "created",
        "replayed_409",
        "replayed_409",
        "replayed_409",
    ]
    assert len(sandbox.placed()) == 1


async def test_without_a_key_faults_follow_the_body() -> None:
    sandbox = Sandbox()
    async with customer(sandbox) as client:
        body = order("success?fault=drop_after")
        assert [await outcome(client, body) for _ in range(2)] == [httpx.RemoteProtocolError, 201]
    assert len(sandbox.placed()) == 2, "Zinc makes a key for each request that has none"


async def test_reads_and_lists_break_as_asked_and_then_work() -> None:
    async with customer(Sandbox()) as client:
        taken = await placed(client, order("success?read_fault=html_502,drop,none,http_500&list_fault=truncated"))
        path = f"/orders/{taken['id']}"
        assert (await client.get(path)).status_code == 502
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(path)
        assert [(await client.get(path)).status_code for _ in range(3)] == [200, 500, 200]
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/orders")
        assert len((await client.get("/orders")).json()["orders"]) == 1


async def test_a_misspelt_fault_is_refused_at_once() -> None:
    sandbox = Sandbox()
    async with customer(sandbox) as client:
        for query in ("fault=dorp", "fault=none,dorp", "read_fault=slow_", "list_fault=dorp"):
            answer = await client.post("/orders", json=order(f"success?{query}"))
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert sandbox.placed() == []


async def test_a_slow_order_is_accepted_before_its_answer() -> None:
    sandbox = Sandbox(pace=10)
    async with customer(sandbox) as client:
        body = order("success?fault=slow_90", idempotency_key="k")
        assert await outcome(client, body) == httpx.ReadTimeout
        assert await outcome(client, body) == 409
    assert len(sandbox.placed()) == 1


async def test_a_client_that_leaves_a_hanging_answer_does_no_harm() -> None:
    sandbox = Sandbox()
    async with on_a_port(sandbox) as client:
        with anyio.move_on_after(0.2):
            await client.post("/orders", json=order("success?fault=hang"))
        await placed(client, order())


async def test_a_hang_never_turns_into_an_answer_even_when_the_server_stops() -> None:
    ends: list[Any] = []
    sandbox = Sandbox()

    async def wait_for_ever(port: int) -> None:
        async with httpx.AsyncClient(headers={"Authorization": "Bearer zn_test_ada"}) as client:
            try:
                await client.post(f"http://127.0.0.1:{port}/orders", json=order("success?fault=hang"), timeout=5)
            except httpx.TransportError as error:
                ends.append(type(error))

    async with anyio.create_task_group() as clients, on_a_port(sandbox) as client:
        clients.start_soon(wait_for_ever, client.base_url.port or 0)
        while not sandbox.placed():
            await anyio.sleep(0.01)
    assert ends == [httpx.RemoteProtocolError]


async def test_a_port_that_is_taken_is_an_error_and_not_an_exit() -> None:
    from zinc_mcp.sandbox.app import serve

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        await serve(Sandbox(), "127.0.0.1", taken.getsockname()[1])


def test_a_served_sandbox_writes_nothing_to_stdout() -> None:
    program = (
        "import asyncio, httpx\n"
        "from sandbox.practising import on_a_port, order\n"
        "from zinc_mcp.sandbox import Sandbox\n"
        "async def main():\n"
        "    async with on_a_port(Sandbox()) as client:\n"
        "        assert (await client.post('/orders', json=order())).status_code == 201\n"
        "        try:\n"
        "            await client.post('/orders', json=order('success?fault=drop_after'))\n"
        "        except httpx.RemoteProtocolError:\n"
        "            pass\n"
        "        await client.post('/orders', content=b'{')\n"
        "asyncio.run(main())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, env=_environment(), timeout=30
    )
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr


async def test_the_answer_to_a_drop_can_still_be_found() -> None:
    sandbox = Sandbox()
    async with on_a_port(sandbox) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/orders", json=order("success?fault=drop_after", metadata={"zinc_mcp_key": "k"}))
        query = {"metadata_key": "zinc_mcp_key", "metadata_value": "k"}
        (found,) = (await client.get("/orders", params=query)).json()["orders"]
        assert (await read(client, found["id"]))["metadata"] == {"zinc_mcp_key": "k"}


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(sys.path)}


@pytest.mark.parametrize("name", sorted(OTHERS))
async def test_an_answer_about_another_order_differs_in_what_its_name_says_and_the_order_stands(name: str) -> None:
    async with customer(Sandbox(pace=1000)) as client:
        url = f"success?fault={name}&read_fault={name},none&list_fault={name}"
        shown = (await client.post("/orders", json=order(url, idempotency_key="k"))).json()
        [listed] = (await client.get("/orders")).json()["orders"]
        order_id = listed["id"] if name != "other_order" else None
        if order_id is not None:
            assert (await client.get(f"/orders/{order_id}")).json()["status"] == "order_failed"
            honest = (await client.get(f"/orders/{order_id}")).json()
            assert honest["status"] != "order_failed", "only what is shown has changed"
            assert (shown["id"] == order_id) == (name == "other_content")
            assert (listed["max_price"] != honest["max_price"]) == (name in ("other_price", "other_content"))
            there = listed["shipping_address"] != honest["shipping_address"]
            assert there == (name in ("other_address", "other_content"))
        is_theirs = [STRANGER in item["url"] for item in (*shown["items"], *listed["items"])]
        assert is_theirs == [name in ("other_goods", "other_content", "other_order")] * 2
        assert "zinc_mcp_key" not in shown["metadata"] or shown["metadata"]["zinc_mcp_key"] == "stranger"
