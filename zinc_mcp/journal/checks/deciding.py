"""The content of a journal that decides, beside an entry itself, whether the entry is approved or sent."""

from collections.abc import Mapping
from typing import NamedTuple

import sqlalchemy as sa

from zinc_mcp.journal.checks import published
from zinc_mcp.journal.records.decision import Admission, pause_of
from zinc_mcp.journal.records.entry import CHANGES, Entry, Limits
from zinc_mcp.journal.records.known import KeptCaller
from zinc_mcp.journal.storage import rows
from zinc_mcp.journal.storage.statements import ask_ahead, first
from zinc_mcp.journal.storage.tables import MEMBERS, META

# Built once: building a query takes longer than SQLite does to answer it.
_DECIDING = sa.select(
    sa.select(META.c.value)
    .where(sa.or_(META.c.name == sa.literal_column("'paused'"), META.c.name == sa.bindparam("own")))
    .order_by(META.c.name)
    .limit(1)
    .scalar_subquery(),
    *(
        sa.select(META.c.value).where(META.c.name == sa.literal_column(f"'{name}'")).scalar_subquery()
        for name in (published.POLICY, rows.MEMBERS_REVISION)
    ),
    *(
        sa.select(column).where(MEMBERS.c.caller == sa.bindparam(name)).scalar_subquery()
        for name, column in (("caller", MEMBERS.c.mark), ("caller", MEMBERS.c.kept), ("by", MEMBERS.c.mark))
    ),
)


class Deciding(NamedTuple):
    """The content that is read in one statement before an entry is approved or sent."""

    paused: str | None
    """The reason of a pause of everything, or of the entry's caller on its rail."""
    policy: str | None
    """The digest of the published policy."""
    caller: KeptCaller
    """The member whose entry it is."""
    by: str | None
    """The mark of the member who answers (`records.known`); None: they are no member in this journal."""


def read(connection: sa.Connection, entry: Entry, by: str | None = None) -> Deciding:
    """Return the content that decides about an entry; `by` is the caller who answers, if that is another one."""
    row = first(connection, _DECIDING, _given(entry, by))
    if row is None:
        raise AssertionError  # it is one row of single values
    paused, policy, revision, mark, record, by_mark = row
    return Deciding(paused, policy, KeptCaller(mark, record, revision is not None), by_mark)


def ask_to_read(connection: sa.Connection, entry: Entry, by: str | None = None) -> None:
    """Ask ahead for what `read` will return."""
    ask_ahead(connection, _DECIDING, _given(entry, by))


def admit(connection: sa.Connection, entry: Entry, admission: Admission, found: Deciding) -> Limits:
    """Check the caller of an entry, and the entry against the whole policy of this process; return its limits.

    The policy has to be the published one.

    Raises:
        AnotherServerError: this process has another policy, or does not know the team's members. The entry may be
            admitted by another server.
        RefusedError: the caller may not order any more, or the policy does not allow the entry any more.
        NarrowLockError: as `published.check`.
    """
    admission.check_caller(entry.caller, found.caller)
    if entry.kind in CHANGES:  # it buys nothing
        return admission.admit(entry, lambda: rows.addresses(connection))
    published.check(connection, admission.own_policy(), found.policy)
    limits = admission.admit(entry, lambda: rows.addresses(connection))
    published.check(connection, admission.own_policy(), found.policy)  # the settings may have changed in between
    return limits


def _given(entry: Entry, by: str | None) -> Mapping[str, str]:
    # A pause of one caller on one rail is about money that was charged: a return or a report may be the answer to it.
    own = "paused" if entry.kind in CHANGES else pause_of(entry.caller, entry.mode, entry.rail)
    return {"own": own, "caller": entry.caller, "by": by or entry.caller}
