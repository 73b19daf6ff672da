"""The view of the money that may be spent: Zinc's balance, the owner's limits, the wallet, and waiting questions."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.records.entry import CHANGES, Entry, Mode
from zinc_mcp.journal.records.money import told_of
from zinc_mcp.text import plain, printed
from zinc_mcp.views.change import word_for
from zinc_mcp.views.parts import View
from zinc_mcp.zinc.answers import MAX_CENTS
from zinc_mcp.zinc.credits import ManagedCredit

_AGES = ((7, "up to 7 days"), (30, "8 to 30 days"))
_OLDER = "more than 30 days"
MAX_WAITING = 10
MAX_FREED = 3
MAX_CREDITS = 5
"""Credits for orders of managed accounts that are shown, the newest ones."""


class AccountView(View):
    """The Zinc account that pays for `place_order`, in US cents."""

    balance_cents: int | None
    spendable_cents: int | None
    order_fee_cents: int | None
    billed_by_invoice: bool | None
    unread: str | None
    """The reason why Zinc did not show it."""


class ManagedView(View):
    """The balance of Zinc's managed accounts (ZMA), which pays for `place_v1_order`, in US cents."""

    balance_cents: int | None
    credits: list[dict[str, Any]]
    """Those of the newest transactions that gave money back for an order. Only they prove a refund."""
    unread: str | None
    """The reason why Zinc did not show the balance."""
    credits_unread: str | None


class LimitView(View):
    """One rolling limit of the owner, in US cents or orders."""

    limit: str
    """Its key under `[policy]`: `max_day` for each caller, `members.max_day` for this member, `roles.order.max_day` and
    `team.max_day` for several callers together."""
    of: int
    used: int
    left: int
    frees: list[dict[str, Any]]
    """The times at which the next amounts leave the limit by age, and may be spent again. Empty where others' orders
    count."""


class WalletView(View):
    """The payment wallet that pays for `place_agent_order`."""

    kind: str
    pays_by: list[str]
    can_pay: bool | None
    """Whether it can pay, as far as that can be told without moving money. Its balance is not read."""
    trouble: str | None


class UnprovedView(View):
    """Money that the wallet paid up front and that has not been proved to have come back."""

    counts_cents: int
    """The part for orders that bought nothing. It counts against `max_unproved`."""
    max_unproved_cents: int
    expected_back_cents: int
    """All that is due back, also for orders that cost less than was paid."""
    by_age: list[dict[str, Any]]


class WaitingView(View):
    key: str
    kind: str | None
    """Our word for a waiting entry that is no order: a return, a report, a message."""
    most_cents: int | None
    """None if it costs nothing."""
    retailer: str | None


class ModeView(View):
    """The limits of one kind of money."""

    mode: Mode
    max_order_cents: int
    limits: list[LimitView]
    unproved: UnprovedView | None
    paused: list[str]
    """The tools that cannot order now, because ordering is paused."""


class BalanceView(View):
    """The money that may be spent."""

    outcome: str
    summary: str
    next_step: str
    account: AccountView | None
    managed: ManagedView | None
    wallet: WalletView | None
    modes: list[ModeView]
    policy_unread: str | None
    waiting: list[WaitingView]
    waiting_left_out: int | None


def account_view(told: Any) -> AccountView:
    """Return the view of `GET /wallet/me`, or of the error with which it was not read."""
    if isinstance(told, ZincMcpError):
        return AccountView(
            balance_cents=None,
            spendable_cents=None,
            order_fee_cents=None,
            billed_by_invoice=None,
            unread=told.summary,
        )
    balance, fee = _cents(told.get("balance")), _cents(told.get("order_fee_cents"))
    fee = None if fee is not None and fee < 0 else fee  # as where the fee of an order is read
    spendable = _cents(told.get("spendable_balance"))
    return AccountView(
        balance_cents=balance,
        spendable_cents=spendable if spendable is not None else balance,
        order_fee_cents=fee,
        billed_by_invoice=True if told.get("billed_by_invoice") is True else None,
        unread="Zinc's answer holds no balance." if balance is None and spendable is None else None,
    )


