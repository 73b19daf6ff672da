"""Over HTTP an access token of the owner's issuer counts, and only one that is for this server, signed and not over."""

import base64
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from server.as_a_host import both_eras, call, refused
from server.issuer import Issuer, running_issuer
from server.on_a_port import JSON, TRANSPORTS, connected, held_stream, initialize, path_in, served
from wanted import arguments

from zinc_mcp.errors import SettingsError
from zinc_mcp.owner.members import add_member, change_member, remove_member
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.member import Identity
from zinc_mcp.server.http.app import serve_http

AUDIENCE = "https://zinc.example.com/mcp"
both_transports = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.fixture(scope="module")
def running() -> Generator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: Issuer) -> Issuer:
    """Return the issuer as it was at its start, with other keys perhaps."""
    running.change(broken=False, changed={}, asked=[], key_says={}, doubled=[])
    return running


@asynccontextmanager
async def team(open_test_process: OpenProcess, issuer: Issuer, **settings: Any) -> AsyncGenerator[str]:
    """Serve a team that lets the issuer's people in, and give the origin."""
    usual = {"oauth_issuer": issuer.name, "oauth_audience": (AUDIENCE,), "oauth_everyone": True}
    async with open_test_process(**{**usual, **settings}) as process, served(process, members_only=True) as origin:
        yield origin


async def status(origin: str, token: str | None, path: str = "/mcp") -> httpx2.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=origin, headers={**JSON, **headers}, timeout=10) as client:
        return await client.post(path, json=initialize())


@pytest.mark.sampled(4)
@both_eras
@both_transports
@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_people_of_the_issuer_place_orders_and_see_their_own_alone(
    open_test_process: OpenProcess, zinc: FakeZinc, issuer: Issuer, mode: str, transport: str, algorithm: str
) -> None:
    placed: dict[str, dict[str, Any]] = {}
    async with team(open_test_process, issuer) as origin:
        for subject in ("ada", "bob"):
            token = issuer.token(subject, algorithm=algorithm)
            async with connected(origin, transport, mode, token) as client:
                placed[subject] = await call(client, "place_order", arguments(idempotency_key="order-1"))
        for subject, other in (("ada", "bob"), ("bob", "ada")):
            async with connected(origin, transport, mode, issuer.token(subject)) as client:
                own = placed[subject]
                assert (await call(client, "get_order", {"order_id": own["order_id"]}))["key"] == own["key"]
                for handle in (placed[other]["order_id"], placed[other]["key"]):
                    told = await refused(client, "get_order", {"order_id": handle})
                    assert told["code"] == "order_not_found"
    assert len(zinc.posts) == len({facts["order_id"] for facts in placed.values()}) == 2


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "how",
    [
        {"seconds": -31},
        {"audience": "https://other.example/mcp"},
        {"audience": []},
        {"iss": "https://other.example"},
        {"nbf": 4_000_000_000},
        {"algorithm": "none"},
        {"algorithm": "HS256"},
        {"algorithm": "RS512"},
        {"algorithm": "PS256"},
        {"without": "exp"},
        {"without": "aud"},
        {"without": "iss"},
        {"without": "sub"},
        {"sub": ""},
        {"sub": "x" * 300},
        {"sub": "a\nb"},
        {"exp": "soon"},
        {"exp": 10**400},
        {"filling": "x" * 9000},
    ],
    ids=str,
)
async def test_a_token_that_is_not_right_lets_nobody_in(
    open_test_process: OpenProcess, zinc: FakeZinc, issuer: Issuer, how: dict[str, Any]
) -> None:
    async with team(open_test_process, issuer) as origin:
        assert (await status(origin, issuer.token())).status_code == 200
        for path in ("/mcp", "/messages/"):
            answer = await status(origin, issuer.token(**how), path)
            assert answer.status_code == 401, how
            assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert zinc.requests == []


async def test_a_token_that_was_changed_lets_nobody_in(open_test_process: OpenProcess, issuer: Issuer) -> None:
    token = issuer.token()
    head, claims, signature = token.split(".")
    other = issuer.token("bob").split(".")
    async with team(open_test_process, issuer) as origin:
        for wrong in (
            f"{head}.{other[1]}.{signature}",
            f"{head}.{claims}.",
            f"{head}.{claims}.{signature[:-4]}AAAA",
            f"{head}.{claims}",
            f"{token}.{signature}",
            f"x{token}",
            "a.b.c",
            "..",
        ):
            assert (await status(origin, wrong)).status_code == 401, wrong
        assert (await status(origin, token)).status_code == 200


