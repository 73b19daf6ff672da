"""The owner is told what happens to orders: once, truly, and without delaying or failing an order."""

import dataclasses
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import HandClock, OpenProcess
from deciding import no
from fake_zinc import FakeZinc, failure
from journals import entry_of
from notify.listener import Listener, listening
from pydantic import SecretStr
from wanted import ADDRESS, book, intent, order

from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.notify.events import OVERDUE_SECONDS, PAUSES, TRIES
from zinc_mcp.owner.notify import EVENTS, Notable, Notify
from zinc_mcp.process import Clocks, Process

SECRET = "the-owners-own-secret"
ASKS = '[policy]\napproval = "page"\n'
ALONE = '[policy]\napproval = "none"\n'


@pytest.fixture
def listener() -> Generator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture
def clocks(clocks: Clocks) -> Clocks:
    return dataclasses.replace(clocks, notices_seconds=0.02, follow_seconds=30.0, telling_seconds=1.0)


def told_at(listener: Listener, *events: Notable, secret: str | None = SECRET) -> Notify:
    return Notify(frozenset(events or EVENTS), SecretStr(listener.url), (), SecretStr(secret) if secret else None)


def came(listener: Listener, count: int) -> bool:
    return len(listener.messages) >= count


async def rounds(count: int = 6) -> None:
    """Let the task that tells look a few times."""
    await anyio.sleep(0.05 * count)


async def test_a_placed_order_is_told_also_where_nobody_is_asked(
    open_test_process: OpenProcess, write_config: Callable[[str], Path], zinc: FakeZinc, listener: Listener
) -> None:
    write_config(ALONE)
    async with open_test_process(notify=told_at(listener), api_key="zn_live_planted-secret") as process:
        entry = entry_of(await place(process, intent()))
        assert entry.state == "accepted" and entry.order_id is not None
        await rounds()
        assert listener.events == []  # nothing to tell yet
        zinc.settle(entry.order_id, 4200)
        process.times.clock.pass_seconds(61)  # type: ignore[attr-defined]
        await listener.until(lambda: "placed" in listener.events)
        await rounds()
    [message] = listener.messages
    said = message.json
    assert said["text"] == "An order was placed for $43.00 at amazon.com."
    assert (said["mode"], said["order"]["state"], said["order"]["paid_cents"]) == ("live", "placed", 4300)
    assert said["order"]["key"] == entry.key
    stamp = message.headers["X-Zinc-MCP-Timestamp"]
    signed = hmac.new(SECRET.encode(), f"{stamp}.".encode() + message.body, hashlib.sha256).hexdigest()
    assert message.headers["X-Zinc-MCP-Signature"] == f"v1={signed}"


async def test_an_order_that_waits_is_told_with_what_can_be_done_and_nothing_private(
    open_test_process: OpenProcess, write_config: Callable[[str], Path], listener: Listener
) -> None:
    write_config(ASKS)
    async with open_test_process(notify=told_at(listener), api_key="zn_live_planted-secret") as process:
        entry = entry_of(await place(process, intent()))
        await listener.until(lambda: bool(listener.messages))
        await rounds()
        await decide(process, no(entry), caller="local")
        await rounds()
    assert listener.events == ["waiting"]  # a no is no news to the one who said it
    said = listener.of("waiting")
    assert f"`zinc-mcp approve {entry.key}`" in said["text"]
    assert "at most $51.00 at amazon.com" in said["text"]
    assert "products" in said["order"]
    everything = repr([(message.headers, message.body) for message in listener.messages]).lower()
    private = ["ada", "buyer", "planted", "10001", "0147", SECRET, str((entry.consent or {})["id"]), "/approve/"]
    assert [word for word in private if word.lower() in everything] == []
    assert ADDRESS["first_name"] == "Ada"


