"""A small fault campaign on the agent rail, with the same code as the large one: real processes, a practice wallet."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the campaign forks its servers")


def test_one_intention_is_paid_once_through_every_fault_with_kills_and_races(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZINC_")}
    ended = subprocess.run(
        [
            sys.executable, "-m", "bench.faults", "--rail", "agent", "--seed", "5", "--intentions", "36",
            "--dialect", "default", "--turns", "4", "--at-once", "4", "--evenings", "0", "--brief",
            "--json", str(figures),
        ],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8"))
    counts: dict[str, int] = found["counts"]
    assert counts["intentions"] == 36
    assert counts["orders placed"] > 12
    for broken in ("duplicated", "lost", "limit overruns", "wrong endings", "false twins", "told wrongly"):
        assert counts.get(broken, 0) == 0, found["findings"]
    for broken in ("second credentials", "paid twice", "paid another amount", "lies paid", "order keys lost"):
        assert counts.get(broken, 0) == 0, found["findings"]
    assert counts["payment requests that lied, and were not paid"] >= 3
    assert counts["order keys kept"] >= 6
    assert sum(times for number, times in found["credentials"].items() if int(number) > 0) > 12
    steps = {cell.split()[1].split(":")[0] for cell in found["struck"] if ":" in cell.split()[1]}
    assert len(steps) >= 4
    assert found["racing"] >= 4
