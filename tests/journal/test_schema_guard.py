"""An older process stops writing once a newer one changed the schema, and a file that is no journal is refused."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from journal.full_journal import driven
from journal.test_journal import draft, entry
from journals import entry_of
from started import Started
from wanted import ADDRESS, book, intent

from zinc_mcp.checkout.place_order import place
from zinc_mcp.checkout.readiness import check_ready
from zinc_mcp.errors import JournalError, ZincMcpError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.money import Payment
from zinc_mcp.journal.storage.tables import SCHEMA_VERSION


def run(url: str, *statements: str) -> None:
    """Change the database as a newer version, another program or a broken disk would."""
    engine = sa.create_engine(driven(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


NEWER = f"UPDATE zinc_meta SET value = '{SCHEMA_VERSION + 1}' WHERE name = 'schema'"
GONE = "DELETE FROM zinc_meta WHERE name = 'schema'"


@pytest.mark.parametrize(("what", "sentence"), [(NEWER, "newer version"), (GONE, "only a part of a journal")])
def test_nothing_is_written_any_more_once_the_schema_is_another(
    url: str, clock: HandClock, what: str, sentence: str
) -> None:
    with Journal.open(url, clock=clock, uptime=None) as journal:
        waiting = entry(journal, draft(1))
        sent = journal.move(entry(journal, draft(2)), "sending", "")
        free = journal.move(entry(journal, draft(5)), "unknown", "", lease_owner=None, lease_until=None)
        run(url, what)
        writes: list[Callable[[], object]] = [
            lambda: entry(journal, draft(3)),
            lambda: journal.move(waiting, "refused", ""),
            lambda: journal.move(waiting, "sending", ""),
            lambda: journal.move(sent, "accepted", "", order_id="o-1"),
            lambda: journal.claim(free, "me", 30),
            lambda: journal.write_payment(Payment(waiting.id, 1.0)),
            lambda: journal.change_payment(waiting.id, lambda payment: Payment(waiting.id, 1.0)),
            lambda: journal.adopt(draft(4), "k", "o-4", "pending", 1.0),
            lambda: journal.pause("why"),
            lambda: journal.set_pin("kept"),
            lambda: journal.save_address("home", ADDRESS),
            lambda: journal.purge(0.0),
            lambda: journal.resolve(sent.key, order_id="o-1", holder_ended=True),
        ]
        for write in writes:
            with pytest.raises(JournalError) as failed:
                write()
            assert sentence in failed.value.summary
        assert journal.read(sent.id) == sent, "what stands can still be read"


async def test_a_server_sends_nothing_more_once_a_newer_one_has_changed_the_journal(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process:
        first = entry_of(await place(process, intent(products=book(1))))
        run(f"sqlite:///{home / 'journal.db'}", "ALTER TABLE zinc_entries RENAME COLUMN status TO zinc_status", NEWER)
        with pytest.raises(JournalError) as refused:
            await place(process, intent(products=book(2)))
        assert "newer version" in refused.value.summary
        assert "Nothing was sent by this call." in refused.value.summary
        with pytest.raises(ZincMcpError):
            await check_ready(process)
    assert len(zinc.posts) == 1
    assert first.state == "accepted"


def test_an_order_that_is_being_sent_while_a_newer_version_comes_is_not_told_as_written(
    url: str, clock: HandClock
) -> None:
    with Journal.open(url, clock=clock, uptime=None) as journal:
        sent = journal.move(entry(journal, draft(1)), "sending", "")
        run(url, NEWER)
        with pytest.raises(JournalError):
            journal.move(sent, "accepted", "", order_id="o-1")
    run(url, f"UPDATE zinc_meta SET value = '{SCHEMA_VERSION}' WHERE name = 'schema'")
    with Journal.open(url, clock=clock, uptime=None) as journal:
        assert journal.move(sent, "accepted", "", order_id="o-1").version == sent.version + 1


HALVES: dict[str, tuple[str, ...]] = {
    "without its version": (GONE,),
    "with a version that is no number": ("UPDATE zinc_meta SET value = 'seven' WHERE name = 'schema'",),
    "with version 0": ("UPDATE zinc_meta SET value = '0' WHERE name = 'schema'",),
    "without its entries": ("DROP TABLE zinc_entries",),
    "without its events": ("DROP TABLE zinc_events",),
    "without a column": ("ALTER TABLE zinc_entries DROP COLUMN lease_boot",),
    "without its meta": ("DROP TABLE zinc_meta",),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("half", HALVES)
def test_an_incomplete_journal_is_named_as_such_and_not_added_to(url: str, half: str) -> None:
    Journal.open(url).close()
    run(url, *HALVES[half])
    for _ in range(2):
        with pytest.raises(JournalError) as failed:
            Journal.open(url)
        assert "only a part of a journal" in failed.value.summary
        assert failed.value.owner_step


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE recipes (name TEXT)")


def truncated(path: Path) -> None:
    Journal.open(f"sqlite:///{path}").close()
    path.write_bytes(path.read_bytes()[:5000])


def beginning(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + b"\x00" * 40)


def text(path: Path) -> None:
    path.write_text("notes of somebody", encoding="utf-8")


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def garbled(path: Path) -> None:
    Journal.open(f"sqlite:///{path}").close()
    whole = bytearray(path.read_bytes())
    whole[100:4096] = b"\xff" * 3996
    path.write_bytes(bytes(whole))


@pytest.mark.parametrize("made", [foreign, truncated, beginning, text, folder, pipe, garbled])
def test_a_file_that_is_no_journal_is_refused_in_a_sentence_and_left_as_it_is(
    tmp_path: Path, made: Callable[[Path], None]
) -> None:
    path = tmp_path / "journal.db"
    made(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(JournalError) as failed:
        with Journal.open(f"sqlite:///{path}") as journal:
            journal.entries()
    assert failed.value.summary.endswith(".")
    assert (path.read_bytes() if path.is_file() else None) == before
    assert "recipes" not in failed.value.summary


def test_an_empty_file_becomes_a_journal(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "journal.db").write_bytes(b"")
    with Journal.open(f"sqlite:///{tmp_path / 'journal.db'}", clock=clock) as journal:
        entry(journal, draft())


@pytest.mark.sampled(4)
@pytest.mark.parametrize("made", [foreign, truncated, text, folder])
@pytest.mark.parametrize("command", [("orders",), ("orders", "show", "k"), ("doctor",), ("pause",), ("policy",)])
def test_each_command_refuses_a_file_that_is_no_journal_in_a_sentence(
    tmp_path: Path, made: Callable[[Path], None], command: tuple[str, ...]
) -> None:
    program = Started(tmp_path)
    program.home.mkdir()
    made(program.home / "journal.db")
    ended = program.run(*command, ZINC_MCP_SANDBOX="1")
    assert ended.returncode in (1, 2)
    assert "Traceback" not in ended.stderr + ended.stdout
    assert "journal" in ended.stderr + ended.stdout


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_keep_every_name_is_refused(
    postgres: Any, make_database: Callable[..., str], encoding: str
) -> None:
    url = make_database()
    name = sa.make_url(url).database
    locale = "LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    postgres.psql(f"DROP DATABASE {name};")
    postgres.psql(f"CREATE DATABASE {name} ENCODING '{encoding}' {locale};")
    with pytest.raises(JournalError) as refused:
        Journal.open(url)
    assert f"the encoding {encoding}," in refused.value.summary
    assert "ENCODING 'UTF8'" in str(refused.value.owner_step)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"host": "nowhere.invalid", "query": {}}, "cannot be reached"),
        ({"host": "127.0.0.1", "port": 1, "query": {}}, "cannot be reached"),
        ({"database": "not_there"}, "no database of the name"),
        ({"username": "nobody"}, "refuses the login"),
    ],
    ids=["no such host", "nobody listens", "no such database", "no such user"],
)
def test_it_is_told_why_a_database_cannot_be_used(postgres: Any, changed: dict[str, Any], sentence: str) -> None:
    url = sa.make_url(postgres.get_uri("postgres")).set(**changed)
    with pytest.raises(JournalError) as refused:
        Journal.open(url.render_as_string(hide_password=False))
    assert sentence in refused.value.summary
