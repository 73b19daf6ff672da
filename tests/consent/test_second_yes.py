"""Above a sum in 24 hours, only another person's yes sends a member's order, however it is split or signed in."""

import json
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from journals import journal_of
from keyboard import at_a_terminal
from mcp.types import ElicitResult
from server.as_a_host import both_eras, call, host, refused
from server.issuer import Issuer, running_issuer
from server.on_a_port import connected, served
from server.visitor import visitor, words
from started import Started
from variants import rare
from wanted import arguments, book

from zinc_mcp.checkout.deciding.approved import send_all_approved
from zinc_mcp.known_settings import Role
from zinc_mcp.owner.members import Members, add_member, change_member, rotate_member
from zinc_mcp.owner.team.member import Identity
from zinc_mcp.process import Clocks, Process
from zinc_mcp.telemetry.measures import JournalFigures
from zinc_mcp.telemetry.watch import Facts, Step, Watch

ORDER = 5_100
"""The most that an order of these tests may debit, in cents."""
ABOVE = 2 * ORDER - 1
"""One order is within it, two are not."""
ROLES: dict[str, Role] = {"ada": "order", "bob": "order", "cy": "admin", "di": "admin"}


@pytest.fixture
def clocks(clocks: Clocks) -> Clocks:
    """Let a call wait for three seconds for its yes, which comes after the call in these tests."""
    return replace(clocks, answer_seconds=3.0)


@dataclass
class Team:
    """A team server, its members' tokens, and a way to place orders with them."""

    process: Process
    origin: str
    tokens: dict[str, str]

    async def place(
        self, name: str, number: int, mode: str = "auto", tool: str = "place_order", *, asks: Any = None
    ) -> dict[str, Any]:
        async with connected(self.origin, "mcp", mode, self.tokens[name], asks=asks) as client:
            return await call(client, tool, arguments(products=book(number)))


async def never_asked(*_: Any) -> ElicitResult:
    raise AssertionError("whoever sits at this host is not the one to ask")


def settle(home: Path, name: str | None = None, at: float = 0) -> None:
    """Let a day pass for the members, since their access was made or changed; or have it changed then."""
    path = home / "members.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    for member in kept["members"].values() if name is None else [kept["members"][name]]:
        member["changed_at"] = at
    path.write_text(json.dumps(kept), encoding="utf-8")


@pytest.fixture(scope="module")
def issuer() -> Generator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


def let_in(issuer: Issuer) -> dict[str, Any]:
    """Return the settings that let in everybody whom an issuer knows."""
    audience = "https://zinc.example.com/mcp"
    return {"oauth_issuer": issuer.name, "oauth_audience": (audience,), "oauth_everyone": True}


@pytest.fixture
def policy(write_config: Any) -> Any:
    """Return a function that writes a policy: limits that do not matter here, and no question unless one is due."""

    def write(**rules: Any) -> None:
        given = {"approval": "none", "max_day": 1_000_000, "second_yes_above": ABOVE, **rules}
        lines = [f"{name} = {json.dumps(value)}" for name, value in given.items() if value is not None]
        write_config("[policy]\n" + "\n".join(lines) + "\n")

    write()
    return write


@asynccontextmanager
async def team(open_test_process: OpenProcess, home: Path, **settings: Any) -> AsyncGenerator[Team]:
    tokens = {name: add_member(home / "members.json", name, role=role) for name, role in ROLES.items()}
    settle(home)
    async with open_test_process(**settings) as process, served(process, members_only=True) as origin:
        yield Team(process, origin, tokens)


async def answer(team: Team, token: str, decision: str = "yes", *, pin: str = "") -> tuple[int, str]:
    """Sign in to the page, answer the first question, and return status and text."""
    async with visitor(f"{team.origin}/approve/") as person:
        page = await person.sign_in(token)
        if 'name="about"' not in page.text:
            return page.status_code, words(page.text)
        decided = await person.decide(decision, pin=pin)
        return decided.status_code, words(decided.text)


