"""A yes counts only for the question that was shown: its entry, words, bytes, payer and time."""

import dataclasses
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import HandClock, OpenProcess
from deciding import no, yes
from fake_zinc import FakeZinc
from journals import entry_of, journal_of
from wanted import ADDRESS, BOOK, arguments, book, intent, order

from zinc_mcp.checkout import watch
from zinc_mcp.checkout.ask import MOST_WAITING
from zinc_mcp.checkout.deciding.approved import send_all_approved
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.watch import look
from zinc_mcp.consent.approval import asked_question, question_of
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.records.decision import Decision, QuestionRef, reference_of
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.known_settings import RailName
from zinc_mcp.process import Process

WriteConfig = Callable[[str], Path]
LIVE = "zn_live_planted"


@pytest.fixture(autouse=True)
def ask_always(write_config: WriteConfig) -> None:
    write_config('[policy]\napproval = "auto"\nmax_order = 100000\nmax_day = 1000000\n')


async def asked(process: Process, wanted: Intent) -> Entry:
    """Place an order that must be asked about, and return its entry."""
    entry = entry_of(await place(process, wanted))
    assert question_of(entry) is not None
    return entry


def about(entry: Entry) -> QuestionRef:
    reference = reference_of(entry)
    assert reference is not None
    return reference


async def refusal(process: Process, decision: Decision, caller: str | None = None) -> str:
    """Give a decision that must not be taken, and return why."""
    with pytest.raises(RefusedError) as refused:
        await decide(process, decision, caller=caller)
    return refused.value.code


# Which question


@pytest.mark.parametrize(
    "second",
    [
        {"api_key": LIVE},
        {"api_key": "zn_test_planted-secret"},
        {"api_key": None, "wallet": "sandbox"},
    ],
    ids=["a live order", "another test order", "another rail"],
)
async def test_a_yes_for_one_question_is_none_for_another_under_the_same_key(
    open_test_process: OpenProcess, zinc: FakeZinc, second: dict[str, Any]
) -> None:
    rail: RailName = "agent" if second.get("wallet") else "account"
    caller = "ada" if second.get("api_key") == "zn_test_planted-secret" else "local"
    async with open_test_process() as process, open_test_process(**second) as other:
        small = await asked(process, intent(idempotency_key="order-1", max_price=500))
        large = Intent(caller, rail, order(products=book(9), max_price=24_000, idempotency_key="order-1"))
        asked_later = await asked(other, large)
        await decide(process, yes(small))
        assert [each["max_price"] for each in zinc.bodies()] == [500]
        assert question_of(await watch.entry_of(other, asked_later.id) or small) is not None, "it still stands"


async def test_an_old_question_s_answer_is_none_for_the_next_question_of_the_same_entry(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process:
        first = await asked(process, intent())
        near = await asked(process, intent(products=[{"url": BOOK, "quantity": 2}]))
        assert await refusal(process, yes(first)) == "question_closed", "another order like it has come since"
        anew = await watch.entry_of(process, first.id)
        assert anew is not None
        assert about(anew) != about(first)
        assert await refusal(process, yes(first)) == "question_closed"
        assert zinc.posts == []
        question = asked_question(anew)
        assert question is not None
        assert "2 pieces" in question.near[0]
        await decide(process, yes(anew))
        assert await refusal(process, yes(near)) == "question_closed", "what it named as waiting has been sent since"
    assert len(zinc.posts) == 1


async def test_a_question_that_is_asked_anew_shows_all_that_the_first_one_showed(
    open_test_process: OpenProcess,
) -> None:
    async with open_test_process() as process:
        wanted = replace(intent(metadata={"for": "the planted desk"}), saved_as="home")
        first = await asked(process, wanted)
        await asked(process, intent(products=[{"url": BOOK, "quantity": 2}]))
        assert await refusal(process, yes(first)) == "question_closed"
        anew = await watch.entry_of(process, first.id)
        assert anew is not None
        for question in (asked_question(first), asked_question(anew)):
            assert question is not None
            assert "the planted desk" in question.text()
            assert "your saved address “home”" in question.text()


@pytest.mark.parametrize("forged", ["id", "digest", "entry"])
async def test_a_decision_that_names_anything_else_changes_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, forged: str
) -> None:
    async with open_test_process() as process:
        entry, other = await asked(process, intent()), await asked(process, intent(products=book(2)))
        changes: dict[str, dict[str, Any]] = {
            "id": {"id": about(other).id},
            "digest": {"digest": about(other).digest},
            "entry": {"entry_id": other.id},
        }
        mixed = dataclasses.replace(about(entry), **changes[forged])
        assert await refusal(process, Decision(mixed, yes=True, how="page", who="local")) == "question_closed"
        assert await refusal(process, Decision(mixed, yes=False, how="page", who="local")) == "question_closed"
        assert [question_of(each) is not None for each in await questions_for(process, "local")] == [True, True]
    assert zinc.posts == []


