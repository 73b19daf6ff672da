"""Bounds the requests, streams and sessions of each caller over HTTP, and ends them with the caller.

A flood by one member takes nothing from another, and a member who is removed is gone within a second.
"""

import logging
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zinc_mcp.owner.team.member import LOCAL
from zinc_mcp.server.http.access import Access, access_in, note_access
from zinc_mcp.server.http.connections import Connection, connection_of

MOST_REQUESTS = 64
"""Requests of one caller under way at once, beside its streams. Fewer if the process has few files (`connections`)."""
MOST_STREAMS = 16
"""Streams of one caller that are open at once: GET on `/mcp` and `/sse`."""
MOST_SESSIONS = 32
"""Sessions of one caller. A further one ends the session that was unused for longest and has no request under way."""
MOST_A_MINUTE = 600
"""Messages of one member to one server. The owner's own token has no such bound, because nobody else waits then."""
SESSION_IDLE_SECONDS = 900.0
"""A session ends this long after its last request or the end of its last stream."""
KNOWN_EVERY_SECONDS = 0.5

_RETRY_SECONDS = 5

logger = logging.getLogger("zinc_mcp")

_MINUTE_SECONDS = 60.0
_SESSION = b"mcp-session-id"
_VERSION = b"mcp-protocol-version"
_SESSIONS_PATH = "/mcp"


@dataclass(eq=False, slots=True)
class _Request:
    connection: Connection | None
    is_stream: bool
    access: Access
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


@dataclass(eq=False, slots=True)
class _Session:
    host: bytes
    """The name of the server with which it was opened."""
    access: Access
    """The access with which it was opened. The SDK lets nobody else end it."""
    under_way: int = 0
    """The number of requests and streams in it."""


@dataclass(slots=True)
class _Share:
    requests: set[_Request] = field(default_factory=set[_Request])
    sessions: dict[bytes, _Session] = field(default_factory=dict[bytes, _Session])
    """By their ids; the one used last stands last."""
    dismissed: bool = False
    sent: deque[float] = field(default_factory=deque[float])
    """The times of the messages of the last minute, by the machine's own clock."""
    until: float = 0.0
    """The end of the newest access token of this caller, in seconds since the epoch. Streams last until then: a host
    that is at work sends newer tokens with its other requests."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing about its caller has to be remembered."""
        self._forget_old()
        return not self.requests and not self.sessions and not self.sent

    @property
    def streams(self) -> int:
        """The number of open streams."""
        return sum(each.is_stream for each in self.requests)

    def seconds_too_early(self) -> int:
        """Return the seconds until the next message may come. 0: it may come now, and is counted."""
        self._forget_old()
        now = time.monotonic()
        if len(self.sent) >= MOST_A_MINUTE:
            return max(1, math.ceil(self.sent[0] + _MINUTE_SECONDS - now))
        self.sent.append(now)
        return 0

    def _forget_old(self) -> None:
        while self.sent and self.sent[0] <= time.monotonic() - _MINUTE_SECONDS:
            self.sent.popleft()

    def touch(self, name: bytes) -> None:
        if name in self.sessions:
            self.sessions[name] = self.sessions.pop(name)

    def idle(self) -> bytes | None:
        """Return the session that was unused for longest, among those with nothing under way."""
        return next((name for name, session in self.sessions.items() if not session.under_way), None)


