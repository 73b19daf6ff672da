"""The visitors of the approval page: secrets and members' tokens that open it, and the visits that they open.

A visit is known by a token that stands in the page's own forms and nowhere else. It is not a cookie, which a browser
would send to every other port of the same name as well. It is kept as a hash: a member's in the journal, so that every
server on it knows the visit, and the owner's in the memory of the process that opened the window.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import anyio

from zinc_mcp.errors import SettingsError
from zinc_mcp.owner.members import Members, may_be_second
from zinc_mcp.owner.team.member import LOCAL, Member

if TYPE_CHECKING:
    from zinc_mcp.journal.runner import Runner

SECRET_SECONDS = 600.0
IDLE_SECONDS = 1800.0
"""A visit ends this long after its last use: longer than a question stands, so that a visitor sees how the order
ended."""
MOST_SECRETS = 1000
"""That open the owner's page and are kept at once; the oldest go first."""
MOST_VISITS = 20
"""Of one visitor, by their tokens; those that were not used for longest end first."""

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


@dataclass(slots=True)
class _Secret:
    until: float
    spent: Callable[[], None]
    visit: Visit | None = None
    window: bytes = b""


class Visits:
    """Secrets of one process, and visits. Nothing that is kept can be turned back into a secret or a token."""

    def __init__(
        self, clock: Callable[[], float], members: Members | None = None, journal: "Runner | None" = None
    ) -> None:
        """Let `members` sign in, if there are any; their visits are kept in the journal."""
        self._clock = clock
        self._members = members
        self._journal = journal
        self._looking_up = anyio.Semaphore(MOST_LOOKED_UP)
        self._secrets: dict[bytes, _Secret] = {}
        self._visits: dict[bytes, Visit] = {}

    def make_secret(self, spent: Callable[[], None] = lambda: None) -> str:
        """Return a secret that opens the owner's page, once, within ten minutes; `spent` is called when it has."""
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

        None where the token is no member's.

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
        """Take a secret for the token of a visit of the owner.

        `window` is a random name that the opening document gave itself. A reload of the page sends secret and name once
        more: both together go on with the visit they opened, as long as it lasts.
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

    async def visit(self, token: str) -> Visit | None:
        """Return the visit that a token is for, which is used by this; None when it has ended.

        A member's ends when they are removed, or have another token.

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
        member = None if kept is None else self._members.known().get(kept.visitor)
        if kept is None or member is None or member.hash != kept.proof:
            return None
        return Visit(kept.visitor, self._clock())

    def is_admin(self, visit: Visit) -> bool:
        """Say whether a visitor may decide about orders of others.

        Raises:
            SettingsError: the file of members cannot be used.
        """
        member = self._member(visit)
        return member is not None and "admin" in member.rights

    def can_be_second(self, visit: Visit) -> bool:
        """Say whether a visitor's yes counts as that of another person (`owner.members.may_be_second`).

        Raises:
            SettingsError: the file of members cannot be used.
        """
        return self.is_admin(visit) and may_be_second(self._member(visit), time.time())

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
        # A used secret is remembered for a while longer, to be told from one that never was.
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


def _find(kept: Mapping[bytes, T], secret: str) -> T | None:
    """Look a secret up, comparing with every hash so that time tells nothing."""
    given, found = _hash(secret), None
    for known, value in kept.items():
        if hmac.compare_digest(known, given):
            found = value
    return found
