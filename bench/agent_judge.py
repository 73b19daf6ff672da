"""The judge of what was paid by wallet: credentials, settlements, orders and their keys against the journal.

Like `bench.judge`, it knows SQL, JSON and the plan, and nothing of the program that it judges.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.agent_plan import REFUSED, challenge_seconds
from bench.agents import Told
from bench.class_judge import judge_authorised, judge_classes
from bench.evidence import PRACTISED, Evidence, Unknown, Verdict, read_journal, read_ledgers, sorted_out
from bench.judge import (
    DOUBT,
    EXCUSES,
    FEE,
    LANDED,
    OVER,
    apart,
    count,
    duplicates,
    is_a_no,
    landed,
    limits,
    named,
    outcomes,
    posts_against_entries,
    told_rightly,
    unjournalled,
)
from bench.plan import IGNORED, PACE, Round
from bench.record_judge import judge_record

_DOUBT = DOUBT | {"signing"}
_HEADERS_ARRIVE = frozenset({None, "slow", "truncated", "huge"})
"""After these, what came with the head of the answer came all the same: but for `slow` where the host was too."""
_NAMES_ANOTHER = frozenset({"possible_duplicate", "key_used", "key_conflict"})
"""Refusals that name an earlier order's key."""
_PAST_HEADERS = frozenset({"headers", "answered", "accepted"})


@dataclass(frozen=True, slots=True)
class UnknownPayment(Unknown):
    """A payment whose end is not known when the campaign ends."""

    can_settle: bool = False

    @property
    def why(self) -> str:
        """Say why nobody can know better."""
        if self.can_settle:
            return "its payment could still be taken when the campaign ended"
        return "nobody has asked since its payment can be proved"


@dataclass(slots=True)
class _Money:
    """What the ledger and the journal have of payments."""

    settlements: list[dict[str, Any]]
    payments: dict[int, dict[str, Any]]
    """By the entry's id."""
    free: frozenset[str]
    """Ids of orders that Zinc gave for nothing."""
    ended_at: float
    struck: Mapping[int, str] = field(default_factory=dict[int, str])
    """The step at which an intention's first process was killed."""


def judge_paid(each: Round, folder: Path, told: Mapping[int, Sequence[Told]], ended_at: float) -> Verdict:
    """Judge one round.

    Args:
        each: what was wanted.
        folder: where its ledger, its journal and the list of the killed are.
        told: by the intention's number, every call of its agent and its answer.
        ended_at: when the last question was asked.
    """
    verdict = Verdict()
    orders, attempts = read_ledgers(folder / "ledger.db")
    entries, events, paused = read_journal(folder / "journal.db")
    money = _money(folder, orders, ended_at)
    evidence = sorted_out(each, orders, attempts, entries, told)
    known = {order["order_id"]: order for order in orders}
    journalled = {entry["key"] for entry in entries}
    for settlement in money.settlements:
        if settlement["idempotency_key"] not in journalled:
            verdict.found("lost", f"the journal does not know the payment {settlement['reference']}")
    unjournalled(verdict, attempts, entries)
    for one in evidence.values():
        settled = [each for each in money.settlements if each["idempotency_key"] in {e["key"] for e in one.entries}]
        unknowable = _given_and_lost(verdict, one, money)
        count(verdict, one)
        duplicates(verdict, one, unknowable, keys_count=each.dialect != IGNORED)
        _credentials(verdict, each, one, settled, known)
        _settlements(verdict, one, settled, known)
        _lies(verdict, one)
        _entries(verdict, each, one, settled, known, money)
        _orders(verdict, each, one, unknowable)
        _keys(verdict, each, one, money)
        posts_against_entries(verdict, one)
        if not unknowable:
            told_rightly(verdict, one, known, evidence.values())
        _told_of_money(verdict, one, settled)
        _honest(verdict, each, one)
    if each.limit_cents is not None:
        taken = sum(one["amount_cents"] for one in money.settlements if one["outcome"] == "no_order")
        paid = [order for order in orders if order["order_id"] not in money.free]
        limits(verdict, each.limit_cents, entries, events, paid, taken)
    judge_authorised(verdict, each, evidence.values(), money.settlements)
    if each.dialect == IGNORED:
        apart(verdict, paused, told, attempts)
    judge_classes(verdict, each, folder, evidence.values(), known, events)
    judge_record(verdict, folder / "journal.db", evidence.values())
    return verdict


