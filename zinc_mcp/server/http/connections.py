"""The connections of an HTTP server, bounded in number and in the time that each may take to send and to read.

uvicorn bounds neither by itself: its `limit_concurrency` refuses `/healthz` like anything else, and its
`timeout_keep_alive` runs only after an answer.

A connection *serves* a known caller while a request of theirs is under way on it, and is *kept* for them in the silence
after it; otherwise it *waits*. Any number may wait while there is room, because nobody of a team that connects at once
is known before they ask. When all connections are in use, the oldest that waits makes room for a new one, so strangers
take nothing from members. A connection whose client does not read makes room after the others, and one that is being
answered comes last.

A part of all connections is reserved for those that wait, so that a watchdog is always answered. When the rest is full,
or one member has many of it, the oldest kept connection waits like any other. A request beyond the bound is refused
with a status.
"""

import asyncio
import contextlib
import socket
import sys
import time
from typing import Any, Literal, cast

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

MOST_CONNECTIONS = 1000
"""The most connections; fewer where the process may not open so many files."""
RESERVED_FILES = 140
"""Files for all else: a hundred connections to Zinc, the journal, the log."""
MOST_ON_LOOPBACK = 64
"""The most connections of a server on loopback beside another one: one person's browser needs a few."""
WAITING_PART = 4
"""One connection in this many is reserved for those that wait. One member has requests on at most as many."""
STREAMS_PART = 2
"""At most one in this many connections that serve members has a stream, so idle streams leave room for calls."""
KEPT_PART = 15
"""At most one connection in this many is kept for one member: about as many as may have a request under way."""

MAX_HEAD_BYTES = 16 * 1024
HANDSHAKE_SECONDS = HEAD_SECONDS = 10.0
"""From the start of a connection, or the last answer on it, until the last byte of a request's head."""
BODY_SECONDS = 20.0
"""From the last byte of the head until the last byte of the body."""
KEEP_ALIVE_SECONDS = 5
"""The longest silence of a connection after an answer."""
UNREAD_SECONDS = 30.0
"""The longest time for which a client may leave an answer unread."""
MAX_LATE_BYTES = 32 * 1024 * 1024
"""The most of a body that may come after its answer: a client that sends first and reads later gets its answer."""
MAX_LATE_CHUNKED_BYTES = 1024 * 1024
"""The same for a body in chunks. A chunk may be one byte long, so that counting the chunks takes long."""

_CONNECTION = "zinc_mcp.connection"
_PIECE_BYTES = 8192

Phase = Literal["head", "body", "answer", "unread"]
_SECONDS: dict[Phase, float] = {"head": HEAD_SECONDS, "body": BODY_SECONDS, "unread": UNREAD_SECONDS}


