"""Variants of a test of which a few run always, and the rest only with `pytest -m thorough` (or `-m ""`)."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest
from _pytest.mark import ParameterSet

T = TypeVar("T")


def usual(every: Iterable[T], is_usual: Callable[[T], bool]) -> list[T | ParameterSet]:
    """Return parameters for `parametrize`, of which those that are not usual are marked as thorough.

    The usual ones have to prove by themselves what the test says.
    """
    return [each if is_usual(each) else rare(each) for each in every]


def rare(*values: object) -> ParameterSet:
    """Return one parameter that is marked as thorough."""
    return pytest.param(*values, marks=pytest.mark.thorough)


def mark_rare(items: Iterable[pytest.Item]) -> None:
    """Of each test that is marked as `sampled(number)`, leave so many variants usual, and mark the others as thorough.

    The usual ones are spread evenly from the first to the last. There are at least two.
    """
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    numbers: dict[str, int] = {}
    for item in items:
        sampled = item.get_closest_marker("sampled")
        if sampled and not item.get_closest_marker("thorough"):
            test = item.nodeid.partition("[")[0]
            tests[test].append(item)
            [numbers[test]] = sampled.args
    for test, variants in tests.items():
        last, steps = len(variants) - 1, numbers[test] - 1
        kept = {round(step * last / steps) for step in range(steps + 1)}
        for place, item in enumerate(variants):
            if place not in kept:
                item.add_marker(pytest.mark.thorough)
