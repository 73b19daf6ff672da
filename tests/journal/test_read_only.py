"""A home that can only be read tells what is known, writes nothing, and refuses with a sentence."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import preloaded
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from journal.test_journal import draft
from journal.test_journal import entry as opened
from journals import entry_of
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from server.as_a_host import said
from started import Started
from wanted import arguments, book, intent

from zinc_mcp.checkout.place_order import place
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import JournalError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry

# An administrator may write anywhere, so these tests give up that right.
UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.name == "posix" else []
NEEDED = os.name != "posix" or (os.geteuid() == 0 and shutil.which("setpriv") is None)

pytestmark = pytest.mark.skipif(NEEDED, reason="modes do not bind this user, and setpriv is not there")


def words() -> list[str]:
    return UNPRIVILEGED if os.geteuid() == 0 else []


@pytest.fixture
def entry(home: Path) -> Entry:
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        sent = opened(journal, draft(1), sending=lambda: {"attempts": 1})
        return journal.move(sent, "accepted", "accepted by Zinc", order_id="order-1", status="pending")


def all_of_it(home: Path) -> None:
    for file in home.iterdir():
        file.chmod(0o400)
    home.chmod(0o500)


def the_folder(home: Path) -> None:
    home.chmod(0o500)


def the_file(home: Path) -> None:
    (home / "journal.db").chmod(0o400)
    home.chmod(0o500)


def with_a_log(home: Path) -> None:
    """Leave a journal as a killed process does: the last order stands in the log alone."""
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA wal_autocheckpoint=0');"
        "c.execute(\"UPDATE zinc_entries SET status = 'order_placed'\"); c.commit(); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(home / "journal.db")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (home / "journal.db-wal").stat().st_size > 0
    all_of_it(home)


@pytest.fixture(params=[all_of_it, the_folder, the_file, with_a_log])
def read_only(request: pytest.FixtureRequest, home: Path, entry: Entry) -> Generator[Entry]:
    make: Callable[[Path], None] = request.param
    make(home)
    yield entry
    home.chmod(0o700)


@pytest.fixture(scope="module")
def bounded() -> Generator[str]:
    """Give the address from which programs start quickly that may write only where modes allow it."""
    with preloaded.forking(words()) as address:
        yield address


Run = Callable[..., preloaded.Ended]


@pytest.fixture
def run(bounded: str, home: Path) -> Run:
    environ = {**Started(home.parent).environment, "ZINC_API_KEY": "zn_test_x", "ZINC_API_URL": "http://127.0.0.1:1"}
    return lambda *command: preloaded.finished(command, environ, bounded)


def test_orders_are_listed_and_shown_and_doctor_names_the_fault(run: Run, read_only: Entry) -> None:
    listed = run("orders", "--json")
    assert listed.returncode == 0, listed.stderr
    assert [each["key"] for each in json.loads(listed.stdout)] == [read_only.key]
    shown = run("orders", "show", read_only.key)
    assert (shown.returncode, read_only.key in shown.stdout) == (0, True)
    examined = run("doctor")
    assert "It can be read and not written" in examined.stdout
    assert "Traceback" not in examined.stderr + examined.stdout


@pytest.mark.sampled(4)
@pytest.mark.parametrize("command", [("pause",), ("resume",), ("orders", "purge", "--older-than", "1")])
def test_a_command_that_would_write_says_in_a_sentence_that_it_cannot(
    run: Run, read_only: Entry, command: tuple[str, ...]
) -> None:
    ended = run(*command)
    assert ended.returncode == 1
    assert "can only be read" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_server_tells_known_orders_and_places_none(bounded: str, home: Path, read_only: Entry) -> None:
    environment = {**Started(home.parent).environment, "ZINC_API_KEY": "zn_test_planted-secret"}
    [program, *given] = preloaded.command("zinc_mcp", bounded)
    parameters = StdioServerParameters(
        command=program,
        args=given,
        env={**environment, "ZINC_API_URL": "http://127.0.0.1:1", "ZINC_MCP_APPROVAL": "none"},
    )
    async with Client(stdio_client(parameters)) as client:
        known = said(await client.call_tool("get_order", {"order_id": read_only.key}))
        assert (known["key"], known["outcome"]) == (read_only.key, "accepted")
        refused = said(await client.call_tool("place_order", arguments(products=book(2))))
        assert refused["code"] == "journal_unavailable"
        assert refused["money_may_have_moved"] is False
        assert "can only be read" in json.dumps(refused)


def refuse_to_write(patched: pytest.MonkeyPatch) -> None:
    """Let the journal's file be opened only to read it, until the patch is undone."""
    real = os.open

    def refusing(path: str, flags: int, *arguments: int, **options: int) -> int:
        if str(path).endswith("journal.db") and flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *arguments, **options)

    patched.setattr(os, "open", refusing)


async def test_a_journal_that_can_be_written_again_is_written_again(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zinc_mcp.journal.runner.READ_ONLY_SECONDS", 0.0)
    with monkeypatch.context() as patched:
        refuse_to_write(patched)
        async with open_test_process() as process:
            assert (await look(process, "local", entry.key)).entry is not None
            patched.undo()
            assert entry_of(await place(process, intent(products=book(2)))).state == "accepted"


async def test_a_new_journal_that_can_be_written_again_asks_zinc_for_an_earlier_order(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_test_process() as process:
        first = entry_of(await place(process, intent()))
    for file in home.glob("journal.db*"):
        file.unlink()
    Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock).close()
    monkeypatch.setattr("zinc_mcp.journal.runner.READ_ONLY_SECONDS", 0.0)
    with monkeypatch.context() as patched:
        refuse_to_write(patched)
        async with open_test_process() as process:
            with pytest.raises(JournalError, match="can only be read"):
                await place(process, intent())
            patched.undo()
            assert (await look(process, "local", first.order_id or "")).entry is None, "it is opened again"
            assert entry_of(await place(process, intent())).order_id == first.order_id
    assert len(zinc.posts) == 1


async def test_another_file_that_stands_there_when_it_can_be_written_again_is_told_and_buys_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_test_process() as process:
        await place(process, intent(idempotency_key="first"))
    clock.pass_seconds(90_000)
    monkeypatch.setattr("zinc_mcp.journal.runner.READ_ONLY_SECONDS", 0.0)
    with monkeypatch.context() as patched:
        refuse_to_write(patched)
        async with open_test_process() as process:
            with pytest.raises(JournalError, match="can only be read"):
                await place(process, intent(products=book(2)))  # by now it is known that the journal is old
            for file in home.glob("journal.db*"):
                file.unlink()
            patched.undo()
            with pytest.raises(JournalError, match="deleted, replaced"):
                await place(process, intent(idempotency_key="second"))
    assert len(zinc.orders) == 1


def test_a_journal_of_an_older_version_that_cannot_be_brought_up_to_date_is_said_so(
    run: Run, home: Path, entry: Entry
) -> None:
    with closing(sqlite3.connect(home / "journal.db")) as database:
        database.execute("UPDATE zinc_meta SET value = '6' WHERE name = 'schema'")
        database.commit()
    all_of_it(home)
    ended = run("orders")
    home.chmod(0o700)
    assert ended.returncode == 1
    assert "older version" in ended.stderr


def test_a_read_only_home_without_a_journal_is_said_so(run: Run, home: Path) -> None:
    home.mkdir(mode=0o500)
    ended = run("orders")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "journal" in ended.stderr