# Evidence


def _money(folder: Path, orders: Sequence[Mapping[str, Any]], ended_at: float) -> _Money:
    settlements: list[dict[str, Any]] = []
    for name in ("ledger.db", "sandbox.db"):
        if not (folder / name).exists():
            continue
        with closing(sqlite3.connect(folder / name)) as ledger:
            ledger.row_factory = sqlite3.Row
            rows = [dict(row) for row in ledger.execute("select * from settlements order by seq")]
        for row in rows if name == "sandbox.db" else ():
            row["idempotency_key"] = f"{PRACTISED}{row['idempotency_key']}"
        settlements += rows
    with closing(sqlite3.connect(folder / "journal.db")) as journal:
        journal.row_factory = sqlite3.Row
        payments = {row["entry_id"]: dict(row) for row in journal.execute("select * from zinc_payments")}
    bought = {settlement["order_id"] for settlement in settlements}
    free = {order["order_id"] for order in orders if order["rail"] == "agent"} - bought
    struck = folder / "struck"
    lines = struck.read_text(encoding="ascii").splitlines() if struck.exists() else []
    killed = {int(number): step for number, _, step in (line.partition(" ") for line in lines)}
    return _Money(settlements, payments, frozenset(free), ended_at, killed)


def _given_and_lost(verdict: Verdict, one: Evidence, money: _Money) -> set[str]:
    """Orders that cost nothing and whose answer was lost: no payment points to them, so nobody can know them."""
    known = {entry["order_id"] for entry in one.entries}
    lost = {order["order_id"] for order in one.orders if order["order_id"] in money.free} - known
    verdict.counts["given for nothing, and the answer lost"] += len(lost)
    return lost


# Zinc's ledger


def _credentials(
    verdict: Verdict,
    each: Round,
    one: Evidence,
    settled: Sequence[Mapping[str, Any]],
    known: Mapping[str, Mapping[str, Any]],
) -> None:
    """One credential for each entry, and no second one of an intention while the first can settle or has bought."""
    first: dict[str, dict[str, Any]] = {}
    of_key: defaultdict[str, set[str]] = defaultdict(set)
    for post in one.posts:
        if post["credential"] is not None:
            first.setdefault(post["credential"], post)
            of_key[post["idempotency_key"]].add(post["credential"])
    verdict.credentials[len(first)] += 1
    for key, credentials in of_key.items():
        if len(credentials) > 1:
            verdict.found("second credentials", f"{named(one)}: {len(credentials)} under {key}")
    in_order = list(first.values())
    for earlier, later in pairwise(in_order):
        if earlier["idempotency_key"] == later["idempotency_key"]:
            continue  # found above
        money = next((paid for paid in settled if paid["credential"] == earlier["credential"]), None)
        if money is not None:
            if not _is_over(one, known.get(money["order_id"]), later["at"]):
                verdict.found("second credentials", f"{named(one)}: although the first had been paid")
        elif later["at"] < _asked_at(one, earlier) + challenge_seconds(each):
            verdict.found("second credentials", f"{named(one)}: while the first could still be paid")
        else:
            verdict.counts["paid anew after the first could not be"] += 1


def _asked_at(one: Evidence, paid: Mapping[str, Any]) -> float:
    """When the challenge was issued that a credential answers."""
    asked = [post["at"] for post in _unpaid(one, paid["idempotency_key"]) if post["seq"] < paid["seq"]]
    return float(max(asked, default=paid["at"]))


def _unpaid(one: Evidence, key: str) -> list[dict[str, Any]]:
    return [
        post
        for post in one.posts
        if post["rail"] == "agent" and post["credential"] is None and post["idempotency_key"] == key
    ]


