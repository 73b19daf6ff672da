"""No statement that an order, a look-up, a decision or a purge runs scans a table.

The statements are those that were really executed, heard where the drivers are called.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import anyio
import psycopg
import pytest
import sqlalchemy as sa
from conftest import HandClock, OpenProcess
from deciding import no, yes
from fake_zinc import FakeZinc
from journal.full_journal import YEARS, driven, fill, postgres_plan, scanned, sqlite_plan
from journals import entry_of, publish
from sqlalchemy import event
from wanted import book, intent, order

from zinc_mcp.checkout.deciding.approved import send_all_approved
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import LimitExceededError, ZincMcpError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.process import Clocks

Executed = dict[str, Any]
"""Each statement with the values that it was last given."""
BIG = ("zinc_entries", "zinc_events", "zinc_payments", "zinc_near_twins")
"""The tables that grow with every order. The others hold a few rows, and each has its own bound."""
SMALL = ("zinc_entries_unproved", "zinc_entries_unfinished")
"""Indices of what is not over: reading all of one takes no longer after years."""

POLICY = '[policy]\napproval = "page"\nmax_order = 900000\nmax_day = 900000\nmax_month = 900000\nmax_lookups_day = 50\n'
OF_A_TEAM = '[policy]\napproval = "page"\nmax_order = 900000\nmax_day = 900000\nteam.max_month = 900000000\n'


@pytest.fixture
def executed() -> Executed:
    return {}


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, executed: Executed) -> Iterator[None]:
    """Listen to both drivers."""

    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, parameters: Any = (), /) -> Self:
            executed[sql] = parameters
            return super().execute(sql, parameters)

        def executemany(self, sql: str, parameters: Any, /) -> Self:
            given = list(parameters)
            executed[sql] = given[0] if given else ()
            return super().executemany(sql, given)

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            executed[sql] = parameters
            return super().execute(sql, parameters)

    real = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened: sqlite3.Connection = real(*arguments, **{"factory": Connection, **options})
        return opened

    def on_postgres(
        connection: sa.Connection, cursor: object, statement: str, parameters: Any, context: object, many: bool
    ) -> None:
        if connection.dialect.name == "postgresql":
            executed[statement] = parameters[0] if many else parameters

    execute = psycopg.Cursor.execute

    def by_the_driver(cursor: Any, query: Any, given: Any = None, **options: Any) -> Any:
        executed[query.decode() if isinstance(query, bytes) else str(query)] = given
        return execute(cursor, query, given, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", by_the_driver)
    monkeypatch.setattr(sqlite3, "connect", connect)
    monkeypatch.setattr("sqlite3.dbapi2.connect", connect)
    event.listen(sa.Engine, "before_cursor_execute", on_postgres)
    yield
    event.remove(sa.Engine, "before_cursor_execute", on_postgres)


async def travel(
    open_process: OpenProcess,
    zinc: FakeZinc,
    clock: HandClock,
    clocks: Clocks,
    url: str,
    write_config: Callable[[str], Path],
) -> None:
    """Do everything that placing calls, look-ups, sweeps, decisions and the owner do every day."""
    write_config(POLICY)
    zinc.dated = True
    async with open_process(journal=url, wallet="sandbox") as process:
        asked = entry_of(await place(process, intent(products=book(1))))
        await questions_for(process, "local")
        await send_all_approved(process)
        bought = entry_of(await decide(process, yes(asked)))
        entry_of(await place(process, intent(products=book(1))))  # the same again
        again = entry_of(await place(process, intent(products=[*book(1), *book(2)])))  # resembles the first
        await decide(process, no(again))
        named = entry_of(await place(process, intent(products=book(3), idempotency_key="mine")))
        await decide(process, yes(named, how="terminal"))
        zinc.script = ["lose_after"]
        doubted = entry_of(await place(process, Intent("ada", "agent", order(products=book(4)))))
        await decide(process, yes(doubted), caller="ada")
        clock.pass_seconds(500)
        for handle in (asked.key, str(bought.order_id), named.key):
            await look(process, "local", handle)
        await look(process, "ada", doubted.key)
        with pytest.raises(ZincMcpError):
            await look(process, "local", "nobody-knows-this")
        await anyio.sleep(0.3)  # the sweep
    async with open_process(journal=url, api_key="zn_live_planted") as process:
        entry_of(await place(process, intent(products=book(5))))  # product pages are looked up for money
    write_config('[policy]\napproval = "none"\nmax_order = 900000\nmax_day = 90000\n')
    async with open_process(journal=url) as process:
        await publish(process)
        entry_of(await place(process, intent(products=book(6))))  # at once, as nobody is asked
        with pytest.raises(LimitExceededError):
            await place(process, intent(products=book(9), max_price=89_900))
    write_config(f"{OF_A_TEAM}team.max_day = 90000\n")
    async with open_process(journal=url) as process:
        await publish(process)
        asked = entry_of(await place(process, intent("ada", products=book(7))))
        await decide(process, yes(asked), caller="ada")
        for limit in ("team.max_day = 20000", "roles.order.max_orders_day = 1"):
            write_config(f"{OF_A_TEAM}{limit}\n")
            await publish(process)
            with pytest.raises(LimitExceededError):
                await place(process, intent("ben", products=book(8), max_price=19_800))
    write_config(f"{POLICY}second_yes_above = 900000\n")
    async with open_process(journal=url) as process:
        await publish(process)
        asked = entry_of(await place(process, intent("ada", products=book(10))))
        await decide(process, yes(asked), caller="ada")
    with Journal.open(url, clock=clock, uptime=None) as journal:
        journal.counted_together("test", "order")
        journal.entries(20)
        journal.entries(20, mode="live")
        journal.events(1)
        journal.counted("local", "test", 86_400.0)
        journal.open_money()
        journal.follow_endings(journal.follow_endings(None))
        assert journal.purge(YEARS / 2) > 0


def of_orders(executed: Executed) -> Executed:
    """Return the statements that touch what grows."""
    is_one = re.compile(r"\s*(SELECT|UPDATE|INSERT|DELETE|WITH)\b", re.IGNORECASE)
    found = {text: given for text, given in executed.items() if is_one.match(text)}
    return {text: given for text, given in found.items() if any(table in text for table in BIG)}


def reads_all(step: str) -> bool:
    """Say whether a step of SQLite's reads a table, or an index of it, from one end to the other."""
    if not any(table in step for table in BIG) or any(index in step for index in SMALL):
        return False
    # A range of all ids is the whole table, and all entries of one kind of money are nearly that.
    return step.startswith("SCAN") or re.search(r"\((rowid[<>]\?|mode=\?)( AND id[<>]\?)?\)", step) is not None


