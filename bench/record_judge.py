"""The judge of the campaign's own record of a journal (`bench.record`), and of POSTs that overlap in Zinc's ledger.

Like `bench.judge`, it knows SQL, JSON and the plan, and nothing of the program that it judges.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.evidence import PRACTISED, Evidence, Verdict
from bench.judge import WIRE, named
from bench.plan import FAULTS, PACE
from bench.record import Change, read_record

TWO_OWNERS = "two owners within one lease"
AT_ONCE = "POSTs of one key at once"
UNCOUNTED = "reservations that do not count"
BESIDE_A_DOUBT = "opened beside one in doubt"

_OWNERS_WORD = "resolved by the owner"
_ON_THE_WIRE = frozenset({"signing", "sending"})
_OF_OTHERS = (
    "claimed",
    "taken over",
    "the sending process did not come back",
    "abandoned before sending",
    _OWNERS_WORD,
)
"""What only somebody writes who has found that nobody holds an entry."""
_MAY_COST = frozenset({"waiting", "signing", "sending", "unknown", "accepted", "paid_no_order"})
_DOUBT = frozenset({"signing", "sending", "unknown", "paid_no_order"})
_SLOW = re.compile(r"slow_(\d+(?:\.\d+)?)")
_SURELY = 0.4
"""Of the time that an answer takes, so much has surely not gone by for whoever waits for it, however busy we are."""


def judge_record(verdict: Verdict, journal: Path, evidence: Collection[Evidence]) -> None:
    """Judge who held what when, what counted meanwhile, and what was on the wire at the same time."""
    whose = {entry["id"]: one for one in evidence for entry in one.entries}
    of: defaultdict[int, list[Change]] = defaultdict(list)
    doubtful: dict[tuple[str, str, str], set[int]] = {}
    for change in read_record(journal):
        one = whose.get(change["id"])
        if one is None or change["kind"] != "order":
            continue
        before = of[change["id"]]
        _reservation(verdict, one, change)
        if before:
            _owner(verdict, one, before[-1], change)
        same = doubtful.setdefault((one.intention.identity, change["caller"], change["mode"]), set())
        if not before and same:
            verdict.found(BESIDE_A_DOUBT, f"{named(one)}: {change['key']} was opened while another was {_DOUBT}")
        (same.add if change["state"] in _DOUBT else same.discard)(change["id"])
        before.append(change)
    for one in evidence:
        _overlapping(verdict, one)


def _owner(verdict: Verdict, one: Evidence, before: Change, change: Change) -> None:
    """Nobody takes an entry, or clears it away, while somebody else's lease of it runs."""
    if before["version"] == change["version"] or change["what"] not in _OF_OTHERS:
        return
    if before["lease_owner"] is None or before["lease_taken"] is None:
        return
    if change["what"] == _OWNERS_WORD and before["state"] not in _ON_THE_WIRE:
        return  # whoever only looks finds that it has moved
    over = before["lease_taken"] + before["lease_seconds"]
    at = change["lease_taken"] if change["lease_owner"] is not None else change["at"]
    if at < over:
        what = f"{change['what']} {over - at:.2f} s before the lease of {before['lease_owner']} was over"
        verdict.found(TWO_OWNERS, f"{named(one)}: {what}")


def _reservation(verdict: Verdict, one: Evidence, change: Change) -> None:
    """Whatever may still cost something counts in full, but for what is known to have come back."""
    if change["state"] not in _MAY_COST:
        return
    due = max(change["reserved_cents"], change["authorised_cents"] or 0) - (change["refunded_cents"] or 0)
    if change["counts_cents"] < due:
        verdict.found(UNCOUNTED, f"{named(one)}: {change['state']} counts {change['counts_cents']} instead of {due}")


def _overlapping(verdict: Verdict, one: Evidence) -> None:
    """The same bytes do not go again while the first are on the wire."""
    of: defaultdict[tuple[str, bool], list[Mapping[str, Any]]] = defaultdict(list)
    for post in one.posts:
        of[post["idempotency_key"], post["credential"] is not None].append(post)
    for (key, paid), posts in of.items():
        if key.startswith(PRACTISED) or (posts[0]["rail"] == "agent" and not paid):
            continue  # an unpaid request buys nothing
        for nth, (earlier, later) in enumerate(pairwise(posts)):
            until = earlier["at"] + _SURELY * _seconds(one.intention.faults, nth, earlier)
            if later["at"] < until:
                gap = later["at"] - earlier["at"]
                verdict.found(AT_ONCE, f"{named(one)}: {key} went again after {gap:.2f} s, unanswered")


def _seconds(faults: Sequence[str], nth: int, post: Mapping[str, Any]) -> float:
    """Return for how long a POST was certainly on the wire, by what was done to its answer."""
    if post["fault"] == "hang":
        return WIRE
    name = faults[min(nth, len(faults) - 1)] if faults else "none"
    slow = _SLOW.fullmatch(FAULTS.get(name, name))
    return min(WIRE, float(slow[1]) / PACE) if post["fault"] == "slow" and slow else 0.0
