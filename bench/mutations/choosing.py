"""Chooses the tests for a mutant: those that run its line, first those that together run the most other lines."""

import ast
import heapq
import random
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from bench.mutations import ROOMS, ROOT
from bench.mutations.covering import Covered
from bench.mutations.mutants import Mutant

_AROUND_SECONDS, _SHARED_SECONDS = 0.1, 8.0
"""The time that a test takes beyond its own, usually, and if it starts a server or a program."""

Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module


class Chooser:
    """Chooses by the learnt lines and times of tests."""

    def __init__(self, covered: Covered) -> None:
        self._covered = covered
        self._reaches: dict[str, Mapping[str, int]] = {}

    def by_line(self, mutant: Mutant) -> set[str]:
        """Return all tests that run the line of a mutant in their own process.

        For a line that runs when its module is loaded, these are the tests that run a line with a name that it gives.
        """
        scope, lines = _around(mutant.file, mutant.line)
        if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return self._covered.tests_of(mutant.file, lines)
        names = _names_given(mutant.file, mutant.line)
        found: set[str] = set()
        for file in _files() if names else ():
            found |= self._covered.tests_of(file, _lines_with(file, names))
        return found or self._covered.tests_of(mutant.file, range(1, 10_000))

    def is_within_a_function(self, mutant: Mutant) -> bool:
        """Say whether a mutant is within a function whose statement does not run while modules and tests are loaded."""
        scope, lines = _around(mutant.file, mutant.line)
        is_function = isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef))
        return is_function and _first(scope.body[0]) <= mutant.line and not self._covered.is_loaded(mutant.file, lines)

    def starting(self) -> set[str]:
        """Return the tests that start processes, since the lines that those processes run are not known."""
        return {name for name, test in self._covered.tests.items() if test.starts_processes}

    def first(self, mutant: Mutant, tests: Iterable[str], most: int, seconds: float) -> list[str]:
        """Return at most `most` tests for at most `seconds`: those that together run the most other lines of the room
        for their time. When all lines are run, this begins again with the remaining tests.
        """
        reach = self._reach(mutant.room)
        chosen: list[str] = []
        left = {name: reach.get(name, 0) for name in sorted(tests)}
        while left and len(chosen) < most:
            of_round = self._most_lines(left, most - len(chosen), seconds - self._seconds(chosen))
            if not of_round:
                break
            chosen += of_round
            for name in of_round:
                del left[name]
        return chosen

    def _most_lines(self, reach: Mapping[str, int], most: int, seconds: float) -> list[str]:
        """Choose tests until no other test runs a further line, within the number and the time."""
        chosen: list[str] = []
        seen = 0
        times = {name: self._takes(name) for name in reach}
        by_gain = [(-lines.bit_count() / times[name], name) for name, lines in reach.items()]
        heapq.heapify(by_gain)
        while by_gain and len(chosen) < most:
            _, name = heapq.heappop(by_gain)
            gain = -(reach[name] & ~seen).bit_count() / times[name]
            if not gain or times[name] > seconds:
                continue
            if by_gain and gain > by_gain[0][0]:  # tests chosen meanwhile run some of its lines too
                heapq.heappush(by_gain, (gain, name))
                continue
            chosen.append(name)
            seen |= reach[name]
            seconds -= times[name]
        return chosen

    def _reach(self, room: str) -> Mapping[str, int]:
        """Return the lines of a room that each test runs, each line as a bit."""
        if room not in self._reaches:
            found: dict[str, int] = {}
            bit = 1
            for file in _files():
                if file.startswith(f"zinc_mcp/{room}/"):
                    for tests in self._covered.lines(file).values():
                        for name in tests:
                            found[name] = found.get(name, 0) | bit
                        bit <<= 1
            self._reaches[room] = found
        return self._reaches[room]

    def others(self, tests: Iterable[str], run: Iterable[str], seed: str, most: int, seconds: float) -> list[str]:
        """Return at most `most` other tests for at most `seconds`, at random, first those of further test functions."""
        already = set(run)
        functions = {name.partition("[")[0] for name in already}
        drawn = sorted(set(tests) - already)
        random.Random(seed).shuffle(drawn)
        drawn.sort(key=lambda name: name.partition("[")[0] in functions)
        return self._bounded(drawn, most, seconds)

    def _seconds(self, tests: Iterable[str]) -> float:
        """Return the seconds that these tests take without any change."""
        return sum(map(self._takes, tests))

    def _takes(self, name: str) -> float:
        test = self._covered.tests[name]
        has_shared = test.starts_processes or "postgres" in name
        return test.seconds + (_SHARED_SECONDS if has_shared else _AROUND_SECONDS)

    def _bounded(self, tests: Sequence[str], most: int, seconds: float) -> list[str]:
        chosen: list[str] = []
        left = seconds
        for name in tests:
            takes = self._takes(name)
            if len(chosen) < most and takes <= left:
                chosen.append(name)
                left -= takes
        return chosen


def by_file(tests: Sequence[str]) -> list[str]:
    """Return the tests with those of one file together, because they share fixtures that are slow to make."""
    place: dict[str, int] = {}
    for name in tests:
        place.setdefault(name.partition("::")[0], len(place))
    return sorted(tests, key=lambda each: place[each.partition("::")[0]])


def _files() -> list[str]:
    found = [file for room in ROOMS for file in sorted((ROOT / "zinc_mcp" / room).rglob("*.py"))]
    return [file.relative_to(ROOT).as_posix() for file in found]


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse(Path(ROOT / file).read_text(encoding="utf-8"))


def _around(file: str, line: int) -> tuple[Scope, list[int]]:
    """Return the function or class around a line, and the lines of the statement that the line is part of."""
    scope: Scope = _tree(file)
    lines = [line]
    body: Sequence[ast.AST] = scope.body
    while inner := next((each for each in body if _first(each) <= line <= _last(each)), None):
        parts = [part for part in ast.iter_child_nodes(inner) if isinstance(part, _PARTS)]
        head = range(_first(inner), min((_first(part) for part in parts), default=_last(inner) + 1))
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            scope = inner
            if line < _first(inner.body[0]):  # defaults and decorators count as its whole body
                return scope, list(range(_first(inner.body[0]), _last(inner) + 1))
        elif line in head:
            return scope, list(head)
        lines, body = [line], parts
    return scope, lines


_PARTS = (ast.stmt, ast.excepthandler, ast.match_case)


def _first(node: ast.AST) -> int:
    if isinstance(node, ast.match_case):
        return node.pattern.lineno
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([getattr(node, "lineno", 0), *(each.lineno for each in decorators)])


def _last(node: ast.AST) -> int:
    return _last(node.body[-1]) if isinstance(node, ast.match_case) else getattr(node, "end_lineno", 0)


def _names_given(file: str, line: int) -> frozenset[str]:
    """Return the names that assignments around a line give."""
    given: set[str] = set()
    for node in ast.walk(_tree(file)):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and _first(node) <= line <= _last(node):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            given |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return frozenset(given)


@cache
def _lines_with(file: str, names: frozenset[str]) -> list[int]:
    """Return the lines of a file that use one of these names, alone or as an attribute."""
    return [
        node.lineno
        for node in ast.walk(_tree(file))
        if (isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load))
        or (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.keyword) and node.arg in names)
    ]
