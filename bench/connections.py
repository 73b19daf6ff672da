"""The memory that silent clients over HTTP take and free again, and the time of `/healthz` meanwhile.

Measured on servers with ten members, on Linux only:

- the resident memory that 300 idle sessions of Streamable HTTP and 150 idle SSE streams add, divided by their number
  (targets 48 and 96 KiB);
- the memory that further rounds of the same number add, each after the end of the one before, as a part of the first
  round's (target 0.15: a leak would add as much in each round);
- the time of `/healthz` while 300 connections have sent nothing, or half a head, in turns with the same without them
  (target: at most twice as long);
- the time until the streams of removed members are closed (target two seconds).
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from bench.callers import HELLO, Connection, free_port, listening, resident_kib, started
from bench.figures import Figure, at_most, compared, run_bench
from zinc_mcp.owner.members import add_member, remove_member

MEMBERS = 10
SESSIONS = 30
STREAMS = 15
"""The sessions and streams of each member, within the bounds of one caller."""
SILENT = 300

_HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
_INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
_SETTLE_SECONDS = 1.5


class _Team:
    """One server and its members."""

    def __init__(self, port: int, pid: int, members: Path, client: httpx.AsyncClient) -> None:
        self.port = port
        self.pid = pid
        self.members = members
        self.client = client
        self.tokens = {f"member-{number}": add_member(members, f"member-{number}") for number in range(MEMBERS)}
        self._sessions: list[tuple[str, str]] = []
        self.streams: list[Connection] = []

    async def warm_up(self) -> None:
        """Open and end a first session and a first stream, so that their code is loaded."""
        tokens, self.tokens = self.tokens, dict(list(self.tokens.items())[:1])
        await self.open_sessions()
        await self.open_streams()
        await self.end_sessions()
        await self.end_streams()
        self.tokens = tokens
        await asyncio.sleep(_SETTLE_SECONDS)

    async def open_sessions(self) -> int:
        """Open the sessions of every member; return their number."""
        for token in self.tokens.values():
            for _ in range(SESSIONS):
                headers = {**_HEADERS, "Authorization": f"Bearer {token}"}
                answer = await self.client.post("/mcp", json=_INITIALIZE, headers=headers)
                self._sessions.append((token, answer.raise_for_status().headers["mcp-session-id"]))
        return len(self._sessions)

    async def end_sessions(self) -> None:
        """End the sessions as clients do."""
        while self._sessions:
            token, session = self._sessions.pop()
            headers = {**_HEADERS, "Authorization": f"Bearer {token}", "Mcp-Session-Id": session}
            (await self.client.delete("/mcp", headers=headers)).raise_for_status()

    async def open_streams(self) -> int:
        """Open the streams of every member; return their number."""
        for token in self.tokens.values():
            for _ in range(STREAMS):
                stream = await Connection.opened(self.port)
                await stream.subscribe("/sse", f"Authorization: Bearer {token}\r\n")
                self.streams.append(stream)
        return len(self.streams)

    async def end_streams(self) -> None:
        """Close the streams."""
        while self.streams:
            self.streams.pop().close()

    async def health(self) -> float:
        """Return the time of `/healthz` on a new connection, in milliseconds."""
        began = time.perf_counter()
        connection = await Connection.opened(self.port)
        await connection.get("/healthz")
        took = time.perf_counter() - began
        connection.close()
        return 1000 * took


async def measure(*, quick: bool = False) -> list[Figure]:
    """Start servers and measure; return no figures except on Linux."""
    if sys.platform != "linux":
        return []
    async with _team() as team:
        sessions = await _memory(team, "session", team.open_sessions, team.end_sessions, 48, quick=quick)
    async with (
        _team() as team
    ):  # another server, because the first one would use the memory that its sessions have freed
        streams = await _memory(team, "SSE stream", team.open_streams, team.end_streams, 96, quick=quick)
        silent = await _health(team, b"", "silent connections", quick=quick)
        half = await _health(team, b"GET /healthz HTTP/1.1\r\nHost: 127.0", "half-sent heads", quick=quick)
        return [*sessions, *streams, silent, half, await _removal(team)]


@asynccontextmanager
async def _team() -> AsyncGenerator[_Team]:
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-bench-") as folder:
        home, port = Path(folder) / "home", free_port()
        add_member(home / "members.json", "first")
        words = ["-m", "zinc_mcp", "serve", "--http", f"127.0.0.1:{port}"]
        environ = {"ZINC_MCP_HOME": str(home), "ZINC_MCP_SANDBOX": "1"}
        async with (
            started(words, environ) as process,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60.0) as client,
        ):
            await listening(port)
            team = _Team(port, process.pid, home / "members.json", client)
            await team.warm_up()
            yield team


async def _memory(
    team: _Team,
    name: str,
    begin: Callable[[], Awaitable[int]],
    end: Callable[[], Awaitable[None]],
    most_kib: int,
    *,
    quick: bool,
) -> list[Figure]:
    async def again() -> int:
        await end()
        await asyncio.sleep(_SETTLE_SECONDS)
        await begin()
        return resident_kib(team.pid)

    before = resident_kib(team.pid)
    number = await begin()
    first = resident_kib(team.pid)
    # The second round still takes memory, since the first one has left it in pieces. A leak takes as much each time.
    settled = last = await again()
    for _ in range(1 if quick else 4):
        last = await again()
    await end()
    each = (first - before) / number
    more = max(last - settled, 0) / max(first - before, 1)
    return [
        Figure(f"an idle {name}", f"{each:.0f} KiB", "", target=f"≤ {most_kib} KiB", holds=each <= most_kib),
        Figure(
            f"memory that four more rounds of {number} add, each after the end of the one before",
            f"{max(last - settled, 0)} KiB",
            f"{first - before} KiB",
            more,
            target="≤ 0.15",
            holds=more <= 0.15,
        ),
    ]


async def _health(team: _Team, sent: bytes, name: str, *, quick: bool) -> Figure:
    beside, alone = list[float](), list[float]()
    for _ in range(2 if quick else 8):
        alone += [await team.health() for _ in range(5)]
        writers = list[asyncio.StreamWriter]()
        for _ in range(SILENT):
            _, writer = await asyncio.open_connection("127.0.0.1", team.port)
            writer.write(sent)
            writers.append(writer)
        await asyncio.sleep(0.3)  # open connections are measured, not their opening
        beside += [await team.health() for _ in range(5)]
        for writer in writers:
            writer.close()
        await asyncio.sleep(0.3)
    return compared(f"`/healthz` beside {SILENT} {name}", beside, alone, "ms", at_most(2.0))


async def _removal(team: _Team) -> Figure:
    await team.open_streams()
    began = time.perf_counter()
    for name in team.tokens:
        remove_member(team.members, name)
    ends = await asyncio.gather(*(stream.event() for stream in team.streams), return_exceptions=True)
    took = time.perf_counter() - began
    await team.end_streams()
    ended = all(isinstance(each, OSError | EOFError) or each == b"" for each in ends)
    return Figure(
        f"the end of {MEMBERS * STREAMS} streams of removed members",
        f"{took:.1f} s",
        "",
        target="≤ 2 s",
        holds=ended and took <= 2.0,
    )


if __name__ == "__main__":
    sys.exit(run_bench(measure, __doc__))
