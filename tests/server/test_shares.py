"""One caller's calls, waits and sessions are bounded, and they end when the caller is removed."""

import json
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from mcp import Client
from server.as_a_host import both_eras, call, host, said
from server.on_a_port import JSON, TRANSPORTS, connected, initialize, listening, served
from server.team_server import calling
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send
from started import Started
from wanted import arguments

from zinc_mcp.owner.members import Members, add_member, members_callers, remove_member
from zinc_mcp.process import Clocks, Process
from zinc_mcp.server.http.access import Access, note_access
from zinc_mcp.server.http.connections import connection_of
from zinc_mcp.server.http.shares import MOST_A_MINUTE, MOST_REQUESTS, MOST_SESSIONS, Shares
from zinc_mcp.server.mcp.tools.tool import MOST_CALLS


@pytest.fixture
def slowly(clocks: Clocks) -> Clocks:
    """Clocks by which a hundred calls can wait at once, and leave time for the test."""
    return replace(clocks, answer_seconds=25.0, poll_seconds=2.0)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("transport", TRANSPORTS)
@both_eras
async def test_a_removed_member_s_wait_ends_and_asks_zinc_no_more(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, mode: str, transport: str
) -> None:
    members = home / "members.json"
    tokens = {name: add_member(members, name) for name in ("ada", "bob")}
    ended: dict[str, float] = {}
    async with open_test_process() as process, served(process) as origin:

        async def waits(name: str) -> None:
            try:
                async with connected(origin, transport, mode, tokens[name]) as client:
                    placed = await call(client, "place_order", arguments())
                    await client.call_tool("get_order", {"order_id": placed["key"], "wait_seconds": 25})
            except Exception:
                ended[name] = time.monotonic()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waits, "ada")
            tasks.start_soon(waits, "bob")
            with anyio.fail_after(10):
                while len(zinc.posts) < 2:
                    await anyio.sleep(0.01)
            await anyio.sleep(0.5)
            removed_at = time.monotonic()
            assert remove_member(members, "ada")
            with anyio.fail_after(5):
                while "ada" not in ended:
                    await anyio.sleep(0.01)
            assert ended["ada"] - removed_at < 2.5
            assert "bob" not in ended
            remove_member(members, "bob")
            with anyio.fail_after(5):
                while "bob" not in ended:
                    await anyio.sleep(0.01)
            await anyio.sleep(0.5)
            asked = len(zinc.requests)
            await anyio.sleep(0.5)
            assert len(zinc.requests) == asked, "nobody waits for the answer"
            tasks.cancel_scope.cancel()


@both_eras
async def test_calls_of_one_caller_at_once_are_bounded(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, slowly: Clocks
) -> None:
    told: list[dict[str, Any]] = []
    async with open_test_process(clocks=slowly) as process, host(process, mode) as client:
        placed = await call(client, "place_order", arguments())
        wanted = {"order_id": placed["key"], "wait_seconds": 25}

        async def wait() -> None:
            told.append(said(await client.call_tool("get_order", wanted)))

        async with anyio.create_task_group() as tasks:
            for _ in range(MOST_CALLS + 5):
                tasks.start_soon(wait)
            with anyio.fail_after(20):
                while len(told) < 5:
                    await anyio.sleep(0.01)
            assert {each["code"] for each in told} == {"too_many_calls"}
            refused = said(await client.call_tool("place_order", arguments(max_price=100)))
            assert (refused["code"], refused["outcome"], len(zinc.posts)) == ("too_many_calls", "refused", 1)
            zinc.advance(placed["order_id"], "order_placed")
            with anyio.fail_after(20):
                while len(told) < MOST_CALLS + 5:
                    await anyio.sleep(0.01)
        assert (await call(client, "get_order", {"order_id": placed["key"]}))["order_id"] == placed["order_id"]


