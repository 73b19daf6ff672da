"""A journal with years of orders on either database, and the query plans of both databases."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, cast

import sqlalchemy as sa

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.storage.tables import ENTRIES, EVENTS, NEAR_TWINS, PAYMENTS

CALLERS = 40
YEARS = 2 * 365 * 86_400.0


def driven(url: str) -> sa.URL:
    """Return the address as SQLAlchemy needs it to use the driver that is installed."""
    parsed = sa.make_url(url)
    return parsed.set(drivername="postgresql+psycopg") if parsed.get_backend_name() == "postgresql" else parsed


def fill(url: str, entries: int, now: float, **changes: Any) -> None:
    """Put orders of two years into the journal at an address: most are over, some failed, the latest are open."""
    Journal.open(url, clock=lambda: now - YEARS).close()
    engine = sa.create_engine(driven(url))
    rows = [_entry(number, entries, now) | changes for number in range(1, entries + 1)]
    with engine.begin() as connection:
        connection.execute(sa.insert(ENTRIES), rows)
        what = ("opened", '{"reserved_cents": 5100}'), ("Zinc says order_placed", "{}")
        events = [
            {"entry_id": row["id"], "version": n, "at": now, "state": "placed", "what": text, "detail": detail}
            for row in rows
            for n, (text, detail) in enumerate(what, 1)
        ]
        connection.execute(sa.insert(EVENTS), events)
        connection.execute(sa.insert(NEAR_TWINS), [{"digest": f"n{row['id']}", "entry_id": row["id"]} for row in rows])
        paid = {"asked_at": now, "credential": None, "recovery": "{}", "order_key": "zn_live_the-orders-own-key"}
        agents = [row["id"] for row in rows if row["rail"] == "agent"]
        if agents:
            connection.execute(sa.insert(PAYMENTS), [{"entry_id": entry_id, **paid} for entry_id in agents])
        if engine.dialect.name == "postgresql":
            longest = "SELECT setval(pg_get_serial_sequence('zinc_entries', 'id'), (SELECT max(id) FROM zinc_entries))"
            connection.exec_driver_sql(longest)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()


def _entry(number: int, entries: int, now: float) -> dict[str, Any]:
    at = now - YEARS * (entries - number + 1) / entries
    state = ["placed"] * 40 + ["failed", "cancelled", "rejected", "refused", "declined"]
    over = state[number % len(state)]
    is_latest = number > entries - 20
    return {
        "id": number,
        "key": f"key-{number}",
        "caller": "local" if number % CALLERS == 0 else f"member{number % CALLERS}",
        "mode": "test",
        "origin": "https://api.zinc.com",
        "account": "another-account",
        "rail": "agent" if number % 5 == 0 else "account",
        "twin": f"twin-{number}",
        "body_digest": f"digest-{number}",
        "body": json.dumps({"first_name": "Ada", "address_line1": f"{number} Planted Street"}).encode(),
        "state": ("accepted" if number % 2 else "unknown") if is_latest else over,
        "version": 2,
        "ceiling_cents": 5000,
        "fee_cents": 100,
        "reserved_cents": 5100,
        "counts_cents": 5100 if is_latest else 4000 if over == "placed" else 0,
        "order_id": f"order-{number}",
        "status": "order_placed",
        "attempts": 1,
        "opened_at": at,
        "counted_at": at,
        "updated_at": at,
        "consent": None,
        "facts": json.dumps({"retailer": "amazon.com", "ship_to": {"name": "Ada Planted", "city": "New York"}}),
    }


def sqlite_plan(path: str, statement: str, given: Sequence[Any] | Mapping[str, Any]) -> list[str]:
    """Return the steps by which SQLite would run a statement."""
    with closing(sqlite3.connect(path)) as database:
        return [str(row[3]) for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", given)]


def postgres_plan(connection: sa.Connection, statement: str, given: Any) -> Mapping[str, Any]:
    """Return the plan by which PostgreSQL would run a statement, with its estimated cost."""
    row = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", given).scalar_one()
    plans = cast(list[Mapping[str, Any]], row if isinstance(row, list) else json.loads(row))
    return cast(Mapping[str, Any], plans[0]["Plan"])


def scanned(plan: Mapping[str, Any]) -> set[str]:
    """Return the tables that a plan of PostgreSQL's reads from one end to the other."""
    found = {str(plan.get("Relation Name"))} if plan["Node Type"] == "Seq Scan" else set[str]()
    for part in plan.get("Plans", []):
        found |= scanned(part)
    return found
