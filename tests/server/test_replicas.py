"""Two real servers on one PostgreSQL: what one of them has begun, the other one goes on with."""

import hashlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from keyboard import at_a_terminal
from mcp import Client
from server.as_a_host import call, said
from server.on_a_port import JSON, connected, initialize
from server.replicas import KEYS, PUBLIC, Team, first_leg, modern, never, second_leg, team, until_asked
from server.visitor import forms, visitor, words
from signing import Practice, practice
from started import Started
from wanted import arguments

from zinc_mcp.journal.journal import Journal

LISTING = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
OWN = f"https://{PUBLIC}"
"""The origin of the approval page, as browsers behind the proxy name it."""
NOT_TAKEN = {"refused": "Invalid or expired requestState"}
NEW = "fedcba9876543210" * 2


@pytest.fixture(scope="module")
def zinc(tmp_path_factory: pytest.TempPathFactory) -> Generator[Practice]:
    with practice(tmp_path_factory.mktemp("zinc")) as running:
        yield running


@pytest.fixture
def two(tmp_path: Path, make_database: Callable[..., str], zinc: Practice) -> Generator[Team]:
    with team(tmp_path, make_database(), zinc.url) as running:
        yield running


def orders(zinc: Practice) -> int:
    return int(zinc.rows("SELECT count(*) FROM orders")[0][0])


async def test_a_dialogue_of_the_newer_protocol_that_one_asked_is_answered_through_the_other(
    two: Team, zinc: Practice
) -> None:
    one, other = two.replicas
    token, before = two.member("ada"), orders(zinc)
    asked = await first_leg(one.origin, token, arguments())
    told = await second_leg(other.origin, token, arguments(), asked.request_state)
    assert told["outcome"] == "accepted", told
    assert orders(zinc) == before + 1
    again = await second_leg(one.origin, token, arguments(), asked.request_state)
    assert again["order_id"] == told["order_id"] and orders(zinc) == before + 1


async def test_an_answer_of_another_member_or_for_other_goods_is_not_taken_by_any_server(
    two: Team, zinc: Practice
) -> None:
    before = orders(zinc)
    ada, bob = two.member("ada"), two.member("bob")
    asked = await first_leg(two.replicas[0].origin, ada, arguments())
    for each in two.replicas:
        for token, wanted in ((bob, arguments()), (ada, arguments(max_price=4999))):
            assert await second_leg(each.origin, token, wanted, asked.request_state) == NOT_TAKEN
    assert orders(zinc) == before


async def test_state_keys_are_changed_one_server_after_the_other_and_no_answer_is_lost(
    two: Team, zinc: Practice
) -> None:
    one, other = two.replicas
    token = two.member("ada")
    number = 0
    for ring in (f"{KEYS},{NEW}", f"{NEW},{KEYS}", NEW):
        for changed in (one, other):
            kept = [await first_leg(each.origin, token, _wanted(number + n)) for n, each in enumerate((one, other))]
            changed.stop()
            changed.environment["ZINC_MCP_STATE_KEYS"] = ring
            changed.start()
            for n, asked in enumerate(kept):
                answered_at = (other, one)[n]
                told = await second_leg(answered_at.origin, token, _wanted(number + n), asked.request_state)
                assert told["outcome"] == "accepted", (ring, changed.name, n, told)
            number += 2
    asked = await first_leg(one.origin, token, _wanted(number))
    one.stop()
    one.environment["ZINC_MCP_STATE_KEYS"] = KEYS  # the one that was taken out of use
    one.start()
    assert await second_leg(one.origin, token, _wanted(number), asked.request_state) == NOT_TAKEN


def _wanted(number: int) -> dict[str, object]:
    return arguments(products=[{"url": f"https://www.amazon.com/dp/B07JGBW8{number:02d}"}], max_price=1000)


