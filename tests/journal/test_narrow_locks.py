"""Many processes open entries for several callers at once: no limit is overrun, no twin is opened twice."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from journal.test_journal import draft, entry
from journal.test_journal_locks import AT_ONCE, needs_signals, seconds_of, standing_still

from zinc_mcp.errors import RefusedError, ZincMcpError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.decision import Admission, QuestionRef
from zinc_mcp.journal.records.entry import Entry, Limits, Rolling, StaleEntryError

CALLERS = ("local", "ada", "grace")
EACH_CENTS = 5100
MOST = 7
"""Orders that the limits of one caller hold."""


def at_once(url: str, work: Callable[[Journal, int], None], processes: int = 6) -> None:
    """Do some work in as many threads, each with a journal of its own."""
    journals = [Journal.open(url) for _ in range(processes)]
    start, failed = threading.Barrier(processes), list[BaseException]()

    def run(journal: Journal, number: int) -> None:
        start.wait()
        try:
            work(journal, number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=each) for each in zip(journals, range(processes), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for journal in journals:
        journal.close()
    assert not failed, failed


@pytest.mark.sampled(2)
@pytest.mark.parametrize("limits", [Limits(day_cents=MOST * EACH_CENTS), Limits(orders_day=MOST)])
def test_limits_hold_and_twins_are_opened_once_while_others_open_and_end_entries(url: str, limits: Limits) -> None:
    Journal.open(url).close()

    def work(journal: Journal, number: int) -> None:
        chosen = random.Random(number)  # noqa: S311  # the same in each run
        for _ in range(25):
            caller, product = chosen.choice(CALLERS), chosen.randrange(12)
            try:
                made = journal.open_entry(
                    draft(product, caller), limits, owner=str(number), lease_seconds=30, window_seconds=86_400
                )
                if isinstance(made, Entry) and chosen.random() < 0.3:  # its money is free again
                    journal.move(made, "refused", "refused", counts_cents=0, spent_cents=0)
            except (RefusedError, StaleEntryError):
                pass

    at_once(url, work)
    with Journal.open(url) as journal:
        for caller in CALLERS:
            standing = [each for each in journal.entries(1000, caller=caller) if each.state == "waiting"]
            assert len(standing) == MOST, "the limit is full, and not more than that"
            assert max(Counter(each.twin for each in standing).values()) == 1
            assert journal.counted(caller, "test", 86_400.0) == (MOST * EACH_CENTS, MOST)


def test_a_yes_to_each_of_many_questions_at_once_keeps_a_limit_that_was_lowered(url: str) -> None:
    with Journal.open(url) as journal:
        asked: list[Entry] = []
        for number in range(12):
            made = entry(journal, draft(number))
            consent: dict[str, Any] = {"how": "page", "id": f"q{number}", "digest": "d", "question": {}, "until": 9e9}
            asked.append(journal.ask(made, consent, 100))
    # The entries themselves count as well: what is admitted is what the others leave.
    admission = Admission(lambda _entry, _kept: Limits(day_cents=8 * EACH_CENTS), lambda: True, 86_400.0, lambda: False)
    taken: list[str] = []

    def work(journal: Journal, number: int) -> None:
        for each in asked[number::6]:
            said = {"how": "page", "when": 1.0}
            took = journal.approve(QuestionRef(each.id, f"q{asked.index(each)}", "d"), None, said, {}, admission)
            taken.append("refused" if took.refusal else took.entry.state)

    at_once(url, work)
    assert Counter(taken) == {"refused": 4, "waiting": 8}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("limited", ["team", "role"])
@pytest.mark.parametrize("most", [Rolling(day_cents=MOST * EACH_CENTS), Rolling(orders_day=MOST)])
def test_limits_over_several_callers_hold_while_all_of_them_open_and_end_entries(
    url: str, limited: str, most: Rolling
) -> None:
    Journal.open(url).close()
    limits = Limits(team=most) if limited == "team" else Limits(role=most)

    def work(journal: Journal, number: int) -> None:
        chosen = random.Random(number)  # noqa: S311  # the same in each run
        for _ in range(25):
            caller, product = chosen.choice(CALLERS), chosen.randrange(12)
            wanted = replace(draft(product, caller), role="admin" if caller == "grace" else "order")
            try:
                made = journal.open_entry(wanted, limits, owner=str(number), lease_seconds=30, window_seconds=86_400)
                if isinstance(made, Entry) and chosen.random() < 0.3:  # its money is free again
                    journal.move(made, "refused", "refused", counts_cents=0, spent_cents=0)
            except (RefusedError, StaleEntryError):
                pass

    at_once(url, work)
    with Journal.open(url) as journal:
        standing = [each for each in journal.entries(1000) if each.state == "waiting"]
        by_role = Counter(each.role for each in standing)
        assert (len(standing) if limited == "team" else by_role["order"]) == MOST, "full, and not more than that"
        together = journal.counted_together("test", "order")
        assert (together.team if limited == "team" else together.role).day_cents == MOST * EACH_CENTS


def asked_about(url: str, entries: int) -> list[Entry]:
    """Return entries of several callers that wait for a yes, each with its question."""
    with Journal.open(url) as journal:
        asked: list[Entry] = []
        for number in range(entries):
            made = entry(journal, replace(draft(number, CALLERS[number % 3]), role="order"))
            consent: dict[str, Any] = {"how": "page", "id": f"q{number}", "digest": "d", "question": {}, "until": 9e9}
            asked.append(journal.ask(made, consent, 100))
    return asked


@pytest.mark.sampled(4)
@pytest.mark.parametrize("known_before", [True, False], ids=["", "the policy gets them while the lock is taken"])
@pytest.mark.parametrize("limited", ["team", "role"])
def test_a_yes_to_each_of_many_callers_at_once_keeps_a_limit_over_all_of_them(
    url: str, limited: str, known_before: bool
) -> None:
    asked = asked_about(url, 12)
    most = Rolling(day_cents=8 * EACH_CENTS)
    limits = Limits(team=most) if limited == "team" else Limits(role=most)
    admission = Admission(lambda _entry, _kept: limits, lambda: True, 86_400.0, lambda: known_before)
    taken: list[str] = []

    def work(journal: Journal, number: int) -> None:
        for each in asked[number::6]:
            said = {"how": "page", "when": 1.0}
            took = journal.approve(QuestionRef(each.id, f"q{asked.index(each)}", "d"), None, said, {}, admission)
            taken.append("refused" if took.refusal else took.entry.state)

    at_once(url, work)
    assert Counter(taken) == {"refused": 4, "waiting": 8}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("known_before", [True, False], ids=["", "the policy gets them while the lock is taken"])
def test_sending_for_many_callers_at_once_keeps_a_limit_over_all_of_them(url: str, known_before: bool) -> None:
    asked = asked_about(url, 12)
    limits = Limits(team=Rolling(orders_day=8))
    admission = Admission(lambda _entry, _kept: limits, lambda: True, 86_400.0, lambda: known_before)
    sent: list[bool] = []

    def work(journal: Journal, number: int) -> None:
        for each in asked[number::6]:
            try:
                journal.move(each, "sending", "sending", admission=admission, attempts=1)
                sent.append(True)
            except RefusedError:
                journal.move(each, "refused", "refused", counts_cents=0, spent_cents=0)
                sent.append(False)

    at_once(url, work)
    # One may be refused for another that is refused as well and still counts.
    assert 0 < sent.count(True) <= 8
    with Journal.open(url) as journal:
        assert journal.counted_together("test", None).team.day_orders == sent.count(True)


@needs_signals
def test_a_process_that_stands_still_holds_up_its_caller_alone(make_database: Callable[..., str]) -> None:
    url = make_database()
    Journal.open(url).close()
    with standing_still(url), Journal.open(url) as journal:
        assert seconds_of(lambda: entry(journal, draft(5, "ada"))) < AT_ONCE
        assert seconds_of(lambda: journal.pause("why")) > AT_ONCE, "it concerns all callers, so it waits"
        with pytest.raises(ZincMcpError, match="paused"):
            entry(journal, draft(6, "ada"))


@needs_signals
def test_an_order_under_a_limit_over_all_callers_waits_for_one_that_is_being_opened(
    make_database: Callable[..., str],
) -> None:
    url = make_database()
    Journal.open(url).close()
    with standing_still(url), Journal.open(url) as journal:
        under = Limits(team=Rolling(day_cents=9 * EACH_CENTS))
        opened = seconds_of(lambda: entry(journal, draft(5, "ada"), limits=under))
        assert opened > AT_ONCE, "the one before it may have been about to reserve the rest"
