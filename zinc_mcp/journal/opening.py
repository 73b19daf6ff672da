"""Whether an intention may become an entry: its key, its twins and the rolling limits, inside one transaction."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, get_args

import sqlalchemy as sa

from zinc_mcp.errors import LimitExceededError, RefusedError
from zinc_mcp.invocation import command
from zinc_mcp.journal.clock_rows import number
from zinc_mcp.journal.entry import (
    DAY_SECONDS,
    FOREVER,
    MONTH_SECONDS,
    NOTHING_SENT,
    OPEN,
    STANDING,
    Draft,
    Entry,
    Limits,
    Mode,
    RailName,
    Standing,
    State,
)
from zinc_mcp.journal.records import entries_of, entry_of
from zinc_mcp.journal.rows import IS_ORDER, pause_of
from zinc_mcp.journal.schema import KEPT_SCHEMA
from zinc_mcp.journal.statements import execute
from zinc_mcp.journal.tables import COUNTING, ENTRIES, META, NEAR_TWINS, UNPROVED
from zinc_mcp.journal.twin import near_digests, order_of
from zinc_mcp.text import printed

_MOST_FILLING = 100
"""Orders that are brought up to date before a full limit refuses."""

_ENDED: frozenset[State] = frozenset(get_args(State)) - STANDING

# Built once: building a query takes longer than the database does to answer it.
_INTENTION = ("twin", "caller", "mode")
_SAME_INTENTION = tuple(ENTRIES.c[name] == sa.bindparam(name) for name in _INTENTION)
_TWIN = ENTRIES.alias("twin_of")
_TWINS = sa.select(sa.func.count()).where(*_SAME_INTENTION)
_KNOWN_TWIN = (
    sa.select(ENTRIES.c.id)
    .where(*_SAME_INTENTION, sa.or_(ENTRIES.c.order_id.is_not(None), ENTRIES.c.state.in_(STANDING)))
    .limit(1)
)
# What its state says may be unreadable: then it stands, and whoever reads it says so.
_STANDING_TWINS = (
    sa.select(ENTRIES)
    .where(*_SAME_INTENTION)
    .where(
        sa.or_(ENTRIES.c.state.is_(None), ENTRIES.c.state.not_in(_ENDED)),
        sa.or_(
            ENTRIES.c.opened_at.is_(None),
            ENTRIES.c.state.is_(None),
            ENTRIES.c.opened_at > sa.bindparam("since"),
            ENTRIES.c.zinc_at > sa.bindparam("since"),
            ENTRIES.c.state.not_in(STANDING - FOREVER),
        ),
    )
    .order_by(ENTRIES.c.id.desc())
)

_KNOWN_ORDER = (
    sa.select(ENTRIES.c.id)
    .where(sa.or_(ENTRIES.c.order_id == sa.bindparam("order_id"), ENTRIES.c.order_id == sa.bindparam("folded")))
    .limit(1)
)

_COUNTING = (
    ENTRIES.c.mode == sa.bindparam("mode"),
    ENTRIES.c.caller == sa.bindparam("caller"),
    ENTRIES.c.counted_at > sa.bindparam("since"),
    COUNTING,
)
_CENTS = sa.func.coalesce(sa.func.sum(ENTRIES.c.counts_cents), 0)
_COUNTED = sa.select(_CENTS, sa.func.coalesce(sa.func.sum(sa.case((IS_ORDER, 1), else_=0)), 0)).where(*_COUNTING)
_COUNTED_BESIDE = _COUNTED.where(ENTRIES.c.id != sa.bindparam("but"))
_UNPROVED = sa.select(_CENTS).where(
    ENTRIES.c.mode == sa.bindparam("mode"), ENTRIES.c.caller == sa.bindparam("caller"), UNPROVED
)

_STANDING = (
    ENTRIES.c.state.in_(STANDING),
    IS_ORDER,
    sa.or_(
        ENTRIES.c.opened_at > sa.bindparam("since"),
        ENTRIES.c.zinc_at > sa.bindparam("since"),
        ENTRIES.c.state.in_(FOREVER),
    ),
)
_HOLDS_ONE = NEAR_TWINS.c.digest.in_(sa.bindparam("digests", expanding=True))
_NEAR = (
    sa.select(ENTRIES)
    .where(
        *_STANDING,
        ENTRIES.c.id != sa.bindparam("id"),
        # One set of ids: PostgreSQL reads the whole table for "in this set, or of that twin".
        ENTRIES.c.id.in_(
            sa.union_all(
                sa.select(NEAR_TWINS.c.entry_id).where(_HOLDS_ONE),
                sa.select(_TWIN.c.id).where(*(_TWIN.c[name] == sa.bindparam(name) for name in _INTENTION)),
            )
        ),
    )
    .order_by(ENTRIES.c.id.desc())
    .limit(20)
)
_RESEMBLES = (
    sa.select(ENTRIES.c.id)
    .join(NEAR_TWINS, NEAR_TWINS.c.entry_id == ENTRIES.c.id)
    .where(*_STANDING, _HOLDS_ONE)
    .limit(1)
)


def _of_the_day(what: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((ENTRIES.c.counted_at > sa.bindparam("day"), what), else_=0)), 0)


def _kept(name: str) -> sa.ScalarSelect[str]:
    return sa.select(META.c.value).where(META.c.name == name).scalar_subquery()


_ONE_ORDER = sa.case((IS_ORDER, 1), else_=0)
"""Look-ups count as money and not as orders."""

# The end of the index that the limits go by.
_NEWEST = sa.select(sa.func.coalesce(sa.func.max(ENTRIES.c.counted_at), 0.0)).where(
    ENTRIES.c.mode == sa.bindparam("mode"),
    ENTRIES.c.caller == sa.bindparam("caller"),
    COUNTING,
)

# One statement, which reads what counts once: with each further one it is the toolkit that takes the time.
_BEFORE = sa.select(
    sa.select(META.c.value)
    .where(sa.or_(META.c.name == "paused", META.c.name == sa.bindparam("own_pause")))
    .order_by(META.c.name)
    .limit(1)
    .scalar_subquery(),
    KEPT_SCHEMA,
    _kept("clock_accepted"),
    _NEWEST.correlate(None).scalar_subquery(),
    sa.select(sa.func.coalesce(sa.func.max(ENTRIES.c.id), 0)).correlate(None).scalar_subquery(),
    _TWINS.correlate(None).scalar_subquery(),
    _of_the_day(ENTRIES.c.counts_cents),
    _of_the_day(_ONE_ORDER),
    _CENTS,
).where(*_COUNTING)


@dataclass(frozen=True, slots=True)
class Before:
    """What stands in a journal before an entry is opened."""

    paused: str | None
    """Why nothing may be opened."""
    schema: str | None
    """The version of the journal's schema."""
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
    unproved_cents: int = 0
    """What was paid up front by wallet, ended without an order, and is not proved to have come back."""


