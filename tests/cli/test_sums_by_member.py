"""`zinc-mcp orders export --by member` adds up each member's orders of each month, as the limits count them."""

import csv
import io
import json
from pathlib import Path

import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from started import Started
from wanted import book, intent

from zinc_mcp.checkout.place_order import place
from zinc_mcp.checkout.watch import look

ADA, BOB = "ada#0123456789abcdef", "=bob#0123456789abcdef"
DAY = 86_400.0
TEN_YEARS = 3_650 * DAY


@pytest.fixture
async def started(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, tmp_path: Path
) -> tuple[Started, dict[str, tuple[int, int]]]:
    """Ada orders three times, the last time in the next month and without an answer; Bob once, below the ceiling."""
    async with open_test_process() as process:
        for number, caller in enumerate((ADA, ADA, BOB)):
            answer = await place(process, intent(caller, products=book(number)))
            assert answer.entry is not None and answer.entry.order_id is not None
            if caller == BOB:
                zinc.settle(answer.entry.order_id, 3_456)
                await look(process, BOB, answer.entry.order_id)
        clock.pass_seconds(20 * DAY)
        zinc.script.append("500_after")
        zinc.listing = False
        await place(process, intent(ADA, products=book(3)))
        ada = await process.journal.run(lambda journal: journal.counted(ADA, "test", TEN_YEARS))
        bob = await process.journal.run(lambda journal: journal.counted(BOB, "test", TEN_YEARS))
    return Started(tmp_path), {ADA: ada, BOB: bob}


async def test_the_sums_are_those_that_the_limits_count(
    started: tuple[Started, dict[str, tuple[int, int]]],
) -> None:
    program, counted = started
    words = ("orders", "export", "--by", "member", "--from", "2026-11-01", "--to", "2026-12-31", "--mode", "test")
    text = program.run(*words).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["month"], row["mode"], row["caller"], row["orders"]) for row in rows] == [
        ("2026-11", "test", f"'{BOB}", "1"),
        ("2026-11", "test", ADA, "2"),
        ("2026-12", "test", ADA, "1"),
    ]
    for caller in (ADA, BOB):
        own = [row for row in rows if row["caller"].lstrip("'") == caller]
        assert (sum(int(row["counts_cents"]) for row in own), sum(int(row["orders"]) for row in own)) == counted[caller]
    bob, november, december = rows
    assert (bob["charged_cents"], bob["charged"], bob["unsettled_cents"]) == ("3556", "$35.56", "0")
    assert (november["charged_cents"], november["unsettled_cents"], november["counts_cents"]) == ("0", "10200", "10200")
    assert (december["unsettled"], december["credited_cents"]) == ("$51.00", "0")
    data = json.loads(program.run(*words, "--format", "json").stdout)
    assert (data["format"], data["unreadable"], data["modes"]) == ("zinc-mcp export by member 1", 0, ["test"])
    assert [{name: str(value) for name, value in row.items()} for row in data["rows"]] == [
        {**row, "caller": row["caller"].lstrip("'")} for row in rows
    ]
    assert all(type(value) is int for row in data["rows"] for name, value in row.items() if name.endswith("_cents"))


async def test_the_table_shows_the_same_sums(started: tuple[Started, dict[str, tuple[int, int]]]) -> None:
    program, _ = started
    words = ("orders", "export", "--by", "member", "--month", "2026-11", "--format", "table")
    lines = program.run(*words, "--mode", "all").stdout.splitlines()
    assert lines[0].split() == [
        "Month",
        "Money",
        "Member",
        "Orders",
        "Counts",
        "Charged",
        "Credited",
        "Expected",
        "Unsettled",
    ]
    assert lines[1].split() == ["2026-11", "test", BOB, "1", "$35.56", "$35.56", "$0.00", "$0.00", "$0.00"]
    assert lines[2].split() == ["2026-11", "test", ADA, "2", "$102.00", "$0.00", "$0.00", "$0.00", "$102.00"]
    assert program.run(*words).stdout == "Nothing was ordered in this time.\n", "real money is never added to practice"


def test_a_table_is_only_for_sums(tmp_path: Path) -> None:
    ended = Started(tmp_path).run("orders", "export", "--month", "2026-11", "--format", "table")
    assert (ended.returncode, "--by member" in ended.stderr) == (2, True)
