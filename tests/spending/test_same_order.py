"""An answer counts only if it is about our order; any other changes nothing and is told."""

import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc, failure
from journals import entry_of, journal_of
from wanted import ADDRESS, BOOK, book, order

from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import UnreadableAnswerError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.twin import KEY_FIELD, TWIN_FIELD

Shown = dict[str, Any]


def by_wallet(**changes: Any) -> Intent:
    return Intent("local", "agent", order(**changes))


def by_balance(**changes: Any) -> Intent:
    return Intent("local", "account", order(**changes))


def item(url: str, quantity: int = 1) -> Shown:
    return {"id": str(uuid.uuid4()), "url": url, "quantity": quantity, "status": "pending"}


def without_metadata(**changes: Any) -> Callable[[Shown], Shown]:
    return lambda shown: {**shown, "metadata": {}, **changes}


def with_metadata(**changes: Any) -> Callable[[Shown], Shown]:
    return lambda shown: {**shown, "metadata": {**shown["metadata"], **changes}}


def with_another_id(shown: Shown) -> Shown:
    return {**shown, "id": str(uuid.uuid4())}


OTHERS: dict[str, Callable[[Shown], Shown]] = {
    "another key": with_metadata(**{KEY_FIELD: "somebody-elses"}),
    "another twin": with_metadata(**{TWIN_FIELD: "0" * 40}),
    "a key that is no text": with_metadata(**{KEY_FIELD: ["x"]}),
    "another ceiling": lambda shown: {**shown, "max_price": 999_900},
    "other goods": without_metadata(items=[item("https://www.amazon.com/dp/B0STRANGER")]),
    "goods besides": without_metadata(items=[item(BOOK), item("https://www.amazon.com/dp/B0STRANGER")]),
    "another quantity": without_metadata(items=[item(BOOK, 9)]),
    "another shop": without_metadata(items=[item("https://www.amazon.de/dp/B07JGBW826")]),
    "no address of a page": without_metadata(items=[item("http://[")]),
    "another city": without_metadata(shipping_address={**ADDRESS, "city": "Minsk", "postal_code": "20002"}),
    "another country": without_metadata(shipping_address={**ADDRESS, "country": "BY"}),
    "another door": without_metadata(shipping_address={"address_line1": "13 Planted Street"}),
    "another person": without_metadata(shipping_address={"first_name": "Eve", "last_name": "Buyer"}),
}

