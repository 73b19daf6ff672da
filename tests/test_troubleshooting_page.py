"""docs/troubleshooting.md has every error code, with the ending that a placing call gets by it."""

import re
from typing import get_args

import pytest
from started import ROOT

from zinc_mcp.errors import (
    ChangeRejectedError,
    ErrorCode,
    JournalError,
    OrderNotFoundError,
    OrderOutcomeUnknownError,
    OrderRejectedError,
    RefusedError,
    UnreadableAnswerError,
    ZincMcpError,
    ZincUnreachableError,
)
from zinc_mcp.server.mcp.results import failed
from zinc_mcp.views.sentences import Call

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")


def _rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its head."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?:\n## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


CODES = _rows("Codes")
ENDINGS = _rows("Endings")


def test_every_code_has_one_row_and_nothing_else_has() -> None:
    assert [row[0].strip("`") for row in CODES if not re.fullmatch(r"`[a-z_]+`", row[0])] == []
    assert sorted(row[0].strip("`") for row in CODES) == sorted(get_args(ErrorCode))


def test_every_ending_of_a_code_is_explained() -> None:
    assert {row[1] for row in CODES} - {"any"} == {row[0] for row in ENDINGS} - {"failed", "waiting"}


RAISED: dict[str, tuple[ZincMcpError, Call]] = {
    "zinc_unreachable": (ZincUnreachableError("."), "place"),
    "journal_unavailable": (JournalError("."), "place"),
    "order_rejected": (OrderRejectedError(".", status=422, zinc_code="other"), "place"),
    "change_rejected": (ChangeRejectedError("."), "change"),
    "outcome_unknown": (OrderOutcomeUnknownError("."), "place"),
    "order_not_found": (OrderNotFoundError("."), "look"),
    "zinc_unavailable": (UnreadableAnswerError("."), "look"),
}
"""The failures that are no refusals."""
TOLD_OTHERWISE = {"paid_no_order", "order_exists", "internal_error"}
"""The codes of results that are about an entry, or a crash: they are no errors of the tree."""


@pytest.mark.parametrize("code", sorted(set(get_args(ErrorCode)) - TOLD_OTHERWISE))
def test_a_call_that_fails_with_a_code_is_told_with_the_ending_of_its_row(code: ErrorCode) -> None:
    error, call = RAISED.get(code, (RefusedError(".", code=code), "place"))
    told = failed(error, call).structured_content
    assert told is not None and told["code"] == code
    assert [row[1] for row in CODES if row[0] == f"`{code}`"] == [told["outcome"].replace("_", " ")]


@pytest.mark.parametrize("row", CODES, ids=[row[0].strip("`") for row in CODES])
def test_a_row_says_what_it_means_and_what_to_do(row: list[str]) -> None:
    code, ending, meaning, step = row
    assert meaning
    assert step or ending == "declined", code
