"""Which small change of the money's road would all its tests let pass? By hand or weekly, not in CI: it takes hours.

    pip install cosmic-ray
    nice python -m bench.mutations --list
    nice python -m bench.mutations journal/clocks payments/transaction --minutes 20

Works on a copy of the tree. One operator, number or keyword is changed at a time, by cosmic-ray's operators, and the
tests that are named here for that module must notice: each in a process forked from one that has the libraries loaded.
What survived is printed.
"""

import argparse
import importlib
import itertools
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.sabotage import copied

_PROMISES = "tests/checkout/test_promises.py"
_ROAD = (
    "tests/checkout/test_checkout.py", "tests/checkout/test_doubt.py", "tests/campaign/test_campaign_findings.py",
    _PROMISES, "tests/consent/test_approval.py", "tests/checkout/test_journal_failures.py",
)  # fmt: skip
_WALLET = ("tests/checkout/test_agent.py", "tests/checkout/test_agent_findings.py", _PROMISES)
MODULES: Mapping[str, Sequence[str]] = {
    "payments/tempo_chain": ("tests/payments/test_payments_transaction.py", "tests/payments/test_payments_tempo.py"),
    "payments/terms": ("tests/payments/test_payments_terms.py", "tests/payments/test_payments_practice.py"),
    "payments/headers": ("tests/payments/test_payments_challenge.py",),
    "journal/clocks": ("tests/journal/test_lease.py", "tests/journal/test_journal.py"),
    "journal/money": (*_WALLET, "tests/spending/test_money_proved.py", "tests/spending/test_unclear_answers.py"),
    "spending/same_order": ("tests/spending/test_same_order.py", _PROMISES, "tests/checkout/test_doubt.py"),
    "journal/questions": ("tests/consent/test_questions.py", "tests/consent/test_approval.py", _PROMISES),
    "journal/opening": ("tests/journal/test_journal.py", "tests/journal/test_times.py", *_ROAD),
    "journal/rows": ("tests/journal/test_journal.py", *_ROAD),
    "journal/journal": ("tests/journal/test_journal.py", "tests/journal/test_lost_commit.py", *_ROAD),
    "spending/proof": _WALLET,
    "spending/pay": (*_WALLET, "tests/checkout/test_journal_failures.py"),
    "checkout/send": _ROAD,
    "spending/outcome": (*_ROAD, *_WALLET),
    "checkout/look_up": _ROAD,
    "checkout/place_order": _ROAD,
}
"""What is changed, under `zinc_mcp`, and the tests that must notice; the quick ones first."""
OPERATORS = (
    *(f"ReplaceComparisonOperator_{each}" for each in (
        "Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Is_IsNot", "IsNot_Is", "In_NotIn", "NotIn_In",
    )),
    *(f"ReplaceBinaryOperator_{each}" for each in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "Mod_Mul")),
    "ReplaceAndWithOr", "ReplaceOrWithAnd", "AddNot", "ReplaceUnaryOperator_Delete_Not", "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue", "NumberReplacer", "ExceptionReplacer", "ZeroIterationForLoop", "ReplaceContinueWithBreak",
    "ReplaceBreakWithContinue",
)  # fmt: skip
"""Of cosmic-ray's operators one for each kind of slip."""
LIBRARIES = ("anyio", "httpx", "hypothesis", "mcp", "mpp", "pydantic", "pytest", "sqlalchemy", "starlette", "uvicorn")
"""Loaded once, before any process is forked; nothing of ours."""
_SECONDS = 240.0


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Yield a description of each mutant and its source."""
    plugins: Any = importlib.import_module("cosmic_ray.plugins")
    mutating: Any = importlib.import_module("cosmic_ray.mutating")
    for name in OPERATORS:
        operator = plugins.get_operator(f"core/{name}")()
        for occurrence in itertools.count():
            mutated = mutating.mutate_code(source, operator, occurrence)
            if mutated is None:
                break
            before, after = source.splitlines(), str(mutated).splitlines()
            nth = next((nth for nth, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), 0)
            yield f"{nth + 1}: {before[nth].strip()}  ->  {after[nth].strip()}", str(mutated)


def noticed(tree: Path, tests: Sequence[str]) -> bool | None:
    """Run tests of a tree in a forked process; say whether they turned red. None: they came to no end."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            os.setpgid(0, 0)
            silent = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(silent, stream)
            os.chdir(tree)
            sys.path.insert(0, str(tree))
            os.environ["PYTHONPATH"] = str(tree)
            code = int(
                importlib.import_module("pytest").main(
                    ["-q", "-x", "-n0", "--assert=plain", "-p", "no:cacheprovider", *tests]
                )
            )
        finally:
            os._exit(code)
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) != 0
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def tried(module: str, tree: Path, deadline: float) -> None:
    """Try a module's mutants until all are done or time is up, and print what survived."""
    file, tests = tree / "zinc_mcp" / f"{module}.py", tuple(dict.fromkeys(MODULES[module]))
    original = file.read_text(encoding="utf-8")
    outcomes: Counter[str] = Counter()
    if noticed(tree, tests) is not False:
        print(f"{module}: not green without a mutant")
        return
    try:
        for what, source in mutants(original):
            if time.monotonic() >= deadline:
                outcomes["not tried"] += 1
                continue
            file.write_text(source, encoding="utf-8")
            outcome = {True: "killed", False: "survived", None: "killed by time"}[noticed(tree, tests)]
            outcomes[outcome] += 1
            if outcome == "survived":
                print(f"  survived: {module}.py:{what}", flush=True)
    finally:
        file.write_text(original, encoding="utf-8")
    print(f"{module}: {sum(outcomes.values())} mutants, {dict(outcomes)}", flush=True)


def main() -> int:
    """Try the chosen modules and print what survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as journal/clocks; all of them if none")
    parser.add_argument("--minutes", type=float, default=600.0, help="stop after so long (600)")
    parser.add_argument("--list", action="store_true", help="list the modules and their tests, and end")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(f"{module:24} {' '.join(dict.fromkeys(tests))}" for module, tests in MODULES.items()))
        return 0
    modules: list[str] = chosen.modules or list(MODULES)
    if unknown := set(modules) - set(MODULES):
        parser.error(f"no such module: {', '.join(sorted(unknown))}")
    for library in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(library)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    deadline = time.monotonic() + 60 * chosen.minutes
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-mutations-") as name:
        tree = copied(Path(name))
        for module in modules:
            tried(module, tree, deadline)
    return 0


if __name__ == "__main__":
    sys.exit(main())
