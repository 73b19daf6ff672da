"""The v1 rail: `POST /v1/orders` at Zinc's older service, paid from managed accounts or by an account of one's own.

v1 replays the first answer of a key. An order is found again by its request id, or in the list by our key in the notes.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast

import anyio
from pydantic import SecretStr

from zinc_mcp.errors import OrderRejectedError, UnreadableAnswerError, ZincMcpError
from zinc_mcp.journal.records.entry import Mode
from zinc_mcp.journal.records.twin import KEY_FIELD
from zinc_mcp.known_settings import RailName
from zinc_mcp.network import Leaving
from zinc_mcp.rails.v1_after_sale import V1AfterSale
from zinc_mcp.secret_body import SecretBody
from zinc_mcp.zinc.credits import ManagedCredit
from zinc_mcp.zinc.find.products import A, DataCall
from zinc_mcp.zinc.placed.order_list import OrderList
from zinc_mcp.zinc.responses import Order
from zinc_mcp.zinc.v1.aftercare.cancellations import Outcome, ask_to_cancel, read_outcome
from zinc_mcp.zinc.v1.client import V1Client
from zinc_mcp.zinc.v1.money import read_balance, read_credits
from zinc_mcp.zinc.v1.order import PROFILE_FIELD
from zinc_mcp.zinc.v1.order_list import find_orders, read_list, read_order

_TIME_SECONDS = 3.0
_TIME_TRIES = 2
_FOUND_SECONDS = 2 * 86_400.0
"""If the time of sending is not known, an order is looked for among those of this time until now."""
_BEFORE_SENDING_SECONDS = 3600.0
"""An order is looked for from this time before its sending on, because Zinc's clock may differ."""

_PROFILE_IN_BYTES = PROFILE_FIELD.encode()
"""The name of the field as it stands in the frozen bytes, in which no sign of ASCII is escaped."""

_ABOUT_BYTES_ALONE = frozenset(
    {
        "invalid_json",
        "invalid_request",
        "unknown_retailer",
        "unsupported_product_id",
        "mismatching_retailer",
        "invalid_shipping_method",
        "invalid_gift_options",
        "invalid_address",
        "invalid_variant",
    }
)
"""Codes of refusals about the bytes of an order alone. An earlier request with the same key cannot be their reason."""


class V1Rail:
    """Buys with one client token at one origin."""

    name: RailName = "v1"
    paying: None = None
    on_balance: None = None

    def __init__(
        self,
        client: V1Client,
        token: SecretStr,
        mode: Mode,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Set up the rail.

        Args:
            client: sends the requests to Zinc.
            token: the client token.
            mode: whether real money moves.
            clock: returns seconds since the epoch.
        """
        self._client = client
        self._token = token
        self._clock = clock
        self.on_v1 = self.lists = self
        self.mode: Mode = mode
        self.origin = client.origin
        self.account = self.former_account = fingerprint(token)

    async def fee_cents(self) -> int:
        """Return 0: v1 tells no fee (`Entry.fee_is_known`)."""
        return 0

    async def ask_the_time(self) -> None:
        """Ask for a list of one order, which is free; ask once more if no answer came.

        The account rail asks for its fee before an order. This rail asks nothing else before one, so only this answer
        can show that our clock is wrong.
        """
        for _ in range(_TIME_TRIES):
            with suppress(ZincMcpError), anyio.move_on_after(_TIME_SECONDS):
                await self._client.list_orders(self._token, limit=1)
                return

    async def send(self, body: bytes | SecretBody, leaving: Leaving) -> Order:
        """Place the order; see `V1Client.create` for what it raises. `spending.own_account` makes the bytes to send."""
        # The bytes are read only if the name stands in them.
        if not isinstance(body, SecretBody) and _PROFILE_IN_BYTES in body and PROFILE_FIELD in (_sent(body) or {}):
            raise AssertionError("an order for an account of one's own is not sent without it")
        return await self._client.create(body, self._token, leaving)

    def ends_a_repeat(self, error: OrderRejectedError) -> bool:
        """Say whether a refusal of the same bytes and key proves that no request with this key was taken.

        "The same key always returns the same response" (v1, "Idempotency"). So a refusal that is about the bytes alone
        was the answer to the first request as well, or would have been.
        """
        return error.zinc_code in _ABOUT_BYTES_ALONE

    async def find(self, metadata_key: str, value: str) -> list[Order]:
        """List the newest orders with one pair in their notes; v1 cannot filter by them."""
        since = self._clock() - _FOUND_SECONDS
        return await find_orders(self._client, metadata_key, value, self._token, since=since)

    async def find_sent(self, key: str, body: bytes, sent_at: float | None) -> list[Order]:
        """List the orders with our key in their notes: those made since the sending, and if there are none, any."""
        sent = _sent(body)
        if sent_at is not None:
            since = sent_at - _BEFORE_SENDING_SECONDS
            found = await find_orders(self._client, KEY_FIELD, key, self._token, since=since, sent=sent)
            if found:
                return found
        return await find_orders(self._client, KEY_FIELD, key, self._token, sent=sent)

    async def read(self, order_id: str) -> Order:
        """Read one order that was not sent from here."""
        return await self.read_sent(order_id, None)

    async def read_sent(self, order_id: str, body: bytes | None) -> Order:
        """Read one order. Its body says what is added to the price, which not every answer of v1 shows."""
        return await read_order(self._client, order_id, self._token, _sent(body))

    async def read_list(self, into: OrderList, since: float | None, until: float | None) -> None:
        """Read the orders of this token; see `v1.order_list.read_list`."""
        await read_list(self._client, self._token, into, since, until)

    async def look_up(self, call: DataCall[A]) -> A:
        """Refuse: v1 is asked nothing about products from here."""
        raise UnreadableAnswerError("Zinc's v1 is not asked about products from here.")

    def after_sale(self, order_key: SecretStr | None) -> V1AfterSale:
        """Return the requests about this token's orders after their purchase."""
        return V1AfterSale(self._client, self._token)

    async def abort(self, order_id: str) -> Order:
        """Ask Zinc once to stop an order that it works on; see `V1Client.abort`. For `aftercare` only."""
        return await self._client.abort(order_id, self._token)

    async def cancel(self, order_id: str, number: str, key: str) -> str:
        """Ask Zinc once to cancel one of the retailer's orders; see `ask_to_cancel`. For `aftercare` only."""
        return await ask_to_cancel(self._client, order_id, number, key, self._token)

    async def cancellation(self, cancellation_id: str, number: str) -> Outcome:
        """Return the outcome of a cancellation; see `read_outcome`."""
        return await read_outcome(self._client, cancellation_id, number, self._token)

    async def balance(self) -> tuple[int | None, str]:
        """Read the balance of Zinc's managed accounts; see `read_balance`."""
        return await read_balance(self._client, self._token)

    async def credits(self) -> tuple[ManagedCredit, ...]:
        """Read the credits for orders of Zinc's managed accounts; see `read_credits`."""
        return await read_credits(self._client, self._token)


def fingerprint(token: SecretStr) -> str:
    """Return a digest of a client token, which differs for two tokens and reveals neither."""
    return hashlib.sha256(b"zinc-mcp v1\0" + token.get_secret_value().encode()).hexdigest()[:16]


def _sent(body: bytes | None) -> Mapping[str, Any] | None:
    try:
        read: object = json.loads(body or b"null")
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, Any], read) if isinstance(read, dict) else None
