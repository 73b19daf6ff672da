"""The checks before an intention becomes an entry: key, twins and rolling limits, inside one transaction."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from zinc_mcp.errors import RefusedError, Whose
from zinc_mcp.journal.checks import full, published, shared
from zinc_mcp.journal.records.decision import pause_of
from zinc_mcp.journal.records.entry import (
    DAY_SECONDS,
    FOREVER,
    MONTH_SECONDS,
    NOTHING_SENT,
    STANDING,
    Draft,
    Entry,
    Limits,
    Mode,
    Rolling,
    Standing,
    State,
)
from zinc_mcp.journal.records.twin import any_order_of, near_digests
from zinc_mcp.journal.storage import totals
from zinc_mcp.journal.storage.postgresql import Asked
from zinc_mcp.journal.storage.statements import ask, ask_ahead, is_sqlite
from zinc_mcp.journal.storage.tables import (
    COUNTING,
    ENTRIES,
    IS_ORDER,
    KEPT_SCHEMA,
    MEMBERS,
    META,
    NEAR_TWINS,
    UNPROVED,
    entries_of,
    entry_of,
    number,
    one_of,
)

_ENDED: frozenset[State] = frozenset(get_args(State)) - STANDING


# Built once: building a query takes longer than the database does to answer it.
_INTENTION = ("twin", "caller", "mode")
SAME_INTENTION = tuple(ENTRIES.c[name] == sa.bindparam(name) for name in _INTENTION)
_TWIN = ENTRIES.alias("twin_of")
_TWINS = sa.select(sa.func.count()).where(*SAME_INTENTION)
# A row whose state cannot be read stands as well: reading it then fails, and says so.
_STANDING_TWINS = (
    sa.select(ENTRIES)
    .where(*SAME_INTENTION)
    .where(
        sa.or_(ENTRIES.c.state.is_(None), ~one_of(ENTRIES.c.state, _ENDED)),
        sa.or_(
            ENTRIES.c.opened_at.is_(None),
            ENTRIES.c.state.is_(None),
            ENTRIES.c.opened_at > sa.bindparam("since"),
            ENTRIES.c.zinc_at > sa.bindparam("since"),
            ~one_of(ENTRIES.c.state, STANDING - FOREVER),
        ),
    )
    .order_by(ENTRIES.c.id.desc())
)

_NAMED = (
    sa.select(ENTRIES)
    .where(*(ENTRIES.c[name] == sa.bindparam(name) for name in ("key", "caller", "mode")))
    .order_by(ENTRIES.c.id.desc())
    .limit(1)
)
_KNOWN_ORDER = (
    sa.select(ENTRIES.c.id)
    .where(sa.or_(ENTRIES.c.order_id == sa.bindparam("order_id"), ENTRIES.c.order_id == sa.bindparam("folded")))
    .limit(1)
)

_CENTS = sa.func.coalesce(sa.func.sum(ENTRIES.c.counts_cents), 0)
_COUNTED = totals.counted("since", beside="beside")
_UNPROVED = sa.select(_CENTS).where(
    ENTRIES.c.mode == sa.bindparam("mode"), ENTRIES.c.caller == sa.bindparam("caller"), UNPROVED
)

_STANDING = (
    one_of(ENTRIES.c.state, STANDING),
    IS_ORDER,
    sa.or_(
        ENTRIES.c.opened_at > sa.bindparam("since"),
        ENTRIES.c.zinc_at > sa.bindparam("since"),
        one_of(ENTRIES.c.state, FOREVER),
    ),
)
_HOLDS_ONE = NEAR_TWINS.c.digest.in_(sa.bindparam("digests", expanding=True))
_DIGESTS: sa.BindParameter[Sequence[str]] = sa.bindparam("digests", type_=ARRAY(sa.String))
_HOLDS_ONE_ON_POSTGRESQL = NEAR_TWINS.c.digest == sa.any_(_DIGESTS)


def _near(holds_one: sa.ColumnElement[bool]) -> sa.Select[Any]:
    of_twin = sa.select(_TWIN.c.id).where(*(_TWIN.c[name] == sa.bindparam(name) for name in _INTENTION))
    # One set of ids: for "in this set, or of that twin" PostgreSQL would read the whole table.
    ids = sa.union_all(sa.select(NEAR_TWINS.c.entry_id).where(holds_one), of_twin)
    query = sa.select(ENTRIES).where(*_STANDING, ENTRIES.c.id != sa.bindparam("id"), ENTRIES.c.id.in_(ids))
    return query.order_by(ENTRIES.c.id.desc()).limit(20)


def _resembles(holds_one: sa.ColumnElement[bool]) -> sa.Select[Any]:
    joined = sa.select(ENTRIES.c.id).join(NEAR_TWINS, NEAR_TWINS.c.entry_id == ENTRIES.c.id)
    return joined.where(*_STANDING, holds_one).limit(1)


_NEAR, _NEAR_ON_POSTGRESQL = _near(_HOLDS_ONE), _near(_HOLDS_ONE_ON_POSTGRESQL)
_RESEMBLES, _RESEMBLES_ON_POSTGRESQL = _resembles(_HOLDS_ONE), _resembles(_HOLDS_ONE_ON_POSTGRESQL)


def _kept(name: str) -> sa.ScalarSelect[str]:
    return sa.select(META.c.value).where(META.c.name == name).scalar_subquery()


# The end of the index that the limits go by.
_NEWEST = sa.select(sa.func.coalesce(sa.func.max(ENTRIES.c.counted_at), 0.0)).where(
    ENTRIES.c.mode == sa.bindparam("mode"),
    ENTRIES.c.caller == sa.bindparam("caller"),
    COUNTING,
)

_DAY, _MONTH = totals.counted("day").subquery("of_day"), totals.counted("month").subquery("of_month")

# One statement: each further one would cost more in SQLAlchemy than in the database.
_BEFORE = sa.select(
    sa.select(META.c.value)
    .where(sa.or_(META.c.name == "paused", META.c.name == sa.bindparam("own_pause")))
    .order_by(META.c.name)
    .limit(1)
    .scalar_subquery(),
    KEPT_SCHEMA,
    _kept("clock_accepted"),
    _kept(published.POLICY),
    sa.select(MEMBERS.c.mark).where(MEMBERS.c.caller == sa.bindparam("caller")).scalar_subquery(),
    _NEWEST.correlate(None).scalar_subquery(),
    sa.select(sa.func.coalesce(sa.func.max(ENTRIES.c.id), 0)).correlate(None).scalar_subquery(),
    _TWINS.correlate(None).scalar_subquery(),
    _DAY.c.cents,
    _DAY.c.orders,
    _MONTH.c.cents,
).select_from(_DAY.join(_MONTH, sa.true()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted(shared.Held):
    """The money and the orders that count against a caller's limits."""

    unproved_cents: int
    """Money that was paid up front by wallet, bought nothing, and is not proved to have come back."""
    together: shared.Together | None = None
    """The money and the orders of several callers, if limits over them have to be kept."""


