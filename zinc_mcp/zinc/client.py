"""The client of one Zinc: each request, and the order or error that its answer proves."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from pydantic import SecretStr

from zinc_mcp.errors import (
    ChangeOutcomeUnknownError,
    OrderNotFoundError,
    OrderOutcomeUnknownError,
    UnreadableAnswerError,
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
    Parameters,
)
from zinc_mcp.zinc.failures import refused_order, refused_read
from zinc_mcp.zinc.origin import check_origin
from zinc_mcp.zinc.responses import ORDER_ID, Order, order_in

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.proxies import Route


WIRE_SECONDS = 60.0
READ_SECONDS = 15.0

MAX_KEY = 500
"""Characters of an order's own API key."""

OnDate = Callable[[float | None], None]
"""Called with the time of an answer (`Date`), in seconds since the epoch; None if the answer has none."""
OnPaidHeaders = Callable[[SecretStr | None, str | None, bool], Awaitable[None]]
"""Awaited with the order's own API key and the raw receipt, as soon as the headers have arrived, and whether the order
was accepted. If it was not, the answer is a 409 with a key: the order exists already."""

GAVE_UP = (HTTPStatus.REQUEST_TIMEOUT, 499)
"""Statuses of the 4xx that do not say whether the request was carried out."""

_ID = re.compile(ORDER_ID)
_HOW = {
    "timeout": "no answer came in time",
    "unreadable": "the answer was too large or packed, and was not read",
    "connection_lost": "the connection was lost before the answer",
}


@dataclass(frozen=True, slots=True)
class PaymentAsked:
    """A 402 of Zinc: the values of its `WWW-Authenticate` headers, with one or more challenges in each."""

    challenges: tuple[str, ...]
    at: float | None = None
    """The time of the answer by Zinc's clock (`Date`), in seconds since the epoch."""


