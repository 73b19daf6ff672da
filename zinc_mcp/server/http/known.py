"""The callers that this server knows: members, the owner while there are no members, and identities of an issuer."""

import logging

from zinc_mcp.errors import SettingsError
from zinc_mcp.owner.members import Members
from zinc_mcp.owner.team.member import LOCAL, is_by_issuer
from zinc_mcp.owner.team.places import UnconfirmedError
from zinc_mcp.server.http.access import Access, LocalToken
from zinc_mcp.server.http.oauth.terms import Terms
from zinc_mcp.server.http.oauth.tokens import AccessTokens

logger = logging.getLogger("zinc_mcp")


class KnownCallers:
    """Knows the access that a token gives, and whether the token still gives it."""

    def __init__(self, members: Members, local: LocalToken | None = None, tokens: AccessTokens | None = None) -> None:
        """Without `local`, take members only, even when there are none; with `tokens`, an issuer's tokens too."""
        self._members = members
        self._local = local
        self._tokens = tokens

    @property
    def terms(self) -> Terms | None:
        """The owner's terms for access tokens, if they count here."""
        return None if self._tokens is None else self._tokens.terms

    async def access(self, token: str) -> Access | None:
        """Return the access that a token gives; None if it gives none.

        While the file of members cannot be read, a token gives no access: it may just have been taken back.

        Raises:
            StrangerError: it is an access token of somebody who is not let in.
            UnconfirmedError: the database with the members cannot be reached.
        """
        try:
            access = self._own(token)
            if access is None and self._tokens is not None:
                access = await self._tokens.access(token)
        except UnconfirmedError:
            raise
        except SettingsError as error:
            logger.error("%s", error.summary)
            return None
        return access

    def is_known(self, caller: str) -> bool:
        """Say whether this caller still has access: not after a member is removed, or the first is added.

        While the members cannot be read, no new caller is let in and no caller counts as removed.
        """
        try:
            members = self._members.known()
        except SettingsError:
            return True
        if is_by_issuer(caller):
            return self._tokens is not None and self._tokens.terms.everyone
        return caller in members or (caller == LOCAL and self._local is not None and not members)

    async def renew(self) -> None:
        """Read the issuer's keys again if they are old, because `holds` depends on them."""
        if self._tokens is not None:
            await self._tokens.renew()

    def holds(self, access: Access) -> bool:
        """Say whether a token still gives its access: not after a new token replaced it, or its key was withdrawn.

        The end of its validity is not checked.
        """
        if access.identity is not None:
            return self._tokens is not None and self._tokens.holds(access)
        try:
            member = self._members.known().get(access.caller)
        except SettingsError:
            return True
        return self.is_known(access.caller) if member is None else member.hash == access.proof

    def _own(self, token: str) -> Access | None:
        """Return the access that a token of this server gives."""
        members = self._members.known()
        if members:
            self._local = None  # for ever: a team whose members are removed does not become the owner's alone
        caller = self._members.caller_by(token)
        if caller is not None:
            member = members[caller]
            return Access(caller, may=member.rights, proof=member.hash, mark=self._members.mark_of(caller))
        if self._local is not None and self._local.matches(token):
            return Access(LOCAL)
        return None
