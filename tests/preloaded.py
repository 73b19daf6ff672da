"""Programs of ours that start quickly in processes of their own: one process imports them once and forks.

The process that forks is started for the first request (`address`) and ended with the session (`stop`). A forked
program has the streams, the environment and the folder of the process that asked for it, and ends as any other
process does.

`python preloaded.py SOCKET PROGRAM WORDS...` is a process that starts a program in this way and ends with its code. It
is for those who can only start a command, and loads nothing itself.
"""

import atexit
import gc
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

TESTS = Path(__file__).parent
WAIT_SECONDS = 0.02
"""The interval at which the forking process checks whether a program has ended, where no system call waits for it."""


@contextmanager
def forking(prefix: Sequence[str] = (), loaded: Literal["programs", "tests"] = "programs") -> Generator[str]:
    """Start a process that forks, with words before its command; give the address that takes requests.

    It has loaded what our programs need, or (`tests`) all tests.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        # A short path: the address of a socket may have about a hundred characters.
        where = str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "asked")
        listener.bind(where)
        listener.listen()
        number = listener.fileno()
        process = stack.enter_context(
            subprocess.Popen(
                [*prefix, sys.executable, "-m", "preloaded", str(number), loaded],
                stdin=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"},
                pass_fds=[number],
            )
        )
        stack.callback(process.terminate)
        yield where


_session = ExitStack()
_addresses: list[str] = []


def address() -> str:
    """Return the address of the session's own process that forks, which is started now if there is none."""
    if not _addresses:
        _addresses.append(_session.enter_context(forking()))
        # Wait until it has loaded: on a busy machine a host would take the first program for a silent one.
        assert finished(["--version"], os.environ, _addresses[0]).returncode == 0
    return _addresses[0]


def use(where: str) -> None:
    """Ask the process at this address, which somebody else starts and ends."""
    _addresses.append(where)


def stop() -> None:
    """End the session's process that forks."""
    _session.close()
    _addresses.clear()


def command(program: str, where: str = "") -> list[str]:
    """Return a command that starts a program quickly, for those who can only start a command."""
    return [sys.executable, "-I", "-S", __file__, where or address(), program]


def script(path: Path) -> None:
    """Write a script that starts our program quickly, as an environment's own script starts it, and may be named so."""
    quickly = shlex.join(command(str(path)))
    path.write_text(f'#!/bin/sh\nexec {quickly} "$@"\n', encoding="utf-8")
    path.chmod(0o755)


