"""Runs all benches. It prints the figures of each bench after it has run, and at the end the missed targets."""

import asyncio
import sys
import time

from bench import (
    answers,
    connections,
    get_order,
    many_callers,
    place_order,
    postgres,
    purge,
    reading,
    sizes,
    startup,
)
from bench.figures import Figure, arguments, table


def main() -> int:
    """Run every bench and print its table, and at the end the rows that missed their target; return 1 if any did."""
    quick: bool = arguments(__doc__).parse_args().quick
    missed: list[Figure] = []
    benches = (
        startup,
        get_order,
        reading,
        place_order,
        answers,
        purge,
        sizes,
        connections,
        postgres,
        many_callers,
    )
    for bench in benches:
        began = time.monotonic()
        figures = asyncio.run(bench.measure(quick=quick))
        print(f"\n{bench.__name__} ({time.monotonic() - began:.0f} s)\n\n{table(figures)}", flush=True)
        missed += [each for each in figures if each.holds is False]
    print(f"\nMissed targets:\n\n{table(missed)}" if missed else "\nEvery target holds.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
