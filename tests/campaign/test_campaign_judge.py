"""The campaign's judge finds each kind of broken journal, and no fault in an order that goes its way."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from journal.test_journal import draft

from bench.campaign.agents.agent import OWN, Call
from bench.campaign.journals.sqlite import SqliteJournal, keep_record
from bench.campaign.judge.classes import judge_class
from bench.campaign.judge.evidence import Evidence, RoundEvidence
from bench.campaign.judge.purchases import duplicates, ignored_keys, unjournalled
from bench.campaign.judge.record import judge_record, read_record
from bench.campaign.judge.verdict import (
    AFTER_PAUSE,
    AT_ONCE,
    BESIDE_DOUBT,
    BROKEN,
    DUPLICATED,
    NOT_NOTICED,
    SAID_NOTHING_SENT,
    TWO_OWNERS,
    UNCOUNTED,
    Verdict,
)
from bench.campaign.plan.intentions import Intention, Round
from zinc_mcp.errors import JournalError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.entry import Entry, Limits

WISH = Intention(
    number=1, family=1, quantity=1, line2="", scenario="success", fault="none", faults=("slow_5",), look_faults=(),
    kill="", behaviour="patient", delay=0.0, clock="", racers=(), follows=False, seed=1,
)  # fmt: skip
QUESTIONS = Round(
    name="001-questions", dialect="default", kind="questions", old_journal=False, repeat_seconds=None,
    limit_cents=None, price=1000, outage=False, intentions=(WISH,),
)  # fmt: skip


@dataclass
class Recorded:
    """A journal that a campaign writes down, and one intention's evidence about it."""

    path: Path
    journal: Journal
    posts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def opened(self, **changes: Any) -> Entry:
        found = self.journal.open_entry(
            replace(draft(), **changes), Limits(), owner="first", lease_seconds=30.0, window_seconds=86_400.0
        )
        assert isinstance(found, Entry)
        return found

    def judged(self) -> dict[str, int]:
        entries = [{"id": entry.id, "key": entry.key} for entry in self.journal.entries()]
        verdict = Verdict()
        judge_record(verdict, self.path, [Evidence(WISH, posts=self.posts, entries=entries)])
        return dict(verdict.counts)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    path = tmp_path / "journal.db"
    uptime: Callable[[], tuple[str, float]] = lambda: ("boot", time.monotonic())  # noqa: E731
    Journal.open(f"sqlite:///{path}").close()
    keep_record(path)
    with Journal.open(f"sqlite:///{path}", uptime=uptime) as journal:
        yield Recorded(path, journal)


def taken_over(journal: Journal, entry: Entry, what: str, seconds: float = 30.0) -> Entry:
    lease: dict[str, Any] = {"lease_owner": "second", "lease_until": time.time() + seconds, "lease_boot": "boot"}
    return journal.move(entry, entry.state, what, **lease, lease_taken=time.monotonic(), lease_seconds=seconds)


def test_an_ordinary_order_breaks_no_row(recorded: Recorded) -> None:
    entry = recorded.opened()
    sent = recorded.journal.move(entry, "sending", "sending")
    recorded.journal.move(sent, "accepted", "accepted by Zinc", order_id="o-1", **FREE)
    assert recorded.judged() == {}
    assert [change["state"] for change in read_record(recorded.path)] == ["waiting", "sending", "accepted"]
    assert all(abs(change["at"] - time.monotonic()) < 60 for change in read_record(recorded.path))


@pytest.mark.parametrize("what", ["claimed", "taken over"])
def test_taking_an_entry_under_another_process_s_lease_is_found(recorded: Recorded, what: str) -> None:
    taken_over(recorded.journal, recorded.opened(), what)
    assert recorded.judged() == {TWO_OWNERS: 1}


def test_a_wall_clock_that_is_corrected_during_a_round_makes_nobody_a_second_owner(recorded: Recorded) -> None:
    entry = recorded.opened()
    recorded.journal.move(entry, "refused", "abandoned before sending", counts_cents=0, **FREE)
    with closing(sqlite3.connect(recorded.path)) as database, database:
        database.execute("UPDATE campaign_clock SET behind = behind + 31")
    assert recorded.judged() == {}


@pytest.mark.parametrize("what", ["the sending process did not come back", "abandoned before sending"])
def test_clearing_an_entry_under_another_process_s_lease_is_found(recorded: Recorded, what: str) -> None:
    recorded.journal.move(recorded.opened(), "refused", what, counts_cents=0, **FREE)
    assert recorded.judged() == {TWO_OWNERS: 1}


