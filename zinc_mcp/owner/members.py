"""The members of a team server: names, hashed bearer tokens, roles, identities, and ids that are never used again.

A member's orders, limits, PIN and sessions belong to their *caller*, which is `name#id` with a random id. They do not
belong to the name: a new member with the name of a removed one inherits nothing. Members of an old file have no id.
Such a member is the caller `name`, as in the journal of that time, and nobody else can become that caller. An
identity of a sign-in service is the same caller as the member's token.
"""

import hashlib
import hmac
import json
import os
import secrets
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from zinc_mcp.errors import RefusedError, SettingsError
from zinc_mcp.invocation import command
from zinc_mcp.known_settings import Role
from zinc_mcp.owner.team.member import (
    DEFAULT_ROLE,
    LOCAL,
    MOST_IDENTITIES,
    MOST_IDENTITY_CHARACTERS,
    MOST_NAME_CHARACTERS,
    Identity,
    Member,
    identities_of,
    is_email,
    is_name,
    read_member,
)
from zinc_mcp.private_files import make_folder, open_file, writable_by_others
from zinc_mcp.text import plain

_BUSY_SECONDS = 15.0
"""The longest time for which a change waits for another change, as in the journal."""
_LOOK_AGAIN_SECONDS = 0.05
SETTLED_SECONDS = 86_400.0
"""For so long after a change of a member nobody can be the other person for or by them who may have made it."""
_PREFIX = "zmcp_"
_MAX_FILE_BYTES = 1024 * 1024


class Members:
    """The members in a file, read again whenever the file changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._known: dict[str, Member] = {}
        self._identities: dict[Identity, Member] = {}

    def known(self) -> Mapping[str, Member]:
        """Return the members by caller.

        Raises:
            SettingsError: the file cannot be used. Then nobody is let in: a token may just have been taken back.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._known, self._identities = None, {}, {}
            return self._known
        except OSError as error:
            raise _unusable(self.path, error.strerror or "input/output error") from error
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._seen:
            self._seen = None
            members = _read(self.path)
            self._known = {member.caller: member for member in members.values()}
            self._identities = identities_of(members)
            self._seen = stamp
        return self._known

    def caller_by(self, token: str) -> str | None:
        """Return the caller with this token. It is compared with every hash, so that the time it takes tells nothing.

        Raises:
            SettingsError: as `known`.
        """
        given = _hash(token)
        found = None
        for caller, member in self.known().items():
            if hmac.compare_digest(member.hash, given):
                found = caller
        return found

    def role_of(self, caller: str) -> Role | None:
        """Return the role by which limits apply to a caller: None for the owner.

        A caller who is no member may be let in by an issuer's identity; then it is `order`.

        Raises:
            SettingsError: as `known`.
        """
        if caller == LOCAL:
            return None
        member = self.known().get(caller)
        return DEFAULT_ROLE if member is None else member.role

    def by_identity(self, identity: Identity) -> Member | None:
        """Return the member that an identity is mapped to.

        Raises:
            SettingsError: as `known`.
        """
        self.known()
        return self._identities.get(identity)


def may_be_second(member: Member | None, now: float) -> bool:
    """Say whether nobody may be acting for a member because of a token, a role or an identity from the last day.

    Such a member's yes does not count for others, and the owner, who makes these changes, is no other person for them.
    None is somebody who is no member (any more). A change from the future is one of a clock that was put back.
    """
    return member is not None and now - member.changed_at >= SETTLED_SECONDS


def list_members(path: Path) -> list[str]:
    """Return the members' names, sorted.

    Raises:
        SettingsError: the file cannot be used.
    """
    return list(read_members(path))


def read_members(path: Path) -> dict[str, Member]:
    """Return the members by name, in the order of the names.

    Raises:
        SettingsError: the file cannot be used.
    """
    return dict(sorted(_read(path).items())) if path.exists() else {}


def members_callers(path: Path) -> dict[str, str]:
    """Return each member's caller by name, in the order of the names.

    Raises:
        SettingsError: the file cannot be used.
    """
    return {name: member.caller for name, member in read_members(path).items()}


