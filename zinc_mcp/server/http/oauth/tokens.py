"""Access tokens, checked: signed by the issuer, for this server, and not over. Nothing about them is kept."""

import logging
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from zinc_mcp.errors import SettingsError
from zinc_mcp.known_settings import ROLES, Right
from zinc_mcp.owner.members import Members
from zinc_mcp.owner.team.member import DEFAULT_ROLE, Identity
from zinc_mcp.server.http.access import Access
from zinc_mcp.server.http.oauth.issuer import Issuer
from zinc_mcp.server.http.oauth.terms import Terms

if TYPE_CHECKING:
    from jwt import PyJWK

LEEWAY_SECONDS = 30
"""The most that the clocks of the issuer and of this machine may differ."""
MOST_TOKEN_CHARACTERS = 8192
MOST_KEY_NAME_CHARACTERS = 200
TELL_SECONDS = 60.0
"""The least time between two lines of the log about the same kind of mistake."""

logger = logging.getLogger("zinc_mcp")


class StrangerError(Exception):
    """A token is valid, but its person is no member of a team that lets in only members."""

    def __init__(self, identity: Identity) -> None:
        super().__init__("not a member")
        self.identity = identity


class Signatures:
    """Checks tokens of one issuer: each signed by a key of the issuer, with an algorithm that the owner named."""

    def __init__(self, terms: Terms, issuer: Issuer) -> None:
        self._terms = terms
        self._issuer = issuer
        self._told: dict[str, float] = {}

    async def claims(
        self, token: str, audiences: Sequence[str], required: Sequence[str], kind: str
    ) -> tuple[dict[str, Any], str] | None:
        """Return the claims of a token and the name of its key.

        None where it is not signed, is over, is of another issuer, for somebody else, or lacks `exp`, `iss`, `aud`,
        `sub` or a claim of `required`. `kind` names the token in the log, which tells the kind of a mistake alone.
        """
        if len(token) > MOST_TOKEN_CHARACTERS or token.count(".") != 2:
            return None
        head = _head(token)
        if head is None:
            return None
        algorithm, key_id = head
        if algorithm not in self._terms.algorithms:
            return None
        key = await self._issuer.key(key_id, algorithm)
        claims = None if key is None else self._checked(token, key, algorithm, audiences, required, kind)
        return None if claims is None else (claims, key_id)

    def _checked(
        self, token: str, key: "PyJWK", algorithm: str, audiences: Sequence[str], required: Sequence[str], kind: str
    ) -> dict[str, Any] | None:
        import jwt

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                # One, and one that the settings name: the key was made for it.
                algorithms=[algorithm],
                audience=audiences,
                issuer=self._terms.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub", *required], "enforce_minimum_key_length": True},
            )
            float(claims["exp"])
        except jwt.PyJWTError as error:
            self._tell(type(error).__name__, kind)
            return None
        except (ValueError, TypeError, OverflowError, RecursionError):
            return None
        return claims

    def _tell(self, mistake: str, kind: str) -> None:
        """Log the kind of a mistake, and nothing of the token; each kind once in a while, however many come."""
        now = time.monotonic()
        if now - self._told.get(mistake, -math.inf) >= TELL_SECONDS:
            self._told[mistake] = now
            logger.info("%s was refused (%s)", kind, mistake)


class People:
    """Finds the callers of an issuer's identities."""

    def __init__(self, terms: Terms, members: Members) -> None:
        self._terms = terms
        self._members = members

    def access(
        self, identity: Identity, granted: frozenset[Right], key_id: str = "", until: float = math.inf
    ) -> Access:
        """Return the access of a person who signed in and was granted these rights.

        Raises:
            StrangerError: the person is not let in.
            SettingsError: the file of members cannot be used.
        """
        member = self._members.by_identity(identity)
        if member is None and not self._terms.everyone:
            raise StrangerError(identity)
        caller = identity.caller if member is None else member.caller
        return Access(
            caller,
            mark=self._members.mark_of(caller),
            may=ROLES[DEFAULT_ROLE] if member is None else member.rights,
            granted=granted,
            identity=identity,
            key_id=key_id,
            until=until,
        )


class AccessTokens:
    """Knows callers by the access tokens of one issuer."""

    def __init__(self, terms: Terms, issuer: Issuer, members: Members) -> None:
        self.terms = terms
        self._issuer = issuer
        self._members = members
        self._signatures = Signatures(terms, issuer)
        self._people = People(terms, members)

    async def access(self, token: str) -> Access | None:
        """Return the access that a token gives; None if it is no token for this server.

        Raises:
            StrangerError: its person is not let in.
            SettingsError: the file of members cannot be used.
        """
        checked = await self._signatures.claims(token, self.terms.audiences, (), "an access token")
        if checked is None:
            return None
        claims, key_id = checked
        identity = Identity(self.terms.issuer, str(claims["sub"]))
        if not identity.is_usable:
            return None
        until = float(claims["exp"]) + LEEWAY_SECONDS
        return self._people.access(identity, self.terms.rights_in(claims), key_id=key_id, until=until)

    async def renew(self) -> None:
        """Read the issuer's keys again if they are old. Otherwise only a new token causes that."""
        await self._issuer.renew()

    def holds(self, access: Access) -> bool:
        """Say whether an access that was given still stands, apart from the end of its validity.

        While the file of members cannot be read, no access ends because of it.
        """
        if access.identity is None or not self._issuer.holds(access.key_id):
            return False
        try:
            member = self._members.by_identity(access.identity)
        except SettingsError:
            return True
        if member is None:
            return self.terms.everyone and access.caller == access.identity.caller
        return access.caller == member.caller


def _head(token: str) -> tuple[str, str] | None:
    """Return algorithm and key that the head of a token names. They only choose among ours and the issuer's."""
    import jwt

    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    algorithm, key_id = cast(object, header.get("alg")), cast(object, header.get("kid"))
    if not isinstance(algorithm, str) or not isinstance(key_id, str):
        return None
    return (algorithm, key_id) if 0 < len(key_id) <= MOST_KEY_NAME_CHARACTERS else None
