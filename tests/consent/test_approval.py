"""A person's yes is asked for when it is due, and it is used once and in time."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from conftest import HandClock, OpenProcess, as_json
from deciding import no, yes
from fake_zinc import FakeZinc
from journals import entry_of, journal_of
from wanted import BOOK, book, intent

from zinc_mcp.checkout.deciding import decide as decisions
from zinc_mcp.checkout.deciding.approved import send_all_approved
from zinc_mcp.checkout.deciding.decide import await_decision
from zinc_mcp.checkout.place_order import place
from zinc_mcp.checkout.watch import look
from zinc_mcp.consent.approval import asked_question, question_of
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.decision import Decision
from zinc_mcp.owner.pin import hashed
from zinc_mcp.process import Answer, Clocks

WriteConfig = Callable[[str], Path]


@pytest.fixture(autouse=True)
def ask_always(write_config: WriteConfig) -> None:
    write_config('[policy]\napproval = "auto"\n')


async def test_nothing_is_sent_before_the_yes_and_one_order_after_it(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process:
        waiting = entry_of(await place(process, intent()))
        assert waiting.state == "waiting"
        assert waiting.counts_cents == 5100, "the money is reserved while the question stands"
        assert zinc.posts == []
        answer = await decisions.decide(process, yes(waiting))
    assert entry_of(answer).state == "accepted"
    assert len(zinc.orders) == 1
    assert entry_of(answer).consent is not None


async def test_a_live_key_asks_by_default(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig
) -> None:
    write_config("")
    async with open_test_process(api_key="zn_live_planted") as process:
        assert question_of(entry_of(await place(process, intent()))) is not None
    assert zinc.posts == []


async def test_a_no_sends_nothing_and_gives_the_reservation_back(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process:
        waiting = entry_of(await place(process, intent()))
        declined = entry_of(await decisions.decide(process, no(waiting)))
        with pytest.raises(RefusedError) as refused:
            await decisions.decide(process, yes(waiting))
    assert (declined.state, declined.counts_cents) == ("declined", 0)
    assert refused.value.code == "question_closed", "an answer is used once"
    assert zinc.posts == []


async def test_many_answers_at_once_are_one_order(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.script = ["slow"]
    async with open_test_process() as process, open_test_process() as other:
        waiting = entry_of(await place(process, intent()))

        async def decide(where: Any) -> None:
            with suppress(RefusedError):
                await decisions.decide(where, yes(waiting))

        async with anyio.create_task_group() as tasks:
            for where in (process, other, process, other, process):
                tasks.start_soon(decide, where)
    assert len(zinc.posts) == 1


async def test_a_page_and_a_terminal_that_disagree_are_one_decision(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process, open_test_process() as other:
        waiting = entry_of(await place(process, intent()))

        async def decide(where: Any, decision: Decision) -> None:
            with suppress(RefusedError):
                await decisions.decide(where, decision)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(decide, process, yes(waiting))
            tasks.start_soon(decide, other, no(waiting))
    [entry] = journal_of(home)[0]
    assert (entry.state == "accepted", len(zinc.orders)) in ((True, 1), (False, 0))


async def test_an_answer_after_ten_minutes_buys_nothing_and_frees_the_money(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    async with open_test_process() as process:
        waiting = entry_of(await place(process, intent()))
        clock.pass_seconds(601)
        with pytest.raises(RefusedError) as refused:
            await decisions.decide(process, yes(waiting))
        anew = entry_of(await place(process, intent()))
    assert refused.value.code == "approval_expired"
    assert anew.key != waiting.key
    assert zinc.posts == []
    assert [(entry.state, entry.counts_cents) for entry in journal_of(home)[0]] == [("waiting", 5100), ("refused", 0)]


async def test_an_answer_after_a_pause_buys_nothing(open_test_process: OpenProcess, zinc: FakeZinc, home: Path) -> None:
    async with open_test_process() as process:
        waiting = entry_of(await place(process, intent()))
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.pause("stop")
        with pytest.raises(RefusedError) as refused:
            await decisions.decide(process, yes(waiting))
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.resume()
        with pytest.raises(RefusedError) as later:
            await decisions.decide(process, yes(waiting))
    assert refused.value.code == "paused"
    assert later.value.code == "question_closed"
    assert zinc.posts == []


async def test_an_answer_after_the_policy_was_tightened_buys_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig
) -> None:
    async with open_test_process() as process:
        waiting = entry_of(await place(process, intent()))
        write_config('[policy]\napproval = "auto"\nmax_order = 1000\n')
        with pytest.raises(RefusedError) as refused:
            await decisions.decide(process, yes(waiting))
    assert refused.value.code == "limit_exceeded"
    assert zinc.posts == []


async def test_a_yes_to_what_an_older_version_took_and_this_one_refuses_buys_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process:
        waiting = entry_of(await place(process, intent()))
        assert waiting.body is not None
        older = waiting.body.replace(b"/dp/B07JGBW826", b"/dp/B07JGBW826/../B0OTHER000")
        with closing(sqlite3.connect(home / "journal.db")) as database, database:
            database.execute("UPDATE zinc_entries SET body = ? WHERE key = ?", (older, waiting.key))
        with pytest.raises(RefusedError) as refused:
            await decisions.decide(process, yes(waiting))
    assert refused.value.code == "not_allowed"
    assert zinc.posts == []
    assert [(entry.state, entry.counts_cents) for entry in journal_of(home)[0]] == [("refused", 0)]


async def test_the_same_call_again_meets_the_same_question(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process:
        first = entry_of(await place(process, intent()))
        again = await place(process, intent(max_price=9000))
    assert again.earlier
    assert question_of(entry_of(again)) == question_of(first)
    assert entry_of(again).ceiling_cents == 5000, "what was asked about is what is bought"


async def test_the_question_names_what_where_and_the_most_it_may_cost(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.products["B07JGBW826"] = {"status": "completed", "title": "A book\u202e about \x1b[31mfish", "price": 1499}
    wanted = intent(
        products=[{"url": BOOK, "quantity": 2, "variant": [{"label": "Color", "value": "Red"}]}],
        is_gift=True,
        gift_message="Enjoy!",
        metadata={"note": "x"},
    )
    async with open_test_process(api_key="zn_live_planted") as process:
        question = asked_question(entry_of(await place(process, wanted)))
    assert question is not None
    text = question.text()
    for part in (
        "amazon.com for at most $51.00",
        f"2 of product B07JGBW826 at amazon.com\n  {BOOK}\n",
        "Zinc says: titled “A book about fish”, listed at $14.99 each",
        "With “Color”: “Red”",
        "12 Planted Street",
        "Gift message: “Enjoy!”",
        "Note “note”: “x”",
        "from the Zinc balance",
        "plus at most $1.00 for Zinc",
        "$448.99 in 24 hours",  # the look-up is spending too
        "cost $0.01",
    ):
        assert part in text, part
    assert question.look_up_cents == 1


async def test_a_look_up_that_fails_or_hangs_does_not_stop_the_question(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.products["B07JGBW826"] = httpx.Response(500)
    async with open_test_process() as process:
        question = asked_question(entry_of(await place(process, intent())))
    assert question is not None
    assert question.lines[0].title is None


async def test_below_the_threshold_nobody_is_asked(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "auto"\napprove_above = 5100\n')
    async with open_test_process() as process:
        small = entry_of(await place(process, intent()))
        large = entry_of(await place(process, intent(products=book(2), max_price=5001)))
    assert (small.state, large.state) == ("accepted", "waiting")


async def test_a_second_purchase_is_asked_about_by_name(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "auto"\napprove_above = 9000\n')
    async with open_test_process() as process:
        first = entry_of(await place(process, intent()))
        clock.pass_seconds(3 * 3600)
        second = await place(process, intent(max_price=6000))
        question = asked_question(entry_of(second))
        assert question is not None, "even below the threshold"
        assert "3 hours ago" in str(question.twin)
        answer = await decisions.decide(process, yes(entry_of(second)))
    assert not second.earlier
    assert entry_of(answer).key != first.key
    assert len(zinc.orders) == 2


async def test_an_approval_by_a_process_without_the_rail_is_sent_once_by_one_that_has_it(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process(api_key=None) as terminal, open_test_process() as server:
        waiting = entry_of(await place(server, intent()))
        approved = entry_of(await decisions.decide(terminal, yes(waiting)))
        assert approved.state == "waiting"
        assert zinc.posts == []
        await send_all_approved(server)
        answer = await look(server, "local", waiting.key, wait_seconds=2)
        while entry_of(answer).state == "sending":
            answer = await look(server, "local", waiting.key, wait_seconds=2)
    assert entry_of(answer).state == "accepted"
    assert len(zinc.orders) == 1


async def test_the_call_that_asked_sees_a_decision_made_elsewhere(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    answers: list[Answer] = []
    async with open_test_process() as server, open_test_process(api_key=None) as terminal:
        waiting = entry_of(await place(server, intent()))

        async def wait() -> None:
            answers.append(await await_decision(server, waiting, earlier=False, deadline=time.monotonic() + 5))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(0.1)
            await decisions.decide(terminal, yes(waiting))
    assert entry_of(answers[0]).state == "accepted"
    assert len(zinc.orders) == 1


async def test_a_yes_that_no_process_could_send_in_time_ends(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    async with open_test_process() as server:
        waiting = entry_of(await place(server, intent()))
    async with open_test_process(api_key=None) as terminal:
        await decisions.decide(terminal, yes(waiting))
    clock.pass_seconds(601)
    async with open_test_process() as server:
        await send_all_approved(server)
        assert entry_of(await look(server, "local", waiting.key)).state == "refused"
    assert zinc.posts == []


async def test_with_a_pin_a_yes_needs_it_and_a_no_does_not(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process:
        bought = entry_of(await place(process, intent()))
        unwanted = entry_of(await place(process, intent(products=book(2))))
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.set_pin(hashed("2468"))
        for wrong in (None, "", "2469"):
            with pytest.raises(RefusedError) as refused:
                await decisions.decide(process, yes(bought, pin=wrong))
            assert refused.value.code == "approval_required"
        assert zinc.posts == []
        assert entry_of(await decisions.decide(process, yes(bought, pin="2468"))).state == "accepted"
        assert entry_of(await decisions.decide(process, no(unwanted))).state == "declined"
    assert len(zinc.orders) == 1
    assert "2468" not in as_json([str(row) for rows in journal_of(home) for row in rows])


async def test_of_many_wrong_pins_at_once_in_two_processes_four_are_looked_at_and_the_question_stands(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    told: list[str] = []
    async with open_test_process() as process, open_test_process() as other:
        waiting = entry_of(await place(process, intent()))
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.set_pin(hashed("2468"))

        async def guess(where: Any, number: int) -> None:
            with pytest.raises(RefusedError) as refused:
                await decisions.decide(where, yes(waiting, pin=f"{number:04}"))
            assert refused.value.code == "approval_required"
            told.append(refused.value.summary)

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(guess, (process, other)[number % 2], number)
        assert sum(each.startswith("That was not the PIN.") for each in told) == 4
        clock.pass_seconds(61)
        assert entry_of(await decisions.decide(process, yes(waiting, pin="2468"))).state == "accepted"
    assert len(zinc.posts) == 1


async def test_while_people_decide_an_approval_made_elsewhere_is_sent_within_moments(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    async with (
        open_test_process(clocks=replace(clocks, heed_seconds=0.05)) as server,
        open_test_process(api_key=None) as terminal,
    ):
        waiting = entry_of(await place(server, intent()))
        await decisions.decide(terminal, yes(waiting))
        with anyio.fail_after(15):
            while not zinc.orders:
                await anyio.sleep(0.02)
    assert len(zinc.posts) == 1


async def test_a_purge_forgets_the_question_and_keeps_the_decider(open_test_process: OpenProcess, home: Path) -> None:
    async with open_test_process() as process:
        waiting = entry_of(await place(process, intent()))
        await decisions.decide(process, no(waiting))
    with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=lambda: 2e9) as journal:
        assert journal.purge(0) == 1
        [entry] = journal.entries()
    assert "Planted" not in as_json([str(entry), entry.consent, entry.facts])
    assert (entry.consent or {})["decision"]["how"] == "terminal"


async def test_limits_of_the_month_and_of_the_number_of_orders_are_told(
    open_test_process: OpenProcess, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "auto"\nmax_month = 60000\nmax_orders_day = 2\n')
    async with open_test_process() as process:
        question = asked_question(entry_of(await place(process, intent())))
    assert question is not None
    assert list(question.limits_left) == ["$449.00 in 24 hours", "$549.00 in 30 days", "1 more order in 24 hours"]


async def test_only_the_caller_can_be_answered_for(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process:
        waiting = entry_of(await place(process, intent("ada")))
        with pytest.raises(RefusedError) as refused:
            await decisions.decide(process, yes(waiting), caller="bob")
    assert refused.value.code == "question_closed"
    assert zinc.posts == []


async def test_a_question_about_a_saved_address_shows_name_city_and_country_only(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    wanted = intent()
    async with open_test_process() as process:
        answer = await place(process, type(wanted)("local", "account", wanted.order, saved_as="home"))
        question = asked_question(entry_of(answer))
    assert question is not None
    assert (question.saved_as, question.ship_to) == ("home", ["Ada Buyer", "New York", "US"])
    assert "your saved address “home”: Ada Buyer, New York, US" in question.text()
    assert "Planted" not in question.text()


@pytest.mark.parametrize(("asks", "found"), [(True, ("waiting", 0)), (False, ("sending", 1))])
async def test_only_an_order_that_nobody_is_asked_about_is_marked_for_sending_as_it_is_opened(
    open_test_process: OpenProcess, home: Path, write_config: WriteConfig, asks: bool, found: tuple[str, int]
) -> None:
    write_config(f'[policy]\napproval = "{"auto" if asks else "none"}"\n')
    seen: list[tuple[str, int]] = []

    def at(step: str) -> None:
        if step == "opened":
            seen.extend((entry.state, entry.attempts) for entry in journal_of(home)[0])

    async with open_test_process(checkpoint=at) as process:
        await place(process, intent())
    assert seen == [found]
