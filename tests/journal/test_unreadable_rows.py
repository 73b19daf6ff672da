"""A row that cannot be read is told, and it stops no other order."""

import dataclasses
import json
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import HandClock, OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from journals import entry_of
from server.as_a_host import host, said
from wanted import ADDRESS, arguments, book, intent

from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.checkout.place_order import place
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import JournalError, RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import UnreadableEntryError
from zinc_mcp.owner.addresses import find_address
from zinc_mcp.process import Clocks

ASKING = '[policy]\napproval = "page"\n'


def spoil(home: Path, key: str, column: str, value: object) -> None:
    """Write a value into one entry's row that this program never writes there."""
    with closing(sqlite3.connect(home / "journal.db")) as database:
        tables = {"order_key": "zinc_payments", "recovery": "zinc_payments", "settle_by": "zinc_payments"}
        # As a hand or a broken disk does it, constraints or not.
        database.execute("PRAGMA writable_schema=ON")
        database.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'zinc_entries'")
        database.execute("PRAGMA writable_schema=RESET")
        which = "id" if column not in tables else "entry_id"
        database.execute(
            f"UPDATE {tables.get(column, 'zinc_entries')} SET {column} = ? "
            f"WHERE {which} = (SELECT id FROM zinc_entries WHERE key = ?)",
            (value, key),
        )
        database.commit()


WRONG: dict[str, tuple[str, object]] = {
    "no JSON": ("facts", "{half"),
    "a list for facts": ("facts", "[1, 2]"),
    "text for the address": ("facts", '{"ship_to": "12 Planted Street"}'),
    "a number among items": ("facts", '{"items": [1]}'),
    "facts that are missing": ("facts", None),
    "an unknown state": ("state", "teleported"),
    "no state": ("state", None),
    "an unknown mode of money": ("rail", "pigeon"),
    "text for cents": ("ceiling_cents", "many"),
    "a time that never comes": ("opened_at", 1e300),
    "text for a time": ("updated_at", "yesterday"),
    "a body of text": ("body", "not bytes"),
    "a question without an id": ("consent", '{"digest": "x", "question": {}}'),
    "a question of text": ("consent", '{"digest": "x", "id": "y", "question": "Buy?"}'),
    "text for the end of a question": ("consent", '{"until": "soon"}'),
    "a problem of text": ("problem", '"it failed"'),
    "letters that are none": ("facts", "LATIN1"),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("wrong", WRONG)
async def test_a_row_that_cannot_be_read_is_left_out_told_and_listed_by_itself(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "zinc_mcp")
    column, value = WRONG[wrong]
    async with open_test_process() as process:
        first = entry_of(await place(process, intent(products=book(1))))
        spoiled = entry_of(await place(process, intent(products=book(2))))
        last = entry_of(await place(process, intent(products=book(3))))
    if value == "LATIN1":
        with closing(sqlite3.connect(home / "journal.db")) as database:
            database.execute("UPDATE zinc_entries SET facts = CAST(X'7B22E922' AS TEXT) WHERE key = ?", (spoiled.key,))
            database.commit()
    else:
        spoil(home, spoiled.key, column, value)
    async with open_test_process() as process:
        async with host(process, "legacy") as client:
            told = said(await client.call_tool("get_order", {"order_id": spoiled.key}))
            assert told["code"] == "journal_unavailable", told
            for entry in (first, last):
                assert said(await client.call_tool("get_order", {"order_id": entry.key}))["key"] == entry.key
            ordered = said(await client.call_tool("place_order", arguments(products=book(4))))
            assert ordered["outcome"] == "accepted"
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        keys = [entry.key for entry in journal.entries()]
        assert keys == [ordered["key"], last.key, first.key]
        assert [error.entry_id for error in journal.unreadable()] == [spoiled.id]
    assert any(str(spoiled.id) in record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    assert "Planted" not in caplog.text


@pytest.mark.sampled(6)
@pytest.mark.parametrize("wrong", WRONG)
async def test_an_intention_whose_earlier_order_cannot_be_read_is_not_bought_again(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, wrong: str
) -> None:
    column, value = WRONG[wrong]
    async with open_test_process() as process:
        bought = entry_of(await place(process, intent()))
    spoil(home, bought.key, column, value if value != "LATIN1" else "{")
    async with open_test_process() as process:
        with pytest.raises(JournalError) as refused:
            await place(process, intent())
        assert not refused.value.money_may_have_moved
    assert len(zinc.posts) == 1


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("consent", {"question": {"retailer": "x"}}),
        ("consent", {"question": None}),
        ("consent", {"until": "soon"}),
        ("body", b'["no order"]'),
        ("body", b"\xff\xfe"),
        ("body", None),
        ("state", "teleported"),
    ],
)
async def test_a_question_that_cannot_be_read_ends_no_server_and_stops_no_other_question(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    home: Path,
    clocks: Clocks,
    clock: HandClock,
    write_config: Callable[[str], Path],
    column: str,
    value: Any,
) -> None:
    write_config(ASKING)
    often = dataclasses.replace(clocks, sweep_seconds=0.05, heed_seconds=0.05, answer_seconds=0.1)
    async with open_test_process(clocks=often) as process:
        broken = entry_of(await place(process, intent(products=book(1))))
        sound = entry_of(await place(process, intent(products=book(2))))
        if isinstance(value, dict):
            value = json.dumps({**(broken.consent or {}), **value})
        spoil(home, broken.key, column, value)
        await anyio.sleep(0.4)
        waiting = {entry.id for entry in await questions_for(process, "local")}
        assert sound.id in waiting
        if column == "body":  # the question can be read; what it would send cannot
            with pytest.raises(RefusedError):
                await decide(process, yes(broken))
        else:
            assert waiting == {sound.id}
        assert entry_of(await decide(process, yes(sound))).state in ("sending", "accepted")
        assert entry_of(await place(process, intent(products=book(3)))).state == "waiting"
    async with open_test_process(clocks=often) as process:  # and again after a restart
        await anyio.sleep(0.2)
        assert entry_of(await look(process, "local", sound.key)).state == "accepted"
    assert len(zinc.posts) == 1


