"""The policy that is published for all servers on a journal: read, compared, and replaced by the owner."""

from zinc_mcp.journal.checks import published
from zinc_mcp.journal.records.own_policy import OwnPolicy
from zinc_mcp.journal.storage import rows
from zinc_mcp.journal.storage.database import Database
from zinc_mcp.journal.storage.statements import WHOLE


class PublishedPolicy(Database):
    """The part of a journal that keeps the policy of a team."""

    def published_policy(self) -> OwnPolicy | None:
        """Return the policy that is published, or None."""
        with self._reading() as connection:
            return published.read(connection)

    def publish_policy(self, own: OwnPolicy) -> OwnPolicy | None:
        """Make this the policy of all servers, and return the one before."""
        with self._writing(WHOLE) as connection:
            before = published.read(connection)
            published.write(connection, own)
        return before

    def check_policy(self, own: OwnPolicy | None) -> None:
        """Check that a server's policy is the published one. Where none is published, publish it.

        Raises:
            PolicyDiffersError: it is not.
        """
        if own is None:
            return
        with self._reading() as connection:
            digest = rows.meta(connection, published.POLICY)
        if digest != own.digest:
            with self._writing(WHOLE) as connection:
                published.check(connection, own, rows.meta(connection, published.POLICY))