OURS: dict[str, Callable[[Shown], Shown]] = {
    "as it is": dict,
    "our key alone": lambda shown: {**shown, "metadata": {KEY_FIELD: shown["metadata"][KEY_FIELD]}, "items": []},
    "nothing but an id": lambda shown: {"id": shown["id"], "status": "pending"},
    "another spelling of the page": without_metadata(items=[item("http://amazon.com/a-book/dp/b07jgbw826/?tag=x")]),
    "another spelling of the place": without_metadata(
        shipping_address={**ADDRESS, "address_line1": "12  PLANTED street", "postal_code": "10001-0001", "state": None}
    ),
    "half of the place": without_metadata(shipping_address={"city": "New York", "country": "US", "zip": "?"}),
    "a line for each piece": without_metadata(items=[item(BOOK)]),
    "our metadata and an address as Zinc writes it": lambda shown: {
        **shown,
        "shipping_address": {"name": "ADA BUYER", "city": "NYC"},
    },
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("other", OTHERS)
async def test_an_order_that_answers_ours_and_is_not_ours_is_not_taken_and_ours_is_found_by_its_key(
    open_test_process: OpenProcess, zinc: FakeZinc, other: str
) -> None:
    zinc.shown_when_placed = lambda shown: {**OTHERS[other](shown), "id": str(uuid.uuid4())}
    async with open_test_process() as process:
        entry = entry_of(await place(process, by_balance()))
    assert (entry.state, entry.order_id in zinc.orders) == ("accepted", True)
    assert (entry.problem or {})["code"] == "another_order", "told, although ours was found"
    assert len(zinc.posts) == 1


@pytest.mark.sampled(4)
@pytest.mark.parametrize("other", OTHERS)
async def test_while_ours_cannot_be_found_the_outcome_is_unknown_and_the_bytes_do_not_go_again(
    open_test_process: OpenProcess, zinc: FakeZinc, other: str
) -> None:
    zinc.shown_when_placed = OTHERS[other]
    zinc.listing = False
    async with open_test_process() as process:
        entry = entry_of(await place(process, by_balance()))
        again = entry_of(await place(process, by_balance()))
    assert (entry.state, entry.order_id, entry.counts_cents) == ("unknown", None, 5100)
    assert (again.key, again.state) == (entry.key, "unknown")
    assert len(zinc.posts) == 1


@pytest.mark.parametrize("form", OURS)
async def test_an_answer_in_another_form_is_ours_all_the_same(
    open_test_process: OpenProcess, zinc: FakeZinc, form: str
) -> None:
    zinc.shown_when_placed = zinc.shown_when_read = OURS[form]
    async with open_test_process() as process:
        entry = entry_of(await place(process, by_balance()))
        zinc.advance(str(entry.order_id), "order_placed")
        read = entry_of(await look(process, "local", entry.key))
    assert (entry.state, entry.problem) == ("accepted", None)
    assert read.state == ("placed" if form != "nothing but an id" else "accepted")


CONCEDED: dict[str, tuple[list[Shown], list[Shown], bool]] = {
    "one left out, as reported": (
        [item(BOOK, 3)],
        [{"concern": "items", "code": "item_unavailable", "url": "https://www.amazon.com/dp/B000000002"}],
        True,
    ),
    "one left out, of which nothing is said": ([item(BOOK, 3)], [], False),
    "one left out, and another is reported": (
        [item(BOOK, 3)],
        [{"concern": "items", "code": "item_unavailable", "url": BOOK}],
        False,
    ),
    "fewer, as reported": (
        [item(BOOK, 2), item("https://www.amazon.com/dp/B000000002")],
        [{"concern": "quantity", "code": "capped", "url": BOOK, "requested_quantity": 3, "fulfilled_quantity": 2}],
        True,
    ),
    "fewer, without a name": (
        [item(BOOK, 1), item("https://www.amazon.com/dp/B000000002")],
        [{"concern": "quantity", "code": "capped"}],
        True,
    ),
    "more, reported as fewer": (
        [item(BOOK, 4), item("https://www.amazon.com/dp/B000000002")],
        [{"concern": "quantity", "code": "capped", "url": BOOK}],
        False,
    ),
    "a gift wrap left out": ([item(BOOK, 3)], [{"concern": "gift", "code": "no_gift"}], False),
}


@pytest.mark.parametrize("what", CONCEDED)
async def test_a_concession_that_zinc_reports_is_no_difference(
    open_test_process: OpenProcess, zinc: FakeZinc, what: str
) -> None:
    items, concessions, ours = CONCEDED[what]
    zinc.listing = False
    zinc.shown_when_placed = without_metadata(items=items, fulfillment={"concessions": concessions})
    wanted = by_balance(products=[{"url": BOOK, "quantity": 3}, {"url": "https://www.amazon.com/dp/B000000002"}])
    async with open_test_process() as process:
        entry = entry_of(await place(process, wanted))
    assert entry.state == ("accepted" if ours else "unknown")


@pytest.mark.sampled(4)
@pytest.mark.parametrize("other", ["another id", *OTHERS])
@pytest.mark.parametrize("rail", ["account", "agent"])
async def test_a_read_that_is_answered_with_another_order_changes_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, rail: str, other: str
) -> None:
    change = OTHERS.get(other, with_another_id)
    async with open_test_process(wallet="sandbox") as process:
        entry = entry_of(await place(process, by_wallet() if rail == "agent" else by_balance()))
        zinc.shown_when_read = lambda shown: change({**shown, "status": "order_failed"})
        looked = await look(process, "local", entry.key)
        assert isinstance(looked.unasked, UnreadableAnswerError)
        again = await place(process, by_balance(max_price=6000))
    assert again.earlier
    assert len(zinc.orders) == 1
    assert (journal_of(home)[0][0].state, journal_of(home)[0][0].version) == ("accepted", entry.version)