def test_a_server_on_a_shared_journal_says_at_start_and_in_the_doctor_what_replicas_lack(
    tmp_path: Path, make_database: Callable[..., str], zinc: Practice
) -> None:
    lacks = ("There are no state keys", "This server has no name")
    journal = make_database()
    with team(tmp_path / "bare", journal, zinc.url, ["alone"], ZINC_MCP_STATE_KEYS="", ZINC_MCP_REPLICA="") as bare:
        [alone] = bare.replicas
        log = alone.log.read_text(encoding="utf-8")
        told = alone.started.run("doctor", **alone.environment)
        assert all(each in log and each in " ".join(told.stdout.split()) for each in lacks), (log, told.stdout)
    with team(tmp_path / "whole", journal, zinc.url, ["one"]) as whole:
        [one] = whole.replicas
        log = one.log.read_text(encoding="utf-8")
        told = one.started.run("doctor", **one.environment)
        assert not any(each in log + told.stdout for each in lacks), (log, told.stdout)
        assert KEYS not in log + told.stdout
    told = Started(tmp_path).run("doctor", ZINC_MCP_SANDBOX="1")
    assert not any(each in " ".join(told.stdout.split()) for each in lacks), told.stdout


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("k" * 31, "less than 32 bytes"),
        (f"{KEYS},short", "less than 32 bytes"),
        (f"{KEYS},{KEYS}", "different keys"),
        (",".join(f"{number:032}" for number in range(9)), "1 to 8"),
        (" , ,", "1 to 8"),
    ],
)
def test_state_keys_that_are_none_stop_the_start_and_are_not_shown(tmp_path: Path, keys: str, why: str) -> None:
    told = Started(tmp_path).run("doctor", ZINC_MCP_SANDBOX="1", ZINC_MCP_STATE_KEYS=keys)
    assert told.returncode and why in " ".join(told.stderr.split()), told
    assert not any(key in told.stderr for key in keys.replace(",", " ").split())


def test_a_session_bears_the_name_of_its_server_and_only_that_server_knows_it(two: Team) -> None:
    one, other = two.replicas
    with bearer(two.member("ada")) as client:
        opened = client.post(f"{one.origin}/mcp", json=initialize())
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        assert session["Mcp-Session-Id"].startswith("one."), session
        assert client.post(f"{one.origin}/mcp", json=LISTING, headers=session).status_code == 200
        bare = {"Mcp-Session-Id": session["Mcp-Session-Id"].removeprefix("one.")}
        for at, named in ((other, session), (other, bare)):
            lost = client.post(f"{at.origin}/mcp", json=LISTING, headers=named)
            assert lost.status_code == 404, lost.text  # which tells a client to open a new one
        assert client.delete(f"{one.origin}/mcp", headers=session).status_code == 200
        assert client.post(f"{one.origin}/mcp", json=LISTING, headers=session).status_code == 404


async def test_a_connection_over_sse_names_its_server_in_the_path_of_its_messages(two: Team) -> None:
    one, other = two.replicas
    token = two.member("ada")
    async with httpx.AsyncClient(headers=bearer(token).headers, timeout=20) as client:
        async with client.stream("GET", f"{one.origin}/sse") as stream:
            path = await first_data(stream)
            assert path.startswith("/messages/one/?session_id="), path
            assert (await client.post(f"{one.origin}{path}", json=initialize())).status_code == 202
            assert (await client.post(f"{other.origin}{path}", json=initialize())).status_code == 404
    async with connected(one.origin, "sse", "legacy", token) as host:
        assert (await call(host, "list_orders", {}))["outcome"] == "listed"


async def test_stateless_servers_answer_each_call_of_an_older_host_and_ask_on_the_page(
    tmp_path: Path, make_database: Callable[..., str], zinc: Practice
) -> None:
    before = orders(zinc)
    with team(tmp_path, make_database(), zinc.url, ZINC_MCP_STATELESS="1") as running:
        token = running.member("ada")
        one, other = running.replicas
        with bearer(token) as client:
            opened = client.post(f"{one.origin}/mcp", json=initialize())
            assert opened.status_code == 200 and "mcp-session-id" not in opened.headers
            assert client.post(f"{other.origin}/mcp", json=LISTING).status_code == 200
        async with (
            anyio.create_task_group() as tasks,
            connected(one.origin, "mcp", "legacy", token, asks=never) as host,
            connected(other.origin, "mcp", "legacy", token, asks=never) as second,
        ):
            tasks.start_soon(host.call_tool, "place_order", arguments())
            key = await until_asked(running)
            told = said(await second.call_tool("get_order", {"order_id": key, "wait_seconds": 0}))
            assert told["outcome"] == "waiting" and f"https://{PUBLIC}/approve/" in told["next_step"], told
            tasks.cancel_scope.cancel()
    assert orders(zinc) == before


