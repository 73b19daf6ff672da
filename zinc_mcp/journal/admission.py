"""What is checked again, in the very transaction that takes a yes or marks an entry as being sent.

Between a question and its answer the owner may have lowered a limit, paused, or changed the policy, and another order
for the same goods may have come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zinc_mcp.journal.entry import Entry, Limits
from zinc_mcp.journal.twin import order_of
from zinc_mcp.owner.policy import Policy, objection

if TYPE_CHECKING:
    import sqlalchemy as sa

Noted = Mapping[str, str]
"""Earlier orders that a question has named: entry id (as text, for JSON) to `waiting` or `sent`."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The rules of the process that takes a decision or sends: its policy as it stands, and how long twins stand."""

    policy: Callable[[], Policy]
    window_seconds: float

    def check(self, connection: sa.Connection, entry: Entry, now: float) -> None:
        """Check the whole policy for an entry that is going to be sent, rolling limits included (without itself).

        Raises:
            RefusedError: what the policy does not allow any more, `policy_invalid` among it.
            LimitExceededError: a rolling limit does not admit it.
        """
        policy = self.policy()
        refusal = objection(
            policy,
            order_of(entry),
            rail=entry.rail,
            mode=entry.mode,
            saved="saved" in (entry.facts.get("ship_to") or {}),
            fee_cents=entry.fee_cents,
        )
        if refusal is not None:
            raise refusal
        from zinc_mcp.journal import opening  # SQLAlchemy: listing the tools does not wait for it

        opening.check_limits_again(connection, entry, limits_of(policy), now)

    def unnoted(self, connection: sa.Connection, entry: Entry, noted: Noted, now: float) -> list[Entry]:
        """Return the twins and near twins that have come, or have been sent, since the question noted them."""
        from zinc_mcp.journal import opening

        since = now - self.window_seconds
        found = opening.near_twins(connection, entry, since)
        return [each for each in found if noted.get(str(each.id)) not in (how_far(each), "sent")]


def limits_of(policy: Policy) -> Limits:
    """Return the rolling limits of a policy."""
    return Limits(policy.max_day, policy.max_month, policy.max_orders_day, policy.most_unproved)


def how_far(entry: Entry) -> str:
    """Say of an earlier order whether it only waits or may have been sent: the first may still become the second."""
    return "waiting" if entry.state == "waiting" else "sent"


def noted(entries: list[Entry]) -> Noted:
    """Return what a question notes about earlier orders that it names."""
    return {str(each.id): how_far(each) for each in entries}
