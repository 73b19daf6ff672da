"""Real sockets on loopback: our application, a fake Zinc, and the SDK's client over either transport."""

import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
from fake_zinc import FakeZinc
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bench.sdk_client import connected as connected
from zinc_mcp.owner.members import Members
from zinc_mcp.process import Process
from zinc_mcp.server.http.access import TOKEN_FILE, local_token
from zinc_mcp.server.http.app import build_app
from zinc_mcp.server.http.bounded_server import BoundedServer
from zinc_mcp.server.http.requests import Hosts
from zinc_mcp.server.mcp.asking import Page
from zinc_mcp.server.mcp.server import Server, build_server
from zinc_mcp.server.pages.browser import Show

TRANSPORTS: Sequence[str] = ("mcp", "sse")


@asynccontextmanager
async def listening(app: ASGIApp, listener: socket.socket) -> AsyncGenerator[None]:
    """Serve an application on a socket while inside."""
    # As `serve` of the program does: without it, each answer in two pieces waits 40 ms for the client.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # No time of the machine's own on the answers: those of a fake Zinc go by the test's clock.
    server = BoundedServer(app, lifespan="on", timeout_graceful_shutdown=1, date_header=False)

    ended = anyio.Event()

    async def serve() -> None:
        try:
            await server.serve(sockets=[listener])
        finally:
            ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        while not server.started:
            await anyio.sleep(0.01)
        try:
            yield
        finally:
            server.should_exit = True
            # After a failure as well: its last requests still use a journal that whoever is outside closes next.
            with anyio.CancelScope(shield=True):
                await ended.wait()


def token_in(home: Path) -> str:
    """Return the owner's token, as they would give it to a host."""
    return (home / TOKEN_FILE).read_text(encoding="ascii").strip()


@asynccontextmanager
async def served(
    process: Process,
    *,
    members_only: bool = False,
    members: Path | Members | None = None,
    show: Show | None = None,
    make_server: Callable[[Process, Page], Server] = build_server,
    base: str | None = None,
) -> AsyncGenerator[str]:
    """Serve a process as `zinc-mcp serve` does on loopback, and give its origin.

    `base` is the origin that people reach it by, where that is another; `{port}` in it stands for its port.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        own = f"http://127.0.0.1:{port}"
        reached = (base or own).format(port=port)
        hosts = Hosts([f"127.0.0.1:{port}", f"localhost:{port}", reached.partition("://")[2]])
        known = members
        if not isinstance(known, Members):
            known = Members(known or process.settings.home / "members.json")
        local = None if members_only or known.known() else local_token(process.settings.home)
        app = build_app(process, hosts, known, local=local, base=reached, show=show, make_server=make_server)
        async with listening(app, listener):
            yield own


@asynccontextmanager
async def zinc_on_a_port(zinc: FakeZinc) -> AsyncGenerator[str]:
    """Put a fake Zinc on a port, for a server in another process."""
    transport = zinc.transport()

    async def handle(request: Request) -> Response:
        passed = httpx.Request(
            request.method, str(request.url), headers=request.headers.raw, content=await request.body()
        )
        answer = await transport.handle_async_request(passed)
        return Response(answer.content, answer.status_code, media_type="application/json")

    app = Starlette(routes=[Route("/{path:path}", handle, methods=["GET", "POST"])])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with listening(app, listener):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def held_stream(origin: str, transport: str, token: str) -> AsyncGenerator[anyio.Event]:
    """Hold a stream open, of a new session or over SSE; give the event of its end."""
    ended, began = anyio.Event(), anyio.Event()
    headers = {**JSON, "Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=origin, headers=headers, timeout=60) as client:
        if transport == "mcp":
            opened = await client.post("/mcp", json=initialize())
            client.headers["Mcp-Session-Id"] = opened.headers["mcp-session-id"]
            client.headers["Mcp-Protocol-Version"] = "2025-11-25"

        async def read() -> None:
            try:
                async with client.stream("GET", f"/{transport}", headers={"Accept": "text/event-stream"}) as answer:
                    assert answer.status_code == 200
                    began.set()
                    async for _ in answer.aiter_raw():
                        pass
            except httpx2.TransportError:
                pass
            ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            with anyio.fail_after(30):
                await began.wait()
            yield ended
            tasks.cancel_scope.cancel()


async def path_in(stream: httpx2.Response) -> str:
    """Return the path for messages that an SSE stream begins with."""
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            return line.removeprefix("data: ")
    raise AssertionError("the stream ended before it named a path")


async def until_healthy(client: httpx2.AsyncClient, origin: str) -> None:
    """Wait until a server that was just started answers."""
    with anyio.fail_after(90):
        while True:
            try:
                if (await client.get(f"{origin}/healthz")).status_code == 200:
                    return
            except httpx2.TransportError:
                await anyio.sleep(0.05)


def initialize() -> dict[str, Any]:
    """Return the message that opens a session of the handshake era."""
    return {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }


JSON = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
