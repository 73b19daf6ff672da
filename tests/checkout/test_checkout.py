"""An intention is sent once, limits and pauses hold, and the journal says what was sent and answered."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc, failure
from journals import entry_of, journal_of
from wanted import book, intent, order

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.place_order import Intent
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import (
    OrderNotFoundError,
    OrderRejectedError,
    RefusedError,
    ZincMcpError,
    ZincUnreachableError,
)
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.twin import KEY_FIELD, TWIN_FIELD
from zinc_mcp.process import Answer


async def test_an_order_is_sent_once_with_its_key_and_both_digests(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process:
        answer = await place_order.place(process, intent())
    entry = entry_of(answer)
    assert (entry.state, answer.earlier, entry.attempts) == ("accepted", False, 1)
    [body] = zinc.bodies()
    assert body["idempotency_key"] == entry.key == body["metadata"][KEY_FIELD]
    assert body["metadata"][TWIN_FIELD] == entry.twin
    assert zinc.posts[0].content == entry.body
    assert "quantity" not in body["products"][0], "only what was set is sent"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"max_price": 6000},
        {"idempotency_key": "another-key"},
        {"metadata": {"note": "again"}},
        {"products": [{"url": "https://amazon.com/Some-Title/dp/B07JGBW826/ref=sr_1?utm_source=x&tag=y#reviews"}]},
        {"is_gift": True, "gift_message": "for you"},
    ],
    ids=["same words", "another price", "another key", "metadata", "tracking in the address", "gift"],
)
async def test_the_same_goods_in_other_words_are_answered_with_the_earlier_order(
    open_test_process: OpenProcess, zinc: FakeZinc, change: dict[str, Any]
) -> None:
    async with open_test_process() as process:
        first = entry_of(await place_order.place(process, intent()))
        second = await place_order.place(process, intent(**change))
    assert second.earlier
    assert entry_of(second).key == first.key
    assert len(zinc.posts) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"products": [{"url": "https://www.amazon.com/dp/B07JGBW827"}]},
        {"products": [{"url": "https://www.amazon.com/dp/B07JGBW826", "quantity": 2}]},
        {
            "products": [
                {"url": "https://www.amazon.com/dp/B07JGBW826", "variant": [{"label": "Color", "value": "Red"}]}
            ]
        },
    ],
    ids=["other product", "other quantity", "other variant"],
)
async def test_two_honest_intentions_are_two_orders(
    open_test_process: OpenProcess, zinc: FakeZinc, change: dict[str, Any]
) -> None:
    async with open_test_process() as process:
        await place_order.place(process, intent())
        second = await place_order.place(process, intent(**change))
    assert not second.earlier
    assert len(zinc.orders) == 2


async def test_another_callers_order_is_no_twin(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process:
        await place_order.place(process, intent("ada"))
        second = await place_order.place(process, intent("bob"))
    assert not second.earlier
    assert len(zinc.orders) == 2


async def test_after_ten_minutes_other_words_need_a_yes(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    async with open_test_process() as process:
        first = entry_of(await place_order.place(process, intent()))
        clock.pass_seconds(601)
        same = await place_order.place(process, intent())
        with pytest.raises(RefusedError) as refused:
            await place_order.place(process, intent(max_price=6000))
    assert same.earlier
    assert refused.value.code == "possible_duplicate"
    assert refused.value.facts["key"] == first.key
    assert len(zinc.orders) == 1


async def test_a_policy_that_allows_repeats_buys_again_after_ten_minutes(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, write_config: object
) -> None:
    assert callable(write_config)
    write_config('[policy]\nrepeat = "allow"\n')
    async with open_test_process() as process:
        first = entry_of(await place_order.place(process, intent()))
        clock.pass_seconds(601)
        second = await place_order.place(process, intent(max_price=6000))
    assert not second.earlier
    assert entry_of(second).key != first.key
    assert len(zinc.orders) == 2


async def test_a_policy_of_saved_addresses_takes_an_order_to_one_and_no_other(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: object
) -> None:
    assert callable(write_config)
    write_config('[policy]\nship_to = "saved"\n')
    async with open_test_process() as process:
        with pytest.raises(RefusedError):
            await place_order.place(process, intent())
        assert zinc.posts == []
        placed = entry_of(await place_order.place(process, replace(intent(), saved_as="home")))
    assert placed.state == "accepted"


async def test_a_day_later_the_same_words_are_a_new_order_with_a_new_key(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    async with open_test_process() as process:
        first = entry_of(await place_order.place(process, intent()))
        zinc.settle(str(first.order_id), 4000)
        clock.pass_seconds(86_401)
        second = await place_order.place(process, intent())
    assert not second.earlier
    assert entry_of(second).key != first.key
    assert len(zinc.orders) == 2


@pytest.mark.parametrize("status", ["order_failed", "cancelled", "cancelled_by_retailer"])
async def test_an_order_that_failed_does_not_stand_in_the_way(
    open_test_process: OpenProcess, zinc: FakeZinc, status: str
) -> None:
    async with open_test_process() as process:
        first = entry_of(await place_order.place(process, intent()))
        zinc.advance(str(first.order_id), status)
        second = await place_order.place(process, intent())
    assert not second.earlier
    assert entry_of(second).key != first.key
    assert len(zinc.orders) == 2


async def test_a_given_key_goes_to_zinc_unchanged_and_a_members_does_not(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process:
        await place_order.place(process, intent(idempotency_key="mine-1"))
        await place_order.place(process, intent("ada", idempotency_key="mine-1"))
        await place_order.place(process, intent("bob", idempotency_key="mine-1"))
    keys = [body["idempotency_key"] for body in zinc.bodies()]
    assert keys[0] == "mine-1"
    assert len(set(keys)) == 3
    assert all(len(key) <= 36 for key in keys)


async def test_a_given_key_with_another_body_is_refused(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process:
        await place_order.place(process, intent(idempotency_key="mine-1"))
        with pytest.raises(RefusedError) as refused:
            await place_order.place(process, intent(idempotency_key="mine-1", products=book(2)))
    assert refused.value.code == "key_conflict"
    assert len(zinc.posts) == 1


async def test_a_rejected_order_bought_nothing_and_may_be_tried_again(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.script = [failure(402, "insufficient_funds", required=5100, available=10), "ok"]
    async with open_test_process() as process:
        with pytest.raises(OrderRejectedError) as rejected:
            await place_order.place(process, intent())
        assert rejected.value.facts["required_cents"] == 5100
        answer = await place_order.place(process, intent())
    assert entry_of(answer).state == "accepted"
    entries, _ = journal_of(home)
    assert [(entry.state, entry.counts_cents) for entry in entries] == [("accepted", 5100), ("rejected", 0)]
    assert len({entry.key for entry in entries}) == 2


async def test_a_rejected_given_key_is_used_up(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.script = [failure(400, "url_unreachable")]
    async with open_test_process() as process:
        with pytest.raises(OrderRejectedError):
            await place_order.place(process, intent(idempotency_key="mine-1"))
        with pytest.raises(RefusedError) as refused:
            await place_order.place(process, intent(idempotency_key="mine-1"))
    assert refused.value.code == "key_used"


async def test_without_a_connection_nothing_was_sent_and_the_same_key_works_again(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.script = ["refuse", "ok"]
    async with open_test_process() as process:
        with pytest.raises(ZincUnreachableError):
            await place_order.place(process, intent(idempotency_key="mine-1"))
        answer = await place_order.place(process, intent(idempotency_key="mine-1"))
    assert entry_of(answer).state == "accepted"
    entries, _ = journal_of(home)
    assert [(entry.state, entry.counts_cents) for entry in entries] == [("accepted", 5100), ("refused", 0)]


async def test_two_calls_at_once_are_one_order(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.script = ["slow"]
    answers: list[Answer] = []
    async with open_test_process() as process:

        async def place(price: int) -> None:
            answers.append(await place_order.place(process, intent(max_price=price)))

        async with anyio.create_task_group() as tasks:
            for price in (5000, 5000, 6000, 7000):
                tasks.start_soon(place, price)
    assert len(zinc.orders) == 1
    assert sorted(answer.earlier for answer in answers) == [False, True, True, True]
    assert {entry_of(answer).state for answer in answers} == {"accepted"}


async def test_a_cancelled_call_does_not_stop_the_sending(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.script = ["slow"]
    async with open_test_process() as process:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(place_order.place, process, intent())
            while not zinc.posts:
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        answer = await place_order.place(process, intent())
    assert answer.earlier
    assert entry_of(answer).state == "accepted"
    assert len(zinc.orders) == 1


async def test_a_process_that_ends_waits_for_the_order_on_the_wire(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.script = ["slow"]
    async with open_test_process() as process:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(place_order.place, process, intent())
            while not zinc.posts:
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    entries, _ = journal_of(home)
    assert [entry.state for entry in entries] == ["accepted"]


async def test_the_real_price_is_settled_and_the_rest_given_back(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process:
        entry = entry_of(await place_order.place(process, intent()))
        assert entry.counts_cents == 5100
        zinc.settle(str(entry.order_id), 3210)
        answer = await look(process, "local", entry.key)
    settled = entry_of(answer)
    assert (settled.state, settled.spent_cents, settled.counts_cents) == ("placed", 3310, 3310)


async def test_a_refund_and_a_retailers_cancellation_give_the_money_back(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process:
        entry = entry_of(await place_order.place(process, intent()))
        zinc.settle(str(entry.order_id), 3000)
        zinc.advance(
            str(entry.order_id),
            "order_placed",
            returns=[{"id": "r", "status": "credited", "reason": "damaged", "credited_amount": 1000}],
        )
        returned = entry_of(await look(process, "local", entry.key))
        zinc.advance(str(entry.order_id), "cancelled_by_retailer")
        cancelled = entry_of(await look(process, "local", entry.key))
    assert returned.counts_cents == 2100
    assert (cancelled.state, cancelled.counts_cents) == ("cancelled", 0)


async def test_the_daily_limit_admits_what_fits_and_not_more(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    refusals: list[ZincMcpError] = []
    async with open_test_process() as process:

        async def place(number: int) -> None:
            try:
                await place_order.place(process, intent(products=book(number), max_price=9_900))
            except RefusedError as error:
                refusals.append(error)

        async with anyio.create_task_group() as tasks:
            for number in range(9):
                tasks.start_soon(place, number)
    assert len(zinc.orders) == 5
    assert {error.code for error in refusals} == {"limit_exceeded"}
    assert len(refusals) == 4


async def test_a_full_limit_asks_zinc_before_it_refuses(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process:
        for number in range(2):
            await place_order.place(process, intent(products=book(number), max_price=24_900))
        for order_id in list(zinc.orders):
            zinc.settle(order_id, 1000)
        answer = await place_order.place(process, intent(products=book(7), max_price=24_900))
    assert entry_of(answer).state == "accepted"


async def test_limits_roll_over_a_day(open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock) -> None:
    async with open_test_process() as process:
        for number in range(2):
            await place_order.place(process, intent(products=book(number), max_price=24_900))
        with pytest.raises(RefusedError):
            await place_order.place(process, intent(products=book(7), max_price=24_900))
        clock.pass_seconds(86_401)
        await place_order.place(process, intent(products=book(8), max_price=24_900))
    assert len(zinc.orders) == 3


async def test_the_limit_for_one_order_includes_zincs_fee(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process:
        with pytest.raises(RefusedError) as refused:
            await place_order.place(process, intent(max_price=25_000))
        await place_order.place(process, intent(max_price=24_900))
    assert refused.value.code == "limit_exceeded"
    assert "24900" in refused.value.next_step
    assert len(zinc.posts) == 1


async def test_the_fee_that_the_account_really_pays_is_reserved(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.fee_cents = 250
    async with open_test_process() as process:
        entry = entry_of(await place_order.place(process, intent()))
        with pytest.raises(RefusedError):
            await place_order.place(process, intent(products=book(2), max_price=24_751))
    assert (entry.fee_cents, entry.counts_cents) == (250, 5250)


async def test_a_pause_stops_everything_and_keeps_the_money_free(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process:
        await place_order.place(process, intent())
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.pause("looking into it")
        with pytest.raises(RefusedError) as refused:
            await place_order.place(process, intent(products=book(2)))
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.resume()
        await place_order.place(process, intent(products=book(2)))
    assert refused.value.code == "paused"
    assert len(zinc.orders) == 2


async def test_a_pause_between_opening_and_sending_sends_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    def pause(step: str) -> None:
        if step == "opened":
            with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
                journal.pause("just now")

    # On the account rail both are one commit; a wallet is asked only after another.
    async with open_test_process(wallet="sandbox", checkpoint=pause) as process:
        with pytest.raises(RefusedError) as refused:
            await place_order.place(process, Intent("local", "agent", order()))
    assert refused.value.code == "paused"
    assert zinc.posts == []
    entries, _ = journal_of(home)
    assert [(entry.state, entry.counts_cents) for entry in entries] == [("refused", 0)]


async def test_without_a_key_the_account_rail_names_the_missing_setting(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process(api_key=None) as process:
        with pytest.raises(RefusedError) as refused:
            await place_order.place(process, intent())
    assert refused.value.code == "account_not_configured"
    assert "ZINC_API_KEY" in refused.value.next_step


async def test_a_policy_that_breaks_later_refuses_all_orders(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: object
) -> None:
    assert callable(write_config)
    async with open_test_process() as process:
        write_config("[policy]\nmax_ordr = 1\n")
        with pytest.raises(RefusedError) as refused:
            await place_order.place(process, intent())
    assert refused.value.code == "policy_invalid"
    assert "max_ordr" in refused.value.summary
    assert zinc.posts == []


async def test_an_order_is_looked_up_by_key_and_by_id_and_only_by_its_caller(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process:
        entry = entry_of(await place_order.place(process, intent("ada")))
        by_key = await look(process, "ada", entry.key)
        by_id = await look(process, "ada", str(entry.order_id))
        for stranger in ("bob", "mallory"):
            for handle in (entry.key, str(entry.order_id)):
                with pytest.raises(OrderNotFoundError):
                    await look(process, stranger, handle)
    assert entry_of(by_key) == entry_of(by_id)


async def test_a_waiting_look_returns_as_soon_as_there_is_news(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    told: list[str] = []

    async def progress(status: str) -> None:
        told.append(status)

    async with open_test_process() as process:
        entry = entry_of(await place_order.place(process, intent()))

        async def later() -> None:
            await anyio.sleep(0.15)
            zinc.settle(str(entry.order_id), 3000)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later)
            with anyio.fail_after(15):
                answer = await look(process, "local", entry.key, wait_seconds=5, progress=progress)
            assert entry_of(answer).state == "placed"
    assert told == ["pending"]


async def test_a_look_up_waits_for_news_of_an_order_placed_elsewhere_too(
    open_test_process: OpenProcess, zinc: FakeZinc, tmp_path: Path
) -> None:
    async with open_test_process() as process:
        order_id = str(entry_of(await place_order.place(process, intent())).order_id)
    asked: list[str] = []

    async def progress(status: str) -> None:
        asked.append(status)
        if len(asked) == 3:
            zinc.settle(order_id, 3000)

    journal = f"sqlite:///{tmp_path / 'another.db'}"
    zinc.orders[order_id]["metadata"] = {}
    async with open_test_process(journal=journal) as process:
        with anyio.fail_after(15):
            answer = await look(process, "local", order_id, wait_seconds=5, progress=progress)
    assert answer.entry is None and answer.order is not None
    assert (answer.order.status, asked) == ("order_placed", ["pending"] * 3)


async def test_looking_up_never_sends_anything(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.script = ["lose_before", "lose_before"]
    async with open_test_process() as process:
        entry = entry_of(await place_order.place(process, intent()))
        posts = len(zinc.posts)
        for _ in range(5):
            await look(process, "local", entry.key, wait_seconds=0.1)
    assert len(zinc.posts) == posts


async def test_an_order_placed_elsewhere_is_shown_to_the_local_caller_only(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process:
        entry = entry_of(await place_order.place(process, intent()))
        strange = dict(zinc.orders[str(entry.order_id)], id="elsewhere-1", metadata={})
        zinc.orders["elsewhere-1"] = strange
        answer = await look(process, "local", "elsewhere-1")
        with pytest.raises(OrderNotFoundError):
            await look(process, "ada", "elsewhere-1")
    assert answer.entry is None
    assert answer.order is not None
    assert answer.order.id == "elsewhere-1"


async def test_a_redirect_is_not_followed_and_leaves_a_doubt(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    away = httpx.Response(307, headers={"Location": "https://elsewhere.example/orders"})
    zinc.script = [away, away]
    async with open_test_process() as process:
        answer = await place_order.place(process, intent())
    assert entry_of(answer).state == "unknown"
    assert all(request.url.host == "api.zinc.com" for request in zinc.requests)
