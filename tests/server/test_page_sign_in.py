"""People sign in to the approval page with their team's issuer, and each sees and answers their own questions alone."""

import re
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from journals import entry_of, journal_of
from pydantic import SecretStr
from server.issuer import Issuer, running_issuer
from server.on_a_port import served
from server.visitor import Visitor, fields, visitor, words
from wanted import book, intent

from zinc_mcp.checkout import place_order
from zinc_mcp.errors import SettingsError
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.members import add_member, change_member, members_callers, remove_member
from zinc_mcp.owner.pin import hashed
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.member import Identity
from zinc_mcp.process import Process
from zinc_mcp.server.http.app import serve_http
from zinc_mcp.server.http.requests import REDIRECT_PATH
from zinc_mcp.server.pages.approval import address_of
from zinc_mcp.server.pages.visits import SIGNED_IN_SECONDS

CLIENT = "zinc-page"
SECRET = "s3cret:with/odd+signs"  # of the test's issuer
AUDIENCE = "https://zinc.example.com/mcp"
both_clients = pytest.mark.parametrize("secret", [SECRET, None], ids=["confidential", "public"])


@pytest.fixture(scope="module")
def running() -> Generator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: Issuer) -> Issuer:
    """Return the issuer as it was at its start; nobody has signed in."""
    as_at_start(running)
    return running


def as_at_start(issuer: Issuer) -> None:
    issuer.change(broken=False, changed={}, asked=[], person="ada", says={}, granted=None, id_claims={})
    issuer.change(id_algorithm="RS256", codes_work=1, exchanges=[])


@pytest.fixture(autouse=True)
def ask_always(write_config: Callable[[str], Path]) -> None:
    write_config('[policy]\napproval = "page"\n')


class Team:
    """A served team, whose people sign in with the issuer."""

    def __init__(self, process: Process, origin: str, issuer: Issuer) -> None:
        self.process = process
        self.origin = origin
        self.issuer = issuer

    async def asked(self, caller: str, number: int = 1) -> tuple[Entry, str]:
        """Ask about an order; return its entry, and the address of its page."""
        entry = entry_of(await place_order.place(self.process, intent(caller, products=book(number))))
        return entry, address_of(self.origin, entry.id)

    def caller(self, subject: str) -> str:
        """Return the caller of somebody who is no member."""
        return Identity(self.issuer.name, subject).caller


@asynccontextmanager
async def team(
    open_test_process: OpenProcess, issuer: Issuer, *, secret: str | None = SECRET, base: str | None = None, **more: Any
) -> AsyncGenerator[Team]:
    settings = {
        "oauth_issuer": issuer.name,
        "oauth_audience": (AUDIENCE,),
        "oauth_everyone": True,
        "oauth_client_id": CLIENT,
        "oauth_client_secret": None if secret is None else SecretStr(secret),
        **more,
    }
    async with open_test_process(**settings) as process, served(process, members_only=True, base=base) as origin:
        client = {"id": CLIENT, "redirect": f"{base or origin}/approve/signed-in", "secret": secret or ""}
        issuer.change(client=client)
        yield Team(process, origin, issuer)


def address_in(page: str) -> str:
    """Return the address that a page goes on to by itself."""
    [to] = re.findall(r'<meta http-equiv="refresh" content="0; url=([^"]+)">', page)
    return unescape(to)


async def led_back(person: Visitor, *, by: httpx.AsyncClient | None = None) -> str:
    """Go from the page to the issuer; return the address that it sends the browser back to, which is not opened."""
    leaving = await person.send(issuer="1")
    assert leaving.status_code == 200, leaving.text
    sent = await (by or person.client).get(address_in(leaving.text))
    assert sent.status_code == 302, sent.text
    return str(sent.headers["location"])


async def back(person: Visitor, address: str) -> httpx.Response:
    """Open the address that the issuer sent a browser back to."""
    return person.shows(await person.client.get(address))


async def sign_in(person: Visitor) -> httpx.Response:
    """Sign in, and press the button that leads to the page; return that page."""
    signed_in = await back(person, await led_back(person))
    assert signed_in.status_code == 200, words(signed_in.text)
    [action] = re.findall(r'<form method="post" action="([^"]+)"', signed_in.text)
    return person.shows(await person.send(to=action, visit=person.visit))


