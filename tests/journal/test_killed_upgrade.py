"""A process is killed in the middle of an upgrade: nothing is lost or doubled, and the next one begins it again."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

import preloaded
import pytest
import sqlalchemy as sa
from journal.full_journal import driven
from journal.test_crash_consistency import cut
from journal.test_journal import draft, entry
from journal.test_migration import ENTRY, NOW
from journal.test_migration import url as of_version_1
from journal.test_schema_guard import run
from journal.test_upgrade import FINISHED, REFUSES, after, as_before, before, columns, owner, tables
from journal.versions import command_of, of_tree
from preloaded import Ended
from started import Started
from variants import rare

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.storage.schema import Kept
from zinc_mcp.journal.storage.tables import BESIDE, ENTRIES, EVENTS, NEAR_TWINS, PAYMENTS, SCHEMA_VERSION
from zinc_mcp.journal.storage.totals import TOTALS

__all__ = ["after", "before", "of_version_1", "owner"]  # fixtures

KEY = 4711
"""Of the lock that the test holds, and the process that is to be killed waits for."""
_WAITS = f"PERFORM pg_advisory_xact_lock({KEY})"
_ROW = f"CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {_WAITS}; RETURN new; END$$"
_COMMAND = f"CREATE FUNCTION held() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN {_WAITS}; END$$"
_NUMBER = "FOR EACH ROW WHEN (new.name IN ('schema', 'added')) EXECUTE FUNCTION held()"
_DEFERRED = f"DEFERRABLE INITIALLY DEFERRED {_NUMBER}"


def _at(when: str, tag: str) -> tuple[str, str]:
    return _COMMAND, f"CREATE EVENT TRIGGER held ON ddl_command_{when} WHEN TAG IN ('{tag}') EXECUTE FUNCTION held()"


def _at_command(number: int) -> tuple[str, str]:
    waits = f"IF nextval('held_at') = {number} THEN {_WAITS}; END IF"
    function = f"CREATE FUNCTION held() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN {waits}; END$$"
    return function, "CREATE EVENT TRIGGER held ON ddl_command_end EXECUTE FUNCTION held()"


COMMANDS = [f"command {number}" for number in range(1, 26, 3)]
"""Of those that change the tables, on the way from version 1."""
POSTGRESQL: dict[str, tuple[str, str]] = {
    **{name: _at_command(int(name.split()[1])) for name in COMMANDS},
    "before a column": _at("start", "ALTER TABLE"),
    "after a column": _at("end", "ALTER TABLE"),
    "before a table": _at("start", "CREATE TABLE"),
    "after a table": _at("end", "CREATE TABLE"),
    "the number": (_ROW, f"CREATE TRIGGER held BEFORE INSERT ON zinc_meta {_NUMBER}"),
    "the commit": (_ROW, f"CREATE CONSTRAINT TRIGGER held AFTER INSERT ON zinc_meta {_DEFERRED}"),
}
"""Statements that hold a process on PostgreSQL at a point of its upgrade, by the name of the point."""
SQLITE = (
    "CREATE TRIGGER held BEFORE INSERT ON zinc_meta WHEN new.name IN ('schema', 'added') "
    f"BEGIN SELECT count(*) FROM {', '.join(f'sqlite_master AS m{number}' for number in range(12))}; END"
)
"""Counts for longer than anybody waits, in the transaction that has taken all steps."""


def content(url: str) -> dict[str, list[str]]:
    """Return all that a journal says of orders, except the version that wrote an event."""
    engine = sa.create_engine(driven(url))
    try:
        with engine.connect() as connection:
            there = set(sa.inspect(connection).get_table_names())
            found = dict[str, list[str]]()
            for table in (ENTRIES, EVENTS, NEAR_TWINS, PAYMENTS, TOTALS):
                columns = [each for each in table.c if each.name != "writer"]
                if table.name in there:
                    found[table.name] = sorted(repr(tuple(row)) for row in connection.execute(sa.select(*columns)))
            return found
    finally:
        engine.dispose()


def kept(url: str) -> Kept:
    with Journal.open(url) as journal:
        return journal.kept_schema()


def fill(url: str) -> dict[str, list[str]]:
    """Make a journal of the version before, with orders; return what it says of them."""
    with Journal.open(url, uptime=None) as journal:
        for number in range(3):
            made = entry(journal, draft(number))
            if number:
                journal.move(made, "sending", "")
                journal.move(journal.read(made.id), "accepted", "", order_id=f"o-{number}", lease_owner=None)
    as_before(url)
    return content(url)


@contextmanager
def held(url: str, point: str) -> Generator[Callable[[], bool]]:
    """Hold each process that comes to a point of an upgrade; give a function that says whether one is held there."""
    if url.startswith("sqlite"):
        run(url, SQLITE)
        yield lambda: is_written_to(url)
        run(url, "DROP TRIGGER held")
        return
    run(url, "CREATE SEQUENCE held_at", *POSTGRESQL[point])
    engine = sa.create_engine(driven(url))
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({KEY})")
            waiting = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {KEY} AND NOT granted"
            yield lambda: bool(connection.exec_driver_sql(waiting).scalar_one())
    finally:
        engine.dispose()
    kind = "EVENT TRIGGER held" if "EVENT" in POSTGRESQL[point][1] else "TRIGGER held ON zinc_meta"
    run(url, f"DROP {kind}", "DROP FUNCTION held", "DROP SEQUENCE held_at")


def is_written_to(url: str) -> bool:
    """Say whether a transaction of somebody else writes to a journal in a file."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        return False


