"""A stopped process blocks no reader of the journal, and no database's defaults lift a limit."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from journal.full_journal import driven
from journal.test_journal import draft, entry
from started import ROOT, Started

from zinc_mcp.errors import JournalError, ZincMcpError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Limits

AT_ONCE = 5.0
"""Seconds: much less than anybody waits for a lock."""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'home' / 'journal.db'}"
    return str(request.getfixturevalue("make_database")())


_HOLDER = """
import os, signal, sys
from journal.test_journal import draft, entry
from zinc_mcp.errors import JournalError
from zinc_mcp.journal.journal import Journal

def stand_still():
    os.kill(os.getpid(), signal.SIGSTOP)
    return {"attempts": 1}

with Journal.open(sys.argv[1]) as journal:
    try:
        print(entry(journal, draft(1), sending=stand_still).state)
    except JournalError as error:
        print(error.summary)
"""


@contextmanager
def standing_still(url: str) -> Generator["subprocess.Popen[str]"]:
    """A process that is stopped in the middle of opening an entry."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, url],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
    )
    try:
        _, status = os.waitpid(holder.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        yield holder
    finally:
        holder.kill()
        holder.communicate()


def seconds_of(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


needs_signals = pytest.mark.skipif(os.name != "posix", reason="signals that stop a process")


@needs_signals
def test_a_journal_is_read_at_once_while_a_process_stands_still_in_the_middle_of_a_change(
    url: str, tmp_path: Path
) -> None:
    Journal.open(url).close()
    program = Started(tmp_path)
    program.configure("")

    def read() -> None:
        with Journal.open(url) as journal:
            assert journal.entries() == []
            assert journal.paused() is None

    with standing_still(url):
        assert seconds_of(read) < AT_ONCE
        for command in (("orders",), ("policy",)):
            began = time.monotonic()
            ended = program.run(*command, ZINC_MCP_JOURNAL=url, ZINC_MCP_SANDBOX="1")
            assert ended.returncode == 0, ended.stderr
            assert time.monotonic() - began < AT_ONCE


def test_doctor_says_that_a_journal_can_be_written_only_after_it_wrote(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'home' / 'journal.db'}"
    program = Started(tmp_path)
    program.configure("")
    assert "it can be read and written" in program.run("doctor", ZINC_MCP_SANDBOX="1").stdout
    full = "CREATE TRIGGER full BEFORE INSERT ON zinc_meta BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(full)
    engine.dispose()
    ended = program.run("doctor", ZINC_MCP_SANDBOX="1")
    assert (ended.returncode, "can be read and not written" in ended.stdout) == (1, True)
    assert "disk is full" in ended.stdout


@needs_signals
def test_postgresql_undoes_the_change_of_a_process_that_stands_still_and_others_go_on(
    make_database: Callable[..., str],
) -> None:
    url = make_database()
    Journal.open(url).close()
    with standing_still(url) as holder, Journal.open(url) as journal:
        assert entry(journal, draft(2)).state == "waiting", "it waits until the database has ended that change"
        holder.send_signal(signal.SIGCONT)
        told, _ = holder.communicate(timeout=30)
        assert "undone the change" in told
        assert [each.state for each in journal.entries()] == ["waiting"]


def test_a_process_that_waits_too_long_for_a_team_s_journal_is_told_so(make_database: Callable[..., str]) -> None:
    url = make_database()
    Journal.open(url).close()
    busy = sa.create_engine(driven(url))
    with busy.connect() as other, Journal.open(url) as journal:
        other.exec_driver_sql("SET idle_in_transaction_session_timeout = 0")
        other.exec_driver_sql("SELECT pg_advisory_xact_lock(x'7A696E63'::bigint)")
        began = time.monotonic()
        with pytest.raises(JournalError) as told:
            journal.pause("why")
        assert time.monotonic() - began < 25
    busy.dispose()
    assert told.value.summary == "Another process kept the journal busy for too long."


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_limits_and_twins_hold_under_every_default_isolation(make_database: Callable[..., str], isolation: str) -> None:
    url = make_database(default_transaction_isolation=isolation, synchronous_commit="off")
    assert raced(url, same=True, limits=Limits()) == ["opened", "stands", "stands", "stands"]
    assert raced(url, same=False, limits=Limits(day_cents=2 * 5100)) == ["limit_exceeded"] * 3 + ["opened"]


def raced(url: str, *, same: bool, limits: Limits) -> list[str]:
    """Open four entries at once, each by a journal of its own; say what came of each."""
    journals = [Journal.open(url) for _ in range(4)]
    start, came = threading.Barrier(len(journals)), list[str]()

    def place(journal: Journal, number: int) -> None:
        start.wait()
        try:
            key = f"k{number}" if same else None
            wanted = draft(0, idempotency_key=key) if same else draft(10 + number)
            made = journal.open_entry(wanted, limits, owner="me", lease_seconds=30, window_seconds=86_400)
            came.append("opened" if hasattr(made, "reserved_cents") else "stands")
        except ZincMcpError as error:
            came.append(error.code)

    threads = [threading.Thread(target=place, args=each) for each in zip(journals, range(4), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for journal in journals:
        journal.close()
    return sorted(came)


@pytest.fixture
def journal_engine(make_database: Callable[..., str]) -> Iterator[sa.Engine]:
    with Journal.open(make_database(synchronous_commit="off")) as journal:
        yield journal._engine  # pyright: ignore[reportPrivateUsage]  # how its sessions are


def test_a_commit_on_postgresql_reaches_the_disk_under_any_default(journal_engine: sa.Engine) -> None:
    with journal_engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
