"""The journal keeps versions, leases, limits and the owner's words on SQLite and on a real PostgreSQL."""

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import HandClock
from wanted import ADDRESS, order

from zinc_mcp.errors import JournalError, LimitExceededError, RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.clocks import Times
from zinc_mcp.journal.records.entry import Draft, Entry, Limits, Mode, Resembling, StaleEntryError, Standing
from zinc_mcp.journal.records.twin import body_digest, to_bytes, twin_digest


@pytest.fixture
def journal(url: str, clock: HandClock) -> Iterator[Journal]:
    times = Times(clock)
    times.heard(clock())  # Zinc has told the time, which goes on as the clock of the test does
    with Journal.open(url, clock=clock, uptime=None, times=times) as journal:
        yield journal


def draft(number: int = 0, caller: str = "local", mode: Mode = "test", price: int = 5000, **changes: Any) -> Draft:
    wanted = order(products=[{"url": f"https://www.amazon.com/dp/B{number:09d}"}], max_price=price, **changes)
    twin = twin_digest(caller, wanted)
    return Draft(
        caller=caller,
        mode=mode,
        origin="https://api.zinc.com",
        account="fingerprint",
        rail="account",
        twin=twin,
        body_digest=body_digest(wanted),
        given_key=wanted.idempotency_key,
        to_bytes=lambda key: to_bytes(wanted, key, twin),
        ceiling_cents=price,
        fee_cents=100,
        facts={"retailer": "amazon.com", "ship_to": {"name": "Ada Buyer", "city": "New York"}},
    )


def opened(journal: Journal, wanted: Draft, limits: Limits | None = None, **options: Any) -> Entry | Standing:
    entry = journal.open_entry(
        wanted, limits or Limits(), owner="me", lease_seconds=30, window_seconds=86_400, **options
    )
    assert not isinstance(entry, Resembling)
    return entry


def entry(journal: Journal, wanted: Draft, **options: Any) -> Entry:
    found = opened(journal, wanted, **options)
    assert isinstance(found, Entry)
    return found


def test_an_entry_is_waiting_with_its_exact_bytes_and_its_reservation(journal: Journal) -> None:
    wanted = draft()
    made = entry(journal, wanted)
    assert (made.state, made.version, made.reserved_cents, made.counts_cents) == ("waiting", 1, 5100, 5100)
    assert made.body == wanted.to_bytes(made.key)
    assert journal.find(made.key, caller="local") == made


def test_nothing_counts_in_an_empty_journal(journal: Journal) -> None:
    assert journal.counted("local", "test", 86_400.0) == (0, 0)


def test_the_callers_of_a_mode_are_those_whose_orders_count_in_it(journal: Journal) -> None:
    entry(journal, draft(1, "ada"))
    entry(journal, draft(2, "bob", mode="live"))
    assert (journal.callers("test"), journal.callers("live")) == (["ada"], ["bob"])


def test_the_hash_of_a_pin_is_kept_until_the_pin_ends(journal: Journal, clock: HandClock) -> None:
    journal.set_pin("planted hash")
    journal.end_pin(clock() + 60)
    assert (journal.pin(), journal.pin_ends()) == ("planted hash", clock() + 60)
    clock.pass_seconds(60)
    assert journal.pin() is None


def test_a_change_returns_the_entry_as_it_stands_in_the_journal(journal: Journal) -> None:
    sent = entry(journal, draft(), sending=lambda: {"attempts": 1, "consent": {"by": "limits", "asked": [1, None]}})
    assert journal.read(sent.id) == sent
    told: dict[str, Any] = {
        "order_id": "o-1",
        "status": "pending",
        "seen": "digest",
        "spent_cents": None,
        "lease_until": 1.5,
    }
    landed = journal.move(sent, "accepted", "accepted by Zinc", **told)
    assert journal.read(sent.id) == landed
    ended = journal.move(
        landed, "failed", "out of stock", problem={"code": "a", "facts": {"left": 0}}, consent=None, facts={"of": "it"}
    )
    assert journal.read(sent.id) == ended


