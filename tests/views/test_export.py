"""An export defuses formulas, keeps its columns, tells amounts that are true in every state, and cleans all words."""

import csv
import dataclasses
import io
import json
from typing import Any

import pytest

from zinc_mcp.journal.records.entry import Entry, State
from zinc_mcp.journal.records.money import OWNERS_WORD
from zinc_mcp.views.owner.amounts import Amounts, amounts_of
from zinc_mcp.views.owner.export import COLUMNS, costs, moment, row_of, to_csv, to_json, totals


def entry(**changes: Any) -> Entry:
    """Return an order of the account that was sent, with a ceiling of $50 and a fee of $1."""
    known: dict[str, Any] = {
        "id": 1,
        "key": "key-1",
        "caller": "local",
        "mode": "live",
        "origin": "https://api.zinc.com",
        "account": "fingerprint",
        "rail": "account",
        "kind": "order",
        "twin": "twin",
        "body_digest": "digest",
        "body": b"{}",
        "state": "accepted",
        "version": 1,
        "lease_owner": None,
        "lease_until": None,
        "lease_boot": None,
        "lease_taken": None,
        "lease_seconds": None,
        "sender": None,
        "ceiling_cents": 5000,
        "fee_cents": 100,
        "reserved_cents": 5100,
        "spent_cents": None,
        "order_id": None,
        "status": None,
        "attempts": 1,
        "first_sent_at": 1_795_000_060.0,
        "opened_at": 1_795_000_000.0,
        "counted_at": 1_795_000_060.0,
        "updated_at": 1_795_000_100.0,
        "zinc_at": None,
        "counts_cents": 5100,
        "authorised_cents": None,
        "refunded_cents": None,
        "seen": None,
        "consent": None,
        "problem": None,
        "facts": {"retailer": "amazon.com", "items": [{"url": "https://www.amazon.com/dp/B07JGBW826", "quantity": 2}]},
    }
    return Entry(**{**known, **changes})


def paid(state: State, **changes: Any) -> Entry:
    """Return an order that a wallet paid for."""
    return entry(rail="agent", authorised_cents=5100, state=state, **changes)


AMOUNTS: dict[str, tuple[Entry, Amounts]] = {
    "waits": (entry(state="waiting", attempts=0, first_sent_at=None), Amounts(0, 0, 0, 0, 0)),
    "declined": (entry(state="declined", attempts=0, spent_cents=0, counts_cents=0), Amounts(0, 0, 0, 0, 0)),
    "rejected": (entry(state="rejected", spent_cents=0, counts_cents=0), Amounts(0, 0, 0, 0, 0)),
    "in doubt": (entry(state="unknown"), Amounts(5100, None, 0, 0, 5100)),
    "accepted": (entry(state="accepted"), Amounts(5100, None, 0, 0, 5100)),
    "placed": (entry(state="placed", spent_cents=4100, counts_cents=4100), Amounts(5100, 4100, 0, 0, 0)),
    "placed without a price": (entry(state="placed"), Amounts(5100, None, 0, 0, 5100)),
    "credited": (
        entry(state="placed", spent_cents=4100, refunded_cents=1000, counts_cents=3100),
        Amounts(5100, 4100, 1000, 0, 0),
    ),
    "failed": (entry(state="failed", spent_cents=0, counts_cents=0), Amounts(5100, 0, 0, 0, 0)),
    "the wallet is asked": (
        entry(rail="agent", state="signing", attempts=0, first_sent_at=None),
        Amounts(0, None, 0, 0, 5100),
    ),
    "paid and accepted": (paid("accepted"), Amounts(5100, None, 0, 0, 5100)),
    "paid and placed": (paid("placed", spent_cents=4100), Amounts(5100, 4100, 0, 1000, 0)),
    "paid, placed and all of it back, as the owner says": (
        paid("placed", spent_cents=4100, refunded_cents=1000, counts_cents=4100, facts={OWNERS_WORD: 1000}),
        Amounts(5100, 4100, 1000, 0, 0),
    ),
    "paid, placed and credited for goods": (
        paid("placed", spent_cents=4100, refunded_cents=1000, counts_cents=4100),
        Amounts(5100, 4100, 1000, 1000, 0),
    ),
    "paid and failed": (paid("failed"), Amounts(5100, 0, 0, 5100, 0)),
    "paid, failed and half of it back": (
        paid("failed", spent_cents=2100, refunded_cents=3000, counts_cents=2100),
        Amounts(5100, 0, 3000, 2100, 0),
    ),
    "paid and never taken": (
        paid("rejected", spent_cents=0, refunded_cents=5100, counts_cents=0),
        Amounts(0, 0, 0, 0, 0),
    ),
    "paid and no order is known": (paid("paid_no_order"), Amounts(5100, None, 0, 0, 5100)),
    "looked up": (
        entry(kind="look_up", ceiling_cents=1, state="placed", spent_cents=1, counts_cents=1),
        Amounts(1, 1, 0, 0, 0),
    ),
    "looked up without an answer": (
        entry(kind="look_up", ceiling_cents=1, state="sending", counts_cents=1),
        Amounts(1, None, 0, 0, 1),
    ),
}


