"""What the host of one intention does: calls, breaks off, is told something, asks again until it knows.

An agent here behaves as a model with a stubborn user does: it looks up what is in doubt, places again what it has no
handle for, in the same or in other words, and stops once it was told how it ended.
"""

import asyncio
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.hosts import Nursery, Said, Server, StdioServer, stdio_server
from bench.plan import Intention, Racer, Tool, Words
from bench.record import age_doubts

TURNS = 9
"""How often an agent asks before it leaves the rest to the evening."""
PATIENCE = 12.0
"""Seconds after which a host gives a call up by itself; the server answers within two."""

_KNOWN = frozenset({"accepted", "placed", "failed", "cancelled", "rejected", "paid_no_order"})
_STOPS = frozenset({"limit_exceeded", "paused", "key_used", "key_conflict", "paid_no_order"})
_DOUBT = frozenset({"signing", "sending", "unknown"})
_LIES_HEARD = 3
"""After so many payment requests that were not to be paid an agent leaves it."""
_PEEK = 0.01
"""Seconds between two looks whether who is to die has begun."""
_LEASES_OVER = 3.0
"""Seconds after which whoever was stopped at a step holds nothing any more (`bench.victim.CLOCKS`)."""
_LATE = 1.5
"""Seconds after its answer in which a process may still come to its step."""
_TWO_DAYS = 2 * 86_400.0
_STOPPED_TURNS = 5
"""How often the others ask while a process is stopped."""
_WORDS: tuple[Words, ...] = ("same", "key", "price", "tracking", "all")


OWN = "own"
"""The name of a server that one intention has for itself."""
_MENDED, _MENDED_AFTER = 1.5, 8.0
"""Seconds that a process still has, and has in all, whose journal works again, to write down what it could not."""


@dataclass(frozen=True, slots=True)
class Told:
    """One call and what it was told; `said` is None when no answer came."""

    tool: str
    words: str
    server: str
    said: Said | None
    at: float
    """When the answer came, in seconds since the epoch."""
    seconds: float
    """How long that took."""


