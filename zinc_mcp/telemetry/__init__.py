"""Metrics of a server, and the steps of each call as spans.

They are made only if the owner asks for them. Then the wiring wraps the journal, the wire and the wallet; otherwise no
module of this room but this one is loaded.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zinc_mcp.telemetry.watch import Shown, Watch


@asynccontextmanager
async def watched(shown: "Shown | None" = None) -> "AsyncGenerator[Watch | None]":
    """Give the watch of a process, and send its last metrics and spans at the end; None if nobody has asked for any.

    `shown`: shows metrics, besides those that the variables of OpenTelemetry ask for.
    """
    if shown is None and not any(name.startswith("OTEL_") for name in os.environ):
        yield None
        return
    from zinc_mcp.telemetry.measures import JournalFigures
    from zinc_mcp.telemetry.watching import watching

    figures, sinks = (JournalFigures(), ()) if shown is None else (shown.figures, (shown,))
    async with watching(figures, *sinks) as watch:
        yield watch
