"""The metrics of a server for Prometheus, on a port of their own. `telemetry.measures` has their table."""

import socket
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

import anyio
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from zinc_mcp.server.http.bounded_server import LoopbackServer
from zinc_mcp.telemetry.measures import HAPPENING, STANDING, JournalFigures, Measure

PATH = "/metrics"


class Metrics(Collector):
    """The metrics of one process, as a `Sink` of what happens there."""

    def __init__(self, figures: JournalFigures | None = None) -> None:
        """Show nothing yet; the figures are filled by the process that follows a journal."""
        self.figures = figures or JournalFigures()
        self._registry = CollectorRegistry()
        self._counters: dict[Measure, Counter] = {}
        self._histograms: dict[Measure, Histogram] = {}
        for each in HAPPENING:
            about = (each.name, each.meaning, each.labels)
            if each.kind == "counter":
                self._counters[each] = Counter(*about, registry=self._registry)
            else:
                self._histograms[each] = Histogram(*about, buckets=each.bounds, registry=self._registry)
        self._registry.register(self)

    def add(self, measure: Measure, labels: Sequence[str], value: float) -> None:
        """See `Sink.add`."""
        if measure in self._counters:
            self._counters[measure].labels(*labels).inc(value)
        else:
            self._histograms[measure].labels(*labels).observe(value)

    def app(self, host: str) -> Starlette:
        """Return the application that shows them, by an IP address, as `localhost` or as `host`."""

        async def show(request: Request) -> Response:
            if not _is_direct(request.headers.get("host", ""), host):
                return JSONResponse({"error": "invalid_host"}, 421)
            await self.figures.look()
            return Response(
                generate_latest(self._registry), media_type=None, headers={"Content-Type": CONTENT_TYPE_LATEST}
            )

        return Starlette(routes=[Route(PATH, show)])

    @asynccontextmanager
    async def served(self, host: str, listener: socket.socket) -> AsyncGenerator[None]:
        """Show them on a socket while inside."""
        async with anyio.create_task_group() as tasks:
            server = LoopbackServer(self.app(host))
            tasks.start_soon(lambda: server.serve(sockets=[listener]))
            try:
                yield
            finally:
                server.should_exit = True

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the journal."""
        for each in STANDING:
            family = CounterMetricFamily if each.kind == "counter" else GaugeMetricFamily
            metric = family(each.name, each.meaning, labels=each.labels)
            for labels, value in self.figures.values(each):
                metric.add_metric(labels, value)
            yield metric


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
