"""Which process was about to send an entry, so that it can be told later whether that process may still run."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from zinc_mcp.journal.leases import machine_uptime

_ENDED = frozenset("ZXx")
"""States of a process that runs no code any more (proc(5), "/proc/pid/stat")."""


def this_process() -> str:
    """Return what names this process for ever: boot, process id, when it started, and where that id means something.

    A process id alone is used again sooner or later, and means something else in another container.
    """
    boot, _ = machine_uptime()
    started, _ = _started(os.getpid())
    return "|".join((boot, str(os.getpid()), started, _namespace()))[:160]


def may_still_run(holder: str, *, same_machine: bool) -> bool:
    """Say whether the process that `this_process` named may still run; in doubt it may.

    `same_machine` is whether it can only have been one of this machine: another boot is over then.
    """
    boot, _, rest = holder.partition("|")
    pid, _, rest = rest.partition("|")
    started, _, namespace = rest.partition("|")
    if boot != machine_uptime()[0]:
        return not same_machine
    if namespace != _namespace() or not pid.isdecimal() or os.name != "posix":
        return True
    try:
        os.kill(int(pid), 0)  # asks, and does nothing (kill(2))
    except ProcessLookupError:
        return False
    except OSError:
        return True
    now_started, state = _started(int(pid))
    if state in _ENDED:
        return False
    return started in ("", now_started) or now_started == ""


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
