"""On PostgreSQL the members are in the journal's database. Each server has them in memory, and hears of changes."""

import json
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from conftest import HandClock, OpenProcess
from deciding import no, yes
from fake_zinc import FakeZinc
from journal.test_narrow_locks import at_once
from journal.test_schema_guard import run
from keyboard import at_a_terminal
from pydantic import SecretStr
from server.as_a_host import call, refused
from server.on_a_port import JSON, connected, held_stream, initialize, served
from started import Started
from variants import rare
from wanted import arguments, book

from zinc_mcp.consent.approval import question_of
from zinc_mcp.decisions import decide
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.members import Members, add_member, members_callers, read_members, rotate_member
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.member import Identity
from zinc_mcp.owner.team.places import CONFIRMED_SECONDS, MembersCopy, MembersTable, UnconfirmedError
from zinc_mcp.process import Clocks, Process
from zinc_mcp.server.http.kept_members import members_of

NEVER = 3600.0
"""Seconds between two questions to the journal: what is known earlier was heard."""


@pytest.fixture
def journal(make_database: Callable[..., str]) -> str:
    return make_database()


@pytest.fixture
def owner(tmp_path: Path, home: Path, journal: str) -> Started:
    """Return the program with the journal in the database, in the home of the servers."""
    program = Started(tmp_path)
    program.home = home
    program.environment |= {"ZINC_MCP_HOME": str(home), "ZINC_MCP_JOURNAL": journal}
    program.configure("sandbox = true\n")
    return program


@pytest.fixture
def memory(clock: HandClock) -> Callable[[], Members]:
    """Return a function that makes the memory of one more server, which grows old by the test's clock alone."""
    return lambda: Members(MembersCopy(clock))


def ran(owner: Started, *words: str, code: int = 0) -> str:
    told = owner.run(*words)
    assert told.returncode == code, told
    return " ".join((told.stdout + told.stderr).split())


def added(owner: Started, name: str, *words: str) -> str:
    """Add a member by the command; return the token."""
    return ran(owner, "members", "add", name, *words).partition(" ")[0]


def in_journal(journal: str) -> dict[str, Any]:
    with Journal.open(journal) as opened:
        return dict(opened.team().members)


@asynccontextmanager
async def server(
    open_test_process: OpenProcess, clocks: Clocks, journal: str, members: Members, asks_every: float = NEVER
) -> AsyncGenerator[tuple[str, Process]]:
    """Serve a process of its own, once it knows the members."""
    every = replace(clocks, members_seconds=asks_every)
    async with (
        open_test_process(journal=journal, members=members, clocks=every) as process,
        served(process, members=members, members_only=True) as origin,
    ):
        await becomes(origin, "nobody", 401)
        yield origin, process


