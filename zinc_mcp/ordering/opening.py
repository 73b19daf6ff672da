"""Whether an intention may become an entry: its key, its twins and the rolling limits, inside one transaction."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import sqlalchemy as sa

from zinc_mcp.errors import LimitExceededError, RefusedError
from zinc_mcp.money import printed
from zinc_mcp.ordering.entry import (
    DAY_SECONDS,
    FOREVER,
    MONTH_SECONDS,
    STANDING,
    Draft,
    Entry,
    Limits,
    Mode,
    Standing,
    State,
)
from zinc_mcp.ordering.rows import entry_of
from zinc_mcp.ordering.statements import execute
from zinc_mcp.ordering.tables import ENTRIES, META

_NOTHING_SENT: frozenset[State] = frozenset({"refused", "declined"})

# Built once: building a query takes longer than the database does to answer it.
_SAME_INTENTION = tuple(ENTRIES.c[name] == sa.bindparam(name) for name in ("twin", "caller", "mode"))
_TWINS = sa.select(sa.func.count()).where(*_SAME_INTENTION)
_STANDING_TWINS = (
    sa.select(ENTRIES)
    .where(*_SAME_INTENTION)
    .where(
        ENTRIES.c.state.in_(STANDING),
        sa.or_(
            ENTRIES.c.opened_at > sa.bindparam("since"),
            ENTRIES.c.zinc_at > sa.bindparam("since"),
            ENTRIES.c.state.in_(FOREVER),
        ),
    )
    .order_by(ENTRIES.c.id.desc())
)


_COUNTING = (
    ENTRIES.c.mode == sa.bindparam("mode"),
    ENTRIES.c.caller == sa.bindparam("caller"),
    ENTRIES.c.counted_at > sa.bindparam("since"),
    ENTRIES.c.counts_cents > 0,
)
_CENTS = sa.func.coalesce(sa.func.sum(ENTRIES.c.counts_cents), 0)
_COUNTED = sa.select(_CENTS, sa.func.count()).where(*_COUNTING)


def _of_the_day(what: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((ENTRIES.c.counted_at > sa.bindparam("day"), what), else_=0)), 0)


def _kept(name: str) -> sa.ScalarSelect[str]:
    return sa.select(META.c.value).where(META.c.name == name).scalar_subquery()


# The end of the index that the limits go by.
_NEWEST = sa.select(sa.func.coalesce(sa.func.max(ENTRIES.c.counted_at), 0.0)).where(
    ENTRIES.c.mode == sa.bindparam("mode"),
    ENTRIES.c.caller == sa.bindparam("caller"),
    ENTRIES.c.counts_cents > sa.literal_column("0"),
)

# One statement, which reads what counts once: with each further one it is the toolkit that takes the time.
_BEFORE = sa.select(
    _kept("paused"),
    _kept("clock_accepted"),
    _NEWEST.correlate(None).scalar_subquery(),
    sa.select(sa.func.coalesce(sa.func.max(ENTRIES.c.id), 0)).correlate(None).scalar_subquery(),
    _TWINS.correlate(None).scalar_subquery(),
    _of_the_day(ENTRIES.c.counts_cents),
    _of_the_day(sa.literal_column("1", sa.Integer)),
    _CENTS,
).where(*_COUNTING)


@dataclass(frozen=True, slots=True)
class Before:
    """What stands in a journal before an entry is opened."""

    paused: str | None
    """Why nothing may be opened."""
    clock: str | None
    """What the owner has accepted about the clocks."""
    newest: float
    """The latest time of an order that counts."""
    newest_id: int
    """The id of the newest entry of all."""
    twins: int
    """All entries there ever were for the same intention."""
    day_cents: int
    day_orders: int
    """What counts against the caller's limits over 24 hours."""
    month_cents: int
    """The same over 30 days, where they are limited."""


def looked_up(connection: sa.Connection, draft: Draft, limits: Limits, now: float) -> Before:
    """Look up what has a say in whether a draft becomes an entry."""
    day = now - DAY_SECONDS
    since = day if limits.month_cents is None else now - MONTH_SECONDS
    paused, clock, newest, *counted = execute(
        connection, _BEFORE, {**_intention(draft), "day": day, "since": since}
    ).fetchone()
    return Before(paused, clock, float(newest), *map(int, counted))


