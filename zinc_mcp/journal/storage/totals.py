"""Running totals of what counts against the limits of each caller, by minute and by hour.

A limit over a million orders reads some hundred totals, and the single entries of one minute: the one in which the
limit's window begins. The database itself keeps the totals, by triggers in the transaction of each change. So they are
exact whatever changes an entry, a process of an earlier version too.
"""

from collections.abc import Mapping
from math import floor
from typing import Any, get_args

import sqlalchemy as sa

from zinc_mcp.journal.records.entry import Mode
from zinc_mcp.journal.storage.tables import COUNTING, ENTRIES, IS_ORDER, TABLES

MINUTE, HOUR = 60, 3600

TOTALS = sa.Table(
    "zinc_totals",
    TABLES,
    sa.Column("mode", sa.String(8), primary_key=True),
    sa.Column("caller", sa.String(64), primary_key=True),
    sa.Column("span", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("cents", sa.BigInteger, nullable=False),
    sa.Column("orders", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,  # its key is most of it: one page less in each commit
)
"""`span` is a minute or an hour, in seconds. `start` is the number of minutes, or of hours, since the epoch."""


def create(connection: sa.Connection) -> None:
    """Count all entries, and let the database keep the totals from now on. The table is there, and empty."""
    on_postgresql = connection.dialect.name == "postgresql"
    minute = _MINUTE_ON_POSTGRESQL if on_postgresql else _MINUTE_ON_SQLITE
    for span, start in ((MINUTE, minute), (HOUR, f"{minute} / 60")):
        counted = f"{span}, {start}, sum(new.counts_cents), sum(CASE new.kind WHEN 'order' THEN 1 ELSE 0 END)"
        connection.exec_driver_sql(
            f"INSERT INTO zinc_totals SELECT new.mode, new.caller, {counted} FROM zinc_entries AS new "  # noqa: S608
            "WHERE new.counts_cents > 0 GROUP BY 1, 2, 3, 4"
        )
    for statement in _ON_POSTGRESQL if on_postgresql else _ON_SQLITE:
        connection.exec_driver_sql(statement)


# Whole seconds first: then no division is rounded, and `start` says exactly which times are counted in a total.
_MINUTE_ON_SQLITE = "CAST(new.counted_at AS INTEGER) / 60"
_MINUTE_ON_POSTGRESQL = "CAST(floor(new.counted_at) AS bigint) / 60"


def _added(minute: str, table: str) -> str:
    orders = "CASE new.kind WHEN 'order' THEN 1 ELSE 0 END"
    totals = " UNION ALL ".join(
        f"SELECT new.mode, new.caller, {span}, {start}, new.counts_cents, {orders} WHERE new.counts_cents > 0"
        for span, start in ((MINUTE, minute), (HOUR, f"{minute} / 60"))
    )
    return (
        f"INSERT INTO zinc_totals (mode, caller, span, start, cents, orders) SELECT * FROM ({totals}) AS added "  # noqa: S608
        "WHERE true ON CONFLICT (mode, caller, span, start) "
        f"DO UPDATE SET cents = {table}cents + excluded.cents, orders = {table}orders + excluded.orders;"
    )


def _taken(minute: str) -> str:
    minute = minute.replace("new.", "old.")
    return (
        "UPDATE zinc_totals SET cents = cents - old.counts_cents, "  # noqa: S608
        "orders = orders - CASE old.kind WHEN 'order' THEN 1 ELSE 0 END "
        "WHERE old.counts_cents > 0 AND mode = old.mode AND caller = old.caller "
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


def counted(since: str, beside: str | None = None) -> sa.Select[Any, Any]:
    """Return a query for the cents and the orders that count against a caller's limits after a time.

    Its values are those of `window` under this name, with `mode` and `caller`; `beside` names an entry that is left
    out.
    """
    is_order = sa.case((IS_ORDER, 1), else_=0)
    theirs = (ENTRIES.c.mode == sa.bindparam("mode"), ENTRIES.c.caller == sa.bindparam("caller"), COUNTING)
    later = ENTRIES.c.counted_at > sa.bindparam(since)
    minute, hour = _number(f"{since}_minute"), _number(f"{since}_hour")
    before = ENTRIES.c.counted_at < sa.bindparam(f"{since}_minute_over")
    single = sa.select(ENTRIES.c.counts_cents.label("cents"), is_order.label("orders"))
    parts: list[sa.Select[Any, Any]] = [single.where(*theirs, later, before)]
    if beside is not None:
        of_it = (ENTRIES.c.id == sa.bindparam(beside), *theirs, later)
        parts.append(sa.select((-ENTRIES.c.counts_cents).label("cents"), (-is_order).label("orders")).where(*of_it))
    of_caller = (TOTALS.c.mode == sa.bindparam("mode"), TOTALS.c.caller == sa.bindparam("caller"))
    rest_of_hour = (TOTALS.c.span == MINUTE, TOTALS.c.start > minute, TOTALS.c.start < _number(f"{since}_hour_over"))
    hours = (TOTALS.c.span == HOUR, TOTALS.c.start > hour)
    parts += [sa.select(TOTALS.c.cents, TOTALS.c.orders).where(*of_caller, *some) for some in (rest_of_hour, hours)]
    added = sa.union_all(*parts).subquery(f"counting_{since}")
    cents, orders = (sa.func.coalesce(sa.func.sum(column), 0) for column in (added.c.cents, added.c.orders))
    return sa.select(cents.label("cents"), orders.label("orders"))


def by_mode(minute: int) -> sa.Select[Any, Any]:
    """Return a query for what counts against limits from the beginning of a minute on: rows of mode and cents.

    `minute`: since the epoch. It seeks the totals of each caller, since those of all times lie between them.
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


def window(name: str, since: float) -> Mapping[str, Any]:
    """Return the values of `counted` for a window that begins at a time, in seconds since the epoch."""
    minute = floor(since) // MINUTE
    hour = minute // 60
    return {
        name: since,
        f"{name}_minute": minute,
        f"{name}_minute_over": (minute + 1) * 60.0,
        f"{name}_hour": hour,
        f"{name}_hour_over": (hour + 1) * 60,
    }


def _number(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger())