async def test_requests_of_one_member_at_once_are_bounded_and_the_next_is_told_when_to_come_again(
    open_test_process: OpenProcess, home: Path
) -> None:
    tokens = {name: add_member(home / "members.json", name) for name in ("ada", "bob")}
    headers = {name: {**JSON, "Authorization": f"Bearer {token}"} for name, token in tokens.items()}
    may_end, statuses = anyio.Event(), list[int]()

    async def slowly() -> AsyncGenerator[bytes]:
        yield b"{"
        await may_end.wait()

    async with open_test_process() as process, served(process) as origin:
        async with httpx2.AsyncClient(base_url=origin, timeout=30) as client, anyio.create_task_group() as tasks:

            async def hold() -> None:
                statuses.append((await client.post("/mcp", headers=headers["ada"], content=slowly())).status_code)

            for _ in range(MOST_REQUESTS):
                tasks.start_soon(hold)
            with anyio.fail_after(15):
                while (told := await client.post("/mcp", headers=headers["ada"], content=b"{")).status_code != 429:
                    assert told.status_code == 400
            assert told.json() == {"error": "too_many_requests"}
            assert told.headers["retry-after"] == "5"
            assert statuses == [], "those that came first go on"
            assert (await client.post("/mcp", headers=headers["bob"], content=b"{")).status_code == 400
            may_end.set()
    assert statuses == [400] * MOST_REQUESTS


async def test_clients_that_hang_up_do_not_make_room_for_more_calls(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, slowly: Clocks
) -> None:
    tokens = {name: add_member(home / "members.json", name) for name in ("ada", "bob")}
    async with open_test_process(clocks=slowly) as process, served(process) as origin:
        headers = {name: {**JSON, "Authorization": f"Bearer {token}"} for name, token in tokens.items()}
        async with httpx2.AsyncClient(base_url=origin, timeout=10) as client:

            async def opened(name: str) -> None:
                answer = await client.post("/mcp", headers=headers[name], json=initialize())
                headers[name]["Mcp-Session-Id"] = answer.headers["mcp-session-id"]

            async def told(name: str, number: int, tool: str, wanted: dict[str, Any]) -> dict[str, Any]:
                message = calling(tool, wanted, number)
                answer = await client.post("/mcp", headers=headers[name], json=message)
                line = next(line for line in answer.text.splitlines() if line.startswith("data: {"))
                return dict(json.loads(line[6:])["result"]["structuredContent"])

            await opened("ada")
            await opened("bob")
            placed = await told("ada", 1, "place_order", arguments())
            wanted = {"order_id": placed["key"], "wait_seconds": 25}
            for number in range(MOST_CALLS):
                message = calling("get_order", wanted, 100 + number)
                async with client.stream("POST", "/mcp", headers=headers["ada"], json=message) as stream:
                    assert stream.status_code == 200
            refused = await told("ada", 2, "get_order", {"order_id": placed["key"]})
            assert refused["code"] == "too_many_calls"
            assert (await told("bob", 1, "place_order", arguments()))["new_order"] is True


async def test_a_member_from_before_there_were_ids_keeps_their_orders_and_the_next_of_the_name_has_none(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, tmp_path: Path
) -> None:
    members = home / "members.json"
    token = add_member(members, "ada")
    document = json.loads(members.read_text(encoding="utf-8"))
    document["members"]["ada"] = document["members"]["ada"]["hash"]
    members.write_text(json.dumps(document), encoding="utf-8")
    async with open_test_process() as process, served(process) as origin:
        async with connected(origin, "mcp", "auto", token) as client:
            placed = await call(client, "place_order", arguments())
        add_member(members, "bob")
        async with connected(origin, "mcp", "auto", token) as client:
            assert (await call(client, "place_order", arguments()))["new_order"] is False
        remove_member(members, "ada")
        async with connected(origin, "mcp", "auto", add_member(members, "ada")) as client:
            await none_is_known(client, placed)
            assert (await call(client, "place_order", arguments()))["new_order"] is True
    started = Started(tmp_path)
    shown = started.run("orders", "show", placed["key"]).stdout
    assert "ada" in shown
    second = members_callers(members)["ada"]
    told = started.run("policy", ZINC_API_KEY="zn_test_1").stdout
    used = [line.strip() for line in told[told.index("Used of the limits (test)") :].splitlines()[1:4]]
    assert [line.partition(":")[0] for line in used] == ["local", "ada", "bob"]
    assert "by 1 order in" in used[1], "of the two the one who has the name now"
    assert second not in told


async def none_is_known(client: Client, placed: dict[str, Any]) -> None:
    for handle in (placed["key"], placed["order_id"]):
        assert said(await client.call_tool("get_order", {"order_id": handle}))["code"] == "order_not_found"


