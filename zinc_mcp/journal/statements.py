"""Statements that are built once and run often, on SQLite by the driver itself."""

import sqlite3
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol, cast

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.selectable import ExecutableReturnsRows

Values = Mapping[str, Any]
"""What a statement is given, by the names of its parameters."""

# One advisory lock for one journal; the number only has to be ours.
_SERIAL = sa.select(sa.func.pg_advisory_xact_lock(0x7A696E63))


def begin_writing(connection: sa.Connection, *, serial: bool = True) -> None:
    """Make a transaction one that writes, and with `serial` the only one that opens entries.

    pysqlite opens transactions late and on its own terms; ours begin with the write lock, which is everybody's
    (SQLAlchemy, "Serializable isolation / Savepoints / Transactional DDL").
    """
    if connection.dialect.name == "sqlite":
        _driver(connection).execute("BEGIN IMMEDIATE")
    elif serial:
        connection.execute(_SERIAL)


class Done(Protocol):
    """What a statement has done: an open cursor."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:
        """Return the next row, or None when there is none."""
        ...


def execute(connection: sa.Connection, statement: ExecutableReturnsRows, given: Values) -> Done:
    """Run a statement that was built once, with these values.

    On SQLite in the driver's words: a statement of a placing call then takes a quarter of the time, which went into
    finding the same words again. Not for `IN` and types that the driver does not know.
    """
    if connection.dialect.name != "sqlite":
        return cast(Done, connection.execute(statement, given))
    text, always = spelled(statement, frozenset(given) if isinstance(statement, sa.Insert) else None)
    return _driver(connection).execute(text, {**always, **given})


@cache
def spelled(statement: ExecutableReturnsRows, columns: frozenset[str] | None = None) -> tuple[str, Values]:
    """Return a statement in SQLite's words, and the values that belong to it whoever runs it.

    `columns` are those that an insertion has values for.
    """
    names = None if columns is None else sorted(columns)
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"), column_keys=names)
    return str(compiled), {name: value for name, value in compiled.params.items() if value is not None}


def _driver(connection: sa.Connection) -> sqlite3.Connection:
    return cast(sqlite3.Connection, connection.connection.driver_connection)
