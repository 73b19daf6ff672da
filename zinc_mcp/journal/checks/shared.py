"""The sums that count against limits over several callers: those of a role, and of the whole team.

An order counts for the role that its caller had when it was opened, until it is too old for the window. So a member who
gets another role, or leaves, frees nothing of a role's limit.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from zinc_mcp.journal.records.entry import DAY_SECONDS, MONTH_SECONDS, Draft, Entry, Limits, Mode, Rolling
from zinc_mcp.journal.storage import totals
from zinc_mcp.journal.storage.postgresql import Asked, Values
from zinc_mcp.journal.storage.statements import ask, is_sqlite, must_be_alone
from zinc_mcp.known_settings import Role

_TOGETHER, _TOGETHER_ON_POSTGRESQL = totals.counted_together("sqlite"), totals.counted_together("postgresql")
_NO_ENTRY = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The money and the orders that count against limits."""

    day_cents: int
    """Over 24 hours."""
    day_orders: int
    """Over 24 hours."""
    month_cents: int
    """Over 30 days. If no limit over 30 days was asked for, it may be over 24 hours."""


@dataclass(frozen=True, slots=True)
class Together:
    """The money and the orders that count against the limits over several callers."""

    role: Held
    """Of all orders that were opened by somebody with the caller's role."""
    team: Held
    """Of all callers, the owner among them."""


@dataclass(frozen=True, slots=True)
class Left:
    """The rest that all limits leave for further orders of a caller; None where there is no limit."""

    day_cents: int | None
    month_cents: int | None
    orders_day: int | None


def ask_together(
    connection: sa.Connection, order: Draft | Entry, limits: Limits, now: float, beside: int = _NO_ENTRY
) -> Asked:
    """Ask for the money and the orders that count beside an order which is going to be reserved.

    Raises:
        NarrowLockError: others may reserve something meanwhile.
    """
    must_be_alone(connection)
    by_month = any(each is not None and each.month_cents is not None for each in (limits.role, limits.team))
    return _ask(connection, _given(order.mode, order.role, now, by_month=by_month, beside=beside))


def together_in(asked: Asked) -> Together:
    """Return the money and the orders that `ask_together` has asked for."""
    [found] = asked.rows()
    day_cents, day_orders, month_cents, *of_role = map(int, found)
    team = Held(day_cents=day_cents, day_orders=day_orders, month_cents=month_cents)
    day_cents, day_orders, month_cents = of_role
    return Together(Held(day_cents=day_cents, day_orders=day_orders, month_cents=month_cents), team)


def count_together(connection: sa.Connection, mode: Mode, role: Role | None, now: float) -> Together:
    """Count the money and the orders of several callers to tell them; nothing is going to be reserved."""
    return together_in(_ask(connection, _given(mode, role, now, by_month=True, beside=_NO_ENTRY)))


def left_of(limits: Limits, own: Held, together: Together | None) -> Left:
    """Return the rest that limits leave beside the money and the orders that count."""
    kept: list[tuple[Rolling | None, Held]] = [(limits, own), (limits.member, own)]
    if together is not None:
        kept += [(limits.role, together.role), (limits.team, together.team)]
    found = [(rolling, held) for rolling, held in kept if rolling is not None]

    def least(pairs: Iterable[tuple[int | None, int]]) -> int | None:
        return min((max(0, limit - used) for limit, used in pairs if limit is not None), default=None)

    return Left(
        least((rolling.day_cents, held.day_cents) for rolling, held in found),
        least((rolling.month_cents, held.month_cents) for rolling, held in found),
        least((rolling.orders_day, held.day_orders) for rolling, held in found),
    )


def _ask(connection: sa.Connection, given: Values) -> Asked:
    return ask(connection, _TOGETHER if is_sqlite(connection) else _TOGETHER_ON_POSTGRESQL, given)


def _given(mode: Mode, role: Role | None, now: float, *, by_month: bool, beside: int) -> Values:
    day = now - DAY_SECONDS
    month = now - MONTH_SECONDS if by_month else day
    windows = {**totals.window("day", day), **totals.window("month", month)}
    return {"mode": mode, "role": role or "", "beside": beside, **windows}
