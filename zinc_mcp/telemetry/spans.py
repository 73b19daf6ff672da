"""The steps of calls as spans of OpenTelemetry, below the span that the SDK makes of each message."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, get_current_span

from zinc_mcp.telemetry.watch import Facts, Step

_KINDS = {"wire": SpanKind.CLIENT}


class Spans:
    """Makes a span of each step that belongs to a call. Work outside of calls makes no span, unless it asks for one."""

    def __init__(self, tracer: Tracer) -> None:
        """Make the spans with this tracer."""
        self._tracer = tracer

    @contextmanager
    def step(self, name: str, facts: Facts, *, alone: bool = False) -> Generator[Step]:
        """See `Tracing.step`."""
        if not alone and not get_current_span().get_span_context().is_valid:
            yield _Step(get_current_span())
            return
        kind = _KINDS.get(name, SpanKind.INTERNAL)
        with self._tracer.start_as_current_span(
            name, kind=kind, attributes=dict(facts), record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield _Step(span)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                # The text of an error may quote anything.
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    def mark(self, facts: Facts) -> None:
        """See `Tracing.mark`."""
        get_current_span().set_attributes(dict(facts))


class _Step:
    def __init__(self, span: Span) -> None:
        self._span = span

    def set(self, facts: Facts) -> None:
        """See `Step.set`."""
        self._span.set_attributes(dict(facts))
