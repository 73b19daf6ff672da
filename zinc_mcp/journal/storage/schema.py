"""The journal's schema: made where there is none, and brought up to date where an older version made it.

Programs of the version before (`tables.BESIDE`) go on using a journal that this version has opened: opening it takes
only the steps that they need not know (`ADDING`). All other steps after that version are taken by `finish`, at the
owner's word, and from then on programs of the version before refuse the journal. Each of the two is one transaction: a
process that dies in the middle has changed nothing, and of several processes that open a journal one alone changes it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn

from zinc_mcp.errors import JournalError
from zinc_mcp.journal.records.entry import FOREVER
from zinc_mcp.journal.storage import notifying, tables, totals
from zinc_mcp.journal.storage.purge import forget_again
from zinc_mcp.journal.storage.server.connecting import check_encoding
from zinc_mcp.journal.storage.statements import is_sqlite, transaction
from zinc_mcp.journal.storage.tables import (
    BESIDE,
    ENTRIES,
    EVENTS,
    META,
    NEAR_TWINS,
    SCHEMA_VERSION,
    TABLES,
)
from zinc_mcp.journal.storage.version import half_made, newer, version_in

RENEWED = 2000
"""The number of the newest entries that get a new digest: far more than one window holds."""
_SLICE = 1000
_ADDED = "added"
_KEPT = sa.select(META.c.name, META.c.value).where(META.c.name.in_(["schema", _ADDED]))


@dataclass(frozen=True, slots=True)
class Kept:
    """The version of a journal's schema, as the journal states it."""

    schema: int
    """The version that a program must at least have to use it."""
    added: int
    """The version up to which all steps that only add are taken."""


def create(engine: sa.Engine, now: float) -> None:
    """Create the tables where there are none, and bring those of an older version up to date.

    A journal to which nothing has to be added is only read, so that opening it waits for no other process that writes.

    Raises:
        JournalError: a newer version made them, they are not all there, they are not ours, or a database on a server
            does not keep every text.
    """
    with engine.connect() as connection:
        if not is_sqlite(connection):
            check_encoding(connection)
        if not _is_new(connection) and _is_prepared(kept(connection)):
            _check_whole(connection)
            return
    with engine.begin() as connection, transaction(connection):
        if _is_new(connection):
            TABLES.create_all(connection, checkfirst=False)  # none of them is there: this has just been looked at
            totals.create(connection)
            notifying.create(connection)
            connection.execute(
                sa.insert(META),
                [{"name": "schema", "value": str(SCHEMA_VERSION)}, {"name": "created_at", "value": repr(now)}],
            )
        found = kept(connection)
        if not _is_prepared(found):
            _take(connection, found, BESIDE)
        _check_whole(connection)


def finish(connection: sa.Connection) -> None:
    """Take all steps that are left, and let no program of an earlier version use the journal any more.

    The connection is in a transaction that writes under `statements.WHOLE`.
    """
    _take(connection, kept(connection), SCHEMA_VERSION)


def steps_left(found: Kept) -> list[int]:
    """Return the steps that `finish` would take: those for which programs of the version before must have ended."""
    return _due(found, SCHEMA_VERSION)


def check_readable(engine: sa.Engine) -> None:
    """Check that a journal which can only be read is one that this version reads.

    Raises:
        JournalError: it is not; an older one cannot be brought up to date where nothing can be written.
    """
    with engine.connect() as connection:
        if _is_new(connection):
            raise JournalError("There is no journal yet, and none can be made here.")
        if not _is_prepared(kept(connection)):
            raise JournalError(
                "The journal was written by an older version of zinc-mcp and cannot be brought up to date, since it "
                "can only be read.",
                "Tell the user to make the journal's folder and file writable, or to read a copy of them.",
                owner_step="Make the journal's folder and file writable, or read a copy of them.",
            )
        _check_whole(connection)


def kept(connection: sa.Connection) -> Kept:
    """Return the version of its schema that a journal states.

    Raises:
        JournalError: only a newer version may use it, or it does not say so.
    """
    found = {str(row.name): row.value for row in connection.execute(_KEPT).all()}
    schema = version_in(found.get("schema"))
    if schema > SCHEMA_VERSION:
        raise newer()
    return Kept(schema, max(schema, version_in(found[_ADDED])) if _ADDED in found else schema)