class ZincClient:
    """Sends requests to one Zinc. It never retries, never follows a redirect, and reads only bounded answers.

    Every read can end with a `ZincUnreachableError`, an `UnreadableAnswerError` or an `OrderRejectedError`.
    """

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
        """Prepare a client; nothing is connected yet.

        Args:
            origin: scheme, host and port, as `check_origin` takes them.
            route: see `Exchange`.
            transport: replaces the network in tests and in the built-in sandbox.
            wire_seconds: the most that one placing request may take, from connecting to the last byte.
            read_seconds: the same for reads.
            on_date: called with the time of each answer.

        Raises:
            SettingsError: if `origin` is neither https nor loopback.
        """
        self.origin = check_origin(origin)
        self._exchange = Exchange(self.origin, route, transport=transport)
        self._wire_seconds = wire_seconds
        self._read_seconds = read_seconds
        self._on_date = on_date

    async def aclose(self) -> None:
        """Close the connections."""
        await self._exchange.aclose()

    async def create_order(self, body: bytes, api_key: SecretStr, leaving: Leaving | None = None) -> Order:
        """Send `POST /orders` once with exactly these bytes.

        Raises:
            ZincUnreachableError: nothing was sent.
            OrderRejectedError: Zinc answered no.
            OrderAlreadyExistsError: the key was used before.
            OrderOutcomeUnknownError: sent, and no usable answer came.
        """
        return placed_order(await self.post("/orders", body, _bearer_header(api_key), None, leaving))

    async def create_agent_order(
        self,
        path: str,
        body: bytes,
        credential: tuple[str, SecretStr] | None,
        on_headers: OnPaidHeaders,
        leaving: Leaving | None = None,
    ) -> Order | PaymentAsked:
        """Send `POST /agent/orders` once, unpaid or with a credential (header name and value).

        This is the same order without a Zinc account: Zinc answers with a 402, and places the order when it is paid.
        The paid request must repeat bytes and URL (Create MPP Order, OpenAPI 2026-04-27; `?method=` since 2026-06-26).

        `on_headers` is called for a 2xx, and for a 409 that has a key: the order exists already
        (langchain-samples/restock-agent expects an order id and an `X-Api-Key`). A 402 answers an unpaid request with
        challenges; for a paid one it is a rejection like any other.

        Raises:
            ZincUnreachableError, OrderRejectedError, OrderAlreadyExistsError, OrderOutcomeUnknownError: see
                `create_order`.
        """

        async def keep(status: int, headers: httpx.Headers) -> None:
            key = headers.get("x-api-key", "").strip()
            order_key = SecretStr(key) if 0 < len(key) <= MAX_KEY else None
            accepted = 200 <= status < 300
            if accepted or (status == HTTPStatus.CONFLICT and order_key is not None):
                await on_headers(order_key, headers.get("payment-receipt"), accepted)

        sent = {credential[0]: credential[1].get_secret_value()} if credential is not None else {}
        answer = await self.post(path, body, sent, keep, leaving)
        if credential is None and answer.status == HTTPStatus.PAYMENT_REQUIRED:
            challenges = tuple(answer.headers.get_list("www-authenticate"))
            return PaymentAsked(challenges, read_date(answer.headers.get("date")))
        return placed_order(answer, has_key=False)

    async def get_order(self, order_id: str, api_key: SecretStr) -> Order:
        """Read one order.

        Raises:
            OrderNotFoundError: Zinc has no such order, or it belongs to another key.
        """
        if not is_order_id(order_id):
            raise OrderNotFoundError("No order has an id like this.")
        answer = await self.get(f"/orders/{order_id}", api_key)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise OrderNotFoundError("Zinc knows no such order for this account.")
        _raise_if_refused(answer)
        try:
            return order_in(answer.content)
        except ValueError as error:
            raise _unreadable_error() from error

    async def post(
        self, path: str, body: bytes, headers: dict[str, str], on_headers: OnHeaders | None, leaving: Leaving | None
    ) -> NetworkAnswer:
        """Send one placing request with exactly these bytes and return the answer, of any status."""
        try:
            return await self._exchange.ask(
                "POST",
                path,
                {"Content-Type": "application/json", **headers},
                seconds=self._wire_seconds,
                content=body,
                on_headers=self._with_date(on_headers),
                leaving=leaving,
            )
        except NotSentError as error:
            raise ZincUnreachableError(f"Zinc could not be reached{_reason(error)}, so nothing was sent.") from error
        except NoAnswerError as error:
            raise _unanswered_error(_HOW[error.reason], error.reason) from error

    async def change(
        self,
        path: str,
        body: bytes,
        api_key: SecretStr,
        content_type: str = "application/json",
        leaving: Leaving | None = None,
    ) -> NetworkAnswer:
        """Send one POST request that changes something other than a purchase, and return the answer, of any status.

        Raises:
            ZincUnreachableError: nothing was sent.
            ChangeOutcomeUnknownError: sent, and no whole answer came.
        """
        headers = {"Content-Type": content_type, **_bearer_header(api_key)}
        try:
            return await self._exchange.ask(
                "POST",
                path,
                headers,
                seconds=self._wire_seconds,
                content=body,
                on_headers=self._with_date(None),
                leaving=leaving,
            )
        except NotSentError as error:
            raise ZincUnreachableError(f"Zinc could not be reached{_reason(error)}, so nothing was sent.") from error
        except NoAnswerError as error:
            how = f"The request was sent, but {_HOW[error.reason]}."
            raise ChangeOutcomeUnknownError(how, facts={"reason": error.reason}) from error

    async def get(
        self,
        path: str,
        api_key: SecretStr | None = None,
        parameters: Parameters | None = None,
        most_bytes: int = MAX_ANSWER_BYTES,
        seconds: float | None = None,
    ) -> NetworkAnswer:
        """Send one GET request and return the answer, of any status. `seconds`: how long it may take, if not usual."""
        try:
            return await self._exchange.ask(
                "GET",
                path,
                _bearer_header(api_key) if api_key else {},
                seconds=self._read_seconds if seconds is None else seconds,
                parameters=parameters,
                most_bytes=most_bytes,
                on_headers=self._with_date(None),
            )
        except NotSentError as error:
            raise ZincUnreachableError(f"Zinc could not be reached{_reason(error)}.") from error
        except NoAnswerError as error:
            raise _unreadable_error() from error

    async def get_json(
        self,
        path: str,
        api_key: SecretStr | None = None,
        parameters: Parameters | None = None,
        most_bytes: int = MAX_ANSWER_BYTES,
    ) -> object:
        """Send one GET request and return the content of a successful answer."""
        return json_of(await self.get(path, api_key, parameters, most_bytes), has_key=api_key is not None)

    async def get_paid(self, path: str, api_key: SecretStr, parameters: Parameters) -> object:
        """Send one GET request that may cost something, and return the content of a successful answer.

        It may take as long as a placing request: what is paid for is not given up early.

        Raises:
            UnreadableAnswerError: also for a status that says that Zinc gave up, as for an order (`placed_order`).
        """
        answer = await self.get(path, api_key, parameters, seconds=self._wire_seconds)
        if answer.status in GAVE_UP:
            raise _unreadable_error()
        return json_of(answer)

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