def _settlements(
    verdict: Verdict, one: Evidence, settled: Sequence[Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]]
) -> None:
    verdict.settlements[len(settled)] += 1
    for earlier, later in pairwise(settled):
        if _is_over(one, known.get(earlier["order_id"]), later["at"]):
            verdict.counts["paid again after the end"] += 1
        else:
            verdict.found("paid twice", f"{named(one)}: {earlier['reference']} and {later['reference']}")
    for each in settled:
        asked = {entry["ceiling_cents"] + FEE for entry in one.entries if entry["key"] == each["idempotency_key"]}
        if each["amount_cents"] not in asked:
            verdict.found("paid another amount", f"{named(one)}: {each['amount_cents']} instead of {asked}")


def _is_over(one: Evidence, order: Mapping[str, Any] | None, at: float) -> bool:
    after = OVER.get(one.intention.scenario)
    return order is not None and after is not None and bool(order["created_at"] + after / PACE <= at)


def _lies(verdict: Verdict, one: Evidence) -> None:
    """No credential may follow a payment request that is not to be paid."""
    for paid in one.posts:
        if paid["credential"] is None:
            continue
        heard = [post for post in _unpaid(one, paid["idempotency_key"]) if post["seq"] < paid["seq"]]
        if not heard or heard[-1]["fault"] in REFUSED:
            verdict.found("lies paid", f"{named(one)}: a credential after {outcomes(heard[-1:])}")
    lies = [post for post in one.posts if post["fault"] in REFUSED and post["credential"] is None]
    verdict.counts["payment requests that lied, and were not paid"] += len(lies)


# The journal against it


def _entries(
    verdict: Verdict,
    each: Round,
    one: Evidence,
    settled: Sequence[Mapping[str, Any]],
    known: Mapping[str, Mapping[str, Any]],
    money: _Money,
) -> None:
    for entry in one.entries:
        state, key = entry["state"], entry["key"]
        posts = [post for post in one.posts if post["idempotency_key"] == key]
        paid = [each for each in settled if each["idempotency_key"] == key]
        alone = sum(1 for other in one.entries if other["key"] == key) == 1
        if state in LANDED:
            landed(verdict, one, entry, known, money.free)
        elif state in ("rejected", "refused", "declined"):
            if alone and paid:
                verdict.found("wrong endings", f"{named(one)}: {state}, and the money is gone: {outcomes(posts)}")
            on_account = [post for post in posts if post["rail"] == "account"]
            if state == "rejected" and on_account and entry["rail"] == "account" and not any(map(is_a_no, posts)):
                verdict.found("wrong endings", f"{named(one)}: rejected, and Zinc's ledger says {outcomes(posts)}")
        elif state == "paid_no_order":
            there = any(each["order_id"] is not None for each in paid)
            verdict.counts[f"paid, and no order known ({'Zinc has one' if there else 'there is none'})"] += 1
            payment = money.payments.get(entry["id"], {})
            if not paid:
                verdict.found("wrong endings", f"{named(one)}: paid_no_order, and nothing was taken: {outcomes(posts)}")
            elif payment.get("order_key") is not None and paid[0]["order_id"] is not None:
                verdict.found("wrong endings", f"{named(one)}: paid_no_order, and the order's own key is there")
        elif state == "waiting" and each.kind == "questions" and not posts:
            verdict.counts["still waiting for an answer at the end"] += 1
        elif state in _DOUBT:
            verdict.counts["unknown at the end"] += 1
            verdict.unknown.append(_doubt(each, one, entry, posts, paid, money))
        elif state == "waiting" and any(post["seq"] for post in posts):
            verdict.found("wrong endings", f"{named(one)}: waiting, and Zinc's ledger says {outcomes(posts)}")


def _doubt(
    each: Round,
    one: Evidence,
    entry: Mapping[str, Any],
    posts: Sequence[Mapping[str, Any]],
    paid: Sequence[Mapping[str, Any]],
    money: _Money,
) -> Unknown:
    wish = one.intention
    at_zinc = bool(paid) or any(order["idempotency_key"] == entry["key"] for order in one.orders)
    seen = (wish.fault, each.dialect, wish.kill, wish.behaviour, at_zinc, tuple(outcomes(posts)))
    if entry["rail"] == "account":
        return Unknown(*seen)
    settle_by = money.payments.get(entry["id"], {}).get("settle_by") or 0.0
    return UnknownPayment(*seen, can_settle=settle_by > money.ended_at)


