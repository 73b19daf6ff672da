"""The statements of a journal's hot roads, run on either database at the least cost.

On SQLite a statement runs at once. On PostgreSQL those of a transaction wait until one of them has to be answered, and
are sent together (`postgresql.Together`).
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.sql.selectable import ExecutableReturnsRows

from zinc_mcp.journal.storage import postgresql, sqlite
from zinc_mcp.journal.storage.postgresql import Asked, Read, Row, Values

_SERIAL = f"SELECT pg_advisory_xact_lock({0x7A696E63})"
"""One advisory lock for one journal; the number is "zinc" in ASCII."""


@contextmanager
def transaction(connection: sa.Connection, *, serial: bool = True) -> Generator[None]:
    """Begin a transaction that writes, and with `serial` is the only one that opens entries; commit it at the end."""
    if is_sqlite(connection):
        sqlite.begin_writing(connection)
        yield
        return
    with postgresql.transaction(connection) as together:
        if serial:
            together.ask(_SERIAL, None)
        yield


def ask(
    connection: sa.Connection,
    statement: ExecutableReturnsRows,
    given: Values,
    check: Callable[[Sequence[Row]], None] | None = None,
) -> Asked:
    """Ask for rows that are needed later; `check` gets them first, and may raise."""
    if not is_sqlite(connection):
        return postgresql.ask(connection, statement, given, check)
    found = sqlite.execute(connection, statement, given).fetchall()
    if check is not None:
        check(found)
    return Read(found)


def write(
    connection: sa.Connection,
    statement: sa.UpdateBase,
    given: Values,
    otherwise: Callable[[sa.Connection], None] | None = None,
) -> None:
    """Change something; `otherwise` is called where no row was changed, and has to raise.

    On PostgreSQL this may be known only at the end of the transaction, which is undone before the call.
    """
    if not is_sqlite(connection):
        postgresql.write(connection, statement, given, otherwise)
    elif sqlite.execute(connection, statement, given).rowcount == 0 and otherwise is not None:
        otherwise(connection)


def first(connection: sa.Connection, statement: ExecutableReturnsRows, given: Values) -> Row | None:
    """Return the first row of a statement, or None."""
    found = ask(connection, statement, given).rows()
    return found[0] if found else None


def is_sqlite(connection: sa.Connection) -> bool:
    """Say whether a connection leads to a journal on SQLite."""
    return connection.dialect.name == "sqlite"
