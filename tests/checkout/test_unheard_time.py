"""While Zinc does not tell the time, this machine's clock alone lets nothing be bought twice or beyond a limit."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from deciding import yes
from on_v1 import CLOCKS, Practice
from on_v1 import arguments as by_number
from pydantic import SecretStr
from server.as_a_host import both_eras, call, host, refused, usually_one_era
from wanted import arguments as by_page

from zinc_mcp.checkout.deciding.approved import send_all_approved
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.checkout.send import wait_until_sent
from zinc_mcp.consent.approval import is_approved
from zinc_mcp.errors import RefusedError, TimeUnknownError
from zinc_mcp.journal.records.decision import How
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Process
from zinc_mcp.wiring import open_process

HOUR = 3_600.0
OTHER = "B0SNDBXC01"
TOOLS = {"account": "place_order", "agent": "place_agent_order", "v1": "place_v1_order"}
each_rail = pytest.mark.parametrize("rail", list(TOOLS))


class Network(httpx.AsyncBaseTransport):
    """Zinc, which answers no question while it is `silent`; orders it takes all the same."""

    def __init__(self, zinc: Practice) -> None:
        self._zinc = zinc.sandbox.transport()
        self.silent = False
        self.questions: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            self.questions.append(request.url.path)
            if self.silent:
                raise httpx.ConnectError("no answer", request=request)
        return await self._zinc.handle_async_request(request)


class World:
    """A home, Zinc, and processes on machines whose clocks may be wrong."""

    def __init__(self, home: Path, policy: str = "") -> None:
        self.zinc = Practice(home, f"[policy]\n{policy}\n")
        self.network = Network(self.zinc)

    @asynccontextmanager
    async def process(self, ahead: float = 0.0, *, silent: bool = False, **changes: Any) -> AsyncGenerator[Process]:
        """Open a new process on a machine whose clock is ahead by so many seconds."""
        self.network.silent = silent
        home = self.zinc.home
        usual: dict[str, Any] = {"sandbox": True, "wallet": "sandbox", "v1_client_token": SecretStr("planted-token")}
        settings = Settings(home=home, config=home / "zinc.toml", browser=False, **{**usual, **changes})
        async with open_process(
            settings,
            transport=self.network,
            clocks=replace(CLOCKS, answer_seconds=3.0),  # for so long, a call waits for a yes that comes after it here
            clock=lambda: self.zinc.clock.now + ahead,
            uptime=lambda: ("boot", self.zinc.clock.now),
        ) as process:
            yield process

    def policy(self, text: str) -> None:
        """Change the owner's policy."""
        (self.zinc.home / "zinc.toml").write_text(f"[policy]\n{text}\n", encoding="utf-8")

    def bought(self) -> int:
        """Return the number of orders that Zinc has."""
        return len(self.zinc.sandbox.placed())


def wanted(rail: str, product: str = "B07JGBW826", cents: int = 9000, quantity: int = 1) -> dict[str, Any]:
    """Return the arguments for a product on a rail."""
    if rail == "v1":
        return by_number(max_price=cents, products=[{"product_id": product, "quantity": quantity}])
    url = f"https://www.amazon.com/dp/{product}"
    return by_page(products=[{"url": url, "quantity": quantity}], max_price=cents)


@pytest.mark.sampled(3)
@both_eras
@each_rail
async def test_a_twin_that_looks_old_by_a_wrong_clock_is_not_bought_again(home: Path, mode: str, rail: str) -> None:
    world = World(home)
    async with world.process() as process, host(process, mode) as client:
        await call(client, TOOLS[rail], wanted(rail))
    async with world.process(25 * HOUR, silent=True) as process, host(process, mode) as client:
        answer = await refused(client, TOOLS[rail], wanted(rail, cents=8000))
        assert (answer["code"], answer["money_may_have_moved"]) == ("clock_uncertain", False)
        assert "did not answer the question for the time" in answer["summary"]
        assert "Nothing was sent" in answer["summary"] and "again in a minute" in answer["next_step"]
        world.network.silent = False
        again = await call(client, TOOLS[rail], wanted(rail, cents=8000))
        assert again["new_order"] is False
    assert world.bought() == 1


@pytest.mark.sampled(3)
@both_eras
@each_rail
async def test_a_limit_that_looks_free_by_a_wrong_clock_is_not_passed(home: Path, mode: str, rail: str) -> None:
    world = World(home, "max_day = 13000")
    async with world.process() as process, host(process, mode) as client:
        await call(client, TOOLS[rail], wanted(rail))
    async with world.process(25 * HOUR, silent=True) as process, host(process, mode) as client:
        answer = await refused(client, TOOLS[rail], wanted(rail, OTHER))
        assert answer["code"] == "clock_uncertain" and "count against a limit" in answer["summary"]
        assert world.bought() == 1
        if rail == "agent":  # a wallet pays nothing by a clock so wrong: the challenge looks expired
            return
        # Both orders fit within the limits at any time, so the time does not matter.
        await call(client, TOOLS[rail], wanted(rail, OTHER, 2000))
    assert world.bought() == 2


@usually_one_era
@each_rail
async def test_a_fresh_journal_is_not_refused(home: Path, mode: str, rail: str) -> None:
    world = World(home)
    async with world.process(silent=True) as process, host(process, mode) as client:
        assert (await call(client, TOOLS[rail], wanted(rail)))["new_order"] is True
        assert (await call(client, TOOLS[rail], wanted(rail)))["new_order"] is False
    assert world.bought() == 1


