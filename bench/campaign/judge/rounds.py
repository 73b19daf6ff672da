"""Judges one round: compares Zinc's ledger, the journal and the calls of the agents, by all promises."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.campaign.agents.agent import Call
from bench.campaign.judge.classes import judge_class
from bench.campaign.judge.evidence import read_ledger, read_round, sorted_out
from bench.campaign.judge.payments import judge_payments
from bench.campaign.judge.purchases import count, duplicates, ignored_keys, judge_purchases, limits, unjournalled
from bench.campaign.judge.record import judge_record
from bench.campaign.judge.v1 import judge_v1
from bench.campaign.judge.verdict import Verdict
from bench.campaign.plan.intentions import BROKEN_KEYS, Round


def judge_round(each: Round, folder: Path, calls: Mapping[int, Sequence[Call]], ended_at: float) -> Verdict:
    """Judge one round.

    Args:
        each: the planned round.
        folder: the folder with its ledger, its journal and the list of the reached steps.
        calls: every call of each agent, by its intention's number.
        ended_at: the time at which the agents had ended, in seconds since the epoch.
    """
    verdict = Verdict()
    evidence = read_round(each, folder, calls)
    unjournalled(verdict, evidence.attempts, evidence.entries)
    if "agent" in each.rails:
        judge_payments(verdict, each, evidence, folder, ended_at)
    else:
        judge_purchases(verdict, each, evidence)
    if each.dialect in BROKEN_KEYS:
        ignored_keys(verdict, evidence.is_paused, calls, evidence.attempts)
    if "v1" in each.rails:
        judge_v1(verdict, each, evidence, folder)
    judge_class(verdict, each, evidence, folder)
    judge_record(verdict, folder / "journal.db", evidence.intentions)
    return verdict


def judge_ledger(each: Round, ledger: Path) -> Verdict:
    """Judge a round of a client that keeps no journal, by the sandbox's ledger alone."""
    verdict = Verdict()
    orders, attempts = read_ledger(ledger)
    for one in sorted_out(each, orders, attempts, (), {}):
        count(verdict, one)
        duplicates(verdict, one, keys_count=each.dialect not in BROKEN_KEYS)
    if each.limit_cents is not None:
        limits(verdict, each.limit_cents, [], [], orders)
    if each.dialect in BROKEN_KEYS:
        ignored_keys(verdict, False, {}, attempts)
    return verdict
