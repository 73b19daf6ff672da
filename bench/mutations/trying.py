"""Tries one mutant: changes the line in this tree, runs the chosen tests, and puts the line back."""

import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from bench.mutations import ROOT, forked
from bench.mutations.choosing import Chooser, by_file
from bench.mutations.covering import Covered, Timed
from bench.mutations.loaded import Loaded
from bench.mutations.mutants import Mutant, mutated

Outcome = Literal["killed", "timed out", "survived"]
OUTCOMES: tuple[Outcome, ...] = ("killed", "timed out", "survived")

FIRST_TESTS, FIRST_SECONDS = 60, 20.0
"""The bounds of the tests that are chosen by their lines."""
_AT_ONCE = 12
"""The number of these tests that run before the rest of them."""
OTHER_TESTS, OTHER_SECONDS = 40, 10.0
"""The bounds of the tests that are drawn at random if the first ones notice nothing."""
AGAIN_TESTS, AGAIN_SECONDS = 1000, 300.0
"""The bounds of the tests that run when a survivor is tried again."""
_LOAD_SECONDS = 180.0
"""The longest time until the first test begins."""
_LEAST_SECONDS, _TIMES = 40.0, 10.0
"""A test counts as hanging after this least time, and after this multiple of its time without the change."""
_LOADS_NO_MORE = "does not load"

_changes = itertools.count(1)


class CannotRunError(Exception):
    """The tests could not be run, which tells nothing about the mutant."""


@dataclass(frozen=True, slots=True)
class Tried:
    """The result of one mutant."""

    name: str
    room: str
    outcome: Outcome
    what: str
    """The line before and after the change."""
    test: str
    """The test that noticed."""
    why: str
    tests: int
    """The number of tests that were chosen for it."""
    covering: int
    """The number of tests that run its line in their own process."""
    seconds: float


