"""A call that waits in one process is woken by a change that another process writes, on PostgreSQL."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import preloaded
import pytest
import sqlalchemy as sa
from conftest import HandClock, OpenProcess
from deciding import yes
from journal.full_journal import driven
from journals import entry_of
from started import ROOT
from wanted import book, intent

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.journal.journal import Journal
from zinc_mcp.process import Clocks

POLICY = '[policy]\napproval = "page"\n'
NEVER = 60.0
"""Seconds: a wait that ends earlier was woken."""

_WAITS = """
import sys, time
import anyio
from dataclasses import replace
from pathlib import Path
from pydantic import SecretStr
from zinc_mcp.checkout.watch import look
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Clocks
from zinc_mcp.wiring import open_process

async def main(address, key, home):
    settings = Settings(
        home=Path(home), config=Path(home) / "none.toml", api_key=SecretStr("zn_test_planted-secret"),
        journal=SecretStr(address), browser=False,
    )
    seldom = replace(Clocks(), poll_seconds=60.0, sweep_seconds=60.0, heed_seconds=60.0)
    async with open_process(settings, clocks=seldom) as process:
        await look(process, "local", key)
        for said in ("listens", "woken"):
            while process.news.mark() == 0 and said == "listens":  # until it hears anything at all
                await anyio.sleep(0.05)
            print(said, flush=True)
            if said == "listens":
                answer = await look(process, "local", key, wait_seconds=25.0)
        print(answer.entry.state, flush=True)

anyio.run(main, *sys.argv[1:])
"""


@asynccontextmanager
async def waiting_process(address: str, key: str, home: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(*preloaded.command("python"), "-c", _WAITS, address, key, home),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said_by(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()


async def test_a_wait_in_one_process_is_woken_at_once_by_a_decision_in_another(
    open_test_process: OpenProcess,
    write_config: Callable[[str], Any],
    make_database: Callable[..., str],
    tmp_path: Any,
    clock: HandClock,
) -> None:
    write_config(POLICY)
    clock.now = time.time()
    address = make_database()
    async with open_test_process(journal=address) as process:
        asked = entry_of(await place_order.place(process, intent()))
        other = sa.create_engine(driven(address), isolation_level="AUTOCOMMIT")
        async with waiting_process(address, asked.key, str(tmp_path)) as waiting:
            heard = asyncio.create_task(said_by(waiting))
            while not heard.done():  # until it listens, which nothing but hearing something shows
                with other.connect() as connection:
                    connection.exec_driver_sql("NOTIFY zinc_entries, '999999 accepted'")
                await anyio.sleep(0.1)
            assert heard.result() == "listens"
            await anyio.sleep(0.3)  # it begins to wait
            with Journal.open(address) as journal:
                began = time.monotonic()
                [question] = journal.asked_under(asked.key)
                journal.decline(yes(question).about, None, {"how": "terminal", "who": "local", "at": 1.0})
            assert await said_by(waiting) == "woken"
            assert time.monotonic() - began < 5.0, "its own looks are a minute apart"
            assert await said_by(waiting) == "declined"
        other.dispose()


async def test_an_approval_elsewhere_is_sent_at_once_also_after_the_listening_connection_was_cut(
    open_test_process: OpenProcess,
    write_config: Callable[[str], Any],
    make_database: Callable[..., str],
    clocks: Clocks,
) -> None:
    write_config(POLICY)
    address = make_database()
    slow = replace(clocks, poll_seconds=NEVER, sweep_seconds=NEVER, heed_seconds=NEVER)
    other = sa.create_engine(driven(address), isolation_level="AUTOCOMMIT")
    listens = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%%'"

    async def until_somebody_listens() -> None:
        with anyio.fail_after(20), other.connect() as connection:
            while not connection.exec_driver_sql(f"SELECT 1 {listens}").all():
                await anyio.sleep(0.05)

    async with open_test_process(journal=address, clocks=slow) as process:
        for number in range(2):
            asked = entry_of(await place_order.place(process, intent(products=book(number))))
            await until_somebody_listens()
            if number == 1:
                with other.connect() as connection:
                    connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid, 5000) {listens}")
                await anyio.sleep(0.6)
                await until_somebody_listens()
            # A process that cannot send: the yes is written down, and another process that can send takes it.
            async with open_test_process(journal=address, api_key=None, clocks=slow) as deciding:
                await decide(deciding, yes(asked))
            with anyio.fail_after(5):
                while entry_of_key(address, asked.key) != "accepted":
                    await anyio.sleep(0.05)
    other.dispose()


def entry_of_key(address: str, key: str) -> str:
    with Journal.open(address) as journal:
        found = journal.find(key)
    assert found is not None
    return found.state


@pytest.mark.parametrize("comes", ["before the wait", "while it waits", "never"])
async def test_news_that_comes_while_an_entry_is_read_is_not_missed(comes: str) -> None:
    from zinc_mcp.journal.news import News

    news = News()
    mark = news.mark()
    if comes == "before the wait":
        news.tell(1, "accepted")
    began, seconds = time.monotonic(), 0.2 if comes == "never" else 60.0
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(news.wait, 1, seconds, mark)
            await anyio.sleep(0.05)
            if comes == "while it waits":
                news.tell(1, "accepted")
    assert comes != "never" or time.monotonic() - began > 0.15
