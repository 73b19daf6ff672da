"""Clocks: the present time, the time for which a process holds an entry, and the identity of that process.

Two witnesses give the present time: this machine's clock, which anybody can set, and Zinc's answers. Zinc's time is the
time of its last answer (`Date`: RFC 9110, section 6.6.1) plus the seconds that a steady clock has counted since. Until
an answer carries a time, the start of this process takes its place, plus the seconds that the steady clock has counted
since. So at least a clock that is set meanwhile is noticed. Everything that guards money goes by the witness that says
that less time has gone by.

A lease says for how long one process holds an entry, and when another may take it over. The processes of one boot of
one machine share a steady clock, and leases go by that. Processes of different machines share a database, and compare
its clock. Without one, processes from before a restart compare wall clocks, which jump when somebody sets them or the
machine has slept.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from zinc_mcp.journal.records.entry import Entry

APART_SECONDS = 600.0
"""If Zinc's clock and ours differ by more, they cannot both be right. A clock that nobody sets drifts by seconds a day,
and an answer is a minute old at most. A wrong zone, a flat battery or a mistyped date makes half an hour or more."""

FUTURE_SECONDS = 300.0
"""The time of an entry may be ahead of ours by this much: the clocks of a team's machines differ by seconds."""

Uptime = Callable[[], tuple[str, float]]
"""Says which boot of which machine this is, and how many seconds its steady clock shows."""

FREE: Mapping[str, Any] = dict.fromkeys(("lease_owner", "lease_until", "lease_boot", "lease_taken", "lease_seconds"))
"""The columns that change when no process holds an entry any more."""

_ENDED = frozenset("ZXx")
"""States of a process that runs no code any more (proc(5), "/proc/pid/stat")."""


class Times:
    """The clocks of one process. Times are seconds since the epoch."""

    def __init__(self, clock: Callable[[], float], steady: Callable[[], float] | None = None) -> None:
        """Remember the clocks. `steady` counts seconds and cannot be set.

        Without it, the machine's own steady clock counts, or a test's `clock` where a test has one.
        """
        self.clock = clock
        steady = steady or (time.monotonic if clock is time.time else clock)
        self.steady = steady
        """Seconds that only grow."""
        self._heard: tuple[float, float] | None = None
        self._began = clock(), steady()
        self._database: tuple[float, float] | None = None
        self.answered = False
        """Whether Zinc has answered anything yet, with a time or without one."""

    def heard(self, date: float | None) -> None:
        """Take the time that an answer of Zinc's carries, where it carries one."""
        self.answered = True
        if date is not None:
            self._heard = date, self.steady()

    def heard_database(self, now: float) -> None:
        """Take the time that a journal's database tells, which is one clock for all machines of a team."""
        self._database = now, self.steady()

    def wants_database(self, seconds: float) -> bool:
        """Say whether the database's time is not known, or was told longer ago than these seconds.

        Where a test sets this machine's clock, no other clock is asked.
        """
        if self.clock is not time.time:
            return False
        return self._database is None or self.steady() - self._database[1] > seconds

    def shared(self) -> float:
        """Return the time that processes of several machines have in common: the database's, otherwise our own."""
        if self._database is None:
            return self.clock()
        told, at = self._database
        return told + self.steady() - at

    def zinc(self) -> float | None:
        """Return Zinc's time; None while no answer has told it."""
        return None if self._heard is None else self._second()

    def earliest(self) -> float:
        """Return the earlier time of the two witnesses: an order stands as long as either of them says so."""
        return min(self.clock(), self._second())

    def since(self, seconds: float) -> float:
        """Return the beginning of a period that ends now, by the witness that says that less time has gone by.

        While Zinc has not told the time, nobody knows how long ago anything was: then it is 0.0, before everything.
        """
        return 0.0 if self.zinc() is None else self.earliest() - seconds

    def latest(self) -> float:
        """Return the later time of the two witnesses: a time limit is over as soon as either of them says so."""
        return max(self.clock(), self._second())

    @property
    def agree(self) -> bool:
        """Whether Zinc has answered, and its time does not differ much from ours."""
        return self.answered and abs(self.apart_seconds()) <= APART_SECONDS

    def apart_seconds(self) -> float:
        """Return the seconds by which the second witness is ahead of our clock; negative if it is behind."""
        return self._second() - self.clock()

    def _second(self) -> float:
        """Return the time by the second witness: Zinc's, else this process's own since it began."""
        told, at = self._heard or self._began
        return told + self.steady() - at

    def doubt(self, newest: float, accepted: str | None) -> str | None:
        """Say why the present time is uncertain; None when it is certain.

        Args:
            newest: the latest time in the journal.
            accepted: the difference that the owner has accepted, as `Clock.kept` returned it.
        """
        now = Clock.read(accepted)
        apart = self.apart_seconds()
        if abs(apart) > APART_SECONDS and abs(apart - now.apart_seconds) > APART_SECONDS:
            by = _long(abs(apart))
            if self._heard is None:
                return f"this machine's clock was set {by} {'back' if apart > 0 else 'ahead'} while the server ran"
            return f"this machine's clock is {by} {'behind' if apart > 0 else 'ahead of'} Zinc's"
        if newest > self.latest() + FUTURE_SECONDS and newest > now.newest:
            return "the journal has an order from the future"
        return None