def test_a_change_of_an_older_version_is_refused_and_shows_how_it_stands(journal: Journal) -> None:
    made = entry(journal, draft())
    moved = journal.move(made, "sending", "sending")
    with pytest.raises(StaleEntryError) as stale:
        journal.move(made, "refused", "too late")
    assert stale.value.current == moved


def test_every_change_appends_an_event(journal: Journal) -> None:
    made = entry(journal, draft())
    journal.move(journal.move(made, "sending", "off it goes"), "accepted", "there", order_id="o-1")
    assert [(event.version, event.state, event.what) for event in journal.events(made.id)] == [
        (1, "waiting", "opened"),
        (2, "sending", "off it goes"),
        (3, "accepted", "there"),
    ]


def test_the_same_intention_is_answered_with_the_entry_that_stands(journal: Journal) -> None:
    made = entry(journal, draft())
    assert opened(journal, draft(price=7000)) == Standing(made, same_key=False)


def test_an_entry_in_doubt_stands_for_ever_and_cannot_be_bought_again(journal: Journal, clock: HandClock) -> None:
    made = journal.move(journal.move(entry(journal, draft()), "sending", ""), "unknown", "")
    clock.pass_seconds(400 * 86_400)
    assert opened(journal, draft(), again=[made.id]) == Standing(made, same_key=False)


def test_a_twin_that_may_be_bought_again_gets_another_key(journal: Journal) -> None:
    first = entry(journal, draft())
    second = entry(journal, draft(), again=[first.id])
    assert first.key != second.key


def test_keys_are_derived_alike_in_another_journal(journal: Journal, tmp_path: Path, clock: HandClock) -> None:
    with Journal.open(f"sqlite:///{tmp_path / 'other.db'}", clock=clock) as other:
        assert entry(journal, draft()).key == entry(other, draft()).key


def test_two_callers_may_use_the_same_given_key(journal: Journal) -> None:
    assert entry(journal, draft(caller="ada", idempotency_key="k")).key == "k"
    assert entry(journal, draft(caller="bob", idempotency_key="k")).key == "k"


def test_a_lease_is_held_by_one_until_it_ends(journal: Journal, clock: HandClock) -> None:
    made = journal.move(entry(journal, draft()), "unknown", "", lease_owner=None, lease_until=None)
    claimed = journal.claim(made, "one", 30)
    assert claimed is not None
    assert journal.claim(made, "two", 30) is None, "of an older version"
    assert journal.claim(claimed, "two", 30) is None
    assert journal.claim(claimed, "one", 30) is None, "not even by another task of the same process"
    clock.pass_seconds(31)
    taken = journal.claim(claimed, "two", 30)
    assert taken is not None
    assert [event.what for event in journal.events(made.id)][-2:] == ["claimed", "taken over"]


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("limits", "admitted"),
    [
        (Limits(day_cents=15_300), 3),
        (Limits(day_cents=15_299), 2),
        (Limits(month_cents=10_200), 2),
        (Limits(orders_day=1), 1),
        (Limits(), 6),
        (Limits(day_cents=0), 0),
    ],
)
def test_limits_admit_exactly_what_fits(journal: Journal, limits: Limits, admitted: int) -> None:
    count = 0
    for number in range(6):
        try:
            entry(journal, draft(number), limits=limits)
            count += 1
        except LimitExceededError:
            pass
    assert count == admitted


def test_a_day_and_a_month_are_counted_each_on_its_own(journal: Journal, clock: HandClock) -> None:
    limits = Limits(day_cents=5100, month_cents=10_200, orders_day=1)
    entry(journal, draft(1), limits=limits)
    clock.pass_seconds(2 * 86_400)
    entry(journal, draft(2), limits=limits)
    with pytest.raises(LimitExceededError) as day:
        entry(journal, draft(3), limits=limits)
    clock.pass_seconds(2 * 86_400)
    with pytest.raises(LimitExceededError) as month:
        entry(journal, draft(3), limits=limits)
    clock.pass_seconds(27 * 86_400)
    entry(journal, draft(3), limits=limits)
    with pytest.raises(LimitExceededError) as number:
        entry(journal, draft(4), limits=Limits(month_cents=10**9, orders_day=1))
    assert [each.value.facts["period"] for each in (day, month, number)] == ["24 hours", "30 days", "24 hours"]
    assert (month.value.facts["left_cents"], number.value.facts["orders"]) == (0, 1)


