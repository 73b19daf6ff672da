"""Spans and metrics sent to a collector by OTLP over HTTP. The library reads its OTEL_ variables by itself."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import anyio
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from zinc_mcp.telemetry.measures import HAPPENING, STANDING, JournalFigures, Measure
from zinc_mcp.telemetry.scrub import NAME, clean, resource
from zinc_mcp.telemetry.spans import Spans
from zinc_mcp.telemetry.watching import END_SECONDS, Asked

_LOOK_SECONDS = 5.0

logger = logging.getLogger("zinc_mcp")


class Exports:
    """The exporters of spans and metrics to a collector."""

    def __init__(self, asked: Asked, figures: JournalFigures, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to send. The journal is looked at on `loop`."""
        # These libraries log addresses, which may hold a token, and the answers of a collector.
        for name in ("opentelemetry", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        about = resource()
        self.tracing: Spans | None = None
        self._figures = figures
        self._loop = loop
        self._ends: list[Callable[[], object]] = []
        self._counters: dict[Measure, Counter] = {}
        self._histograms: dict[Measure, Histogram] = {}
        if asked.traces:
            spans = TracerProvider(resource=about, shutdown_on_exit=False)
            spans.add_span_processor(BatchSpanProcessor(_CleanSpans(about)))
            trace.set_tracer_provider(spans)  # the SDK of MCP has no other way to it
            self.tracing = Spans(trace.get_tracer(NAME))
            self._ends.append(spans.shutdown)
        if asked.metrics:
            reader = PeriodicExportingMetricReader(_Metrics())
            metrics = MeterProvider([reader], resource=about, shutdown_on_exit=False)
            self._make_instruments(metrics)
            self._ends.append(metrics.shutdown)

    def add(self, measure: Measure, labels: Sequence[str], value: float) -> None:
        """See `Sink.add`."""
        named = dict(zip(measure.labels, labels, strict=True))
        if measure in self._counters:
            self._counters[measure].add(value, named)
        elif measure in self._histograms:
            self._histograms[measure].record(value, named)

    async def close(self) -> None:
        """Send the last spans and metrics, and wait at most `END_SECONDS`, because a collector may not answer."""
        done = anyio.Event()

        def end() -> None:
            for each in self._ends:
                each()
            self._loop.call_soon_threadsafe(done.set)

        threading.Thread(target=end, daemon=True).start()
        with anyio.move_on_after(END_SECONDS):
            await done.wait()

    def _make_instruments(self, metrics: MeterProvider) -> None:
        meter = metrics.get_meter(NAME)
        for measure in HAPPENING:
            about = (measure.name, measure.unit, measure.meaning)
            if measure.kind == "counter":
                self._counters[measure] = meter.create_counter(*about)
            else:
                self._histograms[measure] = meter.create_histogram(
                    *about, explicit_bucket_boundaries_advisory=measure.bounds
                )
        for measure in STANDING:
            make = meter.create_observable_counter if measure.kind == "counter" else meter.create_observable_gauge
            make(measure.name, [self._observing(measure)], measure.unit, measure.meaning)

    def _observing(self, measure: Measure) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            # On the library's own thread; the event loop goes on meanwhile.
            looking = asyncio.run_coroutine_threadsafe(self._figures.look(), self._loop)
            looking.result(_LOOK_SECONDS)
            for labels, value in self._figures.values(measure):
                yield Observation(value, dict(zip(measure.labels, labels, strict=True)))

        return observe


class _Told:
    """Logs that a collector does not take what is sent: once, until it takes something again."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._failing = False

    def ended(self, well: bool) -> None:
        """Note whether a sending went well."""
        if not well and not self._failing:
            logger.warning("%s cannot be sent: the collector does not answer, or does not take them", self._what)
        self._failing = not well


class _CleanSpans(OTLPSpanExporter):
    def __init__(self, about: Resource) -> None:
        super().__init__()
        self._about = about
        self._told = _Told("spans")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        cleaned = [each for span in spans if (each := clean(span, self._about)) is not None]
        result = super().export(cleaned)
        self._told.ended(result is SpanExportResult.SUCCESS)
        return result


class _Metrics(OTLPMetricExporter):
    def __init__(self) -> None:
        super().__init__()
        self._told = _Told("metrics")

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **named: Any
    ) -> MetricExportResult:
        # The library does not say what the rest is.
        result = super().export(metrics_data, timeout_millis, **named)  # pyright: ignore[reportUnknownMemberType]
        self._told.ended(result is MetricExportResult.SUCCESS)
        return result