@pytest.mark.sampled(2)
@both_eras
@pytest.mark.parametrize("tool", ["place_order", "place_agent_order"])
async def test_the_order_that_passes_the_sum_waits_for_an_admin_who_sees_all_of_it(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any, mode: str, tool: str
) -> None:
    async with team(open_test_process, home, wallet="sandbox") as ours:
        first = await ours.place("ada", 1, mode)
        assert first["outcome"] == "accepted"
        second = await ours.place("ada", 2, mode, tool, asks=never_asked)
        assert second["outcome"] == "waiting"
        assert "have an admin of this server decide" in second["next_step"]
        assert len(zinc.orders) == 1
        async with visitor(f"{ours.origin}/approve/") as admin:
            shown = words((await admin.sign_in(ours.tokens["cy"])).text)
            assert "Another person has to say yes: the orders of ada in 24 hours are above $101.99" in shown
            assert "The agent of ada asks for this." in shown
            for what in ("12 Planted Street", "Ada Buyer", "$51.00", "B000000002"):
                assert what in shown
            assert (await admin.decide("yes")).status_code == 200
        with anyio.fail_after(10):
            while len(zinc.orders) < 2:
                await anyio.sleep(0.05)
    consents: list[Any] = [entry.consent or {} for entry in journal_of(home)[0]]
    [decision] = [consent["decision"] for consent in consents if "decision" in consent]
    assert (decision["who"], decision["second"], decision["how"]) == ("cy", True, "page")
    assert decision["by"].startswith("cy#")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("approval", ["none", "page", "host", "auto"])
async def test_nobody_says_yes_to_their_own_not_even_an_admin_with_the_owner_s_pin(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any, approval: str
) -> None:
    from zinc_mcp.owner.pin import hashed

    policy(approval=approval, second_yes_above=ORDER - 1)
    async with team(open_test_process, home) as ours:
        await ours.process.journal.run(lambda journal: journal.set_pin(hashed("2468-shared")))
        for name in ("ada", "cy"):
            assert (await ours.place(name, 1, asks=never_asked))["outcome"] == "waiting"
            async with visitor(f"{ours.origin}/approve/") as person:
                await person.sign_in(ours.tokens[name])
                refusal = await person.decide("yes", number=0, pin="2468-shared")
            assert refusal.status_code == 403, words(refusal.text)
            assert "Another person has to say yes" in words(refusal.text)
        assert zinc.posts == []
        status, text = await answer(ours, ours.tokens["di"], pin="2468-shared")
        assert status == 200, text
        with anyio.fail_after(10):
            while not zinc.posts:
                await anyio.sleep(0.05)
        assert (await answer(ours, ours.tokens["ada"], "no"))[0] == 200, "a no to one's own is a no"
    assert len(zinc.posts) == 1


async def test_a_member_without_the_right_sees_nothing_of_others(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any
) -> None:
    policy(second_yes_above=0)
    async with team(open_test_process, home) as ours:
        await ours.place("ada", 1)
        [entry] = await ours.process.journal.run(lambda journal: journal.waiting(None))
        async with visitor(f"{ours.origin}/approve/{entry.id}") as bob, visitor(f"{ours.origin}/approve/") as cy:
            assert (await bob.sign_in(ours.tokens["bob"])).status_code == 404
            await cy.sign_in(ours.tokens["cy"])
            assert "Nothing waits" in await bob.look("/approve/")
            change_member(home / "members.json", "cy", role="order")
            assert (await cy.decide("yes")).status_code == 404, "the right was taken back"
    assert zinc.posts == []


async def test_an_admin_sees_no_question_of_others_that_needs_nobody_else(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any
) -> None:
    policy(approval="page", second_yes_above=ABOVE)
    async with team(open_test_process, home) as ours:
        await ours.place("ada", 1)
        assert "Nothing waits" in (await answer(ours, ours.tokens["cy"]))[1]
        assert (await answer(ours, ours.tokens["ada"]))[0] == 200
    assert len(zinc.posts) == 1


@pytest.mark.parametrize("change", ["added", "rotated", "made an admin", "changed before a clock was put back"])
async def test_an_admin_whose_access_is_of_today_is_not_another_person(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any, change: str
) -> None:
    policy(second_yes_above=0)
    members = home / "members.json"
    async with team(open_test_process, home) as ours:
        await ours.place("ada", 1)
        if change == "added":
            token = add_member(members, "new", role="admin")
        elif change == "rotated":
            token = rotate_member(members, "cy")
        elif change.startswith("changed"):
            token = ours.tokens["cy"]
            settle(home, "cy", time.time() + 3600)
        else:
            token = ours.tokens["bob"]
            change_member(members, "bob", role="admin")
        status, text = await answer(ours, token)
        assert status == 403
        assert "Another person has to say yes" in text
        assert zinc.posts == []
        settle(home)
        assert (await answer(ours, token))[0] == 200
    assert len(zinc.posts) == 1


