"""Opens everything one process needs, once. The only module that knows all rooms."""

from __future__ import annotations

import dataclasses
import gc
import os
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, cast

import anyio
from pydantic import SecretStr

from zinc_mcp.api.client import ZincClient
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.ordering.addresses import AddressBook
from zinc_mcp.ordering.admission import Admission
from zinc_mcp.ordering.checkout import Checkout
from zinc_mcp.ordering.clocks import Clocks
from zinc_mcp.ordering.lease import LeaseClock, Uptime, machine_uptime
from zinc_mcp.ordering.pin import OWNER
from zinc_mcp.ordering.policy import Policy, read_policy
from zinc_mcp.ordering.reconcile import Reconciler
from zinc_mcp.ordering.sending import Sender
from zinc_mcp.ordering.settling import Checkpoint, Settling
from zinc_mcp.ordering.times import Times
from zinc_mcp.ordering.workings import Workings
from zinc_mcp.ordering.writer import Writer
from zinc_mcp.rails.account import ORDER_FEE_CENTS, AccountRail

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.api.orders import Address
    from zinc_mcp.ordering.entry import RailName
    from zinc_mcp.ordering.journal import Journal
    from zinc_mcp.ordering.rail import Rail
    from zinc_mcp.payments.wallet import PaymentWallet, WalletSettings
    from zinc_mcp.settings import Settings

SANDBOX_ORIGIN = "https://sandbox.invalid"
"""Names the sandbox in journal entries; nothing is ever looked up there (RFC 6761, section 6.4)."""


@dataclass(frozen=True, slots=True)
class Shop:
    """What the tools, the page and the commands of one process work with."""

    settings: Settings
    checkout: Checkout
    addresses: AddressBook

    def policy(self) -> Policy:
        """Return what the owner allows now.

        Raises:
            RefusedError: `policy_invalid`.
        """
        return read_policy(self.settings)

    async def check_ready(self) -> None:
        """Do nothing if orders could be placed: the policy can be read and the journal answers.

        Raises:
            RefusedError: `policy_invalid`.
            JournalError: the journal cannot be used.
        """
        self.policy()
        await self.checkout.has_pin(OWNER)

    async def saved(self, name: str) -> Address:
        """Return a saved shipping address.

        Raises:
            InvalidArgumentsError: `unknown_address`, naming those there are.
            JournalError: it is not in the file, and the journal cannot be read.
        """
        return await self.addresses.find(name)


@asynccontextmanager
async def open_shop(
    settings: Settings,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    wallet_transport: httpx.AsyncBaseTransport | None = None,
    clocks: Clocks | None = None,
    clock: Callable[[], float] = time.time,
    uptime: Uptime | None = machine_uptime,
    checkpoint: Checkpoint = lambda step: None,
) -> AsyncGenerator[Shop]:
    """Open the journal's thread, the rails and the task in which orders are sent; close them when all is settled.

    Leaving waits until nothing is on the wire any more, cancelled or not.

    Args:
        settings: what the owner configured.
        transport: stands for the network in tests.
        wallet_transport: stands for the network that a payment wallet talks to.
        clocks: how long things may take; the product's own times by default.
        clock: seconds since the epoch.
        uptime: the machine's own clock, which leases go by; None where a test sets all clocks there are.
        checkpoint: called at every step a crash could fall on.

    Raises:
        SettingsError: the API's address cannot be used.
        RefusedError: `policy_invalid`.
    """
    read_policy(settings)  # a policy that cannot be read stops the start, not the first order
    clocks = clocks or Clocks()
    owner = f"{os.getpid()}-{secrets.token_hex(4)}"

    def open_journal() -> Journal:
        from zinc_mcp.ordering.journal import Journal  # SQLAlchemy: `tools/list` does not wait for it

        return Journal.open(settings.journal_url, clock=clock, uptime=uptime, times=times)

    writer = Writer(open_journal)
    times = Times(clock, clock if uptime is None else lambda: uptime()[1])
    client = _client(settings, transport, clocks, times)
    wallet = payment_wallet(settings, client, wallet_transport)
    rails: dict[RailName, Rail] = {}
    if settings.sandbox or settings.api_key is not None:
        key = settings.api_key if settings.api_key is not None else SecretStr("zn_test_sandbox")
        rails["account"] = AccountRail(client, key, settings.mode, clock if uptime is None else time.monotonic)
    if wallet is not None:
        from zinc_mcp.rails.agent import AgentRail

        # Two ways to practise are one: an order on one rail is the twin of the same order on the other.
        practice = wallet.mode != "live" and settings.mode != "live"
        by_program = settings.wallet == "command" and not settings.sandbox
        rails["agent"] = AgentRail(
            client,
            wallet,
            settings.mode if practice else wallet.mode,
            clock,
            fees_cents=settings.wallet_fees or (ORDER_FEE_CENTS, ORDER_FEE_CENTS),
            sign_seconds=320.0 if by_program else clocks.sign,
            signs_only=not by_program,
            payer=_wallet_settings(settings).payer(),
        )
    leases = LeaseClock(clock, uptime)
    reconciler = Reconciler(writer, clocks, leases, owner, times)
    try:
        async with anyio.create_task_group() as tasks:
            admission = Admission(lambda: read_policy(settings), clocks.twin)
            settling = Settling(writer, reconciler, clocks, leases, owner, checkpoint, admission)
            sender = Sender(settling, reconciler, tasks)
            workings = Workings(
                rails=rails,
                writer=writer,
                sender=sender,
                reconciler=reconciler,
                policy=lambda: read_policy(settings),
                clocks=clocks,
                clock=clock,
                leases=leases,
                owner=owner,
                checkpoint=checkpoint,
                admission=admission,
                tasks=tasks,
                times=times,
            )
            checkout = Checkout(workings)
            tasks.start_soon(_sweep, workings, checkout)
            tasks.start_soon(reconciler.unwritten.keep_writing)
            if wallet is not None:
                tasks.start_soon(wallet.warm)
            try:
                yield Shop(settings, checkout, AddressBook(settings, writer))
            finally:
                with anyio.CancelScope(shield=True):
                    await sender.drained()
                    await reconciler.unwritten.write_all()
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await writer.aclose()
            await client.aclose()
            if wallet is not None:
                await wallet.aclose()