async def test_a_connection_serves_a_member_until_the_last_of_its_requests_has_ended() -> None:
    second_began, may_end = anyio.Event(), anyio.Event()
    serving: list[int] = []

    async def work(scope: Scope, receive: Receive, send: Send) -> None:
        connection = connection_of(scope)
        assert connection is not None
        assert connection.take()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        if scope["path"] == "/second":
            second_began.set()
            await may_end.wait()
        await send({"type": "http.response.body", "body": b""})
        await second_began.wait()
        connection.release("ada")
        serving.append(connection.all_connections.serving)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with listening(Starlette(routes=[Mount("/", app=work)]), listener):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                for path in ("first", "second"):
                    await stream.send(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                with anyio.fail_after(5):
                    while not serving:
                        await anyio.sleep(0.01)
                    assert serving == [1], "the second is under way"
                    may_end.set()
                    while len(serving) < 2:
                        await anyio.sleep(0.01)
    assert serving == [1, 0]


PING = {"jsonrpc": "2.0", "id": 5, "method": "ping"}


@asynccontextmanager
async def member(process: Process, token: str) -> AsyncGenerator[httpx2.AsyncClient]:
    """Give a client of a member on a port."""
    async with (
        served(process) as origin,
        httpx2.AsyncClient(base_url=origin, timeout=20, headers={**JSON, "Authorization": f"Bearer {token}"}) as client,
    ):
        yield client


async def opened(client: httpx2.AsyncClient) -> str:
    answer = await client.post("/mcp", json=initialize())
    assert answer.status_code == 200, answer.text
    return str(answer.headers["mcp-session-id"])


async def is_there(client: httpx2.AsyncClient, session: str) -> bool:
    return (await client.post("/mcp", json=PING, headers={"Mcp-Session-Id": session})).status_code == 200


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/nowhere", {}),
        ("DELETE", "/messages/", {}),
        ("DELETE", "/mcp", {"MCP-Protocol-Version": "2026-07-28"}),
        ("POST", "/mcp", {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "no/such"}),
        ("POST", "/mcp", {"MCP-Protocol-Version": ""}),
        ("DELETE", "/mcp", {"MCP-Protocol-Version": "1999-01-01"}),
    ],
)
async def test_no_request_makes_the_server_forget_a_session_that_goes_on(
    open_test_process: OpenProcess, home: Path, method: str, path: str, more: dict[str, str]
) -> None:
    token = add_member(home / "members.json", "ada")
    about: dict[str, Any] = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    unknown: dict[str, Any] = {"jsonrpc": "2.0", "id": 6, "method": "no/such", "params": {"_meta": about}}
    async with open_test_process() as process, member(process, token) as client:
        first = await opened(client)
        content = json.dumps(unknown).encode() if method == "POST" else b""
        answer = await client.request(method, path, content=content, headers={"Mcp-Session-Id": first, **more})
        assert answer.status_code >= 400
        for _ in range(MOST_SESSIONS):
            await opened(client)
        assert not await is_there(client, first), "the oldest of them ends all the same"


async def test_an_ended_session_makes_room(open_test_process: OpenProcess, home: Path) -> None:
    token = add_member(home / "members.json", "ada")
    async with open_test_process() as process, member(process, token) as client:
        first = await opened(client)
        for _ in range(MOST_SESSIONS):
            ended = await client.delete("/mcp", headers={"Mcp-Session-Id": await opened(client)})
            assert ended.status_code == 200
        assert await is_there(client, first)


async def test_a_session_with_a_call_under_way_stays_and_its_answer_comes(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, slowly: Clocks
) -> None:
    token = add_member(home / "members.json", "ada")
    async with open_test_process(clocks=slowly) as process, member(process, token) as client:
        kept = {"Mcp-Session-Id": await opened(client)}
        placed = await client.post("/mcp", headers=kept, json=calling("place_order", arguments()))
        order = json.loads(placed.text.partition("data: ")[2].splitlines()[0])["result"]["structuredContent"]
        waiting = calling("get_order", {"order_id": order["key"], "wait_seconds": 25}, 3)
        told: list[str] = []

        async def wait() -> None:
            told.append((await client.post("/mcp", headers=kept, json=waiting)).text)

        async with anyio.create_task_group() as tasks:
            began = anyio.current_time()
            tasks.start_soon(wait)
            while not process.calls:
                await anyio.sleep(0.01)
            for _ in range(MOST_SESSIONS + 3):
                await opened(client)
            # On a busy machine the sessions may take longer than the call waits.
            assert told == [] or anyio.current_time() - began > 25
            zinc.advance(order["order_id"], "order_placed")
        assert '"structuredContent"' in told[0]
        assert await is_there(client, kept["Mcp-Session-Id"]), "it was used until just now"


