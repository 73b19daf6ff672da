"""What each caller over HTTP holds at once: requests, streams and sessions, each bounded; and its end with the caller.

A flood by one member takes nothing from another, and a member who is removed is gone within a second.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zinc_mcp.server.callers import let_in, member_of
from zinc_mcp.server.http.connections import Connection, connection_of

MOST_REQUESTS = 64
"""Under way at once, of one caller, streams included. Fewer where the process has few files (`connections`)."""
MOST_STREAMS = 16
"""Open at once, of one caller: GET on `/mcp` and `/sse`."""
MOST_SESSIONS = 32
"""Of one caller; the one that was not used for longest ends when another is opened."""
SESSION_IDLE_SECONDS = 900.0
"""So long after its last request, or the end of its last stream, a session ends."""
KNOWN_EVERY_SECONDS = 0.5

_SESSION = b"mcp-session-id"
_SESSIONS_PATH = "/mcp"


@dataclass(eq=False, slots=True)
class _Request:
    connection: Connection | None
    is_stream: bool
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


@dataclass(slots=True)
class _Share:
    requests: set[_Request] = field(default_factory=set[_Request])
    sessions: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    """The name of the server it was opened by (Host), by its id; the one used last stands last."""


class Shares:
    """ASGI middleware: bounds what a caller has at once. It stands behind the check of the token."""

    def __init__(self, app: ASGIApp, is_known: Callable[[str], bool]) -> None:
        """Remember who says whether a caller is still one."""
        self._app = app
        self._is_known = is_known
        self._shares: dict[str, _Share] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request within its caller's share, or answer it here."""
        caller = member_of(scope) if scope["type"] == "http" else None
        if caller is None:
            await self._app(scope, receive, send)
            return
        share = self._shares.setdefault(caller, _Share())
        connection = connection_of(scope)
        request = _Request(connection, scope["method"] == "GET")
        objection = _objection(share, request)
        if objection is not None:
            self._forget_if_empty(caller, share)
            status, code = objection
            await JSONResponse({"error": code}, status, {"Retry-After": "5"})(scope, receive, send)
            return
        share.requests.add(request)
        try:
            with request.scope:
                await self._served(caller, share, scope, receive, send)
        finally:
            share.requests.discard(request)
            if connection is not None:
                connection.release()
            self._forget_if_empty(caller, share)

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        """End what callers hold who are none any more, while inside."""

        async def watch() -> None:
            while True:
                await anyio.sleep(KNOWN_EVERY_SECONDS)
                for caller in [each for each in self._shares if not self._is_known(each)]:
                    await self._dismiss(caller)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            yield
            tasks.cancel_scope.cancel()

    async def _served(self, caller: str, share: _Share, scope: Scope, receive: Receive, send: Send) -> None:
        given = _header(scope, _SESSION)
        host = _header(scope, b"host")
        if given in share.sessions:
            share.sessions[given] = share.sessions.pop(given)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                opened = next((value for name, value in message["headers"] if name == _SESSION), b"")
                if not given and opened and message["status"] < 400:
                    share.sessions[opened] = host
                    while len(share.sessions) > MOST_SESSIONS:
                        oldest = next(iter(share.sessions))
                        await self._end(caller, oldest, share.sessions.pop(oldest))
                elif given and (message["status"] == 404 or scope["method"] == "DELETE"):
                    share.sessions.pop(given, None)
            await send(message)

        await self._app(scope, receive, noting)

    def _forget_if_empty(self, caller: str, share: _Share) -> None:
        if not share.requests and not share.sessions and self._shares.get(caller) is share:
            del self._shares[caller]

    async def _dismiss(self, caller: str) -> None:
        share = self._shares.pop(caller)
        for request in list(share.requests):
            if request.connection is None:
                request.scope.cancel()
            else:
                request.connection.end()
        for session, host in share.sessions.items():
            await self._end(caller, session, host)

    async def _end(self, caller: str, session: bytes, host: bytes) -> None:
        """End a session as its client would: nobody else is asked, and nothing of the SDK is reached into."""
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "DELETE",
            "scheme": "http",
            "path": _SESSIONS_PATH,
            "raw_path": _SESSIONS_PATH.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", host), (_SESSION, session)],
        }
        let_in(scope, caller)

        async def nothing() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def unheard(message: Message) -> None:
            pass

        with anyio.CancelScope(shield=True):
            await self._app(scope, nothing, unheard)


def _objection(share: _Share, request: _Request) -> tuple[int, str] | None:
    """Return the status and the code of what is in the way of one more request; None when it is let through."""
    connection = request.connection
    most = MOST_REQUESTS if connection is None else min(MOST_REQUESTS, connection.most_of_one)
    if len(share.requests) >= most:
        return 429, "too_many_requests"
    if request.is_stream and sum(each.is_stream for each in share.requests) >= min(MOST_STREAMS, most // 2):
        return 429, "too_many_streams"
    if connection is not None and not connection.take():
        return 503, "too_many_connections"
    return None


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")
