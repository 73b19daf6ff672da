"""The owner's payment wallet, opened from the settings."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Literal, cast

from zinc_mcp.errors import SettingsError, ZincMcpError
from zinc_mcp.zinc.account.account import get_practice_settlement
from zinc_mcp.zinc.client import ZincClient

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.known_settings import RailName
    from zinc_mcp.owner.settings import Settings
    from zinc_mcp.payments.wallet import PaymentWallet, WalletSettings
    from zinc_mcp.process import Process

logger = logging.getLogger(__name__)


def payment_wallet(
    settings: Settings, client: ZincClient | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> PaymentWallet | None:
    """Open the owner's payment wallet, or the practice wallet if the sandbox is on; None if none is configured.

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


def usable_wallet(
    settings: Settings,
    client: ZincClient,
    transport: httpx.AsyncBaseTransport | None,
    unusable: dict[RailName, ZincMcpError],
) -> PaymentWallet | None:
    """Open the payment wallet. If it cannot be opened, this is logged, and everything else works without it."""
    try:
        return payment_wallet(settings, client, transport)
    except Exception as error:
        unusable["agent"] = _why_unusable(error)
        return None


async def warm(process: Process, wallet: PaymentWallet) -> None:
    """Load the library of a wallet; one that cannot be loaded is unusable."""
    try:
        await wallet.warm()
    except Exception as error:
        process.unusable["agent"] = _why_unusable(error)
    finally:
        process.warmed.set()


def _why_unusable(error: Exception) -> ZincMcpError:
    if not isinstance(error, ZincMcpError):  # a library's error may quote secrets
        what = type(error).__name__
        error = SettingsError(
            f"The payment wallet cannot be loaded ({what}).", "Install zinc-mcp with the wallet's extra again."
        )
    logger.warning("place_agent_order cannot pay: %s %s", error.summary, error.owner_step or error.next_step)
    return error


def wallet_settings(settings: Settings) -> WalletSettings:
    """Return the settings of a wallet, out of the owner's settings."""
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
