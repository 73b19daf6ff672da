"""The delay of orders that are placed during a purge of 300,000 old entries, and the memory of that purge.

Measured: a server over stdio places one order after the other, with approval `none` and a test key, on a journal with
that number of finished entries. `zinc-mcp orders purge` runs in another process on the same SQLite file. No order may
be refused. Memory is the peak of the purging process, less the peak of the same command on an empty journal (only on
Linux, since it is read from /proc).

The figures are the slowest placing call, compared with the slowest one without a purge, and the memory, compared with
100 MiB.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from bench.callers import Stdio, resident_kib, started, timed, upstream
from bench.figures import Figure, run_bench
from bench.place_order import fill
from bench.wanted import configured, order

ENTRIES = 300_000
MOST_MIB = 100.0
BEFORE = 200
"""The number of orders that are placed before the purge begins, for comparison."""
PURGE = ("-m", "zinc_mcp", "orders", "purge", "--older-than", "1")


async def measure(*, quick: bool = False) -> list[Figure]:
    """Purge a journal while orders are placed; `quick` with a tenth of the entries."""
    size = ENTRIES // 10 if quick else ENTRIES
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-bench-") as folder:
        async with AsyncExitStack() as stack:
            origin = await stack.enter_async_context(upstream())
            empty = configured(Path(folder) / "empty", origin)
            idle_mib, _ = await _purged(empty)
            home = Path(folder) / "full"
            variables = configured(home, origin)
            fill(home / "journal.db", size)
            server = Stdio(await stack.enter_async_context(started(["-m", "zinc_mcp"], variables)))
            await server.opened()
            number = 0
            before: list[float] = []
            for number in range(BEFORE):
                before.append(await timed(server, "place_order", order(number)))
            purging = asyncio.create_task(_purged(variables))
            meanwhile: list[float] = []
            while not purging.done():
                number += 1
                meanwhile.append(await timed(server, "place_order", order(number)))
            mib, seconds = await purging
    more = max(0.0, mib - idle_mib)
    name = f"{size:,} entries purged in {seconds:.0f} s while {len(meanwhile)} orders were placed, none refused"
    slow, usual = 1000 * max(meanwhile), 1000 * max(before)
    middle = f"median {1000 * statistics.median(meanwhile):.1f} ms"
    return [
        Figure(f"{name}: the slowest `place_order`", f"{slow:.0f} ms ({middle})", f"{usual:.0f} ms", slow / usual),
        Figure(
            "the same: memory of the purging process beyond that on an empty journal",
            f"{more:.0f} MiB",
            f"{MOST_MIB:.0f} MiB",
            more / MOST_MIB,
            target="≤ 1.00",
            holds=more <= MOST_MIB,
        ),
    ]


async def _purged(variables: Mapping[str, str]) -> tuple[float, float]:
    """Run the command to its end; return the peak of its resident memory in MiB, and the seconds."""
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: ASYNC220  # it starts at once; a thread waits for its end
        [sys.executable, *PURGE], env={**os.environ, **variables}, stdout=subprocess.DEVNULL
    )
    mib = await asyncio.to_thread(_peak_mib, process)
    if process.returncode != 0:
        raise RuntimeError(f"the purge ended with {process.returncode}")
    return mib, time.perf_counter() - began


def _peak_mib(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end of a process; return the peak of its resident memory in MiB.

    It is not read by getrusage(2), whose figure includes the process that started this one, up to exec(2).
    """
    most = 0
    while process.poll() is None:
        with suppress(OSError):
            most = max(most, resident_kib(process.pid, "VmHWM"))
        time.sleep(0.02)
    return most / 1024


if __name__ == "__main__":
    sys.exit(run_bench(measure, __doc__))
