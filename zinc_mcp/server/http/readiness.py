"""The answer for watchdogs, whether a process can take orders."""

from typing import TYPE_CHECKING

import anyio

from zinc_mcp.checkout.readiness import check_ready
from zinc_mcp.errors import ZincMcpError

if TYPE_CHECKING:
    from zinc_mcp.process import Process

MOST_ASKING = 16
"""Requests for `/readyz` that wait for one look at the journal."""


class Readiness:
    """Says whether a process can take orders. Strangers may ask, so one look at a time answers all of them."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._code: str | None = None
        self._looked: anyio.Event | None = None
        self._waiting = 0

    async def objection(self) -> str | None:
        """Return the code of the reason why the process cannot take orders; None if it can."""
        if self._looked is None:
            return await self._look()
        if self._waiting >= MOST_ASKING:
            return "too_many_requests"
        self._waiting += 1
        try:
            await self._looked.wait()
        finally:
            self._waiting -= 1
        return self._code

    async def _look(self) -> str | None:
        looked = self._looked = anyio.Event()
        self._code = "internal_error"
        try:
            await check_ready(self._process)
            self._code = None
        except ZincMcpError as error:
            self._code = error.code
        finally:
            self._looked = None
            looked.set()
        return self._code
