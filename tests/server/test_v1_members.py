"""Members of a team order through v1: each by the accounts named for them, and each their own orders only."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import HandClock
from consent.test_second_yes import settle
from mcp import Client
from own_accounts import NUMBERS, ORIGIN, Wire, keyring_of_the_test, practising, wish
from planted_account import keep
from server.as_a_host import both_eras, call, refused, usually_one_era
from server.on_a_port import connected, served
from server.visitor import visitor, words
from variants import rare

from zinc_mcp.owner.members import add_member, change_member
from zinc_mcp.process import Clocks

NAMES = ("ada", "bob", "cy")
POLICY = """[policy]
retailer_accounts = ["work"]
max_day = 20000
{more}
[policy.member_retailer_accounts]
ada = ["work", "home"]
bob = ["home"]
"""
As = Callable[[str], Any]


@pytest.fixture(autouse=True)
def accounts(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Keep two accounts of the owner's."""
    monkeypatch.setenv("FAKE_KEYRING", str(tmp_path / "keyring.json"))
    with keyring_of_the_test():
        for name in ("work", "home"):
            keep(home, ORIGIN, name)
        yield


class Team:
    """A team server over a practised Zinc, with a member of each name."""

    def __init__(self, home: Path, clocks: Clocks, clock: HandClock) -> None:
        self.home, self.clocks, self.clock, self.wire = home, clocks, clock, Wire(clock)
        self.tokens = {name: add_member(home / "members.json", name) for name in NAMES}
        self.origin = ""

    @asynccontextmanager
    async def open(self, more: str = "") -> AsyncGenerator["Team"]:
        """Serve, with more lines under `[policy]`."""
        (self.home / "zinc.toml").write_text(POLICY.format(more=more), encoding="utf-8")
        async with practising(self.home, self.wire, self.clocks, self.clock) as process, served(process) as self.origin:
            yield self

    @asynccontextmanager
    async def member(self, name: str, mode: str) -> AsyncGenerator[Client]:
        """Connect a member's host."""
        async with connected(self.origin, "mcp", mode, self.tokens[name]) as client:
            yield client


@pytest.fixture
def team(home: Path, clocks: Clocks, clock: HandClock) -> Team:
    return Team(home, clocks, clock)


def by(profile: str | None, number: int = 0, **changes: Any) -> dict[str, Any]:
    account = None if profile is None else {"profile": profile}
    return wish(NUMBERS[number], retailer_account=account, **changes)


@usually_one_era
async def test_a_member_uses_only_the_accounts_named_for_them(team: Team, mode: str) -> None:
    async with team.open():
        async with team.member("ada", mode) as ada:
            assert "kept here as work" in (await call(ada, "place_v1_order", by("work")))["retailer_account"]
        async with team.member("bob", mode) as bob:
            told = await refused(bob, "place_v1_order", by("work"))
            assert told["code"] == "not_allowed"
            assert "member_retailer_accounts" in told["next_step"] and "home" in told["next_step"]
            assert "work" not in told["next_step"] and "ada" not in told["next_step"]
            assert "kept here as home" in (await call(bob, "place_v1_order", by("home")))["retailer_account"]
        async with team.member("cy", mode) as cy:
            for profile in ("work", "home"):
                assert (await refused(cy, "place_v1_order", by(profile)))["code"] == "not_allowed"
            assert "Zinc manages" in (await call(cy, "place_v1_order", by(None)))["retailer_account"]
    assert len(team.wire.sent) == 3


@usually_one_era
async def test_a_star_stands_for_each_member_and_not_for_the_owner(team: Team, mode: str) -> None:
    async with team.open():
        policy = team.home / "zinc.toml"
        policy.write_text('[policy]\n[policy.member_retailer_accounts]\n"*" = ["home"]\n', encoding="utf-8")
        async with team.member("cy", mode) as cy:
            assert (await refused(cy, "place_v1_order", by("work")))["code"] == "not_allowed"
            await call(cy, "place_v1_order", by("home"))
    async with practising(team.home, team.wire, team.clocks, team.clock) as process:
        from server.as_a_host import host

        async with host(process, mode) as owner:
            assert (await refused(owner, "place_v1_order", by("home")))["code"] == "not_allowed"
    assert len(team.wire.sent) == 1


