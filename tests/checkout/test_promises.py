"""Each promise that one changed line could break without notice has a test here (see `bench/sabotages/by_tests.py`)."""

import sqlite3
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import sqlalchemy as sa
from conftest import HandClock, OpenProcess
from deciding import no, yes
from fake_zinc import FakeZinc
from journal.test_crash_consistency import Disk
from journal.test_crash_consistency import disk as disk  # a fixture
from journals import entry_of, journal_of
from payments.offers import offer, rfc3339, stripe_request
from sqlalchemy import event
from wanted import book, intent, order

from zinc_mcp.checkout import watch
from zinc_mcp.checkout.deciding.approved import send_all_approved
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.consent.approval import is_approved, question_of
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.pin import asked_pin
from zinc_mcp.process import Clocks

WriteConfig = Callable[[str], Path]
BY_WALLET = Intent("local", "agent", order())
PAYS = 'import json, sys; sys.stdin.read(); print(json.dumps({"payload": {"spt": "spt_1"}}))\n'
_BABBLES = 'import sys; sys.stdin.read(); print("paid, I think")\n'
_FAILS_LATE = 'import os, sys; sys.stdin.read(); print("{"); sys.stdout.flush(); os._exit(9)\n'


class KilledError(BaseException):
    """Ends a process at a step."""


@pytest.fixture
def by_program(
    zinc: FakeZinc, clock: HandClock, tmp_path: Path, write_config: WriteConfig
) -> Callable[[str], dict[str, Any]]:
    """Return the settings of a wallet that is a program, which may move money by itself, and have Zinc ask for it."""

    def configured(source: str) -> dict[str, Any]:
        write_config('[policy]\napproval = "none"\n')
        script = tmp_path / "wallet.py"
        script.write_text(source, encoding="utf-8")
        asked = offer("stripe", stripe_request(amount="5100"), expires=rfc3339(clock.now + 300))
        zinc.quotes = [httpx.Response(402, headers={"WWW-Authenticate": asked.to_www_authenticate()}, json={})] * 3
        return {"api_key": None, "wallet": "command", "wallet_command": f"{sys.executable} {script}"}

    return configured


def dies_at(step: str) -> Callable[[str], None]:
    def die(name: str) -> None:
        if name == step:
            raise KilledError

    return die


async def killed(open_test_process: OpenProcess, step: str, **settings: Any) -> None:
    with pytest.raises(BaseException):  # noqa: B017  # a group of one KilledError
        async with open_test_process(checkpoint=dies_at(step), **settings) as process:
            await place(process, BY_WALLET)


# A wallet that may have moved money


@pytest.mark.parametrize("step", ["asking", "leaving"])
async def test_a_payment_that_a_killed_process_asked_a_program_for_stays_in_doubt(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, by_program: Any, step: str
) -> None:
    settings = by_program(PAYS)
    await killed(open_test_process, step, **settings)
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        [entry] = journal.entries()
        payment = journal.payment(entry.id)
    assert payment is not None, "it is on disk before the wallet starts"
    assert payment.recovery["challenge_id"] == "ch_1"
    assert payment.credential is None
    clock.pass_seconds(500)
    async with open_test_process(**settings) as process:
        looked = entry_of(await watch.look(process, "local", entry.key))
        again = await place(process, BY_WALLET)
    assert (looked.state, looked.counts_cents) == ("unknown", 5100), "the program may have paid: nobody knows"
    assert entry_of(again).id == entry.id
    assert [request for request in zinc.posts if "authorization" in request.headers] == []


