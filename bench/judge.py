"""The judge: reads Zinc's own ledger, the journal and what the agents were told, and says whether a promise was broken.

It shares no code with the program that it judges: SQL, JSON and the plan are all it knows.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.agents import Told
from bench.evidence import Evidence, Unknown, Verdict, could_buy, read_journal, read_ledgers, sorted_out
from bench.plan import CANCELLED, FAILING, IGNORED, PACE, REJECTED, Intention, Round

FEE = 100
WIRE = 1.0
OVER = {**dict.fromkeys(FAILING, 3.0), **dict.fromkeys(CANCELLED, 8.0)}
"""Seconds at pace 1 after which an order has failed or was cancelled: from then on it may be ordered again."""
LANDED = frozenset({"accepted", "placed", "failed", "cancelled"})
DOUBT = frozenset({"sending", "unknown"})
GIVEN_BACK = frozenset({"refused", "declined", "rejected", "failed", "cancelled"})
ENDED_BY_ZINC = frozenset({"failed", "cancelled"})
NOTHING_BOUGHT = frozenset({"refused", "rejected", "not_sent", "declined"})

BY_IGNORED_KEYS = "duplicates where keys are ignored"
NOT_NOTICED = "duplicates where keys are ignored, and no pause"
AFTER_THE_PAUSE = "POSTs after the pause"

EXCUSES = {"clock_uncertain": "a clock was uncertain"}
"""Codes of refusals that only a person lifts, and what they mean."""


def judge(each: Round, ledger: Path, journal: Path | None, told: Mapping[int, Sequence[Told]]) -> Verdict:
    """Judge one round.

    Args:
        each: what was wanted.
        ledger: the sandbox's SQLite file.
        journal: the journal's, or None for a client that keeps none.
        told: by the intention's number, every call of its agent and its answer.
    """
    from bench.class_judge import judge_classes
    from bench.record_judge import judge_record

    verdict = Verdict()
    orders, attempts = read_ledgers(ledger)
    entries, events, paused = read_journal(journal) if journal is not None else ([], [], False)
    evidence = sorted_out(each, orders, attempts, entries, told)
    known = {order["order_id"]: order for order in orders}
    for one in evidence.values():
        count(verdict, one)
        duplicates(verdict, one, keys_count=each.dialect != IGNORED)
        if journal is None:
            continue
        _entries_against_orders(verdict, each, one, known)
        _orders_against_entries(verdict, each, one)
        posts_against_entries(verdict, one)
        told_rightly(verdict, one, known, evidence.values())
        _honest(verdict, each, one, paused)
    if journal is not None:
        unjournalled(verdict, attempts, entries)
    if each.limit_cents is not None:
        limits(verdict, each.limit_cents, entries, events, orders)
    if each.dialect == IGNORED:
        apart(verdict, paused, told, attempts)
    if journal is not None:
        judge_classes(verdict, each, journal.parent, list(evidence.values()), known, events)
        judge_record(verdict, journal, evidence.values())
    return verdict


# Counting


def count(verdict: Verdict, one: Evidence) -> None:
    """Count what there is of one intention."""
    verdict.counts["intentions"] += 1
    verdict.counts["orders placed"] += len(one.orders)
    verdict.keys[len({post["idempotency_key"] for post in one.posts})] += 1
    verdict.posts[len(one.posts)] += 1


def duplicates(verdict: Verdict, one: Evidence, given: Collection[str] = (), *, keys_count: bool = True) -> None:
    """Find what was ordered twice; `given` are ids of orders that nobody paid for and nobody could know.

    Where no key counts with Zinc, two orders of one key are Zinc's fault, and `apart` judges what is done about it.
    """
    orders = [order for order in one.orders if order["order_id"] not in given]
    for earlier, later in pairwise(orders):
        after = OVER.get(one.intention.scenario)
        if after is not None and earlier["created_at"] + after / PACE <= later["created_at"]:
            verdict.counts["ordered again after the end"] += 1
        elif not keys_count and earlier["idempotency_key"] == later["idempotency_key"]:
            verdict.counts[BY_IGNORED_KEYS] += 1
        else:
            verdict.found("duplicated", f"{named(one)}: {earlier['order_id']} and {later['order_id']}")


# What the journal says against what Zinc has


def _entries_against_orders(verdict: Verdict, each: Round, one: Evidence, known: Mapping[str, Any]) -> None:
    for entry in one.entries:
        state, own = entry["state"], [post for post in one.posts if post["idempotency_key"] == entry["key"]]
        shared = any(other is not entry and other["key"] == entry["key"] for other in one.entries)
        if state in LANDED:
            landed(verdict, one, entry, known)
        elif state == "rejected" and by_owner(entry):
            if any(post["outcome"] == "created" for post in own):
                verdict.found("wrong endings", f"{named(one)}: its owner's word was taken, and it was bought")
        elif state == "rejected":
            said_no = [post for post in own if is_a_no(post)]
            if any(post["outcome"] == "created" for post in own) or not said_no:
                verdict.found("wrong endings", f"{named(one)}: rejected, but Zinc's ledger says {outcomes(own)}")
        elif state in ("refused", "declined") and own and not shared:
            verdict.found("wrong endings", f"{named(one)}: {state}, but Zinc's ledger says {outcomes(own)}")
        elif state == "waiting" and each.kind == "questions" and not own:
            verdict.counts["still waiting for an answer at the end"] += 1
        elif state in DOUBT or state == "waiting":
            at_zinc = any(order["idempotency_key"] == entry["key"] for order in one.orders)
            if state == "waiting" and own:
                verdict.found("wrong endings", f"{named(one)}: waiting, but Zinc's ledger says {outcomes(own)}")
                continue
            wish = one.intention
            verdict.counts["unknown at the end"] += 1
            verdict.unknown.append(
                Unknown(wish.fault, each.dialect, wish.kill, wish.behaviour, at_zinc, tuple(outcomes(own)))
            )


def landed(
    verdict: Verdict, one: Evidence, entry: Mapping[str, Any], known: Mapping[str, Any], free: Collection[str] = ()
) -> None:
    """Hold an entry that names an order against what Zinc has; those in `free` came of a 402 that asked for nothing."""
    order = known.get(entry["order_id"])
    if order is None:
        verdict.found("lost", f"{named(one)}: the journal has {entry['state']} {entry['order_id']}, Zinc does not")
    elif order["identity"] != one.intention.identity:
        verdict.found("wrong endings", f"{named(one)}: the journal names the order of {order['identity']}")
    elif entry["order_id"] not in free and not can_be(entry["state"], one.intention):
        verdict.found("wrong endings", f"{named(one)}: {entry['state']}")


def can_be(state: str, wish: Intention) -> bool:
    """Say whether an order of this intention can be in this state."""
    match state:
        case "placed":
            return wish.scenario in ("success", *CANCELLED)
        case "failed":
            return wish.scenario in FAILING
        case "cancelled":
            return wish.scenario in CANCELLED
        case _:
            return wish.scenario not in REJECTED


def by_owner(entry: Mapping[str, Any]) -> bool:
    """Say whether an entry ended by its owner's word."""
    return "resolved_not_bought" in (entry["problem"] or "")