@pytest.mark.parametrize("state", ["sending", "unknown", "accepted"])
def test_an_open_order_that_does_not_count_is_found(recorded: Recorded, state: Any) -> None:
    recorded.journal.move(recorded.opened(), state, "freed too early", counts_cents=0)
    assert recorded.judged() == {UNCOUNTED: 1}


@pytest.mark.parametrize("state", ["sending", "unknown", "paid_no_order"])
def test_an_order_opened_beside_one_in_doubt_is_found_however_old_that_is(recorded: Recorded, state: Any) -> None:
    first = recorded.journal.move(recorded.opened(), state, "left in doubt", **FREE)
    assert first.body is not None
    assert SqliteJournal(recorded.path.parent).age_doubts(first.body.decode()[:20], 2 * 86_400.0) == 1
    second = recorded.opened(twin="another-digest")
    assert second.opened_at - recorded.journal.read(first.id).opened_at > 86_400
    assert recorded.judged() == {BESIDE_DOUBT: 1}


@pytest.mark.parametrize(("after", "found"), [(0.05, {AT_ONCE: 1}), (0.6, {})])
def test_a_post_sent_again_while_the_first_was_unanswered_is_found(
    recorded: Recorded, after: float, found: dict[str, int]
) -> None:
    recorded.posts = [
        {"idempotency_key": "k", "credential": None, "rail": "account", "fault": fault, "at": at}
        for fault, at in (("slow", 100.0), (None, 100.0 + after))
    ]
    assert recorded.judged() == found


def test_an_owner_who_resolves_an_order_on_the_wire_is_found(recorded: Recorded) -> None:
    sent = recorded.journal.move(recorded.opened(), "sending", "sending")
    recorded.journal.move(sent, "rejected", "resolved by the owner", counts_cents=0, **FREE)
    assert recorded.judged() == {TWO_OWNERS: 1}


def test_an_owner_may_resolve_an_order_that_is_only_looked_up(recorded: Recorded) -> None:
    left = recorded.journal.move(recorded.opened(), "unknown", "no answer", **FREE)
    looked_at = taken_over(recorded.journal, left, "claimed")
    recorded.journal.move(looked_at, "rejected", "resolved by the owner", counts_cents=0, **FREE)
    assert recorded.judged() == {}


# A Zinc that ignores keys, and requests that were never in a journal


def order_of(key: str, number: int) -> dict[str, Any]:
    return {"order_id": f"o-{number}", "idempotency_key": key, "identity": WISH.identity, "created_at": float(number)}


def post_of(key: str | None, at: float = 0.0, rail: str = "account", credential: str | None = None) -> dict[str, Any]:
    post = {"idempotency_key": key, "order_id": None, "rail": rail, "credential": credential, "at": at}
    return {**post, "outcome": "x", "fault": ""}


@pytest.mark.parametrize(
    ("keys", "paused", "found"),
    [
        (("k", "k"), True, set[str]()),
        (("k", "k"), False, {NOT_NOTICED}),
        (("k", "other"), True, {DUPLICATED}),
        (("k", "other"), False, {DUPLICATED}),
        (("k",), False, set[str]()),
    ],
)
def test_a_process_that_does_not_notice_ignored_keys_is_found(
    keys: tuple[str, ...], paused: bool, found: set[str]
) -> None:
    verdict = Verdict()
    one = Evidence(WISH, orders=[order_of(key, number) for number, key in enumerate(keys)])
    duplicates(verdict, one, keys_count=False)
    ignored_keys(verdict, paused, {}, [])
    assert {name for name in BROKEN if verdict.counts[name]} == found
    assert verdict.is_broken is bool(found)


@pytest.mark.parametrize(
    ("post", "broken"),
    [
        (post_of("k", 100.5), False),
        (post_of("k", 102.5), True),
        (post_of("k", 102.5, rail="agent"), False),
        (post_of("k", 102.5, rail="agent", credential="c"), True),
    ],
)
def test_sending_after_a_pause_is_found(post: dict[str, Any], broken: bool) -> None:
    verdict = Verdict()
    answer = {"code": "paused", "outcome": "refused"}
    call = Call(tool="place_order", words="", server="a", at=100.0, seconds=0.1, answer=answer)
    ignored_keys(verdict, True, {1: [call]}, [post])
    assert (verdict.counts[AFTER_PAUSE], verdict.is_broken) == (int(broken), broken)


