"""The agent of one intention about an order: it asks, breaks off, and asks again until it knows the result.

Like the agent that buys (`agent`), it asks for the same again after a lost answer, by the order's id and by our key,
whatever the last answer told it to do.
"""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.campaign.agents.agent import PATIENCE, Call
from bench.campaign.agents.hosts import Server, Starter
from bench.campaign.agents.stubborn import StubbornAgent
from bench.campaign.plan.after_sale import Wish

Handle = Literal["id", "key"]

_MOST_LOOKS = 20
_BETWEEN_LOOKS = 0.5
_MOST_ENDED = 2
"""An agent stops after this number of answers that nothing was sent or taken."""

_ENDED = frozenset({"refused", "rejected", "declined"})
_OVER = frozenset({"placed", "filed", "failed", "cancelled"})


class NoOrderError(Exception):
    """The order of a round could not be brought to the state that the round needs, so the round would prove nothing."""


@dataclass(slots=True)
class Order:
    """The order of one or more intentions."""

    id: str | None
    key: str | None
    at: float
    """The time at which Zinc had it, in seconds since the epoch."""


async def placed(server: Server, wish: Wish, pace: float, tool: str) -> Order:
    """Place the order of an intention.

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
class AfterAgent(StubbornAgent):
    """Wants one thing done about an order, and speaks to the servers as a host does."""

    wish: Wish
    order: Order
    pace: float
    starter: Starter
    environ: Mapping[str, str]
    servers: Sequence[Server]
    turns: int
    calls: list[Call] = field(default_factory=list[Call])
    source: random.Random = field(init=False)
    under_way: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.source = random.Random(self.wish.seed)

    @property
    def pursued(self) -> Wish:
        """See `StubbornAgent`."""
        return self.wish

    async def pursue(self) -> None:
        """Begin as the plan says, ask until an answer tells the result, and sometimes once more."""
        if self.wish.action == "withdraw":
            await self._place()
            if self.order.key is None:
                return
            await asyncio.sleep(self.source.uniform(0.0, 0.8))
        elif self.wish.action == "cancel" and self.pace > 0.1:
            await asyncio.sleep(self.source.uniform(0.0, 4.0))  # it may just not be pending any more
        await self.begin_all()
        await self.until_settled(self.servers, self.turns)
        if self.source.random() < 0.5:
            await self.ask(self.source.choice(self.servers))
        await self.look(self.source.choice(self.servers))

    async def until_settled(self, servers: Sequence[Server], turns: int) -> None:
        """Ask again and look the order up in turn, until an answer tells the result."""
        for turn in range(turns):
            if self.settled:
                return
            server = self.source.choice(servers)
            await (self.ask(server) if turn % 2 == 0 else self.look(server))
            if not self.settled:
                await asyncio.sleep(0.3)

    @property
    def settled(self) -> bool:
        """Whether an answer of its tool tells the result, or that it cannot be done."""
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
        await self.call(server, "get_order", "", {"order_id": self._handle("id"), "wait_seconds": 1})

    def _handle(self, how: Handle) -> str:
        named = (self.order.id, self.order.key) if how == "id" else (self.order.key, self.order.id)
        return str(named[0] or named[1])

    async def _place(self) -> None:
        """Ask for an order that waits for a yes."""
        await self.call(self.source.choice(self.servers), "place_order", "", self.wish.order(self.pace))
        self.order.key = self.last.get("key")

    async def ask(self, server: Server, cancel_after: float | None = None) -> None:
        """Ask for the action, by the order's id or by our key."""
        how: Handle = self.source.choice(("id", "key"))
        arguments = self.wish.arguments(self._handle(how), with_notes=self.source.random() < 0.7)
        await self.call(server, self.wish.tool, how, arguments, cancel_after)
