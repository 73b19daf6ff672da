"""Zinc's endpoints: each request, and the order or error that its answer proves."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

from anyio import lowlevel
from pydantic import SecretStr, ValidationError

from zinc_mcp.errors import OrderAlreadyExistsError, OrderNotFoundError, OrderRejectedError
from zinc_mcp.network import MAX_ANSWER_BYTES, Leaving, NetworkAnswer, OnHeaders
from zinc_mcp.zinc.connection import (
    MAX_LIST_BYTES,
    READ_SECONDS,
    WIRE_SECONDS,
    Connection,
    OnDate,
    bearer_header,
    check_origin,
    read_date,
    unanswered_error,
    unreadable_error,
)
from zinc_mcp.zinc.failures import Failure, read_failure
from zinc_mcp.zinc.prices import Product
from zinc_mcp.zinc.responses import ORDER_ID, Order, order_in

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.proxies import Route


MAX_PAGES = 10
"""Pages of a list that are read if Zinc does not filter it."""
PAGE = 50
"""Orders asked for on each page: few enough for the bound of its bytes, whatever Zinc's default is."""

MAX_LISTED = 500
"""Orders of one page that are read, if Zinc lists more than were asked for."""

_ID = re.compile(ORDER_ID)
_CHALLENGE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")  # base64url, which may begin with any of its letters


