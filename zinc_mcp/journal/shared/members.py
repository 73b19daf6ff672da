"""The members of a team on PostgreSQL, as all servers on the journal have them.

Here a member is a name, a caller and a text that `owner.team` reads. The text holds the hash of the member's token, and
not the token. With each change the team gets another revision, and each changed member another mark, and the servers
that listen are told.
"""

import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from zinc_mcp.journal.storage import notifying, rows
from zinc_mcp.journal.storage.database import Database
from zinc_mcp.journal.storage.tables import MEMBERS, META, VISITS

# One statement reads one state of the database. It returns at least one row, with the revision.
_ALL = sa.select(
    sa.select(META.c.value).where(META.c.name == rows.MEMBERS_REVISION).scalar_subquery().label("revision"), MEMBERS
).select_from(sa.select(sa.literal(1).label("one")).subquery().outerjoin(MEMBERS, sa.true()))


@dataclass(frozen=True, slots=True)
class KeptMember:
    """A member as the journal keeps one."""

    caller: str
    kept: str
    mark: str = ""
    """The journal gives another one with each change."""


@dataclass(frozen=True, slots=True)
class KeptTeam:
    """All members at one time."""

    revision: str | None
    """The journal gives another one with each change. None: no member was ever kept in this journal."""
    members: Mapping[str, KeptMember]
    """By name."""


class KeptMembers(Database):
    """The part of a journal that keeps members."""

    def team(self) -> KeptTeam:
        """Return all members.

        Raises:
            JournalError: they cannot be read.
        """
        with self._reading() as connection:
            return _read(connection)

    def team_since(self, revision: str | None) -> KeptTeam | None:
        """Return all members; None if `revision` is still theirs. Without a revision they are always returned.

        Raises:
            JournalError: they cannot be read.
        """
        with self._reading() as connection:
            is_same = revision is not None and rows.meta(connection, rows.MEMBERS_REVISION) == revision
            return None if is_same else _read(connection)

    @contextmanager
    def changing_team(self) -> Generator[dict[str, KeptMember]]:
        """Give the members to change, by name, and write the changes in the same transaction.

        While it runs nobody else changes members, and nobody opens or approves an order. Visits of changed and removed
        members end with it, so that none goes on at a server that has not heard of the change.

        Raises:
            JournalError: they cannot be read or written. Nothing is changed then, unless the answer to the commit was
                lost.
        """
        with self._writing() as connection:
            before = _read(connection)
            members = dict(before.members)
            yield members
            changed = {name: each for name, each in members.items() if each != before.members.get(name)}
            gone = [name for name in before.members if name not in members or name in changed]
            if not changed and not gone:
                return
            if gone:
                callers = [before.members[name].caller for name in gone]
                connection.execute(sa.delete(MEMBERS).where(MEMBERS.c.name.in_(gone)))
                connection.execute(sa.delete(VISITS).where(VISITS.c.visitor.in_(callers)))
            if changed:
                new = [
                    {"name": name, "caller": each.caller, "mark": secrets.token_hex(8), "kept": each.kept}
                    for name, each in changed.items()
                ]
                connection.execute(sa.insert(MEMBERS), new)
            # Random, so that a journal put back from a backup never gives an old revision to other members.
            rows.set_meta(connection, rows.MEMBERS_REVISION, secrets.token_hex(8))
            notifying.tell_of_members(connection)


def _read(connection: sa.Connection) -> KeptTeam:
    found = connection.execute(_ALL).all()
    members = {row.name: KeptMember(row.caller, row.kept, row.mark) for row in found if row.name is not None}
    return KeptTeam(found[0].revision, members)
