"""The owner's commands in a terminal, in a pipe and for programs: the table, the receipt, the export, reconcile."""

import csv
import io
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from keyboard import at_a_terminal
from pasting import PRODUCT, furnish, opened
from started import ROOT, Started
from wanted import ADDRESS, order

from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.cli.orders.table import Listed, follow
from zinc_mcp.cli.screen import cells
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.settings import Settings
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.wiring import open_process

needs_a_terminal = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")


@pytest.fixture
def started(tmp_path: Path) -> Started:
    started = Started(tmp_path)
    furnish(started.home)
    return started


def journal_of(started: Started) -> Journal:
    return Journal.open(f"sqlite:///{started.home / 'journal.db'}")


# The table


@needs_a_terminal
@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_table_fits_and_colours_are_only_for_those_who_want_them(started: Started, width: int) -> None:
    environ = {**started.environment, "TERM": "xterm", "COLUMNS": str(width)}
    _, coloured = at_a_terminal(["orders"], {**environ}, columns=width)
    in_colour = _shown(environ)
    in_plain = _shown({**environ, "NO_COLOR": "1"})
    assert "\x1b[1m" in in_colour
    assert "\x1b" not in in_plain
    assert in_plain.splitlines() == [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", in_colour).splitlines()]
    for screen in (coloured, in_plain):
        assert [line for line in screen.splitlines() if len(line) > width and "-m zinc_mcp" not in line] == []
        for word in ("failed", "unknown", "waiting", "$51.00", "zinc.com", "key doubtful", "answer"):
            assert word in screen


def _shown(environ: dict[str, str]) -> str:
    """Return the screen of a terminal that shows colours."""
    code, screen = at_a_terminal(["orders"], environ, columns=int(environ["COLUMNS"]), term="xterm")
    assert code == 0
    return screen


@needs_a_terminal
@pytest.mark.parametrize("width", [60, 80, 120])
def test_words_of_others_of_any_width_fit_and_begin_no_line(started: Started, width: int) -> None:
    hostile = "京都" * 60 + " \x1b[2J\u202eZZZ " + "W" * 200 + "\nkey all-is-paid"
    with journal_of(started) as journal:
        journal.resume()
        items = [{"url": f"https://www.amazon.com/dp/{hostile}{number}", "quantity": 1} for number in range(9)]
        items[0]["url"] = (
            f"{12 * 'W'} {18 * 'W'} key paid"  # in a table of 80 columns "key" begins the third line of its cell
        )
        entry = opened(journal, "hostile")
        journal.move(entry, "unknown", "no answer", attempts=1, facts={"retailer": hostile, "items": items})
    code, screen = at_a_terminal(["orders"], started.environment, columns=width)
    assert code == 0
    assert not {"\x1b", "\u202e"} & set(screen)
    for line in screen.splitlines():
        assert cells(line) <= width or "-m zinc_mcp" in line, line
        assert re.match(r" |\d\d:\d\d|\d{4}-|Opened|\+00:00|─+$|Paused|$", line), line
    ours = next(line for line in screen.splitlines() if line.endswith("key hostile"))
    assert [line for line in screen.splitlines() if line.startswith(ours[: ours.index("key")] + "key paid")] == []
    assert "and 6 more" in screen


def test_a_pipe_gets_one_line_an_order_and_no_colour(started: Started) -> None:
    said = started.quickly("orders", TERM="xterm", FORCE_COLOR="1").stdout
    header, *rows = said.split("\n\n")[0].splitlines()
    assert header.split("  ")[0] == "Opened +00:00"
    assert len(rows) == 3
    assert "\x1b" not in said


RECORD = {
    "key",
    "order_id",
    "mode",
    "rail",
    "caller",
    "state",
    "status",
    "opened_at",
    "sent_at",
    "updated_at",
    "retailer",
    "items",
    "ship_to",
    "authorised_cents",
    "charged_cents",
    "credited_cents",
    "expected_cents",
    "unsettled_cents",
    "counts_cents",
    "money",
    "next_step",
    "waits_for_answer",
    "problem",
    "attempts",
    "body_kept",
}


def test_programs_get_names_that_stay(started: Started) -> None:
    records: list[dict[str, Any]] = json.loads(started.run("orders", "--json").stdout)
    assert [set(record) for record in records] == [RECORD] * 3
    page = (ROOT / "docs" / "owner.md").read_text(encoding="utf-8")
    assert {name for name in RECORD if f"`{name}`" not in page} == set()
    failed, doubtful, waits = records
    assert (waits["waits_for_answer"], waits["next_step"]) == (True, "your answer")
    assert waits["items"] == [{"title": None, "url": PRODUCT, "quantity": 1}]
    assert waits["ship_to"] == {"name": "Ada Buyer", "city": "New York", "country": "US"}
    assert (doubtful["charged_cents"], doubtful["unsettled_cents"]) == (None, 5100)
    assert (failed["rail"], failed["expected_cents"], failed["next_step"]) == (
        "agent",
        5100,
        "wait: $51.00 should come back",
    )
    assert datetime.fromisoformat(waits["opened_at"]).tzinfo == UTC
    assert started.run("orders", "--json", "--watch").returncode == 2


def test_a_followed_list_is_shown_again_only_when_it_has_changed(
    started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[list[str]] = []
    reads = 0
    with journal_of(started) as journal:

        def read() -> Listed:
            nonlocal reads
            reads += 1
            if reads == 3:
                found = journal.find("doubtful")
                assert found is not None
                journal.move(found, "placed", "Zinc says order_placed")
            if reads == 6:
                raise KeyboardInterrupt
            return Listed(journal.entries())

        follow(read, lambda listed: shown.append([entry.state for entry in listed.entries]), 0.0)
    assert shown == [["failed", "unknown", "waiting"], ["failed", "placed", "waiting"]]
    assert reads == 6


@needs_a_terminal
def test_following_ends_with_ctrl_c_and_says_nothing_more(started: Started) -> None:
    # A program that was started in the background ignores Ctrl-C, and so would all that it starts.
    line = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
        "os.execv(sys.executable, [sys.executable, '-m', 'zinc_mcp', 'orders', '--watch'])"
    )
    code, screen = at_a_terminal(["-c", line], started.environment, [("resume", "\x03")], program=[sys.executable])
    assert code == 0, screen
    assert "Traceback" not in screen and "Aborted" not in screen


# The receipt


def test_a_receipt_says_what_was_asked_sent_and_paid(started: Started) -> None:
    said = " ".join(started.run("orders", "show", "waits").stdout.split())
    for part in (
        "What was asked Key waits Items 1 x product test-success at zinc.com",
        "What the question said Question Buy from zinc.com for at most $51.00?",
        "Left of your limits after this: $449.00 in 24 hours.",
        "Who said yes Asked a person; no answer yet",
        "What was sent Sent never",
        "Money Ceiling $50.00 for items, tax and shipping Zinc's fee at most $1.00 Authorised $0.00 Charged $0.00",
        "Limits $51.00 counts against them",
        "What happened",
    ):
        assert part in said, part
    assert "12 Planted Street" not in said and "10001" not in said


def test_a_receipt_tells_each_way_of_a_yes_and_the_digest_of_what_was_sent(started: Started) -> None:
    from hashlib import sha256

    with journal_of(started) as journal:
        journal.resume()
        for how in ("elicitation", "page", "terminal"):
            entry = opened(journal, f"by-{how}")
            decision = {"yes": True, "how": how, "who": "owner\x1b[2J", "at": 1_795_000_000.0}
            journal.move(
                entry,
                "accepted",
                "sent",
                consent={"how": "asked", "decision": decision},
                attempts=2,
                first_sent_at=1_795_000_001.0,
                order_id=f"ord-{how}",
                status="in_progress",
            )
        for how in ("host", "none", "practice", "below approve_above"):
            journal.move(opened(journal, f"by-{how.split()[0]}"), "refused", "limits", consent={"how": how})
        [sent] = journal.all_under("by-page")
    words = {
        "elicitation": "the answer was yes, in the host's dialogue, by owner, 2026-11-18 11:06:40+00:00",
        "page": "the answer was yes, on the approval page, by owner",
        "terminal": "the answer was yes, in a terminal, by owner",
        "host": "your host's own prompt (approval = host)",
        "none": "nobody was asked (approval = none)",
        "practice": "nobody was asked: it was practice",
        "below": "nobody was asked: below approve_above",
    }
    for how, said in words.items():
        assert said in started.run("orders", "show", f"by-{how}").stdout
    shown = started.run("orders", "show", "by-page").stdout
    assert f"SHA-256 {sha256(sent.body or b'').hexdigest()}" in shown
    assert "2 times, first at 2026-11-18 11:06:41+00:00" in shown
    assert "\x1b" not in shown
    receipt = json.loads(started.run("orders", "show", "by-page", "--json").stdout)["receipt"]
    assert ["Charged", "not known yet"] in receipt["Money"]
    assert ["Order", "ord-page"] in receipt["What came"]


def look_up(started: Started) -> str:
    """Put a look-up that cost a cent into the journal."""
    from dataclasses import replace

    from zinc_mcp.journal.records.entry import Draft, Limits

    with journal_of(started) as journal:
        journal.resume()
        draft = Draft(
            caller="local",
            mode="live",
            origin="https://api.zinc.com",
            account="fingerprint",
            rail="account",
            twin="question",
            body_digest="question",
            given_key=None,
            to_bytes=lambda key: b"[]",
            ceiling_cents=1,
            fee_cents=0,
            facts={},
            kind="look_up",
        )
        options: dict[str, Any] = {"lease_seconds": 5.0, "budget_cents": 100, "remembered_seconds": 600.0}
        [(found, _)] = journal.open_look_ups([draft, replace(draft, twin="other")][:1], Limits(), owner="o", **options)
        assert isinstance(found, Entry)
        journal.move(found, "placed", "looked up", spent_cents=1, counts_cents=1, attempts=1)
        return found.key


def test_a_look_up_that_cost_has_a_receipt_and_a_row_of_its_own(started: Started) -> None:
    key = look_up(started)
    shown = started.run("orders", "show", key).stdout
    assert "a look-up of products, which is no order" in shown
    assert "  Charged       $0.01" in shown
    assert json.loads(started.run("orders", "show", key, "--json").stdout)["kind"] == "look_up"
    month = datetime.now(UTC).strftime("%Y-%m")
    [row] = csv.DictReader(io.StringIO(started.run("orders", "export", "--month", month).stdout))
    assert (row["kind"], row["charged_cents"], row["charged"], row["mode"]) == ("look_up", "1", "$0.01", "live")


# The export


def test_an_export_holds_the_days_and_the_money_that_were_asked_for(started: Started) -> None:
    now = datetime.now(UTC)
    month, today = now.strftime("%Y-%m"), now.strftime("%Y-%m-%d")
    of_live = started.run("orders", "export", "--month", month).stdout
    assert of_live.splitlines()[1:] == [], "practice is no money"
    for words in (["--month", month, "--mode", "all"], ["--from", today, "--to", today, "--mode", "sandbox"]):
        rows = list(csv.DictReader(io.StringIO(started.run("orders", "export", *words).stdout)))
        assert [row["key"] for row in rows] == ["waits", "doubtful", "failed"]
    assert started.run("orders", "export", "--month", "2020-01", "--mode", "all").stdout.count("\n") == 1
    data = json.loads(started.run("orders", "export", "--from", today, "--mode", "all", "--format", "json").stdout)
    assert [total["expected_cents"] for total in data["totals"]] == [0, 5100]
    assert data["unreadable"] == 0
    raw = started.quickly("orders", "export", "--month", month, "--mode", "all").stdout
    assert len(raw.splitlines()) == 4


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--month", "2026-13"],
        ["--month", "november"],
        ["--month", "2026-11", "--from", "2026-11-01"],
        ["--month", "2026-11", "--to", "2026-11-01"],
        ["--to", "2026-11-01"],
        ["--from", "2026-02-30"],
        ["--from", "2026-11-02", "--to", "2026-11-01"],
        ["--from", "20261102"],
        ["--from", "9999-12-31", "--to", "9999-12-31"],
    ],
)
def test_a_text_that_is_no_period_is_a_usage_error(tmp_path: Path, words: list[str]) -> None:
    ended = Started(tmp_path).run("orders", "export", *words)
    assert (ended.returncode, ended.stdout) == (2, "")