class _Watched:
    """A plugin of pytest that writes down the running test and each failed test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        (self._folder / "running.part").write_text(nodeid, encoding="utf-8")
        os.replace(self._folder / "running.part", self._folder / "running")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            self._fail(report.nodeid, str(crash.message if crash else report.longreprtext))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._fail(_LOADS_NO_MORE, report.longreprtext)

    def _fail(self, test: str, text: str) -> None:
        first = text.strip().splitlines()[:1] or [""]
        with (self._folder / "failed").open("a", encoding="utf-8") as file:
            file.write(json.dumps([test, first[0][:200]]) + "\n")


Run = Callable[[Sequence[str], object], int]
"""Runs tests in this process with a plugin of pytest, and returns the exit code."""


def run_anew(tests: Sequence[str], plugin: object) -> int:
    """Load the program from its files, and run tests until one fails."""
    return forked.pytest_run(["-x", *tests], plugin)


class _Patience:
    """Says whether tests may go on: each may take a multiple of its time without a change."""

    def __init__(self, folder: Path, times: Mapping[str, Timed]) -> None:
        self._folder, self._times = folder, times
        self.running, self._until = "", time.monotonic() + _LOAD_SECONDS

    def __call__(self) -> bool:
        try:
            running = (self._folder / "running").read_text(encoding="utf-8")
        except FileNotFoundError:
            running = ""
        if running != self.running:
            seconds = self._times[running].seconds if running in self._times else 0.0
            self.running, self._until = running, time.monotonic() + max(_LEAST_SECONDS, _TIMES * seconds)
        return time.monotonic() < self._until


def noticed(run: Run, tests: Sequence[str], times: Mapping[str, Timed]) -> tuple[Outcome, str, str]:
    """Run tests in a forked process; return the outcome, the noticing test and its reason.

    Raises:
        CannotRunError: the tests could not be run.
    """
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-mutations-") as name:
        folder = Path(name)
        patience = _Patience(folder, times)
        code = forked.await_end(forked.start(lambda: run(tests, _Watched(folder)), folder), patience)
        output = (folder / "output.txt").read_text(encoding="utf-8", errors="replace")
        failed = folder / "failed"
        if failed.exists():
            test, why = json.loads(failed.read_text(encoding="utf-8").splitlines()[0])
            return "killed", test, why
    if code is None:
        return "timed out", patience.running, "hangs"
    if code == 0:
        return "survived", "", ""
    if "while loading conftest" in output:
        return "killed", _LOADS_NO_MORE, ""
    if not patience.running or code == 5:
        raise CannotRunError(f"pytest ended with {code}: {output[-1500:]}")
    return "killed", patience.running, f"its process ended with {code}"


@contextmanager
def _changed(mutant: Mutant, folder: Path) -> Generator[tuple[str, str]]:
    """Change a file of this tree while inside; give its changed text, and the line before and after.

    After a kill, `put_back` restores the file.
    """
    file = ROOT / mutant.file
    original, before = file.read_text(encoding="utf-8"), file.stat()
    text, what = mutated(original, mutant)
    kept = folder / "changed.json"
    kept.with_suffix(".part").write_text(json.dumps([mutant.file, original]), encoding="utf-8")
    os.replace(kept.with_suffix(".part"), kept)
    try:
        file.write_text(text, encoding="utf-8")
        later = before.st_mtime + 10 * next(
            _changes
        )  # each change needs a time of its own, or the bytecode of another one is loaded
        os.utime(file, (later, later))
        yield text, what
    finally:
        file.write_text(original, encoding="utf-8")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        kept.unlink()


def put_back(folder: Path) -> None:
    """Put back the file that a killed run had changed."""
    kept = folder / "changed.json"
    if kept.exists():
        file, original = json.loads(kept.read_text(encoding="utf-8"))
        (ROOT / file).write_text(original, encoding="utf-8")
        kept.unlink()


class Trier:
    """Tries mutants with the tests that the learnt lines name."""

    def __init__(self, covered: Covered, folder: Path) -> None:
        self._covered, self._folder = covered, folder
        self._chooser = Chooser(covered)

    def is_within_a_function(self, mutant: Mutant) -> bool:
        """See `Chooser.is_within_a_function`."""
        return self._chooser.is_within_a_function(mutant)

    def tried(self, mutant: Mutant, loaded: Loaded | None, *, again: bool = False) -> Tried:
        """Try one mutant, in memory if the tests are loaded, else by loading the changed file.

        Args:
            mutant: the change.
            loaded: runs the tests in memory, if they are loaded.
            again: run the tests that have not been run when it survived.

        Raises:
            CannotRunError: the tests could not be run.
        """
        began = time.monotonic()
        covering = self._chooser.by_line(mutant)
        all_of_them = covering or self._chooser.starting()
        first = self._chooser.first(mutant, all_of_them, FIRST_TESTS, FIRST_SECONDS)
        others = self._chooser.others(covering, first, mutant.name, OTHER_TESTS, OTHER_SECONDS)
        steps = [first[:_AT_ONCE], first[_AT_ONCE:], others]
        run_before = [] if not again else [*first, *others]
        if again:
            steps = [self._chooser.others(all_of_them, run_before, mutant.name, AGAIN_TESTS, AGAIN_SECONDS)]
        outcome: Outcome = "survived"
        test = why = ""
        number = len(run_before)
        with _changed(mutant, self._folder) as (text, what):

            def run(tests: Sequence[str], plugin: object) -> int:
                if loaded is None:
                    return run_anew(tests, plugin)
                if not loaded.change(mutant.file, text):
                    return forked.COULD_NOT_START
                return loaded.run(tests, plugin)

            for tests in map(by_file, steps):
                if tests and outcome == "survived":
                    outcome, test, why = self._noticed_twice(run, tests)
                    number += len(tests)
        seconds = round(time.monotonic() - began, 1)
        return Tried(mutant.name, mutant.room, outcome, what, test, why, number, len(covering), seconds)

    def not_green(self, tests: Sequence[str]) -> list[str]:
        """Return those of these tests that fail without any change."""
        with tempfile.TemporaryDirectory(prefix="zinc-mcp-mutations-") as name:
            folder = Path(name)
            child = forked.start(lambda: forked.pytest_run(tests, _Watched(folder)), folder)
            code = forked.await_end(child, _Patience(folder, self._covered.tests))
            failed = folder / "failed"
            found = failed.read_text(encoding="utf-8").splitlines() if failed.exists() else []
        return [json.loads(line)[0] for line in found] if code in (0, 1) else list(tests)

    def _noticed_twice(self, run: Run, tests: Sequence[str]) -> tuple[Outcome, str, str]:
        """Run tests. A failed test has noticed only if it fails again alone; otherwise the tests after it go on."""
        left = list(tests)
        while left:
            outcome, test, why = noticed(run, left, self._covered.tests)
            if outcome != "killed" or test not in left:
                return outcome, test, why
            if noticed(run, [test], self._covered.tests)[0] != "survived":
                return outcome, test, why
            left = left[left.index(test) + 1 :]
        return "survived", "", ""
