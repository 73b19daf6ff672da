"""Servers on one journal in PostgreSQL have one policy: a server with another places nothing, and says so."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from journal.test_journal import draft
from journal.test_narrow_locks import at_once
from server.as_a_host import call, host, refused, usually_one_era
from server.on_a_port import served
from server.visitor import Shown, visitor, words
from started import Started
from wanted import arguments, book

from zinc_mcp.checkout.deciding.approved import send_all_approved
from zinc_mcp.decisions import decide
from zinc_mcp.errors import PolicyDiffersError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry, Limits
from zinc_mcp.journal.records.own_policy import OwnPolicy
from zinc_mcp.owner.addresses import saved_addresses
from zinc_mcp.owner.policy import read_policy
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.own_policy import own_policy
from zinc_mcp.server.pages.browser import page_beside

POLICY = '[policy]\napproval = "none"\nmax_day = 60000\nretailers_allowed = ["amazon.com", "walmart.com"]\n'
LIVE = "zn_live_planted-secret"
ADDRESS = """
[addresses.office]
first_name = "Ada"
last_name = "Buyer"
address_line1 = "{}"
city = "New York"
state = "NY"
postal_code = "10001"
phone_number = "212-555-0147"
"""


@pytest.fixture
def journal(make_database: Callable[..., str]) -> str:
    return make_database()


@pytest.fixture
def configure(home: Path) -> Callable[..., None]:
    """Return a function that writes the settings of a server: `zinc.toml` of the one, `other.toml` of the other."""

    def write(text: str, name: str = "zinc.toml") -> None:
        home.mkdir(mode=0o700, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")

    return write


def owner(tmp_path: Path, journal: str, toml: str) -> Callable[..., str]:
    """Return a function that runs a command of the owner with these settings, and returns its output."""
    started = Started(tmp_path / "owner")
    started.home.parent.mkdir(exist_ok=True)
    started.configure(toml)

    def run(*words: str, code: int = 0) -> str:
        told = started.run(*words, ZINC_MCP_JOURNAL=journal, ZINC_MCP_SANDBOX="1")
        assert told.returncode == code, told
        return " ".join((told.stdout + told.stderr).split())

    return run


@usually_one_era
async def test_a_server_with_another_policy_places_nothing_until_the_owner_publishes_its_policy(
    open_test_process: OpenProcess, zinc: FakeZinc, tmp_path: Path, journal: str, configure: Any, mode: str
) -> None:
    wider = POLICY.replace("60000", "90000") + "members.ada.max_day = 777\n"
    configure(POLICY)
    configure(wider, "other.toml")
    run = owner(tmp_path, journal, wider)
    async with (
        open_test_process(journal=journal) as one,
        open_test_process(journal=journal, config="other.toml") as other,
        host(one, mode) as at_one,
        host(other, mode) as at_other,
    ):
        first = await call(at_one, "place_order", arguments(products=book(1)))  # publishes its policy
        told = await refused(at_other, "place_order", arguments(products=book(2)))
        assert told["code"] == "policy_differs" and len(zinc.orders) == 1
        assert "(max_day, members)" in told["summary"] and " policy publish`" in told["next_step"]
        assert not re.search(r"600|900|777|ada", str(told)), "no value, and no member's name"
        balance = await call(at_other, "get_balance", {"limits_only": True})
        assert "differs from the one that is published" in balance["summary"] and balance.get("modes", []) == []
        assert "differs from" in balance["policy_unread"], "no limit is told that does not hold"
        assert (await call(at_one, "get_balance", {"limits_only": True}))["modes"] != []
        earlier = await call(at_other, "place_order", arguments(products=book(1)))
        assert earlier["order_id"] == first["order_id"], "what was ordered before is told all the same"
        assert (await call(at_other, "get_order", {"order_id": first["key"]}))["order_id"] == first["order_id"]
        shown = run("policy")
        assert "max_day: $900.00 here, $600.00 published" in shown and "members.ada.max_day: $7.77 here, not" in shown
        assert "differs from the one that is published" in run("doctor", code=1)
        assert "max_day: $900.00 here, $600.00 published" in run("policy", "publish")
        assert "This is the policy that is published for all servers." in run("policy")
        assert "it is the one that is published" in run("doctor")
        assert (await refused(at_one, "place_order", arguments(products=book(2))))["code"] == "policy_differs"
        assert (await call(at_other, "place_order", arguments(products=book(2))))["outcome"] == "accepted"
        configure(wider)  # without a restart
        assert (await call(at_one, "place_order", arguments(products=book(3))))["outcome"] == "accepted"
    assert len(zinc.orders) == 3


async def test_an_order_that_its_own_policy_forbids_is_refused_for_the_difference(
    open_test_process: OpenProcess, zinc: FakeZinc, journal: str, configure: Any
) -> None:
    configure(POLICY)
    configure(POLICY + "max_order = 1\n", "other.toml")
    async with (
        open_test_process(journal=journal) as one,
        open_test_process(journal=journal, config="other.toml") as other,
        host(one, "auto") as at_one,
        host(other, "auto") as at_other,
    ):
        await call(at_one, "place_order", arguments(products=book(1)))
        told = await refused(at_other, "place_order", arguments(products=book(2)))
    assert told["code"] == "policy_differs", "its limit of one order is not the owner's"


async def test_readiness_tells_a_server_with_another_policy_from_the_others(
    open_test_process: OpenProcess, journal: str, configure: Any
) -> None:
    configure(POLICY)
    configure(POLICY.replace("60000", "90000"), "other.toml")
    async with (
        open_test_process(journal=journal) as one,
        open_test_process(journal=journal, config="other.toml") as other,
        served(one) as at_one,
        served(other) as at_other,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        assert (await client.get(f"{at_one}/readyz")).status_code == 200  # publishes its policy
        told = await client.get(f"{at_other}/readyz")
        assert (told.status_code, told.json()["code"]) == (503, "policy_differs")
        configure(POLICY, "other.toml")
        assert (await client.get(f"{at_other}/readyz")).status_code == 200
        assert (await client.get(f"{at_one}/readyz")).status_code == 200


async def test_a_yes_at_a_server_with_another_policy_is_not_taken_and_the_question_stands(
    open_test_process: OpenProcess, zinc: FakeZinc, journal: str, configure: Any
) -> None:
    asking = POLICY.replace("none", "page")
    configure(asking)
    shown = Shown()
    async with (
        open_test_process(journal=journal) as process,
        page_beside(process, show=shown) as page,
        host(process, "auto") as client,
    ):
        waiting = await call(client, "place_order", arguments())
        [entry] = await process.journal.run(lambda kept: kept.waiting("local"))
        await page.offer(entry)
        async with visitor(shown.address) as person:
            assert (await person.open(shown.secret)).status_code == 200
            configure(asking.replace("60000", "90000"))  # and not published
            answered = words((await person.decide("yes")).text)
            assert "max_day" in answered and "The answer was not taken; the question still stands." in answered
            with pytest.raises(PolicyDiffersError, match="the question still stands"):
                await decide(process, yes(entry, how="terminal"))
            assert [each.id for each in await process.journal.run(lambda kept: kept.waiting("local"))] == [entry.id]
            configure(asking)
            await person.look()
            await person.decide("yes")
        assert (await call(client, "get_order", {"order_id": waiting["key"]}))["outcome"] == "accepted"
    assert len(zinc.orders) == 1


async def test_an_approved_order_is_left_to_a_server_with_the_published_policy(
    open_test_process: OpenProcess, zinc: FakeZinc, journal: str, configure: Any
) -> None:
    asking = POLICY.replace("none", "page")
    configure(asking)
    configure(asking.replace("60000", "90000"), "other.toml")
    async with open_test_process(journal=journal) as process, host(process, "auto") as client:
        await call(client, "place_order", arguments())
        [entry] = await process.journal.run(lambda kept: kept.waiting("local"))
    async with open_test_process(journal=journal, api_key=None) as without_a_key:
        await decide(without_a_key, yes(entry, how="terminal"), wait_seconds=0)
    async with open_test_process(journal=journal, config="other.toml") as other:
        await send_all_approved(other)
        assert zinc.posts == []
        assert (await other.journal.run(lambda kept: kept.read(entry.id))).state == "waiting", "and not refused"
    async with open_test_process(journal=journal) as process:
        await send_all_approved(process)
    assert len(zinc.orders) == 1


async def test_a_server_with_another_policy_pays_for_no_question_about_products(
    open_test_process: OpenProcess, zinc: FakeZinc, journal: str, configure: Any
) -> None:
    configure(POLICY)
    configure(POLICY.replace("60000", "90000"), "other.toml")
    async with (
        open_test_process(journal=journal, api_key=LIVE) as one,
        open_test_process(journal=journal, api_key=LIVE, config="other.toml") as other,
        host(one, "auto") as at_one,
        host(other, "auto") as at_other,
    ):
        await call(at_one, "place_order", arguments())
        asked = len(zinc.requests)
        told = await refused(at_other, "search_products", {"query": "beans"})
        assert told["code"] == "policy_differs" and len(zinc.requests) == asked
        await call(at_one, "search_products", {"query": "beans"})


def test_of_servers_that_order_first_at_the_same_time_one_publishes_and_the_others_place_nothing(
    make_database: Callable[..., str],
) -> None:
    url = make_database()
    Journal.open(url).close()
    policies = [OwnPolicy({"max_day": number}) for number in range(3)]
    opened: list[int] = []

    def work(journal: Journal, number: int) -> None:
        for order in range(5):
            wanted = draft(order * 10 + number, f"member{number}")
            try:
                made = journal.open_entry(
                    wanted,
                    Limits(),
                    owner=str(number),
                    lease_seconds=30,
                    window_seconds=86_400,
                    own_policy=policies[number % 3],
                )
            except PolicyDiffersError:
                continue
            assert isinstance(made, Entry)
            opened.append(number % 3)

    at_once(url, work)
    [(first, count)] = Counter(opened).items()
    assert count == 10, "both servers with this policy opened all of theirs"
    with Journal.open(url) as journal:
        assert journal.published_policy() == policies[first]


@pytest.mark.parametrize(
    ("here", "there", "same"),
    [
        ('retailers_allowed = ["a.com", "b.com"]', 'retailers_allowed = ["b.com", "a.com"]', True),
        ("", "connect = false\nretailers_blocked = []", True),
        ("max_day = 50000", "", True),
        ("", "countries = []", False),
        ("max_month = 0", "", False),
        ("connect = true", "", False),
        ("check_before_asking = false", "", False),
        ("second_yes_above = 100", "", False),
        ("roles.read.max_day = 0", "", False),
        ('members."a.b".ship_to = ["office"]', "", False),
        ('member_retailer_accounts.ada = ["work"]', "", False),
        (f'ship_to = "saved"{ADDRESS.format("1 A St")}', f'ship_to = "saved"{ADDRESS.format("2 A St")}', False),
        (f'team.ship_to = ["office"]{ADDRESS.format("1 A St")}', 'team.ship_to = ["office"]', False),
        (ADDRESS.format("1 A St"), ADDRESS.format("2 A St"), True),
    ],
)
def test_policies_are_the_same_if_they_allow_the_same_orders(
    home: Path, configure: Any, here: str, there: str, same: bool
) -> None:
    def own(name: str) -> OwnPolicy:
        settings = Settings(home=home, config=home / name)
        return own_policy(read_policy(settings, {}), lambda: saved_addresses(settings))

    configure(f"[policy]\n{here}", "here.toml")
    configure(f"[policy]\n{there}", "there.toml")
    assert (own("here.toml").digest == own("there.toml").digest) is same
    assert OwnPolicy.of_kept(own("here.toml").kept()).digest == own("here.toml").digest


def test_a_journal_in_a_file_has_no_policy_to_publish(tmp_path: Path) -> None:
    told = Started(tmp_path).run("policy", "publish", ZINC_MCP_SANDBOX="1")
    assert told.returncode == 1 and "The journal is a file" in told.stderr, told
