"""The time of our reading tools beyond their requests to Zinc, compared with bare tools that make the same requests.

Measured over stdio, one at a time, with a test key (a question costs nothing then, and is not remembered): a search of
ten products; a product's free check, and the same with its details; a list of ten orders; the balance; and a
cancellation of an order that is placed already, which reads it and changes nothing. Baseline: an `MCPServer` whose
tools make the same requests with httpx and return the answers. The run counts the requests of both and stops if they
differ.

The upstream is a local process. For the rows with a target it answers each request after 50 ms, sooner than a real
Zinc, which takes hundreds. For the rows without a target it answers at once, which is the worst case and shows the cost
of our own work. The list reads and joins each order, and the balance adds up the journal's limits, which the bare tools
do not do.

The figure is the median time of a call (ms), with the ratio of the medians of one round, in turns call by call. A ratio
of 1.10 means 10 % slower.
"""

import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.baselines.shop import COFFEE
from bench.callers import Caller, Stdio, started, succeeded, timed, upstream
from bench.figures import Figure, at_most, compared, in_turns, run_bench
from bench.wanted import configured, order

TARGET = 1.10
DELAY_MS = 50


@dataclass
class _Call:
    name: str
    tool: str
    arguments: Mapping[str, Any]
    ours: list[float] = field(default_factory=list[float])
    baseline: list[float] = field(default_factory=list[float])


async def measure(*, quick: bool = False) -> list[Figure]:
    """Measure each tool and return its two figures."""
    figures: list[Figure] = []
    for delay_ms, rounds, times in ((DELAY_MS, 10, 8), (0, 15, 40)):
        async with _pair(delay_ms) as (ours, baseline, calls, origin):
            for call in calls:
                await _check_requests(call, ours, baseline, origin)
            for number in range(-1, 3 if quick else rounds):
                for call in calls:
                    await _round(number, call, (ours, baseline), times // 4 if quick else times)
        figures += [
            compared(
                f"{call.name}, Zinc answering {f'after {delay_ms} ms' if delay_ms else 'at once'}",
                [1000 * seconds for seconds in call.ours],
                [1000 * seconds for seconds in call.baseline],
                "ms",
                at_most(TARGET) if delay_ms else None,
            )
            for call in calls
        ]
    return figures


async def _round(number: int, call: _Call, pair: tuple[Caller, Caller], times: int) -> None:
    """Measure one round. Round -1 warms up and is not counted."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(times):
        for which in in_turns(number * times + turn, (0, 1)):
            taken[which].append(await timed(pair[which], call.tool, call.arguments))
    if number >= 0:
        call.ours.append(statistics.median(taken[0]))
        call.baseline.append(statistics.median(taken[1]))


async def _check_requests(call: _Call, ours: Caller, baseline: Caller, origin: str) -> None:
    """Check that both make the same number of requests.

    Raises:
        RuntimeError: they do not, so the ratio would mean nothing.
    """
    made: list[int] = []
    for caller in (ours, baseline):
        await timed(caller, call.tool, call.arguments)
        before = await _asked(origin)
        await timed(caller, call.tool, call.arguments)
        made.append(await _asked(origin) - before)
    if made[0] != made[1]:
        raise RuntimeError(f"{call.name}: {made[0]} requests, and the bare tool makes {made[1]}")


async def _asked(origin: str) -> int:
    async with httpx.AsyncClient(base_url=origin, trust_env=False) as client:
        return int((await client.get("/asked")).json()["asked"])


@asynccontextmanager
async def _pair(delay_ms: int) -> AsyncGenerator[tuple[Caller, Caller, list[_Call], str]]:
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zinc-mcp-bench-")))
        origin = await stack.enter_async_context(upstream("bench.baselines.shop", BENCH_DELAY_MS=str(delay_ms)))
        variables = configured(home, origin)
        del variables[
            "ZINC_V1_CLIENT_TOKEN"
        ]  # otherwise lists and balances would also ask v1, and the bare tools do not
        ours = await _opened(stack, ["-m", "zinc_mcp"], variables)
        baseline = await _opened(stack, ["-m", "bench.baselines.trivial", "stdio"], {"BENCH_UPSTREAM": origin})
        placed = succeeded(await ours.call("place_order", order(0)))["order_id"]
        succeeded(await ours.call("get_order", {"order_id": placed}))  # this call writes down the news
        calls = [
            _Call("`search_products`, ten results", "search_products", {"query": "whole bean coffee"}),
            _Call("`check_product`", "check_product", {"url": COFFEE}),
            _Call("`check_product` with details", "check_product", {"url": COFFEE, "details": True}),
            _Call("`list_orders`, ten orders", "list_orders", {"limit": 10}),
            _Call("`get_balance`", "get_balance", {"limits_only": False}),
            _Call("`cancel_order` of a placed order", "cancel_order", {"order_id": placed}),
        ]
        yield ours, baseline, calls, origin


async def _opened(stack: AsyncExitStack, program: list[str], variables: Mapping[str, str]) -> Caller:
    server = Stdio(await stack.enter_async_context(started(program, variables)))
    await server.opened()
    return server


if __name__ == "__main__":
    sys.exit(run_bench(measure, __doc__))
