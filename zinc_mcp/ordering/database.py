"""Where the journal lies: SQLite and PostgreSQL, its tables made or brought up to date, what failures of it mean."""

import json
import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy.schema import CreateColumn

from zinc_mcp.errors import JournalError
from zinc_mcp.invocation import install_command
from zinc_mcp.ordering.entry import FOREVER
from zinc_mcp.ordering.statements import begin_writing
from zinc_mcp.ordering.tables import (
    ADDRESSES,
    ENTRIES,
    META,
    NEAR_TWINS,
    PAYMENTS,
    PINS,
    TABLES,
    UNFINISHED_INDEX,
    UNPROVED_INDEX,
)

SCHEMA_VERSION = 6
BUSY_SECONDS = 15
RENEWED = 2000
"""How many of the newest entries get a new digest: far more than one window holds."""
_DAMAGED = "The journal's file is damaged. Keep it: it says what was bought."

# Names of file systems that other machines can write to: SQLite's locks do not hold there (SQLite, "How To Corrupt").
_NETWORK = frozenset("nfs nfs4 cifs smb smb2 smb3 smbfs afs ncpfs 9p ceph glusterfs fuse.sshfs webdav davfs".split())


def connect(url: str) -> sa.Engine:
    """Return an engine for a SQLAlchemy URL; SQLite files are created readable by their owner only.

    Raises:
        JournalError: the URL is not one of SQLite or PostgreSQL, or the file lies on a network folder.
    """
    try:
        parsed = sa.make_url(url)
    except sa_exc.ArgumentError:
        raise JournalError("ZINC_MCP_JOURNAL is not a database address such as sqlite:////path/journal.db.") from None
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    if parsed.get_backend_name() == "postgresql":
        try:
            return sa.create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                pool_size=2,
                pool_pre_ping=True,
                hide_parameters=True,
                connect_args={"connect_timeout": 10},
            )
        except ImportError:
            raise JournalError(
                "A PostgreSQL journal needs the extra `postgres`.",
                f"Tell the user to run {install_command('postgres')} and to start again.",
                owner_step=f"Install it and start again: {install_command('postgres')}",
            ) from None
    raise JournalError("The journal can be kept in SQLite or in PostgreSQL, not elsewhere.")


def create(engine: sa.Engine, now: float) -> None:
    """Create the tables where they are missing, and refuse a journal that a newer version made."""
    with engine.begin() as connection:
        begin_writing(connection)
        if not sa.inspect(connection).has_table(META.name):
            TABLES.create_all(connection)
            connection.execute(
                sa.insert(META),
                [{"name": "schema", "value": str(SCHEMA_VERSION)}, {"name": "created_at", "value": repr(now)}],
            )
        schema = connection.execute(sa.select(META.c.value).where(META.c.name == "schema")).scalar_one()
        if not schema.isdecimal():
            raise JournalError(_DAMAGED)
        found = int(schema)
        if found > SCHEMA_VERSION:
            raise JournalError(
                "The journal was written by a newer version of zinc-mcp, so this one does not touch it.",
                "Tell the user to upgrade zinc-mcp, or to point ZINC_MCP_JOURNAL at another journal.",
                owner_step="Upgrade zinc-mcp, or point ZINC_MCP_JOURNAL at another journal.",
            )
        for version in range(found + 1, SCHEMA_VERSION + 1):
            _MIGRATIONS[version](connection)
            connection.execute(sa.update(META).where(META.c.name == "schema").values(value=str(version)))


def _add_payments(connection: sa.Connection) -> None:
    """Version 2: payments by wallet, and the state in which a wallet is asked."""
    PAYMENTS.create(connection)
    UNFINISHED_INDEX.drop(connection)
    UNFINISHED_INDEX.create(connection)


def _add_addresses(connection: sa.Connection) -> None:
    """Version 3: addresses that the owner saved."""
    ADDRESSES.create(connection)


def _add_steady_leases(connection: sa.Connection) -> None:
    """Version 4: leases by the machine's own clock, which cannot be set."""
    for column in (ENTRIES.c.lease_boot, ENTRIES.c.lease_taken, ENTRIES.c.lease_seconds):
        _add_column(connection, column)


def _add_questions_and_proofs(connection: sa.Connection) -> None:
    """Version 5: kinds of entries, near twins, money by proof, Zinc's own time, and PINs with a count of wrong ones."""
    columns = (
        ENTRIES.c.kind,
        ENTRIES.c.authorised_cents,
        ENTRIES.c.refunded_cents,
        ENTRIES.c.zinc_at,
        ENTRIES.c.sender,
    )
    for column in columns:
        _add_column(connection, column)
    UNPROVED_INDEX.create(connection)
    agents = sa.select(ENTRIES.c.id, ENTRIES.c.facts).where(ENTRIES.c.rail == "agent")
    for entry_id, facts in connection.execute(agents).all():
        authorised = json.loads(facts).get("payment", {}).get("authorised_cents")
        if type(authorised) is int:
            known = {"authorised_cents": authorised}
            connection.execute(sa.update(ENTRIES).where(ENTRIES.c.id == entry_id).values(known))
    NEAR_TWINS.create(connection)
    PINS.create(connection)