@pytest.mark.parametrize("is_new", [True, False])
async def test_the_owner_s_terminal_is_another_person_unless_it_changed_the_member_today(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, tmp_path: Path, policy: Any, is_new: bool
) -> None:
    policy(second_yes_above=0)
    started = Started(tmp_path)
    environ = {**started.environment, "ZINC_MCP_HOME": str(home), "ZINC_API_KEY": ""}
    clock = zinc.clock = HandClock(time.time())
    async with team(open_test_process, home, clock=clock) as ours:
        key = (await ours.place("ada", 1))["key"]
        if is_new:
            change_member(home / "members.json", "ada", role="admin")
        code, screen = await anyio.to_thread.run_sync(
            lambda: at_a_terminal(["approve", key], environ, [("Type yes", "yes")])
        )
        assert ("Another person has to say yes: the orders" in " ".join(screen.split())) is True
        if is_new:
            assert code != 0
            assert "unless they added or changed" in " ".join(screen.split())
        else:
            with anyio.fail_after(20):
                while not zinc.posts:
                    await anyio.sleep(0.05)
    assert len(zinc.posts) == (0 if is_new else 1)


async def test_a_yes_to_a_question_that_did_not_say_so_asks_anew(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any
) -> None:
    policy(approval="page", second_yes_above=None)
    async with team(open_test_process, home) as ours:
        await ours.place("ada", 1)
        policy(approval="page", second_yes_above=0)
        status, text = await answer(ours, ours.tokens["ada"])
        assert status == 409, text
        assert "Another person has to say yes" in text
        assert zinc.posts == []
        assert (await answer(ours, ours.tokens["cy"]))[0] == 200
    assert len(zinc.posts) == 1


async def test_a_yes_of_one_s_own_from_before_the_rule_sends_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any
) -> None:
    policy(approval="page", second_yes_above=None)
    async with team(open_test_process, home) as ours:
        await ours.place("ada", 1)
        rails = dict(ours.process.rails)
        ours.process.rails.clear()  # type: ignore[attr-defined]  # a process that decides and cannot send
        assert (await answer(ours, ours.tokens["ada"]))[0] == 200
        policy(approval="page", second_yes_above=0)
        ours.process.rails.update(rails)  # type: ignore[attr-defined]
        with pytest.raises(Exception, match="Another person"):
            await send_all_approved(ours.process)
    assert zinc.posts == []


async def test_one_s_own_identity_that_is_mapped_to_nobody_makes_no_second_person(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any, issuer: Issuer
) -> None:
    policy(second_yes_above=0)
    members = home / "members.json"
    async with team(open_test_process, home, **let_in(issuer)) as ours:
        ours.tokens["somebody"] = issuer.token("cy-at-issuer")
        assert (await ours.place("somebody", 1))["outcome"] == "waiting"
        for identities in ([], [Identity("https://other.example", "cy")], [Identity(issuer.name, "cy-at-issuer")]):
            change_member(members, "cy", identities=identities)
            settle(home)
            status, text = await answer(ours, ours.tokens["cy"])
            assert (status, "Another person has to say yes" in text) == (403, True), identities
        assert zinc.posts == []
        change_member(members, "di", identities=[Identity(issuer.name, "di-at-issuer")])
        assert (await answer(ours, ours.tokens["di"]))[0] == 403, "her identity is of today"
        settle(home)
        assert (await answer(ours, ours.tokens["di"]))[0] == 200
    assert len(zinc.posts) == 1


@pytest.mark.parametrize("mode", ["auto", rare("legacy")])
async def test_orders_by_token_and_by_a_mapped_identity_count_together(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any, issuer: Issuer, mode: str
) -> None:
    async with team(open_test_process, home, **let_in(issuer)) as ours:
        change_member(home / "members.json", "ada", identities=[Identity(issuer.name, "ada-at-issuer")])
        ours.tokens["ada at the issuer"] = issuer.token("ada-at-issuer")
        assert (await ours.place("ada", 1, mode))["outcome"] == "accepted"
        assert (await ours.place("ada at the issuer", 2, mode, asks=never_asked))["outcome"] == "waiting"
        assert (await ours.place("bob", 4, mode))["outcome"] == "accepted", "hers are not his"
        ours.tokens["ada"] = rotate_member(home / "members.json", "ada")
        assert (await ours.place("ada", 3, mode, asks=never_asked))["outcome"] == "waiting", "she is who she was"
    assert len(zinc.posts) == 2


