"""Starts processes, and talks to servers as hosts do: over stdio, over HTTP, and to a sandbox on a port.

Hosts speak JSON-RPC by themselves: a client library is too slow for a campaign of sixty thousand calls, and none can
close its connection in the middle of a call.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, cast

import httpx

from bench.callers import event_message, free_port, listening, request, token_in

Structure = dict[str, Any]
"""The structure of a tool result, with `is_error`."""

SERVER = "bench.campaign.agents.server"

_HEADERS = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
}
_CONNECTION_CLOSED = -32000
"""The SDK's answer to a host that has closed the server's stdin in the middle of a call."""
_LINE = 4 * 1024 * 1024
_MOST_SECONDS = 120.0
"""The longest time for the start of a process, or for the end of all, on a busy machine."""


class Starter:
    """Starts processes: by a fork of a process that has imported everything, or (`fresh`) as a host starts them."""

    def __init__(self, line: socket.socket, log: Path) -> None:
        self._line = line
        self._log = log
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def opened(cls, log: Path) -> AsyncGenerator["Starter"]:
        """Start the process that forks. The servers' stderr goes to `log`. All processes end with the context."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    SERVER,
                    "fork",
                    str(theirs.fileno()),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                )
            ours.setblocking(False)
            try:
                yield cls(ours, log)
            finally:
                ours.shutdown(socket.SHUT_RDWR)
                await asyncio.wait_for(process.wait(), _MOST_SECONDS)

    async def start(self, arguments: list[str], environ: Mapping[str, str], *, fresh: bool = False) -> "Process":
        """Start a server of the campaign, or `zinc_mcp sandbox` or `orders`, with this environment added."""
        their_in, our_out = os.pipe()
        our_in, their_out = os.pipe()
        with self._log.open("ab") as log:
            try:
                if fresh:
                    pid = await self._exec(arguments, environ, their_in, their_out, log.fileno())
                else:
                    pid = await self._fork(arguments, environ, [their_in, their_out, log.fileno()])
            finally:
                os.close(their_in)
                os.close(their_out)
        return await Process.attached(pid, our_in, our_out)

    async def _fork(self, arguments: list[str], environ: Mapping[str, str], streams: list[int]) -> int:
        message = json.dumps({"arguments": arguments, "environ": dict(environ)}).encode()
        async with self._turn:
            socket.send_fds(self._line, [message], streams)
            answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._line, 64), _MOST_SECONDS)
        return int(answer)

    async def _exec(
        self, arguments: list[str], environ: Mapping[str, str], stdin: int, stdout: int, stderr: int
    ) -> int:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZINC_", "CAMPAIGN_"))}
        ours = arguments[0] in ("sandbox", "orders")
        program = ["-m", "zinc_mcp" if ours else SERVER, *arguments]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *program, env={**kept, **environ}, stdin=stdin, stdout=stdout, stderr=stderr
        )
        return process.pid


