"""One request, one answer: bounded in size and time, never repeated; what fails says what that proves."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import anyio
from pydantic import SecretStr

from zinc_mcp.errors import OrderOutcomeUnknownError, UnreadableAnswerError, ZincMcpError, ZincUnreachableError

if TYPE_CHECKING:
    import httpx  # loaded with the first request: nobody waits for it, or for its certificates, to see the tools

MAX_ANSWER_BYTES = 4 * 1024 * 1024
WIRE_SECONDS = 60.0
READ_SECONDS = 15.0

# Compressed, a megabyte would come in a kilobyte, and be a megabyte before anybody can count it.
_ALWAYS_SENT = {
    "User-Agent": "zinc-mcp",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
}

Leaving = Callable[[], None]
"""Called right before the first byte of a placing request leaves; what it raises stops that byte, and is raised."""

Heard = Callable[[float | None], None]
"""Called with the time of an answer (`Date`), in seconds since the epoch; None when it carries none."""

OnHeaders = Callable[[int, "httpx.Headers"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """A whole answer, within bounds. Headers and content may hold secrets and addresses."""

    status: int
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the decoded body, or None when it is not JSON."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None


class Wire:
    """The connections to one origin.

    It keeps connections and nothing else: no cookie of one API key comes near a request with another.
    """

    def __init__(
        self,
        origin: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        wire_seconds: float = WIRE_SECONDS,
        read_seconds: float = READ_SECONDS,
        heard: Heard | None = None,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            origin: scheme, host and port, in the spelling of `check_origin`.
            transport: stands for the network in tests and in the built-in sandbox.
            wire_seconds: the most one placing request may take, from connecting to the last byte.
            read_seconds: the same for reads.
            heard: called with the time that each answer carries.
        """
        self._origin = origin
        self._heard = heard
        self._wire_seconds = wire_seconds
        self._read_seconds = read_seconds
        # Short of the whole, or a connection that never came about would count as an order in doubt.
        connecting = min(10.0, wire_seconds / 4)
        self._timeouts = {"connect": connecting, "pool": connecting, "read": wire_seconds, "write": wire_seconds}
        self._transport = transport
        self._given = transport is not None

    async def post(
        self,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        on_headers: OnHeaders | None = None,
        leaving: Leaving | None = None,
    ) -> WireAnswer:
        """Send one placing request with exactly these bytes and return the answer, whatever it says.

        `on_headers` is awaited as soon as the headers have arrived, before the body is read. `leaving` is called when
        the connection stands and before the first byte goes out on it.

        Raises:
            ZincUnreachableError: nothing was sent.
            OrderOutcomeUnknownError: sent, and no whole answer came.
        """
        import httpx

        transport = self._connections()  # before what follows takes a failure for one of the wire
        request = self._request("POST", path, {"Content-Type": "application/json", **headers}, body)
        if leaving is not None:
            if self._given:
                leaving()
            else:
                request.extensions["trace"] = _before_the_first_byte(leaving)
        try:
            with anyio.fail_after(self._wire_seconds):
                return await _exchange(transport, request, on_headers, self._heard)
        except _nothing_sent() as error:
            raise ZincUnreachableError("Zinc could not be reached, so nothing was sent.") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise unanswered("no answer came in time", "timeout") from error
        except _NotReadError as error:
            raise unanswered("the answer was too large or packed, and was not read", "unreadable") from error
        except (httpx.HTTPError, OSError) as error:
            raise unanswered("the connection was lost before the answer", "connection_lost") from error

    async def get(
        self, path: str, headers: Mapping[str, str], parameters: Mapping[str, str] | None = None
    ) -> WireAnswer:
        """Read once and return the answer, whatever it says.

        Raises:
            ZincUnreachableError: Zinc was not asked.
            UnreadableAnswerError: no whole answer came.
        """
        import httpx

        transport = self._connections()
        request = self._request("GET", path, headers, parameters=parameters)
        try:
            with anyio.fail_after(self._read_seconds):
                return await _exchange(transport, request, None, self._heard)
        except _nothing_sent() as error:
            raise _unreachable() from error
        except (httpx.HTTPError, OSError, _NotReadError) as error:
            raise unreadable() from error

    async def aclose(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.aclose()

    def _connections(self) -> httpx.AsyncBaseTransport:
        """Return the connections, opened on first use.

        A transport and no `httpx.AsyncClient` around it: of what that adds (redirects, cookies, proxies and keys from
        the environment, decompression) nothing may happen here, and it takes a third of the time of a request.

        Raises:
            ZincUnreachableError: they cannot be opened, for want of certificates say.
        """
        if self._transport is None:
            import httpx

            limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=15.0)
            try:
                self._transport = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
            except OSError as error:  # ssl.SSLError is one
                raise _unreachable() from error
        return self._transport

    def _request(
        self,
        verb: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> httpx.Request:
        import httpx

        return httpx.Request(
            verb,
            _url(self._origin + path),
            headers={**_ALWAYS_SENT, **headers},
            content=body,
            params=parameters,
            extensions={"timeout": self._timeouts},
        )


def bearer(api_key: SecretStr) -> dict[str, str]:
    """Return the header that carries an API key.

    Raises:
        ZincUnreachableError: it cannot be carried by one.
    """
    secret = api_key.get_secret_value()
    if not secret or any(not 33 <= ord(character) <= 126 for character in secret):
        # A line break would start a header of its own, and the HTTP library's objection would quote the key.
        raise ZincUnreachableError(
            "The API key holds characters that no API key has, so Zinc cannot be asked with it.",
            "Tell the user to correct ZINC_API_KEY.",
            owner_step="Correct ZINC_API_KEY.",
        )
    return {"Authorization": f"Bearer {secret}"}


def dated(text: str | None) -> float | None:
    """Read a `Date` header (RFC 9110, section 6.6.1); None when there is none that can be read."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def unanswered(how: str, reason: str) -> ZincMcpError:
    """Return the failure of a placing request that was sent and that no usable answer came to."""
    return OrderOutcomeUnknownError(f"The order was sent, but {how}.", facts={"reason": reason})


def unreadable() -> ZincMcpError:
    """Return the failure of a read that no usable answer came to."""
    return UnreadableAnswerError("Zinc did not give a readable answer just now.")


def _unreachable() -> ZincMcpError:
    return ZincUnreachableError("Zinc could not be reached.")


@lru_cache(maxsize=64)
def _url(address: str) -> httpx.URL:
    """Return a parsed address: most requests go to the same few, and parsing takes a third of making a request."""
    import httpx

    return httpx.URL(address)


async def _exchange(
    transport: httpx.AsyncBaseTransport,
    request: httpx.Request,
    on_headers: OnHeaders | None = None,
    heard: Heard | None = None,
) -> WireAnswer:
    response = await transport.handle_async_request(request)
    try:
        if heard is not None:
            heard(dated(response.headers.get("date")))
        if on_headers is not None:
            await on_headers(response.status_code, response.headers)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _NotReadError
        content = bytearray()
        async for chunk in cast("httpx.AsyncByteStream", response.stream):
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise _NotReadError
        return WireAnswer(response.status_code, response.headers, _without_secret(bytes(content), request.headers))
    finally:
        await response.aclose()


def _before_the_first_byte(leaving: Leaving) -> Callable[[str, Mapping[str, Any]], Awaitable[None]]:
    """Return what the HTTP library calls at each step of a request (httpcore, "Extensions", "trace")."""

    async def step(name: str, _info: Mapping[str, Any]) -> None:
        if name == "http11.send_request_headers.started":
            leaving()

    return step


class _NotReadError(Exception):
    """The answer is larger than the bound, or may become so."""


def _nothing_sent() -> tuple[type[Exception], ...]:
    """Return what is raised before a byte of the request can have left (httpx, "Exceptions")."""
    import httpx

    return (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def _without_secret(content: bytes, headers: Mapping[str, str]) -> bytes:
    """Blot the key out of an answer that quotes it: what Zinc says is shown to models as data."""
    secret = headers.get("Authorization", "").removeprefix("Bearer ").encode()
    return content.replace(secret, b"[redacted]") if len(secret) > 4 else content
