"""A look-up reads an entry without the journal's thread, or the thread answers."""

import sqlite3
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import pytest
from conftest import HandClock

from zinc_mcp.errors import JournalError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Draft, Entry, Limits
from zinc_mcp.journal.runner import Runner

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


@asynccontextmanager
async def writing(path: Path, clock: HandClock) -> AsyncGenerator[tuple[Runner, Entry]]:
    """Give a writer on a journal with one entry in it."""
    writer = Runner(lambda: Journal.open(f"sqlite:///{path}", clock=clock))
    try:
        made = await writer.run(
            lambda journal: journal.open_entry(DRAFT, Limits(), owner="me", lease_seconds=30, window_seconds=86_400)
        )
        assert isinstance(made, Entry)
        yield writer, made
    finally:
        await writer.aclose()


async def test_a_look_up_does_not_wait_for_the_journals_thread(tmp_path: Path, clock: HandClock) -> None:
    async with writing(tmp_path / "journal.db", clock) as (writer, made), anyio.create_task_group() as tasks:
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


async def test_a_look_up_sees_the_last_write(tmp_path: Path, clock: HandClock) -> None:
    async with writing(tmp_path / "journal.db", clock) as (writer, made):
        moved = await writer.move(made, "sending", "sending", order_id="zinc's", consent={"how": "page"})
        assert await writer.find("zinc's", caller="local") == moved == await writer.read(made.id)


async def test_where_the_file_cannot_be_read_the_thread_says_why(tmp_path: Path, clock: HandClock) -> None:
    async with writing(tmp_path / "journal.db", clock) as (writer, made):
        with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
            other.execute("ALTER TABLE zinc_entries RENAME TO elsewhere")
        with pytest.raises(JournalError):
            await writer.find(made.key)


async def test_the_log_is_taken_into_the_file_when_the_journal_closes(tmp_path: Path, clock: HandClock) -> None:
    async with writing(tmp_path / "journal.db", clock) as (writer, made):
        assert await writer.find(made.key) == made
    assert [file.name for file in tmp_path.iterdir()] == ["journal.db"]
