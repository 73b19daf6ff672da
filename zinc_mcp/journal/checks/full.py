"""The refusals of full limits: they name the limit, its rest, and the time at which an order fits again.

The refusal of a limit over several callers tells no order of another caller. It tells only the rest of the limit, and
the time at which the rest is enough.
"""

from collections.abc import Mapping
from math import floor
from typing import Any, get_args

import sqlalchemy as sa

from zinc_mcp.errors import LimitExceededError, Whose
from zinc_mcp.invocation import command
from zinc_mcp.journal.records.entry import DAY_SECONDS, Draft, Entry
from zinc_mcp.journal.storage import totals
from zinc_mcp.journal.storage.statements import ask
from zinc_mcp.journal.storage.totals import HOUR, MINUTE
from zinc_mcp.text import in_hours, printed

_AGEING = {whose: totals.ageing(whose, "sqlite") for whose in get_args(Whose)}
_AGEING_ON_POSTGRESQL = {whose: totals.ageing(whose, "postgresql") for whose in get_args(Whose)}
_EVERY_LATER = 2**40
_ONLY_THE_OWNER = "Tell the user which limit it is; only the owner can raise it (`{}` in zinc.toml)."


def of_money(
    connection: sa.Connection, order: Draft | Entry, whose: Whose, seconds: float, cents: int, held: int, now: float
) -> LimitExceededError:
    """Return the refusal of an order that a limit in cents does not admit beside `held`.

    Args:
        connection: for the time at which money leaves the limit.
        order: the order that is refused.
        whose: the callers whose orders count.
        seconds: the window, which is 24 hours or 30 days.
        cents: the limit.
        held: the cents that count already.
        now: the present time by which they were counted.
    """
    asked, left = order.reserved_cents, max(0, cents - held)
    period, key = ("24 hours", "max_day") if seconds == DAY_SECONDS else ("30 days", "max_month")
    limit = f"the limit of {printed(cents)}{_whose(whose, order)} in {period}"
    fee = "" if order.rail == "v1" else " with Zinc's fee"  # v1 tells no fee
    again = " No order of that size fits under it."
    if asked <= cents:
        again = _again(_fits_in(connection, order, whose, seconds, now, cents=held + asked - cents))
    return _exceeded(
        f"This order could cost {printed(asked)}{fee}, and {limit} has {printed(left)} left.{again}",
        {"limit_cents": cents, "left_cents": left, "asked_cents": asked, "period": period},
        order,
        whose,
        key,
        seconds,
        limit,
    )


def of_orders(
    connection: sa.Connection, order: Draft | Entry, whose: Whose, orders: int, held: int, now: float
) -> LimitExceededError:
    """Return the refusal of an order that a limit of the number of orders in 24 hours does not admit."""
    limit = f"the limit of {orders} orders{_whose(whose, order)} in 24 hours"
    again = ""
    if orders > 0:
        again = _again(_fits_in(connection, order, whose, DAY_SECONDS, now, orders=held + 1 - orders))
    facts = {"limit_orders": orders, "orders": held, "period": "24 hours"}
    summary = f"T{limit[1:]} is reached.{again}"
    return _exceeded(summary, facts, order, whose, "max_orders_day", DAY_SECONDS, limit)


def unproved(limit_cents: int, cents: int) -> LimitExceededError:
    """Return the refusal of an order by wallet while too much money that was paid up front is not proved to be back."""
    refusal = LimitExceededError(
        f"{printed(cents)} was paid up front by wallet for orders that ended with nothing bought, "
        "and it is not proved to have come back. The owner's limit for that (max_unproved) is "
        f"{printed(limit_cents)}.",
        "Tell the user to look whether it came back; "
        f"{command('orders', 'refunded', 'KEY', 'CENTS')} in a terminal then says so for each order. "
        "place_order, which pays from a Zinc balance, is not stopped by this.",
        facts={"limit_cents": limit_cents, "unproved_cents": cents},
    )
    refusal.period_seconds = None
    return refusal


def table_of(whose: Whose, role: str | None) -> str:
    """Return the table of `zinc.toml` in which a limit stands."""
    tables = {"caller": "policy", "member": "policy.members", "role": f"policy.roles.{role}", "team": "policy.team"}
    return tables[whose]


def _exceeded(
    summary: str, facts: dict[str, Any], order: Draft | Entry, whose: Whose, key: str, seconds: float, limit: str
) -> LimitExceededError:
    next_step = None
    if whose != "caller":
        next_step = _ONLY_THE_OWNER.format(f"{key} under [{table_of(whose, order.role)}]")
    refusal = LimitExceededError(summary, next_step, facts={**facts, "limit": f"[{table_of(whose, order.role)}] {key}"})
    refusal.period_seconds, refusal.whose, refusal.limit_in_words = seconds, whose, limit
    return refusal


def _whose(whose: Whose, order: Draft | Entry) -> str:
    words: Mapping[Whose, str] = {
        "caller": "",
        "member": " for this member",
        "role": f" for all with the role {order.role} together",
        "team": " for the whole team",
    }
    return words[whose]


def _again(seconds: float | None) -> str:
    return (
        ""
        if seconds is None
        else f" It has room for this again in {in_hours(seconds)}, if nothing else is ordered first."
    )


def _fits_in(
    connection: sa.Connection,
    order: Draft | Entry,
    whose: Whose,
    seconds: float,
    now: float,
    *,
    cents: int = 0,
    orders: int = 0,
) -> float | None:
    """Return the time until so much has left a limit by age, in seconds, to the minute; None if that is not known."""

    def left_by(span: int, first: int, last: int) -> int | None:
        """Subtract all that leaves the limit in each span, oldest first; return the start with which it is enough."""
        nonlocal cents, orders
        given = {"mode": order.mode, "caller": order.caller, "role": order.role or "", "span": span}
        for start, its_cents, its_orders in ask(
            connection, _AGEING[whose], {**given, "first": first, "last": last}
        ).rows():
            if isinstance(order, Entry) and floor(order.counted_at) // span == start:  # it was left out
                its_cents, its_orders = its_cents - order.counts_cents, its_orders - 1
            if cents <= its_cents and orders <= its_orders:
                return int(start)
            cents, orders = cents - int(its_cents), orders - int(its_orders)
        return None

    minute = floor(now - seconds) // MINUTE
    over = (minute // 60 + 1) * 60
    found = left_by(MINUTE, minute, over - 1)
    if found is None and (hour := left_by(HOUR, over // 60, _EVERY_LATER)) is not None:
        found = left_by(MINUTE, hour * 60, hour * 60 + 59)
    return None if found is None else (found + 1) * MINUTE + seconds - now
