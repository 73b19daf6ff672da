"""What entries say about the clock: the latest time of any, and those that lie in the future."""

import sqlalchemy as sa

from zinc_mcp.journal.entry import Entry
from zinc_mcp.journal.records import entries_of
from zinc_mcp.journal.tables import COUNTING, ENTRIES

_MOST_PUT_RIGHT = 10_000
"""Entries whose times are put right when the owner says that the clock is."""


def newest(connection: sa.Connection) -> float:
    """Return the latest time of any order that counts."""
    query = sa.select(sa.func.coalesce(sa.func.max(ENTRIES.c.counted_at), 0.0)).where(COUNTING)
    return number(connection.execute(query).scalar_one())


def from_the_future(connection: sa.Connection, now: float) -> list[Entry]:
    """List the entries whose own times lie after `now`, and hold them until they are changed."""
    query = sa.select(ENTRIES).where(sa.or_(ENTRIES.c.opened_at > now, ENTRIES.c.counted_at > now))
    return entries_of(connection, query.order_by(ENTRIES.c.id.desc()).limit(_MOST_PUT_RIGHT).with_for_update())


def number(found: object) -> float:
    """Return the time that a look at many rows has found; 0.0 where that is none."""
    # SQLite puts text above every number: a row whose time cannot be read says nothing about the clock.
    return float(found) if isinstance(found, int | float) else 0.0
