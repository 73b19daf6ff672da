"""Learns once, for each file of tests, the lines of the rooms that each test runs, and the time of each test.

A folder holds the findings of coverage.py for each file of tests, with the test as their context, and the times. A test
that starts a process is marked, since the lines that the process runs are not known.
"""

import functools
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.mutations import COVERING, ROOMS, ROOT, forked

_STARTING = frozenset({"subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec"})
"""The events of an audit hook that mean that a process is started."""
_FORKER = "asked"
"""The name of the socket at which `tests/preloaded.py` is asked for a process."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A test as it runs without any change of the program."""

    seconds: float
    starts_processes: bool


class _Recorder:
    """Records for each test its time, its result, and the lines that it runs."""

    def __init__(self, coverage: Any, seconds: float) -> None:
        self._coverage = coverage
        self._deadline = time.monotonic() + seconds
        self._starts_processes = False
        self.seconds: dict[str, float] = {}
        self.starting: set[str] = set()
        self.failed: set[str] = set()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, given: tuple[Any, ...]) -> None:
        if event in _STARTING or (event == "socket.connect" and str(given[1]).endswith(_FORKER)):
            self._starts_processes = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._coverage.switch_context(item.nodeid)
        self._starts_processes = False
        try:
            return (yield)
        finally:
            if self._starts_processes:
                self.starting.add(item.nodeid)
            self._coverage.switch_context("")
            if time.monotonic() > self._deadline:
                item.session.shouldstop = "it has no time any more"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if not report.passed:
            self.failed.add(report.nodeid)


def _cover(file: str, found: Path, seconds: float) -> int:
    coverage = importlib.import_module("coverage").Coverage(
        data_file=str(found.with_suffix(".coverage")),
        include=[str(ROOT / "zinc_mcp" / room / "*") for room in ROOMS],
        config_file=False,
        messages=False,
    )
    coverage.set_option("run:relative_files", True)  # so that the findings hold for another clone
    coverage.start()
    recorder = _Recorder(coverage, seconds)
    code = forked.pytest_run([file], recorder)
    coverage.stop()
    coverage.save()
    tests = {
        test: [round(seconds, 4), test in recorder.starting]
        for test, seconds in recorder.seconds.items()
        if test not in recorder.failed
    }
    found.with_suffix(".part").write_text(json.dumps({"tests": tests, "failed": sorted(recorder.failed)}))
    os.replace(found.with_suffix(".part"), found)
    return code


def cover(folder: Path, seconds: float) -> None:
    """Run each file of tests once, for at most `seconds`, if its findings are not in the folder yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in _files():
        found = _found(folder, file)
        if found.exists():
            continue
        with tempfile.TemporaryDirectory(prefix="zinc-mcp-covering-") as scratch:
            began = time.monotonic()
            child = forked.start(functools.partial(_cover, file, found, seconds), Path(scratch))
            code = forked.await_end(child, functools.partial(_is_before, began + 2 * seconds))
            print(f"{file}: {code} after {time.monotonic() - began:.0f} s", flush=True)


def _is_before(until: float) -> bool:
    return time.monotonic() < until


def _files() -> Iterator[str]:
    for tests in COVERING:
        path = ROOT / tests
        for file in sorted(path.rglob("test_*.py")) if path.is_dir() else [path]:
            yield file.relative_to(ROOT).as_posix()


def _found(folder: Path, file: str) -> Path:
    return folder / (file.removesuffix(".py").replace("/", "+") + ".json")


class Covered:
    """The tests with their times, and the tests that run each line."""

    def __init__(self, folder: Path) -> None:
        """Read all findings now, because coverage.py erases data that a forked process reads later."""
        self.tests: dict[str, Timed] = {}
        self.failed: list[str] = []
        self._of_file: dict[str, dict[int, set[str]]] = {}
        self._when_loaded: dict[str, set[int]] = {}
        for found in filter(Path.exists, (_found(folder, file) for file in _files())):
            learnt = json.loads(found.read_text())
            self.failed += learnt["failed"]
            self.tests |= {name: Timed(*each) for name, each in learnt["tests"].items()}
            data = importlib.import_module("coverage").CoverageData(str(found.with_suffix(".coverage")))
            data.read()
            for file in data.measured_files():
                self._learn(file, data.contexts_by_lineno(file))
            data.close()

    def _learn(self, file: str, contexts_of: Mapping[int, Iterable[str]]) -> None:
        lines, when_loaded = self._of_file.setdefault(file, {}), self._when_loaded.setdefault(file, set())
        for line, contexts in contexts_of.items():
            lines.setdefault(line, set()).update(each for each in contexts if each in self.tests)
            if "" in contexts:
                when_loaded.add(line)

    def lines(self, file: str) -> Mapping[int, Set[str]]:
        """Return the tests of each line of a file."""
        return self._of_file.get(file, {})

    def tests_of(self, file: str, lines: Iterable[int]) -> set[str]:
        """Return the tests that run at least one of these lines of a file, in their own process."""
        of_file = self.lines(file)
        return {test for line in lines for test in of_file.get(line, ())}

    def is_loaded(self, file: str, lines: Iterable[int]) -> bool:
        """Say whether one of these lines runs when modules are loaded or tests are found."""
        return not self._when_loaded.get(file, set()).isdisjoint(lines)