def _is_prepared(found: Kept) -> bool:
    return found.schema >= BESIDE and found.added >= SCHEMA_VERSION


def _due(found: Kept, closed: int) -> list[int]:
    """Return the steps to take so that only programs of the version `closed`, and later ones, may use a journal."""
    versions = range(found.schema + 1, SCHEMA_VERSION + 1)
    return [each for each in versions if (each > found.added if each in ADDING else each <= closed)]


def _take(connection: sa.Connection, found: Kept, closed: int) -> None:
    if found.schema < closed and not is_sqlite(connection):
        # Every transaction that writes reads this table first. So all that have found the version of before are over.
        connection.exec_driver_sql(f"LOCK TABLE {META.name} IN ACCESS EXCLUSIVE MODE")
    for version in _due(found, closed):
        _MIGRATIONS[version](connection)
    numbers = {"schema": max(found.schema, closed), _ADDED: max(found.added, SCHEMA_VERSION)}
    connection.execute(sa.delete(META).where(META.c.name.in_(numbers)))
    connection.execute(sa.insert(META), [{"name": name, "value": str(number)} for name, number in numbers.items()])


def _is_new(connection: sa.Connection) -> bool:
    there = set(sa.inspect(connection).get_table_names())
    if META.name in there:
        return False
    if there & TABLES.tables.keys():
        raise half_made()
    if there and connection.dialect.name == "sqlite":
        raise JournalError(
            "The journal's file is a database of another program, so it is not touched.",
            "Tell the user to point ZINC_MCP_JOURNAL or ZINC_MCP_HOME at a place of its own.",
            owner_step="Point ZINC_MCP_JOURNAL or ZINC_MCP_HOME at a place of its own.",
        )
    return True


def _check_whole(connection: sa.Connection) -> None:
    inspector = sa.inspect(connection)
    if not TABLES.tables.keys() <= set(inspector.get_table_names()):
        raise half_made()
    for table in (ENTRIES, EVENTS):
        if not set(table.c.keys()) <= {column["name"] for column in inspector.get_columns(table.name)}:
            raise half_made()


def _add_payments(connection: sa.Connection) -> None:
    """Version 2: payments by wallet, and the state in which a wallet is asked."""
    tables.PAYMENTS.create(connection)
    tables.UNFINISHED_INDEX.drop(connection)
    tables.UNFINISHED_INDEX.create(connection)


def _add_addresses(connection: sa.Connection) -> None:
    """Version 3: addresses that the owner saved."""
    tables.ADDRESSES.create(connection)


def _add_steady_leases(connection: sa.Connection) -> None:
    """Version 4: leases by the machine's own clock, which cannot be set."""
    for name in ("lease_boot", "lease_taken", "lease_seconds"):
        _add_column(connection, name)


def _add_questions_and_proofs(connection: sa.Connection) -> None:
    """Version 5: kinds of entries, near twins, money by proof, Zinc's own time, and PINs with a count of wrong ones."""
    for name in ("kind", "authorised_cents", "refunded_cents", "zinc_at", "sender"):
        _add_column(connection, name)
    tables.UNPROVED_INDEX.create(connection)
    agents = sa.select(ENTRIES.c.id, ENTRIES.c.facts).where(ENTRIES.c.rail == "agent")
    for entry_id, facts in connection.execute(agents).all():
        try:
            authorised = json.loads(facts)["payment"]["authorised_cents"]
        except (ValueError, TypeError, KeyError):  # nothing was, or it cannot be read
            continue
        if type(authorised) is int:
            known = {"authorised_cents": authorised}
            connection.execute(sa.update(ENTRIES).where(ENTRIES.c.id == entry_id).values(known))
    NEAR_TWINS.create(connection)
    tables.PINS.create(connection)


