"""The entry of the HTTP server: its paths, which Host and Origin it answers to, and whose token a request carries."""

import logging
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from zinc_mcp.errors import SettingsError
from zinc_mcp.owner.members import LOCAL, Members
from zinc_mcp.server.callers import let_in
from zinc_mcp.server.http.access import LocalToken

HEALTH_PATH, READY_PATH = "/healthz", "/readyz"
OPEN_PATHS = frozenset({HEALTH_PATH, READY_PATH})
"""What watchdogs ask, without a token and by any name. The answers say nothing about orders."""

PAGE_PATH = "/approve/"
"""The approval page: a browser brings no token, and the page itself checks where an answer comes from."""

MAX_TARGET_BYTES = 2048
"""Path and query together; the longest of ours is a tenth of that."""
MOST_HEADERS = 100

_SPELLINGS = {
    **{f"{path}/": path for path in ("/mcp", "/sse", HEALTH_PATH, READY_PATH)},
    **{path: f"{path}/" for path in ("/messages", "/approve")},
}
"""The other spelling of each path, which is served as well: a redirect would name `http` behind a proxy that ends TLS,
and many clients do not follow one with a body."""

logger = logging.getLogger("zinc_mcp")


class Hosts:
    """The names clients may know this server by: `name:port`, or `name` for any port.

    A web page can make a browser send requests to any address (DNS rebinding); what it cannot choose is the Host and
    the Origin that the browser names (MCP specification, Transports, "Security Warning").
    """

    def __init__(self, names: Iterable[str], *, schemes: Sequence[str] = ("http", "https")) -> None:
        self._names = frozenset(name.lower() for name in names)
        self._schemes = tuple(schemes)

    def allow_host(self, host: str) -> bool:
        """Say whether a Host header names this server."""
        host = host.lower()
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        bare = f"[{name}]" if ":" in name else name
        return host in self._names or bare in self._names

    def allow_origin(self, origin: str) -> bool:
        """Say whether an Origin header is this server's own."""
        scheme, _, host = origin.partition("://")
        return scheme in self._schemes and self.allow_host(host)

    def for_the_sdk(self) -> TransportSecuritySettings:
        """Return the same rules as the SDK checks them, a second time."""
        hosts = [pattern for name in sorted(self._names) for pattern in (name, *([f"{name}:*"] if _bare(name) else []))]
        origins = [f"{scheme}://{host}" for scheme in self._schemes for host in hosts]
        return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)


class Door:
    """ASGI middleware: refuses too long a head, a foreign Host or Origin, and every request without a token.

    The token is a member's; while there are no members it is the owner's own. Whose it was stands in the scope of that
    one request; nothing is remembered for a session.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, members: Members, *, local: LocalToken | None = None) -> None:
        """Remember whom to let in; without `local` members only, even when there are none."""
        self._app = app
        self._hosts = hosts
        self._members = members
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] == "http":
            scope = _as_served(scope)
            objection = self._objection(scope)
            if objection is not None:
                await objection(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def is_known(self, caller: str) -> bool:
        """Say whether this caller is still somebody: not after a member is removed, or the first is added.

        While the file of members cannot be read nobody new is let in, and nobody is taken for removed.
        """
        try:
            members = self._members.known()
        except SettingsError:
            return True
        return caller in members or (caller == LOCAL and self._local is not None and not members)

    def _objection(self, scope: Scope) -> Response | None:
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_TARGET_BYTES:
            return JSONResponse({"error": "uri_too_long"}, 414)
        if len(scope["headers"]) > MOST_HEADERS:
            return JSONResponse({"error": "too_many_headers"}, 431)
        if scope["path"] in OPEN_PATHS:
            return None
        hosts = _headers(scope, b"host")
        if len(hosts) != 1 or not self._hosts.allow_host(hosts[0]):
            return JSONResponse({"error": "invalid_host"}, 421)
        if scope["path"].startswith(PAGE_PATH):
            return None
        if any(not self._hosts.allow_origin(origin) for origin in _headers(scope, b"origin")):
            return JSONResponse({"error": "invalid_origin"}, 403)
        caller = self._caller_by(_token(scope))
        if caller is None:
            return JSONResponse(
                {"error": "invalid_token", "error_description": "A token of this server is needed."},
                401,
                {"WWW-Authenticate": 'Bearer realm="zinc-mcp", error="invalid_token"'},
            )
        let_in(scope, caller)
        return None

    def _caller_by(self, token: str) -> str | None:
        try:
            if self._members.known():
                self._local = None  # for good: that the members are gone does not make anybody the owner
            caller = self._members.caller_by(token)
        except SettingsError as error:
            logger.error("%s", error.summary)
            return None
        if caller is None and self._local is not None and self._local.matches(token):
            return LOCAL
        return caller


def _as_served(scope: Scope) -> Scope:
    """Return a request with its path in the spelling we route by, and without a place in a stream to go on from.

    No stream of ours can be continued; one that is asked for again starts anew, as the specification allows (MCP
    2025-11-25, Transports, "Resumability and Redelivery").
    """
    given: str = scope["path"]
    path = _SPELLINGS.get(given, given)
    if path.startswith(PAGE_PATH) and path != PAGE_PATH and path.endswith("/"):
        path = path[:-1]
    headers = [(name, value) for name, value in scope["headers"] if name != b"last-event-id"]
    return {**scope, "path": path, "raw_path": path.encode(), "headers": headers}


def _bare(name: str) -> bool:
    return name.endswith("]") or ":" not in name


def _headers(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]


def _token(scope: Scope) -> str:
    given = _headers(scope, b"authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""
