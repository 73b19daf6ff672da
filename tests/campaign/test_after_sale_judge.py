"""The judge of cancellations, returns and cases finds each planted fault, and none where everything went its way."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from journal.test_journal import draft

from bench.campaign.agents.agent import Call
from bench.campaign.journals.sqlite import keep_record
from bench.campaign.judge.after_evidence import (
    AfterRoundEvidence,
    Filed,
    content_of,
    read_after_round,
    sorted_out,
    wanted,
)
from bench.campaign.judge.after_sale import judged
from bench.campaign.judge.verdict import (
    BROKEN_AFTER_SALE,
    CANCELLED_FALSELY,
    FILED_TWICE,
    GIVEN_BACK,
    LOST,
    NOBODY_ANSWERED,
    NOT_ASKED_FOR,
    SENT_AGAIN,
    TWO_OWNERS,
    UNTRUE,
    WITHOUT_YES,
    YES_TO_ANOTHER,
)
from bench.campaign.plan.after_sale import Action, AfterRound, Wish
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Limits
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.zinc.aftercare.cases import case_change, closing_change
from zinc_mcp.zinc.aftercare.returns import return_change

Row = dict[str, Any]
ORDER = "11111111-2222-4333-8444-555555555555"
RETURN, CASE = "return-1", "case-1"
WORDS = "It is not what was ordered."
BOOT = -1000.0
"""When the clock of the leases was at zero."""


def wish(action: Action, **changed: Any) -> Wish:
    plain = Wish(
        number=1, family=1, action=action, reason="defective" if action == "return" else "late", quantity=1,
        words=WORDS, fault="none", faults=("none",), look_faults=(), ending="", step="", how="", behaviour="patient",
        delay=0.0, askings=(), seed=1,
    )  # fmt: skip
    return replace(plain, **changed)


@dataclass
class Planted:
    """One intention, and what Zinc, the journal and its people have of it."""

    wish: Wish
    asks: bool = False
    order: Row | None = None
    filed: list[Filed] = field(default_factory=list[Filed])
    posts: list[Row] = field(default_factory=list[Row])
    entries: list[Row] = field(default_factory=list[Row])
    record: list[Row] = field(default_factory=list[Row])
    events: list[Row] = field(default_factory=list[Row])
    attempts: list[Row] = field(default_factory=list[Row])
    calls: list[Call] = field(default_factory=list[Call])
    decisions: list[Row] = field(default_factory=list[Row])

    def told(self, tool: str, at: float = 30.0, seconds: float = 1.0, **answer: Any) -> None:
        said = {"summary": "", "is_error": False, **answer}
        self.calls.append(Call(tool, "", "stdio", said, at, seconds))

    def broken(self) -> set[str]:
        each = AfterRound("001-x", "default", self.wish.kind, 10.0, self.asks, "account", (self.wish,))
        orders = [] if self.order is None else [self.order]
        calls = {self.wish.number: self.calls}
        found = sorted_out([self.wish], orders, self.filed, self.posts, self.entries, calls)
        evidence = AfterRoundEvidence(
            orders, self.attempts, self.filed, self.posts, self.entries, self.record, self.events, found
        )
        verdict = judged(each, evidence, self.decisions)
        assert verdict.is_broken is bool(verdict.broken_rows)
        return {row for row in BROKEN_AFTER_SALE if verdict.counts[row]}


def order(**changed: Any) -> Row:
    body = {"products": [{"url": "https://zinc.com/shop/products/test-success?item=1", "quantity": 3}]}
    return {
        "order_id": ORDER, "family": 1, "idempotency_key": "order-key", "created_at": 1.0, "cancelled_at": None,
        "body": json.dumps(body), **changed,
    }  # fmt: skip


def entry(number: int = 1, **changed: Any) -> Row:
    return {
        "id": number, "kind": "return", "key": f"key-{number}", "state": "placed", "order_id": ORDER, "family": None,
        "attempts": 1, "consent": None, "body": b"", "content": None, **changed,
    }  # fmt: skip


def post(at: float = 20.0, outcome: str = "created") -> Row:
    return {"at": at, "path": "/returns", "order_id": ORDER, "outcome": outcome, "fault": None}


def version(state: str, counts: int, at: float, **changed: Any) -> Row:
    return {
        "id": 9, "version": at, "state": state, "counts_cents": counts, "reserved_cents": 900, "attempts": 1,
        "authorised_cents": None, "refunded_cents": None, "at": at - BOOT, "unsure": 0.0, "epoch": at, "what": "x",
        "lease_owner": None, "lease_taken": None, "lease_seconds": None, **changed,
    }  # fmt: skip


def filed(one: Wish, number: int = 1, at: float = 20.0, **changed: Any) -> Filed:
    zinc_id = RETURN if one.kind == "return" else CASE
    return replace(Filed(f"{zinc_id[:-1]}{number}", at, wanted(one), "", ORDER), **changed)


def gone_well(action: Action) -> Planted:
    """Return an intention that was filed once, and told so."""
    one = wish(action)
    planted = Planted(one, order=order(), filed=[filed(one)], posts=[post()])
    if one.needs_a_case:
        planted.posts.insert(0, post(5.0))
    planted.entries = [entry(content=wanted(one), kind=one.kind)]
    named: Row = {"return_id": RETURN} if one.kind == "return" else {"case_id": CASE}
    planted.told(one.tool, outcome="filed", key="key-1", new_request=True, **named)
    return planted


def cancelled() -> Planted:
    """Return an order that was cancelled, and told so."""
    planted = Planted(wish("cancel"), order=order(cancelled_at=20.0), posts=[post(20.0, "cancelled")])
    planted.entries = [entry(9, kind="order", key="order-key", state="cancelled", family=1)]
    planted.events = [{"entry_id": 9, "at": 19.9, "what": "cancellation asked for"}]
    planted.record = [version("accepted", 900, 2.0), version("cancelled", 0, 20.1)]
    planted.told("cancel_order", outcome="cancelled", cancellation="cancelled")
    return planted


@pytest.mark.parametrize("action", ["return", "open", "message", "close"])
def test_a_request_filed_once_and_told_so_breaks_no_row(action: Action) -> None:
    assert gone_well(action).broken() == set()


def test_an_order_that_was_cancelled_and_told_so_breaks_no_row() -> None:
    assert cancelled().broken() == set()


def _filed_again(planted: Planted) -> None:
    planted.filed.append(filed(planted.wish, 2))


def _not_in_the_journal(planted: Planted) -> None:
    planted.entries[0]["state"] = "refused"


def _not_at_zinc(planted: Planted) -> None:
    planted.filed.clear()


def _told_of_another(planted: Planted) -> None:
    planted.told(planted.wish.tool, outcome="filed", key="key-1", new_request=False, return_id="another", case_id="x")


def _told_too_early(planted: Planted) -> None:
    planted.calls.clear()
    planted.told(
        planted.wish.tool, 15.0, outcome="filed", key="key-1", new_request=True, return_id=RETURN, case_id=CASE
    )


def _posted_again(planted: Planted) -> None:
    planted.posts.append(post(21.0, "not_accepted_drop_before"))


def _attempted_again(planted: Planted) -> None:
    planted.entries[0]["attempts"] = 2


def _of_nobody(planted: Planted) -> None:
    planted.filed.append(filed(planted.wish, 2, content=("return", "other", 3, "")))


def _told(outcome: str, **answer: Any) -> Callable[[Planted], None]:
    return lambda planted: planted.told(planted.wish.tool, outcome=outcome, key="key-1", **answer)


def _taken_under_a_lease(planted: Planted) -> None:
    held = {"id": 1, "lease_owner": "first", "lease_taken": 10.0 - BOOT, "lease_seconds": 5.0}
    planted.record = [
        version("sending", 0, 10.0, **held),
        version("unknown", 0, 11.0, id=1, what="the sending process did not come back"),
    ]


def _a_lie(planted: Planted) -> None:
    planted.calls.clear()
    planted.told(planted.wish.tool, 20.5, 1.0, outcome="not_sent", code="zinc_unavailable", summary="Nothing was sent.")


@pytest.mark.parametrize("action", ["return", "open", "message"])
@pytest.mark.parametrize(
    ("plant", "rows"),
    [
        (_filed_again, {FILED_TWICE}),
        (_not_in_the_journal, {LOST}),
        (_not_at_zinc, {LOST}),
        (_told_of_another, {LOST}),
        (_told_too_early, {LOST}),
        (_posted_again, {SENT_AGAIN}),
        (_attempted_again, {SENT_AGAIN}),
        (_of_nobody, {NOT_ASKED_FOR}),
        (_told("rejected"), {UNTRUE}),
        (_told("refused", new_request=False), {UNTRUE}),
        (_told("declined", new_request=False), {UNTRUE}),
        (_told("waiting", new_request=False), {UNTRUE}),
        (_told("failed", new_request=False), {UNTRUE}),
        (_told("no_result"), {UNTRUE}),
        (_told("filed", new_request=True, return_id=RETURN, case_id=CASE), {UNTRUE}),
        (_a_lie, {UNTRUE}),
        (_taken_under_a_lease, {TWO_OWNERS}),
    ],
)
def test_each_fault_of_what_is_filed_is_found(action: Action, plant: Callable[[Planted], None], rows: set[str]) -> None:
    planted = gone_well(action)
    plant(planted)
    assert planted.broken() == rows


def test_a_row_of_get_order_that_contradicts_the_ledger_is_found() -> None:
    said = {"key": "key-1", "outcome": "rejected", "summary": ""}
    planted = gone_well("return")
    planted.told("get_order", outcome="placed", status="order_placed", requests=[said])
    assert planted.broken() == {UNTRUE}
    planted = gone_well("return")
    planted.filed.clear()
    planted.calls.clear()
    planted.entries[0]["state"] = "unknown"
    planted.told("get_order", outcome="placed", status="order_placed", requests=[{**said, "outcome": "filed"}])
    assert planted.broken() == {LOST}


def test_something_in_doubt_is_neither_lost_nor_untrue() -> None:
    for there in (True, False):
        planted = gone_well("return")
        planted.entries[0]["state"] = "unknown"
        planted.calls.clear()
        planted.told("return_order", outcome="unknown", key="key-1", new_request=True)
        if not there:
            planted.filed.clear()
        assert planted.broken() == set()


def test_asking_again_after_a_refusal_is_no_fault() -> None:
    planted = gone_well("return")
    planted.entries.append(entry(2, state="refused", attempts=0, content=wanted(planted.wish)))
    planted.told("return_order", 15.0, outcome="refused", key="key-2", new_request=True)
    assert planted.broken() == set()


# Cancellations


def _never_at_zinc(planted: Planted) -> None:
    planted.order = order()
    planted.record.pop()


def _journal_alone(planted: Planted) -> None:
    _never_at_zinc(planted)
    planted.calls.clear()


def _told_alone(planted: Planted) -> None:
    _never_at_zinc(planted)
    planted.entries[0]["state"] = "accepted"


def _get_order_alone(planted: Planted) -> None:
    _told_alone(planted)
    planted.calls.clear()
    planted.told("get_order", outcome="cancelled", status="cancelled")


def _journal_missed_it(planted: Planted) -> None:
    planted.entries[0]["state"] = "accepted"


def _not_written_down(planted: Planted) -> None:
    planted.events.clear()


def _written_down_late(planted: Planted) -> None:
    planted.events[0]["at"] = 20.2


def _no_entry(planted: Planted) -> None:
    planted.entries.clear()


def _told_not(planted: Planted) -> None:
    planted.told("cancel_order", 40.0, outcome="accepted", cancellation="not_cancelled")


def _told_unasked(planted: Planted) -> None:
    planted.told("cancel_order", 10.0, outcome="accepted", cancellation="unknown")


def _asked_slowly(planted: Planted) -> None:
    planted.told("cancel_order", 19.5, outcome="accepted", cancellation="unknown")


def _told_withdrawn(planted: Planted) -> None:
    planted.told("cancel_order", 10.0, outcome="refused", cancellation="withdrawn")


def _shown_as_pending(planted: Planted) -> None:
    planted.told("get_order", 40.0, outcome="accepted", status="pending")


def _freed_when_asked_for(planted: Planted) -> None:
    planted.record.insert(1, version("accepted", 0, 19.9))


def _freed_before_proof(planted: Planted) -> None:
    planted.record[1]["epoch"] = 19.95


@pytest.mark.parametrize(
    ("plant", "rows"),
    [
        (_never_at_zinc, {CANCELLED_FALSELY}),
        (_journal_alone, {CANCELLED_FALSELY}),
        (_told_alone, {CANCELLED_FALSELY}),
        (_get_order_alone, {CANCELLED_FALSELY}),
        (_journal_missed_it, {LOST}),
        (_not_written_down, {LOST}),
        (_written_down_late, {LOST}),
        (_no_entry, {LOST}),
        (_told_not, {UNTRUE}),
        (_told_unasked, {UNTRUE}),
        (_asked_slowly, set[str]()),
        (_told_withdrawn, {UNTRUE}),
        (_shown_as_pending, {UNTRUE}),
        (_freed_when_asked_for, {GIVEN_BACK}),
        (_freed_before_proof, {GIVEN_BACK}),
    ],
)
def test_each_fault_of_a_cancellation_is_found(plant: Callable[[Planted], None], rows: set[str]) -> None:
    planted = cancelled()
    plant(planted)
    assert planted.broken() == rows


@pytest.mark.parametrize(
    ("counts", "at", "ending", "broken"),
    [(600, 20.6, "", False), (599, 20.6, "", True), (600, 20.4, "", True), (600, 20.6, "denied", True)],
)
def test_a_credit_that_zinc_has_not_given_by_then_or_not_so_high_is_found(
    counts: int, at: float, ending: str, broken: bool
) -> None:
    planted = gone_well("return")
    planted.wish = replace(planted.wish, ending=ending)
    planted.entries.append(entry(9, kind="order", key="order-key", family=1))
    planted.record = [version("accepted", 900, 2.0), version("placed", 900, 3.0), version("placed", counts, at)]
    assert planted.broken() == ({GIVEN_BACK} if broken else set())


@pytest.mark.parametrize(("attempts", "broken"), [(0, False), (1, True)])
def test_an_entry_that_was_never_sent_may_be_freed_though_a_later_one_bought(attempts: int, broken: bool) -> None:
    planted = gone_well("return")
    planted.entries += [
        entry(8, kind="order", key="key-before", family=1, attempts=attempts),
        entry(9, kind="order", key="order-key", family=1),
    ]
    planted.record = [
        version("waiting", 900, 1.0, id=8, attempts=attempts),
        version("refused", 0, 1.5, id=8, attempts=attempts, what="abandoned before sending"),
        version("accepted", 900, 2.0),
    ]
    assert planted.broken() == ({GIVEN_BACK} if broken else set())


# Where people are asked


def asked(action: Action) -> Planted:
    """Return something that was filed by a yes to exactly that."""
    planted = gone_well(action)
    planted.asks = True
    shown: Row = {"order_id": ORDER, "action": action, "fields": [["Message", WORDS]]}
    if action == "return":
        shown |= {"fields": [["Reason", "defective"]], "lines": [{"order_item_id": "i", "quantity": 1}]}
    planted.entries[0] |= {"consent": json.dumps({"id": "q1"}), "body": b"sent"}
    yes = {"at": 19.0, "yes": True, "id": "q1", "body_sha256": sha256(b"sent").hexdigest(), "question": shown}
    planted.decisions = [yes, {"at": 19.1, "yes": True, "id": "q1", "result": "taken"}]
    return planted


def _nothing(planted: Planted) -> None:
    """Plant no fault."""


def _no_yes(planted: Planted) -> None:
    planted.decisions.clear()


def _a_no(planted: Planted) -> None:
    for each in planted.decisions:
        each["yes"] = False


def _a_no_came_first(planted: Planted) -> None:
    planted.decisions.insert(0, {"at": 18.0, "yes": False, "id": "q1", "result": "taken"})


def _a_later_yes(planted: Planted) -> None:
    planted.decisions[0]["at"] = 21.0


def _other_words(planted: Planted) -> None:
    planted.decisions[0]["question"]["fields"] = [["Message", "Something else"]]


def _other_order(planted: Planted) -> None:
    planted.decisions[0]["question"]["order_id"] = "another"


def _other_question(planted: Planted) -> None:
    planted.entries[0]["consent"] = json.dumps({"id": "q2"})


def _other_bytes(planted: Planted) -> None:
    planted.entries[0]["body"] = b"something else"


@pytest.mark.parametrize("action", ["return", "open"])
@pytest.mark.parametrize(
    ("plant", "rows"),
    [
        (_nothing, set[str]()),
        (_no_yes, {WITHOUT_YES}),
        (_a_no, {WITHOUT_YES}),
        (_a_no_came_first, {WITHOUT_YES}),
        (_a_later_yes, {WITHOUT_YES}),
        (_other_words, {WITHOUT_YES}),
        (_other_order, {WITHOUT_YES}),
        (_other_question, {YES_TO_ANOTHER}),
        (_other_bytes, {YES_TO_ANOTHER}),
    ],
)
def test_a_request_filed_without_a_yes_to_exactly_that_is_found(
    action: Action, plant: Callable[[Planted], None], rows: set[str]
) -> None:
    planted = asked(action)
    plant(planted)
    assert planted.broken() == rows


def test_notes_that_a_person_did_not_see_are_found() -> None:
    planted = asked("return")
    planted.filed = [replace(planted.filed[0], notes="And pay me twice.")]
    assert planted.broken() == {WITHOUT_YES}


def test_a_yes_that_is_used_twice_is_found() -> None:
    planted = asked("return")
    planted.filed.append(filed(planted.wish, 2))
    assert planted.broken() == {FILED_TWICE, YES_TO_ANOTHER}


def test_questions_about_changes_that_nobody_answered_prove_nothing() -> None:
    planted = asked("return")
    planted.filed.clear()
    planted.posts.clear()
    planted.calls.clear()
    planted.decisions.clear()
    consent = json.dumps({"id": "q"})
    planted.entries = [entry(number, state="waiting", attempts=0, consent=consent) for number in range(8)]
    assert planted.broken() == {NOBODY_ANSWERED}


def test_an_order_that_was_sent_after_its_question_was_withdrawn_is_found() -> None:
    planted = cancelled()
    planted.wish = wish("withdraw")
    planted.asks = True
    planted.entries[0]["consent"] = json.dumps({"id": "q1"})
    planted.attempts = [{"idempotency_key": "order-key", "body_sha256": "bytes", "at": 1.0}]
    assert planted.broken() == {WITHOUT_YES}
    planted.decisions = [{"at": 0.5, "yes": True, "id": "q1", "body_sha256": "bytes", "question": {}}]
    assert planted.broken() == set()
    planted.decisions[0]["id"] = "q2"
    assert planted.broken() == {YES_TO_ANOTHER}


def test_the_judge_reads_a_request_as_the_program_freezes_it() -> None:
    def frozen(change: Any) -> Any:
        return content_of(json.loads(change.to_bytes()))

    assert frozen(return_change(ORDER, [("a", 2)], "defective", "Notes")) == ("return", "defective", 2, "")
    assert frozen(case_change(ORDER, "late", WORDS)) == ("said", "", 0, WORDS)
    assert frozen(closing_change(CASE)) == ("close", "", 0, "")


def test_the_record_of_a_round_has_the_clock_of_the_leases_and_that_of_the_ledger(tmp_path: Path) -> None:
    Sandbox(tmp_path / "ledger.db")
    path = tmp_path / "journal.db"
    Journal.open(f"sqlite:///{path}").close()
    keep_record(path)
    with Journal.open(f"sqlite:///{path}") as journal:
        journal.open_entry(draft(), Limits(), owner="first", lease_seconds=30.0, window_seconds=86_400.0)
    each = AfterRound("001-x", "default", "return", 10.0, asks=False, rail="account", wishes=(wish("return"),))
    [row] = read_after_round(each, tmp_path, {}, time.time() - time.monotonic()).record
    assert abs(row["at"] - time.monotonic()) < 60
    assert abs(row["epoch"] - time.time()) < 60
