"""A person's yes: when it is due, what it is about, and that it is used once and in time."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from conftest import HandClock, OpenShop, as_json
from fake_zinc import FakeZinc
from journals import entry_of, journal_of
from wanted import BOOK, book, intent

from zinc_mcp.errors import OrderNotFoundError, RefusedError
from zinc_mcp.ordering.approval import Decision, question_of
from zinc_mcp.ordering.clocks import Clocks
from zinc_mcp.ordering.earlier import Answer
from zinc_mcp.ordering.journal import Journal
from zinc_mcp.ordering.pin import hashed

YES = Decision(yes=True, how="page", who="local")
NO = Decision(yes=False, how="terminal", who="local")

WriteConfig = Callable[[str], Path]


@pytest.fixture(autouse=True)
def ask_always(write_config: WriteConfig) -> None:
    write_config('[policy]\napproval = "auto"\n')


async def test_nothing_is_sent_before_the_yes_and_one_order_after_it(open_test_shop: OpenShop, zinc: FakeZinc) -> None:
    async with open_test_shop() as shop:
        waiting = entry_of(await shop.checkout.place(intent()))
        assert waiting.state == "waiting"
        assert waiting.counts_cents == 5100, "the money is reserved while the question stands"
        assert zinc.posts == []
        answer = await shop.checkout.decide(waiting.key, YES)
    assert entry_of(answer).state == "accepted"
    assert len(zinc.orders) == 1
    assert entry_of(answer).consent is not None


async def test_a_live_key_asks_by_default(open_test_shop: OpenShop, zinc: FakeZinc, write_config: WriteConfig) -> None:
    write_config("")
    async with open_test_shop(api_key="zn_live_planted") as shop:
        assert question_of(entry_of(await shop.checkout.place(intent()))) is not None
    assert zinc.posts == []


async def test_a_no_sends_nothing_and_gives_the_reservation_back(open_test_shop: OpenShop, zinc: FakeZinc) -> None:
    async with open_test_shop() as shop:
        waiting = entry_of(await shop.checkout.place(intent()))
        declined = entry_of(await shop.checkout.decide(waiting.key, NO))
        again = entry_of(await shop.checkout.decide(waiting.key, YES))
    assert (declined.state, declined.counts_cents) == ("declined", 0)
    assert again.state == "declined", "an answer is used once"
    assert zinc.posts == []


async def test_many_answers_at_once_are_one_order(open_test_shop: OpenShop, zinc: FakeZinc) -> None:
    zinc.script = ["slow"]
    async with open_test_shop() as shop, open_test_shop() as other:
        waiting = entry_of(await shop.checkout.place(intent()))

        async def decide(where: Any) -> None:
            await where.checkout.decide(waiting.key, YES)

        async with anyio.create_task_group() as tasks:
            for where in (shop, other, shop, other, shop):
                tasks.start_soon(decide, where)
    assert len(zinc.posts) == 1


async def test_a_page_and_a_terminal_that_disagree_are_one_decision(
    open_test_shop: OpenShop, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_shop() as shop, open_test_shop() as other:
        waiting = entry_of(await shop.checkout.place(intent()))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: shop.checkout.decide(waiting.key, YES))
            tasks.start_soon(lambda: other.checkout.decide(waiting.key, NO))
    [entry] = journal_of(home)[0]
    assert (entry.state == "accepted", len(zinc.orders)) in ((True, 1), (False, 0))


async def test_an_answer_after_ten_minutes_buys_nothing_and_frees_the_money(
    open_test_shop: OpenShop, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    async with open_test_shop() as shop:
        waiting = entry_of(await shop.checkout.place(intent()))
        clock.pass_seconds(601)
        with pytest.raises(RefusedError) as refused:
            await shop.checkout.decide(waiting.key, YES)
        anew = entry_of(await shop.checkout.place(intent()))
    assert refused.value.code == "approval_expired"
    assert anew.key != waiting.key
    assert zinc.posts == []
    assert [(entry.state, entry.counts_cents) for entry in journal_of(home)[0]] == [("waiting", 5100), ("refused", 0)]


async def test_an_answer_after_a_pause_buys_nothing(open_test_shop: OpenShop, zinc: FakeZinc, home: Path) -> None:
    async with open_test_shop() as shop:
        waiting = entry_of(await shop.checkout.place(intent()))
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.pause("stop")
        with pytest.raises(RefusedError) as refused:
            await shop.checkout.decide(waiting.key, YES)
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.resume()
        later = entry_of(await shop.checkout.decide(waiting.key, YES))
    assert refused.value.code == "paused"
    assert later.state == "refused"
    assert zinc.posts == []


async def test_an_answer_after_the_policy_was_tightened_buys_nothing(
    open_test_shop: OpenShop, zinc: FakeZinc, write_config: WriteConfig
) -> None:
    async with open_test_shop() as shop:
        waiting = entry_of(await shop.checkout.place(intent()))
        write_config('[policy]\napproval = "auto"\nmax_order = 1000\n')
        with pytest.raises(RefusedError) as refused:
            await shop.checkout.decide(waiting.key, YES)
    assert refused.value.code == "limit_exceeded"
    assert zinc.posts == []


async def test_the_same_call_again_meets_the_same_question(open_test_shop: OpenShop, zinc: FakeZinc) -> None:
    async with open_test_shop() as shop:
        first = entry_of(await shop.checkout.place(intent()))
        again = await shop.checkout.place(intent(max_price=9000))
    assert again.earlier
    assert question_of(entry_of(again)) == question_of(first)
    assert entry_of(again).ceiling_cents == 5000, "what was asked about is what is bought"


async def test_the_question_names_what_where_and_the_most_it_may_cost(
    open_test_shop: OpenShop, zinc: FakeZinc, home: Path
) -> None:
    zinc.products["B07JGBW826"] = {"status": "completed", "title": "A book\u202e about \x1b[31mfish", "price": 1499}
    wanted = intent(
        products=[{"url": BOOK, "quantity": 2, "variant": [{"label": "Color", "value": "Red"}]}],
        is_gift=True,
        gift_message="Enjoy!",
        metadata={"note": "x"},
    )
    async with open_test_shop(api_key="zn_live_planted") as shop:
        question = question_of(entry_of(await shop.checkout.place(wanted)))
    assert question is not None
    text = question.text()
    for part in (
        "amazon.com for at most $51.00",
        "2 of “A book about fish” at amazon.com, listed at $14.99 each, with “Color: Red”",
        "12 Planted Street",
        "Gift message: “Enjoy!”",
        "Notes sent along: “note = x”",
        "from the Zinc balance",
        "plus $1.00 for Zinc",
        "$448.99 in 24 hours",  # the look-up is spending too
        "cost $0.01",
    ):
        assert part in text, part
    assert question.look_up_cents == 1


async def test_a_look_up_that_fails_or_hangs_does_not_stop_the_question(
    open_test_shop: OpenShop, zinc: FakeZinc
) -> None:
    zinc.products["B07JGBW826"] = httpx.Response(500)
    async with open_test_shop() as shop:
        question = question_of(entry_of(await shop.checkout.place(intent())))
    assert question is not None
    assert question.lines[0].title is None


async def test_below_the_threshold_nobody_is_asked(
    open_test_shop: OpenShop, zinc: FakeZinc, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "auto"\napprove_above = 5100\n')
    async with open_test_shop() as shop:
        small = entry_of(await shop.checkout.place(intent()))
        large = entry_of(await shop.checkout.place(intent(products=book(2), max_price=5001)))
    assert (small.state, large.state) == ("accepted", "waiting")


async def test_a_second_purchase_is_asked_about_by_name(
    open_test_shop: OpenShop, zinc: FakeZinc, clock: HandClock, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "auto"\napprove_above = 9000\n')
    async with open_test_shop() as shop:
        first = entry_of(await shop.checkout.place(intent()))
        clock.pass_seconds(3 * 3600)
        second = await shop.checkout.place(intent(max_price=6000))
        question = question_of(entry_of(second))
        assert question is not None, "even below the threshold"
        assert "3 hours ago" in str(question.twin)
        answer = await shop.checkout.decide(entry_of(second).key, YES)
    assert not second.earlier
    assert entry_of(answer).key != first.key
    assert len(zinc.orders) == 2


async def test_an_approval_by_a_process_without_the_rail_is_sent_once_by_one_that_has_it(
    open_test_shop: OpenShop, zinc: FakeZinc
) -> None:
    async with open_test_shop(api_key=None) as terminal, open_test_shop() as server:
        waiting = entry_of(await server.checkout.place(intent()))
        approved = entry_of(await terminal.checkout.decide(waiting.key, YES))
        assert approved.state == "waiting"
        assert zinc.posts == []
        await server.checkout.send_approved()
        answer = await server.checkout.look("local", waiting.key, wait_seconds=2)
        while entry_of(answer).state == "sending":
            answer = await server.checkout.look("local", waiting.key, wait_seconds=2)
    assert entry_of(answer).state == "accepted"
    assert len(zinc.orders) == 1


async def test_the_call_that_asked_sees_a_decision_made_elsewhere(open_test_shop: OpenShop, zinc: FakeZinc) -> None:
    answers: list[Answer] = []
    async with open_test_shop() as server, open_test_shop(api_key=None) as terminal:
        waiting = entry_of(await server.checkout.place(intent()))

        async def wait() -> None:
            answers.append(await server.checkout.await_decision(waiting, earlier=False))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(0.1)
            await terminal.checkout.decide(waiting.key, YES)
    assert entry_of(answers[0]).state == "accepted"
    assert len(zinc.orders) == 1


async def test_a_yes_that_nobody_could_send_in_time_is_no_yes_any_more(
    open_test_shop: OpenShop, zinc: FakeZinc, clock: HandClock
) -> None:
    async with open_test_shop() as server:
        waiting = entry_of(await server.checkout.place(intent()))
    async with open_test_shop(api_key=None) as terminal:
        await terminal.checkout.decide(waiting.key, YES)
    clock.pass_seconds(601)
    async with open_test_shop() as server:
        await server.checkout.send_approved()
        assert entry_of(await server.checkout.look("local", waiting.key)).state == "refused"
    assert zinc.posts == []


async def test_with_a_pin_a_yes_needs_it_and_a_no_does_not(
    open_test_shop: OpenShop, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_shop() as shop:
        bought = entry_of(await shop.checkout.place(intent()))
        unwanted = entry_of(await shop.checkout.place(intent(products=book(2))))
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.set_pin(hashed("2468"))
        for wrong in (None, "", "2469"):
            with pytest.raises(RefusedError) as refused:
                await shop.checkout.decide(bought.key, replace(YES, pin=wrong))
            assert refused.value.code == "approval_required"
        assert zinc.posts == []
        assert entry_of(await shop.checkout.decide(bought.key, replace(YES, pin="2468"))).state == "accepted"
        assert entry_of(await shop.checkout.decide(unwanted.key, NO)).state == "declined"
    assert len(zinc.orders) == 1
    assert "2468" not in as_json([str(row) for rows in journal_of(home) for row in rows])


async def test_five_wrong_pins_are_a_no_however_many_come_at_once(
    open_test_shop: OpenShop, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_shop() as shop, open_test_shop() as other:
        waiting = entry_of(await shop.checkout.place(intent()))
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.set_pin(hashed("2468"))

        async def guess(where: Any, number: int) -> None:
            try:
                await where.checkout.decide(waiting.key, replace(YES, pin=f"{number:04}"))
            except RefusedError:
                pass

        for _ in range(10):  # at once, at most one of them is looked at
            async with anyio.create_task_group() as tasks:
                for number in range(4):
                    tasks.start_soon(guess, (shop, other)[number % 2], number)
            if entry_of(await shop.checkout.look("local", waiting.key)).state == "declined":
                break
        late = entry_of(await shop.checkout.decide(waiting.key, replace(YES, pin="2468")))
    assert (late.state, late.counts_cents) == ("declined", 0)
    assert sum(event.what == "a PIN was tried" for event in journal_of(home)[1]) == 5
    assert zinc.posts == []


async def test_while_people_decide_an_approval_made_elsewhere_is_sent_within_moments(
    open_test_shop: OpenShop, zinc: FakeZinc, clocks: Clocks
) -> None:
    async with open_test_shop(clocks=replace(clocks, heed=0.05)) as server, open_test_shop(api_key=None) as terminal:
        waiting = entry_of(await server.checkout.place(intent()))
        await terminal.checkout.decide(waiting.key, YES)
        with anyio.fail_after(3):
            while not zinc.orders:
                await anyio.sleep(0.02)
    assert len(zinc.posts) == 1


async def test_a_purge_forgets_the_question_and_keeps_who_decided(open_test_shop: OpenShop, home: Path) -> None:
    async with open_test_shop() as shop:
        waiting = entry_of(await shop.checkout.place(intent()))
        await shop.checkout.decide(waiting.key, NO)
    with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=lambda: 2e9) as journal:
        assert journal.purge(0) == 1
        [entry] = journal.entries()
    assert "Planted" not in as_json([str(entry), entry.consent, entry.facts])
    assert (entry.consent or {})["decision"]["how"] == "terminal"


async def test_limits_of_the_month_and_of_the_number_of_orders_are_told(
    open_test_shop: OpenShop, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "auto"\nmax_month = 60000\nmax_orders_day = 2\n')
    async with open_test_shop() as shop:
        question = question_of(entry_of(await shop.checkout.place(intent())))
    assert question is not None
    assert list(question.limits_left) == ["$449.00 in 24 hours", "$549.00 in 30 days", "1 more order in 24 hours"]


async def test_only_the_caller_can_be_answered_for(open_test_shop: OpenShop, zinc: FakeZinc) -> None:
    async with open_test_shop() as shop:
        waiting = entry_of(await shop.checkout.place(intent("ada")))
        with pytest.raises(OrderNotFoundError):
            await shop.checkout.decide(waiting.key, YES, caller="bob")
    assert zinc.posts == []


async def test_a_question_about_a_saved_address_shows_its_name_and_city_only(
    open_test_shop: OpenShop, zinc: FakeZinc
) -> None:
    wanted = intent()
    async with open_test_shop() as shop:
        answer = await shop.checkout.place(type(wanted)("local", "account", wanted.order, saved_as="home"))
        question = question_of(entry_of(answer))
    assert question is not None
    assert (question.saved_as, question.ship_to) == ("home", ["New York"])
    assert "your saved address “home”: New York" in question.text()
    assert "Planted" not in question.text()
