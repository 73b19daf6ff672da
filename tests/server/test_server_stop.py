"""A server that is told to stop answers what it was asked: purchases to their end, waits with how things stand."""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
from fake_zinc import FakeZinc
from keyboard import at_a_terminal
from mcp.client.context import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequestParams, ElicitResult
from server.as_a_host import both_eras, call
from server.on_a_port import JSON, TRANSPORTS, connected, initialize, token_in, until_healthy, zinc_on_a_port
from server.replicas import YES
from server.test_list_orders import elsewhere
from server.test_serving_processes import environment, free_port, orders, program, with_zinc
from wanted import arguments, book

__all__ = ["environment"]  # a fixture


@both_eras
async def test_a_purchase_is_told_at_its_end_and_a_wait_at_once(
    environment: dict[str, str], zinc: FakeZinc, write_config: Callable[[str], Path], mode: str
) -> None:
    write_config('[policy]\napproval = "page"\napprove_above = 6000\n')
    arrived: list[None] = []
    told: dict[str, dict[str, Any]] = {}
    origin = f"http://127.0.0.1:{free_port()}"
    async with zinc_on_a_port(zinc) as zinc_origin, httpx2.AsyncClient(timeout=20) as client:
        # A desktop on which each page opens, so that the call that asks tells of one.
        own = {**with_zinc(environment, zinc_origin), "BROWSER": "true", "SSH_CONNECTION": ""}
        async with program(own, "serve", "--http", origin.removeprefix("http://")) as process:
            await until_healthy(client, origin)
            token = token_in(Path(own["ZINC_MCP_HOME"]))
            async with connected(origin, "mcp", mode, token) as host:
                first = await call(host, "place_order", arguments(products=book(1)))
            other = elsewhere(zinc, 9)

            async def tell(name: str, transport: str, tool: str, given: dict[str, Any]) -> None:
                try:
                    async with connected(origin, transport, mode, token) as host:
                        await host.list_tools()  # else the client asks for them after its call, when nobody is there
                        told[name] = await call(host, tool, given)
                except* (MCPError, httpx2.HTTPError):
                    pass  # the client's own farewell finds nobody any more

            async def on_post() -> None:
                arrived.append(None)
                await anyio.sleep(2.0 * len(arrived))  # the one over SSE, whose request was answered, takes longer

            def reads(order_id: object) -> int:
                return sum(request.url.path == f"/orders/{order_id}" for request in zinc.requests)

            async def waits() -> bool:
                async with connected(origin, "mcp", mode, token) as host:
                    listed = await call(host, "list_orders", {})
                return "waiting" in {row["status"] for row in listed["orders"]}

            async with anyio.create_task_group() as tasks:
                for order_id in (first["order_id"], other):
                    for transport in TRANSPORTS:
                        wait = {"order_id": order_id, "wait_seconds": 25}
                        tasks.start_soon(tell, f"wait {transport} {order_id}", transport, "get_order", wait)
                asks = arguments(products=book(8), max_price=7000)
                tasks.start_soon(tell, "a yes", "mcp", "place_order", asks)
                while min(reads(first["order_id"]), reads(other)) < len(TRANSPORTS) or not await waits():
                    await anyio.sleep(0.05)
                zinc.on_post = on_post
                for number, transport in enumerate(TRANSPORTS, 2):
                    wanted = arguments(products=book(number))
                    tasks.start_soon(tell, f"order {transport}", transport, "place_order", wanted)
                    while len(arrived) < number - 1:
                        await anyio.sleep(0.05)
                process.send_signal(signal.SIGTERM)
                with anyio.fail_after(20):
                    assert await process.wait() == 0
            assert process.stderr is not None
            noise = b"".join([chunk async for chunk in process.stderr])
        kept = await anyio.to_thread.run_sync(orders, own)
    assert not [line for line in noise.splitlines() if b"Traceback" in line or b"ERROR" in line], noise.decode()
    assert len(told) == 7, told
    assert sorted(order["state"] for order in kept) == ["accepted"] * 3 + ["waiting"]
    for name, answer in told.items():
        assert answer["outcome"] == ("waiting" if name == "a yes" else "accepted"), (name, answer)
    assert len(zinc.posts) == 1 + len(TRANSPORTS)
    where = told["a yes"]["next_step"]
    assert "approve" in where and "browser" not in where, "the page in the browser has ended with the server"


