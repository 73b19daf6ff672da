"""The export of a period: a row for each order and each look-up that cost money, as CSV and as JSON.

Columns and their order are a contract with the owner's bookkeeping: a new column is added at the end.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.text import plain, printed
from zinc_mcp.views import parts
from zinc_mcp.views.owner.amounts import NAMES, amounts_of

FORMAT = "zinc-mcp export 1"
MOST_TEXT = 500
"""Characters of one text in an export."""

COLUMNS = (
    "kind",
    "mode",
    "rail",
    "caller",
    "at",
    "opened_at",
    "sent_at",
    "placed_at",
    "key",
    "order_id",
    "state",
    "status",
    "retailer",
    "items",
    "currency",
    "ceiling_cents",
    "fee_cents",
    *NAMES,
    *(name.removesuffix("_cents") for name in NAMES),
    "doubt",
    "origin",
)

_FORMULA = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""A cell that begins with one of these is read as a formula by spreadsheets (OWASP, "CSV Injection")."""

Row = Mapping[str, Any]


def costs(entry: Entry) -> bool:
    """Say whether an entry belongs in an export: every order, and a look-up that cost or may have cost money."""
    return entry.kind == "order" or (entry.kind == "look_up" and bool(entry.spent_cents or entry.counts_cents))


def row_of(entry: Entry) -> Row:
    """Return the row of an entry, its columns in the order of `COLUMNS`. None stands for what is not known."""
    amounts = amounts_of(entry)
    cents: dict[str, int | None] = {name: getattr(amounts, name) for name in NAMES}
    as_read = {name.removesuffix("_cents"): None if each is None else printed(each) for name, each in cents.items()}
    sent_at = entry.first_sent_at
    row: dict[str, Any] = {
        "kind": entry.kind,
        "mode": entry.mode,
        "rail": entry.rail,
        "caller": plain(entry.caller, 64),
        "at": moment(entry.opened_at if sent_at is None else sent_at),
        "opened_at": moment(entry.opened_at),
        "sent_at": moment(sent_at),
        "placed_at": moment(entry.zinc_at) if entry.order_id is not None else None,
        "key": plain(entry.key, 64),
        "order_id": parts.short(entry.order_id, 100),
        "state": entry.state,
        "status": parts.short(entry.status, 60),
        "retailer": parts.short(entry.facts.get("retailer"), 100),
        "items": _items(entry),
        "currency": "USD",
        "ceiling_cents": entry.ceiling_cents,
        "fee_cents": entry.fee_cents if entry.fee_is_known else None,
        **cents,
        **as_read,
        "doubt": parts.short((entry.problem or {}).get("code"), 60),
        "origin": plain(entry.origin, 300),
    }
    return {name: row[name] for name in COLUMNS}


def moment(at: float | None) -> str | None:
    """Return a time in UTC (ISO 8601) to the second."""
    if at is None:
        return None
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None


def totals(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the sums of the rows of each mode, kind and rail. Practice and real money are never added up."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        of = (row["mode"], row["kind"], row["rail"])
        sums = found.setdefault(of, {"mode": of[0], "kind": of[1], "rail": of[2], "rows": 0, **dict.fromkeys(NAMES, 0)})
        sums["rows"] += 1
        for name in NAMES:
            sums[name] += row[name] or 0
    return [
        {**sums, **{name.removesuffix("_cents"): printed(sums[name]) for name in NAMES}}
        for _, sums in sorted(found.items())
    ]


def to_csv(rows: Iterable[Row], columns: Sequence[str] = COLUMNS) -> str:
    """Return the rows as CSV (RFC 4180) with a header. A cell that could be a formula begins with an apostrophe."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in columns])
    return written.getvalue()


def to_json(
    rows: Sequence[Row], *, since: float, until: float, modes: Sequence[str], unreadable: int
) -> dict[str, Any]:
    """Return the export as plain data. `unreadable`: rows of the journal that are missing in it."""
    return {
        "format": FORMAT,
        "from": moment(since),
        "until": moment(until),
        "modes": list(modes),
        "unreadable": unreadable,
        "rows": [dict(row) for row in rows],
        "totals": totals(rows),
    }


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in _FORMULA else text


def _items(entry: Entry) -> str | None:
    if entry.kind == "look_up":
        path = entry.facts.get("path")
        return parts.short(path, MOST_TEXT) if isinstance(path, str) else None
    named = "; ".join(item.words for item in parts.whole_items(entry))
    return plain(named, MOST_TEXT) or None