def managed_view(
    balance: tuple[int | None, str] | ZincMcpError, credits: Sequence[ManagedCredit] | ZincMcpError
) -> ManagedView:
    """Return the view of the managed accounts, or of the errors with which they were not read."""
    unread: str | None = None
    cents: int | None = None
    if isinstance(balance, ZincMcpError):
        unread = balance.summary
    elif balance[1] != "USD":
        unread = "The balance is in another currency than US dollars."
    elif (cents := balance[0]) is None:
        unread = "Zinc's answer holds no balance."
    rows: Sequence[ManagedCredit] = () if isinstance(credits, ZincMcpError) else credits
    return ManagedView(
        balance_cents=cents,
        credits=[{"order_id": plain(each.order_id, 60), "cents": each.cents, "at": each.at} for each in rows][
            :MAX_CREDITS
        ],
        unread=unread,
        credits_unread=credits.summary if isinstance(credits, ZincMcpError) else None,
    )


def limit_view(name: str, of: int, used: int, freed: Sequence[tuple[float, int]] = ()) -> LimitView:
    """Return the view of one rolling limit; `freed` has the next amounts (cents) that leave it, with their times."""
    by_minute: dict[str, int] = {}
    for at, cents in freed:
        moment = _moment(at)
        by_minute[moment] = by_minute.get(moment, 0) + cents
    frees = [{"at": at, "cents": cents} for at, cents in by_minute.items()][:MAX_FREED]
    return LimitView(limit=name, of=of, used=used, left=max(0, of - used), frees=frees)


def unproved_view(entries: Sequence[Entry], counts_cents: int, most_cents: int, now: float) -> UnprovedView | None:
    """Return the view of refunds that are due and not proved, by the age of their payments; None without any."""
    by_age: dict[str, list[int]] = {}
    for entry in entries:
        due = told_of(entry).expected_back_cents or 0
        if entry.state == "paid_no_order":
            due = max(due, entry.counts_cents)
        if due > 0:
            by_age.setdefault(_age(now - entry.counted_at), []).append(due)
    if not by_age and not counts_cents:
        return None
    order = [*(name for _, name in _AGES), _OLDER]
    return UnprovedView(
        counts_cents=counts_cents,
        max_unproved_cents=most_cents,
        expected_back_cents=sum(map(sum, by_age.values())),
        by_age=[{"age": age, "orders": len(by_age[age]), "cents": sum(by_age[age])} for age in order if age in by_age],
    )


def waiting_view(entry: Entry) -> WaitingView:
    """Return the view of an entry that waits for a yes, with the most that it may cost."""
    retailer: object = entry.facts.get("retailer")
    is_change = entry.kind in CHANGES
    return WaitingView(
        key=plain(entry.key, 60),
        kind=word_for(entry) if is_change else None,
        most_cents=None if is_change else entry.reserved_cents,
        retailer=plain(retailer, 60) if isinstance(retailer, str) else None,
    )


