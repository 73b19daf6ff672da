"""The checks of a request before the SDK gets it: its path, Host, Origin and token, and one message as its body.

A broken message gets the same answer as on stdin. The SDK takes a request with an unusable id for a notification and
answers 202, shows the text of its validator, and reads no id from a broken message (mcp 2.3, `streamable_http`).
"""

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import INVALID_REQUEST, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zinc_mcp.known_settings import PROFILES, Right, rights_for
from zinc_mcp.owner.team.places import UnconfirmedError
from zinc_mcp.server.http.access import access_in, note_access
from zinc_mcp.server.http.known import KnownCallers
from zinc_mcp.server.http.oauth.challenges import METADATA_PATHS, insufficient, not_let_in, unauthorized
from zinc_mcp.server.http.oauth.terms import Terms
from zinc_mcp.server.http.oauth.tokens import StrangerError
from zinc_mcp.server.messages import MOST_MESSAGE_BYTES, TOO_LARGE, ReadMessage, read_message

HEALTH_PATH, READY_PATH = "/healthz", "/readyz"
OPEN_PATHS = frozenset({HEALTH_PATH, READY_PATH})
"""The paths for watchdogs, open without a token and by any name. Their answers tell nothing about orders."""

PAGE_PATH = "/approve/"
"""The approval page: a browser brings no token, and the page itself checks where an answer comes from."""

REDIRECT_PATH = f"{PAGE_PATH}signed-in"
"""The path to which the issuer sends browsers back."""

WEBHOOK_PATH = "/webhooks/zinc"
"""Zinc brings no token there, but signs its events. No event counts as a request of a member."""

MAX_TARGET_BYTES = 2048
"""The longest path with its query; the longest of ours has a tenth of that."""
MAX_REDIRECT_BYTES = 6144
"""The same for a redirect from the issuer; a code of Entra ID alone has up to 2,000 characters."""
MOST_HEADERS = 100
_RETRY_SECONDS = 5

_NOT_MESSAGES = frozenset({*OPEN_PATHS, WEBHOOK_PATH})
"""The paths whose bodies are no messages of MCP."""

_SPELLINGS = {
    **{f"{path}/": path for path in ("/mcp", "/sse", HEALTH_PATH, READY_PATH, WEBHOOK_PATH)},
    **{path: f"{path}/" for path in ("/messages", "/approve")},
}
"""The other spelling of each path, which is served as well: a redirect would name `http` behind a proxy that ends TLS,
and many clients do not follow one with a body."""