@both_clients
async def test_somebody_whom_only_the_issuer_knows_signs_in_and_decides_on_their_own_orders_alone(
    open_test_process: OpenProcess, zinc: FakeZinc, issuer: Issuer, secret: str | None
) -> None:
    async with team(open_test_process, issuer, secret=secret) as running:
        entry, address = await running.asked(running.caller("ada"))
        async with visitor(address) as ada, visitor(address) as bob:
            offered = await ada.client.get(address)
            assert (offered.status_code, "Sign in at 127.0.0.1" in offered.text) == (401, True)
            assert 'name="token"' not in offered.text, "nobody has a token"
            shown = await sign_in(ada)
            assert shown.status_code == 200 and "Buy from" in words(shown.text)
            issuer.change(person="bob")
            assert (await sign_in(bob)).status_code == 404, "a link of somebody else shows nothing"
            about = {"about": fields(shown.text)["about"], "decision": "yes"}
            assert (await bob.send(visit=bob.visit, **about)).status_code == 404
            assert "Nothing waits" in await bob.look("/approve/")
            assert zinc.posts == []
            assert "Ordered" in words((await ada.decide("yes")).text)
    assert len(zinc.posts) == 1
    [done] = [each for each in journal_of_all(running) if each.id == entry.id]
    assert (done.consent or {})["decision"]["how"] == "page"


def journal_of_all(running: Team) -> list[Entry]:
    return list(journal_of(running.process.settings.home)[0])


async def test_an_identity_and_a_token_of_a_member_are_one_person_on_the_page(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, issuer: Issuer
) -> None:
    token = add_member(home / "members.json", "ada", identities=[Identity(issuer.name, "ada-at-issuer")])
    caller = members_callers(home / "members.json")["ada"]
    async with team(open_test_process, issuer, oauth_everyone=False) as running:
        _, address = await running.asked(caller)
        async with visitor(address) as by_issuer, visitor(address) as by_token:
            offered = await by_token.client.get(address)
            assert 'name="token"' in offered.text and 'name="issuer"' in offered.text
            issuer.change(person="ada-at-issuer")
            shown = await sign_in(by_issuer)
            assert "Buy from" in words(shown.text)
            assert "Buy from" in words((await by_token.sign_in(token)).text)
            issuer.change(person="a-stranger")
            async with visitor(address) as stranger:
                refusal = await back(stranger, await led_back(stranger))
                assert (refusal.status_code, 'name="visit"' in refusal.text) == (403, False)
                assert "a-stranger" in words(refusal.text) and issuer.name in words(refusal.text)
            assert "Ordered" in words((await by_issuer.decide("yes")).text)
    assert len(zinc.posts) == 1


async def test_without_a_client_members_sign_in_with_their_tokens_alone(
    open_test_process: OpenProcess, home: Path, issuer: Issuer
) -> None:
    token = add_member(home / "members.json", "ada")
    async with team(open_test_process, issuer, oauth_client_id=None, oauth_client_secret=None) as running:
        async with visitor(f"{running.origin}/approve/") as person:
            offered = await person.client.get(person.address)
            assert 'name="token"' in offered.text and 'name="issuer"' not in offered.text
            assert (await person.send(issuer="1")).status_code == 401
            assert (await person.client.get(f"{running.origin}/approve/signed-in?code=x&state=y")).status_code == 401
            assert "Nothing waits" in words((await person.sign_in(token)).text)
    assert issuer.asked() == []


async def test_the_issuer_is_asked_for_this_page_with_pkce_and_no_secret_in_an_address(
    open_test_process: OpenProcess, issuer: Issuer
) -> None:
    async with team(open_test_process, issuer) as running, visitor(f"{running.origin}/approve/12") as person:
        leaving = await person.send(issuer="1")
        address = address_in(leaving.text)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["redirect_uri"] == f"{running.origin}/approve/signed-in"
        assert asked["scope"] == "openid orders:read orders:place orders:admin"
        assert (asked["client_id"], asked["resource"], asked["code_challenge_method"]) == (CLIENT, AUDIENCE, "S256")
        kept = leaving.headers["set-cookie"]
        assert "HttpOnly" in kept and "samesite=lax" in kept.lower() and "Max-Age=600" in kept
        secret = kept.partition("=")[2].partition(".")[0]
        assert secret not in leaving.text and secret not in address
        returned = str((await person.client.get(address)).headers["location"])
        signed_in = await back(person, returned)
        assert signed_in.status_code == 200 and 'action="/approve/12"' in signed_in.text
        [exchange] = issuer.exchanges()
        assert "client_secret" not in exchange and SECRET not in str(exchange) and exchange["authorization"]
        assert exchange["code_verifier"] not in address + leaving.text
        assert "sign-in" not in str(person.client.cookies), "the cookie is of no more use"


