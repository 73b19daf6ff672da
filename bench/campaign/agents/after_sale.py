"""The agent of one intention about an order: it asks, breaks off, and asks again until it knows how that ended.

It is as stubborn as the agent that buys (`agent`): it asks for the same again after a lost answer, by the order's id
and by our key, whatever the last answer told it to do.
"""

import asyncio
import random
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.campaign.agents.agent import OWN, PATIENCE, Call
from bench.campaign.agents.hosts import Server, Starter, StdioServer, Structure, stdio_server
from bench.campaign.plan.after_sale import Asking, Wish

Handle = Literal["id", "key"]

_PEEK = 0.01
_LATE = 1.5
"""Seconds after its answer for which a process may still come to its step."""
_LEASES_OVER = 3.0
"""Seconds after which a process that was stopped at a step has no lease any more (`server.CLOCKS`)."""
_STOPPED_TURNS = 3
"""The number of times that the others ask while a process is stopped."""
_CARRIES_OUT = 4
"""The number of times that a host asks a process of its own how a question stands: it may carry out the yes."""
_MOST_LOOKS = 20
_BETWEEN_LOOKS = 0.5
_MOST_ENDED = 2
"""After so many answers that nothing was sent or taken, an agent stops."""

_ENDED = frozenset({"refused", "rejected", "declined"})
_OVER = frozenset({"placed", "filed", "failed", "cancelled"})


class NoOrderError(Exception):
    """The order that a round is about could not be brought to its state, so the round would prove nothing."""


@dataclass(slots=True)
class Order:
    """The order that one or more intentions are about."""

    id: str | None
    key: str | None
    at: float
    """When Zinc had it."""


async def placed(server: Server, wish: Wish, pace: float, tool: str) -> Order:
    """Place the order of an intention; where a case about it must be open, open one.

    Raises:
        NoOrderError: it could not be done.
    """
    told = await server.call(tool, wish.order(pace), patience=PATIENCE)
    for _ in range(_MOST_LOOKS):  # a busy machine may not have placed it within the time of the call
        if told is None or told["outcome"] not in ("sending", "signing", "unknown"):
            break
        told = await server.call("get_order", {"order_id": told["key"], "wait_seconds": 1}, patience=PATIENCE)
    if told is None or told["outcome"] not in ("accepted", "placed"):
        raise NoOrderError(f"{wish.name}: {told}")
    return Order(str(told["order_id"]), str(told["key"]), time.time())


async def reported(server: Server, wish: Wish, order: Order) -> None:
    """Open the case that must be open before an intention begins.

    Raises:
        NoOrderError: it could not be done.
    """
    report = wish.first_report(str(order.id))
    first = await server.call("report_problem", report, patience=PATIENCE)
    for _ in range(_MOST_LOOKS):  # the same report again is answered with the first one
        if first is None or first["outcome"] not in ("sending", "unknown", "not_sent"):
            break
        await asyncio.sleep(_BETWEEN_LOOKS)
        first = await server.call("report_problem", report, patience=PATIENCE)
    if first is None or first["outcome"] != "filed":
        raise NoOrderError(f"{wish.name}: {first}")


