"""One order stays one order when processes stop, journals fail, time passes or answers come late."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from checkout.test_promises import PAYS
from checkout.test_promises import by_program as by_program  # a fixture
from conftest import HandClock, OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from journals import entry_of, journal_of
from wanted import intent, order

from zinc_mcp.checkout import watch
from zinc_mcp.checkout.deciding.approved import send_all_approved
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.errors import RefusedError, ZincMcpError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.process import Clocks, Process

WriteConfig = Callable[[str], Path]
BY_WALLET = Intent("local", "agent", order())


async def test_a_process_that_stood_still_writes_no_doubt_over_another_process_s_request(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, clock: HandClock
) -> None:
    """A stops in its request, B sends the same bytes again, and A continues unanswered while B waits for Zinc."""
    quick = replace(clocks, answer_seconds=1.0, wire_seconds=60.0)
    zinc.listing = False
    posts = 0
    b_is_on_the_wire, let_b_go_on = anyio.Event(), anyio.Event()
    told: dict[str, str] = {}

    async with (
        open_test_process(clocks=quick) as a,
        open_test_process(clocks=quick) as b,
        open_test_process(clocks=quick) as c,
        anyio.create_task_group() as tasks,
    ):

        async def order_by(process: Process, name: str) -> None:
            told[name] = entry_of(await place(process, intent())).state

        async def on_post() -> None:
            nonlocal posts
            posts += 1
            if posts == 1:
                clock.pass_seconds(80)
                tasks.start_soon(order_by, b, "b")
                await b_is_on_the_wire.wait()
                raise httpx.ReadError("lost")
            if posts == 2:
                b_is_on_the_wire.set()
                await let_b_go_on.wait()

        zinc.on_post = on_post
        await order_by(a, "a")
        held = entry_of(await place(c, intent()))
        assert (held.state, held.attempts, held.lease_owner, held.sender is None) == ("sending", 2, b.owner, False)
        assert posts == 2, "nobody sends a third time while it is on the wire"
        let_b_go_on.set()
    assert told["a"] == "sending"
    assert len(zinc.orders) == 1


@pytest.mark.parametrize("program", [True, False], ids=["program", "practice"])
@pytest.mark.parametrize("why", ["paused", "no connection"])
async def test_an_unsent_payment_that_a_program_was_asked_for_stays_in_doubt(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, by_program: Any, why: str, program: bool
) -> None:
    settings = by_program(PAYS) if program else {"api_key": None, "wallet": "sandbox"}
    if why == "no connection":
        zinc.script = ["refuse", "refuse"]

    def at(step: str) -> None:
        if step == "signed" and why == "paused":
            with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
                journal.pause("the owner looks into it")

    async with open_test_process(checkpoint=at, **settings) as process:
        try:
            told: str = entry_of(await place(process, BY_WALLET)).state
        except ZincMcpError as error:
            told = error.code
        [entry] = journal_of(home)[0]
        looked = entry_of(await watch.look(process, "local", entry.key))
    if program:
        assert told == "unknown"
        assert (looked.state, looked.authorised_cents, looked.counts_cents) == ("unknown", 5100, 5100)
    else:
        assert told in ("paused", "zinc_unreachable")
        assert (looked.state, looked.counts_cents) == ("refused", 0)


@pytest.mark.parametrize("owner_says_no", [True, False], ids=["resolved as not bought", "the list lags"])
async def test_an_order_that_zinc_shows_by_its_id_is_known_in_any_earlier_state(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clocks: Clocks, *, owner_says_no: bool
) -> None:
    zinc.script, zinc.listing = ["lose_after", "lose_before"], False
    async with open_test_process(clocks=replace(clocks, answer_seconds=0.8)) as process:
        doubted = entry_of(await place(process, intent()))
        assert doubted.state == "unknown"
        if owner_says_no:
            with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
                assert journal.resolve(doubted.key, order_id=None, holder_ended=True).state == "rejected"
        [order_id] = zinc.orders
        zinc.settle(order_id, 3000)
        answer = await watch.look(process, "local", order_id)
        entry = entry_of(answer)
        assert (entry.state, entry.order_id, entry.problem, entry.counts_cents) == ("placed", order_id, None, 3100)
        assert answer.order is not None and answer.order.id == order_id
        assert (await place(process, intent())).earlier, "it stands again"
    assert len(zinc.orders) == 1


async def test_an_order_under_our_key_with_other_goods_changes_nothing_of_ours(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    zinc.script, zinc.listing = ["lose_after", "lose_before"], False
    async with open_test_process(clocks=replace(clocks, answer_seconds=0.8)) as process:
        doubted = entry_of(await place(process, intent()))
        [order_id] = zinc.orders
        zinc.orders[order_id]["max_price"] = 9000
        answer = await watch.look(process, "local", order_id)
        assert (answer.entry, answer.order is not None) == (None, True), "it is told as an order placed elsewhere"
        assert entry_of(await watch.look(process, "local", doubted.key)).state == "unknown"


TOO_LATE = "It was approved, and no process that can send it came in time, so nothing was sent."


@pytest.mark.parametrize(
    ("rail", "step"),
    [("account", "approved"), ("account", "sending"), *(("agent", step) for step in ("approved", "signing", "asking"))],
)
async def test_a_yes_is_not_used_long_after_its_time(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clock: HandClock,
    home: Path,
    write_config: WriteConfig,
    rail: str,
    step: str,
) -> None:
    """The yes is written to the journal, and then the machine sleeps for hours."""
    write_config('[policy]\napproval = "page"\n')

    def at(passed: str) -> None:
        if passed == step:
            clock.pass_seconds(6 * 3600)

    by = {"api_key": None, "wallet": "sandbox"} if rail == "agent" else {}
    async with open_test_process(checkpoint=at, **by) as process:
        asked = entry_of(await place(process, intent() if rail == "account" else BY_WALLET))
        with pytest.raises(RefusedError) as refused:
            await decide(process, yes(asked))
        assert (refused.value.code, refused.value.summary) == ("approval_expired", TOO_LATE)
        ended = entry_of(await watch.look(process, "local", asked.key))
    assert (ended.state, ended.counts_cents) == ("refused", 0)
    assert (zinc.orders, zinc.settlements) == ({}, [])


@pytest.mark.parametrize("by", ["look", "sweep", "a call again"])
async def test_an_order_that_was_approved_and_not_sent_in_time_is_told_as_that(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, write_config: WriteConfig, by: str
) -> None:
    write_config('[policy]\napproval = "page"\n')
    async with open_test_process() as process:
        asked = entry_of(await place(process, intent()))
    async with open_test_process(api_key=None, wallet="sandbox") as terminal:  # which has no way to send it
        approved = entry_of(await decide(terminal, yes(asked, how="terminal"), wait_seconds=0.1))
        assert approved.state == "waiting"
    clock.pass_seconds(700)
    async with open_test_process() as process:
        if by == "sweep":
            await send_all_approved(process)
        if by == "a call again":
            assert entry_of(await place(process, intent())).id != asked.id
        ended = entry_of(await watch.look(process, "local", asked.key))
    assert (ended.state, (ended.problem or {})["summary"]) == ("refused", TOO_LATE)
    events = [event.what for event in journal_of(home)[1] if event.entry_id == asked.id]
    assert events[-1] == "approved, and not sent in time"
    assert zinc.orders == {}


@pytest.mark.parametrize("purged", [False, True], ids=["kept", "purged"])
@pytest.mark.parametrize("how", ["in doubt", "failed later"])
async def test_an_order_from_before_the_rules_of_sameness_changed_is_still_ours(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clocks: Clocks, how: str, *, purged: bool
) -> None:
    """The journal's digests are renewed; the digest that was sent to Zinc is not."""
    if how == "in doubt":
        zinc.script, zinc.listing = ["lose_after", "lose_before"], False
    async with open_test_process(clocks=replace(clocks, answer_seconds=0.8)) as process:
        entry = entry_of(await place(process, intent()))
    [sent] = zinc.orders.values()
    older = {**sent["metadata"], "zinc_mcp_twin": "0" * 40}
    body = json.loads(zinc.posts[0].content) | {"metadata": older}
    sent["metadata"] = older
    with closing(sqlite3.connect(home / "journal.db")) as database, database:
        gone = purged and how == "failed later"  # one in doubt is never purged
        kept = None if gone else json.dumps(body).encode()
        database.execute("UPDATE zinc_entries SET twin = ?, body = ?", ("0" * 40, kept))
        database.execute("UPDATE zinc_meta SET value = '5' WHERE name = 'schema'")
        database.execute("DROP INDEX zinc_entries_listed")
        database.execute("DROP INDEX zinc_entries_forgettable")
    zinc.listing = True
    zinc.advance(sent["id"], "order_failed")
    async with open_test_process() as process:
        looked = await watch.look(process, "local", entry.key)
    assert (entry_of(looked).state, entry_of(looked).counts_cents, looked.unasked) == ("failed", 0, None)
    assert gone or entry_of(looked).twin == entry.twin, "it was renewed"