def looked_up(connection: sa.Connection, draft: Draft, limits: Limits, now: float) -> Before:
    """Look up what has a say in whether a draft becomes an entry."""
    day = now - DAY_SECONDS
    since = day if limits.month_cents is None else now - MONTH_SECONDS
    own_pause = pause_of(draft.caller, draft.mode, draft.rail)
    given = {**_intention(draft), "day": day, "since": since, "own_pause": own_pause}
    paused, schema, clock, newest, *counted = execute(connection, _BEFORE, given).fetchone()
    before = Before(paused, schema, clock, number(newest), *map(int, counted))
    if draft.rail == "agent" and limits.unproved_cents is not None:
        return replace(before, unproved_cents=unproved_cents(connection, draft.caller, draft.mode))
    return before


def with_doubt(draft: Draft, doubt: str | None, *, asks: bool) -> Draft:
    """Return a draft that says what is uncertain about the time it was opened at, for whoever is asked about it.

    Raises:
        RefusedError: `clock_uncertain`, and nobody would be asked.
    """
    if doubt is None:
        return draft
    if not asks:
        raise RefusedError(
            f"It is uncertain what time it is: {doubt}. Limits and earlier orders go by the time.",
            "Tell the user to set the machine's clock right, or, if it is right, to run "
            f"{command('resume')} in a terminal.",
            code="clock_uncertain",
        )
    return replace(draft, facts={**draft.facts, "clock_uncertain": doubt})


def named_by_key(connection: sa.Connection, draft: Draft) -> Standing | None:
    """Return the standing entry that the caller's own key names, if there is one.

    Raises:
        RefusedError: `key_conflict`, the key belongs to another order or is an order's id, whoever's; `key_used`, Zinc
            has seen it and it ended.
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
        if (
            connection.execute(_KNOWN_ORDER, {"order_id": draft.given_key, "folded": draft.given_key.lower()}).first()
            is not None
        ):
            raise RefusedError(
                "This idempotency_key is the id of an order, so it can name no other one. Nothing was sent.",
                "Leave idempotency_key out, or give a new one for a new order. get_order looks an order up by its id.",
                code="key_conflict",
            )
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
    if named.state in NOTHING_SENT:
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

    Raises:
        UnreadableEntryError: it cannot be read, so that nobody knows whether it stands.
    """
    for row in connection.execute(_STANDING_TWINS, {**_intention(draft), "since": since}):
        twin = entry_of(row)
        if twin.state in FOREVER or twin.id not in again:
            return Standing(twin, same_key=False)
    return None


def knows_twin(connection: sa.Connection, draft: Draft) -> bool:
    """Say whether any entry for the same intention stands, or has come to an order; one that bought nothing is none."""
    return connection.execute(_KNOWN_TWIN, _intention(draft)).first() is not None


def counted(connection: sa.Connection, caller: str, mode: Mode, since: float) -> tuple[int, int]:
    """Return (cents, orders) that count against a caller's limits since then."""
    cents, orders = connection.execute(_COUNTED, {"mode": mode, "caller": caller, "since": since}).one()
    return int(cents), int(orders)


