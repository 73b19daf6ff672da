"""Judges payments by wallets: compares credentials, settlements, orders and their keys with the journal."""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.campaign.judge.evidence import (
    LANDED,
    PRACTISED,
    Evidence,
    Orders,
    RoundEvidence,
    Row,
    is_a_no,
    outcomes,
    rows_of,
)
from bench.campaign.judge.purchases import (
    FEE_CENTS,
    bought,
    changed_bodies,
    count,
    doubt,
    duplicates,
    is_over,
    landed,
    limits,
    told_truly,
    unknown_at_the_end,
    unknown_orders,
)
from bench.campaign.judge.verdict import (
    FALSE_REQUEST_PAID,
    LOST,
    ORDER_KEY_LOST,
    PAID_OVER_LIMIT,
    PAID_TWICE,
    SAID_MONEY_BACK,
    SECOND_CREDENTIAL,
    UNTRUE,
    WRONG_AMOUNT,
    WRONG_ENDING,
    Unknown,
    Verdict,
)
from bench.campaign.plan.intentions import BROKEN_KEYS, Round
from bench.campaign.plan.rails import REFUSED, challenge_seconds

_DOUBT = frozenset({"signing", "sending", "unknown"})
_HEADERS_ARRIVE = frozenset({None, "slow", "truncated", "huge"})
"""Faults after which the head of the answer still arrived; `slow` only where it was not too slow."""
_NAMES_ANOTHER = frozenset({"possible_duplicate", "key_used", "key_conflict"})
"""Refusals that name an earlier order's key."""
_PAST_HEADERS = frozenset({"headers", "answered", "accepted"})


@dataclass(frozen=True, slots=True)
class UnknownPayment(Unknown):
    """A payment whose end is not known when the campaign ends."""

    can_settle: bool = False

    @property
    def why(self) -> str:
        """Return the reason why nobody can know more."""
        if self.can_settle:
            return "its payment could still be taken when the campaign ended"
        return "nobody has asked since its payment can be proved"


@dataclass(frozen=True, slots=True)
class Money:
    """The payments in the ledgers and in the journal."""

    settlements: Sequence[Row]
    payments: Mapping[int, Row]
    """The journal's payments by the id of their entry."""
    free: frozenset[str]
    """The ids of orders that nobody paid for."""
    ended_at: float
    killed: Mapping[int, str]
    """The step at which an intention's first process was killed."""

    def settled_for(self, one: Evidence) -> list[Row]:
        """Return the settlements of an intention."""
        keys = {entry["key"] for entry in one.entries}
        return [each for each in self.settlements if each["idempotency_key"] in keys]


def judge_payments(verdict: Verdict, each: Round, evidence: RoundEvidence, folder: Path, ended_at: float) -> None:
    """Judge a round of the agent rail."""
    money = _read_money(folder, evidence.orders, ended_at)
    known = evidence.known
    journalled = {entry["key"] for entry in evidence.entries}
    for settlement in money.settlements:
        if settlement["idempotency_key"] not in journalled:
            verdict.found(LOST, f"the journal does not know the payment {settlement['reference']}")
    for one in evidence.intentions:
        settled = money.settled_for(one)
        free = _free_and_lost(verdict, one, money)
        count(verdict, one)
        duplicates(verdict, one, free, keys_count=each.dialect not in BROKEN_KEYS)
        _credentials(verdict, each, one, settled, known)
        _settlements(verdict, one, settled, known)
        _false_requests(verdict, one)
        for entry in one.entries:
            _entry(verdict, each, one, entry, settled, known, money)
            own = [event for event in evidence.events if event["entry_id"] == entry["id"]]
            _order_key(verdict, each, one, entry, own, money)
        unknown_orders(verdict, each, one, _DOUBT | {"paid_no_order"}, free)
        changed_bodies(verdict, one)
        if not free:
            told_truly(verdict, one, known, evidence.entries)
        _told_of_money(verdict, one, settled)
        _told_of_money_back(verdict, one, {settlement["idempotency_key"] for settlement in money.settlements})
        bought(verdict, each, one, evidence.is_paused)
    if each.limit_cents is not None:
        taken = sum(one["amount_cents"] for one in money.settlements if one["outcome"] == "no_order")
        paid = [order for order in evidence.orders if order["order_id"] not in money.free]
        limits(verdict, each.limit_cents, evidence.entries, evidence.events, paid, taken)
        authorised = sum(settlement["amount_cents"] for settlement in money.settlements)
        if authorised > each.limit_cents:
            verdict.found(PAID_OVER_LIMIT, f"{authorised} cents were paid under a limit of {each.limit_cents}")


