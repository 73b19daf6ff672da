"""Why an entry is in doubt, where that is not a request that nobody answered. It is kept as the entry's problem."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from zinc_mcp.journal.entry import PLACED_BEFORE, Entry

Why = Literal["placed_before", "not_sent"]

_UNSENT = "not_sent"

UNSENT_PROBLEM: Mapping[str, Any] = {
    "code": _UNSENT,
    "summary": "The order was not sent, and its payment wallet may have moved money all the same.",
}
"""What an entry keeps whose wallet was asked, and whose credential never left this process."""


def placed_before(identifiers: Sequence[str]) -> Mapping[str, Any]:
    """Return what an entry keeps of which Zinc said, before anything was paid, that its order is there already."""
    summary = "Zinc says that an order with this key was placed before. Nothing was paid for it this time."
    return {"code": PLACED_BEFORE, "summary": summary, "facts": {"named": list(identifiers)}}


def is_placed_before(entry: Entry) -> bool:
    """Say whether Zinc had the order before: whoever paid for it, this entry did not."""
    return (entry.problem or {}).get("code") == PLACED_BEFORE


def is_unsent(entry: Entry) -> bool:
    """Say whether an entry is in doubt although nothing of it was sent."""
    return (entry.problem or {}).get("code") == _UNSENT


def why_in_doubt(entry: Entry) -> Why | None:
    """Return why an entry is in doubt; None where a request was not answered, or it is in none."""
    if entry.state != "unknown":
        return None
    return "placed_before" if is_placed_before(entry) else "not_sent" if is_unsent(entry) else None
