"""`zinc-mcp orders`, `pause` and `resume` show and change a real journal."""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from keyboard import at_a_terminal
from started import Started

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Draft, Entry, Limits, Mode, State

_DAY = 86_400.0


def _journal(started: Started, now: float | None = None) -> Journal:
    clock = time.time if now is None else lambda: now
    return Journal.open(f"sqlite:///{started.home / 'journal.db'}", clock=clock)


def _opened(
    journal: Journal,
    twin: str = "twin",
    city: str = "New York",
    *,
    mode: Mode = "test",
    caller: str = "local",
    given_key: str | None = None,
) -> Entry:
    draft = Draft(
        caller=caller,
        mode=mode,
        origin="https://api.zinc.com",
        account="fingerprint",
        rail="account",
        twin=twin,
        body_digest=f"digest of {twin}",
        given_key=given_key,
        to_bytes=lambda key: b'{"address_line1": "1 Planted St"}',
        ceiling_cents=5000,
        fee_cents=100,
        facts={"retailer": "amazon.com", "ship_to": {"name": "Ada Lovelace", "city": city}},
    )
    entry = journal.open_entry(draft, Limits(), owner="test", lease_seconds=60.0, window_seconds=_DAY)
    assert isinstance(entry, Entry)
    return entry


def _unknown(journal: Journal) -> Entry:
    sending = journal.move(_opened(journal), "sending", "sent", attempts=1)
    return journal.move(sending, "unknown", "no answer", detail={"reason": "timeout"}, lease_until=None)


def test_an_empty_journal_lists_no_orders(tmp_path: Path) -> None:
    started = Started(tmp_path)
    assert started.run("orders").stdout == "No orders yet.\n"
    assert started.run("orders", "--json").stdout == "[]\n"


def test_orders_are_listed_with_what_they_may_cost(tmp_path: Path) -> None:
    started = Started(tmp_path)
    with _journal(started) as journal:
        entry = _opened(journal)
    header, row = started.run("orders").stdout.splitlines()
    named = ["Opened +00:00", "Mode", "What", "From", "State", "Money", "Next step", "Key", "Order"]
    assert re.split("  +", header) == named
    assert re.split("  +", row)[1:] == ["test", "amazon.com", "waiting", "up to $51.00", "wait", entry.key]
    assert started.run("orders", "--mode", "live").stdout == "No orders yet.\n"


def test_one_order_is_shown_with_everything_that_happened_to_it(tmp_path: Path) -> None:
    started = Started(tmp_path)
    with _journal(started) as journal:
        entry = _unknown(journal)
    shown = started.run("orders", "show", entry.key).stdout
    assert "unknown" in shown
    assert "no answer (reason: timeout)" in shown
    assert f"orders resolve --bought ID {entry.key}\n" in shown
    assert f"orders resolve --not-bought {entry.key}\n" in shown
    assert "Planted St" not in shown


def test_json_holds_the_entry_and_its_events_and_not_the_body(tmp_path: Path) -> None:
    started = Started(tmp_path)
    with _journal(started) as journal:
        entry = _unknown(journal)
    printed = started.run("orders", "show", entry.key, "--json").stdout
    record = json.loads(printed)
    assert (record["state"], record["counts_cents"], record["body_kept"]) == ("unknown", 5100, True)
    assert [event["state"] for event in record["events"]] == ["waiting", "sending", "unknown"]
    assert "Planted St" not in printed
    assert json.loads(started.run("orders", "--json").stdout)[0]["key"] == entry.key


def test_control_characters_in_the_journal_do_not_reach_the_terminal(tmp_path: Path) -> None:
    started = Started(tmp_path)
    with _journal(started) as journal:
        entry = _opened(journal, city="New\x1b[2J\u202eYork")
    for printed in (started.run("orders", "show", entry.key).stdout, started.run("orders", "--json").stdout):
        assert "\x1b" not in printed
        assert "\u202e" not in printed


def test_an_unknown_order_is_a_sentence(tmp_path: Path) -> None:
    ended = Started(tmp_path).run("orders", "show", "nothing")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "No order with this key or id" in ended.stderr


needs_a_terminal = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")