async def test_practice_never_decides_about_a_live_order(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process(api_key=LIVE) as live, open_test_process() as practice:
        entry = await asked(live, intent())
        assert await refusal(practice, yes(entry)) == "question_closed"
        assert zinc.posts == []
        await decide(live, yes(entry))
    assert len(zinc.posts) == 1


@pytest.mark.parametrize("answer", [yes, no])
async def test_an_answer_is_used_once(
    open_test_process: OpenProcess, zinc: FakeZinc, answer: Callable[[Entry], Decision]
) -> None:
    async with open_test_process() as process:
        entry = await asked(process, intent())
        await decide(process, answer(entry))
        assert await refusal(process, yes(entry)) == "question_closed"
        assert await refusal(process, no(entry)) == "question_closed"
    assert len(zinc.posts) == (answer is yes)


# Bindings of a question


@pytest.mark.parametrize("tampered", ["body", "fee_cents", "origin"])
async def test_an_order_that_differs_from_the_shown_one_is_not_sent(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, tampered: str
) -> None:
    async with open_test_process(api_key=None) as terminal:
        async with open_test_process() as server:
            entry = await asked(server, intent())
        await decide(terminal, yes(entry))
    with closing(sqlite3.connect(home / "journal.db")) as connection, connection:
        other: dict[str, Any] = {
            "body": (entry.body or b"").replace(b"5000", b"5001"),
            "fee_cents": 900,
            "origin": "https://elsewhere.example",
        }
        connection.execute(f"UPDATE zinc_entries SET {tampered} = ?", (other[tampered],))
    async with open_test_process() as server:
        with pytest.raises(RefusedError) if tampered != "origin" else _nothing() as refused:
            await send_all_approved(server)
    assert refused is None or refused.value.code == "question_closed"
    assert zinc.posts == []


@pytest.mark.parametrize("sends", ["the one that takes the yes", "another process"])
async def test_a_yes_to_one_fee_is_not_carried_out_at_a_higher_one(
    open_test_process: OpenProcess, zinc: FakeZinc, sends: str
) -> None:
    async with open_test_process() as server:
        entry = await asked(server, intent())
    zinc.fee_cents = 900
    if sends == "another process":
        async with open_test_process(api_key=None) as terminal:
            await decide(terminal, yes(entry))
    async with open_test_process() as server:
        with pytest.raises(RefusedError) as refused:
            await (send_all_approved(server) if sends == "another process" else decide(server, yes(entry)))
        anew = await asked(server, intent())
        question = asked_question(anew)
        assert question is not None
        assert question.most_cents == 5900
        await decide(server, yes(anew))
    assert (refused.value.code, len(zinc.posts)) == ("question_closed", 1)
    assert "$9.00" in refused.value.summary
    assert "$1.00" in refused.value.summary


@pytest.mark.parametrize("told", [50, 100, None], ids=["lower", "the same", "not told"])
async def test_a_yes_holds_at_a_fee_that_is_not_known_to_have_become_higher(
    open_test_process: OpenProcess, zinc: FakeZinc, told: int | None
) -> None:
    zinc.fee_cents = 80 if told is None else 100
    async with open_test_process() as server:
        entry = await asked(server, intent())
    zinc.fee_cents = told or 0
    async with open_test_process() as server:
        zinc.wallets = [httpx.Response(503)] * (told is None)
        await decide(server, yes(entry))
    assert len(zinc.posts) == 1


class _nothing:  # used like `pytest.raises`
    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        return None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"wallet": "command", "wallet_command": "pay-a"}, {"wallet": "command", "wallet_command": "pay-b"}),
        ({"api_key": "zn_test_one"}, {"api_key": "zn_test_two"}),
    ],
    ids=["another wallet", "another API key"],
)
async def test_a_yes_is_not_carried_out_by_another_payer(
    open_test_process: OpenProcess, zinc: FakeZinc, before: dict[str, Any], after: dict[str, Any]
) -> None:
    rail: RailName = "agent" if "wallet" in before else "account"
    async with open_test_process(**before) as process:
        entry = await asked(process, Intent("local", rail, order()))
    async with open_test_process(**after) as process:
        decided = entry_of(await decide(process, yes(entry)))
        await send_all_approved(process)
    assert decided.state == "waiting", "approved, and left to whoever pays as was shown"
    assert zinc.posts == []


