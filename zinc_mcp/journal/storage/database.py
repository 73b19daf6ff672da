"""A journal's database, SQLite or PostgreSQL: it is opened, its transactions begin, and its failures are explained."""

import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from zinc_mcp.errors import JournalError
from zinc_mcp.invocation import install_command
from zinc_mcp.journal.records.clocks import LeaseClock, Times, Uptime, machine_uptime
from zinc_mcp.journal.records.entry import Entry, State
from zinc_mcp.journal.records.known import Marks
from zinc_mcp.journal.records.sealing import Sealing
from zinc_mcp.journal.storage.postgresql import connect_to_server
from zinc_mcp.journal.storage.schema import check_readable, create
from zinc_mcp.journal.storage.sqlite import (
    CannotWriteError,
    JournalFile,
    connect_to_file,
    connect_to_read_file,
)
from zinc_mcp.journal.storage.statements import WHOLE, Lock, ask, is_sqlite, transaction
from zinc_mcp.journal.storage.version import check_now

logger = logging.getLogger(__name__)

_TRIES = 5
_TIME: sa.Select[float] = sa.select(sa.text("CAST(extract(epoch FROM clock_timestamp()) AS double precision)"))
_TIME_SECONDS = 60.0
"""The database's time is asked for again after this time. Meanwhile a steady clock counts, which does not count while
the machine sleeps."""
_DAMAGED = "The journal's file is damaged. Keep it: it says what was bought."
_NO_FILE = "The journal's file cannot be opened."
_SENTENCES: Mapping[str, str] = {
    "55P03": "Another process kept the journal busy for too long.",
    "40P01": "Another process kept the journal busy for too long.",
    "25P03": "This process stood still in the middle of a change, so the database has undone the change.",
    "53100": "The journal's disk is full.",
}
"""Our sentences by PostgreSQL's codes of errors, since its texts depend on the server's language."""
_LOGIN = (
    "The journal's database refuses the login: the name or the password in ZINC_MCP_JOURNAL is wrong, or the database "
    "may not be used from this machine."
)
_REFUSALS: Mapping[str, str] = {
    "authentication failed": _LOGIN,
    "no pg_hba.conf entry": _LOGIN,
    'fatal: role "': _LOGIN,
    'fatal: database "': "The database's server has no database of the name that ZINC_MCP_JOURNAL gives.",
}
"""Our sentences by words of PostgreSQL at the beginning of a session, for which psycopg has no code."""
_NOT_REACHED = "The journal's database cannot be reached."
_READ_ONLY_CODES = ("25006", "42501")


