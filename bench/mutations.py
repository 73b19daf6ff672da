"""Changes one operator, keyword or number of the rooms that move money, and runs the tests that must notice.

    pip install cosmic-ray
    nice python -m bench.mutations --list
    nice python -m bench.mutations --sample 40 --seed 7
    nice python -m bench.mutations journal spending --minutes 300

By hand or weekly, not in CI: a whole run takes many hours. The changes are those of cosmic-ray's operators. Each worker
has a copy of the tree, and runs the tests of the room in a process forked from one that has the libraries loaded. A
change that no test notices has survived; it is printed with its file and line, its operator, and the line before and
after. The exit status is 1 when one survived, or when tests are not green without any change.
"""

import argparse
import importlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from bench.sabotage import ROOT, copied

ROOMS: Mapping[str, Sequence[str]] = {
    "journal": ("tests/journal", "tests/spending", "tests/consent", "tests/checkout"),
    "consent": ("tests/consent", "tests/checkout"),
    "spending": ("tests/spending", "tests/checkout", "tests/payments"),
    "checkout": ("tests/checkout", "tests/spending", "tests/consent", "tests/campaign/test_campaign_findings.py"),
    "payments": ("tests/payments", "tests/spending", "tests/checkout"),
}
"""Rooms of `zinc_mcp`, each with the tests that must notice a change in it: its own first, then those of its users."""

OPERATORS = (
    *(f"ReplaceComparisonOperator_{each}" for each in (
        "Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Is_IsNot", "IsNot_Is",
    )),
    *(f"ReplaceBinaryOperator_{each}" for each in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "Mod_Mul")),
    "ReplaceAndWithOr", "ReplaceOrWithAnd", "AddNot", "ReplaceUnaryOperator_Delete_Not", "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue", "NumberReplacer", "ExceptionReplacer", "ZeroIterationForLoop", "ReplaceContinueWithBreak",
    "ReplaceBreakWithContinue",
)  # fmt: skip
"""Of cosmic-ray's operators one for each kind of mistake."""
LIBRARIES = ("anyio", "httpx", "hypothesis", "mcp", "mpp", "pydantic", "pytest", "sqlalchemy", "starlette", "uvicorn")
"""Loaded once, before any process is forked; nothing of ours."""

_GREEN_SECONDS = 1800.0
"""The longest time for the tests of one folder without any change."""
_LEAST_SECONDS, _TIMES = 60.0, 3
"""A change has this many times as long as the tests take without it, and at least so many seconds."""

_OUTPUT = "output.txt"

Outcome = Literal["killed", "killed by time", "survived", "not tried"]
_OUTCOMES: Mapping[bool | None, Outcome] = {True: "killed", False: "survived", None: "killed by time"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the occurrence of an operator in a file."""

    room: str
    file: str
    """Relative to the tree."""
    line: int
    operator: str
    occurrence: int


def mutants(rooms: Sequence[str]) -> list[Mutant]:
    """Return every mutant of these rooms, in the order of files and lines."""
    syntax: Any = importlib.import_module("cosmic_ray.ast")
    found: list[Mutant] = []
    for room in rooms:
        for file in sorted((ROOT / "zinc_mcp" / room).rglob("*.py")):
            nodes = list(syntax.ast_nodes(syntax.get_ast(file.read_text(encoding="utf-8"))))
            name = file.relative_to(ROOT).as_posix()
            of_file = [
                Mutant(room, name, line, operator, occurrence)
                for operator in OPERATORS
                for occurrence, line in enumerate(_lines(operator, nodes))
            ]
            found += sorted(of_file, key=lambda each: each.line)
    return found


def _lines(operator: str, nodes: Sequence[Any]) -> Iterator[int]:
    changer = _changer(operator)
    for node in nodes:
        for (line, _), _ in changer.mutation_positions(node):
            yield line


def _changer(operator: str) -> Any:
    plugins: Any = importlib.import_module("cosmic_ray.plugins")
    return plugins.get_operator(f"core/{operator}")()


def mutated(source: str, mutant: Mutant) -> tuple[str, str]:
    """Return the changed source of a file, and the changed line before and after."""
    mutating: Any = importlib.import_module("cosmic_ray.mutating")
    changed = str(mutating.mutate_code(source, _changer(mutant.operator), mutant.occurrence))
    pairs = zip(source.splitlines(), changed.splitlines(), strict=False)
    before, after = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
    return changed, f"{before.strip()}  ->  {after.strip()}"


def noticed(tree: Path, tests: Sequence[str], seconds: float) -> bool | None:
    """Run tests of a tree in a forked process; return whether they turned red, or None where they did not end."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            output = os.open(tree.parent / _OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for stream in (1, 2):
                os.dup2(output, stream)
            os.chdir(tree)
            sys.path.insert(0, str(tree))
            os.environ |= {
                "PYTHONPATH": str(tree),
                "PYTEST_DEBUG_TEMPROOT": str(tree.parent),
                "TMPDIR": str(tree.parent),
            }
            program = importlib.import_module("zinc_mcp").__file__
            assert program is not None
            assert Path(program).is_relative_to(tree), "the copy is what the tests must load"
            pytest: Any = importlib.import_module("pytest")
            code = int(pytest.main(["-q", "-x", "-n0", "--assert=plain", "-p", "no:cacheprovider", *tests]))
        finally:
            os._exit(code)
    deadline = time.monotonic() + seconds
    ended = False
    try:
        while not ended and time.monotonic() < deadline:
            ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            time.sleep(0.02)
    finally:
        for kill in (os.killpg, os.kill):  # its tests' processes as well; it may not lead a group yet
            with suppress(ProcessLookupError):
                kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) != 0 if ended else None


