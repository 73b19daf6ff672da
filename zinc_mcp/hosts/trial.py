"""Start the server as a host would, and list its tools.

It gets a short PATH and only the variables that the host hands over, because a server that works in this terminal may
not work there.
"""

import contextlib
import json
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

from zinc_mcp.hosts.table import Passes
from zinc_mcp.invocation import is_unset

MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_LINES = 200
START_SECONDS = 20.0
_ERROR_BYTES = 8192
_FEW = ("HOME", "LANG", "LC_ALL", "LOGNAME", "SHELL", "TMPDIR", "TZ", "USER")
_FEW_ON_WINDOWS = (
    "APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATHEXT", "PROGRAMDATA", "SYSTEMDRIVE",
    "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE", "WINDIR",
)  # fmt: skip
_LOOKS_SECRET = re.compile(r"TOKEN|SECRET|KEY|AUTH|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SHORT_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome of a start: the tools that were listed, or the reason why none were."""

    tools: tuple[str, ...] = ()
    why: str = ""
    """Words of another program: to be cleaned before they are shown."""


def handed_over(
    passes: Passes, entry_variables: Mapping[str, str], named: Sequence[str], environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment that a host gives a server: its own variables, those it is told to add, and the entry's.

    Args:
        passes: the variables that the host hands over by itself.
        entry_variables: those of the entry. A placeholder is left out: only the host can fill it in.
        named: further variables to hand over, as Codex's `env_vars`.
        environ: the variables of this terminal.
    """
    few = (*_FEW, *named, *(_FEW_ON_WINDOWS if os.name == "nt" else ()))
    given = {name: value for name, value in environ.items() if passes != "few" or name.upper() in few or name in named}
    if passes == "not secrets":
        given = {name: value for name, value in given.items() if not _LOOKS_SECRET.search(name)}
    path = os.path.join(environ.get("SYSTEMROOT", r"C:\Windows"), "System32") if os.name == "nt" else _SHORT_PATH
    own = {name: value for name, value in entry_variables.items() if not is_unset(value.strip())}
    return {**given, "PATH": path, **own}


def try_start(words: Sequence[str], environment: Mapping[str, str], seconds: float = START_SECONDS) -> Trial:
    """Start a server, list its tools and end it."""
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603 - the owner's own command, which the host starts as well
                list(words),
                env=dict(environment),
                cwd=os.path.abspath(os.sep),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except OSError as error:
            return Trial(why=error.strerror or "it cannot be started")
        is_late = threading.Event()

        def end_late() -> None:
            is_late.set()
            process.kill()

        timer = threading.Timer(seconds, end_late)
        timer.start()
        try:
            tools = _tools(process)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            tools = None
        finally:
            timer.cancel()
            _end(process)
        if tools is not None:
            return Trial(tools=tools)
        if is_late.is_set():
            return Trial(why=f"no answer within {seconds:g} seconds")
        return Trial(why=_last_words(errors) or "it ended without an answer")


def _tools(process: subprocess.Popen[bytes]) -> tuple[str, ...] | None:
    client = {"name": "zinc-mcp doctor", "version": "1"}
    begin = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    _say(process, {"id": 1, "method": "initialize", "params": begin})
    if _answer(process, 1) is None:
        return None
    _say(process, {"method": "notifications/initialized"})
    _say(process, {"id": 2, "method": "tools/list", "params": {}})
    listed = _answer(process, 2)
    return None if listed is None else tuple(str(tool["name"]) for tool in listed["tools"])


def _say(process: subprocess.Popen[bytes], message: Mapping[str, Any]) -> None:
    if process.stdin is not None:
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        process.stdin.flush()


def _answer(process: subprocess.Popen[bytes], number: int) -> dict[str, Any] | None:
    for _ in range(MAX_LINES):
        line = process.stdout.readline(MAX_ANSWER_BYTES) if process.stdout is not None else b""
        if not line:
            return None
        said: dict[str, Any] = json.loads(line)
        if said.get("id") == number:
            return cast(dict[str, Any], said["result"])
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()  # which asks it to end
    try:
        process.wait(2.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _last_words(errors: IO[bytes]) -> str:
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - _ERROR_BYTES))
    lines = [line.strip() for line in errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("zinc-mcp: ")), lines[-1] if lines else "")
