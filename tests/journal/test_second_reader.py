"""A look-up reads an entry without the journal's threads, or they answer."""

import os
import re
import signal
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from conftest import HandClock

from zinc_mcp.errors import JournalError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Draft, Entry, Limits
from zinc_mcp.journal.runner import Runner
from zinc_mcp.journal.server_reader import ServerReader
from zinc_mcp.journal.storage.database import connect
from zinc_mcp.journal.storage.reading import Look
from zinc_mcp.journal.storage.server.connecting import leave_server

DRAFT = Draft(
    caller="local",
    mode="test",
    origin="https://api.zinc.com",
    account="fingerprint",
    rail="account",
    twin="t" * 64,
    body_digest="d" * 64,
    given_key=None,
    to_bytes=lambda key: b'{"key":"%s"}' % key.encode(),
    ceiling_cents=5000,
    fee_cents=100,
    facts={"retailer": "amazon.com"},
)
_ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}';"


@asynccontextmanager
async def writing(url: str, clock: HandClock, *, at_once: int = 1) -> AsyncGenerator[tuple[Runner, Entry]]:
    """Give a writer on a journal with one entry in it."""
    writer = Runner(lambda: Journal.open(url, clock=clock), at_once=at_once)
    try:
        made = await writer.run(
            lambda journal: journal.open_entry(DRAFT, Limits(), owner="me", lease_seconds=30, window_seconds=86_400)
        )
        assert isinstance(made, Entry)
        yield writer, made
    finally:
        await writer.aclose()


async def test_a_look_up_does_not_wait_for_the_journals_thread(url: str, clock: HandClock) -> None:
    async with writing(url, clock) as (writer, made), anyio.create_task_group() as tasks:
        begun, go_on = threading.Event(), threading.Event()

        def slow(journal: Journal) -> None:
            begun.set()
            assert go_on.wait(10)

        tasks.start_soon(writer.run, slow)
        with anyio.fail_after(5):
            while not begun.is_set():
                await anyio.sleep(0.01)
            try:
                assert await writer.find(made.key, caller="local") == made
                assert await writer.find(made.key, caller="somebody else") is None
                assert await writer.read(made.id) == made
            finally:
                go_on.set()


async def test_a_look_up_sees_the_last_write(url: str, clock: HandClock) -> None:
    async with writing(url, clock) as (writer, made):
        moved = await writer.move(made, "sending", "sending", order_id="zinc's", consent={"how": "page"})
        assert await writer.find("zinc's", caller="local") == moved == await writer.read(made.id)
        assert await writer.find_with_changes("zinc's", "local") == (moved, False)
        assert not await writer.has_changes("zinc's", "local", "test")
        with pytest.raises(JournalError):
            await writer.read(made.id + 1)


async def test_look_ups_at_once_get_each_its_own_answer(make_database: Callable[..., str], clock: HandClock) -> None:
    async with writing(make_database(), clock) as (writer, made):
        found: dict[str, Entry | None] = {}

        async def find(handle: str) -> None:
            found[handle] = await writer.find(handle)

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(find, f"nobody's {number}")
                tasks.start_soon(find, made.key)
        assert found.pop(made.key) == made
        assert len(found) == 20
        assert not any(found.values())


async def test_a_look_up_whose_connection_was_ended_is_answered(
    make_database: Callable[..., str], clock: HandClock, postgres: Any
) -> None:
    url = make_database()
    async with writing(url, clock) as (writer, made):
        for _ in range(2):  # then on a new connection
            assert await writer.find(made.key) == made
            postgres.psql(_ENDED.format(name=sa.make_url(url).database))
            assert await writer.find(made.key) == made


@pytest.mark.parametrize("reader", ["the second reader", "the thread"])
async def test_a_read_whose_connection_ends_after_the_question_is_answered(
    reader: str, make_database: Callable[..., str], clock: HandClock, postgres: Any
) -> None:
    def read(journal: Journal) -> Entry | None:
        both.wait(10)
        return journal.find(made.key)

    url = make_database()
    name = sa.make_url(url).database
    async with writing(url, clock, at_once=2) as (writer, made):
        for ends in (False, True):
            both = threading.Barrier(2)  # with two threads there are two connections in the pool
            find = partial(writer.find, made.key) if reader == "the second reader" else partial(writer.run, read)
            stopped = _sessions(postgres, name) if ends else []
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            if ends:
                postgres.psql(_ENDED.format(name=name))
            found: list[Entry | None] = []

            async def ask(find: Callable[[], Any] = find, found: list[Entry | None] = found) -> None:
                found.append(await find())

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                tasks.start_soon(ask)
                await anyio.sleep(0.2)  # both have asked
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
            assert found == [made, made]


def _sessions(postgres: Any, name: str | None) -> list[int]:
    told = postgres.psql(f"SELECT 'pid=' || pid FROM pg_stat_activity WHERE datname = '{name}';")
    return [int(pid) for pid in re.findall(r"pid=(\d+)", told)]


async def test_no_look_up_stays_at_a_server_that_takes_no_changes(make_database: Callable[..., str]) -> None:
    session = Look(sa.select(sa.func.pg_backend_pid()), {}, lambda row: row)
    engine = connect(make_database())
    reader = ServerReader(engine)
    try:
        before = await reader.see(session)
        assert await reader.see(session) == before
        with engine.connect() as connection:
            leave_server(connection)
        assert await reader.see(session) != before
    finally:
        await reader.aclose()
        engine.dispose()


async def test_where_the_file_cannot_be_read_the_thread_says_why(tmp_path: Path, clock: HandClock) -> None:
    async with writing(f"sqlite:///{tmp_path / 'journal.db'}", clock) as (writer, made):
        with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
            other.execute("ALTER TABLE zinc_entries RENAME TO elsewhere")
        with pytest.raises(JournalError):
            await writer.find(made.key)


async def test_the_log_is_taken_into_the_file_when_the_journal_closes(tmp_path: Path, clock: HandClock) -> None:
    async with writing(f"sqlite:///{tmp_path / 'journal.db'}", clock) as (writer, made):
        assert await writer.find(made.key) == made
    assert [file.name for file in tmp_path.iterdir()] == ["journal.db"]