class Connections(ServerState):
    """The open connections of one server. Its protocol and its listener report here."""

    def __init__(self, most_waiting: int | None = None) -> None:
        """Bound them by `MOST_CONNECTIONS` and the process's files.

        Args:
            most_waiting: the most connections of a server without members, on which all of them wait.
        """
        super().__init__()
        self.most = most_waiting or min(MOST_CONNECTIONS, max(_files() - RESERVED_FILES, WAITING_PART * 4))
        self.most_waiting = most_waiting or self.most // WAITING_PART
        self.most_of_one = self.most // WAITING_PART
        """The most connections on which one member may have requests."""
        self.most_streams = (self.most - self.most_waiting) // STREAMS_PART
        """The most connections with streams, of all members together."""
        self._open: dict[Connection, None] = {}
        self._kept: dict[Connection, str] = {}
        """Each with its caller; the newest stands last."""
        self.serving = 0
        """The number of connections that serve a member."""
        self._handshakes: dict[int, tuple[socket.socket, float]] = {}

    def accepted(self, held: socket.socket) -> None:
        """Note a connection that has no protocol yet, because TLS is still being agreed upon."""
        self._handshakes.pop(held.fileno(), None)  # the newest stands last
        self._handshakes[held.fileno()] = held, time.monotonic()
        self._make_room(None)

    def opened(self, connection: "Connection", file: int) -> None:
        """Note a connection; the oldest that waits makes room if all are in use."""
        self._handshakes.pop(file, None)
        self._open[connection] = None
        self._make_room(connection)

    def closed(self, connection: "Connection") -> None:
        """Forget a connection."""
        self._open.pop(connection, None)
        self._kept.pop(connection, None)

    def take(self, connection: "Connection") -> bool:
        """Note that a connection serves a member; False when there are too many."""
        if self.serving >= self.most - self.most_waiting:
            return False
        self.serving += 1
        self._kept.pop(connection, None)
        connection.waits = False
        if self.serving + len(self._kept) > self.most - self.most_waiting:
            self.let_wait(next(iter(self._kept)))
        return True

    def release(self, connection: "Connection", caller: str) -> None:
        """Note that a connection no longer serves this member; keep it if it is open and all is answered."""
        self.serving -= 1
        if connection not in self._open or connection.phase != "head":
            connection.wait()
            return
        self._kept[connection] = caller
        of_caller = [each for each, whose in self._kept.items() if whose == caller]
        if len(of_caller) > self.most // KEPT_PART:
            self.let_wait(of_caller[0])

    def let_wait(self, connection: "Connection") -> None:
        """Keep a connection no more; nothing changes for one that is not kept."""
        if self._kept.pop(connection, None) is not None:
            connection.wait()

    def are_asked(self) -> bool:
        """Say whether a complete request waits for its answer. A GET does not count: its answer may be a stream."""
        return any(connection.is_asked for connection in self._open)

    def end_all(self) -> None:
        """End every connection."""
        for connection in list(self._open):
            connection.end()

    def check(self) -> None:
        """End every connection that took too long."""
        now = time.monotonic()
        self._forget_handshakes()
        for file, (_, since) in list(self._handshakes.items()):
            if now - since > HANDSHAKE_SECONDS:
                self._hang_up(file)
        for connection in list(self._open):
            connection.check(now)

    def _make_room(self, newest: "Connection | None") -> None:
        self._forget_handshakes()
        if len(self._handshakes) + len(self._open) <= self.most:
            return
        waiting = sorted((each for each in self._open if each.waits), key=lambda each: each.waits_since)
        # The oldest ends first, so a flood ends a slow client and not a quick one. A connection that is being answered
        # ends last, but before the newest: a stranger who asks again and again is always being answered.
        others = [each for each in waiting if each is not newest]
        idle = [each for each in others if each.phase in ("head", "body")]
        unread = sorted((each for each in others if each.phase == "unread"), key=lambda each: each.unread_since)
        older_handshakes = list(self._handshakes)[: None if newest is not None else -1]
        if idle or unread:
            [*idle, *unread][0].end()
        elif older_handshakes:
            self._hang_up(older_handshakes[0])
        elif others:
            others[0].end()
        elif newest is not None:
            newest.end()
        else:
            self._hang_up(next(iter(self._handshakes)))

    def _forget_handshakes(self) -> None:
        """Forget the handshakes that the event loop has closed."""
        self._handshakes = {file: each for file, each in self._handshakes.items() if each[0].fileno() == file}

    def _hang_up(self, file: int) -> None:
        held, _ = self._handshakes.pop(file)
        # The event loop holds it, and closes it when it sees the end.
        with contextlib.suppress(OSError):
            held.shutdown(socket.SHUT_RDWR)


