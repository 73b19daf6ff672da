"""What people have approved, sent by whichever process sees it first. What is wrong with one entry stops no other."""

import logging

from zinc_mcp.errors import JournalError, RefusedError
from zinc_mcp.ordering.approval import Approval, is_approved, question_of
from zinc_mcp.ordering.entry import Entry, UnreadableEntryError, tell_unreadable
from zinc_mcp.ordering.rail import Rail
from zinc_mcp.ordering.workings import Workings

logger = logging.getLogger(__name__)

_A_PAGE = 100
"""Entries that are read at once; all are read, page by page."""


class Approved:
    """Goes through the entries that wait for a decision, or for somebody to act on one."""

    def __init__(self, workings: Workings, approval: Approval) -> None:
        self._workings = workings
        self._approval = approval
        self._told: set[object] = set()

    async def send(self) -> bool:
        """Send what is approved; say whether anything still waits for a decision. See `Checkout.send_approved`."""
        undecided = False
        refused: list[RefusedError] = []
        for rail in self._workings.rails.values():
            after = 0
            while True:
                waiting = await self._waiting(rail, after)
                for entry in waiting:
                    undecided |= await self._sent(entry, refused)
                if len(waiting) < _A_PAGE:
                    break
                after = waiting[-1].id
        if refused:
            raise refused[0]
        return undecided

    def is_asked_here(self, entry: Entry) -> bool:
        """Say whether the question of an entry may be answered by this process, and can be read."""
        if entry.mode == "live" and self._workings.practises:
            return False
        try:
            return question_of(entry) is not None
        except UnreadableEntryError as error:
            tell_unreadable(self._told, "zinc_entries", (error.entry_id,), error.column)
            return False

    async def _sent(self, entry: Entry, refused: list[RefusedError]) -> bool:
        """Send an entry that was approved; say whether its question still stands."""
        try:
            if question_of(entry) is not None:
                return True
            if is_approved(entry) and not await self._workings.reconciler.clear_abandoned(entry):
                await self._approval.send_approved(entry)
        except UnreadableEntryError as error:
            tell_unreadable(self._told, "zinc_entries", (error.entry_id,), error.column)
            await self._workings.reconciler.clear_abandoned(entry)
        except RefusedError as error:
            refused.append(error)
        except JournalError:
            raise
        except Exception as error:
            logger.error("entry %d was approved and could not be sent (%s)", entry.id, type(error).__name__)
        return False

    async def _waiting(self, rail: Rail, after: int) -> list[Entry]:
        return await self._workings.writer.run(
            lambda journal: journal.unfinished({"waiting"}, mode=rail.mode, by=rail, after=after, limit=_A_PAGE)
        )
