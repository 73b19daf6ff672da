"""Serve the sandbox on a port, with connections that a fault can cut."""

import asyncio
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import anyio
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from zinc_mcp.sandbox.sandbox import Sandbox
from zinc_mcp.sandbox.spoilt_answers import CUT, HowToCut


async def serve(sandbox: Sandbox, host: str, port: int, *, ready: Callable[[int], None] | None = None) -> None:
    """Serve a sandbox over HTTP until cancelled or interrupted; nothing is written to stdout.

    Port 0 takes a free one. `ready` is called with the port once clients can connect.

    Raises:
        OSError: the address cannot be bound.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with socket.create_server(cast(Any, address)[:2], family=family, backlog=128) as listening:
        listening.setblocking(False)
        config = uvicorn.Config(
            sandbox.app,
            http=_CuttableProtocol,
            ws="none",
            lifespan="off",
            access_log=False,  # uvicorn's own goes to stdout
            log_config=None,
            server_header=False,
            date_header=False,  # the sandbox has a clock of its own
        )
        server = _Server(config)
        if ready:
            # Clients that connect now wait until uvicorn has started.
            ready(listening.getsockname()[1])
        try:
            await server.serve(sockets=[listening])
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await server.shutdown()
            raise


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop at once. Every open connection is cut, so that a hanging request never gets an answer."""
        for listener in getattr(self, "servers", []):
            listener.close()
        for connection in list(self.server_state.connections):
            cast(_CuttableProtocol, connection).transport.abort()
        # Answers that wait until their client is gone now end by themselves.
        await asyncio.sleep(0.01)
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _CuttableProtocol(H11Protocol):
    """HTTP/1.1 that lets the app cut its connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = cast(asyncio.Transport, transport)
        super().connection_made(connection)
        app = cast(ASGIApp, self.app)

        async def cuttable(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, CUT: partial(_cut, connection)}, receive, send)

        self.app = cast(Any, cuttable)


def _cut(connection: asyncio.Transport, how: HowToCut) -> None:
    if how == "drop":
        connection.close()
        return
    if how == "reset":
        # A linger time of zero makes the kernel send a reset instead of an orderly end.
        held = connection.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # A connection that has sent a body cannot be refused any more, so it is aborted.
    connection.abort()
