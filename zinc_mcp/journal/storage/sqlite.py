"""A SQLite journal: its file, its connections, and how statements that run often reach its driver.

The file is made for its owner alone, refused where others could change it, and watched while it is open.

SQLAlchemy would find the words of a statement anew each time it runs. `execute` gives SQLite's driver words that were
made once: a statement of a placing call then takes a quarter of the time (`bench/place_order.py`).
"""

import errno
import os
import shlex
import sqlite3
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.selectable import ExecutableReturnsRows

from zinc_mcp.errors import JournalError
from zinc_mcp.private_files import make_folder, open_file, writable_by_others

BUSY_SECONDS: float = 15
"""A process waits at most this time until another one's change is written."""

Values = Mapping[str, Any]
"""The values of a statement's parameters, by name."""

# Names of file systems that other machines can write to: SQLite's locks do not hold there (SQLite, "How To Corrupt").
_NETWORK = frozenset("nfs nfs4 cifs smb smb2 smb3 smbfs afs ncpfs 9p ceph glusterfs fuse.sshfs webdav davfs".split())

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)

_REPLACED = (
    "The journal's file was deleted, replaced or put back to an earlier state while this process had it open.",
    "Tell the user to put the right file back and to start every zinc-mcp server anew.",
)


class CannotWriteError(JournalError):
    """The journal's file, or the folder it lies in, can only be read."""


class JournalFile:
    """A SQLite journal's file and its log, as they were when this process began to use them."""

    def __init__(self, engine: sa.Engine) -> None:
        """Remember the file; without one (PostgreSQL) every check passes."""
        self._path = Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None
        self._seen = {} if self._path is None else {self._path: _identity(self._path)}
        self._newest = 0

    @property
    def newest(self) -> int:
        """The id of the newest entry that this process has written."""
        return self._newest

    def goes_on_from(self, former: "JournalFile", *, is_same: bool) -> None:
        """Go on with the file that this process used before it closed the journal and opened it again.

        The log is a new one each time. `is_same` says whether the journal in it was created at the same time: a new
        file may get the number of one that was deleted.
        """
        if self._path is not None and self._path in former._seen:
            self._seen = {self._path: former._seen[self._path] if is_same else None}
        self._newest = max(self._newest, former._newest)

    def check(self, newest: int, written: int | None = None) -> None:
        """Check, before anything is opened or sent, that what is written is what others will read.

        `newest` is the id of the newest entry that was read. It is never lower than the id of the newest entry that
        this process had `written` before it read; None: that it has written until now.

        Raises:
            JournalError: the file is another one, or has less in it than this process has written.
        """
        for path, identity in self._seen.items():
            if _identity(path) != identity:
                raise JournalError(*_REPLACED)
        if newest < (self._newest if written is None else written):
            raise JournalError(*_REPLACED)

    def wrote(self, newest: int) -> None:
        """Remember that an entry was written: from then on the log exists, as long as the file is open."""
        self._newest = max(self._newest, newest)
        if self._path is not None and len(self._seen) == 1:
            log = self._path.with_name(f"{self._path.name}-wal")
            identity = _identity(log)
            if identity is not None:
                self._seen[log] = identity


class OpenCursor(Protocol):
    """The open cursor of a statement."""

    @property
    def rowcount(self) -> int:
        """The number of changed rows."""
        ...

    def fetchall(self) -> Any:
        """Return the rows that are left."""
        ...


