"""The choice between plain and watched parts of a process. Without a watch the watched ones are not loaded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from zinc_mcp.journal.runner import AT_ONCE, Runner
from zinc_mcp.network import Exchange

if TYPE_CHECKING:
    from zinc_mcp.journal.journal import Journal
    from zinc_mcp.payments.wallet import PaymentWallet
    from zinc_mcp.telemetry.watch import Watch


def runner_for(url: str, opener: Callable[[], Journal], watch: Watch | None) -> Runner:
    """Return the runner of the journal at a URL."""
    at_once = AT_ONCE if url.startswith("postgresql") else 1
    if watch is None:
        return Runner(opener, at_once=at_once)
    from zinc_mcp.telemetry.watched import WatchedRunner

    return WatchedRunner(opener, watch, at_once=at_once)


def exchange_for(service: str, watch: Watch | None) -> Callable[..., Exchange]:
    """Return the function that makes the exchange with a service of Zinc."""
    if watch is None:
        return Exchange
    from zinc_mcp.telemetry.watched import WatchedExchange

    return partial(WatchedExchange, watch, service)


def wallet_for(wallet: PaymentWallet | None, watch: Watch | None) -> PaymentWallet | None:
    """Return the wallet that pays."""
    if wallet is None or watch is None:
        return wallet
    from zinc_mcp.telemetry.watched import WatchedWallet

    return WatchedWallet(wallet, watch)


def followed(runner: Runner, watch: Watch | None) -> AbstractAsyncContextManager[None]:
    """Return the context in which the figures of the journal are read."""
    return nullcontext() if watch is None else watch.figures.following(runner)
