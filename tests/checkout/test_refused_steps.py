"""Only our own errors leave a call when the journal fails at any step or another process changes the entry."""

import dataclasses
import itertools
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from conftest import HandClock, OpenProcess
from deciding import no, yes
from fake_zinc import FakeZinc
from journal.full_journal import driven
from journal.test_journal import draft
from journal.test_journal import entry as opened
from journals import entry_of
from variants import rare
from wanted import BOOK, book, intent, order

from zinc_mcp.checkout.deciding.approved import send_all_approved
from zinc_mcp.checkout.deciding.decide import await_decision, decide
from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.checkout.look_up import sweep
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import JournalError, RefusedError, ZincMcpError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.decision import Admission, QuestionRef
from zinc_mcp.journal.records.entry import Entry, Limits, Mode
from zinc_mcp.journal.runner import Runner, Unwritten
from zinc_mcp.process import Clocks, Process

T = TypeVar("T")
WriteConfig = Callable[[str], Path]
BY_WALLET = Intent("local", "agent", order())
QUICK = Clocks(
    answer_seconds=0.5,
    wire_seconds=2.0,
    refresh_seconds=0.3,
    poll_seconds=0.02,
    peek_seconds=0.01,
    sweep_seconds=3600.0,
)


class Refusing(Runner):
    """A journal whose next steps fail, or are changed by another process, as `how` says."""

    def __init__(self, opener: Callable[[], Journal], path: Path) -> None:
        super().__init__(opener)
        self._path = path
        self.how, self.left = "", 0

    async def run(self, work: Callable[[Journal], T]) -> T:
        """Do the work, or fail, or do it on entries that another process has just moved."""
        self._step()
        return await super().run(work)

    async def find(self, handle: str, *, caller: str | None = None, mode: Mode | None = None) -> Entry | None:
        self._step()
        return await super().find(handle, caller=caller, mode=mode)

    async def read(self, entry_id: int) -> Entry:
        self._step()
        return await super().read(entry_id)

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0 and self.how == "moved":
            with closing(sqlite3.connect(self._path)) as database, database:
                database.execute("UPDATE zinc_entries SET version = version + 1")
        if (self.left == 0 and self.how == "fails once") or (self.left <= 0 and self.how == "fails"):
            raise JournalError("The journal failed.")


@dataclasses.dataclass
class World:
    """One process over a journal that may fail, and the entry that it had before."""

    process: Process
    zinc: FakeZinc
    clock: HandClock
    entry: Entry | None = None

    @property
    def known(self) -> Entry:
        assert self.entry is not None
        return self.entry


Step = Callable[[World], Awaitable[Any]]


async def nothing(world: World) -> None:
    pass


async def one_placed(world: World) -> None:
    world.entry = entry_of(await place(world.process, intent()))


async def one_doubted(world: World) -> None:
    world.zinc.script = ["lose_before"] * 2
    await one_placed(world)
    world.zinc.script = []


async def one_in_doubt_and_settled(world: World) -> None:
    world.zinc.script, world.zinc.listing = ["lose_after", "lose_before"], False
    await one_placed(world)
    for order_id in world.zinc.orders:
        world.zinc.settle(order_id, 1000)


async def two_asked(world: World) -> None:
    await one_placed(world)
    other = entry_of(await place(world.process, intent(products=[{"url": BOOK, "quantity": 2}])))
    await decide(world.process, yes(other))


async def one_asked_long_ago(world: World) -> None:
    await one_placed(world)
    world.clock.pass_seconds(700)


async def limits_filled(world: World) -> None:
    for number in (2, 3):
        await place(world.process, intent(products=book(number)))
    for order_id in world.zinc.orders:
        world.zinc.settle(order_id, 1000)


async def approved_elsewhere(world: World) -> None:
    await one_placed(world)
    journal = world.process.journal
    said = {"yes": True, "how": "page", "who": "local", "at": world.clock.now}
    until = {"until": world.clock.now + 600, "zinc_until": None}
    about = yes(world.known).about
    await journal.run(lambda open_: open_.approve(about, None, said, until, world.process.admission))


async def swept(world: World) -> None:
    for rail in world.process.rails.values():
        await sweep(world.process, rail)


