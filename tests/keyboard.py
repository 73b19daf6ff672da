"""A person at a terminal: a process on its own pseudo-terminal, the keys typed and the screen shown."""

import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import preloaded


def at_a_terminal(
    words: Sequence[str],
    environ: Mapping[str, str],
    typed: Sequence[tuple[str, str]] = (),
    seconds: float = 40.0,
    *,
    program: Sequence[str] = (),
    cwd: Path | None = None,
    columns: int = 80,
    term: str = "dumb",
    passed_on: bool = False,
) -> tuple[int, str]:
    """Run our program at a terminal, or another one; each of `typed` is text to wait for and what to type then.

    With `passed_on`, a shell leaves the terminal to the program that it starts by a script of `preloaded.script`.

    Returns the exit code and everything the screen showed.
    """
    ours, theirs = os.openpty()
    environ = {**environ, "TERM": term, "COLUMNS": str(columns)}
    if program:
        code, end = _started([*program, *words], environ, cwd, theirs, passed_on=passed_on)
    else:
        code, end = _forked(list(words), environ, cwd, theirs)
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
        return code(), screen
    finally:
        end()
        os.close(ours)


_CodeAndEnd = tuple[Callable[[], int], Callable[[], object]]


def _forked(words: list[str], environ: dict[str, str], cwd: Path | None, terminal: int) -> _CodeAndEnd:
    """Start our program quickly; return one function that waits for its exit code, and one that ends it."""
    program = preloaded.started("zinc_mcp", words, environ, cwd or Path.cwd(), [terminal] * 3)
    return lambda: program.wait(10), program.close


def _started(
    words: list[str], environ: dict[str, str], cwd: Path | None, terminal: int, *, passed_on: bool
) -> _CodeAndEnd:
    """Start any program; return one function that waits for its exit code, and one that ends it."""
    import fcntl
    import termios

    def own_terminal() -> None:
        os.setsid()
        if not passed_on:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        words,
        cwd=cwd,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environ,
        preexec_fn=own_terminal,  # no threads of ours are in the child
    )

    def end() -> None:
        if process.poll() is None:
            process.kill()
            process.wait()

    return lambda: process.wait(10), end
