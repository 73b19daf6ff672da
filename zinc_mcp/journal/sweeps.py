"""What several servers do only once between them: looking up what is in doubt, a share at a time.

The servers of a team look up what others left in doubt, each for itself. On PostgreSQL they go through it together:
a row says how far the round has come, and each server takes the next few entries from there. Whoever finds the row
locked does not wait for it. What a server has taken and not done, since it ended or stands still, comes up in the next
round, as everything else that is still in doubt.
"""

import json
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.journal.storage.database import Database
from zinc_mcp.journal.storage.statements import NO_LOCK
from zinc_mcp.journal.storage.tables import META

SHARE = 10
"""Entries that one server takes at a time."""
Listed = Callable[[sa.Connection, int, int], Sequence[Entry]]
"""Lists entries with a higher id than the first number, oldest first, as many as the second one at most."""


class Sweeps(Database):
    """The part of a journal that gives servers their shares of a round."""

    def take_share(self, name: str, listed: Listed, round_seconds: float) -> Sequence[Entry] | None:
        """Take the next entries of a round; none where it is over, or where its row is locked just now (None).

        Args:
            name: of the rounds; at most 40 characters.
            listed: lists the entries of a round.
            round_seconds: a round begins no earlier than so long after the one before it began.
        """
        now = self._times.shared()
        query = sa.select(META.c.value).where(META.c.name == name)
        with self._writing(NO_LOCK) as connection:
            kept = connection.execute(query.with_for_update(skip_locked=True)).scalar_one_or_none()
            if kept is None:
                if connection.execute(query).scalar_one_or_none() is not None:
                    return None
                from sqlalchemy.dialects.postgresql import insert

                new = insert(META).values(name=name, value=json.dumps([0.0, None])).on_conflict_do_nothing()
                connection.execute(new)
                kept = connection.execute(query.with_for_update()).scalar_one()
            began, after = json.loads(kept)
            if after is None:
                if 0.0 <= now - began < round_seconds:
                    return ()
                began, after = now, 0
            entries = listed(connection, after, SHARE)
            after = entries[-1].id if len(entries) == SHARE else None
            connection.execute(sa.update(META).where(META.c.name == name).values(value=json.dumps([began, after])))
        return entries
