"""Judges a round about orders after their purchase: each thing is filed once, nothing is lost, every answer is true."""

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from bench.campaign.agents.agent import Call
from bench.campaign.judge.after_evidence import (
    AfterEvidence,
    AfterRoundEvidence,
    Filed,
    read_after_round,
    wanted,
)
from bench.campaign.judge.evidence import Row
from bench.campaign.judge.record import owner
from bench.campaign.judge.told import judge_told
from bench.campaign.judge.verdict import (
    CANCELLED_FALSELY,
    FILED_TWICE,
    GIVEN_BACK,
    INTENTIONS,
    LOST,
    NOBODY_ANSWERED,
    NOT_ASKED_FOR,
    SENT_AGAIN,
    WITHOUT_YES,
    YES_TO_ANOTHER,
    Verdict,
)
from bench.campaign.plan.after_sale import AfterRound, first_words

FILED = "filed, or cancelled"
OWNING = frozenset({"placed", "failed", "sending", "unknown"})
"""States of a change that say that Zinc has it, or may have it."""

_ASKED_TO_CANCEL = "cancellation asked for"
_CREDITED = 5.0
"""Seconds at pace 1 after which the sandbox credits a return."""
_NOT_SENT = frozenset({"waiting", "signing", "sending", "unknown", "accepted", "paid_no_order"})
_MANY = 6
"""People answer at least one of this number of questions."""


def judge_after_round(each: AfterRound, folder: Path, calls: Mapping[int, Sequence[Call]]) -> Verdict:
    """Judge one round.

    Args:
        each: the planned round.
        folder: where its ledger, its journal, and the decisions of its people are.
        calls: every call of each agent, by its intention's number.
    """
    evidence = read_after_round(each, folder, calls, time.time() - time.monotonic())
    file = folder / "decisions"
    lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    return judged(each, evidence, [json.loads(line) for line in lines])


def judged(each: AfterRound, evidence: AfterRoundEvidence, decisions: Sequence[Row]) -> Verdict:
    """Judge the evidence of a round."""
    verdict = Verdict()
    asked_at: defaultdict[int, list[float]] = defaultdict(list)
    for event in evidence.events:
        if event["what"] == _ASKED_TO_CANCEL:
            asked_at[event["entry_id"]].append(event["at"])
    for one in evidence.intentions:
        verdict.counts[INTENTIONS] += 1
        verdict.posts[len(one.posts)] += 1
        if one.wish.kind == "cancel":
            _cancellation(verdict, one, asked_at)
        else:
            _filed(verdict, one)
        judge_told(verdict, each, one)
    _strangers(verdict, evidence)
    _money(verdict, each, evidence)
    _owners(verdict, evidence)
    if each.asks:
        _answered(verdict, evidence, decisions)
        (_orders_with_a_yes if each.kind == "cancel" else _filed_with_a_yes)(verdict, evidence, decisions)
    return verdict


def judge_ledger(each: AfterRound, folder: Path) -> Verdict:
    """Judge a round of a client without a journal, by the sandbox's ledger alone."""
    verdict = Verdict()
    for one in read_after_round(each, folder, {}, 0.0).intentions:
        verdict.counts[INTENTIONS] += 1
        verdict.posts[len(one.posts)] += 1
        _twice(verdict, one)
    return verdict


def _twice(verdict: Verdict, one: AfterEvidence) -> None:
    verdict.counts[FILED] += bool(one.filed)
    if len(one.filed) > 1:
        verdict.found(FILED_TWICE, f"{one.wish.name}: {len(one.filed)} times, {[each.id for each in one.filed]}")


def _filed(verdict: Verdict, one: AfterEvidence) -> None:
    """Find a request that was filed twice or sent twice, or that Zinc has although the journal denies it."""
    _twice(verdict, one)
    own = [entry for entry in one.entries if entry["state"] in OWNING]
    if one.filed and not own:
        states = [entry["state"] for entry in one.entries]
        verdict.found(LOST, f"{one.wish.name}: Zinc has {one.filed[0].id}, and the journal says {states}")
    doubtful = [entry for entry in one.entries if entry["state"] in ("sending", "unknown")]
    verdict.counts["in doubt at the end, and Zinc has it"] += bool(doubtful and one.filed)
    verdict.counts["in doubt at the end, and Zinc has it not"] += bool(doubtful and not one.filed)
    for entry in own:
        if entry["state"] in ("placed", "failed") and not one.filed:
            verdict.found(LOST, f"{one.wish.name}: the journal says {entry['state']}, and Zinc has none")
    sent = sum(entry["attempts"] for entry in one.siblings)
    if any(entry["attempts"] > 1 for entry in one.entries) or len(one.posts) > sent:
        verdict.found(SENT_AGAIN, f"{one.wish.name}: {len(one.posts)} POSTs, of which the journal has {sent}")


