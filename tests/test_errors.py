"""The error tree is the one that is drawn, its codes are a closed list, and every sentence is whole."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from zinc_mcp import errors
from zinc_mcp.errors import (
    ErrorCode,
    OrderAlreadyExistsError,
    OrderOutcomeUnknownError,
    OrderRejectedError,
    Problem,
    RefusedError,
    ZincMcpError,
)

PACKAGE = Path(errors.__file__).parent
CODES = set(get_args(ErrorCode))


def _tree(kind: type[ZincMcpError] = ZincMcpError) -> Iterator[type[ZincMcpError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _tree(each)


CLASSES = [kind for kind in _tree() if kind.__module__ == errors.__name__]


def _drawn() -> dict[str, str | None]:
    """Return each class that is drawn with the one it hangs on."""
    parents: dict[str, str | None] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"^((?:[│├└─ ]{4})*)(\w+Error)\b", line):
            depth = len(found[1]) // 4
            above = [*above[:depth], found[2]]
            parents[found[2]] = above[depth - 1] if depth else None
    return parents


def test_the_tree_is_the_one_that_is_drawn() -> None:
    actual = {kind.__name__: kind.__base__.__name__ if kind.__base__ else None for kind in CLASSES}
    assert _drawn() == {**actual, "ZincMcpError": None}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_class_has_a_code_of_the_list_a_next_step_and_a_docstring(kind: type[ZincMcpError]) -> None:
    assert kind.default_code in CODES
    assert kind.default_next_step.endswith(".")
    assert (kind.__doc__ or "").strip().endswith(".")


def test_no_code_is_listed_twice() -> None:
    assert len(get_args(ErrorCode)) == len(CODES)


def test_only_an_unknown_outcome_may_have_moved_money() -> None:
    assert [kind for kind in CLASSES if kind.money_may_have_moved] == [OrderOutcomeUnknownError]


@cache
def raised() -> tuple[tuple[str, ast.Call], ...]:
    return tuple(_raised())


def _raised() -> Iterator[tuple[str, ast.Call]]:
    names = {kind.__name__ for kind in CLASSES}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def _endings(node: ast.expr) -> Iterator[str]:
    """Return how a sentence can end, where the code says it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr) and node.values:
        yield from _endings(node.values[-1])
    elif isinstance(node, ast.IfExp):
        yield from _endings(node.body)
        yield from _endings(node.orelse)


def test_every_sentence_that_is_written_down_ends_with_a_full_stop() -> None:
    unfinished = [
        f"{place}: {text}"
        for place, call in raised()
        for sentence in (*call.args[:2], *(each.value for each in call.keywords if each.arg == "next_step"))
        for text in _endings(sentence)
        if not text.endswith(".")
    ]
    assert unfinished == []


def test_every_code_that_is_given_is_in_the_list() -> None:
    given = {
        text for _, call in raised() for each in call.keywords if each.arg == "code" for text in _endings(each.value)
    }
    assert given
    assert given <= CODES


def test_an_error_has_a_sentence_and_a_next_step() -> None:
    error = RefusedError("No.", code="paused", facts={"left_cents": 5}, problems=[Problem("max_price", "is too much")])
    assert (str(error), error.summary, error.code) == ("No.", "No.", "paused")
    assert error.next_step == RefusedError.default_next_step
    assert (error.facts, error.problems) == ({"left_cents": 5}, (Problem("max_price", "is too much"),))


def test_the_facts_of_two_errors_are_two() -> None:
    shared = {"key": "k"}
    one, other = RefusedError("No.", facts=shared), RefusedError("No.", facts=shared)
    one.facts["order_id"] = "o"
    assert other.facts == shared == {"key": "k"}


def test_a_rejection_carries_zincs_code_and_status_as_facts() -> None:
    error = OrderRejectedError("No.", status=402, zinc_code="insufficient_funds", facts={"required_cents": 5})
    assert error.facts == {"zinc_code": "insufficient_funds", "http_status": 402, "required_cents": 5}
    assert (error.code, error.status, error.zinc_code) == ("order_rejected", 402, "insufficient_funds")


def test_an_order_that_exists_is_told_apart_from_one_that_was_rejected() -> None:
    error = OrderAlreadyExistsError("Had.", status=409, zinc_code="already_exists", identifiers=["a", "b"])
    assert (error.code, error.identifiers) == ("order_exists", ("a", "b"))
    assert isinstance(error, OrderRejectedError)