class Hosts:
    """The names by which clients may know this server: `name:port`, or `name` for any port.

    A web page can make a browser send requests to any address (DNS rebinding), but it cannot choose the Host and the
    Origin that the browser names (MCP specification, Transports, "Security Warning").
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


class RequestCheck:
    """ASGI middleware: refuses too long a head, a foreign Host or Origin, and every request without a token.

    The token is a member's; while there are no members it is the owner's own. With an OAuth issuer, its access tokens
    count as well. The access is noted in the scope of that one request; nothing is remembered for a session.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, known: KnownCallers) -> None:
        self._app = app
        self._hosts = hosts
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it here."""
        if scope["type"] == "http":
            scope = _as_served(scope)
            objection = self._objection(scope)
            if objection is None and not self._is_open(scope["path"]):
                objection = await self._recognise(scope)
            if objection is not None:
                await objection(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _objection(self, scope: Scope) -> Response | None:
        most = MAX_REDIRECT_BYTES if scope["path"] == REDIRECT_PATH else MAX_TARGET_BYTES
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > most:
            return JSONResponse({"error": "uri_too_long"}, 414)
        if len(scope["headers"]) > MOST_HEADERS:
            return JSONResponse({"error": "too_many_headers"}, 431)
        if scope["path"] in OPEN_PATHS:
            return None
        hosts = _headers(scope, b"host")
        if len(hosts) != 1 or not self._hosts.allow_host(hosts[0]):
            return JSONResponse({"error": "invalid_host"}, 421)
        if scope["path"] == WEBHOOK_PATH or scope["path"].startswith(PAGE_PATH):
            return None
        if any(not self._hosts.allow_origin(origin) for origin in _headers(scope, b"origin")):
            return JSONResponse({"error": "invalid_origin"}, 403)
        return None

    def _is_open(self, path: str) -> bool:
        """Say whether a path needs no token."""
        described = self._known.terms is not None and path in METADATA_PATHS
        return described or path in _NOT_MESSAGES or path.startswith(PAGE_PATH)

    async def _recognise(self, scope: Scope) -> Response | None:
        """Note the access that the token of a request gives; return the refusal if it gives none."""
        try:
            access = await self._known.access(_token(scope))
        except StrangerError as error:
            return not_let_in(error.identity)
        except UnconfirmedError as error:
            # Not 401, because a host would throw away a token that is right.
            answer = {"error": "members_unconfirmed", "error_description": f"{error.summary} {error.next_step}"}
            return JSONResponse(answer, 503, {"Retry-After": str(_RETRY_SECONDS)})
        if access is None:
            return unauthorized(self._known.terms, scope["path"])
        note_access(scope, access)
        return None


class Bodies:
    """ASGI middleware behind the check of the token: reads each message whole, within bounds, and passes it on.

    A message that needs more scopes than its token has is refused here, where a status can still tell the client so.
    """

    def __init__(self, app: ASGIApp, terms: Terms | None = None) -> None:
        self._app = app
        self._terms = terms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body in one piece, or answer it here."""
        if scope["type"] != "http" or scope["path"] in _NOT_MESSAGES or scope["path"].startswith(PAGE_PATH):
            await self._app(scope, receive, send)
            return
        if scope["method"] != "POST" and (objection := self._beyond_scopes(scope, None)) is not None:
            await objection(scope, receive, send)
            return
        if is_announced_over(scope, MOST_MESSAGE_BYTES):
            await _too_large()(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return  # the client has gone
            body += message.get("body", b"")
            if len(body) > MOST_MESSAGE_BYTES:
                await _too_large()(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        whole = bytes(body)
        del body
        if scope["method"] == "POST":
            read = read_message(whole)
            if read.message is None:
                await _answer(read)(scope, receive, send)
                return
            objection = self._beyond_scopes(scope, read.message)
            if objection is not None:
                await objection(scope, receive, send)
                return
            if read.is_rewritten:
                whole = read.message.model_dump_json(by_alias=True, exclude_unset=True).encode()
                others = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
                scope = {**scope, "headers": [*others, (b"content-length", b"%d" % len(whole))]}
        waiting: list[Message] = [{"type": "http.request", "body": whole, "more_body": False}]
        del whole

        async def replayed() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, replayed, send)

    def _beyond_scopes(self, scope: Scope, message: JSONRPCMessage | None) -> Response | None:
        """Return the refusal of a message that needs more scopes than the access token has, or None.

        A tool is taken from the message itself, in either era; the SDK compares it with the header that names it.
        """
        access = access_in(scope)
        if self._terms is None or access is None:
            return None
        needed = needed_for(message)
        return insufficient(self._terms, scope["path"], needed) if access.missing_scopes(needed) else None


def needed_for(message: JSONRPCMessage | None) -> tuple[Right, ...]:
    """Return all rights that a message needs: those of the tool that it calls, else the right to look."""
    if not isinstance(message, JSONRPCRequest | JSONRPCNotification) or message.method != "tools/call":
        return ("read",)
    tool = (message.params or {}).get("name")
    # The server refuses a tool that does not exist; the right to look is enough to be told so.
    return rights_for(tool) if isinstance(tool, str) and tool in PROFILES else ("read",)


def is_announced_over(scope: Scope, most_bytes: int) -> bool:
    """Say whether a request announces a body of more bytes than that."""
    announced = Headers(scope=scope).get("content-length", "")
    # Python refuses to read a number of very many digits, and 15 are far too many anyway.
    return announced.isdecimal() and (len(announced) > 15 or int(announced) > most_bytes)


def _too_large() -> Response:
    """Return an error without an id, because no message was read (JSON-RPC 2.0, section 5.1)."""
    error = {"code": INVALID_REQUEST, "message": TOO_LARGE}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, 413)


def _answer(read: ReadMessage) -> Response:
    """Return one error for one body. For several messages it has no id, because the protocol has no list of answers."""
    if not read.refusals:
        return Response(status_code=202)
    refusal = read.refusals[0]
    if len(read.refusals) > 1:
        refusal = refusal.model_copy(update={"id": None})
    return Response(refusal.model_dump_json(by_alias=True, exclude_unset=True), 400, media_type="application/json")


def _as_served(scope: Scope) -> Scope:
    """Return a request with its path in the spelling of our routes, and without the header that continues a stream.

    No stream of ours can be continued. A stream that is asked for again starts anew, as the specification allows (MCP
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
