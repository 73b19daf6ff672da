"""The one bounded exchange with any network: Zinc, a Tempo node and Stripe are all asked through it.

One origin; one request and one answer, never repeated, bounded in bytes and time while it is read. No redirect is
followed, no cookie kept, nothing unpacked. What fails says whether anything was sent.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, cast

import anyio
from anyio import lowlevel

from zinc_mcp.proxies import Route, UnusableRouteError

if TYPE_CHECKING:
    import httpx  # loaded with the first request: nobody waits for it, or for its certificates, to see the tools

MAX_ANSWER_BYTES = 256 * 1024
"""An answer about one thing; an order with a hundred lines and their parcels takes a third of it."""
MAX_DEPTH = 64
"""Levels of nesting in an answer of JSON."""
MAX_PARTS = 30_000
"""Values in an answer of JSON, counted by its commas and brackets: what a parser takes milliseconds for."""

_PIECE_BYTES = 32
"""What a piece of an answer counts at least: a byte a piece would take a thousand times the work of one whole."""
_PIECES_A_TURN = 64
"""Pieces that are taken before others have their turn."""

_ALWAYS_SENT = {
    "User-Agent": "zinc-mcp",
    "Accept": "application/json",
    # Compressed, a megabyte would come in a kilobyte, and be a megabyte before anybody can count it.
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
}
_SECRET_HEADERS = ("Authorization", "Payment-Authorization")
_LEAST_SECRET = 5
"""Characters: shorter ones stand in answers by chance."""
_BRACKETS = b"[]{}"
_SIGNS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NOT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))

Leaving = Callable[[], None]
"""Called right before the first byte of a request leaves; what it raises stops that byte, and is raised."""

OnHeaders = Callable[[int, "httpx.Headers"], Awaitable[None]]
"""Awaited with status and headers as soon as they have arrived, before the body is read."""


@dataclass(frozen=True, slots=True)
class NetworkAnswer:
    """A whole answer, within bounds. Headers and content may hold secrets and addresses."""

    status: int
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the decoded body, or None when it is not JSON that is read here (see `decoded`)."""
        try:
            return decoded(self.content)
        except ValueError:
            return None


class NotSentError(Exception):
    """Nothing of the request has left. `because` is for a person, and empty where the other side was not reached."""

    def __init__(self, because: str = "") -> None:
        super().__init__(because or "not reached")
        self.because = because


class NoAnswerError(Exception):
    """The request was sent, or part of it, and no whole answer within bounds came."""

    def __init__(self, reason: Literal["timeout", "unreadable", "connection_lost"]) -> None:
        super().__init__(reason)
        self.reason: Literal["timeout", "unreadable", "connection_lost"] = reason