def test_limits_are_each_callers_and_each_modes_own(journal: Journal) -> None:
    limits = Limits(day_cents=5100)
    for caller in ("ada", "bob"):
        for mode in ("live", "test", "sandbox"):
            entry(journal, draft(1, caller, mode), limits=limits)
            with pytest.raises(LimitExceededError):
                entry(journal, draft(2, caller, mode), limits=limits)


def test_a_clock_that_jumps_back_lifts_no_limit(journal: Journal, clock: HandClock) -> None:
    entry(journal, draft(1), limits=Limits(day_cents=5100))
    clock.pass_seconds(-3 * 86_400)
    with pytest.raises(LimitExceededError):
        entry(journal, draft(2), limits=Limits(day_cents=5100))


def test_racing_threads_open_exactly_what_the_limit_admits(url: str) -> None:
    """As several processes would: each with connections of its own."""
    Journal.open(url).close()
    done: list[object] = []

    def race(start: int) -> None:
        with Journal.open(url) as mine:
            for number in range(start, start + 10):
                try:
                    done.append(entry(mine, draft(number), limits=Limits(day_cents=51_000)))
                except LimitExceededError as error:
                    done.append(error)

    threads = [threading.Thread(target=race, args=(start,)) for start in (0, 10, 20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 40
    assert sum(isinstance(each, Entry) for each in done) == 10


def test_racing_threads_open_one_entry_for_one_intention(url: str) -> None:
    Journal.open(url).close()
    done: list[Entry | Standing] = []

    def race() -> None:
        with Journal.open(url) as mine:
            done.append(opened(mine, draft()))

    threads = [threading.Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(each, Entry) for each in done) == 1
    assert len(done) == 6


def test_a_paused_journal_opens_and_sends_nothing(journal: Journal) -> None:
    waiting = entry(journal, draft(1))
    journal.pause("looking into it")
    attempts: list[Callable[[], object]] = [
        lambda: entry(journal, draft(2)),
        lambda: journal.move(waiting, "sending", ""),
    ]
    for attempt in attempts:
        with pytest.raises(RefusedError) as refused:
            attempt()
        assert refused.value.code == "paused"
    journal.move(waiting, "refused", "looking and ending still work")
    journal.resume()
    entry(journal, draft(2))


def test_a_purge_forgets_bodies_and_addresses_and_keeps_digests_and_money(journal: Journal, clock: HandClock) -> None:
    done = journal.move(entry(journal, draft(1)), "placed", "", spent_cents=4000, counts_cents=4000, order_id="o-1")
    running = journal.move(entry(journal, draft(2)), "accepted", "", order_id="o-2")
    clock.pass_seconds(100)
    assert journal.purge(99) == 1
    kept = journal.read(done.id)
    assert (kept.body, kept.facts, kept.twin, kept.counts_cents) == (None, {"retailer": "amazon.com"}, done.twin, 4000)
    assert journal.read(running.id).body is not None


def test_the_owners_last_word_ends_a_doubt(journal: Journal) -> None:
    bought = journal.move(entry(journal, draft(1)), "unknown", "")
    lost = journal.move(entry(journal, draft(2)), "unknown", "")
    assert journal.resolve(bought.key, order_id="o-1").state == "accepted"
    resolved = journal.resolve(lost.key, order_id=None)
    assert (resolved.state, resolved.counts_cents) == ("rejected", 0)
    with pytest.raises(RefusedError):
        journal.resolve(lost.key, order_id="o-2")
    with pytest.raises(RefusedError):
        journal.resolve("no-such-key", order_id=None)


def test_an_order_on_the_wire_cannot_be_resolved(journal: Journal, clock: HandClock) -> None:
    sending = journal.move(entry(journal, draft()), "sending", "", lease_owner="me", lease_until=clock.now + 75)
    with pytest.raises(RefusedError):
        journal.resolve(sending.key, order_id=None)


def test_an_order_is_adopted_once(journal: Journal, clock: HandClock) -> None:
    first = journal.adopt(draft(), "key-1", "o-1", "pending", clock.now - 10)
    assert journal.adopt(draft(), "key-1", "o-1", "pending", clock.now - 10) == first
    assert opened(journal, draft()) == Standing(first, same_key=False)


def test_an_adopted_order_replaces_only_its_own_caller_s_unsent_entry(journal: Journal, clock: HandClock) -> None:
    never_sent = journal.move(entry(journal, draft(1, idempotency_key="key-1")), "refused", "limits")
    another = entry(journal, draft(1, caller="ada", idempotency_key="key-1"))
    adopted = journal.adopt(draft(1), "key-1", "o-1", "pending", clock.now - 10)
    assert adopted.id == never_sent.id
    assert journal.read(another.id) == another
    assert (adopted.state, adopted.order_id, adopted.caller) == ("accepted", "o-1", "local")
    assert journal.adopt(draft(1), "key-1", "o-1", "pending", clock.now - 10) == adopted


def test_no_failure_of_the_journal_shows_an_address(journal: Journal) -> None:
    made = entry(journal, draft())
    with pytest.raises(JournalError) as failed:
        journal.move(made, "accepted", "", no_such_column="x" + str(ADDRESS["address_line1"]))
    assert "Planted" not in repr(failed.value) + str(failed.value.__cause__)
    assert "Planted" not in repr(made)


# Journals in a file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    with Journal.open(f"sqlite:///{path}") as journal:
        entry(journal, draft())
    return path


def sentence_of(use: Callable[[], object]) -> str:
    with pytest.raises(JournalError) as failed:
        use()
    return failed.value.summary


def test_the_file_is_its_owners_alone(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    Journal.open(f"sqlite:///{file}").close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_journal_of_a_newer_version_is_left_alone(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("update zinc_meta set value='99' where name='schema'")
    before = file.read_bytes()
    assert "newer version" in sentence_of(lambda: Journal.open(f"sqlite:///{file}"))
    assert file.read_bytes() == before


def test_a_damaged_journal_is_kept_and_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is not a database, but somebody's notes" * 100)
    before = path.read_bytes()
    assert "damaged" in sentence_of(lambda: Journal.open(f"sqlite:///{path}"))
    assert path.read_bytes() == before


def test_a_folder_that_is_a_file_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way", encoding="utf-8")
    assert "cannot be opened" in sentence_of(lambda: Journal.open(f"sqlite:///{tmp_path / 'home' / 'journal.db'}"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_refuses(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    assert "cannot be opened for writing" in sentence_of(lambda: Journal.open(f"sqlite:///{folder / 'journal.db'}"))


def test_a_full_disk_refuses_and_loses_nothing(file: Path) -> None:
    with Journal.open(f"sqlite:///{file}") as journal:
        with journal._engine.connect() as connection:  # pyright: ignore[reportPrivateUsage]  # the disk of this journal
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        with pytest.raises(JournalError) as failed:
            for number in range(1, 200):
                entry(journal, draft(number))
        assert "full" in failed.value.summary
        before = len(journal.entries(1000))
    with Journal.open(f"sqlite:///{file}") as journal:
        assert len(journal.entries(1000)) == before


@pytest.mark.parametrize("url", ["mysql://h/db", "not a url", "oracle://h"])
def test_another_database_is_refused(url: str) -> None:
    assert "journal" in sentence_of(lambda: Journal.open(url)).lower()


def test_a_database_password_is_in_no_sentence() -> None:
    url = "postgresql://user:planted-password@127.0.0.1:1/none?connect_timeout=1"
    with pytest.raises(JournalError) as failed:
        Journal.open(url)
    assert "planted-password" not in repr(failed.value) + str(failed.value) + repr(failed.value.__cause__)
