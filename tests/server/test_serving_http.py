"""The server over real sockets lets in only its members, and each member sees only their own orders."""

import json
import os
import socket
import sqlite3
import stat
import sys
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import cast

import anyio
import httpx2
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from mcp.types import ElicitRequestParams, ElicitResult
from server.as_a_host import both_eras, call, refused
from server.on_a_port import JSON, TRANSPORTS, connected, initialize, listening, served, token_in
from wanted import arguments

from zinc_mcp.errors import SettingsError
from zinc_mcp.owner.members import add_member, remove_member
from zinc_mcp.owner.settings import Settings
from zinc_mcp.server.http.access import TOKEN_FILE, local_token
from zinc_mcp.server.http.app import serve_http
from zinc_mcp.server.http.readiness import MOST_ASKING
from zinc_mcp.server.mcp.server import build_server

EVERYWHERE = "0.0.0.0"  # noqa: S104  # what must not be served without members
both_transports = pytest.mark.parametrize("transport", TRANSPORTS)
PATHS = ["/mcp", "/sse", "/messages/", "/nothing-here"]


@pytest.fixture
def members(home: Path) -> Path:
    return home / "members.json"


@pytest.fixture
def team(members: Path) -> dict[str, str]:
    return {name: add_member(members, name) for name in ("ada", "bob", "cy")}


@asynccontextmanager
async def plain_client(origin: str, token: str | None = None, **headers: str) -> AsyncGenerator[httpx2.AsyncClient]:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    async with httpx2.AsyncClient(base_url=origin, headers=headers, timeout=10) as client:
        yield client


@pytest.mark.sampled(2)
@both_eras
@both_transports
async def test_on_loopback_the_owner_s_token_is_all_that_is_needed(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, mode: str, transport: str
) -> None:
    async with (
        open_test_process() as process,
        served(process) as origin,
        connected(origin, transport, mode, token_in(home)) as client,
    ):
        placed = await call(client, "place_order", arguments())
        zinc.settle(placed["order_id"], 4_000)
        found = await call(client, "get_order", {"order_id": placed["key"], "wait_seconds": 5})
    assert found["outcome"] == "placed"
    assert len(zinc.posts) == 1


@pytest.mark.sampled(2)
@both_eras
@both_transports
async def test_a_team_of_three_gets_one_order_each_and_nobody_sees_another_s(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, transport: str, team: dict[str, str]
) -> None:
    placed: dict[str, dict[str, object]] = {}
    async with open_test_process() as process, served(process) as origin:
        for name, token in team.items():
            async with connected(origin, transport, mode, token) as client:
                placed[name] = await call(client, "place_order", arguments(idempotency_key="order-1"))
                again = await call(client, "place_order", arguments(max_price=4_321))
                assert (again["new_order"], again["order_id"]) == (False, placed[name]["order_id"])
        for name, token in team.items():
            async with connected(origin, transport, mode, token) as client:
                for owner, facts in placed.items():
                    for handle in (facts["order_id"], facts["key"]):
                        if owner == name:
                            assert (await call(client, "get_order", {"order_id": handle}))["key"] == facts["key"]
                        else:
                            told = await refused(client, "get_order", {"order_id": handle})
                            assert told["code"] == "order_not_found"
    assert len({str(facts["order_id"]) for facts in placed.values()}) == len(zinc.orders) == len(zinc.posts) == 3


@both_transports
@both_eras
@pytest.mark.parametrize("token", [None, "zmcp_wrong"])
async def test_without_a_member_s_token_nobody_connects(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, transport: str, team: dict[str, str], token: str | None
) -> None:
    async with open_test_process() as process, served(process) as origin:
        with pytest.raises(Exception) as raised:  # the SDK wraps it in groups of its own
            async with connected(origin, transport, mode, token) as client:
                await client.call_tool("place_order", arguments())
        assert raised.value is not None
    assert zinc.requests == []


