"""Other versions of the program, to run beside this one: the version before, from git, and one that comes after."""

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from preloaded import Ended
from started import ROOT, Started

from zinc_mcp.journal.storage.tables import BESIDE, SCHEMA_VERSION

BEFORE = "33c1ec33790bc09a3fceb1e386fd707d40da841c"
"""The last commit whose journals are of version 14, before there were steps that only add."""
CHANGES, ADDS = SCHEMA_VERSION + 1, SCHEMA_VERSION + 2
"""The steps that the version after takes: one that the present version cannot go on beside, and one that only adds."""

_LATER = f"""

def _change(connection: sa.Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE zinc_changed (name TEXT)")


def _add(connection: sa.Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE zinc_added (name TEXT)")


_MIGRATIONS |= {{{CHANGES}: _change, {ADDS}: _add}}
ADDING |= {{{ADDS}}}
"""


def shared_folder(made: pytest.TempPathFactory, name: str, fill: Callable[[Path], Path]) -> Path:
    """Return a folder of this run that `fill` has filled, which all processes of the run use.

    Else each file of tests compiles its own copy of a version, which takes seconds.
    """
    own = made.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    if not shared.exists():
        filled = fill(made.mktemp(name))
        with suppress(OSError):  # another process was faster
            filled.rename(shared)
    return shared


def tree_before(folder: Path) -> Path:
    """Put the version before into a folder, as its commit has it, and return the folder; skip where that is unknown."""
    try:
        packed = subprocess.run(
            [shutil.which("git") or "", "-C", str(ROOT), "archive", "--format=zip", BEFORE, "zinc_mcp"],
            capture_output=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the history of this project is not here, so there is no version before")
    with zipfile.ZipFile(io.BytesIO(packed.stdout)) as files:
        files.extractall(folder)
    return folder


def tree_after(folder: Path) -> Path:
    """Put a version that comes after this one into a folder, and return the folder.

    It is this one with two more steps; the version before it is this one.
    """
    shutil.copytree(ROOT / "zinc_mcp", folder / "zinc_mcp", ignore=shutil.ignore_patterns("__pycache__"))
    storage = folder / "zinc_mcp" / "journal" / "storage"
    tables = (storage / "tables.py").read_text(encoding="utf-8")
    for old, new in ((f"SCHEMA_VERSION = {SCHEMA_VERSION}", ADDS), (f"BESIDE = {BESIDE}", SCHEMA_VERSION)):
        tables, count = re.subn(rf"^{old}$", f"{old.partition(' ')[0]} = {new}", tables, flags=re.MULTILINE)
        assert count == 1, old
    (storage / "tables.py").write_text(tables, encoding="utf-8")
    with (storage / "schema.py").open("a", encoding="utf-8") as schema:
        schema.write(_LATER)
    return folder


def of_tree(tree: Path) -> dict[str, str]:
    """Return the variables with which Python runs what is in a tree; what it compiles is kept there."""
    return {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": ""}


def command_of(tree: Path, started: Started, *words: str, **variables: str) -> Ended:
    """Run a command of another version to its end, in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-m", "zinc_mcp", *words],
        env={**started.environment, **variables, **of_tree(tree)},
        cwd=tree,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return Ended(ended.returncode, ended.stdout, ended.stderr)