@pytest.mark.usefixtures("heard")
async def test_on_sqlite_no_statement_of_the_roads_of_an_order_scans_a_table(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clock: HandClock,
    clocks: Clocks,
    home: Path,
    executed: Executed,
    write_config: Callable[[str], Path],
) -> None:
    url = f"sqlite:///{home / 'journal.db'}"
    fill(url, 3000, clock.now)
    executed.clear()
    await travel(open_test_process, zinc, clock, clocks, url, write_config)
    statements = of_orders(executed)
    assert len(statements) > 40
    scanning: dict[str, list[str]] = {}
    for text, given in statements.items():
        steps = sqlite_plan(str(home / "journal.db"), text, given)
        if any(map(reads_all, steps)) and not (is_bounded_list(text, steps) or is_since_an_order(text)):
            scanning[text] = steps
    assert scanning == {}, scanning


def is_bounded_list(text: str, steps: list[str]) -> bool:
    """Say whether a statement takes the newest of a list from its index, in its order, and stops there."""
    in_order = not any("TEMP B-TREE" in step for step in steps)
    return in_order and " LIMIT " in text and "zinc_entries_listed" in steps[0]


def is_since_an_order(text: str) -> bool:
    """Say whether a statement reads what was opened while one order was decided about, and nothing older."""
    return "zinc_entries.id >= ? AND +zinc_entries.mode = ? AND +zinc_entries.caller = ?" in text


@pytest.mark.usefixtures("heard")
async def test_on_postgresql_no_statement_of_the_roads_of_an_order_scans_a_table(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clock: HandClock,
    clocks: Clocks,
    make_database: Callable[..., str],
    executed: Executed,
    write_config: Callable[[str], Path],
) -> None:
    url = make_database()
    fill(url, 8_000, clock.now)
    executed.clear()
    await travel(open_test_process, zinc, clock, clocks, url, write_config)
    statements = of_orders(executed)
    assert len(statements) > 40
    engine = sa.create_engine(driven(url))
    scanning: dict[str, object] = {}
    with engine.connect() as connection:
        whole = postgres_plan(connection, "SELECT count(state) FROM zinc_entries", None)["Total Cost"]
        for text, given in statements.items():
            plan = postgres_plan(connection, text, given)
            # Reading an index from one end to the other costs as much as reading the table. A statement may read the
            # rows that it is about, such as the rows of a purge's slice.
            is_dear = plan["Total Cost"] > whole / 2 + 3 * plan["Plan Rows"]
            big = {*BIG, "zinc_totals"} if "those.caller" in text else set(BIG)
            # PostgreSQL takes a recursion for a hundred times as long as its beginning.
            if scanned(plan) & big or (is_dear and not text.startswith("WITH RECURSIVE")):
                scanning[text] = plan
    engine.dispose()
    assert scanning == {}, scanning
