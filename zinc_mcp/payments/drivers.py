"""The wallet that the owner chose, opened. What it needs is imported only then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from zinc_mcp.errors import SettingsError
from zinc_mcp.payments.networks import NETWORKS
from zinc_mcp.payments.practice import PracticeWallet, SettlementLookup
from zinc_mcp.payments.terms import MethodTerms
from zinc_mcp.payments.wallet import PaymentWallet, WalletSettings
from zinc_mcp.proxies import Route

if TYPE_CHECKING:
    import httpx

_T = TypeVar("_T")


def wallet_from(
    settings: WalletSettings,
    *,
    route: Route | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    lookup: SettlementLookup | None = None,
) -> PaymentWallet:
    """Build the configured wallet. Nothing is contacted and nothing slow is imported.

    `route` is the way to a Tempo node or Stripe, `transport` stands for the network there; `lookup` asks the sandbox.

    Raises:
        SettingsError: if something is missing or malformed; the sentence names the setting, never its value.
    """
    match settings.kind:
        case "sandbox":
            return PracticeWallet(lookup)
        case "tempo":
            from zinc_mcp.payments.tempo import TempoWallet

            return TempoWallet(
                _given(settings.tempo_private_key, "ZINC_TEMPO_PRIVATE_KEY", "tempo"),
                chain_id=settings.tempo_chain_id,
                root_account=settings.tempo_root_account,
                rpc_url=settings.tempo_rpc_url,
                recipients=settings.recipients,
                route=route,
                transport=transport,
            )
        case "stripe":
            from zinc_mcp.payments.stripe import StripeWallet

            return StripeWallet(
                _given(settings.stripe_secret_key, "ZINC_STRIPE_SECRET_KEY", "stripe"),
                _given(settings.stripe_payment_method, "ZINC_STRIPE_PAYMENT_METHOD", "stripe"),
                recipients=settings.recipients,
                route=route,
                transport=transport,
            )
        case "command":
            from zinc_mcp.payments.command import CommandWallet

            return CommandWallet(
                _given(settings.command, "ZINC_WALLET_COMMAND", "command"),
                _accepted(settings),
                seconds=settings.command_seconds,
            )


def _given(value: _T | None, variable: str, kind: str) -> _T:
    if value is None:
        raise SettingsError(f"ZINC_WALLET is {kind}, but {variable} is not set.")
    return value


def _accepted(settings: WalletSettings) -> Mapping[str, MethodTerms]:
    """Return what a command may be asked to pay: on Tempo the network's tokens, elsewhere US dollars in cents."""
    accepted: dict[str, MethodTerms] = {}
    for method in settings.methods or ("stripe",):
        if method == "tempo":
            network = NETWORKS.get(settings.tempo_chain_id)
            if network is None:
                raise SettingsError("ZINC_TEMPO_CHAIN_ID must be 4217 (Tempo) or 42431 (the test network Moderato).")
            accepted[method] = MethodTerms(network.currencies, network.chain_id, settings.recipients)
        elif method == "sandbox" or not method.isascii() or not method.replace("-", "").isalnum():
            raise SettingsError("ZINC_WALLET_METHODS must be payment methods such as stripe or tempo.")
        else:
            accepted[method] = MethodTerms({"usd": 2}, recipients=settings.recipients)
    return accepted
