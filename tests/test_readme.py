"""The limits and error codes that the README names are those of the code."""

import re
from pathlib import Path
from typing import get_args

from zinc_mcp.errors import ErrorCode
from zinc_mcp.owner.policy import Policy

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_limits_it_promises_are_the_defaults() -> None:
    assert "$250 an order and $500 in 24 hours" in README
    assert (Policy().max_order, Policy().max_day) == (25_000, 50_000)


def test_every_error_code_it_names_exists() -> None:
    (table,) = re.findall(r"## When something goes wrong\n(.*?)\n## ", README, re.DOTALL)
    named = {
        code
        for row in table.splitlines()
        if row.startswith("| ")
        for code in re.findall(r"`([a-z]+_[a-z_]+|paused)`", row)
    }
    assert named - {"get_order"} <= set(get_args(ErrorCode))