class Connection(H11Protocol, asyncio.BufferedProtocol):
    """An HTTP/1.1 connection with a limit for each step that its client can delay; see `connection_of`.

    It reads in small pieces: h11 compares the size of a head with its bound only between two of them.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.all_connections = cast(Connections, self.server_state)
        self._piece = bytearray(_PIECE_BYTES)
        self._requests = 0
        self._checked: tuple[Phase, int] = "head", 0
        self._since = time.monotonic()
        self._ended = False
        self._taken = self._times_taken = 0
        self._late_bytes = 0
        self.waits = True
        self.waits_since = self.unread_since = self._since
        self._served = cast(ASGIApp, self.app)
        self.app = cast(Any, self._serve)

    @property
    def phase(self) -> Phase:
        """The step that comes next: a request's head, its body, our answer, or the client's reading."""
        if self.transport.is_closing() or self.flow.write_paused:
            return "unread"
        cycle = self._cycle()
        if cycle is None or cycle.response_complete:
            return "head"
        return "body" if cycle.more_body else "answer"

    @property
    def is_asked(self) -> bool:
        """Whether a complete request waits for its answer. A GET does not count: its answer may be a stream."""
        cycle = self._cycle()
        return cycle is not None and self.phase == "answer" and cycle.scope["method"] != "GET"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        held = transport.get_extra_info("socket")
        self.all_connections.opened(self, -1 if held is None else held.fileno())

    def connection_lost(self, exc: Exception | None) -> None:
        self.all_connections.closed(self)
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return a view: the TLS protocol reads into slices, and slices of bytes are copies."""
        return memoryview(self._piece)

    def buffer_updated(self, nbytes: int) -> None:
        if self._ended:
            return
        cycle = self._cycle()
        if cycle is not None and cycle.response_complete and cycle.more_body:
            self._late_bytes += nbytes
            is_chunked = any(name == b"transfer-encoding" for name, _ in cycle.scope["headers"])
            if self._late_bytes > (MAX_LATE_CHUNKED_BYTES if is_chunked else MAX_LATE_BYTES):
                self.end()
                return
        self.data_received(bytes(self._piece[:nbytes]))

    def pause_writing(self) -> None:
        self.unread_since = time.monotonic()
        super().pause_writing()

    def take(self) -> bool:
        """Note that a member's request is under way; False when there are too many connections with one."""
        if not self._taken and not self.all_connections.take(self):
            return False
        self._taken += 1
        self._times_taken += 1
        return True

    def release(self, caller: str) -> None:
        """Note that this member's request has been answered. The next one may be under way already (pipelining)."""
        self._taken -= 1
        if not self._taken:
            self.all_connections.release(self, caller)

    def wait(self) -> None:
        """Wait like the connections of strangers, from now on."""
        self.waits, self.waits_since = not self._ended, time.monotonic()

    def end(self) -> None:
        """End the connection at once; a request that is served on it learns that the client has gone."""
        self._ended = True
        self.waits = False
        self.transport.abort()

    def check(self, now: float) -> None:
        """End the connection when it has been in one phase of one request for too long."""
        checked = self.phase, self._requests
        if checked != self._checked:
            self._checked, self._since = checked, now
        elif now - self._since > _SECONDS.get(checked[0], float("inf")):
            self.end()

    def _cycle(self) -> RequestResponseCycle | None:
        """Return the cycle of the last request; None before the first."""
        return cast("RequestResponseCycle | None", self.cycle)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._requests += 1
        self._late_bytes = 0
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
            # Two readers can disagree about the end of its body: a proxy in front may have read another request than
            # we do (RFC 9112, section 6.1).
            refused = JSONResponse({"error": "two_lengths"}, 400, {"Connection": "close"})
            await refused(scope, receive, send)
            return
        before = self._times_taken
        try:
            await self._served({**scope, _CONNECTION: self}, receive, send)
        finally:
            if self._times_taken == before:  # a stranger's: a proxy may send those on a member's connection
                self.all_connections.let_wait(self)


def connection_of(scope: Scope) -> Connection | None:
    """Return the connection that a request came on; None where another server serves the application."""
    return scope.get(_CONNECTION)


def raise_file_limit() -> None:
    """Let this process open as many files as the bound on its connections needs, as far as the system allows."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + RESERVED_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _files() -> int:
    """Return the number of files that this process may have open."""
    if sys.platform == "win32":
        return MOST_CONNECTIONS + RESERVED_FILES
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS + RESERVED_FILES if soft == resource.RLIM_INFINITY else soft
