"""Runs tests of this tree in a process forked from one that has loaded the libraries and nothing of ours."""

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.mutations import ROOT

LIBRARIES = ("anyio", "httpx", "hypothesis", "mcp", "mpp", "pydantic", "pytest", "sqlalchemy", "starlette", "uvicorn")
"""The libraries that are loaded once, before any process is forked."""
COULD_NOT_START = 90
"""The exit code of a process that did not run its tests."""


def load_libraries() -> None:
    """Load the libraries of all tests, so that no forked process has to."""
    for library in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(library)
    assert "zinc_mcp" not in sys.modules, "each process must load the program itself"
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True


def pytest_run(words: Sequence[str], plugin: object) -> int:
    """Run tests in this process, one after the other, and return the exit code of pytest."""
    pytest: Any = importlib.import_module("pytest")
    given = ["-q", "-n0", "-m", "", "--assert=plain", "--tb=line", "-p", "no:cacheprovider", *words]
    return int(pytest.main(given, plugins=[plugin]))


def start(work: Callable[[], int], folder: Path) -> int:
    """Fork a process that calls `work` and exits with its result; the output goes to `output.txt` in the folder."""
    child = os.fork()
    if child:
        return child
    code = COULD_NOT_START
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.chdir(ROOT)
        os.environ |= {"PYTHONPATH": str(ROOT), "PYTEST_DEBUG_TEMPROOT": str(folder), "TMPDIR": str(folder)}
        code = work()
    finally:
        os._exit(code)


def await_end(child: int, has_time: Callable[[], bool]) -> int | None:
    """Return the exit code of a forked process, or None if its time was over. End its processes as well."""
    ended = False
    try:
        while not ended and has_time():
            ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            time.sleep(0.02)
    finally:
        for kill in (os.killpg, os.kill):  # it may not lead a group yet
            with suppress(ProcessLookupError):
                kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if ended else None
