"""Two real servers on one PostgreSQL, behind one name: people sign in with the team's issuer through both of them."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from signal import SIGKILL
from urllib.parse import parse_qs, urlencode, urlsplit

import anyio
import anyio.to_thread
import httpx
import pytest
from journal.test_schema_guard import run
from server.issuer import Issuer, running_issuer
from server.replicas import PUBLIC, Replica, Team, first_leg, team
from server.test_page_sign_in import CLIENT, SECRET, address_in, as_at_start, back, led_back, sign_in
from server.visitor import Visitor, words
from signing import Practice, practice
from wanted import arguments, book

from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.members import add_member
from zinc_mcp.owner.team.member import Identity
from zinc_mcp.owner.team.places import MembersTable
from zinc_mcp.server.pages.approval import address_of

OWN = f"https://{PUBLIC}"
PAGE = f"{OWN}/approve/"
BACK = f"{PAGE}signed-in"
LISTENING = "datname = current_database() AND starts_with(query, 'LISTEN')"
DEAF = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {LISTENING}"
"""Ends the connections on which servers hear news, so that what comes next is not heard for half a second."""


class Proxy(httpx.AsyncBaseTransport):
    """The way of a browser: the proxy of the team ends TLS and hands each request to the server that the test chose."""

    def __init__(self, to: Replica) -> None:
        self.to = to
        self._network = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on with its Host, as a proxy has to."""
        if request.url.host != PUBLIC:
            return await self._network.handle_async_request(request)
        there = request.url.copy_with(scheme="http", host="127.0.0.1", port=self.to.port)
        assert isinstance(request.stream, httpx.AsyncByteStream)
        return await self._network.handle_async_request(
            httpx.Request(request.method, there, headers=request.headers, stream=request.stream)
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._network.aclose()


class Browser(Visitor):
    """A browser window at the team's one address."""

    def __init__(self, proxy: Proxy, client: httpx.AsyncClient, address: str) -> None:
        super().__init__(client, address)
        self._proxy = proxy

    def at(self, replica: Replica) -> "Browser":
        """Have the next requests go to this server; return the browser."""
        self._proxy.to = replica
        return self


@asynccontextmanager
async def browser(at: Replica, address: str = PAGE) -> AsyncGenerator[Browser]:
    """Give a browser of its own, whose requests go to one server until the test chooses another."""
    proxy = Proxy(at)
    async with httpx.AsyncClient(timeout=30, transport=proxy) as client:
        yield Browser(proxy, client, address)


@pytest.fixture(scope="module")
def zinc(tmp_path_factory: pytest.TempPathFactory) -> Generator[Practice]:
    with practice(tmp_path_factory.mktemp("zinc")) as running:
        yield running


@pytest.fixture(scope="module")
def issuer() -> Generator[Issuer]:
    with running_issuer() as started:
        started.change(client={"id": CLIENT, "redirect": BACK, "secret": SECRET})
        yield started


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, make_database: Callable[..., str], zinc: Practice, issuer: Issuer
) -> Generator[Team]:
    with team(
        tmp_path_factory.mktemp("team"),
        make_database(),
        zinc.url,
        ZINC_MCP_OAUTH_ISSUER=issuer.name,
        ZINC_MCP_OAUTH_AUDIENCE=f"{OWN}/mcp",
        ZINC_MCP_OAUTH_EVERYONE="1",
        ZINC_MCP_OAUTH_CLIENT_ID=CLIENT,
        ZINC_MCP_OAUTH_CLIENT_SECRET=SECRET,
    ) as running:
        yield running


@pytest.fixture
def two(running: Team, issuer: Issuer) -> Team:
    """Return the servers, with the issuer as it was at its start."""
    as_at_start(issuer)
    return running


def orders(zinc: Practice) -> int:
    return int(zinc.rows("SELECT count(*) FROM orders")[0][0])


async def asked(two: Team, at: Replica, token: str, number: int) -> str:
    """Have an agent place an order, about which its person is asked; return the address of the page."""
    await first_leg(at.origin, token, arguments(products=book(number)))
    [newest, *_] = await anyio.to_thread.run_sync(two.entries)
    return address_of(OWN, newest.id)


def with_parameters(returned: str, **changed: str) -> str:
    """Return an address that the issuer sent a browser back to, with other parameters; an empty one is left out."""
    given = {name: value for name, value in {**parameters(returned), **changed}.items() if value}
    return f"{BACK}?{urlencode(given)}"


