"""Look-ups in the journal: what was looked up lately is remembered, what costs is reserved under the limits."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from zinc_mcp.errors import LimitExceededError
from zinc_mcp.journal import opening, rows
from zinc_mcp.journal.entry import DAY_SECONDS, Draft, Entry, Limits
from zinc_mcp.journal.records import entries_of
from zinc_mcp.journal.tables import COUNTING, ENTRIES

_IS_LOOK_UP = ENTRIES.c.kind == sa.literal_column("'look_up'")


def opened(
    connection: sa.Connection,
    drafts: Sequence[Draft],
    limits: Limits,
    *,
    budget_cents: float,
    remembered_seconds: float,
    lease: Mapping[str, Any],
    now: float,
) -> list[tuple[Entry | None, bool]]:
    """Return for each draft the entry of its look-up, and whether that is a new one.

    A new one has its cost reserved and is marked as being asked; None: it is not remembered, and may not cost now.
    """
    found: list[tuple[Entry | None, bool]] = []
    for draft in drafts:
        entry, is_new = _remembered(connection, draft, now - remembered_seconds), False
        if entry is None and _is_admitted(connection, draft, limits, budget_cents, now):
            marks = {"attempts": 1, "first_sent_at": now}
            entry, is_new = rows.insert(connection, draft, str(uuid.uuid4()), now, lease=lease, sending=marks), True
        found.append((entry, is_new))
    return found


def _remembered(connection: sa.Connection, draft: Draft, since: float) -> Entry | None:
    """Return the newest look-up of the same product, whoever wanted it."""
    query = (
        sa.select(ENTRIES)
        .where(ENTRIES.c.twin == draft.twin, ENTRIES.c.mode == draft.mode, _IS_LOOK_UP)
        .where(ENTRIES.c.opened_at > since, ENTRIES.c.state != "refused")
        .order_by(ENTRIES.c.id.desc())
        .limit(1)
    )
    return next(iter(entries_of(connection, query)), None)


def _is_admitted(connection: sa.Connection, draft: Draft, limits: Limits, budget_cents: float, now: float) -> bool:
    before = opening.looked_up(connection, draft, limits, now)
    if before.paused is not None:
        return False
    try:
        opening.check_limits(draft, limits, before)
    except LimitExceededError:
        return False
    spent = sa.select(sa.func.coalesce(sa.func.sum(ENTRIES.c.counts_cents), 0)).where(
        ENTRIES.c.mode == draft.mode,
        ENTRIES.c.caller == draft.caller,
        ENTRIES.c.counted_at > now - DAY_SECONDS,
        COUNTING,
        _IS_LOOK_UP,
    )
    return int(connection.execute(spent).scalar_one()) + draft.ceiling_cents <= budget_cents
