"""The agent of one intention: it calls, breaks off, and asks again until it knows the result of its order.

It behaves as a model with a stubborn user does. It looks up an order in doubt. Without an id or a key for that, it
places the order again, in the same or in other words. It stops once an answer tells the result.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.campaign.agents.hosts import Server, Starter, StdioServer, Structure, stdio_server
from bench.campaign.journals.journal import RoundJournal
from bench.campaign.journals.places import journal_of
from bench.campaign.plan.intentions import WORDS, Intention, Racer, Tool, Words

TURNS = 9
"""The number of times that an agent asks. After them, only the late look at the end of the round follows."""
PATIENCE = 12.0
"""Seconds after which a host gives up a call by itself. The server answers within two seconds."""

_KNOWN = frozenset({"accepted", "placed", "failed", "cancelled", "rejected", "paid_no_order"})
_STOPS = frozenset({"limit_exceeded", "paused", "key_used", "key_conflict", "paid_no_order"})
_DOUBT = ("signing", "sending", "unknown")
_MOST_REFUSALS = 3
"""An agent stops after this number of refusals to pay a false payment request."""
PEEK_SECONDS = 0.01
"""Seconds between two checks whether a process has come to a step."""
LEASES_OVER_SECONDS = 3.0
"""Seconds after which a process that was stopped at a step has no lease any more (`server.CLOCKS`)."""
LATE_SECONDS = 1.5
"""Seconds after its answer within which a process may still come to its step."""
_TWO_DAYS = 2 * 86_400.0
_STOPPED_TURNS = 5
"""The number of times that the others ask while a process is stopped."""

OWN = "own"
"""The name of a server that one intention has for itself."""
_MENDED, _MENDED_AFTER = 1.5, 8.0
"""Seconds in which a process writes down what it could not: after its journal works again, and in all."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call and its answer, which is None where none came."""

    tool: str
    words: str
    server: str
    answer: Structure | None
    at: float
    """The time of the answer, in seconds since the epoch."""
    seconds: float
    """The time until the answer."""


