"""Single conditions on the road of an order that a later change could lose: each test holds one of them in place."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import HandClock, OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from journal.test_crash_consistency import Disk
from journal.test_crash_consistency import disk as disk  # a fixture
from journals import entry_of, journal_of
from wanted import book, intent, order

from zinc_mcp.checkout import watch
from zinc_mcp.checkout.deciding.approved import send_all_approved
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.errors import JournalError, LimitExceededError, RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.process import Answer, Clocks

WriteConfig = Callable[[str], Path]
BY_WALLET = Intent("local", "agent", order())
WALLET: dict[str, Any] = {"api_key": None, "wallet": "sandbox"}


@pytest.mark.parametrize("hours", [25, 8, 24 * 40], ids=["yesterday", "another zone", "last month"])
async def test_an_order_that_zinc_dates_long_ago_counts_from_when_it_was_sent(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, write_config: WriteConfig, hours: int
) -> None:
    write_config('[policy]\napproval = "none"\nmax_day = 10000\n')
    ago = datetime.fromtimestamp(clock.now - hours * 3600, UTC).isoformat()
    zinc.shown_when_placed = lambda placed: {**placed, "created_at": ago}
    async with open_test_process() as process:
        assert entry_of(await place(process, intent())).state == "accepted"
        with pytest.raises(LimitExceededError):
            await place(process, intent(products=book(2)))
        clock.pass_seconds(20 * 3600)  # one of another zone would be out of the window by now
        with pytest.raises(LimitExceededError):
            await place(process, intent(products=book(3)))
    assert len(zinc.orders) == 1


@pytest.mark.parametrize("rail", ["account", "agent"])
async def test_an_order_on_the_wire_is_told_as_sent_to_a_call_that_cannot_write(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, disk: Disk, rail: str
) -> None:
    """The process that sends it is the one that is asked again, and the journal can only be read meanwhile."""
    wanted = intent() if rail == "account" else BY_WALLET
    on_wire, let_go, posts = anyio.Event(), anyio.Event(), 0

    async def on_post() -> None:
        nonlocal posts
        posts += 1
        if posts == (1 if rail == "account" else 2):
            on_wire.set()
            await let_go.wait()

    zinc.on_post = on_post
    settings = {} if rail == "account" else WALLET
    async with open_test_process(clocks=replace(clocks, answer_seconds=0.3, wire_seconds=30.0), **settings) as process:
        sent = entry_of(await place(process, wanted))
        await on_wire.wait()
        disk.breaks("read-only")
        try:
            again: Answer | JournalError = await place(process, wanted)
        except JournalError as error:
            again = error
        disk.is_well()
        let_go.set()
    if isinstance(again, Answer):
        assert (entry_of(again).id, again.earlier) == (sent.id, True)
    else:
        assert (again.code, again.money_may_have_moved) == ("outcome_unknown", True)
        assert again.facts["key"] == sent.key
    assert len(zinc.orders) == 1


@pytest.mark.parametrize(("answered_after", "pays"), [(30, False), (5, True)])
async def test_a_yes_that_is_over_before_the_wallet_is_asked_pays_nothing(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clock: HandClock,
    home: Path,
    write_config: WriteConfig,
    answered_after: int,
    pays: bool,
) -> None:
    """Some process takes it over just in time, and the unpaid request is answered after it is over."""
    write_config('[policy]\napproval = "page"\n')
    async with open_test_process(**WALLET) as process:
        asked = entry_of(await place(process, BY_WALLET))
        admission = process.admission
    with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
        said = {"yes": True, "how": "page", "who": "local", "at": clock.now}
        over = {"until": clock.now + 600, "zinc_until": None}
        journal.approve(yes(asked).about, None, said, over, admission)
    clock.pass_seconds(590)

    async def on_post() -> None:
        if not zinc.posts[1:]:
            clock.pass_seconds(answered_after)

    zinc.on_post = on_post
    async with open_test_process(**WALLET) as process:
        with anyio.move_on_after(10):
            try:
                await send_all_approved(process)
            except RefusedError as refusal:
                assert refusal.code == "approval_expired"
            while process.attempts:
                await next(iter(process.attempts.values())).done.wait()
        looked = entry_of(await watch.look(process, "local", asked.key))
    assert (looked.state, looked.counts_cents) == (("accepted", 5100) if pays else ("refused", 0))
    assert len(zinc.settlements) == int(pays)


@pytest.mark.parametrize(("asks", "pays"), [(5300, False), (5101, False), (5100, True)])
async def test_a_402_may_ask_for_the_fee_that_was_shown_whatever_is_configured_by_then(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, write_config: WriteConfig, asks: int, pays: bool
) -> None:
    write_config('[policy]\napproval = "page"\nmax_order = 5100\n')
    async with open_test_process(**WALLET) as process:
        asked = entry_of(await place(process, BY_WALLET))
    zinc.quotes = [{"amount": str(asks)}]
    async with open_test_process(**WALLET, wallet_fees=(100, 300)) as process:
        try:
            state = entry_of(await decide(process, yes(asked))).state
        except RefusedError:
            state = "refused"
    assert state == ("accepted" if pays else "refused")
    assert len(zinc.settlements) == len(zinc.orders) == int(pays)
    assert sum(entry.counts_cents for entry in journal_of(home)[0]) == (5100 if pays else 0)


async def test_a_repeat_that_the_journal_stopped_leaves_the_doubt_of_the_first_request(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, home: Path
) -> None:
    """The first request had no answer and no call waited for it; a later call marks a repeat, and the journal fails."""
    zinc.script, zinc.listing = ["lose_after"], False
    marked = broken = False

    async def on_post() -> None:
        await anyio.sleep(0.5)  # longer than the call waits

    zinc.on_post = on_post

    def at(step: str) -> None:
        nonlocal marked, broken
        if step == "sending" and marked:
            renamed("zinc_payments", "elsewhere")
            broken = True
        marked |= step == "sending"

    def renamed(old: str, new: str) -> None:
        with closing(sqlite3.connect(home / "journal.db")) as database:
            database.execute(f"ALTER TABLE {old} RENAME TO {new}")

    async def well_again() -> None:
        """Let the payment be read again once that has failed, while the process still tries to write."""
        while not broken:
            await anyio.sleep(0.01)
        await anyio.sleep(0.3)
        renamed("elsewhere", "zinc_payments")

    quick = replace(clocks, answer_seconds=0.1)
    async with open_test_process(clocks=quick, checkpoint=at, **WALLET) as process:
        first = entry_of(await place(process, BY_WALLET))
        while process.attempts:
            await next(iter(process.attempts.values())).done.wait()
        doubted = entry_of(await watch.look(process, "local", first.key))
        assert (doubted.state, doubted.attempts) == ("unknown", 1)
    async with open_test_process(clocks=replace(clocks, answer_seconds=4.0), checkpoint=at, **WALLET) as process:
        told: Answer | JournalError | None = None
        async with anyio.create_task_group() as meanwhile:
            meanwhile.start_soon(well_again)
            try:
                told = await place(process, BY_WALLET)
            except JournalError as error:
                told = error
        looked = entry_of(await watch.look(process, "local", first.key))
        again = entry_of(await place(process, BY_WALLET))
    if isinstance(told, Answer):
        assert entry_of(told).state in ("unknown", "sending")
    else:
        assert told is not None and told.money_may_have_moved
    assert looked.state in ("unknown", "accepted", "sending")
    assert again.id == first.id
    assert len(zinc.orders) == 1