class ZincClient:
    """Sends requests to one Zinc. It never retries, never follows a redirect, and reads only bounded answers."""

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
        """Prepare a client for `origin`, as `check_origin` takes it; see `Wire` for the rest. Nothing is connected yet.

        Raises:
            SettingsError: if `origin` is neither https nor loopback.
        """
        self.origin = check_origin(origin)
        self._connection = Connection(
            self.origin,
            route=route,
            transport=transport,
            wire_seconds=wire_seconds,
            read_seconds=read_seconds,
            on_date=on_date,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()

    async def create_order(self, body: bytes, api_key: SecretStr, leaving: Leaving | None = None) -> Order:
        """Send `POST /orders` once with exactly these bytes.

        Raises:
            ZincUnreachableError: nothing was sent.
            OrderRejectedError: Zinc answered no.
            OrderAlreadyExistsError: the key was used before.
            OrderOutcomeUnknownError: sent, and no usable answer came.
        """
        return placed_order(await self.post_order("/orders", body, bearer_header(api_key), leaving=leaving))

    async def post_order(
        self,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        on_headers: OnHeaders | None = None,
        leaving: Leaving | None = None,
    ) -> NetworkAnswer:
        """Send one placing request with exactly these bytes; see `Wire.post`."""
        return await self._connection.post(path, body, headers, on_headers, leaving)

    async def get_order(self, order_id: str, api_key: SecretStr) -> Order:
        """Read one order.

        Raises:
            OrderNotFoundError: Zinc has no such order, or it belongs to another key.
            ZincUnreachableError, UnreadableAnswerError, OrderRejectedError: as for every read.
        """
        if not _ID.fullmatch(order_id):
            raise OrderNotFoundError("No order has an id like this.")
        answer = await self._read(f"/orders/{order_id}", api_key)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise OrderNotFoundError("Zinc knows no such order for this account.")
        _raise_if_refused(answer)
        try:
            return order_in(answer.content)
        except ValueError as error:
            raise unreadable_error() from error

    async def find_orders(self, metadata_key: str, metadata_value: str, api_key: SecretStr) -> list[Order]:
        """List the orders whose metadata holds exactly this pair (`GET /orders`, since SDK 8.21).

        An empty list proves nothing, because listings may lag. Malformed rows are skipped. Releases before 8.21 had no
        such filter and list all orders; then more pages are read.
        """
        parameters = {"metadata_key": metadata_key, "metadata_value": metadata_value, "limit": str(PAGE)}
        found: list[Order] = []
        seen = 0
        for _ in range(MAX_PAGES):
            page = {"offset": str(seen)} if seen else {}
            listed = _json_of(await self._read("/orders", api_key, {**parameters, **page}, MAX_LIST_BYTES))
            rows = _rows(listed)
            seen += len(rows)
            for row in rows[:MAX_LISTED]:
                # The server may have ignored the filter and listed other orders.
                if not _has_metadata(row, metadata_key, metadata_value):
                    continue
                await lowlevel.checkpoint()  # lets other tasks run between two orders
                try:
                    found.append(Order.read(row))
                except ValidationError:
                    continue
            if found or not rows or seen >= _total(listed):
                break
        return found

    async def get_product(self, retailer: str, product_id: str, api_key: SecretStr) -> Product:
        """Read `GET /products/{id}`: title and listed price. Costs a cent with a live key.

        Raises:
            ZincUnreachableError, UnreadableAnswerError, OrderRejectedError: as for every read.
        """
        answer = await self._read(f"/products/{quote(product_id, safe='')}", api_key, {"retailer": retailer})
        try:
            return Product.read(_json_of(answer))
        except ValidationError as error:
            raise unreadable_error() from error

    async def get_wallet(self, api_key: SecretStr) -> Mapping[str, Any]:
        """Read `GET /wallet/me`: the Zinc balance and the order fee, in cents."""
        wallet = _json_of(await self._read("/wallet/me", api_key))
        return cast(Mapping[str, Any], wallet) if isinstance(wallet, Mapping) else {}

    async def get_practice_settlement(self, challenge_id: str) -> Mapping[str, Any]:
        """Read what became of a practice payment. Only our sandbox has this endpoint."""
        if not _CHALLENGE_ID.fullmatch(challenge_id):
            return {}
        settlement = _json_of(await self._read(f"/practice/settlements/{challenge_id}", None))
        return cast(Mapping[str, Any], settlement) if isinstance(settlement, Mapping) else {}

    async def get_health(self) -> str:
        """Read `GET /health` (public) and return its `status`."""
        health = _json_of(await self._read("/health", None))
        status: object = cast(Mapping[str, Any], health).get("status") if isinstance(health, Mapping) else None
        return status if isinstance(status, str) else "unknown"

    async def _read(
        self,
        path: str,
        api_key: SecretStr | None,
        parameters: Mapping[str, str] | None = None,
        most_bytes: int = MAX_ANSWER_BYTES,
    ) -> NetworkAnswer:
        return await self._connection.get(path, bearer_header(api_key) if api_key else {}, parameters, most_bytes)


def placed_order(answer: NetworkAnswer) -> Order:
    """Return the order in the answer to a placing request, or raise the error that the answer proves.

    Raises:
        OrderRejectedError: Zinc answered no.
        OrderAlreadyExistsError: the key was used before.
        OrderOutcomeUnknownError: the answer cannot be used.
    """
    if 200 <= answer.status < 300:
        try:
            return order_in(answer.content)
        except ValueError as error:
            raise unanswered_error("the answer could not be read", "unreadable") from error
    if 400 <= answer.status < 500 and answer.status not in (HTTPStatus.REQUEST_TIMEOUT, 499):
        failure = read_failure(answer.json())
        if answer.status == HTTPStatus.CONFLICT and failure.code in ("already_exists", "other"):
            raise OrderAlreadyExistsError(
                "Zinc has had an order with this idempotency key before.",
                status=answer.status,
                zinc_code="already_exists",
                identifiers=failure.identifiers,
            )
        raise _rejected(answer.status, failure)
    # A redirect is not followed, and a 5xx may come after the order was accepted: neither proves anything.
    raise unanswered_error(f"Zinc answered with HTTP status {answer.status}", f"http_{answer.status}")


def _rows(listed: object) -> list[Any]:
    rows: Any = cast(Any, listed).get("orders") if isinstance(listed, Mapping) else listed
    return cast(list[Any], rows) if isinstance(rows, list) else []


def _has_metadata(row: Any, metadata_key: str, metadata_value: str) -> bool:
    metadata: Any = cast(Any, row).get("metadata") if isinstance(row, Mapping) else None
    return isinstance(metadata, Mapping) and cast(Any, metadata).get(metadata_key) == metadata_value


def _total(listed: object) -> int:
    total: Any = cast(Any, listed).get("total") if isinstance(listed, Mapping) else None
    return total if type(total) is int else 0


def _json_of(answer: NetworkAnswer) -> object:
    _raise_if_refused(answer)
    decoded = answer.json()
    if decoded is None:
        raise unreadable_error()
    return cast(object, decoded)


def _raise_if_refused(answer: NetworkAnswer) -> None:
    if 400 <= answer.status < 500:
        failure = read_failure(answer.json())
        raise OrderRejectedError(
            failure.sentence_of_a_read(answer.status),
            failure.next_step_of_a_read(answer.status),
            status=answer.status,
            zinc_code=failure.code,
            facts=failure.facts,
            problems=failure.problems,
        )
    if not 200 <= answer.status < 300:
        raise unreadable_error()


def _rejected(status: int, failure: Failure) -> OrderRejectedError:
    return OrderRejectedError(
        failure.sentence(status),
        failure.next_step(status),
        status=status,
        zinc_code=failure.code,
        facts=failure.facts,
        problems=failure.problems,
    )


MAX_KEY = 500

OnPaidHeaders = Callable[[SecretStr | None, str | None, bool], Awaitable[None]]
"""Called with `X-Api-Key` and `Payment-Receipt` as soon as they have arrived, and whether the order was accepted.

If it was not, the answer is a 409 with a key: the order exists already."""


@dataclass(frozen=True, slots=True)
class PaymentAsked:
    """A 402 of Zinc: the values of its `WWW-Authenticate` headers, with one or more challenges in each."""

    challenges: tuple[str, ...]
    at: float | None = None
    """The time of the answer by Zinc's clock (`Date`), in seconds since the epoch."""


def agent_path(method: str | None) -> str:
    """Return the path of `POST /agent/orders`. Naming one payment method may narrow the challenges to that method."""
    return f"/agent/orders?{urlencode({'method': method})}" if method else "/agent/orders"


async def post_agent_order(
    client: ZincClient,
    path: str,
    body: bytes,
    credential: tuple[str, SecretStr] | None,
    on_headers: OnPaidHeaders,
    leaving: Leaving | None = None,
) -> Order | PaymentAsked:
    """Send `POST /agent/orders` once, unpaid or with a credential (header name and value).

    This is the same order without a Zinc account: Zinc answers with a 402, and places the order when it is paid. The
    paid request must repeat bytes and URL (Create MPP Order, OpenAPI 2026-04-27; `?method=` since 2026-06-26).

    A 409 that says that the order exists already may have the same headers as a 2xx (langchain-samples/restock-agent
    expects an order id and an `X-Api-Key`). A 402 answers an unpaid request with challenges; for a paid one it is a
    rejection like any other.

    Raises:
        ZincUnreachableError, OrderRejectedError, OrderAlreadyExistsError, OrderOutcomeUnknownError: see
            `ZincClient.create_order`.
    """

    async def keep(status: int, headers: httpx.Headers) -> None:
        accepted = 200 <= status < 300
        key = headers.get("x-api-key", "").strip()
        order_key = SecretStr(key) if 0 < len(key) <= MAX_KEY else None
        if accepted or (status == HTTPStatus.CONFLICT and order_key is not None):
            await on_headers(order_key, headers.get("payment-receipt"), accepted)

    sent = {credential[0]: credential[1].get_secret_value()} if credential is not None else {}
    answer = await client.post_order(path, body, sent, keep, leaving)
    if credential is None and answer.status == HTTPStatus.PAYMENT_REQUIRED:
        return PaymentAsked(tuple(answer.headers.get_list("www-authenticate")), read_date(answer.headers.get("date")))
    return placed_order(answer)
