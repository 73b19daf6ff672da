"""Plays the rounds of a campaign, a few at a time, until enough is known."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from bench.campaign.judge.verdict import INTENTIONS, Verdict

R = TypeVar("R")


class EnoughError(Exception):
    """No more needs to be known: a promise was broken, or enough intentions were judged."""


async def play_all(
    rounds: Sequence[R],
    at_once: int,
    play: Callable[[R], Awaitable[None]],
    verdict: Verdict,
    until: Collection[str],
    most: int | None,
) -> None:
    """Play rounds in their order.

    Args:
        rounds: all rounds.
        at_once: the number of rounds at the same time.
        play: plays one round, and adds its verdict to `verdict`.
        verdict: the verdict of all rounds together.
        until: everything stops once one of these rows is not zero.
        most: everything stops once this number of intentions was judged.

    Raises:
        EnoughError: it stopped.
    """
    waiting = list(reversed(rounds))

    async def work() -> None:
        while waiting:
            await play(waiting.pop())
            if any(verdict.counts[row] for row in until):
                raise EnoughError
            if most is not None and verdict.counts[INTENTIONS] >= most:
                raise EnoughError

    enough = False
    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(work())
    except* EnoughError:
        enough = True
    if enough:
        raise EnoughError
