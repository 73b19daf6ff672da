"""Hints that an order may have news. No hint is believed: the order is read at Zinc, as in any look-up."""

import logging

import anyio

from zinc_mcp.checkout.look_up import refresh
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.process import Process

logger = logging.getLogger(__name__)

MOST_HINTED = 1000
"""The number of orders that may have hints within `Clocks.hint_seconds`. Hints about more are dropped, since the
look-ups ask by themselves too."""


class Hints:
    """Reads the orders of which one process gets hints: each at once, and then at most once in that time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._hinted: dict[str, bool] = {}
        """The orders that were read lately, and whether there was a hint since."""

    def take(self, order_id: str) -> None:
        """Have an order read soon, in a task of the process. An order that the journal does not know is not read."""
        if order_id in self._hinted:
            self._hinted[order_id] = True
        elif len(self._hinted) < MOST_HINTED:
            self._hinted[order_id] = False
            self._process.tasks.start_soon(self._follow, order_id)

    async def _follow(self, order_id: str) -> None:
        try:
            while True:
                self._hinted[order_id] = False
                await self._look(order_id)
                await anyio.sleep(self._process.clocks.hint_seconds)
                if not self._hinted[order_id]:
                    return
        finally:
            del self._hinted[order_id]

    async def _look(self, order_id: str) -> None:
        """Read an order at Zinc, write down what is news, and wake the calls that wait for it."""
        process = self._process
        try:
            for entry in await process.journal.run(lambda journal: journal.of_orders([order_id])):
                rail = process.rails.get(entry.rail)
                if rail is not None:
                    entry, order = await refresh(process, entry, rail)
                    if order is not None:
                        process.news.show(entry, order)
        except ZincMcpError as error:
            logger.info("an order with a hint of news could not be read: %s", error.code)
        except Exception as error:  # an unforeseen error with one order must not end the server
            logger.error("an order with a hint of news could not be looked up (%s)", type(error).__name__)
