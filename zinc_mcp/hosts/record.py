"""The record of what `install` wrote into hosts' files, with which `uninstall` gives back the earlier bytes.

The record lies in our home. It holds digests and positions, and nothing of what stands in a host's file.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from zinc_mcp.errors import RefusedError
from zinc_mcp.hosts.editing import Cuts
from zinc_mcp.private_files import make_folder, open_file

NAME = "hosts.json"
MAX_RECORD_BYTES = 1024 * 1024
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Written:
    """One file that `install` changed."""

    entry: str
    """The digest of our entry, by which it is known again even if it names only an address."""
    before: str | None
    """The digest of the file as it was; None if there was none, or if an entry of ours stood in it already."""
    after: str
    cuts: Cuts | None = None
    """The parts that were added to the text; None if something was replaced."""
    made: int = 0
    """The number of maps around the entry that were added with it."""
    made_file: bool = False
    replaced: bool = False
    """Whether an entry of somebody else was replaced, which the copy still holds."""
    copy: str | None = None
    """The file's copy from before."""


def digest(data: bytes) -> str:
    """Return the digest of a file."""
    return sha256(data).hexdigest()


def entry_digest(entry: object) -> str:
    """Return the digest of an entry. The order of its members does not matter."""
    return digest(json.dumps(entry, sort_keys=True, default=repr).encode())


def read_record(home: Path) -> dict[str, Written]:
    """Return the rows of the record, by the file's path. A record that cannot be read counts as empty."""
    try:
        path = home / NAME
        if path.stat().st_size > MAX_RECORD_BYTES:
            return {}
        rows = cast(dict[str, Any], json.loads(path.read_bytes()))["files"]
        return {path: _written(row) for path, row in rows.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def write_record(home: Path, rows: Mapping[str, Written]) -> None:
    """Write the record anew.

    Raises:
        RefusedError: it cannot be written.
    """
    content = json.dumps({"format": _FORMAT, "files": {path: asdict(row) for path, row in rows.items()}}, indent=1)
    beside = home / f"{NAME}.{os.getpid()}.new"
    try:
        make_folder(home)
        with open(open_file(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(content.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, home / NAME)
    except OSError as error:
        raise RefusedError(
            f"{home / NAME} cannot be written ({error.strerror or 'input/output error'}), so nothing was changed.",
            owner_step="Allow writing to the home of zinc-mcp.",
        ) from None


def _written(row: Mapping[str, Any]) -> Written:
    cuts: Any = row["cuts"]
    return Written(
        entry=str(row["entry"]),
        before=None if row["before"] is None else str(row["before"]),
        after=str(row["after"]),
        cuts=None if cuts is None else tuple((int(start), int(end)) for start, end in cuts),
        made=int(row["made"]),
        made_file=row["made_file"] is True,
        replaced=row["replaced"] is True,
        copy=None if row["copy"] is None else str(row["copy"]),
    )