def is_a_no(post: Mapping[str, Any]) -> bool:
    """Say whether a POST was answered with a no."""
    outcome = str(post["outcome"])
    return outcome.startswith("rejected_") or outcome.endswith(("_rate_limited", "_unauthorized_once"))


def _orders_against_entries(verdict: Verdict, each: Round, one: Evidence) -> None:
    for order in one.orders:
        if any(entry["order_id"] == order["order_id"] and entry["state"] in LANDED for entry in one.entries):
            continue
        own = [entry for entry in one.entries if entry["key"] == order["idempotency_key"]]
        states = [entry["state"] for entry in own]
        if not own:
            verdict.found("lost", f"{named(one)}: the journal does not know {order['order_id']}")
        elif not DOUBT.intersection(states) and not (each.dialect == IGNORED and LANDED.intersection(states)):
            verdict.found("wrong endings", f"{named(one)}: {'/'.join(states)}, but Zinc has {order['order_id']}")


def posts_against_entries(verdict: Verdict, one: Evidence) -> None:
    """Find bytes that changed under a key, and POSTs that were not journalled before they went out."""
    bodies: defaultdict[str, set[str]] = defaultdict(set)
    for post in one.posts:
        bodies[post["idempotency_key"]].add(post["body_sha256"])
    for key, digests in bodies.items():
        if len(digests) > 1:
            verdict.found("changed bodies", f"{named(one)}: {len(digests)} bodies went out under {key}")
        journalled = sum(entry["attempts"] for entry in one.entries if entry["key"] == key)
        sent = sum(1 for post in one.posts if post["idempotency_key"] == key and could_buy(post))
        if sent > journalled:
            verdict.found("lost", f"{named(one)}: {sent} POSTs, {journalled} of them in the journal")


