"""The connection to one Zinc: it sends each request once, bounds it, and tells the time of each answer.

`ZincClient` and `V1Client` are connections that know the endpoints of one service, and how a key goes with a request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, ClassVar

from zinc_mcp.errors import ZincUnreachableError
from zinc_mcp.network import MAX_ANSWER_BYTES, Exchange, Leaving, NetworkAnswer, NotSentError, OnHeaders, Parameters
from zinc_mcp.zinc.origin import check_origin

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.proxies import Route
    from zinc_mcp.secret_body import SecretBody

WIRE_SECONDS = 60.0
READ_SECONDS = 15.0

OnDate = Callable[[float | None], None]
"""Called with the time of an answer (`Date`), in seconds since the epoch; None if the answer has none."""

UNANSWERED: Mapping[str, str] = {
    "timeout": "no answer came in time",
    "unreadable": "the answer was too large or packed, and was not read",
    "connection_lost": "the connection was lost before the answer",
}
"""By `NoAnswerError.reason`: a clause about a request that was sent."""


class Connection:
    """Sends requests to one Zinc. It never retries, never follows a redirect, and reads only bounded answers."""

    address_setting: ClassVar[str] = "ZINC_API_URL"
    """The variable that names the origin, for errors."""

    def __init__(
        self,
        origin: str,
        *,
        route: Route | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        wire_seconds: float = WIRE_SECONDS,
        read_seconds: float = READ_SECONDS,
        on_date: OnDate | None = None,
        exchange: Callable[..., Exchange] = Exchange,
    ) -> None:
        """Prepare a connection; nothing is connected yet.

        Args:
            origin: scheme, host and port, as `check_origin` takes them.
            route: see `Exchange`.
            transport: replaces the network in tests and in the built-in sandbox.
            wire_seconds: the most that one request with a content may take, from connecting to the last byte.
            read_seconds: the same for reads.
            on_date: called with the time of each answer.
            exchange: makes the exchange, as its class does.

        Raises:
            SettingsError: if `origin` is neither https nor loopback.
        """
        self.origin = check_origin(origin, self.address_setting)
        self.wire_seconds = wire_seconds
        self._exchange = exchange(self.origin, route, transport=transport)
        self._read_seconds = read_seconds
        self._on_date = on_date

    async def aclose(self) -> None:
        """Close the connections."""
        await self._exchange.aclose()

    async def ask(
        self,
        verb: str,
        path: str,
        headers: Mapping[str, str],
        *,
        content: bytes | SecretBody | None = None,
        parameters: Parameters | None = None,
        most_bytes: int = MAX_ANSWER_BYTES,
        seconds: float | None = None,
        on_headers: OnHeaders | None = None,
        leaving: Leaving | None = None,
    ) -> NetworkAnswer:
        """Send one request and return the answer, of any status; see `Exchange.ask`.

        `seconds` is the most that it may take; None: `wire_seconds` with a content, else the time for reads.

        Raises:
            ZincUnreachableError: nothing was sent.
            NoAnswerError: sent, and no whole answer came.
        """
        usual = self._read_seconds if content is None else self.wire_seconds
        try:
            return await self._exchange.ask(
                verb,
                path,
                headers,
                seconds=usual if seconds is None else seconds,
                content=content,
                parameters=parameters,
                most_bytes=most_bytes,
                on_headers=self._with_date(on_headers),
                leaving=leaving,
            )
        except NotSentError as error:
            because = f" ({error.because})" if error.because else ""
            end = ", so nothing was sent" if content is not None else ""
            raise ZincUnreachableError(f"Zinc could not be reached{because}{end}.") from error

    def _with_date(self, on_headers: OnHeaders | None) -> OnHeaders | None:
        """Return a function that tells the time of an answer before `on_headers` is awaited."""
        on_date = self._on_date
        if on_date is None:
            return on_headers

        async def arrived(status: int, headers: httpx.Headers) -> None:
            on_date(read_date(headers.get("date")))
            if on_headers is not None:
                await on_headers(status, headers)

        return arrived


def read_date(text: str | None) -> float | None:
    """Read a `Date` header (RFC 9110, section 6.6.1); None if it is absent or unreadable."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None
