"""A journal on PostgreSQL is asked in few round trips, and a connection that was ended is noticed before it is used."""

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import HandClock, OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from journal.full_journal import YEARS, driven
from journals import entry_of
from wanted import book, intent

from bench.delaying import Delaying
from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.clocks import Times
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.process import Process

POLICY = '[policy]\napproval = "none"\nmax_order = 900000\nmax_day = 9000000\n'


@pytest.fixture
def address(make_database: Callable[..., str], clock: HandClock) -> str:
    """Return the address of a journal that is not new, so that no order is looked for at Zinc."""
    address = make_database()
    Journal.open(address, clock=lambda: clock() - YEARS).close()
    return address


@pytest.fixture
def behind(address: str) -> Iterator[Delaying]:
    proxy = Delaying(address)
    yield proxy
    proxy.close()


async def trips_of(proxy: Delaying, call: Callable[[], Any]) -> int:
    """Return the usual round trips of a call after many: before that, connections are opened and statements prepared.

    A single call may meet what the process does by itself, which goes through the same proxy.
    """
    counts: list[int] = []
    for _ in range(14):
        before = proxy.round_trips
        await call()
        counts.append(proxy.round_trips - before)
    return statistics.mode(counts[-5:])


def trips_of_step(proxy: Delaying, step: Callable[[], object]) -> int:
    """Return the usual round trips of a step: a part that passes the proxy late counts for the step before or after."""
    step()
    before = proxy.round_trips
    for _ in range(8):
        step()
    return round((proxy.round_trips - before) / 8)


async def test_placing_takes_four_round_trips_and_a_look_one(
    open_test_process: OpenProcess, write_config: Callable[[str], Any], behind: Delaying, zinc: FakeZinc
) -> None:
    write_config(POLICY)
    zinc.dated = True
    numbers = iter(range(1, 100))
    async with open_test_process(journal=behind.address) as process:

        async def place(**more: Any) -> None:
            order = intent(products=book(next(numbers)), **more)
            assert entry_of(await place_order.place(process, order)).state == "accepted"

        async def place_by_key() -> None:
            await place(idempotency_key=f"key-{next(numbers)}")

        assert await trips_of(behind, place) == 4, "two to open it, one to compare the answer, one to write it down"
        assert await trips_of(behind, place_by_key) == 4
        key = entry_of(await place_order.place(process, intent(products=book(1)))).key
        assert await trips_of(behind, partial(look, process, "local", key)) == 1


async def test_each_durable_step_takes_at_most_two_round_trips(behind: Delaying, clock: HandClock) -> None:
    from journal.test_journal import draft, entry

    numbers = iter(range(1, 100))
    times = Times(clock)
    times.heard(clock())
    with Journal.open(behind.address, clock=clock, times=times, marks=lambda caller: None) as journal:
        steps: dict[str, Callable[[], object]] = {
            "open": lambda: entry(journal, draft(next(numbers))),
            "pause": lambda: journal.pause("for now"),
            "resume": journal.resume,
        }
        moving = iter([entry(journal, draft(next(numbers))) for _ in range(30)])
        steps["mark"] = lambda: journal.move(next(moving), "sending", "sending", attempts=1)
        sent = iter([journal.move(next(moving), "sending", "sending") for _ in range(9)])
        accepted = list[Entry]()
        steps["accept"] = lambda: accepted.append(journal.move(next(sent), "accepted", "accepted"))
        # The mark of its caller is compared as well.
        steps["cancel"] = lambda: journal.move(accepted.pop(), "accepted", "asked to cancel", by_caller=True)
        taken = {name: trips_of_step(behind, step) for name, step in steps.items()}
    assert taken == {"open": 2, "mark": 2, "accept": 1, "cancel": 1, "pause": 1, "resume": 1}


async def test_a_yes_and_the_marking_after_it_take_two_round_trips_each(
    open_test_process: OpenProcess,
    write_config: Callable[[str], Any],
    address: str,
    behind: Delaying,
    zinc: FakeZinc,
    clock: HandClock,
) -> None:
    write_config(POLICY.replace("none", "page"))
    zinc.dated = True
    numbers = iter(range(1, 100))
    ticks = count()

    def ticking() -> float:
        return clock() + 1e-6 * next(ticks)  # as a real clock, it never tells the same time twice

    times = Times(ticking)
    times.heard(clock())
    trips: list[tuple[int, int]] = []
    async with open_test_process(journal=address) as process:
        with Journal.open(behind.address, clock=ticking, times=times) as journal:
            for _ in range(11):  # connections are opened, and statements prepared
                asked = entry_of(await place_order.place(process, intent(products=book(next(numbers)))))
                said = {"yes": True, "how": "page", "who": "local", "at": clock.now}
                until = {"until": clock.now + 600, "zinc_until": None}
                before = behind.round_trips
                taken = journal.approve(yes(asked).about, None, said, until, process.admission, seen=asked)
                between = behind.round_trips
                journal.move(taken.entry, "sending", "sending", admission=process.admission, attempts=1)
                trips.append((between - before, behind.round_trips - between))
        assert [round(statistics.mean(each)) for each in zip(*trips[-5:], strict=True)] == [2, 2]


async def test_a_yes_is_decided_by_what_stands_under_the_lock_and_not_by_what_was_seen_before(
    open_test_process: OpenProcess, write_config: Callable[[str], Any], address: str, zinc: FakeZinc, clock: HandClock
) -> None:
    write_config(POLICY.replace("none", "page"))
    zinc.dated = True
    said = {"yes": True, "how": "page", "who": "local", "at": clock.now}
    until = {"until": clock.now + 600, "zinc_until": None}
    async with open_test_process(journal=address) as process:
        seen = entry_of(await place_order.place(process, intent(products=book(1))))
        with Journal.open(address, clock=clock) as journal:
            journal.pause("for now")
            paused = journal.approve(yes(seen).about, None, said, until, process.admission, seen=seen)
            assert paused.refusal is not None and paused.refusal.code == "paused"
            with pytest.raises(RefusedError) as closed:
                journal.approve(yes(seen).about, None, said, until, process.admission, seen=seen)
            assert closed.value.code == "question_closed"
    assert not zinc.posts


async def test_calls_after_the_database_has_ended_all_connections_go_on(
    open_test_process: OpenProcess, write_config: Callable[[str], Any], address: str, zinc: FakeZinc
) -> None:
    write_config(POLICY)
    other = sa.create_engine(driven(address), isolation_level="AUTOCOMMIT")

    def end_connections() -> None:
        with other.connect() as connection:
            ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
            assert connection.exec_driver_sql(f"{ended} AND pid != pg_backend_pid()").all()

    async with open_test_process(journal=address) as process:
        placed = entry_of(await place_order.place(process, intent(products=book(1))))
        end_connections()
        assert entry_of(await look(process, "local", placed.key)).order_id == placed.order_id
        end_connections()
        assert entry_of(await place_order.place(process, intent(products=book(2)))).state == "accepted"
        assert_all_is_kept(process, zinc)
    other.dispose()


def assert_all_is_kept(process: Process, zinc: FakeZinc) -> None:
    assert len(zinc.orders) == 2
    assert not process.attempts
