"""What befalls a victim at a step of the checkout: killed, stopped, or its journal fails for a while.

A full disk is a limit on the length of files (setrlimit(2), RLIMIT_FSIZE): no byte can be written to any, and another
process can. A locked journal is another process in the middle of a long transaction.
"""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.classes import FULL_SECONDS, LOCKED_SECONDS

Checkpoint = Callable[[str], None]

_LOCK = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
database.execute("ROLLBACK")
"""


def checkpoint() -> Checkpoint:
    """Return what the checkout calls at each of its steps, as the environment wants it (`bench.victim`)."""
    kill = _at("VICTIM_KILL", lambda: os.kill(os.getpid(), signal.SIGKILL))
    stop = _at("VICTIM_STOP", _stop)
    fail = _at("VICTIM_JOURNAL", _journal_fails)
    begun = os.environ.get("VICTIM_BEGUN")

    def passed(name: str) -> None:
        nonlocal begun
        if begun:
            Path(begun).touch()
            begun = None
        for each in (kill, stop, fail):
            each(name)

    return passed


def _at(variable: str, then: Callable[[], None]) -> Checkpoint:
    step, _, nth = os.environ.get(variable, "").partition(":")
    left = int(nth or 1)

    def passed(name: str) -> None:
        nonlocal left
        if name != step:
            return
        left -= 1
        if left == 0:
            with open(os.environ["VICTIM_STRUCK"], "a", encoding="ascii") as struck:
                struck.write(f"{os.environ['VICTIM_NUMBER']} {step}\n")
            then()

    return passed


def _stop() -> None:
    # Its thread that writes comes to rest first: one that is stopped within a transaction stops everybody.
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGSTOP)


def _journal_fails() -> None:
    if os.environ["VICTIM_HOW"] == "full":
        _fill_disk(FULL_SECONDS)
    else:
        _lock_journal(Path(os.environ["ZINC_MCP_HOME"]) / "journal.db", LOCKED_SECONDS)


def _fill_disk(seconds: float) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    mended = threading.Timer(seconds, resource.setrlimit, (resource.RLIMIT_FSIZE, before))
    mended.daemon = True
    mended.start()


def _lock_journal(journal: Path, seconds: float) -> None:
    command = [sys.executable, "-I", "-S", "-c", _LOCK, str(journal), str(seconds)]
    other = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # our own
    if other.stdout is not None:
        other.stdout.readline()
    threading.Thread(target=other.wait, daemon=True).start()
