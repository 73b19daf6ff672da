"""docs/troubleshooting.md has every error code, with the ending that a placing call gets by it."""

import re
from typing import get_args

import pytest
from started import ROOT

from zinc_mcp.errors import ErrorCode
from zinc_mcp.journal.entry import State

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
    explained = {row[0] for row in ENDINGS}
    assert {row[1] for row in CODES} - {"any"} <= explained
    assert explained - {"not sent", "not read"} <= set(get_args(State))


@pytest.mark.parametrize("row", CODES, ids=[row[0].strip("`") for row in CODES])
def test_a_row_says_what_it_means_and_what_to_do(row: list[str]) -> None:
    code, ending, meaning, step = row
    assert meaning
    assert step or ending == "declined", code
