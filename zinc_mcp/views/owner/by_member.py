"""The money of a period added up for each member and month. Columns are a contract, as those of the export."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.text import plain, printed
from zinc_mcp.views.owner.amounts import NAMES, amounts_of
from zinc_mcp.views.owner.export import Row, moment

FORMAT = "zinc-mcp export by member 1"
_SUMS = ("counts_cents", *NAMES)
COLUMNS = ("month", "mode", "caller", "orders", "look_ups", *_SUMS, *(name.removesuffix("_cents") for name in _SUMS))


def sums_of(entries: Iterable[Entry]) -> list[Row]:
    """Return the sums of each month, kind of money and caller, in this order.

    `counts_cents` is what the orders and look-ups count against the caller's limits; the other amounts are those of
    the export. Practice and real money are never added up. A price that is not known yet is in `unsettled_cents`.
    """
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for entry in entries:
        at = entry.opened_at if entry.first_sent_at is None else entry.first_sent_at
        of = (datetime.fromtimestamp(at, UTC).strftime("%Y-%m"), entry.mode, plain(entry.caller, 64))
        sums = found.get(of)
        if sums is None:
            sums = found[of] = dict(zip(("month", "mode", "caller"), of, strict=True))
            sums |= dict.fromkeys(("orders", "look_ups", *_SUMS), 0)
        sums["orders" if entry.kind == "order" else "look_ups"] += 1
        sums["counts_cents"] += entry.counts_cents
        amounts = amounts_of(entry)
        for name in NAMES:
            sums[name] += getattr(amounts, name) or 0
    return [
        {**found[of], **{name.removesuffix("_cents"): printed(found[of][name]) for name in _SUMS}}
        for of in sorted(found)
    ]


def to_json(
    rows: Sequence[Row], *, since: float, until: float, modes: Sequence[str], unreadable: int
) -> dict[str, Any]:
    """Return the sums as plain data. `unreadable`: rows of the journal that are missing in them."""
    return {
        "format": FORMAT,
        "from": moment(since),
        "until": moment(until),
        "modes": list(modes),
        "unreadable": unreadable,
        "rows": [dict(row) for row in rows],
    }
