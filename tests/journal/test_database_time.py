"""Leases between machines go by the database's clock, whatever the clocks of the machines say."""

import time
from collections.abc import Callable

import pytest
from journal.test_journal import draft

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.clocks import LeaseClock, Times
from zinc_mcp.journal.records.entry import Entry, Limits

HOUR = 3600.0


@pytest.mark.parametrize("wrong_by", [-HOUR, HOUR])
def test_a_machine_whose_clock_is_an_hour_wrong_holds_and_frees_entries_in_time(
    make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch, wrong_by: float
) -> None:
    address, real = make_database(), time.time
    Journal.open(address).close()

    def wrong() -> float:
        return real() + wrong_by

    monkeypatch.setattr(time, "time", wrong)  # this machine's clock, as the whole process sees it
    there = Times(time.time)
    with Journal.open(address, clock=time.time, times=there, uptime=lambda: ("there", 5.0)) as journal:
        made = journal.open_entry(draft(1), Limits(), owner="there", lease_seconds=1.0, window_seconds=86_400)
        assert isinstance(made, Entry)
        made = journal.open_entry(draft(2), Limits(), owner="there", lease_seconds=30.0, window_seconds=86_400)
    monkeypatch.undo()
    here = Times(time.time)
    with Journal.open(address, clock=time.time, times=here, uptime=lambda: ("here", 900.0)) as journal:
        leases = LeaseClock(here.shared, lambda: ("here", 900.0))
        [held, _] = journal.entries()
        assert 20.0 < leases.left(held) <= 30.0
        time.sleep(1.1)
        assert leases.left(journal.entries()[1]) == 0.0


def test_the_time_that_machines_share_is_known_as_soon_as_the_journal_is_open(url: str) -> None:
    times = Times(time.time)
    Journal.open(url, times=times).close()
    assert abs(times.shared() - time.time()) < 5.0
