"""Print commands that work when a person pastes them into a terminal.

The terminal may have another PATH, another folder, and none of the variables that the host set. So a printed command
names the running program by its full path, and adds home, configuration and journal if a terminal would find others.
"""

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from zinc_mcp.known_settings import SETTINGS

# These variables choose the journal that a command opens. All others are in the configuration or are not needed. The
# last of a secret's variables names its file.
_PLACES = tuple(each.variables[-1] for each in SETTINGS if each.repeated)
_JOURNAL = "ZINC_MCP_JOURNAL"
COMPLETING = "_ZINC_MCP_COMPLETE"
"""The variable with which a shell asks for completions (click, "Shell Completion")."""
_PLAIN = re.compile(r"[A-Za-z0-9_:\\./-]+")
"""Words that PowerShell and cmd both read as plain text."""


UNFILLED = re.compile(
    r"\$\{[^{}]*\}|\$env:\w+|\$[A-Z_][A-Z0-9_]*|%[A-Za-z_]\w*%|\{\{[^{}]*\}\}|"
    r"\{(?:env|input|config|file|secret|secrets)[:.][^{}]*\}|<[^<>]*>|undefined|null|None"
)
"""Placeholders that hosts leave unfilled: the forms of Claude, VS Code, Cursor, opencode and the shells."""
_OPTIONAL = re.compile(r"\$\{user_config\.[^{}]*\}")
"""The placeholder that a bundle's host leaves for an optional setting (MCPB, "user_config"). It is no mistake."""


def environment_value(environ: Mapping[str, str], name: str) -> str | None:
    """Return a variable's value, or None when it is unset, empty, or a placeholder that a host left unfilled."""
    value = environ.get(name, "").strip()
    return None if is_unset(value) else value


def is_unset(value: str) -> bool:
    """Say whether a value is empty, or a placeholder that a host left unfilled."""
    return not value or UNFILLED.fullmatch(value) is not None


def is_left_unfilled(value: str) -> bool:
    """Say whether a value is a placeholder that a host should have filled in."""
    text = value.strip()
    return UNFILLED.fullmatch(text) is not None and _OPTIONAL.fullmatch(text) is None


def started_as(argv: Sequence[str] | None = None) -> str:
    """Return the command that started this program, quoted for the shell: a script, or an interpreter with the module.

    Home and journal are left out: the help needs none.
    """
    words = started_with(argv)
    places = _import_path(os.environ) if words[1:] and os.name == "posix" else None
    return " ".join([*([f"PYTHONPATH={_quoted(places)}"] if places else []), *map(_quoted, words)])


def started_with(argv: Sequence[str] | None = None) -> list[str]:
    """Return the same command as a list of words, with the full path, for a host's configuration."""
    return _program(sys.argv if argv is None else argv)


def is_installed(environ: Mapping[str, str] | None = None) -> bool:
    """Say whether the interpreter finds this package by itself, as it must if an app starts it."""
    return _import_path(os.environ if environ is None else environ) is None


def invocation(
    argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None, *, windows: bool = os.name == "nt"
) -> str:
    """Return the beginning of each of our commands: first the variables, then the program, quoted for the shell.

    The shell is a POSIX shell, or PowerShell on Windows, where a plain path works in cmd as well. A journal's address
    that may hold a password is left out; `command` adds a remark about it.
    """
    words = _program(sys.argv if argv is None else argv)
    variables = _variables(os.environ if environ is None else environ, words)
    if not windows:
        assigned = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
        return " ".join([*assigned, *(shlex.quote(word) for word in words)])
    assigned = [f"$env:{name}={_quoted(value, windows=True, always=True)};" for name, value in variables.items()]
    started = [_quoted(word, windows=True) for word in words]
    call = ["&"] if assigned or started[0].startswith("'") else []
    return " ".join([*assigned, *call, *started])


