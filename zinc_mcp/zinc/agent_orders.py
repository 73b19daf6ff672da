"""`POST /agent/orders`: the same order without an account, answered by a 402 and placed when it is paid.

Sources: Create MPP Order (OpenAPI 2026-04-27); `?method=` since 2026-06-26. The paid request must repeat bytes and URL.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pydantic import SecretStr

from zinc_mcp.network import Leaving
from zinc_mcp.zinc.client import ZincClient, placed_order
from zinc_mcp.zinc.responses import Order
from zinc_mcp.zinc.wire import dated

if TYPE_CHECKING:
    import httpx

MAX_KEY = 500

OnPaidHeaders = Callable[[SecretStr | None, str | None], Awaitable[None]]
"""Called with `X-Api-Key` and the raw `Payment-Receipt` of a 2xx as soon as they have arrived."""


@dataclass(frozen=True, slots=True)
class PaymentAsked:
    """A 402: the values of its `WWW-Authenticate` headers, one or more challenges in each."""

    challenges: tuple[str, ...]
    at: float | None = None
    """When Zinc's own clock says that it asked (`Date`), in seconds since the epoch."""


def agent_path(method: str | None) -> str:
    """Return the path to send to; naming one payment method narrows what is offered, if the server heeds it."""
    return f"/agent/orders?{urlencode({'method': method})}" if method else "/agent/orders"


async def post_agent_order(
    client: ZincClient,
    path: str,
    body: bytes,
    credential: tuple[str, SecretStr] | None,
    on_headers: OnPaidHeaders,
    leaving: Leaving | None = None,
    on_conflict: OnPaidHeaders | None = None,
) -> Order | PaymentAsked:
    """Send the order once, unpaid or with a credential (header name and value).

    `on_conflict` is called with the same headers of a 409 that says that the order is there already, where they came
    (langchain-samples/restock-agent takes an order id and an `X-Api-Key` for the documented form). A 402 to an unpaid
    request is what it asks for; to a paid one it is a rejection like any other.

    Raises:
        ZincUnreachableError, OrderRejectedError, OrderAlreadyExistsError, OrderOutcomeUnknownError: see
            `ZincClient.create_order`.
    """

    async def keep(status: int, headers: httpx.Headers) -> None:
        accepted = 200 <= status < 300
        key = headers.get("x-api-key", "").strip()
        order_key = SecretStr(key) if 0 < len(key) <= MAX_KEY else None
        if accepted:
            await on_headers(order_key, headers.get("payment-receipt"))
        elif status == HTTPStatus.CONFLICT and on_conflict is not None and order_key is not None:
            await on_conflict(order_key, headers.get("payment-receipt"))

    sent = {credential[0]: credential[1].get_secret_value()} if credential is not None else {}
    answer = await client.post_order(path, body, sent, keep, leaving)
    if credential is None and answer.status == HTTPStatus.PAYMENT_REQUIRED:
        return PaymentAsked(tuple(answer.headers.get_list("www-authenticate")), dated(answer.headers.get("date")))
    return placed_order(answer)
