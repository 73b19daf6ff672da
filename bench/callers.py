"""Starts servers as hosts do, and calls their tools at the least cost.

A caller speaks JSON-RPC by itself: with a client library, most of the measured time would be the library's.
"""

import asyncio
import itertools
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol

from zinc_mcp.server.http.access import TOKEN_FILE

Era = Literal["legacy", "modern"]
Message = dict[str, Any]

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0
_MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "0"},
}
_LINE = 4 * 1024 * 1024
_PORTS = itertools.count(secrets.randbelow(12_000))


class Caller(Protocol):
    """Calls the tools of one server."""

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Message:
        """Call a tool and return its result."""
        ...


@asynccontextmanager
async def started(
    program: Sequence[str], variables: Mapping[str, str], stderr: int | None = asyncio.subprocess.DEVNULL
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Start `python` with these arguments, and with no variables of ours but these. It ends with the context.

    With `BENCH_LOUD` set, its stderr is shown.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZINC_", "BENCH_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *program,
        env={**kept, "PYTHONPATH": str(ROOT), **variables},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=None if os.environ.get("BENCH_LOUD") else stderr,
        limit=_LINE,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        with suppress(ProcessLookupError):
            if "serve" in program or "http" in program:
                process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()


def resident_kib(pid: int, which: Literal["VmRSS", "VmHWM"] = "VmRSS") -> int:
    """Return the resident memory of a process in KiB: now (`VmRSS`), or the most that it ever had (`VmHWM`).

    Raises:
        OSError: this system has no `/proc`, or the process has ended.
    """
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{which}:"):
            return int(line.split()[1])
    raise OSError(f"no {which} in /proc")


class _Session:
    """Makes requests on one connection, and gives each answer to its request."""

    def __init__(self, era: Era) -> None:
        self._era: Era = era
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._next = 0

    async def asked(self, method: str, parameters: Message) -> Message:
        """Make a request and return its result."""
        self._next += 1
        number = self._next
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        await self._send(request(number, method, parameters, self._era))
        return await asyncio.wait_for(answer, PATIENCE)

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Message:
        """See `Caller.call`."""
        return await self.asked("tools/call", {"name": tool, "arguments": arguments})

    async def _handshake(self) -> None:
        await self.asked("initialize", HELLO)
        await self._send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')

    async def _send(self, message: bytes) -> None:
        raise NotImplementedError

    def _take(self, line: bytes) -> None:
        message: Message = json.loads(line)
        answer = self._waiting.pop(message.get("id", 0), None)
        if answer is not None and not answer.done():
            answer.set_result(_result(message))


class Stdio(_Session):
    """A server on the pipes of its process."""

    def __init__(self, process: asyncio.subprocess.Process, era: Era = "modern") -> None:
        super().__init__(era)
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self._reading: asyncio.Task[None] | None = None

    async def opened(self) -> None:
        """Do the handshake, in the era that has one."""
        if self._era == "legacy":
            await self._handshake()

    async def _send(self, message: bytes) -> None:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        self._in.write(message + b"\n")

    async def _read(self) -> None:
        while line := await self._out.readline():
            self._take(line)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the server ended"))


class Http:
    """A server at `/mcp` of a port, with one kept connection for each call that runs at the same time."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self._port = port
        self._bearer = _bearer(token)
        self._idle: list[Connection] = []

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Message:
        """See `Caller.call`."""
        body = request(1, "tools/call", {"name": tool, "arguments": arguments}, "modern")
        headers = f"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n{self._bearer}"
        connection = await _kept(self._idle, self._port)
        content = await connection.post("/mcp", body, headers)
        self._idle.append(connection)
        if not content.startswith(b"{"):
            content = event_message(content)
        return _result(json.loads(content))

    def close(self) -> None:
        """Close the connections."""
        for connection in self._idle:
            connection.close()


class Sse(_Session):
    """A server at `/sse` of a port, a transport of the older era: requests by POST, all answers on one stream."""

    def __init__(self, port: int, token: str | None = None) -> None:
        super().__init__("legacy")
        self._port = port
        self._bearer = _bearer(token)
        self._idle: list[Connection] = []
        self._path = ""
        self._stream: Connection | None = None
        self._reading: asyncio.Task[None] | None = None

    async def opened(self) -> None:
        """Open the stream and do the handshake."""
        self._stream = await Connection.opened(self._port)
        self._path = await self._stream.subscribe("/sse", self._bearer)
        self._reading = asyncio.create_task(self._read(self._stream))
        await self._handshake()

    def close(self) -> None:
        """Close the stream and the connections."""
        if self._reading is not None:
            self._reading.cancel()
        for connection in [*self._idle, *([self._stream] if self._stream else [])]:
            connection.close()

    async def _send(self, message: bytes) -> None:
        connection = await _kept(self._idle, self._port)
        await connection.post(self._path, message, self._bearer)
        self._idle.append(connection)

    async def _read(self, stream: "Connection") -> None:
        while data := await stream.event():
            self._take(data)


class Connection:
    """One kept HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        self._reader = reader
        self._writer = writer
        self._host = f"127.0.0.1:{port}"
        self._events = b""
        self.asked_at = time.monotonic()

    @classmethod
    async def opened(cls, port: int) -> "Connection":
        """Connect to a port of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=_LINE), port)

    async def post(self, path: str, body: bytes, headers: str = "") -> bytes:
        """Post JSON and return the whole answer."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nAccept: application/json, text/event-stream\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        )
        self.asked_at = time.monotonic()
        self._writer.write(head.encode() + body)
        status, told = await self._head()
        content = b""
        if "content-length" in told:
            content = await self._reader.readexactly(int(told["content-length"]))
        elif told.get("transfer-encoding") == "chunked":
            while chunk := await self._chunk():
                content += chunk
        if not 200 <= status < 300:
            raise RuntimeError(f"{path} answered {status}: {content[:300]!r}")
        return content

    async def get(self, path: str) -> None:
        """Ask for a small answer and read it."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        _, told = await self._head()
        await self._reader.readexactly(int(told["content-length"]))

    async def subscribe(self, path: str, headers: str = "") -> str:
        """Open a stream of events and return the path that its first one names."""
        head = f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\nAccept: text/event-stream\r\n{headers}\r\n"
        self._writer.write(head.encode())
        await self._head()
        return (await self.event()).decode()

    async def event(self) -> bytes:
        """Return the data of the next event; nothing at the end of the stream."""
        while True:
            whole, end, rest = self._events.partition(b"\r\n\r\n")
            if end:
                self._events = rest
                for line in whole.split(b"\r\n"):
                    if line.startswith(b"data: "):
                        return line[6:]
                continue
            chunk = await self._chunk()
            if not chunk:
                return b""
            self._events += chunk

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def _head(self) -> tuple[int, dict[str, str]]:
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        told = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return int(lines[0].split(" ")[1]), told

    async def _chunk(self) -> bytes:
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        return (await self._reader.readexactly(size + 2))[:-2]


async def _kept(idle: list[Connection], port: int) -> Connection:
    """Return a kept or a new connection. Servers close one that is silent for five seconds after an answer."""
    while idle:
        connection = idle.pop()
        if time.monotonic() - connection.asked_at < 4.0:  # its answer came even later, so it is still open
            return connection
        connection.close()
    return await Connection.opened(port)


async def listening(port: int) -> None:
    """Wait until somebody listens on a port.

    Raises:
        TimeoutError: nobody listened for half a minute.
    """
    deadline = time.monotonic() + 30
    while True:
        try:
            connection = await Connection.opened(port)
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody listens on {port}") from None
            await asyncio.sleep(0.05)
        else:
            connection.close()
            return


@asynccontextmanager
async def upstream(module: str = "bench.baselines.zinc", **variables: str) -> AsyncGenerator[str]:
    """Start a Zinc that answers at once (or `module`), and give its origin."""
    async with started(["-m", module], variables) as process:
        assert process.stdout is not None
        port = int(await asyncio.wait_for(process.stdout.readline(), 30))
        yield f"http://127.0.0.1:{port}"


def token_in(home: Path) -> str:
    """Return the owner's token, which a server without members made in its home."""
    return (home / TOKEN_FILE).read_text(encoding="ascii").strip()


def free_port() -> int:
    """Return a port on which nobody listens.

    It is below 32768: the system gives higher ports to other connections by itself. Each process begins at another one.
    """
    while True:
        port = 20_000 + next(_PORTS) % 12_000
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue


def request(number: int, method: str, parameters: Message, era: Era) -> bytes:
    """Return a JSON-RPC request in one line, without its end."""
    given = {**parameters, "_meta": _MODERN} if era == "modern" else parameters
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": given}).encode()


def event_message(content: bytes) -> bytes:
    """Return the message among the events of a stream that has ended; nothing if there is none."""
    return next((line[6:] for line in content.splitlines() if line.startswith(b"data: {")), b"")


def succeeded(result: Message) -> Message:
    """Return the structure of a result.

    Raises:
        RuntimeError: the result is an error.
    """
    if result.get("isError") or "structuredContent" not in result:
        raise RuntimeError(json.dumps(result)[:600])
    structure: Message = result["structuredContent"]
    return structure


async def timed(caller: Caller, tool: str, arguments: Mapping[str, Any]) -> float:
    """Return the duration of a call in seconds.

    Raises:
        RuntimeError: its result is an error.
    """
    began = time.perf_counter()
    result = await caller.call(tool, arguments)
    seconds = time.perf_counter() - began
    succeeded(result)
    return seconds


HELLO: Message = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "0"},
}


def _bearer(token: str | None) -> str:
    return "" if token is None else f"Authorization: Bearer {token}\r\n"


def _result(message: Message) -> Message:
    if "result" not in message:
        raise RuntimeError(json.dumps(message)[:600])
    result: Message = message["result"]
    return result
