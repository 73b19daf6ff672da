"""Which small change of the money's road would all its tests let pass? By hand or weekly, not in CI: it takes hours.

    pip install cosmic-ray
    nice python -m bench.mutations --list
    nice python -m bench.mutations ordering/lease payments/transaction --minutes 20

Works on a copy of the tree; cosmic-ray changes one operator, number or keyword at a time in it and runs the tests that
are named here for that module. What survived is printed; `docs/mutations.md` says what became of the last run's.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.sabotage import copied

_PROMISES = "tests/ordering/test_promises.py"
_ROAD = (
    "tests/ordering/test_checkout.py", "tests/ordering/test_doubt.py", "tests/ordering/test_campaign_findings.py",
    _PROMISES, "tests/ordering/test_approval.py", "tests/ordering/test_journal_failures.py",
)  # fmt: skip
_WALLET = ("tests/ordering/test_agent.py", "tests/ordering/test_agent_findings.py", _PROMISES)
MODULES: Mapping[str, Sequence[str]] = {
    "payments/transaction": ("tests/payments/test_payments_transaction.py",),
    "payments/terms": ("tests/payments/test_payments_terms.py", "tests/payments/test_payments_practice.py"),
    "payments/challenge": ("tests/payments/test_payments_challenge.py",),
    "ordering/lease": ("tests/ordering/test_lease.py", "tests/ordering/test_journal.py"),
    "ordering/payment": _WALLET,
    "ordering/settle": ("tests/ordering/test_money_proved.py", "tests/ordering/test_unclear_answers.py", _PROMISES),
    "ordering/same_order": ("tests/ordering/test_same_order.py", _PROMISES, "tests/ordering/test_doubt.py"),
    "ordering/questions": ("tests/ordering/test_questions.py", "tests/ordering/test_approval.py", _PROMISES),
    "ordering/opening": ("tests/ordering/test_journal.py", "tests/ordering/test_times.py", *_ROAD),
    "ordering/rows": ("tests/ordering/test_journal.py", *_ROAD),
    "ordering/journal": ("tests/ordering/test_journal.py", "tests/ordering/test_lost_commit.py", *_ROAD),
    "ordering/proof": _WALLET,
    "ordering/paying": (*_WALLET, "tests/ordering/test_journal_failures.py"),
    "ordering/sending": _ROAD,
    "ordering/settling": (*_ROAD, *_WALLET),
    "ordering/reconcile": _ROAD,
    "ordering/checkout": _ROAD,
}
"""What is changed, under `zinc_mcp`, and the tests that must notice; the quick ones first."""
_NOT = ("core/ReplaceBinaryOperator_BitOr.*", "core/RemoveDecorator")
"""Changes of types, and decorators whose loss is an error at import."""
_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a module's mutants."""

    module: str
    mutants: int
    outcomes: Counter[str]
    survivors: Sequence[str]


def tried(module: str, tree: Path, session: Path, deadline: float, tools: Mapping[str, str]) -> Tried:
    """Try a module's mutants until all are done or time is up."""
    config = session.with_suffix(".toml")
    tests = " ".join(dict.fromkeys(MODULES[module]))
    config.write_text(
        "[cosmic-ray]\n"
        f'module-path = ["zinc_mcp/{module}.py"]\n'
        f"timeout = {_SECONDS}\n"
        "excluded-modules = []\n"
        f'test-command = "{sys.executable} -m pytest -q -x -p no:cacheprovider {tests}"\n'
        '[cosmic-ray.distributor]\nname = "local"\n'
        f"[cosmic-ray.filters.operators-filter]\nexclude-operators = {json.dumps(list(_NOT))}\n",
        encoding="utf-8",
    )
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    for command in (
        [tools["cosmic-ray"], "init", str(config), str(session)],
        [tools["cr-filter-operators"], str(session), str(config)],
    ):
        subprocess.run(command, cwd=tree, env=environ, check=True, capture_output=True)
    original = (tree / "zinc_mcp" / f"{module}.py").read_bytes()
    process = subprocess.Popen([tools["cosmic-ray"], "exec", str(config), str(session)], cwd=tree, env=environ)
    try:
        process.wait(max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
    (tree / "zinc_mcp" / f"{module}.py").write_bytes(original)
    dumped = subprocess.run(
        [tools["cosmic-ray"], "dump", str(session)],
        cwd=tree,
        env=environ,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    rows: list[tuple[dict[str, Any], dict[str, Any] | None]] = [json.loads(line) for line in dumped.stdout.splitlines()]
    outcomes: Counter[str] = Counter()
    survivors: list[str] = []
    for work, result in rows:
        outcome = _outcome(result)
        outcomes[outcome] += 1
        if outcome == "survived":
            survivors += [_described(each) for each in work["mutations"]]
    return Tried(module, len(rows) - outcomes["left out"], outcomes, survivors)


def _outcome(result: Mapping[str, Any] | None) -> str:
    if result is None:
        return "not tried"
    if result["worker_outcome"] == "skipped":
        return "left out"
    return str(result["test_outcome"] or result["worker_outcome"])


def _described(mutation: Mapping[str, Any]) -> str:
    (line, column), name = mutation["start_pos"], mutation["operator_name"].removeprefix("core/")
    return f"{mutation['module_path']}:{line}:{column} {name} #{mutation['occurrence']}"


def main() -> int:
    """Try the chosen modules and print what survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as ordering/lease; all of them if none")
    parser.add_argument("--minutes", type=float, default=600.0, help="stop after so long (600)")
    parser.add_argument("--list", action="store_true", help="list the modules and their tests, and end")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(f"{module:24} {' '.join(dict.fromkeys(tests))}" for module, tests in MODULES.items()))
        return 0
    modules: list[str] = chosen.modules or list(MODULES)
    if unknown := set(modules) - set(MODULES):
        parser.error(f"no such module: {', '.join(sorted(unknown))}")
    tools = {name: shutil.which(name) or "" for name in ("cosmic-ray", "cr-filter-operators")}
    if not all(tools.values()):
        parser.error("it needs cosmic-ray: pip install cosmic-ray")
    deadline = time.monotonic() + 60 * chosen.minutes
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-mutations-") as name:
        tree = copied(Path(name))
        for nth, module in enumerate(modules):
            if time.monotonic() >= deadline:
                print(f"{module}: not tried, time is up")
                continue
            found = tried(module, tree, Path(name) / f"{nth}.sqlite", deadline, tools)
            print(f"{module}: {found.mutants} mutants, {dict(found.outcomes)}", flush=True)
            print("".join(f"  survived: {each}\n" for each in found.survivors), end="", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