def _cancellation(verdict: Verdict, one: AfterEvidence, asked_at: Mapping[int, Sequence[float]]) -> None:
    """Find a cancellation that the journal does not know, and one in the journal that never happened."""
    at = None if one.order is None else one.order["cancelled_at"]
    verdict.counts[FILED] += at is not None
    states = [entry["state"] for entry in one.entries]
    if at is None and "cancelled" in states:
        verdict.found(CANCELLED_FALSELY, f"{one.wish.name}: the journal says so")
    if at is not None and "cancelled" not in states:
        verdict.found(LOST, f"{one.wish.name}: Zinc has cancelled the order, and the journal says {states}")
    written = sorted(moment for entry in one.entries for moment in asked_at.get(entry["id"], ()))
    for nth, post in enumerate(one.posts):
        if sum(moment <= post["at"] for moment in written) <= nth:
            verdict.found(LOST, f"{one.wish.name}: cancellation {nth + 1} was sent before it was written down")
            break
    if one.order is not None and not one.entries:
        verdict.found(LOST, f"{one.wish.name}: Zinc has an order that the journal does not know")


def _strangers(verdict: Verdict, evidence: AfterRoundEvidence) -> None:
    """Find requests at Zinc for which nobody asked."""
    asked: set[tuple[str, object]] = set()
    for one in evidence.intentions:
        if one.order is not None:
            asked.add((one.order["order_id"], wanted(one.wish)))
            asked.add((one.order["order_id"], ("said", "", 0, first_words(one.wish.family))))
    for each in evidence.filed:
        if (each.order_id, each.content) not in asked:
            verdict.found(NOT_ASKED_FOR, f"order {each.order_id}: {each.content}")


def _money(verdict: Verdict, each: AfterRound, evidence: AfterRoundEvidence) -> None:
    """Find money that stopped counting against the limits before Zinc cancelled or credited the order."""
    of_key = {order["idempotency_key"]: order for order in evidence.orders}
    families = {order["family"]: order for order in evidence.orders}
    ending = {wish.family: wish.ending for wish in each.wishes}
    whose = {entry["id"]: entry for entry in evidence.entries if entry["kind"] == "order"}
    charged: dict[int, int] = {}
    told: set[int] = set()
    for row in evidence.record:
        entry = whose.get(row["id"])
        if entry is None or row["id"] in told:
            continue
        # A later entry may have ordered the same: an entry that was never sent has no order.
        order = of_key.get(entry["key"]) or (families.get(entry["family"]) if row["attempts"] else None)
        cancelled_at = None if order is None else order["cancelled_at"]
        is_cancelled = cancelled_at is not None and cancelled_at <= row["epoch"]
        least = 0
        if row["state"] in _NOT_SENT and (order is not None or row["state"] != "waiting"):
            least = max(row["reserved_cents"], row["authorised_cents"] or 0)
        elif row["state"] == "placed":
            before = charged.setdefault(row["id"], row["counts_cents"])
            least = before - _credited(each, evidence, order, ending.get(entry["family"], ""), row["epoch"], before)
        elif row["state"] in ("cancelled", "failed", "refused", "rejected", "declined") and order is not None:
            least = 0 if is_cancelled else row["reserved_cents"]
        if row["counts_cents"] < least and not (is_cancelled and row["state"] == "cancelled"):
            told.add(row["id"])
            what = f"{row['state']} counts {row['counts_cents']} instead of {least}"
            verdict.found(GIVEN_BACK, f"order {entry['family']}: {what}")
        if row["refunded_cents"] and not is_cancelled and row["state"] != "placed":
            told.add(row["id"])
            verdict.found(GIVEN_BACK, f"order {entry['family']}: {row['refunded_cents']} came back in {row['state']}")


