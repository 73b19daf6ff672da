"""Limits and addresses of a team, its roles and its members hold for what members order by their tokens."""

import json
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import HandClock, OpenProcess
from consent.test_second_yes import settle
from fake_zinc import FakeZinc
from journals import journal_of, publish
from server.as_a_host import call, refused, usually_one_era
from server.on_a_port import connected, served
from server.visitor import visitor, words
from started import Started
from wanted import ADDRESS, arguments, book

from zinc_mcp.known_settings import Role
from zinc_mcp.owner.members import Members, add_member, change_member, remove_member
from zinc_mcp.owner.team.member import Member
from zinc_mcp.process import Clocks, Process

ORDER = 5_100
"""The most that an order of these tests may debit, in cents."""
ROLES: dict[str, Role] = {"ada": "order", "bob": "order", "cy": "admin"}
OFFICE = """
[addresses.Office]
first_name = "Ada"
last_name = "Buyer"
address_line1 = "12 Planted St."
city = "New York"
state = "NY"
postal_code = "10001"
phone_number = "212-555-0147"
[addresses.lab]
first_name = "Ada"
last_name = "Buyer"
address_line1 = "7 Other Street"
city = "New York"
state = "NY"
postal_code = "10001"
phone_number = "212-555-0147"
"""


@dataclass
class Team:
    """A team server and its members' tokens."""

    process: Process
    origin: str
    tokens: dict[str, str]
    mode: str = "auto"

    async def place(self, name: str, number: int, **changes: Any) -> dict[str, Any]:
        async with connected(self.origin, "mcp", self.mode, self.tokens[name]) as client:
            return await call(client, "place_order", arguments(products=book(number), **changes))

    async def refused(self, name: str, number: int, **changes: Any) -> dict[str, Any]:
        async with connected(self.origin, "mcp", self.mode, self.tokens[name]) as client:
            return await refused(client, "place_order", arguments(products=book(number), **changes))

    async def look(self, name: str) -> dict[str, Any]:
        async with connected(self.origin, "mcp", self.mode, self.tokens[name]) as client:
            return await call(client, "get_balance", {"limits_only": True})


@pytest.fixture
def policy(write_config: Callable[[str], Path]) -> Callable[..., None]:
    """Return a function that writes a policy that asks nobody, with lines of a team."""

    def write(*lines: str, approval: str = "none", more: str = "") -> None:
        write_config("\n".join(["[policy]", f'approval = "{approval}"', "max_day = 1000000", *lines, more, ""]))

    return write


@pytest.fixture
def soon(clocks: Clocks) -> Clocks:
    """Return the clocks of a process whose tools do not wait for a decision on the page."""
    return replace(clocks, answer_seconds=0.2)


@asynccontextmanager
async def team(open_test_process: OpenProcess, home: Path, mode: str = "auto", **settings: Any) -> AsyncGenerator[Team]:
    tokens = {name: add_member(home / "members.json", name, role=role) for name, role in ROLES.items()}
    settle(home)
    async with open_test_process(**settings) as process, served(process, members_only=True) as origin:
        yield Team(process, origin, tokens, mode)


@usually_one_era
async def test_orders_of_the_whole_team_count_against_one_limit_of_which_only_the_rest_is_told(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, policy: Any, mode: str
) -> None:
    zinc.dated = True
    policy(f"team.max_day = {2 * ORDER + 100}")
    async with team(open_test_process, home, mode) as ours:
        await ours.place("ada", 1)
        clock.pass_seconds(3_600)
        await ours.place("cy", 2)
        told = await ours.refused("bob", 3)
        assert told["code"] == "limit_exceeded"
        assert "the limit of $103.00 for the whole team in 24 hours has $1.00 left" in told["summary"]
        assert "It has room for this again in 24 hours, if nothing else is ordered first." in told["summary"]
        assert "[policy.team]" in told["next_step"]
        facts = {"limit_cents": 10_300, "left_cents": 100, "asked_cents": ORDER, "period": "24 hours"}
        assert told["facts"] == {**facts, "limit": "[policy.team] max_day"}
        assert not re.search(r"\bada\b|\bcy\b|51\.00(?! with)", json.dumps(told), re.IGNORECASE), "nobody else's"
        clock.pass_seconds(23 * 3_600 - 120)
        assert "in 2 minutes" in (await ours.refused("bob", 3))["summary"] or len(zinc.orders) == 2
        clock.pass_seconds(180)
        assert (await ours.place("bob", 3))["outcome"] == "accepted", "Ada's has aged out, as was said"
    assert len(zinc.orders) == 3


