"""Judges the classes of rounds of `plan.classes`. Each class has rows of its own in the verdict, which must be zero."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from bench.campaign.agents.agent import OWN
from bench.campaign.judge.evidence import LANDED, Evidence, Orders, RoundEvidence, Row, could_buy, is_a_no, outcomes
from bench.campaign.judge.verdict import (
    BELIEVED,
    BY_STOPPED_PROCESS,
    BY_WRONG_CLOCK,
    CREDENTIAL_KEPT,
    DUPLICATED,
    NOBODY_ANSWERED,
    OVER_LIMIT,
    PAID_TWICE,
    SAID_NOTHING_SENT,
    SECOND_CREDENTIAL,
    WALLET_AGAIN,
    WITHOUT_YES,
    Verdict,
)
from bench.campaign.plan.intentions import Round
from zinc_mcp.sandbox.faults.other_orders import STRANGER
from zinc_mcp.sandbox.v1.faults import STRANGER as V1_STRANGER

_MANY = 6
"""People answer at least one of this number of questions."""
_TWICE = (DUPLICATED, PAID_TWICE, SECOND_CREDENTIAL, OVER_LIMIT)
_ENDED = frozenset({"refused", "rejected", "declined", "failed", "cancelled"})
_IN_HAND = frozenset({"signing", "sending", "unknown"})
_FAILURES = frozenset({"journal_unavailable", "outcome_unknown", "internal_error", "zinc_unreachable"})
_PLACES = frozenset({"place_order", "place_agent_order", "place_v1_order"})


def judge_class(verdict: Verdict, each: Round, evidence: RoundEvidence, folder: Path) -> None:
    """Judge the promises of a round's class, after all others have been judged.

    Args:
        verdict: the verdict so far.
        each: the round.
        evidence: all evidence of the round.
        folder: the folder with its journal and the notes of its people and wallets.
    """
    events: defaultdict[int, list[Row]] = defaultdict(list)
    for event in evidence.events:
        events[event["entry_id"]].append(event)
    match each.kind:
        case "answers":
            for one in evidence.intentions:
                _believed(verdict, one, evidence.known, events)
        case "journal":
            for one in evidence.intentions:
                _told_of_failing_journal(verdict, one)
        case "questions":
            _with_a_yes(verdict, evidence.intentions, folder / "decisions")
        case "clocks":
            verdict.counts[BY_WRONG_CLOCK] += sum(verdict.counts[row] for row in _TWICE)
        case "stops":
            verdict.counts[BY_STOPPED_PROCESS] += sum(verdict.counts[row] for row in _TWICE)
            if "agent" in each.rails:
                _wallets(verdict, evidence.intentions, events, folder)
        case _:
            pass


def _believed(verdict: Verdict, one: Evidence, known: Orders, events: Mapping[int, Sequence[Row]]) -> None:
    """Find an answer of Zinc about another order that changed our entry, or that was told as if it were about ours."""
    found: list[str] = []

    def is_ours(order_id: str | None) -> bool:
        return order_id is None or known.get(order_id, {}).get("identity") == one.intention.identity

    for entry in one.entries:
        if not is_ours(entry["order_id"]):
            found.append(f"the journal names {entry['order_id']}")
        states = {event["state"] for event in events.get(entry["id"], ())}
        if wrong := sorted(state for state in states & LANDED if not one.can_be(state)):
            found.append(f"the journal had it {'/'.join(wrong)}")
    for answer in one.answers:
        outcome, order_id = answer.get("outcome"), answer.get("order_id")
        if outcome in LANDED and not (is_ours(order_id) and one.can_be(outcome)):
            found.append(f"told {outcome} {order_id}")
        if any(mark in json.dumps(answer) for mark in (STRANGER, V1_STRANGER)):
            found.append("told of somebody else's goods")
    if found:
        verdict.found(BELIEVED, f"{one.name} [{one.intention.case}]: {'; '.join(dict.fromkeys(found))}")


_NOT_KNOWN = "Whether an earlier call has ordered the same cannot be looked up now."


def _told_of_failing_journal(verdict: Verdict, one: Evidence) -> None:
    """Find an error, told after a purchase may have been sent, that hides the purchase or does not name its key."""
    failed = sum(call.server == OWN and (call.answer or {}).get("code") in _FAILURES for call in one.calls)
    verdict.counts[f"told that the journal failed, {one.intention.how}"] += failed
    sent = [post["at"] for post in one.posts if could_buy(post) and not is_a_no(post)]
    if not sent:
        return
    keys = {entry["key"] for entry in one.entries}
    for call in one.calls:
        answer = call.answer or {}
        if call.server != OWN or call.at < min(sent) or answer.get("code") not in _FAILURES:
            continue
        if _NOT_KNOWN in answer["summary"] and not any(call.at - call.seconds <= at <= call.at for at in sent):
            continue  # the answer speaks of this call alone, and says that earlier calls cannot be looked up
        wrong = [
            *(["that no money may have moved"] if call.tool in _PLACES and not answer["money_may_have_moved"] else []),
            *(["that nothing was sent"] if "nothing was sent" in answer["summary"].lower() else []),
            *(["no key"] if call.tool in _PLACES and answer.get("key") not in keys else []),
        ]
        if wrong:
            what = f"{call.tool} told {' and '.join(wrong)}: {answer['code']}, {answer['summary']}"
            verdict.found(SAID_NOTHING_SENT, f"{one.name} [{one.intention.case}]: {what}; {outcomes(one.posts)}")


def _with_a_yes(verdict: Verdict, intentions: Sequence[Evidence], log: Path) -> None:
    """Find a POST without a yes to exactly its bytes, given before it to the question of its own entry."""
    lines = log.read_text(encoding="ascii").splitlines() if log.exists() else []
    decisions = [json.loads(line) for line in lines]
    given = [each for each in decisions if "result" not in each]
    results = [each for each in decisions if "result" in each]
    taken_noes = {each["id"] for each in results if each["result"] == "taken" and not each["yes"]}
    verdict.counts["questions answered"] += len(given)
    asked_at_all = sum("id" in json.loads(entry["consent"] or "{}") for one in intentions for entry in one.entries)
    if asked_at_all >= _MANY and not given:
        verdict.found(NOBODY_ANSWERED, f"{asked_at_all} were asked")
    for each in results:
        verdict.counts[f"answers that were {'taken' if each['result'] == 'taken' else 'not taken'}"] += 1
    for one in intentions:
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
                verdict.found(WITHOUT_YES, f"{one.name} [{one.intention.case}]: {post['outcome']}, {why}")
            else:
                verdict.counts["POSTs with a yes to exactly these bytes"] += 1


def _wallets(
    verdict: Verdict, intentions: Sequence[Evidence], events: Mapping[int, Sequence[Row]], folder: Path
) -> None:
    """Find a wallet that was asked twice for a key, or after its entry ended, and a credential kept after the end."""
    file = folder / "wallets"
    lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    starts = [(float(at), str(key)) for at, key in map(json.loads, lines)]
    verdict.counts["wallets asked"] += len(starts)
    times = Counter(key for _, key in starts)
    kept = _credentials(folder / "journal.db")
    for one in intentions:
        for entry in one.entries:
            key, own = entry["key"], events.get(entry["id"], ())
            ended = min((event["at"] for event in own if event["state"] in _ENDED), default=None)
            if times[key] > 1:
                verdict.found(WALLET_AGAIN, f"{one.name} [{one.intention.case}]: {times[key]} times")
            elif ended is not None and any(at > ended for at, started in starts if started == key):
                verdict.found(WALLET_AGAIN, f"{one.name} [{one.intention.case}]: after it had ended")
            if entry["id"] in kept and entry["state"] not in _IN_HAND:
                verdict.found(CREDENTIAL_KEPT, f"{one.name} [{one.intention.case}]: {entry['state']}")


def _credentials(journal: Path) -> set[int]:
    with closing(sqlite3.connect(journal)) as database:
        found = database.execute("select entry_id from zinc_payments where credential is not null")
        return {int(entry_id) for (entry_id,) in found}
