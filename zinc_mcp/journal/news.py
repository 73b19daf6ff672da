"""News of entries: it wakes the calls that wait for a change when any process on the journal has written one.

On PostgreSQL the database tells the news (`journal.storage.notifying`). Without it, and if a message is lost, the
waiting calls look again after a while. An order that one part of a process has just read at Zinc is given to the calls
of this process that wait for it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.zinc.responses import Order

_MOST_REMEMBERED = 1000
"""The number of entries whose latest news is remembered, for calls that were just reading them."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An entry with the order that Zinc has just shown for it."""

    entry: Entry
    order: Order


@dataclass(eq=False, slots=True)
class _Waiting:
    """The calls that wait for news of one entry."""

    woken: anyio.Event = field(default_factory=anyio.Event)
    heard: Heard | None = None


class News:
    """Tells those who wait for an entry that it has changed. Used on the event loop."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiting] = {}
        self._count = 0
        self._told: dict[int, int] = {}
        self.on_decision: Callable[[], Any] = lambda: None
        """Called when a question may have been answered."""
        self.on_members: Callable[[], Any] = lambda: None
        """Called when the members of the team may have changed."""

    def mark(self) -> int:
        """Return the mark by which `wait` notices news that came while an entry was being read."""
        return self._count

    def tell(self, entry_id: int, state: str) -> None:
        """Wake those who wait for an entry, which is now in this state."""
        self._count += 1
        self._told.pop(entry_id, None)
        self._told[entry_id] = self._count
        if len(self._told) > _MOST_REMEMBERED:
            del self._told[next(iter(self._told))]
        self._wake(entry_id)
        if state == "waiting":  # it was asked about, or approved
            self.on_decision()

    def tell_all(self) -> None:
        """Wake all, since news may have been lost."""
        for entry_id in [*self._waiting]:
            self._wake(entry_id)
        self.on_decision()
        self.on_members()

    def tell_of_members(self) -> None:
        """Say that the members of the team have changed."""
        self.on_members()

    def show(self, entry: Entry, order: Order) -> None:
        """Wake those who wait for an entry, and give them the order that Zinc has just shown."""
        self._wake(entry.id, Heard(entry, order))

    async def wait(self, entry_id: int, seconds: float, since: int | None = None) -> Heard | None:
        """Wait until there is news of an entry, and no longer than these seconds.

        It returns the order that Zinc has just shown, if that was the news, and otherwise None. `since` is the mark
        from before the entry was read. If there was news after it, this returns at once.
        """
        if since is not None and self._told.get(entry_id, 0) > since:
            return None
        waiting = self._waiting.setdefault(entry_id, _Waiting())
        with anyio.move_on_after(seconds):
            await waiting.woken.wait()
        if self._waiting.get(entry_id) is waiting and waiting.woken.statistics().tasks_waiting == 0:
            del self._waiting[entry_id]
        return waiting.heard

    def _wake(self, entry_id: int, heard: Heard | None = None) -> None:
        waiting = self._waiting.pop(entry_id, None)
        if waiting is not None:
            waiting.heard = heard
            waiting.woken.set()