def _orders(verdict: Verdict, each: Round, one: Evidence, unknowable: Collection[str]) -> None:
    for order in one.orders:
        if order["order_id"] in unknowable:
            continue
        if any(entry["order_id"] == order["order_id"] and entry["state"] in LANDED for entry in one.entries):
            continue
        states = [entry["state"] for entry in one.entries if entry["key"] == order["idempotency_key"]]
        if not states:
            verdict.found("lost", f"{named(one)}: the journal does not know {order['order_id']}")
        elif each.dialect == IGNORED and LANDED.intersection(states):
            continue  # the second order of one key, which is counted as what it is
        elif not (_DOUBT | {"paid_no_order"}).intersection(states):
            verdict.found("wrong endings", f"{named(one)}: {'/'.join(states)}, but Zinc has {order['order_id']}")


def _keys(verdict: Verdict, each: Round, one: Evidence, money: _Money) -> None:
    """Whatever came with the head of a 201 is on disk before anything else happens."""
    if each.dialect == "order_key=absent":
        return
    for entry in one.entries:
        if entry["rail"] != "agent":
            continue
        payment = money.payments.get(entry["id"], {})
        if payment.get("order_key") is not None:
            verdict.counts["order keys kept"] += 1
            continue
        if entry["state"] in LANDED:
            verdict.found("order keys lost", f"{named(one)}: {entry['state']} without the order's key")
            continue
        heads = _HEADERS_ARRIVE - ({"slow"} if "too_slow" in one.intention.faults else set[str]())
        arrived = [
            post
            for post in one.posts
            if post["idempotency_key"] == entry["key"]
            and post["outcome"] in ("created", "replayed_201")
            and post["fault"] in heads
        ]
        # A process whose journal fails lives on, and writes it down later.
        keeps = each.kind == "journal" or money.struck.get(one.intention.number) in _PAST_HEADERS
        if arrived and keeps and len(one.entries) == 1:
            verdict.found("order keys lost", f"{named(one)}: the headers came, and their key is not there")


# What the agent was told, and whether it got what it wanted


def _told_of_money(verdict: Verdict, one: Evidence, settled: Sequence[Mapping[str, Any]]) -> None:
    paid = {each["idempotency_key"] for each in settled}
    reused = {entry["key"] for entry in one.entries if sum(e["key"] == entry["key"] for e in one.entries) > 1}
    for call in one.told:
        said = call.said or {}
        if said.get("code") in _NAMES_ANOTHER:
            continue
        if said.get("outcome") in ("rejected", "refused") and said.get("key") in paid - reused:
            verdict.found("told wrongly", f"{named(one)}: told {said['outcome']}, and the money is gone")
        if said.get("outcome") == "paid_no_order" and said.get("key") not in paid:
            verdict.found("told wrongly", f"{named(one)}: told that money is gone, and it is not")


def _honest(verdict: Verdict, each: Round, one: Evidence) -> None:
    """Every intention that nothing speaks against is bought in the end."""
    if one.orders:
        return
    states = {entry["state"] for entry in one.entries}
    codes = {call.said.get("code") for call in one.told if call.said is not None}
    if states & _DOUBT or "waiting" in states or "paid_no_order" in states:
        return  # counted
    if each.kind == "questions":
        verdict.counts["not bought for want of a yes"] += 1
    elif codes & set(EXCUSES):
        verdict.counts[f"not bought: {EXCUSES[next(code for code in EXCUSES if code in codes)]}"] += 1
    elif "rejected" in states:
        verdict.counts["rejected by Zinc"] += 1
    elif "limit_exceeded" in codes and each.limit_cents is not None:
        verdict.counts["refused by a limit"] += 1
    elif each.dialect == IGNORED and "paused" in codes:
        verdict.counts["refused after the pause"] += 1
    elif one.intention.pay_faults:
        verdict.counts["refused for what was answered to the unpaid request"] += 1
    elif any(call.said is not None and call.said.get("new_order") is False for call in one.told):
        verdict.found("false twins", f"{named(one)}: never bought, and told of an earlier order")
    else:
        problems = [json.loads(entry["problem"] or "{}").get("facts") for entry in one.entries]
        verdict.found("not bought", f"{named(one)}: {sorted(map(str, codes))}, {sorted(states)}, {problems}")
