"""A process that cancels one order, and stops (SIGSTOP) at a step. Its one word is the JSON of `checkout.buyer`.

`cancel` holds the key of the order.
"""

import json
import os
import signal
import sys
from typing import Any

import anyio
from checkout.buyer import opened

from zinc_mcp.aftercare.cancel import cancel
from zinc_mcp.errors import ZincMcpError


def main(word: str) -> None:
    """Cancel and stop on the way."""
    anyio.run(_cancel, json.loads(word))


async def _cancel(request: dict[str, Any]) -> None:
    def at(step: str) -> None:
        if step == request["step"]:
            os.kill(os.getpid(), signal.SIGSTOP)

    async with opened(request, at) as process:
        try:
            ended: str = (await cancel(process, "local", request["cancel"])).how
        except ZincMcpError as error:
            ended = error.code
    sys.stdout.write(ended)
