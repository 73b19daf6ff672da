"""The command with which a host starts this program: the installed program, by its full path."""

import os
import re
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from zinc_mcp.errors import RefusedError
from zinc_mcp.hosts.entries import Start
from zinc_mcp.invocation import repeated_variables, setting_to_repeat

_PASSING = re.compile(r"(?:archive|environments|builds)-v[0-9]+")
"""Folders of uv's cache (docs.astral.sh/uv/concepts/cache), which any `uv cache` command may empty."""


def start_of_this_program(environ: Mapping[str, str], *, sandbox: bool = False) -> Start:
    """Return the command and the variables with which a host starts this program.

    A script beside the interpreter is started by its full path, and the interpreter with the module where there is
    none. Home, configuration and journal are named only where a host would find others.

    Raises:
        RefusedError: this program is going to vanish, or the journal's address may hold a password.
    """
    interpreter = os.path.abspath(sys.executable)
    _check_it_stays(interpreter, environ)
    if setting_to_repeat(environ):
        raise RefusedError(
            "ZINC_MCP_JOURNAL may hold a password, and no secret is written into a host's file.",
            owner_step="Put `journal` or `journal_file` into zinc.toml, where every host finds it.",
        )
    script = _script(Path(interpreter), environ)
    words = [str(script)] if script is not None else [interpreter, "-m", "zinc_mcp"]
    variables = repeated_variables(words, environ)
    if not all(_is_text(each) for each in (*words, *variables.values())):
        raise RefusedError(
            "A path of this program or of its home is not UTF-8, and no host's file can hold it.",
            owner_step="Install it in a folder with a plain name.",
        )
    return Start(words, {**variables, **({"ZINC_MCP_SANDBOX": "1"} if sandbox else {})})


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _script(interpreter: Path, environ: Mapping[str, str]) -> Path | None:
    found = interpreter.parent / ("zinc-mcp.exe" if os.name == "nt" else "zinc-mcp")
    if not (found.is_file() and os.access(found, os.X_OK)) or not _is_of(found, interpreter):
        return None
    # A tool of pipx or uv has a link in a folder of programs, and keeps it when its environment is made anew.
    if {"pipx", "uv"} & set(found.parts):
        for folder in _program_folders(environ):
            link = folder / found.name
            if link.is_file() and os.path.realpath(link) == os.path.realpath(found):
                return link
    return found


def _is_of(script: Path, interpreter: Path) -> bool:
    """Say whether a script is started by this interpreter, and not by another in the same folder."""
    if os.name == "nt":
        return True
    try:
        with open(script, "rb") as file:
            head = file.read(2048)
    except OSError:
        return False
    # Installers write a small shell script where a path is too long for a first line, or has a blank in it.
    return os.fsencode(interpreter.parent) in head and b"zinc_mcp" in head


def _program_folders(environ: Mapping[str, str]) -> list[Path]:
    named = [environ[name] for name in ("UV_TOOL_BIN_DIR", "PIPX_BIN_DIR", "XDG_BIN_HOME") if environ.get(name)]
    return [*map(Path, named), Path(os.path.expanduser("~/.local/bin"))]


def _check_it_stays(interpreter: str, environ: Mapping[str, str]) -> None:
    parts = Path(interpreter).parts
    cache = environ.get("UV_CACHE_DIR")
    in_cache = cache is not None and Path(interpreter).is_relative_to(os.path.abspath(cache))
    pipx = any(pair in ((".cache", "pipx"), ("pipx", ".cache")) for pair in pairwise(parts))
    if in_cache or pipx or any(_PASSING.fullmatch(part) for part in parts):
        raise RefusedError(
            "This program runs from a cache that may be emptied at any time, so no host can rely on it. "
            "Nothing was written.",
            owner_step="Install it in an environment that stays (from a clone: pip install . in a virtual environment, "
            "or uv tool install .), and run install from there.",
        )