class Exchange:
    """The connections to one origin.

    It keeps connections and nothing else: no cookie of one key comes near a request with another.
    """

    def __init__(
        self,
        origin: str,
        route: Route | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            origin: scheme, host and port, and a path if all requests have that in common.
            route: through which proxy, and whom to trust; by default what the environment says.
            transport: stands for the network in tests and in the built-in sandbox.
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
        content: bytes | None = None,
        parameters: Mapping[str, str] | None = None,
        most_bytes: int = MAX_ANSWER_BYTES,
        on_headers: OnHeaders | None = None,
        leaving: Leaving | None = None,
    ) -> NetworkAnswer:
        """Send one request with exactly this content and return the answer, whatever it says.

        Args:
            verb: the method.
            path: what follows the origin.
            headers: besides those that every request has.
            seconds: the most that all of it may take, from connecting to the last byte.
            content: the body.
            parameters: of the query.
            most_bytes: the bound of the answer's body.
            on_headers: see `OnHeaders`.
            leaving: see `Leaving`; called when the connection stands, to a proxy and through it too.

        Raises:
            NotSentError: nothing of it has left.
            NoAnswerError: it was sent, and no whole answer came.
        """
        import httpx

        transport = self._connections()
        # Short of the whole, or a connection that never came about would count as a request in doubt.
        connecting = min(10.0, seconds / 4)
        timeouts = {"connect": connecting, "pool": connecting, "read": seconds, "write": seconds}
        try:
            address = _url(self._origin + path)
        except httpx.InvalidURL:
            raise NotSentError("its address cannot be used") from None  # and is not repeated: it may hold a key
        request = httpx.Request(
            verb,
            address,
            headers={**_ALWAYS_SENT, **headers},
            content=content,
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

        A transport and no `httpx.AsyncClient` around it: of what that adds (redirects, cookies, keys from the
        environment, decompression) nothing may happen here, and it takes a third of the time of a request.

        Raises:
            NotSentError: they cannot be opened, for want of certificates say.
        """
        if self._transport is None:
            import httpx

            limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=15.0)
            try:
                self._transport = (self._route or Route()).transport(self._origin, limits)
            except UnusableRouteError as error:
                raise NotSentError(str(error)) from error
        return self._transport


def decoded(content: bytes, **options: Any) -> Any:
    """Return what a body of JSON holds; `options` go to `json.loads`.

    Raises:
        ValueError: it is not JSON, is nested deeper than `MAX_DEPTH`, or holds more than `MAX_PARTS` values.
    """
    opened = content.count(b"[") + content.count(b"{")
    if opened + content.count(b",") > MAX_PARTS:
        raise ValueError("too many parts")
    # Without it the depth is bounded by the interpreter, whose bound a library may raise for everybody.
    if opened > MAX_DEPTH and _depth(content) > MAX_DEPTH:
        raise ValueError("too deep")
    try:
        return json.loads(content, **options)
    except RecursionError as error:
        raise ValueError("too deep") from error


def silence_transports() -> None:
    """Keep HTTP libraries from logging what they send and receive, also where all else is logged at `DEBUG`.

    An address may hold a token or a node's key, and a header of an answer the key of an order.
    """
    for name in ("httpx", "httpcore"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))


def _depth(content: bytes) -> int:
    """Return how deep the brackets outside of strings are nested; up to where it is JSON, that is exact."""
    outside = b"".join(content.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    signs = outside.translate(_SIGNS, _NOT_BRACKETS)
    return max(accumulate(memoryview(signs).cast("b")), default=0)


@lru_cache(maxsize=64)
def _url(address: str) -> httpx.URL:
    """Return a parsed address: most requests go to the same few, and parsing takes a third of making a request."""
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
                await lowlevel.checkpoint()  # many come in one packet, and none of them waits for the network
        return NetworkAnswer(response.status_code, response.headers, _without_secret(bytes(content), request.headers))
    finally:
        await response.aclose()


class _Watch:
    """What the HTTP library calls at each step of a request (httpcore, "Extensions", "trace")."""

    def __init__(self, leaving: Leaving | None) -> None:
        self._leaving = leaving
        self.has_left = False

    async def __call__(self, name: str, info: Mapping[str, Any]) -> None:
        """Note when the first byte leaves; what a proxy is asked beforehand is none of the request's."""
        if name == "http11.send_request_headers.started" and info["request"].method != b"CONNECT":
            if self._leaving is not None:
                self._leaving()
            self.has_left = True


class _TooMuchError(Exception):
    """The answer is larger than the bound, or may become so."""


def _nothing_sent() -> tuple[type[Exception], ...]:
    """Return what is raised before a byte of the request can have left (httpx, "Exceptions")."""
    import httpx

    return (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)


def _because(error: Exception) -> str:
    import httpx

    if not isinstance(error, httpx.ProxyError):
        return ""
    wants_password = str(error).startswith("407")
    return f"the proxy refused the connection{' and wants a user name and a password' if wants_password else ''}"


def _without_secret(content: bytes, headers: Mapping[str, str]) -> bytes:
    """Blot credentials out of an answer that quotes them: what is answered is shown to models as data."""
    secrets = {form for name in _SECRET_HEADERS for form in _forms(headers.get(name, ""))}
    for secret in sorted(secrets, key=len, reverse=True):  # a whole before its parts
        content = content.replace(secret.encode(), b"[redacted]")
    return content


def _forms(value: str) -> Iterator[str]:
    """Return what stands after the scheme of a header, and what can be read from it, as an answer may quote them."""
    credential = value.strip().partition(" ")[2].strip()
    for secret in (credential, *_parts(credential)):
        if len(secret) >= _LEAST_SECRET:
            yield secret
            quoted = json.dumps(secret)[1:-1]
            yield quoted
            yield quoted.replace("/", "\\/")


def _parts(credential: str) -> Iterator[str]:
    """Return what base64 hides: the password (RFC 7617), or the proof in a payment's credential."""
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
        yield password or user  # where there is no password, the user is the key
        return
    payload = cast("dict[str, object]", members).get("payload") if isinstance(members, dict) else None
    if isinstance(payload, dict):
        # Its own name for the payment is no secret, and an answer needs it.
        yield from (
            each
            for name, each in cast("dict[str, object]", payload).items()
            if isinstance(each, str) and name not in ("type", "externalId")
        )