@dataclass(frozen=True, slots=True)
class Before:
    """The content of a journal that decides whether an entry is opened."""

    paused: str | None
    """The reason of a pause; None while nothing is paused."""
    schema: str | None
    """The version of the journal's schema."""
    clock: str | None
    """The doubt about the clocks that the owner has accepted."""
    policy: str | None
    """The digest of the policy that is published for all servers."""
    member: str | None
    """The mark of the member who wants it (`records.known`); None: they are no member in this journal."""
    newest: float
    """The latest time of an order that counts."""
    newest_id: int
    """The id of the newest entry of all."""
    twins: int
    """The number of all entries that there ever were for the same intention."""
    counted: Counted


@dataclass(frozen=True, slots=True)
class Asking:
    """The reads that decide whether an entry is opened, sent together."""

    before: Asked
    together: Asked | None
    named: Asked | None
    """The entry with the caller's own key, if one was given."""
    an_order: Asked | None
    """Any entry whose order at Zinc has that key as its id."""


def ask_before(connection: sa.Connection, draft: Draft, limits: Limits, now: float) -> Asking:
    """Ask for the content that decides whether a draft becomes an entry.

    Raises:
        NarrowLockError: limits over several callers are to be kept, and the lock is not over all of them.
    """
    together = shared.ask_together(connection, draft, limits, now) if limits.role or limits.team else None
    day = now - DAY_SECONDS
    by_month = limits.month_cents is not None or (limits.member is not None and limits.member.month_cents is not None)
    month = now - MONTH_SECONDS if by_month else day
    own_pause = pause_of(draft.caller, draft.mode, draft.rail)
    windows = {**totals.window("day", day), **totals.window("month", month)}
    given = {**intention(draft), **windows, "own_pause": own_pause}
    before = ask(connection, _BEFORE, given)
    key = draft.given_key
    if key is None:
        return Asking(before, together, None, None)
    named = ask(connection, _NAMED, {"key": key, "caller": draft.caller, "mode": draft.mode})
    return Asking(before, together, named, ask(connection, _KNOWN_ORDER, {"order_id": key, "folded": key.lower()}))


