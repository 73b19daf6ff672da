"""A tool needs scopes of an access token and rights of a role; a client can ask for scopes, a role hides tools."""

import json
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from server.as_a_host import both_eras, call, refused
from server.issuer import Issuer, running_issuer
from server.on_a_port import JSON, TRANSPORTS, connected, initialize, path_in, served
from variants import rare
from wanted import arguments

from zinc_mcp.known_settings import PROFILES, ROLES, TOOLS, Role, rights_for
from zinc_mcp.owner.members import add_member, change_member
from zinc_mcp.owner.team.member import Identity

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
AUDIENCE = "https://zinc.example.com/mcp"
META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
PLACING = sorted(tool for tool in TOOLS if "read" not in PROFILES[tool])
both_transports = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.fixture(scope="module")
def issuer() -> Generator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@asynccontextmanager
async def team(open_test_process: OpenProcess, issuer: Issuer, **settings: Any) -> AsyncGenerator[str]:
    usual = {"oauth_issuer": issuer.name, "oauth_audience": (AUDIENCE,), "oauth_everyone": True}
    async with open_test_process(**{**usual, **settings}) as process, served(process, members_only=True) as origin:
        yield origin


def calling(tool: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": tool, "arguments": given or {}}}


async def ask(origin: str, token: str, era: str, message: dict[str, Any]) -> httpx2.Response:
    """Send one message as a client of an era does: with its headers, in a session, or beside a stream."""
    headers = {**JSON, "Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=origin, headers=headers, timeout=10) as client:
        if era == "newer":
            params = {**message.get("params", {}), "_meta": META}
            more = {"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": str(message["method"])}
            if "name" in params:
                more["Mcp-Name"] = str(params["name"])
            return await client.post("/mcp", json={**message, "params": params}, headers=more)
        if era == "older":
            session = (await client.post("/mcp", json=initialize())).headers.get("mcp-session-id", "")
            return await client.post("/mcp", json=message, headers={"Mcp-Session-Id": session})
        async with client.stream("GET", "/sse") as stream:
            assert stream.status_code == 200
            return await client.post(await path_in(stream), json=message)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("era", ["newer", "older", "sse"])
@pytest.mark.parametrize("tool", PLACING)
async def test_a_tool_that_needs_more_scopes_names_all_of_them(
    open_test_process: OpenProcess, zinc: FakeZinc, issuer: Issuer, era: str, tool: str
) -> None:
    async with team(open_test_process, issuer) as origin:
        answer = await ask(origin, issuer.token(scope="openid orders:read"), era, calling(tool))
    assert answer.status_code == 403
    challenge = answer.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="orders:read orders:place"' in challenge
    resource = "sse" if era == "sse" else "mcp"
    assert f'resource_metadata="{origin}/.well-known/oauth-protected-resource/{resource}"' in challenge
    assert zinc.requests == []


@pytest.mark.parametrize("era", ["newer", "older"])
async def test_a_token_without_our_scopes_looks_at_nothing(
    open_test_process: OpenProcess, issuer: Issuer, era: str
) -> None:
    async with team(open_test_process, issuer) as origin:
        for scope in ("", "openid profile", "orders:place", "orders:admin", "orders:readx", "ORDERS:READ"):
            for message in (
                calling("get_order", {"order_id": "x"}),
                {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
            ):
                answer = await ask(origin, issuer.token(scope=scope), era, message)
                assert answer.status_code == 403, scope
                assert 'scope="orders:read"' in answer.headers["www-authenticate"]
        token = issuer.token(scope="openid")
        async with httpx2.AsyncClient(base_url=origin, headers={"Authorization": f"Bearer {token}"}) as client:
            for path in ("/mcp", "/sse"):
                assert (await client.get(path, headers={"Accept": "text/event-stream"})).status_code == 403


@pytest.mark.sampled(2)
@both_eras
@both_transports
async def test_with_the_scopes_that_were_named_the_same_client_goes_on(
    open_test_process: OpenProcess, zinc: FakeZinc, issuer: Issuer, mode: str, transport: str
) -> None:
    async with team(open_test_process, issuer) as origin:
        async with connected(origin, transport, mode, issuer.token(scope="orders:read")) as client:
            listed = [tool.name for tool in (await client.list_tools()).tools]
            assert "place_order" in listed, "a tool that is not listed is never called, so nobody would ask for more"
        answer = await ask(origin, issuer.token(scope="orders:read"), "older", calling("place_order", arguments()))
        named = re.search(r'scope="([^"]*)"', answer.headers["www-authenticate"])
        assert named is not None
        async with connected(origin, transport, mode, issuer.token(scope=named[1])) as client:
            await call(client, "place_order", arguments())
    assert len(zinc.posts) == 1


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scp": "orders.read orders.place"}, ("api://app/orders.read", "api://app/orders.place", "api://app/admin")),
        ({"scp": ["orders:read", "orders:place"]}, ()),
        ({"scope": "read place"}, ("read", "place", "admin")),
    ],
    ids=["Entra ID", "Okta", "other names"],
)
async def test_scopes_count_as_the_issuer_writes_them(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    issuer: Issuer,
    claims: dict[str, str | list[str]],
    scopes: tuple[str, ...],
) -> None:
    without = "scope" if "scope" not in claims else ""
    token = issuer.token("ada", without=without, more=claims)
    async with team(open_test_process, issuer, oauth_scopes=scopes) as origin:
        async with connected(origin, "mcp", "auto", token) as client:
            await call(client, "place_order", arguments())
        narrow = {name: value.split()[0] if isinstance(value, str) else value[:1] for name, value in claims.items()}
        token = issuer.token("ada", without=without, more=narrow)
        answer = await ask(origin, token, "newer", calling("place_order"))
        names = " ".join(scopes[:2]) or "orders:read orders:place"
        assert f'scope="{names}"' in answer.headers["www-authenticate"]
    assert len(zinc.posts) == 1


@pytest.mark.sampled(2)
@both_eras
@both_transports
@pytest.mark.parametrize("sign_in", ["token", "identity"])
async def test_a_member_who_may_read_is_offered_nothing_else_and_places_nothing(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    home: Path,
    issuer: Issuer,
    mode: str,
    transport: str,
    sign_in: str,
) -> None:
    members = home / "members.json"
    token = add_member(members, "reader", role="read", identities=[Identity(issuer.name, "reader")])
    if sign_in == "identity":
        token = issuer.token("reader", "orders:read orders:place orders:admin")
    async with team(open_test_process, issuer, oauth_everyone=False) as origin:
        async with connected(origin, transport, mode, token) as client:
            listed = {tool.name for tool in (await client.list_tools()).tools}
            assert listed == {tool for tool in TOOLS if "read" in PROFILES[tool]}
            for tool in PLACING:
                if tool != "place_v1_order":  # not offered to anybody here
                    given = arguments() if tool.startswith("place") else {}
                    assert (await refused(client, tool, given))["code"] == "not_allowed"
            change_member(members, "reader", role="order")
        async with connected(origin, transport, mode, token) as client:
            assert "place_order" in {tool.name for tool in (await client.list_tools()).tools}
            await call(client, "place_order", arguments())
    assert len(zinc.posts) == 1


async def test_a_role_that_forbids_it_is_no_reason_to_ask_for_scopes(
    open_test_process: OpenProcess, home: Path, issuer: Issuer
) -> None:
    add_member(home / "members.json", "reader", role="read", identities=[Identity(issuer.name, "reader")])
    async with team(open_test_process, issuer) as origin:
        answer = await ask(origin, issuer.token("reader", "orders:read"), "older", calling("place_order"))
    assert answer.status_code == 200, "a client would ask for scopes again and again"
    assert "not_allowed" in answer.text


async def test_a_list_that_depends_on_its_caller_is_cached_for_nobody_else(
    open_test_process: OpenProcess, home: Path, issuer: Issuer
) -> None:
    token = add_member(home / "members.json", "reader", role="read")
    async with team(open_test_process, issuer) as origin:
        answer = await ask(origin, token, "newer", LIST)
    assert answer.json()["result"]["cacheScope"] == "private"


@pytest.mark.parametrize("role", ROLES)
def test_rights_grow_with_the_role(role: Role) -> None:
    allowed = {tool for tool in TOOLS if ROLES[role].issuperset(rights_for(tool))}
    assert allowed == ({tool for tool in TOOLS if "read" in PROFILES[tool]} if role == "read" else set(TOOLS))


CALLS = '"method": "tools/call", "params": '
PLACES = json.dumps({"name": "place_order", "arguments": arguments(), "_meta": META})
LOOKS = json.dumps({"name": "get_order", "arguments": arguments(), "_meta": META})
READ_IN_TWO_WAYS = {
    "two methods": f'"method": "tools/list", {CALLS}{PLACES}',
    "two methods, the other way": f'{CALLS}{PLACES}, "method": "tools/list"',
    "two params": f'{CALLS}{LOOKS}, "params": {PLACES}',
    "two params, the other way": f'{CALLS}{PLACES}, "params": {LOOKS}',
    "two names": CALLS + PLACES.replace("{", '{"name": "get_order", ', 1),
    "two names, the other way": CALLS + PLACES[:-1] + ', "name": "get_order"}',
    "an escaped name": CALLS + LOOKS.replace("{", '{"n\\u0061me": "place_order", ', 1),
    "an escaped tool": CALLS + PLACES.replace("place_order", "pl\\u0061ce_order"),
    "a batch": f'"method": "tools/list"}}, {{"jsonrpc": "2.0", "id": 8, {CALLS}{PLACES}',
}
"""Messages that one reader may take for a look, and another for an order."""


@pytest.mark.parametrize("era", ["older", rare("newer")])
@pytest.mark.parametrize("kind", READ_IN_TWO_WAYS)
async def test_a_message_that_can_be_read_in_two_ways_passes_no_scope(
    open_test_process: OpenProcess, zinc: FakeZinc, issuer: Issuer, era: str, kind: str
) -> None:
    message = f'{{"jsonrpc": "2.0", "id": 7, {READ_IN_TWO_WAYS[kind]}}}'
    headers = {**JSON, "Authorization": f"Bearer {issuer.token(scope='orders:read')}"}
    async with (
        team(open_test_process, issuer) as origin,
        httpx2.AsyncClient(base_url=origin, headers=headers, timeout=10) as client,
    ):
        if era == "newer":
            more = {"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "place_order"}
        else:
            more = {"Mcp-Session-Id": (await client.post("/mcp", json=initialize())).headers["mcp-session-id"]}
        await client.post("/mcp", content=f"[{message}]" if kind == "a batch" else message, headers=more)
    assert zinc.requests == []