@pytest.mark.parametrize("other", OTHERS)
async def test_an_order_that_a_list_or_a_conflict_names_is_taken_only_if_it_is_ours(
    open_test_process: OpenProcess, zinc: FakeZinc, other: str
) -> None:
    async with open_test_process() as process:
        stranger = entry_of(await place(process, by_balance(products=book(7))))
        named = OTHERS[other](zinc.orders[str(stranger.order_id)])
        zinc.orders[str(stranger.order_id)] = {"idempotency_key": "x", **named, "metadata": named.get("metadata", {})}
        zinc.script = [failure(409, "already_exists", order_id=stranger.order_id)] * 2
        zinc.lists = [httpx.Response(200, json={"orders": [zinc.orders[str(stranger.order_id)]]})] * 4
        entry = entry_of(await place(process, by_balance()))
    assert (entry.state, entry.order_id) == ("unknown", None)


async def test_an_order_that_a_conflict_names_and_that_shows_nothing_is_not_taken(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.listing = False
    zinc.script = [failure(409, "already_exists", order_id="11111111-2222-3333-4444-555555555555")] * 2
    zinc.reads = [
        httpx.Response(200, json={"id": "11111111-2222-3333-4444-555555555555", "status": "order_failed"})
    ] * 2
    async with open_test_process() as process:
        assert entry_of(await place(process, by_balance())).state == "unknown"


@pytest.mark.parametrize("other", ["another key", "another twin", "another ceiling", "other goods", "another city"])
async def test_a_paid_answer_that_is_not_ours_is_unknown_and_never_paid_again(
    open_test_process: OpenProcess, zinc: FakeZinc, other: str
) -> None:
    zinc.shown_when_placed = OTHERS[other]
    zinc.listing = False
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, by_wallet()))
        again = entry_of(await place(process, by_wallet()))
        assert (entry.state, again.state, again.key) == ("unknown", "unknown", entry.key)
        zinc.listing = True
        found = entry_of(await look(process, "local", entry.key))
    assert (found.state, found.order_id in zinc.orders) == ("accepted", True)
    assert len(zinc.settlements) == 1


@pytest.mark.parametrize("key", ["the order's", "a bogus one", "none"])
async def test_a_paid_requests_conflict_with_the_orders_id_and_key_is_read_and_settled(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, key: str
) -> None:
    zinc.script = ["conflict_after"]
    zinc.lists = [httpx.Response(200, json={"orders": []})] * 8
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        if key != "the order's":
            headers = {"X-Api-Key": "zn_live_bogus"} if key == "a bogus one" else {}
            zinc.script = [
                "500_after",
                httpx.Response(409, json={"error": {"code": "already_exists", "details": {}}}, headers=headers),
            ]
            zinc.lists = [failure(401, "unauthorized")] * 8
        entry = entry_of(await place(process, by_wallet()))
        clock.pass_seconds(500)
        later = entry_of(await look(process, "local", entry.key))
    if key == "the order's":
        assert (entry.state, entry.order_id in zinc.orders) == ("accepted", True)
        assert later.state == "accepted"
    else:
        assert (entry.state, later.state) == ("unknown", "paid_no_order"), "a key that reads nothing proves nothing"
    assert len(zinc.settlements) == 1


