"""A server on a stdin and a stdout of its own, in this process: the host has the other ends of two real pipes."""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.stdio import stdio_server


@asynccontextmanager
async def piped(server: MCPServer) -> AsyncGenerator[Any]:
    """Serve on two pipes, and give what a client connects with; leaving it closes the server's stdin."""
    ended = anyio.Event()
    with ExitStack() as files:
        server_in, host_out = _pipe(files)
        host_in, server_out = _pipe(files)

        async def serve() -> None:
            try:
                await server.run_stdio_async()
            finally:
                ended.set()

        async with anyio.create_task_group() as tasks:
            given, sys.stdin, sys.stdout = (sys.stdin, sys.stdout), server_in, server_out
            try:
                tasks.start_soon(serve)
                await anyio.wait_all_tasks_blocked()  # by now it has taken both
            finally:
                sys.stdin, sys.stdout = given
            # Line by line both ways: the host's side of a pipe is the server's, turned round.
            async with stdio_server(anyio.wrap_file(host_in), anyio.wrap_file(host_out)) as streams:
                try:
                    yield streams
                finally:
                    with anyio.CancelScope(shield=True):
                        host_out.close()
                        await ended.wait()
                        server_out.close()


def _pipe(files: ExitStack) -> tuple[Any, Any]:
    reads, writes = os.pipe()
    return (
        files.enter_context(os.fdopen(reads, encoding="utf-8")),
        files.enter_context(os.fdopen(writes, "w", encoding="utf-8")),
    )
