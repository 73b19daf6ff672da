"""How this program was started, so that a command we print can be pasted as it stands."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def invocation(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> str:
    """Return what starts this program again: `zinc-mcp`, `uvx zinc-mcp`, `python -m zinc_mcp` or with a full path."""
    program = Path((sys.argv if argv is None else argv)[0] or "zinc-mcp")
    environment = os.environ if environ is None else environ
    if program.name == "__main__.py" or program.name == "-m":
        return f"{_interpreter(environment)} -m zinc_mcp"
    if program.stem != "zinc-mcp":
        return "zinc-mcp"  # started from a test or an embedding program: nothing truer is known
    if _through_uvx(program, environment):
        return "uvx zinc-mcp"
    return _short("zinc-mcp", str(program), environment)


def _through_uvx(program: Path, environ: Mapping[str, str]) -> bool:
    # uvx runs from an archive in uv's cache and tells its children where uv is; `uv run` runs from a project's .venv.
    return "archive-v0" in program.parts or ("UV" in environ and "uv" in program.parts)


def _interpreter(environ: Mapping[str, str]) -> str:
    own = Path(os.path.abspath(sys.executable))
    for name in ("python", "python3"):
        found = _found(name, environ)
        # The same folder too: a virtual environment's python is a link to one that has other packages.
        if found is not None and found.parent == own.parent and found.samefile(own):
            return name
    return shlex.quote(str(own))


def _short(name: str, path: str, environ: Mapping[str, str]) -> str:
    if os.sep not in path or _found(name, environ) == Path(os.path.abspath(path)):
        return name
    return shlex.quote(os.path.abspath(path))


def _found(name: str, environ: Mapping[str, str]) -> Path | None:
    found = shutil.which(name, path=environ.get("PATH", os.defpath))
    return Path(os.path.abspath(found)) if found is not None else None