def test_a_row_that_cannot_be_read_is_told_as_missing(started: Started) -> None:
    import sqlite3

    with sqlite3.connect(started.home / "journal.db") as database:
        database.execute("UPDATE zinc_entries SET facts = '[' WHERE key = 'doubtful'")
    database.close()
    ended = started.run("orders", "export", "--from", "2020-01-01", "--mode", "all")
    assert len(ended.stdout.splitlines()) == 3
    assert "1 order cannot be read in the journal" in ended.stderr
    told = started.run("orders", "export", "--from", "2020-01-01", "--mode", "all", "--format", "json").stdout
    assert json.loads(told)["unreadable"] == 1


# The comparison


async def practise(home: Path) -> None:
    """Place an order in the sandbox of a home."""
    home.mkdir()
    (home / "zinc.toml").write_text("sandbox = true\nbrowser = false\n", encoding="utf-8")
    settings = Settings(home=home, config=home / "zinc.toml", sandbox=True, browser=False)
    async with open_process(settings) as process:
        await place(process, Intent("local", "account", order(products=[{"url": PRODUCT}])))


async def order_elsewhere(home: Path) -> None:
    """Place an order with the same API key past the journal."""
    transport = Sandbox(home / "sandbox.db").transport()
    headers = {"Authorization": "Bearer zn_test_sandbox"}
    async with httpx.AsyncClient(transport=transport, base_url="https://sandbox.invalid", headers=headers) as client:
        body = {"products": [{"url": f"{PRODUCT}?other=1"}], "shipping_address": ADDRESS, "max_price": 5000}
        assert (await client.post("/orders", json=body)).status_code == 201