def looked_up(connection: sa.Connection, asking: Asking, draft: Draft, limits: Limits) -> Before:
    """Return the content that `ask_before` has asked for."""
    [(paused, schema, clock, policy, member, newest, newest_id, twins, *cents)] = asking.before.rows()
    limited = draft.rail == "agent" and limits.unproved_cents is not None
    unproved = unproved_cents(connection, draft.caller, draft.mode) if limited else 0
    day_cents, day_orders, month_cents = map(int, cents)
    counted = Counted(
        day_cents=day_cents,
        day_orders=day_orders,
        month_cents=month_cents,
        unproved_cents=unproved,
        together=None if asking.together is None else shared.together_in(asking.together),
    )
    return Before(paused, schema, clock, policy, member, number(newest), int(newest_id), int(twins), counted)


def named_by_key(asking: Asking, draft: Draft) -> Standing | None:
    """Return the standing entry that the caller's own key names, if there is one.

    Raises:
        RefusedError: `key_conflict`, the key belongs to another order or is the id of any order; `key_used`, the order
            with this key was sent to Zinc and has ended.
    """
    if asking.named is None or asking.an_order is None:
        return None
    found = asking.named.rows()
    if not found:
        if not asking.an_order.rows():
            return None
        raise RefusedError(
            "This idempotency_key is the id of an order, so it can name no other one. Nothing was sent.",
            "Leave idempotency_key out, or give a new one for a new order. get_order looks an order up by its id.",
            code="key_conflict",
        )
    named = entry_of(found[0])
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

    The entries in `again` may be bought again, except those in doubt, however old they are.

    Raises:
        UnreadableEntryError: it cannot be read, so that nobody knows whether it stands.
    """
    for row in ask(connection, _STANDING_TWINS, {**intention(draft), "since": since}).rows():
        twin = entry_of(row)
        if twin.state in FOREVER or twin.id not in again:
            return Standing(twin, same_key=False)
    return None


def near_twins(connection: sa.Connection, entry: Entry, since: float) -> list[Entry]:
    """Return the newest standing orders that are the same intention as an entry, or hold one of its products."""
    if entry.kind != "order":
        return []
    return entries_of(connection, _NEAR if is_sqlite(connection) else _NEAR_ON_POSTGRESQL, _near_values(entry, since))


def ask_near_twins(connection: sa.Connection, entry: Entry, since: float) -> None:
    """Ask ahead for what `near_twins` will read."""
    if entry.kind == "order" and not is_sqlite(connection):
        ask_ahead(connection, _NEAR_ON_POSTGRESQL, _near_values(entry, since))


def _near_values(entry: Entry, since: float) -> Mapping[str, Any]:
    try:
        digests = near_digests(entry.caller, entry.mode, any_order_of(entry))
    except RefusedError:  # the body was purged, or is no order today: only the same intention can be found
        digests = ()
    known = {name: getattr(entry, name) for name in _INTENTION}
    return {"id": entry.id, **known, "since": since, "digests": list(digests)}


def resembles(connection: sa.Connection, draft: Draft, since: float) -> bool:
    """Say whether a standing order for the same place holds one of a draft's products."""
    if not draft.near:
        return False
    given = {"digests": list(draft.near), "since": since}
    if is_sqlite(connection):
        return connection.execute(_RESEMBLES, given).first() is not None
    return bool(ask(connection, _RESEMBLES_ON_POSTGRESQL, given).rows())