async def status(origin: str, token: str) -> int:
    headers = {**JSON, "Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=origin, headers=headers, timeout=20) as http:
        return (await http.post("/mcp", json=initialize())).status_code


async def may_place(origin: str, token: str) -> bool:
    async with connected(origin, "mcp", "auto", token) as client:
        return "place_order" in {tool.name for tool in (await client.list_tools()).tools}


async def becomes(origin: str, token: str, code: int) -> None:
    """Wait until a token gets this status: what is heard takes some milliseconds."""
    with anyio.fail_after(30):
        while await status(origin, token) != code:
            await anyio.sleep(0.02)


async def test_a_change_by_the_command_holds_at_once_at_each_server_and_on_open_streams(
    open_test_process: OpenProcess, clocks: Clocks, owner: Started, journal: str, memory: Any
) -> None:
    async with (
        server(open_test_process, clocks, journal, memory()) as (one, _),
        server(open_test_process, clocks, journal, memory()) as (other, _),
    ):
        first = added(owner, "ada")
        assert not (owner.home / "members.json").exists()
        assert first not in str(in_journal(journal)), "a hash alone is kept"
        await becomes(one, first, 200)
        await becomes(other, first, 200)
        async with held_stream(one, "sse", first) as at_one, held_stream(other, "sse", first) as at_other:
            second = ran(owner, "members", "rotate", "ada").partition(" ")[0]
            with anyio.fail_after(30):
                await at_one.wait()
                await at_other.wait()
        assert [await status(each, first) for each in (one, other)] == [401, 401]
        assert [await status(each, second) for each in (one, other)] == [200, 200]
        async with held_stream(one, "sse", second) as at_one, held_stream(other, "sse", second) as at_other:
            ran(owner, "members", "remove", "ada")
            with anyio.fail_after(30):
                await at_one.wait()
                await at_other.wait()
        assert [await status(each, second) for each in (one, other)] == [401, 401]
        before = {"ada"}
        added(owner, "ada")
        assert in_journal(journal).keys() == before
        assert await status(one, second) == 401, "a later member of the name is somebody else"


async def test_another_role_holds_at_once_at_each_server(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, owner: Started, journal: str, memory: Any
) -> None:
    token = added(owner, "ada", "--email", "ada@example.com", "--identity", "https://id.example", "8f1c")
    assert "is ada's already" in ran(owner, "members", "add", "bob", "--identity", "https://id.example", "8f1c", code=1)
    async with (
        server(open_test_process, clocks, journal, memory()) as (one, _),
        server(open_test_process, clocks, journal, memory()) as (other, _),
    ):
        for quantity, origin in enumerate((one, other), 1):
            async with connected(origin, "mcp", "auto", token) as client:
                await call(client, "place_order", arguments(products=book(quantity)))
        changed = ran(owner, "members", "change", "ada", "--role", "read")
        assert changed == "ada read ada@example.com 8f1c at https://id.example"
        for origin in (one, other):
            with anyio.fail_after(30):
                while await may_place(origin, token):
                    await anyio.sleep(0.02)
            async with connected(origin, "mcp", "auto", token) as client:
                assert (await refused(client, "place_order", arguments(products=book(3))))["code"] == "not_allowed"
    assert len(zinc.orders) == 2
    assert ran(owner, "members", "list") == changed


async def test_a_change_of_which_no_news_came_is_found_by_asking(
    open_test_process: OpenProcess, clocks: Clocks, owner: Started, journal: str, memory: Any
) -> None:
    token = added(owner, "ada")
    async with server(open_test_process, clocks, journal, memory(), asks_every=0.05) as (origin, _):
        await becomes(origin, token, 200)
        # Without NOTIFY, as it is lost when the connection breaks.
        run(journal, "DELETE FROM zinc_members", "UPDATE zinc_meta SET value = 'another' WHERE name = 'members'")
        await becomes(origin, token, 401)


async def test_while_the_database_is_away_nobody_is_let_in_after_a_while_and_all_are_when_it_is_back(
    open_test_process: OpenProcess,
    clocks: Clocks,
    clock: HandClock,
    owner: Started,
    journal: str,
    memory: Any,
) -> None:
    token = added(owner, "ada")
    async with server(open_test_process, clocks, journal, memory(), asks_every=0.05) as (origin, _):
        await becomes(origin, token, 200)
        run(journal, "ALTER TABLE zinc_meta RENAME TO away")
        await anyio.sleep(0.3)  # questions that were under way
        clock.pass_seconds(CONFIRMED_SECONDS - 1)
        assert await status(origin, token) == 200, "a database that is started again ends nobody's work"
        async with held_stream(origin, "sse", token) as ended:
            clock.pass_seconds(2)
            headers = {**JSON, "Authorization": f"Bearer {token}"}
            async with httpx2.AsyncClient(base_url=origin, headers=headers, timeout=20) as http:
                answer = await http.post("/mcp", json=initialize())
                page = await http.get("/approve/")
            assert (answer.status_code, answer.json()["error"]) == (503, "members_unconfirmed")
            assert "cannot be reached just now, so nobody is let in" in answer.json()["error_description"]
            assert int(answer.headers["retry-after"]) > 0
            assert page.status_code in (200, 401)
            assert await status(origin, "a stranger's") == 503, "it is not known who is a stranger"
            run(journal, "ALTER TABLE away RENAME TO zinc_meta")
            await becomes(origin, token, 200)
            assert not ended.is_set(), "who stayed a member keeps the stream"


def test_a_server_that_starts_without_the_database_lets_nobody_in(home: Path) -> None:
    away = Settings(home=home, config=home / "zinc.toml", journal=SecretStr("postgresql://127.0.0.1:1/away"))
    with pytest.raises(UnconfirmedError):
        members_of(away, None).known()


@pytest.mark.parametrize("change", ["DELETE FROM zinc_members", rare("UPDATE zinc_members SET mark = 'another'")])
async def test_no_order_is_opened_and_no_yes_taken_for_a_member_of_whose_change_a_server_has_not_heard(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clocks: Clocks,
    owner: Started,
    journal: str,
    memory: Any,
    change: str,
) -> None:
    owner.configure('sandbox = true\n[policy]\napproval = "page"\n')
    token = added(owner, "ada")
    added(owner, "boss", "--role", "admin")
    boss = in_journal(journal)["boss"].caller
    async with server(open_test_process, replace(clocks, answer_seconds=0.5), journal, memory()) as (origin, process):
        await becomes(origin, token, 200)
        async with connected(origin, "mcp", "auto", token) as client:
            asked = await client.call_tool("place_order", arguments(products=book(1)))
            assert asked.structured_content is not None and zinc.posts == []
            [entry] = await process.journal.run(lambda kept: kept.entries())
            run(journal, f"{change} WHERE name = 'boss'")  # and nobody is told
            with pytest.raises(RefusedError, match="members of the team have just changed"):
                await decide(process, replace(yes(entry), by=boss))
            with pytest.raises(RefusedError, match="members of the team have just changed"):
                await decide(process, replace(no(entry, how="page"), by=boss))
            run(journal, f"{change} WHERE name = 'ada'")
            told = await refused(client, "place_order", arguments(products=book(2)))
        assert told["code"] == "not_allowed" and "members of the team have just changed" in told["summary"]
        is_removed = change.startswith("DELETE")
        reasons = ("is no member", "question is closed") if is_removed else ("have just changed", "have just changed")
        for decision, why in zip((yes(entry), yes(entry, how="terminal")), reasons, strict=True):
            with pytest.raises(RefusedError, match=why):
                await decide(process, decision, caller=entry.caller if decision.how == "page" else None)
        [entry] = await process.journal.run(lambda kept: kept.entries())
        assert (question_of(entry) is None) == is_removed, "the question of a member stands"
    assert zinc.orders == {} and zinc.posts == []


def test_a_server_that_finds_the_members_of_before_in_a_file_is_not_started_until_they_are_taken_over(
    owner: Started, home: Path, journal: str
) -> None:
    path = home / "members.json"
    token = add_member(path, "ada", role="admin", identities=[Identity("https://id.example", "8f1c")])
    add_member(path, "bob")
    kept = path.read_bytes()
    serve = ("serve", "--http", "127.0.0.1:0")
    refusal = " ".join(owner.quickly(*serve).stderr.split())
    assert "kept in its database, which has none yet" in refusal and "members import" in refusal
    assert "A server does not start so. This takes them over" in ran(owner, "doctor", code=1)
    assert "2 members" in ran(owner, "members", "import")
    assert path.read_bytes() == kept
    settings = Settings(home=home, config=home / "zinc.toml", journal=SecretStr(journal))
    members = members_of(settings, None)
    caller = members.caller_by(token)
    assert caller is not None and members.known()[caller] == read_members(path)["ada"]
    assert "2 members" in ran(owner, "members", "import"), "the same ones again"
    told = ran(owner, "doctor")
    assert "2, in the journal's database" in told and "do not count here" in told
    rotate_member(path, "ada")
    assert "There are members already" in ran(owner, "members", "import", code=1)
    assert members_of(settings, None).caller_by(token) == caller
    ran(owner, "members", "remove", "ada")
    ran(owner, "members", "remove", "bob")
    assert members_of(settings, None).known() == {}, "a team that had members does not get those of the file back"
    assert "no members" not in ran(owner, "members", "list", code=0) and path.exists()


def test_a_journal_in_a_file_keeps_its_members_in_their_file(tmp_path: Path) -> None:
    owner = Started(tmp_path)
    owner.configure("sandbox = true\n")
    ran(owner, "members", "add", "ada")
    path = owner.home / "members.json"
    assert json.loads(path.read_text(encoding="utf-8"))["members"].keys() == {"ada"}
    assert "1, in the file" in ran(owner, "doctor")
    assert "on PostgreSQL alone" in ran(owner, "members", "import", code=1)


def test_of_several_who_add_one_name_one_wins_and_no_other_change_is_lost(journal: str) -> None:
    won, lost = list[int](), list[str]()
    lock = threading.Lock()

    def add(opened: Journal, number: int) -> None:
        place = MembersTable(opened)
        add_member(place, f"own-{number}")
        try:
            add_member(place, "ada", identities=[Identity("https://id.example", f"{number}")])
            with lock:
                won.append(number)
        except RefusedError as error:
            with lock:
                lost.append(error.summary)

    at_once(journal, add)
    assert len(won) == 1 and lost == ["There is a member ada already."] * 5
    kept = in_journal(journal)
    assert kept.keys() == {"ada", *(f"own-{number}" for number in range(6))}
    assert len({each.caller for each in kept.values()}) == 7


async def test_a_forgotten_member_leaves_money_and_nothing_personal_in_the_database(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, owner: Started, journal: str, memory: Any
) -> None:
    token = added(owner, "ada", "--email", "ada@planted.example", "--identity", "https://id.example", "planted-8f1c")
    with Journal.open(journal) as opened:
        caller = members_callers(MembersTable(opened))["ada"]
    async with server(open_test_process, clocks, journal, memory()) as (origin, process):
        await becomes(origin, token, 200)
        async with connected(origin, "mcp", "auto", token) as client:
            placed = await call(client, "place_order", arguments())
            zinc.settle(placed["order_id"], 4_000)
            await call(client, "get_order", {"order_id": placed["key"]})
        code, screen = await anyio.to_thread.run_sync(
            lambda: at_a_terminal(["members", "forget", "ada"], owner.environment, [("Type ada", "ada")])
        )
        assert code == 0 and "bodies and addresses of 1 order." in " ".join(screen.split()), screen
        await becomes(origin, token, 401)
        [entry] = await process.journal.run(lambda kept: kept.entries())
    assert (entry.body, entry.spent_cents) == (None, 4_100)
    assert entry.caller == f"forgotten#{caller.partition('#')[2]}"
    assert in_journal(journal) == {}
