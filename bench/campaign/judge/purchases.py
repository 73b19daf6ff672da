"""Judges purchases: orders, POSTs, entries of the journal, the agents' answers, and the limits."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from bench.campaign.agents.agent import Call
from bench.campaign.judge.evidence import (
    LANDED,
    Evidence,
    Orders,
    RoundEvidence,
    Row,
    could_buy,
    is_a_no,
    outcomes,
)
from bench.campaign.judge.verdict import (
    AFTER_PAUSE,
    CHANGED_BODY,
    DUPLICATED,
    FALSE_TWIN,
    INTENTIONS,
    LOST,
    NOT_BOUGHT,
    NOT_NOTICED,
    OVER_LIMIT,
    PLACED,
    UNTRUE,
    WRONG_ENDING,
    Unknown,
    Verdict,
)
from bench.campaign.plan.intentions import BROKEN_KEYS, CANCELLED, FAILING, PACE, Round
from bench.campaign.plan.v1_orders import is_left_to_people, over_seconds

FEE_CENTS = 100
WIRE_SECONDS = 1.0

_OVER_SECONDS = {**dict.fromkeys(FAILING, 3.0), **dict.fromkeys(CANCELLED, 8.0)}
"""The age at which an order has failed or is cancelled, and may be ordered again, at pace 1."""
_DOUBT = frozenset({"sending", "unknown"})
_GIVEN_BACK = frozenset({"refused", "declined", "rejected", "failed", "cancelled"})
_ENDED_BY_ZINC = frozenset({"failed", "cancelled"})
_NOTHING_BOUGHT = frozenset({"refused", "rejected", "not_sent", "declined"})
_BY_IGNORED_KEYS = "duplicates where keys are ignored"
_EXCUSES = {"clock_uncertain": "a clock was uncertain"}
"""The codes of refusals that only a person can end, with their meaning."""


def judge_purchases(verdict: Verdict, each: Round, evidence: RoundEvidence) -> None:
    """Judge a round of the account rail."""
    known = evidence.known
    for one in evidence.intentions:
        count(verdict, one)
        duplicates(verdict, one, keys_count=each.dialect not in BROKEN_KEYS)
        for entry in one.entries:
            _entry(verdict, each, one, entry, known)
        unknown_orders(verdict, each, one, _DOUBT)
        changed_bodies(verdict, one)
        told_truly(verdict, one, known, evidence.entries)
        bought(verdict, each, one, evidence.is_paused)
    if each.limit_cents is not None:
        limits(verdict, each.limit_cents, evidence.entries, evidence.events, evidence.orders)


# Counting


def count(verdict: Verdict, one: Evidence) -> None:
    """Count the orders, keys and POSTs of one intention."""
    verdict.counts[INTENTIONS] += 1
    verdict.counts[PLACED] += len(one.orders)
    verdict.keys[len({post["idempotency_key"] for post in one.posts})] += 1
    verdict.posts[len(one.posts)] += 1


def duplicates(verdict: Verdict, one: Evidence, free: Collection[str] = (), *, keys_count: bool = True) -> None:
    """Find an intention that was ordered twice.

    Where Zinc ignores keys, two orders of one key are Zinc's fault, and `ignored_keys` judges the reaction to them.

    Args:
        verdict: where to write it.
        one: the intention.
        free: ids of orders that nobody paid for and nobody could know.
        keys_count: whether Zinc honours keys.
    """
    orders = [order for order in one.orders if order["order_id"] not in free]
    for earlier, later in pairwise(orders):
        if is_over(one, earlier, later["created_at"]):
            verdict.counts["ordered again after the end"] += 1
        elif not keys_count and earlier["idempotency_key"] == later["idempotency_key"]:
            verdict.counts[_BY_IGNORED_KEYS] += 1
        else:
            verdict.found(DUPLICATED, f"{one.name}: {earlier['order_id']} and {later['order_id']}")


def is_over(one: Evidence, order: Mapping[str, Any] | None, at: float) -> bool:
    """Say whether an order had failed or was cancelled by this time."""
    wish = one.intention
    after = over_seconds(wish.scenario) if wish.by_number else _OVER_SECONDS.get(wish.scenario)
    return order is not None and after is not None and bool(order["created_at"] + after / PACE <= at)


# The journal against Zinc's ledger


def _entry(verdict: Verdict, each: Round, one: Evidence, entry: Row, known: Orders) -> None:
    state, own = entry["state"], one.posts_of(entry["key"])
    is_shared = any(other is not entry and other["key"] == entry["key"] for other in one.entries)
    is_bought = any(post["outcome"] == "created" for post in own)
    contradicted = f"{one.name}: {state}, but Zinc's ledger says {outcomes(own)}"
    if state in LANDED:
        landed(verdict, one, entry, known)
    elif state == "rejected" and "resolved_not_bought" in (entry["problem"] or ""):
        if is_bought:
            verdict.found(WRONG_ENDING, f"{one.name}: the owner's word was taken, although it was bought")
    elif state == "rejected":
        if is_bought or not any(map(is_a_no, own)):
            verdict.found(WRONG_ENDING, contradicted)
    elif state in ("refused", "declined"):
        if own and not is_shared:
            verdict.found(WRONG_ENDING, contradicted)
    elif state == "waiting" and own:
        verdict.found(WRONG_ENDING, contradicted)
    elif state == "waiting" and each.kind == "questions":
        verdict.counts["waiting for an answer at the end"] += 1
    elif state in _DOUBT or state == "waiting":
        is_at_zinc = any(order["idempotency_key"] == entry["key"] for order in one.orders)
        unknown_at_the_end(verdict, doubt(each, one, own, is_at_zinc))


def doubt(each: Round, one: Evidence, posts: Sequence[Row], is_at_zinc: bool) -> Unknown:
    """Return the record of an entry in doubt, with the truth about it."""
    wish = one.intention
    left = is_left_to_people(wish.scenario)
    return Unknown(wish.fault, each.dialect, wish.kill, wish.behaviour, is_at_zinc, tuple(outcomes(posts)), left)


def unknown_at_the_end(verdict: Verdict, unknown: Unknown) -> None:
    """Count an entry in doubt, and keep it for the table."""
    verdict.counts["unknown at the end"] += 1
    verdict.unknown.append(unknown)


def landed(verdict: Verdict, one: Evidence, entry: Row, known: Orders, free: Collection[str] = ()) -> None:
    """Compare an entry that names an order with Zinc's order; the ids in `free` are of orders that cost nothing."""
    order = known.get(entry["order_id"])
    if order is None:
        verdict.found(LOST, f"{one.name}: the journal has {entry['state']} {entry['order_id']}, Zinc does not")
    elif order["identity"] != one.intention.identity:
        verdict.found(WRONG_ENDING, f"{one.name}: the journal names the order of {order['identity']}")
    elif entry["order_id"] not in free and not one.can_be(entry["state"]):
        verdict.found(WRONG_ENDING, f"{one.name}: {entry['state']}")


