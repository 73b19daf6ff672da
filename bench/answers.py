"""The waits of other calls while the server reads the largest answers, and the memory that stays afterwards.

Measured: a server over stdio gets a ping every millisecond while `get_order` reads an order. Its answer has the largest
size that is read (256 KB) and takes the most work: many rows, long texts, wrong types at every depth, rows beyond every
bound. The same is measured while `place_order`, whose journal is new, first reads a page of a list of orders of the
largest size (512 KB). The upstream is another process. Baseline: a ping's wait during an order of the usual size.

A wait is the longest wait of a ping during one call, in milliseconds. For each shape the least of all rounds counts,
since other work of the machine only adds to it. The figure is that of the shape with the longest wait. Memory is
resident memory (MiB) at the end, compared with the memory after the first round.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.baselines.large import SHAPES
from bench.callers import HELLO, Stdio, resident_kib, started, succeeded
from bench.figures import Figure, run_bench
from bench.wanted import configured, order

MOST_MS = 50.0
MOST_GROWTH = 1.25
_LIST = "list"
_APART_SECONDS = 0.001


async def measure(*, quick: bool = False) -> list[Figure]:
    """Read every shape in every round and return the figures; three rounds if `quick`."""
    waits: dict[str, list[float]] = {shape: [] for shape in (*SHAPES, _LIST)}
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-bench-") as folder:
        async with (
            _upstream() as origin,
            started(["-m", "zinc_mcp"], configured(Path(folder) / "home", origin)) as process,
        ):
            server = Stdio(process, "legacy")
            await server.asked("initialize", HELLO)
            await _round(server, 0, {shape: [] for shape in waits})
            before = resident_kib(process.pid) / 1024
            for number in range(1, (3 if quick else 12) + 1):
                await _round(server, number, waits)
            after = resident_kib(process.pid) / 1024
    least = {shape: min(times) for shape, times in waits.items()}
    usual = least.pop("typical")
    slowest = max(least, key=lambda shape: least[shape])
    for shape, wait in sorted(least.items(), key=lambda each: -each[1]):
        print(f"{shape}: {wait:.1f} ms", file=sys.stderr)
    return [
        Figure(
            f"a ping's wait during the largest answer ({slowest})",
            f"{least[slowest]:.1f} ms",
            f"{usual:.1f} ms",
            least[slowest] / usual,
            target=f"≤ {MOST_MS:.0f} ms",
            holds=least[slowest] <= MOST_MS,
        ),
        Figure(
            "memory after the largest answers",
            f"{after:.0f} MiB",
            f"{before:.0f} MiB",
            after / before,
            target=f"≤ {MOST_GROWTH:.2f}",
            holds=after / before <= MOST_GROWTH,
        ),
    ]


async def _round(server: Stdio, number: int, waits: Mapping[str, list[float]]) -> None:
    for place, shape in enumerate(SHAPES):
        wanted = {**order(number * len(SHAPES) + place), "metadata": {"shape": shape}}
        placed, wait = await _beside(server, "place_order", wanted)
        waits[_LIST].append(wait)
        shown, wait = await _beside(server, "get_order", {"order_id": succeeded(placed)["order_id"]})
        if "unasked" in succeeded(shown):
            raise RuntimeError(f"{shape} was not read: {succeeded(shown)['unasked']}")
        waits[shape].append(wait)


async def _beside(server: Stdio, tool: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """Call a tool; return its result and the longest time that a ping waited meanwhile, in milliseconds."""
    longest = 0.0
    call = asyncio.create_task(server.call(tool, given))
    while not call.done():
        began = time.perf_counter()
        await server.asked("ping", {})
        longest = max(longest, time.perf_counter() - began)
        await asyncio.sleep(_APART_SECONDS)
    return await call, 1000 * longest


@asynccontextmanager
async def _upstream() -> AsyncGenerator[str]:
    async with started(["-m", "bench.baselines.large"], {}) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(await asyncio.wait_for(process.stdout.readline(), 30))}"


if __name__ == "__main__":
    sys.exit(run_bench(measure, __doc__))
