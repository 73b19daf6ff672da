"""Variants of a test of which a few run always, and the rest only with `pytest -m thorough` (or `-m ""`)."""

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
