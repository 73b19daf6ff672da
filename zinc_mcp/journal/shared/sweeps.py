"""Rounds of looking up, which the servers of a team go through together on PostgreSQL.

A row says how far a round has come, and each server takes the next few entries from there. A server that finds this
row locked does not wait for it on a connection (SKIP LOCKED). A server may take entries and not look them up, because
it has ended, stands still, or never heard that its share was committed. The next round has these entries again, like
all others that are still open.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.journal.storage.database import Database
from zinc_mcp.journal.storage.statements import NO_LOCK
from zinc_mcp.journal.storage.tables import META

SHARE = 10
"""The number of entries that one server takes at a time."""
_NEVER = json.dumps([0.0, None])
Listed = Callable[[sa.Connection, int, int], Sequence[Entry]]
"""Lists entries with a higher id than the first number, oldest first; the second number is the most that it lists."""


@dataclass(frozen=True, slots=True)
class Share:
    """Entries that a server looks up alone in one round."""

    began: float
    """The time at which the round began, in seconds since the epoch. It identifies the round."""
    entries: Sequence[Entry]


class Sweeps(Database):
    """The part of a journal that gives servers their shares of a round."""

    def take_share(self, name: str, listed: Listed, round_seconds: float, of_round: float | None) -> Share | None:
        """Take the next entries of a round; None where another server is taking its own just now.

        The share is empty where the round is over.

        Args:
            name: the name of the rounds; at most 40 characters.
            listed: lists the entries of a round.
            round_seconds: the shortest time from the beginning of a round to the beginning of the next one.
            of_round: take entries only of the round that began at this time. None: of the round that is under way, or
                else of a new one.
        """
        from sqlalchemy.dialects.postgresql import insert

        now = self._times.shared()
        row = META.c.name == name
        with self._writing(NO_LOCK) as connection:
            connection.execute(insert(META).values(name=name, value=_NEVER).on_conflict_do_nothing())
            query = sa.select(META.c.value).where(row).with_for_update(skip_locked=True)
            kept = connection.execute(query).scalar_one_or_none()
            if kept is None:
                return None
            began, after = json.loads(kept)
            if of_round is not None and (after is None or began != of_round):
                return Share(of_round, ())
            if after is None:
                if 0.0 <= now - began < round_seconds:
                    return Share(began, ())
                began, after = now, 0
            entries = listed(connection, after, SHARE)
            after = entries[-1].id if len(entries) == SHARE else None
            connection.execute(sa.update(META).where(row).values(value=json.dumps([began, after])))
        return Share(began, entries)
