"""A process that asks for one change of an order and kills itself at a step.

Its one word is JSON with `home`, `origin`, `step` (empty: none), `tool`, `arguments`, and `yes`, whether a person then
says yes to the question that waits. All its clocks are `ahead` seconds ahead. With `v1` it speaks to Zinc's v1.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
from deciding import yes
from mcp import Client
from pydantic import SecretStr

from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.decisions import decide
from zinc_mcp.journal.records.clocks import machine_uptime
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Clocks, Process
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.wiring import open_process

CLOCKS = Clocks(
    answer_seconds=8.0,
    wire_seconds=2.0,
    lease_margin_seconds=0.5,
    looking_lease_seconds=1.0,
    refresh_seconds=1.0,
    proof_seconds=0.4,
    poll_seconds=0.05,
    peek_seconds=0.05,
    sweep_seconds=60.0,
)


def opened(request: dict[str, Any], checkpoint: Callable[[str], None]) -> AbstractAsyncContextManager[Process]:
    """Open a process on the machine of a request."""
    home = Path(request["home"])
    whose: dict[str, Any] = {"api_key": SecretStr("zn_test_killed"), "api_url": request["origin"]}
    if request.get("v1"):
        whose = {"v1_client_token": SecretStr("killed-token-of-v1"), "v1_api_url": f"{request['origin']}/v1"}
    settings = Settings(
        home=home,
        config=home / "zinc.toml",
        browser=False,
        **whose,
    )
    ahead: float = request["ahead"]
    boot, _ = machine_uptime()
    return open_process(
        settings,
        # A question waits for its yes until the call is over, and here the yes comes after it.
        clocks=replace(CLOCKS, answer_seconds=1.5) if request["yes"] else CLOCKS,
        clock=lambda: time.time() + ahead,
        uptime=lambda: (boot, time.monotonic() + ahead),
        checkpoint=checkpoint,
    )


async def asked(process: Process, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call a tool of a server for this process; return the structure of its result."""
    async with Client(build_server(process), mode="auto") as client:
        result = await client.call_tool(tool, arguments)
    return dict(result.structured_content or {})


def main(word: str) -> None:
    """Ask for the change, and die on the way."""
    anyio.run(_ask, json.loads(word))


async def _ask(request: dict[str, Any]) -> None:
    def at(step: str) -> None:
        if step == request["step"]:
            os.kill(os.getpid(), signal.SIGKILL)

    async with opened(request, at) as process:
        told = await asked(process, request["tool"], request["arguments"])
        if request["yes"]:
            [entry] = await questions_for(process, "local")
            await decide(process, yes(entry))
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
