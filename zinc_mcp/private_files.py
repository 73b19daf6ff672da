"""Files and folders that belong to the owner alone: make them private, and check who else could read or write them.

Anybody who can write to a configuration file, or to a folder above it, can give orders in the owner's name. On Windows
nothing is checked: there a home is private by inheritance, and file modes have no meaning.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

_MOST_LINKS = 40
_ACCESS_LIST = "system.posix_acl_access"


def make_folder(path: Path) -> None:
    """Make a folder and the missing folders above it, for their owner alone.

    Raises:
        OSError: it cannot be made.
    """
    missing: list[Path] = []
    at = path
    while not at.exists():
        missing.append(at)
        at = at.parent
    for each in reversed(missing):
        with suppress(FileExistsError):
            each.mkdir(mode=0o700)
            if os.name == "posix":
                each.chmod(0o700)  # a umask may have removed the owner's own permissions


def open_file(path: Path, flags: int) -> int:
    """Open one of our files, new or old, make it private to its owner, and return its descriptor.

    Raises:
        OSError: it cannot be opened, or it is a link.
    """
    descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if os.name == "posix" and stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o600:
            os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def writable_by_others(path: Path) -> Path | None:
    """Return the first folder or file on this path that another user could write to; None if there is none.

    A folder with the sticky bit, such as `/tmp`, does not count: others cannot remove our entries from it (chmod(1)).
    An entry in it that belongs to somebody else does count.
    """
    if os.name != "posix":
        return None
    steps = list(_steps(path))
    for number, at in enumerate(steps):
        try:
            found = at.lstat()
        except OSError:
            return None  # nothing is there
        if _is_foreign(found.st_uid):
            return at
        if stat.S_ISLNK(found.st_mode) or not _others_write(at, found):
            continue
        if not stat.S_ISDIR(found.st_mode) or not found.st_mode & stat.S_ISVTX or number == len(steps) - 1:
            return at
    return None


def readable_by_others(path: Path) -> bool:
    """Say whether others can read a file: its mode and the mode of its folder allow it."""
    if os.name != "posix":
        return False
    try:
        found, folder = path.stat(), path.resolve().parent.stat()
    except OSError:
        return False
    everybody = bool(found.st_mode & stat.S_IROTH and folder.st_mode & stat.S_IXOTH)
    group = bool(found.st_mode & stat.S_IRGRP and folder.st_mode & (stat.S_IXGRP | stat.S_IXOTH))
    return everybody or (group and _is_shared(found.st_gid)) or _is_foreign(found.st_uid)


def _steps(path: Path) -> Iterator[Path]:
    """Yield each folder and link above a path, and last the file that the path leads to."""
    rest = list(reversed((Path.cwd() / path).parts))  # links are followed before `..` goes up, as systems do
    at = Path(rest.pop())
    links = 0
    yield at
    while rest:
        name = rest.pop()
        if name == os.pardir:
            at = at.parent
            continue
        at = at / name
        yield at
        if os.path.islink(at) and links < _MOST_LINKS:  # also False if this user may not look
            links += 1
            target = Path(os.readlink(at))
            at = Path(target.parts[0]) if target.is_absolute() else at.parent
            rest += reversed(target.parts[1:] if target.is_absolute() else target.parts)


def _others_write(path: Path, found: os.stat_result) -> bool:
    if found.st_mode & stat.S_IWOTH:
        return True
    if not found.st_mode & stat.S_IWGRP:
        return False
    return _is_shared(found.st_gid) or _has_access_list(path)


def _has_access_list(path: Path) -> bool:
    # With an access list, the mode of the group is the most that anybody on the list may do (acl(5)).
    try:
        return _ACCESS_LIST in os.listxattr(path, follow_symlinks=False)
    except (OSError, AttributeError):
        return False


@cache
def _is_foreign(uid: int) -> bool:
    """Say whether an owner is another user of this machine. The administrator does not count: root can do anything."""
    if uid in (0, os.geteuid()) or os.geteuid() == 0:
        return False
    import pwd

    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False  # no such user here: the volume is mounted into a container
    return True


@cache
def _is_shared(gid: int) -> bool:
    """Say whether a group may have members besides this user. Only a user's private group has none."""
    if gid == 0:
        return False
    import grp
    import pwd

    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return False
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return True
    return group.gr_name != name or bool(set(group.gr_mem) - {name})