async def test_more_unreadable_rows_than_a_round_looks_at_hide_none_after_them(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clocks: Clocks
) -> None:
    zinc.listing = False
    async with open_test_process() as process:
        zinc.script = ["lose_after"]
        doubted = entry_of(await place(process, intent()))
        assert doubted.state == "unknown"
    with closing(sqlite3.connect(home / "journal.db")) as database:
        columns = [str(row[1]) for row in database.execute("PRAGMA table_info(zinc_entries)") if row[1] != "id"]
        listed = ", ".join(columns)
        for number in range(700):
            chosen = ", ".join(
                {"key": f"'k{number}'", "twin": f"'t{number}'", "facts": "'{'"}.get(name, name) for name in columns
            )
            database.execute(f"INSERT INTO zinc_entries ({listed}) SELECT {chosen} FROM zinc_entries WHERE id = 1")
        chosen = ", ".join({"key": "'late'", "twin": "'late'"}.get(name, name) for name in columns)
        database.execute(f"INSERT INTO zinc_entries ({listed}) SELECT {chosen} FROM zinc_entries WHERE id = 1")
        database.execute("UPDATE zinc_entries SET lease_owner = NULL, lease_until = NULL, lease_boot = NULL")
        database.commit()
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        found = journal.unfinished({"unknown"}, mode="test", limit=2)
        assert [entry.key for entry in found] == [doubted.key, "late"]


async def test_a_payment_that_cannot_be_read_leaves_its_order_as_it_is_and_no_other(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clocks: Clocks
) -> None:
    often = dataclasses.replace(clocks, sweep_seconds=0.05)
    async with open_test_process(api_key=None, wallet="sandbox", clocks=often) as process:
        async with host(process, "legacy") as client:
            one = said(await client.call_tool("place_agent_order", arguments(products=book(1))))
            two = said(await client.call_tool("place_agent_order", arguments(products=book(2))))
            spoil(home, one["key"], "recovery", "[")
            await anyio.sleep(0.3)
            assert said(await client.call_tool("get_order", {"order_id": one["key"]}))["outcome"] == "accepted"
            zinc.settle(two["order_id"], 3000)
            assert said(await client.call_tool("get_order", {"order_id": two["key"]}))["outcome"] == "placed"


@pytest.mark.parametrize("fields", ["{", "[]", '{"city": 5}', None])
async def test_a_saved_address_that_cannot_be_read_stands_in_no_others_way(
    open_test_process: OpenProcess, home: Path, fields: str | None
) -> None:
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        journal.save_address("home", ADDRESS)
        journal.save_address("work", ADDRESS)
    with closing(sqlite3.connect(home / "journal.db")) as database:
        database.execute("PRAGMA writable_schema=ON")
        database.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'zinc_addresses'")
        database.execute("PRAGMA writable_schema=RESET")
        database.execute("UPDATE zinc_addresses SET fields = ? WHERE name = 'work'", (fields,))
        database.commit()
    async with open_test_process() as process:
        assert (await find_address(process.settings, process.journal, "home")).city == "New York"
        with pytest.raises(RefusedError) as refused:
            await find_address(process.settings, process.journal, "work")
        assert refused.value.code in ("unknown_address", "settings_invalid")


async def test_an_event_that_cannot_be_read_hides_no_other_event(open_test_process: OpenProcess, home: Path) -> None:
    async with open_test_process() as process:
        entry = entry_of(await place(process, intent()))
    with closing(sqlite3.connect(home / "journal.db")) as database:
        database.execute("UPDATE zinc_events SET detail = 'no JSON' WHERE version = 2")
        database.commit()
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        assert [event.version for event in journal.events(entry.id)] == [1, 3]


async def test_a_pin_that_cannot_be_read_takes_no_yes_and_ends_nothing(
    open_test_process: OpenProcess, home: Path, write_config: Callable[[str], Path]
) -> None:
    write_config(ASKING)
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        journal.set_pin("scrypt$16384$8$1$00$00")
    with closing(sqlite3.connect(home / "journal.db")) as database:
        database.execute("UPDATE zinc_pins SET page_wrong = 'often', ends = 'soon'")
        database.commit()
    async with open_test_process() as process:
        asked = entry_of(await place(process, intent()))
        with pytest.raises(JournalError):
            await decide(process, yes(asked))
        assert entry_of(await look(process, "local", asked.key)).state == "waiting"


def test_an_entry_without_a_name_is_not_named_by_its_contents() -> None:
    error = UnreadableEntryError(7, "facts")
    assert (error.code, error.summary) == ("journal_unavailable", "Entry 7 of the journal cannot be read (facts).")


def test_a_pin_whose_end_cannot_be_read_is_told_and_is_no_pin_without_an_end(tmp_path: Path, clock: HandClock) -> None:
    file = tmp_path / "journal.db"
    with Journal.open(f"sqlite:///{file}", clock=clock) as journal:
        journal.set_pin("planted hash")
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("UPDATE zinc_pins SET ends = 'soon'")
        with pytest.raises(JournalError, match="the PIN of local cannot be read"):
            journal.pin()
