"""A sweep reaches every order that needs it, however many other orders the journal holds."""

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc, failure
from journal.test_journal import draft, entry
from journals import entry_of
from wanted import intent, order

from zinc_mcp.checkout.look_up import MOST_SWEPT
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.readiness import check_ready
from zinc_mcp.checkout.watch import look
from zinc_mcp.journal.journal import Journal
from zinc_mcp.process import Clocks


def copied(home: Path, count: int, **changes: str) -> None:
    """Put copies of the newest entry after it; `changes` are SQL, in which `n` is the number of the copy."""
    with closing(sqlite3.connect(home / "journal.db")) as database:
        columns = [str(row[1]) for row in database.execute("PRAGMA table_info(zinc_entries)") if row[1] != "id"]
        own = {"key": "'k' || n", "twin": "'t' || n", "order_id": "'o' || n", **changes}
        chosen = ", ".join(own.get(name, name) for name in columns)
        database.execute(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?) "
            f"INSERT INTO zinc_entries ({', '.join(columns)}) SELECT {chosen} FROM numbers, "
            "(SELECT * FROM zinc_entries ORDER BY id DESC LIMIT 1)",
            (count,),
        )
        database.commit()


async def until(condition: Any) -> None:
    with anyio.fail_after(90):
        while not condition():
            await anyio.sleep(0.05)


@pytest.mark.parametrize("others", [{}, {"account": "'another key'"}, {"origin": "'https://elsewhere.example'"}])
async def test_an_order_sent_twice_is_found_behind_any_number_of_others(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clocks: Clocks, others: dict[str, str]
) -> None:
    async with open_test_process() as process:
        first = entry_of(await place(process, intent()))
    copied(home, 1500, **others)
    copied(home, 1, key="'late'", attempts="2", account=f"'{first.account}'", origin=f"'{first.origin}'")
    zinc.requests.clear()
    async with open_test_process(clocks=dataclasses.replace(clocks, sweep_seconds=0.1)) as process:
        await check_ready(process)
        await until(lambda: any("late" in str(request.url) for request in zinc.requests))
    assert not any("k1" in str(request.url) for request in zinc.requests)


async def test_more_orders_in_doubt_than_one_round_looks_at_are_all_looked_at(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clocks: Clocks
) -> None:
    zinc.listing = False
    async with open_test_process() as process:
        zinc.script = ["lose_after"]
        assert entry_of(await place(process, intent())).state == "unknown"
    copied(home, MOST_SWEPT + 20, lease_owner="NULL", lease_until="NULL", order_id="NULL")
    zinc.requests.clear()
    last = f"k{MOST_SWEPT + 20}"
    async with open_test_process(clocks=dataclasses.replace(clocks, sweep_seconds=0.1)) as process:
        await check_ready(process)
        await until(lambda: any(last in request.url.query.decode() for request in zinc.requests))


async def test_orders_in_doubt_of_other_keys_take_no_turn_of_ours(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.listing = False
    async with open_test_process() as process:
        zinc.script = ["lose_after"]
        own = entry_of(await place(process, intent()))
    nobodys = {"lease_owner": "NULL", "lease_until": "NULL", "order_id": "NULL"}
    copied(home, MOST_SWEPT + 20, **nobodys, account="'another key'")
    copied(home, 1, **nobodys, key="'late'", account=f"'{own.account}'")
    zinc.requests.clear()
    async with open_test_process() as process:  # one round, and none for an hour
        await check_ready(process)
        await until(lambda: any("late" in str(request.url) for request in zinc.requests))


async def test_the_fault_of_an_order_is_forgotten_once_the_owner_resolves_it(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clock: Any
) -> None:
    zinc.script = ["lose_after", failure(502, "bad_gateway")]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        placed = entry_of(await place(process, Intent("local", "agent", order())))
        clock.pass_seconds(500)
        lost = entry_of(await look(process, "local", placed.key))
        assert lost.state == "paid_no_order"
        assert lost.problem is not None
    with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
        found = journal.resolve(lost.key, order_id="bought-1")
        assert (found.state, found.problem) == ("accepted", None)
        other = journal.move(entry(journal, draft(7)), "unknown", "", problem={"code": "another_order", "summary": "x"})
        unbought = journal.resolve(other.key, order_id=None, holder_ended=True)
        assert (unbought.problem or {})["code"] == "resolved_not_bought"
