"""The journal's tables, the version of their schema, and rows of entries, checked as they are read.

No version of this program writes a wrong row. A failing disk, another program or half a backup does, and one such row
must not keep anybody from the others: lists log it and leave it out.
"""

import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, cast, get_args

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from zinc_mcp.journal.records.entry import Entry, Kind, Mode, State, UnreadableEntryError, tell_unreadable
from zinc_mcp.journal.storage.statements import ask, is_sqlite
from zinc_mcp.known_settings import ROLES, RailName

SCHEMA_VERSION = 16
"""The version of the schema that this program reads and writes; `schema` brings journals to it."""
BESIDE = 14
"""The version of the release before, or a later one with which no program of that release can go on. Programs of this
version, and later ones, may use a journal beside us until its owner finishes the upgrade; earlier ones may not."""
MOST_SECONDS = 250_000_000_000.0
"""A time in the year 9892: a later one cannot be printed."""

T = TypeVar("T")

TABLES = sa.MetaData()
SECRET = {"secret": True}
"""Marks the columns whose texts are sealed (`journal.records.sealing`)."""

META = sa.Table(
    "zinc_meta",
    TABLES,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

ENTRIES = sa.Table(
    "zinc_entries",
    TABLES,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(36), nullable=False),
    sa.Column("caller", sa.String(64), nullable=False),
    sa.Column("mode", sa.String(8), nullable=False),
    sa.Column("origin", sa.String(300), nullable=False),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("rail", sa.String(16), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False, server_default="order"),
    sa.Column("twin", sa.String(64), nullable=False),
    sa.Column("body_digest", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("lease_owner", sa.String(64)),
    sa.Column("lease_until", sa.Double),
    sa.Column("lease_boot", sa.String(64)),
    sa.Column("lease_taken", sa.Double),
    sa.Column("lease_seconds", sa.Double),
    sa.Column("sender", sa.String(160)),
    sa.Column("ceiling_cents", sa.BigInteger, nullable=False),
    sa.Column("fee_cents", sa.BigInteger, nullable=False),
    sa.Column("reserved_cents", sa.BigInteger, nullable=False),
    sa.Column("spent_cents", sa.BigInteger),
    sa.Column("counts_cents", sa.BigInteger, nullable=False),
    sa.Column("authorised_cents", sa.BigInteger),
    sa.Column("refunded_cents", sa.BigInteger),
    sa.Column("order_id", sa.String(100)),
    sa.Column("status", sa.String(60)),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("first_sent_at", sa.Double),
    sa.Column("opened_at", sa.Double, nullable=False),
    sa.Column("counted_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("zinc_at", sa.Double),
    sa.Column("seen", sa.String(64)),
    sa.Column("consent", sa.Text),
    sa.Column("problem", sa.Text),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("role", sa.String(8)),
)

EVENTS = sa.Table(
    "zinc_events",
    TABLES,
    sa.Column("entry_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("what", sa.String(80), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("writer", sa.Integer),  # the SCHEMA_VERSION of the program that wrote it; NULL before version 15
)

PAYMENTS = sa.Table(
    "zinc_payments",
    TABLES,
    sa.Column("entry_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("asked_at", sa.Double, nullable=False),
    sa.Column("credential", sa.Text, info=SECRET),
    sa.Column("settle_by", sa.Double),
    sa.Column("recovery", sa.Text, nullable=False),
    sa.Column("order_key", sa.Text, info=SECRET),
)

ADDRESSES = sa.Table(
    "zinc_addresses",
    TABLES,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("fields", sa.Text, nullable=False),
)

NEAR_TWINS = sa.Table(
    "zinc_near_twins",
    TABLES,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("entry_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,  # its key is all of it: one page less in each commit
)

PINS = sa.Table(
    "zinc_pins",
    TABLES,
    sa.Column("caller", sa.String(64), primary_key=True),
    sa.Column("kept", sa.Text),
    sa.Column("ends", sa.Double),
    sa.Column("page_wrong", sa.Integer, nullable=False, server_default="0"),
    sa.Column("page_free_at", sa.Double),
    sa.Column("terminal_wrong", sa.Integer, nullable=False, server_default="0"),
    sa.Column("terminal_free_at", sa.Double),
)

VISITS = sa.Table(
    "zinc_visits",
    TABLES,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("visitor", sa.String(64), nullable=False),
    sa.Column("proof", sa.String(64), nullable=False),
    sa.Column("used_at", sa.Double, nullable=False),
)

MEMBERS = sa.Table(
    "zinc_members",
    TABLES,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("caller", sa.String(64), nullable=False, unique=True),
    sa.Column("mark", sa.String(16), nullable=False),
    sa.Column("kept", sa.Text, nullable=False),
)

_SENT = ENTRIES.c.state.not_in(["refused", "declined"])


# The conditions of partial indices, as the statements that they serve say them: literal text, since SQLite does not use
# such an index where a condition is hidden behind a parameter (SQLite, "Partial Indexes", section 3).
def one_of(column: sa.Column[str], words: Collection[str]) -> sa.ColumnElement[bool]:
    """Return the condition that a column holds one of some words, as literal text."""
    return column.in_([sa.literal_column(f"'{word}'") for word in sorted(words)])


IS_ORDER = ENTRIES.c.kind == sa.literal_column("'order'")
"""Look-ups stand in the same table, and in no list of orders."""
IS_CHANGE = ENTRIES.c.kind.in_([sa.literal_column("'return'"), sa.literal_column("'case'")])
"""The condition that an entry changes a placed order: `entry.CHANGES`."""
IS_LOOK_UP = ENTRIES.c.kind == sa.literal_column("'look_up'")
UNFINISHED = sa.text("state IN ('waiting', 'signing', 'sending', 'unknown', 'accepted')")
"""The condition that a process or a person still has to move an entry on: `entry.OPEN`."""
ANY_MODE = sa.text("mode IN ('live', 'test', 'sandbox')")
"""Lets an index that begins with the mode be searched for all of them."""
COUNTING = sa.text("counts_cents > 0")
"""The condition that an entry takes something from the limits."""
UNPROVED = sa.text(
    "rail = 'agent' AND counts_cents > 0 AND state IN ('failed', 'cancelled', 'rejected', 'paid_no_order')"
)
"""The condition that an entry was paid up front and bought nothing, and that the money is not proved to be back."""
FORGETTABLE = sa.text(
    "body IS NOT NULL AND state IN ('placed', 'failed', 'cancelled', 'rejected', 'refused', 'declined')"
)
"""The condition that an entry is over, that nothing has to be looked up for it any more, and that its body is kept."""


def _index(
    name: str, *columns: str, where: sa.ColumnElement[Any] | sa.TextClause | None = None, unique: bool = False
) -> sa.Index:
    indexed = [ENTRIES.c[column] for column in columns]
    return sa.Index(name, *indexed, unique=unique, sqlite_where=where, postgresql_where=where)


# A key that was refused before anything was sent may be used again: nobody but us has seen it.
_index("zinc_entries_key", "key", "caller", "mode", where=_SENT, unique=True)
_index("zinc_entries_handle", "key")
_index("zinc_entries_order", "order_id")
_index("zinc_entries_twin", "twin", "caller", "mode")
UNPROVED_INDEX = _index("zinc_entries_unproved", "mode", "caller", "counts_cents", where=UNPROVED)
UNFINISHED_INDEX = _index("zinc_entries_unfinished", "mode", "state", where=UNFINISHED)
_index("zinc_entries_counting", "mode", "caller", "counted_at", "counts_cents", where=COUNTING)
LOOK_UPS_INDEX = _index("zinc_entries_look_ups", "mode", "caller", "counted_at", where=sa.and_(IS_LOOK_UP, COUNTING))
LISTED_INDEX = _index("zinc_entries_listed", "mode", "id", where=IS_ORDER)
FORGETTABLE_INDEX = _index("zinc_entries_forgettable", "updated_at", where=FORGETTABLE)

KEPT_VERSION = sa.select(META.c.value).where(META.c.name == sa.literal_column("'schema'"))
KEPT_SCHEMA = KEPT_VERSION.scalar_subquery()
"""The version of the journal's schema, inside another statement: there it costs nothing."""
WRITABLE = tuple(str(version) for version in range(BESIDE, SCHEMA_VERSION + 1))
"""The versions of a journal's schema that this program writes to, as a journal keeps them."""
IS_WRITABLE = sa.exists().where(META.c.name == sa.literal_column("'schema'"), one_of(META.c.value, WRITABLE))
IS_KNOWN = (
    sa.select(MEMBERS.c.mark)
    .where(MEMBERS.c.caller == sa.bindparam("this_caller"))
    .scalar_subquery()
    .is_not_distinct_from(sa.bindparam("this_mark", type_=sa.String()))
)
"""A caller has this mark in the journal, or none there and here: `known.check_known`, as a condition."""

COLUMNS = tuple(sys.intern(str(name)) for name in ENTRIES.c.keys())
"""The names of an entry's columns, as Python has the names of fields. SQLAlchemy's are a subclass of `str`, and a call
with such keywords compares each of them with each parameter."""
_WORDS: Mapping[str, frozenset[str | None]] = {
    "state": frozenset(get_args(State)),
    "mode": frozenset(get_args(Mode)),
    "rail": frozenset(get_args(RailName)),
    "kind": frozenset(get_args(Kind)),
    "role": frozenset({None, *ROLES}),
}
_TIMES = tuple(name for name in COLUMNS if isinstance(ENTRIES.c[name].type, sa.Double))
_TYPES = {
    column.name: (float, int) if isinstance(column.type, sa.Double) else (column.type.python_type,)
    for column in ENTRIES.c
}
_NESTED: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "facts": {
        "ship_to": dict,
        "items": list,
        "payment": dict,
        "product": dict,
        "anchor_salt": str,
        "zinc_id": str,
        "before": list,
    },
    "consent": {
        "how": str,
        "id": str,
        "digest": str,
        "question": dict,
        "noted": dict,
        "decision": dict,
        "until": (int, float),
        "zinc_until": (int, float),
        "second_yes": bool,
    },
    "problem": {"code": str, "summary": str, "facts": dict},
}
"""The types of what the columns of JSON may hold; `None` may stand for each."""
JSON = tuple(_NESTED)

_MOST_SHAPES = 1000
_seen_shapes: set[tuple[type, ...]] = set()
"""The types of the columns of rows that were in order: checking them again would take longer than reading the row."""


def entry_of(row: Sequence[Any]) -> Entry:
    """Return the entry that a row of the entries' table holds, all its columns in the table's order.

    Raises:
        UnreadableEntryError: it holds what no version of this program writes there.
    """
    shape = tuple(map(type, row))
    if shape not in _seen_shapes:
        _check_types(row)
        if len(_seen_shapes) < _MOST_SHAPES:
            _seen_shapes.add(shape)
    values = dict(zip(COLUMNS, row, strict=True))
    for name, words in _WORDS.items():
        if values[name] not in words:
            raise UnreadableEntryError(values["id"], name)
    for name in _TIMES:
        at = values[name]
        if at is not None and not -MOST_SECONDS < at < MOST_SECONDS:
            raise UnreadableEntryError(values["id"], name)
    for name in JSON:
        if values[name] is not None:
            values[name] = _nested(values["id"], name, values[name])
    return Entry(**values)


def entries_of(connection: sa.Connection, query: sa.Select[Any], given: Mapping[str, Any] | None = None) -> list[Entry]:
    """Return the entries that a query selects, all columns of each; those that cannot be read are logged and left out.

    The query must be bounded: its rows are read at once.
    """
    return rows_of(connection, query, given, (ENTRIES.c.id,), entry_of)


def rows_of(
    connection: sa.Connection,
    query: sa.Select[Any],
    given: Mapping[str, Any] | None,
    key: Sequence[sa.Column[Any]],
    read: Callable[[Any], T],
    failed: Callable[[Sequence[Any]], None] = lambda name: None,
) -> list[T]:
    """Return what `read` makes of each row of a query; rows that cannot be read are logged and left out.

    With values `given`, the query was built once. `key` are the columns that name one row of it; `failed` is called
    with those of a row that the database cannot read.
    """
    table, told = str(getattr(key[0].table, "name", "")), connection.info.setdefault("told_unreadable", set[object]())
    try:
        if given is None or is_sqlite(connection):
            found: Sequence[Any] = connection.execute(query, given or {}).fetchall()
        else:
            found = ask(connection, query, given).rows()
    except sa_exc.DBAPIError as error:
        # SQLite reads a row to its end or ends the statement: text that is not UTF-8, or a page that is damaged.
        if not any(word in str(error.orig).lower() for word in ("decode", "malformed")):
            raise
        found = []
        for name in connection.execute(query.with_only_columns(*key), given or {}).fetchall():
            these = [column == value for column, value in zip(key, name, strict=True)]
            try:
                found += connection.execute(sa.select(*query.selected_columns).where(*these)).fetchall()
            except sa_exc.DBAPIError:
                failed(name)
                tell_unreadable(told, table, tuple(name), "the database cannot read it")
    kept: list[T] = []
    for row in found:
        try:
            kept.append(read(row))
        except UnreadableEntryError as error:
            tell_unreadable(told, "zinc_entries", (error.entry_id,), error.column)
        except (ValueError, TypeError, RecursionError) as error:
            tell_unreadable(told, table, tuple(row[: len(key)]), type(error).__name__)
    return kept


def number(found: object) -> float:
    """Return the time that a query over many rows has found; 0.0 if it has found no number."""
    # SQLite puts text above every number: a row whose time cannot be read says nothing about the clock.
    return float(found) if isinstance(found, int | float) else 0.0


def number_or_none(value: object) -> float | None:
    """Return a number of seconds that a column holds, or None where it holds nothing.

    Raises:
        ValueError: it holds something else.
    """
    if value is None:
        return None
    if not isinstance(value, int | float) or not abs(value) < MOST_SECONDS:
        raise ValueError
    return float(value)


def _check_types(row: Sequence[Any]) -> None:
    for column, value in zip(ENTRIES.c, row, strict=True):
        wrong = not column.nullable if value is None else type(value) not in _TYPES[column.name]
        if wrong:
            raise UnreadableEntryError(row[0], column.name)


def _nested(entry_id: int, column: str, text: str) -> dict[str, Any]:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableEntryError(entry_id, column) from None
    if not isinstance(value, dict):
        raise UnreadableEntryError(entry_id, column)
    parts = cast(dict[str, Any], value)
    for name, wanted in _NESTED[column].items():
        part = parts.get(name)
        if part is None:
            continue
        if not isinstance(part, wanted) or (isinstance(part, int | float) and not abs(part) < MOST_SECONDS):
            raise UnreadableEntryError(entry_id, f"{column}, {name}")
    if "digest" in parts and parts.get("id") is None:
        raise UnreadableEntryError(entry_id, f"{column}, id")
    items = cast(list[object], parts.get("items") or []) if column == "facts" else []
    if not all(isinstance(item, dict) for item in items):
        raise UnreadableEntryError(entry_id, "facts, items")
    return parts
