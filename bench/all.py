"""All figures, as the table that the README shows.

    python -m bench.all [--quick]

`--quick` leaves the journal of a million entries out. The fault campaign is a command of its own: `bench.faults`.
"""

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version

from bench import get_order, place_order, sizes, startup
from bench.measuring import Figure


async def measure(entries: Sequence[int]) -> Sequence[tuple[str, Figure]]:
    """Run every benchmark that takes time, each alone."""
    figures: list[tuple[str, Figure]] = []
    for module, run in (
        ("startup", startup.measure),
        ("get_order", get_order.measure),
        ("place_order", partial(place_order.measure, entries)),
    ):
        figures += [(module, each) for each in await run()]
    return figures


def table(figures: Sequence[tuple[str, Figure]], measured: sizes.Sizes) -> str:
    """Return the markdown table."""
    rows = ["| What | zinc_mcp | baseline | ratio | target | command |", "|---|---|---|---|---|---|"]
    for module, each in figures:
        target = f"{'≥' if each.at_least else '≤'} {each.target:.2f}"
        missed = "" if each.kept else " **missed**"
        rows.append(
            f"| {each.what} | {each.ours:.1f} {each.unit} | {each.baseline:.1f} {each.unit} | {each.ratio:.2f}{missed} "
            f"| {target} | `python -m bench.{module}` |"
        )
    rows += [
        f"| {what} | {much} | | | {budget} | `python -m bench.sizes` |" for what, much, budget in sizes.lines(measured)
    ]
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, mcp {version('mcp')}"
    return "\n".join([*rows, "", f"Medians of interleaved runs on one machine ({machine})."])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    entries = [100_000] if parser.parse_args().quick else [100_000, 1_000_000]
    figures = asyncio.run(measure(entries))
    measured = asyncio.run(sizes.measure())
    print(table(figures, measured))
    return 0 if measured.kept and all(each.kept for _, each in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