class Process:
    """A started process: its streams and its number."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, read: asyncio.BaseTransport, stdin: int) -> None:
        self.pid = pid
        self.reader = reader
        self._read = read
        self._stdin: int | None = stdin
        self.is_gone = False

    @classmethod
    async def attached(cls, pid: int, stdout: int, stdin: int) -> "Process":
        """Return the process with our ends of its pipes."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_LINE)
        read, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(stdout, "rb", buffering=0)
        )
        return cls(pid, reader, read, stdin)

    def write(self, line: bytes) -> None:
        """Write a line to its stdin; do nothing if the process has ended."""
        if self._stdin is not None:
            with suppress(BrokenPipeError):
                os.write(self._stdin, line)

    def close_stdin(self) -> None:
        """End its stdin, as a host that quits does."""
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None

    def signal(self, which: signal.Signals) -> None:
        """Send it a signal, unless it has gone."""
        if not self.is_gone:
            with suppress(ProcessLookupError):
                os.kill(self.pid, which)

    async def killed(self) -> None:
        """Kill it and wait until it has gone."""
        self.signal(signal.SIGKILL)
        await self.ended()

    async def ended(self, seconds: float = 15.0) -> None:
        """Wait for the end of its stdout; kill a process that does not end in time."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(65_536):
                    pass
        except TimeoutError:
            self.signal(signal.SIGKILL)
        self.is_gone = True
        self.close_stdin()
        self._read.close()


class Server(Protocol):
    """A server that a host talks to."""

    name: str

    async def call(
        self, tool: str, arguments: Mapping[str, Any], *, patience: float, cancel_after: float | None = None
    ) -> Structure | None:
        """Call a tool and return its answer; None if the server ended first, or the host gave up or cancelled.

        Args:
            tool: its name.
            arguments: its arguments.
            patience: seconds until the host gives up.
            cancel_after: seconds until the host cancels the call; over HTTP it closes the connection.
        """
        ...

    async def stop(self) -> None:
        """End it as a host does, and wait until it has gone."""
        ...


class StdioServer:
    """A server on the pipes of a process of its own."""

    def __init__(self, process: Process, name: str) -> None:
        self.process = process
        self.name = name
        self._answers: dict[int, asyncio.Future[Structure | None]] = {}
        self._next = 0
        self._reading = asyncio.create_task(self._read())

    async def call(
        self, tool: str, arguments: Mapping[str, Any], *, patience: float, cancel_after: float | None = None
    ) -> Structure | None:
        """See `Server.call`."""
        if self.process.is_gone or self._reading.done():
            return None
        self._next += 1
        number = self._next
        answer: asyncio.Future[Structure | None] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self.process.write(_call(number, tool, arguments) + b"\n")
        try:
            async with asyncio.timeout(patience if cancel_after is None else min(cancel_after, patience)):
                return await answer
        except TimeoutError:
            self._answers.pop(number, None)
            cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}
            self.process.write(json.dumps(cancelled).encode() + b"\n")
            return None

    async def stop(self) -> None:
        """See `Server.stop`."""
        self.process.close_stdin()
        await self._reading
        await self.process.ended()

    async def _read(self) -> None:
        while line := await self.process.reader.readline():
            message = json.loads(line)
            waiting = self._answers.pop(message.get("id", -1), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(_structure(message))
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_result(None)


class HttpServer:
    """A server on a port. A call that is broken off closes its own connection."""

    def __init__(self, process: Process, port: int, name: str, home: Path) -> None:
        self.process = process
        self.name = name
        self._port, self._home = port, home
        self._url = f"http://127.0.0.1:{port}/mcp"
        self._http = httpx.AsyncClient(trust_env=False, timeout=60.0, limits=httpx.Limits(max_connections=200))

    async def ready(self) -> None:
        """Wait until it listens."""
        await listening(self._port)
        self._http.headers["Authorization"] = f"Bearer {token_in(self._home)}"

    async def call(
        self, tool: str, arguments: Mapping[str, Any], *, patience: float, cancel_after: float | None = None
    ) -> Structure | None:
        """See `Server.call`."""
        headers = {**_HEADERS, "Mcp-Name": tool}
        try:
            async with asyncio.timeout(patience if cancel_after is None else min(cancel_after, patience)):
                answer = await self._http.post(self._url, content=_call(1, tool, arguments), headers=headers)
        except (TimeoutError, httpx.TransportError):
            return None
        content = answer.content
        if answer.headers["content-type"].startswith("text/event-stream"):
            content = event_message(content)
        return _structure(json.loads(content)) if content else None

    async def stop(self) -> None:
        """See `Server.stop`."""
        await self._http.aclose()
        self.process.signal(signal.SIGTERM)
        await self.process.ended()


async def stdio_server(
    starter: Starter, environ: Mapping[str, str], name: str = "stdio", *, fresh: bool = False
) -> StdioServer:
    """Start a server over stdio."""
    return StdioServer(await starter.start(["stdio"], environ, fresh=fresh), name)


async def http_server(starter: Starter, environ: Mapping[str, str], name: str = "http") -> HttpServer:
    """Start a server over HTTP and wait until it listens."""
    port = free_port()
    process = await starter.start(["http", str(port)], environ)
    server = HttpServer(process, port, name, Path(environ["ZINC_MCP_HOME"]))
    await server.ready()
    return server


async def practice_zinc(
    starter: Starter, ledger: Path, dialect: str, pace: float, port: int = 0, *, challenge_seconds: float = 300.0
) -> tuple[Process, str]:
    """Start a sandbox on a port; return it with its address."""
    arguments = ["sandbox", "--port", str(port), "--ledger", str(ledger), "--pace", str(pace)]
    arguments += ["--challenge-seconds", str(challenge_seconds)]
    process = await starter.start([*arguments, "--dialect", "" if dialect == "default" else dialect], {})
    async with asyncio.timeout(30):
        address = (await process.reader.readline()).decode().strip()
    if not address:
        raise RuntimeError("the sandbox did not come up")
    return process, address


def _call(number: int, tool: str, arguments: Mapping[str, Any]) -> bytes:
    return request(number, "tools/call", {"name": tool, "arguments": arguments}, "modern")


def _structure(message: Mapping[str, Any]) -> Structure | None:
    if cast(Mapping[str, Any], message.get("error") or {}).get("code") == _CONNECTION_CLOSED:
        return None
    result = cast(Mapping[str, Any], message.get("result") or {})
    structure = result.get("structuredContent")
    if not isinstance(structure, dict):
        return {"outcome": "no_result", "is_error": True, "code": json.dumps(message)[:300]}
    return {**cast(Structure, structure), "is_error": bool(result.get("isError"))}
