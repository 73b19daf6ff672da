"""A journal of version 1 keeps every entry, event and limit when it is brought up to date, on both databases."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa
from wanted import ADDRESS, order

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.twin import near_digests, to_bytes, twin_digest
from zinc_mcp.journal.storage.schema import TWINS_RENEWED_AT
from zinc_mcp.journal.storage.tables import (
    ADDRESSES,
    FORGETTABLE_INDEX,
    LISTED_INDEX,
    META,
    NEAR_TWINS,
    PAYMENTS,
    SCHEMA_VERSION,
    VISITS,
)

TABLES = (Path(__file__).parent / "journal_v1.sql").read_text(encoding="utf-8")
"""As version 1 created them on PostgreSQL."""

NOW = 1_795_000_000.0
ENTRY = {
    "key": "11111111-2222-5333-8444-555555555555",
    "caller": "local",
    "mode": "live",
    "origin": "https://api.zinc.com",
    "account": "fingerprint",
    "rail": "account",
    "twin": "twin",
    "body_digest": "digest",
    "body": b'{"max_price": 5000}',
    "state": "unknown",
    "version": 3,
    "ceiling_cents": 5000,
    "fee_cents": 100,
    "reserved_cents": 5100,
    "counts_cents": 5100,
    "attempts": 1,
    "first_sent_at": NOW,
    "opened_at": NOW,
    "counted_at": NOW,
    "updated_at": NOW,
    "facts": json.dumps({"retailer": "amazon.com"}),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address where version 1 has left a journal with one order in doubt."""
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path / 'journal.db'}"
        script = TABLES.replace("BIGSERIAL NOT NULL", "INTEGER NOT NULL").replace("BYTEA", "BLOB")
        engine = sa.create_engine(address)
    else:
        address = request.getfixturevalue("make_database")()
        script = TABLES
        engine = sa.create_engine(sa.make_url(address).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        for statement in filter(str.strip, script.split(";")):
            connection.exec_driver_sql(statement)
        connection.execute(sa.insert(META), [{"name": "schema", "value": "1"}, {"name": "created_at", "value": "1.0"}])
        connection.execute(into("zinc_entries", ENTRY), ENTRY)
        row = {"entry_id": 1, "version": 3, "at": NOW, "state": "unknown", "what": "no answer", "detail": "{}"}
        connection.execute(into("zinc_events", row), row)
    engine.dispose()
    return address


def without_totals(connection: sa.Connection) -> None:
    """Take away what the versions from 12 on have added."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("DROP FUNCTION zinc_count_totals, zinc_tell_news CASCADE")
    else:
        for name in ("added", "changed", "taken"):
            connection.exec_driver_sql(f"DROP TRIGGER zinc_totals_{name}")
    connection.exec_driver_sql("DROP TABLE zinc_totals")
    connection.exec_driver_sql("DROP INDEX zinc_entries_look_ups")
    connection.exec_driver_sql("ALTER TABLE zinc_entries DROP COLUMN role")


def into(table: str, row: Mapping[str, object]) -> sa.TextClause:
    return sa.text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})")


def test_facts_of_version_1_are_known_afterwards(url: str) -> None:
    with Journal.open(url, clock=lambda: NOW + 60) as journal:
        [entry] = journal.entries()
        assert (entry.key, entry.state, entry.body) == (ENTRY["key"], "unknown", ENTRY["body"])
        assert [event.what for event in journal.events(entry.id)] == ["no answer"]
        assert journal.counted("local", "live", 86_400) == (5100, 1), "the limits still hold"
        assert journal.unfinished(mode="live") == [entry]
        assert (journal.addresses(), journal.pin()) == ({}, None)
        assert journal.save_address("home", {"city": "New York"})
        assert journal.move(entry, "accepted", "found", order_id="o-1").version == 4
    with Journal.open(url, clock=lambda: NOW + 60) as journal:  # and a second start changes nothing
        assert journal.addresses() == {"home": {"city": "New York"}}
        assert journal.entries()[0].state == "accepted"


def test_an_order_from_before_the_upgrade_is_known_again_by_its_place(url: str) -> None:
    before, after = order(), order(shipping_address={**ADDRESS, "address_line1": "12, Planted St."})
    sent = {**ENTRY, "key": "k-2", "state": "accepted", "body": to_bytes(before, "k-2", "earlier")}
    engine = sa.create_engine(_driven(url))
    with engine.begin() as connection:
        connection.execute(into("zinc_entries", sent), sent)
    engine.dispose()
    with Journal.open(url, clock=lambda: NOW + 60) as journal:
        twins = {entry.key: entry.twin for entry in journal.entries()}
    assert twins == {"k-2": twin_digest("local", after), ENTRY["key"]: "twin"}, (
        "what is no order today keeps its digest"
    )


@pytest.mark.sampled(2)
@pytest.mark.parametrize("version", range(5, TWINS_RENEWED_AT))
def test_a_journal_of_any_version_knows_its_orders_again_by_todays_digests(url: str, version: int) -> None:
    wanted = order()
    with Journal.open(url, clock=lambda: NOW):
        pass
    body = to_bytes(wanted, "k-2", "earlier")
    rows = [
        {**ENTRY, "key": key, "state": state, "body": body} for key, state in (("k-2", "placed"), ("k-3", "unknown"))
    ]
    engine = sa.create_engine(_driven(url))
    with engine.begin() as connection:
        connection.execute(into("zinc_entries", ENTRY), rows)
        connection.exec_driver_sql("INSERT INTO zinc_near_twins VALUES ('of another folding', 2)")
        connection.execute(sa.update(META).where(META.c.name == "schema").values(value=str(version)))
        connection.execute(sa.delete(META).where(META.c.name == "added"))
        connection.exec_driver_sql("ALTER TABLE zinc_events DROP COLUMN writer")
        if version < 12:
            without_totals(connection)
        if version < 11:
            VISITS.drop(connection)
        if version < 7:
            LISTED_INDEX.drop(connection)
            FORGETTABLE_INDEX.drop(connection)
    engine.dispose()
    with Journal.open(url, clock=lambda: NOW + 60) as journal:
        known = {entry.key: entry.twin for entry in journal.entries()}
        assert known["k-2"] == known["k-3"] == twin_digest("local", wanted)
    engine = sa.create_engine(_driven(url))
    with engine.connect() as connection:
        near = connection.execute(sa.select(NEAR_TWINS.c.entry_id, NEAR_TWINS.c.digest)).all()
    engine.dispose()
    [digest] = near_digests("local", "live", wanted)
    assert sorted(tuple(row) for row in near) == [(2, digest), (3, digest)]


def test_the_amount_that_a_wallet_was_allowed_is_known_afterwards(url: str) -> None:
    facts = json.dumps({"payment": {"method": "stripe", "authorised_cents": 5050}})
    rows = [
        {**ENTRY, "key": "unpaid", "rail": "agent", "state": "refused"},
        {**ENTRY, "key": "paid", "rail": "agent", "state": "failed", "facts": facts},
    ]
    engine = sa.create_engine(_driven(url))
    with engine.begin() as connection:
        connection.execute(into("zinc_entries", ENTRY), rows)
    engine.dispose()
    with Journal.open(url, clock=lambda: NOW + 60) as journal:
        known = {entry.key: entry.authorised_cents for entry in journal.entries()}
        assert journal.refunded("paid", 5000).counts_cents == 50
    assert known == {"paid": 5050, "unpaid": None, ENTRY["key"]: None}


def _driven(url: str) -> sa.URL:
    parsed = sa.make_url(url)
    return parsed.set(drivername="postgresql+psycopg") if parsed.get_backend_name() == "postgresql" else parsed


def test_the_tables_are_then_those_of_a_new_journal(url: str, tmp_path: Path) -> None:
    with Journal.open(url) as journal:
        journal.finish_upgrade(others_ended=True)
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    carried = described(parsed)
    assert carried["schema"] == str(SCHEMA_VERSION)
    if parsed.get_backend_name() == "sqlite":
        new = f"sqlite:///{tmp_path / 'new.db'}"
        Journal.open(new).close()
        assert carried == described(sa.make_url(new))


def described(url: sa.URL) -> dict[str, object]:
    engine = sa.create_engine(url)
    inspector = sa.inspect(engine)
    found: dict[str, object] = {
        name: (
            sorted(column["name"] for column in inspector.get_columns(name)),
            sorted(str(index["name"]) for index in inspector.get_indexes(name)),
        )
        for name in ("zinc_entries", "zinc_events", META.name, PAYMENTS.name, ADDRESSES.name, VISITS.name)
    }
    with engine.connect() as connection:
        found["schema"] = connection.execute(sa.select(META.c.value).where(META.c.name == "schema")).scalar_one()
    engine.dispose()
    return found
