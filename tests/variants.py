"""Variants and examples of a test of which a few run always, and all only in a thorough run (`pytest -m thorough`)."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest
from _pytest.mark import ParameterSet
from hypothesis import HealthCheck, settings

T = TypeVar("T")
THOROUGH = "TESTS_ARE_THOROUGH"
"""The variable that tells all processes of a run that it is thorough."""
LEAST_EXAMPLES = 10


def is_thorough() -> bool:
    """Say whether this run takes all examples."""
    return THOROUGH in os.environ


def examples(number: int, **named: Any) -> settings:
    """Return settings of Hypothesis: so many examples in a thorough run, and a quarter of them in a usual one."""
    return settings(max_examples=number if is_thorough() else max(number // 4, LEAST_EXAMPLES), **named)


def use_examples() -> None:
    """Take as many examples as this run is for, where a test does not say how many.

    The time of an example depends more on the machine's other work than on our code, so that none is too slow.
    """
    for_all = examples(100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("patient", for_all)
    settings.load_profile("patient")


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