async def _sweep(workings: Workings, checkout: Checkout) -> None:
    """Look up what is in doubt and send what was approved, when the journal is first used and now and again.

    While people have something to decide, which they may do in another process, it is looked for often.
    """
    await workings.writer.used.wait()
    clocks = workings.clocks
    due = 0.0
    while True:
        undecided = False
        try:
            if time.monotonic() >= due:
                due = time.monotonic() + clocks.sweep
                for rail in workings.rails.values():
                    await workings.reconciler.sweep(rail, rail.mode)
            undecided = await checkout.send_approved()
        except ZincMcpError:
            pass  # the journal is out of order: every call says so, and the next round may find it mended
        _keep_what_is_loaded()
        left = max(0.0, due - time.monotonic())
        await workings.bell.wait(min(clocks.heed, left) if undecided else left)


@cache
def _keep_what_is_loaded() -> None:
    """Leave what the program consists of out of every later search for garbage, once.

    By now all that is heavy is loaded. A large answer makes a search of everything likely, and that stops the loop for
    longer than reading the answer does.
    """
    gc.freeze()


def _client(settings: Settings, transport: httpx.AsyncBaseTransport | None, clocks: Clocks, times: Times) -> ZincClient:
    if not settings.sandbox:
        return ZincClient(
            settings.api_url,
            route=settings.route,
            transport=transport,
            wire_seconds=clocks.wire,
            heard=times.heard,
        )
    if transport is None:
        from zinc_mcp.sandbox import Sandbox

        transport = Sandbox(settings.home / "sandbox.db").transport()
    return ZincClient(SANDBOX_ORIGIN, transport=transport, wire_seconds=clocks.wire, heard=times.heard)


def payment_wallet(
    settings: Settings, client: ZincClient | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> PaymentWallet | None:
    """Open the owner's payment wallet; practising in the sandbox never touches a real one.

    Raises:
        SettingsError: something that the wallet needs is missing or malformed.
    """
    kind = "sandbox" if settings.sandbox else settings.wallet
    if kind is None:
        return None
    from zinc_mcp.payments.drivers import wallet_from
    from zinc_mcp.payments.wallet import OPEN, Fate

    async def lookup(challenge_id: str) -> Fate:
        if client is None:
            return OPEN
        try:
            settlement = await client.get_practice_settlement(challenge_id)
        except ZincMcpError:
            return OPEN
        ending = settlement.get("ending")
        return Fate(ending, settlement.get("reference")) if ending in ("settled", "unpaid") else OPEN

    return wallet_from(_wallet_settings(settings), route=settings.route, transport=transport, lookup=lookup)


def _wallet_settings(settings: Settings) -> WalletSettings:
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
