"""The hosts of the members: the SDK's own clients, each with a person who says yes."""

import asyncio
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from bench.replicas.intentions import Intention
from bench.sdk_client import connected

ERAS = ("auto", "legacy", "sse")
AT_ONCE = 3
"""The number of intentions of one member that are placed at the same time."""
_TRIES = 40
_PAUSE_SECONDS = 0.5
_CALL_SECONDS = 80


class Hosts:
    """All hosts of all members."""

    def __init__(self, origin: str, token_of: Callable[[str], str], happened: Counter[str]) -> None:
        self._origin = origin
        self._token_of = token_of
        self._happened = happened

    async def place(self, wanted: Intention, era: str) -> None:
        """Place an intention again until an answer names an order or a full limit."""
        for _ in range(_TRIES):
            began = time.time()
            try:
                async with asyncio.timeout(_CALL_SECONDS), self._host(wanted.member, era) as client:
                    result = await client.call_tool("place_order", wanted.arguments())
            except* Exception:
                wanted.unanswered += 1
                self._happened["calls without an answer"] += 1
            else:
                facts: dict[str, Any] = {"is_error": result.is_error, **(result.structured_content or {})}
                wanted.told.append((began, facts))
                self._happened[f"answers: {facts.get('code') or facts.get('outcome')}"] += 1
                if facts.get("order_id") or facts.get("code") == "limit_exceeded":
                    return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def place_all(self, intentions: Sequence[Intention], dice: random.Random, done: Callable[[], None]) -> None:
        """Place the intentions of all members, a few at a time, and some by two hosts at once."""

        async def placed(wanted: Intention, own: random.Random) -> None:
            eras = own.sample(ERAS, 2 if own.random() < 0.3 else 1)
            await asyncio.gather(*(self.place(wanted, era) for era in eras))
            done()

        await _by_member(intentions, dice, placed)

    async def place_again(self, intentions: Sequence[Intention], dice: random.Random) -> None:
        """Place each intention once more, as people do who want to know its result."""
        await _by_member(intentions, dice, lambda wanted, own: self.place(wanted, own.choice(ERAS)))

    def _host(self, member: str, era: str) -> AbstractAsyncContextManager[Client]:
        transport, mode = ("sse", "legacy") if era == "sse" else ("mcp", era)
        token = self._token_of(member)
        return connected(self._origin, transport, mode, token, asks=_yes)


async def _by_member(
    intentions: Sequence[Intention],
    dice: random.Random,
    work: Callable[[Intention, random.Random], Awaitable[None]],
) -> None:
    by_member: dict[str, list[Intention]] = defaultdict(list)
    for each in intentions:
        by_member[each.member].append(each)

    async def go_through(rest: list[Intention], own: random.Random) -> None:
        while rest:
            await work(rest.pop(0), own)

    async with asyncio.TaskGroup() as tasks:
        for own in by_member.values():
            for _ in range(AT_ONCE):
                tasks.create_task(go_through(own, random.Random(dice.random())))


def show_progress(done: int, of: int) -> None:
    """Write the number of placed intentions to stderr."""
    print(f"\r{done} of {of} ", end="", file=sys.stderr, flush=True)


async def _yes(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"approve": True})
