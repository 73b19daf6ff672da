"""Money that a wallet released counts until its return is proved, and an impossible price settles nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc, failure
from journals import entry_of
from wanted import book, order

from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import LimitExceededError, RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.journal.records.money import told_of
from zinc_mcp.process import Answer
from zinc_mcp.views.order import order_view
from zinc_mcp.views.owner.amounts import amounts_of

DAY = 86_400.0
Config = Callable[[str], Path]
FAILED = {"success": False, "error_type": "checkout_failed"}


def by_wallet(number: int = 1, caller: str = "local", **changes: Any) -> Intent:
    return Intent(caller, "agent", order(products=book(number), **changes))


def by_balance(number: int = 1, caller: str = "local", **changes: Any) -> Intent:
    return Intent(caller, "account", order(products=book(number), **changes))


def the_journal(home: Path, clock: HandClock) -> Journal:
    return Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock)


def told_to_a_person(entry: Entry) -> str:
    return order_view(Answer(entry), "person", mode=entry.mode, now=0.0).summary


@pytest.mark.parametrize("status", ["order_failed", "cancelled", "cancelled_by_retailer"])
async def test_money_that_a_wallet_paid_up_front_still_counts_when_zinc_says_nothing_was_bought(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, write_config: Config, status: str
) -> None:
    write_config("[policy]\nmax_day = 10000\n")
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        first = entry_of(await place(process, by_wallet()))
        zinc.advance(str(first.order_id), status, job_result=FAILED)
        ended = entry_of(await look(process, "local", first.key))
        with pytest.raises(LimitExceededError):
            await place(process, by_wallet(2))
        clock.pass_seconds(DAY + 1)
        later = entry_of(await place(process, by_wallet(2)))
    assert (ended.authorised_cents, ended.counts_cents, ended.spent_cents) == (5100, 5100, None)
    told = told_to_a_person(ended)
    assert "$51.00 was paid up front" in told
    assert "not proved" in told
    assert later.state == "accepted", "it leaves the windows by age"


async def test_a_cheaper_order_frees_no_limit_by_itself(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, by_wallet()))
        zinc.settle(str(entry.order_id), 3000)
        placed = entry_of(await look(process, "local", entry.key))
    assert (placed.spent_cents, placed.counts_cents) == (3100, 5100)


@pytest.mark.parametrize(
    ("credits", "counts"),
    [
        ([2000], 3100),
        ([2000, 3100], 0),
        ([5101], 5100),
        ([10**12], 5100),
        ([-1], 5100),
        (["5100"], 5100),
        ([1.5], 5100),
    ],
    ids=str,
)
async def test_a_credit_that_zinc_shows_frees_as_much_and_no_more_than_was_paid(
    open_test_process: OpenProcess, zinc: FakeZinc, credits: list[Any], counts: int
) -> None:
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, by_wallet()))
        rows = [{"id": f"r{number}", "credited_amount": cents} for number, cents in enumerate(credits)]
        zinc.advance(str(entry.order_id), "cancelled", returns=rows)
        ended = entry_of(await look(process, "local", entry.key))
    assert ended.counts_cents == counts


async def test_above_max_unproved_the_wallets_rail_stops_until_the_owner_speaks(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, write_config: Config
) -> None:
    write_config("[policy]\nmax_unproved = 6000\n")
    async with open_test_process(wallet="sandbox") as process:
        for number in (1, 2):
            entry = entry_of(await place(process, by_wallet(number)))
            zinc.advance(str(entry.order_id), "order_failed", job_result=FAILED)
            entry = entry_of(await look(process, "local", entry.key))
            clock.pass_seconds(40 * DAY)
        with pytest.raises(LimitExceededError) as refused:
            await place(process, by_wallet(3))
        assert "max_unproved" in refused.value.summary
        assert "orders refunded" in refused.value.next_step
        assert refused.value.facts["unproved_cents"] == 10_200
        other_member = entry_of(await place(process, by_wallet(3, caller="ada")))
        other_rail = entry_of(await place(process, by_balance(4)))
        with the_journal(home, clock) as journal:
            journal.refunded(entry.key, 5100)
        again = entry_of(await place(process, by_wallet(3)))
    assert {other_member.state, other_rail.state, again.state} == {"accepted"}


async def test_a_credit_that_has_come_since_makes_room_under_max_unproved(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, write_config: Config
) -> None:
    write_config("[policy]\nmax_unproved = 0\n")
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        first = entry_of(await place(process, by_wallet()))
        zinc.advance(str(first.order_id), "cancelled")
        await look(process, "local", first.key)
        clock.pass_seconds(2 * DAY)
        with pytest.raises(LimitExceededError):
            await place(process, by_wallet(2))
        zinc.advance(str(first.order_id), "cancelled", cases=[{"id": "c", "credited_amount": 5100}])
        assert entry_of(await place(process, by_wallet(2))).state == "accepted"


async def test_the_owners_word_is_bounded_by_the_paid_amount_and_is_kept(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    async with open_test_process(wallet="sandbox") as process:
        paid = entry_of(await place(process, by_wallet()))
        held = entry_of(await place(process, by_balance(2)))
        with the_journal(home, clock) as journal:
            with pytest.raises(RefusedError, match="not over"):
                journal.refunded(paid.key, 100)
            with pytest.raises(RefusedError, match="Nothing was paid up front"):
                journal.refunded(held.key, 100)
        zinc.advance(str(paid.order_id), "order_failed", job_result=FAILED)
        await look(process, "local", paid.key)
        with the_journal(home, clock) as journal:
            with pytest.raises(RefusedError, match=r"\$51\.00"):
                journal.refunded(paid.key, 5101)
            assert journal.refunded(paid.key, 2000).counts_cents == 3100
            assert journal.purge(-1) == 1
        zinc.advance(str(paid.order_id), "order_failed", job_result={**FAILED, "error": "news"})
        looked = entry_of(await look(process, "local", paid.key))
    assert (looked.refunded_cents, looked.counts_cents) == (2000, 3100), "a later look does not undo it"


async def test_an_owner_s_not_bought_is_no_proof_that_the_wallets_money_is_back(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    zinc.script = ["settled_no_order", failure(403, "forbidden")]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, by_wallet()))
        assert entry.state == "unknown"
    with the_journal(home, clock) as journal:
        resolved = journal.resolve(entry.key, order_id=None)
        assert (resolved.state, resolved.counts_cents) == ("rejected", 5100)
        assert journal.refunded(entry.key, 5100).counts_cents == 0


async def test_a_credential_that_never_left_counts_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, write_config: Config
) -> None:
    write_config("[policy]\nmax_unproved = 0\nmax_day = 5100\n")
    zinc.script = ["refuse"]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        with pytest.raises(Exception, match="could not be reached"):
            await place(process, by_wallet())
        assert entry_of(await place(process, by_wallet())).state == "accepted"


# Prices


UNCLEAR: dict[str, dict[str, Any]] = {
    "text of dollars": {"total": "49.00"},
    "text of cents": {"total": "4900"},
    "a float": {"total": 49.0},
    "a switch": {"total": True},
    "a part that is a float": {"total": 4900, "subtotal": 4500.0, "tax": 250, "shipping": 150},
    "nothing beside a subtotal": {"total": 0, "subtotal": 4500, "tax": 250, "shipping": 150},
    "nothing at all": {"total": 0},
    "less than its parts": {"total": 900, "subtotal": 4500, "tax": 250, "shipping": 150},
    "more than its parts": {"total": 4900, "subtotal": 1000, "tax": 0, "shipping": 0},
    "a negative part": {"total": 4900, "subtotal": 5000, "tax": -100, "shipping": 0},
    "below nothing": {"total": -4900},
    "two totals of one currency": {"total": 4900, "converted_payment_total": 490, "payment_currency": "USD"},
    "out of proportion": {
        "total": 4900,
        "currency": "GBP",
        "converted_payment_total": 49,
        "payment_currency": "USD",
    },
    "yen for cents": {"total": 4900, "currency": "JPY", "converted_payment_total": 100, "payment_currency": "USD"},
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("lie", UNCLEAR)
async def test_a_price_that_contradicts_itself_settles_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, lie: str
) -> None:
    async with open_test_process() as process:
        entry = entry_of(await place(process, by_balance()))
        components = {"currency": "USD", **UNCLEAR[lie]}
        zinc.advance(str(entry.order_id), "order_placed", job_result={"price_components": components})
        unclear = entry_of(await look(process, "local", entry.key))
        zinc.settle(str(entry.order_id), 3000)
        clear = entry_of(await look(process, "local", entry.key))
    assert (unclear.state, unclear.spent_cents, unclear.counts_cents) == ("placed", None, 5100)
    assert "contradicts itself" in told_to_a_person(unclear)
    assert (clear.spent_cents, clear.counts_cents, clear.problem) == (3100, 3100, None)


HONEST: dict[str, tuple[dict[str, Any], int]] = {
    "the sum of its parts": ({"total": 4900, "subtotal": 4500, "tax": 250, "shipping": 150}, 4900),
    "with fees and a discount": (
        {"total": 4800, "subtotal": 4500, "tax": 250, "shipping": 150, "fees": 200, "discount": 300},
        4800,
    ),
    "by the older formula": (
        {"total": 4900, "subtotal": 4500, "tax": 250, "shipping": 150, "fees": 200, "discount": 300},
        4900,
    ),
    "waived shipping": ({"total": 4750, "subtotal": 4500, "tax": 250, "shipping": 150, "discount": 150}, 4750),
    "placeholders": ({"total": 3300, "subtotal": 0, "tax": 0, "shipping": 0, "breakdown_recorded": False}, 3300),
    "a gift card": ({"total": 0, "subtotal": 4500, "tax": 0, "shipping": 0, "discount": 4500}, 0),
    "an adjustment": (
        {"total": 4400, "subtotal": 4500, "tax": 0, "shipping": 0, "line_items": [{"amount": -100}]},
        4400,
    ),
    "euros": (
        {"total": 3000, "currency": "EUR", "converted_payment_total": 3500, "payment_currency": "USD"},
        3500,
    ),
    "yen": ({"total": 4900, "currency": "JPY", "converted_payment_total": 3300, "payment_currency": "USD"}, 3300),
}


@pytest.mark.parametrize("form", HONEST)
async def test_an_honest_price_settles_whatever_its_form(
    open_test_process: OpenProcess, zinc: FakeZinc, form: str
) -> None:
    components, charged = HONEST[form]
    async with open_test_process() as process:
        entry = entry_of(await place(process, by_balance()))
        zinc.advance(str(entry.order_id), "order_placed", job_result={"price_components": components})
        placed = entry_of(await look(process, "local", entry.key))
    assert (placed.spent_cents, placed.counts_cents) == (charged + 100, charged + 100)


@pytest.mark.parametrize("returned", [[5000, 101], [5101], [10**12]], ids=str)
async def test_more_credited_than_was_paid_settles_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, returned: list[int]
) -> None:
    async with open_test_process() as process:
        entry = entry_of(await place(process, by_balance()))
        zinc.settle(str(entry.order_id), 5000)
        rows = [{"id": f"r{number}", "credited_amount": cents} for number, cents in enumerate(returned)]
        zinc.advance(str(entry.order_id), "order_placed", returns=rows[:1], cases=rows[1:])
        unclear = entry_of(await look(process, "local", entry.key))
    assert (unclear.spent_cents, unclear.counts_cents) == (None, 5100)


async def test_more_charged_than_allowed_counts_whole_is_told_and_pauses_that_caller_on_that_rail(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, write_config: Config
) -> None:
    write_config("[policy]\nmax_day = 3000000\n")
    async with open_test_process(wallet="sandbox") as process:
        entry = entry_of(await place(process, by_balance()))
        zinc.settle(str(entry.order_id), 999_900)
        placed = entry_of(await look(process, "local", entry.key))
        with pytest.raises(RefusedError) as refused:
            await place(process, by_balance(2))
        assert refused.value.code == "paused"
        other_member = entry_of(await place(process, by_balance(2, caller="ada")))
        other_rail = entry_of(await place(process, by_wallet(3)))
        with the_journal(home, clock) as journal:
            assert journal.paused() is None
            assert [entry.key in why for why in journal.pauses()] == [True]
            journal.resume()
        await look(process, "local", entry.key)
        resumed = entry_of(await place(process, by_balance(2)))
    assert (placed.spent_cents, placed.counts_cents) == (1_000_000, 1_000_000)
    assert "more than max_price allows ($50.00" in told_to_a_person(placed)
    assert {other_member.state, other_rail.state, resumed.state} == {"accepted"}, "the same news pauses once"


# Making room


async def test_a_full_limit_asks_zinc_only_about_the_orders_that_fill_it(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, write_config: Config
) -> None:
    write_config("[policy]\nmax_day = 20000\n")
    async with open_test_process() as process:
        for number in range(25):
            await place(process, by_balance(number, max_price=100))
        clock.pass_seconds(3 * DAY)
        big = entry_of(await place(process, by_balance(100, max_price=15_000)))
        zinc.advance(str(big.order_id), "order_failed", job_result=FAILED)
        reads = len(zinc.requests)
        assert entry_of(await place(process, by_balance(101, max_price=15_000))).state == "accepted"
    asked = [request.url.path for request in zinc.requests[reads:] if request.url.path.startswith("/orders/")]
    assert asked == [f"/orders/{big.order_id}"]


async def test_a_full_limit_of_thirty_days_asks_about_thirty_days_and_about_open_orders_first(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, write_config: Config
) -> None:
    write_config("[policy]\nmax_day = 30000\nmax_month = 30000\n")
    async with open_test_process() as process:
        opened = entry_of(await place(process, by_balance(1, max_price=10_000)))
        clock.pass_seconds(5 * DAY)
        placed = entry_of(await place(process, by_balance(2, max_price=10_000)))
        zinc.settle(str(placed.order_id), 10_000)
        await look(process, "local", placed.key)
        clock.pass_seconds(5 * DAY)
        zinc.advance(str(opened.order_id), "cancelled")
        reads = len(zinc.requests)
        assert entry_of(await place(process, by_balance(3, max_price=15_000))).state == "accepted"
    asked = [request.url.path for request in zinc.requests[reads:] if request.url.path.startswith("/orders/")]
    assert asked[0] == f"/orders/{opened.order_id}"


@pytest.mark.parametrize(
    ("given_back", "counts"),
    [
        ({"returns": [{"id": "r1", "status": "credited", "credited_amount": 1000}]}, 4100),
        ({"returns": [{"id": "r1", "credited_amount": 700}, {"id": "r2", "credited_amount": 2300}]}, 2100),
        ({"cases": [{"id": "c1", "status": "closed", "credited_amount": 2000}]}, 3100),
    ],
    ids=["a return", "all of it in two returns", "a case"],
)
async def test_a_credit_for_goods_does_not_return_the_rest_that_a_wallet_paid_up_front(
    open_test_process: OpenProcess, zinc: FakeZinc, given_back: dict[str, Any], counts: int
) -> None:
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, by_wallet()))
        zinc.settle(str(entry.order_id), 3000)
        zinc.orders[str(entry.order_id)].update(given_back)
        placed = entry_of(await look(process, "local", entry.key))
    told = told_of(placed)
    assert (told.up_front_cents, told.paid_cents, placed.counts_cents) == (5100, 3100, counts)
    assert told.expected_back_cents == 2000
    assert amounts_of(placed).expected_cents == 2000
    assert "$20.00 of what was paid up front should come back, which is not proved yet" in told_to_a_person(placed)


@pytest.mark.parametrize(("word", "expected"), [(3000, 0), (2500, 500), (1000, 2000), (400, 2000)])
async def test_the_owners_word_is_about_all_that_came_back_goods_and_rest_together(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, word: int, expected: int
) -> None:
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, by_wallet()))
        zinc.settle(str(entry.order_id), 3000)
        zinc.orders[str(entry.order_id)]["returns"] = [{"id": "r1", "status": "credited", "credited_amount": 1000}]
        await look(process, "local", entry.key)
    with the_journal(home, clock) as journal:
        for said in (word + 1, word):  # the last word counts
            journal.refunded(entry.key, said)
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        later = entry_of(await look(process, "local", entry.key))
    assert told_of(later).expected_back_cents == expected


async def test_a_rest_that_has_come_back_stays_so_when_goods_are_credited_later(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, by_wallet()))
        zinc.settle(str(entry.order_id), 3000)
        await look(process, "local", entry.key)
    with the_journal(home, clock) as journal:
        journal.refunded(entry.key, 2000)
    zinc.orders[str(entry.order_id)]["returns"] = [{"id": "r1", "status": "credited", "credited_amount": 3000}]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        later = entry_of(await look(process, "local", entry.key))
    assert told_of(later).expected_back_cents == 0


CREDITS_IN_DISORDER: dict[str, tuple[dict[str, Any], int]] = {
    "a return with two amounts": (
        {"returns": [{"id": "r1", "credited_amount": 2000}, {"id": "r1", "credited_amount": 700}]},
        3100 - 700,
    ),
    "a case with two amounts": (
        {"cases": [{"id": "c1", "credited_amount": 0}, {"id": "c1", "credited_amount": 900}]},
        3100,
    ),
    "a case that repeats its return": (
        {
            "returns": [{"id": "r1", "credited_amount": 1200}],
            "cases": [{"id": "c1", "return_request_id": "r1", "credited_amount": 1200}],
        },
        3100 - 1200,
    ),
    "a case that adds to its return": (
        {
            "returns": [{"id": "r1", "credited_amount": 200}, {"id": "r2", "credited_amount": 100}],
            "cases": [{"id": "c1", "return_request_id": "r1", "credited_amount": 500}],
        },
        3100 - 600,
    ),
    "a case of another order": (
        {"cases": [{"id": "c1", "order_id": "11111111-2222-4333-8444-555555555555", "credited_amount": 900}]},
        3100,
    ),
    "a return of another order beside ours": (
        {"returns": [{"id": "r1", "order_id": "another", "credited_amount": 900}, {"id": "r2", "credited_amount": 50}]},
        3100 - 50,
    ),
}


@pytest.mark.parametrize("case", CREDITS_IN_DISORDER)
async def test_only_what_is_certainly_credited_for_this_order_frees_limits(
    open_test_process: OpenProcess, zinc: FakeZinc, case: str
) -> None:
    shown, counts = CREDITS_IN_DISORDER[case]
    async with open_test_process() as process:
        entry = entry_of(await place(process, by_balance()))
        zinc.settle(str(entry.order_id), 3000)
        zinc.orders[str(entry.order_id)].update(shown)
        placed = entry_of(await look(process, "local", entry.key))
    assert placed.counts_cents == counts
