"""The running totals of the limits are equal to the sum of all entries, to the second, on both databases."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import HandClock
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from journal.full_journal import driven, fill
from journal.test_journal import draft, entry
from journal.test_migration import ENTRY, into, without_totals
from variants import examples

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.clocks import Times
from zinc_mcp.journal.records.entry import Limits

NOW = 1_795_000_000.0
HOUR_BEGINS = NOW // 3600 * 3600


def beginning(hours: int, minutes: int) -> float:
    return HOUR_BEGINS - 3600.0 * hours + 60.0 * minutes


def moment(at: float, seconds: float) -> float:
    return at + seconds


beginnings = st.builds(beginning, st.sampled_from([0, 1, 2, 24]), st.sampled_from([-1, 0, 1, 2]))
moments = st.builds(moment, beginnings, st.sampled_from([0.0, -(2**-22), 2**-22, 30.0]))
"""Times in few minutes, so that entries and windows meet: at, just before and just after beginnings, and between."""
rows = st.fixed_dictionaries(
    {
        "caller": st.sampled_from(["local", "ada"]),
        "mode": st.sampled_from(["live", "live", "live", "test"]),
        "kind": st.sampled_from(["order", "order", "look_up"]),
        "rail": st.sampled_from(["account", "agent"]),
        "state": st.sampled_from(["placed", "placed", "unknown", "failed", "paid_no_order"]),
        "role": st.sampled_from([None, "order", "admin"]),
        "counted_at": moments,
        "counts_cents": st.integers(0, 900),
    }
)
changed_rows = st.fixed_dictionaries(
    {"counts_cents": st.integers(0, 9)}, optional={"counted_at": moments, "caller": st.sampled_from(["local", "ada"])}
)
changes = st.tuples(st.integers(0, 30), changed_rows)
_CALLER = sa.text("SELECT caller, mode FROM zinc_entries WHERE id = :id")


@pytest.fixture
def journal(url: str, clock: HandClock) -> Iterator[Journal]:
    clock.now = NOW
    with Journal.open(url, clock=clock) as opened:
        yield opened


@pytest.fixture
def database(url: str, journal: Journal) -> Iterator[sa.Engine]:
    engine = sa.create_engine(driven(url))
    yield engine
    engine.dispose()


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(rows, max_size=30),
    st.lists(changes, max_size=12),
    st.lists(st.integers(0, 30), max_size=2),
    st.lists(moments, min_size=1, max_size=4),
)
def test_the_totals_are_the_sum_of_all_entries_of_the_window(
    journal: Journal,
    database: sa.Engine,
    clock: HandClock,
    opened: list[dict[str, Any]],
    changed: list[tuple[int, dict[str, Any]]],
    deleted: list[int],
    begins: list[float],
) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM zinc_entries")
        for number, row in enumerate(opened):
            whole = {**ENTRY, **row, "key": f"key-{number}", "id": number + 1}
            connection.execute(into("zinc_entries", whole), whole)
        for number, change in changed:
            setting = ", ".join(f"{name} = :{name}" for name in change)
            connection.execute(
                sa.text(f"UPDATE zinc_entries SET {setting} WHERE id = :id"), {**change, "id": number + 1}
            )
        for number in deleted:
            connection.execute(sa.text("DELETE FROM zinc_entries WHERE id = :id"), {"id": number + 1})
    for caller in ("local", "ada"):
        for since in begins:
            orders = "coalesce(sum(CASE WHEN kind = 'order' THEN 1 ELSE 0 END), 0)"
            theirs = "caller = :caller AND mode = 'live' AND counts_cents > 0 AND counted_at > :since"
            summed = f"SELECT coalesce(sum(counts_cents), 0), {orders} FROM zinc_entries WHERE {theirs}"
            with database.connect() as connection:
                plain = connection.execute(sa.text(summed), {"caller": caller, "since": NOW - (NOW - since)}).one()
            assert journal.counted(caller, "live", NOW - since) == tuple(map(int, plain)), since
    for since in begins:
        clock.now = since + 86_400.0  # so that the window of 24 hours begins then
        try:
            together = {role: journal.counted_together("live", role) for role in ("order", "admin")}
        finally:
            clock.now = NOW
        orders = "coalesce(sum(CASE WHEN kind = 'order' THEN 1 ELSE 0 END), 0)"
        theirs = "mode = 'live' AND counts_cents > 0 AND counted_at >= :since"
        summed = f"SELECT coalesce(sum(counts_cents), 0), {orders} FROM zinc_entries WHERE {theirs}"
        given = {"since": since // 60 * 60}
        with database.connect() as connection:
            of_all = connection.execute(sa.text(summed), given).one()
            for role, sums in together.items():
                of_role = connection.execute(sa.text(f"{summed} AND role = :role"), {**given, "role": role}).one()
                assert (sums.role.day_cents, sums.role.day_orders) == tuple(map(int, of_role)), since
                assert (sums.team.day_cents, sums.team.day_orders) == tuple(map(int, of_all)), since
                ever = connection.execute(sa.text(summed), {"since": 0.0}).one()
                assert sums.team.month_cents == int(ever[0])
    is_open = "state = 'unknown' OR (rail = 'agent' AND state IN ('failed', 'paid_no_order'))"
    spent = f"SELECT mode, sum(CASE WHEN {is_open} THEN 0 ELSE counts_cents END) FROM zinc_entries"
    of_a_day = "WHERE counts_cents > 0 AND counted_at >= :since GROUP BY mode"
    with database.connect() as connection:
        # The minute in which the day begins counts whole.
        summed_by_mode = connection.execute(sa.text(f"{spent} {of_a_day}"), {"since": (NOW - 86_400.0) // 60 * 60})
        expected = {mode: int(cents) for mode, cents in summed_by_mode}
    found = journal.open_money().spent_day_cents
    assert {mode: cents for mode, cents in found.items() if cents} == {
        mode: cents for mode, cents in expected.items() if cents
    }


@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(rows, min_size=1, max_size=30), st.lists(changes, max_size=4), moments, st.booleans())
def test_the_sum_before_an_order_is_that_of_the_entries_opened_before_whatever_their_times(
    url: str,
    journal: Journal,
    database: sa.Engine,
    clock: HandClock,
    opened: list[dict[str, Any]],
    changed: list[tuple[int, dict[str, Any]]],
    since: float,
    is_told: bool,
) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM zinc_entries")
        for number, row in enumerate(opened, 1):
            whole = {**ENTRY, **row, "key": f"key-{number}", "id": number}
            connection.execute(into("zinc_entries", whole), whole)
        for number, change in changed:
            setting = ", ".join(f"{name} = :{name}" for name in change)
            connection.execute(sa.text(f"UPDATE zinc_entries SET {setting} WHERE id = :id"), {**change, "id": number})
        theirs = "caller = :caller AND mode = :mode AND counts_cents > 0 AND counted_at > :since AND id < :id"
        summed = sa.text(f"SELECT coalesce(sum(counts_cents), 0) FROM zinc_entries WHERE {theirs}")
        clock.now = since + 86_400.0  # so that the window begins then
        times = Times(clock)
        if is_told:
            times.heard(clock())
        begins = clock() - 86_400.0 if is_told else 0.0
        orders = [number for number, row in enumerate(opened, 1) if row["kind"] == "order"]
        plain = {
            number: connection.execute(
                summed, {**connection.execute(_CALLER, {"id": number}).mappings().one(), "since": begins, "id": number}
            ).scalar_one()
            for number in orders
        }
    try:
        with Journal.open(url, clock=clock, times=times) as told:
            for number, cents in plain.items():
                order = told.read(number)
                limit = int(cents) + order.reserved_cents
                assert not told.needs_second_yes(order, Limits(second_yes_cents=limit)), number
                assert told.needs_second_yes(order, Limits(second_yes_cents=limit - 1)), number
    finally:
        clock.now = NOW


def test_each_order_is_told_once_when_it_ends_and_none_from_before_the_first_look(journal: Journal) -> None:
    earlier, over = (entry(journal, draft(number)) for number in (1, 2))
    journal.move(over, "refused", "planted")
    first = journal.follow_endings(None)
    assert first.ended == ()
    quick, open_still = (entry(journal, draft(number)) for number in (3, 4))
    journal.move(journal.move(earlier, "sending", "planted"), "placed", "planted")
    quick = journal.move(quick, "declined", "planted")
    second = journal.follow_endings(first)
    assert sorted(second.ended) == [("test", "account", "declined"), ("test", "account", "placed")]
    journal.move(quick, "refused", "planted")  # another ending of an order that was told
    third = journal.follow_endings(second)
    assert third.ended == ()
    journal.move(open_still, "refused", "planted")
    assert journal.follow_endings(third).ended == (("test", "account", "refused"),)


def test_an_order_that_is_committed_after_later_ones_is_told_as_well(journal: Journal, database: sa.Engine) -> None:
    before = journal.follow_endings(None)
    for number in (7, 5):  # as two transactions of PostgreSQL leave them
        with database.begin() as connection:
            whole = {**ENTRY, "id": number, "key": f"key-{number}", "state": "placed", "kind": "order"}
            connection.execute(into("zinc_entries", whole), whole)
        before = journal.follow_endings(before)
        assert before.ended == (("live", "account", "placed"),)


def test_entries_from_before_the_totals_are_counted_when_the_journal_is_brought_up_to_date(
    url: str, clock: HandClock
) -> None:
    fill(url, 500, clock.now)
    engine = sa.create_engine(driven(url))
    with engine.begin() as connection:
        without_totals(connection)
        connection.exec_driver_sql("UPDATE zinc_meta SET value = '11' WHERE name = 'schema'")
        since = {"since": clock.now - 30 * 86_400.0}
        summed = "SELECT sum(counts_cents), count(*) FROM zinc_entries WHERE caller = 'member1' AND counted_at > :since"
        plain = connection.execute(sa.text(f"{summed} AND counts_cents > 0"), since).one()
    engine.dispose()
    with Journal.open(url, clock=clock) as journal:
        assert journal.counted("member1", "test", 30 * 86_400.0) == tuple(map(int, plain))
        assert plain[1] > 0
