"""The view of a comparison with Zinc: each difference in a sentence, and the things that were not compared."""

from collections.abc import Iterator
from typing import Any, Literal

from zinc_mcp.invocation import command
from zinc_mcp.spending.reconcile import Difference, Kind, Reconciled
from zinc_mcp.text import plain, printed
from zinc_mcp.views.parts import View

MOST_TOLD = 200
"""Differences that are told one by one."""
_MOST_NAMED = 10

_SENTENCES: dict[Kind, str] = {
    "unknown_order": "Zinc has an order that this journal does not know. Something else ordered with the same key or "
    "token.",
    "other_journal": "Zinc has an order with a key of ours that this journal does not hold. Another journal "
    "placed it, or this one before a backup was put in its place.",
    "missing_order": "The journal has an order that Zinc says it does not have.",
    "same_key_twice": "Zinc has two orders for one key, so it did not honour the key.",
    "same_intention_twice": "Zinc has two orders for one intention, and the journal has not allowed both.",
    "same_goods_twice": "Zinc has two orders of the same goods for the same address within a day, and the journal has "
    "not allowed both.",
    "shared_order": "Two orders of the journal name one order at Zinc.",
    "not_what_was_sent": "What Zinc has under this key or id is not what was sent.",
    "found_in_doubt": "An order in doubt is found: Zinc has it.",
    "bought_after_no": "The journal says that this came to no order, and Zinc has one.",
    "status_differs": "The state differs.",
    "unclear_at_zinc": "Zinc shows a status that is not known here, or contradicts itself, so that it proves nothing.",
    "total_differs": "The total differs.",
    "above_ceiling": "Zinc charged more than max_price allows.",
    "unknown_credit": "Zinc shows a credit that the journal does not know.",
    "credit_gone": "The journal knows a credit that Zinc does not show any more.",
    "balance_unexplained": "More money is gone from the Zinc balance than orders and look-ups of this time explain.",
}
_LOOK = frozenset({"found_in_doubt", "status_differs", "total_differs", "unknown_credit"})
"""The kinds of differences that a look-up of the order writes down."""

Outcome = Literal["agrees", "differs", "not_compared"]


class DifferenceView(View):
    """One difference. Amounts are US cents."""

    kind: Kind
    concerns_money: bool
    sentence: str
    next_step: str
    keys: list[str]
    order_ids: list[str]
    here: str | None
    at_zinc: str | None
    here_cents: int | None
    zinc_cents: int | None

    @property
    def amounts(self) -> str:
        """The states and amounts of both sides, in words."""
        here = [self.here, None if self.here_cents is None else printed(self.here_cents)]
        zinc = [self.at_zinc, None if self.zinc_cents is None else printed(self.zinc_cents)]
        said = [("journal", " ".join(filter(None, here))), ("Zinc", " ".join(filter(None, zinc)))]
        if self.kind == "balance_unexplained":
            said = [("explained", here[1] or ""), ("gone", zinc[1] or "")]
        return ", ".join(f"{who}: {what or 'nothing'}" for who, what in said) if any(what for _, what in said) else ""


class ReconciledView(View):
    """The result of a comparison."""

    outcome: Outcome
    summary: str
    differences: list[DifferenceView]
    left_out: int | None
    not_compared: list[str]
    balance_cents: int | None


def reconciled_view(found: Reconciled, *, days: float, asked_balance: bool) -> ReconciledView:
    """Return the view of a comparison over so many days.

    `asked_balance`: whether the owner gave the balance at the beginning.
    """
    outcome: Outcome = "differs" if found.differences else "agrees" if found.is_whole else "not_compared"
    covered = f"{_count(found.orders, 'order')} at Zinc and {_count(found.entries, 'order')} of the journal"
    money = sum(each.concerns_money for each in found.differences)
    if found.differences:
        summary = f"{_count(len(found.differences), 'difference')} in {covered}; {money} of them about money."
    elif found.is_whole:
        summary = f"No difference in {covered} of the last {days:g} days."
    else:
        summary = f"No difference was found in {covered}, but not all could be compared, so this proves nothing."
    return ReconciledView(
        outcome=outcome,
        summary=summary,
        differences=[_difference(each) for each in found.differences[:MOST_TOLD]],
        left_out=max(0, len(found.differences) - MOST_TOLD) or None,
        not_compared=list(_not_compared(found, asked_balance=asked_balance)),
        balance_cents=found.balance_cents,
    )


def _difference(each: Difference) -> DifferenceView:
    texts: dict[str, Any] = {
        "keys": [plain(key, 64) for key in each.keys[:_MOST_NAMED]],
        "order_ids": [plain(order_id, 100) for order_id in each.order_ids[:_MOST_NAMED]],
        "here": None if each.here is None else plain(each.here, 60),
        "at_zinc": None if each.at_zinc is None else plain(each.at_zinc, 60),
    }
    return DifferenceView(
        kind=each.kind,
        concerns_money=each.concerns_money,
        sentence=_SENTENCES[each.kind],
        next_step=_next_step(each),
        here_cents=each.here_cents,
        zinc_cents=each.zinc_cents,
        **texts,
    )


def _next_step(each: Difference) -> str:
    if each.kind in _LOOK and not each.concerns_money:
        return "A look-up of this order (get_order) writes it down."
    if each.kind == "balance_unexplained":
        return "Look at the movements on Zinc's dashboard."
    if each.kind in ("unknown_order", "other_journal"):
        return "If nobody of yours placed it, change the key or token at Zinc."
    return "Look at both, and ask Zinc with the order's id."


def _not_compared(found: Reconciled, *, asked_balance: bool) -> Iterator[str]:
    if found.unread is not None:
        yield f"Zinc's list could not be read to its end: {found.unread.summary}"
    elif found.list_cut:
        yield "Zinc has more orders in this time than are read at once: take fewer days."
    if found.journal_cut:
        yield "The journal has more orders in this time than are read at once: take fewer days."
    if found.unreadable:
        yield f"{_count(found.unreadable, 'row')} of Zinc's list could not be read."
    if found.unsettled:
        yield f"{_count(found.unsettled, 'order')} had to be read one by one and could not be."
    if found.in_doubt:
        yield f"{_count(found.in_doubt, 'order')} in doubt: not in Zinc's list, which proves nothing."
    if found.paid_by_wallet:
        yield f"{_count(found.paid_by_wallet, 'order')} paid by wallet: Zinc does not list them for the {_key(found)}."
    if found.other_service:
        orders = _count(found.other_service, "order")
        if found.rail == "v1":
            yield f"{orders} of Zinc's v2: {command('reconcile', '--rail', 'account')}"
        else:
            yield f"{orders} of Zinc's v1: {command('reconcile', '--rail', 'v1')}"
    if found.other_accounts:
        orders = _count(found.other_accounts, "order")
        yield f"{orders} placed with another {_key(found)} or at another address of Zinc."
    if found.rail == "v1":
        yield "The balance: Zinc's dashboard shows its movements, with Zinc's fees."
    elif found.balance_cents is None:
        yield "The balance: Zinc did not show one that orders are taken from."
    elif not asked_balance:
        yield (
            f"The balance, now {printed(found.balance_cents)}: Zinc lists no movements of it. "
            "Say what it was at the beginning with --balance-was CENTS, and what is gone is compared."
        )
    elif not found.is_whole:
        yield "The balance: without the whole list nobody can say what explains it."
    else:
        yield "Money that was added to the balance meanwhile: Zinc does not show it, and it can hide what is gone."


def _key(found: Reconciled) -> str:
    return "client token" if found.rail == "v1" else "API key"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
