"""Three real servers behind a real nginx, and behind Caddy, with the files of `deploy/`."""

import signal
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import httpx2
import pytest
from mcp.client.context import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequestParams, ElicitResult
from server.as_a_host import call, said
from server.on_a_port import JSON, initialize
from server.proxies import Proxy, free_port, proxy
from server.replicas import YES, Replica, Team, never, team, until_asked
from server.visitor import Visitor, forms, words
from signing import Practice, practice
from variants import rare
from wanted import arguments

from bench.proxied import NAMES

ERAS = ("auto", "legacy", "sse")
LISTING = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


@pytest.fixture(scope="module")
def zinc(tmp_path_factory: pytest.TempPathFactory) -> Generator[Practice]:
    with practice(tmp_path_factory.mktemp("zinc")) as running:
        yield running


@pytest.fixture
def servers(tmp_path: Path, make_database: Callable[..., str], zinc: Practice) -> Generator[Team]:
    with team(tmp_path, make_database(), zinc.url, NAMES, public="localhost") as running:
        yield running


@pytest.fixture(params=["nginx", rare("caddy")])
def front(request: pytest.FixtureRequest, tmp_path: Path, servers: Team) -> Generator[Proxy]:
    with proxy(request.param, tmp_path, [each.port for each in servers.replicas], free_port()) as running:
        yield running


