"""A small fault campaign, with the same code as the large one: real processes, real sockets, real kills."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zinc_mcp.sandbox.faults import AFTER, BEFORE

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


def test_one_intention_stays_one_purchase_through_every_fault_with_kills_and_races(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    ended = run(
        "bench.faults", "--seed", "11", "--intentions", "48", "--dialect", "default", "--turns", "4", "--at-once", "3",
        "--brief", "--json", str(figures),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8"))
    counts: dict[str, int] = found["counts"]
    assert counts["intentions"] >= 48
    assert counts["orders placed"] > 26
    for broken in ("duplicated", "lost", "limit overruns", "wrong endings", "false twins", "told wrongly"):
        assert counts.get(broken, 0) == 0, found["findings"]
    assert {cell.split()[0] for cell in found["struck"]} >= BEFORE | AFTER | {"slow", "too_slow", "none"}
    assert len([cell for cell in found["struck"] if ":" in cell]) >= 10
    assert found["missed"] == {}, "who was to die died, at the first try or at a later one"
    assert found["unforeseen"] == []
    assert found["racing"] >= 8


def test_a_plain_client_on_the_same_plan_buys_twice_so_the_campaign_can_fail() -> None:
    ended = run("bench.plain_client", "--seed", "11", "--intentions", "40")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    [line] = [line for line in ended.stdout.splitlines() if line.startswith("duplicated")]
    assert int(line.split()[1]) >= 5
