"""What it costs others to have a journal's old orders forgotten: 300,000 entries are purged while orders are placed.

Measured: a server over stdio places one order after the other, approval `none` and a test key, on a journal with that
many finished entries; `zinc-mcp orders purge` runs in a process of its own on the same SQLite file. No order may be
refused. Memory is the most that the purging process was resident with, less what the same command is resident with on
an empty journal (on Linux: it is read from /proc).

The figures are the slowest placing call beside the slowest while nothing is purged, and the memory beside 100 MiB.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from bench.callers import Stdio, started, succeeded, upstream
from bench.figures import Figure, arguments, printed
from bench.place_order import fill
from bench.wanted import configured, order

ENTRIES = 300_000
MOST_MIB = 100.0
BEFORE = 200
"""Orders placed before the purge begins, for comparison."""
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
                before.append(await _placed(server, number))
            purging = asyncio.create_task(_purged(variables))
            meanwhile: list[float] = []
            while not purging.done():
                number += 1
                meanwhile.append(await _placed(server, number))
            mib, seconds = await purging
    more = max(0.0, mib - idle_mib)
    name = f"{size:,} entries purged in {seconds:.0f} s while {len(meanwhile)} orders were placed, none refused"
    slow, usual = 1000 * max(meanwhile), 1000 * max(before)
    middle = f"median {1000 * statistics.median(meanwhile):.1f} ms"
    return [
        Figure(f"{name}: the slowest `place_order`", f"{slow:.0f} ms ({middle})", f"{usual:.0f} ms", slow / usual),
        Figure(
            "the same: memory of the purging process, more than on an empty journal",
            f"{more:.0f} MiB",
            f"{MOST_MIB:.0f} MiB",
            more / MOST_MIB,
            target="≤ 1.00",
            holds=more <= MOST_MIB,
        ),
    ]


async def _placed(server: Stdio, number: int) -> float:
    """Place one order, and return how long that took; one that is refused ends the bench."""
    wanted = order(number)
    began = time.perf_counter()
    result = await server.call("place_order", wanted)
    seconds = time.perf_counter() - began
    succeeded(result)
    return seconds


async def _purged(variables: Mapping[str, str]) -> tuple[float, float]:
    """Run the command to its end; return the most memory that it was resident with, in MiB, and the seconds."""
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: ASYNC220  # started at once; its end is waited for in a thread
        [sys.executable, *PURGE], env={**os.environ, **variables}, stdout=subprocess.DEVNULL
    )
    mib = await asyncio.to_thread(_most_resident, process)
    if process.returncode != 0:
        raise RuntimeError(f"the purge ended with {process.returncode}")
    return mib, time.perf_counter() - began


def _most_resident(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end of a process; return the most memory that it was resident with, in MiB.

    Not by getrusage(2): what it says of a process includes whoever started it, up to the moment of exec.
    """
    most = 0
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
        except OSError:
            lines = []
        most = max([most, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))])
        time.sleep(0.02)
    return most / 1024


if __name__ == "__main__":
    sys.exit(printed(asyncio.run(measure(quick=arguments(__doc__).parse_args().quick))))
