"""The messages on the lines of stdin and stdout.

The event loop itself reads and writes where the system says that this does not wait: to hand a message to a thread and
back takes longer than the message (`bench/get_order.py`). Only what may wait is left to a thread.
"""

import asyncio
import os
import select
import stat
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
import anyio.lowlevel
import anyio.to_thread
from mcp.shared.message import SessionMessage

from zinc_mcp.server.messages import (
    MOST_MESSAGE_BYTES,
    QUICKLY_READ_BYTES,
    SEARCHED_BYTES,
    ReadMessage,
    read_message,
    too_large,
)

CHUNK_BYTES = 64 * 1024

More = Callable[[], Awaitable[bytes]]
"""Returns the next bytes; empty bytes at the end."""


class Source(Protocol):
    """A stream of messages from a host."""

    async def receive(self) -> SessionMessage | Exception: ...
    async def aclose(self) -> None: ...


class Target(Protocol):
    """A stream of messages to a host."""

    async def send(self, item: SessionMessage, /) -> None: ...
    async def aclose(self) -> None: ...


class Lines:
    """Cuts bytes into lines, which end with a line feed alone. It keeps only both ends of a line that is too long."""

    def __init__(self) -> None:
        self._whole: deque[tuple[bytes, bytes | None]] = deque()
        self._rest = bytearray()
        self._head: bytes | None = None

    def take(self, chunk: bytes) -> None:
        """Take the next bytes. An empty chunk ends the last line, which may lack a line feed."""
        *ends, rest = chunk.split(b"\n")
        for part in ends:
            self._keep(part)
            self._end()
        self._keep(rest)
        if not chunk and self._rest:
            self._end()

    def next(self) -> tuple[bytes, bytes | None] | None:
        """Return the next line, with None; its end and its beginning if it is too long; None if no line is complete."""
        return self._whole.popleft() if self._whole else None

    def _keep(self, part: bytes) -> None:
        self._rest += part
        if len(self._rest) > MOST_MESSAGE_BYTES:
            self._head = self._head or bytes(self._rest[:SEARCHED_BYTES])
            del self._rest[:-SEARCHED_BYTES]

    def _end(self) -> None:
        self._whole.append((bytes(self._rest), self._head))
        self._rest.clear()
        self._head = None


class Messages:
    """The messages on lines. A line without a message is answered here."""

    def __init__(self, more: More, answers: Target) -> None:
        self._more = more
        self._answers = answers
        self._lines = Lines()
        self._has_ended = False

    async def receive(self) -> SessionMessage:
        """Return the next message.

        Raises:
            EndOfStream: there is none, or nobody reads the answers any more.
        """
        while (line := await self._line()) is not None:
            read = await _read(*line)
            try:
                for refusal in read.refusals:
                    await self._answers.send(SessionMessage(refusal))
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                break  # nobody reads the answers any more
            if read.message is not None:
                return SessionMessage(read.message)
        raise anyio.EndOfStream

    async def aclose(self) -> None:
        """Do nothing: the opener of the source closes it."""

    async def _line(self) -> tuple[bytes, bytes | None] | None:
        line = self._lines.next()
        if line is not None:
            await anyio.lowlevel.checkpoint()  # other tasks run between two messages that came together
            return line
        while line is None and not self._has_ended:
            chunk = await self._more()
            self._has_ended = not chunk
            self._lines.take(chunk)
            line = self._lines.next()
        return line


async def _read(line: bytes, head: bytes | None) -> ReadMessage:
    if head is not None:
        return too_large(head, line)
    if len(line) <= QUICKLY_READ_BYTES:
        return read_message(line)
    return await anyio.to_thread.run_sync(read_message, line)


class Stdin:
    """The bytes of a descriptor, up to its end or to `end`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        kind = os.fstat(descriptor).st_mode
        # The event loop cannot tell of other kinds, such as a file or the null device, when they have something to
        # read.
        self._is_watched = stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(descriptor)
        self._waiting: asyncio.Future[None] | None = None
        self._has_ended = False

    async def more(self) -> bytes:
        """Return the next bytes; empty bytes at the end."""
        if self._has_ended:
            return b""
        if not self._is_watched:
            return await anyio.to_thread.run_sync(os.read, self._descriptor, CHUNK_BYTES)
        loop = asyncio.get_running_loop()
        waiting = self._waiting = loop.create_future()
        loop.add_reader(self._descriptor, _settle, waiting)
        try:
            await waiting
        finally:
            loop.remove_reader(self._descriptor)
        return b"" if self._has_ended else os.read(self._descriptor, CHUNK_BYTES)

    def end(self) -> None:
        """End the stream here, even if the host writes more."""
        self._has_ended = True
        if self._waiting is not None:
            _settle(self._waiting)


def _settle(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


class Stdout:
    """Writes each message to a descriptor, as one line."""

    def __init__(self, descriptor: int, gone: Callable[[], object]) -> None:
        """Prepare; `gone` is called when nobody reads any more."""
        self._descriptor = descriptor
        self._gone = gone
        self._one_line = anyio.Lock(fast_acquire=True)
        self._watched = select.poll()
        self._watched.register(descriptor, select.POLLOUT)

    async def send(self, item: SessionMessage) -> None:
        """Write a message.

        Raises:
            BrokenResourceError: nobody reads any more.
        """
        line = memoryview(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
        async with self._one_line:
            try:
                # A pipe that takes anything takes so many bytes (Python, `select.PIPE_BUF`).
                while line and self._watched.poll(0):
                    line = line[os.write(self._descriptor, line[: select.PIPE_BUF]) :]
                if line:
                    await anyio.to_thread.run_sync(self._write, line)
            except (BrokenPipeError, ConnectionResetError) as error:
                self._gone()
                raise anyio.BrokenResourceError from error

    async def aclose(self) -> None:
        """Do nothing: the opener of the descriptor closes it."""

    def _write(self, line: memoryview) -> None:
        while line:
            line = line[os.write(self._descriptor, line) :]
