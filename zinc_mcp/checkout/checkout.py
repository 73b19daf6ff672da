"""What the tools, the page and the commands call of the road of an order."""

from collections.abc import Callable, Coroutine
from typing import Any

from zinc_mcp.attempt import Answer
from zinc_mcp.checkout import decide, place_order, watch
from zinc_mcp.checkout.place_order import Intent as Intent
from zinc_mcp.journal.decision import Decision
from zinc_mcp.journal.entry import Entry
from zinc_mcp.owner.pin import PinAsked
from zinc_mcp.process import Process


class Checkout:
    """Takes intentions through to an order, each at most once."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def place(self, intent: Intent) -> Answer:
        return await place_order.place(self._process, intent)

    async def decide(
        self, decision: Decision, *, caller: str | None = None, wait_seconds: float | None = None
    ) -> Answer:
        return await decide.decide(self._process, decision, caller=caller, wait_seconds=wait_seconds)

    async def await_decision(self, entry: Entry, *, earlier: bool, deadline: float) -> Answer:
        return await decide.await_decision(self._process, entry, earlier=earlier, deadline=deadline)

    async def send_approved(self) -> bool:
        return await decide.send_all_approved(self._process)

    async def entry_of(self, entry_id: int, *, caller: str | None = None) -> Entry | None:
        entry = await self._process.journal.run(lambda journal: journal.entry(entry_id))
        return entry if entry is not None and caller in (None, entry.caller) else None

    async def waiting(self, caller: str) -> list[Entry]:
        return await decide.questions_for(self._process, caller)

    def in_background(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._process.tasks.start_soon(work)

    @property
    def answer_seconds(self) -> float:
        return self._process.clocks.answer

    async def entry(self, key: str, *, caller: str | None = None) -> Entry | None:
        entry = await self._process.journal.find(key, caller=caller)
        return entry if entry is not None and entry.key == key else None

    @property
    def form_seconds(self) -> float:
        return self._process.clocks.form

    def now(self) -> float:
        return self._process.times.clock()

    async def check_journal(self) -> None:
        """Do nothing if orders could be written down.

        Raises:
            JournalError: the journal cannot be used, or only be read.
        """
        await self._process.journal.run(lambda journal: journal.check_writable())

    async def has_pin(self, caller: str) -> bool:
        return await self.asked_pin(caller) is not None

    async def asked_pin(self, caller: str) -> PinAsked | None:
        return await self._process.journal.run(lambda journal: journal.asked_pin(caller))

    async def look(
        self, caller: str, handle: str, *, wait_seconds: float = 0.0, progress: watch.Progress | None = None
    ) -> Answer:
        return await watch.look(self._process, caller, handle, wait_seconds=wait_seconds, progress=progress)
