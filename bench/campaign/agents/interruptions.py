"""Interrupts a server at a step of the checkout: kills it, stops it, or makes its journal fail for a while."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from bench.campaign.journals.places import journal_of
from bench.campaign.plan.classes import FULL_SECONDS, LOCKED_SECONDS

Checkpoint = Callable[[str], None]


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
    journal = journal_of(os.environ)
    if os.environ["CAMPAIGN_HOW"] == "full":
        journal.let_fail(FULL_SECONDS)
    else:
        journal.lock(LOCKED_SECONDS)
