"""Running totals of what counts against the limits of each caller, by role, by minute and by hour.

A limit over a million orders reads some hundred totals, and the single entries of one minute: the one in which the
limit's window begins. A limit over several callers reads some hundred totals of each, and no entry: its window begins
with a whole minute. There is no total of all callers, since one row that each order changes would let no two callers
order at once. The database itself keeps the totals, by triggers in the transaction of each change. So they are exact
whatever changes an entry, a process of an earlier version too.
"""

from collections.abc import Mapping, Sequence
from math import floor
from typing import Any, Literal, get_args

import sqlalchemy as sa

from zinc_mcp.errors import Whose
from zinc_mcp.journal.records.entry import Mode
from zinc_mcp.journal.storage.tables import COUNTING, ENTRIES, IS_ORDER, TABLES

MINUTE, HOUR = 60, 3600
Dialect = Literal["sqlite", "postgresql"]

TOTALS = sa.Table(
    "zinc_totals",
    TABLES,
    sa.Column("mode", sa.String(8), primary_key=True),
    sa.Column("caller", sa.String(64), primary_key=True),
    sa.Column("span", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("role", sa.String(8), primary_key=True),
    sa.Column("cents", sa.BigInteger, nullable=False),
    sa.Column("orders", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,  # its key is most of it: one page less in each commit
)
"""`span` is a minute or an hour, in seconds. `start` is the number of minutes, or of hours, since the epoch. `role` is
that of the entries, or empty; it is the last of the key, because limits of one caller do not ask for it."""


def create(connection: sa.Connection) -> None:
    """Count all entries, and let the database keep the totals from now on. The table is there, and empty."""
    on_postgresql = connection.dialect.name == "postgresql"
    minute = _MINUTE_ON_POSTGRESQL if on_postgresql else _MINUTE_ON_SQLITE
    for span, start in ((MINUTE, minute), (HOUR, f"{minute} / 60")):
        counted = "sum(new.counts_cents), sum(CASE new.kind WHEN 'order' THEN 1 ELSE 0 END)"
        connection.exec_driver_sql(
            f"INSERT INTO zinc_totals SELECT new.mode, new.caller, {span}, {start}, {_ROLE}, {counted} "  # noqa: S608
            "FROM zinc_entries AS new WHERE new.counts_cents > 0 GROUP BY 1, 2, 3, 4, 5"
        )
    for statement in _ON_POSTGRESQL if on_postgresql else _ON_SQLITE:
        connection.exec_driver_sql(statement)


def drop(connection: sa.Connection) -> None:
    """Remove the totals of an earlier version, and their triggers."""
    on_postgresql = connection.dialect.name == "postgresql"
    for statement in _AWAY_ON_POSTGRESQL if on_postgresql else _AWAY_ON_SQLITE:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("DROP TABLE zinc_totals")


# Whole seconds first: then no division is rounded, and `start` says exactly which times are counted in a total.
_MINUTE_ON_SQLITE = "CAST(new.counted_at AS INTEGER) / 60"
_MINUTE_ON_POSTGRESQL = "CAST(floor(new.counted_at) AS bigint) / 60"
_ROLE = "coalesce(new.role, '')"


def _added(minute: str, table: str) -> str:
    orders = "CASE new.kind WHEN 'order' THEN 1 ELSE 0 END"
    totals = " UNION ALL ".join(
        f"SELECT new.mode, new.caller, {span}, {start}, {_ROLE}, new.counts_cents, {orders} WHERE new.counts_cents > 0"
        for span, start in ((MINUTE, minute), (HOUR, f"{minute} / 60"))
    )
    return (
        f"INSERT INTO zinc_totals (mode, caller, span, start, role, cents, orders) SELECT * FROM ({totals}) "  # noqa: S608
        "AS added WHERE true ON CONFLICT (mode, caller, span, start, role) "
        f"DO UPDATE SET cents = {table}cents + excluded.cents, orders = {table}orders + excluded.orders;"
    )


def _taken(minute: str) -> str:
    minute = minute.replace("new.", "old.")
    return (
        "UPDATE zinc_totals SET cents = cents - old.counts_cents, "  # noqa: S608
        "orders = orders - CASE old.kind WHEN 'order' THEN 1 ELSE 0 END "
        "WHERE old.counts_cents > 0 AND mode = old.mode AND caller = old.caller AND role = coalesce(old.role, '') "
        f"AND ((span = {MINUTE} AND start = {minute}) OR (span = {HOUR} AND start = {minute} / 60));"
    )


_ON_SQLITE = (
    f"CREATE TRIGGER zinc_totals_added AFTER INSERT ON zinc_entries WHEN new.counts_cents > 0 "
    f"BEGIN {_added(_MINUTE_ON_SQLITE, '')} END",
    f"CREATE TRIGGER zinc_totals_changed AFTER UPDATE OF caller, counts_cents, counted_at ON zinc_entries "
    f"WHEN old.caller IS NOT new.caller OR old.counts_cents IS NOT new.counts_cents "
    f"OR old.counted_at IS NOT new.counted_at "
    f"BEGIN {_taken(_MINUTE_ON_SQLITE)} {_added(_MINUTE_ON_SQLITE, '')} END",
    f"CREATE TRIGGER zinc_totals_taken AFTER DELETE ON zinc_entries BEGIN {_taken(_MINUTE_ON_SQLITE)} END",
)
_ON_POSTGRESQL = (
    f"""
CREATE FUNCTION zinc_count_totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND old.caller = new.caller AND old.counts_cents = new.counts_cents
        AND old.counted_at = new.counted_at THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN {_taken(_MINUTE_ON_POSTGRESQL)} END IF;
    IF TG_OP <> 'DELETE' THEN {_added(_MINUTE_ON_POSTGRESQL, "zinc_totals.")} END IF;
    RETURN NULL;
END $$""",
    "CREATE TRIGGER zinc_totals_counted AFTER INSERT OR DELETE OR UPDATE OF caller, counts_cents, counted_at "
    "ON zinc_entries FOR EACH ROW EXECUTE FUNCTION zinc_count_totals()",
)

_AWAY_ON_SQLITE = tuple(f"DROP TRIGGER IF EXISTS zinc_totals_{each}" for each in ("added", "changed", "taken"))
_AWAY_ON_POSTGRESQL = (
    "DROP TRIGGER IF EXISTS zinc_totals_counted ON zinc_entries",
    "DROP FUNCTION IF EXISTS zinc_count_totals()",
)


def counted(since: str, beside: str | None = None) -> sa.Select[Any, Any]:
    """Return a query for the cents and the orders that count against a caller's limits after a time.

    Its values are those of `window` under this name, with `mode` and `caller`; `beside` names an entry that is left
    out.
    """
    theirs = (ENTRIES.c.mode == sa.bindparam("mode"), ENTRIES.c.caller == sa.bindparam("caller"), COUNTING)
    left_out = () if beside is None else (ENTRIES.c.id == sa.bindparam(beside), *theirs)
    return _counted(since, left_out)


def counted_before(since: str, before: str, on: Dialect) -> sa.Select[Any, Any]:
    """Return the query of `counted` without the entries that were opened at an entry or after it.

    `before` names that entry. Those opened after it are read one by one, since no clock says which they are.
    """
    mode, caller = ENTRIES.c.mode == sa.bindparam("mode"), ENTRIES.c.caller == sa.bindparam("caller")
    if on == "sqlite":
        # SQLite would rather read the whole window by the caller's index: `+` keeps it from that ("The SQLite Query
        # Optimizer Overview", section 2.2), so that it seeks the id. PostgreSQL knows how few ids there are.
        mode = sa.literal_column("+zinc_entries.mode", sa.String()) == sa.bindparam("mode")
        caller = sa.literal_column("+zinc_entries.caller", sa.String()) == sa.bindparam("caller")
    return _counted(since, (ENTRIES.c.id >= sa.bindparam(before), mode, caller, COUNTING))


def _counted(since: str, left_out: Sequence[sa.ColumnElement[bool] | sa.TextClause]) -> sa.Select[Any, Any]:
    is_order = sa.case((IS_ORDER, 1), else_=0)
    theirs = (ENTRIES.c.mode == sa.bindparam("mode"), ENTRIES.c.caller == sa.bindparam("caller"), COUNTING)
    later = ENTRIES.c.counted_at > sa.bindparam(since)
    minute, hour = _number(f"{since}_minute"), _number(f"{since}_hour")
    before = ENTRIES.c.counted_at < sa.bindparam(f"{since}_minute_over")
    single = sa.select(ENTRIES.c.counts_cents.label("cents"), is_order.label("orders"))
    parts: list[sa.Select[Any, Any]] = [single.where(*theirs, later, before)]
    if left_out:
        less = sa.select((-ENTRIES.c.counts_cents).label("cents"), (-is_order).label("orders"))
        parts.append(less.where(*left_out, later))
    of_caller = (TOTALS.c.mode == sa.bindparam("mode"), TOTALS.c.caller == sa.bindparam("caller"))
    rest_of_hour = (TOTALS.c.span == MINUTE, TOTALS.c.start > minute, TOTALS.c.start < _number(f"{since}_hour_over"))
    hours = (TOTALS.c.span == HOUR, TOTALS.c.start > hour)
    parts += [sa.select(TOTALS.c.cents, TOTALS.c.orders).where(*of_caller, *some) for some in (rest_of_hour, hours)]
    added = sa.union_all(*parts).subquery(f"counting_{since}")
    cents, orders = (sa.func.coalesce(sa.func.sum(column), 0) for column in (added.c.cents, added.c.orders))
    return sa.select(cents.label("cents"), orders.label("orders"))


def by_mode(minute: int) -> sa.Select[Any, Any]:
    """Return a query for what counts against limits from the beginning of a minute on: rows of mode and cents.

    `minute`: since the epoch. The query looks up the new totals of one caller after the other: in the index, the old
    totals of each caller lie between them.
    """
    modes = [sa.select(sa.literal(mode).label("mode"), _caller_after(mode, "")) for mode in get_args(Mode)]
    callers = sa.select(sa.union_all(*modes).subquery("first_callers")).cte("callers", recursive=True)
    more = sa.select(callers.c.mode, _caller_after(callers.c.mode, callers.c.caller)).where(
        callers.c.caller.is_not(None)
    )
    callers = callers.union_all(more)
    hour = minute // 60
    rest_of_hour = (TOTALS.c.span == MINUTE, TOTALS.c.start >= minute, TOTALS.c.start < (hour + 1) * 60)
    hours = (TOTALS.c.span == HOUR, TOTALS.c.start > hour)
    is_theirs = (TOTALS.c.mode == callers.c.mode, TOTALS.c.caller == callers.c.caller)
    parts = [sa.select(TOTALS.c.mode, TOTALS.c.cents).where(*is_theirs, *some) for some in (rest_of_hour, hours)]
    added = sa.union_all(*parts).subquery("by_mode")
    return sa.select(added.c.mode, added.c.cents)


def _caller_after(mode: str | sa.ColumnElement[str], caller: str | sa.ColumnElement[str]) -> sa.Label[Any]:
    next_one = sa.select(sa.func.min(TOTALS.c.caller)).where(TOTALS.c.mode == mode, TOTALS.c.caller > caller)
    return next_one.scalar_subquery().label("caller")


def _callers() -> sa.CTE:
    """Return all callers that have totals. The database jumps from one to the next, and reads no other total."""
    in_mode = TOTALS.c.mode == sa.bindparam("mode")
    first = sa.select(sa.func.min(TOTALS.c.caller).label("caller")).where(in_mode)
    those = first.cte("those", recursive=True)
    later = sa.select(sa.func.min(TOTALS.c.caller)).where(in_mode, TOTALS.c.caller > those.c.caller)
    following = sa.select(later.correlate(those).scalar_subquery()).where(those.c.caller.is_not(None))
    return those.union_all(following)


def _of_each(
    those: sa.CTE,
    conditions: Sequence[sa.ColumnElement[bool]],
    by: sa.Column[Any],
    on: Dialect,
) -> sa.Select[Any, Any, Any]:
    """Return a query for the totals of each of `those`: what `by` groups them by, their cents and orders.

    PostgreSQL is made to look into the index for one caller after the other. By itself it would read all totals, since
    it does not know how few of them are as new as these. SQLite does so by itself.
    """
    theirs = (TOTALS.c.mode == sa.bindparam("mode"), TOTALS.c.caller == those.c.caller, *conditions)
    cents, orders = sa.func.sum(TOTALS.c.cents).label("cents"), sa.func.sum(TOTALS.c.orders).label("orders")
    found = sa.select(by.label("by"), cents, orders).where(*theirs).group_by(by)
    if on == "sqlite":
        return found
    each = found.correlate(those).lateral("each")
    return sa.select(each.c.by, each.c.cents, each.c.orders).select_from(those.join(each, sa.true()))


def counted_together(on: Dialect) -> sa.Select[Any]:
    """Return a query for what counts against the limits over several callers, without the entry `beside`.

    Its columns are the cents and orders of the window `day` and the cents of the window `month`, of all callers, and
    the same of those entries whose role is `role`. Its values are those of `window` under these names, with `mode`,
    `role` and `beside`. A window begins with the whole minute in which it would begin for one caller.
    """
    those, is_order = _callers(), sa.case((IS_ORDER, 1), else_=0)
    parts: list[sa.Select[Any, Any, Any, Any]] = []
    for name in ("day", "month"):
        minute, hour_over = _number(f"{name}_minute"), _number(f"{name}_hour_over")
        in_minutes = (TOTALS.c.span == MINUTE, TOTALS.c.start >= minute, TOTALS.c.start < hour_over)
        in_hours = (TOTALS.c.span == HOUR, TOTALS.c.start > _number(f"{name}_hour"))
        during: sa.ColumnElement[str] = sa.literal_column(f"'{name}'", sa.String).label("during")
        for some in (in_minutes, in_hours):
            found = _of_each(those, some, TOTALS.c.role, on).subquery()
            parts.append(sa.select(during, found.c.by, found.c.cents, found.c.orders))
        single = (ENTRIES.c.id == sa.bindparam("beside"), ENTRIES.c.mode == sa.bindparam("mode"), COUNTING)
        role = sa.func.coalesce(ENTRIES.c.role, "")
        taken = sa.select(during, role, -ENTRIES.c.counts_cents, -is_order)
        parts.append(taken.where(*single, ENTRIES.c.counted_at >= sa.bindparam(f"{name}_minute_begins")))
    found = sa.union_all(*parts).subquery("together")
    is_day, is_role = found.c.during == sa.literal_column("'day'"), found.c.by == sa.bindparam("role")
    is_month = found.c.during == sa.literal_column("'month'")
    sums = (
        (found.c.cents, is_day),
        (found.c.orders, is_day),
        (found.c.cents, is_month),
        (found.c.cents, sa.and_(is_day, is_role)),
        (found.c.orders, sa.and_(is_day, is_role)),
        (found.c.cents, sa.and_(is_month, is_role)),
    )
    return sa.select(*(sa.func.coalesce(sa.func.sum(sa.case((of, column), else_=0)), 0) for column, of in sums))


def ageing(whose: Whose, on: Dialect) -> sa.Select[Any, Any, Any]:
    """Return a query for the totals of one span from `first` to `last`: start, cents and orders, the oldest first.

    They are those of a caller, of a role or of all callers; its other values are `mode`, `span`, `caller` and `role`.
    """
    some = [TOTALS.c.span == _number("span"), TOTALS.c.start.between(_number("first"), _number("last"))]
    if whose in ("caller", "member"):
        own = (TOTALS.c.mode == sa.bindparam("mode"), TOTALS.c.caller == sa.bindparam("caller"), *some)
        found = sa.select(TOTALS.c.start.label("by"), TOTALS.c.cents, TOTALS.c.orders).where(*own).subquery()
    else:
        some += [TOTALS.c.role == sa.bindparam("role")] if whose == "role" else []
        found = _of_each(_callers(), some, TOTALS.c.start, on).subquery()
    query = sa.select(found.c.by, sa.func.sum(found.c.cents), sa.func.sum(found.c.orders))
    return query.group_by(found.c.by).order_by(found.c.by)


def window(name: str, since: float) -> Mapping[str, Any]:
    """Return the values of `counted` for a window that begins at a time, in seconds since the epoch."""
    minute = floor(since) // MINUTE
    hour = minute // 60
    return {
        name: since,
        f"{name}_minute": minute,
        f"{name}_minute_begins": minute * 60.0,
        f"{name}_minute_over": (minute + 1) * 60.0,
        f"{name}_hour": hour,
        f"{name}_hour_over": (hour + 1) * 60,
    }


def _number(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger())
