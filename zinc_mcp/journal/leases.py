"""Leases: for how long an entry is in the hands of one process, and when another may take it over.

A wall clock jumps: somebody sets it, or the machine has slept. The processes of one boot of one machine share a clock
that only runs, and go by that. Those of different machines, or from before a restart, compare wall clocks.
"""

import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from zinc_mcp.journal.entry import Entry

Uptime = Callable[[], tuple[str, float]]
"""Says which boot of which machine this is, and how many seconds its steady clock shows."""

FREE: Mapping[str, Any] = {
    "lease_owner": None,
    "lease_until": None,
    "lease_boot": None,
    "lease_taken": None,
    "lease_seconds": None,
}
"""What changes in an entry that nobody holds any more."""


def machine_uptime() -> tuple[str, float]:
    """Return this boot, and the seconds of `time.monotonic`, which is one clock for all processes of a machine."""
    return _boot(), time.monotonic()


@cache
def _boot() -> str:
    if sys.platform == "linux":
        try:
            # Another one in a container with a clock of its own (proc(5), "boot_id").
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:64]
        except OSError:
            pass
    return platform.node()[:64]


@dataclass(frozen=True, slots=True)
class LeaseClock:
    """The clocks that leases go by."""

    clock: Callable[[], float]
    """Seconds since the epoch."""
    uptime: Uptime | None
    """None: there is no steady clock, and the wall clock has to do."""

    def lease(self, owner: str, seconds: float) -> dict[str, Any]:
        """Return what changes in an entry that `owner` takes into its hands."""
        boot, now = self.uptime() if self.uptime is not None else (None, None)
        return {
            "lease_owner": owner,
            "lease_until": self.clock() + seconds,
            "lease_boot": boot,
            "lease_taken": now,
            "lease_seconds": seconds,
        }

    def left(self, entry: Entry) -> float:
        """Return for how many seconds an entry is still in the hands of whoever holds it; 0.0 when in nobody's."""
        if entry.lease_until is None:
            return 0.0
        if self.uptime is not None and entry.lease_taken is not None and entry.lease_seconds is not None:
            boot, now = self.uptime()
            if boot == entry.lease_boot:
                gone = now - entry.lease_taken
                # Before it was taken: where a boot has no name of its own, that is how a restart shows.
                return max(0.0, entry.lease_seconds - gone) if gone >= 0.0 else 0.0
        return max(0.0, entry.lease_until - self.clock())

    def is_held(self, entry: Entry) -> bool:
        """Say whether an entry is in somebody's hands, ours included; nobody guesses whether a process is dead."""
        return self.left(entry) > 0.0
