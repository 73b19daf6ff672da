"""Looks at one entry: their queries, and the readers that do not wait for the journal's threads.

The readers answer `get_order` and the check of an answer (`bench/get_order.py`, `bench/many_callers.py`).
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import sqlalchemy as sa

from zinc_mcp.errors import JournalError
from zinc_mcp.journal.records.entry import Entry, Mode
from zinc_mcp.journal.storage.sqlite import connection_to, spelled
from zinc_mcp.journal.storage.tables import ENTRIES, IS_CHANGE, IS_ORDER, entry_of

T = TypeVar("T")

# Built once: building a query takes longer than SQLite does to answer it.
_ONE = sa.select(ENTRIES).where(ENTRIES.c.id == sa.bindparam("id"))
_ONE_TO_CHANGE = _ONE.with_for_update()
_NAMED: sa.BindParameter[str] = sa.bindparam("handle", type_=sa.String())
_FOLDED: sa.BindParameter[str] = sa.bindparam("folded", type_=sa.String())


class NothingSeenError(Exception):
    """The journal could not be read just now. Its own threads can wait for it, and say what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Look(Generic[T]):
    """A query for one row, its values, and the function that reads the row; it gets None if there is no row."""

    query: sa.Select[Any]
    given: Mapping[str, Any]
    told: Callable[[Sequence[Any] | None], T]


class Looks:
    """The looks that need no thread of the journal."""

    @staticmethod
    def find(handle: str, *, caller: str | None = None, mode: Mode | None = None) -> Look[Entry | None]:
        """See `Journal.find`."""
        return Look(*found(handle, caller, mode), _entry_or_none)

    @staticmethod
    def find_with_changes(handle: str, caller: str) -> Look[tuple[Entry | None, bool]]:
        """Find a caller's entry as `find` does, and say whether the caller has changed its order, or wanted to."""
        return Look(*found_with_changes(handle, caller), _with_changes)

    @staticmethod
    def has_changes(order_id: str, caller: str, mode: Mode) -> Look[bool]:
        """Say whether a caller has changed an order, or wanted to."""
        return Look(*any_change(order_id, caller, mode), _is_there)

    @staticmethod
    def read(entry_id: int) -> Look[Entry]:
        """See `Journal.read`."""
        return Look(*one(entry_id), _entry)


def _entry_or_none(row: Sequence[Any] | None) -> Entry | None:
    return None if row is None else entry_of(row)


def _entry(row: Sequence[Any] | None) -> Entry:
    if row is None:
        raise JournalError("The journal failed: it does not hold this entry.")
    return entry_of(row)


def _with_changes(row: Sequence[Any] | None) -> tuple[Entry | None, bool]:
    return (None, False) if row is None else (entry_of(row[:-1]), bool(row[-1]))


def _is_there(row: Sequence[Any] | None) -> bool:
    return row is not None


class Reader(Protocol):
    """Looks entries up on connections of its own."""

    async def see(self, look: Look[T]) -> T:
        """Return what a look tells.

        Raises:
            NothingSeenError: the journal could not be read just now.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class FileReader:
    """Looks entries up on a connection that only reads and never waits. Used by one thread at a time.

    A look-up takes microseconds. A turn of the journal's thread takes a good part of a millisecond, and under load many
    milliseconds. SQLite lets one read while another writes (WAL), and shows the state of the last commit.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def opened(cls, engine: sa.Engine) -> Self | None:
        """Return a reader of an engine's file, or None if there is no file on this machine or it cannot be opened."""
        path = Path(engine.url.database or "")
        if not path.is_file():
            return None
        with suppress(sqlite3.Error):
            return cls(connection_to(path, "mode=ro", 0))
        return None

    async def see(self, look: Look[T]) -> T:
        """See `Reader.see`."""
        words = spelled(look.query)
        values = {**words.always, **look.given}
        try:
            # All rows: a statement that is not read to its end keeps the log from being written into the file.
            rows = self._connection.execute(words.text, [values[name] for name in words.names]).fetchall()
        except (sqlite3.Error, ValueError) as error:
            raise NothingSeenError from error
        return look.told(rows[0] if rows else None)

    async def aclose(self) -> None:
        """See `Reader.aclose`."""
        self._connection.close()


def one(entry_id: int, *, to_change: bool = False) -> tuple[sa.Select[Any], Mapping[str, Any]]:
    """Return the query for one entry and its values; `to_change` locks the row, so that nobody else changes it."""
    return (_ONE_TO_CHANGE if to_change else _ONE), {"id": entry_id}


def found(handle: str, caller: str | None, mode: Mode | None) -> tuple[sa.Select[Any], Mapping[str, Any]]:
    """Return the query for the entry with this order id, otherwise for the newest with this key, and its values."""
    asked = {"handle": handle, "folded": handle.lower(), "caller": caller, "mode": mode}
    given = {name: value for name, value in asked.items() if value is not None}
    return _found(frozenset(given)), given


@cache
def _found(given: frozenset[str]) -> sa.Select[Any]:
    # Zinc's ids are UUIDs, which are compared without case.
    is_its_id = sa.or_(ENTRIES.c.order_id == _NAMED, ENTRIES.c.order_id == _FOLDED)
    query = sa.select(ENTRIES).where(sa.or_(ENTRIES.c.key == _NAMED, is_its_id), IS_ORDER)
    for name in sorted(given - {"handle", "folded"}):
        query = query.where(ENTRIES.c[name] == sa.bindparam(name))
    by_its_id = sa.case((is_its_id, 0), else_=1)
    return query.order_by(by_its_id, ENTRIES.c.id.desc()).limit(1)


_ANY_CHANGE = (
    sa.select(ENTRIES.c.id)
    .where(*(ENTRIES.c[name] == sa.bindparam(name) for name in ("order_id", "caller", "mode")), IS_CHANGE)
    .limit(1)
)


def any_change(order_id: str, caller: str, mode: Mode) -> tuple[sa.Select[Any], Mapping[str, Any]]:
    """Return the query for one change of an order, and its values."""
    return _ANY_CHANGE, {"order_id": order_id, "caller": caller, "mode": mode}


_CHANGE = ENTRIES.alias("a_change")
_IS_CHANGED = (
    sa.exists()
    .where(*(_CHANGE.c[name] == ENTRIES.c[name] for name in ("order_id", "caller", "mode")))
    .where(_CHANGE.c.kind.in_([sa.literal_column("'return'"), sa.literal_column("'case'")]))
    .correlate(ENTRIES)
)
_FOUND_WITH_CHANGES = _found(frozenset({"handle", "folded", "caller"})).add_columns(_IS_CHANGED)


def found_with_changes(handle: str, caller: str) -> tuple[sa.Select[Any], Mapping[str, Any]]:
    """Return the query of `found`, with one more column: whether its caller has changed the order."""
    return _FOUND_WITH_CHANGES, {"handle": handle, "folded": handle.lower(), "caller": caller}
