"""Asking Zinc for the time, before an order depends on the time. Zinc's answer is checked against our clock."""

from contextlib import suppress

import anyio

from zinc_mcp.errors import ZincMcpError
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail
from zinc_mcp.zinc.account.account import get_health

_SECONDS = 3.0


async def hear_the_time(process: Process, rail: Rail | None) -> None:
    """Ask Zinc for the time, since it is not known to agree with ours (`Times.agree`).

    A steady clock stands still while the machine sleeps, so a difference is believed only if Zinc has just been asked.
    If no answer comes, the journal refuses an order that depends on the time (`journal.checks.without_time`). `rail` is
    None in a process without the rail of the order, such as a terminal: then Zinc is asked for its health, which needs
    no key.
    """
    if rail is not None:
        await rail.ask_the_time()
        return
    with suppress(ZincMcpError), anyio.move_on_after(_SECONDS):
        await get_health(process.client)
