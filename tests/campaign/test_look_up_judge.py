"""The judge of questions finds each broken promise that is planted, and nothing where all was kept."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest

from bench.campaign.agents.agent import Call
from bench.campaign.judge.look_up import judged
from bench.campaign.judge.verdict import (
    FALSE_REQUEST_PAID,
    LOST,
    OVER_LIMIT,
    PAID_TWICE,
    UNTRUE,
    WRONG_AMOUNT,
)
from bench.campaign.plan.after_sale import Asking
from bench.campaign.plan.look_up import Question, QuestionRound, drawn

AT = 1_000.0


def question(number: int, **changes: Any) -> Question:
    given: dict[str, Any] = {
        "number": number, "about": "details", "fault": "none", "lie": "none", "step": "", "how": "",
        "behaviour": "patient", "delay": 0.0, "askings": (Asking(0, 0.0),), "seed": 1,
    }  # fmt: skip
    return Question(**{**given, **changes})


@dataclass
class Planted:
    """A round of one question that was paid for, written down, and answered."""

    wish: Question = field(default_factory=lambda: question(7))
    budget_cents: int = 100
    payments: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    entries: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    calls: list[Call] = field(default_factory=list[Call])

    def __post_init__(self) -> None:
        self.pay()
        self.enter()
        self.tell(0.1, cost_cents=1, details={"title": f"Practice product {self.wish.product_id}"})

    def pay(self, cents: int = 1, at: float = AT) -> None:
        digest = sha256(self.wish.asked()[0].agent_path.encode()).hexdigest()
        self.payments.append({"at": at, "amount_cents": cents, "body_sha256": digest})

    def enter(self, state: str = "placed", counts: int = 1) -> None:
        call = self.wish.asked()[0]
        body = json.dumps(["look_up", "http://x", call.path, dict(call.compared)])
        self.entries.append({"state": state, "counts_cents": counts, "body": body})

    def tell(self, after: float, **answer: Any) -> None:
        self.calls.append(Call(self.wish.tool, "", "stdio", {"is_error": False, **answer}, AT + after, 0.2))

    def judged(self) -> set[str]:
        round_ = QuestionRound("000", "default", self.budget_cents, (self.wish,))
        return set(judged(round_, self.payments, self.entries, {self.wish.number: self.calls}).broken_rows)


def _nothing(planted: Planted) -> None:
    pass


def _paid_again(planted: Planted) -> None:
    planted.pay(at=AT + 3)


def _entered_again(planted: Planted) -> None:
    planted.enter()


def _forgotten(planted: Planted) -> None:
    planted.entries.clear()
    planted.calls.clear()


def _two_cents(planted: Planted) -> None:
    planted.payments[0].update(amount_cents=2)


def _no_budget(planted: Planted) -> None:
    planted.budget_cents = 0


def _told_that_nothing_was_paid(planted: Planted) -> None:
    planted.calls.clear()
    planted.tell(0.1, summary="Error: Zinc was not reached. Nothing was asked, and nothing was paid.", next_step="")


def _told_twice(planted: Planted) -> None:
    planted.tell(5.0, cost_cents=1, details=planted.calls[0].answer["details"])  # type: ignore[index]


def _another_answer(planted: Planted) -> None:
    planted.calls.clear()
    planted.tell(0.1, cost_cents=1, details={"title": "Practice product 9"})


def _answered_by_nobody(planted: Planted) -> None:
    planted.payments.clear()


def _a_crash(planted: Planted) -> None:
    planted.tell(5.0, code="internal_error", summary="Error: x", next_step="")


def _given_back(planted: Planted) -> None:
    planted.entries[0]["counts_cents"] = 0
    planted.calls.clear()


def _a_lie_paid(planted: Planted) -> None:
    planted.wish = question(8, lie="wrong_amount")
    planted.payments.clear()
    planted.entries.clear()
    planted.calls.clear()
    planted.pay()
    planted.enter("unknown")


@pytest.mark.parametrize(
    ("plant", "rows"),
    [
        (_paid_again, {PAID_TWICE}),
        (_entered_again, {PAID_TWICE}),
        (_forgotten, {LOST}),
        (_given_back, {LOST}),
        (_two_cents, {WRONG_AMOUNT}),
        (_no_budget, {OVER_LIMIT}),
        (_a_lie_paid, {FALSE_REQUEST_PAID}),
        (_told_that_nothing_was_paid, {UNTRUE}),
        (_told_twice, {UNTRUE}),
        (_another_answer, {UNTRUE}),
        (_answered_by_nobody, {UNTRUE}),
        (_a_crash, {UNTRUE}),
    ],
)
def test_each_planted_fault_is_found_and_no_other(plant: Callable[[Planted], object], rows: set[str]) -> None:
    planted = Planted()
    plant(planted)
    assert planted.judged() == rows


def _remembered(planted: Planted) -> None:
    planted.tell(5.0, cost_cents=0, details=planted.calls[0].answer["details"])  # type: ignore[index]


def _lost_and_counted(planted: Planted) -> None:
    planted.calls.clear()
    planted.entries[0]["state"] = "unknown"
    words = "It counts as paid ($0.01) and is not asked again for 10 minutes; go on without it."
    planted.tell(0.1, summary="Error: lost.", next_step=words, facts={"cost_cents": 1})


def _not_known_yet(planted: Planted) -> None:
    words = "Error: Zinc's answer takes longer. Until it is known, it counts as paid ($0.01)."
    planted.tell(0.05, summary=words, next_step="", facts={"cost_cents": 1})


@pytest.mark.parametrize("plant", [_nothing, _remembered, _lost_and_counted, _not_known_yet])
def test_a_kept_promise_is_no_finding(plant: Callable[[Planted], object]) -> None:
    planted = Planted()
    plant(planted)
    assert planted.judged() == set()


def test_the_plan_is_the_same_for_the_same_seed_and_has_every_fault_and_spelling() -> None:
    rounds = drawn(4, 400, ["default", "errors=flat"])
    assert rounds == drawn(4, 400, ["default", "errors=flat"])
    wishes = [wish for each in rounds for wish in each.wishes]
    assert len({wish.number for wish in wishes}) == 400
    assert {wish.about for wish in wishes} == {"search", "details", "offers"}
    assert {each.dialect for each in rounds} == {"default", "errors=flat"}
    assert any(each.budget_cents < len(each.wishes) for each in rounds)
    for wish in wishes:
        asked = wish.asked()
        assert len({json.dumps([call.path, dict(call.compared)]) for call in asked}) == 1, "one question, however spelt"
        assert all(len(spelling) <= 200 for spelling in wish.spellings)
