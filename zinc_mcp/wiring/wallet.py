"""The owner's payment wallet, opened from the settings."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal, cast

from zinc_mcp.errors import SettingsError, ZincMcpError
from zinc_mcp.zinc.account.account import get_practice_settlement
from zinc_mcp.zinc.client import ZincClient

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.owner.settings import Settings
    from zinc_mcp.payments.wallet import PaymentWallet, WalletSettings


def payment_wallet(
    settings: Settings, client: ZincClient | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> PaymentWallet | None:
    """Open the owner's payment wallet; practising in the sandbox never touches a real one.

    Raises:
        SettingsError: something that the wallet needs is missing or malformed.
    """
    if settings.wallet_trouble is not None and not settings.sandbox:
        raise SettingsError(*settings.wallet_trouble)
    kind = "sandbox" if settings.sandbox else settings.wallet
    if kind is None:
        return None
    from zinc_mcp.payments.wallet import OPEN, Fate, wallet_from

    async def lookup(challenge_id: str) -> Fate:
        if client is None:
            return OPEN
        try:
            settlement = await get_practice_settlement(client, challenge_id)
        except ZincMcpError:
            return OPEN
        ending = settlement.get("ending")
        return Fate(ending, settlement.get("reference")) if ending in ("settled", "unpaid") else OPEN

    return wallet_from(wallet_settings(settings), route=settings.route, transport=transport, lookup=lookup)


def wallet_settings(settings: Settings) -> WalletSettings:
    """Return what a wallet needs to know, out of the owner's settings."""
    from zinc_mcp.payments.wallet import WalletSettings

    kind = "sandbox" if settings.sandbox else settings.wallet
    chosen = WalletSettings(
        kind=cast(Literal["tempo", "stripe", "command", "sandbox"], kind),
        tempo_private_key=settings.tempo_private_key,
        tempo_root_account=settings.tempo_root_account,
        tempo_rpc_url=settings.tempo_rpc_url,
        stripe_secret_key=settings.stripe_secret_key,
        stripe_payment_method=settings.stripe_payment_method,
        command=settings.wallet_command,
        methods=settings.wallet_methods,
        recipients=frozenset(settings.wallet_recipients) or None,
    )
    if settings.tempo_chain_id is not None:
        chosen = dataclasses.replace(chosen, tempo_chain_id=settings.tempo_chain_id)
    return chosen