def unknown_orders(
    verdict: Verdict, each: Round, one: Evidence, doubtful: Collection[str], free: Collection[str] = ()
) -> None:
    """Find Zinc's orders that the journal does not know, or whose entry contradicts them.

    Args:
        verdict: where to write it.
        each: the round.
        one: the intention.
        doubtful: states in which it is not known whether Zinc has an order.
        free: ids of orders that nobody paid for and nobody could know.
    """
    for order in one.orders:
        if order["order_id"] in free:
            continue
        if any(entry["order_id"] == order["order_id"] and entry["state"] in LANDED for entry in one.entries):
            continue
        states = [entry["state"] for entry in one.entries if entry["key"] == order["idempotency_key"]]
        if not states:
            verdict.found(LOST, f"{one.name}: the journal does not know {order['order_id']}")
        elif each.dialect in BROKEN_KEYS and LANDED.intersection(states):
            continue  # the second order of one key, which is counted as such
        elif not set(doubtful).intersection(states):
            verdict.found(WRONG_ENDING, f"{one.name}: {'/'.join(states)}, but Zinc has {order['order_id']}")


def changed_bodies(verdict: Verdict, one: Evidence) -> None:
    """Find bytes that changed under a key, and POSTs that were not in the journal before they left."""
    bodies: defaultdict[str, set[str]] = defaultdict(set)
    for post in one.posts:
        bodies[post["idempotency_key"]].add(post["body_sha256"])
    for key, digests in bodies.items():
        if len(digests) > 1:
            verdict.found(CHANGED_BODY, f"{one.name}: {len(digests)} bodies were sent under {key}")
        journalled = sum(entry["attempts"] for entry in one.entries if entry["key"] == key)
        sent = sum(map(could_buy, one.posts_of(key)))
        if sent > journalled:
            verdict.found(LOST, f"{one.name}: {sent} POSTs, {journalled} of them in the journal")