def balance_view(
    account: AccountView | None,
    managed: ManagedView | None,
    wallet: WalletView | None,
    modes: Sequence[ModeView],
    waiting: Sequence[Entry],
    *,
    decide_at: str | None,
    policy_unread: str | None,
    resume: str,
    asked: bool,
) -> BalanceView:
    """Return the view with its sentences.

    Args:
        account: the account as Zinc shows it; None without one.
        managed: the managed accounts of v1 as Zinc shows them; None without a client token.
        wallet: the wallet; None without one.
        modes: the limits of each kind of money.
        waiting: the entries that wait for a yes.
        decide_at: a sentence that says where the user decides.
        policy_unread: the reason why the owner's policy cannot be used, or differs from that of other servers on the
            journal.
        resume: the command that ends a pause.
        asked: whether account and wallet were read.
    """
    paused = sorted({name for mode in modes for name in mode.paused})
    looked_at = [_account_said(account), _managed_said(managed), _wallet_said(wallet)]
    said = [*(looked_at if asked else []), *(_mode_said(mode) for mode in modes)]
    if policy_unread is not None:
        said.append(policy_unread)
    if paused:
        said.append(f"Ordering is paused for {' and '.join(paused)}.")
    steps: list[str] = []
    if waiting:
        said.append(_waiting_said(waiting))
        steps.append(decide_at or "Ask the user to decide.")
    if paused:
        steps.append(f"Tell the user: {resume} ends the pause once they have looked into it.")
    return BalanceView(
        outcome="paused" if paused else "shown",
        summary=" ".join(filter(None, said)),
        next_step=" ".join(steps) or "Tell the user. Only they can change the limits or add money.",
        account=account,
        managed=managed,
        wallet=wallet,
        modes=list(modes),
        policy_unread=policy_unread,
        waiting=[waiting_view(entry) for entry in waiting[:MAX_WAITING]],
        waiting_left_out=max(0, len(waiting) - MAX_WAITING) or None,
    )


def _account_said(account: AccountView | None) -> str:
    if account is None:
        return "No Zinc account is set up here."
    if account.spendable_cents is None:
        return f"The Zinc balance is not known just now: {account.unread}"
    fee = f"; its fee is {printed(account.order_fee_cents)} an order" if account.order_fee_cents is not None else ""
    invoice = " It is billed by invoice, so the balance stops no order." if account.billed_by_invoice else ""
    return f"Zinc's balance for place_order is {printed(account.spendable_cents)}{fee}.{invoice}"


def _managed_said(managed: ManagedView | None) -> str:
    if managed is None:
        return ""
    if managed.balance_cents is None:
        return f"The balance of Zinc's managed accounts is not known just now: {managed.unread}"
    back = ""
    if managed.credits:
        back = " managed.credits has the money that came back for orders, as far as the newest transactions show."
    return f"The balance of Zinc's managed accounts for place_v1_order is {printed(managed.balance_cents)}.{back}"


def _wallet_said(wallet: WalletView | None) -> str:
    if wallet is None:
        return "No payment wallet is set up here."
    if not wallet.can_pay:
        return f"The payment wallet {wallet.kind} cannot pay: {wallet.trouble}"
    return f"The payment wallet {wallet.kind} is ready; its balance is not read."


def _mode_said(mode: ModeView) -> str:
    parts = [
        f"{limit.left if limit.limit.endswith('max_orders_day') else printed(limit.left)} left of {limit.limit}"
        for limit in mode.limits
    ]
    kind = {"live": "", "test": " (practice with a test key)", "sandbox": " (practice in the sandbox)"}[mode.mode]
    unproved = ""
    if mode.unproved is not None and mode.unproved.expected_back_cents:
        unproved = (
            f" {printed(mode.unproved.expected_back_cents)} should come back to the wallet and is not proved yet."
        )
    most = f"at most {printed(mode.max_order_cents)} an order"
    return f"Under the owner's limits{kind}: {', '.join(parts)}; {most}.{unproved}"


def _waiting_said(waiting: Sequence[Entry]) -> str:
    changes = sum(entry.kind in CHANGES for entry in waiting)
    orders = len(waiting) - changes
    said = [f"{orders} {'order' if orders == 1 else 'orders'}"] if orders else []
    if changes:
        said.append(f"{changes} {'request' if changes == 1 else 'requests'} about an order")
    return f"{' and '.join(said)} {'waits' if len(waiting) == 1 else 'wait'} for the user's yes."


def _cents(value: object) -> int | None:
    return value if type(value) is int and abs(value) <= MAX_CENTS else None


def _age(seconds: float) -> str:
    days = seconds / 86_400
    return next((name for most, name in _AGES if days <= most), _OLDER)


def _moment(at: float) -> str:
    """Return a moment in whole minutes, rounded up, so that the amount is free at the moment that is told."""
    try:
        return datetime.fromtimestamp(math.ceil(at / 60) * 60, UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return "unknown"
