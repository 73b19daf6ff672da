"""Zinc's webhooks: an event is a hint to look at one order. Nothing in it is believed, and nobody else can send one."""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from pydantic import SecretStr
from sandbox.practising import on_a_port
from server.as_a_host import call, usually_one_era
from server.on_a_port import connected, served, token_in
from wanted import arguments, book

from zinc_mcp.owner.members import add_member
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Clocks, Process
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.server.http.shares import MOST_REQUESTS
from zinc_mcp.server.http.webhooks import MAX_EVENT_BYTES, MOST_EVENTS
from zinc_mcp.wiring import open_process

SECRET = "zn_whsec_planted_5e1f"  # a secret of the tests
PATH = "/webhooks/zinc"
UNKNOWN = "11111111-2222-4333-8444-555555555555"
SLOW_POLL = Clocks(
    answer_seconds=9.0,
    wire_seconds=5.0,
    refresh_seconds=1.0,
    poll_seconds=8.0,
    peek_seconds=0.05,
    sweep_seconds=3600.0,
    hint_seconds=10.0,
)
"""A waiting look-up asks Zinc so seldom that only an event can wake it in time."""


def event(order_id: object, name: str = "order.placed", **more: Any) -> bytes:
    facts = {"event": name, "order_id": order_id, "status": "order_placed", "timestamp": "2026-11-28T00:00:00+00:00"}
    return json.dumps({**facts, "data": {}, "return_id": None, **more}).encode()