PAGE, NONE = '[policy]\napproval = "page"\n', '[policy]\napproval = "none"\n'
FULL = '[policy]\napproval = "none"\nmax_day = 12000\n'
CALLS: dict[str, tuple[str, Step, Step]] = {
    "place": (NONE, nothing, lambda world: place(world.process, intent())),
    "place by wallet": (NONE, nothing, lambda world: place(world.process, BY_WALLET)),
    "place and ask": (PAGE, nothing, lambda world: place(world.process, intent())),
    "place again": (NONE, one_placed, lambda world: place(world.process, intent())),
    "place what waits": (PAGE, one_placed, lambda world: place(world.process, intent())),
    "place what waited": (PAGE, one_asked_long_ago, lambda world: place(world.process, intent())),
    "place what is in doubt": (NONE, one_doubted, lambda world: place(world.process, intent())),
    "place beyond a limit": (FULL, limits_filled, lambda world: place(world.process, intent())),
    "say yes": (PAGE, one_placed, lambda world: decide(world.process, yes(world.known))),
    "say no": (PAGE, one_placed, lambda world: decide(world.process, no(world.known))),
    "say yes after another": (PAGE, two_asked, lambda world: decide(world.process, yes(world.known))),
    "say yes too late": (PAGE, one_asked_long_ago, lambda world: decide(world.process, yes(world.known))),
    "await a decision": (
        PAGE,
        approved_elsewhere,
        lambda world: await_decision(world.process, world.known, earlier=False, deadline=0.0),
    ),
    "send what was approved": (PAGE, approved_elsewhere, lambda world: send_all_approved(world.process)),
    "list questions": (PAGE, one_placed, lambda world: questions_for(world.process, "local")),
    "look": (NONE, one_placed, lambda world: look(world.process, "local", world.known.key)),
    "look at what waited": (PAGE, one_asked_long_ago, lambda world: look(world.process, "local", world.known.key)),
    "look by its id": (
        NONE,
        one_in_doubt_and_settled,
        lambda world: look(world.process, "local", next(iter(world.zinc.orders))),
    ),
    "sweep": (NONE, one_doubted, swept),
}
MOST_STEPS = 40
HOWS = ("moved", "fails once", "fails")
OFTEN = {
    *((call, "fails once") for call in ("place", "place by wallet", "place and ask", "place again", "say no", "sweep")),
    *(("say yes", how) for how in HOWS),
    ("place", "fails"),
    ("place what waits", "moved"),
    ("await a decision", "moved"),
    ("send what was approved", "fails once"),
    ("look at what waited", "fails"),
    ("look by its id", "fails once"),
}
"""The calls that move money, and each way in which a step fails."""


@asynccontextmanager
async def refusing(opened: Process, home: Path, clock: HandClock) -> AsyncGenerator[tuple[Process, Refusing]]:
    path = home / "journal.db"
    runner = Refusing(lambda: Journal.open(f"sqlite:///{path}", clock=clock, uptime=None, times=opened.times), path)
    await runner.run(lambda journal: None)
    yield dataclasses.replace(opened, journal=runner, unwritten=Unwritten(runner)), runner
    await runner.aclose()


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("call", "how"),
    [each if each in OFTEN else rare(*each) for each in itertools.product(CALLS, HOWS)],
)
async def test_only_our_own_true_errors_leave_a_call_when_the_journal_fails_or_changes(
    open_test_process: OpenProcess,
    clock: HandClock,
    zinc: FakeZinc,
    home: Path,
    write_config: WriteConfig,
    call: str,
    how: str,
) -> None:
    policy, before, act = CALLS[call]
    write_config(policy)
    for nth in range(1, MOST_STEPS):
        for file in home.glob("journal.db*"):
            file.unlink()
        zinc.orders.clear()
        zinc.settlements.clear()
        zinc.script, zinc.listing = [], True
        async with open_test_process(clocks=QUICK, wallet="sandbox") as opened:
            async with refusing(opened, home, clock) as (process, runner):
                world = World(process, zinc, clock)
                await before(world)
                orders, runner.how, runner.left = len(zinc.orders), how, nth
                try:
                    await act(world)
                except ZincMcpError as error:
                    if not error.money_may_have_moved:
                        assert len(zinc.orders) == orders, f"step {nth}: {error.summary}"
                was_reached, runner.how = runner.left <= 0, ""
                while process.attempts:
                    await next(iter(process.attempts.values())).done.wait()
        if not was_reached:
            break
    else:
        raise AssertionError("it never ends")


@pytest.mark.parametrize("what", ["approve", "decline", "resolve"])
def test_a_decision_is_about_the_entry_as_another_process_has_just_left_it(
    make_database: Callable[..., str], clock: HandClock, what: str
) -> None:
    url = make_database()
    admission = Admission(lambda _entry, _kept: Limits(), lambda: True, 60.0, lambda: False)
    with Journal.open(url, clock=clock) as journal:
        entry = opened(journal, draft())
        if what == "resolve":
            entry = journal.move(entry, "unknown", "no answer", **FREE)
        else:
            asked = {"how": "asked", "id": "an-id-of-it", "digest": "0" * 64, "until": clock.now + 600}
            entry = journal.ask(entry, asked, 6)
        about = QuestionRef(entry.id, "an-id-of-it", "0" * 64)
        said = {"yes": what == "approve", "how": "page", "who": "local", "at": clock.now}
        acts: dict[str, Callable[[], Any]] = {
            "approve": lambda: journal.approve(about, None, said, {}, admission),
            "decline": lambda: journal.decline(about, None, said),
            "resolve": lambda: journal.resolve(entry.key, order_id=None),
        }
        engine = sa.create_engine(driven(url))
        with ThreadPoolExecutor(1) as beside, engine.connect() as other:
            other.execute(sa.text("UPDATE zinc_entries SET version = version + 1, state = 'refused'"))
            acting = beside.submit(acts[what])
            time.sleep(0.3)
            assert not acting.done(), "it waits for the other one"
            other.commit()
            with pytest.raises(RefusedError):
                acting.result(timeout=10)
        engine.dispose()