@pytest.mark.parametrize("path", PATHS)
async def test_every_path_but_those_of_watchdogs_asks_for_a_token(
    open_test_process: OpenProcess, team: dict[str, str], path: str
) -> None:
    wrong = [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {team['ada'][:-1]}"},
        {"Authorization": f"Bearer {team['ada']}x"},
        {"Authorization": f"Basic {team['ada']}"},
        {"Authorization": team["ada"]},
        {"X-Api-Key": team["ada"]},
    ]
    async with open_test_process() as process, served(process) as origin, plain_client(origin) as client:
        for headers in wrong:
            for verb in ("GET", "POST", "DELETE"):
                answer = await client.request(verb, path, headers=headers, json=None if verb == "GET" else initialize())
                assert answer.status_code == 401, (verb, headers)
                assert answer.headers["www-authenticate"].startswith("Bearer")
        assert (await client.get(f"{path}?token={team['ada']}")).status_code == 401
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).json() == {"status": "ready"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("with_members", [False, True])
async def test_a_foreign_host_or_origin_is_refused(
    open_test_process: OpenProcess, members: Path, path: str, with_members: bool
) -> None:
    member = add_member(members, "ada") if with_members else None
    async with (
        open_test_process() as process,
        served(process) as origin,
        plain_client(origin, member or token_in(members.parent)) as client,
    ):
        own = origin.removeprefix("http://")
        port = own.rpartition(":")[2]
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1:1", "127.0.0.1", f"{own}.evil.example", ""):
            assert (await client.get(path, headers={"Host": host})).status_code in (400, 421), host
        for foreign in ("https://evil.example", "null", f"https://evil.example:{port}", f"file://{own}", f"{origin}.x"):
            assert (await client.get(path, headers={"Origin": foreign})).status_code == 403, foreign
        own_origin = await client.post("/mcp", headers={**JSON, "Origin": origin}, json=initialize())
        assert own_origin.status_code == 200


async def test_another_member_s_session_does_not_exist(open_test_process: OpenProcess, team: dict[str, str]) -> None:
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    async with open_test_process() as process, served(process) as origin, plain_client(origin) as client:
        ada, bob = ({**JSON, "Authorization": f"Bearer {team[name]}"} for name in ("ada", "bob"))
        opened = await client.post("/mcp", headers=ada, json=initialize())
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
        assert (await client.post("/mcp", headers=ada | session, json=ping)).status_code == 200
        assert (await client.post("/mcp", headers=bob | session, json=ping)).status_code == 404
        assert (await client.delete("/mcp", headers=bob | session)).status_code == 404
        assert (await client.post("/mcp", headers=ada | session, json=ping)).status_code == 200


async def test_another_member_s_stream_takes_no_message(open_test_process: OpenProcess, team: dict[str, str]) -> None:
    async with open_test_process() as process, served(process) as origin, plain_client(origin) as client:
        ada, bob = ({**JSON, "Authorization": f"Bearer {team[name]}"} for name in ("ada", "bob"))
        async with client.stream("GET", "/sse", headers=ada) as stream:
            lines = stream.aiter_lines()
            endpoint = ""
            while not endpoint:
                line = await anext(lines)
                endpoint = line.removeprefix("data: ") if line.startswith("data: ") else ""
            assert (await client.post(endpoint, headers=bob, json=initialize())).status_code == 404
            assert (await client.post(endpoint, headers=JSON, json=initialize())).status_code == 401
            assert (await client.post(endpoint, headers=ada, json=initialize())).status_code == 202


async def test_the_state_of_another_member_s_question_is_refused(
    open_test_process: OpenProcess, zinc: FakeZinc, team: dict[str, str], home: Path
) -> None:
    (home / "zinc.toml").write_text('[policy]\napproval = "auto"\n', encoding="utf-8")
    version = "2026-07-28"
    headers = {**JSON, "MCP-Protocol-Version": version, "Mcp-Method": "tools/call", "Mcp-Name": "place_order"}
    meta: dict[str, object] = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    }
    params: dict[str, object] = {"name": "place_order", "arguments": arguments(), "_meta": meta}
    yes = {"consent": {"action": "accept", "content": {"approve": True}}}
    async with open_test_process() as process, served(process) as origin, plain_client(origin) as client:

        async def ask(name: str, **answered: object) -> dict[str, object]:
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params | answered}
            bearer = {"Authorization": f"Bearer {team[name]}"}
            return dict((await client.post("/mcp", headers=headers | bearer, json=message)).json())

        question = cast(dict[str, object], (await ask("ada"))["result"])
        assert question["resultType"] == "input_required"
        answered = {"requestState": question["requestState"], "inputResponses": yes}
        assert "error" in await ask("bob", **answered)
        assert zinc.posts == []
        assert "result" in await ask("ada", **answered)
    assert len(zinc.posts) == 1


