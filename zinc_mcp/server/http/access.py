"""The access that a request's token gives, noted in its scope; and the owner's token for a server without members.

Loopback is open to every user of the machine, so a connection is never taken for the owner's without the token. It is
kept in a file of the home that only the owner can read. Hosts get it from that file; it is never printed.
"""

import hashlib
import hmac
import math
import os
import re
import secrets
import stat
from collections.abc import Collection, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken

from zinc_mcp.errors import SettingsError
from zinc_mcp.known_settings import RIGHTS, Right
from zinc_mcp.owner.team.member import Identity
from zinc_mcp.private_files import make_folder, open_file

TOKEN_FILE = "http-token"  # noqa: S105  # the name of the file

_SCOPE_KEY = "zinc_mcp.access"
_PREFIX = "zmcp_"
_TOKEN = re.compile(r"zmcp_[A-Za-z0-9_-]{32,200}")
_MOST_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Access:
    """The access that the token of a request gives."""

    caller: str
    """A member's, `local`, or the caller of an identity that is no member."""
    may: frozenset[Right] = frozenset(RIGHTS)
    """The rights of the caller's role."""
    granted: frozenset[Right] | None = None
    """The rights that an access token was issued for, by its scopes; None for a token of this server, which grants
    all."""
    proof: str = field(default="", repr=False)
    """The kept hash of a member's token."""
    mark: str | None = None
    """The mark that the caller had in the journal when the request was let in (`owner.team.places.let_in`)."""
    identity: Identity | None = None
    """The person that an access token is about."""
    key_id: str = ""
    """The issuer's name of the key that signed it."""
    until: float = math.inf
    """The end of its validity, in seconds since the epoch."""

    @property
    def rights(self) -> frozenset[Right]:
        """The rights of this request."""
        return self.may if self.granted is None else self.may & self.granted

    def missing_scopes(self, needed: Collection[Right]) -> bool:
        """Say whether the caller's role has these rights, and only the scopes of the token lack some of them."""
        return self.granted is not None and not self.granted.issuperset(needed) and self.may.issuperset(needed)


def access_in(scope: Mapping[str, Any]) -> Access | None:
    """Return the access of this HTTP request; None without a token."""
    return scope.get(_SCOPE_KEY)


def caller_in(scope: Mapping[str, Any]) -> str | None:
    """Return the caller whose token this HTTP request carried: a member's, or `local`; None without a token."""
    access = access_in(scope)
    return None if access is None else access.caller


def note_access(scope: MutableMapping[str, Any], access: Access) -> None:
    """Note the access of a request in its scope, for us and for the SDK.

    The SDK binds a session to `scope["user"]` and answers 404 to everybody else (mcp 2.3,
    `StreamableHTTPSessionManager._handle_stateful_request`, `SseServerTransport._handle_post_message`). It compares
    client, issuer and subject; a caller is one person, whom issuer and subject only name once more.
    """
    scope[_SCOPE_KEY] = access
    named = {} if access.identity is None else {"iss": access.identity.issuer}
    subject = None if access.identity is None else access.identity.subject
    token = AccessToken(token="", client_id=access.caller, scopes=[], subject=subject, claims=named)
    scope["user"] = AuthenticatedUser(token)


class LocalToken:
    """One token of the caller `local`, kept as a hash."""

    def __init__(self, token: str) -> None:
        self._hash = _hash(token)

    def matches(self, given: str) -> bool:
        """Say whether this is the token, in a time that tells nothing about it."""
        return hmac.compare_digest(self._hash, _hash(given))


def local_token(home: Path) -> LocalToken:
    """Return the token in the home's file, which is made when it is missing and kept for the next start.

    Raises:
        SettingsError: the file cannot be made or read, others can read or write it, or it holds no token of ours.
    """
    path = home / TOKEN_FILE
    try:
        make_folder(home)
        _make(path)
        return LocalToken(_read(path))
    except OSError as error:
        raise _unusable(path, error.strerror or "input/output error") from None


def _make(path: Path) -> None:
    # Written whole under another name and then linked: two servers that start at once read the same token.
    if path.is_symlink() or path.exists():
        return
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = open_file(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{_PREFIX}{secrets.token_urlsafe(32)}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> str:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise _unusable(path, "not a file")
        if os.name == "posix":
            if found.st_uid != os.geteuid():
                raise _unusable(path, "another user's")
            if found.st_mode & 0o077:
                raise _unusable(path, "other users can read or write it")
        content = file.read(_MOST_BYTES).decode("ascii", "replace").strip()
    if not _TOKEN.fullmatch(content):
        raise _unusable(path, "it holds no token of ours")
    return content


def _hash(token: str) -> bytes:
    # A token is 32 random bytes: nothing is gained by a slow hash.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _unusable(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"The file with the token for HTTP cannot be used ({why}): {path}",
        "Remove it and start again: the next start makes a new token, which hosts need from then on.",
    )
