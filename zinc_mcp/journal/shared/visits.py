"""The visits of members to the approval page, so that every server on the journal knows them.

A visit is kept under the hash of its token. Nothing that is kept here lets anybody in.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from zinc_mcp.journal.storage.database import Database
from zinc_mcp.journal.storage.statements import NO_LOCK
from zinc_mcp.journal.storage.tables import VISITS

USED_EVERY_SECONDS = 1.0
"""A use is written down only if the last written one is this old: a page that asks again and again writes no more."""

_NOBODY = ""


@dataclass(frozen=True, slots=True)
class KeptVisit:
    """A visit as the journal keeps it."""

    visitor: str
    proof: str
    """The hash of the token, or the sign-in at the issuer, by which the visitor came in. The visit ends when it is not
    theirs any more."""


class KeptVisits(Database):
    """The part of a journal that keeps visits."""

    def open_visit(
        self, digest: str, visit: KeptVisit, *, idle_seconds: float, most: int, once: str | None = None
    ) -> bool:
        """Keep a new visit; say whether it is kept. Visits that are over are forgotten.

        Of the visitor's other visits, the `most` - 1 that were used last stay. `once` is the hash of a sign-in that may
        open one visit only. It is kept like a visit of nobody, for as long as a visit without use. The new visit is not
        kept if the sign-in has opened one before.

        Raises:
            JournalError: it cannot be written.
        """
        with self._writing() as connection:
            now = self._clock()
            connection.execute(sa.delete(VISITS).where(VISITS.c.used_at < now - idle_seconds))
            if once is not None:
                if connection.execute(sa.select(VISITS.c.digest).where(VISITS.c.digest == once)).first() is not None:
                    return False
                spent = {"digest": once, "visitor": _NOBODY, "proof": "", "used_at": now}
                connection.execute(sa.insert(VISITS), spent)
            own = sa.select(VISITS.c.digest).where(VISITS.c.visitor == visit.visitor)
            kept = connection.execute(own.order_by(VISITS.c.used_at.desc(), VISITS.c.digest)).scalars().all()
            connection.execute(sa.delete(VISITS).where(VISITS.c.digest.in_(kept[most - 1 :])))
            row = {"digest": digest, "visitor": visit.visitor, "proof": visit.proof, "used_at": now}
            connection.execute(sa.insert(VISITS), row)
        return True

    def use_visit(self, digest: str, *, idle_seconds: float) -> KeptVisit | None:
        """Return a visit and count this as a use of it; None if it is not known, or was not used for `idle_seconds`.

        Raises:
            JournalError: it cannot be read or written.
        """
        now = self._clock()
        with self._reading() as connection:
            row = connection.execute(sa.select(VISITS).where(VISITS.c.digest == digest)).one_or_none()
        if row is None or now - row.used_at > idle_seconds:
            return None
        if now - row.used_at >= USED_EVERY_SECONDS:
            with self._writing(NO_LOCK) as connection:
                connection.execute(sa.update(VISITS).where(VISITS.c.digest == digest).values(used_at=now))
        return KeptVisit(row.visitor, row.proof)

    def end_visits(self, visitor: str) -> None:
        """End all visits of one visitor, at every server.

        Raises:
            JournalError: it cannot be written.
        """
        with self._writing() as connection:
            connection.execute(sa.delete(VISITS).where(VISITS.c.visitor == visitor))
