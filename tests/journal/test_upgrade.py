"""An upgrade adds first: the version before goes on until the owner finishes it, and then refuses in a sentence."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from conftest import HandClock
from journal.full_journal import driven
from journal.test_journal import draft, entry
from journal.test_schema_guard import run
from journal.versions import command_of, shared_folder, tree_after, tree_before
from keyboard import at_a_terminal
from started import Started
from variants import rare

from zinc_mcp.errors import JournalError, RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.owned_journal import SEEN_SECONDS
from zinc_mcp.journal.storage.schema import TWINS_RENEWED_AT, Kept
from zinc_mcp.journal.storage.tables import BESIDE, SCHEMA_VERSION

REFUSES = "newer version of zinc-mcp"
FINISHED = f"The upgrade is finished: the journal is of version {SCHEMA_VERSION}."


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_folder(tmp_path_factory, "version-before", tree_before)


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_folder(tmp_path_factory, "version-after", tree_after)


@pytest.fixture
def owner(tmp_path: Path, url: str) -> Started:
    """The owner of the journal, whose home is used by each version."""
    started = Started(tmp_path)
    started.configure("sandbox = true\n")
    started.environment["ZINC_MCP_JOURNAL"] = url
    return started


def as_before(url: str) -> None:
    """Make the journal at an address one that the version before has made."""
    Journal.open(url).close()
    run(
        url,
        f"UPDATE zinc_meta SET value = '{BESIDE}' WHERE name = 'schema'",
        "ALTER TABLE zinc_events DROP COLUMN writer",
        "DROP TABLE zinc_members",
    )


def tables(url: str) -> set[str]:
    engine = sa.create_engine(driven(url))
    try:
        return set(sa.inspect(engine).get_table_names())
    finally:
        engine.dispose()


def columns(url: str) -> set[str]:
    engine = sa.create_engine(driven(url))
    try:
        return {column["name"] for column in sa.inspect(engine).get_columns("zinc_events")}
    finally:
        engine.dispose()


@pytest.mark.parametrize("url", ["sqlite", rare("postgresql")], indirect=True)
def test_the_version_before_writes_until_the_upgrade_is_finished_and_refuses_in_a_sentence_then(
    owner: Started, before: Path
) -> None:
    assert command_of(before, owner, "pause", "for the upgrade").returncode == 0
    shown = owner.run("doctor")
    assert "zinc-mcp of the version before can still use it" in " ".join(shown.stdout.split())
    assert command_of(before, owner, "resume").returncode == 0, "it goes on beside this version"
    ended = owner.run("journal", "finish-upgrade", "--yes")
    assert (ended.returncode, FINISHED in ended.stdout) == (0, True), ended
    refused = command_of(before, owner, "pause", "too late")
    assert refused.returncode != 0 and REFUSES in refused.stderr, refused
    with Journal.open(owner.environment["ZINC_MCP_JOURNAL"]) as journal:
        assert journal.pauses() == []
    assert owner.run("pause", "by this version").returncode == 0
    assert "version before" not in owner.run("doctor").stdout
    assert "nothing to finish" in owner.run("journal", "finish-upgrade").stdout


def test_programs_that_have_the_journal_open_go_on_when_the_upgrade_is_finished(url: str, clock: HandClock) -> None:
    as_before(url)
    with Journal.open(url, clock=clock, uptime=None) as one, Journal.open(url, clock=clock, uptime=None) as other:
        assert other.kept_schema() == Kept(BESIDE, SCHEMA_VERSION)
        first = entry(other, draft(1))
        one.finish_upgrade()
        assert other.kept_schema() == Kept(SCHEMA_VERSION, SCHEMA_VERSION)
        assert other.move(first, "refused", "").state == "refused", "one of this version goes on"
        assert entry(other, draft(2)).state == "waiting"
        one.finish_upgrade()  # again: nothing is left to do


def by_the_version_before(url: str) -> None:
    """Have the events so far written as the version before writes them."""
    run(url, "UPDATE zinc_events SET writer = NULL")


def test_an_upgrade_is_not_finished_while_an_earlier_version_holds_an_order_or_has_just_written(
    url: str, clock: HandClock
) -> None:
    as_before(url)
    with Journal.open(url, clock=clock, uptime=None) as journal:
        until = clock() + 2 * SEEN_SECONDS
        sent = journal.move(entry(journal, draft(1)), "sending", "", lease_owner="an earlier one", lease_until=until)
        by_the_version_before(url)
        with pytest.raises(RefusedError, match=f"holds the order {sent.key} for 600 more seconds"):
            journal.finish_upgrade()
        clock.pass_seconds(SEEN_SECONDS + 1)
        with pytest.raises(RefusedError, match="for 299 more seconds"):
            journal.finish_upgrade()
        journal.move(sent, "accepted", "", order_id="o-1", lease_owner=None, lease_until=None)
        journal.finish_upgrade()


def test_an_upgrade_is_finished_five_minutes_after_the_last_write_of_an_earlier_version_or_at_the_owners_word(
    url: str, clock: HandClock
) -> None:
    as_before(url)
    with Journal.open(url, clock=clock, uptime=None) as journal:
        journal.move(entry(journal, draft(1)), "refused", "", lease_owner=None, lease_until=None)
        by_the_version_before(url)
        clock.pass_seconds(SEEN_SECONDS - 1)
        entry(journal, draft(2))
        with pytest.raises(RefusedError, match="changed the journal 299 seconds ago, so nothing was changed") as failed:
            journal.finish_upgrade()
        assert "--others-ended" in (failed.value.owner_step or "")
        assert journal.kept_schema().schema == BESIDE
        clock.pass_seconds(2)
        journal.finish_upgrade()
        assert journal.kept_schema().schema == SCHEMA_VERSION
    with Journal.open(url, clock=clock, uptime=None) as journal:
        run(url, f"UPDATE zinc_meta SET value = '{BESIDE}' WHERE name = 'schema'")
        entry(journal, draft(3))
        by_the_version_before(url)
        journal.finish_upgrade(others_ended=True)
        assert journal.kept_schema().schema == SCHEMA_VERSION


FAILS: dict[str, tuple[str, ...]] = {
    "sqlite": (
        "CREATE TRIGGER broken BEFORE INSERT ON zinc_meta WHEN new.name IN ('schema', 'added') "
        "BEGIN SELECT raise(ABORT, 'the disk is full'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'gone' USING ERRCODE = '53100'; END$$",
        "CREATE TRIGGER broken BEFORE INSERT ON zinc_meta FOR EACH ROW WHEN (new.name IN ('schema', 'added')) "
        "EXECUTE FUNCTION broken()",
    ),
}
MENDED = {"sqlite": "DROP TRIGGER broken", "postgresql": "DROP FUNCTION broken CASCADE"}


def test_an_upgrade_that_fails_changes_nothing_and_is_done_whole_at_the_next_try(url: str) -> None:
    kind = url.partition(":")[0]
    as_before(url)
    run(url, *FAILS[kind])
    with pytest.raises(JournalError, match="full"):
        Journal.open(url)
    assert "writer" not in columns(url)
    run(url, MENDED[kind])
    with Journal.open(url) as journal:
        assert "writer" in columns(url)
        run(url, *FAILS[kind])
        with pytest.raises(JournalError, match="full"):
            journal.finish_upgrade()
        assert journal.kept_schema() == Kept(BESIDE, SCHEMA_VERSION)
        run(url, MENDED[kind])
        journal.finish_upgrade()


def test_one_of_several_programs_upgrades_a_journal_that_all_open_at_once_and_all_can_use_it(url: str) -> None:
    as_before(url)
    ready, opened = threading.Barrier(4), list[Kept]()

    def open_it() -> None:
        ready.wait(30)
        with Journal.open(url) as journal:
            journal.try_to_write()
            opened.append(journal.kept_schema())

    threads = [threading.Thread(target=open_it) for _ in range(ready.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert opened == [Kept(BESIDE, SCHEMA_VERSION)] * ready.parties


def test_a_person_is_told_what_finishing_does_and_a_no_changes_nothing(url: str, owner: Started) -> None:
    as_before(url)
    told = owner.run("journal", "finish-upgrade")
    assert told.returncode != 0 and "--yes" in told.stderr
    code, screen = at_a_terminal(
        ["journal", "finish-upgrade"], owner.environment, [("Finish the upgrade?", "n")], cwd=owner.home
    )
    assert code == 0 and "Nothing was changed." in screen
    said = " ".join(screen.split())
    assert f"Programs that know no version {SCHEMA_VERSION} neither open it afterwards nor write to it." in said
    with Journal.open(url) as journal:
        assert journal.kept_schema().schema == BESIDE


@pytest.mark.parametrize(
    ("url", "begins_with"),
    [
        ("sqlite", "this version"),
        rare("sqlite", "the version before"),
        rare("postgresql", "this version"),
        rare("postgresql", "the version before"),
    ],
    indirect=["url"],
)
def test_a_step_that_changes_is_taken_when_the_upgrade_is_finished_and_one_that_adds_at_once(
    request: pytest.FixtureRequest, url: str, owner: Started, after: Path, begins_with: str
) -> None:
    if begins_with == "this version":
        assert owner.run("pause", "for the upgrade").returncode == 0
    else:
        before = request.getfixturevalue("before")
        assert command_of(before, owner, "pause", "for the upgrade").returncode == 0
    assert command_of(after, owner, "resume").returncode == 0
    assert {"zinc_added", "zinc_changed"} & tables(url) == {"zinc_added"}
    if begins_with == "the version before":
        refused = command_of(request.getfixturevalue("before"), owner, "pause", "two versions behind")
        assert refused.returncode != 0 and REFUSES in refused.stderr, refused
    assert owner.run("pause", "by this version").returncode == 0, "it goes on beside the version after"
    ended = command_of(after, owner, "journal", "finish-upgrade", "--yes")
    assert ended.returncode == 0 and "1 of the steps do more than add" in ended.stdout, ended
    assert "zinc_changed" in tables(url)
    refused = owner.run("resume")
    assert refused.returncode != 0 and REFUSES in refused.stderr
    assert "paused" in command_of(after, owner, "doctor").stdout


def test_digests_that_change_leave_no_version_before_beside_this_one() -> None:
    assert TWINS_RENEWED_AT <= BESIDE, "orders of the version before would not be known again by this one"
