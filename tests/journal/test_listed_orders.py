"""The lists of a journal for `list_orders` and `get_balance`, on SQLite and on PostgreSQL."""

import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import HandClock

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import DAY_SECONDS, Draft, Entry, Limits, Mode, State
from zinc_mcp.known_settings import RailName


@pytest.fixture
def journal(url: str, clock: HandClock) -> Generator[Journal]:
    with Journal.open(url, clock=clock) as opened:
        yield opened


def opened(
    journal: Journal,
    number: int,
    *,
    caller: str = "local",
    mode: Mode = "test",
    rail: RailName = "account",
    cents: int = 1_000,
) -> Entry:
    draft = Draft(
        caller=caller,
        mode=mode,
        origin="https://zinc.example",
        account="a",
        rail=rail,
        twin=f"{number:064d}",
        body_digest=f"{number:064d}",
        given_key=None,
        to_bytes=lambda key: key.encode(),
        ceiling_cents=cents,
        fee_cents=100,
        facts={},
    )
    entry = journal.open_entry(draft, Limits(), owner="o", lease_seconds=30, window_seconds=DAY_SECONDS)
    assert isinstance(entry, Entry)
    return entry


def test_orders_of_a_caller_are_listed_by_time_newest_first(journal: Journal, clock: HandClock) -> None:
    start = clock.now
    entries: list[Entry] = []
    for number in range(4):
        entries.append(opened(journal, number))
        clock.pass_seconds(60)
    opened(journal, 10, caller="ada")
    opened(journal, 11, mode="live")

    def ids(since: float | None, until: float | None, limit: int = 50) -> list[int]:
        return [entry.id for entry in journal.listed("local", ("test", "sandbox"), since, until, limit)]

    one, two, three, four = (entry.id for entry in entries)
    assert ids(None, None) == [four, three, two, one]
    assert ids(start + 60, None) == [four, three, two]
    assert ids(None, start + 60) == [one]
    assert ids(start + 60, start + 180) == [three, two]
    assert ids(None, None, limit=2) == [four, three]
    journal.move(entries[0], "sending", "x", zinc_at=start + 500)
    assert ids(start + 400, None) == [one], "by Zinc's clock as well"


def test_the_oldest_order_that_counts_frees_its_money_next(journal: Journal, clock: HandClock) -> None:
    start = clock.now
    for number in range(3):
        opened(journal, number, cents=1_000 * (number + 1))
        clock.pass_seconds(60)
    opened(journal, 9, caller="ada")
    refused = opened(journal, 10)
    journal.move(refused, "refused", "x", counts_cents=0)
    freed = journal.freed("local", "test", DAY_SECONDS, 2)
    assert freed == [(start + DAY_SECONDS, 1_100), (start + 60 + DAY_SECONDS, 2_100)]
    clock.pass_seconds(DAY_SECONDS - 179)
    assert [cents for _, cents in journal.freed("local", "test", DAY_SECONDS, 9)] == [2_100, 3_100]


def test_an_order_paid_by_wallet_is_listed_once_it_is_over(journal: Journal, clock: HandClock) -> None:
    failed = opened(journal, 1, rail="agent")
    placed = opened(journal, 2, rail="agent")
    waiting = opened(journal, 3, rail="agent")
    account = opened(journal, 4)
    ended: list[tuple[Entry, State]] = [(failed, "failed"), (placed, "placed"), (account, "failed")]
    for entry, state in ended:
        journal.move(entry, state, "x", authorised_cents=1_100)
    assert [entry.id for entry in journal.paid_up_front("local", "test", 9)] == [failed.id, placed.id]
    assert waiting.id not in {entry.id for entry in journal.paid_up_front("local", "test", 9)}
    assert journal.unproved_cents("local", "test") == 1_100
    assert journal.unproved_cents("ada", "test") == 0


def test_entries_are_found_by_ids_of_zinc_in_any_case(journal: Journal) -> None:
    own = journal.move(opened(journal, 1), "accepted", "x", order_id="abc-1")
    other = journal.move(opened(journal, 2, caller="ada"), "accepted", "x", order_id="abc-2")
    found = journal.of_orders(["ABC-1", "abc-2", "abc-3"])
    assert {entry.id for entry in found} == {own.id, other.id}


def test_a_pause_is_seen_by_those_it_stops(journal: Journal) -> None:
    entry = opened(journal, 1, rail="agent")

    asked: list[tuple[str, RailName]] = [("local", "agent"), ("local", "account"), ("ada", "agent")]

    def stopped() -> list[bool]:
        return [journal.is_paused(caller, "test", rail) for caller, rail in asked]

    assert stopped() == [False, False, False]
    journal.pause("x", entry)
    assert stopped() == [True, False, False]
    journal.pause("x")
    assert stopped() == [True, True, True]
    journal.resume()
    assert stopped() == [False, False, False]


def test_a_row_that_cannot_be_read_hides_no_other(tmp_path: Path, clock: HandClock) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(f"sqlite:///{path}", clock=clock) as journal:
        good, bad = opened(journal, 1), opened(journal, 2)
        with closing(sqlite3.connect(path)) as database:
            database.execute("update zinc_entries set facts = '{', counts_cents = 'many' where id = ?", (bad.id,))
            database.commit()
        modes: list[Mode] = ["test"]
        assert [entry.id for entry in journal.listed("local", modes, None, None, 9)] == [good.id]
        assert [cents for _, cents in journal.freed("local", "test", DAY_SECONDS, 9)] == [1_100]
