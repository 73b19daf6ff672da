"""The beginning of an intention, as the plan says: with calls that break off, and with processes that die or stop."""

import asyncio
import random
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.campaign.agents.agent import (
    LATE_SECONDS,
    LEASES_OVER_SECONDS,
    OWN,
    PATIENCE,
    PEEK_SECONDS,
    Call,
    has_line,
)
from bench.campaign.agents.hosts import Server, Starter, StdioServer, Structure, stdio_server
from bench.campaign.plan.intentions import Behaviour

_STOPPED_TURNS = 3
"""The number of times that the others ask while a process is stopped."""
_CARRIES_OUT = 4
"""The number of times that a host looks up a question in its own process, which may then carry out the yes."""


class Asking(Protocol):
    """One of the calls with which an intention begins: its server, and the seconds before it."""

    @property
    def server(self) -> int: ...
    @property
    def after(self) -> float: ...


class Pursued(Protocol):
    """The part of an intention that decides how its agent begins."""

    @property
    def number(self) -> int: ...
    @property
    def how(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def behaviour(self) -> Behaviour: ...
    @property
    def delay(self) -> float: ...
    @property
    def askings(self) -> Sequence[Asking]: ...


class StubbornAgent(ABC):
    """An agent that begins its intention as the plan says. A subclass has these fields and defines `ask` and `look`."""

    starter: Starter
    environ: Mapping[str, str]
    servers: Sequence[Server]
    calls: list[Call]
    source: random.Random
    under_way: asyncio.Event

    @property
    @abstractmethod
    def pursued(self) -> Pursued:
        """The intention."""

    @abstractmethod
    async def ask(self, server: Server, cancel_after: float | None = None) -> None:
        """Ask once for the wanted thing."""

    @abstractmethod
    async def look(self, server: Server) -> None:
        """Look up the state, without asking for the wanted thing."""

    async def begin_all(self) -> None:
        """Begin with all calls of the plan at once."""
        async with asyncio.TaskGroup() as racing:
            for place, asking in enumerate(self.pursued.askings):
                racing.create_task(self.begin(asking) if place == 0 else self.race(asking))

    async def begin(self, asking: Asking) -> None:
        """Make the first call, in a process of its own if the plan lets that process die or stop."""
        wish = self.pursued
        if wish.how or wish.behaviour in ("closes_stdin", "kills"):
            await self._in_its_own_process()
        elif wish.behaviour in ("cancels", "hangs_up"):
            server = self.servers[asking.server % 2 + (2 if wish.behaviour == "hangs_up" else 0)]
            await self.ask(server, cancel_after=wish.delay)
        else:
            await self.race(asking)

    async def race(self, asking: Asking) -> None:
        """Make a call, after the first call's process has begun and after its delay."""
        if self.pursued.how:
            await self.under_way.wait()
        await asyncio.sleep(asking.after)
        await self.ask(self.servers[asking.server])

    async def _in_its_own_process(self) -> None:
        wish = self.pursued
        reached = Path(self.environ["CAMPAIGN_REACHED"])
        begun = Path(f"{reached}-{wish.number}")
        special = {
            "CAMPAIGN_NUMBER": str(wish.number),
            "CAMPAIGN_BEGUN": str(begun),
            **({"CAMPAIGN_KILL": wish.step} if wish.how == "killed" else {}),
            **({"CAMPAIGN_STOP": wish.step} if wish.how == "stopped" else {}),
        }
        server = await stdio_server(self.starter, {**self.environ, **special}, OWN)
        call = asyncio.create_task(self.ask(server))
        if wish.how == "stopped":
            await self._while_stopped(server, call, reached)
        # A process whose request another one has sent before comes to no step.
        while wish.how and not call.done() and not begun.exists():  # noqa: ASYNC110, ASYNC240  # by another process
            await asyncio.sleep(PEEK_SECONDS)
        self.under_way.set()
        if not wish.how:
            await asyncio.sleep(wish.delay)
            if wish.behaviour == "closes_stdin":
                server.process.close_stdin()
            else:
                server.process.signal(signal.SIGKILL)
        await call
        if wish.how and self.last.get("outcome") == "waiting":
            for _ in range(_CARRIES_OUT):
                await self.look(server)
        stopping = asyncio.create_task(server.stop())
        while not stopping.done():
            server.process.signal(signal.SIGCONT)  # it may come to its step only now, and must not stay there
            await asyncio.wait([stopping], timeout=0.2)

    async def _while_stopped(self, server: StdioServer, call: "asyncio.Task[None]", reached: Path) -> None:
        """Leave a process stopped at its step until its lease is over, while others go on."""
        mark, late = f"{self.pursued.number} ", 0.0
        while not has_line(reached, mark):
            if call.done() and (late := late + PEEK_SECONDS) > LATE_SECONDS:
                return
            await asyncio.sleep(PEEK_SECONDS)
        self.under_way.set()
        await asyncio.sleep(LEASES_OVER_SECONDS)
        for _ in range(_STOPPED_TURNS):
            await self.ask(self.source.choice(self.servers))
        server.process.signal(signal.SIGCONT)

    @property
    def last(self) -> Structure:
        """The last answer."""
        told: list[Structure] = [call.answer for call in self.calls if call.answer is not None]
        return told[-1] if told else {}

    async def call(
        self, server: Server, tool: str, words: str, arguments: dict[str, Any], cancel_after: float | None = None
    ) -> None:
        """Call a tool, and keep the call with its answer."""
        began = time.monotonic()
        answer = await server.call(tool, arguments, patience=PATIENCE, cancel_after=cancel_after)
        self.calls.append(Call(tool, words, server.name, answer, time.time(), time.monotonic() - began))