def _read_money(folder: Path, orders: Sequence[Row], ended_at: float) -> Money:
    settlements = _read_settlements(folder / "ledger.db")
    if (folder / "sandbox.db").exists():
        settlements += [
            {**row, "idempotency_key": f"{PRACTISED}{row['idempotency_key']}"}
            for row in _read_settlements(folder / "sandbox.db")
        ]
    with closing(sqlite3.connect(folder / "journal.db")) as journal:
        payments = {row["entry_id"]: row for row in rows_of(journal, "select * from zinc_payments")}
    paid = {settlement["order_id"] for settlement in settlements}
    free = {order["order_id"] for order in orders if order["rail"] == "agent"} - paid
    reached = folder / "reached"
    lines = reached.read_text(encoding="ascii").splitlines() if reached.exists() else []
    killed = {int(number): step for number, _, step in (line.partition(" ") for line in lines)}
    return Money(settlements, payments, frozenset(free), ended_at, killed)


def _read_settlements(ledger: Path) -> list[Row]:
    with closing(sqlite3.connect(ledger)) as database:
        return rows_of(database, "select * from settlements order by seq")


def _free_and_lost(verdict: Verdict, one: Evidence, money: Money) -> set[str]:
    """Return the orders without a payment whose answer was lost, so that nobody can know of them."""
    known = {entry["order_id"] for entry in one.entries}
    lost = {order["order_id"] for order in one.orders if order["order_id"] in money.free} - known
    verdict.counts["orders for nothing whose answer was lost"] += len(lost)
    return lost


# Zinc's ledger


def _credentials(verdict: Verdict, each: Round, one: Evidence, settled: Sequence[Row], known: Orders) -> None:
    """Find a second credential for an entry, and one sent while an earlier one could settle or had bought."""
    first: dict[str, Row] = {}
    of_key: defaultdict[str, set[str]] = defaultdict(set)
    for post in one.posts:
        if post["credential"] is not None:
            first.setdefault(post["credential"], post)
            of_key[post["idempotency_key"]].add(post["credential"])
    verdict.credentials[len(first)] += 1
    for key, credentials in of_key.items():
        if len(credentials) > 1:
            verdict.found(SECOND_CREDENTIAL, f"{one.name}: {len(credentials)} under {key}")
    for earlier, later in pairwise(first.values()):
        if earlier["idempotency_key"] == later["idempotency_key"]:
            continue  # found above
        paid = next((each for each in settled if each["credential"] == earlier["credential"]), None)
        if paid is not None:
            if not is_over(one, known.get(paid["order_id"]), later["at"]):
                verdict.found(SECOND_CREDENTIAL, f"{one.name}: although the first was paid")
        elif later["at"] < _challenged_at(one, earlier) + challenge_seconds(each):
            verdict.found(SECOND_CREDENTIAL, f"{one.name}: while the first could still be paid")
        else:
            verdict.counts["paid anew after the first payment expired"] += 1


def _challenged_at(one: Evidence, paid: Row) -> float:
    """Return the time at which the challenge of a credential was issued."""
    return float(max((post["at"] for post in _unpaid_before(one, paid)), default=paid["at"]))


def _unpaid_before(one: Evidence, paid: Row) -> list[Row]:
    return [
        post
        for post in one.posts_of(paid["idempotency_key"])
        if post["rail"] == "agent" and post["credential"] is None and post["seq"] < paid["seq"]
    ]


def _settlements(verdict: Verdict, one: Evidence, settled: Sequence[Row], known: Orders) -> None:
    verdict.settlements[len(settled)] += 1
    for earlier, later in pairwise(settled):
        if is_over(one, known.get(earlier["order_id"]), later["at"]):
            verdict.counts["paid again after the end"] += 1
        else:
            verdict.found(PAID_TWICE, f"{one.name}: {earlier['reference']} and {later['reference']}")
    for each in settled:
        asked = {entry["ceiling_cents"] + FEE_CENTS for entry in one.entries if entry["key"] == each["idempotency_key"]}
        if each["amount_cents"] not in asked:
            verdict.found(WRONG_AMOUNT, f"{one.name}: {each['amount_cents']} instead of {asked}")


def _false_requests(verdict: Verdict, one: Evidence) -> None:
    """Find a credential after a payment request that must not be paid."""
    for paid in one.posts:
        if paid["credential"] is None:
            continue
        before = _unpaid_before(one, paid)
        if not before or before[-1]["fault"] in REFUSED:
            verdict.found(FALSE_REQUEST_PAID, f"{one.name}: a credential after {outcomes(before[-1:])}")
    refused = [post for post in one.posts if post["fault"] in REFUSED and post["credential"] is None]
    verdict.counts["false payment requests not paid"] += len(refused)


# The journal against Zinc's ledger