def _credited(
    each: AfterRound, evidence: AfterRoundEvidence, order: Row | None, ending: str, at: float, charged: int
) -> int:
    """Return the most cents that Zinc can have credited by then: the share of each return that is old enough."""
    if order is None or ending == "denied":
        return 0
    pieces = sum(int(product.get("quantity", 1)) for product in json.loads(order["body"])["products"])
    back = 0
    for filed in evidence.filed:
        if filed.order_id == order["order_id"] and filed.content[0] == "return":
            if filed.at + _CREDITED / each.pace <= at:
                back += -(-charged * filed.content[2] // pieces)
    return back


def _owners(verdict: Verdict, evidence: AfterRoundEvidence) -> None:
    """Find an entry that a process took, or cleared away, during the lease of another one."""
    names = {entry["id"]: one.wish.name for one in evidence.intentions for entry in one.entries}
    before: dict[int, Row] = {}
    for row in evidence.record:
        name = names.get(row["id"])
        if name is not None and row["id"] in before:
            owner(verdict, name, before[row["id"]], row)
        before[row["id"]] = row


# Where people are asked


def _answered(verdict: Verdict, evidence: AfterRoundEvidence, decisions: Sequence[Row]) -> None:
    given = [each for each in decisions if "result" not in each]
    verdict.counts["questions answered"] += len(given)
    for each in decisions:
        if "result" in each:
            verdict.counts[f"answers that were {'taken' if each['result'] == 'taken' else 'not taken'}"] += 1
    asked = sum("id" in json.loads(entry["consent"] or "{}") for entry in evidence.entries)
    if asked >= _MANY and not given:
        verdict.found(NOBODY_ANSWERED, f"{asked} were asked")


def _yeses(decisions: Sequence[Row], at: float) -> list[Row]:
    """Return each yes that was given by then, except to a question to which a no was taken."""
    noes = {each["id"] for each in decisions if each.get("result") == "taken" and not each["yes"]}
    return [
        each
        for each in decisions
        if "result" not in each and each["yes"] and each["at"] <= at and each["id"] not in noes
    ]


def _filed_with_a_yes(verdict: Verdict, evidence: AfterRoundEvidence, decisions: Sequence[Row]) -> None:
    """Find a return or a message without a yes to a question that showed exactly this, given before and used once."""
    for one in evidence.intentions:
        used: set[str] = set()
        for filed in one.filed:
            shown = [each for each in _yeses(decisions, filed.at) if shows(each.get("question"), filed)]
            if not shown:
                verdict.found(WITHOUT_YES, f"{one.wish.name}: nobody said yes to {filed.content}")
                continue
            sent = {
                json.loads(entry["consent"] or "{}").get("id"): sha256(_bytes(entry["body"])).hexdigest()
                for entry in one.entries
                if entry["attempts"]
            }
            own = {each["id"] for each in shown if sent.get(each["id"]) == each["body_sha256"]} - used
            if not own:
                verdict.found(YES_TO_ANOTHER, f"{one.wish.name}: {filed.content} was sent by another question's yes")
                continue
            used.add(own.pop())
            verdict.counts["sent with a yes to exactly this"] += 1


def _bytes(body: bytes | str) -> bytes:
    return body if isinstance(body, bytes) else body.encode()


def shows(question: object, filed: Filed) -> bool:
    """Say whether a question, as a person saw it, shows the filed request: its order, its pieces, and each word."""
    if not isinstance(question, dict):
        return False
    shown = cast(dict[str, Any], question)
    if str(shown.get("order_id")).lower() != filed.order_id.lower():
        return False
    words = [str(text) for _, text in shown.get("fields") or ()]
    kind, reason, pieces, text = filed.content
    if kind == "close":
        return bool(shown.get("action") == "close" and filed.id in words)
    if kind == "return":
        said = [reason.replace("_", " "), *([filed.notes] if filed.notes else [])]  # a person reads it in words
        lines = sum(int(line["quantity"]) for line in shown.get("lines") or ())
        return bool(shown.get("action") == "return" and lines == pieces and sorted(words) == sorted(said))
    return bool(shown.get("action") in ("open", "message") and text in words)


def _orders_with_a_yes(verdict: Verdict, evidence: AfterRoundEvidence, decisions: Sequence[Row]) -> None:
    """Find an order without a yes to exactly its bytes."""
    for post in evidence.attempts:
        yes = [each for each in _yeses(decisions, post["at"]) if each["body_sha256"] == post["body_sha256"]]
        own = {
            json.loads(entry["consent"] or "{}").get("id")
            for entry in evidence.entries
            if entry["key"] == post["idempotency_key"]
        }
        if not yes:
            verdict.found(WITHOUT_YES, f"{post['idempotency_key']}: nobody said yes to these bytes")
        elif not {each["id"] for each in yes} & own:
            verdict.found(YES_TO_ANOTHER, f"{post['idempotency_key']}: the yes was to another question")
        else:
            verdict.counts["sent with a yes to exactly this"] += 1