async def test_an_order_of_the_owner_counts_against_the_team_s_limit(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any
) -> None:
    from server.as_a_host import host

    policy("team.max_orders_day = 1")
    async with open_test_process() as process, host(process, "auto") as client:
        await call(client, "place_order", arguments(products=book(1)))
        told = await refused(client, "place_order", arguments(products=book(2)))
    assert "The limit of 1 orders for the whole team in 24 hours is reached." in told["summary"]
    assert len(zinc.orders) == 1


@usually_one_era
async def test_a_role_s_limit_is_shared_by_all_with_the_role_and_kept_when_one_of_them_changes(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any, mode: str
) -> None:
    policy(f"roles.order.max_day = {2 * ORDER}", f"roles.admin.max_orders_day = {2}")
    members = home / "members.json"
    async with team(open_test_process, home, mode) as ours:
        await ours.place("ada", 1)
        await ours.place("bob", 2)
        await ours.place("cy", 3)
        told = await ours.refused("bob", 4)
        assert "the limit of $102.00 for all with the role order together in 24 hours has $0.00 left" in told["summary"]
        change_member(members, "ada", role="admin")
        assert (await ours.place("ada", 5))["outcome"] == "accepted", "by the limit of her role now"
        assert "for all with the role admin together" in (await ours.refused("ada", 6))["summary"]
        assert "has $0.00 left" in (await ours.refused("bob", 4))["summary"], "what she ordered before still counts"
        remove_member(members, "ada")
        ours.tokens["new"] = add_member(members, "new")
        assert "has $0.00 left" in (await ours.refused("new", 7))["summary"]
    assert len(zinc.orders) == 4


async def test_a_member_keeps_the_line_of_their_name_or_the_one_for_each_and_the_limits_for_every_caller(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any
) -> None:
    policy('members."*".max_orders_day = 1', "members.ada.max_orders_day = 2", "max_orders_day = 3")
    async with team(open_test_process, home) as ours:
        await ours.place("ada", 1)
        await ours.place("ada", 2)
        told = await ours.refused("ada", 3)
        assert told["summary"].startswith("Error: The limit of 2 orders for this member in 24 hours is reached.")
        await ours.place("bob", 4)
        assert "The limit of 1 orders for this member" in (await ours.refused("bob", 5))["summary"]
        policy("members.ada.max_orders_day = 9", "max_orders_day = 3")
        await ours.place("ada", 6)
        assert "The limit of 3 orders in 24 hours is reached." in (await ours.refused("ada", 7))["summary"]
    assert len(zinc.orders) == 4


@pytest.mark.parametrize(
    ("line", "whose"),
    [("team", " of the team"), ("roles.order", " with the role order"), ("members.bob", " of this member")],
)
async def test_the_lowest_limit_of_one_order_holds(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any, line: str, whose: str
) -> None:
    policy("max_order = 9000", "team.max_order = 8000", f"{line}.max_order = {ORDER - 1}")
    if line == "team":
        policy("max_order = 9000", f"team.max_order = {ORDER - 1}")
    async with team(open_test_process, home) as ours:
        told = await ours.refused("bob", 1)
    assert f"the owner's limit for one order{whose} is $50.99." in told["summary"]
    assert told["facts"]["largest_max_price_cents"] == ORDER - 101
    assert zinc.posts == []


@usually_one_era
async def test_orders_go_only_to_the_addresses_named_for_the_team_or_the_member(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any, mode: str
) -> None:
    policy('team.ship_to = ["office"]', 'members.ada.ship_to = ["lab"]', more=OFFICE)
    async with team(open_test_process, home, mode) as ours:
        await ours.place("bob", 1)  # spelled otherwise than it was saved
        await ours.place("bob", 2, shipping_address={"saved": "office"})
        await ours.place("ada", 3, shipping_address={"saved": "lab"})
        await ours.place("ada", 4)
        for address in ({"saved": "lab"}, {**ADDRESS, "address_line1": "13 Planted Street"}):
            told = await ours.refused("bob", 5, shipping_address=address)
            assert told["code"] == "not_allowed"
            assert "does not ship orders of this caller to that address" in told["summary"]
            assert "Allowed: office (" in told["next_step"]
            assert "Planted" not in json.dumps(told)
    assert len(zinc.orders) == 4


