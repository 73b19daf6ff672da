"""The sabotages fit the code, and `bench.sabotage` reports one that does not fit or that no test notices."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from started import ROOT

from bench.campaign.judge.verdict import (
    BROKEN,
    BROKEN_AFTER_SALE,
    BROKEN_BY_V1,
    BROKEN_BY_WALLET,
    NOT_BOUGHT,
    OVER_LIMIT,
)
from bench.campaign.plan.after_sale import kinds_in
from bench.mutations import COVERING, ROOMS
from bench.sabotage import Result, applied, in_turn, noticed_by_tests, table, tried
from bench.sabotages import BY_CAMPAIGN, BY_TESTS, SABOTAGES, ByCampaign, ByTests, Sabotage

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
    assert sum(lines.values()) <= 2, "one line, or one and the line around it"


@EVERY
def test_each_named_test_exists(sabotage: Sabotage) -> None:
    if isinstance(sabotage.by, ByTests):
        for test in sabotage.by.tests:
            file, _, name = test.partition("::")
            source = (ROOT / file).read_text(encoding="utf-8")
            assert not name or re.search(rf"def {name}\(", source), test


@pytest.mark.parametrize("sabotage", BY_CAMPAIGN, ids=lambda each: each.name)
def test_each_campaign_s_sabotage_names_rows_that_there_are(sabotage: Sabotage) -> None:
    assert isinstance(sabotage.by, ByCampaign)
    assert sabotage.by.rows
    of_rail = {"agent": BROKEN_BY_WALLET, "v1": (*BROKEN_BY_WALLET, *BROKEN_BY_V1, NOT_BOUGHT)}
    there_are = {*BROKEN, *of_rail.get(sabotage.by.rail, ())}
    if kinds_in(",".join(sabotage.by.kinds)):
        there_are = set(BROKEN_AFTER_SALE)
    assert set(sabotage.by.rows) <= there_are


SUITE = """
import pytest

def test_good():
    pass

def test_bad():
    assert 1 == 2

def test_raising():
    raise RuntimeError("of the program under test")

def test_importing():
    import no_such_module_there_is

@pytest.mark.skip(reason="no extra")
def test_skipped():
    pass

@pytest.fixture
def broken():
    raise AssertionError("in a fixture")

def test_with_a_broken_fixture(broken):
    pass
"""


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("names", "noticed", "said"),
    [
        (["good"], False, "green"),
        (["good", "bad"], True, "test_bad"),
        (["raising"], True, "test_raising"),
        (["skipped"], False, "could not be tried: SKIPPED"),
        (["skipped", "bad"], False, "could not be tried: SKIPPED"),
        (["with_a_broken_fixture"], False, "could not be tried: ERROR"),
        (["importing"], False, "could not be tried"),
    ],
)
def test_only_a_test_that_ran_and_failed_has_noticed_a_sabotage(
    tmp_path: Path, names: list[str], noticed: bool, said: str
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "test_suite.py").write_text(SUITE, encoding="utf-8")
    chosen = [f"test_suite.py::test_{name}" for name in names]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rsfE", "-x", "-p", "no:cacheprovider", *chosen],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # they take most of the time
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    found, by = noticed_by_tests(ended.returncode, ended.stdout)
    assert (found, by.startswith(said)) == (noticed, True), by


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_of_the_mutation_run_and_its_tests_exist(room: str) -> None:
    assert (ROOT / "zinc_mcp" / room).is_dir()
    assert all((ROOT / tests).exists() for tests in COVERING)


def test_there_are_enough_and_each_has_its_turn() -> None:
    assert len(BY_CAMPAIGN) >= 12
    assert len({each.name for each in SABOTAGES}) == len(SABOTAGES)
    turns = [each.name for turn in range(len(BY_TESTS)) for each in in_turn(turn)]
    assert set(turns) == {each.name for each in BY_TESTS}, "those of the campaign are tried by `.ci/full`"


@pytest.mark.parametrize("text", ["a line that is not there", "\n"], ids=["gone", "more than once"])
def test_a_sabotage_without_exactly_one_line_fails_and_says_why(text: str) -> None:
    result = tried(harmless(text=text), None)
    assert not result.noticed
    assert "renew the sabotage" in result.by


@pytest.mark.thorough
def test_a_sabotage_that_nobody_notices_fails() -> None:
    file = "zinc_mcp/text.py"
    first = (ROOT / file).read_text(encoding="utf-8").splitlines()[0]
    result = tried(harmless(text=first + "\n", replacement=first + "\n\n"), None)
    assert (result.noticed, result.by) == (False, "green")


def test_the_table_names_each_test_that_noticed_or_did_not() -> None:
    [first, second, *_] = SABOTAGES
    results = [Result(first.name, True, OVER_LIMIT, 7, 24, 30.0), Result(second.name, False, "green")]
    lines = table(results).splitlines()
    assert lines[2] == f"| {first.name} | {first.promise} | {OVER_LIMIT} | 7 | 24 intentions | 30 |"
    assert "**not noticed**: green" in lines[3]
