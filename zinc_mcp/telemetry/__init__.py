"""What a server tells of itself to those who watch it: metrics, and the steps of each call.

It is built only where somebody has asked for it. Then the wiring puts it around the journal, the wire and the wallet;
otherwise nothing of it is loaded.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zinc_mcp.telemetry.watch import Shown, Watch


@asynccontextmanager
async def watched(shown: "Shown | None" = None) -> "AsyncGenerator[Watch | None]":
    """Give those who watch a process, and send what is left to them at the end; None where nobody has asked.

    `shown`: shows metrics, beside what the variables of OpenTelemetry ask for.
    """
    if shown is None and not any(name.startswith("OTEL_") for name in os.environ):
        yield None
        return
    from zinc_mcp.telemetry.measures import JournalFigures
    from zinc_mcp.telemetry.watching import watching

    figures, sinks = (JournalFigures(), ()) if shown is None else (shown.figures, (shown,))
    async with watching(figures, *sinks) as watch:
        yield watch
