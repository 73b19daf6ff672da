"""The connection to one Zinc: the check of its address, and requests whose failures say what they prove."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pydantic import SecretStr

from zinc_mcp.errors import (
    OrderOutcomeUnknownError,
    SettingsError,
    UnreadableAnswerError,
    ZincMcpError,
    ZincUnreachableError,
)
from zinc_mcp.network import (
    MAX_ANSWER_BYTES,
    Exchange,
    Leaving,
    NetworkAnswer,
    NoAnswerError,
    NotSentError,
    OnHeaders,
)
from zinc_mcp.proxies import is_loopback

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.proxies import Route


MAX_LIST_BYTES = 512 * 1024
"""A page of a list of orders."""
WIRE_SECONDS = 60.0
READ_SECONDS = 15.0

OnDate = Callable[[float | None], None]
"""Called with the time of an answer (`Date`), in seconds since the epoch; None if the answer has none."""

_HOW = {
    "timeout": "no answer came in time",
    "unreadable": "the answer was too large or packed, and was not read",
    "connection_lost": "the connection was lost before the answer",
}


class Connection:
    """The connections to one Zinc; errors say whether the request was sent."""

    def __init__(
        self,
        origin: str,
        *,
        route: Route | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        wire_seconds: float = WIRE_SECONDS,
        read_seconds: float = READ_SECONDS,
        on_date: OnDate | None = None,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            origin: scheme, host and port, in the spelling of `check_origin`.
            route: see `Exchange`.
            transport: replaces the network in tests and in the built-in sandbox.
            wire_seconds: the most that one placing request may take, from connecting to the last byte.
            read_seconds: the same for reads.
            on_date: called with the time of each answer.
        """
        self._exchange = Exchange(origin, route, transport=transport)
        self._on_date = on_date
        self._wire_seconds = wire_seconds
        self._read_seconds = read_seconds

    async def post(
        self,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        on_headers: OnHeaders | None = None,
        leaving: Leaving | None = None,
    ) -> NetworkAnswer:
        """Send one placing request with exactly these bytes and return the answer, whatever its status.

        `on_headers` is awaited as soon as the headers have arrived, before the body is read. `leaving` is called after
        the connection is made and before the first byte is sent.

        Raises:
            ZincUnreachableError: nothing was sent.
            OrderOutcomeUnknownError: the request was sent, and no whole answer came.
        """
        try:
            return await self._exchange.ask(
                "POST",
                path,
                {"Content-Type": "application/json", **headers},
                seconds=self._wire_seconds,
                content=body,
                on_headers=self._listening(on_headers),
                leaving=leaving,
            )
        except NotSentError as error:
            raise _unreachable(error, ", so nothing was sent") from error
        except NoAnswerError as error:
            raise unanswered_error(_HOW[error.reason], error.reason) from error

    async def get(
        self,
        path: str,
        headers: Mapping[str, str],
        parameters: Mapping[str, str] | None = None,
        most_bytes: int = MAX_ANSWER_BYTES,
    ) -> NetworkAnswer:
        """Send one GET request and return the answer, whatever its status.

        Raises:
            ZincUnreachableError: Zinc was not asked.
            UnreadableAnswerError: no whole answer came.
        """
        try:
            return await self._exchange.ask(
                "GET",
                path,
                headers,
                seconds=self._read_seconds,
                parameters=parameters,
                most_bytes=most_bytes,
                on_headers=self._listening(None),
            )
        except NotSentError as error:
            raise _unreachable(error) from error
        except NoAnswerError as error:
            raise unreadable_error() from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._exchange.aclose()

    def _listening(self, on_headers: OnHeaders | None) -> OnHeaders | None:
        on_date = self._on_date
        if on_date is None:
            return on_headers

        async def arrived(status: int, headers: httpx.Headers) -> None:
            on_date(read_date(headers.get("date")))
            if on_headers is not None:
                await on_headers(status, headers)

        return arrived


def bearer_header(api_key: SecretStr) -> dict[str, str]:
    """Return the header that carries an API key.

    Raises:
        ZincUnreachableError: the key has characters that no header can carry.
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


def read_date(text: str | None) -> float | None:
    """Read a `Date` header (RFC 9110, section 6.6.1); None if it is absent or unreadable."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def unanswered_error(how: str, reason: str) -> ZincMcpError:
    """Return the error for a placing request that was sent and got no usable answer."""
    return OrderOutcomeUnknownError(f"The order was sent, but {how}.", facts={"reason": reason})


def unreadable_error() -> ZincMcpError:
    """Return the error for a read without a usable answer."""
    return UnreadableAnswerError("Zinc did not give a readable answer just now.")


def _unreachable(error: NotSentError, end: str = "") -> ZincMcpError:
    because = f" ({error.because})" if error.because else ""
    return ZincUnreachableError(f"Zinc could not be reached{because}{end}.")


_ORIGIN = re.compile(
    r"(https?)://([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?((?:/[A-Za-z0-9_-]+)*)/*",
)
_DEFAULT_PORTS = {"https": "443", "http": "80"}


def check_origin(origin: str) -> str:
    """Return `origin` in one spelling: scheme, host, port if it is not the default, and path if there is one.

    Raises:
        SettingsError: it is neither https, nor http to a loopback address.
    """
    scheme, _, rest = origin.strip().partition("://")
    host, slash, path = rest.partition("/")
    parts = _ORIGIN.fullmatch(f"{scheme.lower()}://{host.lower()}{slash}{path}")
    if parts is None or int(parts[3] or 1) > 65535 or not _exists(parts[2]):
        raise SettingsError("ZINC_API_URL is not an address like https://api.zinc.com.")
    if parts[1] == "http" and not is_loopback(parts[2].strip("[]")):
        raise SettingsError("ZINC_API_URL must use https; plain http is taken for loopback addresses only.")
    port = f":{parts[3]}" if parts[3] and parts[3] != _DEFAULT_PORTS[parts[1]] else ""
    return f"{parts[1]}://{parts[2]}{port}{parts[4]}"


def _exists(host: str) -> bool:
    if not host.startswith("["):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).version == 6
    except ValueError:
        return False
