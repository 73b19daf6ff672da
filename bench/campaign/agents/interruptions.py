"""Interrupts a server at a step of the checkout: kills it, stops it, or makes its journal fail for a while.

A full disk is a limit on the length of files (setrlimit(2), RLIMIT_FSIZE): this process can write no byte to any file,
and others can. A locked journal is another process in the middle of a long transaction.
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

from bench.campaign.plan.classes import FULL_SECONDS, LOCKED_SECONDS

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
    """Return the function that the checkout calls at each of its steps, as the environment wants it (`server`)."""
    kill = _at("CAMPAIGN_KILL", lambda: os.kill(os.getpid(), signal.SIGKILL))
    stop = _at("CAMPAIGN_STOP", _stop)
    fail = _at("CAMPAIGN_JOURNAL", _journal_fails)
    begun = os.environ.get("CAMPAIGN_BEGUN")

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
            with open(os.environ["CAMPAIGN_REACHED"], "a", encoding="ascii") as reached:
                reached.write(f"{os.environ['CAMPAIGN_NUMBER']} {step}\n")
            then()

    return passed


def _stop() -> None:
    # The thread that writes finishes first: a process that is stopped within a transaction stops all others.
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGSTOP)


def _journal_fails() -> None:
    if os.environ["CAMPAIGN_HOW"] == "full":
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
    other = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # our own program
    if other.stdout is not None:
        other.stdout.readline()
    threading.Thread(target=other.wait, daemon=True).start()
