"""A paid look-up is written down, limited and remembered, and it never stops an order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from conftest import HandClock, OpenProcess
from deciding import no, yes
from fake_zinc import FakeZinc, failure
from journals import entry_of
from wanted import book, order

from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.watch import entry_with_key, look
from zinc_mcp.consent.approval import asked_question
from zinc_mcp.errors import OrderNotFoundError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.process import Process

DAY = 86_400.0
LIVE = "zn_live_planted"
Config = Callable[[str], Path]


def wish(*numbers: int, caller: str = "local", **changes: Any) -> Intent:
    products = [product for number in numbers for product in book(number)]
    return Intent(caller, "account", order(products=products, **changes))


def sold(zinc: FakeZinc, *numbers: int) -> None:
    for number in numbers:
        zinc.products[f"B{number:09d}"] = {"status": "completed", "title": f"Book {number}", "price": 1000 + number}


def paid(zinc: FakeZinc) -> list[str]:
    return [request.url.path for request in zinc.requests if request.url.path.startswith("/products/")]


async def asked(process: Process, intent: Intent) -> tuple[Entry, list[str | None], int]:
    entry = entry_of(await place(process, intent))
    question = asked_question(entry)
    assert question is not None
    return entry, [line.title for line in question.lines], question.look_up_cents


async def declined(process: Process, intent: Intent) -> list[str | None]:
    entry, titles, _ = await asked(process, intent)
    await decide(process, no(entry))
    return titles


def counted(home: Path, clock: HandClock, caller: str = "local") -> tuple[int, int]:
    with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
        return journal.counted(caller, "live", DAY)


async def test_questions_that_nobody_says_yes_to_cost_no_more_than_the_budget_of_look_ups(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, write_config: Config
) -> None:
    write_config("[policy]\nmax_lookups_day = 7\n")
    sold(zinc, *range(40))
    async with open_test_process(api_key=LIVE) as process:
        titles = [await declined(process, wish(*range(4 * each, 4 * each + 4))) for each in range(4)]
        assert len(paid(zinc)) == 7
        assert counted(home, clock) == (7, 0), "money, and no orders"
        assert [sum(title is not None for title in each) for each in titles] == [4, 3, 0, 0]
        assert await declined(process, wish(30, caller="ada")) == ["Book 30"], "each caller has a budget"
        clock.pass_seconds(DAY + 1)
        assert await declined(process, wish(39)) == ["Book 39"]


async def test_a_budget_of_nothing_asks_without_a_title(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Config
) -> None:
    write_config("[policy]\nmax_lookups_day = 0\n")
    sold(zinc, 1)
    async with open_test_process(api_key=LIVE) as process:
        _, titles, cost = await asked(process, wish(1))
    assert (titles, cost, paid(zinc)) == ([None], 0, [])


@pytest.mark.parametrize("limit", ["max_day", "max_month"])
async def test_a_look_up_counts_under_the_limits_and_is_left_out_where_they_are_full(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, write_config: Config, limit: str
) -> None:
    write_config(f"[policy]\n{limit} = 5101\nmax_orders_day = 1\n")
    sold(zinc, 1, 2)
    async with open_test_process(api_key=LIVE) as process:
        _, titles, cost = await asked(process, wish(1, 2))
    assert (titles, cost) == (["Book 1", None], 1)
    assert counted(home, clock) == (5101, 1)


async def test_a_product_is_not_paid_for_twice_within_ten_minutes_whatever_process_asks(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    sold(zinc, 1, 2)
    async with open_test_process(api_key=LIVE) as process, open_test_process(api_key=LIVE) as other:
        _, titles, cost = await asked(process, wish(1))
        assert (titles, cost) == (["Book 1"], 1)
        _, titles, cost = await asked(other, wish(1, 2, caller="ada"))
        assert (titles, cost) == (["Book 1", "Book 2"], 1)
        clock.pass_seconds(590)
        await declined(process, wish(1, 1, max_price=4000))
        assert len(paid(zinc)) == 2
        clock.pass_seconds(20)
        await declined(process, wish(1, 1, max_price=3000))
    assert paid(zinc) == ["/products/B000000001", "/products/B000000002", "/products/B000000001"]


async def test_two_questions_at_once_pay_once_and_both_have_the_title(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    sold(zinc, 1)
    found: list[list[str | None]] = []
    async with open_test_process(api_key=LIVE) as process, anyio.create_task_group() as tasks:

        async def ask(each: Intent) -> None:
            found.append((await asked(process, each))[1])

        for quantity in (1, 2, 3):
            products = [{**book(1)[0], "quantity": quantity}]
            tasks.start_soon(ask, Intent("local", "account", order(products=products)))
    assert found == [["Book 1"]] * 3
    assert len(paid(zinc)) == 1


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        (failure(404, "not_found"), 0),
        (httpx.Response(402, json={"detail": "wallet is empty"}), 0),
        (httpx.Response(500), 1),
        (httpx.Response(200, html="<h1>hello</h1>"), 1),
    ],
    ids=["404", "402", "500", "html"],
)
async def test_an_unanswered_look_up_is_no_error_and_counts_unless_zinc_refused_it(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, answer: httpx.Response, counts: int
) -> None:
    zinc.products["B000000001"] = answer
    async with open_test_process(api_key=LIVE) as process:
        assert await declined(process, wish(1)) == [None]
        assert await declined(process, wish(1, max_price=4000)) == [None]
    assert counted(home, clock) == (counts, 0)
    assert len(paid(zinc)) == 1


async def test_a_look_up_is_no_order_in_any_list(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, write_config: Config
) -> None:
    write_config("[policy]\nmax_orders_day = 1\n")
    sold(zinc, 1, 2)
    async with open_test_process(api_key=LIVE) as process:
        await declined(process, wish(1, 2))
        entry, _, _ = await asked(process, wish(1))
        decided = await decide(process, yes(entry))
        assert entry_of(decided).state == "accepted", "look-ups take no place of orders"
        with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
            listed = journal.entries()
            everything = [journal.read(number) for number in range(1, 5)]
            unfinished = journal.unfinished(mode="live")
        [look_up, *_] = [each for each in everything if each.kind == "look_up"]
        with pytest.raises(OrderNotFoundError):
            await look(process, "ada", look_up.key)
        assert await entry_with_key(process, look_up.key) is None
    assert [each.kind for each in everything].count("look_up") == 2
    assert {each.kind for each in listed} == {"order"}
    assert unfinished == [entry_of(decided)]
    assert (look_up.state, look_up.spent_cents, look_up.facts["answer"]["title"]) == ("placed", 1, "Book 1")


async def test_with_a_test_key_a_look_up_costs_nothing_and_is_not_written_down(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, write_config: Config
) -> None:
    write_config('[policy]\napproval = "page"\nmax_lookups_day = 0\n')
    sold(zinc, 1)
    async with open_test_process() as process:
        _, titles, cost = await asked(process, wish(1))
    assert (titles, cost) == (["Book 1"], 0)
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        assert journal.read(1).kind == "order"
        assert journal.counted("local", "test", 10 * 365 * DAY)[1] <= 1