# Changes since the question was asked


@pytest.mark.sampled(4)
@pytest.mark.parametrize("decider", [{}, {"api_key": None}], ids=["the server", "a terminal that cannot send"])
@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ("max_day = 5099", "limit_exceeded"),
        ("max_month = 5099", "limit_exceeded"),
        ("max_orders_day = 0", "limit_exceeded"),
        ("max_order = 5099", "limit_exceeded"),
        ('retailers_blocked = ["amazon.com"]', "not_allowed"),
        ('ship_to = "saved"', "not_allowed"),
        ('rails = ["agent"]', "not_allowed"),
        ("max_day = -1", "policy_invalid"),
    ],
)
async def test_a_yes_meets_the_policy_as_it_stands_then(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    write_config: WriteConfig,
    home: Path,
    policy: str,
    code: str,
    decider: dict[str, Any],
) -> None:
    async with open_test_process() as process, open_test_process(**decider) as where:
        entry = await asked(process, intent())
        write_config(f'[policy]\napproval = "auto"\n{policy}\n')
        assert await refusal(where, yes(entry)) == code
    assert zinc.posts == []
    [refused] = journal_of(home)[0]
    assert (refused.state, refused.counts_cents) == ("refused", 0)


async def test_rolling_limits_count_what_came_after_the_question_and_not_the_entry_itself(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig
) -> None:
    async with open_test_process() as process:
        first, second = await asked(process, intent()), await asked(process, intent(products=book(2)))
        write_config('[policy]\napproval = "auto"\nmax_day = 10200\n')
        await decide(process, yes(first))
        write_config('[policy]\napproval = "auto"\nmax_day = 10199\n')
        assert await refusal(process, yes(second)) == "limit_exceeded"
    assert len(zinc.posts) == 1


async def test_the_process_that_sends_holds_an_approved_order_against_its_own_limits(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig
) -> None:
    async with open_test_process() as server:
        entry = await asked(server, intent())
    async with open_test_process(api_key=None) as terminal:
        await decide(terminal, yes(entry))
    write_config('[policy]\napproval = "auto"\nmax_day = 5099\n')
    async with open_test_process() as server:
        with pytest.raises(RefusedError) as refused:
            await send_all_approved(server)
    assert refused.value.code == "limit_exceeded"
    assert zinc.posts == []


# Orders that resemble it


NEAR: list[dict[str, Any]] = [
    {"products": [{"url": BOOK, "quantity": 2}]},
    {"products": [{"url": BOOK}, *book(7)]},
    {"products": [{"url": BOOK, "variant": [{"label": "Color", "value": "Red"}]}]},
    {"products": [{"url": f"{BOOK}?smid=A1B2C3D4E5F6G7"}]},
    {"products": [{"url": BOOK, "condition_in": ["New"], "quantity": 3}], "max_price": 900},
]


@pytest.mark.parametrize("wish", NEAR, ids=["two", "a filler", "a variant", "a seller", "a condition"])
async def test_an_order_that_repeats_recent_goods_is_asked_about_with_a_note(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig, wish: dict[str, Any]
) -> None:
    write_config('[policy]\napproval = "auto"\napprove_above = 90000\nmax_order = 100000\nmax_day = 1000000\n')
    async with open_test_process() as process:
        first = entry_of(await place(process, intent()))
        assert first.state == "accepted", "below approve_above"
        second = await asked(process, intent(**wish))
        question = asked_question(second)
        assert question is not None
        [note] = question.near
        assert "1 piece for at most $50.00, 0 minutes ago" in note
        assert note in question.text()
        assert len(zinc.posts) == 1
        await decide(process, yes(second))
    assert len(zinc.posts) == 2, "it is never refused"