def unjournalled(verdict: Verdict, attempts: Iterable[Row], entries: Iterable[Row]) -> None:
    """Find POSTs under a key that is in no entry, whatever their outcome and their intention."""
    journalled = {entry["key"] for entry in entries}
    for attempt in attempts:
        if could_buy(attempt) and attempt["idempotency_key"] not in journalled:
            what = "a credential" if attempt["credential"] is not None else "a POST"
            key, outcome = attempt["idempotency_key"], attempt["outcome"]
            verdict.found(LOST, f"{what} was sent under {key}, which the journal does not know: {outcome}")


# The answers to the agent


def told_truly(verdict: Verdict, one: Evidence, known: Orders, all_entries: Iterable[Row]) -> None:
    """Find answers that are not true."""
    own_keys = {entry["key"] for entry in one.entries}
    keys_of_others = {entry["key"] for entry in all_entries} - own_keys
    for answer in one.answers:
        outcome, order_id, key = answer["outcome"], answer.get("order_id"), answer.get("key")
        if outcome in ("no_result", "internal_error") or answer.get("code") == "internal_error":
            verdict.found(UNTRUE, f"{one.name}: {answer}")
        if outcome in LANDED and order_id is not None:
            order = known.get(order_id)
            if order is None:
                verdict.found(LOST, f"{one.name}: told {outcome} {order_id}, and Zinc has no such order")
            elif order["identity"] != one.intention.identity:
                verdict.found(FALSE_TWIN, f"{one.name}: told of the order of {order['identity']}")
        elif outcome in LANDED:
            verdict.found(UNTRUE, f"{one.name}: told {outcome} without an order id")
        elif key in keys_of_others:
            verdict.found(FALSE_TWIN, f"{one.name}: told of another intention's key {key}")
        if outcome == "rejected" and any(order["idempotency_key"] == key for order in one.orders):
            verdict.found(UNTRUE, f"{one.name}: told rejected, and Zinc has an order for {key}")
    if one.orders and one.calls and len(one.answers) == len(one.calls):
        if all(answer["outcome"] in _NOTHING_BOUGHT for answer in one.answers):
            if not any(answer.get("code") == "possible_duplicate" for answer in one.answers):
                verdict.found(UNTRUE, f"{one.name}: told in every answer that nothing was bought")


