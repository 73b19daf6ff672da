"""`get_balance`: the money that may be spent, its sources, and the questions that wait for a yes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field

from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.errors import UnreadableAnswerError, ZincMcpError
from zinc_mcp.invocation import command
from zinc_mcp.journal.checks.shared import Held
from zinc_mcp.journal.records.entry import DAY_SECONDS, MONTH_SECONDS, Mode, Rolling
from zinc_mcp.journal.records.own_policy import in_words
from zinc_mcp.known_settings import RailName, Role
from zinc_mcp.owner.objection import largest_order, limits_of
from zinc_mcp.owner.policy import Policy
from zinc_mcp.process import Process
from zinc_mcp.server.mcp.arguments import input_schema, normalized, validated
from zinc_mcp.server.mcp.asking import where_to_decide
from zinc_mcp.server.mcp.results import ALWAYS, crashed, failed, shown
from zinc_mcp.server.mcp.tools.tool import Service, caller_of, logged, published
from zinc_mcp.views.balance import (
    AccountView,
    BalanceView,
    LimitView,
    ManagedView,
    ModeView,
    WalletView,
    account_view,
    balance_view,
    limit_view,
    managed_view,
    unproved_view,
)
from zinc_mcp.zinc.credits import ManagedCredit

if TYPE_CHECKING:
    from zinc_mcp.journal.journal import Journal

BALANCE_SECONDS = 5.0
"""The longest time for Zinc, and for the wallet's own check."""
MOST_PAID = 500
"""Orders paid up front that one look adds up."""
_MOST_FREED = 200
"""The most entries that one look reads to tell when a limit frees."""
SHOWS = {**ALWAYS, "account": "object", "modes": "array", "waiting": "array"}
_DESCRIPTION = (
    "Show what may be spent: Zinc's balance and fee, the owner's limits and when they free, the payment wallet, and "
    "orders that wait for the user's yes. Changes nothing and costs nothing."
)
_TOOLS = {"account": "place_order", "agent": "place_agent_order", "v1": "place_v1_order"}


class BalanceAsked(BaseModel):
    """The arguments of `get_balance`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    limits_only: bool = Field(False, strict=True, description="Leave out Zinc and the wallet")


def tool(service: Service) -> Tool:
    """Return the tool."""
    process = service.process

    async def look(given: Mapping[str, Any], ctx: Context) -> CallToolResult:
        try:
            asked = validated(BalanceAsked, normalized(BalanceAsked, given))
            caller = caller_of(ctx)
            with service.calls.one_more(caller):
                return shown(await balance(process, service, caller, limits_only=asked.limits_only))
        except ZincMcpError as error:
            return failed(error, "look")
        except Exception as error:
            return crashed(logged(error), "look", reached_checkout=False, key=None)

    return published(
        look,
        "get_balance",
        "Show what may be spent",
        _DESCRIPTION,
        arguments=input_schema(BalanceAsked),
        shows=SHOWS,
        reads=True,
    )


async def balance(process: Process, service: Service, caller: str, *, limits_only: bool) -> BalanceView:
    """Return the view of the money that a caller may spend.

    Raises:
        JournalError: the journal cannot be read.
    """
    policy: Policy | None = None
    policy_unread: str | None = None
    try:
        policy = process.policy()
        own = process.own_policy(policy)
    except ZincMcpError as error:
        policy, own, policy_unread = None, None, error.summary
    published = None if own is None else await process.journal.run(lambda journal: journal.published_policy())
    if own is not None and published is not None and own.digest != published.digest:
        policy, policy_unread = None, in_words(own, published)  # other limits than its own hold
    modes: list[Mode] = sorted({rail.mode for rail in process.rails.values()})
    waiting = await questions_for(process, caller)
    return balance_view(
        None if limits_only else await _account(process),
        None if limits_only else await _managed(process),
        None if limits_only else await _wallet(process),
        await _modes(process, policy, caller, modes) if policy is not None else [],
        waiting,
        decide_at=await where_to_decide(service.process, service.page, caller, waiting[0]) if waiting else None,
        policy_unread=policy_unread,
        resume=command("resume"),
        asked=not limits_only,
    )


async def _account(process: Process) -> AccountView | None:
    rail = process.rails.get("account")
    if rail is None or rail.on_balance is None:
        return None
    try:
        with anyio.fail_after(BALANCE_SECONDS):
            return account_view(await rail.on_balance.wallet())
    except TimeoutError:
        return account_view(UnreadableAnswerError("Zinc did not show the balance in time."))
    except ZincMcpError as error:
        return account_view(error)


async def _managed(process: Process) -> ManagedView | None:
    """Return the balance of Zinc's managed accounts, and the refunds there."""
    rail = process.rails.get("v1")
    if rail is None or rail.on_v1 is None:
        return None
    late = UnreadableAnswerError("Zinc did not show it in time.")
    balance: tuple[int | None, str] | ZincMcpError = late
    credits: Sequence[ManagedCredit] | ZincMcpError = late
    with anyio.move_on_after(BALANCE_SECONDS):
        try:
            balance = await rail.on_v1.balance()
            credits = await rail.on_v1.credits()
        except ZincMcpError as error:
            balance, credits = (error if balance is late else balance), error
    return managed_view(balance, credits)


