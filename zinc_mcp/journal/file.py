"""A SQLite journal's file: made for its owner alone, refused where others could change it, and watched while open."""

import errno
import os
import shlex
import stat
import sys
from pathlib import Path

import sqlalchemy as sa

from zinc_mcp.errors import JournalError
from zinc_mcp.private_files import make_folder, open_file, writable_by_others

# Names of file systems that other machines can write to: SQLite's locks do not hold there (SQLite, "How To Corrupt").
_NETWORK = frozenset("nfs nfs4 cifs smb smb2 smb3 smbfs afs ncpfs 9p ceph glusterfs fuse.sshfs webdav davfs".split())

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)

_REPLACED = (
    "The journal's file was deleted, replaced or put back to an earlier state while this process had it open.",
    "Tell the user to put the right file back and to start every zinc-mcp server anew.",
)


class CannotWriteError(JournalError):
    """The journal's file, or the folder it lies in, can only be read."""


def prepare(path: Path) -> None:
    """Make a journal's file where there is none, for its owner alone.

    Raises:
        CannotWriteError: it or its folder can only be read.
        JournalError: it lies on a network folder, others can change it, or what stands there is no file.
    """
    try:
        make_folder(path.parent)
        if kind := _network_kind(path.parent):
            raise JournalError(
                f"The journal's folder lies on a network file system ({kind}), where its locks do not hold.",
                "Tell the user to set ZINC_MCP_HOME to a local folder, or ZINC_MCP_JOURNAL to a PostgreSQL database.",
                owner_step="Set ZINC_MCP_HOME to a local folder, or ZINC_MCP_JOURNAL to a PostgreSQL database.",
            )
        check_place(path)
        os.close(open_file(path, os.O_RDWR | os.O_CREAT))
    except OSError as error:
        kind_of_error = CannotWriteError if error.errno in _NOT_WRITABLE else JournalError
        raise kind_of_error(
            f"The journal's file cannot be opened for writing ({error.strerror}).",
            "Tell the user to make the folder writable, or to set ZINC_MCP_HOME to one that is.",
            owner_step="Make the folder writable, or set ZINC_MCP_HOME to one that is.",
        ) from None


def check_place(path: Path) -> None:
    """Check that nobody else decides what a journal's file holds.

    Raises:
        JournalError: others can write to it or to a folder on the way, or it is a link or no file.
    """
    if path.is_symlink():
        raise JournalError(
            "The journal's file is a symbolic link, and whatever it leads to would be taken for the journal.",
            "Tell the user to set ZINC_MCP_JOURNAL to the file itself.",
            owner_step="Set ZINC_MCP_JOURNAL to the file itself (sqlite:////path/journal.db), or put it in its place.",
        )
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise JournalError(
            "What stands in the journal's place is no file, so it cannot be opened.",
            "Tell the user to move it away, or to set ZINC_MCP_JOURNAL to another place.",
            owner_step="Move it away, or set ZINC_MCP_JOURNAL to another place.",
        )
    # The folder first: where others may write to it, a sticky bit does not keep them from making the log before us.
    others = writable_by_others(path.parent) or writable_by_others(path)
    if others is not None:
        raise JournalError(
            f"Other users of this machine can write to {others}, and so change the journal.",
            "Tell the user to take that right from them, or to keep the journal in a folder of its own.",
            owner_step=f"Take that right from them: chmod go-w {shlex.quote(str(others))}. Or keep the journal in a "
            "folder of its own.",
        )


class JournalFile:
    """A SQLite journal's file and its log, as they were when this process began to use them."""

    def __init__(self, engine: sa.Engine) -> None:
        """Remember the file; without one (PostgreSQL) every check passes."""
        self._path = Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None
        self._seen = {} if self._path is None else {self._path: _identity(self._path)}
        self._newest = 0

    @property
    def newest(self) -> int:
        """The id of the newest entry that this process has written."""
        return self._newest

    def goes_on_from(self, former: "JournalFile", *, is_same: bool) -> None:
        """Hold on to the file that this process has used before it closed the journal and opened it again.

        Its log is another one each time. `is_same` says whether the journal in it was created at the same time: a new
        file may get the number of one that was deleted.
        """
        if self._path is not None and self._path in former._seen:
            self._seen = {self._path: former._seen[self._path] if is_same else None}
        self._newest = max(self._newest, former._newest)

    def check(self, newest: int) -> None:
        """Check, before anything is opened or sent, that what is written is what others will read.

        `newest` is the id of the newest entry, where it has been read: it never falls.

        Raises:
            JournalError: the file is another one, or has less in it than this process has written.
        """
        for path, identity in self._seen.items():
            if _identity(path) != identity:
                raise JournalError(*_REPLACED)
        if newest < self._newest:
            raise JournalError(*_REPLACED)

    def wrote(self, newest: int) -> None:
        """Remember that an entry was written: its log exists from then on, for as long as the file is open."""
        self._newest = max(self._newest, newest)
        if self._path is not None and len(self._seen) == 1:
            log = self._path.with_name(f"{self._path.name}-wal")
            identity = _identity(log)
            if identity is not None:
                self._seen[log] = identity


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _network_kind(folder: Path) -> str | None:
    if os.name == "nt":
        return "a network share" if str(folder.resolve()).startswith("\\\\") else None
    if sys.platform != "linux":
        return None
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    where, best, kind = folder.resolve(), Path("/"), ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) > 2:
            point = Path(fields[1].replace("\\040", " "))
            if (where == point or point in where.parents) and len(point.parts) >= len(best.parts):
                best, kind = point, fields[2]
    return kind if kind in _NETWORK else None
