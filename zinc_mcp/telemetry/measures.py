"""The one table of metrics, for Prometheus and for OpenTelemetry, and the figures of the journal.

No label names a member, an order or a product. Money is whole US cents.
"""

import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import anyio

from zinc_mcp.errors import JournalError

if TYPE_CHECKING:
    from zinc_mcp.journal.figures import Endings, OpenMoney
    from zinc_mcp.journal.journal import Journal
    from zinc_mcp.journal.runner import Runner

LOOK_EVERY_SECONDS = 5.0
"""The journal is asked at most once within this time, however often the figures are read."""
_CALL_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)
_WIRE_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    meaning: str
    labels: tuple[str, ...] = ()
    unit: Literal["", "s", "{cent}"] = ""
    """As OpenTelemetry writes units."""
    bounds: tuple[float, ...] = ()
    """The upper bounds of a histogram's buckets."""


CALLS = Measure("zinc_mcp_calls", "counter", "Calls of tools.", ("tool", "ending"))
CALL_SECONDS = Measure("zinc_mcp_call_seconds", "histogram", "Duration of calls.", ("tool",), "s", _CALL_SECONDS)
WIRE_SECONDS = Measure(
    "zinc_mcp_zinc_seconds",
    "histogram",
    "Time from a request to Zinc's whole answer, or to the failure.",
    ("service", "request", "answer"),
    "s",
    _WIRE_BOUNDS,
)
HAPPENING = (CALLS, CALL_SECONDS, WIRE_SECONDS)
"""The metrics that change when something happens in this process."""

ORDERS = Measure(
    "zinc_mcp_orders",
    "counter",
    "Orders of the journal that were seen to end since this server started.",
    ("mode", "rail", "ending"),
)
JOURNAL_UP = Measure("zinc_mcp_journal_up", "gauge", "Whether the journal can be read.")
ORDERS_OPEN = Measure("zinc_mcp_orders_open", "gauge", "Orders that are not over.", ("mode", "state"))
RESERVED = Measure(
    "zinc_mcp_reserved_cents",
    "gauge",
    "What open orders count against limits, in US cents.",
    ("mode", "state"),
    "{cent}",
)
SPENT_DAY = Measure(
    "zinc_mcp_spent_day_cents",
    "gauge",
    "What orders and look-ups of the last 24 hours that are over count against limits, in US cents: "
    "what was paid, or the most that it may have been where no price is known.",
    ("mode",),
    "{cent}",
)
EXPECTED_BACK = Measure(
    "zinc_mcp_expected_back_cents",
    "gauge",
    "Paid up front, and not proved to have come back, in US cents.",
    ("mode",),
    "{cent}",
)
PAUSES = Measure("zinc_mcp_pauses", "gauge", "Pauses of ordering that stand.")
STANDING = (ORDERS, JOURNAL_UP, ORDERS_OPEN, RESERVED, SPENT_DAY, EXPECTED_BACK, PAUSES)
"""The metrics that are read from the journal when somebody asks for them."""

Value = tuple[tuple[str, ...], float]
"""The values of a metric's labels, and the value of the metric."""


class JournalFigures:
    """The figures of a process's journal, as they were at the last look."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without figures. `clock`: in seconds, for the time between two looks."""
        self._clock = clock
        self._journal: Runner | None = None
        self._known: OpenMoney | None = None
        self._followed: Endings | None = None
        self._ended: Counter[tuple[str, ...]] = Counter()
        self._looked = float("-inf")
        self._looking = anyio.Lock()
        self._has_looked = False

    @asynccontextmanager
    async def following(self, journal: "Runner") -> AsyncGenerator[None]:
        """Look at a journal while inside: at once, so that no ending is missed, whenever asked, and at the end."""
        self._journal = journal
        await self._look(journal)
        try:
            yield
        finally:
            self._journal = None
            with anyio.CancelScope(shield=True):
                await self._look(journal)

    async def look(self) -> None:
        """Look at the journal, if the last look is long ago and its process is open."""
        now = self._clock()
        if self._journal is not None and now - self._looked >= LOOK_EVERY_SECONDS:
            self._looked = now
            await self._look(self._journal)

    def values(self, measure: Measure) -> Iterator[Value]:
        """Yield the values of a metric of `STANDING`.

        There are none before the first look: a server on stdio opens its journal with the first call. While the journal
        cannot be read, there are only `JOURNAL_UP` and the orders that were seen to end before.
        """
        known = self._known
        if measure is JOURNAL_UP:
            if self._has_looked:
                yield (), float(known is not None)
        elif measure is ORDERS:
            yield from self._ended.items()
        elif known is None:
            return
        elif measure is PAUSES:
            yield (), known.pauses
        elif measure in (ORDERS_OPEN, RESERVED):
            for (mode, state), (count, cents) in known.open.items():
                yield (mode, state), count if measure is ORDERS_OPEN else cents
        else:
            by_mode = known.spent_day_cents if measure is SPENT_DAY else known.expected_back_cents
            for mode, cents in by_mode.items():
                yield (mode,), cents

    async def _look(self, journal: "Runner") -> None:
        async with self._looking:
            before, self._has_looked = self._followed, True

            def look(journal: "Journal") -> "tuple[OpenMoney, Endings]":
                return journal.open_money(), journal.follow_endings(before)

            try:
                self._known, followed = await journal.run(look)
            except JournalError:
                self._known = None
                return
            self._followed = followed
            self._ended.update(followed.ended)