@needs_a_terminal
@pytest.mark.parametrize(
    ("words", "state", "counts"), [("--bought ord_1", "accepted", 5100), ("--not-bought", "rejected", 0)]
)
def test_the_owner_has_the_last_word_on_a_doubtful_order(tmp_path: Path, words: str, state: str, counts: int) -> None:
    started = Started(tmp_path)
    with _journal(started) as journal:
        entry = _unknown(journal)
    code, screen = at_a_terminal(["orders", "resolve", entry.key, *words.split()], started.environment)
    assert (code, f"{entry.key} is now {state}." in screen) == (0, True)
    with _journal(started) as journal:
        after = journal.read(entry.id)
    assert (after.state, after.counts_cents) == (state, counts)


@pytest.mark.parametrize("words", ["", "--bought ord_1 --not-bought"])
def test_resolving_takes_either_bought_or_not_bought(tmp_path: Path, words: str) -> None:
    started = Started(tmp_path)
    with _journal(started) as journal:
        entry = _unknown(journal)
    assert started.run("orders", "resolve", entry.key, *words.split()).returncode == 2
    with _journal(started) as journal:
        assert journal.read(entry.id).state == "unknown"


@needs_a_terminal
def test_an_order_that_is_not_in_doubt_is_not_resolved(tmp_path: Path) -> None:
    started = Started(tmp_path)
    with _journal(started) as journal:
        entry = _opened(journal)
    code, screen = at_a_terminal(["orders", "resolve", entry.key, "--not-bought"], started.environment)
    assert (code, "not in doubt" in screen) == (1, True)


def test_purge_forgets_old_finished_orders(tmp_path: Path) -> None:
    started = Started(tmp_path)
    with _journal(started, now=time.time() - 40 * _DAY) as journal:
        done = journal.move(_opened(journal, "done"), "refused", "limits")
        waiting = _opened(journal, "waiting")
    assert "1 order." in started.run("orders", "purge", "--older-than", "30").stdout
    with _journal(started) as journal:
        assert journal.read(done.id).body is None
        assert journal.read(waiting.id).body is not None


def test_a_pause_is_shown_and_ended(tmp_path: Path) -> None:
    started = Started(tmp_path)
    assert started.run("pause", "on holiday").stdout.endswith("-m zinc_mcp resume\n")
    assert "Paused: on holiday." in started.run("orders").stdout
    assert "on holiday" in started.run("resume").stdout
    assert started.run("resume").stdout == "Nothing was paused.\n"
    assert "Paused" not in started.run("orders").stdout


def test_a_journal_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    started = Started(tmp_path)
    (started.home / "journal.db").mkdir(parents=True)
    ended = started.run("orders")
    assert ended.returncode == 1
    assert "journal" in ended.stderr


def _failed_by_wallet(journal: Journal) -> Entry:
    entry = journal.move(_opened(journal), "sending", "sent", authorised_cents=5100, rail="agent")
    return journal.move(entry, "failed", "Zinc says order_failed")


@needs_a_terminal
def test_the_owner_says_in_a_terminal_how_much_money_came_back(tmp_path: Path) -> None:
    started = Started(tmp_path)
    with _journal(started) as journal:
        entry = _failed_by_wallet(journal)
    assert "$51.00 up front, $0.00 back" in started.run("orders").stdout
    code, screen = at_a_terminal(["orders", "refunded", entry.key, "2000"], started.environment)
    assert (code, "$20.00 has come back; $31.00 counts" in screen) == (0, True)
    code, screen = at_a_terminal(["orders", "refunded", entry.key, "5101"], started.environment)
    assert (code, "At most $51.00 can come back" in screen) == (1, True)
    with _journal(started) as journal:
        assert journal.read(entry.id).counts_cents == 3100


def test_without_a_terminal_nobody_has_the_owners_word(tmp_path: Path) -> None:
    started = Started(tmp_path)
    with _journal(started) as journal:
        paid = _failed_by_wallet(journal)
        doubtful = _unknown(journal)
    for words in (("refunded", paid.key, "5100"), ("resolve", doubtful.key, "--not-bought")):
        ended = started.quickly("orders", *words)
        assert ended.returncode == 1
        assert "terminal" in ended.stderr
    with _journal(started) as journal:
        assert journal.read(paid.id).counts_cents == 5100
        assert journal.read(doubtful.id).state == "unknown"