@usually_one_era
async def test_twins_keys_and_limits_are_each_member_s_own(team: Team, mode: str) -> None:
    async with team.open():
        ids = dict[str, str]()
        for name in ("ada", "bob"):
            async with team.member(name, mode) as client:
                placed = await call(client, "place_v1_order", by("home", idempotency_key="one-key"))
                ids[name] = placed["order_id"]
                again = await call(client, "place_v1_order", by("home", max_price=8000))
                assert (placed["new_order"], again["new_order"]) == (True, False)
                assert again["order_id"] == placed["order_id"]
                # 9000 of 20000 are used by each of them, and not 18000 by both.
                await call(client, "place_v1_order", by("home", 1))
                assert (await refused(client, "place_v1_order", by("home", 2)))["code"] == "limit_exceeded"
    assert len(set(ids.values())) == 2 and len(team.wire.sent) == 4


@both_eras
async def test_a_member_sees_and_changes_no_order_of_another(team: Team, mode: str) -> None:
    async with team.open():
        async with team.member("ada", mode) as ada:
            placed = await call(ada, "place_v1_order", by("work"))
        async with team.member("bob", mode) as bob:
            for handle in (placed["order_id"], placed["key"]):
                for tool, more in (
                    ("get_order", {}),
                    ("cancel_order", {}),
                    ("report_problem", {"reason": "late", "message": "Where is it?"}),
                    (
                        "return_order",
                        {"items": [{"number": 1, "quantity": 1}], "reason": "defective", "notes": "It is broken."},
                    ),
                ):
                    told = await refused(bob, tool, {"order_id": handle, **more})
                    assert told["code"] == "order_not_found", (tool, told)
            assert (await call(bob, "list_orders", {})).get("orders", []) == []
    assert len(team.wire.sandbox.placed()) == 1


@both_eras
async def test_the_page_of_a_member_s_order_is_nothing_for_another(team: Team, mode: str) -> None:
    async with team.open('approval = "page"'):
        async with team.member("ada", mode) as ada:
            waiting = await call(ada, "place_v1_order", by("work"))
        [address] = [word.strip(".,") for word in waiting["decide_at"].split() if "/approve/" in word]
        async with visitor(address) as stranger:
            page = await stranger.sign_in(team.tokens["bob"])
            assert page.status_code == 404 and "work" not in page.text
        assert team.wire.sent == []
        async with visitor(address) as owner:
            page = await owner.sign_in(team.tokens["ada"])
            assert page.status_code == 200 and "work" in page.text
            await owner.decide("yes")
    assert len(team.wire.sent) == 1


@both_eras
async def test_a_yes_after_the_member_s_name_was_taken_out_sends_nothing(team: Team, mode: str) -> None:
    async with team.open('approval = "page"'):
        async with team.member("ada", mode) as ada:
            waiting = await call(ada, "place_v1_order", by("work"))
        [address] = [word.strip(".,") for word in waiting["decide_at"].split() if "/approve/" in word]
        policy = team.home / "zinc.toml"
        policy.write_text('[policy]\nretailer_accounts = ["work"]\napproval = "page"\n', encoding="utf-8")
        async with visitor(address) as member:
            await member.sign_in(team.tokens["ada"])
            await member.decide("yes")
        async with team.member("ada", mode) as ada:
            found = await call(ada, "get_order", {"order_id": waiting["key"]})
            assert found["outcome"] == "refused"
    assert team.wire.sent == []


@pytest.mark.parametrize("mode", ["auto", rare("legacy")])
async def test_orders_through_v1_count_towards_the_sum_above_which_another_person_says_yes(
    team: Team, mode: str
) -> None:
    change_member(team.home / "members.json", "cy", role="admin")
    settle(team.home)
    async with team.open('approval = "none"\nsecond_yes_above = 9999'):
        async with team.member("ada", mode) as ada:
            assert (await call(ada, "place_v1_order", by(None)))["new_order"] is True
            assert len(team.wire.sent) == 1
            waiting = await call(ada, "place_v1_order", by(None, 1, max_price=1000))
        assert waiting["outcome"] == "waiting"
        async with visitor(f"{team.origin}/approve/") as ada, visitor(f"{team.origin}/approve/") as cy:
            await ada.sign_in(team.tokens["ada"])
            assert (await ada.decide("yes")).status_code == 403
            assert len(team.wire.sent) == 1
            assert "Another person has to say yes" in words((await cy.sign_in(team.tokens["cy"])).text)
            assert (await cy.decide("yes")).status_code == 200
    assert len(team.wire.sent) == 2
