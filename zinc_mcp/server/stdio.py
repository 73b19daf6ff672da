"""The server on stdin and stdout, for one host. Nothing but the protocol reaches stdout."""

import gc
import io
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import aclosing, contextmanager, suppress
from typing import cast

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCRequest

from zinc_mcp.owner.policy import read_policy
from zinc_mcp.owner.settings import Settings
from zinc_mcp.server.lines import CHUNK_BYTES, Messages, Source, Stdin, Stdout, Target
from zinc_mcp.server.log import log_to_stderr
from zinc_mcp.server.mcp.server import Server, offer_tools
from zinc_mcp.server.opening import Opener, Opening
from zinc_mcp.telemetry import watched
from zinc_mcp.zinc.origin import check_origin


def run(settings: Settings, opener: Opener | None = None) -> None:
    """Serve until the host closes stdin or a signal says stop; an order on the wire is finished first.

    `opener` opens the process in another way than `open_process`, as a fault campaign does.

    Raises:
        SettingsError, RefusedError: the settings cannot be used.
    """
    log_to_stderr(settings.log)
    try:
        anyio.run(_serve, settings, opener)
    except* (BrokenPipeError, ConnectionResetError):
        pass  # the host is gone and nobody reads any more
    finally:
        gc.enable()
        # Otherwise text that was printed and never flushed would reach the wire when the interpreter exits.
        with suppress(OSError):
            os.dup2(2, 1)


async def _serve(settings: Settings, opener: Opener | None) -> None:
    # A mistake in the settings stops the start, not only the first call.
    read_policy(settings)
    check_origin(settings.api_url)
    async with watched() as watch, anyio.create_task_group() as tasks:
        opening = Opening(settings, opener, watch)
        tasks.start_soon(opening.run)
        server = offer_tools(settings, opening.service, watch)
        gc.freeze()
        gc.enable()  # `__main__` has disabled it
        if sys.platform == "win32":
            await _in_threads(server)
        else:
            await _until_a_signal(server)
        opening.end()


async def _until_a_signal(server: Server) -> None:
    """Serve, and take SIGTERM and SIGINT for the end of stdin."""
    with (
        _stdin_apart() as source,
        _stdout_apart() as target,
        anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
    ):
        stdin = Stdin(source)
        stdout = Stdout(target, stdin.end)

        async def listen() -> None:
            async for _ in signals:
                stdin.end()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await serve_either_era(server.serve_streams, Messages(stdin.more, stdout), stdout)
            tasks.cancel_scope.cancel()


async def _in_threads(server: Server) -> None:
    """Serve with threads, on a system that does not tell whether stdin and stdout would wait.

    The SDK writes, and turns descriptor 1 away from everything else (mcp 2.3, `stdio_server`). It does not read: it
    drops a line that it cannot parse without an answer, and takes lines of any size.
    """
    stdin = cast(io.BufferedReader, sys.stdin.buffer)

    async def more() -> bytes:
        return await anyio.to_thread.run_sync(stdin.read1, CHUNK_BYTES)

    async with stdio_server(stdin=anyio.wrap_file(io.StringIO())) as (unused, answers):
        await unused.aclose()
        await serve_either_era(server.serve_streams, Messages(more, answers), answers)


@contextmanager
def _stdin_apart() -> Generator[int]:
    """Give a descriptor of stdin that is ours alone: 0 leads nowhere, so that no child process reads the protocol."""
    descriptor = os.dup(sys.stdin.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        os.dup2(nothing, 0)
        yield descriptor
    finally:
        os.close(descriptor)
        os.close(nothing)


@contextmanager
def _stdout_apart() -> Generator[int]:
    """Give a descriptor of stdout that is the protocol's alone: descriptor 1 leads to stderr from now on."""
    import fcntl  # not on Windows

    descriptor = fcntl.fcntl(sys.stdout.fileno(), fcntl.F_DUPFD_CLOEXEC, 3)
    try:
        try:
            os.dup2(2, 1)
        except OSError:  # there is no stderr
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.close(nothing)
        yield descriptor
    finally:
        os.close(descriptor)


Incoming = ObjectReceiveStream[SessionMessage | Exception]
Outgoing = ObjectSendStream[SessionMessage]


async def serve_either_era(
    serve: Callable[[Incoming, Outgoing], Awaitable[None]], messages: Source, answers: Target
) -> None:
    """Serve one host until its messages end; a handshake that follows nothing but discovery starts afresh.

    A host that knows both protocols asks `server/discover`, and falls back to `initialize` when no answer came in its
    time (MCP 2026-07-28, "Versioning"; `@ai-sdk/mcp` 2.0 waits one second from the start of the process). The SDK (mcp
    2.3, `serve_dual_era_loop`) has by then taken the stream for one of the newer protocol and refuses the handshake.

    `serve` serves a stream in the era of its first request, until it ends.
    """
    async with aclosing(messages), aclosing(answers):
        opening = _Messages(messages, can_fall_back=True)
        await serve(opening, _Answers(answers))
        if opening.handshake is not None:
            await serve(_Messages(messages, first=opening.handshake), _Answers(answers))


class _Messages(Incoming):
    """The messages of one era. Closing it leaves the stream behind it open, for the next era."""

    def __init__(self, source: Source, *, first: SessionMessage | None = None, can_fall_back: bool = False) -> None:
        """Read `first`, then `source`. With `can_fall_back`, end at a handshake that follows nothing but discovery."""
        self._source = source
        self._first = first
        self._can_fall_back = can_fall_back
        self._asked: set[str] = set()
        self._is_closed = False
        self.handshake: SessionMessage | None = None
        """The handshake that ended this era."""

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message."""
        if self._is_closed:
            raise anyio.ClosedResourceError
        if self.handshake is not None:
            raise anyio.EndOfStream
        if self._first is not None:
            first, self._first = self._first, None
            return first
        item = await self._source.receive()
        if self._can_fall_back and isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCRequest):
            if item.message.method == "initialize" and self._asked == {"server/discover"}:
                self.handshake = item
                raise anyio.EndOfStream
            self._asked.add(item.message.method)
        return item

    async def aclose(self) -> None:
        """Close it."""
        self._is_closed = True
        await anyio.lowlevel.checkpoint()


class _Answers(Outgoing):
    """The answers of one era. Closing it leaves the stream behind it open, for the next era."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def send(self, item: SessionMessage) -> None:
        await self._target.send(item)

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