async def test_another_issuer_s_key_of_the_same_name_signs_nothing(
    open_test_process: OpenProcess, issuer: Issuer
) -> None:
    with running_issuer() as other:
        head = {"kid": issuer.keys()[0]}
        forged = other.token(iss=issuer.name, head=head)
        async with team(open_test_process, issuer) as origin:
            assert (await status(origin, issuer.token(head=head))).status_code == 200
            assert (await status(origin, forged)).status_code == 401


async def test_a_new_key_counts_and_a_withdrawn_one_ends_within_five_minutes(
    open_test_process: OpenProcess, issuer: Issuer, clock: HandClock
) -> None:
    old = issuer.add_key()
    async with team(open_test_process, issuer) as origin:
        by_old = issuer.token(head={"kid": old})
        assert (await status(origin, by_old)).status_code == 200
        clock.pass_seconds(61)
        new = issuer.add_key("ES256")
        by_new = issuer.token(head={"kid": new}, algorithm="ES256")
        assert (await status(origin, by_new)).status_code == 200, "an unknown key is looked for"
        issuer.withdraw(old)
        clock.pass_seconds(301)
        assert (await status(origin, by_old)).status_code == 401
        assert (await status(origin, by_new)).status_code == 200


async def test_invented_keys_make_it_ask_once_a_minute(
    open_test_process: OpenProcess, issuer: Issuer, clock: HandClock
) -> None:
    async with team(open_test_process, issuer) as origin:
        _, claims, signature = issuer.token().split(".")
        invented = ""
        for number in range(20):
            head = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": f"invented-{number}"}).encode()).decode()
            invented = f"{head.rstrip('=')}.{claims}.{signature}"
            assert (await status(origin, invented)).status_code == 401
        assert len([path for path in issuer.asked() if path.endswith("/keys")]) == 1
        clock.pass_seconds(61)
        assert (await status(origin, invented)).status_code == 401
        assert (await status(origin, invented)).status_code == 401
        assert len([path for path in issuer.asked() if path.endswith("/keys")]) == 2


async def test_known_keys_count_while_the_issuer_is_away_for_an_hour(
    open_test_process: OpenProcess, issuer: Issuer, clock: HandClock
) -> None:
    async with team(open_test_process, issuer) as origin:
        token = issuer.token()
        assert (await status(origin, token)).status_code == 200
        issuer.change(broken=True)
        clock.pass_seconds(3000)
        assert (await status(origin, token)).status_code == 200
        clock.pass_seconds(601)
        assert (await status(origin, token)).status_code == 401
        issuer.change(broken=False)
        clock.pass_seconds(11)
        assert (await status(origin, token)).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://other.example"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": 7},
    ],
    ids=str,
)
async def test_metadata_of_somebody_else_gives_no_keys(
    open_test_process: OpenProcess, issuer: Issuer, changed: dict[str, Any]
) -> None:
    issuer.change(changed=changed)
    async with team(open_test_process, issuer) as origin:
        assert (await status(origin, issuer.token())).status_code == 401


@pytest.mark.parametrize("address", ["http://0.0.0.0:{port}{path}", "http://a@{host}{path}", "http://{host}{path}?a=1"])
async def test_keys_are_asked_for_at_no_address_that_others_could_answer_at(
    open_test_process: OpenProcess, issuer: Issuer, address: str
) -> None:
    parts = urlsplit(f"{issuer.name}/keys")
    # Each leads to the issuer's own keys, so that only the check of the address keeps them out.
    issuer.change(changed={"jwks_uri": address.format(host=parts.netloc, port=parts.port, path=parts.path)})
    async with team(open_test_process, issuer) as origin:
        assert (await status(origin, issuer.token())).status_code == 401
    assert not [path for path in issuer.asked() if path.endswith("/keys")]


async def test_a_key_for_something_else_or_of_two_meanings_signs_nothing(
    open_test_process: OpenProcess, issuer: Issuer, clock: HandClock
) -> None:
    async with team(open_test_process, issuer) as origin:
        for said, doubled in (({"use": "enc"}, []), ({"alg": "RS512"}, []), ({}, issuer.keys())):
            issuer.change(key_says=said, doubled=doubled)
            clock.pass_seconds(301)
            assert (await status(origin, issuer.token())).status_code == 401, (said, doubled)
            issuer.change(key_says={}, doubled=[])
            clock.pass_seconds(301)
            assert (await status(origin, issuer.token())).status_code == 200


