"""Whether a server knows a member as the journal does, inside one transaction.

A server has the members in memory, and may not have heard yet that one was removed, or has another token or role. The
journal gives a member another mark with each change, so that comparing marks is enough.
"""

from collections.abc import Callable

from zinc_mcp.errors import RefusedError

Marks = Callable[[str], str | None]
"""Returns the mark of a caller: in a call of theirs the one with which it was let in, else the one that this process
has heard last. It is None where they need not be a member, and the mark of nobody for a member who is gone."""


def check_known(marks: Marks | None, caller: str, kept: str | None) -> None:
    """Check that this process knows a caller as the journal does.

    Args:
        marks: of this process; None where it takes no members from the journal.
        caller: whose order it is, or who answers.
        kept: the mark in the journal, as it was read in this transaction; None where the caller is no member there.

    Raises:
        RefusedError: `not_allowed`: it does not, until it has heard of the last change.
    """
    if marks is not None and marks(caller) != kept:
        raise RefusedError(
            "The members of the team have just changed, and this server is only hearing of it, so nothing was sent.",
            "Call again in a few seconds with the same arguments.",
            owner_step="Try again in a few seconds.",
        )