def command(*words: str, given: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> str:
    """Return one of our commands in backticks, for a sentence, with a remark if a variable must be set for it.

    Args:
        words: the command and its options, written by us.
        given: words that a model or Zinc may have written, such as a key: quoted, and never read as an option.
        environ: the environment; by default that of the process.
    """
    return f"`{command_line(*words, given=given, environ=environ)}`{setting_to_repeat(environ)}"


def command_line(*words: str, given: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> str:
    """Return the same command without backticks, for a line of its own. Print `setting_to_repeat` after it."""
    stop = ["--"] if any(word.startswith("-") for word in given) else []
    return " ".join([invocation(environ=environ), *(_quoted(word) for word in (*words, *stop, *given))])


def install_command(extra: str) -> str:
    """Return the command that installs the libraries of one of our extras, in backticks.

    It never names our own package. No index has it yet, and a stranger who takes the name there first could run code
    with people's keys.
    """
    from importlib.metadata import requires
    from importlib.util import find_spec

    listed = [each.partition(";") for each in requires("zinc-mcp") or []]
    is_extras = re.compile(rf"extra\s*==\s*['\"]{extra}['\"]")
    needed = [_quoted(name.strip()) for name, _, when in listed if is_extras.search(when)]
    interpreter = _quoted(os.path.abspath(sys.executable))
    pip = f"{interpreter} -m pip install" if find_spec("pip") else f"uv pip install --python {interpreter}"
    return f"`{' '.join([pip, *needed])}`"


def repeated_variables(words: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without which a command of these words would find another home, journal or package."""
    return _variables(environ, words)


def setting_to_repeat(environ: Mapping[str, str] | None = None) -> str:
    """Return a remark about the variable that a printed command omits because of a password, or an empty text."""
    url = environment_value(os.environ if environ is None else environ, _JOURNAL)
    return f" (with {_JOURNAL} set as it is for the server)" if url and _may_hold_a_password(url) else ""


def _program(argv: Sequence[str]) -> list[str]:
    started = Path(argv[0] if argv and argv[0] else "zinc-mcp")
    # The script of an environment, of `uv run` or of uvx is a file that runs by itself. The bare name is never used: a
    # terminal may find another program under it, and `uvx zinc-mcp` would fetch any package of that name.
    if started.stem == "zinc-mcp" and os.sep in str(started):
        return [os.path.abspath(started)]
    return [os.path.abspath(sys.executable), "-m", "zinc_mcp"]


def _variables(environ: Mapping[str, str], words: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    if words[1:] and (places := _import_path(environ)):
        found["PYTHONPATH"] = places
    for name in _PLACES:
        if value := environment_value(environ, name):
            found[name] = _absolute(value, environ)
    if "ZINC_MCP_HOME" not in found and (home := _home_of_this_process(environ)):
        found["ZINC_MCP_HOME"] = home
    journal = environment_value(environ, _JOURNAL)
    if journal and not _may_hold_a_password(journal):
        found[_JOURNAL] = journal
    return found


def _import_path(environ: Mapping[str, str]) -> str | None:
    """Return the folder of this package if it is not installed, so that the interpreter would not find it by itself."""
    folder = str(Path(__file__).resolve().parents[1])
    given = [os.path.abspath(place) for place in environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    if folder in (os.path.realpath(place) for place in given):
        return os.pathsep.join(given)
    # `python -m` puts its starting folder first in the path.
    return folder if sys.path and os.path.realpath(sys.path[0] or os.curdir) == folder else None


def _home_of_this_process(environ: Mapping[str, str]) -> str | None:
    """Return our home folder if HOME is not the user's own, as in a container or a sandbox of the host."""
    if os.name != "posix" or not (given := environ.get("HOME")):
        return None
    import pwd

    try:
        own = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        own = None
    return (
        None
        if own is not None and os.path.abspath(own) == os.path.abspath(given)
        else _absolute("~/.zinc-mcp", environ)
    )


def _absolute(path: str, environ: Mapping[str, str]) -> str:
    if path.startswith("~/") and environ.get("HOME"):
        path = os.path.join(environ["HOME"], path[2:])
    return os.path.abspath(os.path.expanduser(path))


def _may_hold_a_password(url: str) -> bool:
    """Say whether a database's address may hold a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return True
    if parts.scheme.partition("+")[0] == "sqlite":
        return bool(parts.netloc or parts.query)
    return ":" in parts.netloc.rpartition("@")[0] or bool(parts.query) or not parts.netloc


def _quoted(word: str, *, windows: bool = os.name == "nt", always: bool = False) -> str:
    if not windows:
        return shlex.quote(word)
    return word if _PLAIN.fullmatch(word) and not always else "'" + word.replace("'", "''") + "'"