@dataclass(frozen=True, slots=True)
class Clock:
    """A difference of clocks that was noticed, or that the owner has accepted."""

    apart_seconds: float = 0.0
    newest: float = 0.0
    """The latest time in the journal."""

    def kept(self) -> str:
        """Return the text that the journal keeps."""
        return json.dumps([self.apart_seconds, self.newest])

    @classmethod
    def read(cls, kept: str | None) -> "Clock":
        """Read a text that `kept` returned; no difference if there is none or it cannot be read."""
        try:
            apart, newest = json.loads(kept or "[0, 0]")
            return cls(float(apart), float(newest))
        except (ValueError, TypeError):
            return cls()


@dataclass(frozen=True, slots=True)
class LeaseClock:
    """The clocks that leases go by."""

    clock: Callable[[], float]
    """Seconds since the epoch, by the clock that the processes have in common (`Times.shared`)."""
    uptime: Uptime | None
    """None where there is no steady clock: then leases go by the wall clock."""

    def lease(self, owner: str, seconds: float) -> dict[str, Any]:
        """Return the columns that change in an entry when `owner` begins to hold it."""
        boot, now = self.uptime() if self.uptime is not None else (None, None)
        return {
            "lease_owner": owner,
            "lease_until": self.clock() + seconds,
            "lease_boot": boot,
            "lease_taken": now,
            "lease_seconds": seconds,
        }

    def left(self, entry: Entry) -> float:
        """Return for how many seconds somebody still holds an entry; 0.0 when nobody does."""
        if entry.lease_until is None:
            return 0.0
        if self.uptime is not None and entry.lease_taken is not None and entry.lease_seconds is not None:
            boot, now = self.uptime()
            if boot == entry.lease_boot:
                gone = now - entry.lease_taken
                # A negative time shows a restart, where a boot has no name of its own.
                return max(0.0, entry.lease_seconds - gone) if gone >= 0.0 else 0.0
        return max(0.0, entry.lease_until - self.clock())

    def is_held(self, entry: Entry) -> bool:
        """Say whether a process holds an entry, ours included; nobody guesses whether that process is dead."""
        return self.left(entry) > 0.0


def machine_uptime() -> tuple[str, float]:
    """Return the name of this boot, and the seconds of `time.monotonic`: one clock for all processes of a machine."""
    return _boot(), time.monotonic()


def this_process() -> str:
    """Return a name that only this process ever has: boot, process id, when it started, and the namespace of that id.

    A process id alone is used again sooner or later, and means something else in another container.
    """
    boot, _ = machine_uptime()
    started, _ = _started(os.getpid())
    return "|".join((boot, str(os.getpid()), started, _namespace()))[:160]


def may_still_run(holder: str, *, same_machine: bool) -> bool:
    """Say whether the process that `this_process` named may still run; in doubt it may.

    `same_machine`: the process can only have run on this machine, so one of another boot has ended.
    """
    boot, _, rest = holder.partition("|")
    pid, _, rest = rest.partition("|")
    started, _, namespace = rest.partition("|")
    if boot != machine_uptime()[0]:
        return not same_machine
    if namespace != _namespace() or not pid.isdecimal() or os.name != "posix":
        return True
    try:
        os.kill(int(pid), 0)  # signal 0 does nothing: it only finds out whether there is such a process (kill(2))
    except ProcessLookupError:
        return False
    except OSError:
        return True
    now_started, state = _started(int(pid))
    if state in _ENDED:
        return False
    return started in ("", now_started) or now_started == ""


@cache
def _boot() -> str:
    if sys.platform == "linux":
        with suppress(OSError):
            # A container with a clock of its own has an id of its own (proc(5), "boot_id").
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:64]
    return platform.node()[:64]


def _started(pid: int) -> tuple[str, str]:
    """Return when a process started, in ticks since the boot, and its state; empty where that cannot be read."""
    if sys.platform == "linux":
        with suppress(OSError, IndexError):
            # The name in brackets may hold anything, brackets too (proc(5), fields 2, 3 and 22).
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            return fields[19], fields[0]
    return "", ""


def _namespace() -> str:
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def _long(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3_600, "hours")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {name}"
    return f"{int(seconds // 60)} minutes"
