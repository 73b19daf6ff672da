"""The earlier order that stands for an intention, looked up without opening anything."""

import sqlalchemy as sa

from zinc_mcp.journal.entry import FOREVER, STANDING, Entry, Mode, Wanted
from zinc_mcp.journal.records import entry_of
from zinc_mcp.journal.tables import ENTRIES


def standing(connection: sa.Connection, wanted: Wanted, mode: Mode, since: float) -> Entry | None:
    """Return the newest entry that stands for an intention: named by its key, or for the same goods and ship-to.

    An entry that may have moved money for nobody knows what stands however old it is.

    Raises:
        UnreadableEntryError: it cannot be read.
    """
    theirs = sa.select(ENTRIES).where(ENTRIES.c.caller == wanted.caller, ENTRIES.c.mode == mode)
    standing = theirs.where(ENTRIES.c.kind == "order", ENTRIES.c.state.in_(STANDING)).order_by(ENTRIES.c.id.desc())
    if wanted.given_key is not None:
        named = connection.execute(standing.where(ENTRIES.c.key == wanted.given_key).limit(1)).first()
        if named is not None and entry_of(named).body_digest == wanted.body_digest:
            return entry_of(named)
    lasting = sa.or_(ENTRIES.c.opened_at > since, ENTRIES.c.zinc_at > since, ENTRIES.c.state.in_(FOREVER))
    row = connection.execute(standing.where(ENTRIES.c.twin == wanted.twin, lasting).limit(1)).first()
    return None if row is None else entry_of(row)
