"""Where the journal lies: SQLite or PostgreSQL, and what failures of either mean."""

import json
import os
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc

from zinc_mcp.errors import JournalError
from zinc_mcp.invocation import install_command
from zinc_mcp.journal.file import CannotWriteError, prepare

SCHEMA_VERSION = 9
"""Of the journals that this version reads and writes; `schema` makes them so."""
BUSY_SECONDS = 15
"""For how long a process waits for another one's change."""
_HELD_SECONDS = 10
"""After this PostgreSQL undoes a change whose process stands still in the middle of it: before others give up."""
_KEPT_ALIVE: Mapping[str, int] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""What libpq is told about a connection, so that one whose other end is gone ends within a minute."""
# Whatever the database, or the user in it, has for a default.
_SESSION = (
    f"SET lock_timeout = '{BUSY_SECONDS}s'; SET idle_in_transaction_session_timeout = '{_HELD_SECONDS}s'; "
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)
_DAMAGED = "The journal's file is damaged. Keep it: it says what was bought."
_NO_FILE = "The journal's file cannot be opened."


def connect(url: str) -> sa.Engine:
    """Return an engine for a SQLAlchemy URL; SQLite files are created readable by their owner only.

    Raises:
        CannotWriteError: the file, or its folder, can only be read.
        JournalError: the URL is not one of PostgreSQL or of a SQLite file by its whole path, or the file lies on a
            network folder.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(_path_in(parsed))
    if parsed.get_backend_name() == "postgresql":
        try:
            return _postgresql(parsed)
        except ImportError:
            raise JournalError(
                "A PostgreSQL journal needs the extra `postgres`.",
                f"Tell the user to run {install_command('postgres')} and to start again.",
                owner_step=f"Install it and start again: {install_command('postgres')}",
            ) from None
    raise JournalError("The journal can be kept in SQLite or in PostgreSQL, not elsewhere.")


@contextmanager
def explained() -> Generator[None]:
    """Turn the database's failures into `JournalError`s, which name the cause and no consequence.

    Parameters (addresses!) never get into them.
    """
    try:
        yield
    except sa_exc.DBAPIError as error:
        raise _failure(str(error.orig), getattr(error.orig, "sqlstate", None)) from None
    except sqlite3.Error as error:
        raise _failure(str(error)) from None
    except sa_exc.SQLAlchemyError as error:
        raise JournalError(f"The journal failed ({type(error).__name__}).") from None
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise JournalError(_DAMAGED) from None


def connect_to_read(url: str) -> sa.Engine | None:
    """Return an engine for a file that cannot be written; None where there is no such file."""
    parsed = _parsed(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    path = _path_in(parsed)
    if not os.path.isfile(path):  # False too where nobody may look
        return None
    return sa.create_engine(parsed, hide_parameters=True, poolclass=sa.StaticPool, creator=lambda: _read_only(path))


def _parsed(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except sa_exc.ArgumentError:
        raise JournalError("ZINC_MCP_JOURNAL is not a database address such as sqlite:////path/journal.db.") from None


def _path_in(url: sa.URL) -> Path:
    """Return the file that a SQLite URL names, and nothing but names.

    A path that depends on the folder a process was started in leads each host to a journal of its own, one in memory
    forgets, and with a query the file that is used may be another one than the file that was looked at.
    """
    path = Path(url.database or "")
    is_plain = path.is_absolute() and os.pardir not in path.parts and "\0" not in str(path)
    if not is_plain or url != sa.URL.create("sqlite", database=url.database):
        raise JournalError(
            "The journal's address is not sqlite:/// and the whole path of a file, with nothing after it.",
            "Tell the user to write ZINC_MCP_JOURNAL like sqlite:////home/ada/journal.db, with four slashes, without "
            "`..` and `?`, or to leave it out: then the journal is kept in the home.",
            owner_step="Write it like sqlite:////home/ada/journal.db, with four slashes and without `..` and `?`. Or "
            "leave ZINC_MCP_JOURNAL out: then the journal is kept in the home.",
        )
    return path


def _sqlite(path: Path) -> sa.Engine:
    prepare(path)
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        hide_parameters=True,
        poolclass=sa.StaticPool,
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
    )

    def on_connect(connection: Any, _record: object) -> None:
        # Nothing is begun for us: a read is one statement, and that is a transaction of its own. Each further one is a
        # turn of the interpreter's lock, which under load takes longer than the read.
        connection.isolation_level = None
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        if not tables or any(name.startswith("zinc_") for (name,) in tables):  # else it is somebody else's: not a byte
            connection.execute("PRAGMA journal_mode=WAL").close()
        # What is deleted or overwritten is gone: not every build of SQLite does that by itself.
        for pragma in ("synchronous=FULL", "fullfsync=1", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    event.listen(engine, "connect", on_connect)  # no event of a statement: each would be asked about at every one
    return engine


def _postgresql(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        # Each statement sees what others have committed before it, so that whoever got the journal's lock sees
        # everything that was opened under it.
        isolation_level="READ COMMITTED",
        pool_size=2,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={name: value for name, value in _KEPT_ALIVE.items() if name not in url.query},
    )

    def on_connect(connection: Any, _record: object) -> None:
        connection.autocommit = True  # what is set in a transaction is undone with it
        connection.execute(_SESSION)
        connection.autocommit = False

    event.listen(engine, "connect", on_connect)
    return engine


def _read_only(path: Path) -> sqlite3.Connection:
    place = path.resolve().as_uri()
    with suppress(sqlite3.Error):
        connection = _opened(f"{place}?mode=ro")
        with suppress(sqlite3.Error):
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return connection
        connection.close()
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size > 0:
        raise sqlite3.OperationalError("the last changes stand in a log that is readonly")
    # SQLite needs a file beside it to share the log, which cannot be made here; without a log there is nothing to share
    # (SQLite, "Write-Ahead Logging", section 5).
    return _opened(f"{place}?immutable=1")


def _opened(place: str) -> sqlite3.Connection:
    return sqlite3.connect(place, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


_SENTENCES: Mapping[str, str] = {
    "55P03": "Another process kept the journal busy for too long.",
    "40P01": "Another process kept the journal busy for too long.",
    "25P03": "This process stood still in the middle of a change, so the database has undone the change.",
    "53100": "The journal's disk is full.",
}
"""By PostgreSQL's codes, since its words are those of the server's language."""
_READ_ONLY_CODES = ("25006", "42501")


def _failure(raw: str, code: str | None = None) -> JournalError:
    if code is not None and code in _SENTENCES:
        return JournalError(_SENTENCES[code])
    known = raw.lower()
    if code in _READ_ONLY_CODES or "readonly" in known or "read-only" in known or "permission denied" in known:
        return CannotWriteError("The journal cannot be written (read-only).")
    return CannotWriteError(_NO_FILE) if "unable to open" in known else JournalError(_sentence(known))


def _sentence(known: str) -> str:
    if "disk is full" in known or "no space" in known or "disk full" in known:
        return _SENTENCES["53100"]
    if any(word in known for word in ("malformed", "not a database", "corrupt", "decode")):
        return _DAMAGED
    if "locked" in known or "busy" in known or "lock timeout" in known:
        return _SENTENCES["55P03"]
    if "idle-in-transaction" in known:
        return _SENTENCES["25P03"]
    if "connection" in known or "connect" in known:
        return "The journal's database cannot be reached."
    return "The journal failed."
