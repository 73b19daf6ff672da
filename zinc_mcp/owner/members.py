"""The members of a team server: names, hashed bearer tokens, roles, identities, and ids that are never used again.

A member's orders, limits, PIN and sessions belong to their *caller*, which is `name#id` with a random id. They do not
belong to the name: a new member with the name of a removed one inherits nothing. Members of an old file have no id.
Such a member is the caller `name`, as in the journal of that time, and nobody else can become that caller. An
identity of a sign-in service is the same caller as the member's token.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zinc_mcp.errors import RefusedError
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
    is_by_issuer,
    is_email,
    is_name,
    name_of,
)
from zinc_mcp.owner.team.places import MembersCopy, MembersFile, Place, member_in_record
from zinc_mcp.owner.team.refusals import may_only_look, no_member, not_known_here
from zinc_mcp.text import plain

if TYPE_CHECKING:
    from zinc_mcp.journal.records.known import KeptCaller, Marks

SETTLED_SECONDS = 86_400.0
"""For this time after a change of a member, their yes counts for nobody else, and the owner's yes not for them: one
person may act as both."""
_PREFIX = "zmcp_"


class Members:
    """The members that a process knows: those of a file, or those of the journal."""

    def __init__(self, place: Path | MembersCopy, *, is_sure: bool = True) -> None:
        """Read the members from a file, or from the memory of a server.

        `is_sure`: all members are there. A process that serves no team only supposes so.
        """
        self._place = MembersFile(place) if isinstance(place, Path) else place
        self._is_sure = is_sure

    @property
    def copy(self) -> MembersCopy | None:
        """The journal's members in the memory of a server; None if the members are in a file."""
        return self._place if isinstance(self._place, MembersCopy) else None

    def marks(self, *, is_shared: bool) -> "Marks | None":
        """Return the marks that a journal compares with its own.

        `is_shared`: it is on PostgreSQL. If it is, and these members are in a file, other members may be in it: None.
        """
        if isinstance(self._place, MembersCopy):
            return self._place.mark_of
        return None if is_shared else self._place.mark_in_journal

    def mark_of(self, caller: str) -> str | None:
        """Return the mark of a caller, which is another one after each change of them; None if they are no member.

        Raises:
            SettingsError: as `known`.
        """
        return self._place.mark_of(caller)

    def known(self) -> Mapping[str, Member]:
        """Return the members by caller.

        Raises:
            SettingsError: they cannot be read. Then nobody is let in: a token may just have been taken back.
        """
        return self._place.listed().by_caller

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

    def check_caller(self, caller: str, kept: "KeptCaller") -> None:
        """Check that a caller may order now: the owner, a caller by the issuer, or a member with the right to place.

        Members of a journal go by `kept`, their record in the transaction that asks.

        Raises:
            RefusedError: `not_allowed`: they are no member any more, or may only look.
            AnotherServerError: this process does not know all members, and the caller is none of those that it knows.
            JournalError: their record cannot be read.
            SettingsError: as `known`.
        """
        if caller == LOCAL or is_by_issuer(caller):
            return
        if isinstance(self._place, MembersCopy) or (kept.record is not None and not self._is_sure):
            member = None if kept.record is None else member_in_record(caller, kept.record)
        else:
            member = self.known().get(caller)
        if member is None and self._is_sure:
            raise no_member(caller)
        if member is None:
            # The last member may be gone, or the team's server may have another file. An id is given to members alone.
            had_members = isinstance(self._place, MembersFile) and self._place.was_used()
            if kept.has_members or had_members or caller != name_of(caller):
                raise not_known_here(caller)
        elif "place" not in member.rights:
            raise may_only_look(caller)

    def by_identity(self, identity: Identity) -> Member | None:
        """Return the member that an identity is mapped to.

        Raises:
            SettingsError: as `known`.
        """
        return self._place.listed().by_identity.get(identity)


def may_be_second(member: Member | None, now: float) -> bool:
    """Say whether a member's token, role and identities are all at least a day old.

    If they are not, somebody else may be acting for the member. Then the member's yes does not count for others, and
    the owner, who makes these changes, is no other person for the member. None stands for a person who is no member
    (any more). A change in the future counts as new: the clock was put back since.
    """
    return member is not None and now - member.changed_at >= SETTLED_SECONDS