async def test_a_server_over_tls_keeps_the_cookie_for_its_own_host_and_tls(
    open_test_process: OpenProcess, issuer: Issuer
) -> None:
    base = "https://zinc.example.com"
    async with (
        team(open_test_process, issuer, base=base) as running,
        visitor(f"{running.origin}/approve/") as person,
    ):
        assert (await person.send(issuer="1")).status_code == 421, "the cookie would not come back with the browser"
        leaving = await person.send("https://zinc.example.com", "zinc.example.com", issuer="1")
        kept = leaving.headers["set-cookie"]
        assert kept.startswith("__Host-zinc-sign-in-") and "Secure" in kept and "Path=/;" in kept
        assert "domain" not in kept.lower()


WRONG: tuple[dict[str, Any], ...] = (
    {"says": {"state": "x" * 43}},
    {"says": {"state": ""}},
    {"says": {"code": ""}},
    {"says": {"code": "invented"}},
    {"says": {"iss": "https://other.example"}},
    {"id_claims": {"nonce": "x" * 43}},
    {"id_claims": {"nonce": None}},
    {"id_claims": {"nonce": 7}},
    {"id_claims": {"aud": "another-client"}},
    {"id_claims": {"aud": AUDIENCE}},
    {"id_claims": {"aud": [CLIENT, "another-client"]}},
    {"id_claims": {"azp": "another-client"}},
    {"id_claims": {"iss": "https://other.example"}},
    {"id_claims": {"exp": 1_700_000_000}},
    {"id_claims": {"exp": None}},
    {"id_claims": {"iat": None}},
    {"id_claims": {"sub": None}},
    {"id_claims": {"sub": "x" * 300}},
    {"id_algorithm": "none"},
    {"id_algorithm": "HS256"},
    {"id_algorithm": "RS512"},
    {"granted": "openid profile"},
    {"secret": "another"},
    {"broken": True},
)


async def test_a_sign_in_that_is_not_right_opens_nothing(open_test_process: OpenProcess, issuer: Issuer) -> None:
    async with team(open_test_process, issuer) as running:
        _, address = await running.asked(running.caller("ada"))
        client = {"id": CLIENT, "redirect": f"{running.origin}/approve/signed-in"}
        async with visitor(address) as person:
            for how in WRONG:
                as_at_start(issuer)
                issuer.change(client={**client, "secret": how.get("secret", SECRET)})
                issuer.change(**{name: value for name, value in how.items() if name not in ("secret", "broken")})
                returned = await led_back(person)
                issuer.change(broken=how.get("broken", False))
                answer = await back(person, returned)
                assert (answer.status_code, 'name="visit"' in answer.text) == (403, False), (how, words(answer.text))
                assert "Sign in to decide" in answer.text and "Buy from" not in answer.text
                assert 'action="/approve/"' in answer.text
            as_at_start(issuer)
            issuer.change(client={**client, "secret": SECRET})
            assert "Buy from" in words((await sign_in(person)).text), "with none of these it is right"


async def test_an_issuer_that_names_itself_in_each_redirect_is_held_to_it(
    open_test_process: OpenProcess, issuer: Issuer
) -> None:
    issuer.change(changed={"authorization_response_iss_parameter_supported": True})
    async with team(open_test_process, issuer) as running, visitor(f"{running.origin}/approve/") as person:
        issuer.change(says={"iss": ""})
        assert (await back(person, await led_back(person))).status_code == 403
        issuer.change(says={})
        assert (await back(person, await led_back(person))).status_code == 200


async def test_a_secret_goes_where_the_issuer_takes_it(open_test_process: OpenProcess, issuer: Issuer) -> None:
    issuer.change(changed={"token_endpoint_auth_methods_supported": ["client_secret_post"]})
    async with team(open_test_process, issuer) as running, visitor(f"{running.origin}/approve/") as person:
        assert (await sign_in(person)).status_code == 200
    [exchange] = issuer.exchanges()
    assert (exchange["client_secret"], exchange["authorization"]) == (SECRET, "")