@pytest.mark.parametrize("words", ["<!channel> buy now", "`; rm -rf ~`"])
async def test_foreign_words_are_never_in_the_sentence(
    open_test_process: OpenProcess, write_config: Callable[[str], Path], zinc: FakeZinc, listener: Listener, words: str
) -> None:
    write_config(ASKS)
    zinc.products["B07JGBW826"] = {"status": "completed", "title": f"{words}\x1b[2J\u202e", "price": 1000}
    key = words.replace(" ", "")
    async with open_test_process(notify=told_at(listener), api_key="zn_live_planted-secret") as process:
        await place(process, Intent("local", "account", order(idempotency_key=key)))
        await listener.until(lambda: bool(listener.messages))
    said = listener.of("waiting")
    assert words not in said["text"] and key not in said["text"]
    assert said["order"]["key"] == key
    assert [each["title"] for each in said["order"]["products"]] == [words]


async def test_practice_is_marked_as_such(open_test_process: OpenProcess, zinc: FakeZinc, listener: Listener) -> None:
    async with open_test_process(notify=told_at(listener)) as process:
        zinc.script = [failure(400, "invalid_request")]
        with pytest.raises(ZincMcpError):
            await place(process, intent())
        await listener.until(lambda: bool(listener.messages))
    said = listener.of("failed")
    assert said["mode"] == "test"
    assert said["text"].startswith("[test key: nothing is bought] An order (at most $51.00 at amazon.com) was rejected")


async def test_a_doubt_is_told_once_it_lasts(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, listener: Listener
) -> None:
    zinc.listing = False
    async with open_test_process(notify=told_at(listener)) as process:
        zinc.script = ["lose_after"]
        entry = entry_of(await place(process, intent()))
        assert entry.state == "unknown"
        await rounds()
        assert listener.events == []
        clock.pass_seconds(11)
        await listener.until(lambda: bool(listener.messages))
        await rounds()
    assert "It is not known what became of an order" in listener.of("in_doubt")["text"]


async def test_a_delivery_is_told(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, listener: Listener
) -> None:
    async with open_test_process(notify=told_at(listener)) as process:
        entry = entry_of(await place(process, intent()))
        assert entry.order_id is not None
        zinc.settle(entry.order_id, 4200)
        clock.pass_seconds(61)
        await listener.until(lambda: "placed" in listener.events)
        zinc.orders[entry.order_id]["tracking_numbers"] = [{"tracking_number": "1Z", "status": "delivered"}]
        clock.pass_seconds(7 * 3600)
        await listener.until(lambda: "delivered" in listener.events)
        reads = len(zinc.requests)
        clock.pass_seconds(7 * 3600)
        await rounds()
        assert len(zinc.requests) == reads  # nothing more is expected of it
    assert listener.events == ["placed", "delivered"]
    assert listener.of("delivered")["text"].endswith("was delivered, as its carrier says.")


async def test_money_that_a_wallet_paid_is_told_when_it_is_overdue_and_when_it_is_back(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, listener: Listener
) -> None:
    async with open_test_process(notify=told_at(listener), sandbox=True) as process:
        entry = entry_of(await place(process, Intent("local", "agent", order())))
        assert entry.order_id is not None and entry.authorised_cents == 5100
        zinc.advance(entry.order_id, "order_failed", job_result={"success": False})
        clock.pass_seconds(61)
        await listener.until(lambda: "failed" in listener.events)
        assert "$51.00 should come back; that is not proved yet." in listener.of("failed")["text"]
        clock.pass_seconds(OVERDUE_SECONDS)
        await listener.until(lambda: "refund_overdue" in listener.events)
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:  # the owner, in a terminal
            journal.refunded(entry.key, 5100)
        clock.pass_seconds(61)
        await listener.until(lambda: "refund_proved" in listener.events)
        await rounds()
    assert listener.events == ["failed", "refund_overdue", "refund_proved"]
    assert "$51.00 has come back for an order at amazon.com" in listener.of("refund_proved")["text"]


async def test_a_pause_is_told_once_and_the_next_one_again(
    open_test_process: OpenProcess, home: Path, clock: HandClock, listener: Listener
) -> None:
    def owner(change: Callable[[Journal], None]) -> None:
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            change(journal)

    async with open_test_process(notify=told_at(listener)) as process:
        await process.journal.run(lambda journal: journal.paused())
        owner(lambda journal: journal.pause("a look at the <script>"))
        await listener.until(lambda: bool(listener.messages))
        await rounds()
        owner(lambda journal: journal.resume())
        await rounds()
        clock.pass_seconds(5)
        owner(lambda journal: journal.pause("a look at the <script>"))
        await listener.until(lambda: len(listener.messages) == 2)
        await rounds()
    assert listener.events == ["paused", "paused"]
    first, second = (message.json for message in listener.messages)
    assert first["reasons"] == ["a look at the <script>"] and "<script>" not in first["text"]
    assert first["id"] != second["id"]


