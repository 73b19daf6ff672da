"""An agent of the campaign that does not give up: it begins as the plan says, breaks off, and lets processes die."""

import asyncio
import random
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.campaign.agents.agent import OWN, PATIENCE, Call
from bench.campaign.agents.hosts import Server, Starter, StdioServer, Structure, stdio_server
from bench.campaign.plan.intentions import Behaviour

_PEEK = 0.01
_LATE = 1.5
"""Seconds after its answer for which a process may still come to its step."""
_LEASES_OVER = 3.0
"""Seconds after which a process that was stopped at a step has no lease any more (`server.CLOCKS`)."""
_STOPPED_TURNS = 3
"""The number of times that the others ask while a process is stopped."""
_CARRIES_OUT = 4
"""The number of times that a host asks a process of its own how a question stands: it may carry out the yes."""


class Asking(Protocol):
    """One of the calls with which an intention begins: by which server, and after how many seconds."""

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
    """The part of an agent that begins an intention. A subclass has these fields, asks, and looks."""

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
        """Ask for it once."""

    @abstractmethod
    async def look(self, server: Server) -> None:
        """Look how it stands, without asking for it."""

    async def begin_all(self) -> None:
        """Begin with all calls of the plan at once."""
        async with asyncio.TaskGroup() as racing:
            for place, asking in enumerate(self.pursued.askings):
                racing.create_task(self.begin(asking) if place == 0 else self.race(asking))

    async def begin(self, asking: Asking) -> None:
        """Begin with the first call, in a process of its own if that is to die or to be stopped."""
        wish = self.pursued
        if wish.how or wish.behaviour in ("closes_stdin", "kills"):
            await self._in_its_own_process()
        elif wish.behaviour in ("cancels", "hangs_up"):
            server = self.servers[asking.server % 2 + (2 if wish.behaviour == "hangs_up" else 0)]
            await self.ask(server, cancel_after=wish.delay)
        else:
            await self.race(asking)

    async def race(self, asking: Asking) -> None:
        """Begin with a further call."""
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
        # A process that comes second passes no step to die at.
        while wish.how and not call.done() and not begun.exists():  # noqa: ASYNC110, ASYNC240  # by another process
            await asyncio.sleep(_PEEK)
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
        while not _has_line(reached, mark):
            if call.done() and (late := late + _PEEK) > _LATE:
                return
            await asyncio.sleep(_PEEK)
        self.under_way.set()
        await asyncio.sleep(_LEASES_OVER)
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


def _has_line(file: Path, start: str) -> bool:
    return file.exists() and any(line.startswith(start) for line in file.read_text(encoding="ascii").splitlines())