async def test_an_error_of_the_issuer_is_told_in_a_sentence(open_test_process: OpenProcess, issuer: Issuer) -> None:
    sentences = {
        "access_denied": "was refused, by you or by the sign-in service",
        "temporarily_unavailable": "Try again in a few minutes",
        "<script>odd": "gave the reason",
    }
    async with team(open_test_process, issuer) as running, visitor(f"{running.origin}/approve/") as person:
        for error, sentence in sentences.items():
            issuer.change(says={"code": "", "error": error, "error_description": "told-by-nobody"})
            returned = await led_back(person)
            async with visitor(f"{running.origin}/approve/") as other:
                elsewhere = await back(other, returned)
                assert "was not begun in this browser" in words(elsewhere.text), "nobody else is told what it says"
            answer = await back(person, returned)
            assert answer.status_code == 403 and sentence in words(answer.text)
            assert "told-by-nobody" not in answer.text and "<script>" not in answer.text
    assert issuer.exchanges() == []


async def test_a_redirect_that_another_browser_was_led_to_opens_nothing_there(
    open_test_process: OpenProcess, issuer: Issuer
) -> None:
    async with team(open_test_process, issuer) as running:
        address = f"{running.origin}/approve/"
        async with visitor(address) as ada, visitor(address) as bob:
            returned = await led_back(ada)
            await led_back(bob)  # bob's browser has begun a sign-in of its own
            answer = await back(bob, returned)
            assert (answer.status_code, 'name="visit"' in answer.text) == (403, False)
            [hers] = ada.client.cookies
            of_bob = next(iter(bob.client.cookies.values()))
            planted = await bob.client.get(returned, headers={"Cookie": f"{hers}={of_bob}"})
            assert (planted.status_code, 'name="visit"' in planted.text) == (403, False)
            assert issuer.exchanges() == [], "the code of somebody else was not used"
            assert (await back(ada, returned)).status_code == 200


@pytest.mark.parametrize("codes_work", [1, 2], ids=["the issuer refuses it", "the issuer takes it twice"])
async def test_a_redirect_opens_one_visit(open_test_process: OpenProcess, issuer: Issuer, codes_work: int) -> None:
    issuer.change(codes_work=codes_work)
    async with team(open_test_process, issuer) as running, visitor(f"{running.origin}/approve/") as person:
        returned = await led_back(person)
        cookies = dict(person.client.cookies)
        assert (await back(person, returned)).status_code == 200
        assert (await back(person, returned)).status_code == 403
        async with httpx.AsyncClient(cookies=cookies) as replayed:
            answer = await replayed.get(returned)
        assert (answer.status_code, 'name="visit"' in answer.text) == (403, False)
        assert "was used before" in words(answer.text)


async def test_two_windows_of_one_browser_sign_in_at_once(open_test_process: OpenProcess, issuer: Issuer) -> None:
    async with team(open_test_process, issuer) as running, visitor(f"{running.origin}/approve/1") as first:
        second = Visitor(first.client, f"{running.origin}/approve/2")
        returned = [await led_back(each) for each in (first, second)]
        answers = [await back(each, to) for each, to in zip((first, second), returned, strict=True)]
        assert [re.findall(r'action="([^"]+)"', each.text) for each in answers] == [["/approve/1"], ["/approve/2"]]


async def test_no_sign_in_leads_anywhere_but_to_the_page(open_test_process: OpenProcess, issuer: Issuer) -> None:
    async with team(open_test_process, issuer) as running, visitor(f"{running.origin}/approve/") as person:
        for place in ("//evil.example", "https://evil.example/", "..%2f..", "signed-in", "1/2"):
            person.address = f"{running.origin}/approve/{place}"
            returned = await led_back(person)
            assert urlsplit(returned).path == "/approve/signed-in"
            [name] = person.client.cookies
            changed = f"{person.client.cookies[name].partition('.')[0]}.{place}"
            person.client.cookies.clear()
            signed_in = await person.client.get(returned, headers={"Cookie": f"{name}={changed}"})
            assert re.findall(r'action="([^"]*)"', signed_in.text) == ["/approve/"], place


