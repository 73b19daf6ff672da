"""`get_order` by 1, 16, 64 and 256 members of a team at once, with a journal on SQLite and on PostgreSQL.

Measured over Streamable HTTP: calls a second of one server while one call of each member runs, each with a token and an
order of their own, without news. Baseline: `bench.baselines.trivial` with the same number of callers, without tokens
and journal, in turns. The upstream is a local process that answers at once. The target is for the median of the four
ratios. The run ends if one of our calls is refused or its connection is reset. An error of the baseline counts as an
answer: on a busy machine its HTTP client gives up after five seconds without a free connection.

Then, without a target: 64 members on two and on three servers that share a journal on PostgreSQL, compared with one
server. All servers, the callers, the database and the upstream share the cores of this machine.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.callers import PATIENCE, Caller, Http, free_port, listening, started, succeeded, upstream
from bench.figures import Figure, at_least, compared, in_turns, run_bench
from bench.postgres import database_server
from bench.wanted import configured, order
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.members import add_member
from zinc_mcp.owner.team.places import FILE, MembersTable

LEVELS = (1, 16, 64, 256)
LEAST = {"SQLite": 0.75, "PostgreSQL": 0.65}
REPLICAS = (1, 2, 3)
SHARING = 64
"""The number of members who share several servers."""
_LEAST_CALLS = 64
"""The least number of calls in one round."""


@dataclass(frozen=True)
class _Member:
    caller: Caller
    handle: str
    is_ours: bool = True


class _Team:
    """Servers with the same home and journal, and the tokens of their members."""

    def __init__(self, stack: AsyncExitStack, home: Path, origin: str, journal: str | None) -> None:
        self._stack = stack
        self._variables = configured(home, origin) | ({"ZINC_MCP_JOURNAL": journal} if journal else {})
        names = [f"member-{number}" for number in range(max(LEVELS))]
        if journal is None:
            self._tokens = [add_member(home / FILE, name) for name in names]
        else:
            with Journal.open(journal) as kept:
                self._tokens = [add_member(MembersTable(kept), name) for name in names]
        self._handles: dict[int, str] = {}

    async def server(self) -> int:
        """Start a server and return its port."""
        port = free_port()
        words = ["-m", "zinc_mcp", "serve", "--http", f"127.0.0.1:{port}"]
        await self._stack.enter_async_context(started(words, self._variables))
        await listening(port)
        return port

    async def members(self, ports: Sequence[int], count: int) -> list[_Member]:
        """Return members, spread over the servers at these ports, each with an order whose news is written down."""
        found: list[_Member] = []
        for number in range(count):
            caller = _closed_after(self._stack, Http(ports[number % len(ports)], self._tokens[number]))
            if number not in self._handles:
                placed = succeeded(await caller.call("place_order", order(number)))
                self._handles[number] = placed["order_id"]
                succeeded(await caller.call("get_order", {"order_id": placed["order_id"]}))
            found.append(_Member(caller, self._handles[number]))
        return found


async def measure(*, quick: bool = False) -> list[Figure]:
    """Measure both databases, then the replicas; `quick` with few rounds."""
    figures: list[Figure] = []
    rounds = 3 if quick else 6
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-bench-") as folder, database_server(Path(folder)) as make:
        for database in LEAST:
            journal = make() if database == "PostgreSQL" else None
            figures += await _against_the_baseline(Path(folder) / database, database, journal, rounds)
        figures += await _replicas(Path(folder) / "replicas", make(), rounds)
    return figures


async def _against_the_baseline(home: Path, database: str, journal: str | None, rounds: int) -> list[Figure]:
    figures: list[Figure] = []
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(upstream())
        team = _Team(stack, home, origin, journal)
        members = await team.members([await team.server()], max(LEVELS))
        port = free_port()
        theirs = ["-m", "bench.baselines.trivial", "http", str(port)]
        await stack.enter_async_context(started(theirs, {"BENCH_UPSTREAM": origin}))
        await listening(port)
        strangers = [_Member(_closed_after(stack, Http(port)), each.handle, is_ours=False) for each in members]
        for level in LEVELS:
            rates: dict[int, list[float]] = {0: [], 1: []}
            for number in range(-1, rounds):
                # Other members in each round, because a member may send only 600 messages a minute.
                first = (number + 1) * level % len(members)
                for which in in_turns(number, (0, 1)):
                    rate = await _rate((members, strangers)[which][first : first + level])
                    rates[which] += [rate] if number >= 0 else []
            people = "one member" if level == 1 else f"{level} members"
            figures.append(compared(f"`get_order` by {people} at once, {database}", rates[0], rates[1], "/s"))
    ratios = [each.ratio for each in figures if each.ratio is not None]
    target, holds = at_least(LEAST[database])
    median = statistics.median(ratios)
    name = f"the median of the four, {database}"
    return [*figures, Figure(name, "", "", median, min(ratios), max(ratios), target, holds(median))]


async def _replicas(home: Path, journal: str, rounds: int) -> list[Figure]:
    async with AsyncExitStack() as stack:
        team = _Team(stack, home, await stack.enter_async_context(upstream()), journal)
        ports = [await team.server() for _ in range(max(REPLICAS))]
        spread = {count: await team.members(ports[:count], SHARING) for count in REPLICAS}
        rates: dict[int, list[float]] = {count: [] for count in REPLICAS}
        for number in range(-1, rounds):
            for count in in_turns(number, REPLICAS):
                rate = await _rate(spread[count])
                rates[count] += [rate] if number >= 0 else []
    return [
        compared(f"`get_order` by {SHARING} members at once on {count} servers", rates[count], rates[1], "/s")
        for count in REPLICAS[1:]
    ]


async def _rate(members: Sequence[_Member]) -> float:
    """Return the number of answered calls a second while one call of each member runs."""
    calls = max(1, _LEAST_CALLS // len(members))

    async def look(member: _Member) -> None:
        for _ in range(calls):
            call = member.caller.call("get_order", {"order_id": member.handle})
            answer = await asyncio.wait_for(call, PATIENCE)
            if member.is_ours:
                succeeded(answer)

    began = time.perf_counter()
    await asyncio.gather(*map(look, members))
    return calls * len(members) / (time.perf_counter() - began)


def _closed_after(stack: AsyncExitStack, caller: Http) -> Http:
    stack.callback(caller.close)
    return caller


if __name__ == "__main__":
    sys.exit(run_bench(measure, __doc__))
