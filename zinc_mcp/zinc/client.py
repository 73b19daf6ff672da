"""The client of one Zinc: each request, and the order or error that its answer proves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, cast
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
    Leaving,
    NetworkAnswer,
    NoAnswerError,
    OnHeaders,
    Parameters,
)
from zinc_mcp.zinc.connection import UNANSWERED, Connection, read_date
from zinc_mcp.zinc.failures import refused_order, refused_read
from zinc_mcp.zinc.responses import Order, is_a_segment, order_in

if TYPE_CHECKING:
    import httpx


MAX_KEY = 500
"""Characters of an order's own API key."""

OnPaidHeaders = Callable[[SecretStr | None, str | None, bool], Awaitable[None]]
"""Awaited with the order's own API key and the raw receipt, as soon as the headers have arrived, and whether the order
was accepted. If it was not, the answer is a 409 with a key: the order exists already."""

GAVE_UP = (HTTPStatus.REQUEST_TIMEOUT, 499)
"""Statuses of the 4xx that do not say whether the request was carried out."""


@dataclass(frozen=True, slots=True)
class PaymentAsked:
    """A 402 of Zinc: the values of its `WWW-Authenticate` headers, with one or more challenges in each."""

    challenges: tuple[str, ...]
    at: float | None = None
    """The time of the answer by Zinc's clock (`Date`), in seconds since the epoch."""


class ZincClient(Connection):
    """Sends requests to one Zinc.

    Every read can end with a `ZincUnreachableError`, an `UnreadableAnswerError` or an `OrderRejectedError`.
    """

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
        if not is_a_segment(order_id):
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
        """Send one placing request with exactly these bytes and return the answer, of any status.

        Raises:
            ZincUnreachableError: nothing was sent.
            OrderOutcomeUnknownError: sent, and no whole answer came.
        """
        try:
            sent = {"Content-Type": "application/json", **headers}
            return await self.ask("POST", path, sent, content=body, on_headers=on_headers, leaving=leaving)
        except NoAnswerError as error:
            raise _unanswered_error(UNANSWERED[error.reason], error.reason) from error

    async def change(
        self,
        path: str,
        body: bytes,
        api_key: SecretStr,
        content_type: str = "application/json",
        leaving: Leaving | None = None,
        *,
        verb: Literal["POST", "PUT", "DELETE"] = "POST",
    ) -> NetworkAnswer:
        """Send one request that changes something other than a purchase, and return the answer, of any status.

        Raises:
            ZincUnreachableError: nothing was sent.
            ChangeOutcomeUnknownError: sent, and no whole answer came.
        """
        headers = {"Content-Type": content_type, **_bearer_header(api_key)}
        try:
            return await self.ask(verb, path, headers, content=body, leaving=leaving)
        except NoAnswerError as error:
            how = f"The request was sent, but {UNANSWERED[error.reason]}."
            raise ChangeOutcomeUnknownError(how, facts={"reason": error.reason}) from error

    async def get(
        self,
        path: str,
        api_key: SecretStr | None = None,
        parameters: Parameters | None = None,
        most_bytes: int = MAX_ANSWER_BYTES,
        seconds: float | None = None,
    ) -> NetworkAnswer:
        """Send one GET request and return the answer, of any status.

        `seconds` is the most that it may take; None: the usual time of a read.
        """
        headers = _bearer_header(api_key) if api_key else {}
        try:
            return await self.ask("GET", path, headers, seconds=seconds, parameters=parameters, most_bytes=most_bytes)
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

        It may take as long as a placing request, because an answer that is paid for should not be given up early.

        Raises:
            UnreadableAnswerError: also for a status with which Zinc gave up (`GAVE_UP`), as for an order.
        """
        answer = await self.get(path, api_key, parameters, seconds=self.wire_seconds)
        if answer.status in GAVE_UP:
            raise _unreadable_error()
        return json_of(answer)


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
