"""The visitors of the approval page: the proofs that let them in (a secret, a member's token, a sign-in), and visits.

A visit is known by a token that stands in the page's own forms and nowhere else. It is not a cookie, which a browser
would send to every other port of the same name as well. It is kept as a hash: a member's in the journal, so that every
server on it knows the visit, and the owner's in the memory of the process that opened the window.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, TypeVar

import anyio

from zinc_mcp.errors import SettingsError
from zinc_mcp.known_settings import RIGHTS, ROLES, Right
from zinc_mcp.owner.members import Members, may_be_second
from zinc_mcp.owner.team.member import DEFAULT_ROLE, LOCAL, Member, is_by_issuer, is_told_apart
from zinc_mcp.server.http.access import Access
from zinc_mcp.server.http.oauth.terms import Terms

if TYPE_CHECKING:
    from zinc_mcp.journal.runner import Runner

SECRET_SECONDS = 600.0
IDLE_SECONDS = 1800.0
"""A visit ends this long after its last use: longer than a question stands, so that a visitor sees how the order
ended."""
SIGNED_IN_SECONDS = 3600.0
"""A visit by a sign-in with the issuer ends this long after the sign-in, however much it is used, because the issuer
does not tell when it no longer lets a person in."""
MOST_SECRETS = 1000
"""Secrets for the owner's page that are kept at once; the oldest are forgotten first."""
MOST_VISITS = 20
"""Visits of one visitor; those that were unused for longest end first."""

MOST_LOOKED_UP = 2
"""Visits that are looked up in the journal at once. Strangers can name visits too, and an order must not wait for them.
"""

_WINDOW_CHARACTERS = 32
"""A shorter name of a window can be guessed, and counts as none."""

WhyNot = Literal["unknown", "used", "over"]
T = TypeVar("T")


class NoVisitError(Exception):
    """A secret that opens nothing: it is not one of ours, was used before, or came too late."""

    def __init__(self, why: WhyNot) -> None:
        super().__init__(why)
        self.why: WhyNot = why


@dataclass(slots=True)
class Visit:
    """One browser window that may see and answer the questions of one caller."""

    visitor: str
    used_at: float
    rights: frozenset[Right] = frozenset(RIGHTS)
    """The rights of the visitor here, by role and scopes."""
    mark: str | None = None
    """The mark of the visitor as a member (`owner.team.places.let_in`), not newer than the rights."""


@dataclass(frozen=True, slots=True)
class _SignedIn:
    """The proof of a visit that the journal keeps of a sign-in with the issuer, in at most 64 characters."""

    rights: frozenset[Right]
    """The rights that the issuer granted."""
    until: int
    person: str

    @classmethod
    def by(cls, access: Access, issuer: str, until: float) -> Self:
        """Return the proof of one sign-in."""
        person = access.caller if access.identity is None else access.identity.caller
        return cls(access.rights if access.granted is None else access.granted, int(until), _person(issuer, person))

    @classmethod
    def read(cls, proof: str) -> Self | None:
        """Read the proof that `text` wrote; None for any other, such as that of a member's token."""
        given, _, rest = proof.partition(".")
        until, _, person = rest.partition(".")
        if not person or not until.isdecimal():
            return None
        return cls(frozenset(right for right in RIGHTS if right[0] in given), int(until), person)

    def text(self) -> str:
        """Return the proof as the text that `read` reads."""
        return f"{''.join(right[0] for right in RIGHTS if right in self.rights)}.{self.until}.{self.person}"


@dataclass(slots=True)
class _Secret:
    until: float
    spent: Callable[[], None]
    visit: Visit | None = None
    window: bytes = b""