def with_doubt(draft: Draft, doubt: str | None, *, asks: bool) -> Draft:
    """Return a draft that says what is uncertain about the time it was opened at, for whoever is asked about it.

    Raises:
        RefusedError: `clock_uncertain`, and nobody would be asked.
    """
    if doubt is None:
        return draft
    if not asks:
        raise RefusedError(
            f"It is uncertain what time it is: {doubt}. Limits and earlier orders go by the time, so nothing was sent.",
            "Tell the user to set the machine's clock right, or, if it is right, to run `zinc-mcp resume` in a "
            "terminal.",
            code="clock_uncertain",
        )
    return replace(draft, facts={**draft.facts, "clock_uncertain": doubt})


def newest(connection: sa.Connection) -> float:
    """Return the latest time of any order that counts."""
    query = sa.select(sa.func.coalesce(sa.func.max(ENTRIES.c.counted_at), 0.0)).where(ENTRIES.c.counts_cents > 0)
    return float(connection.execute(query).scalar_one())


def from_the_future(connection: sa.Connection, now: float) -> list[Entry]:
    """List the entries whose own times lie after `now`."""
    query = sa.select(ENTRIES).where(sa.or_(ENTRIES.c.opened_at > now, ENTRIES.c.counted_at > now))
    return [entry_of(row) for row in connection.execute(query)]


def named_by_key(connection: sa.Connection, draft: Draft) -> Standing | None:
    """Return the standing entry that the caller's own key names, if there is one.

    Raises:
        RefusedError: `key_conflict`, the key belongs to another order; `key_used`, Zinc has seen it and it ended.
    """
    if draft.given_key is None:
        return None
    query = (
        sa.select(ENTRIES)
        .where(ENTRIES.c.key == draft.given_key, ENTRIES.c.caller == draft.caller, ENTRIES.c.mode == draft.mode)
        .order_by(ENTRIES.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    named = entry_of(row)
    if named.body_digest != draft.body_digest:
        raise RefusedError(
            "This idempotency_key already belongs to another order, so nothing was sent.",
            "Leave idempotency_key out, or give a new one for a new order.",
            code="key_conflict",
        )
    if named.state in STANDING:
        return Standing(named, same_key=True)
    if named.state in _NOTHING_SENT:
        return None
    raise RefusedError(
        f"The order with this idempotency_key ended as {named.state}, so nothing was sent.",
        "To order again, leave idempotency_key out or give a new one.",
        code="key_used",
        facts={"key": named.key, "order_id": named.order_id},
    )


def standing_twin(connection: sa.Connection, draft: Draft, since: float, again: Collection[int]) -> Standing | None:
    """Return the newest earlier entry for the same intention that still stands.

    Those in `again` may be bought again, but one in doubt never, however old it is.
    """
    for row in connection.execute(_STANDING_TWINS, {**_intention(draft), "since": since}):
        twin = entry_of(row)
        if twin.state in FOREVER or twin.id not in again:
            return Standing(twin, same_key=False)
    return None


def count_twins(connection: sa.Connection, draft: Draft) -> int:
    """Count all entries there ever were for the same intention."""
    return int(connection.execute(_TWINS, _intention(draft)).scalar_one())


def counted(connection: sa.Connection, caller: str, mode: Mode, since: float) -> tuple[int, int]:
    """Return (cents, orders) that count against a caller's limits since then."""
    cents, orders = connection.execute(_COUNTED, {"mode": mode, "caller": caller, "since": since}).one()
    return int(cents), int(orders)


def check_limits(draft: Draft, limits: Limits, before: Before) -> None:
    """Check that the rolling limits admit what a draft may cost.

    Raises:
        LimitExceededError: one does not.
    """
    asked = draft.ceiling_cents + draft.fee_cents
    for period, cents, held in (
        ("24 hours", limits.day_cents, before.day_cents),
        ("30 days", limits.month_cents, before.month_cents),
    ):
        if cents is not None and held + asked > cents:
            left = max(0, cents - held)
            raise LimitExceededError(
                f"This order could cost {printed(asked)} with Zinc's fee, and the limit of {printed(cents)} in "
                f"{period} has {printed(left)} left. Nothing was sent.",
                facts={"limit_cents": cents, "left_cents": left, "asked_cents": asked, "period": period},
            )
    if limits.orders_day is not None and before.day_orders >= limits.orders_day:
        raise LimitExceededError(
            f"The limit of {limits.orders_day} orders in 24 hours is reached. Nothing was sent.",
            facts={"limit_orders": limits.orders_day, "orders": before.day_orders, "period": "24 hours"},
        )


def _intention(draft: Draft) -> dict[str, str]:
    return {"twin": draft.twin, "caller": draft.caller, "mode": draft.mode}