async def test_a_sign_in_that_another_site_begins_goes_nowhere(open_test_process: OpenProcess, issuer: Issuer) -> None:
    async with team(open_test_process, issuer) as running, visitor(f"{running.origin}/approve/") as person:
        for origin in ("https://evil.example", "null", None):
            answer = await person.send(origin, issuer="1")
            assert answer.status_code == 403 and "set-cookie" not in answer.headers
        both = await person.send("null", issuer="1", secret="x" * 43)
        assert both.status_code == 403 and "set-cookie" not in both.headers
    assert issuer.asked() == []


async def test_a_redirect_ends_at_another_server_on_the_journal_and_its_visit_at_each(
    open_test_process: OpenProcess, zinc: FakeZinc, issuer: Issuer
) -> None:
    async with team(open_test_process, issuer) as one, team(open_test_process, issuer, base=one.origin) as other:
        _, address = await one.asked(one.caller("ada"))
        async with visitor(address) as person:
            returned = await led_back(person)
            assert returned.startswith(one.origin), "the one address that people reach both by"
            signed_in = await back(person, returned.replace(one.origin, other.origin))
            assert signed_in.status_code == 200, words(signed_in.text)
            assert (await back(person, returned)).status_code == 403, "and at none of them twice"
            assert "Buy from" in await person.look()
            person.address = person.address.replace(one.origin, other.origin)
            assert "Ordered" in words((await person.decide("yes")).text)
    assert len(zinc.posts) == 1


async def test_a_pin_is_asked_in_addition_to_the_sign_in(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, issuer: Issuer
) -> None:
    add_member(home / "members.json", "ada", identities=[Identity(issuer.name, "ada")])
    caller = members_callers(home / "members.json")["ada"]
    async with team(open_test_process, issuer) as running:
        await running.process.journal.run(lambda journal: journal.set_pin(hashed("2468"), caller))
        _, address = await running.asked(caller)
        async with visitor(address) as person:
            assert 'name="pin"' in (await sign_in(person)).text
            assert (await person.decide("yes")).status_code == 403
            assert zinc.posts == []
            assert "Ordered" in words((await person.decide("yes", pin="2468")).text)
    assert len(zinc.posts) == 1


@pytest.mark.parametrize(("role", "granted"), [("order", "openid orders:read"), ("read", None)], ids=["scope", "role"])
async def test_a_yes_needs_what_placing_needs_by_role_and_by_scope(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, issuer: Issuer, role: Any, granted: str | None
) -> None:
    add_member(home / "members.json", "ada", identities=[Identity(issuer.name, "ada")], role=role)
    caller = members_callers(home / "members.json")["ada"]
    issuer.change(granted=granted)
    async with team(open_test_process, issuer) as running:
        _, address = await running.asked(caller)
        async with visitor(address) as person:
            assert "Buy from" in words((await sign_in(person)).text)
            refused = await person.decide("yes")
            assert refused.status_code == 403 and "A yes needs the right to order" in words(refused.text)
            assert zinc.posts == []
            assert "The answer was no" in words((await person.decide("no")).text)
    assert zinc.posts == []


@pytest.mark.parametrize(
    ("role", "granted", "sees"),
    [
        ("admin", None, True),
        ("admin", "", True),
        ("admin", "openid orders:read orders:place", False),
        ("order", None, False),
        (None, None, False),
    ],
)
async def test_only_an_admin_with_the_scope_sees_what_admins_see(
    open_test_process: OpenProcess,
    write_config: Callable[[str], Path],
    home: Path,
    issuer: Issuer,
    role: Any,
    granted: str | None,
    sees: bool,
) -> None:
    write_config('[policy]\napproval = "page"\nsecond_yes_above = 1\n')
    add_member(home / "members.json", "bob")
    if role is not None:
        add_member(home / "members.json", "ada", identities=[Identity(issuer.name, "ada")], role=role)
    issuer.change(granted=granted)
    async with team(open_test_process, issuer) as running:
        _, address = await running.asked(members_callers(home / "members.json")["bob"])
        _, own = await running.asked(running.caller("carol"), 2)
        async with visitor(address) as person:
            assert ("Buy from" in words((await sign_in(person)).text)) == sees
            assert (await person.view(urlsplit(own).path)).status_code == (200 if sees else 404)


