"""The judge of the classes of `bench.classes`: one row each, which must be zero.

Like `bench.judge`, it knows SQL, JSON and the plan, and nothing of the program that it judges.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.agents import OWN
from bench.evidence import Evidence, Verdict, could_buy
from bench.judge import LANDED, can_be, is_a_no, named, outcomes
from bench.plan import Round
from zinc_mcp.sandbox.faults import STRANGER

BELIEVED = "answers about another order believed"
SAID_NOTHING_SENT = "told that nothing was sent, and it was"
WITHOUT_A_YES = "sent without a yes to these bytes"
BY_A_FAR_CLOCK = "bought or spent by a wrong clock"
BY_A_STOPPED_PROCESS = "bought or paid by a stopped process"
PAID_PAST_A_LIMIT = "paid past a limit"
SAID_TO_COME_BACK = "money told to come back, and not proved"
STARTED_AGAIN = "wallets started again or too late"
NOBODY_ANSWERED = "rounds of questions that nobody answered"
CREDENTIALS_KEPT = "credentials kept after the end"

_MANY = 6
"""Of so many questions three people answer some."""
_SECOND = ("duplicated", "paid twice", "second credentials", "limit overruns")
_ENDED = frozenset({"refused", "rejected", "declined", "failed", "cancelled"})
_IN_HAND = frozenset({"signing", "sending", "unknown"})
_FAILURES = frozenset({"journal_unavailable", "outcome_unknown", "internal_error", "zinc_unreachable"})
_PLACES = frozenset({"place_order", "place_agent_order"})


def judge_classes(
    verdict: Verdict,
    each: Round,
    folder: Path,
    evidence: Collection[Evidence],
    known: Mapping[str, Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
) -> None:
    """Judge what a round's class is about, after everything else has been judged.

    Args:
        verdict: what there is so far.
        each: what was wanted.
        folder: where its ledger, its journal and what its people decided are.
        evidence: all there is about each intention.
        known: Zinc's orders by their ids.
        events: the journal's, in the order in which they were written.
    """
    of: dict[int, list[Mapping[str, Any]]] = {}
    for event in events:
        of.setdefault(event["entry_id"], []).append(event)
    match each.kind:
        case "answers":
            for one in evidence:
                _believed(verdict, one, known, of)
        case "journal":
            for one in evidence:
                _said_of_a_failing_journal(verdict, one)
        case "questions":
            _with_a_yes(verdict, evidence, folder / "decisions")
        case "clocks":
            verdict.counts[BY_A_FAR_CLOCK] += sum(verdict.counts[name] for name in _SECOND)
        case "stops":
            verdict.counts[BY_A_STOPPED_PROCESS] += sum(verdict.counts[name] for name in _SECOND)
            if "agent" in each.rails:
                _wallets(verdict, evidence, of, folder)
        case _:
            pass


def _believed(
    verdict: Verdict,
    one: Evidence,
    known: Mapping[str, Mapping[str, Any]],
    of: Mapping[int, Sequence[Mapping[str, Any]]],
) -> None:
    """An answer about another order changes nothing and is not told as if it were about ours."""
    found: list[str] = []

    def is_ours(order_id: str | None) -> bool:
        return order_id is None or known.get(order_id, {}).get("identity") == one.intention.identity

    for entry in one.entries:
        if not is_ours(entry["order_id"]):
            found.append(f"the journal names {entry['order_id']}")
        states = {event["state"] for event in of.get(entry["id"], ())}
        if wrong := sorted(state for state in states & LANDED if not can_be(state, one.intention)):
            found.append(f"the journal had it {'/'.join(wrong)}")
    for call in one.told:
        said = call.said or {}
        if said.get("outcome") in LANDED and not (
            is_ours(said.get("order_id")) and can_be(said["outcome"], one.intention)
        ):
            found.append(f"told {said['outcome']} {said.get('order_id')}")
        if STRANGER in json.dumps(said):
            found.append("told of somebody else's goods")
    if found:
        verdict.found(BELIEVED, f"{named(one)} [{one.intention.hazard}]: {'; '.join(dict.fromkeys(found))}")


def _said_of_a_failing_journal(verdict: Verdict, one: Evidence) -> None:
    """After the first byte of a purchase may have left, each failure says so and names the key."""
    sent = [post["at"] for post in one.posts if could_buy(post) and not is_a_no(post)]
    if not sent:
        return
    keys = {entry["key"] for entry in one.entries}
    for call in one.told:
        said = call.said or {}
        if call.server != OWN or call.at < min(sent) or said.get("code") not in _FAILURES:
            continue
        wrong = [
            *(["that no money may have moved"] if call.tool in _PLACES and not said["money_may_have_moved"] else []),
            *(["that nothing was sent"] if "nothing was sent" in said["summary"].lower() else []),
            *(["no key"] if call.tool in _PLACES and said.get("key") not in keys else []),
        ]
        if wrong:
            what = f"{call.tool} told {' and '.join(wrong)}: {said['code']}, {said['summary']}"
            verdict.found(SAID_NOTHING_SENT, f"{named(one)} [{one.intention.hazard}]: {what}; {outcomes(one.posts)}")


def _with_a_yes(verdict: Verdict, evidence: Collection[Evidence], decisions: Path) -> None:
    """Hold every POST against a yes to exactly its bytes, given before it to the question of its own entry."""
    lines = decisions.read_text(encoding="ascii").splitlines() if decisions.exists() else []
    said = [json.loads(line) for line in lines]
    given = [each for each in said if "result" not in each]
    taken_noes = {each["id"] for each in said if each.get("result") == "taken" and not each["yes"]}
    verdict.counts["questions answered"] += len(given)
    asked_at_all = sum("id" in json.loads(entry["consent"] or "{}") for one in evidence for entry in one.entries)
    if asked_at_all >= _MANY and not given:
        verdict.found(NOBODY_ANSWERED, f"{asked_at_all} were asked")
    for each in said:
        if "result" in each:
            verdict.counts[f"answers that were {'taken' if each['result'] == 'taken' else 'not taken'}"] += 1
    for one in evidence:
        asked = {json.loads(entry["consent"] or "{}").get("id") for entry in one.entries}
        for post in one.posts:
            if not could_buy(post):
                continue
            yes = [
                each
                for each in given
                if each["yes"] and each["body_sha256"] == post["body_sha256"] and each["at"] <= post["at"]
            ]
            ids = {each["id"] for each in yes} - taken_noes
            if not ids & asked:
                why = "nobody said yes to these bytes" if not yes else "the yes was to another question"
                verdict.found(WITHOUT_A_YES, f"{named(one)} [{one.intention.hazard}]: {post['outcome']}, {why}")
            else:
                verdict.counts["POSTs with a yes to exactly these bytes"] += 1


def _wallets(
    verdict: Verdict, evidence: Collection[Evidence], of: Mapping[int, Sequence[Mapping[str, Any]]], folder: Path
) -> None:
    """One start of the wallet for each key, none once its entry has ended, and no credential of an ended one."""
    file = folder / "wallets"
    lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    starts = [(float(at), str(key)) for at, key in map(json.loads, lines)]
    verdict.counts["wallets started"] += len(starts)
    times = Counter(key for _, key in starts)
    kept = _credentials(folder / "journal.db")
    for one in evidence:
        for entry in one.entries:
            key, events = entry["key"], of.get(entry["id"], ())
            ended = min((event["at"] for event in events if event["state"] in _ENDED), default=None)
            if times[key] > 1:
                verdict.found(STARTED_AGAIN, f"{named(one)} [{one.intention.hazard}]: {times[key]} times")
            elif ended is not None and any(at > ended for at, started in starts if started == key):
                verdict.found(STARTED_AGAIN, f"{named(one)} [{one.intention.hazard}]: after it had ended")
            if entry["id"] in kept and entry["state"] not in _IN_HAND:
                verdict.found(CREDENTIALS_KEPT, f"{named(one)} [{one.intention.hazard}]: {entry['state']}")


def _credentials(journal: Path) -> set[int]:
    with closing(sqlite3.connect(journal)) as database:
        found = database.execute("select entry_id from zinc_payments where credential is not null")
        return {int(entry_id) for (entry_id,) in found}


def judge_authorised(
    verdict: Verdict, each: Round, evidence: Collection[Evidence], settlements: Sequence[Mapping[str, Any]]
) -> None:
    """Judge what a wallet let go: it counts against the limits whatever its order came to, and that is told."""
    authorised = sum(settlement["amount_cents"] for settlement in settlements)
    if each.limit_cents is not None and authorised > each.limit_cents:
        verdict.found(PAID_PAST_A_LIMIT, f"{authorised} cents were paid under a limit of {each.limit_cents}")
    paid = {settlement["idempotency_key"] for settlement in settlements}
    for one in evidence:
        for call in one.told:
            said = call.said or {}
            if said.get("outcome") not in ("failed", "cancelled") or said.get("key") not in paid:
                continue
            price: dict[str, Any] = said.get("price") or {}
            if "not proved" not in said["summary"] or price.get("paid_cents") == 0:
                what = f"told {said['summary']!r} with paid_cents {price.get('paid_cents')}"
                verdict.found(SAID_TO_COME_BACK, f"{named(one)}: {what}")
                break
