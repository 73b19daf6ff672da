"""One host's stream of messages, also where the host asked for the newer protocol first and then shakes hands.

A host that knows both protocols asks `server/discover`, and falls back to `initialize` when no answer came in its time
(MCP 2026-07-28, "Versioning"; `@ai-sdk/mcp` 2.0 waits one second from the start of the process). The SDK (mcp 2.3,
`serve_dual_era_loop`) has by then taken the stream for one of the newer protocol and refuses the handshake.
"""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Protocol, Self

import anyio
import anyio.lowlevel
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCRequest


class Incoming(Protocol):
    """What a host sends."""

    async def receive(self) -> SessionMessage | Exception: ...
    async def aclose(self) -> None: ...
    def __aiter__(self) -> "Incoming": ...
    async def __anext__(self) -> SessionMessage | Exception: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None: ...


class Outgoing(Protocol):
    """What a host is sent."""

    async def send(self, item: SessionMessage, /) -> None: ...
    async def aclose(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None: ...


Serve = Callable[[Incoming, Outgoing], Awaitable[None]]


async def served_in_either_era(serve: Serve, messages: Incoming, answers: Outgoing) -> None:
    """Serve one host until its messages end; a handshake that follows nothing but discovery starts afresh.

    Args:
        serve: serves a stream in the era of its first request, until it ends.
        messages: what the host sends.
        answers: what it is sent.
    """
    async with messages, answers:
        opening = _Opening(messages)
        await serve(opening, _StaysOpen(answers))
        if opening.handshake is not None:
            await serve(_After(opening.handshake, messages), answers)


class _Stream:
    """A stream of messages that does not end the one it reads from."""

    def __init__(self, messages: Incoming) -> None:
        self._messages = messages
        self._closed = False

    async def receive(self) -> SessionMessage | Exception:
        return await self._messages.receive()

    async def aclose(self) -> None:
        self._closed = True
        await anyio.lowlevel.checkpoint()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        if self._closed:
            raise anyio.ClosedResourceError
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()


class _Opening(_Stream):
    """What a host sends until it shakes hands although it asked for the newer protocol before."""

    def __init__(self, messages: Incoming) -> None:
        super().__init__(messages)
        self.handshake: SessionMessage | None = None
        self._asked: set[str] = set()

    async def receive(self) -> SessionMessage | Exception:
        if self.handshake is not None:
            raise anyio.EndOfStream
        item = await super().receive()
        if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCRequest):
            if item.message.method == "initialize" and self._asked == {"server/discover"}:
                self.handshake = item
                raise anyio.EndOfStream
            self._asked.add(item.message.method)
        return item


class _After(_Stream):
    """A handshake, and what comes after it."""

    def __init__(self, first: SessionMessage, messages: Incoming) -> None:
        super().__init__(messages)
        self._first: SessionMessage | None = first

    async def receive(self) -> SessionMessage | Exception:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await super().receive()


class _StaysOpen:
    """Answers of one era; what they are sent on stays open for the next."""

    def __init__(self, answers: Outgoing) -> None:
        self._answers = answers

    async def send(self, item: SessionMessage, /) -> None:
        await self._answers.send(item)

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()