async def yes(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    return YES


def wanted(number: int) -> dict[str, Any]:
    return arguments(products=[{"url": f"https://www.amazon.com/dp/B07JGBX8{number:02d}"}], max_price=1000)


def orders(zinc: Practice) -> int:
    return int(zinc.rows("SELECT count(*) FROM orders")[0][0])


async def test_hosts_of_each_kind_are_asked_and_order_through_whichever_server_the_proxy_chooses(
    servers: Team, front: Proxy, zinc: Practice
) -> None:
    before, number = orders(zinc), 0
    for era in ERAS:
        token = servers.member(f"ada-{era}")
        for _ in range(3):  # another server each time, where nothing binds the host to one
            async with front.host(token, era, yes) as host:
                told = await call(host, "place_order", wanted(number))
                assert told["outcome"] in ("accepted", "placed"), (era, told)
                again = await call(host, "get_order", {"order_id": told["order_id"], "wait_seconds": 0})
                assert again["order_id"] == told["order_id"]
            number += 1
    assert orders(zinc) == before + number


async def test_a_session_and_an_sse_connection_stay_with_their_server(servers: Team, front: Proxy) -> None:
    token = servers.member("ada")
    async with front.client(token, **JSON) as client:
        seen: set[str] = set()
        for _ in range(12):
            opened = await client.post(f"{front.origin}/mcp", json=initialize())
            session = opened.headers["mcp-session-id"]
            seen.add(session.partition(".")[0])
            for _ in range(4):
                listed = await client.post(f"{front.origin}/mcp", json=LISTING, headers={"Mcp-Session-Id": session})
                assert listed.status_code == 200, (session, listed.text)
    assert seen <= set(NAMES) and len(seen) > 1, seen


async def test_a_member_signs_in_and_decides_through_the_proxy(servers: Team, front: Proxy, zinc: Practice) -> None:
    before = orders(zinc)
    token, own = servers.member("ada"), f"https://localhost:{front.port}"
    async with front.host(token, "legacy", None) as host, anyio.create_task_group() as tasks:

        async def place() -> None:
            assert said(await host.call_tool("place_order", arguments()))["outcome"] in ("accepted", "placed")

        tasks.start_soon(place)
        await until_asked(servers)
        async with httpx.AsyncClient(verify=front.trust, timeout=60) as browser:
            person = Visitor(browser, f"{front.origin}/approve/")
            person.shows(await person.send(own, token=token))
            for _ in range(4):
                assert person.shows(await person.send(own, visit=person.visit)).status_code == 200
            form = next(each for each in forms(person.page) if "about" in each.fields).fields
            assert (taken := await person.send(own, **form, decision="yes")).status_code == 200, words(taken.text)
    assert orders(zinc) == before + 1


async def test_a_foreign_name_is_refused_and_none_is_made_up_by_the_proxy(servers: Team, front: Proxy) -> None:
    token = servers.member("ada")
    async with front.client(token, **JSON) as client:
        for name in ("evil.example", f"127.0.0.1:{servers.replicas[0].port}", "any", "zinc-0:8765"):
            answer = await client.post(f"{front.origin}/mcp", json=initialize(), headers={"Host": name})
            assert "mcp-session-id" not in answer.headers and "jsonrpc" not in answer.text, name
        evil = {"Origin": "https://evil.example"}
        assert (await client.post(f"{front.origin}/mcp", json=initialize(), headers=evil)).status_code == 403


@pytest.mark.parametrize("how", [signal.SIGKILL, rare(signal.SIGTERM)])
async def test_when_a_server_ends_its_hosts_go_on_at_another_one(
    servers: Team, front: Proxy, zinc: Practice, how: signal.Signals
) -> None:
    token = servers.member("ada")
    async with front.client(token, **JSON) as client:
        opened = await client.post(f"{front.origin}/mcp", json=initialize())
        session = opened.headers["mcp-session-id"]
        [its_server] = [each for each in servers.replicas if session.startswith(f"{each.name}.")]
        await anyio.to_thread.run_sync(lambda: its_server.stop(how))
        statuses: list[int] = []
        with anyio.move_on_after(40):
            while not statuses or statuses[-1] != 404:  # which tells a client to open a new session
                answer = await client.post(f"{front.origin}/mcp", json=LISTING, headers={"Mcp-Session-Id": session})
                statuses.append(answer.status_code)
                await anyio.sleep(0.05)
        assert statuses[-1] == 404 and set(statuses) <= {404, 502, 503}, statuses
        with anyio.fail_after(40):
            while (await client.post(f"{front.origin}/mcp", json=initialize())).status_code != 200:
                await anyio.sleep(0.05)
    for era in ERAS:
        told = await persistently(front, token, era, wanted(50 + ERAS.index(era)))
        assert told["outcome"] in ("accepted", "placed"), (era, told)
    its_server.start()
    async with front.host(token, "auto", never) as host:
        assert (await call(host, "list_orders", {}))["outcome"] == "listed"


async def persistently(front: Proxy, token: str, era: str, given: dict[str, Any]) -> dict[str, Any]:
    """Place an order as a host whose user tries again: a proxy finds out by a request that a server is away."""
    with anyio.fail_after(60):
        while True:
            try:
                async with front.host(token, era, yes) as host:
                    return await call(host, "place_order", given)
            except* (MCPError, httpx2.HTTPError):
                await anyio.sleep(0.2)


async def test_a_server_that_is_stopped_in_the_middle_of_a_purchase_finishes_it_and_the_next_one_tells_it(
    servers: Team, front: Proxy, zinc: Practice
) -> None:
    # At this pace, Zinc answers after 2.5 seconds.
    before, token = orders(zinc), servers.member("ada")
    given = arguments(products=[{"url": "https://www.amazon.com/dp/B07JGBX899?fault=slow_50"}])
    told: list[dict[str, Any]] = []

    async def place() -> None:
        try:
            async with front.host(token, "auto", yes) as host:
                await host.list_tools()  # with which the client checks the answer; the proxy may ask the stopped server
                told.append(await call(host, "place_order", given))
        except* (MCPError, httpx2.HTTPError):
            pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(place)
        sender = await until_sending(servers)
        began = anyio.current_time()
        assert await anyio.to_thread.run_sync(lambda: sender.stop(signal.SIGTERM, 60)) == 0
        assert anyio.current_time() - began < 30
    [entry] = servers.entries()
    assert entry.state in ("accepted", "placed") and orders(zinc) == before + 1, entry.state
    assert [each["outcome"] in ("accepted", "placed") for each in told] == [True], told
    again = await persistently(front, token, "auto", given)
    assert again["order_id"] == entry.order_id and orders(zinc) == before + 1


async def until_sending(servers: Team) -> Replica:
    """Wait until an order is on its way; return the server that sends it."""
    with anyio.fail_after(30):
        while True:
            for entry in await anyio.to_thread.run_sync(servers.entries):
                if entry.state == "sending" and entry.lease_owner is not None:
                    pid = int(entry.lease_owner.partition("-")[0])
                    return next(each for each in servers.replicas if each.program and each.program.pid == pid)
            await anyio.sleep(0.05)
