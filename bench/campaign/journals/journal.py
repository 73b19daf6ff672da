"""The interface of a round's journal, which is the same on each database, and the columns that are recorded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

RECORDED = (
    "id", "version", "kind", "key", "caller", "mode", "state", "attempts", "lease_owner", "lease_taken",
    "lease_seconds", "reserved_cents", "counts_cents", "authorised_cents", "refunded_cents",
)  # fmt: skip
"""The columns of an entry that the database itself writes down at each change, for the judge."""
DOUBTFUL = ("signing", "sending", "unknown", "paid_no_order")
AGED = ("opened_at", "counted_at", "first_sent_at", "zinc_at", "updated_at")
"""The columns that hold the times of an entry."""


class RoundJournal(Protocol):
    """The journal of one round."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The settings by which a server finds it, beside its home."""
        ...

    def make_older(self, seconds: float) -> None:
        """Make the journal itself, not its entries, older by this time."""
        ...

    def keys_with(self, text: str) -> list[str]:
        """Return the keys of the entries whose body holds a text."""
        ...

    def age_doubts(self, text: str, seconds: float) -> int:
        """Make every entry in doubt whose body holds a text older by this time; return the number of entries."""
        ...

    def let_fail(self, seconds: float) -> None:
        """Let every write fail for this time, from now on. The server's own process calls this."""
        ...

    def lock(self, seconds: float) -> None:
        """Let another process hold a lock on the journal for this time, from now on."""
        ...

    def leave_for_judge(self) -> None:
        """Leave it as `journal.db` in the round's folder, after all servers have ended. It cannot be used any more."""
        ...


class Journals(Protocol):
    """Makes the journals of a campaign's rounds."""

    def begin(self, folder: Path) -> RoundJournal:
        """Make the journal of the round in this folder. All changes of its entries are recorded from now on."""
        ...

    def close(self) -> None:
        """Stop the database. No journal can be used any more."""
        ...