# Keys that several share


def _shared(journal: Journal, mode: Mode, state: State, caller: str = "local", **changes: Any) -> Entry:
    entry = _opened(journal, f"{mode} {caller}", mode=mode, caller=caller, given_key="order-1")
    sent = journal.move(entry, "sending", "sent", attempts=1, **changes)
    return journal.move(sent, state, "as it is", lease_until=None)


@needs_a_terminal
def test_of_several_orders_with_one_key_the_last_word_is_on_the_one_in_doubt(tmp_path: Path) -> None:
    started = Started(tmp_path)
    with _journal(started) as journal:
        live = _shared(journal, "live", "unknown")
        test = _shared(journal, "test", "placed")
    code, screen = at_a_terminal(["orders", "resolve", "order-1", "--not-bought"], started.environment)
    assert (code, "order-1 is now rejected" in screen) == (0, True), screen
    with _journal(started) as journal:
        assert (journal.read(live.id).state, journal.read(test.id).state) == ("rejected", "placed")


@needs_a_terminal
def test_where_several_with_one_key_are_in_doubt_the_owner_says_which(tmp_path: Path) -> None:
    started = Started(tmp_path)
    with _journal(started) as journal:
        entries = [_shared(journal, mode, "unknown", caller) for mode, caller in MANY]
    resolve = ["orders", "resolve", "order-1", "--not-bought"]
    for words in (resolve, [*resolve, "--mode", "live"], [*resolve, "--caller", "local"]):
        code, screen = at_a_terminal(words, started.environment, columns=300)
        assert (code, "nothing was changed" in screen) == (1, True), screen
        assert "--mode live --caller local" in screen
    shown = started.run("orders", "show", "order-1").stdout
    assert "orders resolve --not-bought --mode live --caller local order-1\n" in shown
    code, screen = at_a_terminal([*resolve, "--mode", "live", "--caller", "local"], started.environment)
    assert code == 0, screen
    with _journal(started) as journal:
        states = {(entry.mode, entry.caller): journal.read(entry.id).state for entry in entries}
    assert states == dict.fromkeys(MANY, "unknown") | {("live", "local"): "rejected"}


MANY: list[tuple[Mode, str]] = [("live", "ada"), ("live", "local"), ("test", "local")]


@needs_a_terminal
def test_of_several_orders_with_one_key_money_came_back_of_the_one_that_it_is_owed_for(tmp_path: Path) -> None:
    started = Started(tmp_path)
    with _journal(started) as journal:
        owed = _shared(journal, "live", "failed", authorised_cents=5100, rail="agent")
        _shared(journal, "test", "accepted", authorised_cents=5100, rail="agent")
        _shared(journal, "sandbox", "placed")
    words = ["orders", "refunded", "order-1"]
    assert at_a_terminal([*words, "5000"], started.environment)[0] == 0
    with _journal(started) as journal:
        assert journal.read(owed.id).counts_cents == 100
        also = _shared(journal, "live", "failed", "ada", authorised_cents=5100, rail="agent")
    code, screen = at_a_terminal([*words, "5100"], started.environment, columns=300)
    assert (code, "--mode live --caller ada" in screen) == (1, True), screen
    assert at_a_terminal([*words, "5100", "--caller", "local", "--mode", "live"], started.environment)[0] == 0
    with _journal(started) as journal:
        assert (journal.read(owed.id).counts_cents, journal.read(also.id).counts_cents) == (0, 5100)


def test_a_pause_of_one_caller_is_shown_and_ended_like_any(tmp_path: Path) -> None:
    started = Started(tmp_path)
    with _journal(started) as journal:
        journal.pause("charged too much", _opened(journal))
    assert "Paused: charged too much." in started.run("orders").stdout
    assert "Paused: charged too much" in started.run("policy").stdout
    assert "charged too much" in started.run("doctor").stdout
    assert "charged too much" in started.run("resume").stdout
    assert started.run("resume").stdout == "Nothing was paused.\n"
