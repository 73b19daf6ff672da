"""Opens everything that one process needs, once. The only module that knows all rooms."""

from __future__ import annotations

import gc
import logging
import os
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread
from pydantic import SecretStr

from zinc_mcp.aftercare.look_up import sweep as sweep_changes
from zinc_mcp.checkout.look_up import sweep
from zinc_mcp.checkout.send import wait_until_sent
from zinc_mcp.decisions import send_all_approved
from zinc_mcp.errors import RefusedError, SettingsError, ZincMcpError
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
from zinc_mcp.wiring.wallet import usable_wallet, wallet_settings, warm
from zinc_mcp.wiring.watched import exchange_for, followed, runner_for, wallet_for
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.connection import Connection

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.journal.journal import Journal
    from zinc_mcp.known_settings import RailName
    from zinc_mcp.network import Exchange
    from zinc_mcp.owner.notify import Notify
    from zinc_mcp.owner.settings import Settings
    from zinc_mcp.rails import Rail
    from zinc_mcp.rails.v1 import V1Rail
    from zinc_mcp.telemetry.watch import Watch
    from zinc_mcp.zinc.v1.client import V1Client

logger = logging.getLogger(__name__)

C = TypeVar("C", bound=Connection)

SANDBOX_ORIGIN = "https://sandbox.invalid"
"""Names the sandbox in journal entries; nothing is ever looked up there (RFC 6761, section 6.4)."""

_TELLING_STARTS_SECONDS = 15.0


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
    transport = transport if transport is not None or not settings.sandbox else _practice_transport(settings)
    client = _client(settings, transport, clocks, times, watch)
    v1_client = _v1_client(settings, transport, clocks, times, watch)
    rails: dict[RailName, Rail] = {}
    unusable: dict[RailName, ZincMcpError] = {}
    wallet = wallet_for(usable_wallet(settings, client, wallet_transport, unusable), watch)
    account = _account_rail(settings, client, clock if uptime is None else time.monotonic)
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
            sign_seconds=320.0 if by_program else clocks.sign,
            signs_only=not by_program,
            payer=wallet_settings(settings).payer(),
        )

    if v1_client is not None:
        rails["v1"] = _v1_rail(v1_client, settings, clock)
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
                admission=admission_for(settings, policy, own, known, clocks.twin),
                checkpoint=checkpoint,
                tasks=tasks,
                unusable=unusable,
                watch=watch,
            )
            tasks.start_soon(_sweep, process)
            tasks.start_soon(process.unwritten.keep_writing)
            if settings.journal_url.startswith("postgresql"):
                process.news.on_decision = process.asked.set
                tasks.start_soon(_listen, process)
            if settings.notify is not None:
                tasks.start_soon(_tell_the_owner, process, settings.notify)
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
    transport = transport if transport is not None or not settings.sandbox else _practice_transport(settings)
    times = Times(time.time, time.monotonic)
    client, v1_client = _client(settings, transport, clocks, times), _v1_client(settings, transport, clocks, times)
    payers: dict[RailName, AccountRail | V1Rail] = {}
    if (account := _account_rail(settings, client, time.monotonic)) is not None:
        payers["account"] = account
    if v1_client is not None:
        payers["v1"] = _v1_rail(v1_client, settings, time.time)
    try:
        yield payers
    finally:
        await client.aclose()
        if v1_client is not None:
            await v1_client.aclose()


def _not_shared(policy: Policy) -> None:
    """Compare no policy: a journal in a file is one person's."""


def _account_rail(settings: Settings, client: ZincClient, clock: Callable[[], float]) -> AccountRail | None:
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


async def _sweep(process: Process) -> None:
    """Look up entries in doubt and send approved ones: when the journal is first used, and then regularly.

    While a question is open, this looks for its answer often, because another process may take the answer.
    """
    await process.journal.used.wait()
    clocks = process.clocks
    due = 0.0
    while True:
        undecided = False
        try:
            if time.monotonic() >= due:
                due = time.monotonic() + clocks.sweep
                for rail in process.rails.values():
                    await sweep(process, rail)
                    await sweep_changes(process, rail)
            undecided = await send_all_approved(process)
        except RefusedError:
            undecided = True  # this one was refused; others may wait for a decision
        except ZincMcpError:
            pass  # the journal fails: every call says so, and it may work again in the next round
        except Exception as error:  # an unforeseen error must not end the server, now and after each restart
            logger.error("a round of looking up and sending failed (%s)", type(error).__name__)
        _keep_what_is_loaded()
        left = max(0.0, due - time.monotonic())
        await process.asked.wait(min(clocks.heed, left) if undecided else left)


async def _listen(process: Process) -> None:
    """Take news of other processes' changes, from the first use of the journal on."""
    await process.journal.used.wait()
    from zinc_mcp.journal.storage.notifying import keep_listening  # SQLAlchemy: `tools/list` does not wait for it

    await keep_listening(process.settings.journal_url, process.news)


async def _tell_the_owner(process: Process, notify: Notify) -> None:
    """Tell the owner what happens to orders, from the first use of the journal on, or from soon after the start.

    A process that was killed may have left news untold, so this does not always wait for the first use.
    """
    with anyio.move_on_after(_TELLING_STARTS_SECONDS):
        await process.journal.used.wait()
    from zinc_mcp.notify.notifier import keep_telling  # SQLAlchemy: `tools/list` does not wait for it

    await keep_telling(process, notify)


@cache
def _keep_what_is_loaded() -> None:
    """Exclude the loaded modules from the garbage collector's later searches, once.

    All large libraries are loaded by now. A large answer makes a full search likely, and such a search stops the event
    loop for a longer time than reading the answer does.
    """
    gc.freeze()


def v1_origin(settings: Settings) -> str:
    """Return the origin of the Zinc that v1 orders go to, in one spelling.

    Raises:
        SettingsError: the configured one cannot be used.
    """
    if settings.sandbox:
        return f"{SANDBOX_ORIGIN}/v1"
    from zinc_mcp.zinc.origin import check_origin  # not needed to list the tools

    return check_origin(settings.v1_api_url, "ZINC_V1_API_URL")


def _client(
    settings: Settings,
    transport: httpx.AsyncBaseTransport | None,
    clocks: Clocks,
    times: Times,
    watch: Watch | None = None,
) -> ZincClient:
    origin = SANDBOX_ORIGIN if settings.sandbox else settings.api_url
    return _connected(ZincClient, origin, settings, transport, clocks, times, exchange_for("zinc", watch))


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
        wire_seconds=clocks.wire,
        on_date=times.heard,
        exchange=exchange,
    )


def _practice_transport(settings: Settings) -> httpx.AsyncBaseTransport:
    from zinc_mcp.sandbox import Sandbox

    return Sandbox(settings.home / "sandbox.db", pace=max(1, settings.sandbox_pace)).transport()


def _v1_client(
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


def _v1_rail(client: V1Client, settings: Settings, clock: Callable[[], float]) -> V1Rail:
    from zinc_mcp.rails.v1 import V1Rail

    # Practice sends no real token. The one for practice is in no answer of the sandbox, since tokens are removed there.
    token = (None if settings.sandbox else settings.v1_client_token) or SecretStr("v1-token-to-practise")
    return V1Rail(client, token, "sandbox" if settings.sandbox else "live", clock)
