"""A lease goes by a steady clock that processes share, and by the wall clock where they share none."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import HandClock
from journal.test_journal import draft, entry

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.clocks import machine_uptime
from zinc_mcp.journal.records.entry import Entry

LEASE = 30.0
"""Seconds; what `ordering.test_journal` opens entries with."""


class Machine:
    """A machine: the wall clock of its processes, and the time since it was started."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.boot = "boot 1"
        self.steady = 1_000.0
        self.opened: list[Journal] = []

    def process(self, clock: Callable[[], float]) -> Journal:
        """Open the journal as a process with this wall clock."""
        journal = Journal.open(f"sqlite:///{self.path}", clock=clock, uptime=lambda: (self.boot, self.steady))
        self.opened.append(journal)
        return journal

    def restart(self, steady: float, boot: str = "boot 2") -> None:
        """Start anew."""
        self.boot, self.steady = boot, steady


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "journal.db")
    yield machine
    for journal in machine.opened:
        journal.close()


def claimed(journal: Journal, found: Entry) -> bool:
    return journal.claim(found, "another process", LEASE) is not None


@pytest.mark.parametrize("ahead", [-3600, -31, 31, 3600])
def test_a_clock_that_is_wrong_neither_shortens_nor_lengthens_what_another_process_holds(
    machine: Machine, clock: HandClock, ahead: float
) -> None:
    held = entry(machine.process(clock), draft())
    other = machine.process(lambda: clock.now + ahead)
    machine.steady += LEASE - 1
    assert not claimed(other, held)
    machine.steady += 2
    assert claimed(other, held)


def test_a_clock_that_is_set_while_somebody_holds_an_entry_changes_nothing(machine: Machine, clock: HandClock) -> None:
    held = entry(machine.process(clock), draft())
    clock.pass_seconds(86_400)
    assert not claimed(machine.process(clock), held)


@pytest.mark.parametrize("steady", [5.0, 1_010.0, 5_000.0])
def test_a_lease_from_before_a_restart_ends_by_the_wall_clock(
    machine: Machine, clock: HandClock, steady: float
) -> None:
    held = entry(machine.process(clock), draft())
    machine.restart(steady)
    other = machine.process(clock)
    assert not claimed(other, held)
    clock.pass_seconds(LEASE + 1)
    assert claimed(other, held)


def test_where_a_boot_has_no_name_a_steady_clock_that_shows_less_is_a_restart(
    machine: Machine, clock: HandClock
) -> None:
    held = entry(machine.process(clock), draft())
    machine.restart(5.0, boot="boot 1")
    assert claimed(machine.process(clock), held)


def test_an_entry_taken_before_there_were_steady_clocks_goes_by_the_wall_clock(
    machine: Machine, clock: HandClock
) -> None:
    with Journal.open(f"sqlite:///{machine.path}", clock=clock, uptime=None) as older:
        held = entry(older, draft())
    other = machine.process(clock)
    assert not claimed(other, held)
    clock.pass_seconds(LEASE + 1)
    assert claimed(other, held)


def test_all_processes_of_a_machine_share_one_steady_clock() -> None:
    program = (
        "import json; from zinc_mcp.journal.records.clocks import machine_uptime; print(json.dumps(machine_uptime()))"
    )
    boot, before = machine_uptime()
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, encoding="utf-8")
    their_boot, theirs = json.loads(told.stdout)
    assert (their_boot, boot != "") == (boot, True)
    assert before <= theirs <= machine_uptime()[1]
