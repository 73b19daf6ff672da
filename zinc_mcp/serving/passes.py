"""Who may see an approval page: single-use secrets that open it, and the visits they open. Kept in memory as hashes."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

SECRET_SECONDS = 600.0
VISIT_SECONDS = 1800.0
"""Longer than a question stands, so that a visitor sees what became of the order."""

WhyNot = Literal["unknown", "used", "over"]
T = TypeVar("T")


class NoPassError(Exception):
    """A secret that opens nothing: it is not one of ours, was used before, or came too late. Never leaves `serving`."""

    def __init__(self, why: WhyNot) -> None:
        super().__init__(why)
        self.why: WhyNot = why


@dataclass(slots=True)
class _Pass:
    key: str
    until: float
    spent: Callable[[], None]
    used: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """One browser that was let in: to the page of one order, or to those of one member."""

    until: float
    key: str | None = None
    member: str | None = None
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """Stands in the page's own form: another site can make a browser send the cookie, and cannot read the page."""


class Passes:
    """Secrets and visits of one process. Nothing here can be turned back into a secret."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._passes: dict[bytes, _Pass] = {}
        self._visits: dict[bytes, Visit] = {}

    def mint(self, key: str, spent: Callable[[], None] = lambda: None) -> str:
        """Return a secret that opens the page of one order, once, within ten minutes; `spent` is called when it has."""
        self._forget()
        secret = secrets.token_urlsafe(32)
        self._passes[_hash(secret)] = _Pass(key, self._clock() + SECRET_SECONDS, spent)
        return secret

    def redeem(self, key: str, secret: str) -> str:
        """Take a secret for the cookie of a new visit.

        Raises:
            NoPassError: it opens nothing.
        """
        found = _find(self._passes, secret)
        if found is None or found.key != key:
            raise NoPassError("unknown")
        if found.used:
            raise NoPassError("used")
        if self._clock() > found.until:
            raise NoPassError("over")
        found.used = True
        found.spent()
        return self._admit(Visit(self._clock() + VISIT_SECONDS, key=key))

    def opened(self, key: str) -> bool:
        """Say whether the page of this order is open in a browser that was let in by a secret."""
        now = self._clock()
        return any(visit.key == key and now <= visit.until for visit in self._visits.values())

    def sign_in(self, member: str) -> str:
        """Return the cookie of a new visit of a member."""
        return self._admit(Visit(self._clock() + VISIT_SECONDS, member=member))

    def visit(self, cookie: str, key: str) -> Visit | None:
        """Return the visit that a cookie is for, if it may see the page of this order at all."""
        visit = _find(self._visits, cookie)
        if visit is None or self._clock() > visit.until or visit.key not in (None, key):
            return None
        return visit

    def _admit(self, visit: Visit) -> str:
        self._forget()
        cookie = secrets.token_urlsafe(32)
        self._visits[_hash(cookie)] = visit
        return cookie

    def _forget(self) -> None:
        # A used secret is remembered for a while longer, to be told from one that never was.
        now = self._clock()
        self._passes = {name: kept for name, kept in self._passes.items() if now <= kept.until + VISIT_SECONDS}
        self._visits = {name: kept for name, kept in self._visits.items() if now <= kept.until}


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
