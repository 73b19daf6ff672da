"""Opens everything that one process needs, once. The only module that knows all rooms."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from zinc_mcp.checkout.send import wait_until_sent
from zinc_mcp.errors import SettingsError, ZincMcpError
from zinc_mcp.journal.records.clocks import LeaseClock, Times, Uptime, machine_uptime, this_process
from zinc_mcp.journal.runner import Unwritten
from zinc_mcp.owner.addresses import saved_addresses
from zinc_mcp.owner.kept_settings import opened
from zinc_mcp.owner.members import Members
from zinc_mcp.owner.policy import Policy, read_policy
from zinc_mcp.owner.team.own_policy import own_policy
from zinc_mcp.owner.team.places import FILE
from zinc_mcp.process import Checkpoint, Clocks, Process
from zinc_mcp.rails.account import ORDER_FEE_CENTS, AccountRail
from zinc_mcp.wiring.admission import admission_for
from zinc_mcp.wiring.background import keep_sweeping, listen, tell_the_owner
from zinc_mcp.wiring.clients import account_rail, open_v1_client, open_zinc_client, practice_transport, v1_rail
from zinc_mcp.wiring.wallet import usable_wallet, wallet_settings, warm
from zinc_mcp.wiring.watched import followed, runner_for, wallet_for

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.journal.journal import Journal
    from zinc_mcp.known_settings import RailName
    from zinc_mcp.owner.settings import Settings
    from zinc_mcp.rails import Rail
    from zinc_mcp.rails.v1 import V1Rail
    from zinc_mcp.telemetry.watch import Watch

logger = logging.getLogger(__name__)


@asynccontextmanager
async def open_process(
    settings: Settings,
    *,
    members: Members | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    wallet_transport: httpx.AsyncBaseTransport | None = None,
    clocks: Clocks | None = None,
    clock: Callable[[], float] = time.time,
    uptime: Uptime | None = machine_uptime,
    checkpoint: Checkpoint = logger.debug,
    watch: Watch | None = None,
) -> AsyncGenerator[Process]:
    """Open the journal's threads, the rails and the tasks that send orders; close them when nothing is in flight.

    Leaving this context waits until nothing is on the wire any more, even if the task is cancelled.

    Args:
        settings: the owner's settings.
        members: those of a team, by default those of the file `members.json` in the home.
        transport: replaces the network in tests.
        wallet_transport: replaces the network that a payment wallet talks to.
        clocks: the waiting times; by default the product's own.
        clock: seconds since the epoch.
        uptime: the machine's own clock, for leases; None if a test sets all clocks.
        checkpoint: called at each step where a crash matters; each is logged if nothing else is given.
        watch: takes metrics and spans of the process; None: there are none.

    Raises:
        SettingsError: the API's address cannot be used. A payment wallet that cannot be used is a warning.
        RefusedError: `policy_invalid`.
    """
    read_policy(settings)  # an unreadable policy must stop the start and not only the first order
    settings = await _opened(settings)
    clocks = clocks or Clocks()
    owner = f"{os.getpid()}-{secrets.token_hex(4)}"

    def open_journal() -> Journal:
        from zinc_mcp.journal.journal import Journal  # SQLAlchemy: `tools/list` does not wait for it
        from zinc_mcp.journal.records.sealing import Sealing

        sealing = Sealing(settings.keys("journal_keys"))
        marks = None if members is None else members.marks(is_shared=settings.is_shared)
        given = partial(Journal.open, settings.journal_url, sealing=sealing, marks=marks)
        return given(clock=clock, uptime=uptime, times=times)

    runner = runner_for(settings.journal_url, open_journal, watch)
    times = Times(clock, _steady_clock(clock, uptime))
    transport = transport if transport is not None or not settings.sandbox else practice_transport(settings)
    client = open_zinc_client(settings, transport, clocks, times, watch)
    v1_client = open_v1_client(settings, transport, clocks, times, watch)
    rails: dict[RailName, Rail] = {}
    unusable: dict[RailName, ZincMcpError] = {}
    wallet = wallet_for(usable_wallet(settings, client, wallet_transport, unusable), watch)
    account = account_rail(settings, client, clock if uptime is None else time.monotonic)
    if account is not None:
        rails["account"] = account
    elif settings.key_trouble is not None:
        unusable["account"] = SettingsError(*settings.key_trouble)
    if wallet is not None:
        from zinc_mcp.rails.agent import AgentRail

        # All practice has one mode, so that the same order on the other rail is found as its twin.
        practice = wallet.mode != "live" and settings.mode != "live"
        by_program = settings.wallet == "command" and not settings.sandbox
        rails["agent"] = AgentRail(
            client,
            wallet,
            settings.mode if practice else wallet.mode,
            clock,
            fees_cents=settings.wallet_fees or (ORDER_FEE_CENTS, ORDER_FEE_CENTS),
            sign_seconds=320.0 if by_program else clocks.sign_seconds,
            signs_only=not by_program,
            payer=wallet_settings(settings).payer(),
        )

    if v1_client is not None:
        rails["v1"] = v1_rail(v1_client, settings, clock)
    elif settings.v1_trouble is not None:
        unusable["v1"] = SettingsError(*settings.v1_trouble)

    policy = partial(read_policy, settings)
    addresses = partial(saved_addresses, settings)
    own = partial(own_policy, addresses=addresses) if settings.is_shared else _not_shared
    known = members or Members(settings.home / FILE, is_sure=False)
    try:
        async with followed(runner, watch), anyio.create_task_group() as tasks:
            process = Process(
                settings=settings,
                rails=rails,
                journal=runner,
                unwritten=Unwritten(runner),
                client=client,
                policy=policy,
                own_policy=own,
                role_of=known.role_of,
                clocks=clocks,
                times=times,
                leases=LeaseClock(times.shared, uptime),
                owner=owner,
                holder=this_process(),
                admission=admission_for(settings, policy, own, known, clocks.twin_seconds),
                checkpoint=checkpoint,
                tasks=tasks,
                unusable=unusable,
                watch=watch,
            )
            tasks.start_soon(keep_sweeping, process)
            tasks.start_soon(process.unwritten.keep_writing)
            if settings.journal_url.startswith("postgresql"):
                process.news.on_decision = process.asked.set
                tasks.start_soon(listen, process)
            if settings.notify is not None:
                tasks.start_soon(tell_the_owner, process, settings.notify)
            if wallet is None:
                process.warmed.set()
            else:
                tasks.start_soon(warm, process, wallet)
            try:
                yield process
            finally:
                with anyio.CancelScope(shield=True):
                    await wait_until_sent(process)
                    await process.unwritten.write_all()
                tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await runner.aclose()
            await client.aclose()
            if v1_client is not None:
                await v1_client.aclose()
            if wallet is not None:
                await wallet.aclose()


@asynccontextmanager
async def open_payers(
    settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None, clocks: Clocks | None = None
) -> AsyncGenerator[Mapping[RailName, AccountRail | V1Rail]]:
    """Open the rails whose orders Zinc lists, to read with them: no journal is opened, and nothing is sent.

    Raises:
        SettingsError: an address of Zinc cannot be used.
    """
    settings, clocks = await _opened(settings), clocks or Clocks()
    transport = transport if transport is not None or not settings.sandbox else practice_transport(settings)
    times = Times(time.time, time.monotonic)
    client = open_zinc_client(settings, transport, clocks, times)
    v1_client = open_v1_client(settings, transport, clocks, times)
    payers: dict[RailName, AccountRail | V1Rail] = {}
    if (account := account_rail(settings, client, time.monotonic)) is not None:
        payers["account"] = account
    if v1_client is not None:
        payers["v1"] = v1_rail(v1_client, settings, time.time)
    try:
        yield payers
    finally:
        await client.aclose()
        if v1_client is not None:
            await v1_client.aclose()


def _not_shared(policy: Policy) -> None:
    """Compare no policy: a journal in a file is one person's."""


async def _opened(settings: Settings) -> Settings:
    """Return the settings with the secrets of a keyring, read in a thread because a keyring may take seconds."""
    if not settings.in_keyring:
        return settings
    return await anyio.to_thread.run_sync(opened, settings)


def _steady_clock(clock: Callable[[], float], uptime: Uptime | None) -> Callable[[], float]:
    """Return a clock that nobody can set; the wall clock if a test sets all clocks."""
    if uptime is None:
        return clock
    return time.monotonic if uptime is machine_uptime else lambda: uptime()[1]
