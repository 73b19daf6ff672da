"""A server on bounded connections: it accepts within bounds, and its stop answers all that was asked."""

import contextlib
import socket
import time
from collections.abc import Callable, Generator
from typing import Any

import anyio
import uvicorn
from anyio.abc import TaskGroup, TaskStatus
from sse_starlette.sse import AppStatus
from starlette.types import ASGIApp

from zinc_mcp.server.http.connections import (
    KEEP_ALIVE_SECONDS,
    MAX_HEAD_BYTES,
    MOST_ON_LOOPBACK,
    Connection,
    Connections,
)

_CHECKED_EVERY_TICKS = 5  # of uvicorn's, ten a second
_ACCEPTED_AT_ONCE = 16
_QUEUE = 512
_QUIET_SECONDS = 0.3  # enough for the last accepted request to begin, and for the last answer to go out
_UNREAD_AT_STOP_SECONDS = 5.0


class BoundedServer(uvicorn.Server):
    """uvicorn with bounded connections, and with a stop that answers open requests and waits for nothing else."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        most_waiting: int | None = None,
        on_stop: Callable[[], None] = lambda: None,
        is_working: Callable[[], bool] = lambda: False,
        **more: Any,
    ) -> None:
        """Serve `app`.

        Args:
            app: serves the requests.
            most_waiting: see `Connections`.
            on_stop: called when the server begins to stop.
            is_working: says whether a call is running whose answer goes out on a stream.
            more: for `uvicorn.Config`; its `timeout_graceful_shutdown` is the longest time that answers may take.
        """
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=_ACCEPTED_AT_ONCE,  # so many at once before one of them can make room
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                **more,
            )
        )
        self.connections = self.server_state = Connections(most_waiting)
        self._on_stop, self._is_working = on_stop, is_working

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # The drain of sse-starlette would end every stream at the signal, and with it the answers on that stream.
        AppStatus.enable_automatic_graceful_drain = False
        for each in sockets or []:
            if isinstance(each, Listener):
                each.connections = self.connections
        await super().startup(sockets)
        for each in sockets or []:
            each.listen(_QUEUE)  # connections that wait in the kernel cost nothing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, answer open requests, and end the streams."""
        self._on_stop()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_streams)
            await super().shutdown(sockets)
            tasks.cancel_scope.cancel()

    async def _end_streams(self) -> None:
        """End the requests that are answered by streams alone, once there are no others."""
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < _QUIET_SECONDS:
            if self._is_working() or self.connections.are_asked():
                quiet_since = time.monotonic()
            await anyio.sleep(0.05)
        AppStatus.enable_automatic_graceful_drain = True  # which ends each stream as its protocol wants
        await anyio.sleep(_UNREAD_AT_STOP_SECONDS)
        self.connections.end_all()

    async def on_tick(self, counter: int) -> bool:
        if counter % _CHECKED_EVERY_TICKS == 0:
            self.connections.check()
        return await super().on_tick(counter)


class LoopbackServer(BoundedServer):
    """A server on loopback. It leaves signals to the process, and says when it accepts connections."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, most_waiting=MOST_ON_LOOPBACK, lifespan="off", timeout_graceful_shutdown=1)
        self.accepting: Callable[[], None] = lambda: None
        """Called when it accepts connections."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none: the process ends this server when it ends itself."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.accepting()


async def serve_on_loopback(tasks: TaskGroup, make_app: Callable[[str], ASGIApp]) -> tuple[str, Callable[[], None]]:
    """Serve the application that `make_app` makes for `127.0.0.1:PORT`; return that name and a function that stops it.

    The start is finished even if the call is cancelled meanwhile: a server that is half started cannot be stopped.

    Raises:
        OSError: no port is free.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    # Connections inherit it. Without it, an answer in two pieces waits 40 ms for the browser's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = f"127.0.0.1:{listener.getsockname()[1]}"
    server = LoopbackServer(make_app(name))

    async def serve(*, task_status: TaskStatus[None]) -> None:
        server.accepting = task_status.started
        with listener:
            await server.serve(sockets=[listener])

    def stop() -> None:
        server.should_exit = True

    with anyio.CancelScope(shield=True):
        await tasks.start(serve)
    return name, stop


class Listener(socket.socket):
    """A listening socket that reports what it accepts: a connection has no protocol before TLS is agreed upon."""

    connections: Connections | None = None

    @classmethod
    def of(cls, plain: socket.socket) -> "Listener":
        """Take a socket over."""
        return cls(plain.family, plain.type, plain.proto, fileno=plain.detach())

    def accept(self) -> tuple[socket.socket, Any]:
        held, address = super().accept()
        if self.connections is not None:
            self.connections.accepted(held)
        return held, address