def near_twins(connection: sa.Connection, entry: Entry, since: float) -> list[Entry]:
    """Return the newest standing orders that are the same intention as an entry, or hold one of its products."""
    try:
        digests = near_digests(entry.caller, entry.mode, order_of(entry))
    except RefusedError:  # of a body that was purged, or that is no order today, only the same is known
        digests = ()
    given: dict[str, Any] = {
        "id": entry.id,
        "twin": entry.twin,
        "caller": entry.caller,
        "mode": entry.mode,
        "since": since,
    }
    given["digests"] = digests
    return entries_of(connection, _NEAR, given)


def resembles(connection: sa.Connection, draft: Draft, since: float) -> bool:
    """Say whether a standing order for the same place holds one of a draft's products."""
    if not draft.near:
        return False
    return connection.execute(_RESEMBLES, {"digests": draft.near, "since": since}).first() is not None


def filling(connection: sa.Connection, caller: str, mode: Mode, since: float | None) -> list[Entry]:
    """List the orders that fill a limit, the newest first, and before them those that are still open.

    They count against a caller since then; without `since`, they were paid up front, ended without an order, and are
    not proved to have come back.
    """
    counts = UNPROVED if since is None else sa.and_(COUNTING, ENTRIES.c.counted_at > since)
    is_over = sa.case((ENTRIES.c.state.in_(OPEN), 0), else_=1)
    query = (
        sa.select(ENTRIES)
        .where(ENTRIES.c.mode == mode, ENTRIES.c.caller == caller, IS_ORDER, counts)
        .order_by(is_over, ENTRIES.c.id.desc())
        .limit(_MOST_FILLING)
    )
    return entries_of(connection, query)


def unproved_cents(connection: sa.Connection, caller: str, mode: Mode) -> int:
    """Return what was paid up front, however long ago, for what ended without an order, and is not proved back."""
    return int(execute(connection, _UNPROVED, {"mode": mode, "caller": caller}).fetchone()[0])


def check_limits(draft: Draft, limits: Limits, before: Before) -> None:
    """Check that the rolling limits admit what a draft may cost.

    Raises:
        LimitExceededError: one does not.
    """
    _check(draft.rail, draft.ceiling_cents + draft.fee_cents, limits, before)


def check_limits_again(connection: sa.Connection, entry: Entry, limits: Limits, now: float) -> None:
    """Check that the rolling limits, as they stand now, admit an entry beside everything else that counts.

    Raises:
        LimitExceededError: one does not.
    """
    given = {"mode": entry.mode, "caller": entry.caller, "but": entry.id}
    day = connection.execute(_COUNTED_BESIDE, {**given, "since": now - DAY_SECONDS}).one()
    month = connection.execute(_COUNTED_BESIDE, {**given, "since": now - MONTH_SECONDS}).one()
    unproved = unproved_cents(connection, entry.caller, entry.mode) if entry.rail == "agent" else 0
    beside = Before(
        paused=None,
        schema=None,
        clock=None,
        newest=0.0,
        newest_id=0,
        twins=0,
        day_cents=int(day[0]),
        day_orders=int(day[1]),
        month_cents=int(month[0]),
        unproved_cents=unproved,
    )
    _check(entry.rail, entry.reserved_cents, limits, beside)


def _check(rail: RailName, asked: int, limits: Limits, before: Before) -> None:
    for period, seconds, cents, held in (
        ("24 hours", DAY_SECONDS, limits.day_cents, before.day_cents),
        ("30 days", MONTH_SECONDS, limits.month_cents, before.month_cents),
    ):
        if cents is not None and held + asked > cents:
            left = max(0, cents - held)
            full = LimitExceededError(
                f"This order could cost {printed(asked)} with Zinc's fee, and the limit of {printed(cents)} in "
                f"{period} has {printed(left)} left.",
                facts={"limit_cents": cents, "left_cents": left, "asked_cents": asked, "period": period},
            )
            full.period_seconds = seconds
            raise full
    if rail == "agent" and limits.unproved_cents is not None and before.unproved_cents > limits.unproved_cents:
        full = LimitExceededError(
            f"{printed(before.unproved_cents)} was paid up front by wallet for orders that ended with nothing bought, "
            "and it is not proved to have come back. The owner's limit for that (max_unproved) is "
            f"{printed(limits.unproved_cents)}.",
            "Tell the user to look whether it came back; "
            f"{command('orders', 'refunded', 'KEY', 'CENTS')} in a terminal then says so for each order. "
            "place_order, which pays from a Zinc balance, is not stopped by this.",
            facts={"limit_cents": limits.unproved_cents, "unproved_cents": before.unproved_cents},
        )
        full.period_seconds = None
        raise full
    if limits.orders_day is not None and before.day_orders >= limits.orders_day:
        raise LimitExceededError(
            f"The limit of {limits.orders_day} orders in 24 hours is reached.",
            facts={"limit_orders": limits.orders_day, "orders": before.day_orders, "period": "24 hours"},
        )


def _intention(draft: Draft) -> dict[str, str]:
    return {"twin": draft.twin, "caller": draft.caller, "mode": draft.mode}
