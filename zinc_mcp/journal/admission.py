"""What is checked again, in the very transaction that takes a yes or marks an entry as being sent.

Between a question and its answer the owner may have lowered a limit, paused, or changed the policy, and another order
for the same goods may have come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zinc_mcp.journal.entry import Entry, Limits

if TYPE_CHECKING:
    import sqlalchemy as sa

Noted = Mapping[str, str]
"""Earlier orders that a question has named: entry id (as text, for JSON) to `waiting` or `sent`."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The rules of the process that takes a decision or sends, as its owner's policy stands at that moment."""

    admit: Callable[[Entry], Limits]
    """Checks an entry that is going to be sent, and returns the rolling limits that it has to keep; raises what does
    not allow it any more, `policy_invalid` among it."""
    takes_dialogues: Callable[[], bool]
    """Says whether an answer given in a host's dialogue counts; raises `policy_invalid`."""
    window_seconds: float
    """How long an earlier order for the same stands."""

    def check(self, connection: sa.Connection, entry: Entry, now: float) -> None:
        """Check the whole policy for an entry that is going to be sent, rolling limits included (without itself).

        Raises:
            RefusedError: what the policy does not allow any more.
            LimitExceededError: a rolling limit does not admit it.
        """
        limits = self.admit(entry)
        from zinc_mcp.journal import opening  # SQLAlchemy: listing the tools does not wait for it

        opening.check_limits_again(connection, entry, limits, now)

    def unnoted(self, connection: sa.Connection, entry: Entry, noted: Noted, now: float) -> list[Entry]:
        """Return the twins and near twins that have come, or have been sent, since the question noted them."""
        from zinc_mcp.journal import opening

        since = now - self.window_seconds
        found = opening.near_twins(connection, entry, since)
        return [each for each in found if noted.get(str(each.id)) not in (how_far(each), "sent")]


def how_far(entry: Entry) -> str:
    """Say of an earlier order whether it only waits or may have been sent: the first may still become the second."""
    return "waiting" if entry.state == "waiting" else "sent"


def noted(entries: list[Entry]) -> Noted:
    """Return what a question notes about earlier orders that it names."""
    return {str(each.id): how_far(each) for each in entries}
