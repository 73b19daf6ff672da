"""Entries as rows hold them: checked as they are read, and left out of lists where they cannot be read.

Nothing here writes a wrong row. A failing disk, another program or half a backup does, and one such row must not keep
anybody from the others.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast, get_args

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from zinc_mcp.journal.entry import (
    Entry,
    Kind,
    Mode,
    RailName,
    State,
    UnreadableEntryError,
    tell_unreadable,
)
from zinc_mcp.journal.tables import ENTRIES

T = TypeVar("T")

_JSON = ("facts", "consent", "problem")
_COLUMNS = tuple(ENTRIES.c.keys())
_WORDS: Mapping[str, frozenset[str]] = {
    "state": frozenset(get_args(State)),
    "mode": frozenset(get_args(Mode)),
    "rail": frozenset(get_args(RailName)),
    "kind": frozenset(get_args(Kind)),
}
_TIMES = tuple(column.name for column in ENTRIES.c if isinstance(column.type, sa.Double))
MOST_SECONDS = 250_000_000_000.0
"""In the year 9892: no later time can be printed."""
_TYPES = {
    column.name: (float, int) if isinstance(column.type, sa.Double) else (column.type.python_type,)
    for column in ENTRIES.c
}
_NESTED: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "facts": {"ship_to": dict, "items": list, "payment": dict, "product": dict},
    "consent": {
        "how": str,
        "id": str,
        "digest": str,
        "question": dict,
        "noted": dict,
        "decision": dict,
        "until": (int, float),
        "zinc_until": (int, float),
    },
    "problem": {"code": str, "summary": str, "facts": dict},
}
"""What is found in the columns of JSON where anything is; `None` may stand for any of it."""

_MOST_SHAPES = 1000
_seen_shapes: set[tuple[type, ...]] = set()
"""Which types the columns of a row had that was in order: looking at each again would take longer than reading it."""


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
    values = dict(zip(_COLUMNS, row, strict=True))
    for name, words in _WORDS.items():
        if values[name] not in words:
            raise UnreadableEntryError(values["id"], name)
    for name in _TIMES:
        at = values[name]
        if at is not None and not -MOST_SECONDS < at < MOST_SECONDS:
            raise UnreadableEntryError(values["id"], name)
    for name in _JSON:
        if values[name] is not None:
            values[name] = _nested(values["id"], name, values[name])
    return Entry(**values)


def entries_of(connection: sa.Connection, query: sa.Select[Any], given: Mapping[str, Any] | None = None) -> list[Entry]:
    """Return the entries that a query selects, all columns of each; those that cannot be read are logged and left out.

    The query must be bounded: its rows are read at once.
    """
    return rows_of(connection, query, given, (ENTRIES.c.id,), entry_of)


def page_of(
    connection: sa.Connection, query: sa.Select[Any], given: Mapping[str, Any], limit: int
) -> tuple[list[Entry], int | None]:
    """Return the first `limit` rows' entries, and the id of the last row; None where there is no further row.

    A row that cannot be read counts as one, so that it never stands in the way of those after it.
    """
    ids: list[int] = []

    def read(row: Sequence[Any]) -> Entry:
        ids.append(row[0])
        return entry_of(row)

    entries = rows_of(connection, query.limit(limit), given, (ENTRIES.c.id,), read, lambda name: ids.append(name[0]))
    return entries, max(ids) if len(ids) == limit else None


def rows_of(
    connection: sa.Connection,
    query: sa.Select[Any],
    given: Mapping[str, Any] | None,
    key: Sequence[sa.Column[Any]],
    read: Callable[[Any], T],
    failed: Callable[[Sequence[Any]], None] = lambda name: None,
) -> list[T]:
    """Return what `read` makes of each row of a query; rows that cannot be read are logged and left out.

    `key` are the columns that name one row of it; `failed` is called with those of a row that the database cannot read.
    """
    table, told = str(getattr(key[0].table, "name", "")), connection.info.setdefault("told_unreadable", set[object]())
    try:
        found: Sequence[Any] = connection.execute(query, given or {}).fetchall()
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
    items = parts.get("items") if column == "facts" else None
    if not all(isinstance(item, dict) for item in cast(list[object], items or [])):
        raise UnreadableEntryError(entry_id, "facts, items")
    return parts