async def test_a_payment_that_a_killed_process_only_had_signed_was_not_paid(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    await killed(open_test_process, "leaving", api_key=None, wallet="sandbox")
    clock.pass_seconds(500)
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        looked = entry_of(await watch.look(process, "local", journal_of(home)[0][0].key))
    assert (looked.state, looked.counts_cents) == ("rejected", 0)


async def test_the_owners_word_that_nothing_was_bought_does_not_return_what_a_program_may_have_paid(
    open_test_process: OpenProcess, clock: HandClock, home: Path, by_program: Any
) -> None:
    settings = by_program(PAYS)
    await killed(open_test_process, "asking", **settings)
    clock.pass_seconds(500)
    async with open_test_process(**settings) as process:
        [entry] = journal_of(home)[0]
        assert entry_of(await watch.look(process, "local", entry.key)).state == "unknown"
    with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
        resolved = journal.resolve(entry.key, order_id=None, holder_ended=True)
    assert (resolved.state, resolved.authorised_cents, resolved.counts_cents) == ("rejected", 5100, 5100)


@pytest.mark.parametrize("source", [_BABBLES, _FAILS_LATE], ids=["no answer of ours", "it breaks off"])
async def test_money_that_an_unclear_program_may_have_released_counts(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, by_program: Any, source: str
) -> None:
    async with open_test_process(**by_program(source)) as process:
        entry = entry_of(await place(process, BY_WALLET))
        assert (entry.state, entry.authorised_cents, entry.counts_cents) == ("unknown", 5100, 5100)
        clock.pass_seconds(10 * 86_400)
        assert entry_of(await watch.look(process, "local", entry.key)).authorised_cents == 5100


@pytest.mark.parametrize(("program", "state", "counts"), [(True, "unknown", 5100), (False, "refused", 0)])
async def test_a_process_overtaken_after_its_wallet_answered_frees_only_unmoved_money(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, by_program: Any, program: bool, state: str, counts: int
) -> None:
    settings = by_program(PAYS) if program else {"api_key": None, "wallet": "sandbox"}

    def overtaken(step: str) -> None:
        if step == "signed":
            with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
                [entry] = journal.entries()
                journal.move(entry, "unknown", "the sending process did not come back", **FREE)

    async with open_test_process(checkpoint=overtaken, **settings) as process:
        await place(process, BY_WALLET)
    [entry], _ = journal_of(home)
    assert (entry.state, entry.counts_cents) == (state, counts)


@pytest.mark.parametrize("meanwhile", ["sent again", "resolved as bought"])
async def test_a_process_overtaken_before_it_sent_ends_nothing_that_came_meanwhile(
    open_test_process: OpenProcess, home: Path, meanwhile: str
) -> None:
    def overtaken(step: str) -> None:
        if step == "signed":
            with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
                [entry] = journal.entries()
                attempts = 2 if meanwhile == "sent again" else 1
                journal.move(entry, "unknown", "taken over", attempts=attempts, **FREE)
                if meanwhile == "resolved as bought":
                    journal.resolve(entry.key, order_id="order-1", holder_ended=True)

    async with open_test_process(checkpoint=overtaken, api_key=None, wallet="sandbox") as process:
        await place(process, BY_WALLET)
    [entry], _ = journal_of(home)
    assert (entry.state, entry.counts_cents) == ("unknown" if meanwhile == "sent again" else "accepted", 5100)


# Sent, and written down


@pytest.mark.parametrize("wallet", [None, "sandbox"], ids=["from the account", "by wallet"])
async def test_an_answer_that_a_busy_disk_did_not_take_at_once_is_written_and_told(
    open_test_process: OpenProcess, zinc: FakeZinc, disk: Disk, home: Path, wallet: str | None
) -> None:
    async with anyio.create_task_group() as tasks:

        async def mended() -> None:
            await anyio.sleep(0.1)
            disk.is_well()

        def at(step: str) -> None:
            if step == "answered":
                disk.breaks("failing")
                tasks.start_soon(mended)

        async with open_test_process(wallet=wallet, checkpoint=at) as process:
            answer = await place(process, BY_WALLET if wallet else intent())
            assert entry_of(answer).state == "accepted", "a doubt that ended after a moment is not told"
            assert entry_of(answer).order_id in zinc.orders


async def test_a_credential_that_a_busy_disk_did_not_take_at_once_is_written_and_sent(
    open_test_process: OpenProcess, zinc: FakeZinc, disk: Disk
) -> None:
    async with anyio.create_task_group() as tasks:

        async def mended() -> None:
            await anyio.sleep(0.1)
            disk.is_well()

        def at(step: str) -> None:
            if step == "signed":
                disk.breaks("failing")
                tasks.start_soon(mended)

        async with open_test_process(api_key=None, wallet="sandbox", checkpoint=at) as process:
            assert entry_of(await place(process, BY_WALLET)).state == "accepted"
    assert len(zinc.settlements) == 1


@pytest.mark.sampled(4)
@pytest.mark.parametrize("lagging", ["pending", "in_progress", "a_word_of_tomorrow"])
@pytest.mark.parametrize("ending", ["order_placed", "order_failed", "cancelled"])
async def test_a_read_that_lags_behind_undoes_no_ending(
    open_test_process: OpenProcess, zinc: FakeZinc, ending: str, lagging: str
) -> None:
    async with open_test_process() as process:
        entry = entry_of(await place(process, intent()))
        if ending == "order_placed":
            zinc.settle(str(entry.order_id), 3000)
        else:
            zinc.advance(str(entry.order_id), ending)
        ended = entry_of(await watch.look(process, "local", entry.key))
        zinc.advance(str(entry.order_id), lagging, job_result=None)
        late = entry_of(await watch.look(process, "local", entry.key))
    assert ended.state != "accepted"
    assert (late.state, late.counts_cents) == (ended.state, ended.counts_cents)


@pytest.fixture
def connections() -> Generator[list[sqlite3.Connection]]:
    """Collect the connections that journals open."""
    found: list[sqlite3.Connection] = []

    def connected(connection: sqlite3.Connection, _record: object) -> None:
        found.append(connection)

    event.listen(sa.Engine, "connect", connected)
    yield found
    event.remove(sa.Engine, "connect", connected)


async def test_a_commit_is_on_the_disk_before_it_returns(
    open_test_process: OpenProcess, zinc: FakeZinc, connections: list[sqlite3.Connection]
) -> None:
    async with open_test_process() as process:
        await place(process, intent())
        assert connections
        for connection in connections:
            names = ("synchronous", "fullfsync", "journal_mode")
            how = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
            # SQLite, "PRAGMA synchronous": 2 is FULL, which in WAL mode syncs after each transaction. Without
            # fullfsync a Mac's disk may keep what was synced in its own memory.
            assert how == [2, 1, "wal"]


# The call has ended, or the host has cancelled it


@pytest.mark.parametrize("step", ["hang", "lose_before"])
async def test_bytes_do_not_go_again_for_a_call_that_nobody_waits_for(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, step: str
) -> None:
    zinc.listing = False
    zinc.script = [step]
    slow = Clocks(
        answer_seconds=0.2,
        wire_seconds=0.6,
        refresh_seconds=0.2,
        poll_seconds=0.05,
        peek_seconds=0.05,
        sweep_seconds=3600.0,
    )

    async def late() -> None:
        await anyio.sleep(0.4)

    zinc.on_post = late if step == "lose_before" else None
    async with open_test_process(clocks=slow) as process:
        await asked_pin(process.journal, "local")  # the journal is open
        assert entry_of(await place(process, intent())).state == "sending"
    [entry], _ = journal_of(home)
    assert (entry.state, entry.attempts, len(zinc.posts)) == ("unknown", 1, 1)


async def test_a_host_that_cancels_between_opening_and_sending_has_one_order_and_a_journal_that_says_so(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    call = anyio.CancelScope()

    def gone(step: str) -> None:
        if step == "opened":
            call.cancel()

    async with open_test_process(api_key=None, wallet="sandbox", checkpoint=gone) as process:
        with call:
            await place(process, BY_WALLET)
        assert call.cancelled_caught
    [entry], _ = journal_of(home)
    assert (entry.state, len(zinc.orders)) == ("accepted", 1), "what was opened is sent, and nothing is left lying"


@pytest.mark.parametrize("step", ["the look-up", "the question"])
async def test_a_host_that_cancels_before_the_question_is_asked_leaves_no_entry_that_holds_money(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, step: str
) -> None:
    call = anyio.CancelScope()

    async def looked_up(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/products/"):
            call.cancel()
            await anyio.sleep(0.1 if step == "the question" else 60)
        return await answered(request)

    answered = zinc._handle  # pyright: ignore[reportPrivateUsage]  # the fake's, not ours
    zinc._handle = looked_up  # type: ignore[method-assign]  # pyright: ignore[reportPrivateUsage]
    async with open_test_process(api_key="zn_live_planted") as process:
        with call:
            await place(process, intent())
        assert call.cancelled_caught
        orders = [entry for entry in journal_of(home)[0] if entry.kind == "order"]
        assert [(entry.state, entry.counts_cents) for entry in orders] == [("refused", 0)]
    assert zinc.posts == []


# A yes


async def yes_without_a_way_to_pay(open_test_process: OpenProcess, clock: HandClock, after: float) -> Entry:
    async with open_test_process() as process:
        waiting = entry_of(await place(process, intent()))
    clock.pass_seconds(after)
    async with open_test_process(api_key=None) as terminal:
        approved = entry_of(await decide(terminal, yes(waiting, how="terminal")))
    assert is_approved(approved)
    return approved


@pytest.mark.parametrize(("asked", "waited", "orders"), [(590, 590, 1), (10, 595, 1), (590, 601, 0), (10, 601, 0)])
async def test_a_yes_waits_ten_minutes_for_a_process_that_can_send_however_late_it_came(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clock: HandClock,
    write_config: WriteConfig,
    asked: float,
    waited: float,
    orders: int,
) -> None:
    write_config('[policy]\napproval = "auto"\n')
    await yes_without_a_way_to_pay(open_test_process, clock, asked)
    clock.pass_seconds(waited)
    async with open_test_process() as process:
        await send_all_approved(process)
    assert len(zinc.orders) == orders


@pytest.mark.parametrize(
    "other",
    [{"products": book(3)}, {"max_price": 4999}, {"products": [{"url": "https://www.amazon.com/dp/B07JGBW826"}] * 2}],
    ids=["other goods", "another price", "two of it"],
)
async def test_another_order_under_the_key_of_a_question_is_refused_and_the_question_stands(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig, other: dict[str, Any]
) -> None:
    write_config('[policy]\napproval = "auto"\n')
    async with open_test_process() as process:
        waiting = entry_of(await place(process, intent(idempotency_key="mine")))
        with pytest.raises(RefusedError) as refused:
            await place(process, intent(idempotency_key="mine", **other))
        again = await place(process, intent(idempotency_key="mine"))
        assert refused.value.code == "key_conflict"
        assert question_of(entry_of(again)) == question_of(waiting)
        assert entry_of(await decide(process, yes(waiting))).state == "accepted"
    [body] = zinc.bodies()
    assert (body["max_price"], body["products"]) == (5000, [{"url": "https://www.amazon.com/dp/B07JGBW826"}])


async def test_a_key_whose_question_was_answered_with_no_may_be_used_again_and_takes_no_old_yes(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "auto"\n')
    async with open_test_process() as process:
        first = entry_of(await place(process, intent(idempotency_key="mine")))
        await decide(process, no(first))
        second = entry_of(await place(process, intent(idempotency_key="mine")))
        with pytest.raises(RefusedError) as refused:
            await decide(process, yes(first))
    assert second.id != first.id
    assert refused.value.code == "question_closed"
    assert zinc.posts == []


# Whose order it is


def without_metadata(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def shown(placed: dict[str, Any]) -> dict[str, Any]:
        return {**placed, "metadata": {}, **changes}

    return shown


@pytest.mark.parametrize(
    "changes",
    [
        {"max_price": 4999},
        {"max_price": 5001},
        {"items": [{"id": "i", "url": "https://www.amazon.com/dp/B07JGBW826", "quantity": 2, "status": "pending"}]},
        {"items": [{"id": "i", "url": "https://www.amazon.com/dp/B000000009", "quantity": 1, "status": "pending"}]},
    ],
    ids=["a lower price", "a higher price", "another quantity", "another product"],
)
async def test_an_answer_that_shows_no_key_is_ours_only_at_our_price_and_with_our_lines(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, changes: dict[str, Any]
) -> None:
    zinc.listing = False
    zinc.shown_when_placed = without_metadata(**changes)
    async with open_test_process() as process:
        await place(process, intent())
    [entry], _ = journal_of(home)
    assert (entry.state, entry.order_id) == ("unknown", None)
    zinc.shown_when_placed = without_metadata()
    async with open_test_process() as process:
        assert entry_of(await place(process, intent(products=book(4)))).state == "accepted"


async def test_an_outside_reader_of_the_file_sees_every_committed_entry(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clocks: Clocks
) -> None:
    """An outside reader sees a reservation while its order is open. The campaign's judge relies on this."""
    zinc.script = ["slow"]
    seen: list[tuple[str, int, int]] = []

    async def look() -> None:
        with closing(sqlite3.connect(home / "journal.db")) as database:
            seen.extend(database.execute("SELECT state, counts_cents, reserved_cents FROM zinc_entries"))

    zinc.on_post = look
    async with open_test_process(clocks=replace(clocks, answer_seconds=2.0)) as process:
        await place(process, intent())
    assert seen == [("sending", 5100, 5100)]
