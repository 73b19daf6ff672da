"""Read a host's file, and replace it so that no reader ever sees half of it and nobody else's change is lost."""

import contextlib
import os
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from zinc_mcp.errors import RefusedError
from zinc_mcp.private_files import make_folder

MAX_FILE_BYTES = 32 * 1024 * 1024
_SENSIBLE_MODE = 0o600
_MOST_BACKUPS = 100


class OvertakenError(RefusedError):
    """Another program changed a file right after it was written here."""


@dataclass(frozen=True, slots=True)
class HostFile:
    """A host's file as it was read."""

    path: Path
    """The file itself: links are resolved."""
    data: bytes | None
    """None if there is no file."""
    mode: int = _SENSIBLE_MODE

    @property
    def text(self) -> str:
        """Return its text, empty where there is no file.

        Raises:
            RefusedError: it is not UTF-8.
        """
        try:
            return (self.data or b"").decode("utf-8")
        except UnicodeDecodeError:
            raise RefusedError(
                f"{self.path} cannot be read: it is not UTF-8 text. It was left as it is.",
                owner_step="Save it as UTF-8, or add the entry by hand.",
            ) from None


def read_file(path: Path) -> HostFile:
    """Read a host's file.

    Raises:
        RefusedError: it cannot be read, or it is something else than a file of a usual size.
    """
    real = Path(os.path.realpath(path))
    try:
        found = real.stat()
    except FileNotFoundError:
        if os.path.lexists(path):
            raise _unusable(path, "it is a link to a file that does not exist", "Mend or remove the link.") from None
        return HostFile(real, None)
    except OSError as error:
        raise _unusable(path, error.strerror or "input/output error", "Look at what is there.") from None
    if not stat.S_ISREG(found.st_mode):
        raise _unusable(path, "it is no file", "Look at what is there.")
    if found.st_size > MAX_FILE_BYTES:
        raise _unusable(path, f"it has more than {MAX_FILE_BYTES // 1024 // 1024} MB", "Add the entry by hand.")
    try:
        data = real.read_bytes()
    except OSError as error:
        raise _unusable(path, error.strerror or "input/output error", "Look at what is there.") from None
    return HostFile(real, data, stat.S_IMODE(found.st_mode))


def back_up(found: HostFile, now: float) -> Path | None:
    """Copy a file to a name beside it that says when, and return the copy; None where there was no file.

    Raises:
        RefusedError: the copy cannot be written.
    """
    if found.data is None:
        return None
    moment = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    for number in range(_MOST_BACKUPS):
        copy = found.path.with_name(f"{found.path.name}.{moment}{f'-{number}' if number else ''}.before-zinc-mcp")
        try:
            descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        except FileExistsError:
            continue
        except OSError as error:
            raise _unwritable(found.path, error) from None
        try:
            _fill(descriptor, found.data, found)
        except OSError as error:
            copy.unlink(missing_ok=True)
            raise _unwritable(found.path, error) from None
        return copy
    raise RefusedError(
        f"{found.path} cannot be copied: there are too many copies beside it. It was left as it is.",
        owner_step="Remove the old *.before-zinc-mcp files.",
    )


def replace(found: HostFile, data: bytes | None) -> None:
    """Give a file other bytes, or remove it, and read it again. Mode, owner and links stay.

    Raises:
        OvertakenError: another program changed it right after it was written.
        RefusedError: it cannot be written, or another program changed it since it was read. This call changed nothing.
    """
    check_writable(found)
    if data is None:
        _check_unchanged(found)
        found.path.unlink(missing_ok=True)
        return
    try:
        make_folder(found.path.parent)
        descriptor, name = tempfile.mkstemp(dir=found.path.parent, prefix=f".{found.path.name}.")
    except OSError as error:
        raise _unwritable(found.path, error) from None
    try:
        _fill(descriptor, data, found)
        _check_unchanged(found)
        os.replace(name, found.path)
    except OSError as error:
        raise _unwritable(found.path, error) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)
    _sync_folder(found.path.parent)
    if read_file(found.path).data != data:
        raise OvertakenError(
            f"{found.path} was changed by another program while it was written.",
            owner_step="Close the host, look at the file and try again.",
        )


def check_writable(found: HostFile) -> None:
    """Check that a file may be changed. One without the right to write stays, because its owner took the right away.

    Raises:
        RefusedError: it is read-only.
    """
    if found.data is not None and (not found.mode & stat.S_IWUSR or not os.access(found.path, os.W_OK)):
        raise RefusedError(
            f"{found.path} is read-only, so it was left as it is.",
            owner_step="Allow writing to it, or add the entry where the file is made; --print shows the entry.",
        )


def _fill(descriptor: int, data: bytes, found: HostFile) -> None:
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if os.name == "posix":
            os.fchmod(descriptor, found.mode)
            with contextlib.suppress(OSError):  # only the administrator may give a file away
                owner = found.path.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.fsync(descriptor)


def _check_unchanged(found: HostFile) -> None:
    if read_file(found.path).data != found.data:
        raise RefusedError(
            f"{found.path} was changed by another program in the meantime, so it was left as it is.",
            owner_step="Close the host and try again.",
        )


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # some file systems cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unusable(path: Path, why: str, step: str) -> RefusedError:
    return RefusedError(f"{path} cannot be read: {why}. It was left as it is.", owner_step=step)


def _unwritable(path: Path, error: OSError) -> RefusedError:
    why = error.strerror or "input/output error"
    return RefusedError(
        f"{path} cannot be written ({why}). It was left as it is.",
        owner_step="Allow writing to it and its folder, or add the entry by hand; --print shows it.",
    )