@each_rail
async def test_a_repeat_that_the_policy_allows_waits_until_the_age_of_the_first_is_known(home: Path, rail: str) -> None:
    world = World(home, 'repeat = "allow"')
    async with world.process() as process, host(process, "auto") as client:
        await call(client, TOOLS[rail], wanted(rail))
    async with world.process(HOUR, silent=True) as process, host(process, "auto") as client:
        again = await call(client, TOOLS[rail], wanted(rail, cents=8000))
        assert again["new_order"] is False
    assert world.bought() == 1


@each_rail
async def test_an_old_order_in_doubt_is_not_sent_again_by_a_clock_that_was_set_back(home: Path, rail: str) -> None:
    world = World(home)
    lost = "fault=drop_before,drop_before,drop_before"
    if rail == "v1":
        doubtful = {**wanted(rail), "client_notes": {"practice": lost}}
    else:
        doubtful = {**wanted(rail), "metadata": {"practice": lost}}
    async with world.process() as process, host(process, "auto") as client:
        await client.call_tool(TOOLS[rail], doubtful)
        sent = len(world.zinc.posts())
    world.zinc.clock.now += 3 * HOUR
    async with world.process(-3 * HOUR + 60, silent=True) as process, host(process, "auto") as client:
        await client.call_tool(TOOLS[rail], doubtful)
    assert len(world.zinc.posts()) == sent


async def _asked(process: Process, rail: str, **changes: Any) -> Entry:
    async with host(process, "legacy") as client:
        await call(client, TOOLS[rail], wanted(rail, OTHER, **changes))
    [entry] = await questions_for(process, "local")
    return entry


@pytest.mark.sampled(2)
@each_rail
@pytest.mark.parametrize("how", ["page", "terminal"])
async def test_a_yes_is_not_taken_for_an_order_beyond_a_limit_that_looks_free_by_a_wrong_clock(
    home: Path, rail: str, how: How
) -> None:
    world = World(home, "max_day = 20000")
    async with world.process() as process, host(process, "auto") as client:
        await call(client, TOOLS[rail], wanted(rail))
    world.policy('max_day = 20000\napproval = "page"')
    async with world.process(25 * HOUR) as process:
        entry = await _asked(process, rail)
    world.policy('max_day = 13000\napproval = "page"')
    async with world.process(25 * HOUR, silent=True) as process:
        with pytest.raises(TimeUnknownError, match="did not answer the question for the time"):
            await decide(process, yes(entry, how=how))
        assert [each.id for each in await questions_for(process, "local")] == [entry.id], "the question still stands"
        world.network.silent = False
        with pytest.raises(RefusedError) as refusal:
            await decide(process, yes(entry, how=how))
        assert refusal.value.code == "limit_exceeded"
    assert world.bought() == 1


@pytest.mark.sampled(2)
@each_rail
@pytest.mark.parametrize("how", ["page", "terminal"])
async def test_a_yes_is_not_taken_over_an_order_that_came_since_and_looks_old_by_a_wrong_clock(
    home: Path, rail: str, how: How
) -> None:
    world = World(home, 'approval = "page"')
    async with world.process(25 * HOUR) as process:
        entry = await _asked(process, rail)
    world.policy("")
    async with world.process() as process, host(process, "auto") as client:
        await call(client, TOOLS[rail], wanted(rail, OTHER, quantity=2))
    world.policy('approval = "page"')
    async with world.process(25 * HOUR, silent=True) as process:
        with pytest.raises(TimeUnknownError, match="the question did not name"):
            await decide(process, yes(entry, how=how))
        world.network.silent = False
        with pytest.raises(RefusedError, match="Since the question was asked"):
            await decide(process, yes(entry, how=how))
    assert world.bought() == 1


async def test_a_terminal_without_the_rail_asks_for_the_time_without_a_key(home: Path) -> None:
    rail = "v1"
    world = World(home, "max_day = 20000")
    async with world.process() as process, host(process, "auto") as client:
        await call(client, TOOLS[rail], wanted(rail))
    world.policy('max_day = 20000\napproval = "page"')
    async with world.process(25 * HOUR) as process:
        entry = await _asked(process, rail)
    world.policy('max_day = 13000\napproval = "page"')
    async with world.process(25 * HOUR, silent=True, v1_client_token=None) as process:
        assert rail not in process.rails
        with pytest.raises(TimeUnknownError):
            await decide(process, yes(entry, how="terminal"))
        world.network.silent = False
        with pytest.raises(RefusedError) as refusal:
            await decide(process, yes(entry, how="terminal"))
        assert refusal.value.code == "limit_exceeded"


@each_rail
async def test_an_approved_order_waits_for_the_time_and_is_sent_when_zinc_tells_it(home: Path, rail: str) -> None:
    world = World(home, "max_day = 13000")
    async with world.process() as process, host(process, "auto") as client:
        await call(client, TOOLS[rail], wanted(rail))
    world.zinc.clock.now += 25 * HOUR
    world.policy('max_day = 13000\napproval = "page"')
    async with world.process() as process:
        entry = await _asked(process, rail)
        said = {"yes": True, "how": "page", "who": "local", "at": world.zinc.clock.now}
        until = {"until": world.zinc.clock.now + 600, "zinc_until": None}
        about = yes(entry).about
        taken = await process.journal.run(
            lambda journal: journal.approve(about, None, said, until, process.admission)
        )  # by a process that ended before it sent it
    async with world.process(silent=True) as process:
        await send_all_approved(process)
        assert is_approved(await process.journal.read(taken.entry.id)) and world.bought() == 1
        world.network.silent = False
        await send_all_approved(process)
        await wait_until_sent(process)
        assert world.bought() == 2
