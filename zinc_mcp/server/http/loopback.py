"""An application on a port of 127.0.0.1, inside a process that has something else to do."""

import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import anyio
from anyio.abc import TaskGroup, TaskStatus
from starlette.types import ASGIApp

from zinc_mcp.server.http.connections import BoundedServer

GRACE_SECONDS = 1
MOST_CONNECTIONS = 64
"""One person's browser needs a few."""


class LoopbackServer(BoundedServer):
    """Leaves signals to the process, and says when it accepts connections."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, most_waiting=MOST_CONNECTIONS, lifespan="off", timeout_graceful_shutdown=GRACE_SECONDS)
        self.accepting: Callable[[], None] = lambda: None
        """Called when it accepts connections."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none: the process ends this server when it ends itself."""
        yield

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(list(sockets or ()))
        self.accepting()


async def serve_on_loopback(tasks: TaskGroup, make_app: Callable[[str], ASGIApp]) -> tuple[str, Callable[[], None]]:
    """Serve what `make_app` makes for `127.0.0.1:PORT`; return that name and what stops it again.

    It is started whole, also for a call that is cancelled meanwhile: nobody could stop what was started by half.

    Raises:
        OSError: there is no port to be had.
    """
    listener = socket.create_server(("127.0.0.1", 0))
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