@pytest.mark.parametrize(
    "where", ["/.well-known/openid-configuration/realms/team", "/realms/team/.well-known/openid-configuration"]
)
async def test_metadata_is_found_where_openid_connect_puts_it(
    open_test_process: OpenProcess, issuer: Issuer, where: str
) -> None:
    issuer.change(metadata_at=where)
    try:
        async with team(open_test_process, issuer) as origin:
            assert (await status(origin, issuer.token())).status_code == 200
    finally:
        issuer.change(metadata_at="/.well-known/oauth-authorization-server/realms/team")


@both_transports
async def test_a_member_s_identity_and_token_are_one_caller(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, issuer: Issuer, transport: str
) -> None:
    token = add_member(home / "members.json", "ada", identities=[Identity(issuer.name, "ada-at-issuer")])
    async with team(open_test_process, issuer, oauth_everyone=False) as origin:
        async with connected(origin, transport, "auto", issuer.token("ada-at-issuer")) as client:
            placed = await call(client, "place_order", arguments())
        async with connected(origin, transport, "auto", token) as client:
            again = await call(client, "place_order", arguments())
        assert (again["new_order"], again["order_id"]) == (False, placed["order_id"])
        refusal = await status(origin, issuer.token("a-stranger"))
        assert refusal.status_code == 403, "signing in again would change nothing"
        assert (refusal.json()["iss"], refusal.json()["sub"]) == (issuer.name, "a-stranger")
    assert len(zinc.posts) == 1


async def test_the_same_subject_of_another_issuer_is_somebody_else(
    open_test_process: OpenProcess, home: Path, issuer: Issuer
) -> None:
    add_member(home / "members.json", "ada", identities=[Identity("https://other.example", "ada")])
    async with team(open_test_process, issuer, oauth_everyone=False) as origin:
        assert (await status(origin, issuer.token("ada"))).status_code == 403


async def test_identities_that_are_let_in_have_callers_that_no_member_can_have(
    open_test_process: OpenProcess, zinc: FakeZinc, issuer: Issuer
) -> None:
    async with (
        team(open_test_process, issuer) as origin,
        connected(origin, "mcp", "auto", issuer.token("local")) as client,
    ):
        placed = await call(client, "place_order", arguments())
    async with open_test_process() as process:
        [entry] = await process.journal.run(lambda journal: journal.entries())
    assert entry.key == placed["key"]
    assert entry.caller.startswith("oauth:")
    assert len(entry.caller) == 46


@pytest.mark.parametrize("change", ["removed", "identity taken", "mapped to somebody"])
@both_transports
async def test_a_stream_ends_with_what_its_identity_is_mapped_to(
    open_test_process: OpenProcess, home: Path, issuer: Issuer, change: str, transport: str
) -> None:
    members = home / "members.json"
    identity = Identity(issuer.name, "ada")
    add_member(members, "bob")
    if change != "mapped to somebody":
        add_member(members, "ada", identities=[identity])
    everyone = change == "mapped to somebody"
    async with team(open_test_process, issuer, oauth_everyone=everyone) as origin:
        async with held_stream(origin, transport, issuer.token("ada")) as ended:
            await anyio.sleep(1.2)
            assert not ended.is_set()
            if change == "removed":
                remove_member(members, "ada")
            elif change == "identity taken":
                change_member(members, "ada", identities=[])
            else:
                add_member(members, "ada", identities=[identity])
            with anyio.fail_after(15):
                await ended.wait()


@pytest.mark.parametrize("change", ["withdrawn", "not to be asked"])
@both_transports
async def test_a_stream_ends_with_its_key_although_nobody_sends_another_token(
    open_test_process: OpenProcess, issuer: Issuer, clock: HandClock, change: str, transport: str
) -> None:
    key = issuer.add_key()
    async with team(open_test_process, issuer) as origin:
        async with held_stream(origin, transport, issuer.token("ada", head={"kid": key})) as ended:
            if change == "withdrawn":
                issuer.withdraw(key)
                clock.pass_seconds(299)
            else:
                issuer.change(broken=True)
                clock.pass_seconds(3599)
            await anyio.sleep(1.2)
            assert not ended.is_set()
            clock.pass_seconds(2)
            with anyio.fail_after(15):
                await ended.wait()