def _entry(
    verdict: Verdict, each: Round, one: Evidence, entry: Row, settled: Sequence[Row], known: Orders, money: Money
) -> None:
    state, key = entry["state"], entry["key"]
    posts = one.posts_of(key)
    paid = [settlement for settlement in settled if settlement["idempotency_key"] == key]
    is_alone = sum(other["key"] == key for other in one.entries) == 1
    contradicted = f"{one.name}: {state}, but Zinc's ledger says {outcomes(posts)}"
    if state in LANDED:
        landed(verdict, one, entry, known, money.free)
    elif state in ("rejected", "refused", "declined"):
        if is_alone and paid:
            verdict.found(WRONG_ENDING, f"{one.name}: {state}, and the money was taken: {outcomes(posts)}")
        on_balance = entry["rail"] != "agent" and any(post["rail"] == entry["rail"] for post in posts)
        if state == "rejected" and on_balance and not any(map(is_a_no, posts)):
            verdict.found(WRONG_ENDING, contradicted)
    elif state == "paid_no_order":
        is_there = any(settlement["order_id"] is not None for settlement in paid)
        verdict.counts[f"paid, and no order known ({'Zinc has one' if is_there else 'there is none'})"] += 1
        payment = money.payments.get(entry["id"], {})
        if not paid:
            verdict.found(WRONG_ENDING, f"{one.name}: paid_no_order, and nothing was taken: {outcomes(posts)}")
        elif payment.get("order_key") is not None and paid[0]["order_id"] is not None:
            verdict.found(WRONG_ENDING, f"{one.name}: paid_no_order, although the order's own key is there")
    elif state == "waiting" and posts:
        verdict.found(WRONG_ENDING, contradicted)
    elif state == "waiting" and each.kind == "questions":
        verdict.counts["waiting for an answer at the end"] += 1
    elif state in _DOUBT:
        unknown_at_the_end(verdict, _unknown(each, one, entry, posts, bool(paid), money))


def _unknown(each: Round, one: Evidence, entry: Row, posts: Sequence[Row], is_paid: bool, money: Money) -> Unknown:
    is_at_zinc = is_paid or any(order["idempotency_key"] == entry["key"] for order in one.orders)
    found = doubt(each, one, posts, is_at_zinc)
    if entry["rail"] != "agent":
        return found
    settle_by = money.payments.get(entry["id"], {}).get("settle_by") or 0.0
    return UnknownPayment(
        found.fault, found.dialect, found.kill, found.behaviour, is_at_zinc, found.posts,
        can_settle=settle_by > money.ended_at,
    )  # fmt: skip


def _order_key(verdict: Verdict, each: Round, one: Evidence, entry: Row, events: Sequence[Row], money: Money) -> None:
    """Find an order key that came with the head of a 201 and is not in the journal, where it is written first."""
    if each.dialect == "order_key=absent" or entry["rail"] != "agent":
        return
    if money.payments.get(entry["id"], {}).get("order_key") is not None:
        verdict.counts["order keys kept"] += 1
        return
    if entry["state"] in LANDED:
        verdict.found(ORDER_KEY_LOST, f"{one.name}: {entry['state']} without the order's key")
        return
    # On a busy machine a slow answer may come after the process has stopped waiting. Its event then says `timeout`.
    too_slow = "too_slow" in one.intention.faults or any(event["what"].endswith(": timeout") for event in events)
    heads = _HEADERS_ARRIVE - ({"slow"} if too_slow else set[str]())
    arrived = any(
        post["outcome"] in ("created", "replayed_201") and post["fault"] in heads for post in one.posts_of(entry["key"])
    )
    # A process whose journal fails lives on, and writes it down later.
    keeps = each.kind == "journal" or money.killed.get(one.intention.number) in _PAST_HEADERS
    if arrived and keeps and len(one.entries) == 1:
        verdict.found(ORDER_KEY_LOST, f"{one.name}: the headers came, and their key is not there")


# The answers to the agent


def _told_of_money(verdict: Verdict, one: Evidence, settled: Sequence[Row]) -> None:
    paid = {each["idempotency_key"] for each in settled}
    keys = [entry["key"] for entry in one.entries]
    reused = {key for key in keys if keys.count(key) > 1}
    for answer in one.answers:
        outcome, key = answer.get("outcome"), answer.get("key")
        if answer.get("code") in _NAMES_ANOTHER:
            continue
        if outcome in ("rejected", "refused") and key in paid - reused:
            verdict.found(UNTRUE, f"{one.name}: told {outcome}, and the money was taken")
        if outcome == "paid_no_order" and key not in paid:
            verdict.found(UNTRUE, f"{one.name}: told that money was taken, and it was not")


def _told_of_money_back(verdict: Verdict, one: Evidence, paid: Collection[str]) -> None:
    """Find an answer that says that paid money came back, although nothing proves it."""
    for answer in one.answers:
        if answer.get("outcome") not in ("failed", "cancelled") or answer.get("key") not in paid:
            continue
        price: Mapping[str, Any] = answer.get("price") or {}
        if "not proved" not in answer["summary"] or price.get("paid_cents") == 0:
            what = f"told {answer['summary']!r} with paid_cents {price.get('paid_cents')}"
            verdict.found(SAID_MONEY_BACK, f"{one.name}: {what}")
            break