def bought(verdict: Verdict, each: Round, one: Evidence, is_paused: bool) -> None:
    """Find an intention that was not bought without a reason; count the reasons of the others."""
    if one.orders:
        return
    states = {entry["state"] for entry in one.entries}
    codes = {answer.get("code") for answer in one.answers}
    if states & {*_DOUBT, "signing", "waiting", "paid_no_order"}:
        return  # counted as unknown
    if each.kind == "questions":
        verdict.counts["not bought: nobody said yes"] += 1
    elif excuse := next((meaning for code, meaning in _EXCUSES.items() if code in codes), None):
        verdict.counts[f"not bought: {excuse}"] += 1
    elif "rejected" in states:
        verdict.counts["rejected by Zinc"] += 1
    elif "limit_exceeded" in codes and each.limit_cents is not None:
        verdict.counts["refused by a limit"] += 1
    elif each.dialect in BROKEN_KEYS and is_paused and "paused" in codes:
        verdict.counts["refused after the pause"] += 1
    elif one.intention.pay_faults:
        verdict.counts["refused because of the answer to the unpaid request"] += 1
    elif any(answer.get("new_order") is False for answer in one.answers):
        verdict.found(FALSE_TWIN, f"{one.name}: never bought, and told of an earlier order")
    else:
        problems = [entry["problem"] for entry in one.entries]
        verdict.found(NOT_BOUGHT, f"{one.name}: {sorted(map(str, codes))}, {sorted(states)}, {problems}")


# Limits


def limits(
    verdict: Verdict,
    limit_cents: int,
    entries: Sequence[Row],
    events: Sequence[Row],
    orders: Sequence[Row],
    taken_cents: int = 0,
) -> None:
    """Find money above the limit: reserved and spent at any event, or held by Zinc at the end.

    `taken_cents`: the payments that brought no order.
    """
    of = {entry["id"]: entry for entry in entries}
    counted: dict[int, int] = {}
    worst = 0
    for event in events:
        entry = of[event["entry_id"]]
        counted[entry["id"]] = _counts(event["state"], entry)
        worst = max(worst, sum(counted.values()))
    if worst > limit_cents:
        verdict.found(OVER_LIMIT, f"{worst} cents were counted at once under a limit of {limit_cents}")
    # By Zinc's ledger alone: an order that has not failed holds its ceiling until it is placed.
    held = [order for order in orders if order["scenario"] == "never_decided"]
    debit = taken_cents + sum(map(_most_cents, held))
    if debit > limit_cents:
        verdict.found(OVER_LIMIT, f"Zinc holds {debit} cents under a limit of {limit_cents}")
    verdict.counts["rounds at a limit"] += 1


def _most_cents(order: Row) -> int:
    """Return the most that an order may take, by its own fields."""
    body = order["body"]
    if order["rail"] == "v1":
        price, discount = int(body["max_price"]), int(body.get("zma_discount") or 0)
        return price - price * discount // 100 + int(body.get("zma_priority_bid") or 0)
    return int(body["max_price"]) + FEE_CENTS


def _counts(state: str, entry: Row) -> int:
    """Return the cents that an entry counts in this state."""
    authorised = entry["authorised_cents"]
    if authorised is not None and (state == "placed" or state in _ENDED_BY_ZINC):
        return int(authorised)  # a wallet paid before, and nothing proves that the money came back
    if state in _GIVEN_BACK:
        return 0
    reserved: int = entry["reserved_cents"]
    spent: int | None = entry["spent_cents"]
    if state == "placed" and spent is not None:
        return min(spent, reserved)
    return reserved


# A Zinc that ignores keys


def ignored_keys(
    verdict: Verdict, is_paused: bool, calls: Mapping[int, Sequence[Call]], attempts: Sequence[Row]
) -> None:
    """Judge a dialect that ignores keys, which a program can only notice and then stop."""
    verdict.counts["rounds with ignored keys"] += 1
    twice = verdict.counts[_BY_IGNORED_KEYS]
    verdict.counts["rounds with ignored keys and duplicates"] += twice > 0
    verdict.counts["rounds with ignored keys and duplicates, paused"] += is_paused and twice > 0
    if twice and not is_paused:
        verdict.found(NOT_NOTICED, f"{twice} duplicates, and everything went on")
    told = [call.at for one in calls.values() for call in one if call.answer and call.answer.get("code") == "paused"]
    if told:
        # A POST that was on the wire when the pause came may still be answered.
        for attempt in attempts:
            seconds = attempt["at"] - min(told)
            if could_buy(attempt) and seconds > WIRE_SECONDS:
                verdict.found(AFTER_PAUSE, f"{attempt['idempotency_key']}, {seconds:.1f} s after the first refusal")
