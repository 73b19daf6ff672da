"""A person at a terminal: a process on its own pseudo-terminal, the keys typed and the screen shown."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def at_a_terminal(
    words: Sequence[str],
    environ: Mapping[str, str],
    typed: Sequence[tuple[str, str]] = (),
    seconds: float = 40.0,
    *,
    program: Sequence[str] = (sys.executable, "-m", "zinc_mcp"),
    cwd: Path | None = None,
    columns: int = 80,
) -> tuple[int, str]:
    """Run the program at a terminal; each of `typed` is what to wait for on the screen and what to type then.

    Returns the exit code and everything the screen showed.
    """
    import fcntl
    import termios

    ours, theirs = os.openpty()

    def own_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [*program, *words],
        cwd=cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environ, "TERM": "dumb", "COLUMNS": str(columns)},
        preexec_fn=own_terminal,  # no threads of ours are in the child
    )
    os.close(theirs)
    screen, left, deadline = "", list(typed), time.monotonic() + seconds
    seen = 0
    try:
        while True:
            assert time.monotonic() < deadline, f"still waiting; the screen shows: {screen}"
            if left and left[0][0] in screen[seen:]:
                seen = len(screen)
                os.write(ours, left.pop(0)[1].encode() + b"\n")
            ready, _, _ = select.select([ours], [], [], 0.1)
            if not ready:
                continue
            try:
                shown = os.read(ours, 65536)
            except OSError:  # Linux: the other end is closed
                shown = b""
            if not shown:
                break
            screen += shown.decode("utf-8", "replace").replace("\r\n", "\n")
        return process.wait(10), screen
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
