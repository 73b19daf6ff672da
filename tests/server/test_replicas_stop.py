"""One of several servers is stopped while people are asked: hosts are told, and others take the answers."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
from keyboard import at_a_terminal
from mcp.client.context import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequestParams, ElicitResult
from server.as_a_host import call
from server.on_a_port import TRANSPORTS, connected
from server.replicas import PUBLIC, YES, Replica, Team, first_leg, modern, second_leg, team
from server.visitor import forms, visitor, words
from signing import Practice, practice
from wanted import arguments, book

OWN = f"https://{PUBLIC}"


@pytest.fixture(scope="module")
def zinc(tmp_path_factory: pytest.TempPathFactory) -> Generator[Practice]:
    with practice(tmp_path_factory.mktemp("zinc")) as running:
        yield running


@pytest.fixture
def two(tmp_path_factory: pytest.TempPathFactory, make_database: Callable[..., str], zinc: Practice) -> Generator[Team]:
    with team(tmp_path_factory.mktemp("team"), make_database(), zinc.url) as running:
        yield running


@dataclass
class Host:
    """A host of the older protocol, whose person looks at the dialogue until it is taken from the screen."""

    asked: anyio.Event = field(default_factory=anyio.Event)
    is_closed: bool = False
    told: dict[str, Any] = field(default_factory=dict[str, Any])

    async def ask(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.asked.set()
        try:
            await anyio.sleep_forever()
            return YES
        finally:
            self.is_closed = not self.told

    async def place(self, at: Replica, transport: str, token: str, number: int) -> None:
        try:
            async with connected(at.origin, transport, "legacy", token, asks=self.ask) as client:
                await client.list_tools()  # else the client asks for them after its call, when nobody is there
                self.told = await call(client, "place_order", wanted(number))
        except* (MCPError, httpx2.HTTPError):
            pass  # the client's own farewell finds nobody any more


async def yes(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    return YES


def wanted(number: int) -> dict[str, Any]:
    return arguments(products=book(number), max_price=1000)


def bought(zinc: Practice) -> int:
    return int(zinc.rows("SELECT count(*) FROM orders")[0][0])


async def on_the_page(at: Replica, token: str, key: str, running: Team) -> None:
    """Say yes on the approval page of a server."""
    [entry_id] = [entry.id for entry in running.entries() if entry.key == key]
    async with visitor(f"{at.origin}/approve/{entry_id}") as person:
        person.shows(await person.send(OWN, token=token))
        form = next(each for each in forms(person.page) if "about" in each.fields).fields
        taken = words((await person.send(OWN, **form, decision="yes")).text)
    assert any(each in taken for each in ("Ordered", "Bought")), taken


async def in_a_terminal(at: Replica, key: str) -> None:
    """Say yes in a terminal of the owner."""
    typed = [("Type yes", "yes")]
    code, screen = await anyio.to_thread.run_sync(lambda: at_a_terminal(["approve", key], at.environment, typed))
    assert code == 0, screen


async def again(at: Replica, mode: str, token: str, number: int) -> None:
    """Call once more at a server, whose dialogue gets a yes."""
    async with connected(at.origin, "mcp", mode, token, asks=yes) as client:
        told = await call(client, "place_order", wanted(number))
    assert told["outcome"] in ("accepted", "placed"), told


async def test_a_question_of_a_server_that_is_stopped_is_told_at_once_and_answered_once_at_another(
    two: Team, zinc: Practice
) -> None:
    one, other = two.replicas
    ada, bob = two.member("ada"), two.member("bob")
    before = bought(zinc)
    hosts = [Host() for _ in range(4)]
    asked = [await first_leg(one.origin, bob, wanted(number)) for number in range(4, 7)]
    async with anyio.create_task_group() as tasks:
        for number, host in enumerate(hosts):
            tasks.start_soon(host.place, one, TRANSPORTS[number % 2], ada, number)
        for host in hosts:
            await host.asked.wait()
        assert await anyio.to_thread.run_sync(one.stop) == 0
    for host in hosts:
        assert host.told["outcome"] == "waiting" and host.is_closed, host.told
        assert "dialogue was closed, because this server is being stopped" in host.told["next_step"]
        assert f"{OWN}/approve/" in host.told["next_step"] and "still open" not in host.told["next_step"]
    assert [each.state for each in two.entries()] == ["waiting"] * 7 and bought(zinc) == before

    keys = [host.told["key"] for host in hosts]
    await on_the_page(other, ada, keys[0], two)
    await in_a_terminal(other, keys[1])
    await again(other, "legacy", ada, 2)
    await again(other, "auto", ada, 3)
    [_, but_last, last] = sorted((each for each in two.entries() if each.state == "waiting"), key=lambda each: each.id)
    await on_the_page(other, bob, last.key, two)
    await in_a_terminal(other, but_last.key)
    told = await second_leg(other.origin, bob, wanted(4), asked[0].request_state)
    assert told["outcome"] in ("accepted", "placed"), told

    await anyio.to_thread.run_sync(one.start)
    for number, each in enumerate(asked, 4):
        told = await second_leg(one.origin, bob, wanted(number), each.request_state)
        assert told["outcome"] in ("accepted", "placed"), told
    for number in range(4):
        async with modern(one.origin, ada) as client:
            told = await call(client, "place_order", wanted(number))
        assert told["key"] == keys[number] and told["new_order"] is False, told
    with anyio.fail_after(30):
        while {entry.state for entry in two.entries()} - {"accepted", "placed"}:
            await anyio.sleep(0.05)
    assert bought(zinc) == before + 7 == before + len(two.entries())
