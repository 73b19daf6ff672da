"""The steps that looking up an order and looking up a change of one have in common."""

from collections.abc import Awaitable
from typing import Any, TypeVar

import anyio

from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.records.entry import Entry, StaleEntryError, State
from zinc_mcp.process import Process

Found = TypeVar("Found")


async def move_if_current(process: Process, entry: Entry, state: State, what: str, **changes: Any) -> Entry:
    """Move an entry on; if somebody else moved it first, return it as it is now, and change nothing."""
    try:
        return await process.journal.move(entry, state, what, **changes)
    except StaleEntryError as stale:
        return stale.current


async def found_in_time(process: Process, looking: Awaitable[Found]) -> Found | None:
    """Return what a look-up finds within `Clocks.refresh_seconds`; None if Zinc cannot say by then."""
    with anyio.move_on_after(process.clocks.refresh_seconds):
        try:
            return await looking
        except ZincMcpError:
            pass
    return None