@dataclass(slots=True)
class Agent:
    """One intention's host."""

    intention: Intention
    price: int
    nursery: Nursery
    environ: Mapping[str, str]
    servers: Sequence[Server]
    turns: int = TURNS
    told: list[Told] = field(default_factory=list[Told])
    _source: random.Random = field(init=False)
    _under_way: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._source = random.Random(self.intention.seed)

    async def pursue(self) -> None:
        """Begin as the plan says, then ask until it is known how it ended."""
        async with asyncio.TaskGroup() as racing:
            for place, racer in enumerate(self.intention.racers):
                racing.create_task(self._begin(racer) if place == 0 else self._race(racer))
        await self.until_settled(self.servers, 2 if self.intention.ages else self.turns)
        if self.intention.ages:
            await self._two_days_later()
        if self.intention.far_after:
            await self._by_far_clock(2)
        if self.intention.follows and self.intention.hazard:
            await self.look(self._a_server(self.servers))
        if self.intention.hazard or (self.settled and self._source.random() < 0.25):
            await self._place(self._a_server(self.servers), self._source.choice(_WORDS), tool=self._a_tool())
        if self.intention.follows:
            await self.look(self._a_server(self.servers))

    async def look(self, server: Server) -> None:
        """Look up once more what was ordered, if there is something to look it up by."""
        if (handle := self.handle) is not None:
            await self._look(server, handle)

    async def until_settled(self, servers: Sequence[Server], turns: int, *, place_every: int = 3) -> None:
        """Look up, and place again now and then or while there is nothing to look up by."""
        for turn in range(turns):
            if self.settled:
                return
            server, handle = self._a_server(servers), self.handle
            if handle is None or turn % place_every == place_every - 1:
                await self._place(server, self._source.choice(_WORDS), tool=self._a_tool())
            else:
                await self._look(server, handle)
            if not self.settled:
                await asyncio.sleep(0.3)

    @property
    def settled(self) -> bool:
        """Whether the last answer says how it ended, or that it is not to be."""
        last = self._last()
        if last is None or self._tries_once_more(last):
            return False
        stops = _STOPS - {"key_conflict"} if self.intention.given else _STOPS  # which another order's question may hold
        return last["outcome"] in _KNOWN or last.get("code") in stops or self._has_heard_enough(last)

    @property
    def doubtful(self) -> bool:
        """Whether the last answer left it open."""
        last = self._last()
        return last is None or last["outcome"] in _DOUBT

    @property
    def handle(self) -> str | None:
        """What the order can be looked up by, if the last answers named it."""
        last = self._last()
        if last is None or (last["outcome"] in ("refused", "not_sent") and last.get("code") != "possible_duplicate"):
            return None  # nothing was sent: to look that up again tells nothing new
        if self._tries_once_more(last):
            return None
        return last.get("order_id") or last.get("key") or self._any_key()

    def _last(self) -> Said | None:
        return next((each.said for each in reversed(self.told) if each.said is not None), None)

    def _tries_once_more(self, last: Said) -> bool:
        rejections = sum(1 for each in self.told if each.said is not None and each.said["outcome"] == "rejected")
        return self.intention.persists and last["outcome"] == "rejected" and rejections == 1

    def _has_heard_enough(self, last: Said) -> bool:
        lies = sum(1 for each in self.told if each.said is not None and each.said.get("code") == "payment_refused")
        return bool(self.intention.pay_faults) and last.get("code") == "payment_refused" and lies >= _LIES_HEARD

    def _a_tool(self) -> Tool:
        """Choose by which rail to place it now: while it is in doubt, perhaps by the one it was not begun with."""
        last, wish = self._last(), self.intention
        open_still = last is not None and last["outcome"] in (*_DOUBT, "paid_no_order")
        if not (wish.other_rail and open_still and self._source.random() < 0.7):
            return wish.tool
        return "place_order" if wish.tool == "place_agent_order" else "place_agent_order"

    def _any_key(self) -> str | None:
        return next((each.said["key"] for each in reversed(self.told) if each.said and each.said.get("key")), None)

    def _a_server(self, servers: Sequence[Server]) -> Server:
        return self._source.choice(servers)

    async def _begin(self, racer: Racer) -> None:
        wish = self.intention
        match wish.behaviour:
            case "patient" if not wish.kill and not wish.step:
                await self._race(racer)
            case "cancels" | "hangs_up":
                over_http = wish.behaviour == "hangs_up"
                server = self.servers[racer.server % 2 + (2 if over_http else 0)]
                await self._place(server, racer.words, cancel_after=wish.delay)
            case _:
                await self._in_its_own_process(racer)

    async def _race(self, racer: Racer) -> None:
        if self.intention.kill or self.intention.step:
            await self._under_way.wait()
        await asyncio.sleep(racer.after)
        await self._place(self.servers[racer.server], racer.words)

    async def _in_its_own_process(self, racer: Racer) -> None:
        wish = self.intention
        begun = Path(f"{self.environ['VICTIM_STRUCK']}-{wish.number}")
        special = {
            "VICTIM_NUMBER": str(wish.number),
            "VICTIM_KILL": wish.kill,
            "VICTIM_CLOCK": wish.clock,
            "VICTIM_BEGUN": str(begun),
            **self._at_its_step(),
        }
        server = await stdio_server(self.nursery, {**self.environ, **special}, OWN)
        began = time.monotonic()
        call = asyncio.create_task(self._place(server, racer.words))
        if wish.how in ("others", "owner"):
            await self._while_stopped(server, call)
        # Who only comes second passes no step to die at.
        while (wish.kill or wish.step) and not call.done() and not begun.exists():  # noqa: ASYNC110, ASYNC240  # by another process
            await asyncio.sleep(_PEEK)
        self._under_way.set()
        if wish.behaviour in ("closes_stdin", "terminates", "kills"):
            await asyncio.sleep(wish.delay)
            self._break(server)
        await call
        if wish.behaviour == "jumps" or wish.how in ("full", "locked"):
            await self.until_settled([server], 10 if wish.how else 3)
        if wish.how in ("full", "locked"):
            await asyncio.sleep(max(_MENDED, began + _MENDED_AFTER - time.monotonic()))
        stopping = asyncio.create_task(server.stop())
        while not stopping.done():
            if wish.how in ("others", "owner"):  # who comes by its step only now may not stay there
                server.process.signal(signal.SIGCONT)
            await asyncio.wait([stopping], timeout=0.2)

    def _at_its_step(self) -> dict[str, str]:
        wish = self.intention
        match wish.how:
            case "full" | "locked":
                return {"VICTIM_JOURNAL": wish.step, "VICTIM_HOW": wish.how}
            case "others" | "owner":
                return {"VICTIM_STOP": wish.step}
            case _:
                return {}

    async def _while_stopped(self, server: StdioServer, call: "asyncio.Task[None]") -> None:
        """Let a process stop at its step until its lease is over, and others (first its owner) go on meanwhile."""
        wish = self.intention
        mark = f"{wish.number} "
        struck = Path(self.environ["VICTIM_STRUCK"])
        late = 0.0
        while not _has_line(struck, mark):
            if call.done() and (late := late + _PEEK) > _LATE:
                return
            await asyncio.sleep(_PEEK)
        await asyncio.sleep(_LEASES_OVER)
        if wish.how == "owner":
            for key in self._keys_as_the_owner_sees_them():
                await self._look(self._a_server(self.servers), key)
                await self._resolved(key)
        for _ in range(_STOPPED_TURNS):
            await self._place(self._a_server(self.servers), self._source.choice(_WORDS))
        server.process.signal(signal.SIGCONT)

    async def _resolved(self, key: str) -> None:
        """Have the owner say in a terminal that it was not bought, which nobody can know who has only waited."""
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

    def _keys_as_the_owner_sees_them(self) -> list[str]:
        with closing(sqlite3.connect(self._journal)) as journal:
            wanted = "select key from zinc_entries where instr(cast(body as text), ?)"
            rows = journal.execute(wanted, (self._in_its_body,))
            return [str(key) for (key,) in rows]

    async def _two_days_later(self) -> None:
        """Let what is in doubt get older than any window, and want the same again in other words."""
        await asyncio.sleep(_LEASES_OVER)
        await asyncio.to_thread(age_doubts, self._journal, self._in_its_body, _TWO_DAYS)
        for words in self._source.sample(_WORDS, 3):
            await self._place(self._a_server(self.servers), words)

    @property
    def _journal(self) -> Path:
        return Path(self.environ["ZINC_MCP_HOME"]) / "journal.db"

    @property
    def _in_its_body(self) -> str:
        return f"item={self.intention.family}&"

    async def _by_far_clock(self, times: int) -> None:
        special = {"VICTIM_NUMBER": str(self.intention.number), "VICTIM_CLOCK": self.intention.clock}
        server = await stdio_server(self.nursery, {**self.environ, **special}, OWN)
        for _ in range(times):
            await self._place(server, self._source.choice(_WORDS), tool=self._a_tool())
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
        arguments = self.intention.arguments(words, self.price)
        await self._call(server, tool or self.intention.tool, words, arguments, cancel_after)

    async def _look(self, server: Server, handle: str) -> None:
        await self._call(server, "get_order", "", {"order_id": handle, "wait_seconds": 1})

    async def _call(
        self, server: Server, tool: str, words: str, arguments: dict[str, Any], cancel_after: float | None = None
    ) -> None:
        began = time.monotonic()
        said = await server.call(tool, arguments, patience=PATIENCE, cancel_after=cancel_after)
        self.told.append(Told(tool, words, server.name, said, time.time(), time.monotonic() - began))


def _has_line(file: Path, start: str) -> bool:
    return file.exists() and any(line.startswith(start) for line in file.read_text(encoding="ascii").splitlines())
