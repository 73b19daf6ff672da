"""The time of `get_order` beyond the request to Zinc, compared with a trivial tool that returns the same JSON.

Measured: `get_order` of an order placed before through the same server, without news, over stdio, Streamable HTTP and
SSE; the upstream is a local process that answers at once. Baseline: an `MCPServer` whose tool makes the same
`GET /orders/{id}` with httpx and returns the answer, over the same transport. Ours also reads the journal, compares the
answer with the entry, and makes text and structure for a model.

One at a time: the median time of a call (ms), in turns call by call. The ratio compares the medians of one round.
64 at once: calls a second while 64 calls always run, in turns round by round. A ratio of 1.10 means 10 % slower; with
64 at once, 0.90 means a tenth fewer calls. A real Zinc takes hundreds of milliseconds: this is the worst case.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.callers import (
    Caller,
    Http,
    Sse,
    Stdio,
    free_port,
    listening,
    started,
    succeeded,
    timed,
    token_in,
    upstream,
)
from bench.figures import Figure, at_least, at_most, compared, in_turns, run_bench
from bench.wanted import configured, order

TRANSPORTS = ("stdio", "Streamable HTTP", "SSE")
AT_ONCE = 64


@dataclass
class _Contestant:
    caller: Caller
    handle: str
    medians: list[float] = field(default_factory=list[float])
    rates: list[float] = field(default_factory=list[float])

    async def once(self) -> float:
        """Return the duration of one call in seconds."""
        return await timed(self.caller, "get_order", {"order_id": self.handle})

    async def at_once(self, calls: int) -> float:
        """Return the number of answered calls a second while 64 calls always run."""
        left = calls

        async def agent() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await self.once()

        began = time.perf_counter()
        await asyncio.gather(*(agent() for _ in range(AT_ONCE)))
        return calls / (time.perf_counter() - began)


async def measure(*, quick: bool = False) -> list[Figure]:
    """Measure each transport and return its two figures."""
    figures: list[Figure] = []
    for transport in TRANSPORTS:
        async with _pair(transport) as (ours, baseline):
            pair = [ours, baseline]
            # Many short rounds: a moment in which the machine is busy spoils only a few of them, and not the median.
            for number in range(-1, 3 if quick else 15):
                await _round(number, pair, calls=20 if quick else 40, burst=128)
            figures.append(
                compared(
                    f"`get_order` over {transport}, one at a time",
                    [1000 * seconds for seconds in ours.medians],
                    [1000 * seconds for seconds in baseline.medians],
                    "ms",
                    at_most(1.15),
                )
            )
            figures.append(
                compared(
                    f"`get_order` over {transport}, {AT_ONCE} at once", ours.rates, baseline.rates, "/s", at_least(0.85)
                )
            )
    return figures


async def _round(number: int, pair: list[_Contestant], calls: int, burst: int) -> None:
    """Measure one round. Round -1 warms up and is not counted."""
    times: dict[int, list[float]] = {0: [], 1: []}
    for call in range(calls):
        for which in in_turns(number * calls + call, (0, 1)):
            times[which].append(await pair[which].once())
    for which in in_turns(number, (0, 1)):
        rate = await pair[which].at_once(burst)
        if number >= 0:
            pair[which].medians.append(statistics.median(times[which]))
            pair[which].rates.append(rate)


@asynccontextmanager
async def _pair(transport: str) -> AsyncGenerator[tuple[_Contestant, _Contestant]]:
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zinc-mcp-bench-")))
        origin = await stack.enter_async_context(upstream())
        variables = configured(home, origin)
        ours = await _opened(stack, transport, ["-m", "zinc_mcp"], ["serve", "--http"], variables)
        theirs = {"BENCH_UPSTREAM": origin}
        baseline = await _opened(stack, transport, ["-m", "bench.baselines.trivial"], ["http"], theirs)
        placed = succeeded(await ours.call("place_order", order(0)))
        pair = _Contestant(ours, placed["order_id"]), _Contestant(baseline, placed["order_id"])
        await pair[0].once()  # this call writes down the news since the order was placed
        yield pair


async def _opened(
    stack: AsyncExitStack, transport: str, program: list[str], over_http: list[str], variables: dict[str, str]
) -> Caller:
    if transport == "stdio":
        rest = ["stdio"] if "bench" in program[1] else []
        server = Stdio(await stack.enter_async_context(started([*program, *rest], variables)))
        await server.opened()
        return server
    port = free_port()
    where = f"127.0.0.1:{port}" if over_http[0] == "serve" else str(port)
    await stack.enter_async_context(started([*program, *over_http, where], variables))
    await listening(port)
    token = token_in(Path(variables["ZINC_MCP_HOME"])) if over_http[0] == "serve" else None
    caller = Sse(port, token) if transport == "SSE" else Http(port, token)
    stack.callback(caller.close)
    if isinstance(caller, Sse):
        await caller.opened()
    return caller


if __name__ == "__main__":
    sys.exit(run_bench(measure, __doc__))
