"""Changes of placed orders in the journal: returns, and the steps of a case with Zinc's support.

Their entries cost nothing and count against no limit. `order_id` names the order that such an entry is about.
"""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from zinc_mcp.journal.checks import opening
from zinc_mcp.journal.records.decision import refuse_when_paused
from zinc_mcp.journal.records.entry import Admits, Draft, Entry, Limits, Mode, Standing
from zinc_mcp.journal.records.known import check_known
from zinc_mcp.journal.records.twin import derived_key
from zinc_mcp.journal.storage import rows
from zinc_mcp.journal.storage.database import Database
from zinc_mcp.journal.storage.statements import of_caller
from zinc_mcp.journal.storage.tables import ANY_MODE, ENTRIES, IS_CHANGE, UNFINISHED, entries_of, entry_of
from zinc_mcp.journal.storage.version import check

MOST_CHANGES = 200
"""The number of changes of one order that are read, the newest first."""

_OF_ORDER = (
    sa.select(ENTRIES)
    .where(
        ENTRIES.c.order_id == sa.bindparam("order_id"),
        ENTRIES.c.caller == sa.bindparam("caller"),
        ENTRIES.c.mode == sa.bindparam("mode"),
        IS_CHANGE,
    )
    .order_by(ENTRIES.c.id.desc())
    .limit(MOST_CHANGES)
)


_DENIED = (
    sa.select(ENTRIES)
    .where(*opening.SAME_INTENTION, ENTRIES.c.state == "failed", ENTRIES.c.opened_at > sa.bindparam("since"))
    .order_by(ENTRIES.c.id.desc())
    .limit(1)
)


class Changes(Database):
    """The part of a journal that opens and finds changes of placed orders."""

    def open_change(
        self,
        draft: Draft,
        *,
        owner: str,
        lease_seconds: float,
        window_seconds: float,
        repeat_seconds: float,
        admits: Admits,
        sending: Callable[[], Mapping[str, Any]] | None,
    ) -> Entry | Standing:
        """Open an entry for a change, or return the earlier one for the same change that stands.

        Args:
            draft: what is wanted.
            owner: the process that opens it.
            lease_seconds: for how long no other process may end it.
            window_seconds: how long an earlier change of the same kind and content stands; in doubt it stands for ever.
            repeat_seconds: how long the same change counts as a repeat: if Zinc has denied the earlier one, that is the
                answer.
            admits: checks it against the other changes of its order, under the journal's lock.
            sending: returns the columns that change where it is sent at once, without a question.

        Raises:
            JournalError: it failed, or its file is not the one that stands at its path any more.
            RefusedError: `paused`; `not_allowed` if this process does not know the member as the journal does; or the
                refusal of `admits`.
        """
        now, earliest, zinc_at = self._clock(), self._times.earliest(), self._times.zinc()
        written = self.file.newest
        with self._marking() as marked, self._writing(of_caller(draft.caller), reads_schema=True) as connection:
            its_id = rows.next_id(connection)
            asking = opening.ask_before(connection, draft, Limits(), earliest)
            before = opening.looked_up(connection, asking, draft, Limits())
            check(before.schema)
            self.file.check(before.newest_id, written)
            refuse_when_paused(rows.meta(connection, "paused"))
            check_known(self.marks, draft.caller, before.member)
            if before.twins > 0:
                earlier = opening.standing_twin(connection, draft, earliest - window_seconds, ())
                if earlier is not None:
                    return earlier
                since = {**opening.intention(draft), "since": earliest - repeat_seconds}
                if denied := entries_of(connection, _DENIED, since):
                    return Standing(denied[0], same_key=False)
            admits(_of_order(connection, draft.order_id or "", draft.caller, draft.mode))
            key = derived_key(draft.caller, draft.mode, draft.twin, before.twins)
            marks = None if sending is None else sending()
            lease = self._leases.lease(owner, lease_seconds)
            entry = rows.insert(connection, draft, key, now, zinc_at=zinc_at, lease=lease, sending=marks, its_id=its_id)
            marked.append((entry, "waiting"))
        self.file.wrote(entry.id)
        return entry

    def changes_of(self, order_id: str, caller: str, mode: Mode) -> list[Entry]:
        """List a caller's changes of an order, newest first."""
        with self._reading() as connection:
            return _of_order(connection, order_id, caller, mode)

    def unsettled_changes(self, mode: Mode | None = None) -> list[Entry]:
        """List the changes of all callers that wait for an answer or are in doubt, oldest first."""
        query = sa.select(ENTRIES).where(UNFINISHED, ANY_MODE, IS_CHANGE)
        query = query if mode is None else query.where(ENTRIES.c.mode == mode)
        with self._reading() as connection:
            return entries_of(connection, query.order_by(ENTRIES.c.id).limit(MOST_CHANGES))

    def find_change(self, key: str, *, caller: str | None = None) -> Entry | None:
        """Find a change by its key; the newest when several match."""
        query = sa.select(ENTRIES).where(ENTRIES.c.key == key, IS_CHANGE)
        query = query if caller is None else query.where(ENTRIES.c.caller == caller)
        with self._reading() as connection:
            row = connection.execute(query.order_by(ENTRIES.c.id.desc()).limit(1)).first()
        return None if row is None else entry_of(row)


def _of_order(connection: sa.Connection, order_id: str, caller: str, mode: Mode) -> list[Entry]:
    return entries_of(connection, _OF_ORDER, {"order_id": order_id, "caller": caller, "mode": mode})