async def test_only_the_chosen_events_are_told(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, listener: Listener
) -> None:
    async with open_test_process(notify=told_at(listener, "in_doubt")) as process:
        entry = entry_of(await place(process, intent()))
        assert entry.order_id is not None
        zinc.settle(entry.order_id, 4200)
        asked = len(zinc.requests)
        clock.pass_seconds(61)
        await rounds()
        assert len(zinc.requests) == asked  # and nothing is asked for what nobody wants to hear
    assert listener.messages == []


# An address or a command that misbehaves


@pytest.mark.parametrize("answer", ["hang", 500, "redirect", "huge"])
async def test_no_answer_of_the_address_delays_or_fails_an_order(
    open_test_process: OpenProcess,
    write_config: Callable[[str], Path],
    zinc: FakeZinc,
    listener: Listener,
    answer: Any,
    clocks: Clocks,
) -> None:
    write_config(ASKS)
    listener.answers = [answer]
    slowly = dataclasses.replace(clocks, telling_seconds=8.0)
    async with open_test_process(notify=told_at(listener), api_key="zn_live_planted-secret", clocks=slowly) as process:
        await place(process, intent())
        await listener.until(lambda: bool(listener.messages))
        process.settings.config.write_text(ALONE, encoding="utf-8")
        began = time.monotonic()
        entry = entry_of(await place(process, Intent("local", "account", order(products=book(2)))))
        took = time.monotonic() - began
        await rounds()
    assert entry.state == "accepted" and took < 7.0  # the address has eight
    assert {message.path for message in listener.messages} == {"/hook"}  # no redirect was followed
    assert listener.events.count("waiting") == 1


async def test_a_message_that_was_not_taken_is_tried_again_a_few_times_and_then_no_more(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, listener: Listener
) -> None:
    listener.answers = [503] * 20
    async with open_test_process(notify=told_at(listener)) as process:
        zinc.script = [failure(400, "invalid_request")]
        with pytest.raises(ZincMcpError):
            await place(process, intent())
        for tried, pause in enumerate([*PAUSES, 3 * 3600.0, 3 * 3600.0], 1):
            wanted = min(tried, TRIES)
            await listener.until(partial(came, listener, wanted))
            await rounds()
            assert len(listener.messages) == wanted
            clock.pass_seconds(pause + 1)
        await rounds()
    assert len(listener.messages) == TRIES
    assert len({message.json["id"] for message in listener.messages}) == 1  # a reader of both sees that they are one


async def test_a_message_that_was_not_taken_is_sent_by_the_next_process(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, listener: Listener
) -> None:
    listener.answers = [500]
    async with open_test_process(notify=told_at(listener)) as process:
        zinc.script = [failure(400, "invalid_request")]
        with pytest.raises(ZincMcpError):
            await place(process, intent())
        await listener.until(lambda: len(listener.messages) == 1)
    clock.pass_seconds(PAUSES[0] + 1)
    async with open_test_process(notify=told_at(listener)) as process:
        await process.journal.run(lambda journal: journal.paused())
        await listener.until(lambda: len(listener.messages) == 2)
        await rounds()
    assert listener.events == ["failed", "failed"]


async def test_a_message_without_an_answer_is_not_sent_twice(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, listener: Listener
) -> None:
    listener.answers = ["hang"]
    async with open_test_process(notify=told_at(listener)) as process:
        zinc.script = [failure(400, "invalid_request")]
        with pytest.raises(ZincMcpError):
            await place(process, intent())
        await listener.until(lambda: bool(listener.messages))
        await anyio.sleep(1.2)
        clock.pass_seconds(3 * 3600)
        await rounds()
    assert listener.events == ["failed"]


