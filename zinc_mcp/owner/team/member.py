"""One member of a team: the token and the identities by which their requests are known, and their rights."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from zinc_mcp.known_settings import ROLES, Right, Role

LOCAL = "local"
"""The owner: the caller on stdio, and over HTTP while there are no members (`server.http.access`)."""
DEFAULT_ROLE: Role = "order"
EVERY_MEMBER = "*"
"""Stands for each member in the policy; no member can have this name."""
MOST_NAME_CHARACTERS = 40
"""The most characters of a new name, so that a caller holds the whole name."""
MOST_IDENTITIES = 10
MOST_IDENTITY_CHARACTERS = 255
"""The most characters of a subject, by OpenID Connect (Core 1.0, section 2), and of an issuer, by this program."""

_NAME = re.compile(r"[a-z0-9._-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9a-f]{16}")
_NAME_IN_CALLER = 47
"""The longest part of a name in a caller, in characters: the journal keeps 64 of a caller. Names of earlier versions
may be longer."""
_MOST_EMAIL_CHARACTERS = 254
_BY_ISSUER = "oauth:"
"""No member's name has a colon, so no member can be such a caller."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as a sign-in service knows them. A subject means a person only together with its issuer."""

    issuer: str
    subject: str

    @property
    def is_usable(self) -> bool:
        """Whether both parts are there, within bounds, in characters that can be printed."""
        return all(
            0 < len(each) <= MOST_IDENTITY_CHARACTERS and each.isprintable() for each in (self.issuer, self.subject)
        )

    @property
    def caller(self) -> str:
        """The caller of somebody who is no member, where each identity of an issuer is let in."""
        named = json.dumps([self.issuer, self.subject]).encode()
        return f"{_BY_ISSUER}{hashlib.sha256(named).hexdigest()[:40]}"


@dataclass(frozen=True, slots=True)
class Member:
    """One member."""

    name: str
    hash: str
    """The hash of their token."""
    id: str | None = None
    """None: the member was added before there were ids."""
    role: Role = DEFAULT_ROLE
    identities: tuple[Identity, ...] = ()
    email: str | None = None
    """Shown beside the name; nobody is let in by it."""
    changed_at: float = 0.0
    """The time of the last change of token, role or identities, in seconds since the epoch; 0 for long ago."""

    @property
    def caller(self) -> str:
        """The caller that this member's orders, limits and PIN belong to."""
        return self.name if self.id is None else f"{self.name[:_NAME_IN_CALLER]}#{self.id}"

    @property
    def rights(self) -> frozenset[Right]:
        """The rights of the member."""
        return ROLES[self.role]

    def record(self) -> str | dict[str, Any]:
        """Return the value that the file, or the journal as JSON, keeps under the name."""
        if self == Member(self.name, self.hash):
            return self.hash
        kept: dict[str, Any] = {"id": self.id, "hash": self.hash, "role": self.role}
        if self.identities:
            kept["identities"] = [[each.issuer, each.subject] for each in self.identities]
        if self.email is not None:
            kept["email"] = self.email
        return {**kept, "changed_at": self.changed_at}


def is_told_apart(member: Member, caller: str, issuer: str | None) -> bool:
    """Say whether a member and another caller are surely not one person with two accesses.

    If each identity of the issuer is let in, a member may also be a caller by an identity that is mapped to nobody.
    So only a member whose own identity at this issuer is known is told apart from such a caller.
    """
    known = any(each.issuer == issuer and each.caller != caller for each in member.identities)
    return known or not is_by_issuer(caller)


def is_by_issuer(caller: str) -> bool:
    """Say whether a caller is an identity that is no member."""
    return caller.startswith(_BY_ISSUER)


def name_of(caller: str) -> str:
    """Return the name of a caller, for people to read."""
    return caller.partition("#")[0]


def is_named(caller: str, name: str) -> bool:
    """Say whether a caller is a member with this name, as far as a caller holds a name.

    A caller holds the whole of every new name, so no new name is taken for another one.
    """
    whole, is_cut, _ = caller.partition("#")
    return whole == (name[:_NAME_IN_CALLER] if is_cut else name)


def lines_for(lines: Mapping[str, T], caller: str) -> list[T]:
    """Return those of the lines, by members' names, that apply to a caller: first their own, then the one for each."""
    own = [line for name, line in lines.items() if name != EVERY_MEMBER and is_named(caller, name)]
    return [*own, lines[EVERY_MEMBER]] if EVERY_MEMBER in lines else own


def is_name(name: str) -> bool:
    """Say whether a member may have this name; a new one also has at most `MOST_NAME_CHARACTERS`."""
    return _NAME.fullmatch(name) is not None and name != LOCAL


def is_email(text: str) -> bool:
    """Say whether a text can be shown as an e-mail address."""
    return 3 <= len(text) <= _MOST_EMAIL_CHARACTERS and text.isprintable() and "@" in text and " " not in text


def read_member(name: str, kept: Any) -> Member | None:
    """Return the member whose record the file or the journal keeps under a name; None if it is no member's record.

    A record is `{"id": id, "hash": hash}` with the rest of `Member.record`, or, before there were ids, the hash alone.
    """
    if not is_name(name):
        return None
    if isinstance(kept, str):
        return Member(name, kept) if _HASH.fullmatch(kept) else None
    if not isinstance(kept, dict):
        return None
    fields = cast(dict[str, Any], kept)
    if not {"id", "hash"} <= fields.keys() <= {"id", "hash", "role", "identities", "email", "changed_at"}:
        return None
    given, kept_hash, role = fields["id"], fields["hash"], fields.get("role", DEFAULT_ROLE)
    email, changed_at = fields.get("email"), fields.get("changed_at", 0.0)
    identities = _identities(fields.get("identities", []))
    usable = (
        (given is None or (isinstance(given, str) and _ID.fullmatch(given)))
        and (isinstance(kept_hash, str) and _HASH.fullmatch(kept_hash))
        and (isinstance(role, str) and role in ROLES)
        and (email is None or (isinstance(email, str) and is_email(email)))
        and (isinstance(changed_at, int | float) and not isinstance(changed_at, bool) and 0 <= changed_at < 1e12)
    )
    if not usable or identities is None:
        return None
    return Member(name, kept_hash, given, cast(Role, role), identities, email, float(changed_at))


def identities_of(members: Mapping[str, Member]) -> dict[Identity, Member]:
    """Return the members by identity, each under all of theirs."""
    return {identity: member for member in members.values() for identity in member.identities}


def _identities(kept: Any) -> tuple[Identity, ...] | None:
    listed = cast(list[Any], kept) if isinstance(kept, list) else None
    if listed is None or len(listed) > MOST_IDENTITIES:
        return None
    found: list[Identity] = []
    for each in listed:
        pair = cast(list[Any], each) if isinstance(each, list) else []
        if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            return None
        found.append(Identity(pair[0], pair[1]))
    return tuple(found) if all(each.is_usable for each in found) else None