def _renew_twins(connection: sa.Connection) -> None:
    """Version 6: products and places are compared by other rules, so that open and recent orders get today's digest.

    Without it an order from before the upgrade would not be known again within its window.
    """
    from zinc_mcp.ordering.twin import twin_of_body  # only here: the rules are not needed to open a journal

    columns = (ENTRIES.c.id, ENTRIES.c.caller, ENTRIES.c.twin, ENTRIES.c.body)
    newest = sa.select(*columns).order_by(ENTRIES.c.id.desc()).limit(RENEWED)
    in_doubt = sa.select(*columns).where(ENTRIES.c.state.in_(FOREVER))
    for row in (*connection.execute(newest).all(), *connection.execute(in_doubt).all()):
        twin = twin_of_body(row.caller, row.body) if row.body is not None else None
        if twin is not None and twin != row.twin:
            connection.execute(sa.update(ENTRIES).where(ENTRIES.c.id == row.id).values(twin=twin))


def _add_column(connection: sa.Connection, column: sa.Column[Any]) -> None:
    definition = CreateColumn(column).compile(dialect=connection.dialect)
    connection.execute(sa.text(f"ALTER TABLE {ENTRIES.name} ADD COLUMN {definition}"))


_MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {
    2: _add_payments,
    3: _add_addresses,
    4: _add_steady_leases,
    5: _add_questions_and_proofs,
    6: _renew_twins,
}


@contextmanager
def explained() -> Generator[None]:
    """Turn the database's failures into `JournalError`s, which name the cause and no consequence.

    Parameters (addresses!) never get into them.
    """
    try:
        yield
    except sa_exc.DBAPIError as error:
        raise JournalError(_sentence(str(error.orig))) from None
    except sqlite3.Error as error:
        raise JournalError(_sentence(str(error))) from None
    except sa_exc.SQLAlchemyError as error:
        raise JournalError(f"The journal failed ({type(error).__name__}).") from None
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise JournalError(_DAMAGED) from None


def _sqlite(url: sa.URL) -> sa.Engine:
    path = Path(url.database) if url.database and url.database != ":memory:" else None
    if path is not None:
        _prepare(path)
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        poolclass=sa.StaticPool,
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
    )

    def on_connect(connection: Any, _record: object) -> None:
        # Nothing is begun for us: a read is one statement, and that is a transaction of its own. Each further one is a
        # turn of the interpreter's lock, which under load takes longer than the read.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "fullfsync=1", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    event.listen(engine, "connect", on_connect)  # no event of a statement: each would be asked about at every one
    return engine


def _prepare(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if kind := _network_kind(path.parent):
            raise JournalError(
                f"The journal's folder lies on a network file system ({kind}), where its locks do not hold.",
                "Tell the user to set ZINC_MCP_HOME to a local folder, or ZINC_MCP_JOURNAL to a PostgreSQL database.",
                owner_step="Set ZINC_MCP_HOME to a local folder, or ZINC_MCP_JOURNAL to a PostgreSQL database.",
            )
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise JournalError(
            f"The journal's file cannot be opened for writing ({error.strerror}).",
            "Tell the user to make the folder writable, or to set ZINC_MCP_HOME to one that is.",
            owner_step="Make the folder writable, or set ZINC_MCP_HOME to one that is.",
        ) from None


def _network_kind(folder: Path) -> str | None:
    if os.name == "nt":
        return "a network share" if str(folder.resolve()).startswith("\\\\") else None
    if sys.platform != "linux":
        return None
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    where, best, kind = folder.resolve(), Path("/"), ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) > 2:
            point = Path(fields[1].replace("\\040", " "))
            if (where == point or point in where.parents) and len(point.parts) >= len(best.parts):
                best, kind = point, fields[2]
    return kind if kind in _NETWORK else None


def _sentence(raw: str) -> str:
    known = raw.lower()
    if "disk is full" in known or "no space" in known or "disk full" in known:
        return "The journal's disk is full."
    if "readonly" in known or "read-only" in known or "permission denied" in known:
        return "The journal cannot be written (read-only)."
    if "malformed" in known or "not a database" in known or "corrupt" in known:
        return _DAMAGED
    if "locked" in known or "busy" in known:
        return "Another process kept the journal busy for too long."
    if "unable to open" in known:
        return "The journal's file cannot be opened."
    if "connection" in known or "connect" in known:
        return "The journal's database cannot be reached."
    return "The journal failed."
