"""Compares each answer about an order after its purchase with what Zinc's ledger had at that time."""

from collections import Counter

from bench.campaign.agents.agent import Call
from bench.campaign.judge.after_evidence import AfterEvidence
from bench.campaign.judge.evidence import Row
from bench.campaign.judge.verdict import CANCELLED_FALSELY, LOST, UNTRUE, Verdict
from bench.campaign.plan.after_sale import AfterRound

_OWNING = frozenset({"placed", "failed", "sending", "unknown"})
_NOT_SENT = frozenset({"refused", "declined", "rejected"})
_MAY_STILL_SEND_SECONDS = 3.0
"""The time in which a call may still send, after its answer or after its host has gone."""
_CLAIM = "nothing was sent"


def judge_told(verdict: Verdict, each: AfterRound, one: AfterEvidence) -> None:
    """Judge all answers of one intention."""
    opened: Counter[str] = Counter()
    for call in one.calls:
        answer = call.answer
        if answer is None:
            continue
        verdict.counts["answers compared with the ledger"] += 1
        if answer["outcome"] == "no_result":
            verdict.found(UNTRUE, f"{one.wish.name}: {call.tool} gave no result: {answer.get('code')}")
        match call.tool:
            case "get_order":
                _look(verdict, one, call, answer)
            case "cancel_order":
                _cancellation(verdict, each, one, call, answer)
            case "return_order" | "report_problem":
                _change(verdict, each, one, call, answer)
                opened[str(answer.get("key"))] += answer.get("new_request") is True
            case _:
                pass
    for key, times in opened.items():
        if times > 1:
            verdict.found(UNTRUE, f"{one.wish.name}: {times} calls were told that they had opened {key}")


def _change(verdict: Verdict, each: AfterRound, one: AfterEvidence, call: Call, answer: Row) -> None:
    outcome, key = answer["outcome"], str(answer.get("key"))
    is_view = "new_request" in answer
    named = answer.get("return_id" if one.wish.kind == "return" else "case_id")
    if outcome == "filed" and not _has(one, call.at, named):
        verdict.found(LOST, f"{one.wish.name}: told that Zinc has it, and it has not: {answer['summary']}")
    if outcome == "failed" and not (one.wish.ending == "denied" and _has(one, call.at, named)):
        verdict.found(UNTRUE, f"{one.wish.name}: told that Zinc denied it: {answer['summary']}")
    if outcome == "rejected" or (is_view and outcome in _NOT_SENT):
        _not_at_zinc(verdict, one, key, outcome, answer["summary"])
    if is_view and outcome == "waiting" and _unowned(one, key, call.at - call.seconds):
        verdict.found(UNTRUE, f"{one.wish.name}: told that it waits, when Zinc had it: {answer['summary']}")
    if not is_view and outcome not in ("rejected", "unknown"):
        _nothing_sent(verdict, each, one, call, answer)


def _cancellation(verdict: Verdict, each: AfterRound, one: AfterEvidence, call: Call, answer: Row) -> None:
    at = None if one.order is None else one.order["cancelled_at"]
    began, ended = call.at - call.seconds, answer.get("cancellation")
    told = f"{one.wish.name}: told {ended or answer['outcome']}: {answer['summary']}"
    if "cancelled" in (ended, answer["outcome"]) and (at is None or at > call.at):
        verdict.found(CANCELLED_FALSELY, told)
    if ended == "withdrawn" and one.order is not None:
        verdict.found(UNTRUE, f"{told} Zinc has the order")
    if ended == "not_cancelled" and at is not None and at < (call.at if _is_alone(one, call) else began):
        verdict.found(UNTRUE, f"{told} It was cancelled")
    # A busy Zinc writes a request down some time after the client has given it up, or never reads it. So this is
    # untrue only if no process had begun to ask.
    arrived = any(post["at"] <= call.at + _MAY_STILL_SEND_SECONDS for post in one.posts)
    if ended == "unknown" and not arrived and not any(at <= call.at for at in one.begun):
        verdict.found(UNTRUE, f"{told} Nobody had asked Zinc")
    if ended is None:
        _nothing_sent(verdict, each, one, call, answer)


def _look(verdict: Verdict, one: AfterEvidence, call: Call, answer: Row) -> None:
    at = None if one.order is None else one.order["cancelled_at"]
    outcome = answer["outcome"]
    if outcome == "cancelled" and (at is None or at > call.at):
        verdict.found(CANCELLED_FALSELY, f"{one.wish.name}: get_order told it: {answer['summary']}")
    is_read = answer.get("unasked") is None and answer.get("status") is not None
    if outcome in ("accepted", "placed") and is_read and at is not None and at < call.at - call.seconds:
        verdict.found(UNTRUE, f"{one.wish.name}: get_order told {outcome}, and it was cancelled: {answer['summary']}")
    own = {entry["key"] for entry in one.entries}
    for row in answer.get("requests") or ():
        if row["key"] not in own:
            continue
        if row["outcome"] == "filed" and not any(filed.at <= call.at for filed in one.filed):
            verdict.found(LOST, f"{one.wish.name}: get_order told that Zinc has it: {row['summary']}")
        if row["outcome"] in _NOT_SENT:
            _not_at_zinc(verdict, one, row["key"], row["outcome"], row["summary"])


def _has(one: AfterEvidence, at: float, zinc_id: object) -> bool:
    return any(filed.at <= at and filed.id == zinc_id for filed in one.filed)


def _unowned(one: AfterEvidence, key: str, until: float) -> bool:
    """Say whether Zinc has more of an intention than its other entries account for."""
    others = sum(1 for entry in one.entries if entry["key"] != key and entry["state"] in _OWNING)
    return sum(1 for filed in one.filed if filed.at < until) > others


def _not_at_zinc(verdict: Verdict, one: AfterEvidence, key: str, outcome: str, summary: str) -> None:
    """Check an answer that this entry was not sent or not taken, which must stay true for ever."""
    if _unowned(one, key, float("inf")):
        verdict.found(UNTRUE, f"{one.wish.name}: told {outcome}, and Zinc has it: {summary}")
    sent = sum(entry["attempts"] for entry in one.siblings if entry["key"] != key)
    if outcome in ("refused", "declined") and len(one.posts) > sent:
        verdict.found(UNTRUE, f"{one.wish.name}: told {outcome}, and it was sent: {summary}")


def _nothing_sent(verdict: Verdict, each: AfterRound, one: AfterEvidence, call: Call, answer: Row) -> None:
    """Check a call's answer that it sent nothing, if no other call can have sent anything meanwhile."""
    if _CLAIM not in str(answer.get("summary")).lower() or each.asks or not _is_alone(one, call):
        return
    if any(call.at - call.seconds <= post["at"] <= call.at for post in one.posts):
        verdict.found(UNTRUE, f"{one.wish.name}: {call.tool} told that nothing was sent: {answer['summary']}")


def _is_alone(one: AfterEvidence, call: Call) -> bool:
    """Say whether no other call about the order can have sent anything while this one went on."""
    began = call.at - call.seconds
    return not any(
        other is not call and other.at - other.seconds <= call.at and began <= other.at + _MAY_STILL_SEND_SECONDS
        for other in one.family_calls
    )