class Program:
    """A program that was started quickly."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._replies = line.makefile("r", encoding="ascii")
        self.pid = int(self._replies.readline())

    def wait(self, seconds: float | None = None) -> int:
        """Wait until it has ended and return its exit code, which is negative after a signal."""
        self._line.settimeout(seconds)
        code = int(self._replies.readline())
        self.close()
        return code

    def close(self) -> None:
        """Kill it if it has not ended."""
        self._replies.close()
        self._line.close()


def started(
    program: str,
    words: list[str],
    environ: Mapping[str, str],
    folder: Path | str,
    streams: list[int],
    where: str = "",
) -> Program:
    """Start a program quickly.

    Args:
        program: `zinc_mcp`, the path of our own script `zinc-mcp`, the name of a module that has a `main(*words)`, or
            `python` with `-W error` or none, `-c` and code.
        words: the words after it.
        environ: all of its environment.
        folder: the folder that it is in.
        streams: its standard streams. If the first is a terminal, it becomes the program's own.
        where: the address to ask at; by default that of this session.
    """
    request = {"program": program, "words": words, "environ": dict(environ), "folder": str(folder)}
    line = socket.socket(socket.AF_UNIX)
    line.connect(where or address())
    socket.send_fds(line, [json.dumps(request).encode() + b"\n"], streams)
    return Program(line)


@dataclass(frozen=True)
class Ended:
    """The results of a run that has ended."""

    returncode: int
    stdout: str
    stderr: str


def finished(words: Sequence[str], environ: Mapping[str, str], where: str = "", *, program: str = "zinc_mcp") -> Ended:
    """Run our program, or another one, to its end, quickly, with nothing on stdin."""
    with open(os.devnull, "rb") as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        streams = [stdin.fileno(), stdout.fileno(), stderr.fileno()]
        code = started(program, list(words), environ, Path.cwd(), streams, where).wait(60)
        for each in (stdout, stderr):
            each.seek(0)
        return Ended(code, stdout.read().decode(), stderr.read().decode())


def fork(listener: socket.socket, load: Callable[[], None]) -> None:
    """Load, and then fork a program for each request until the process that started this one is gone."""
    load()
    gc.collect()
    gc.freeze()  # or each program would walk all that was loaded, and copy its memory, when it ends
    running: dict[int, socket.socket] = {}
    ends: dict[int, int] = {}
    while True:
        waited = WAIT_SECONDS if len(ends) < len(running) else None
        sources: list[int | socket.socket] = [0, listener, *running.values(), *ends.values()]
        ready, _, _ = select.select(sources, [], [], waited)
        if 0 in ready:
            return
        for child, line in list(running.items()):
            if line in ready:  # the process that asked is gone
                os.kill(child, signal.SIGKILL)
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                with suppress(OSError):
                    line.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
                running.pop(child).close()
                if child in ends:
                    os.close(ends.pop(child))
        if listener in ready:
            line, _ = listener.accept()
            request, streams = _read(line)
            child = os.fork()
            if not child:
                for each in (listener, line, *running.values()):
                    each.close()
                for end in ends.values():
                    os.close(end)
                _become(request, streams)
                _end(_code_of(request["program"], request["words"]))
            running[child] = line
            if sys.platform == "linux":
                with suppress(OSError):  # an old kernel
                    ends[child] = os.pidfd_open(child)  # it can be read when the program has ended
            line.sendall(b"%d\n" % child)
            for stream in streams:
                os.close(stream)


def _load() -> None:
    """Import what the programs import, and order once, because much is imported and built only then."""
    import asyncio
    import pkgutil
    from importlib import import_module

    import certificates
    from server import timed_server

    import zinc_mcp.cli

    certificates.read_once()

    for module in pkgutil.walk_packages(zinc_mcp.cli.__path__, "zinc_mcp.cli."):
        import_module(module.name)
    asyncio.run(_open_once(timed_server))


def _collect() -> None:
    """Import all tests as pytest does, which rewrites them; a failure here comes again where it is told.

    Nothing of a fresh clone is compiled yet, so a second process compiles the files from the last one on meanwhile.
    """
    import pytest

    # Without capturing: libraries that are imported now may keep the streams that they find.
    words = ["-n0", "--collect-only", "--capture=no", "-p", "no:terminal", "-p", "no:cacheprovider"]
    other = os.fork()
    if not other:
        with suppress(BaseException):
            pytest.main([*words, *map(str, sorted(TESTS.rglob("test_*.py"), reverse=True))])
        os._exit(0)
    pytest.main([*words, str(TESTS)])
    os.kill(other, signal.SIGKILL)
    os.waitpid(other, 0)


async def _open_once(imported: object) -> None:
    from mcp import Client
    from pydantic import SecretStr
    from wanted import arguments

    from zinc_mcp.owner.settings import Settings
    from zinc_mcp.sandbox import Sandbox
    from zinc_mcp.server.mcp.server import build_server
    from zinc_mcp.server.pages.browser import page_beside
    from zinc_mcp.wiring import open_process

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = Settings(home=home, config=home / "zinc.toml", api_key=SecretStr("zn_test_none"), browser=False)
        zinc = Sandbox().transport()
        async with open_process(settings, transport=zinc) as process, page_beside(process) as page:
            async with Client(build_server(process, page)) as client:
                await client.list_tools()
                product = {"url": "https://zinc.com/shop/products/test-success"}
                await client.call_tool("place_order", arguments(products=[product]))


def _read(line: socket.socket) -> tuple[dict[str, Any], list[int]]:
    message, streams, _, _ = socket.recv_fds(line, 65_536, 3)
    while not message.endswith(b"\n"):
        message += line.recv(65_536)
    return json.loads(message), streams


def _become(request: dict[str, Any], streams: list[int]) -> None:
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if os.isatty(0):
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # the standard streams stay open
    sys.stdout = open(1, "w", encoding="utf-8", buffering=1 if os.isatty(1) else -1, closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()
    # A program that was started in the background ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])


def _code_of(program: str, words: list[str]) -> int:
    """Run a program to its end and return its exit code, as the interpreter does."""
    try:
        _run(program, words)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        sys.stderr.write(f"{ended.code}\n")
        return 1
    except BaseException as error:
        traceback.print_exc()
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """End as the interpreter does, but for taking all objects apart.

    That would write to nearly all of the memory that this process shares with the one that forked it, and so copy it:
    90 ms for each program.
    """
    # Only the interpreter's own end calls these two, so they have no public name.
    wait_for_threads: Callable[[], None] = getattr(threading, "_shutdown")  # noqa: B009  # it has no type
    wait_for_threads()
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]  # as just said
    try:
        sys.stdout.flush()
    except OSError as error:
        sys.stderr.write(f"Exception ignored in: {sys.stdout!r}\n{error!r}\n")
        code = 120  # the interpreter's own code for it
    os._exit(code)


def _run(program: str, words: list[str]) -> None:
    from importlib import import_module

    if program == "zinc_mcp" or Path(program).name == "zinc-mcp":
        import zinc_mcp
        from zinc_mcp.__main__ import main

        # Printed commands name the script by which the program was started, or the interpreter and the module.
        started = str(Path(zinc_mcp.__path__[0]) / "__main__.py") if program == "zinc_mcp" else program
        sys.argv = [started, *words]
        main()
    elif program == "python":
        options, [code, *rest] = words[: words.index("-c")], words[words.index("-c") + 1 :]
        if "error" in options:  # of -W
            warnings.simplefilter("error")
        sys.argv = ["-c", *rest]
        exec(code, {"__name__": "__main__"})  # noqa: S102  # as the interpreter does
    else:
        import_module(program).main(*words)


def main(*words: str) -> int:
    """Fork programs, or ask for one with our own streams, environment and folder."""
    if words[0].isdecimal():
        number, loaded = words
        fork(socket.socket(fileno=int(number)), {"programs": _load, "tests": _collect}[loaded])
        return 0
    where, program, *rest = words
    given = started(program, rest, os.environ, os.getcwd(), [0, 1, 2], where)
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, _: os.kill(given.pid, number))
    for stream in (0, 1):  # only the program may keep them open
        os.close(stream)
    return given.wait() % 256


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
