"""The unfinished entries that a process looks up by itself: in rounds, and in turn with other servers."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio

from zinc_mcp.journal.records.entry import ORDERS, Entry, Kind, State
from zinc_mcp.known_settings import RailName
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail

if TYPE_CHECKING:
    import sqlalchemy as sa

    from zinc_mcp.journal.journal import Journal

_LOCKED_SECONDS = 0.01
_MOST_LOCKED = 100
"""While others take their shares, a server asks at most this many times for its own, `_LOCKED_SECONDS` apart."""


@dataclass(frozen=True, slots=True)
class Sought:
    """The entries that a sweep looks for."""

    name: str
    """A short word, different for each kind of sweep."""
    states: frozenset[State]
    kinds: frozenset[Kind] = ORDERS
    sent_again: bool = False
    """Whether only entries are looked for that were sent more than once."""


class Turn:
    """The entries of one rail that one process looks up in one sweep.

    On SQLite these are all entries up to a bound, and the next sweep goes on after them. The servers that share a
    journal on PostgreSQL share each round, too (`journal.shared.sweeps`): no entry is looked up by two of them.
    """

    def __init__(self, process: Process, rail: Rail, sought: Sought, most: int) -> None:
        """Remember which entries are looked for; `most` is the number of them in one sweep."""
        self._process, self._rail, self._sought = process, rail, sought
        self._left = most
        self._began: float | None = None
        """The time at which the round began of which this process has a share."""

    async def next(self) -> Sequence[Entry]:
        """Return the entries to look up next; none where the sweep is over.

        Raises:
            JournalError: the journal failed. The next round has the entries that this process may have taken.
        """
        if self._left <= 0:
            return ()
        entries = await (self._share() if self._process.settings.is_shared else self._all())
        self._left -= len(entries)
        return entries

    async def _all(self) -> Sequence[Entry]:
        most, self._left = self._left, 0
        swept = self._process.swept
        place: tuple[RailName, str] = self._rail.name, self._sought.name
        after = swept.get(place, 0)
        entries = await self._process.journal.run(lambda journal: self._listed(journal, None, after, most))
        swept[place] = entries[-1].id if len(entries) == most else 0
        return entries

    async def _share(self) -> Sequence[Entry]:
        run = self._process.journal.run
        if self._began is None and not await run(lambda journal: self._listed(journal, None, 0, 1)):
            return ()  # mostly there is no such entry: then nothing is written
        for _ in range(_MOST_LOCKED):
            share = await run(
                lambda journal: journal.take_share(
                    self._name, partial(self._listed, journal), self._process.clocks.looking_lease_seconds, self._began
                )
            )
            if share is not None:
                self._began = share.began
                return share.entries
            await anyio.sleep(_LOCKED_SECONDS)
        return ()

    @property
    def _name(self) -> str:
        rail = self._rail
        payer = hashlib.sha256(f"{rail.origin} {rail.account}".encode()).hexdigest()[:12]
        return f"swept-{self._sought.name}-{rail.mode}-{payer}"

    def _listed(self, journal: "Journal", within: "sa.Connection | None", after: int, limit: int) -> list[Entry]:
        rail, sought = self._rail, self._sought
        return journal.unfinished(
            sought.states,
            mode=rail.mode,
            by=rail,
            kinds=sought.kinds,
            sent_again=sought.sent_again,
            after=after,
            limit=limit,
            within=within,
        )