@dataclass(slots=True)
class AfterAgent:
    """Wants one thing done about an order, and speaks to the servers as a host does."""

    wish: Wish
    order: Order
    pace: float
    starter: Starter
    environ: Mapping[str, str]
    servers: Sequence[Server]
    turns: int
    calls: list[Call] = field(default_factory=list[Call])
    _source: random.Random = field(init=False)
    _under_way: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._source = random.Random(self.wish.seed)

    async def pursue(self) -> None:
        """Begin as the plan says, ask until an answer says how it ended, and now and then once more."""
        if self.wish.action == "withdraw":
            await self._place()
            if self.order.key is None:
                return
            await asyncio.sleep(self._source.uniform(0.0, 0.8))
        elif self.wish.action == "cancel" and self.pace > 0.1:
            await asyncio.sleep(self._source.uniform(0.0, 4.0))  # it may just not be pending any more
        async with asyncio.TaskGroup() as racing:
            for place, asking in enumerate(self.wish.askings):
                racing.create_task(self._begin(asking) if place == 0 else self._race(asking))
        await self.until_settled(self.servers, self.turns)
        if self._source.random() < 0.5:
            await self._ask(self._source.choice(self.servers))
        await self.look(self._source.choice(self.servers))

    async def until_settled(self, servers: Sequence[Server], turns: int) -> None:
        """Ask again, or look the order up, until an answer says how it ended."""
        for turn in range(turns):
            if self.settled:
                return
            server = self._source.choice(servers)
            await (self._ask(server) if turn % 2 == 0 else self.look(server))
            if not self.settled:
                await asyncio.sleep(0.3)

    @property
    def settled(self) -> bool:
        """Whether an answer of its tool says how it ended, or that it cannot be done."""
        told = [call.answer for call in self.calls if call.tool == self.wish.tool and call.answer is not None]
        if not told:
            return False
        last = told[-1]
        if self.wish.kind == "cancel":
            return last.get("cancellation") in ("cancelled", "withdrawn") or last["outcome"] in _OVER
        if last["outcome"] in _OVER or last["outcome"] == "declined":
            return True
        return last["outcome"] in _ENDED and sum(each["outcome"] in _ENDED for each in told) >= _MOST_ENDED

    async def look(self, server: Server) -> None:
        """Look the order up."""
        await self._call(server, "get_order", "", {"order_id": self._handle("id"), "wait_seconds": 1})

    async def _begin(self, asking: Asking) -> None:
        wish = self.wish
        if wish.how or wish.behaviour in ("closes_stdin", "kills"):
            await self._in_its_own_process()
        elif wish.behaviour in ("cancels", "hangs_up"):
            server = self.servers[asking.server % 2 + (2 if wish.behaviour == "hangs_up" else 0)]
            await self._ask(server, cancel_after=wish.delay)
        else:
            await self._race(asking)

    async def _race(self, asking: Asking) -> None:
        if self.wish.how:
            await self._under_way.wait()
        await asyncio.sleep(asking.after)
        await self._ask(self.servers[asking.server])

    async def _in_its_own_process(self) -> None:
        wish = self.wish
        reached = Path(self.environ["CAMPAIGN_REACHED"])
        begun = Path(f"{reached}-{wish.number}")
        special = {
            "CAMPAIGN_NUMBER": str(wish.number),
            "CAMPAIGN_BEGUN": str(begun),
            **({"CAMPAIGN_KILL": wish.step} if wish.how == "killed" else {}),
            **({"CAMPAIGN_STOP": wish.step} if wish.how == "stopped" else {}),
        }
        server = await stdio_server(self.starter, {**self.environ, **special}, OWN)
        call = asyncio.create_task(self._ask(server))
        if wish.how == "stopped":
            await self._while_stopped(server, call, reached)
        # A process that comes second passes no step to die at.
        while wish.how and not call.done() and not begun.exists():  # noqa: ASYNC110, ASYNC240  # by another process
            await asyncio.sleep(_PEEK)
        self._under_way.set()
        if not wish.how:
            await asyncio.sleep(wish.delay)
            if wish.behaviour == "closes_stdin":
                server.process.close_stdin()
            else:
                server.process.signal(signal.SIGKILL)
        await call
        if wish.how and self._last.get("outcome") == "waiting":
            for _ in range(_CARRIES_OUT):
                await self.look(server)
        stopping = asyncio.create_task(server.stop())
        while not stopping.done():
            server.process.signal(signal.SIGCONT)  # it may come to its step only now, and must not stay there
            await asyncio.wait([stopping], timeout=0.2)

    async def _while_stopped(self, server: StdioServer, call: "asyncio.Task[None]", reached: Path) -> None:
        """Leave a process stopped at its step until its lease is over, while others go on."""
        mark, late = f"{self.wish.number} ", 0.0
        while not _has_line(reached, mark):
            if call.done() and (late := late + _PEEK) > _LATE:
                return
            await asyncio.sleep(_PEEK)
        self._under_way.set()
        await asyncio.sleep(_LEASES_OVER)
        for _ in range(_STOPPED_TURNS):
            await self._ask(self._source.choice(self.servers))
        server.process.signal(signal.SIGCONT)

    @property
    def _last(self) -> Structure:
        told: list[Structure] = [call.answer for call in self.calls if call.answer is not None]
        return told[-1] if told else {}

    def _handle(self, how: Handle) -> str:
        named = (self.order.id, self.order.key) if how == "id" else (self.order.key, self.order.id)
        return str(named[0] or named[1])

    async def _place(self) -> None:
        """Ask for an order that waits for a yes."""
        await self._call(self._source.choice(self.servers), "place_order", "", self.wish.order(self.pace))
        self.order.key = self._last.get("key")

    async def _ask(self, server: Server, cancel_after: float | None = None) -> None:
        how: Handle = self._source.choice(("id", "key"))
        arguments = self.wish.arguments(self._handle(how), with_notes=self._source.random() < 0.7)
        await self._call(server, self.wish.tool, how, arguments, cancel_after)

    async def _call(
        self, server: Server, tool: str, words: str, arguments: dict[str, Any], cancel_after: float | None = None
    ) -> None:
        began = time.monotonic()
        answer = await server.call(tool, arguments, patience=PATIENCE, cancel_after=cancel_after)
        self.calls.append(Call(tool, words, server.name, answer, time.time(), time.monotonic() - began))


def _has_line(file: Path, start: str) -> bool:
    return file.exists() and any(line.startswith(start) for line in file.read_text(encoding="ascii").splitlines())
