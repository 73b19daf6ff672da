"""The members of a team server: names, hashed bearer tokens, and ids that are never used again.

A member's orders, limits, PIN and sessions belong to their *caller*, which is `name#id` with a random id. They do not
belong to the name: a new member with the name of a removed one inherits nothing. Members of an old file have no id.
Such a member is the caller `name`, as in the journal of that time, and nobody else can become that caller.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from zinc_mcp.errors import RefusedError, SettingsError
from zinc_mcp.invocation import command
from zinc_mcp.private_files import make_folder, open_file, writable_by_others

LOCAL = "local"
"""The owner: the caller on stdio, and over HTTP while there are no members (`server.http.access`)."""

_BUSY_SECONDS = 15.0
"""The longest time for which a change waits for another change, as in the journal."""
_LOOK_AGAIN_SECONDS = 0.05
_NAME = re.compile(r"[a-z0-9._-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{16}")
_NAME_IN_CALLER = 47
"""The longest part of a name in a caller, in characters: the journal keeps 64 of a caller."""
_PREFIX = "zmcp_"
_MAX_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    hash: str
    id: str | None = None
    """None: the member was added before there were ids."""

    @property
    def caller(self) -> str:
        return self.name if self.id is None else f"{self.name[:_NAME_IN_CALLER]}#{self.id}"


class Members:
    """The members in a file, read again whenever the file changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._hashes: dict[str, str] = {}

    def known(self) -> dict[str, str]:
        """Return the hashes by caller.

        Raises:
            SettingsError: the file cannot be used. Then nobody is let in: a token may just have been taken back.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._hashes = None, {}
            return self._hashes
        except OSError as error:
            raise _unusable(self.path, error.strerror or "input/output error") from error
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._seen:
            self._seen = None
            self._hashes = {member.caller: member.hash for member in _read(self.path).values()}
            self._seen = stamp
        return self._hashes

    def caller_by(self, token: str) -> str | None:
        """Return the caller with this token. It is compared with every hash, so that the time it takes tells nothing.

        Raises:
            SettingsError: as `known`.
        """
        given = _hash(token)
        found = None
        for caller, kept in self.known().items():
            if hmac.compare_digest(kept, given):
                found = caller
        return found


def list_members(path: Path) -> list[str]:
    """Return the members' names, sorted.

    Raises:
        SettingsError: the file cannot be used.
    """
    return list(members_callers(path))


def members_callers(path: Path) -> dict[str, str]:
    """Return each member's caller by name, in the order of the names.

    Raises:
        SettingsError: the file cannot be used.
    """
    return {name: member.caller for name, member in sorted(_read(path).items())} if path.exists() else {}


def name_of(caller: str) -> str:
    """Return the name of a caller, for people to read."""
    return caller.partition("#")[0]


def add_member(path: Path, name: str) -> str:
    """Add a member with a new id, and return their token. Only its hash is kept.

    Raises:
        RefusedError: the name cannot be used, or is taken.
        SettingsError: the file cannot be used.
    """
    if not _NAME.fullmatch(name) or name == LOCAL:
        raise RefusedError(
            "That is not a member's name.",
            owner_step=f"Use 1 to 64 of a-z, 0-9, dot, dash and underscore; {LOCAL} is reserved.",
            code="invalid_arguments",
        )
    token = _PREFIX + secrets.token_urlsafe(32)
    with _changing(path) as members:
        if name in members:
            raise RefusedError(
                f"There is a member {name} already.",
                owner_step="To give them a new token, remove them first.",
                code="invalid_arguments",
            )
        members[name] = _Member(name, _hash(token), secrets.token_hex(8))
    return token


def remove_member(path: Path, name: str) -> str | None:
    """Remove a member, so that their token stops working at once. Return their caller; None if there was no member.

    Raises:
        SettingsError: the file cannot be used.
    """
    with _changing(path) as members:
        removed = members.pop(name, None)
    return None if removed is None else removed.caller


def _hash(token: str) -> str:
    # A token is 32 random bytes: nothing is gained by a slow hash.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> dict[str, _Member]:
    others = writable_by_others(path)
    if others is not None:
        raise _unusable(path, f"other users of this machine can write to {others}")
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise _unusable(path, "too large")
        document: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise _unusable(path, error.strerror or "input/output error") from error
    except (ValueError, RecursionError):
        raise _unusable(path, "not JSON") from None
    listed = cast(dict[str, Any], document).get("members") if isinstance(document, dict) else None
    if not isinstance(listed, dict):
        raise _unusable(path, 'not {"members": {name: {"id": id, "hash": hash}}}')
    members = {name: _member(name, kept) for name, kept in cast(dict[str, Any], listed).items()}
    found = {name: member for name, member in members.items() if member is not None}
    # Of two with one id, both would be one caller.
    if len(found) < len(members) or len({member.caller for member in found.values()}) < len(found):
        raise _unusable(path, "an entry is not a member's name, id and hash")
    return found


def _member(name: str, kept: Any) -> _Member | None:
    """Return a member from the file: `{"id": id, "hash": hash}`, or the hash alone, as before there were ids."""
    if not _NAME.fullmatch(name) or name == LOCAL:
        return None
    if isinstance(kept, str):
        return _Member(name, kept) if _HASH.fullmatch(kept) else None
    if not isinstance(kept, dict):
        return None
    fields = cast(dict[str, Any], kept)
    given, kept_hash = fields.get("id"), fields.get("hash")
    if fields.keys() != {"id", "hash"} or not isinstance(given, str) or not isinstance(kept_hash, str):
        return None
    return _Member(name, kept_hash, given) if _ID.fullmatch(given) and _HASH.fullmatch(kept_hash) else None


@contextmanager
def _changing(path: Path) -> Generator[dict[str, _Member]]:
    """Give the members to change, then write all of them back, one process at a time."""
    make_folder(path.parent)
    with _alone(path):
        members = _read(path) if path.exists() else {}
        before = dict(members)
        yield members
        if members != before:
            _write(path, members)


@contextmanager
def _alone(path: Path) -> Generator[None]:
    # Of two changes at once none may be lost: a lost removal would let somebody in.
    try:
        import fcntl
    except ImportError:  # Windows has no advisory locks of this kind; a team server does not run there
        yield
        return
    with os.fdopen(open_file(path.with_name(f".{path.name}.lock"), os.O_WRONLY | os.O_CREAT), "w") as lock:
        until = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise SettingsError(
                        f"Another process kept the file of members busy for too long, so nothing was changed: {path}",
                        "Try again, or end the process that changes it and stands still.",
                    ) from None
                time.sleep(_LOOK_AGAIN_SECONDS)
        yield


def _write(path: Path, members: Mapping[str, _Member]) -> None:
    listed = {
        name: member.hash if member.id is None else {"id": member.id, "hash": member.hash}
        for name, member in sorted(members.items())
    }
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600 at most
        if os.name == "posix":
            os.fchmod(handle, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"members": listed}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError as error:
        raise _unusable(path, error.strerror or "input/output error") from error


def _unusable(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"The file of members cannot be used ({why}): {path}",
        f"Correct it, or remove it and make it anew with {command('members', 'add', 'NAME')}.",
    )