def test_reconcile_ends_with_0_1_or_2_and_pauses_only_where_it_is_told_to(tmp_path: Path) -> None:
    started = Started(tmp_path)
    anyio.run(practise, started.home)
    ended = started.run("reconcile", "--pause")
    assert (ended.returncode, "No difference in 1 order at Zinc and 1 order of" in ended.stdout) == (0, True), ended
    anyio.run(order_elsewhere, started.home)
    ended = started.run("reconcile")
    assert (ended.returncode, "Money: Zinc has an order that this journal does not know." in ended.stdout) == (1, True)
    with journal_of(started) as journal:
        assert journal.pauses() == []
    told = json.loads(started.run("reconcile", "--json", "--pause").stdout)
    assert (told["outcome"], told["paused"]) == ("differs", True)
    assert [each["kind"] for each in told["differences"]] == ["unknown_order"]
    with journal_of(started) as journal:
        assert journal.pauses() == ["reconcile found a difference that concerns money"]
    assert "resume" in started.run("reconcile", "--pause").stdout


def test_without_a_key_or_without_zinc_nothing_is_compared(tmp_path: Path) -> None:
    started = Started(tmp_path)
    ended = started.run("reconcile")
    assert (ended.returncode, ended.stdout, "no API key" in ended.stderr) == (2, "", True)
    closed = {"ZINC_API_KEY": "zn_test_x", "ZINC_API_URL": "http://127.0.0.1:9"}
    ended = started.run("reconcile", **closed)
    assert (ended.returncode, "proves nothing" in ended.stdout) == (2, True)
    assert json.loads(started.run("reconcile", "--json", **closed).stdout)["outcome"] == "not_compared"
    assert started.run("reconcile", "--days", "0").returncode == 2
    (started.home / "journal.db").unlink()
    (started.home / "journal.db").mkdir()
    assert started.run("reconcile", **closed).returncode == 2
    assert os.listdir(started.home)
