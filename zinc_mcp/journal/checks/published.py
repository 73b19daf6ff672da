"""The check that a server has the policy that is published for all servers on a journal, inside one transaction.

The first server that opens, approves or sends an order publishes its own. Only the owner's command replaces it.
"""

import sqlalchemy as sa

from zinc_mcp.journal.records.own_policy import OwnPolicy, differs
from zinc_mcp.journal.storage import rows
from zinc_mcp.journal.storage.statements import must_be_alone

POLICY = "policy"
"""The name under which the digest of the published policy is kept."""
_LINES = "policy_lines"
"""The name under which the published policy is kept; its digest is apart, as each order reads it."""


def read(connection: sa.Connection) -> OwnPolicy | None:
    """Return the published policy; None where none is published.

    Raises:
        JournalError: it cannot be read.
    """
    kept = rows.meta(connection, _LINES)
    return None if kept is None else OwnPolicy.of_kept(kept)


def write(connection: sa.Connection, own: OwnPolicy) -> None:
    """Publish a policy in place of the one that is published."""
    rows.set_meta(connection, POLICY, own.digest)
    rows.set_meta(connection, _LINES, own.kept())


def check(connection: sa.Connection, own: OwnPolicy | None, digest: str | None) -> None:
    """Check that a server's policy is the published one. Where none is published, publish it.

    Args:
        connection: with the transaction that opens, approves or sends the order.
        own: the server's policy; None where no other server shares the journal.
        digest: the digest of the published policy, as it was read in this transaction.

    Raises:
        PolicyDiffersError: it is not.
        NarrowLockError: none is published, and the lock is not over all callers.
    """
    if own is None or own.digest == digest:
        return
    published = read(connection)
    if published is None:
        must_be_alone(connection)
        write(connection, own)
    elif published.digest != own.digest:
        raise differs(own, published)
