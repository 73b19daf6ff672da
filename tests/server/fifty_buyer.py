"""A process that places fifty orders at once when a file appears, and prints how they ended, as JSON."""

import collections
import json
from pathlib import Path

import anyio
from journals import entry_of
from wanted import book, intent

from zinc_mcp.checkout.place_order import place
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.wiring import open_process


def main(number: str, ready: str, start: str) -> None:
    """Say that this process is ready by a file, wait for another file, and buy."""
    print(json.dumps(anyio.run(_buy, int(number) * 100, Path(ready), Path(start))))  # noqa: T201  # for the test


async def _buy(first: int, ready: Path, start: Path) -> dict[str, int]:
    ended = collections.Counter[str]()
    async with open_process(load_settings()) as process:

        async def one(product: int) -> None:
            try:
                ended[entry_of(await place(process, intent(products=book(product)))).state] += 1
            except ZincMcpError as error:
                ended[error.code] += 1

        ready.touch()
        while not start.exists():
            await anyio.sleep(0.01)
        async with anyio.create_task_group() as tasks:
            for product in range(first, first + 50):
                tasks.start_soon(one, product)
    return dict(ended)
