"""Through a PgBouncer in session mode or in transaction mode a journal is right, and which of them it is, is told."""

import logging
import socket
from collections.abc import Callable, Generator
from typing import Any

import anyio
import psycopg
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from journal.test_journal import draft, entry
from journal.test_journal_locks import raced
from journals import entry_of
from poolers import pooler
from variants import rare
from wanted import book, intent

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.watch import look
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.news import News
from zinc_mcp.journal.records.entry import Limits
from zinc_mcp.journal.storage.notifying import keep_listening
from zinc_mcp.journal.storage.server.connecting import pooling_at


@pytest.fixture(scope="module", params=[rare("session"), "transaction"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def through(postgres: Any, tmp_path_factory: pytest.TempPathFactory, mode: str) -> Generator[Callable[[str], str]]:
    with pooler(postgres, tmp_path_factory.mktemp("pooler"), mode, sessions=3 if mode == "transaction" else 40) as made:
        yield made


@pytest.fixture
def pooled(through: Callable[[str], str], make_database: Callable[..., str]) -> str:
    """Return the address of an empty database through the pooler."""
    return through(make_database())


async def test_orders_are_placed_and_looked_up_by_processes_that_share_sessions(
    open_test_process: OpenProcess, zinc: FakeZinc, pooled: str
) -> None:
    async with open_test_process(journal=pooled) as one, open_test_process(journal=pooled) as other:
        for number in range(8):  # psycopg prepares a statement at its fifth run
            process = (one, other)[number % 2]
            placed = entry_of(await place_order.place(process, intent(products=book(number + 1))))
            for each in (one, other):
                assert entry_of(await look(each, "local", placed.key)).order_id == placed.order_id
            again = entry_of(await place_order.place(other, intent(products=book(number + 1))))
            assert again.order_id == placed.order_id
    assert len(zinc.orders) == len(zinc.posts) == 8


def test_four_that_race_for_one_intention_open_it_once(pooled: str) -> None:
    Journal.open(pooled).close()
    assert raced(pooled, same=True, limits=Limits()) == ["opened", "stands", "stands", "stands"]
    assert raced(pooled, same=False, limits=Limits(day_cents=2 * 5100)) == ["limit_exceeded"] * 3 + ["opened"]


def test_nothing_of_ours_is_left_in_a_session_that_others_get(pooled: str) -> None:
    with Journal.open(pooled) as journal:
        for number in range(8):
            entry(journal, draft(number))
        with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as another:
            assert another.execute("SHOW lock_timeout").fetchone() == ("0",)
            assert another.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
            assert another.execute("SELECT count(*) FROM pg_listening_channels()").fetchone() == (0,)


def test_a_change_has_the_settings_that_it_needs_whatever_the_database_s_defaults(
    through: Callable[[str], str], make_database: Callable[..., str]
) -> None:
    with Journal.open(through(make_database(synchronous_commit="off"))) as journal, journal._writing() as connection:  # pyright: ignore[reportPrivateUsage]  # how its transactions are
        names = ("synchronous_commit", "lock_timeout", "idle_in_transaction_session_timeout")
        told = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]
    assert told == ["on", "15s", "10s"]


async def test_the_mode_of_the_pooler_is_told(pooled: str, mode: str, make_database: Callable[..., str]) -> None:
    assert [await pooling_at(pooled) for _ in range(3)] == [mode] * 3
    assert await pooling_at(make_database()) == "none"


@pytest.mark.thorough  # it waits for some seconds
async def test_nothing_is_told_of_a_pooler_where_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        with pytest.raises(OSError):
            await pooling_at(f"postgresql://zinc@{host}:{port}/zinc")


async def test_news_comes_through_a_pooler_in_session_mode_and_the_log_says_that_it_cannot_in_transaction_mode(
    pooled: str, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    heard, ready = anyio.Event(), anyio.Event()

    class Heard(News):
        def tell(self, entry_id: int, state: str) -> None:
            heard.set()

        def tell_all(self) -> None:
            ready.set()

    with Journal.open(pooled) as journal:
        opened = entry(journal, draft(1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_listening, pooled, Heard())
            with anyio.fail_after(30):
                if mode == "session":
                    await ready.wait()
                    journal.move(opened, "refused", "why")
                    await heard.wait()
                else:
                    while "transaction mode" not in caplog.text:
                        await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    assert f"behind a pooler in {mode} mode" in caplog.text
    assert ready.is_set() == (mode == "session")