@both_eras
async def test_a_yes_before_a_stop_is_told_at_its_end_and_a_dialogue_that_has_no_answer_decides_nothing_any_more(
    environment: dict[str, str], zinc: FakeZinc, write_config: Callable[[str], Path], mode: str
) -> None:
    write_config('[policy]\napproval = "auto"\n')
    on_the_wire, may_land, asked, late = anyio.Event(), anyio.Event(), anyio.Event(), anyio.Event()
    told: dict[str, dict[str, Any]] = {}
    origin = f"http://127.0.0.1:{free_port()}"

    async def on_post() -> None:
        on_the_wire.set()
        await may_land.wait()

    async def at_once(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return YES

    async def too_late(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.set()
        await late.wait()
        return YES

    async def tell(name: str, token: str, asks: Any, number: int) -> None:
        try:
            async with connected(origin, "mcp", mode, token, asks=asks) as host:
                await host.list_tools()
                told[name] = await call(host, "place_order", arguments(products=book(number)))
        except* (MCPError, httpx2.HTTPError):
            pass

    zinc.on_post = on_post
    async with zinc_on_a_port(zinc) as zinc_origin, httpx2.AsyncClient(timeout=20) as client:
        own = {**with_zinc(environment, zinc_origin), "BROWSER": "true", "SSH_CONNECTION": ""}
        async with program(own, "serve", "--http", origin.removeprefix("http://")) as process:
            await until_healthy(client, origin)
            token = token_in(Path(own["ZINC_MCP_HOME"]))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(tell, "yes", token, at_once, 2)
                await on_the_wire.wait()
                tasks.start_soon(tell, "open", token, too_late, 1)
                await asked.wait()
                process.send_signal(signal.SIGTERM)
                await anyio.sleep(0.5)
                may_land.set()
                with anyio.fail_after(20):
                    assert await process.wait() == 0
                late.set()
        kept = await anyio.to_thread.run_sync(orders, own)
        assert sorted(order["state"] for order in kept) == ["accepted", "waiting"] and len(zinc.posts) == 1
        assert told["yes"]["outcome"] == "accepted"
        [key] = [order["key"] for order in kept if order["state"] == "waiting"]
        if mode == "legacy":  # in the newer protocol the question was the answer
            assert told["open"]["outcome"] == "waiting"
            assert "because this server is being stopped" in told["open"]["next_step"]
            assert f"approve {key}" in told["open"]["next_step"] and "browser" not in told["open"]["next_step"]
        code, screen = await anyio.to_thread.run_sync(at_a_terminal, ["approve", key], own, [("Type yes", "yes")])
        assert code == 0, screen
        kept = await anyio.to_thread.run_sync(orders, own)
    assert [order["state"] for order in kept] == ["accepted"] * 2 and len(zinc.posts) == 2


async def test_streams_that_are_open_at_a_stop_are_ended_in_order_and_log_nothing(environment: dict[str, str]) -> None:
    origin = f"http://127.0.0.1:{free_port()}"
    ended = dict[str, bool]()

    async def read(client: httpx2.AsyncClient, name: str, path: str, opened: anyio.Event, **headers: str) -> None:
        async with client.stream("GET", path, headers={"Accept": "text/event-stream", **headers}) as stream:
            assert stream.status_code == 200
            opened.set()
            async for _ in stream.aiter_raw():  # raises where the last chunk is missing
                pass
        ended[name] = True

    async with (
        program(environment, "serve", "--http", origin.removeprefix("http://")) as process,
        httpx2.AsyncClient(base_url=origin, timeout=20) as client,
    ):
        await until_healthy(client, origin)
        client.headers.update({**JSON, "Authorization": f"Bearer {token_in(Path(environment['ZINC_MCP_HOME']))}"})
        session = (await client.post("/mcp", json=initialize())).headers["mcp-session-id"]
        async with anyio.create_task_group() as tasks:
            for name, path, headers in (("sse", "/sse", {}), ("mcp", "/mcp", {"Mcp-Session-Id": session})):
                opened = anyio.Event()
                tasks.start_soon(partial(read, client, name, path, opened, **headers))
                await opened.wait()
            process.send_signal(signal.SIGTERM)
            with anyio.fail_after(20):
                assert await process.wait() == 0
        assert process.stderr is not None
        noise = b"".join([chunk async for chunk in process.stderr]).decode()
    assert ended == {"sse": True, "mcp": True}
    assert "ERROR" not in noise, noise