async def _wallet(process: Process) -> WalletView | None:
    """Return the wallet as far as it can be told without paying or asking anybody."""
    rail, trouble = process.rails.get("agent"), process.unusable.get("agent")
    kind = "sandbox" if process.settings.sandbox else process.settings.wallet
    if rail is None or rail.paying is None:
        if trouble is None:
            return None
        return WalletView(kind=kind or "unknown", pays_by=[], can_pay=False, trouble=trouble.summary)
    if trouble is None:
        try:
            with anyio.fail_after(BALANCE_SECONDS):
                await rail.paying.check_wallet()
        except TimeoutError:
            trouble = UnreadableAnswerError("It could not be checked in time.")
        except ZincMcpError as error:
            trouble = error
    return WalletView(
        kind=kind or "unknown",
        pays_by=rail.paying.pays_by,
        can_pay=trouble is None,
        trouble=None if trouble is None else trouble.summary,
    )


async def _modes(process: Process, policy: Policy, caller: str, modes: Sequence[Mode]) -> list[ModeView]:
    now = process.times.clock()
    rails: dict[Mode, list[RailName]] = {
        mode: [rail.name for rail in process.rails.values() if rail.mode == mode] for mode in modes
    }
    role = process.role_of(caller)
    # This is one piece of work: each piece costs a change of threads, and between two pieces the sums could change.
    return await process.journal.run(
        lambda journal: [_mode(journal, policy, caller, role, mode, rails[mode], now) for mode in modes]
    )


def _mode(
    journal: "Journal",
    policy: Policy,
    caller: str,
    role: Role | None,
    mode: Mode,
    rails: Sequence[RailName],
    now: float,
) -> ModeView:
    kept = limits_of(policy, caller, role)
    by_month = kept.month_cents is not None or (kept.member is not None and kept.member.month_cents is not None)
    day_cents, orders = journal.counted(caller, mode, DAY_SECONDS)
    month_cents = journal.counted(caller, mode, MONTH_SECONDS)[0] if by_month else 0
    own = Held(day_cents=day_cents, day_orders=orders, month_cents=month_cents)
    day_freed = journal.freed(caller, mode, DAY_SECONDS, _MOST_FREED)
    month_freed = journal.freed(caller, mode, MONTH_SECONDS, _MOST_FREED) if by_month else ()
    limits = _views("", kept, own, day_freed, month_freed)
    if kept.member is not None:
        limits += _views("members.", kept.member, own, day_freed, month_freed)
    if kept.are_shared:
        together = journal.counted_together(mode, role)
        # The times at which orders of other callers leave a limit are not told.
        for table, rolling, held in ((f"roles.{role}.", kept.role, together.role), ("team.", kept.team, together.team)):
            limits += [] if rolling is None else _views(table, rolling, held)
    if mode == "live" or "agent" in rails:  # elsewhere a question about products costs nothing
        freed = journal.freed(caller, mode, DAY_SECONDS, _MOST_FREED, look_ups_alone=True)
        spent_cents = journal.counted_look_ups(caller, mode)
        limits.append(limit_view("max_lookups_day", policy.max_lookups_day, spent_cents, freed))
    paid, counts = journal.paid_up_front(caller, mode, MOST_PAID), journal.unproved_cents(caller, mode)
    return ModeView(
        mode=mode,
        max_order_cents=largest_order(policy, caller, role)[0],
        limits=limits,
        unproved=unproved_view(paid, counts, policy.most_unproved, now),
        paused=[_TOOLS[name] for name in rails if journal.is_paused(caller, mode, name)],
    )


def _views(
    table: str,
    limits: Rolling,
    held: Held,
    day_freed: Sequence[tuple[float, int]] = (),
    month_freed: Sequence[tuple[float, int]] = (),
) -> list[LimitView]:
    found: list[LimitView] = []
    if limits.day_cents is not None:
        found.append(limit_view(f"{table}max_day", limits.day_cents, held.day_cents, day_freed))
    if limits.month_cents is not None:
        found.append(limit_view(f"{table}max_month", limits.month_cents, held.month_cents, month_freed))
    if limits.orders_day is not None:
        found.append(limit_view(f"{table}max_orders_day", limits.orders_day, held.day_orders))
    return found