def counted(connection: sa.Connection, caller: str, mode: Mode, since: float, beside: int = 0) -> tuple[int, int]:
    """Return (cents, orders) that count against a caller's limits after `since`, without the entry `beside`."""
    [(cents, orders)] = ask(connection, _COUNTED, _counting(caller, mode, since, beside)).rows()
    return int(cents), int(orders)


def ask_limits_again(connection: sa.Connection, entry: Entry, now: float) -> None:
    """Ask ahead for what `check_limits_again` will read of the caller's own orders."""
    for seconds in (DAY_SECONDS, MONTH_SECONDS):
        ask_ahead(connection, _COUNTED, _counting(entry.caller, entry.mode, now - seconds, entry.id))


def _counting(caller: str, mode: Mode, since: float, beside: int) -> Mapping[str, Any]:
    return {"mode": mode, "caller": caller, **totals.window("since", since), "beside": beside}


def check_limits_again(connection: sa.Connection, entry: Entry, limits: Limits, now: float) -> None:
    """Check that the rolling limits, as they stand now, admit an entry beside everything else that counts.

    Raises:
        LimitExceededError: one does not.
        NarrowLockError: limits over several callers are to be kept, and the lock is not over all of them.
    """
    together = shared.ask_together(connection, entry, limits, now, entry.id) if limits.are_shared else None
    day_cents, day_orders = counted(connection, entry.caller, entry.mode, now - DAY_SECONDS, entry.id)
    month_cents, _ = counted(connection, entry.caller, entry.mode, now - MONTH_SECONDS, entry.id)
    unproved = unproved_cents(connection, entry.caller, entry.mode) if entry.rail == "agent" else 0
    others = Counted(
        day_cents=day_cents,
        day_orders=day_orders,
        month_cents=month_cents,
        unproved_cents=unproved,
        together=None if together is None else shared.together_in(together),
    )
    check_limits(connection, entry, limits, others, now)


def check_limits(connection: sa.Connection, order: Draft | Entry, limits: Limits, counted: Counted, now: float) -> None:
    """Check that the rolling limits admit an order beside what counts.

    Raises:
        LimitExceededError: one does not.
    """
    _check(connection, order, "caller", limits, counted, now)
    if limits.member is not None:
        _check(connection, order, "member", limits.member, counted, now)
    if counted.together is not None:
        if limits.role is not None:
            _check(connection, order, "role", limits.role, counted.together.role, now)
        if limits.team is not None:
            _check(connection, order, "team", limits.team, counted.together.team, now)
    if order.rail == "agent" and limits.unproved_cents is not None and counted.unproved_cents > limits.unproved_cents:
        raise full.unproved(limits.unproved_cents, counted.unproved_cents)


def _check(
    connection: sa.Connection, order: Draft | Entry, whose: Whose, limits: Rolling, held: shared.Held, now: float
) -> None:
    asked = order.reserved_cents
    if limits.day_cents is not None and held.day_cents + asked > limits.day_cents:
        raise full.of_money(connection, order, whose, DAY_SECONDS, limits.day_cents, held.day_cents, now)
    if limits.month_cents is not None and held.month_cents + asked > limits.month_cents:
        raise full.of_money(connection, order, whose, MONTH_SECONDS, limits.month_cents, held.month_cents, now)
    if limits.orders_day is not None and held.day_orders >= limits.orders_day:
        raise full.of_orders(connection, order, whose, limits.orders_day, held.day_orders, now)


def intention(draft: Draft) -> dict[str, str]:
    """Return the values that are equal for the same intention."""
    return {"twin": draft.twin, "caller": draft.caller, "mode": draft.mode}


def unproved_cents(connection: sa.Connection, caller: str, mode: Mode) -> int:
    """Return the cents that were paid up front by wallet, bought nothing, and are not proved to have come back."""
    [(cents,)] = ask(connection, _UNPROVED, {"mode": mode, "caller": caller}).rows()
    return int(cents)
