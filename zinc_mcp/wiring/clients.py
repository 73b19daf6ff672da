"""The clients of Zinc's services, and the rails that need no wallet, as the settings name them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from zinc_mcp.rails.account import AccountRail
from zinc_mcp.wiring.watched import exchange_for
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.connection import Connection

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.journal.records.clocks import Times
    from zinc_mcp.network import Exchange
    from zinc_mcp.owner.settings import Settings
    from zinc_mcp.process import Clocks
    from zinc_mcp.rails.v1 import V1Rail
    from zinc_mcp.telemetry.watch import Watch
    from zinc_mcp.zinc.v1.client import V1Client

C = TypeVar("C", bound=Connection)

SANDBOX_ORIGIN = "https://sandbox.invalid"
"""Names the sandbox in journal entries; nothing is ever looked up there (RFC 6761, section 6.4)."""


def v1_origin(settings: Settings) -> str:
    """Return the origin of the Zinc that v1 orders go to, in one spelling.

    Raises:
        SettingsError: the configured one cannot be used.
    """
    if settings.sandbox:
        return f"{SANDBOX_ORIGIN}/v1"
    from zinc_mcp.zinc.origin import check_origin  # not needed to list the tools

    return check_origin(settings.v1_api_url, "ZINC_V1_API_URL")


def open_zinc_client(
    settings: Settings,
    transport: httpx.AsyncBaseTransport | None,
    clocks: Clocks,
    times: Times,
    watch: Watch | None = None,
) -> ZincClient:
    """Return the client of Zinc, or of the built-in sandbox. It has no key."""
    origin = SANDBOX_ORIGIN if settings.sandbox else settings.api_url
    return _connected(ZincClient, origin, settings, transport, clocks, times, exchange_for("zinc", watch))


def open_v1_client(
    settings: Settings,
    transport: httpx.AsyncBaseTransport | None,
    clocks: Clocks,
    times: Times,
    watch: Watch | None = None,
) -> V1Client | None:
    """Return a client of Zinc's v1; None without a client token."""
    if settings.v1_client_token is None:
        return None
    from zinc_mcp.zinc.v1.client import V1Client  # few owners have a token

    origin = f"{SANDBOX_ORIGIN}/v1" if settings.sandbox else settings.v1_api_url
    return _connected(V1Client, origin, settings, transport, clocks, times, exchange_for("zinc_v1", watch))


def _connected(
    service: type[C],
    origin: str,
    settings: Settings,
    transport: httpx.AsyncBaseTransport | None,
    clocks: Clocks,
    times: Times,
    exchange: Callable[..., Exchange],
) -> C:
    """Return the client of one of Zinc's services: all of them go the same way and tell the same clocks the time."""
    return service(
        origin,
        route=settings.route,
        transport=transport,
        wire_seconds=clocks.wire_seconds,
        on_date=times.heard,
        exchange=exchange,
    )


def practice_transport(settings: Settings) -> httpx.AsyncBaseTransport:
    """Return a way to the built-in sandbox, which needs no network."""
    from zinc_mcp.sandbox import Sandbox

    return Sandbox(settings.home / "sandbox.db", pace=max(1, settings.sandbox_pace)).transport()


def account_rail(settings: Settings, client: ZincClient, clock: Callable[[], float]) -> AccountRail | None:
    """Return the rail that pays from the Zinc balance; None without an API key."""
    if settings.sandbox:
        return AccountRail(client, _practice_key(settings), settings.mode, clock)
    if settings.api_key is None:
        return None
    return AccountRail(client, settings.api_key, settings.mode, clock)


def _practice_key(settings: Settings) -> SecretStr:
    """Return the key for the built-in sandbox, which takes every test key and no live one."""
    if settings.api_key is not None and settings.api_key.get_secret_value().startswith("zn_test_"):
        return settings.api_key
    return SecretStr("zn_test_sandbox")


def v1_rail(client: V1Client, settings: Settings, clock: Callable[[], float]) -> V1Rail:
    """Return the rail of Zinc's v1."""
    from zinc_mcp.rails.v1 import V1Rail

    # Practice sends no real token. The one for practice is in no answer of the sandbox, since tokens are removed there.
    token = (None if settings.sandbox else settings.v1_client_token) or SecretStr("v1-token-to-practise")
    return V1Rail(client, token, "sandbox" if settings.sandbox else "live", clock)
