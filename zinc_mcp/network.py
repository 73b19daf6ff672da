"""Bounded HTTP requests to one origin. Zinc, a Tempo node and Stripe are all asked through this module.

A request is sent once and never repeated. Its answer is bounded in bytes and time. Redirects are not followed, cookies
are not kept, and nothing is decompressed. An error says whether anything was sent.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast

import anyio
from anyio import lowlevel

from zinc_mcp.proxies import Route, UnusableRouteError
from zinc_mcp.secret_body import SecretBody

if TYPE_CHECKING:
    import httpx  # loaded with the first request, so that listing the tools does not wait for it

MAX_ANSWER_BYTES = 256 * 1024
"""The largest answer about one thing; an order with a hundred lines and their parcels takes a third of it."""
MAX_DEPTH = 64
"""Levels of nesting in a JSON answer."""
MAX_PARTS = 30_000
"""Values in a JSON answer, counted by its commas and brackets; a parser reads so many in milliseconds."""

_PIECE_BYTES = 32
"""Each received piece counts as at least so many bytes: reading single bytes costs a thousand times the work."""
_PIECES_A_TURN = 64
"""Pieces that are read before other tasks run."""

_ALWAYS_SENT = {
    "User-Agent": "zinc-mcp",
    "Accept": "application/json",
    # A compressed kilobyte could become a megabyte before it can be counted.
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
}
_SECRET_HEADERS = ("Authorization", "Payment-Authorization")
_LEAST_SECRET = 5
"""In characters. Shorter secrets are not removed, since such short texts stand in answers by chance."""
_BRACKETS = b"[]{}"
_SIGNS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NOT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))

Leaving = Callable[[], None]
"""Called right before the first byte of a request leaves. An error that it raises stops the request."""

Parameters = Mapping[str, str | list[str]]
"""The parameters of a query; a list repeats its parameter."""
OnHeaders = Callable[[int, "httpx.Headers"], Awaitable[None]]
"""Awaited with status and headers as soon as they have arrived, before the body is read."""


@dataclass(frozen=True, slots=True)
class NetworkAnswer:
    """A whole answer, within bounds. Headers and content may hold secrets and addresses."""

    status: int
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the decoded body, or None if `decoded` does not accept it."""
        try:
            return decoded(self.content)
        except ValueError:
            return None


class NotSentError(Exception):
    """Nothing of the request has left. `because` is for a person, and empty if the other side was not reached."""

    def __init__(self, because: str = "") -> None:
        super().__init__(because or "not reached")
        self.because = because


class NoAnswerError(Exception):
    """The request was sent, or part of it, and no whole answer within bounds came."""

    def __init__(self, reason: Literal["timeout", "unreadable", "connection_lost"]) -> None:
        super().__init__(reason)
        self.reason: Literal["timeout", "unreadable", "connection_lost"] = reason