def kill_in_the_middle(
    url: str,
    point: str,
    owner: Started,
    words: list[str],
    *,
    meanwhile: Callable[[], object] = lambda: None,
    tree: Path | None = None,
) -> None:
    """Start a command, of another version from its tree, and kill it when it is held at a point.

    `meanwhile` begins while it is held, and has ended when this returns.
    """
    beside = threading.Thread(target=meanwhile)
    with open(os.devnull, "r+b") as nothing, held(url, point) as is_held:
        streams = [nothing.fileno()] * 3
        program: preloaded.Program | subprocess.Popen[bytes]
        if tree is None:
            program = preloaded.started("zinc_mcp", words, owner.environment, owner.home, streams)
        else:
            environment = {**owner.environment, **of_tree(tree)}
            start = [sys.executable, "-m", "zinc_mcp", *words]
            program = subprocess.Popen(start, env=environment, cwd=tree, stdin=nothing, stdout=nothing, stderr=nothing)
        until = time.monotonic() + 60
        while not is_held():
            assert time.monotonic() < until, "it has not come to this point"
            time.sleep(0.02)
        beside.start()
        time.sleep(0.1)
        os.kill(program.pid, signal.SIGKILL)
        assert program.wait(30) == -signal.SIGKILL
    beside.join(60)
    assert not beside.is_alive()


NAMED = [point for point in POSTGRESQL if point not in COMMANDS]
POINTS = [
    ("sqlite", "the number"),
    *(("postgresql", point) if point == "after a table" else rare("postgresql", point) for point in NAMED),
]


@pytest.mark.parametrize(("url", "point"), POINTS, indirect=["url"])
def test_steps_that_add_are_taken_whole_by_the_next_process_when_one_was_killed_among_them(
    url: str, point: str, owner: Started, before: Path
) -> None:
    known = fill(url)
    answers: list[Ended] = []
    kill_in_the_middle(
        url,
        point,
        owner,
        ["pause", "by the killed one"],
        meanwhile=lambda: answers.append(command_of(before, owner, "pause", "by the version before")),
    )
    if point != "the commit":
        assert "zinc_members" not in tables(url) and "writer" not in columns(url), "what it had done is undone"
    assert [each.returncode for each in answers] == [0], "the version before goes on beside it"
    with Journal.open(url) as journal:
        assert journal.kept_schema() == Kept(BESIDE, SCHEMA_VERSION)
        assert journal.pauses() == ["by the version before"]
    assert content(url) == known
    assert command_of(before, owner, "resume").returncode == 0, "and beside this version, afterwards"
    with Journal.open(url) as journal:
        assert entry(journal, draft(9)).state == "waiting"


