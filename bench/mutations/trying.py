"""Tries one mutant: changes the line in this tree, runs the chosen tests, and puts the line back."""

import functools
import itertools
import json
import os
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from bench.mutations import ROOT, forked
from bench.mutations.choosing import Chooser
from bench.mutations.covering import Timed
from bench.mutations.mutants import Mutant, mutated

Outcome = Literal["killed", "timed out", "survived"]

FIRST_TESTS, FIRST_SECONDS = 60, 45.0
"""The bounds of the tests that are run first."""
OTHER_TESTS, OTHER_SECONDS = 60, 60.0
"""The bounds of those that are drawn at random if the first notice nothing."""
_LOAD_SECONDS = 180.0
"""The longest time until the first test begins."""
_LEAST_SECONDS, _TIMES = 40.0, 10.0
"""A test hangs if it takes so many times as long as without the change, and at least so many seconds."""
_LOADS_NO_MORE = "does not load"

_changes = itertools.count(1)


class CannotRunError(Exception):
    """The tests could not be run; this says nothing about the mutant."""


@dataclass(frozen=True, slots=True)
class Tried:
    """The result of one mutant."""

    name: str
    room: str
    outcome: Outcome
    what: str
    """The line before and after."""
    by: str
    """The test that noticed, and why."""
    tests: int
    """The number of tests that were chosen for it."""
    covering: int
    """The number of tests that run its line in their own process."""
    seconds: float


class _Watched:
    """Writes down, in the process of the tests, which test runs and which one failed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        (self._folder / "running.part").write_text(nodeid, encoding="utf-8")
        os.replace(self._folder / "running.part", self._folder / "running")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._fail(report.nodeid, report.longreprtext)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._fail(_LOADS_NO_MORE, report.longreprtext)

    def _fail(self, test: str, text: str) -> None:
        last = text.strip().splitlines()[-1:] or [""]
        with (self._folder / "failed").open("a", encoding="utf-8") as file:
            file.write(json.dumps([test, last[0][:200]]) + "\n")


def _run(tests: Sequence[str], folder: Path) -> int:
    return forked.pytest_run(["-x", *tests], _Watched(folder))


class _Patience:
    """Says how long tests may still take: each of them about as long as it takes without a change."""

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


def noticed(tests: Sequence[str], times: Mapping[str, Timed]) -> tuple[Outcome, str]:
    """Run tests on the tree as it is now; return whether one noticed, and which.

    Raises:
        CannotRunError: the tests could not be run.
    """
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-mutations-") as name:
        folder = Path(name)
        patience = _Patience(folder, times)
        code = forked.await_end(forked.start(functools.partial(_run, tests, folder), folder), patience)
        output = (folder / "output.txt").read_text(encoding="utf-8", errors="replace")
        failed = folder / "failed"
        if failed.exists():
            test, why = json.loads(failed.read_text(encoding="utf-8").splitlines()[0])
            return "killed", f"{test}: {why}"
    if code is None:
        return "timed out", patience.running
    if code == 0:
        return "survived", ""
    if "while loading conftest" in output:
        return "killed", _LOADS_NO_MORE
    if not patience.running or code == 5:
        raise CannotRunError(f"pytest ended with {code}: {output[-1500:]}")
    return "killed", f"{patience.running}: the process of the tests ended with {code}"


@contextmanager
def _changed(mutant: Mutant, folder: Path) -> Generator[str]:
    """Change a file of this tree; give the line before and after. `put_back` ends what was killed meanwhile."""
    file = ROOT / mutant.file
    original, before = file.read_text(encoding="utf-8"), file.stat()
    text, what = mutated(original, mutant)
    kept = folder / "changed.json"
    kept.with_suffix(".part").write_text(json.dumps([mutant.file, original]), encoding="utf-8")
    os.replace(kept.with_suffix(".part"), kept)
    try:
        file.write_text(text, encoding="utf-8")
        later = before.st_mtime + 10 * next(_changes)  # another time for each, or the bytecode of another one is loaded
        os.utime(file, (later, later))
        yield what
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


def tried(mutant: Mutant, chooser: Chooser, times: Mapping[str, Timed], folder: Path) -> Tried:
    """Try one mutant."""
    began = time.monotonic()
    covering = chooser.by_line(mutant)
    first = chooser.first(mutant, covering or chooser.starting(), FIRST_TESTS, FIRST_SECONDS)
    others = chooser.others(covering.difference(first), mutant.name, OTHER_TESTS, OTHER_SECONDS)
    outcome: Outcome = "survived"
    by, number = "", 0
    with _changed(mutant, folder) as what:
        for tests in (first, others):
            if tests and outcome == "survived":
                number += len(tests)
                outcome, by = noticed(tests, times)
    seconds = round(time.monotonic() - began, 1)
    return Tried(mutant.name, mutant.room, outcome, what, by, number, len(covering), seconds)
