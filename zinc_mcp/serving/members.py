"""Who may use a team server: names and hashed bearer tokens."""

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Generator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from zinc_mcp.errors import RefusedError, SettingsError
from zinc_mcp.invocation import command
from zinc_mcp.private_files import make_folder, open_file, writable_by_others

LOCAL = "local"
"""The owner: the caller on stdio, and over HTTP while there are no members (`serving.access`)."""

_NAME = re.compile(r"[a-z0-9._-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")
_PREFIX = "zmcp_"
_SCOPE_KEY = "zinc_mcp.member"
_MAX_FILE_BYTES = 1024 * 1024


class Members:
    """The members in a file, read again whenever the file changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._hashes: dict[str, str] = {}

    def known(self) -> dict[str, str]:
        """Return the hashes by name.

        Raises:
            SettingsError: if the file cannot be used. Nobody is let in then: a token may just have been taken back.
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
            self._hashes = _read(self.path)
            self._seen = stamp
        return self._hashes

    def named_by(self, token: str) -> str | None:
        """Return whose token this is, comparing with every hash so that time tells nothing.

        Raises:
            SettingsError: as `known`.
        """
        given = _hash(token)
        name = None
        for member, kept in self.known().items():
            if hmac.compare_digest(kept, given):
                name = member
        return name


def list_members(path: Path) -> list[str]:
    """Return the members' names, sorted.

    Raises:
        SettingsError: if the file cannot be used.
    """
    return sorted(_read(path)) if path.exists() else []


def add_member(path: Path, name: str) -> str:
    """Add a member and return the token, which is kept as a hash only.

    Raises:
        RefusedError: if the name cannot be used or is taken.
        SettingsError: if the file cannot be used.
    """
    if not _NAME.fullmatch(name) or name == LOCAL:
        raise RefusedError(
            "That is not a member's name.",
            owner_step=f"Use 1 to 64 of a-z, 0-9, dot, dash and underscore; {LOCAL} is reserved.",
            code="invalid_arguments",
        )
    token = _PREFIX + secrets.token_urlsafe(32)
    with _changing(path) as hashes:
        if name in hashes:
            raise RefusedError(
                f"There is a member {name} already.",
                owner_step="To give them a new token, remove them first.",
                code="invalid_arguments",
            )
        hashes[name] = _hash(token)
    return token


def remove_member(path: Path, name: str) -> bool:
    """Remove a member, whose token stops working at once; False when there was none.

    Raises:
        SettingsError: if the file cannot be used.
    """
    with _changing(path) as hashes:
        return hashes.pop(name, None) is not None


def member_of(scope: Mapping[str, Any]) -> str | None:
    """Return whose token this HTTP request carried: a member's name, or `local`."""
    return scope.get(_SCOPE_KEY)


def let_in(scope: MutableMapping[str, Any], name: str) -> None:
    """Note in a request's scope who makes it, for us and for the SDK.

    The SDK binds a session to `scope["user"]` and answers 404 to everybody else (mcp 2.3,
    `StreamableHTTPSessionManager._handle_stateful_request`, `SseServerTransport._handle_post_message`).
    """
    from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
    from mcp.server.auth.provider import AccessToken

    scope[_SCOPE_KEY] = name
    scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=name, scopes=[]))


def _hash(token: str) -> str:
    # A token is 32 random bytes: nothing is gained by a slow hash.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> dict[str, str]:
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
        raise _unusable(path, 'not {"members": {name: hash}}')
    hashes = cast(dict[str, Any], listed)
    for name, kept in hashes.items():
        if not _NAME.fullmatch(name) or name == LOCAL or not isinstance(kept, str) or not _HASH.fullmatch(kept):
            raise _unusable(path, "an entry is not a member's name and hash")
    return hashes


@contextmanager
def _changing(path: Path) -> Generator[dict[str, str]]:
    """Give the hashes to change and write them back whole, one process at a time."""
    make_folder(path.parent)
    with _alone(path):
        hashes = _read(path) if path.exists() else {}
        before = dict(hashes)
        yield hashes
        if hashes != before:
            _write(path, hashes)


@contextmanager
def _alone(path: Path) -> Generator[None]:
    # Two changes at once must not lose one: a removal that is lost lets somebody in.
    try:
        import fcntl
    except ImportError:  # Windows has no advisory locks of this kind; a team server does not run there
        yield
        return
    with os.fdopen(open_file(path.with_name(f".{path.name}.lock"), os.O_WRONLY | os.O_CREAT), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, hashes: Mapping[str, str]) -> None:
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600 at most
        if os.name == "posix":
            os.fchmod(handle, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"members": dict(sorted(hashes.items()))}, file, indent=1)
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