def list_members(place: Path | Place) -> list[str]:
    """Return the members' names, sorted. In all of these functions a path is that of a file of members.

    Raises:
        SettingsError, JournalError: the members cannot be read.
    """
    return list(read_members(place))


def read_members(place: Path | Place) -> dict[str, Member]:
    """Return the members by name, in the order of the names.

    Raises:
        SettingsError, JournalError: the members cannot be read.
    """
    return dict(sorted(_place(place).read().items()))


def members_callers(place: Path | Place) -> dict[str, str]:
    """Return each member's caller by name, in the order of the names.

    Raises:
        SettingsError, JournalError: the members cannot be read.
    """
    return {name: member.caller for name, member in read_members(place).items()}


def add_member(
    place: Path | Place,
    name: str,
    *,
    role: Role = DEFAULT_ROLE,
    identities: Sequence[Identity] = (),
    email: str | None = None,
) -> str:
    """Add a member with a new id, and return their token. Only its hash is kept.

    Raises:
        RefusedError: the name, an identity or the e-mail address cannot be used, or is taken.
        SettingsError, JournalError: the members cannot be read or written.
    """
    if not is_name(name) or len(name) > MOST_NAME_CHARACTERS:
        raise _refused(
            "That is not a member's name.",
            f"Use 1 to {MOST_NAME_CHARACTERS} of a-z, 0-9, dot, dash and underscore; {LOCAL} is reserved.",
        )
    token = _new_token()
    with _place(place).changing() as members:
        if name in members:
            raise _refused(
                f"There is a member {name} already.",
                f"{command('members', 'rotate', given=[name])} gives them a new token.",
            )
        new = Member(name, _hash(token), secrets.token_hex(8), role, tuple(identities), email, time.time())
        members[name] = _checked(new, members)
    return token


def rotate_member(place: Path | Place, name: str) -> str:
    """Give a member another token, and return it. The one before stops working at once.

    Raises:
        RefusedError: there is no such member.
        SettingsError, JournalError: the members cannot be read or written.
    """
    token = _new_token()
    with _place(place).changing() as members:
        members[name] = replace(_known(members, name), hash=_hash(token), changed_at=time.time())
    return token


def change_member(
    place: Path | Place,
    name: str,
    *,
    role: Role | None = None,
    identities: Sequence[Identity] | None = None,
    email: str | None = None,
) -> Member:
    """Change a member's role, all identities or e-mail address, as far as they are given. Return the changed member.

    Raises:
        RefusedError: there is no such member; an identity or the e-mail address cannot be used, or is taken.
        SettingsError, JournalError: the members cannot be read or written.
    """
    with _place(place).changing() as members:
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


def remove_member(place: Path | Place, name: str) -> str | None:
    """Remove a member, so that their token stops working at once. Return their caller; None if there was no member.

    Raises:
        SettingsError, JournalError: the members cannot be read or written.
    """
    with _place(place).changing() as members:
        removed = members.pop(name, None)
    return None if removed is None else removed.caller


def import_members(members: Mapping[str, Member], place: Place) -> int:
    """Take members over from another place, with their tokens, ids and all else, and return their number.

    Raises:
        RefusedError: there are members already, and other ones.
        SettingsError, JournalError: the members cannot be read or written.
    """
    with place.changing() as there:
        if there and there != members:
            raise _refused(
                "There are members already, so none were taken over.",
                f"{command('members', 'list')} prints them. Add the others one by one.",
            )
        there.update(members)
    return len(members)


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


def _place(given: Path | Place) -> Place:
    return MembersFile(given) if isinstance(given, Path) else given


def _refused(summary: str, owner_step: str) -> RefusedError:
    return RefusedError(summary, owner_step=owner_step, code="invalid_arguments")


def _new_token() -> str:
    return _PREFIX + secrets.token_urlsafe(32)


def _hash(token: str) -> str:
    # A token is 32 random bytes: nothing is gained by a slow hash.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
