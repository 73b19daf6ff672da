"""The metrics of a server for Prometheus, on a port of their own: calls of tools, and the orders that are open.

The figures about orders are read from the journal, so they are the same on every server that shares it. No label names
a member, an order or a product.
"""

import time
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from zinc_mcp.errors import JournalError
from zinc_mcp.server.mcp.tools.noted import observers

if TYPE_CHECKING:
    from zinc_mcp.journal.figures import OpenMoney
    from zinc_mcp.process import Process

PATH = "/metrics"
LOOK_EVERY_SECONDS = 5.0
"""The journal is asked at most once within this time, however often the figures are."""
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)


class Metrics(Collector):
    """The metrics of one process, for as long as it is entered as a context."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._registry = CollectorRegistry()
        self._calls = Counter("zinc_mcp_calls", "Calls of tools.", ("tool", "ending"), registry=self._registry)
        self._seconds = Histogram(
            "zinc_mcp_call_seconds", "Duration of calls.", ("tool",), buckets=_SECONDS, registry=self._registry
        )
        self._known: OpenMoney | None = None
        self._looked = -LOOK_EVERY_SECONDS
        self._registry.register(self)

    def __enter__(self) -> "Metrics":
        observers.append(self._observe)
        return self

    def __exit__(self, *exception: object) -> None:
        observers.remove(self._observe)

    def app(self, host: str) -> Starlette:
        """Return the application that shows them to whoever knows it by an address, as `localhost` or as `host`."""

        async def show(request: Request) -> Response:
            if not _is_direct(request.headers.get("host", ""), host):
                return JSONResponse({"error": "invalid_host"}, 421)
            await self._look()
            return Response(
                generate_latest(self._registry), media_type=None, headers={"Content-Type": CONTENT_TYPE_LATEST}
            )

        return Starlette(routes=[Route(PATH, show)])

    def collect(self) -> Iterator[Metric]:
        """Yield what the journal says; without the figures about orders where it cannot be read."""
        known = self._known
        yield GaugeMetricFamily(
            "zinc_mcp_journal_up", "Whether the journal can be read.", value=float(known is not None)
        )
        if known is None:
            return
        orders = GaugeMetricFamily("zinc_mcp_orders_open", "Orders that are not over.", labels=("mode", "state"))
        reserved = GaugeMetricFamily(
            "zinc_mcp_reserved_cents", "What open orders count against limits, in US cents.", labels=("mode", "state")
        )
        for (mode, state), (count, cents) in known.open.items():
            orders.add_metric((mode, state), count)
            reserved.add_metric((mode, state), cents)
        expected = GaugeMetricFamily(
            "zinc_mcp_expected_back_cents",
            "Paid up front, and not proved to have come back, in US cents.",
            labels=("mode",),
        )
        for mode, cents in known.expected_back_cents.items():
            expected.add_metric((mode,), cents)
        yield from (orders, reserved, expected)
        yield GaugeMetricFamily("zinc_mcp_pauses", "Pauses of ordering that stand.", value=known.pauses)

    def _observe(self, line: Mapping[str, Any], seconds: float) -> None:
        self._calls.labels(line["tool"], line.get("ending") or "unknown").inc()
        self._seconds.labels(line["tool"]).observe(seconds)

    async def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_SECONDS:
            return
        self._looked = now
        try:
            self._known = await self._process.journal.run(lambda journal: journal.open_money())
        except JournalError:
            self._known = None


def _is_direct(given: str, host: str) -> bool:
    """Say whether a Host is one that no web page can make a browser name for this server (DNS rebinding)."""
    try:
        name = urlsplit(f"//{given}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", host.lower()):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