async def test_somebody_who_signs_in_decides_by_themselves_and_no_admin_sees_it(
    open_test_process: OpenProcess, home: Path, issuer: Issuer
) -> None:
    token = add_member(home / "members.json", "boss", role="admin")
    async with team(open_test_process, issuer) as running:
        _, address = await running.asked(running.caller("ada"))
        async with visitor(address) as admin:
            assert (await admin.sign_in(token)).status_code == 404
    async with team(open_test_process, issuer, oauth_client_id=None, oauth_client_secret=None) as running:
        async with visitor(address_of(running.origin, 1)) as admin:
            assert (await admin.sign_in(token)).status_code == 200, "where nobody else could decide, an admin does"


@pytest.mark.parametrize("change", ["removed", "identity taken", "mapped to somebody", "an hour", "another issuer"])
async def test_a_visit_ends_with_what_it_rests_on(
    open_test_process: OpenProcess, home: Path, clock: HandClock, issuer: Issuer, change: str
) -> None:
    members, identity = home / "members.json", Identity(issuer.name, "ada")
    add_member(members, "bob")
    if change in ("removed", "identity taken"):
        add_member(members, "ada", identities=[identity])
    async with team(open_test_process, issuer) as running, visitor(f"{running.origin}/approve/") as person:
        assert "Nothing waits" in words((await sign_in(person)).text)
        match change:
            case "removed":
                remove_member(members, "ada")
            case "identity taken":
                change_member(members, "ada", identities=[])
            case "mapped to somebody":
                add_member(members, "ada", identities=[identity])
            case "an hour":
                for _ in range(int(SIGNED_IN_SECONDS / 600)):
                    assert (await person.view()).status_code == 200
                    clock.pass_seconds(600)
                clock.pass_seconds(1)
            case _:
                other = f"{issuer.name}/other"
                async with team(open_test_process, issuer, oauth_issuer=other) as elsewhere:
                    person.address = f"{elsewhere.origin}/approve/"
                    assert (await person.view()).status_code == 401
                return
        assert (await person.view()).status_code == 401


async def test_nothing_of_a_sign_in_is_logged_or_kept(
    open_test_process: OpenProcess, home: Path, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    async with team(open_test_process, issuer) as running, visitor(f"{running.origin}/approve/") as person:
        returned = await led_back(person)
        [kept] = person.client.cookies.values()
        await back(person, returned)
        issuer.change(client={"id": CLIENT, "secret": "another", "redirect": f"{running.origin}/approve/signed-in"})
        await back(person, await led_back(person))
        code = parse_qs(urlsplit(returned).query)["code"][0]
        state = parse_qs(urlsplit(returned).query)["state"][0]
        secrets = [SECRET, kept.partition(".")[0], code, state, person.visit, issuer.exchanges()[0]["code_verifier"]]
        assert SECRET not in repr(running.process.settings)
    written = "".join(path.read_bytes().decode("latin-1") for path in home.glob("journal.db*"))
    ours = "\n".join(each.getMessage() for each in caplog.records if each.name.startswith("zinc_mcp"))
    assert "invalid_client" in ours
    for secret in secrets:
        assert secret not in written and secret not in ours


def test_the_documents_name_the_one_redirect_address_for_each_service() -> None:
    page = (Path(__file__).parents[2] / "docs" / "team-sign-in.md").read_text(encoding="utf-8")
    address = f"https://zinc.example.com{REDIRECT_PATH}`"
    sections = {text.partition("\n")[0]: text for text in page.split("\n## ")[1:]}
    for service in ("The approval page", "Keycloak", "Auth0", "Microsoft Entra ID", "Google"):
        assert address in sections[service], service


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"oauth_client_id": CLIENT}, "ZINC_MCP_OAUTH_ISSUER"),
        ({"oauth_issuer": "https://id.example", "oauth_client_id": "a b"}, "ZINC_MCP_OAUTH_CLIENT_ID"),
        ({"oauth_issuer": "https://id.example", "oauth_client_secret": SecretStr(SECRET)}, "ZINC_MCP_OAUTH_CLIENT_ID"),
    ],
    ids=str,
)
def test_a_client_that_nobody_can_be_stops_the_start(home: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as raised:
        serve_http(Settings(home=home, config=home / "zinc.toml", **settings), "127.0.0.1", 0)
    assert says in f"{raised.value.summary} {raised.value.next_step}"
    assert SECRET not in f"{raised.value.summary} {raised.value.next_step}"
