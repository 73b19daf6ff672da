"""A search that costs is paid once, within the limits, and its result says what it cost."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import sqlalchemy as sa
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc, failure
from server.as_a_host import call, host, refused

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.storage.tables import ENTRIES
from zinc_mcp.process import Clocks, Process

LIVE = "zn_live_planted"
DAY = 86_400.0
BEANS = {"query": "whole bean coffee", "max_price": 2000}
Config = Callable[[str], Path]


def answer(*numbers: int, **more: Any) -> httpx.Response:
    rows = [
        {"url": f"https://www.amazon.com/dp/B{number:09d}", "title": f"Beans {number}", "price": 1000 + number}
        for number in numbers
    ]
    return httpx.Response(200, json={"status": "completed", "query": "", "results": rows, **more})


def searched(zinc: FakeZinc) -> int:
    return sum(request.url.path == "/search" for request in zinc.requests)


def counted(home: Path, clock: HandClock, caller: str = "local") -> int:
    with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
        return journal.counted(caller, "live", DAY)[0]


async def search(process: Process, **changes: Any) -> dict[str, Any]:
    async with host(process, "auto") as client:
        return await call(client, "search_products", {**BEANS, **changes})


async def not_searched(process: Process, **changes: Any) -> dict[str, Any]:
    async with host(process, "auto") as client:
        return await refused(client, "search_products", {**BEANS, **changes})


async def test_the_same_search_costs_once_in_ten_minutes_whatever_process_asks(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    zinc.searches = [answer(1), answer(2), answer(3)]
    async with open_test_process(api_key=LIVE) as process, open_test_process(api_key=LIVE) as other:
        first = await search(process)
        assert (first["cost_cents"], first.get("remembered")) == (1, None)
        assert "This cost $0.01." in first["summary"]
        clock.pass_seconds(180)
        again = await search(other)
        assert (again["cost_cents"], again["remembered"], again["results"]) == (0, True, first["results"])
        assert "it was asked 3 minutes ago" in again["summary"]
        assert (await search(process, max_price=3000))["cost_cents"] == 1, "that is another question"
        clock.pass_seconds(430)
        assert (await search(process))["results"] != first["results"]
    assert (searched(zinc), counted(home, clock)) == (3, 3)


async def test_two_searches_at_once_are_paid_once_and_both_are_answered(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.searches = [answer(1), answer(2)]
    found: list[dict[str, Any]] = []
    async with open_test_process(api_key=LIVE) as process, anyio.create_task_group() as tasks:

        async def run() -> None:
            found.append(await search(process))

        for _ in range(4):
            tasks.start_soon(run)
    assert searched(zinc) == 1
    assert sorted(each["cost_cents"] for each in found) == [0, 0, 0, 1]
    assert len({each["results"][0]["url"] for each in found}) == 1


@pytest.mark.parametrize(
    "lost", [httpx.ReadError("lost"), httpx.Response(200, html="<h1>hi</h1>"), httpx.Response(502)], ids=str
)
async def test_a_search_without_an_answer_counts_as_paid_and_is_not_asked_again(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, lost: httpx.Response | Exception
) -> None:
    zinc.searches = [lost, answer(1)]
    async with open_test_process(api_key=LIVE) as process:
        told = await not_searched(process)
        assert (told["code"], told["outcome"], told["money_may_have_moved"]) == ("zinc_unavailable", "not_read", False)
        assert "counts as paid ($0.01)" in told["next_step"]
        assert "get_order" not in told["next_step"] and told["facts"]["cost_cents"] == 1
        again = await not_searched(process)
        assert "counts as paid" in again["next_step"] and again["facts"]["cost_cents"] == 0
        assert (searched(zinc), counted(home, clock)) == (1, 1)
        clock.pass_seconds(601)
        assert (await search(process))["cost_cents"] == 1


async def test_a_search_that_zinc_refuses_costs_nothing_and_may_be_asked_again_at_once(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    zinc.searches = [
        httpx.Response(402, json={"detail": "wallet is empty"}),
        failure(422, "validation_error"),
        answer(1),
    ]
    async with open_test_process(api_key=LIVE) as process:
        told = await not_searched(process)
        assert "balance is too small" in told["summary"] and "top up" in told["next_step"]
        assert "cost nothing" in (await not_searched(process))["summary"]
        assert counted(home, clock) == 0
        assert (await search(process))["cost_cents"] == 1


async def test_a_search_that_never_left_costs_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    zinc.searches = [httpx.ConnectError("no network"), answer(1)]
    async with open_test_process(api_key=LIVE) as process:
        assert (await not_searched(process))["code"] == "zinc_unreachable"
        assert counted(home, clock) == 0
        assert (await search(process))["cost_cents"] == 1


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ("max_lookups_day = 2", "max_lookups_day"),
        ("max_day = 2\nmax_order = 2", "24 hours"),
        ("max_month = 2", "30 days"),
    ],
)
async def test_a_full_budget_or_limit_asks_nothing_and_says_which_it_is(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Config, limits: str, named: str
) -> None:
    write_config(f"[policy]\n{limits}\n")
    zinc.searches = [answer(1), answer(2), answer(3)]
    async with open_test_process(api_key=LIVE) as process:
        first = await search(process)
        await search(process, query="tea")
        told = await not_searched(process, query="milk")
        assert (told["code"], told["outcome"]) == ("limit_exceeded", "refused")
        assert named in told["summary"] and "Nothing was asked." in told["summary"]
        assert (await search(process))["results"] == first["results"], "what is remembered costs nothing"
    assert searched(zinc) == 2


async def test_while_ordering_is_paused_nothing_is_searched_that_costs(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process(api_key=LIVE) as process:
        await process.journal.run(lambda journal: journal.pause("by the owner"))
        assert (await not_searched(process))["code"] == "paused"
    assert searched(zinc) == 0


async def test_a_killed_search_is_not_paid_for_again(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, clocks: Clocks
) -> None:
    zinc.searches = [answer(1), answer(2)]
    async with open_test_process(api_key=LIVE) as process:
        await search(process)
        # As a kill leaves it: marked as being asked, and nothing else.
        engine = sa.create_engine(f"sqlite:///{home / 'journal.db'}")
        with engine.begin() as connection:
            facts = '{"path": "/search"}'
            connection.execute(sa.update(ENTRIES).values(state="sending", spent_cents=None, facts=facts))
        engine.dispose()
        told = await not_searched(process)
        assert "counts as paid" in told["next_step"]
    assert (searched(zinc), counted(home, clock)) == (1, 1)


async def test_with_a_test_key_a_search_costs_nothing_and_is_not_written_down(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, write_config: Config
) -> None:
    write_config("[policy]\nmax_lookups_day = 0\n")
    zinc.searches = [answer(1), answer(2)]
    async with open_test_process() as process:
        told = await search(process)
        assert (told["cost_cents"], "as it is practice" in told["summary"]) == (0, True)
        await search(process)
    assert searched(zinc) == 2
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        assert journal.entries() == [] and journal.counted("local", "test", DAY)[0] == 0


async def test_without_an_api_key_the_tool_is_not_listed(open_test_process: OpenProcess) -> None:
    async with open_test_process(api_key=None) as process, host(process, "auto") as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert "search_products" not in names and "check_product" in names


async def test_an_answer_that_comes_after_the_caller_has_gone_is_kept_for_the_next(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    class Slow(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            await anyio.sleep(0.4)
            yield answer(1).content

    zinc.searches = [httpx.Response(200, stream=Slow())]
    async with open_test_process(api_key=LIVE) as process:
        with anyio.move_on_after(0.2):  # the host hangs up
            await search(process)
        told = await search(process)
        assert (told["cost_cents"], told["remembered"], len(told["results"])) == (0, True, 1)
    assert (searched(zinc), counted(home, clock)) == (1, 1)