SISTERS = [
    ("https://www.ebay.com/itm/123456789012", "https://www.ebay.de/itm/123456789012"),
    ("https://www.ebay.co.uk/itm/a-lamp/223456789012", "https://www.ebay.com/itm/223456789012?var=500"),
    ("https://www.walmart.com/ip/10450114", "https://business.walmart.com/ip/a-lamp/10450114"),
    ("https://shop.example/products/oak-lamp", "https://shop.example/Products/Oak-Lamp"),
    ("https://shop.example/item.php?id=AB12", "https://shop.example/Item.php?id=ab12"),
    ("https://www.otto.de/p/lampe-C123", "https://www.otto.de/P/Lampe-c123"),
    ("https://shop.example/p/oak-lamp", "https://shop.example/en/p/oak_lamp.html"),
    ("https://de.shop.example/p/12", "https://shop.example/index.php/p/12?lang=en&page=1"),
    ("https://shop.example/p/caf%C3%A9+set", "https://shop.example/p/cafe%CC%81%20set"),
    ("https://shop.example/p/oak-lamp", "https://m.shop.example/p/oak-lamp"),
    ("https://shop.co.uk/p/oak-lamp", "https://mobile.fr.shop.co.uk/p/oak-lamp"),
    ("https://shop.example/p/oak-lamp", "https://amp.shop.example/amp/p/oak-lamp"),
    ("https://shop.example/p/oak-lamp.html", "https://shop.example/p/oak-lamp.amp.html"),
    ("https://shop.example/p/oak-lamp", "https://www2.shop.example/p/oak-lamp/amp?outputType=amp"),
    ("https://shop.example/p/oak-lamp", "https://shop.example/p/oak-lamp;v=2?sessionid=7f3a"),
    ("https://www.amazon.com/dp/B07JGBW826", "https://us.amazon.com/A-Book/dp/B07JGBW826?th=1"),
    ("https://www.ebay.de/itm/123456789012", "https://m.www.ebay.de/itm/a-lamp/123456789012"),
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("one", "other"), SISTERS)
async def test_the_same_listing_in_what_is_likely_another_spelling_is_asked_about_with_a_note(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig, one: str, other: str
) -> None:
    write_config('[policy]\napproval = "auto"\napprove_above = 90000\nmax_order = 100000\nmax_day = 1000000\n')
    async with open_test_process() as process:
        await place(process, intent(products=[{"url": one}]))
        second = await asked(process, intent(products=[{"url": other}]))
        question = asked_question(second)
        assert question is not None
        assert len(question.near) == 1
        await decide(process, yes(second))
    assert len(zinc.posts) == 2


OTHER_WORDS_FOR_A_PLACE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"address_line1": "350 Fifth Ave"}, {"address_line1": "350 5th Avenue"}),
    ({"address_line1": "350 Thirteenth Ave"}, {"address_line1": "350 13th Avenue"}),
    ({"address_line1": "One World Trade Center"}, {"address_line1": "1 World Trade Ctr"}),
    *(
        (
            {"country": country, "state": state, "city": city, "postal_code": code, "address_line1": one},
            {"address_line1": other},
        )
        for country, state, city, code, one, other in (
            ("JP", "東京都", "渋谷区", "150-0001", "神宮前1-2-3", "神宮前一丁目2-3"),
            ("NL", None, "Amsterdam", "1012 AB", "Damrak 5-2", "Damrak 5 II"),
            ("IE", None, "Dublin", "D02 AF30", "5 Main St", "5 Main St, Dublin 2"),
            ("SG", None, "Singapore", "123456", "5 Main Rd #05-12", "5 Main Rd #5-12"),
        )
    ),
]