def unjournalled(verdict: Verdict, attempts: Iterable[Mapping[str, Any]], entries: Iterable[Mapping[str, Any]]) -> None:
    """Find what went out under a key that is in no entry, whatever came of it and whoseever it is."""
    journalled = {entry["key"] for entry in entries}
    for attempt in attempts:
        if could_buy(attempt) and attempt["idempotency_key"] not in journalled:
            what = "a credential" if attempt["credential"] is not None else "a POST"
            key, outcome = attempt["idempotency_key"], attempt["outcome"]
            verdict.found("lost", f"{what} went out under {key}, which the journal does not know: {outcome}")


# What the agent was told


def told_rightly(verdict: Verdict, one: Evidence, known: Mapping[str, Any], all_of: Iterable[Evidence]) -> None:
    """Find what an agent was told that is not so."""
    own_keys = {entry["key"] for entry in one.entries}
    for each in one.told:
        if each.said is None:
            continue
        outcome, order_id, key = each.said["outcome"], each.said.get("order_id"), each.said.get("key")
        if outcome in ("no_result", "internal_error") or each.said.get("code") == "internal_error":
            verdict.found("told wrongly", f"{named(one)}: {each.said}")
        if outcome in LANDED and order_id is not None:
            order = known.get(order_id)
            if order is None:
                verdict.found("lost", f"{named(one)}: told {outcome} {order_id}, and Zinc has no such order")
            elif order["identity"] != one.intention.identity:
                verdict.found("false twins", f"{named(one)}: told of the order of {order['identity']}")
        elif outcome in LANDED:
            verdict.found("told wrongly", f"{named(one)}: told {outcome} without an order id")
        elif key is not None and key not in own_keys and any(key == e["key"] for o in all_of for e in o.entries):
            verdict.found("false twins", f"{named(one)}: told of another intention's key {key}")
        if outcome == "rejected" and any(order["idempotency_key"] == key for order in one.orders):
            verdict.found("told wrongly", f"{named(one)}: told rejected, and Zinc has an order for {key}")
    answers = [each.said for each in one.told]
    if answers and one.orders and all(said is not None and said["outcome"] in NOTHING_BOUGHT for said in answers):
        if not any(said is not None and said.get("code") == "possible_duplicate" for said in answers):
            verdict.found("told wrongly", f"{named(one)}: told in every answer that nothing was bought")