class Visits:
    """Secrets of one process, and visits. Nothing that is kept can be turned back into a secret or a token."""

    def __init__(
        self,
        clock: Callable[[], float],
        members: Members | None = None,
        journal: "Runner | None" = None,
        terms: Terms | None = None,
    ) -> None:
        """Let `members` sign in, if there are any; their visits are kept in the journal.

        With `terms`, people whom their issuer knows sign in as well.
        """
        self._terms = terms
        self._clock = clock
        self._members = members
        self._journal = journal
        self._looking_up = anyio.Semaphore(MOST_LOOKED_UP)
        self._secrets: dict[bytes, _Secret] = {}
        self._visits: dict[bytes, Visit] = {}

    def make_secret(self, spent: Callable[[], None] = lambda: None) -> str:
        """Return a secret that opens the owner's page once, within ten minutes; `spent` is called when it is used."""
        self._forget()
        secret = secrets.token_urlsafe(32)
        self._secrets[_hash(secret)] = _Secret(self._clock() + SECRET_SECONDS, spent)
        return secret

    def has_members(self) -> bool:
        """Say whether people sign in; also while the file of members cannot be used."""
        try:
            return self._members is not None and bool(self._members.known())
        except SettingsError:
            return True

    async def admit(self, form: Mapping[str, str]) -> str | None:
        """Return the token of the visit that a form opens with a secret or a member's token, or that it is part of.

        The result is None if the token is no member's.

        Raises:
            NoVisitError: the secret opens nothing.
            SettingsError: the file of members cannot be used.
            JournalError: the visit cannot be kept.
        """
        if "secret" in form:
            return self._redeem(form["secret"], form.get("window", ""))
        if "token" in form:
            return await self._sign_in(form["token"].strip())
        return form.get("visit", "")

    def _redeem(self, secret: str, window: str) -> str:
        """Exchange a secret for the token of a visit of the owner.

        `window` is a random name that the opening document gave itself. A reload of the page sends secret and name once
        more. Both together continue the visit that they opened, as long as it lasts.
        """
        found = _find(self._secrets, secret)
        if found is None:
            raise NoVisitError("unknown")
        if found.visit is not None:
            known = len(window) >= _WINDOW_CHARACTERS and hmac.compare_digest(found.window, _hash(window))
            if not known or self._is_over(found.visit):
                raise NoVisitError("used")
            return self._open(found.visit)
        if self._clock() > found.until:
            raise NoVisitError("over")
        found.visit, found.window = Visit(LOCAL, self._clock()), _hash(window)
        found.spent()
        return self._open(found.visit)

    async def _sign_in(self, token: str) -> str | None:
        """Return the token of a new visit of the member with this token; None when it is no member's."""
        caller = None if self._members is None else self._members.caller_by(token)
        if self._members is None or self._journal is None or caller is None:
            return None
        from zinc_mcp.journal.shared.visits import KeptVisit  # SQLAlchemy: the journal needs it anyway

        opened, visit = secrets.token_urlsafe(32), KeptVisit(caller, self._members.known()[caller].hash)
        await self._journal.run(
            lambda journal: journal.open_visit(_hash(opened).hex(), visit, idle_seconds=IDLE_SECONDS, most=MOST_VISITS)
        )
        return opened

    async def open_for(self, access: Access, sign_in: str) -> str | None:
        """Return the token of a new visit of a person who signed in with the issuer; None if it was opened before.

        Args:
            access: the person, with their scopes.
            sign_in: a secret that names this sign-in, which opens one visit.

        Raises:
            JournalError: the visit cannot be kept.
        """
        if self._terms is None or self._journal is None:
            return None
        from zinc_mcp.journal.shared.visits import KeptVisit

        opened = secrets.token_urlsafe(32)
        proof = _SignedIn.by(access, self._terms.issuer, self._clock() + SIGNED_IN_SECONDS)
        visit, once = KeptVisit(access.caller, proof.text()), _hash(sign_in).hex()
        is_new = await self._journal.run(
            lambda journal: journal.open_visit(
                _hash(opened).hex(), visit, idle_seconds=IDLE_SECONDS, most=MOST_VISITS, once=once
            )
        )
        return opened if is_new else None

    async def visit(self, token: str) -> Visit | None:
        """Return the visit of a token, and note its use; None if it has ended.

        A member's visit ends when they are removed. A visit by a token ends when the member gets another token. A visit
        by the issuer ends after an hour, or when the identity is no longer theirs.

        Raises:
            SettingsError: the file of members cannot be used.
            JournalError: the journal cannot be used.
        """
        visit = _find(self._visits, token)
        if visit is not None:
            if self._is_over(visit):
                return None
            visit.used_at = self._clock()
            return visit
        if self._members is None or self._journal is None or not token:
            return None
        digest = _hash(token).hex()
        async with self._looking_up:
            kept = await self._journal.run(lambda journal: journal.use_visit(digest, idle_seconds=IDLE_SECONDS))
        if kept is None:
            return None
        mark, rights = self._members.mark_of(kept.visitor), self._rights(kept.visitor, kept.proof)
        return None if rights is None else Visit(kept.visitor, self._clock(), rights, mark)

    def _rights(self, visitor: str, proof: str) -> frozenset[Right] | None:
        """Return the rights of a visitor who was let in by a proof; None if the proof no longer counts."""
        if self._members is None:
            return None
        members = self._members.known()
        member, signed_in = members.get(visitor), _SignedIn.read(proof)
        if signed_in is None:
            return member.rights if member is not None and member.hash == proof else None
        if self._terms is None or self._clock() > signed_in.until:
            return None
        issuer = self._terms.issuer
        if member is not None:
            own = [_person(issuer, each.caller) for each in member.identities if each.issuer == issuer]
            return member.rights & signed_in.rights if signed_in.person in own else None
        if not is_by_issuer(visitor) or not self._terms.everyone or signed_in.person != _person(issuer, visitor):
            return None
        if any(each.caller == visitor for other in members.values() for each in other.identities):
            return None  # they are a member now
        return ROLES[DEFAULT_ROLE] & signed_in.rights

    def is_admin(self, visit: Visit) -> bool:
        """Say whether a visitor may decide about orders of others.

        Raises:
            SettingsError: the file of members cannot be used.
        """
        return self._member(visit) is not None and "admin" in visit.rights

    def can_be_second(self, visit: Visit, caller: str, issuer: str | None) -> bool:
        """Say whether a visitor's yes to an order of a caller counts as that of another person.

        Raises:
            SettingsError: the file of members cannot be used.
        """
        member = self._member(visit)
        if member is None or not self.is_admin(visit) or not is_told_apart(member, caller, issuer):
            return False
        return may_be_second(member, time.time())

    def _member(self, visit: Visit) -> Member | None:
        return None if self._members is None else self._members.known().get(visit.visitor)

    def is_used(self, within_seconds: float) -> bool:
        """Say whether a window of the owner was used within these last seconds."""
        now = self._clock()
        return any(abs(now - visit.used_at) <= within_seconds for visit in self._visits.values())

    def _is_over(self, visit: Visit) -> bool:
        return self._clock() - visit.used_at > IDLE_SECONDS

    def _open(self, visit: Visit) -> str:
        self._forget()
        self._make_room()
        visit.used_at = self._clock()
        token = secrets.token_urlsafe(32)
        self._visits[_hash(token)] = visit
        return token

    def _forget(self) -> None:
        # A used secret is remembered for a while longer, to distinguish it from one that never existed.
        now = self._clock()
        kept = [(name, secret) for name, secret in self._secrets.items() if now <= secret.until + IDLE_SECONDS]
        self._secrets = dict(kept[-MOST_SECRETS:])
        self._visits = {name: visit for name, visit in self._visits.items() if not self._is_over(visit)}

    def _make_room(self) -> None:
        """End visits of the owner until there is room for one more."""
        names = sorted(self._visits, key=lambda name: self._visits[name].used_at)
        for name in names[: len(names) - MOST_VISITS + 1]:
            del self._visits[name]


def _hash(secret: str) -> bytes:
    # 32 random bytes: nothing is gained by a slow hash.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _person(issuer: str, caller: str) -> str:
    """Return the digest of a person of an issuer for a proof. The same subject of another issuer is another person."""
    return hashlib.sha256(json.dumps([issuer, caller]).encode()).hexdigest()[:40]


def _find(kept: Mapping[bytes, T], secret: str) -> T | None:
    """Look a secret up. It is compared with every hash, so that the time tells nothing."""
    given, found = _hash(secret), None
    for known, value in kept.items():
        if hmac.compare_digest(known, given):
            found = value
    return found