def signed(content: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Webhook-Signature": hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()}


async def send(origin: str, content: bytes, headers: Any = None, **more: Any) -> int:
    async with httpx2.AsyncClient(timeout=10) as client:
        headers = signed(content) if headers is None else headers
        return (await client.post(f"{origin}{PATH}", content=content, headers=headers, **more)).status_code


def reads(zinc: FakeZinc, order_id: object) -> int:
    return sum(request.method == "GET" and request.url.path == f"/orders/{order_id}" for request in zinc.requests)


def has_looked(zinc: FakeZinc, order: dict[str, Any]) -> bool:
    return reads(zinc, order["order_id"]) == 1


async def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    with anyio.fail_after(seconds):
        while not holds():
            await anyio.sleep(0.01)


@asynccontextmanager
async def team(open_test_process: OpenProcess, **settings: Any) -> AsyncGenerator[tuple[Process, str]]:
    settings = {"webhook_secret": SecretStr(SECRET), **settings}
    async with open_test_process(**settings) as process, served(process) as origin:
        yield process, origin


@asynccontextmanager
async def placed(origin: str, home: Path, mode: str = "auto") -> AsyncGenerator[tuple[Any, dict[str, Any]]]:
    async with connected(origin, "mcp", mode, token_in(home)) as client:
        yield client, await call(client, "place_order", arguments())


@usually_one_era
async def test_an_event_wakes_a_waiting_call_within_a_second(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, mode: str
) -> None:
    took: list[float] = []
    async with team(open_test_process, clocks=SLOW_POLL) as (_, origin), placed(origin, home, mode) as (client, _):
        while not took or took[-1] >= 1.0:
            assert len(took) < 3, took  # the machine may be busy with something else, but not each time
            order = await call(client, "place_order", arguments(products=book(len(took) + 1)))
            told: dict[str, Any] = {}

            async def wait(order: dict[str, Any] = order, told: dict[str, Any] = told) -> None:
                told.update(await call(client, "get_order", {"order_id": order["order_id"], "wait_seconds": 9}))

            began = 0.0
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await until(partial(has_looked, zinc, order))  # and waits
                zinc.settle(order["order_id"], 4_000)
                began = time.monotonic()
                assert await send(origin, event(order["order_id"])) == 204
            took.append(time.monotonic() - began)
            assert told["outcome"] == "placed"
            assert told["price"]["total_cents"] == 4_000
            assert reads(zinc, order["order_id"]) == 2, "the call takes what the event's look has read"


async def test_an_event_wakes_a_call_that_waits_in_another_process(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with (
        team(open_test_process, clocks=SLOW_POLL) as (_, origin),
        open_test_process(clocks=SLOW_POLL) as other,
        served(other) as elsewhere,
        placed(origin, home) as (_, order),
        connected(elsewhere, "mcp", "auto", token_in(home)) as client,
    ):
        told: dict[str, Any] = {}
        began: list[float] = []

        async def wait() -> None:
            told.update(await call(client, "get_order", {"order_id": order["order_id"], "wait_seconds": 9}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await until(lambda: reads(zinc, order["order_id"]) == 1)
            zinc.settle(order["order_id"], 4_000)
            began.append(time.monotonic())
            await send(origin, event(order["order_id"]))
        assert time.monotonic() - began[0] < 5.0, "its own look comes after nine seconds"
        assert told["outcome"] == "placed"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Webhook-Signature": ""},
        {"X-Webhook-Signature": "0" * 64},
        {"X-Webhook-Signature": "é".encode()},
        signed(event(UNKNOWN)),
        signed(event(UNKNOWN), "zn_whsec_rotated"),
        "doubled",
        "truncated",
    ],
)
async def test_a_forged_event_is_refused_and_nothing_is_read(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, headers: Any
) -> None:
    async with team(open_test_process) as (_, origin), placed(origin, home) as (_, order):
        content, before = event(order["order_id"]), len(zinc.requests)
        right = signed(content)["X-Webhook-Signature"]
        if headers == "doubled":
            headers = [("X-Webhook-Signature", right), ("X-Webhook-Signature", "0" * 64)]
        elif headers == "truncated":
            headers = {"X-Webhook-Signature": right[:-1]}
        assert await send(origin, content, headers) == 401
        changed = content.replace(b"order.placed", b"order.failed")
        assert await send(origin, changed, {"X-Webhook-Signature": right}) == 401, "of other bytes"
        await anyio.sleep(0.1)
        assert len(zinc.requests) == before


async def test_nothing_that_an_event_says_is_believed(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with team(open_test_process) as (_, origin), placed(origin, home) as (client, order):
        lie = event(order["order_id"], "order.cancelled", status="cancelled_by_retailer", data={"total": 1})
        assert await send(origin, lie) == 204
        await until(lambda: reads(zinc, order["order_id"]) == 1)
        told = await call(client, "get_order", {"order_id": order["order_id"]})
    assert (told["outcome"], told["status"]) == ("accepted", "pending")


async def test_replayed_doubled_and_reordered_events_cause_one_read_in_ten_seconds(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clocks: Clocks
) -> None:
    assert Clocks().hint_seconds == 10.0
    quick = replace(clocks, hint_seconds=3.0)
    async with team(open_test_process, clocks=quick) as (process, origin), placed(origin, home) as (_, order):
        async with httpx2.AsyncClient(base_url=origin) as client:
            for name in ["order.delivered", "order.placed", "order.started", "order.placed"] * 4:
                content = event(order["order_id"], name)
                assert (await client.post(PATH, content=content, headers=signed(content))).status_code == 204
        await until(lambda: reads(zinc, order["order_id"]) == 1)
        zinc.settle(order["order_id"], 4_000)
        await anyio.sleep(0.3)
        assert reads(zinc, order["order_id"]) == 1
        # What came after the read is not lost: the order is read once more when its time has come.
        await until(lambda: reads(zinc, order["order_id"]) == 2)
        await anyio.sleep(0.3)
        [entry] = await process.journal.run(lambda journal: journal.of_orders([order["order_id"]]))
        assert (entry.state, len(zinc.posts)) == ("placed", 1)


@pytest.mark.parametrize(
    "content",
    [
        event(UNKNOWN),
        event("../wallet/me"),
        event(None),
        event({"id": UNKNOWN}),
        b"[]",
        b"",
        b"\xff{",
        b"[" * 5_000,
        b'{"order_id": "' + UNKNOWN.encode() + b'", "order_id": 1}',
    ],
)
async def test_an_event_about_no_order_of_ours_reads_nothing_and_needs_no_repeat(
    open_test_process: OpenProcess, zinc: FakeZinc, content: bytes
) -> None:
    async with team(open_test_process) as (_, origin):
        assert await send(origin, content) == 204
        await anyio.sleep(0.1)
    assert zinc.requests == []


async def test_an_event_about_an_order_by_another_key_reads_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process(api_key="zn_test_another") as process, served(process) as origin:
        async with placed(origin, home) as (_, order):
            pass
    async with team(open_test_process) as (_, origin):
        assert await send(origin, event(order["order_id"])) == 204
        await anyio.sleep(0.1)
    assert reads(zinc, order["order_id"]) == 0


async def test_too_large_an_event_is_refused_unread(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        for _ in range(MAX_EVENT_BYTES // 1024 + 1):
            yield b" " * 1024

    async with team(open_test_process) as (_, origin):
        content = event(UNKNOWN) + b" " * MAX_EVENT_BYTES
        assert await send(origin, content) == 413
        async with httpx2.AsyncClient(timeout=10) as client:
            assert (await client.post(f"{origin}{PATH}", content=chunks())).status_code == 413
        host, _, port = origin.removeprefix("http://").partition(":")
        async with await anyio.connect_tcp(host, int(port)) as wire:
            announced = f"POST {PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {MAX_EVENT_BYTES + 1}\r\n\r\n"
            await wire.send(announced.encode())
            with anyio.fail_after(10):
                assert (await wire.receive()).startswith(b"HTTP/1.1 413"), "before a byte of it"
        fits = event(UNKNOWN)
        assert await send(origin, fits + b" " * (MAX_EVENT_BYTES - len(fits))) == 204


async def test_the_path_is_behind_the_check_of_the_host_and_takes_only_events(open_test_process: OpenProcess) -> None:
    content = event(UNKNOWN)
    async with team(open_test_process) as (_, origin), httpx2.AsyncClient(base_url=origin) as client:
        foreign = {**signed(content), "Host": "evil.example"}
        assert (await client.post(PATH, content=content, headers=foreign)).status_code == 421
        assert (await client.get(PATH)).status_code == 405
        assert (await client.post(f"{PATH}/", content=content, headers=signed(content))).status_code == 204
        assert (await client.post(f"{PATH}/more", content=content, headers=signed(content))).status_code == 401


async def test_without_a_secret_no_event_is_taken(open_test_process: OpenProcess, zinc: FakeZinc, home: Path) -> None:
    async with team(open_test_process, webhook_secret=None) as (_, origin), placed(origin, home) as (_, order):
        content = event(order["order_id"])
        assert await send(origin, content) == 404
        assert await send(origin, content, signed(content, "")) == 404
        await anyio.sleep(0.05)
        assert reads(zinc, order["order_id"]) == 0


async def test_events_count_against_no_member_and_no_member_s_share_stops_them(
    open_test_process: OpenProcess, home: Path
) -> None:
    add_member(home / "members.json", "ada")
    content = event(UNKNOWN)
    async with team(open_test_process) as (_, origin), httpx2.AsyncClient(base_url=origin, timeout=20) as client:
        for _ in range(MOST_REQUESTS + MOST_EVENTS + 1):
            assert (await client.post(PATH, content=content, headers=signed(content))).status_code == 204


async def test_a_broken_answer_to_the_look_leaves_the_server_working(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clocks: Clocks
) -> None:
    quick = replace(clocks, hint_seconds=0.05)
    async with team(open_test_process, clocks=quick) as (_, origin), placed(origin, home) as (_, order):
        zinc.reads.append(RuntimeError("planted"))
        await send(origin, event(order["order_id"]))
        await until(lambda: not zinc.reads)
        await anyio.sleep(0.1)
        zinc.settle(order["order_id"], 4_000)
        await send(origin, event(order["order_id"]))
        await until(lambda: reads(zinc, order["order_id"]) == 2)


async def test_the_sandbox_s_own_events_wake_a_waiting_call(home: Path) -> None:
    # Pace 4: the order is placed some seconds after it was sent, and nobody polls meanwhile.
    async with on_a_port(Sandbox(pace=4.0)) as zinc:
        secret = (await zinc.put("/webhooks/endpoint", json={"url": "http://127.0.0.1:9"})).json()["webhook_secret"]
        settings = Settings(
            home=home,
            config=home / "zinc.toml",
            api_key=SecretStr("zn_test_ada"),
            api_url=str(zinc.base_url).rstrip("/"),
            webhook_secret=SecretStr(secret),
        )
        slow = replace(SLOW_POLL, poll_seconds=20.0, answer_seconds=20.0)
        async with open_process(settings, clocks=slow) as process, served(process) as origin:
            address = f"{origin}/webhooks/zinc"
            assert (await zinc.put("/webhooks/endpoint", json={"url": address})).json()["webhook_secret"] == secret
            wish = arguments(products=[{"url": "https://zinc.com/shop/products/test-success"}])
            async with connected(origin, "mcp", "auto", token_in(home)) as client:
                order = await call(client, "place_order", wish)
                assert order["outcome"] == "accepted"
                began = time.monotonic()
                told = await call(client, "get_order", {"order_id": order["order_id"], "wait_seconds": 20})
    assert told["outcome"] != "accepted" or told["status"] != order["status"]
    assert time.monotonic() - began < 15