@dataclass(slots=True)
class Agent:
    """Wants one intention bought, and speaks to the servers as a host does."""

    intention: Intention
    price: int
    starter: Starter
    environ: Mapping[str, str]
    servers: Sequence[Server]
    turns: int = TURNS
    calls: list[Call] = field(default_factory=list[Call])
    _source: random.Random = field(init=False)
    _under_way: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._source = random.Random(self.intention.seed)

    async def pursue(self) -> None:
        """Begin as the plan says, then ask until an answer tells the result."""
        async with asyncio.TaskGroup() as racing:
            for place, racer in enumerate(self.intention.racers):
                racing.create_task(self._begin(racer) if place == 0 else self._race(racer))
        await self.until_settled(self.servers, 2 if self.intention.ages else self.turns)
        if self.intention.ages:
            await self._two_days_later()
        if self.intention.far_after:
            await self._with_wrong_clock(2)
        if self.intention.follows and self.intention.case:
            await self.look(self._any_server(self.servers))
        if self.intention.case or (self.settled and self._source.random() < 0.25):
            await self._place(self._any_server(self.servers), self._source.choice(WORDS), tool=self._next_tool())
        if self.intention.follows:
            await self.look(self._any_server(self.servers))

    async def look(self, server: Server) -> None:
        """Look the order up once more, if its id or key is known."""
        if (handle := self.handle) is not None:
            await self._look(server, handle)

    async def until_settled(self, servers: Sequence[Server], turns: int, *, place_every: int = 3) -> None:
        """Look the order up; place it again every few turns, and while neither its id nor its key is known."""
        for turn in range(turns):
            if self.settled:
                return
            server, handle = self._any_server(servers), self.handle
            if handle is None or turn % place_every == place_every - 1:
                await self._place(server, self._source.choice(WORDS), tool=self._next_tool())
            else:
                await self._look(server, handle)
            if not self.settled:
                await asyncio.sleep(0.3)

    @property
    def settled(self) -> bool:
        """Whether the last answer tells the result, or that it cannot be bought now."""
        last = self._last()
        if last is None or self._tries_once_more(last):
            return False
        # If two intentions share a key, the question of the other one may hold the key for a while.
        stops = _STOPS - {"key_conflict"} if self.intention.given else _STOPS
        return last["outcome"] in _KNOWN or last.get("code") in stops or self._was_refused_often(last)

    @property
    def doubtful(self) -> bool:
        """Whether the last answer leaves it in doubt."""
        last = self._last()
        return last is None or last["outcome"] in _DOUBT

    @property
    def handle(self) -> str | None:
        """The id or key by which to look the order up, if an answer named one."""
        last = self._last()
        if last is None or (last["outcome"] in ("refused", "not_sent") and last.get("code") != "possible_duplicate"):
            return None  # nothing was sent: a look-up would tell nothing new
        if self._tries_once_more(last):
            return None
        return last.get("order_id") or last.get("key") or self._any_key()

    @property
    def _answers(self) -> list[Structure]:
        return [call.answer for call in self.calls if call.answer is not None]

    def _last(self) -> Structure | None:
        return next(reversed(self._answers), None)

    def _tries_once_more(self, last: Structure) -> bool:
        rejections = sum(answer["outcome"] == "rejected" for answer in self._answers)
        return self.intention.persists and last["outcome"] == "rejected" and rejections == 1

    def _was_refused_often(self, last: Structure) -> bool:
        refusals = sum(answer.get("code") == "payment_refused" for answer in self._answers)
        return bool(self.intention.pay_faults) and last.get("code") == "payment_refused" and refusals >= _MOST_REFUSALS

    def _next_tool(self) -> Tool:
        """Choose the tool that places it now: while it is in doubt, perhaps one of another rail than the first."""
        last, wish = self._last(), self.intention
        open_still = last is not None and last["outcome"] in (*_DOUBT, "paid_no_order")
        if not (wish.other_tools and open_still and self._source.random() < 0.7):
            return wish.tool
        return self._source.choice(wish.other_tools)

    def _any_key(self) -> str | None:
        return next((answer["key"] for answer in reversed(self._answers) if answer.get("key")), None)

    def _any_server(self, servers: Sequence[Server]) -> Server:
        return self._source.choice(servers)

    async def _begin(self, racer: Racer) -> None:
        wish = self.intention
        match wish.behaviour:
            case "patient" if not wish.kill and not wish.step:
                await self._race(racer)
            case "cancels" | "hangs_up":
                over_http = wish.behaviour == "hangs_up"
                server = self.servers[racer.server % 2 + (2 if over_http else 0)]
                await self._place(server, racer.words, wish.delay, racer.tool)
            case _:
                await self._in_its_own_process(racer)

    async def _race(self, racer: Racer) -> None:
        if self.intention.kill or self.intention.step:
            await self._under_way.wait()
        await asyncio.sleep(racer.after)
        await self._place(self.servers[racer.server], racer.words, tool=racer.tool)

    async def _in_its_own_process(self, racer: Racer) -> None:
        wish = self.intention
        begun = Path(f"{self.environ['CAMPAIGN_REACHED']}-{wish.number}")
        special = {
            "CAMPAIGN_NUMBER": str(wish.number),
            "CAMPAIGN_KILL": wish.kill,
            "CAMPAIGN_CLOCK": wish.clock,
            "CAMPAIGN_BEGUN": str(begun),
            **self._at_its_step(),
        }
        server = await stdio_server(self.starter, {**self.environ, **special}, OWN)
        began = time.monotonic()
        call = asyncio.create_task(self._place(server, racer.words, tool=racer.tool))
        if wish.is_stopped:
            await self._while_stopped(server, call)
        # A process whose order another one has placed before comes to no step.
        while (wish.kill or wish.step) and not call.done() and not begun.exists():  # noqa: ASYNC110, ASYNC240  # by another process
            await asyncio.sleep(PEEK_SECONDS)
        self._under_way.set()
        if wish.behaviour in ("closes_stdin", "terminates", "kills"):
            await asyncio.sleep(wish.delay)
            self._break(server)
        await call
        if wish.behaviour == "jumps" or wish.journal_fails:
            await self.until_settled([server], 10 if wish.how else 3)
        if wish.journal_fails:
            await asyncio.sleep(max(_MENDED, began + _MENDED_AFTER - time.monotonic()))
        stopping = asyncio.create_task(server.stop())
        while not stopping.done():
            if wish.is_stopped:  # it may come to its step only now, and must not stay there
                server.process.signal(signal.SIGCONT)
            await asyncio.wait([stopping], timeout=0.2)

    def _at_its_step(self) -> dict[str, str]:
        wish = self.intention
        if wish.journal_fails:
            return {"CAMPAIGN_JOURNAL": wish.step, "CAMPAIGN_HOW": wish.how}
        return {"CAMPAIGN_STOP": wish.step} if wish.is_stopped else {}

    async def _while_stopped(self, server: StdioServer, call: "asyncio.Task[None]") -> None:
        """Leave a process stopped at its step until its lease is over, while the owner and then other servers go on."""
        wish = self.intention
        mark = f"{wish.number} "
        reached = Path(self.environ["CAMPAIGN_REACHED"])
        late = 0.0
        while not has_line(reached, mark):
            if call.done() and (late := late + PEEK_SECONDS) > LATE_SECONDS:
                return
            await asyncio.sleep(PEEK_SECONDS)
        await asyncio.sleep(LEASES_OVER_SECONDS)
        if wish.how == "owner":
            for key in self._journal.keys_with(self._in_its_body):
                await self._look(self._any_server(self.servers), key)
                await self._resolved(key)
        for _ in range(_STOPPED_TURNS):
            await self._place(self._any_server(self.servers), self._source.choice(WORDS))
        server.process.signal(signal.SIGCONT)

    async def _resolved(self, key: str) -> None:
        """Let the owner say in a terminal that it was not bought, although the owner cannot know that."""
        words = [sys.executable, "-m", "zinc_mcp", "orders", "resolve", key, "--not-bought"]
        ours, theirs = os.openpty()
        try:
            environ = {**os.environ, **self.environ}
            process = await asyncio.create_subprocess_exec(
                *words, stdin=theirs, stdout=theirs, stderr=theirs, env=environ
            )
            await process.wait()  # a few lines: they fit into what a terminal holds
        finally:
            os.close(ours)
            os.close(theirs)

    async def _two_days_later(self) -> None:
        """Make the entries in doubt older than any window, and place the same again in other words."""
        await asyncio.sleep(LEASES_OVER_SECONDS)
        await asyncio.to_thread(self._journal.age_doubts, self._in_its_body, _TWO_DAYS)
        for words in self._source.sample(WORDS, 3):
            await self._place(self._any_server(self.servers), words)

    @property
    def _journal(self) -> RoundJournal:
        return journal_of(self.environ)

    @property
    def _in_its_body(self) -> str:
        return f"item={self.intention.family}&"

    async def _with_wrong_clock(self, times: int) -> None:
        special = {"CAMPAIGN_NUMBER": str(self.intention.number), "CAMPAIGN_CLOCK": self.intention.clock}
        server = await stdio_server(self.starter, {**self.environ, **special}, OWN)
        for _ in range(times):
            await self._place(server, self._source.choice(WORDS), tool=self._next_tool())
        await server.stop()

    def _break(self, server: StdioServer) -> None:
        match self.intention.behaviour:
            case "closes_stdin":
                server.process.close_stdin()
            case "terminates":
                server.process.signal(signal.SIGTERM)
            case _:
                server.process.signal(signal.SIGKILL)

    async def _place(
        self, server: Server, words: Words, cancel_after: float | None = None, tool: Tool | None = None
    ) -> None:
        tool = tool or self.intention.tool
        arguments = self.intention.arguments(words, self.price, tool)
        await self._call(server, tool, words, arguments, cancel_after)

    async def _look(self, server: Server, handle: str) -> None:
        await self._call(server, "get_order", "", {"order_id": handle, "wait_seconds": 1})

    async def _call(
        self, server: Server, tool: str, words: str, arguments: dict[str, Any], cancel_after: float | None = None
    ) -> None:
        began = time.monotonic()
        answer = await server.call(tool, arguments, patience=PATIENCE, cancel_after=cancel_after)
        self.calls.append(Call(tool, words, server.name, answer, time.time(), time.monotonic() - began))


def has_line(file: Path, start: str) -> bool:
    """Say whether a file has a line that begins so."""
    return file.exists() and any(line.startswith(start) for line in file.read_text(encoding="ascii").splitlines())