def connect_to_file(path: Path) -> sa.Engine:
    """Return an engine for a journal's file, which is made where there is none; see `prepare`."""
    prepare(path)
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        hide_parameters=True,
        poolclass=sa.StaticPool,
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
    )

    def on_connect(connection: Any, _record: object) -> None:
        # The driver begins no transaction: a read is one statement, and that is a transaction of its own. Each further
        # statement costs a turn of the interpreter's lock, which under load takes longer than the read.
        connection.isolation_level = None
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        if not tables or any(name.startswith("zinc_") for (name,) in tables):  # else another program's: change nothing
            connection.execute("PRAGMA journal_mode=WAL").close()
        # `secure_delete`: deleted and overwritten bytes are gone. Not every build of SQLite does that by itself.
        for pragma in ("synchronous=FULL", "fullfsync=1", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    event.listen(engine, "connect", on_connect)  # no listener for statements: it would slow down each of them
    return engine


def connect_to_read_file(path: Path) -> sa.Engine:
    """Return an engine for a journal's file that cannot be written."""
    url = sa.URL.create("sqlite", database=str(path))
    return sa.create_engine(url, hide_parameters=True, poolclass=sa.StaticPool, creator=lambda: _read_only(path))


def prepare(path: Path) -> None:
    """Make a journal's file where there is none, for its owner alone.

    Raises:
        CannotWriteError: it or its folder can only be read.
        JournalError: it lies on a network folder, others can change it, or what stands there is no file.
    """
    try:
        make_folder(path.parent)
        if kind := _network_kind(path.parent):
            raise JournalError(
                f"The journal's folder lies on a network file system ({kind}), where its locks do not hold.",
                "Tell the user to set ZINC_MCP_HOME to a local folder, or ZINC_MCP_JOURNAL to a PostgreSQL database.",
                owner_step="Set ZINC_MCP_HOME to a local folder, or ZINC_MCP_JOURNAL to a PostgreSQL database.",
            )
        check_place(path)
        os.close(open_file(path, os.O_RDWR | os.O_CREAT))
    except OSError as error:
        kind_of_error = CannotWriteError if error.errno in _NOT_WRITABLE else JournalError
        raise kind_of_error(
            f"The journal's file cannot be opened for writing ({error.strerror}).",
            "Tell the user to make the folder writable, or to set ZINC_MCP_HOME to one that is.",
            owner_step="Make the folder writable, or set ZINC_MCP_HOME to one that is.",
        ) from None


def check_place(path: Path) -> None:
    """Check that nobody else can change a journal's file.

    Raises:
        JournalError: others can write to it or to a folder on the way, or it is a link or no file.
    """
    if path.is_symlink():
        raise JournalError(
            "The journal's file is a symbolic link, so another file could be taken for the journal.",
            "Tell the user to set ZINC_MCP_JOURNAL to the file itself.",
            owner_step="Set ZINC_MCP_JOURNAL to the file itself (sqlite:////path/journal.db), or put it in its place.",
        )
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise JournalError(
            "There is something else than a file in the journal's place, so the journal cannot be opened.",
            "Tell the user to move it away, or to set ZINC_MCP_JOURNAL to another place.",
            owner_step="Move it away, or set ZINC_MCP_JOURNAL to another place.",
        )
    # The folder first: where others may write to it, a sticky bit does not stop them from making the log before us.
    others = writable_by_others(path.parent) or writable_by_others(path)
    if others is not None:
        raise JournalError(
            f"Other users of this machine can write to {others}, and so change the journal.",
            "Tell the user to take that right from them, or to keep the journal in a folder of its own.",
            owner_step=f"Take that right from them: chmod go-w {shlex.quote(str(others))}. Or keep the journal in a "
            "folder of its own.",
        )


def begin_writing(connection: sa.Connection) -> None:
    """Make a transaction the only one that writes.

    pysqlite opens transactions late and on its own terms; ours begin with the write lock, which is everybody's
    (SQLAlchemy, "Serializable isolation / Savepoints / Transactional DDL").
    """
    _driver(connection).execute("BEGIN IMMEDIATE")


def execute(connection: sa.Connection, statement: ExecutableReturnsRows | sa.UpdateBase, given: Values) -> OpenCursor:
    """Run a statement that was built once, with these values.

    It cannot run statements with `IN`, or with types that the driver does not know.
    """
    words = spelled(statement, frozenset(given) if isinstance(statement, sa.Insert) else None)
    values = {**words.always, **given}
    return _driver(connection).execute(words.text, [values[name] for name in words.names])


@dataclass(frozen=True, slots=True)
class Spelled:
    """A statement in SQLite's words."""

    text: str
    names: tuple[str, ...]
    """The name of each parameter, in their order: the driver takes long to look a parameter up by its name."""
    always: Values
    """The values that are the same in each run of it."""


@cache
def spelled(statement: ExecutableReturnsRows | sa.UpdateBase, columns: frozenset[str] | None = None) -> Spelled:
    """Return a statement in SQLite's words; `columns` are the columns for which an insertion has values."""
    names = None if columns is None else sorted(columns)
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"), column_keys=names)
    always = {name: value for name, value in compiled.params.items() if value is not None}
    return Spelled(str(compiled), tuple(compiled.positiontup or ()), always)


def _read_only(path: Path) -> sqlite3.Connection:
    with suppress(sqlite3.Error):
        connection = connection_to(path, "mode=ro", BUSY_SECONDS)
        with suppress(sqlite3.Error):
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return connection
        connection.close()
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size > 0:
        raise sqlite3.OperationalError("the last changes stand in a log that is readonly")
    # SQLite needs a file beside it to share the log, which cannot be made here; without a log there is nothing to share
    # (SQLite, "Write-Ahead Logging", section 5).
    return connection_to(path, "immutable=1", BUSY_SECONDS)


def connection_to(path: Path, how: str, wait_seconds: float) -> sqlite3.Connection:
    """Return the driver's connection to a file, opened in the way that a URI of SQLite says."""
    place = f"{path.resolve().as_uri()}?{how}"
    return sqlite3.connect(place, uri=True, timeout=wait_seconds, isolation_level=None, check_same_thread=False)


def _driver(connection: sa.Connection) -> sqlite3.Connection:
    return cast(sqlite3.Connection, connection.connection.driver_connection)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _network_kind(folder: Path) -> str | None:
    if os.name == "nt":
        return "a network share" if str(folder.resolve()).startswith("\\\\") else None
    if sys.platform != "linux":
        return None
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    where = folder.resolve()
    above = {str(each) for each in (where, *where.parents)}
    best, kind = "/", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) > 2:
            point = fields[1].replace("\\040", " ")
            if point in above and len(point) >= len(best):
                best, kind = point, fields[2]
    return kind if kind in _NETWORK else None
