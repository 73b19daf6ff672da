"""An order that was sent and not answered stays in doubt until the order is found or the owner decides."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import httpx
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc, failure
from journals import entry_of, journal_of
from wanted import book, intent, order

from zinc_mcp.checkout import watch
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.errors import OrderNotFoundError, RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.twin import TWIN_FIELD
from zinc_mcp.owner.pin import asked_pin
from zinc_mcp.process import Clocks


@pytest.mark.parametrize("step", ["lose_after", "500_after"])
async def test_a_lost_answer_is_found_again_in_the_same_call(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, step: str
) -> None:
    zinc.script = [step]
    async with open_test_process() as process:
        answer = await place(process, intent())
    assert entry_of(answer).state == "accepted"
    assert not answer.earlier
    assert len(zinc.posts) == 1
    assert len(zinc.orders) == 1
    _, events = journal_of(home)
    assert [event.state for event in events] == ["waiting", "sending", "unknown", "accepted"]


@pytest.mark.parametrize(
    "step",
    [
        "lose_before",
        httpx.Response(502, html="<html>bad gateway</html>"),
        httpx.Response(200, html="<html>hello</html>"),
        httpx.Response(201, json={"status": "pending"}),
        httpx.Response(408, json={}),
        httpx.ReadTimeout("too slow"),
    ],
    ids=["lost", "html 502", "html 200", "201 without an id", "408", "time-out"],
)
async def test_identical_bytes_go_again_while_the_call_waits(
    open_test_process: OpenProcess, zinc: FakeZinc, step: object
) -> None:
    assert isinstance(step, str | httpx.Response | Exception)
    zinc.script = [step]
    async with open_test_process() as process:
        answer = await place(process, intent())
    assert entry_of(answer).state == "accepted"
    assert entry_of(answer).attempts == 2
    first, second = zinc.posts
    assert first.content == second.content
    assert len(zinc.orders) == 1


@pytest.mark.parametrize(
    "repeat",
    [failure(401, "unauthorized"), failure(402, "insufficient_funds"), failure(422, "validation_error"), "refuse"],
    ids=["401", "402", "422", "no connection"],
)
async def test_a_no_to_a_repeat_is_not_a_rejection(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, repeat: httpx.Response
) -> None:
    zinc.script = ["lose_after", repeat]
    zinc.listing = False
    async with open_test_process() as process:
        unknown = entry_of(await place(process, intent()))
        assert unknown.state == "unknown"
        assert unknown.counts_cents == 5100, "unknown counts as spent"
        zinc.listing = True
        found = entry_of(await watch.look(process, "local", unknown.key))
    assert found.state == "accepted"
    assert len(zinc.orders) == 1


async def test_a_conflict_on_a_repeat_means_that_it_landed_and_is_read(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.script = ["lose_after"]
    zinc.lists = [httpx.Response(200, json={"orders": []}), httpx.Response(200, json={"orders": []})]
    async with open_test_process() as process:
        answer = await place(process, intent())
    assert len(zinc.posts) == 2
    assert entry_of(answer).state == "accepted"
    assert len(zinc.orders) == 1


async def test_an_order_named_by_a_conflict_is_taken_only_if_it_matches(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process:
        other = entry_of(await place(process, intent(products=book(9))))
        zinc.listing = False
        zinc.script = [failure(409, "already_exists", identifier=other.order_id)] * 2
        answer = await place(process, intent())
    assert entry_of(answer).state == "unknown"


@pytest.mark.parametrize(
    ("asked", "shown", "state"),
    [
        ("https://www.target.com/p/-/A-12345678", "https://target.com/p/red-mug/-/A-12345678?lnk=x", "accepted"),
        ("https://www.etsy.com/listing/1035684640", "https://www.etsy.com/uk/listing/1035684640/mug", "accepted"),
        ("https://www.target.com/p/-/A-12345678", "https://www.target.com/p/-/A-12345679", "unknown"),
        ("https://www.target.com/p/-/A-12345678", "http://?", "unknown"),
    ],
)
async def test_an_order_named_by_a_conflict_is_ours_in_whatever_spelling_its_product_is_shown(
    open_test_process: OpenProcess, zinc: FakeZinc, asked: str, shown: str, state: str
) -> None:
    zinc.listing = False
    async with open_test_process() as process:
        other = entry_of(await place(process, intent(products=book(9))))
        assert other.order_id is not None
        zinc.orders[other.order_id]["metadata"] = {}
        zinc.orders[other.order_id]["items"][0]["url"] = shown
        zinc.script = [failure(409, "already_exists", identifier=other.order_id)] * 2
        answer = await place(process, intent(products=[{"url": asked}]))
    assert entry_of(answer).state == state


async def test_an_unknown_twin_is_never_bought_again(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, write_config: object
) -> None:
    assert callable(write_config)
    write_config('[policy]\nrepeat = "allow"\n')
    zinc.script = ["lose_before", "lose_before"]
    async with open_test_process() as process:
        first = entry_of(await place(process, intent()))
        for days in (0.1, 1, 40):
            clock.pass_seconds(days * 86_400)
            answer = await place(process, intent(max_price=6000, idempotency_key=f"again-{days}"))
            assert entry_of(answer).key == first.key
            assert entry_of(answer).state == "unknown"
            assert answer.earlier
    assert len(zinc.posts) == 2, "the ten minutes for a repeat are over"


async def test_a_placing_call_within_ten_minutes_sends_the_same_bytes_again(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    zinc.script = ["lose_before", "lose_before"]
    async with open_test_process() as process:
        first = entry_of(await place(process, intent()))
        assert first.state == "unknown"
        clock.pass_seconds(300)
        answer = await place(process, intent(max_price=7000))
    assert answer.earlier
    assert entry_of(answer).state == "accepted"
    assert len({request.content for request in zinc.posts}) == 1
    assert len(zinc.orders) == 1


async def test_a_paused_journal_does_not_repeat_either(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.script = ["lose_before", "lose_before"]
    async with open_test_process() as process:
        first = entry_of(await place(process, intent()))
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.pause("stop")
        answer = await place(process, intent())
        look = entry_of(await watch.look(process, "local", first.key))
    assert answer.earlier
    assert answer.refusal is not None
    assert answer.refusal.code == "paused"
    assert entry_of(answer).id == first.id
    assert look.state == "unknown"
    assert len(zinc.posts) == 2


async def test_another_api_key_never_repeats_anothers_order(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.script = ["lose_before", "lose_before"]
    async with open_test_process(api_key="zn_test_one") as process:
        await place(process, intent())
    async with open_test_process(api_key="zn_test_two") as process:
        answer = await place(process, intent())
    assert entry_of(answer).state == "unknown"
    assert len(zinc.posts) == 2


async def test_a_key_that_zinc_ignores_is_noticed_and_stops_everything(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.keys_honoured = False
    zinc.script = ["lose_after"]
    zinc.lists = [httpx.Response(200, json={"orders": []})] * 2
    async with open_test_process() as process:
        await place(process, intent())
        assert len(zinc.orders) == 2, "what we cannot prevent"
        with pytest.raises(RefusedError) as refused:
            await place(process, intent(products=book(3)))
    assert refused.value.code == "paused"
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        assert "2 orders for one idempotency key" in str(journal.paused())


async def test_a_call_answers_in_time_and_the_order_is_found_later(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.script = ["hang"]
    async with open_test_process(clocks=Clocks(answer_seconds=0.3, wire_seconds=3.0, poll_seconds=0.05)) as process:
        await asked_pin(process.journal, "local")  # the journal is open
        with anyio.fail_after(2.9):
            answer = await place(process, intent())
        assert entry_of(answer).state == "sending"
        later = await watch.look(process, "local", entry_of(answer).key, wait_seconds=5)
        with anyio.fail_after(10):
            while entry_of(later).state != "accepted":
                later = await watch.look(process, "local", entry_of(answer).key, wait_seconds=5)
    assert len(zinc.posts) == 1, "nobody waited any more, so nothing was repeated"


async def test_a_process_that_vanished_while_sending_leaves_a_doubt_that_is_looked_up_after_its_lease(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    async with open_test_process() as process:
        entry = entry_of(await place(process, intent()))
    with closing(
        sqlite3.connect(home / "journal.db", isolation_level=None)
    ) as database:  # as a kill between the wire and the journal leaves it
        database.execute(
            "update zinc_entries set state='sending', order_id=null, status=null, seen=null, lease_owner='gone-1', "
            "lease_until=?",
            (clock.now + 75,),
        )
    async with open_test_process() as process:
        early = entry_of(await watch.look(process, "local", entry.key))
        assert early.state == "sending", "nobody guesses whether a process is dead"
        clock.pass_seconds(76)
        found = entry_of(await watch.look(process, "local", entry.key))
    assert found.state == "accepted"
    assert len(zinc.posts) == 1


async def test_starting_up_looks_up_and_never_sends(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    zinc.script = ["lose_after", "refuse"]
    zinc.lists = [httpx.Response(500), httpx.Response(500)]
    async with open_test_process() as process:
        assert entry_of(await place(process, intent())).state == "unknown"
    posts = len(zinc.posts)
    async with open_test_process() as process:
        with pytest.raises(OrderNotFoundError):
            await watch.look(process, "ada", "nothing")  # any use of the journal wakes the sweep
        with anyio.fail_after(15):
            while journal_of(home)[0][0].state == "unknown":
                await anyio.sleep(0.02)
    assert journal_of(home)[0][0].state == "accepted"
    assert len(zinc.posts) == posts


async def test_an_entry_opened_and_never_sent_is_cleared_away(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    class KilledError(BaseException):
        pass

    def die(step: str) -> None:
        if step == "opened":
            raise KilledError

    by_wallet = Intent("local", "agent", order())
    with pytest.raises(BaseException):  # noqa: B017  # a group of one KilledError
        async with open_test_process(wallet="sandbox", checkpoint=die) as process:
            await place(process, by_wallet)
    assert [entry.state for entry in journal_of(home)[0]] == ["waiting"]
    clock.pass_seconds(31)
    async with open_test_process(wallet="sandbox") as process:
        answer = await place(process, by_wallet)
    assert not answer.earlier
    entries, _ = journal_of(home)
    assert [(entry.state, entry.counts_cents) for entry in entries] == [("accepted", 5100), ("refused", 0)]
    assert len(zinc.orders) == 1


async def test_a_lost_journal_takes_over_what_zinc_lists(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process:
        first = entry_of(await place(process, intent()))
    for file in home.iterdir():
        file.unlink()
    async with open_test_process() as process:
        answer = await place(process, intent(max_price=6000))
    assert answer.earlier
    assert entry_of(answer).order_id == first.order_id
    assert len(zinc.orders) == 1
    assert json.loads(zinc.posts[0].content)["metadata"][TWIN_FIELD] == first.twin