def parameters(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def is_shut(answer: httpx.Response) -> bool:
    """Say whether somebody who came back was let in nowhere, and is offered to sign in."""
    return (answer.status_code, 'name="visit"' in answer.text) == (403, False) and "Sign in to decide" in answer.text


async def test_a_sign_in_that_one_began_ends_at_the_other_also_when_the_first_was_killed_meanwhile(
    two: Team, zinc: Practice, issuer: Issuer
) -> None:
    one, other = two.replicas
    before = orders(zinc)
    for number, is_killed in enumerate((False, True)):
        address = await asked(two, one, issuer.token("ada"), number)
        async with browser(one, address) as ada:
            returned = await led_back(ada)
            assert returned.startswith(f"{BACK}?"), "the one address that the issuer knows"
            if is_killed:
                await anyio.to_thread.run_sync(one.stop, SIGKILL)
            signed_in = await back(ada.at(other), returned)
            assert signed_in.status_code == 200, words(signed_in.text)
            assert f'action="{urlsplit(address).path}"' in signed_in.text, "it leads to the page that it began at"
            if is_killed:
                await anyio.to_thread.run_sync(one.start)
            assert "Buy from" in await ada.at(one).look()
            taken = words((await ada.at(other).decide("yes")).text)
            assert any(each in taken for each in ("Ordered", "Bought")), taken
        assert orders(zinc) == before + number + 1


async def test_a_redirect_opens_one_visit_of_all_servers_and_only_in_the_browser_that_was_led_to_it(
    two: Team, zinc: Practice, issuer: Issuer
) -> None:
    one, other = two.replicas
    before = orders(zinc)
    address = await asked(two, one, issuer.token("ada"), 10)
    issuer.change(codes_work=99)  # an issuer that takes a code again and again
    async with (
        browser(one, address) as ada,
        browser(one, address) as bob,
        browser(one, address) as copy,
        browser(one, address) as late,
    ):
        returned = await led_back(ada)
        for each in (copy, late):
            each.client.cookies.update(ada.client.cookies)
        issuer.change(person="bob")
        of_bob = await led_back(bob)
        for at in (other, one):
            assert is_shut(await back(bob.at(at), returned)), "a state of somebody else"
        assert issuer.exchanges() == [], "the code of somebody else was not used"
        for at in (other, one):
            assert is_shut(await back(ada.at(at), with_parameters(returned, code=parameters(of_bob)["code"])))
        answers: list[httpx.Response] = []

        async def come_back(window: Browser) -> None:
            answers.append(await back(window, returned))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(come_back, ada.at(one))
            tasks.start_soon(come_back, copy.at(other))
        assert sorted(each.status_code for each in answers) == [200, 403], "of two windows at once"
        for at in (one, other):
            again = await back(late.at(at), returned)
            assert is_shut(again) and "was used before" in words(again.text)
        assert (await back(bob.at(other), of_bob)).status_code == 200
        assert (await bob.at(one).view()).status_code == 404, "the order of somebody else"
    assert two.entries()[0].state == "waiting" and orders(zinc) == before


async def test_a_redirect_of_another_issuer_opens_nothing_at_any_server(two: Team, issuer: Issuer) -> None:
    with running_issuer() as another:
        another.change(client={"id": CLIENT, "redirect": BACK, "secret": SECRET})
        async with browser(two.replicas[0]) as person:
            leading = address_in((await person.send(issuer="1")).text)
            own = str((await person.client.get(leading)).headers["location"])
            elsewhere = leading.replace(issuer.name, another.name)
            returned = str((await person.client.get(elsewhere)).headers["location"])
            assert parameters(returned)["iss"] == another.name
            for at in two.replicas:
                assert is_shut(await back(person.at(at), with_parameters(own, iss=another.name))), at.name
                for named in (another.name, issuer.name, ""):
                    assert is_shut(await back(person.at(at), with_parameters(returned, iss=named))), (at.name, named)
            assert another.exchanges() == [], "no secret goes to it"
            assert (await back(person, own)).status_code == 200


@pytest.mark.parametrize("words_of_the_owner", [["remove", "ada"], ["change", "ada", "--no-identity"]], ids=" ".join)
async def test_a_visit_ends_at_each_server_with_the_command_that_takes_back_what_it_rests_on(
    two: Team, zinc: Practice, issuer: Issuer, words_of_the_owner: list[str]
) -> None:
    one, other = two.replicas
    before = orders(zinc)
    with Journal.open(two.journal) as journal:
        token = add_member(MembersTable(journal), "ada", identities=[Identity(issuer.name, "ada")])
    for each in two.replicas:
        each.knows(token)
    address = await asked(two, one, issuer.token("ada"), 20)
    async with browser(one, address) as ada:
        assert "Buy from" in words((await sign_in(ada)).text)
        assert "Buy from" in await ada.at(other).look()
        run(two.journal, DEAF)
        ended = one.started.run("members", *words_of_the_owner, **one.environment)
        assert ended.returncode == 0, ended.stderr
        for at in (other, one):
            assert (await ada.at(at).decide("yes")).status_code == 401
            assert (await ada.at(at).view()).status_code == 401
    assert two.entries()[0].state == "waiting" and orders(zinc) == before