class Database:
    """A journal's database, open: its clocks, its file and its transactions. `Journal` is one."""

    def __init__(
        self,
        engine: sa.Engine,
        clock: Callable[[], float],
        uptime: Uptime | None,
        times: Times | None = None,
        *,
        is_read_only: bool = False,
        sealing: Sealing | None = None,
        marks: Marks | None = None,
    ) -> None:
        self._engine = engine
        self._kept = engine.connect() if engine.dialect.name == "sqlite" else None
        """SQLite's connection, for what is written: taking it from its pool and giving it back costs four times as much
        as beginning and ending a transaction."""
        self.is_read_only = is_read_only
        """Whether its file, or the folder it lies in, can only be read: then nothing is written."""
        self.sealing = sealing or Sealing()
        self.marks = marks
        """The marks of members as this process has heard them; None where it takes no members from the journal."""
        self._times = times or Times(clock)
        self._clock = clock
        self._leases = LeaseClock(self._times.shared, uptime)
        self.file = JournalFile(engine)
        """The journal's file, as it was when it was opened."""
        self._never_sent: list[tuple[Entry, State]] = []
        """Entries that were marked for sending in a transaction whose end is not known, with their states before it."""

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Callable[[], float] = time.time,
        uptime: Uptime | None = machine_uptime,
        times: Times | None = None,
        sealing: Sealing | None = None,
        marks: Marks | None = None,
    ) -> Self:
        """Open the journal at a SQLAlchemy URL and create what is missing; the clocks are those of `LeaseClock`.

        `times` also has Zinc's time. `sealing` seals the secrets of orders; without it they are kept as they are.
        `marks` are compared with those of the journal before an order of a member is opened, approved or changed. A
        file that cannot be written is opened to be read.

        Raises:
            JournalError: the journal cannot be used. It lies on a network folder, it may not be read, the disk is full,
                it is damaged or incomplete, it is another program's, others can write to it, or only a newer version of
                this program may use it.
        """
        try:
            engine = _opened(lambda: connect(url), lambda engine: create(engine, clock()))
            journal = cls(engine, clock, uptime, times, sealing=sealing, marks=marks)
            with journal._reading() as connection:
                journal._hear_time(connection)  # before anybody asks whether a lease is over
            return journal
        except CannotWriteError as error:
            try:
                engine = _opened(lambda: connect_to_read(url), check_readable)
                return cls(engine, clock, uptime, times, is_read_only=True, sealing=sealing, marks=marks)
            except CannotWriteError:
                raise error from None

    def close(self) -> None:
        """Close the connections."""
        if self._kept is not None:
            self._kept.close()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def check_writable(self) -> None:
        """Check that orders can be written down.

        Raises:
            JournalError: the journal can only be read, or only a newer version may use it.
        """
        with self._reading() as connection:
            check_now(connection)
        if self.is_read_only:
            raise _only_read()

    @contextmanager
    def _writing(self, lock: Lock = WHOLE, *, reads_schema: bool = False) -> Generator[sa.Connection]:
        """Begin a transaction that writes, on a journal that is still of this version.

        `reads_schema`: its first statement reads the schema's version and checks it.
        """
        if self.is_read_only:
            raise _only_read()
        with explained(), self._transaction() as connection, transaction(connection, lock):
            self._hear_time(connection)
            if not reads_schema:
                check_now(connection)
            yield connection

    def _hear_time(self, connection: sa.Connection) -> None:
        if not is_sqlite(connection) and self._times.wants_database(_TIME_SECONDS):
            ask(connection, _TIME, {}, lambda found: self._times.heard_database(float(found[0][0])))

    @contextmanager
    def _marking(self) -> Generator[list[tuple[Entry, State]]]:
        """Remember what was marked in a transaction whose end is not known: then the caller sends nothing."""
        marked: list[tuple[Entry, State]] = []
        try:
            yield marked
        except JournalError:
            self._never_sent += marked
            raise

    def _empty_log(self) -> None:
        """Write SQLite's log into the file and empty it, so that neither holds what was overwritten."""
        if self._engine.dialect.name != "sqlite":
            return
        with self._reading() as connection:
            for _ in range(_TRIES):
                busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
                if not busy:
                    return
        logger.warning("the journal's log could not be emptied while others read it: what was forgotten is still in it")

    @contextmanager
    def _reading(self) -> Generator[sa.Connection]:
        with explained(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Generator[sa.Connection]:
        if self._kept is None:
            with self._engine.begin() as connection:
                yield connection
        else:
            with self._kept.begin():
                yield self._kept


def connect(url: str) -> sa.Engine:
    """Return an engine for a SQLAlchemy URL; SQLite files are created readable by their owner only.

    Raises:
        CannotWriteError: the file, or its folder, can only be read.
        JournalError: the URL is not one of PostgreSQL or of a SQLite file by its whole path, or the file lies on a
            network folder.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return connect_to_file(_path_in(parsed))
    if parsed.get_backend_name() == "postgresql":
        try:
            return connect_to_server(parsed)
        except ImportError:
            raise JournalError(
                "A PostgreSQL journal needs the extra `postgres`.",
                f"Tell the user to run {install_command('postgres')} and to start again.",
                owner_step=f"Install it and start again: {install_command('postgres')}",
            ) from None
    raise JournalError("The journal can be kept in SQLite or in PostgreSQL, not elsewhere.")


def connect_to_read(url: str) -> sa.Engine:
    """Return an engine for a file that cannot be written.

    Raises:
        CannotWriteError: there is no such file.
    """
    parsed = _parsed(url)
    path = _path_in(parsed) if parsed.get_backend_name() == "sqlite" else None
    if path is None or not os.path.isfile(path):  # False too where nobody may look
        raise CannotWriteError(_NO_FILE)
    return connect_to_read_file(path)


@contextmanager
def explained() -> Generator[None]:
    """Turn the database's failures into `JournalError`s, which name the cause and no consequence.

    No parameter of a statement gets into them, since it may be a person's address.
    """
    try:
        yield
    except sa_exc.DBAPIError as error:
        raise _failure(error.orig) from None
    except sqlite3.Error as error:
        raise _failure(error) from None
    except sa_exc.SQLAlchemyError as error:
        raise JournalError(f"The journal failed ({type(error).__name__}).") from None
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise JournalError(_DAMAGED) from None


def _opened(connected: Callable[[], sa.Engine], prepared: Callable[[sa.Engine], None]) -> sa.Engine:
    with explained():
        engine = connected()
        try:
            prepared(engine)
        except BaseException:
            engine.dispose()
            raise
    return engine


def _only_read() -> JournalError:
    return CannotWriteError(
        "The journal can only be read (its file or folder is read-only).",
        "Tell the user to make the journal's folder and file writable, then call again. get_order tells what is known.",
        owner_step="Make the journal's folder and file writable.",
    )


def _parsed(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except sa_exc.ArgumentError:
        raise JournalError("ZINC_MCP_JOURNAL is not a database address such as sqlite:////path/journal.db.") from None


def _path_in(url: sa.URL) -> Path:
    """Return the file that a SQLite URL names; the URL may say nothing else.

    A relative path would give each host another journal, depending on where it starts its processes. A database in
    memory forgets. With a query, SQLite may use another file than the one that was checked.
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


def _failure(error: BaseException | None) -> JournalError:
    code = getattr(error, "sqlstate", None)
    if code is not None and code in _SENTENCES:
        return JournalError(_SENTENCES[code])
    known = " ".join(str(error).lower().split())
    if code in _READ_ONLY_CODES or "readonly" in known or "read-only" in known or "permission denied" in known:
        return CannotWriteError("The journal cannot be written (read-only).")
    if "unable to open" in known:
        return CannotWriteError(_NO_FILE)
    # A failure of the server has a code; one of the way to it has none.
    is_lost = hasattr(error, "sqlstate") and code is None and _is_operational(error)
    return JournalError(_sentence(known, _NOT_REACHED if is_lost else "The journal failed."))


def _is_operational(error: object) -> bool:
    return "OperationalError" in (each.__name__ for each in type(error).__mro__)  # psycopg may not be installed


def _sentence(known: str, otherwise: str) -> str:
    if "disk is full" in known or "no space" in known or "disk full" in known:
        return _SENTENCES["53100"]
    if any(word in known for word in ("malformed", "not a database", "corrupt", "decode")):
        return _DAMAGED
    if "locked" in known or "busy" in known or "lock timeout" in known:
        return _SENTENCES["55P03"]
    if "idle-in-transaction" in known:
        return _SENTENCES["25P03"]
    for words, sentence in _REFUSALS.items():
        if words in known:
            return sentence
    return _NOT_REACHED if "connect" in known else otherwise