def _renew_twins(connection: sa.Connection) -> None:
    """Versions 6, 8, 10 and 14: products and places are compared by other rules, so that orders get today's digests.

    This is done for all that are in doubt and for the newest ones: else a twin of an order from before the upgrade
    would not be noticed within its window.
    """
    from zinc_mcp.journal.records.twin import digests_of_body  # only here: the rules are not needed to open a journal

    columns = (ENTRIES.c.id, ENTRIES.c.caller, ENTRIES.c.mode, ENTRIES.c.body)
    newest = sa.select(*columns).order_by(ENTRIES.c.id.desc()).limit(RENEWED)
    in_doubt = sa.select(*columns).where(ENTRIES.c.state.in_(FOREVER))
    twins: list[dict[str, Any]] = []
    near_twins: list[dict[str, Any]] = []
    for row in {row.id: row for query in (newest, in_doubt) for row in connection.execute(query).all()}.values():
        digests = digests_of_body(row.caller, row.mode, row.body) if row.body is not None else None
        if digests is not None:
            twin, near = digests
            twins.append({"this_id": row.id, "new_twin": twin})
            near_twins += [{"digest": digest, "entry_id": row.id} for digest in near]
    if not twins:
        return
    renewed = sa.update(ENTRIES).where(ENTRIES.c.id == sa.bindparam("this_id"))
    connection.execute(renewed.values(twin=sa.bindparam("new_twin")), twins)
    for first in range(0, len(twins), _SLICE):  # each goes through the whole table, which is ordered by digests
        ids = [twin["this_id"] for twin in twins[first : first + _SLICE]]
        connection.execute(sa.delete(NEAR_TWINS).where(NEAR_TWINS.c.entry_id.in_(ids)))
    connection.execute(sa.insert(NEAR_TWINS), near_twins)


def _add_indices_and_forget(connection: sa.Connection) -> None:
    """Version 7: indices of the lists and of what may be forgotten; what earlier purges have left behind goes."""
    tables.LISTED_INDEX.create(connection)
    tables.FORGETTABLE_INDEX.create(connection)
    forget_again(connection)


def _add_visits(connection: sa.Connection) -> None:
    """Version 11: the members' visits to the approval page."""
    tables.VISITS.create(connection, checkfirst=True)


def _add_news(connection: sa.Connection) -> None:
    """Version 12: an index of the look-ups that count, and news of changes. Version 13 makes its totals."""
    if sa.inspect(connection).has_table(totals.TOTALS.name):
        return  # they are there, whatever the version says
    tables.LOOK_UPS_INDEX.create(connection)
    notifying.create(connection)


def _add_roles_and_totals(connection: sa.Connection) -> None:
    """Version 13: the role that a caller had, and running totals for the limits, by caller and role."""
    inspector = sa.inspect(connection)
    if "role" not in {column["name"] for column in inspector.get_columns(ENTRIES.name)}:
        _add_column(connection, "role")
    if inspector.has_table(totals.TOTALS.name):
        if "role" in {column["name"] for column in inspector.get_columns(totals.TOTALS.name)}:
            return  # they keep themselves, whatever the version says
        totals.drop(connection)
    totals.TOTALS.create(connection)
    totals.create(connection)


def _add_writers(connection: sa.Connection) -> None:
    """Version 15: which version of this program wrote an event, so that `finish` knows of earlier ones that still do.

    A program of an earlier version leaves it out.
    """
    if "writer" not in {column["name"] for column in sa.inspect(connection).get_columns(EVENTS.name)}:
        _add_column(connection, "writer", EVENTS)


def _add_members(connection: sa.Connection) -> None:
    """Version 16: the members of a team on PostgreSQL. Programs of the version before read them from their file."""
    tables.MEMBERS.create(connection, checkfirst=True)


def _add_column(connection: sa.Connection, name: str, table: sa.Table = ENTRIES) -> None:
    definition = CreateColumn(table.c[name]).compile(dialect=connection.dialect)
    connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {definition}"))


_MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {
    2: _add_payments,
    3: _add_addresses,
    4: _add_steady_leases,
    5: _add_questions_and_proofs,
    6: _renew_twins,
    7: _add_indices_and_forget,
    8: _renew_twins,
    9: forget_again,  # what purges of earlier versions have left of payments
    10: _renew_twins,
    11: _add_visits,
    12: _add_news,
    13: _add_roles_and_totals,
    14: _renew_twins,
    15: _add_writers,
    16: _add_members,
}
ADDING = frozenset({15, 16})
"""The steps after version 14 that only add, so that programs of the version before go on beside them: a table, an index
that is not unique, or a column that may be NULL or has a default. They are taken as soon as a journal is opened, so
that none builds on a step that is taken later (CONTRIBUTING.md, "A new version of the journal")."""
TWINS_RENEWED_AT = max(version for version, migrate in _MIGRATIONS.items() if migrate is _renew_twins)
"""The newest version whose journals got digests by today's folding: a folding that changes needs a newer one."""