@pytest.mark.parametrize(("one", "other"), OTHER_WORDS_FOR_A_PLACE)
async def test_more_of_it_to_the_same_place_in_other_words_is_asked_about_with_a_note(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    write_config: WriteConfig,
    one: dict[str, Any],
    other: dict[str, Any],
) -> None:
    write_config('[policy]\napproval = "auto"\napprove_above = 90000\nmax_order = 100000\nmax_day = 1000000\n')
    first = {**ADDRESS, **one}
    async with open_test_process() as process:
        await place(process, intent(shipping_address=first))
        more = [{"url": BOOK, "quantity": 2}]
        second = await asked(process, intent(products=more, shipping_address={**first, **other}))
        question = asked_question(second)
    assert question is not None
    assert len(question.near) == 1


FAR: list[dict[str, Any]] = [
    {"products": book(7)},
    {"shipping_address": {**arguments()["shipping_address"], "address_line1": "14 Planted Street"}},
    {"products": [{"url": "https://www.amazon.ca/dp/B07JGBW826"}]},
]
NEIGHBOURS = [
    ("https://shop.example/p/1-23", "https://shop.example/p/12-3"),
    ("https://shop.example/p/4?size=l", "https://shop.example/p/4b?size=l"),
    ("https://shop.example/item.php?id=7", "https://shop.example/item.php?id=8"),
    ("https://one.example/p/12", "https://two.example/p/12"),
    ("https://shop.example/en", "https://shop.example/fr"),
    ("https://hp.co.uk/p/12", "https://bp.co.uk/p/12"),
    ("https://ao.com.au/p/12", "https://m.com.au/p/12"),
    ("https://lamps.shop.example/p/12", "https://shop.example/p/12"),
    ("https://shop.example/p/m/12", "https://shop.example/p/12"),
]


@pytest.mark.parametrize(("one", "other"), NEIGHBOURS)
async def test_another_page_of_a_shop_that_nobody_knows_is_not_asked_about_below_the_threshold(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig, one: str, other: str
) -> None:
    write_config('[policy]\napproval = "auto"\napprove_above = 90000\nmax_order = 100000\nmax_day = 1000000\n')
    async with open_test_process() as process:
        await place(process, intent(products=[{"url": one}]))
        assert entry_of(await place(process, intent(products=[{"url": other}]))).state == "accepted"
    assert len(zinc.posts) == 2


@pytest.mark.parametrize("wish", FAR, ids=["another product", "another place", "another country's shop"])
async def test_another_wish_is_not_asked_about_below_the_threshold(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig, wish: dict[str, Any]
) -> None:
    write_config('[policy]\napproval = "auto"\napprove_above = 90000\nmax_order = 100000\nmax_day = 1000000\n')
    async with open_test_process() as process:
        await place(process, intent())
        assert entry_of(await place(process, intent(**wish))).state == "accepted"
    assert len(zinc.posts) == 2


async def test_an_order_that_failed_or_is_a_day_old_is_no_reason_to_ask(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig, clock: HandClock
) -> None:
    write_config('[policy]\napproval = "auto"\napprove_above = 90000\nmax_order = 100000\nmax_day = 1000000\n')
    async with open_test_process() as process:
        first = entry_of(await place(process, intent()))
        zinc.advance(str(first.order_id), "order_failed")
        await look(process, "local", first.key)
        second = entry_of(await place(process, intent(products=[{"url": BOOK, "quantity": 2}])))
        assert second.state == "accepted"
        clock.pass_seconds(86_401)
        third = entry_of(await place(process, intent(products=[{"url": BOOK, "quantity": 3}])))
    assert third.state == "accepted"


# The number of questions before a person


async def test_few_questions_of_one_caller_wait_at_once(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process:
        waiting = [await asked(process, intent(products=book(number))) for number in range(MOST_WAITING)]
        with pytest.raises(RefusedError) as refused:
            await place(process, intent(products=book(50)))
        assert refused.value.code == "too_many_waiting"
        await asked(process, intent("ada", products=book(50)))
        await decide(process, no(waiting[0]))
        await asked(process, intent(products=book(50)))
    assert zinc.posts == []


async def test_an_order_refused_for_too_many_questions_counts_for_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process:
        for number in range(MOST_WAITING + 1):
            try:
                await place(process, intent(products=book(number)))
            except RefusedError:
                pass
    assert [entry.counts_cents for entry in journal_of(home)[0]] == [0, *[5100] * MOST_WAITING]