async def test_an_order_of_a_day_ago_counts_no_more(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clock: HandClock, policy: Any
) -> None:
    async with team(open_test_process, home) as ours:
        assert (await ours.place("ada", 1))["outcome"] == "accepted"
        clock.pass_seconds(86_400 - 60)
        assert (await ours.place("ada", 2))["outcome"] == "waiting"
        assert (await answer(ours, ours.tokens["ada"], "no"))[0] == 200
        clock.pass_seconds(61)
        assert (await ours.place("ada", 3))["outcome"] == "accepted"
    assert len(zinc.posts) == 2


async def test_of_several_questions_one_s_own_yes_reaches_no_further_than_the_sum(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any
) -> None:
    policy(approval="page")
    async with team(open_test_process, home) as ours:
        async with anyio.create_task_group() as tasks:
            for number in (1, 2, 3):
                tasks.start_soon(ours.place, "ada", number)
        waiting = await ours.process.journal.run(lambda journal: journal.waiting(None))
        assert len(waiting) == 3
        statuses = list[int]()
        async with visitor(f"{ours.origin}/approve/") as ada:
            await ada.sign_in(ours.tokens["ada"])
            for entry in reversed(waiting):  # the last one first
                await ada.look(f"/approve/{entry.id}")
                statuses.append((await ada.decide("yes")).status_code)
        assert statuses == [403, 403, 200], "the last was opened first"
        assert len(zinc.posts) == 1
        async with visitor(f"{ours.origin}/approve/") as cy:
            await cy.sign_in(ours.tokens["cy"])
            assert (await cy.decide("no")).status_code == 200
            assert (await cy.view("/approve/")).status_code == 200
            assert (await cy.decide("yes")).status_code == 200
    states = sorted(entry.state for entry in journal_of(home)[0])
    assert (states, len(zinc.posts)) == (["accepted", "accepted", "declined"], 2)


async def test_an_order_that_was_cancelled_counts_no_more_and_the_next_one_counts_anew(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any
) -> None:
    policy(approval="none")
    async with team(open_test_process, home) as ours:
        first = await ours.place("ada", 1)
        assert (await ours.place("ada", 2))["outcome"] == "waiting"
        async with connected(ours.origin, "mcp", "auto", ours.tokens["ada"]) as client:
            assert (await call(client, "cancel_order", {"order_id": first["order_id"]}))["outcome"] == "cancelled"
        assert (await answer(ours, ours.tokens["ada"]))[0] == 200, "it is within the sum now"
        assert len(zinc.posts) == 2
        assert (await ours.place("ada", 3))["outcome"] == "waiting"
        assert (await answer(ours, ours.tokens["ada"]))[0] == 403
    assert len(zinc.posts) == 2


async def test_many_small_orders_at_once_pass_the_sum_no_further_than_one(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any
) -> None:
    policy(second_yes_above=3 * ORDER)
    async with team(open_test_process, home) as ours, anyio.create_task_group() as tasks:
        for number in range(1, 9):
            tasks.start_soon(ours.place, "ada", number, "auto" if number % 2 else "legacy")
    states = [entry.state for entry in journal_of(home)[0]]
    assert (len(zinc.posts), states.count("accepted"), states.count("waiting")) == (3, 3, 5)


@both_eras
async def test_for_the_owner_s_own_order_there_is_nobody_else(
    open_test_process: OpenProcess, zinc: FakeZinc, policy: Any, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        await call(client, "place_order", arguments(products=book(1)))
        told = await refused(client, "place_order", arguments(products=book(2)))
    assert told["code"] == "not_allowed"
    assert "another person has to say yes" in told["summary"]
    assert len(zinc.posts) == 1


class Silent:
    """A step of which nothing is kept."""

    def set(self, facts: Facts) -> None:
        pass


@dataclass
class Meanwhile:
    """A trace that does something when the steps of a person begin."""

    act: Callable[[], object]

    def step(self, name: str, facts: Facts, *, alone: bool = False) -> AbstractContextManager[Step]:
        if name == "person":
            self.act()
        return nullcontext(Silent())

    def mark(self, facts: Facts) -> None:
        pass


async def test_an_admin_who_is_made_a_reader_while_their_yes_is_on_the_way_approves_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any
) -> None:
    path, meanwhile = home / "members.json", Meanwhile(lambda: None)
    watch = Watch(JournalFigures(), (), meanwhile)
    async with (
        team(open_test_process, home, members=Members(path), watch=watch) as ours,
        visitor(f"{ours.origin}/approve/") as admin,
    ):
        for number in (1, 2):
            await ours.place("ada", number)
        await admin.sign_in(ours.tokens["cy"])
        meanwhile.act = lambda: change_member(path, "cy", role="read")
        assert "have just changed" in words((await admin.decide("yes")).text)
    assert len(zinc.orders) == 1