async def test_a_lost_journal_and_a_call_that_came_to_nothing_buy_nothing_twice(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process:
        bought = entry_of(await place(process, intent()))
    for file in home.glob("journal.db*"):
        file.unlink()
    zinc.lists, zinc.script = [httpx.Response(500)], ["refuse"]
    async with open_test_process() as process:
        with pytest.raises(ZincMcpError):
            await place(process, intent())
        again = await place(process, intent())
    assert (again.earlier, entry_of(again).order_id) == (True, bought.order_id)
    assert len(zinc.orders) == 1


async def test_a_repeat_that_is_paused_by_then_says_so(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.script = ["lose_before"] * 2
    paused = False

    async with open_test_process() as process:
        doubted = entry_of(await place(process, intent()))

        class Pausing(list[httpx.Response | Exception]):
            """The next answers of Zinc's list; the owner pauses ordering while one is read."""

            def pop(self, index: Any = -1) -> httpx.Response | Exception:
                nonlocal paused
                paused = True
                with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
                    journal.pause("the owner looks into it")
                return super().pop(index)

        zinc.lists = Pausing([httpx.Response(200, json={"orders": []})])
        answer = await place(process, intent())
    assert paused
    assert (entry_of(answer).id, answer.earlier) == (doubted.id, True)
    assert answer.refusal is not None and answer.refusal.code == "paused"
    assert len(zinc.posts) == 2


async def test_a_yes_is_refused_at_once_where_its_callers_orders_on_that_rail_are_paused(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "page"\n')
    async with open_test_process() as process:
        asked = entry_of(await place(process, intent()))
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.pause("Zinc charged more", asked)
    async with open_test_process(api_key=None, wallet="sandbox") as terminal:  # which has no way to send it
        with pytest.raises(RefusedError) as refused:
            await decide(terminal, yes(asked, how="terminal"))
    assert refused.value.code == "paused"


@pytest.mark.parametrize("wallet", [False, True])
async def test_an_order_that_was_marked_and_not_sent_for_hours_is_not_sent(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, wallet: bool
) -> None:
    slept = False

    def sleeping(step: str) -> None:
        nonlocal slept
        if step == "sending" and not slept:
            slept = True
            clock.pass_seconds(6 * 3600)

    settings: dict[str, Any] = {"api_key": None, "wallet": "sandbox"} if wallet else {}
    async with open_test_process(checkpoint=sleeping, **settings) as process:
        with pytest.raises(RefusedError, match="stood still for a long time"):
            await place(process, BY_WALLET if wallet else intent())
        [entry] = journal_of(home)[0]
        assert (entry.state, entry.counts_cents, zinc.orders) == ("refused", 0, {})
        again = entry_of(await place(process, BY_WALLET if wallet else intent()))
    assert again.state == "accepted"
    assert len(zinc.orders) == 1
