"""Figures, their spread, their table, and the command line of every bench.

A ratio compares two things that are measured in turns in the same run, so that a busy machine slows both.
"""

import argparse
import asyncio
import random
import statistics
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table. `low` and `high` are the quartiles of the ratio over the rounds."""

    name: str
    ours: str
    baseline: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    target: str = ""
    holds: bool | None = None
    """None: this row has no target."""


def at_most(bound: float) -> tuple[str, Callable[[float], bool]]:
    """Return a target that a ratio must not exceed."""
    return f"≤ {bound:.2f}", lambda ratio: ratio <= bound


def at_least(bound: float) -> tuple[str, Callable[[float], bool]]:
    """Return a target that a ratio must reach."""
    return f"≥ {bound:.2f}", lambda ratio: ratio >= bound


def compared(
    name: str,
    ours: Sequence[float],
    baseline: Sequence[float],
    unit: str,
    target: tuple[str, Callable[[float], bool]] | None = None,
) -> Figure:
    """Return the figure of two series that were measured in turns, one pair in each round: the median of the ratios."""
    ratios = sorted(mine / theirs for mine, theirs in zip(ours, baseline, strict=True))
    middle = statistics.median(ratios)
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else (middle,) * 3
    return Figure(
        name,
        _amount(statistics.median(ours), unit),
        _amount(statistics.median(baseline), unit),
        middle,
        low,
        high,
        target[0] if target else "",
        target[1](middle) if target else None,
    )


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| figure | zinc_mcp | baseline | ratio (quartiles) | target | |", "|---|---|---|---|---|---|"]
    for each in figures:
        ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
        if each.low is not None and each.high is not None and each.low != each.high:
            ratio += f" ({each.low:.2f} to {each.high:.2f})"
        verdict = {True: "holds", False: "**missed**", None: ""}[each.holds]
        lines.append(f"| {each.name} | {each.ours} | {each.baseline} | {ratio} | {each.target} | {verdict} |")
    return "\n".join(lines)


def printed(figures: Sequence[Figure]) -> int:
    """Print the table of the figures; return the exit code: 1 if a target is missed."""
    print(table(figures))
    return 1 if any(each.holds is False for each in figures) else 0


class Measure(Protocol):
    """The function that a bench consists of."""

    def __call__(self, *, quick: bool) -> Awaitable[list[Figure]]:
        """Measure, with few rounds if `quick`, and return the figures."""
        ...


def run_bench(measure: Measure, about: str | None) -> int:
    """Run a bench as a command, and return its exit code."""
    quick: bool = arguments(about).parse_args().quick

    async def measured() -> list[Figure]:
        return await measure(quick=quick)

    return printed(asyncio.run(measured()))


def arguments(about: str | None) -> argparse.ArgumentParser:
    """Return the parser of a bench's command line."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="few rounds, to see that the bench runs; do not quote these figures"
    )
    return parser


def in_turns(round_number: int, contestants: Sequence[T]) -> list[T]:
    """Return the contestants in the order of this round, which is the same in every run."""
    order = list(contestants)
    random.Random(round_number).shuffle(order)
    return order


def _amount(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"