@pytest.mark.parametrize(
    ("post", "lost"),
    [
        (post_of("known"), 0),
        (post_of("never journalled"), 1),
        (post_of(None), 1),
        (post_of("never journalled", rail="agent"), 0),
        (post_of("never journalled", rail="agent", credential="c"), 1),
    ],
)
def test_a_post_that_could_buy_and_is_not_in_the_journal_is_lost_although_no_order_came_of_it(
    post: dict[str, Any], lost: int
) -> None:
    verdict = Verdict()
    unjournalled(verdict, [post], [{"key": "known"}])
    assert (verdict.counts["lost"], verdict.is_broken) == (lost, bool(lost))


@pytest.mark.parametrize(("answers", "broken"), [([], True), ([{"at": 1.0, "yes": True, "id": "q"}], False)])
def test_questions_that_nobody_answered_prove_nothing(
    tmp_path: Path, answers: list[dict[str, Any]], broken: bool
) -> None:
    (tmp_path / "decisions").write_text("".join(json.dumps(each) + "\n" for each in answers), encoding="ascii")
    entries = [{"id": number, "consent": json.dumps({"id": f"q{number}"})} for number in range(8)]
    verdict = Verdict()
    evidence = RoundEvidence([], [], entries, [], is_paused=False, intentions=[Evidence(WISH, entries=entries)])
    judge_class(verdict, QUESTIONS, evidence, tmp_path)
    assert verdict.is_broken is broken


FAILED = JournalError("The journal's file cannot be read.")
NOT_KNOWN, NOTHING_SENT = FAILED.before_sending(is_unread=True), FAILED.before_sending()
IN_DOUBT = FAILED.in_doubt("The order was sent", "key-1")


def told(error: JournalError, posts: list[dict[str, Any]], tool: str = "place_order") -> int:
    """Return whether the judge finds fault with what a call from 110 to 111 was told, beside the POSTs of its order."""
    answer = {"code": error.code, "summary": error.summary, "money_may_have_moved": error.money_may_have_moved}
    call = Call(tool=tool, words="", server=OWN, at=111.0, seconds=1.0, answer={**answer, **error.facts})
    evidence = Evidence(WISH, posts=posts, entries=[{"id": 1, "key": "key-1"}], calls=[call])
    verdict = Verdict()
    judge_class(
        verdict,
        replace(QUESTIONS, kind="journal"),
        RoundEvidence([], [], [], [], is_paused=False, intentions=[evidence]),
        Path(),
    )
    assert verdict.is_broken is bool(verdict.counts[SAID_NOTHING_SENT])
    return verdict.counts[SAID_NOTHING_SENT]


@pytest.mark.parametrize("others", [[100.0], [100.0, 109.9], [100.0, 111.1]])
def test_a_call_may_say_that_it_sent_nothing_and_does_not_know_of_others(others: list[float]) -> None:
    posts = [post_of("key-1", at) for at in others]
    assert told(NOT_KNOWN, posts) == 0
    assert told(NOTHING_SENT, posts) == 1, "it says so of the whole order, which was sent before"


@pytest.mark.parametrize("at", [110.0, 110.5, 111.0])
def test_a_call_that_sent_the_order_may_not_say_that_it_sent_nothing(at: float) -> None:
    assert told(NOT_KNOWN, [post_of("key-1", at)]) == 1
    assert told(NOT_KNOWN, [post_of("key-1", 100.0), post_of("key-1", at)]) == 1
    assert told(NOT_KNOWN, [post_of("key-1", 100.0), post_of("key-1", at, rail="agent")]) == 0, "it asked for a price"
    assert told(NOT_KNOWN, [post_of("key-1", 100.0), {**post_of("key-1", at), "outcome": "rejected_invalid"}]) == 0


def test_a_call_that_fails_after_an_order_was_sent_names_its_key_and_says_that_money_may_have_moved() -> None:
    sent = [post_of("key-1", 110.5)]
    assert told(IN_DOUBT, sent) == 0
    assert told(FAILED.in_doubt("The order was sent", "key-2"), sent) == 1
    assert told(FAILED.in_doubt("The order was sent", "key-1", moves_money=False), sent) == 1
    assert told(NOTHING_SENT, []) == 0, "nothing was sent at all"
    assert told(NOT_KNOWN, sent, tool="get_order") == 1