def add_member(
    path: Path,
    name: str,
    *,
    role: Role = DEFAULT_ROLE,
    identities: Sequence[Identity] = (),
    email: str | None = None,
) -> str:
    """Add a member with a new id, and return their token. Only its hash is kept.

    Raises:
        RefusedError: the name, an identity or the e-mail address cannot be used, or is taken.
        SettingsError: the file cannot be used.
    """
    if not is_name(name) or len(name) > MOST_NAME_CHARACTERS:
        raise _refused(
            "That is not a member's name.",
            f"Use 1 to {MOST_NAME_CHARACTERS} of a-z, 0-9, dot, dash and underscore; {LOCAL} is reserved.",
        )
    token = _new_token()
    with _changing(path) as members:
        if name in members:
            raise _refused(
                f"There is a member {name} already.",
                f"{command('members', 'rotate', given=[name])} gives them a new token.",
            )
        new = Member(name, _hash(token), secrets.token_hex(8), role, tuple(identities), email, time.time())
        members[name] = _checked(new, members)
    return token


def rotate_member(path: Path, name: str) -> str:
    """Give a member another token, and return it. The one before stops working at once.

    Raises:
        RefusedError: there is no such member.
        SettingsError: the file cannot be used.
    """
    token = _new_token()
    with _changing(path) as members:
        members[name] = replace(_known(members, name), hash=_hash(token), changed_at=time.time())
    return token


def change_member(
    path: Path,
    name: str,
    *,
    role: Role | None = None,
    identities: Sequence[Identity] | None = None,
    email: str | None = None,
) -> Member:
    """Change what is given of a member: the role, all identities, the e-mail address. Return the changed member.

    Raises:
        RefusedError: there is no such member; an identity or the e-mail address cannot be used, or is taken.
        SettingsError: the file cannot be used.
    """
    with _changing(path) as members:
        before = _known(members, name)
        changed = replace(
            before,
            role=before.role if role is None else role,
            identities=before.identities if identities is None else tuple(identities),
            email=before.email if email is None else email,
        )
        if (changed.role, changed.identities) != (before.role, before.identities):
            changed = replace(changed, changed_at=time.time())
        members[name] = _checked(changed, members)
    return changed


def remove_member(path: Path, name: str) -> str | None:
    """Remove a member, so that their token stops working at once. Return their caller; None if there was no member.

    Raises:
        SettingsError: the file cannot be used.
    """
    with _changing(path) as members:
        removed = members.pop(name, None)
    return None if removed is None else removed.caller


def no_such_member(name: str) -> RefusedError:
    """Return the refusal of a name that no member has."""
    return _refused(f"There is no member {plain(name, 60)}.", f"{command('members', 'list')} prints the names.")


def _known(members: Mapping[str, Member], name: str) -> Member:
    found = members.get(name)
    if found is None:
        raise no_such_member(name)
    return found


def _checked(member: Member, members: Mapping[str, Member]) -> Member:
    """Return a new or changed member whose identities nobody else has."""
    if member.email is not None and not is_email(member.email):
        raise _refused("That is not an e-mail address.", "It is only shown; leave it out if there is none.")
    if len(member.identities) > MOST_IDENTITIES or not all(each.is_usable for each in member.identities):
        raise _refused(
            "These identities cannot be kept.",
            f"Give at most {MOST_IDENTITIES}, each as issuer and subject of up to {MOST_IDENTITY_CHARACTERS} "
            "characters, as they stand in `iss` and `sub` of a token.",
        )
    others = identities_of({name: each for name, each in members.items() if name != member.name})
    for identity in member.identities:
        if identity in others:
            raise _refused(
                f"That identity is {others[identity].name}'s already.",
                "One identity is one person: take it from them first.",
            )
    return member


def _refused(summary: str, owner_step: str) -> RefusedError:
    return RefusedError(summary, owner_step=owner_step, code="invalid_arguments")


def _new_token() -> str:
    return _PREFIX + secrets.token_urlsafe(32)


def _hash(token: str) -> str:
    # A token is 32 random bytes: nothing is gained by a slow hash.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> dict[str, Member]:
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
    members = {name: read_member(name, kept) for name, kept in cast(dict[str, Any], listed).items()}
    found = {name: member for name, member in members.items() if member is not None}
    # Of two with one id, both would be one caller; an identity of two would be either.
    alone = len({member.caller for member in found.values()}) == len(found)
    named = sum(len(member.identities) for member in found.values())
    if len(found) < len(members) or not alone or len(identities_of(found)) < named:
        raise _unusable(path, "an entry is not a member's name, id and hash")
    return found


@contextmanager
def _changing(path: Path) -> Generator[dict[str, Member]]:
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


def _write(path: Path, members: Mapping[str, Member]) -> None:
    listed = {name: member.record() for name, member in sorted(members.items())}
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
