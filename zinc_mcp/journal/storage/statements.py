"""The statements that run most often, on either database at the least cost.

On SQLite a statement runs at once. On PostgreSQL those of a transaction wait until one of them has to be answered, and
are sent together (`postgresql.Together`).
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.sql.selectable import ExecutableReturnsRows

from zinc_mcp.journal.storage import postgresql, sqlite
from zinc_mcp.journal.storage.postgresql import Asked, Read, Row, Values

_ZINC = 0x7A696E63
"""Begins all advisory locks of a journal: "zinc" in ASCII."""
_HELD = "zinc_mcp_lock"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock on PostgreSQL that keeps other processes from writing. On SQLite one process writes at a time in any case.

    Twins, keys, questions and most limits are a caller's own, so a lock of one caller does not stop the others. A
    transaction about several callers needs `WHOLE`, which is also the lock of earlier versions. Limits over several
    callers are counted only where `must_be_alone` finds `WHOLE` held, and `locked` chooses the lock.
    """

    statements: tuple[tuple[str, Values | None], ...]


_SHARED = (f"SELECT pg_advisory_xact_lock_shared({_ZINC})", None)
WHOLE = Lock(((f"SELECT pg_advisory_xact_lock({_ZINC})", None),))
"""The lock under which nobody else opens, sends or decides anything."""
NO_LOCK = Lock(())
"""No lock, for a change that names the version of the entry that it changes, and depends on nothing else."""


def of_caller(caller: str) -> Lock:
    """Return the lock under which entries of one caller are opened, sent and decided about."""
    own = "SELECT pg_advisory_xact_lock(%(zinc)s::int, hashtext(%(caller)s::text))"
    return Lock((_SHARED, (own, {"zinc": _ZINC, "caller": caller})))


def of_entry(entry_id: int) -> Lock:
    """Return the lock of the caller of an entry; without such an entry there is nothing to lock."""
    own = "SELECT pg_advisory_xact_lock(%(zinc)s::int, hashtext(caller::text)) FROM zinc_entries WHERE id = %(id)s"
    return Lock((_SHARED, (own, {"zinc": _ZINC, "id": entry_id})))


class NarrowLockError(Exception):
    """Limits over several callers were to be checked under a lock of one of them. It never leaves the journal."""


def locked(narrow: Lock, work: Callable[[Lock], T], *, is_shared: bool) -> T:
    """Do some work under the lock of one caller, or under `WHOLE` where it checks limits over several.

    Args:
        narrow: the lock of the caller.
        work: does it in a transaction of its own, under the lock it is given.
        is_shared: whether the policy has such limits, as far as it was read. If another policy holds once the lock is
            taken, the work is done again under `WHOLE`.
    """
    if not is_shared:
        try:
            return work(narrow)
        except NarrowLockError:
            pass
    return work(WHOLE)


def must_be_alone(connection: sa.Connection) -> None:
    """Check that the transaction holds `WHOLE`, on either database.

    Raises:
        NarrowLockError: others may open entries meanwhile, or it may only read.
    """
    if connection.info.get(_HELD) is not WHOLE:
        raise NarrowLockError


@contextmanager
def transaction(connection: sa.Connection, lock: Lock = WHOLE) -> Generator[None]:
    """Begin a transaction that writes, under a lock; commit it at the end."""
    connection.info[_HELD] = lock
    try:
        if is_sqlite(connection):
            sqlite.begin_writing(connection)
            yield
            return
        with postgresql.transaction(connection) as together:
            for text, given in lock.statements:
                together.ask(text, given)
            yield
    finally:
        if not connection.invalidated:
            connection.info.pop(_HELD, None)


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


def ask_ahead(connection: sa.Connection, statement: ExecutableReturnsRows, given: Values) -> None:
    """Ask on PostgreSQL for rows for which `ask` will be called later in a transaction, so that they come together."""
    if not is_sqlite(connection):
        postgresql.ask_ahead(connection, statement, given)


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
