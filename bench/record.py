"""The campaign's own record of a journal: each version of each row, written by the database itself.

The events that the program writes say what it meant to do, by clocks that a round may have set wrong. Triggers write
down what stood in the row, when by SQLite's own clock, and whose lease it was.
"""

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

_COLUMNS = (
    "id", "version", "kind", "key", "caller", "mode", "state", "attempts", "lease_owner", "lease_taken",
    "lease_seconds", "reserved_cents", "counts_cents", "authorised_cents", "refunded_cents",
)  # fmt: skip
_NOW = "(julianday('now') - 2440587.5) * 86400.0"
_AGED = ("opened_at", "counted_at", "first_sent_at", "zinc_at", "updated_at")
_DOUBT = ("signing", "sending", "unknown", "paid_no_order")

Change = Mapping[str, Any]


def keep_record(journal: Path) -> None:
    """Have every change of this journal's entries written down from now on, whoever makes it."""
    names = ", ".join(_COLUMNS)
    values = ", ".join(f"NEW.{name}" for name in _COLUMNS)
    with closing(sqlite3.connect(journal, timeout=30)) as database, database:
        database.execute(f"CREATE TABLE campaign_record (seq INTEGER PRIMARY KEY, at REAL, {names})")
        for event in ("INSERT", "UPDATE"):
            database.execute(
                f"CREATE TRIGGER campaign_{event.lower()} AFTER {event} ON zinc_entries BEGIN "  # noqa: S608  # our names
                f"INSERT INTO campaign_record (at, {names}) VALUES ({_NOW}, {values}); END"
            )


def read_record(journal: Path) -> list[Change]:
    """Return every version of every row, in the order in which they were written.

    `at` is in seconds of the clock that leases go by on this machine; `what` is the event that the program wrote.
    """
    behind = time.time() - time.monotonic()
    with closing(sqlite3.connect(journal)) as database:
        database.row_factory = sqlite3.Row
        rows = database.execute(
            "SELECT record.*, events.what FROM campaign_record AS record LEFT JOIN zinc_events AS events "
            "ON events.entry_id = record.id AND events.version = record.version ORDER BY record.seq"
        )
        return [{**dict(row), "at": row["at"] - behind} for row in rows]


def age_doubts(journal: Path, wanted: str, seconds: float) -> int:
    """Make every entry in doubt that holds this text so much older; return how many there are."""
    older = ", ".join(f"{name} = {name} - :seconds" for name in _AGED)
    states = ", ".join(f"'{state}'" for state in _DOUBT)
    with closing(sqlite3.connect(journal, timeout=30)) as database, database:
        done = database.execute(
            f"UPDATE zinc_entries SET {older} WHERE state IN ({states}) "  # noqa: S608  # our names
            "AND instr(cast(body AS text), :wanted)",
            {"seconds": seconds, "wanted": wanted},
        )
        return done.rowcount
