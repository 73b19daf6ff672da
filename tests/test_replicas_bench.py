"""The judge of `bench.replicas` notices each promise that is broken, and nothing where all is well."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.replicas.intentions import Intention
from bench.replicas.judge import OVER_TEAM, judge
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Draft, Entry, Limits

REFUSED = {"is_error": True, "code": "limit_exceeded", "money_may_have_moved": False, "summary": "no"}


def entry_at(path: Path, order_id: str, caller: str) -> Entry:
    draft = Draft(
        caller=caller,
        mode="test",
        origin="https://api.zinc.com",
        account="fingerprint",
        rail="account",
        twin="t" * 64,
        body_digest="d" * 64,
        given_key=None,
        to_bytes=lambda key: key.encode(),
        ceiling_cents=1000,
        fee_cents=100,
        facts={},
    )
    with Journal.open(f"sqlite:///{path / 'journal.db'}") as journal:
        opened = journal.open_entry(draft, Limits(), owner="me", lease_seconds=30, window_seconds=60)
    assert isinstance(opened, Entry)
    return replace(opened, order_id=order_id)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("kind", "orders", "told", "caller", "most"),
    [
        (None, [("o1", 1, 5.0)], [(1.0, {"order_id": "o1"})], "ada", 1),
        (None, [], [(1.0, REFUSED)], "ada", 1),
        (None, [("o1", 1, 5.0)], [(1.0, REFUSED), (6.0, {"order_id": "o1"})], "ada", 1),
        ("duplicated", [("o1", 1, 5.0), ("o2", 1, 6.0)], [(1.0, {"order_id": "o1"})], "ada", 2),
        ("lost", [], [(1.0, {"order_id": "o1"})], "ada", 1),
        ("lost", [], [], "ada", 1),
        ("lost", [("o9", 1, 5.0)], [(1.0, {"order_id": "o9"})], "ada", 1),
        ("overruns of a member's limit", [("o1", 1, 5.0)], [(1.0, {"order_id": "o1"})], "ada", 0),
        (OVER_TEAM, [("o1", 1, 5.0), ("o9", 9, 6.0)], [(1.0, {"order_id": "o1"})], "ada", 1),
        ("wrong member", [("o1", 1, 5.0)], [(1.0, {"order_id": "o1"})], "bob", 1),
        ("told wrongly", [("o1", 1, 5.0)], [(6.0, REFUSED), (7.0, {"order_id": "o1"})], "ada", 1),
        ("told wrongly", [("o1", 1, 5.0)], [(1.0, REFUSED)], "ada", 1),
        ("told wrongly", [("o1", 1, 5.0), ("o3", 3, 5.0)], [(6.0, {"order_id": "o3"})], "ada", 1),
    ],
)
def test_each_broken_promise_is_noticed_and_nothing_else(
    tmp_path: Path,
    kind: str | None,
    orders: list[tuple[str, int, float]],
    told: list[tuple[float, dict[str, object]]],
    caller: str,
    most: int,
) -> None:
    wanted = Intention(1, "ada", "")
    wanted.told = [(began, dict(facts)) for began, facts in told]
    known = [entry_at(tmp_path, "o1", f"{caller}#0123456789abcdef")]
    if kind == "duplicated":
        known.append(replace(known[0], order_id="o2"))
    there = [(order_id, f"B{number:09d}", at) for order_id, number, at in orders]
    judged = judge([wanted], there, known, most_of_member=most, most_of_team=1 if kind == OVER_TEAM else 9)
    broken = {name for name, found in judged.broken.items() if found}
    assert broken - {"told wrongly"} == ({kind} if kind else set()) - {"told wrongly"}
    assert ("told wrongly" in broken) == (kind == "told wrongly") or kind == "lost"