@both_transports
async def test_a_token_taken_back_counts_from_the_next_message_on(
    open_test_process: OpenProcess, zinc: FakeZinc, transport: str, members: Path
) -> None:
    first = add_member(members, "ada")
    async with open_test_process() as process, served(process) as origin:
        async with connected(origin, transport, "auto", first) as client:
            placed = await call(client, "place_order", arguments())
            assert remove_member(members, "ada")
            add_member(members, "bob")
            with pytest.raises(Exception) as raised:  # the SDK's own, or a time-out over SSE
                with anyio.fail_after(2):
                    await client.call_tool("get_order", {"order_id": placed["order_id"]})
            assert raised.value is not None


async def opens_a_session(client: httpx2.AsyncClient, token: str) -> int:
    headers = {**JSON, "Authorization": f"Bearer {token}"}
    return (await client.post("/mcp", headers=headers, json=initialize())).status_code


async def test_a_change_of_the_members_counts_at_once_and_lets_nobody_in_without_a_token(
    open_test_process: OpenProcess, members: Path, team: dict[str, str]
) -> None:
    async with open_test_process() as process, served(process) as origin, plain_client(origin) as client:

        async def status(name: str, token: str | None = None) -> int:
            return await opens_a_session(client, token or team[name])

        assert await status("ada") == 200
        remove_member(members, "ada")
        assert (await status("ada"), await status("bob")) == (401, 200)
        assert await status("ada", add_member(members, "ada")) == 200
        members.write_text("{broken", encoding="utf-8")
        assert await status("bob") == 401
        members.write_text('{"members": {}}', encoding="utf-8")
        assert await status("bob") == 401
        members.unlink()
        assert await status("bob") == 401


async def test_a_first_member_ends_the_owner_s_token_for_good(
    open_test_process: OpenProcess, members: Path, home: Path
) -> None:
    async with open_test_process() as process, served(process) as origin, plain_client(origin) as client:
        owner = token_in(home)
        assert await opens_a_session(client, owner) == 200
        ada = add_member(members, "ada")
        assert (await opens_a_session(client, owner), await opens_a_session(client, ada)) == (401, 200)
        members.unlink()
        assert (await opens_a_session(client, owner), await opens_a_session(client, ada)) == (401, 401)


async def test_a_file_of_members_that_breaks_lets_the_owner_s_token_in_no_more(
    open_test_process: OpenProcess, members: Path, home: Path
) -> None:
    async with open_test_process() as process, served(process) as origin, plain_client(origin) as client:
        members.write_text("{broken", encoding="utf-8")
        assert await opens_a_session(client, token_in(home)) == 401


async def test_members_only_lets_nobody_in_while_there_are_none(open_test_process: OpenProcess, home: Path) -> None:
    async with (
        open_test_process() as process,
        served(process, members_only=True) as origin,
        plain_client(origin) as client,
    ):
        local_token(home)
        for token in ("x", "local", "zmcp_", token_in(home)):
            assert await opens_a_session(client, token) == 401
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.sampled(4)
@both_transports
@both_eras
@pytest.mark.parametrize("token", [None, "", "zmcp_wrong", "local"])
async def test_another_user_of_the_machine_neither_orders_nor_answers_nor_reads(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, mode: str, transport: str, token: str | None
) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "zinc.toml").write_text('[policy]\napproval = "auto"\n', encoding="utf-8")
    asked: list[str] = []

    async def accept(context: object, parameters: ElicitRequestParams) -> ElicitResult:
        asked.append(parameters.message)
        return ElicitResult(action="accept", content={"approve": True})

    async with open_test_process(api_key="zn_live_planted") as process, served(process) as origin:
        with pytest.raises(Exception) as raised:  # the SDK wraps it in groups of its own
            async with connected(origin, transport, mode, token, asks=accept) as client:
                await client.call_tool("place_order", arguments())
        assert raised.value is not None
        assert (asked, zinc.requests) == ([], [])
        async with connected(origin, transport, mode, token_in(home), asks=accept) as owner:
            placed = await call(owner, "place_order", arguments())
    assert (placed["outcome"], len(asked), len(zinc.posts)) == ("accepted", 1, 1)