async def test_a_journal_that_was_used_before_tells_nothing_of_its_past(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, listener: Listener
) -> None:
    zinc.script = [failure(400, "invalid_request")]
    async with open_test_process() as process:
        with pytest.raises(ZincMcpError):
            await place(process, intent())
    async with open_test_process(notify=told_at(listener)) as process:
        await process.journal.run(lambda journal: journal.paused())
        await rounds()
    assert listener.messages == []


async def test_two_processes_tell_each_thing_once(
    open_test_process: OpenProcess, zinc: FakeZinc, listener: Listener
) -> None:
    zinc.script = [failure(400, "invalid_request") for _ in range(12)]
    notify = told_at(listener)
    async with open_test_process(notify=notify) as one, open_test_process(notify=notify) as other:

        async def refused(process: Process, number: int) -> None:
            with pytest.raises(ZincMcpError):
                await place(process, Intent("local", "account", order(products=book(number))))

        await other.journal.run(lambda journal: journal.paused())
        for number in range(12):
            await refused((one, other)[number % 2], number)
        await listener.until(lambda: len(listener.messages) >= 12)
        await rounds(10)
    keys = [message.json["order"]["key"] for message in listener.messages]
    assert len(keys) == len(set(keys)) == 12


# A command of the owner's


def program(folder: Path, source: str) -> tuple[str, ...]:
    path = folder / "tell.py"
    path.write_text(source, encoding="utf-8")
    return (sys.executable, str(path), str(folder / "told"), "a word; with $signs")


WRITES = """
import json, os, sys
with open(sys.argv[1], "a") as file:
    ours = [name for name in os.environ if name.startswith("ZINC_")]
    file.write(json.dumps({**json.load(sys.stdin), "word": sys.argv[2], "ours": ours}) + chr(10))
print("not for the protocol")
"""


async def test_a_command_gets_the_message_on_its_input(
    open_test_process: OpenProcess, zinc: FakeZinc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZINC_API_KEY", "zn_live_planted")
    told = tmp_path / "told"
    notify = Notify(frozenset(EVENTS), command=program(tmp_path, WRITES))
    async with open_test_process(notify=notify) as process:
        zinc.script = [failure(400, "invalid_request")]
        with pytest.raises(ZincMcpError):
            await place(process, intent())
        with anyio.fail_after(30):
            while not told.exists() or not told.read_text(encoding="utf-8"):
                await anyio.sleep(0.02)
        await rounds()
    [said] = [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()]
    assert (said["event"], said["word"], said["ours"]) == ("failed", "a word; with $signs", [])


@pytest.mark.parametrize(
    ("source", "ending"),
    [
        ("import sys; open(sys.argv[1], 'a').write('x'); sys.exit(3)", "not_taken"),
        ("import sys, time; open(sys.argv[1], 'a').write('x'); time.sleep(60)", "unanswered"),
        ("import sys; open(sys.argv[1], 'a').write('x'); print('y' * 10_000_000)", "taken"),
        ("import sys, os; open(sys.argv[1], 'a').write('x'); os.close(0)", "taken"),
    ],
)
async def test_a_command_that_misbehaves_ends_in_time_and_harms_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, tmp_path: Path, source: str, ending: str
) -> None:
    notify = Notify(frozenset(EVENTS), command=program(tmp_path, source))
    async with open_test_process(notify=notify) as process:
        zinc.script = [failure(400, "invalid_request")]
        with pytest.raises(ZincMcpError):
            await place(process, intent())
        with anyio.fail_after(30):
            while not (last := await process.journal.run(lambda journal: journal.last_notice())):
                await anyio.sleep(0.05)
        entry = entry_of(await place(process, Intent("local", "account", order(products=book(2)))))
    assert last["ending"] == ending
    assert entry.state == "accepted"
    assert (tmp_path / "told").read_text(encoding="utf-8") == "x"


async def test_a_command_that_is_not_there_harms_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, tmp_path: Path
) -> None:
    notify = Notify(frozenset(EVENTS), command=(str(tmp_path / "nothing"),))
    async with open_test_process(notify=notify) as process:
        zinc.script = [failure(400, "invalid_request")]
        with pytest.raises(ZincMcpError):
            await place(process, intent())
        with anyio.fail_after(30):
            while not (last := await process.journal.run(lambda journal: journal.last_notice())):
                await anyio.sleep(0.05)
    assert last["said"] == "the command could not be started"
