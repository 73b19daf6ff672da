"""Changes one operator, keyword or number of the rooms that move money, and runs the tests that must notice.

    pip install -e '.[test]' cosmic-ray coverage       # in a clone of its own: its files are changed, and put back
    nice python -m bench.mutations --list
    nice python -m bench.mutations --sample 300 --seed 7 --minutes 120
    nice python -m bench.mutations --sample 300 --seed 7 --resume
    nice python -m bench.mutations --room journal --room spending

By hand, not in CI. The changes are those of cosmic-ray's operators; a sample draws lines at random, and one change of
each. First each file of tests runs once under coverage.py, so that for each line the tests are known that run it, and
their times. Then each change is made in this tree, and at most 120 of these tests run in one forked process: first the
fastest of each function of the tests, half of them from the room's own folder, then others drawn at random. For a line
that no test runs in its own process, these are tests that start processes. A change that no test notices has survived.
Findings and results stay in a folder, so that a run can go on later. The exit status is 1 when a change survived.
"""

import argparse
import compileall
import dataclasses
import json
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from bench.mutations import ROOMS, ROOT, forked
from bench.mutations.choosing import Chooser
from bench.mutations.covering import Covered, cover
from bench.mutations.mutants import Mutant, mutants, sample
from bench.mutations.trying import CannotRunError, Tried, put_back, tried

_FILE_SECONDS = 300.0
"""The longest time for one file of tests while it is learnt what its tests run."""


def _end(signum: int, frame: FrameType | None) -> None:
    sys.exit(1)  # an exception puts the changed file back


def _read(results: Path) -> dict[str, Tried]:
    if not results.exists():
        return {}
    read = [Tried(**json.loads(line)) for line in results.read_text(encoding="utf-8").splitlines()]
    return {each.name: each for each in read}


def run(chosen: Sequence[Mutant], folder: Path, results: Path, deadline: float) -> None:
    """Try the mutants that have no result yet, one after the other, until the deadline."""
    covered = Covered(folder / "covered")
    chooser = Chooser(covered)
    print(f"{len(covered.tests)} tests are known; {len(covered.failed)} failed or were skipped and are left out")
    known = _read(results)
    for mutant in chosen:
        if time.monotonic() >= deadline:
            break
        if mutant.name in known:
            continue
        try:
            result = tried(mutant, chooser, covered.tests, folder)
        except CannotRunError as error:
            print(f"not tried: {mutant.name}: {error}", flush=True)
            continue
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(result)) + "\n")
        print(f"{result.outcome}: {result.name}  {result.what}  [{result.by[:120]}]  {result.seconds} s", flush=True)


def report(chosen: Sequence[Mutant], results: Path) -> bool:
    """Print the counts of each room and the survivors; return whether all were killed."""
    found = _read(results)
    of_sample = [found[each.name] for each in chosen if each.name in found]
    print(
        "\n| room | tried | killed | timed out | survived | run by no test in its own process |\n|---|---|---|---|---|---|"
    )
    for room in (*ROOMS, "all"):
        ours = [each for each in of_sample if room in (each.room, "all")]
        counts = Counter(each.outcome for each in ours)
        unseen = sum(not each.covering for each in ours)
        print(
            f"| {room} | {len(ours)} | {counts['killed']} | {counts['timed out']} | {counts['survived']} | {unseen} |"
        )
    print(f"\nNot tried: {len(chosen) - len(of_sample)}")
    survivors = [each for each in of_sample if each.outcome == "survived"]
    for each in sorted(survivors, key=lambda each: each.name):
        print(f"survived: {each.name}  {each.what}  ({each.tests} of {each.covering} tests)")
    return not survivors


def main() -> int:
    """Try the chosen rooms, or a sample of their mutants."""
    parser = argparse.ArgumentParser(
        prog="bench.mutations", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--room", action="append", choices=list(ROOMS), help="all of them if none")
    parser.add_argument("--sample", type=int, help="only so many mutants, drawn at random")
    parser.add_argument("--seed", type=int, help="where the chance of the sample comes from; drawn and printed if none")
    parser.add_argument("--minutes", type=float, default=6000.0, help="stop trying after so long (6000)")
    parser.add_argument("--folder", type=Path, default=ROOT / "artefacts" / "mutations", help="of findings and results")
    parser.add_argument("--resume", action="store_true", help="go on with the results that are in the folder")
    parser.add_argument("--list", action="store_true", help="count the mutants of each room, and end")
    parser.add_argument("--report", action="store_true", help="print the results that are in the folder, and end")
    given = parser.parse_args()
    rooms: list[str] = given.room or list(ROOMS)
    found = mutants(rooms)
    if given.list:
        counts = Counter(each.room for each in found)
        lines = Counter(room for room, _, _ in {(each.room, each.file, each.line) for each in found})
        print("\n".join(f"{room:10} {counts[room]:5} mutants on {lines[room]} lines" for room in rooms))
        return 0
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    put_back(folder)
    seed: int = secrets.randbelow(10**6) if given.seed is None else given.seed
    chosen = found if given.sample is None else sample(found, given.sample, seed)
    results = folder / "results.jsonl"
    if given.report:
        return 0 if report(chosen, results) else 1
    if results.exists() and not given.resume:
        parser.error(f"{results} has the results of an earlier run: go on with --resume, or name another --folder")
    print(f"{len(chosen)} mutants of {', '.join(rooms)}, seed {seed}", flush=True)
    signal.signal(signal.SIGTERM, _end)
    for part in ("zinc_mcp", "tests"):
        compileall.compile_dir(str(ROOT / part), quiet=2)
    forked.load_libraries()
    cover(folder / "covered", _FILE_SECONDS)
    run(chosen, folder, results, time.monotonic() + 60 * given.minutes)
    return 0 if report(chosen, results) else 1


if __name__ == "__main__":
    sys.exit(main())
