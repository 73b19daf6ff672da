"""A process that orders from the built-in sandbox, tells its owner, and is killed (SIGKILL) at a step.

Its one word is JSON with `home`, `url`, `step` (empty: it is not killed) and `place`, whether it orders at all.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
from pydantic import SecretStr
from wanted import order

from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.owner.notify import EVENTS, Notify
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Clocks
from zinc_mcp.wiring import open_process

PRODUCT = "https://zinc.com/shop/products/test-success"


def main(word: str) -> None:
    """Order once, and tell for a while."""
    anyio.run(_tell, json.loads(word))


async def _tell(request: dict[str, Any]) -> None:
    def at(step: str) -> None:
        if step == request["step"]:
            os.kill(os.getpid(), signal.SIGKILL)

    home = Path(request["home"])
    settings = Settings(
        home=home,
        config=home / "zinc.toml",
        sandbox=True,
        notify=Notify(frozenset(EVENTS), SecretStr(request["url"])),
    )
    clocks = Clocks(notices_seconds=0.05, telling_seconds=5.0)
    async with open_process(settings, clocks=clocks, checkpoint=at) as process:
        if request["place"]:
            await place(process, Intent("local", "account", order(products=[{"url": PRODUCT}], max_price=5000)))
        else:
            await process.journal.run(lambda journal: journal.paused())
        await anyio.sleep(2.0)


if __name__ == "__main__":
    main(sys.argv[1])
