"""The server on stdin and stdout, for one host. Nothing but the protocol reaches stdout."""

import gc
import io
import os
import select
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import IO, Any, BinaryIO, Protocol, cast

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCRequest

from zinc_mcp.owner.policy import read_policy
from zinc_mcp.owner.settings import Settings
from zinc_mcp.server.mcp.server import Server, log_to_stderr, offer_tools
from zinc_mcp.server.messages import MOST_MESSAGE_BYTES, SEARCHED_BYTES, Read, read_message, too_large
from zinc_mcp.server.opening import Opener, Opening
from zinc_mcp.zinc.origin import check_origin

_CHUNK_BYTES = 64 * 1024


def run(settings: Settings, opener: Opener | None = None) -> None:
    """Serve until the host closes stdin or a signal says stop; an order on the wire is finished first.

    `opener` opens the process in another way than `open_process`, as a fault campaign does.

    Raises:
        SettingsError, RefusedError: the settings cannot be used.
    """
    log_to_stderr()
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
    # What is wrong with them stops the start, and not only the first call.
    read_policy(settings)
    check_origin(settings.api_url)
    opening = Opening(settings, opener)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(opening.run)
        server = offer_tools(settings, opening.service)
        gc.freeze()
        gc.enable()  # `__main__` has disabled it
        if sys.platform == "win32":
            await _on(sys.stdin.buffer, server)
        else:
            await _until_a_signal(server)
        opening.end()


async def _on(source: BinaryIO, server: Server, stdout: int | None = None) -> None:
    async with messages_on(source, stdout) as (messages, answers):
        await serve_either_era(server.serve_streams, messages, answers)


async def _until_a_signal(server: Server) -> None:
    """Serve, and take SIGTERM and SIGINT for the end of stdin."""
    with (
        _stdin_with_an_end() as (source, end),
        _stdout_apart() as stdout,
        anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
    ):

        async def listen() -> None:
            async for _ in signals:
                end()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await _on(source, server, stdout)
            tasks.cancel_scope.cancel()


@contextmanager
def _stdin_with_an_end() -> Generator[tuple[BinaryIO, Callable[[], object]]]:
    """Give a stdin, and the function that ends it.

    It is read in a thread that no cancellation reaches: without this a signal would wait for the host's next line.
    Descriptor 0 itself points at the null device, so that no child process reads the protocol.
    """
    descriptor = os.dup(sys.stdin.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    woken, wake = os.pipe()
    try:
        os.dup2(nothing, 0)
        yield io.BufferedReader(_Ending(descriptor, woken), _CHUNK_BYTES), lambda: os.write(wake, b".")
    finally:
        for each in (descriptor, nothing, woken, wake):
            os.close(each)


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


class _Unbuffered(io.TextIOBase):
    """Writes to a descriptor at once."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def write(self, text: str, /) -> int:
        line = memoryview(text.encode())
        while line:
            line = line[os.write(self._descriptor, line) :]
        return len(text)


class _Stdout(anyio.AsyncFile[str]):
    """A file that needs no flush. The SDK flushes after each message, and a host would wait for two turns of a thread.

    The second one takes 3 % of a call (`bench/get_order.py`).
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(cast(IO[str], _Unbuffered(descriptor)))

    async def flush(self) -> None:
        """Do nothing."""


class _Ending(io.RawIOBase):
    """Reads `source` until it ends or `woken` has something to read."""

    def __init__(self, source: int, woken: int) -> None:
        super().__init__()
        self._source = source
        self._woken = woken

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        ready, _, _ = select.select([self._source, self._woken], [], [])
        if self._woken in ready:
            return 0
        read = os.read(self._source, len(buffer))
        buffer[: len(read)] = read
        return len(read)


Incoming = ObjectReceiveStream[SessionMessage | Exception]
Outgoing = ObjectSendStream[SessionMessage]


class Source(Protocol):
    """A stream of messages from a host."""

    async def receive(self) -> SessionMessage | Exception: ...
    async def aclose(self) -> None: ...


class Target(Protocol):
    """A stream of messages to a host."""

    async def send(self, item: SessionMessage, /) -> None: ...
    async def aclose(self) -> None: ...


@asynccontextmanager
async def messages_on(stdin: BinaryIO, stdout: int | None = None) -> AsyncGenerator[tuple[Source, Target]]:
    """Give the messages on the lines of `stdin`, and a stream that writes messages to the descriptor `stdout`.

    Without a descriptor the SDK takes stdout, and turns descriptor 1 away from everything else (mcp 2.3,
    `stdio_server`). It does not read: it drops a line that it cannot parse without an answer, and takes lines of any
    size.
    """
    written = None if stdout is None else _Stdout(stdout)
    async with stdio_server(stdin=anyio.wrap_file(io.StringIO()), stdout=written) as (unused, answers):
        await unused.aclose()
        yield _Lines(stdin, answers), answers


class _Lines:
    """The messages on the lines of stdin. Lines that hold none are answered here."""

    def __init__(self, stdin: BinaryIO, answers: Target) -> None:
        self._stdin = stdin
        self._answers = answers

    async def receive(self) -> SessionMessage:
        """Return the next message."""
        while (read := await anyio.to_thread.run_sync(next_message, self._stdin)) is not None:
            try:
                for refusal in read.refusals:
                    await self._answers.send(SessionMessage(refusal))
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                break  # the server has ended
            if read.message is not None:
                return SessionMessage(read.message)
        raise anyio.EndOfStream

    async def aclose(self) -> None:
        """Do nothing: whoever gave stdin closes it."""


def next_message(stdin: BinaryIO) -> Read | None:
    """Read the next line, which ends with a line feed and nothing else; None at the end."""
    line = stdin.readline(MOST_MESSAGE_BYTES + 1)
    if not line:
        return None
    if len(line) <= MOST_MESSAGE_BYTES or line.endswith(b"\n"):
        return read_message(line)
    head, tail = line[:SEARCHED_BYTES], line[-SEARCHED_BYTES:]
    while line and not line.endswith(b"\n"):
        line = stdin.readline(_CHUNK_BYTES)
        tail = (tail + line)[-SEARCHED_BYTES:]
    return too_large(head, tail)


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
        """Read `first` and then `source`; with `can_fall_back` up to a handshake after nothing but discovery."""
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