@both_transports
async def test_a_stream_ends_with_its_token_unless_a_newer_one_came(
    open_test_process: OpenProcess, issuer: Issuer, transport: str
) -> None:
    async with team(open_test_process, issuer) as origin:
        soon = -27  # with the leeway of 30 seconds
        async with held_stream(origin, transport, issuer.token("ada", seconds=soon)) as ended:
            with anyio.fail_after(20):
                await ended.wait()
        async with held_stream(origin, transport, issuer.token("bob", seconds=soon)) as ended:
            assert (await status(origin, issuer.token("bob"))).status_code == 200
            await anyio.sleep(5)
            assert not ended.is_set()


@both_transports
async def test_a_session_is_its_person_s_alone(
    open_test_process: OpenProcess, zinc: FakeZinc, issuer: Issuer, transport: str
) -> None:
    async with team(open_test_process, issuer) as origin:
        ada = {**JSON, "Authorization": f"Bearer {issuer.token('ada')}"}
        bob = {**JSON, "Authorization": f"Bearer {issuer.token('bob')}"}
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}
        async with httpx2.AsyncClient(base_url=origin, timeout=10) as client:
            if transport == "mcp":
                answer = await client.post("/mcp", headers=ada, json=initialize())
                session = {"Mcp-Session-Id": answer.headers["mcp-session-id"]}
                assert (await client.post("/mcp", headers={**bob, **session}, json=message)).status_code == 404
                assert (await client.delete("/mcp", headers={**bob, **session})).status_code == 404
                assert (await client.post("/mcp", headers={**ada, **session}, json=message)).status_code == 200
                return
            async with client.stream("GET", "/sse", headers=ada) as stream:
                path = await path_in(stream)
                assert (await client.post(path, headers=bob, json=initialize())).status_code == 404
                assert (await client.post(path, headers=ada, json=initialize())).status_code == 202


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"oauth_issuer": "http://issuer.example"}, "https"),
        ({"oauth_issuer": "https://issuer.example/?tenant=1"}, "https"),
        ({"oauth_issuer": "https://issuer.example", "oauth_algorithms": ("HS256",)}, "HS256"),
        ({"oauth_issuer": "https://issuer.example", "oauth_algorithms": ("none",)}, "none"),
        ({"oauth_issuer": "https://issuer.example", "oauth_scopes": ("a", "b")}, "three scopes"),
        ({"oauth_issuer": "https://issuer.example", "oauth_scopes": ("a", "b", 'c"')}, "three scopes"),
    ],
    ids=str,
)
def test_terms_that_nobody_can_rely_on_stop_the_start(home: Path, settings: dict[str, Any], says: str) -> None:
    configured = Settings(home=home, config=home / "zinc.toml", **settings)
    with pytest.raises(SettingsError) as raised:
        serve_http(configured, "127.0.0.1", 0)
    assert says in f"{raised.value.summary} {raised.value.next_step}"


async def test_without_an_issuer_no_access_token_counts(
    open_test_process: OpenProcess, home: Path, issuer: Issuer
) -> None:
    add_member(home / "members.json", "ada", identities=[Identity(issuer.name, "ada")])
    async with team(open_test_process, issuer, oauth_issuer=None) as origin:
        answer = await status(origin, issuer.token("ada"))
        assert answer.status_code == 401
        assert "resource_metadata" not in answer.headers["www-authenticate"]
    assert issuer.asked() == []


async def test_a_client_is_told_where_to_sign_in_behind_the_check_of_the_host(
    open_test_process: OpenProcess, issuer: Issuer
) -> None:
    async with team(open_test_process, issuer) as origin:
        answer = await status(origin, None)
        challenge = answer.headers["www-authenticate"]
        assert answer.status_code == 401
        assert f'resource_metadata="{origin}/.well-known/oauth-protected-resource/mcp"' in challenge
        assert 'scope="orders:read"' in challenge
        async with httpx2.AsyncClient(base_url=origin) as client:
            for resource in ("mcp", "sse"):
                described = (await client.get(f"/.well-known/oauth-protected-resource/{resource}")).json()
                assert described["resource"] == f"{origin}/{resource}"
                assert described["authorization_servers"] == [issuer.name]
                assert described["scopes_supported"] == ["orders:read", "orders:place", "orders:admin"]
            path = "/.well-known/oauth-protected-resource/mcp"
            assert (await client.get(path, headers={"Host": "evil.example"})).status_code == 421
            assert (await client.get(path, headers={"Origin": "https://evil.example"})).status_code == 403
            assert (await client.delete(path)).status_code == 405
            assert (await client.get("/.well-known/oauth-protected-resource/other")).status_code == 401
