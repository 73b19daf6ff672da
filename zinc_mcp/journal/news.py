"""News of entries: wakes what waits for a change, when any process on the journal has written one.

On PostgreSQL the database tells them (`journal.storage.notifying`). Without that, and wherever a piece of news is lost,
those who wait look again after a while by themselves.
"""

from collections.abc import Callable
from typing import Any

import anyio

_MOST_REMEMBERED = 1000
"""Entries of which the latest news is remembered, for those who were just reading them."""


class News:
    """Tells those who wait for an entry that it has changed. Used on the event loop."""

    def __init__(self) -> None:
        self._waiting: dict[int, anyio.Event] = {}
        self._count = 0
        self._told: dict[int, int] = {}
        self.on_decision: Callable[[], Any] = lambda: None
        """Called when a question may have been answered."""

    def mark(self) -> int:
        """Return what `wait` needs to notice news that comes while an entry is being read."""
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

    async def wait(self, entry_id: int, seconds: float, since: int | None = None) -> None:
        """Wait until there is news of an entry, and no longer than these seconds.

        `since`: the mark from before it was read. With news from after that, this returns at once.
        """
        if since is not None and self._told.get(entry_id, 0) > since:
            return
        event = self._waiting.setdefault(entry_id, anyio.Event())
        with anyio.move_on_after(seconds):
            await event.wait()
        if self._waiting.get(entry_id) is event and event.statistics().tasks_waiting == 0:
            del self._waiting[entry_id]

    def _wake(self, entry_id: int) -> None:
        waiting = self._waiting.pop(entry_id, None)
        if waiting is not None:
            waiting.set()
