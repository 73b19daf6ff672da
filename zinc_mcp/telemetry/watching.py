"""Opens the watch of a server: the exports that the variables of OpenTelemetry ask for, besides Prometheus metrics."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from zinc_mcp.invocation import install_command
from zinc_mcp.telemetry.measures import JournalFigures
from zinc_mcp.telemetry.watch import Sink, Watch

logger = logging.getLogger("zinc_mcp")

END_SECONDS = 3.0
"""The longest time for the last spans and metrics to be sent when a server ends."""
_SIGNALS = ("TRACES", "METRICS")
_PROTOCOL = "http/protobuf"


@dataclass(frozen=True, slots=True)
class Asked:
    """The exports that are asked for: spans, metrics or both."""

    traces: bool
    metrics: bool


@asynccontextmanager
async def watching(figures: JournalFigures, *sinks: Sink) -> AsyncGenerator[Watch | None]:
    """Give the watch of a process, and send its last metrics and spans at the end; None if nobody has asked for any.

    A failure to send is a warning in the log. It never stops a server, and delays its end by `END_SECONDS` at most.

    Args:
        figures: the figures of the journal.
        sinks: receivers of metrics besides OpenTelemetry.
    """
    asked = asked_in(os.environ)
    if asked is None:
        yield Watch(figures, sinks) if sinks else None
        return
    try:
        from zinc_mcp.telemetry.otlp import Exports  # its library is an extra

        exports = Exports(asked, figures, asyncio.get_running_loop())
    except ImportError:
        logger.warning("OpenTelemetry needs the extra `otel`, so nothing is sent: %s", install_command("otel"))
        yield Watch(figures, sinks) if sinks else None
        return
    except Exception as error:  # a variable may hold what the library cannot read, and its text may quote a secret
        logger.warning("OpenTelemetry cannot be started with these OTEL_ variables (%s)", type(error).__name__)
        yield Watch(figures, sinks) if sinks else None
        return
    try:
        yield Watch(figures, (*sinks, exports), exports.tracing)
    finally:
        with anyio.CancelScope(shield=True):
            await exports.close()


def asked_in(variables: Mapping[str, str]) -> Asked | None:
    """Return the exports that variables ask for, or None (OpenTelemetry, "Environment Variable Specification").

    A signal is asked for by an exporter `otlp`, or by an endpoint. Without either nothing is sent, though OpenTelemetry
    would send to this machine by default: hosts hand their own variables on to every server that they start.
    """
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    traces, metrics = (_is_asked(signal, variables) for signal in _SIGNALS)
    return Asked(traces, metrics) if traces or metrics else None


def _is_asked(signal: str, variables: Mapping[str, str]) -> bool:
    def given(*names: str) -> str:
        return next(filter(None, (variables.get(name, "").strip() for name in names)), "")

    exporter = given(f"OTEL_{signal}_EXPORTER").lower()
    endpoint = given(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    if exporter == "none" or not (exporter or endpoint):
        return False
    protocol = given(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL") or _PROTOCOL
    if exporter not in ("", "otlp") or protocol != _PROTOCOL:
        logger.warning("of %s nothing is sent: only the exporter otlp over %s is known here", signal.lower(), _PROTOCOL)
        return False
    return True