class Shares:
    """ASGI middleware behind the check of the token: bounds the requests, streams and sessions of a caller."""

    def __init__(
        self,
        app: ASGIApp,
        is_known: Callable[[str], bool],
        holds: Callable[[Access], bool],
        renew: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Bound what `app` serves.

        Args:
            app: serves the requests.
            is_known: says whether a caller still has access.
            holds: says whether a token still counts, apart from the end of its validity.
            renew: reads an issuer's keys again if they are old, because `holds` depends on them.
        """
        self._app = app
        self._is_known = is_known
        self._holds = holds
        self._renew = renew
        self._shares: dict[str, _Share] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request within its caller's share, or answer it here."""
        access = access_in(scope) if scope["type"] == "http" else None
        if access is None:
            await self._app(scope, receive, send)
            return
        caller = access.caller
        share = self._shares.setdefault(caller, _Share())
        share.until = max(share.until, access.until)
        connection = connection_of(scope)
        request = _Request(connection, scope["method"] == "GET", access)
        too_early = share.seconds_too_early() if scope["method"] == "POST" and caller != LOCAL else 0
        objection = (429, "too_many_a_minute") if too_early else self._objection(share, request)
        if objection is not None:
            self._forget_if_empty(caller, share)
            await _refusal(*objection, seconds=too_early or _RETRY_SECONDS)(scope, receive, send)
            return
        share.requests.add(request)
        try:
            with request.scope:
                await self._served(access, share, scope, receive, send)
        finally:
            share.requests.discard(request)
            if connection is not None:
                connection.release(caller)
            self._forget_if_empty(caller, share)

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        """While inside, end the requests and sessions of callers that are no longer known.

        Requests end also if their token no longer counts.
        """

        async def watch() -> None:
            while True:
                await anyio.sleep(KNOWN_EVERY_SECONDS)
                for caller in [each for each in self._shares if not self._is_known(each)]:
                    await self._dismiss(caller)
                for caller, share in list(self._shares.items()):
                    self._forget_if_empty(caller, share)
                for share in list(self._shares.values()):
                    self._end_outdated(share)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            if self._renew is not None:
                tasks.start_soon(self._keep_renewed, self._renew)
            yield
            tasks.cancel_scope.cancel()

    async def _keep_renewed(self, renew: Callable[[], Awaitable[None]]) -> None:
        """Keep the issuer's keys new while requests with its tokens are under way. A stream sends its token once."""
        while True:
            await anyio.sleep(KNOWN_EVERY_SECONDS)
            requests = [request for share in self._shares.values() for request in share.requests]
            if any(request.access.identity is not None for request in requests):
                try:
                    await renew()
                except Exception as error:  # an answer of the issuer must not end the server
                    logger.error("the keys of the OAuth issuer could not be renewed (%s)", type(error).__name__)

    def _end_outdated(self, share: _Share) -> None:
        now = time.time()
        for request in list(share.requests):
            is_over = request.is_stream and share.until < now
            if is_over or not self._holds(request.access):
                _end_request(request)

    def _objection(self, share: _Share, request: _Request) -> tuple[int, str] | None:
        """Return status and code with which one more request is refused; None if it is let through."""
        connection = request.connection
        of_files = MOST_REQUESTS + MOST_STREAMS if connection is None else connection.all_connections.most_of_one
        streams = share.streams
        of_kind = streams if request.is_stream else len(share.requests) - streams
        if len(share.requests) >= of_files or (not request.is_stream and of_kind >= MOST_REQUESTS):
            return 429, "too_many_requests"
        if request.is_stream and of_kind >= min(MOST_STREAMS, of_files // 2):
            return 429, "too_many_streams"
        if connection is not None and request.is_stream:
            of_all = sum(each.streams for each in self._shares.values())
            if of_all >= connection.all_connections.most_streams:
                return 503, "too_many_streams"
        if connection is not None and not connection.take():
            return 503, "too_many_connections"
        return None

    async def _served(self, access: Access, share: _Share, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != _SESSIONS_PATH or _is_modern(scope):
            await self._app(scope, receive, send)
            return
        given = _header(scope, _SESSION)
        used = share.sessions.get(given)
        if used is not None:
            used.under_way += 1
            share.touch(given)
        name = given
        refused = False

        async def noting(message: Message) -> None:
            nonlocal used, name, refused
            if message["type"] == "http.response.start":
                status = message["status"]
                opened = next((value for header, value in message["headers"] if header == _SESSION), b"")
                if not given and opened and status < 400:
                    session = _Session(_header(scope, b"host"), access, under_way=1)
                    if not await self._make_room(share) or share.dismissed:
                        refused = True
                        await self._end(opened, session)
                        await _refusal(429, "too_many_sessions")(scope, receive, send)
                    else:
                        share.sessions[opened] = used = session
                        name = opened
                elif status == 404 or (scope["method"] == "DELETE" and status < 300):
                    share.sessions.pop(given, None)
            if not refused:
                await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            if used is not None:
                used.under_way -= 1
                share.touch(name)

    async def _make_room(self, share: _Share) -> bool:
        """End sessions until there is room for one more; False if something is under way in all of them."""
        while len(share.sessions) >= MOST_SESSIONS:
            oldest = share.idle()
            if oldest is None:
                return False
            await self._end(oldest, share.sessions.pop(oldest))
        return True

    def _forget_if_empty(self, caller: str, share: _Share) -> None:
        if share.is_empty and self._shares.get(caller) is share:
            del self._shares[caller]

    async def _dismiss(self, caller: str) -> None:
        share = self._shares.pop(caller)
        share.dismissed = True
        for request in list(share.requests):
            _end_request(request)
        while share.sessions:
            await self._end(*share.sessions.popitem())

    async def _end(self, name: bytes, session: _Session) -> None:
        """End a session with the request that its client would send, so that no private part of the SDK is used."""
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
            "headers": [(b"host", session.host), (_SESSION, name)],
        }
        note_access(scope, session.access)

        async def nothing() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def unheard(message: Message) -> None:
            pass

        with anyio.CancelScope(shield=True):
            await self._app(scope, nothing, unheard)


def _end_request(request: _Request) -> None:
    if request.connection is None:
        request.scope.cancel()
    else:
        request.connection.end()


def _refusal(status: int, code: str, *, seconds: int = _RETRY_SECONDS) -> JSONResponse:
    return JSONResponse({"error": code}, status, {"Retry-After": str(seconds)})


def _is_modern(scope: Scope) -> bool:
    """Say whether a request is of the newer protocol: then it belongs to no session, even if it names one.

    By the same rule as the SDK (mcp 2.3, `StreamableHTTPSessionManager._handle_request`).
    """
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == _VERSION]
    return bool(given) and given[0] not in HANDSHAKE_PROTOCOL_VERSIONS


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")
