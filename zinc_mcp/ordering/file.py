"""Whether the file that a journal is open on is still the one that stands at its path."""

import os
from pathlib import Path

import sqlalchemy as sa

from zinc_mcp.errors import JournalError

_REPLACED = (
    "The journal's file was deleted, replaced or put back to an earlier state while this process had it open.",
    "Tell the user to put the right file back and to start every zinc-mcp server anew.",
)


class JournalFile:
    """A SQLite journal's file and its log, as they were when this process began to use them."""

    def __init__(self, engine: sa.Engine) -> None:
        """Remember the file; without one (PostgreSQL, or in memory) every check passes."""
        name = engine.url.database if engine.dialect.name == "sqlite" else None
        self._path = None if not name or name == ":memory:" else Path(name)
        self._seen = {} if self._path is None else {self._path: _identity(self._path)}
        self._newest = 0

    @property
    def newest(self) -> int:
        """The id of the newest entry that this process has written."""
        return self._newest

    def check(self, newest: int) -> None:
        """Check, before anything is opened or sent, that what is written is what others will read.

        `newest` is the id of the newest entry, where it has been read: it never falls.

        Raises:
            JournalError: the file is another one, or has less in it than this process has written.
        """
        for path, identity in self._seen.items():
            if _identity(path) != identity:
                raise JournalError(*_REPLACED)
        if newest < self._newest:
            raise JournalError(*_REPLACED)

    def wrote(self, newest: int) -> None:
        """Remember that an entry was written: its log exists from then on, for as long as the file is open."""
        self._newest = max(self._newest, newest)
        if self._path is not None and len(self._seen) == 1:
            log = self._path.with_name(f"{self._path.name}-wal")
            identity = _identity(log)
            if identity is not None:
                self._seen[log] = identity


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