@pytest.mark.parametrize(
    ("url", "point"),
    [rare("sqlite", "the number"), ("postgresql", "the number"), rare("postgresql", "the commit")],
    indirect=["url"],
)
def test_finishing_an_upgrade_that_was_killed_is_finished_whole_or_has_changed_nothing(
    url: str, point: str, owner: Started, before: Path
) -> None:
    known = fill(url)
    assert kept(url) == Kept(BESIDE, SCHEMA_VERSION)
    words = ["journal", "finish-upgrade", "--yes", "--others-ended"]
    kill_in_the_middle(url, point, owner, words)
    if point != "the commit":
        assert kept(url) == Kept(BESIDE, SCHEMA_VERSION)
        assert command_of(before, owner, "pause", "it goes on").returncode == 0
        assert FINISHED in owner.quickly(*words).stdout
    assert kept(url) == Kept(SCHEMA_VERSION, SCHEMA_VERSION)
    assert "nothing to finish" in owner.quickly(*words).stdout
    refused = command_of(before, owner, "pause", "too late")
    assert refused.returncode != 0 and REFUSES in refused.stderr, refused
    assert content(url) == known


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("url", "point"),
    [("sqlite", "the number"), *(("postgresql", point) for point in NAMED if "column" not in point)],
    indirect=["url"],
)
def test_a_step_that_changes_is_taken_whole_or_not_at_all_when_its_process_is_killed(
    url: str, point: str, owner: Started, after: Path
) -> None:
    known = fill(url)
    assert command_of(after, owner, "pause", "for the upgrade").returncode == 0
    words = ["journal", "finish-upgrade", "--yes", "--others-ended"]
    kill_in_the_middle(url, point, owner, words, tree=after)
    if point != "the commit":
        assert {"zinc_added", "zinc_changed"} & tables(url) == {"zinc_added"}
        assert owner.quickly("resume").returncode == 0, "this version, the one before, goes on"
        assert command_of(after, owner, *words).returncode == 0
    assert {"zinc_added", "zinc_changed"} <= tables(url)
    assert "nothing to finish" in command_of(after, owner, *words).stdout
    assert REFUSES in owner.quickly("pause", "too late").stderr
    assert content(url) == known


@pytest.mark.parametrize("of_version_1", ["sqlite"], indirect=True)
def test_an_upgrade_through_all_versions_that_ends_after_any_write_to_the_file_is_begun_again(
    of_version_1: str, tmp_path: Path
) -> None:
    with Journal.open(of_version_1, clock=lambda: NOW + 60) as journal:
        assert journal.kept_schema() == Kept(BESIDE, SCHEMA_VERSION)
        whole = cut(tmp_path, tmp_path / "whole")
        known = content(of_version_1)
    log = (whole / "journal.db-wal").stat().st_size
    begun = 0
    for number, left in enumerate(sorted({*range(32, log + 1, 4120), *range(57, log + 1, 4120)})):
        home = cut(whole, tmp_path / f"cut-{number}", left)
        url = f"sqlite:///{home / 'journal.db'}"
        begun += "zinc_visits" not in tables(url)
        with Journal.open(url, clock=lambda: NOW + 60) as journal:
            assert journal.kept_schema() == Kept(BESIDE, SCHEMA_VERSION)
        assert content(url) == known
        shutil.rmtree(home)
    assert begun > 20, "most of these ends are in the middle"


@pytest.mark.thorough
@pytest.mark.parametrize("of_version_1", ["postgresql"], indirect=True)
def test_an_upgrade_through_all_versions_that_is_killed_at_any_of_its_commands_is_begun_again(
    of_version_1: str, tmp_path: Path
) -> None:
    owner = Started(tmp_path)
    owner.configure("sandbox = true\n")
    owner.environment["ZINC_MCP_JOURNAL"] = of_version_1
    there = tables(of_version_1)
    for point in COMMANDS:
        kill_in_the_middle(of_version_1, point, owner, ["pause", "by the killed one"])
        assert tables(of_version_1) == there, point
    with Journal.open(of_version_1, clock=lambda: NOW + 60) as journal:
        assert journal.kept_schema() == Kept(BESIDE, SCHEMA_VERSION)
        [kept_entry] = journal.entries()
        assert (kept_entry.key, kept_entry.state) == (ENTRY["key"], ENTRY["state"]) and journal.pauses() == []
        assert [event.what for event in journal.events(kept_entry.id)] == ["no answer"]
        assert journal.counted("local", "live", 86_400) == (5100, 1)
