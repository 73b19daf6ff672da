"""The two checks of the member whose entry is opened, approved or sent, inside one transaction.

A server has the members in memory, and may not have heard yet that one was removed, or has another token or role. The
journal gives a member another mark with each change, so that comparing marks is enough while a call of theirs runs.

Before an entry is sent, its caller must still be a member who may order. That goes by the members as they are then,
and not by what a call was let in with: a yes may have been given, and the entry not have been sent yet, for hours.
"""

from collections.abc import Callable
from typing import NamedTuple

from zinc_mcp.errors import RefusedError


class KeptCaller(NamedTuple):
    """The membership of the caller of an entry, as a journal keeps it."""

    mark: str | None
    record: str | None
    """The text that `owner.team` reads. Both are None where the caller is no member in this journal."""
    has_members: bool
    """Whether this journal ever had a member."""


CheckCaller = Callable[[str, KeptCaller], None]
"""Checks that a caller may order now. Raises `RefusedError` where they may not, and `AnotherServerError` where this
process does not know the members."""

Marks = Callable[[str], str | None]
"""Returns the mark of a caller: in a call of theirs the one with which it was let in, else the one that this process
has heard last. It is None where the journal need not know them as a member, and the mark of nobody for a member who is
gone. Raises `SettingsError` where the members are in a file that cannot be read."""


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