@both_eras
async def test_an_application_without_the_check_of_tokens_serves_nobody(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    async with open_test_process() as process:
        app = build_server(process).streamable_http_app()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with listening(app, listener):
                origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
                async with connected(origin, "mcp", mode) as client:
                    told = await refused(client, "place_order", arguments())
    assert (told["code"], "carries no token" in str(told["summary"])) == ("not_allowed", True)
    assert zinc.requests == []


async def test_readiness_knows_a_policy_that_cannot_be_read(open_test_process: OpenProcess, home: Path) -> None:
    async with open_test_process() as process, served(process) as origin, plain_client(origin) as client:
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        home.mkdir(parents=True, exist_ok=True)
        (home / "zinc.toml").write_text("[policy]\nmax_order = 'a lot'\n", encoding="utf-8")
        broken = await client.get("/readyz")
        assert (broken.status_code, broken.json()["code"]) == (503, "policy_invalid")


async def test_strangers_who_ask_for_readiness_at_once_share_one_look(
    open_test_process: OpenProcess, home: Path
) -> None:
    answers: list[int] = []
    not_there_yet = f"sqlite:///{home / 'journal.db'}"  # then a first look waits for whoever holds the file
    async with (
        open_test_process(journal=not_there_yet) as process,
        served(process) as origin,
        plain_client(origin) as client,
    ):
        with closing(sqlite3.connect(home / "journal.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")

            async def ask() -> None:
                answers.append((await client.get("/readyz")).status_code)

            async with anyio.create_task_group() as tasks:
                for _ in range(MOST_ASKING + 20):
                    tasks.start_soon(ask)
                await anyio.sleep(1.5)
                assert answers == [503] * 19
                assert (await client.get("/healthz")).status_code == 200
                other.execute("ROLLBACK")
    assert answers[19:] == [200] * (MOST_ASKING + 1)


async def test_readiness_knows_a_journal_that_cannot_be_used(open_test_process: OpenProcess, home: Path) -> None:
    home.mkdir(parents=True)
    (home / "journal.db").write_bytes(b"somebody's notes" * 1000)
    async with open_test_process() as process, served(process) as origin, plain_client(origin) as client:
        broken = await client.get("/readyz")
        assert (broken.status_code, broken.json()["code"]) == (503, "journal_unavailable")


@both_transports
@both_eras
async def test_a_body_just_within_the_bound_gets_an_answer_a_model_can_read(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, mode: str, transport: str
) -> None:
    async with (
        open_test_process() as process,
        served(process) as origin,
        connected(origin, transport, mode, token_in(home)) as client,
    ):
        told = await refused(client, "place_order", arguments(metadata={"a": "x" * 1_000_000}))
    assert told["code"] == "invalid_arguments"
    assert zinc.requests == []


async def test_a_body_without_end_is_cut_off(open_test_process: OpenProcess, home: Path) -> None:
    async with (
        open_test_process() as process,
        served(process) as origin,
        plain_client(origin, token_in(home)) as client,
    ):
        for path in ("/mcp", "/messages/"):
            answer = await client.post(path, headers=JSON, content=b" " * (17 * 1024 * 1024))
            assert answer.status_code == 413


@pytest.mark.sampled(2)
@both_eras
@both_transports
async def test_a_connection_dropped_while_the_order_is_on_the_wire_leaves_one_order(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, mode: str, transport: str
) -> None:
    zinc.script = ["slow"]
    async with open_test_process() as process, served(process) as origin:
        token = token_in(home)
        with anyio.move_on_after(5):
            async with connected(origin, transport, mode, token) as client, anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "place_order", arguments())
                while not zinc.posts:
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
        async with connected(origin, transport, mode, token) as client:
            again = await call(client, "place_order", arguments())
    assert (again["new_order"], again["outcome"]) == (False, "accepted")
    assert len(zinc.orders) == len(zinc.posts) == 1


def settings_in(home: Path) -> Settings:
    return Settings(home=home, config=home / "zinc.toml", sandbox=True)


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "203.0.113.1", "mcp.example.com", "192.168.1.1"])
def test_off_loopback_everything_that_is_missing_is_named(home: Path, host: str) -> None:
    with pytest.raises(SettingsError) as raised:
        serve_http(settings_in(home), host, 0)
    for missing in ("members add", "--allow-host", "--tls-cert", "--behind-proxy"):
        assert missing in raised.value.summary


