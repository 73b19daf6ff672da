"""Runs all benches one after the other and prints their figures as one Markdown table."""

import asyncio
import sys
import time

from bench import answers, connections, get_order, place_order, postgres, purge, reading, sizes, startup
from bench.figures import Figure, arguments, printed


def main() -> int:
    """Run every bench and print the table; 1 when a target is missed."""
    quick: bool = arguments(__doc__).parse_args().quick
    figures: list[Figure] = []
    for bench in (startup, get_order, reading, place_order, postgres, answers, purge, sizes, connections):
        began = time.monotonic()
        figures += asyncio.run(bench.measure(quick=quick))
        print(f"{bench.__name__}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return printed(figures)


if __name__ == "__main__":
    sys.exit(main())
