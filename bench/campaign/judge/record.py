"""The campaign's own record of a journal, which the database itself writes, and the checks that use it.

The program's events tell its intentions, with times of clocks that a round may have set wrong. Triggers record every
version of every row, the time by the database's own clock, and the owner of the lease (`campaign.journals`).
"""

import re
import sqlite3
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.campaign.judge.evidence import PRACTISED, Evidence, Row, rows_of
from bench.campaign.judge.purchases import WIRE_SECONDS
from bench.campaign.judge.verdict import AT_ONCE, BESIDE_DOUBT, TWO_OWNERS, UNCOUNTED, Verdict
from bench.campaign.plan.intentions import FAULTS, PACE

_OWNERS_WORD = "resolved by the owner"
_ON_THE_WIRE = frozenset({"signing", "sending"})
_OF_OTHERS = (
    "claimed",
    "taken over",
    "the sending process did not come back",
    "abandoned before sending",
    _OWNERS_WORD,
)
"""Events that a process writes only when it has found that nobody holds the entry."""
_MAY_COST = frozenset({"waiting", "signing", "sending", "unknown", "accepted", "paid_no_order"})
_DOUBT = frozenset({"signing", "sending", "unknown", "paid_no_order"})
_SLOW = re.compile(r"slow_(\d+(?:\.\d+)?)")
_READING_SECONDS = 0.002
"""SQLite's clock counts milliseconds, and two clocks cannot be read at one moment."""
_SURELY = 0.4
"""The part of an answer's delay in which a process certainly still waits for it, even on a busy machine."""


def read_record(journal: Path) -> list[Row]:
    """Return every version of every row, in the order in which they were written.

    `at` is in seconds of the clock that leases use on this machine; `what` is the event that the program wrote. The
    database has only the wall clock, which the machine may correct during a round: `at` may be wrong by `unsure`
    seconds.
    """
    behind = time.time() - time.monotonic()
    with closing(sqlite3.connect(journal)) as database:
        [(behind_first,)] = database.execute("SELECT behind FROM campaign_clock").fetchall()
        unsure = abs(behind - behind_first) + _READING_SECONDS
        rows = rows_of(
            database,
            "SELECT record.*, events.what FROM campaign_record AS record LEFT JOIN zinc_events AS events "
            "ON events.entry_id = record.id AND events.version = record.version ORDER BY record.seq",
        )
        return [{**row, "at": row["at"] - behind, "unsure": unsure} for row in rows]


def judge_record(verdict: Verdict, journal: Path, intentions: Sequence[Evidence]) -> None:
    """Judge the leases of each entry, the money that it counted, and POSTs that were on the wire together."""
    whose = {entry["id"]: one for one in intentions for entry in one.entries}
    of: defaultdict[int, list[Row]] = defaultdict(list)
    doubtful: dict[tuple[str, str, str], set[int]] = {}
    for change in read_record(journal):
        one = whose.get(change["id"])
        if one is None or change["kind"] != "order":
            continue
        before = of[change["id"]]
        _reservation(verdict, one, change)
        if before:
            owner(verdict, one.name, before[-1], change)
        same = doubtful.setdefault((one.intention.identity, change["caller"], change["mode"]), set())
        if not before and same:
            verdict.found(BESIDE_DOUBT, f"{one.name}: {change['key']} was opened while another was {_DOUBT}")
        (same.add if change["state"] in _DOUBT else same.discard)(change["id"])
        before.append(change)
    for one in intentions:
        _overlapping(verdict, one)


def owner(verdict: Verdict, name: str, before: Row, change: Row) -> None:
    """Find an entry that a process took, or cleared away, during the lease of another one."""
    if before["version"] == change["version"] or change["what"] not in _OF_OTHERS:
        return
    if before["lease_owner"] is None or before["lease_taken"] is None:
        return
    if change["what"] == _OWNERS_WORD and before["state"] not in _ON_THE_WIRE:
        return  # the lease was for a look-up, which notices the change
    over = before["lease_taken"] + before["lease_seconds"]
    at = change["lease_taken"] if change["lease_owner"] is not None else change["at"] + change["unsure"]
    if at < over:
        what = f"{change['what']} {over - at:.2f} s before the lease of {before['lease_owner']} was over"
        verdict.found(TWO_OWNERS, f"{name}: {what}")


def _reservation(verdict: Verdict, one: Evidence, change: Row) -> None:
    """Find an entry that may still cost something and counts less than that, after proved refunds."""
    if change["state"] not in _MAY_COST:
        return
    due = max(change["reserved_cents"], change["authorised_cents"] or 0) - (change["refunded_cents"] or 0)
    if change["counts_cents"] < due:
        verdict.found(UNCOUNTED, f"{one.name}: {change['state']} counts {change['counts_cents']} instead of {due}")


def _overlapping(verdict: Verdict, one: Evidence) -> None:
    """Find bytes that were sent again while their first request was still on the wire."""
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
                verdict.found(AT_ONCE, f"{one.name}: {key} was sent again after {gap:.2f} s, unanswered")


def _seconds(faults: Sequence[str], nth: int, post: Mapping[str, Any]) -> float:
    """Return the seconds for which a POST was certainly on the wire, by the fault of its answer."""
    if post["fault"] == "hang":
        return WIRE_SECONDS
    name = faults[min(nth, len(faults) - 1)] if faults else "none"
    slow = _SLOW.fullmatch(FAULTS.get(name, name))
    return min(WIRE_SECONDS, float(slow[1]) / PACE) if post["fault"] == "slow" and slow else 0.0
