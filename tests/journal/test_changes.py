"""Returns and reports in the journal, on both databases: opened once, found apart, and never taken for orders."""

import threading
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from conftest import HandClock
from journal.test_journal import draft as order_draft
from journal.test_journal import entry as order_entry

from zinc_mcp.errors import LimitExceededError, RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Draft, Entry, Limits, StaleEntryError, Standing
from zinc_mcp.journal.records.twin import change_digest

ORDER = "6f0c1a8e-0000-4000-8000-00000000aaaa"


@pytest.fixture
def journal(url: str, clock: HandClock) -> Generator[Journal]:
    with Journal.open(url, clock=clock, uptime=None) as opened:
        yield opened


def draft(word: str = "one", caller: str = "local", kind: Any = "return", order_id: str = ORDER) -> Draft:
    def body(key: str) -> bytes:
        return f"planted {word}".encode()

    return replace(
        order_draft(caller=caller),
        twin=change_digest([kind, caller, order_id, word]),
        body_digest=word,
        given_key=None,
        to_bytes=body,
        ceiling_cents=0,
        fee_cents=0,
        facts={"action": "return", "retailer": "amazon.com", "reason": "other", "note": "planted note"},
        kind=kind,
        order_id=order_id,
    )


def admit(others: Sequence[Entry]) -> None:
    """Admit everything."""


def opened(journal: Journal, wanted: Draft, **options: Any) -> Entry | Standing:
    given: dict[str, Any] = {"admits": admit, "sending": None, **options}
    return journal.open_change(wanted, owner="me", lease_seconds=30, window_seconds=86_400, repeat_seconds=600, **given)


def entry(journal: Journal, wanted: Draft, **options: Any) -> Entry:
    found = opened(journal, wanted, **options)
    assert isinstance(found, Entry)
    return found


def test_a_change_costs_nothing_and_counts_against_no_limit(journal: Journal) -> None:
    made = entry(journal, draft(), sending=lambda: {"attempts": 1, "consent": {"how": "none"}})
    assert (made.state, made.reserved_cents, made.counts_cents, made.order_id) == ("sending", 0, 0, ORDER)
    assert journal.counted("local", "test", 86_400) == (0, 0)
    full = Limits(day_cents=0, orders_day=0)
    assert isinstance(full, Limits)
    assert journal.filling(draft(), LimitExceededError("it is full")) == []


def test_the_same_change_is_opened_once_and_in_doubt_for_ever(journal: Journal, clock: HandClock) -> None:
    first = entry(journal, draft())
    again = opened(journal, draft())
    assert isinstance(again, Standing)
    assert again.entry.id == first.id
    doubted = journal.move(journal.move(first, "sending", "sent"), "unknown", "no answer")
    clock.pass_seconds(10**7)
    still = opened(journal, draft())
    assert isinstance(still, Standing)
    assert still.entry.id == doubted.id
    other = entry(journal, draft("two"))
    placed = journal.move(journal.move(other, "sending", "sent"), "placed", "accepted")
    clock.pass_seconds(86_401)
    assert entry(journal, draft("two")).id != placed.id
    assert isinstance(opened(journal, draft(caller="bob")), Entry)


def test_lists_and_searches_of_orders_hold_no_changes(journal: Journal) -> None:
    bought = order_entry(journal, order_draft())
    bought = journal.move(journal.move(bought, "sending", "sent"), "placed", "accepted", order_id=ORDER)
    made = entry(journal, draft())
    assert [each.id for each in journal.entries()] == [bought.id]
    assert journal.find(ORDER) == bought
    assert journal.find(made.key) is None
    assert journal.find_change(made.key) == made
    assert journal.find_change(made.key, caller="bob") is None
    assert journal.find_change(bought.key) is None
    assert [each.id for each in journal.all_under(ORDER)] == [bought.id]
    assert [each.id for each in journal.all_under(made.key)] == [made.id]
    assert journal.changes_of(ORDER, "local", "test") == [made]
    assert journal.changes_of(ORDER, "bob", "test") == journal.changes_of(ORDER, "local", "live") == []
    assert journal.unfinished(mode="test") == []
    assert journal.unfinished({"waiting"}, mode="test", kinds={"return", "case"}) == [made]
    assert journal.unsettled_changes() == [made]
    assert journal.adopt(order_draft(1), "key-of-another-journal", ORDER, "order_placed", 0.0) == bought
    assert journal.near_twins(made, 86_400) == []


def test_other_changes_of_the_order_are_seen_under_the_lock(url: str, journal: Journal, clock: HandClock) -> None:
    won: list[int] = []

    def alone(others: Sequence[Entry]) -> None:
        if others:
            raise RefusedError("There is one already.")

    def one(number: int) -> None:
        with Journal.open(url, clock=clock, uptime=None) as mine:
            try:
                won.append(entry(mine, draft(f"word {number}"), admits=alone).id)
            except RefusedError:
                pass

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(journal.changes_of(ORDER, "local", "test")) == 1


def test_a_pause_of_everything_stops_changes_and_one_about_money_does_not(journal: Journal) -> None:
    bought = order_entry(journal, order_draft())
    made = entry(journal, draft())
    journal.pause("charged too much", of=bought)
    assert journal.move(made, "sending", "sent").state == "sending"
    second = entry(journal, draft("two"))
    journal.pause("the owner")
    with pytest.raises(RefusedError) as paused:
        journal.move(second, "sending", "sent")
    assert paused.value.code == "paused"
    with pytest.raises(RefusedError):
        opened(journal, draft("three"))


def test_the_owners_word_ends_a_doubt_about_a_change(journal: Journal) -> None:
    doubted = journal.move(journal.move(entry(journal, draft()), "sending", "sent"), "unknown", "no answer")
    filed = journal.resolve(doubted.key, order_id="return-7")
    assert (filed.state, filed.order_id, filed.facts["zinc_id"]) == ("placed", ORDER, "return-7")
    other = journal.move(journal.move(entry(journal, draft("two")), "sending", "sent"), "unknown", "no answer")
    ended = journal.resolve(other.key, order_id=None)
    assert (ended.state, ended.counts_cents) == ("rejected", 0)
    assert (ended.problem or {})["summary"] == "The owner stated that Zinc has not got this return."
    with pytest.raises(RefusedError):
        journal.resolve(other.key, order_id=None)
    with pytest.raises(StaleEntryError):
        journal.move(doubted, "placed", "found")


def test_a_purge_forgets_the_content_of_a_change_and_keeps_its_state(journal: Journal, clock: HandClock) -> None:
    sent = journal.move(entry(journal, draft()), "sending", "sent")
    facts = {**sent.facts, "zinc_id": "return-7"}
    journal.move(sent, "placed", "accepted", facts=facts, status="open")
    doubted = journal.move(journal.move(entry(journal, draft("two")), "sending", "sent"), "unknown", "no answer")
    clock.pass_seconds(1000)
    assert journal.purge(10) == 1
    kept = journal.read(sent.id)
    assert (kept.body, kept.order_id, kept.status) == (None, ORDER, "open")
    assert kept.facts == {"action": "return", "retailer": "amazon.com", "zinc_id": "return-7"}
    assert journal.read(doubted.id).body == b"planted two"