async def test_a_yes_to_an_order_for_an_address_that_is_not_named_any_more_sends_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any, soon: Clocks
) -> None:
    policy('members."*".ship_to = ["Office"]', approval="page", more=OFFICE)
    async with team(open_test_process, home, clocks=soon) as ours:
        assert (await ours.place("bob", 1))["outcome"] == "waiting"
        policy('members."*".ship_to = ["Office"]', approval="page", more=OFFICE.replace("12 Planted", "14 Planted"))
        async with visitor(f"{ours.origin}/approve/") as bob:
            await bob.sign_in(ours.tokens["bob"])
            answered = await bob.decide("yes")
    assert "does not ship orders of this caller to that address" in words(answered.text)
    assert zinc.posts == []
    assert [entry.state for entry in journal_of(home)[0]] == ["refused"]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("lowered", ["team.max_day = 5200", "roles.order.max_orders_day = 1"])
async def test_a_yes_is_held_to_the_limits_of_several_that_hold_when_it_is_given(
    open_test_process: OpenProcess, zinc: FakeZinc, url: str, home: Path, policy: Any, soon: Clocks, lowered: str
) -> None:
    policy(approval="page")
    async with team(open_test_process, home, clocks=soon, journal=url) as ours:
        for name, number in (("ada", 1), ("bob", 2)):
            assert (await ours.place(name, number))["outcome"] == "waiting"
        policy(lowered, approval="page")
        await publish(ours.process)
        answers: list[str] = []
        for name in ("bob", "ada"):
            async with visitor(f"{ours.origin}/approve/") as person:
                await person.sign_in(ours.tokens[name])
                answers.append(words((await person.decide("yes")).text))
        assert ("for the whole team" if "team" in lowered else "for all with the role order") in answers[0]
        with anyio.fail_after(10):
            while not zinc.posts:
                await anyio.sleep(0.05)
    assert len(zinc.posts) == 1, "what the first had reserved was free for the second"


async def test_members_who_order_at_once_do_not_pass_the_limit_of_all(
    open_test_process: OpenProcess, zinc: FakeZinc, url: str, home: Path, policy: Any
) -> None:
    policy(f"team.max_day = {4 * ORDER}", f"roles.order.max_orders_day = {3}")
    outcomes: list[str] = []
    async with team(open_test_process, home, journal=url) as ours:

        async def place(name: str, number: int) -> None:
            async with connected(ours.origin, "mcp", "auto", ours.tokens[name]) as client:
                result = await client.call_tool("place_order", arguments(products=book(number)))
                outcomes.append(f"{name} {'refused' if result.is_error else 'placed'}")

        async with anyio.create_task_group() as tasks:
            for number in range(12):
                tasks.start_soon(place, ("ada", "bob", "cy")[number % 3], number)
    placed = [each for each in outcomes if each.endswith("placed")]
    assert len(placed) == len(zinc.orders) == 4
    assert sum(not each.startswith("cy") for each in placed) <= 3


@usually_one_era
async def test_get_balance_tells_a_member_what_each_limit_that_applies_leaves(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any, mode: str
) -> None:
    policy(
        "max_order = 20000",
        "team.max_month = 60000",
        "team.max_order = 15000",
        "roles.order.max_day = 30000",
        "members.bob.max_orders_day = 4",
        "members.ada.max_day = 7000",
    )
    async with team(open_test_process, home, mode) as ours:
        await ours.place("ada", 1)
        await ours.place("cy", 2)
        await ours.place("bob", 3)
        told = await ours.look("bob")
    [kept] = told["modes"]
    assert {limit["limit"]: (limit["of"], limit["left"]) for limit in kept["limits"]} == {
        "max_day": (1_000_000, 1_000_000 - ORDER),
        "members.max_orders_day": (4, 3),
        "roles.order.max_day": (30_000, 30_000 - 2 * ORDER),
        "team.max_month": (60_000, 60_000 - 3 * ORDER),
    }
    assert kept["max_order_cents"] == 15_000
    shared = [limit for limit in kept["limits"] if limit["limit"].startswith(("roles", "team"))]
    assert not any(limit.get("frees") for limit in shared), "these would be orders of others"
    assert "3 left of members.max_orders_day" in told["summary"]
    assert "$447.00 left of team.max_month" in told["summary"]
    assert "ada" not in json.dumps(told)