@pytest.mark.parametrize("with_proxy", [False, True])
def test_a_loopback_server_that_is_reached_from_elsewhere_needs_the_same(home: Path, with_proxy: bool) -> None:
    with pytest.raises(SettingsError) as raised:
        serve_http(settings_in(home), "127.0.0.1", 0, allowed_hosts=["mcp.example.com"], behind_proxy=with_proxy)
    assert "members" in raised.value.summary
    assert ("TLS" in raised.value.summary) is not with_proxy
    assert "--allow-host" not in raised.value.summary


def test_a_broken_file_of_members_stops_the_start(home: Path, members: Path) -> None:
    home.mkdir()
    members.write_text(json.dumps({"ada": "token"}), encoding="utf-8")
    with pytest.raises(SettingsError, match="cannot be used"):
        serve_http(settings_in(home), "127.0.0.1", 0)


def test_certificates_that_are_none_stop_the_start(home: Path, members: Path) -> None:
    add_member(members, "ada")
    with pytest.raises(SettingsError, match="certificate"):
        serve_http(settings_in(home), EVERYWHERE, 0, allowed_hosts=["mcp.example.com"], tls=(members, members))


def test_an_address_that_is_taken_stops_the_start(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(SettingsError, match="Cannot listen"):
            serve_http(settings_in(home), "127.0.0.1", taken.getsockname()[1])


def test_two_servers_that_start_at_once_have_one_token(home: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        tokens = list(pool.map(local_token, [home] * 32))
    token = token_in(home)
    assert all(each.matches(token) for each in tokens)
    assert [path.name for path in home.iterdir()] == [TOKEN_FILE]
    assert local_token(home).matches(token), "and the next start keeps it"
    assert stat.S_IMODE((home / TOKEN_FILE).stat().st_mode) == 0o600
    assert token not in repr(local_token(home)) + str(vars(local_token(home)))
    assert not any(local_token(home).matches(wrong) for wrong in ("", token[:-1], token + "x", token.swapcase()))


@pytest.mark.skipif(sys.platform == "win32", reason="no modes of this kind")
@pytest.mark.parametrize("what", ["readable", "writable", "link", "dangling", "folder", "pipe", "empty", "short"])
def test_a_file_of_the_token_that_others_may_know_stops_the_start(home: Path, tmp_path: Path, what: str) -> None:
    path = home / TOKEN_FILE
    local_token(home)
    secret = token_in(home)
    if what in ("readable", "writable"):
        path.chmod(0o604 if what == "readable" else 0o620)
    elif what in ("empty", "short"):
        path.write_text("" if what == "empty" else "zmcp_0", encoding="ascii")
    else:
        path.rename(elsewhere := tmp_path / "elsewhere")
        if what == "folder":
            path.mkdir(mode=0o700)
        elif what == "pipe":
            os.mkfifo(path, 0o600)
        else:
            path.symlink_to(elsewhere if what == "link" else tmp_path / "nothing")
    with pytest.raises(SettingsError, match="cannot be used") as raised:
        serve_http(settings_in(home), "127.0.0.1", 0)
    assert secret not in raised.value.summary + raised.value.next_step
