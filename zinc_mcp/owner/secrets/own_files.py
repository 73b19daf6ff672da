"""Files that only the owner may change. A file that another user could have written is not believed.

Keys that the program makes for itself are such files too.
"""

import os
import shlex
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from zinc_mcp.errors import SettingsError
from zinc_mcp.private_files import make_folder, open_file, writable_by_others

SECRETS = "secrets"
"""The folder of the home in which secrets are kept."""
KEY_BYTES = 32
"""The length of each key that the program makes for itself."""


class InsecureFileError(SettingsError):
    """Others can write to a file of the owner, so nothing in it is believed."""


def check_owners_alone(path: Path, what: str) -> None:
    """Check that nobody else can change the file or folder at a path.

    Raises:
        InsecureFileError: others can write to it, or to a folder above it.
    """
    others = writable_by_others(path)
    if others is not None:
        raise InsecureFileError(
            f"Other users of this machine can write to {others}, and so change what this program takes for its {what}.",
            f"Take that right from them: chmod go-w {shlex.quote(str(others))}. Then look at what is in it.",
        )


def own_key(path: Path, make: Callable[[], bytes] | None) -> bytes | None:
    """Return the key in a file of the home, which is made on first use if `make` is given; None if there is none.

    Raises:
        SettingsError: it cannot be made or read.
    """
    try:
        if make is not None:
            make_folder(path.parent)
            # Another process may make it at the same time: then its key is taken.
            with suppress(FileExistsError):
                _write_whole(path, make)
        with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
            kept = file.read(KEY_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path} cannot be used ({error.strerror or 'input/output error'}).") from None
    if len(kept) != KEY_BYTES:
        raise SettingsError(f"{path} is not a key.", "Put its backup in its place, or move it away: a new one is made.")
    return kept


def _write_whole(path: Path, make: Callable[[], bytes]) -> None:
    """Write a file that is whole as soon as it is there."""
    if path.exists():
        return
    beside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with os.fdopen(open_file(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()
