"""Judges the promises of the v1 rail: no repeat after a final answer, true prices, and no secrets in answers."""

import json
from collections.abc import Mapping, Sequence
from math import inf, isinf
from pathlib import Path

from bench.campaign.judge.evidence import Evidence, Orders, RoundEvidence, Row
from bench.campaign.judge.purchases import WIRE_SECONDS
from bench.campaign.judge.verdict import ANSWER_REPEATED, OVER_LIMIT, SECRETS_TOLD, UNTRUE, Verdict
from bench.campaign.plan.intentions import Intention, Round
from bench.campaign.plan.v1_orders import TOKEN, can_be, is_left_to_people
from zinc_mcp.sandbox.v1.rules.bill import Bill, bill_of

_SECRETS = ("@buyers.example", TOKEN)
"""Words in v1's answers that must reach no answer of ours and no journal: an account's login, and our token."""
_DIES = frozenset({"closes_stdin", "terminates", "kills"})
_UNHEARD = frozenset(
    {
        "no answer: timeout",
        "no answer: connection_lost",
        "no answer: internal_error",
        "the sending process did not come back",
    }
)
"""Events that allow a repeat. On a busy machine an answer may be late, and `internal_error` may be a gateway's."""
_ANSWERED = ("created", "rejected")
_SHOWN = ("Zinc says", "accepted by Zinc", "found at Zinc")
"""The beginnings of events after which the entry has its order."""
_ENDED = frozenset({"failed", "rejected", "cancelled"})


def judge_v1(verdict: Verdict, each: Round, evidence: RoundEvidence, folder: Path) -> None:
    """Judge the orders of v1 in a round, in addition to the judgements for every rail."""
    events: dict[int, list[Row]] = {}
    for event in evidence.events:
        events.setdefault(event["entry_id"], []).append(event)
    for one in evidence.intentions:
        _repeated(verdict, one, events)
        _told(verdict, one, evidence.known)
    if each.limit_cents is not None:
        _debited(verdict, each.limit_cents, evidence.orders)
    _kept(verdict, folder)


def _repeated(verdict: Verdict, one: Evidence, events: Mapping[int, Sequence[Row]]) -> None:
    """Find bytes that were sent again although Zinc had answered them, or had shown their order.

    A rejection of a repeat does not count as an answer: it tells nothing about the first request.
    """
    wish = one.intention
    if _loses_answers(wish):
        return
    for entry in one.entries:
        own = events.get(entry["id"], ())
        posts = [post for post in one.posts_of(entry["key"]) if post["rail"] == "v1"]
        is_heard = not any(event["what"] in _UNHEARD for event in own)
        shown = _shown_at(own)
        if len(posts) > 1 and is_heard and posts[0]["fault"] is None and posts[0]["outcome"].startswith(_ANSWERED):
            what = f"{posts[0]['outcome']}, and then {posts[1]['outcome']}"
        elif any(post["at"] > shown + WIRE_SECONDS for post in posts):
            what = "Zinc had shown its order"
        else:
            continue
        verdict.found(ANSWER_REPEATED, f"{one.name}: {what}, under {entry['key']}")


def _shown_at(events: Sequence[Row]) -> float:
    """Return the time at which an entry first had its order, not before any of its earlier events.

    A process whose clock was set back writes a time that is too early, also about an order that another process has
    found before it.
    """
    latest = 0.0
    for event in events:
        latest = max(latest, float(event["at"]))
        if event["what"].startswith(_SHOWN):
            return latest
    return inf


def _loses_answers(wish: Intention) -> bool:
    """Say whether the process of an intention can have lost an answer of Zinc."""
    return bool(wish.kill or wish.step or wish.clock) or wish.behaviour in _DIES


def _told(verdict: Verdict, one: Evidence, known: Orders) -> None:
    """Find answers that hold a secret, or that differ from the order's true ending, failure code or price."""
    for answer in one.answers:
        text = json.dumps(answer)
        for secret in _SECRETS:
            if secret in text:
                verdict.found(SECRETS_TOLD, f"{one.name}: {secret} in {answer.get('outcome')}")
        order = known.get(str(answer.get("order_id")))
        if order is None or order["rail"] != "v1":
            continue
        outcome, scenario = answer["outcome"], one.intention.scenario
        if outcome in _ENDED and not can_be(scenario, outcome):
            verdict.found(UNTRUE, f"{one.name}: told {outcome}: {answer['summary']}")
        failure: Row = answer.get("failure") or {}
        price: Row = answer.get("price") or {}
        code, paid = failure.get("code"), price.get("paid_cents")
        bill = bill_of(order["body"])
        if outcome == "failed" and code is not None and code != _failure(bill):
            verdict.found(UNTRUE, f"{one.name}: told that it failed with {code}: {answer['summary']}")
        if outcome == "placed" and paid is not None and bill.course.priced and paid != bill.cost:
            verdict.found(UNTRUE, f"{one.name}: told that {paid} cents were paid, and it took {bill.cost}")
    if is_left_to_people(one.intention.scenario):
        verdict.counts["orders that Zinc lost sight of"] += len(one.orders)


def _failure(bill: Bill) -> str | None:
    """Return the code with which an order fails; None if it does not."""
    return "zma_temporarily_overloaded" if isinf(bill.course.queue_seconds) else bill.failure


def _debited(verdict: Verdict, limit_cents: int, orders: Sequence[Row]) -> None:
    """Find money above the limit by Zinc's ledger: all that orders took, or will take once they are placed."""
    bills = [bill_of(order["body"]) for order in orders if order["rail"] == "v1"]
    taken = sum(bill.cost for bill in bills if bill.course.bought or _failure(bill) is None)
    if taken > limit_cents:
        verdict.found(OVER_LIMIT, f"orders of v1 took {taken} cents under a limit of {limit_cents}")


def _kept(verdict: Verdict, folder: Path) -> None:
    """Find the client token or an account's address in the journal."""
    for file in folder.glob("journal.db*"):
        content = file.read_bytes()
        for secret in _SECRETS:
            if secret.encode() in content:
                verdict.found(SECRETS_TOLD, f"{secret} in {file.name}")