async def test_a_conflict_that_names_a_strangers_order_is_not_settled_on(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        stranger = entry_of(await place(process, by_wallet(products=book(7))))
        [key] = zinc.order_keys
        body = {"error": {"code": "already_exists", "details": {"order_id": stranger.order_id}}}
        zinc.script = [httpx.Response(409, json=body, headers={"X-Api-Key": key})] * 2
        entry = entry_of(await place(process, by_wallet()))
    assert (entry.state, entry.order_id) == ("unknown", None)


async def test_a_journal_that_was_lost_takes_over_its_own_orders_only_and_at_their_own_price(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process:
        first = entry_of(await place(process, by_balance()))
    for file in home.iterdir():
        file.unlink()
    lie = {**zinc.orders[str(first.order_id)], "id": str(uuid.uuid4()), "metadata": {TWIN_FIELD: first.twin}}
    lie["items"] = [item("https://www.amazon.com/dp/B0STRANGER")]
    honest = zinc.orders[str(first.order_id)]
    zinc.lists = [httpx.Response(200, json={"orders": [lie, honest]})]
    async with open_test_process() as process:
        adopted = await place(process, by_balance(max_price=6000))
        looked = entry_of(await look(process, "local", first.key))
    assert adopted.earlier
    assert (entry_of(adopted).order_id, entry_of(adopted).reserved_cents) == (first.order_id, 5100)
    assert looked.order_id == first.order_id
    assert [entry.order_id for entry in journal_of(home)[0]] == [first.order_id]


async def test_an_order_placed_elsewhere_is_shown_only_if_it_is_the_one_asked_for(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process:
        asked = str(uuid.uuid4())
        zinc.reads = [
            httpx.Response(200, json={"id": str(uuid.uuid4()), "status": "order_placed"}),
            httpx.Response(200, json={"id": asked.upper(), "status": "order_placed"}),
        ]
        with pytest.raises(UnreadableAnswerError):
            await look(process, "local", asked)
        answer = await look(process, "local", asked)
    assert answer.order is not None
    assert answer.order.status == "order_placed"


async def test_a_purged_order_is_still_told_from_another(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clock: HandClock
) -> None:
    async with open_test_process() as process:
        entry = entry_of(await place(process, by_balance()))
        zinc.settle(str(entry.order_id), 3000)
        await look(process, "local", entry.key)
        with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
            assert journal.purge(-1) == 1
        zinc.shown_when_read = OTHERS["another key"]
        looked = await look(process, "local", entry.key)
        assert isinstance(looked.unasked, UnreadableAnswerError)
        zinc.shown_when_read = without_metadata(status="cancelled")
        assert entry_of(await look(process, "local", entry.key)).state == "cancelled"


@pytest.mark.parametrize(
    "lie", [{"max_price": 1}, {"metadata": {KEY_FIELD: "our-key", TWIN_FIELD: "0" * 40}}], ids=["ceiling", "twin"]
)
async def test_a_listed_order_under_our_key_that_was_made_for_another_wish_is_not_taken(
    open_test_process: OpenProcess, zinc: FakeZinc, lie: Shown
) -> None:
    listed = {"id": str(uuid.uuid4()), "status": "order_failed", "metadata": {KEY_FIELD: "our-key"}, **lie}
    zinc.script = ["lose_before", "lose_before"]
    zinc.lists = [httpx.Response(200, json={"orders": [listed]})] * 8
    async with open_test_process() as process:
        entry = entry_of(await place(process, by_balance(idempotency_key="our-key")))
    assert (entry.state, entry.order_id, entry.counts_cents) == ("unknown", None, 5100)


async def test_an_order_is_ours_by_the_twin_that_zinc_was_told_also_if_the_journal_renewed_its_own(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.script, zinc.listing = ["lose_after", "lose_before"], False
    async with open_test_process() as process:
        doubted = entry_of(await place(process, by_balance()))
        assert doubted.state == "unknown"
        with closing(sqlite3.connect(home / "journal.db")) as journal, journal:
            journal.execute("UPDATE zinc_entries SET twin = 'as a newer version makes it'")
        zinc.listing = True
        assert entry_of(await look(process, "local", doubted.key)).state == "accepted"


async def test_an_order_that_is_looked_at_again_unchanged_is_not_written_down_again(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    async with open_test_process() as process:
        placed = entry_of(await place(process, by_balance()))
        for _ in range(3):
            clock.pass_seconds(600)
            await look(process, "local", placed.key)
        zinc.settle(str(placed.order_id), 4000)
        seen: list[int] = []
        for _ in range(3):
            clock.pass_seconds(600)
            seen.append(entry_of(await look(process, "local", placed.key)).version)
    assert seen == [placed.version + 1] * 3
    assert [event.version for event in journal_of(home)[1]] == list(range(1, placed.version + 2))