class Exchange:
    """The connections to one origin. Nothing else is kept: requests with different keys share no cookies."""

    def __init__(
        self,
        origin: str,
        route: Route | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            origin: scheme, host and port, and the path that all requests have in common, if there is one.
            route: the proxy and the trusted certificates; by default those of the environment.
            transport: replaces the network in tests and in the built-in sandbox.
        """
        silence_transports()
        self._origin = origin
        self._route = route
        self._transport = transport
        self._given = transport is not None

    async def ask(
        self,
        verb: str,
        path: str,
        headers: Mapping[str, str],
        *,
        seconds: float,
        content: bytes | SecretBody | None = None,
        parameters: Parameters | None = None,
        most_bytes: int = MAX_ANSWER_BYTES,
        on_headers: OnHeaders | None = None,
        leaving: Leaving | None = None,
    ) -> NetworkAnswer:
        """Send one request with exactly this content and return the answer, of any status.

        Args:
            verb: the HTTP method.
            path: the part of the URL after the origin.
            headers: additional headers.
            seconds: the longest time for the whole request, from connecting to the last byte.
            content: the body.
            parameters: the parameters of the query.
            most_bytes: the bound of the answer's body.
            on_headers: see `OnHeaders`.
            leaving: see `Leaving`; called after the connection is made, including the one through a proxy.

        Raises:
            NotSentError: nothing of the request has left.
            NoAnswerError: the request was sent, and no whole answer came.
        """
        import httpx

        transport = self._connections()
        # Shorter than `seconds`: otherwise a failure to connect would count as a request that may have been sent.
        connecting = min(10.0, seconds / 4)
        timeouts = {"connect": connecting, "pool": connecting, "read": seconds, "write": seconds}
        try:
            address = _url(self._origin + path)
        except httpx.InvalidURL:
            raise NotSentError("its address cannot be used") from None  # the address may hold a key
        request = httpx.Request(
            verb,
            address,
            headers={**_ALWAYS_SENT, **headers},
            # Revealed only here: a traceback may show every variable, so no variable holds these bytes.
            content=content.revealed() if isinstance(content, SecretBody) else content,
            params=parameters,
            extensions={"timeout": timeouts},
        )
        watch = None
        if content is not None:
            if not self._given:
                watch = request.extensions["trace"] = _Watch(leaving)
            elif leaving is not None:
                leaving()
        try:
            with anyio.fail_after(seconds):
                return await _exchanged(transport, request, most_bytes, on_headers)
        except _TooMuchError as error:
            raise NoAnswerError("unreadable") from error
        except (httpx.HTTPError, OSError) as error:  # TimeoutError is one
            if isinstance(error, _nothing_sent()) if watch is None else not watch.has_left:
                raise NotSentError(_because(error)) from error
            slow = isinstance(error, TimeoutError | httpx.TimeoutException)
            raise NoAnswerError("timeout" if slow else "connection_lost") from error

    async def aclose(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.aclose()

    def _connections(self) -> httpx.AsyncBaseTransport:
        """Return the connections, opened on first use.

        They are a bare transport. `httpx.AsyncClient` would add redirects, cookies, keys from the environment and
        decompression, and none of these may happen here. It would also add a third of the time of a request.

        Raises:
            NotSentError: they cannot be opened, for example without usable certificates.
        """
        if self._transport is None:
            import httpx

            _skip_searches()
            limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=15.0)
            try:
                self._transport = (self._route or Route()).transport(self._origin, limits)
            except UnusableRouteError as error:
                raise NotSentError(str(error)) from error
        return self._transport


def decoded(content: bytes, **options: Any) -> Any:
    """Decode a JSON body; `options` go to `json.loads`.

    Raises:
        ValueError: it is not JSON, is nested deeper than `MAX_DEPTH`, or holds more than `MAX_PARTS` values.
    """
    opened = content.count(b"[") + content.count(b"{")
    if opened + content.count(b",") > MAX_PARTS:
        raise ValueError("too many parts")
    # The interpreter has a bound of its own, but any library may raise that bound.
    if opened > MAX_DEPTH and _depth(content) > MAX_DEPTH:
        raise ValueError("too deep")
    try:
        return json.loads(content, **options)
    except RecursionError as error:
        raise ValueError("too deep") from error


def silence_transports() -> None:
    """Keep HTTP libraries from logging requests and answers, even if the rest is logged at `DEBUG`.

    An address may hold a token or a node's key. A header of an answer may hold the key of an order.
    """
    for name in ("httpx", "httpcore"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))


def _skip_searches() -> None:
    """Make the import of `sniffio` fail at once where it is not installed.

    httpcore imports it four times in each request, and each search through the path costs a fiftieth of a tool call.
    None is the documented value for this (Python, "The import system", 5.3.1).
    """
    if "sniffio" not in sys.modules and importlib.util.find_spec("sniffio") is None:
        sys.modules["sniffio"] = cast(ModuleType, None)


def _depth(content: bytes) -> int:
    """Return the depth of the brackets outside of strings; exact for valid JSON."""
    outside = b"".join(content.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    signs = outside.translate(_SIGNS, _NOT_BRACKETS)
    return max(accumulate(memoryview(signs).cast("b")), default=0)


@lru_cache(maxsize=64)
def _url(address: str) -> httpx.URL:
    """Return a parsed address. Parsing takes a third of the time to make a request, and a few addresses are usual."""
    import httpx

    return httpx.URL(address)


async def _exchanged(
    transport: httpx.AsyncBaseTransport, request: httpx.Request, most_bytes: int, on_headers: OnHeaders | None
) -> NetworkAnswer:
    response = await transport.handle_async_request(request)
    try:
        if on_headers is not None:
            await on_headers(response.status_code, response.headers)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _TooMuchError
        announced = response.headers.get("content-length", "")
        if len(announced) > 15 or (announced.isdecimal() and int(announced) > most_bytes):
            raise _TooMuchError
        content = bytearray()
        pieces = counted = 0
        async for piece in cast("httpx.AsyncByteStream", response.stream):
            content += piece
            pieces += 1
            counted += max(len(piece), _PIECE_BYTES)
            if len(content) > most_bytes or counted > most_bytes + _PIECE_BYTES:
                raise _TooMuchError
            if pieces % _PIECES_A_TURN == 0:
                await lowlevel.checkpoint()  # pieces of one packet do not wait for the network
        return NetworkAnswer(response.status_code, response.headers, _without_secret(bytes(content), request.headers))
    finally:
        await response.aclose()


class _Watch:
    """Notes when a request leaves; the HTTP library calls it at each step (httpcore, "Extensions", "trace")."""

    def __init__(self, leaving: Leaving | None) -> None:
        self._leaving = leaving
        self.has_left = False

    async def __call__(self, name: str, info: Mapping[str, Any]) -> None:
        """Note when the first byte leaves. The CONNECT request to a proxy does not count."""
        if name == "http11.send_request_headers.started" and info["request"].method != b"CONNECT":
            if self._leaving is not None:
                self._leaving()
            self.has_left = True
            # The later steps prove nothing, and a call at each of them takes a hundredth of a placing call's time.
            info["request"].extensions.pop("trace", None)


class _TooMuchError(Exception):
    """The answer is larger than the bound, or would be after decompression."""


def _nothing_sent() -> tuple[type[Exception], ...]:
    """Return the errors that httpx raises before a byte of the request can have left (httpx, "Exceptions")."""
    import httpx

    return (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)


def _because(error: Exception) -> str:
    import httpx

    if not isinstance(error, httpx.ProxyError):
        return ""
    wants_password = str(error).startswith("407")
    return f"the proxy refused the connection{' and wants a user name and a password' if wants_password else ''}"


def _without_secret(content: bytes, headers: Mapping[str, str]) -> bytes:
    """Remove credentials from an answer that quotes them, because answers are shown to models as data."""
    for secret in _secrets_in(*(headers.get(name, "") for name in _SECRET_HEADERS)):
        content = content.replace(secret, b"[redacted]")
    return content


@lru_cache(maxsize=64)
def _secrets_in(*values: str) -> tuple[bytes, ...]:
    """Return the secrets in the values of headers, each whole before its parts. A process sends few different ones."""
    forms = {form for value in values for form in _forms(value)}
    return tuple(form.encode() for form in sorted(forms, key=len, reverse=True))


def _forms(value: str) -> Iterator[str]:
    """Yield the credential of a header and the secrets inside it, in each form in which an answer may quote them."""
    credential = value.strip().partition(" ")[2].strip()
    for secret in (credential, *_parts(credential)):
        if len(secret) >= _LEAST_SECRET:
            yield secret
            quoted = json.dumps(secret)[1:-1]
            yield quoted
            yield quoted.replace("/", "\\/")


def _parts(credential: str) -> Iterator[str]:
    """Yield the secrets inside base64: the password (RFC 7617), or the proof in a payment's credential."""
    spelled = credential.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        text = base64.b64decode(spelled + "=" * (-len(spelled) % 4), validate=True).decode()
    except ValueError:
        return
    yield text
    try:
        members = decoded(text.encode())
    except ValueError:
        user, _, password = text.partition(":")
        yield password or user  # without a password, the user name is the key
        return
    payload = cast("dict[str, object]", members).get("payload") if isinstance(members, dict) else None
    if isinstance(payload, dict):
        # The credential's name for the payment is no secret, and an answer needs it.
        yield from (
            each
            for name, each in cast("dict[str, object]", payload).items()
            if isinstance(each, str) and name not in ("type", "externalId")
        )