@pytest.mark.parametrize("name", AMOUNTS)
def test_the_amounts_are_true_in_each_state(name: str) -> None:
    of, wanted = AMOUNTS[name]
    assert amounts_of(of) == wanted


def test_cells_that_spreadsheets_take_for_formulas_are_defused() -> None:
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", '=HYPERLINK("https://evil.example")']
    rows = [
        row_of(entry(key=word[:36], caller=word, status=word, order_id=word, facts={"retailer": word}))
        for word in hostile
    ]
    [header, *lines] = list(csv.reader(io.StringIO(to_csv(rows), newline="")))
    assert tuple(header) == COLUMNS
    for line in lines:
        cells = dict(zip(header, line, strict=True))
        assert not [cell for cell in line if cell[:1] in set("=+-@\t\r\uff1d")]
        assert cells["caller"].startswith("'")
        assert cells["ceiling_cents"] == "5000", "a number stays a number"
    assert row_of(entry(caller="=1+1"))["caller"] == "=1+1", "JSON is not changed"


def test_commas_quotes_breaks_and_letters_of_any_script_come_back_as_they_were() -> None:
    title = 'Tee "grün", 茶, ☕\nline two\x1b[2J\u202e'
    text = to_csv([row_of(entry(facts={"retailer": title}))])
    [row] = list(csv.DictReader(io.StringIO(text, newline="")))
    assert row["retailer"] == 'Tee "grün", 茶, ☕ line two'
    assert text.count("\r\n") == 2


def test_the_columns_are_a_contract() -> None:
    assert (
        ",".join(COLUMNS)
        == "kind,mode,rail,caller,at,opened_at,sent_at,placed_at,key,order_id,state,status,retailer,items,currency,"
        "ceiling_cents,fee_cents,authorised_cents,charged_cents,credited_cents,expected_cents,unsettled_cents,"
        "authorised,charged,credited,expected,unsettled,doubt,origin"
    )
    row = row_of(entry())
    assert tuple(row) == COLUMNS
    assert (row["at"], row["opened_at"], row["placed_at"]) == ("2026-11-18T11:07:40Z", "2026-11-18T11:06:40Z", None)
    assert (row["authorised"], row["charged"], row["items"]) == ("$51.00", None, "2 x product B07JGBW826 at amazon.com")


def test_sums_keep_modes_kinds_and_rails_apart() -> None:
    entries = [
        entry(state="placed", spent_cents=4100),
        entry(state="placed", spent_cents=100),
        entry(mode="test", state="placed", spent_cents=999),
        paid("failed"),
        entry(kind="look_up", ceiling_cents=1, state="placed", spent_cents=1),
    ]
    sums = {(each["mode"], each["kind"], each["rail"]): each for each in totals(map(row_of, entries))}
    assert {of: (each["rows"], each["charged_cents"], each["expected_cents"]) for of, each in sums.items()} == {
        ("live", "order", "account"): (2, 4200, 0),
        ("live", "order", "agent"): (1, 0, 5100),
        ("live", "look_up", "account"): (1, 1, 0),
        ("test", "order", "account"): (1, 999, 0),
    }
    assert sums["live", "order", "account"]["charged"] == "$42.00"
    data = to_json([row_of(each) for each in entries], since=0.0, until=86_400.0, modes=["live"], unreadable=2)
    assert json.loads(json.dumps(data))["unreadable"] == 2
    assert (data["format"], data["from"], data["until"]) == (
        "zinc-mcp export 1",
        "1970-01-01T00:00:00Z",
        "1970-01-02T00:00:00Z",
    )


def test_only_look_ups_that_cost_are_rows() -> None:
    look_up = entry(kind="look_up", ceiling_cents=1, state="rejected", spent_cents=0, counts_cents=0)
    assert not costs(look_up)
    assert costs(dataclasses.replace(look_up, spent_cents=1, counts_cents=1))
    assert costs(entry(state="declined", attempts=0))


def test_a_time_that_cannot_be_printed_is_left_out() -> None:
    assert moment(1e18) is None
