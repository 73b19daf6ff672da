"""Changes one operator, keyword or number of the rooms that move money, and runs the tests that must notice.

    pip install -e '.[test]' cosmic-ray coverage       # in a separate clone: its files are changed and put back
    nice python -m bench.mutations --list
    nice python -m bench.mutations --sample 300 --seed 7 --minutes 120
    nice python -m bench.mutations --sample 300 --seed 7 --resume
    nice python -m bench.mutations --sample 300 --seed 7 --again
    nice python -m bench.mutations --room journal --room spending

Run it by hand; CI does not run it. The changes are those of cosmic-ray's operators. A sample draws lines at random, and
one change of each. First each file of tests runs once under coverage.py, to learn the tests that run each line, and
their times. Then each change is made in this tree, and at most 100 of these tests run in forked processes: first those
that together run the most other lines of the room, then others that are drawn at random. For a line that no test runs
in its own process, these are tests that start processes. A change that no test notices has survived; `--again` tries it
with the tests that have not been run yet, up to a thousand of them.
Findings and results stay in a folder, so that a run can go on later. The exit status is 1 if a change survived.
"""

import argparse
import compileall
import dataclasses
import json
import os
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from bench.mutations import ROOMS, ROOT, forked
from bench.mutations.covering import Covered, cover
from bench.mutations.loaded import Loaded, with_loaded
from bench.mutations.mutants import Mutant, mutants, sample
from bench.mutations.trying import OUTCOMES, CannotRunError, Tried, Trier, put_back

_FILE_SECONDS = 300.0
"""The longest time for one file of tests while the lines that its tests run are learnt."""


def _end(signum: int, frame: FrameType | None) -> None:
    sys.exit(1)  # an exception puts the changed file back


def _read(results: Path) -> dict[str, Tried]:
    if not results.exists():
        return {}
    read = [Tried(**json.loads(line)) for line in results.read_text(encoding="utf-8").splitlines()]
    return {each.name: each for each in read}


class _Run:
    """Tries mutants that have no result yet, until the deadline."""

    def __init__(self, folder: Path, results: Path, deadline: float, *, again: bool) -> None:
        self._covered = Covered(folder / "covered")
        self._trier = Trier(self._covered, folder)
        self._results, self._deadline, self._again = results, deadline, again

    def try_all(self, chosen: Sequence[Mutant]) -> None:
        """Try mutants one after the other: first those within functions, in a process that has everything loaded."""
        tests = self._covered
        print(f"{len(tests.tests)} tests are known; {len(tests.failed)} failed or were skipped and are left out")
        in_memory = [each for each in chosen if self._trier.is_within_a_function(each)]
        files = sorted({name.partition("::")[0] for name in tests.tests})
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                with_loaded(files, lambda loaded: self._try(in_memory, loaded, parent))
            finally:
                sys.stdout.flush()
                os._exit(0)
        try:
            os.waitpid(child, 0)
        except BaseException:
            os.kill(child, signal.SIGTERM)  # it puts its file back
            os.waitpid(child, 0)
            raise
        in_memory_too = {each.name for each in in_memory}
        self._try([each for each in chosen if each.name not in in_memory_too], None)

    def check_green(self) -> None:
        """Print the noticing tests that also fail without any change, because their notice means nothing."""
        noticed = sorted({each.test for each in _read(self._results).values()} & self._covered.tests.keys())
        print(f"{len(noticed)} tests noticed something.", flush=True)
        for test in self._trier.not_green(noticed) if noticed else ():
            print(f"not green without a change: {test}")

    def _try(self, chosen: Sequence[Mutant], loaded: Loaded | None, parent: int | None = None) -> None:
        known = _read(self._results)
        for mutant in chosen:
            before = known.get(mutant.name)
            due = before is None if not self._again else before is not None and before.outcome == "survived"
            if not due or time.monotonic() >= self._deadline:
                continue
            if parent is not None and os.getppid() != parent:
                break  # the parent was killed, and another run may change the same files
            try:
                tried = self._trier.tried(mutant, loaded, again=self._again)
            except CannotRunError as error:
                print(f"not tried: {mutant.name}: {error}", flush=True)
                continue
            with self._results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(dataclasses.asdict(tried)) + "\n")
            print(f"{tried.outcome}: {tried.name}  {tried.what}  [{tried.test}]  {tried.seconds} s", flush=True)


def report(chosen: Sequence[Mutant], results: Path) -> bool:
    """Print the counts of each room and the survivors; return whether all were killed."""
    found = _read(results)
    of_sample = [found[each.name] for each in chosen if each.name in found]
    print("\n| room | tried | killed | timed out | survived | run by no test itself |\n|---|---|---|---|---|---|")
    for room in (*ROOMS, "all"):
        ours = [each for each in of_sample if room in (each.room, "all")]
        counts = Counter(each.outcome for each in ours)
        figures = [len(ours), *(counts[outcome] for outcome in OUTCOMES), sum(not each.covering for each in ours)]
        print(f"| {room} | {' | '.join(map(str, figures))} |")
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
    parser.add_argument("--room", action="append", choices=list(ROOMS), help="only this room; may be repeated")
    parser.add_argument("--sample", type=int, help="only this number of mutants, drawn at random")
    parser.add_argument("--seed", type=int, help="the seed of the sample; drawn and printed if none is given")
    parser.add_argument("--minutes", type=float, default=6000.0, help="stop trying after this time (6000)")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "artefacts" / "mutations", help="the folder of findings and results"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the results that are in the folder")
    parser.add_argument("--again", action="store_true", help="try the survivors in the folder with the other tests")
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
    if results.exists() and not (given.resume or given.again):
        parser.error(f"{results} has the results of an earlier run: go on with --resume, or name another --folder")
    print(f"{len(chosen)} mutants of {', '.join(rooms)}, seed {seed}", flush=True)
    signal.signal(signal.SIGTERM, _end)
    for part in ("zinc_mcp", "tests"):
        compileall.compile_dir(str(ROOT / part), quiet=2)
    forked.load_libraries()
    cover(folder / "covered", _FILE_SECONDS)
    run = _Run(folder, results, time.monotonic() + 60 * given.minutes, again=given.again)
    run.try_all(chosen)
    run.check_green()
    return 0 if report(chosen, results) else 1


if __name__ == "__main__":
    sys.exit(main())