async def test_where_all_sessions_are_at_work_another_is_refused(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, slowly: Clocks
) -> None:
    token = add_member(home / "members.json", "ada")
    async with open_test_process(clocks=slowly) as process, member(process, token) as client:
        sessions = [await opened(client) for _ in range(MOST_SESSIONS)]
        kept = {"Mcp-Session-Id": sessions[0]}
        placed = await client.post("/mcp", headers=kept, json=calling("place_order", arguments()))
        order = json.loads(placed.text.partition("data: ")[2].splitlines()[0])["result"]["structuredContent"]
        waiting = calling("get_order", {"order_id": order["key"], "wait_seconds": 25}, 3)
        told: list[int] = []

        async def wait(session: str) -> None:
            told.append((await client.post("/mcp", headers={"Mcp-Session-Id": session}, json=waiting)).status_code)

        async with anyio.create_task_group() as tasks:
            for session in sessions:
                tasks.start_soon(wait, session)
            while process.calls.total() < MOST_SESSIONS:
                await anyio.sleep(0.01)
            refused = await client.post("/mcp", json=initialize())
            assert (refused.status_code, refused.json()) == (429, {"error": "too_many_sessions"})
            assert refused.headers["retry-after"] == "5"
            assert "mcp-session-id" not in refused.headers
            zinc.advance(order["order_id"], "order_placed")
        assert told == [200] * MOST_SESSIONS
        assert await opened(client)


async def test_sessions_of_a_removed_member_end_also_one_that_is_being_opened(
    open_test_process: OpenProcess, home: Path
) -> None:
    token = add_member(home / "members.json", "ada")
    going_on, removed, begun, ended = anyio.Event(), anyio.Event(), list[bytes](), list[bytes]()

    async def work(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "DELETE":
            ended.append(dict(scope["headers"])[b"mcp-session-id"])
        else:
            begun.append(b"%d" % len(begun))
            if len(begun) == 2:
                going_on.set()
                with anyio.CancelScope(shield=True):
                    await removed.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"mcp-session-id", begun[-1])]})
        await send({"type": "http.response.body", "body": b""})

    members = Members(home / "members.json")
    shares = Shares(work, lambda caller: caller in members.known(), lambda access: True)
    scope: Scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": [(b"host", b"x")]}
    [caller] = members.known()
    note_access(scope, Access(caller))

    async def unused() -> Any: ...

    async def unheard(message: Any) -> None: ...

    async with shares.watched(), anyio.create_task_group() as tasks:
        await shares(scope, unused, unheard)
        tasks.start_soon(shares, scope, unused, unheard)
        await going_on.wait()
        assert token
        remove_member(home / "members.json", "ada")
        await anyio.sleep(1)
        removed.set()
    assert ended == [b"0", b"1"]


async def test_messages_of_a_member_in_a_minute_are_bounded_and_the_refusal_says_when_to_come_again(
    open_test_process: OpenProcess, home: Path
) -> None:
    ada, bob = (add_member(home / "members.json", name) for name in ("ada", "bob"))
    async with open_test_process() as process, served(process) as origin, httpx2.AsyncClient(timeout=20) as client:

        async def statuses(token: str, number: int) -> list[int]:
            headers = {**JSON, "Authorization": f"Bearer {token}"}
            sent = [await client.post(f"{origin}/mcp", headers=headers, content=b"{") for _ in range(number)]
            if sent[-1].status_code == 429:
                assert sent[-1].json() == {"error": "too_many_a_minute"}
                assert 1 <= int(sent[-1].headers["retry-after"]) <= 60
            return [each.status_code for each in sent]

        assert await statuses(ada, MOST_A_MINUTE) == [400] * MOST_A_MINUTE
        assert await statuses(ada, 2) == [429, 429], "also when nothing of hers is under way"
        assert await statuses(bob, 1) == [400]
        seen = await client.get(f"{origin}/healthz")
    assert seen.status_code == 200
