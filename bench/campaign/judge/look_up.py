"""Judges a round of questions: each is paid once, the budget is kept, nothing is lost, and every answer is true."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench.campaign.agents.agent import Call
from bench.campaign.agents.hosts import Structure
from bench.campaign.agents.look_up import is_answered, words_of
from bench.campaign.judge.evidence import Row, rows_of
from bench.campaign.judge.verdict import (
    FALSE_REQUEST_PAID,
    INTENTIONS,
    LOST,
    OVER_LIMIT,
    PAID_TWICE,
    UNTRUE,
    WRONG_AMOUNT,
    Verdict,
)
from bench.campaign.plan.look_up import Question, QuestionRound

ANSWERED = "questions answered"
PAID = "questions paid for"
CENT = 1
_SETTLEMENTS = (
    "SELECT s.at, s.amount_cents, c.body_sha256 FROM settlements AS s "
    "JOIN challenges AS c ON c.challenge_id = s.challenge_id WHERE s.outcome = 'answered' ORDER BY s.seq"
)


@dataclass(slots=True)
class Asked:
    """One question: Zinc's payments for it, the journal's entries, and the calls of its agent."""

    wish: Question
    payments: list[Row] = field(default_factory=list[Row])
    entries: list[Row] = field(default_factory=list[Row])
    calls: Sequence[Call] = ()


def judge_question_round(each: QuestionRound, folder: Path, calls: Mapping[int, Sequence[Call]]) -> Verdict:
    """Judge one round by its ledger, its journal, and every call of its agents."""
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        payments = rows_of(database, _SETTLEMENTS)
    with closing(sqlite3.connect(folder / "journal.db")) as database:
        entries = rows_of(database, "SELECT * FROM zinc_entries WHERE kind = 'look_up' ORDER BY id")
    return judged(each, payments, entries, calls)


def judged(
    each: QuestionRound, payments: Sequence[Row], entries: Sequence[Row], calls: Mapping[int, Sequence[Call]]
) -> Verdict:
    """Judge the evidence of a round."""
    verdict = Verdict()
    for wish in each.wishes:
        one = _evidence(wish, payments, entries, calls.get(wish.number, ()))
        verdict.counts[INTENTIONS] += 1
        verdict.settlements[len(one.payments)] += 1
        verdict.counts[PAID] += bool(one.payments)
        verdict.counts[ANSWERED] += any(
            call.answer is not None and is_answered(wish, call.answer) for call in one.calls
        )
        _payments(verdict, one)
        _entries(verdict, one)
        _costs(verdict, one)
        for call in one.calls:
            if call.answer is not None:
                _told(verdict, one, call, call.answer)
    _budget(verdict, each, payments, entries)
    return verdict


def _evidence(wish: Question, payments: Sequence[Row], entries: Sequence[Row], calls: Sequence[Call]) -> Asked:
    asked = wish.asked()
    digests = {sha256(call.agent_path.encode()).hexdigest() for call in asked}
    compared = [(call.path, json.loads(json.dumps(call.compared))) for call in asked]

    def is_ours(entry: Row) -> bool:
        _, _, path, parameters = json.loads(entry["body"])
        return (path, parameters) in compared

    return Asked(
        wish,
        [payment for payment in payments if payment["body_sha256"] in digests],
        [entry for entry in entries if is_ours(entry)],
        calls,
    )


def _payments(verdict: Verdict, one: Asked) -> None:
    if len(one.payments) > 1:
        verdict.found(PAID_TWICE, f"{one.wish.name}: {len(one.payments)} payments")
    if any(payment["amount_cents"] != CENT for payment in one.payments):
        verdict.found(WRONG_AMOUNT, f"{one.wish.name}: {[payment['amount_cents'] for payment in one.payments]}")
    if one.payments and one.wish.lie != "none":
        verdict.found(FALSE_REQUEST_PAID, one.wish.name)


def _entries(verdict: Verdict, one: Asked) -> None:
    counts = [entry for entry in one.entries if entry["counts_cents"]]
    if one.payments and not counts:
        verdict.found(LOST, f"{one.wish.name}: paid, and the journal says {[each['state'] for each in one.entries]}")
    if len(counts) > 1:
        verdict.found(PAID_TWICE, f"{one.wish.name}: the journal counts it {len(counts)} times")
    in_doubt = any(entry["state"] in ("sending", "unknown") for entry in counts)
    verdict.counts["in doubt at the end, and paid"] += bool(in_doubt and one.payments)
    verdict.counts["in doubt at the end, and not paid"] += bool(in_doubt and not one.payments)


def _costs(verdict: Verdict, one: Asked) -> None:
    told = sum(_cost(call.answer) for call in one.calls if call.answer is not None and not _is_open(call.answer))
    counts = sum(entry["counts_cents"] for entry in one.entries)
    if told > counts:
        verdict.found(UNTRUE, f"{one.wish.name}: told {told} cents in all, and {counts} count")


def _is_open(told: Structure) -> bool:
    """Say whether an answer says that the cost of the question is not known yet."""
    return "Until it is known" in words_of(told)


def _cost(told: Structure) -> int:
    facts: Any = told.get("facts") or {}
    return int(told.get("cost_cents", facts.get("cost_cents", 0)))


def _told(verdict: Verdict, one: Asked, call: Call, told: Structure) -> None:
    said = words_of(told)
    if is_answered(one.wish, told):
        if not _is_right(one.wish, told):
            verdict.found(UNTRUE, f"{one.wish.name}: another answer was shown")
        if not one.payments:
            verdict.found(UNTRUE, f"{one.wish.name}: answered, and Zinc answered nothing")
    began, alone = call.at - call.seconds, _is_alone(one, call)
    during = [payment for payment in one.payments if began <= payment["at"] <= call.at]
    denies = any(words in said for words in ("othing was paid", "othing was asked", "hat cost nothing"))
    if during and alone and denies:
        verdict.found(UNTRUE, f"{one.wish.name}: {said[:120]!r}, and it was paid for")
    if told.get("code") == "internal_error" or told.get("outcome") == "no_result":
        verdict.found(UNTRUE, f"{one.wish.name}: {said[:120]!r}")


def _is_alone(one: Asked, call: Call) -> bool:
    began = call.at - call.seconds
    return sum(other.at >= began and other.at - other.seconds <= call.at for other in one.calls) == 1


def _is_right(wish: Question, told: Structure) -> bool:
    match wish.about:
        case "search":
            return any("coffee" in str(row.get("title")).casefold() for row in told["results"])
        case "details":
            return wish.product_id in str(told["details"].get("title"))
        case "offers":
            return all(wish.product_id in str(row.get("seller")) for row in told["offers"])


def _budget(verdict: Verdict, each: QuestionRound, payments: Sequence[Row], entries: Sequence[Row]) -> None:
    paid = sum(payment["amount_cents"] for payment in payments)
    counts = sum(entry["counts_cents"] for entry in entries)
    if max(paid, counts) > each.budget_cents:
        verdict.found(OVER_LIMIT, f"{each.name}: {paid} cents paid, {counts} counted, of {each.budget_cents}")
    verdict.counts["questions over the budget, which were not asked"] += sum(
        not any(json.loads(entry["body"])[3] == json.loads(json.dumps(call.compared)) for entry in entries)
        for wish in each.wishes
        for call in wish.asked()[:1]
    )