async def test_a_link_a_sign_in_and_a_decision_work_at_each_server_whichever_has_asked(
    two: Team, zinc: Practice
) -> None:
    before = orders(zinc)
    one, other = two.replicas
    token = two.member("ada")
    await first_leg(one.origin, token, arguments())
    key = await until_asked(two)
    [entry] = two.entries()
    async with visitor(f"{other.origin}/approve/{entry.id}") as person:
        assert (await person.send(OWN, token="zmcp_" + "x" * 43)).status_code == 403
        shown = person.shows(await person.send(OWN, token=token))
        assert shown.status_code == 200 and "$51.00" in words(shown.text), words(shown.text)
        form = next(each for each in forms(person.page) if "about" in each.fields).fields
        person.address = f"{one.origin}/approve/{entry.id}"  # the proxy in front chooses anew for each request
        seen = person.shows(await person.send(OWN, visit=person.visit))
        assert seen.status_code == 200 and seen.text.count('name="about"') == shown.text.count('name="about"')
        taken = await person.send(OWN, **form, decision="yes")
        assert taken.status_code == 200, words(taken.text)
        assert any(each in words(taken.text) for each in ("Ordered", "Bought")), words(taken.text)
    assert orders(zinc) == before + 1
    async with modern(other.origin, token) as host:
        told = await call(host, "get_order", {"order_id": key, "wait_seconds": 0})
    assert told["outcome"] in ("accepted", "placed"), told


async def test_a_visit_ends_at_each_server_when_its_member_is_removed(two: Team) -> None:
    one, other = two.replicas
    token = two.member("ada")
    async with visitor(f"{one.origin}/approve/") as person:
        person.shows(await person.send(OWN, token=token))
        person.address = f"{other.origin}/approve/"
        assert (await person.send(OWN, visit=person.visit)).status_code == 200
        ended = one.started.run("members", "remove", "ada", **one.environment)
        assert ended.returncode == 0, ended.stderr
        for each in two.replicas:
            person.address = f"{each.origin}/approve/"
            assert (await person.send(OWN, visit=person.visit)).status_code == 401
        with Journal.open(two.journal) as journal:
            digest = hashlib.sha256(person.visit.encode()).hexdigest()
            assert journal.use_visit(digest, idle_seconds=1e9) is None


async def test_a_question_that_one_asked_is_answered_in_a_terminal_and_sent_by_a_server_that_waits_for_it(
    two: Team, zinc: Practice
) -> None:
    before = orders(zinc)
    one, other = two.replicas
    token = two.member("ada")
    answers: list[dict[str, Any]] = []
    finished = anyio.Event()

    async def place(host: Client) -> None:
        answers.append(said(await host.call_tool("place_order", arguments())))
        finished.set()

    async with (
        anyio.create_task_group() as tasks,
        connected(one.origin, "mcp", "legacy", token) as host,  # it cannot ask
    ):
        tasks.start_soon(place, host)
        key = await until_asked(two)
        typed = [("Type yes", "yes")]
        code, screen = await anyio.to_thread.run_sync(lambda: at_a_terminal(["approve", key], other.environment, typed))
        assert code == 0, screen
        await finished.wait()
    if answers[0]["outcome"] == "waiting":  # on a busy machine the terminal starts later than the call may wait
        async with modern(one.origin, token) as again:
            answers = [await call(again, "get_order", {"order_id": answers[0]["key"], "wait_seconds": 0})]
    assert answers[0]["outcome"] in ("accepted", "placed") and orders(zinc) == before + 1


def bearer(token: str) -> httpx.Client:
    return httpx.Client(headers={**JSON, "Authorization": f"Bearer {token}"}, timeout=20)


async def first_data(stream: httpx.Response) -> str:
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            return line.removeprefix("data: ")
    raise AssertionError