def _honest(verdict: Verdict, each: Round, one: Evidence, paused: bool) -> None:
    """Every intention that nothing speaks against is bought in the end."""
    if one.orders:
        return
    states = {entry["state"] for entry in one.entries}
    codes = {each.said.get("code") for each in one.told if each.said is not None}
    if states & DOUBT or "waiting" in states:
        return  # counted as unknown
    if each.kind == "questions":
        verdict.counts["not bought for want of a yes"] += 1
    elif codes & set(EXCUSES):
        verdict.counts[f"not bought: {EXCUSES[next(code for code in EXCUSES if code in codes)]}"] += 1
    elif "rejected" in states:
        verdict.counts["rejected by Zinc"] += 1
    elif "limit_exceeded" in codes and each.limit_cents is not None:
        verdict.counts["refused by a limit"] += 1
    elif "paused" in codes and paused:
        verdict.counts["refused by the pause"] += 1
    elif any(each.said is not None and each.said.get("new_order") is False for each in one.told):
        verdict.found("false twins", f"{named(one)}: never bought, and told of an earlier order")
    else:
        verdict.found("not bought", f"{named(one)}: {sorted(map(str, codes))}, {sorted(states)}")


# Limits


def limits(
    verdict: Verdict,
    limit: int,
    entries: Sequence[dict[str, Any]],
    events: Sequence[dict[str, Any]],
    orders: Sequence[dict[str, Any]],
    taken: int = 0,
) -> None:
    """At no event may what is reserved and spent exceed the limit, nor what Zinc would debit in the end.

    `taken` is what was paid and brought no order.
    """
    of = {entry["id"]: entry for entry in entries}
    counted: dict[int, int] = {}
    worst = 0
    for event in events:
        entry = of[event["entry_id"]]
        if event["state"] in ENDED_BY_ZINC and entry["authorised_cents"] is not None:
            counted[entry["id"]] = entry["authorised_cents"]  # a wallet paid before: nothing proves that it came back
        elif event["state"] in GIVEN_BACK:
            counted[entry["id"]] = 0
        elif event["state"] == "placed" and entry["authorised_cents"] is not None:
            counted[entry["id"]] = entry["authorised_cents"]
        elif event["state"] == "placed" and entry["spent_cents"] is not None:
            counted[entry["id"]] = min(entry["spent_cents"], entry["reserved_cents"])
        else:
            counted[entry["id"]] = entry["reserved_cents"]
        worst = max(worst, sum(counted.values()))
    if worst > limit:
        verdict.found("limit overruns", f"{worst} cents were counted at once under a limit of {limit}")
    # Judged by Zinc's ledger alone: what is not failed keeps its ceiling held until it is placed.
    held = [order for order in orders if order["scenario"] == "never_decided"]
    debit = taken + sum(order["body"]["max_price"] + FEE for order in held)
    if debit > limit:
        verdict.found("limit overruns", f"Zinc holds {debit} cents under a limit of {limit}")
    verdict.counts["rounds at a limit"] += 1


def apart(
    verdict: Verdict, paused: bool, told: Mapping[int, Sequence[Told]], attempts: Sequence[Mapping[str, Any]]
) -> None:
    """In a dialect that ignores keys nobody can promise anything but to notice and to stop."""
    verdict.counts["rounds with ignored keys"] += 1
    twice = verdict.counts[BY_IGNORED_KEYS]
    verdict.counts["rounds with such duplicates"] += twice > 0
    verdict.counts["rounds with such duplicates, noticed and paused"] += paused and twice > 0
    if twice and not paused:
        verdict.found(NOT_NOTICED, f"{twice} duplicates, and everything went on")
    refused = [each.at for one in told.values() for each in one if each.said and each.said.get("code") == "paused"]
    if refused:
        # What was on the wire when the pause came is let come home.
        for attempt in attempts:
            if could_buy(attempt) and attempt["at"] > min(refused) + WIRE:
                seconds = attempt["at"] - min(refused)
                verdict.found(AFTER_THE_PAUSE, f"{attempt['idempotency_key']}, {seconds:.1f} s after it was told")


def named(one: Evidence) -> str:
    """Return an intention's name in a finding."""
    wish = one.intention
    return f"#{wish.number} ({wish.scenario}, {'+'.join(wish.faults)}, {wish.kill or wish.behaviour})"


def outcomes(posts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what the ledger says of each POST."""
    return [post["outcome"] + (f" then {post['fault']}" if post["fault"] else "") for post in posts]
