"""The sabotages stand on the code as it is, and `bench.sabotage` says so when one does not, or when nobody notices."""

import re
from collections import Counter
from pathlib import Path

import pytest
from started import ROOT

from bench.sabotage import Result, applied, in_turn, table, tried
from bench.sabotages import BY_CAMPAIGN, BY_TESTS, SABOTAGES, ByTests, Sabotage

EVERY = pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda each: each.name)


def harmless(**changes: str) -> Sabotage:
    given = {
        "name": "harmless",
        "promise": "none",
        "file": "zinc_mcp/text.py",
        "text": '"""Printing',
        "replacement": '"""Writing',
        **changes,
    }
    return Sabotage(**given, by=ByTests(("tests/test_money.py",)))


@EVERY
def test_each_sabotage_finds_its_line_and_leaves_a_program_that_can_be_read(sabotage: Sabotage, tmp_path: Path) -> None:
    there = tmp_path / sabotage.file
    there.parent.mkdir(parents=True)
    there.write_text((ROOT / sabotage.file).read_text(encoding="utf-8"), encoding="utf-8")
    applied(sabotage, tmp_path)
    changed = there.read_text(encoding="utf-8")
    compile(changed, sabotage.file, "exec")
    before = (ROOT / sabotage.file).read_text(encoding="utf-8").splitlines()
    lines = Counter(before) - Counter(changed.splitlines())
    assert sum(lines.values()) <= 2, "one line, or one and what it stands in"


@EVERY
def test_each_named_test_exists(sabotage: Sabotage) -> None:
    if isinstance(sabotage.by, ByTests):
        for test in sabotage.by.tests:
            file, _, name = test.partition("::")
            source = (ROOT / file).read_text(encoding="utf-8")
            assert not name or re.search(rf"def {name}\(", source), test


def test_there_are_enough_and_each_has_its_turn() -> None:
    assert len(BY_CAMPAIGN) >= 12
    assert len({each.name for each in SABOTAGES}) == len(SABOTAGES)
    turns = [each.name for turn in range(max(len(BY_CAMPAIGN), len(BY_TESTS))) for each in in_turn(turn)]
    assert set(turns) == {each.name for each in SABOTAGES}


@pytest.mark.parametrize("text", ["a line that is not there", "\n"], ids=["gone", "more than once"])
def test_a_sabotage_whose_line_is_not_there_once_is_not_noticed_and_says_why(text: str) -> None:
    result = tried(harmless(text=text), None)
    assert not result.noticed
    assert "renew the sabotage" in result.by


def test_a_sabotage_that_nobody_notices_fails() -> None:
    file = "zinc_mcp/text.py"
    first = (ROOT / file).read_text(encoding="utf-8").splitlines()[0]
    result = tried(harmless(text=first + "\n", replacement=first + "\n\n"), None)
    assert (result.noticed, result.by) == (False, "green")


def test_the_table_says_who_noticed_and_who_did_not() -> None:
    [first, second, *_] = SABOTAGES
    results = [Result(first.name, True, "limit overruns", 7, 24, 30.0), Result(second.name, False, "green")]
    lines = table(results).splitlines()
    assert lines[2] == f"| {first.name} | {first.promise} | limit overruns | 7 | 24 intentions | 30 |"
    assert "**not noticed**: green" in lines[3]