_tree: Path
"""The copy of this worker."""


def _end(signum: int, frame: FrameType | None) -> None:
    sys.exit(1)  # an exception also ends the workers and their tests, and removes the copies


def _begin(folder: str) -> None:
    global _tree
    own = Path(folder) / str(os.getpid())
    own.mkdir()
    _tree = copied(own)


def _green_seconds(tests: str) -> tuple[str, float | None]:
    """Return how long these tests take without any change; None where they are not green."""
    began = time.monotonic()
    is_red = noticed(_tree, (tests,), _GREEN_SECONDS)
    seconds = time.monotonic() - began
    if is_red is False:
        print(f"{tests}: green in {seconds:.0f} s", flush=True)
        return tests, seconds
    output = (_tree.parent / _OUTPUT).read_text(encoding="utf-8", errors="replace")
    print(f"{tests}: not green without a change\n{output[-2000:]}", flush=True)
    return tests, None


def _tried(work: tuple[Mutant, float, float]) -> tuple[Mutant, Outcome, str]:
    """Try one mutant in this worker's copy; it has so many seconds, and none once the deadline is over."""
    mutant, seconds, deadline = work
    if time.monotonic() >= deadline:
        return mutant, "not tried", ""
    file = _tree / mutant.file
    original = file.read_text(encoding="utf-8")
    changed, what = mutated(original, mutant)
    file.write_text(changed, encoding="utf-8")
    try:
        is_red = noticed(_tree, ROOMS[mutant.room], seconds)
    finally:
        file.write_text(original, encoding="utf-8")
    return mutant, _OUTCOMES[is_red], what


def run(chosen: Sequence[Mutant], at_once: int, minutes: float) -> bool:
    """Try these mutants, so many at once, and print the survivors and the counts; return whether all is well."""
    deadline = time.monotonic() + 60 * minutes
    counts: Counter[tuple[str, Outcome]] = Counter()
    rooms = list(dict.fromkeys(each.room for each in chosen))
    forking = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-mutations-") as folder:
        with forking.Pool(at_once, _begin, (folder,)) as pool:
            green = dict(pool.imap_unordered(_green_seconds, {tests: None for room in rooms for tests in ROOMS[room]}))
            bounds: dict[str, float] = {}
            for room in rooms:
                times = [seconds for tests in ROOMS[room] if (seconds := green[tests]) is not None]
                if len(times) == len(ROOMS[room]):
                    bounds[room] = max(_LEAST_SECONDS, _TIMES * sum(times))
            work = [(each, bounds[each.room], deadline) for each in chosen if each.room in bounds]
            for mutant, outcome, what in pool.imap_unordered(_tried, work):
                counts[mutant.room, outcome] += 1
                if outcome == "survived":
                    print(f"survived: {mutant.file}:{mutant.line}  {mutant.operator}  {what}", flush=True)
    for room in dict.fromkeys(each.room for each, _, _ in work):
        print(f"{room}: {', '.join(f'{times} {outcome}' for (of, outcome), times in counts.items() if of == room)}")
    return None not in green.values() and not any(outcome == "survived" for _, outcome in counts)


def main() -> int:
    """Try the chosen rooms, or a sample of their mutants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help="such as journal; all of them if none")
    parser.add_argument("--sample", type=int, help="only so many mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=1, help="where the chance of the sample comes from (1)")
    parser.add_argument(
        "--at-once", type=int, default=os.cpu_count() or 1, help="mutants at a time (one for each core)"
    )
    parser.add_argument("--minutes", type=float, default=6000.0, help="stop after so long (6000)")
    parser.add_argument("--list", action="store_true", help="list the rooms, their tests and their mutants, and end")
    chosen = parser.parse_args()
    rooms: list[str] = chosen.rooms or list(ROOMS)
    if unknown := set(rooms) - set(ROOMS):
        parser.error(f"no such room: {', '.join(sorted(unknown))}; there are {', '.join(ROOMS)}")
    found = mutants(rooms)
    if chosen.list:
        counts = Counter(each.room for each in found)
        print("\n".join(f"{room:10} {counts[room]:5} mutants  {' '.join(ROOMS[room])}" for room in rooms))
        return 0
    if chosen.sample is not None:
        found = random.Random(chosen.seed).sample(found, min(chosen.sample, len(found)))
    for library in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(library)
    assert "zinc_mcp" not in sys.modules, "each process must load the program from its copy"
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGTERM, _end)
    return 0 if run(found, chosen.at_once, chosen.minutes) else 1


if __name__ == "__main__":
    sys.exit(main())
