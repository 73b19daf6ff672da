"""A second way into a journal that is a file of this machine: look-ups that do not wait for the journal's thread.

A look-up takes microseconds and a turn of the thread a good part of a millisecond, under load many. SQLite lets one
read while another writes (WAL), and what is read is what was last committed.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from zinc_mcp.journal.entry import Entry, Mode
from zinc_mcp.journal.records import entry_of
from zinc_mcp.journal.rows import found, one
from zinc_mcp.journal.statements import spelled


class NothingSeenError(Exception):
    """The file could not be read just now: the journal's thread can wait for it, and says what is wrong with it."""


class Glance:
    """A connection that only reads and never waits. Used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def opened(cls, engine: sa.Engine) -> Self | None:
        """Return a way into an engine's file, or None when it has none of its own on this machine."""
        path = Path(engine.url.database or "")
        if engine.dialect.name != "sqlite" or not path.is_file():
            return None
        place = f"{path.resolve().as_uri()}?mode=ro"
        try:
            return cls(sqlite3.connect(place, uri=True, timeout=0, isolation_level=None, check_same_thread=False))
        except sqlite3.Error:
            return None

    def find(self, handle: str, caller: str | None, mode: Mode | None = None) -> Entry | None:
        """See `Journal.find`.

        Raises:
            NothingSeenError: the file could not be read.
            UnreadableEntryError: the entry that was found cannot be read.
        """
        return self._first(*found(handle, caller, mode))

    def read(self, entry_id: int) -> Entry:
        """See `Journal.read`.

        Raises:
            NothingSeenError: the file could not be read, or there is no such entry in it.
        """
        entry = self._first(*one(entry_id))
        if entry is None:
            raise NothingSeenError
        return entry

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _first(self, query: sa.Select[Any], given: Mapping[str, Any]) -> Entry | None:
        text, always = spelled(query)
        try:
            # All of them: a statement that is not read to its end keeps the log from being taken into the file.
            rows = self._connection.execute(text, {**always, **given}).fetchall()
            return entry_of(rows[0]) if rows else None
        except (sqlite3.Error, ValueError) as error:
            raise NothingSeenError from error
