"""The account rail: `POST /orders`, paid from the Zinc balance behind a stored API key."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio
from pydantic import SecretStr

from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.records.entry import Mode
from zinc_mcp.known_settings import RailName
from zinc_mcp.network import Leaving
from zinc_mcp.rails.after_sale import ZincAfterSale
from zinc_mcp.zinc.account.account import get_health, get_wallet
from zinc_mcp.zinc.aftercare.cancellation import CancelAnswer, cancel_order
from zinc_mcp.zinc.answers import MAX_CENTS
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.find.products import A, DataCall, ask
from zinc_mcp.zinc.placed.order_list import OrderList, find_orders, read_list
from zinc_mcp.zinc.placed.timeline import Timeline, get_timeline
from zinc_mcp.zinc.responses import Order

ORDER_FEE_CENTS = 100
"""Zinc's fee for an order, as its documents say. Zinc may set another fee, so the account is asked (GET /wallet/me)."""

_FEE_SECONDS = 3.0
_TIME_SECONDS = 3.0
_FEE_KEPT_SECONDS = 3600.0
_FEE_ASKED_AGAIN_SECONDS = 30.0
"""The wait after a look-up that returned no fee."""


class AccountRail:
    """Buys with one API key at one origin."""

    name: RailName = "account"
    paying: None = None
    on_v1: None = None

    def __init__(
        self, client: ZincClient, api_key: SecretStr, mode: Mode, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._api_key = api_key
        self._fee_cents = ORDER_FEE_CENTS
        self._fee_is_told = False
        self._fee_until = -math.inf
        self._clock = clock
        self.on_balance = self.lists = self
        self.mode: Mode = mode
        self.origin = client.origin
        self.account = self.former_account = fingerprint(api_key)

    async def fee_cents(self) -> int:
        """Return the account's order fee (`GET /wallet/me`), or the usual fee until Zinc tells it.

        Zinc is asked once an hour, and again half a minute after a look-up that returned no fee.
        """
        now = self._clock()
        if now < self._fee_until:
            return self._fee_cents
        self._fee_until = now + _FEE_ASKED_AGAIN_SECONDS  # set first: this call may be cancelled, and others must wait
        try:
            with anyio.fail_after(_FEE_SECONDS):
                told = (await get_wallet(self._client, self._api_key)).get("order_fee_cents")
        except (ZincMcpError, TimeoutError):
            return self._fee_cents
        if type(told) is int and 0 <= told <= MAX_CENTS:
            self._fee_cents, self._fee_is_told = told, True
            self._fee_until = now + _FEE_KEPT_SECONDS
        return self._fee_cents

    async def told_fee_cents(self) -> int | None:
        """Return the order fee as `fee_cents` does; None if Zinc has not told this process one."""
        fee_cents = await self.fee_cents()
        return fee_cents if self._fee_is_told else None

    async def ask_the_time(self) -> None:
        """Ask `GET /health`, which is public and free."""
        with suppress(ZincMcpError), anyio.move_on_after(_TIME_SECONDS):
            await get_health(self._client)

    async def send(self, body: bytes, leaving: Leaving) -> Order:
        """Place the order; see `ZincClient.create_order` for what it raises."""
        return await self._client.create_order(body, self._api_key, leaving)

    async def find(self, metadata_key: str, value: str) -> list[Order]:
        """List this account's orders with one metadata pair."""
        return await find_orders(self._client, metadata_key, value, self._api_key)

    async def read(self, order_id: str) -> Order:
        """Read one order of this account."""
        return await self._client.get_order(order_id, self._api_key)

    async def look_up(self, call: DataCall[A]) -> A:
        """Ask about products; costs a cent with a live key."""
        return await ask(self._client, call, self._api_key)

    async def wallet(self) -> Mapping[str, Any]:
        """Read the Zinc balance and the order fee."""
        return await get_wallet(self._client, self._api_key)

    async def read_list(self, into: OrderList, since: float | None, until: float | None) -> None:
        """Read the orders of this account; see `order_list.read_list`."""
        await read_list(self._client, self._api_key, into, since, until)

    async def timeline(self, order_id: str) -> Timeline:
        """Read the milestones of one order of this account."""
        return await get_timeline(self._client, order_id, self._api_key)

    async def cancel_order(self, order_id: str) -> CancelAnswer:
        """Ask Zinc once to cancel an order of this account; see `cancellation.cancel_order`. For `aftercare` only."""
        return await cancel_order(self._client, order_id, self._api_key)

    def after_sale(self, order_key: SecretStr | None) -> ZincAfterSale:
        """Return the requests about this account's orders after their purchase."""
        return ZincAfterSale(self._client, self._api_key)


def fingerprint(api_key: SecretStr) -> str:
    """Return a digest of an API key, which differs for two keys and reveals neither."""
    return hashlib.sha256(b"zinc-mcp account\0" + api_key.get_secret_value().encode()).hexdigest()[:16]
