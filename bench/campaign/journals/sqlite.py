"""Journals on SQLite: a file in the folder of each round, which the judge reads there.

To let writes fail, the length of files is limited (setrlimit(2), RLIMIT_FSIZE): one process can then write no byte to
any file, and others can. To lock the journal, another process holds a long transaction.
"""

import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from bench.campaign.journals.journal import AGED, DOUBTFUL, RECORDED
from zinc_mcp.journal.journal import Journal

_NOW = "(julianday('now') - 2440587.5) * 86400.0"
_PATIENCE_SECONDS = 30
_LOCK = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
database.execute("ROLLBACK")
"""


class SqliteJournal:
    """A journal in the folder of its round."""

    environ: Mapping[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self._file = folder / "journal.db"

    def make_older(self, seconds: float) -> None:
        """Make the journal itself older."""
        with closing(sqlite3.connect(self._file)) as database, database:
            created_at = repr(time.time() - seconds)
            database.execute("UPDATE zinc_meta SET value = ? WHERE name = 'created_at'", (created_at,))

    def keys_with(self, text: str) -> list[str]:
        """Return the keys of the entries whose body holds a text."""
        with closing(sqlite3.connect(self._file)) as database:
            rows = database.execute("SELECT key FROM zinc_entries WHERE instr(cast(body AS text), ?)", (text,))
            return [str(key) for (key,) in rows]

    def age_doubts(self, text: str, seconds: float) -> int:
        """Make the entries in doubt whose body holds a text older."""
        older = ", ".join(f"{name} = {name} - :seconds" for name in AGED)
        states = ", ".join(f"'{state}'" for state in DOUBTFUL)
        with closing(sqlite3.connect(self._file, timeout=_PATIENCE_SECONDS)) as database, database:
            done = database.execute(
                f"UPDATE zinc_entries SET {older} WHERE state IN ({states}) "  # noqa: S608  # our names
                "AND instr(cast(body AS text), :text)",
                {"seconds": seconds, "text": text},
            )
            return done.rowcount

    def let_fail(self, seconds: float) -> None:
        """Let this process write no byte to any file."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        mended = threading.Timer(seconds, resource.setrlimit, (resource.RLIMIT_FSIZE, before))
        mended.daemon = True
        mended.start()

    def lock(self, seconds: float) -> None:
        """Let another process lock the file."""
        run_until_told([sys.executable, "-I", "-S", "-c", _LOCK, str(self._file), str(seconds)])

    def leave_for_judge(self) -> None:
        """Leave the file."""


class SqliteJournals:
    """Makes a file in the folder of each round."""

    def begin(self, folder: Path) -> SqliteJournal:
        """Make the journal of a round."""
        Journal.open(f"sqlite:///{folder / 'journal.db'}").close()
        keep_record(folder / "journal.db")
        return SqliteJournal(folder)

    def close(self) -> None:
        """Do nothing, because files need no end."""


def keep_record(file: Path) -> None:
    """Let the database record every later change of this journal's entries, by whatever process."""
    names = ", ".join(RECORDED)
    values = ", ".join(f"NEW.{name}" for name in RECORDED)
    with closing(sqlite3.connect(file, timeout=_PATIENCE_SECONDS)) as database, database:
        database.execute("CREATE TABLE campaign_clock (behind REAL)")
        database.execute("INSERT INTO campaign_clock VALUES (?)", [time.time() - time.monotonic()])
        database.execute(f"CREATE TABLE campaign_record (seq INTEGER PRIMARY KEY, at REAL, {names})")
        for event in ("INSERT", "UPDATE"):
            database.execute(
                f"CREATE TRIGGER campaign_{event.lower()} AFTER {event} ON zinc_entries BEGIN "  # noqa: S608  # our names
                f"INSERT INTO campaign_record (at, {names}) VALUES ({_NOW}, {values}); END"
            )


def run_until_told(command: list[str]) -> None:
    """Start a process that makes a journal fail, and return once the journal fails."""
    other = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # our own program
    if other.stdout is not None:
        other.stdout.readline()
    threading.Thread(target=other.wait, daemon=True).start()