async def test_a_question_says_what_the_narrowest_limit_leaves(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any, soon: Clocks
) -> None:
    policy("team.max_day = 12000", "roles.order.max_month = 11000", approval="page")
    async with team(open_test_process, home, clocks=soon) as ours:
        await ours.place("bob", 1)
        async with visitor(f"{ours.origin}/approve/") as bob:
            shown = words((await bob.sign_in(ours.tokens["bob"])).text)
    assert "$69.00 in 24 hours $59.00 in 30 days" in shown


async def test_the_lines_for_a_member_with_a_long_name_of_an_earlier_version_hold(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any
) -> None:
    name = "a-name-of-sixty-characters." + "x" * 33
    path = home / "members.json"
    async with team(open_test_process, home) as ours:
        token = ours.tokens["long"] = add_member(path, "short")
        kept = json.loads(path.read_text(encoding="utf-8"))
        kept["members"][name] = kept["members"].pop("short")
        path.write_text(json.dumps(kept), encoding="utf-8")
        caller = Members(path).caller_by(token)
        assert caller is not None
        assert len(caller) == 64
        assert name not in caller
        policy(f'members."{name}".max_orders_day = 0')
        assert "The limit of 0 orders for this member" in (await ours.refused("long", 1))["summary"]
        policy(f'members."{name[:47]}".max_orders_day = 0', f'members."{name[:46]}".max_orders_day = 0')
        assert (await ours.refused("long", 1))["code"] == "limit_exceeded"
        policy(f'members."{name[:46]}".max_orders_day = 0')
        await ours.place("long", 1)
        policy(f'member_retailer_accounts = {{"{name}" = ["work"], "{name[:40]}" = ["home"]}}')
        assert ours.process.policy().accounts_of(caller) == ("work",)


def test_no_new_member_gets_a_name_that_a_caller_is_too_short_for(home: Path) -> None:
    home.mkdir()
    with pytest.raises(Exception, match="not a member's name"):
        add_member(home / "members.json", "x" * 41)
    add_member(home / "members.json", "x" * 40)
    [caller] = Members(home / "members.json").known()
    assert caller.startswith("x" * 40 + "#")
    assert Member("y" * 40, "0" * 64, "1" * 16).caller == f"{'y' * 40}#{'1' * 16}"


async def test_the_owner_s_command_prints_the_lines_of_a_team_and_what_is_used_together(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, tmp_path: Path, policy: Any
) -> None:
    zinc.clock = HandClock(time.time())
    policy("team.max_day = 30000", "roles.order.max_orders_day = 5", 'members.adda.ship_to = ["Office"]', more=OFFICE)
    async with team(open_test_process, home, clock=zinc.clock) as ours:
        await ours.place("ada", 1)
        await ours.place("cy", 2)
    started = Started(tmp_path)
    environ = {"ZINC_MCP_HOME": str(home), "ZINC_API_KEY": "zn_test_planted"}

    async def run(*words: str) -> str:
        return (await anyio.to_thread.run_sync(partial(started.run, *words, **environ))).stdout

    screen = " ".join((await run("policy")).split())
    for line in (
        "team.max_day $300.00 zinc.toml",
        "roles.order.max_orders_day 5 zinc.toml",
        "ship_to Office zinc.toml",
    ):
        assert line in screen
    assert "No member here is named adda, so the lines of that name hold for nobody here." in screen
    assert "all with the role order: $51.00 by 1 order in 24 hours" in screen
    assert "all together: $102.00 by 2 orders in 24 hours, $102.00 in 30 days" in screen
    found = json.loads(await run("policy", "--json"))
    assert [(each["role"], each["day_cents"], each["day_orders"]) for each in found["used_together"]] == [
        ("order", ORDER, 1),
        (None, 2 * ORDER, 2),
    ]
    assert "team.max_day $300.00, roles.order.max_orders_day 5" in " ".join((await run("doctor")).split())


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("team.max_dya = 1", "unknown key `team.max_dya` under [policy]"),
        ("roles.boss.max_day = 1", "roles.boss"),
        ("members.Ada.max_day = 1", "must have tables by members' names"),
        ('team.max_day = "1"', "`team.max_day` under [policy]"),
    ],
)
async def test_a_line_of_a_team_that_cannot_be_understood_stops_every_order(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, policy: Any, line: str, wrong: str
) -> None:
    policy()
    async with team(open_test_process, home) as ours:
        policy(line)
        told = await ours.refused("ada", 1)
        assert told["code"] == "policy_invalid"
        assert wrong in told["summary"]
    assert zinc.posts == []
