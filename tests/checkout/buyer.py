"""A process that places one order and stops at a step (SIGSTOP), as under load or in a debugger.

Its one word is JSON with `home`, `origin`, `rail`, `wallet_command`, `step`, `nth`, and `ahead`, a file with the
seconds by which all clocks of the machine have gone on meanwhile.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
from pydantic import SecretStr

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.place_order import Intent
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.records.clocks import machine_uptime
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Clocks, Process
from zinc_mcp.wiring import open_process
from zinc_mcp.zinc.orders import OrderCreate

CLOCKS = Clocks(
    answer_seconds=8.0,
    wire_seconds=8.0,
    refresh_seconds=1.0,
    proof_seconds=0.4,
    poll_seconds=0.05,
    peek_seconds=0.05,
    sweep_seconds=3600.0,
)


def ahead(path: Path) -> float:
    """Return how many seconds the machine's clocks were moved forward."""
    return float(path.read_text(encoding="ascii") or 0)


def opened(request: dict[str, Any], checkpoint: Callable[[str], None]) -> AbstractAsyncContextManager[Process]:
    """Open a process on the machine of a request."""
    gone = Path(request["ahead"])
    boot, _ = machine_uptime()
    command = request["wallet_command"]
    settings = Settings(
        home=Path(request["home"]),
        config=Path(request["home"]) / "zinc.toml",
        api_key=SecretStr("zn_test_stopped") if request["rail"] == "account" else None,
        api_url=request["origin"],
        wallet=None if request["rail"] == "account" else "command" if command else "sandbox",
        wallet_command=command,
        browser=False,
    )
    return open_process(
        settings,
        clocks=CLOCKS,
        clock=lambda: time.time() + ahead(gone),
        uptime=lambda: (boot, time.monotonic() + ahead(gone)),
        checkpoint=checkpoint,
    )


async def place(process: Process, request: dict[str, Any]) -> str:
    """Place the order once; say how it ended."""
    wanted = Intent("local", request["rail"], OrderCreate.model_validate(request["order"]))
    try:
        answer = await place_order.place(process, wanted)
    except ZincMcpError as error:
        return error.code
    return answer.entry.state if answer.entry is not None else "none"


def main(word: str) -> None:
    """Place one order and stop on the way."""
    anyio.run(_buy, json.loads(word))


async def _buy(request: dict[str, Any]) -> None:
    left: int = request["nth"]

    def at(step: str) -> None:
        nonlocal left
        left -= step == request["step"]
        if left == 0 and step == request["step"]:
            left = -1
            os.kill(os.getpid(), signal.SIGSTOP)

    async with opened(request, at) as process:
        ended = await place(process, request)
    sys.stdout.write(ended)