def agent_path(method: str | None) -> str:
    """Return the path of `POST /agent/orders`. Naming one payment method may narrow the challenges to that method."""
    return f"/agent/orders?{urlencode({'method': method})}" if method else "/agent/orders"


def placed_order(answer: NetworkAnswer, *, has_key: bool = True) -> Order:
    """Return the order in the answer to a placing request, or raise the error that the answer proves.

    `has_key`: whether the request carried an API key.

    Raises:
        OrderRejectedError: Zinc answered no.
        OrderAlreadyExistsError: the key was used before.
        OrderOutcomeUnknownError: the answer cannot be used.
    """
    if 200 <= answer.status < 300:
        try:
            return order_in(answer.content)
        except ValueError as error:
            raise _unanswered_error("the answer could not be read", "unreadable") from error
    if 400 <= answer.status < 500 and answer.status not in GAVE_UP:
        raise refused_order(answer, has_key=has_key)
    # A redirect is not followed, and a 5xx may come after the order was accepted: neither proves anything.
    raise _unanswered_error(f"Zinc answered with HTTP status {answer.status}", f"http_{answer.status}")


def _unanswered_error(how: str, reason: str) -> OrderOutcomeUnknownError:
    return OrderOutcomeUnknownError(f"The order was sent, but {how}.", facts={"reason": reason})


def _unreadable_error() -> UnreadableAnswerError:
    return UnreadableAnswerError("Zinc did not give a readable answer just now.")


def _reason(error: NotSentError) -> str:
    return f" ({error.because})" if error.because else ""


def json_of(answer: NetworkAnswer, *, has_key: bool = True) -> object:
    """Return the content of a successful answer. `has_key`: whether the request carried an API key.

    Raises:
        OrderRejectedError: Zinc answered no.
        UnreadableAnswerError: the answer cannot be used.
    """
    _raise_if_refused(answer, has_key=has_key)
    content: object = answer.json()
    if content is None:
        raise _unreadable_error()
    return content


def _raise_if_refused(answer: NetworkAnswer, *, has_key: bool = True) -> None:
    if 400 <= answer.status < 500:
        raise refused_read(answer, has_key=has_key)
    if not 200 <= answer.status < 300:
        raise _unreadable_error()


def is_order_id(text: str) -> bool:
    """Say whether a text is safe as the id of an order in a path."""
    return _ID.fullmatch(text) is not None


def members(value: object) -> Mapping[str, Any]:
    """Return a JSON object; any other value is an empty one."""
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def _bearer_header(api_key: SecretStr) -> dict[str, str]:
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
