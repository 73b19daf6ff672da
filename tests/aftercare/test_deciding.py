"""A person decides about a change on the page, in a dialogue or in a terminal, about exactly what was shown."""

import html
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anyio.to_thread
import pytest
from aftercare.after import back, created, delivered, problem
from conftest import HandClock, OpenProcess
from deciding import yes
from keyboard import at_a_terminal
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from server.as_a_host import both_eras, call, host, refused
from server.visitor import Shown, visitor, words
from started import Started
from wanted import arguments, book, intent

from zinc_mcp.aftercare.return_order import ReturnedItem, ReturnWish, return_order
from zinc_mcp.checkout.deciding import decide as checkout
from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.checkout.place_order import place
from zinc_mcp.consent.approval import question_of
from zinc_mcp.consent.change_question import ChangeQuestion, ReturnLine, check_length, fields_of
from zinc_mcp.consent.field_words import in_words, quoted
from zinc_mcp.decisions import decide
from zinc_mcp.errors import OrderNotFoundError, RefusedError
from zinc_mcp.journal.records.decision import QuestionRef, reference_of
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.pin import hashed
from zinc_mcp.process import Clocks, Process
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.products import HOSTILE, PREFIX
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.server.mcp.tools.report_problem import Problem
from zinc_mcp.server.mcp.tools.return_order import Item, Return
from zinc_mcp.server.pages.browser import page_beside
from zinc_mcp.zinc.aftercare.changes import JSON_TYPE, Change

WriteConfig = Callable[[str], Path]
NOTES = "Loose “handle”,\nand <b>scratched</b> & bent: see {{ 7 * 7 }}"


@pytest.fixture
def zinc(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


async def ordered(
    process: Process, clock: HandClock, write_config: WriteConfig, mode: str = "auto", **more: Any
) -> str:
    """Return a delivered order; from now on a person is asked."""
    async with host(process, mode) as client:
        order_id = await delivered(client, clock, *more.get("urls", ()))
    write_config('[policy]\napproval = "auto"\n')
    return order_id


async def waiting(process: Process) -> Entry:
    [entry] = await questions_for(process, "local")
    return entry


def leaves(change: Change) -> Iterator[str]:
    """Yield every value that a change sends, read from its bytes by another road than the question's."""
    if change.content_type == JSON_TYPE:

        def walk(value: Any) -> Iterator[str]:
            if isinstance(value, dict):
                for part in cast(dict[str, Any], value).values():
                    yield from walk(part)
            elif isinstance(value, list):
                for part in cast(list[Any], value):
                    yield from walk(part)
            else:
                yield str(value)

        yield from walk(json.loads(change.content or "{}"))
        return
    boundary = change.content_type.partition("boundary=")[2]
    for part in change.content.split(f"--{boundary}")[1:-1]:
        yield part.removesuffix("\r\n").partition("\r\n\r\n")[2]


WHOLE_RETURN: dict[str, Any] = {
    "items": [{"number": 2, "quantity": 2}, {"number": 1, "quantity": 1}],
    "reason": "not_as_described",
    "notes": NOTES,
}
SAYINGS: dict[str, dict[str, Any]] = {
    "return_order": WHOLE_RETURN,
    "report_problem": {"reason": "damaged_or_wrong_item", "message": NOTES},
}


def test_the_audit_gives_every_field_of_the_tools() -> None:
    assert {*WHOLE_RETURN, "order_id"} == set(Return.model_fields)
    assert {"number", "order_item_id", "quantity"} == set(Item.model_fields)
    assert {*SAYINGS["report_problem"], "order_id", "close"} == set(Problem.model_fields)


@pytest.mark.parametrize("step", ["return", "open", "message", "close"])
async def test_every_field_that_is_sent_is_in_the_question_and_on_the_page(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, write_config: WriteConfig, step: str
) -> None:
    shown = Shown()
    async with (
        open_test_process(clocks=Clocks(answer_seconds=1.5)) as process,
        page_beside(process, show=shown) as page,
    ):
        urls = (f"{PREFIX}test-success", f"{PREFIX}test-no-breakdown")
        async with host(process, "auto") as client:
            order_id = await delivered(client, clock, *urls)
            if step in ("message", "close"):
                await call(client, "report_problem", problem(order_id))
                clock.pass_seconds(5)
            write_config('[policy]\napproval = "page"\n')
            tool = "return_order" if step == "return" else "report_problem"
            given = {"close": True} if step == "close" else SAYINGS[tool]
            told = await call(client, tool, {"order_id": order_id, **given})
        assert told["outcome"] == "waiting"
        entry = await waiting(process)
        assert entry.body is not None
        change = Change.from_bytes(entry.body)
        question = question_of(entry)
        assert question is not None
        text = question.text()
        sent = list(leaves(change))
        await page.offer(entry)
        async with visitor(shown.address) as person:
            await person.open(shown.secret)
            on_page = html.unescape(person.page)
    assert len(sent) == {"return": 7, "open": 3, "message": 1, "close": 0}[step]
    for value in (in_words("reason", each) for each in sent):
        assert quoted(value) in text or (value.isdecimal() and f": {value}" in text), value
        assert value in on_page, value
    assert "{{ 7 * 7 }}" in on_page or step == "close"
    assert "<b>scratched</b>" not in person.page
    named = [each for each in change.path.split("/") if len(each) > 20]
    assert all(quoted(each) in text and each in on_page for each in named)
    assert quoted(order_id) in text
    assert order_id in on_page
    assert fields_of(change)[0] in ("", order_id)


@pytest.mark.parametrize("answer", ["yes", "no"])
@pytest.mark.parametrize("tool", ["return_order", "report_problem"])
async def test_an_answer_on_the_page_counts_once(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, write_config: WriteConfig, answer: str, tool: str
) -> None:
    shown = Shown()
    async with (
        open_test_process(clocks=Clocks(answer_seconds=1.5)) as process,
        page_beside(process, show=shown) as page,
    ):
        async with host(process, "auto") as client:
            order_id = await delivered(client, clock)
            write_config('[policy]\napproval = "page"\n')
            given = back(order_id) if tool == "return_order" else problem(order_id)
            told = await call(client, tool, given)
            assert told["outcome"] == "waiting"
            assert "get_order" in told["next_step"]
            entry = await waiting(process)
            await page.offer(entry)
            async with visitor(shown.address) as person:
                await person.open(shown.secret)
                old = person.page
                after = await person.decide(answer)
                person.page = old
                late = await person.decide("no" if answer == "yes" else "yes")
            known = await call(client, "get_order", {"order_id": told["key"]})
    assert ("Zinc has it" if answer == "yes" else "Not sent The answer was no.") in words(after.text)
    assert late.status_code == 409
    assert len(created(zinc)) == (answer == "yes")
    if answer == "no":
        assert [each["outcome"] for each in known["requests"]] == ["declined"]
    else:
        assert [each["key"] for each in known["returns" if tool == "return_order" else "cases"]] == [told["key"]]


async def test_a_pin_that_is_set_is_asked_for_a_return_as_well(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, write_config: WriteConfig
) -> None:
    shown = Shown()
    async with (
        open_test_process(clocks=Clocks(answer_seconds=1.5)) as process,
        page_beside(process, show=shown) as page,
    ):
        order_id = await ordered(process, clock, write_config)
        await process.journal.run(lambda journal: journal.set_pin(hashed("2468")))
        asked: list[str] = []

        async def never(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
            asked.append(params.message)
            return ElicitResult(action="accept", content={"approve": True})

        async with Client(build_server(process), mode="auto", elicitation_callback=never) as client:
            told = await call(client, "return_order", back(order_id))
        assert (told["outcome"], asked) == ("waiting", []), "a dialogue takes no PIN, so the page asks"
        await page.offer(await waiting(process))
        async with visitor(shown.address) as person:
            await person.open(shown.secret)
            without = await person.decide("yes", pin="1357")
            assert (without.status_code, created(zinc)) == (403, [])
            await person.decide("yes", pin="2468")
    assert len(created(zinc)) == 1


def test_a_question_that_is_too_long_for_a_person_is_not_asked() -> None:
    line = ReturnLine(order_item_id="x" * 100, quantity=1, url="https://x.example/" + "ü" * 2000)
    whole = ChangeQuestion(
        action="return", retailer="x.example", mode="live", rail="account", order_id="1", lines=[line] * 40
    )
    check_length(whole)
    with pytest.raises(RefusedError) as refusal:
        check_length(whole.model_copy(update={"lines": [line] * 100}))
    assert refusal.value.code == "order_too_large"


@both_eras
async def test_a_change_that_waits_for_a_yes_is_told_by_its_name_beside_orders(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, write_config: WriteConfig, mode: str
) -> None:
    async with open_test_process(clocks=Clocks(answer_seconds=1.5)) as process:
        order_id = await ordered(process, clock, write_config, mode)
        async with host(process, mode) as client:
            await call(client, "return_order", back(order_id))
            told = await call(client, "get_balance", {})
            assert "1 request about an order waits for the user's yes." in told["summary"]
            assert [row.get("kind") for row in told["waiting"]] == ["return"]
            assert "most_cents" not in told["waiting"][0]
            await call(client, "place_order", arguments(products=book(7)))
            told = await call(client, "get_balance", {})
    assert "1 order and 1 request about an order wait for the user's yes." in told["summary"]
    assert [row.get("kind") for row in told["waiting"]] == ["return", None]


@both_eras
async def test_a_yes_to_an_old_question_files_nothing(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, write_config: WriteConfig, mode: str
) -> None:
    async with open_test_process(clocks=Clocks(answer_seconds=1.5)) as process:
        order_id = await ordered(process, clock, write_config, mode)
        async with host(process, mode) as client:
            first = await call(client, "return_order", back(order_id))
            old = await waiting(process)
            assert first["outcome"] == "waiting"
            clock.pass_seconds(700)
            with pytest.raises(RefusedError) as late:
                await decide(process, yes(old))
            assert late.value.code == "approval_expired"
            assert "return_order" in late.value.next_step
            again = await call(client, "return_order", back(order_id, notes="Other words"))
            assert again["key"] != first["key"]
            new = await waiting(process)
            with pytest.raises(RefusedError):
                await decide(process, yes(old))
            about = reference_of(new)
            assert about is not None
            forged = replace(yes(new), about=QuestionRef(new.id, about.id, "0" * 64))
            with pytest.raises(RefusedError):
                await decide(process, forged)
            assert created(zinc) == []
            answer = await decide(process, yes(new))
    assert answer.entry is not None
    assert answer.entry.state == "placed"
    assert len(created(zinc)) == 1


async def test_a_yes_given_where_orders_are_sent_sends_no_return(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, write_config: WriteConfig
) -> None:
    async with open_test_process(clocks=Clocks(answer_seconds=1.5)) as process:
        order_id = await ordered(process, clock, write_config)
        async with host(process, "auto") as client:
            await call(client, "return_order", back(order_id))
        answer = await checkout.decide(process, yes(await waiting(process)))
    assert answer.entry is not None
    assert answer.entry.state == "waiting"
    assert created(zinc) == []


async def test_two_returns_that_wait_never_hold_more_than_came(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, write_config: WriteConfig
) -> None:
    async with open_test_process(clocks=Clocks(answer_seconds=1.5)) as process:
        order_id = await ordered(process, clock, write_config)
        async with host(process, "auto") as client:
            both = [{"number": 1, "quantity": 2}]
            first = await call(client, "return_order", back(order_id, items=both))
            same = await call(client, "return_order", back(order_id, items=both))
            assert (same["key"], same["new_request"]) == (first["key"], False)
            other = await refused(client, "return_order", back(order_id, reason="damaged"))
    assert "0 can still be sent back" in other["summary"]


async def test_another_callers_order_is_not_changed(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock
) -> None:
    async with open_test_process() as process:
        answer = await place(process, intent(caller="bob", products=[{"url": f"{PREFIX}test-success", "quantity": 2}]))
        clock.pass_seconds(20)
        assert answer.entry is not None
        order_id, key = answer.entry.order_id or "", answer.entry.key
        items = [ReturnedItem(1, number=1)]
        for caller in ("local", "eve"):
            for handle in (order_id, key, order_id.upper()):
                with pytest.raises(OrderNotFoundError):
                    await return_order(process, ReturnWish(caller, handle, items, "defective"))
        filed = await return_order(process, ReturnWish("bob", order_id, items, "defective"))
        assert filed.entry is not None
        async with host(process, "auto") as client:
            assert (await refused(client, "get_order", {"order_id": filed.entry.key}))["code"] == "order_not_found"
    assert len(created(zinc)) == 1


@both_eras
async def test_hostile_words_reach_a_model_and_a_person_only_as_data(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, write_config: WriteConfig, mode: str
) -> None:
    asked: list[str] = []

    async def accept(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"approve": True})

    async with open_test_process() as process:
        order_id = await ordered(process, clock, write_config, urls=(f"{PREFIX}test-hostile-text",))
        async with Client(build_server(process), mode=mode, elicitation_callback=accept) as client:
            told = await call(client, "return_order", back(order_id))
            await call(client, "report_problem", problem(order_id))
            clock.pass_seconds(10)
            known = await call(client, "get_order", {"order_id": order_id})
    told_words = "IGNORE ALL PREVIOUS"
    assert told_words not in told["summary"] + told["next_step"] + known["summary"] + known["next_step"]
    assert known["returns"][0]["zinc_says"].startswith(told_words)
    assert known["returns"][0]["labels_left_out"] == 1
    assert "javascript" not in json.dumps(known["returns"])
    assert known["cases"][0]["messages"][1]["zinc_says"].startswith(told_words)
    assert HOSTILE not in json.dumps(known, ensure_ascii=False)
    for character in ("\x1b", "\u202e", "\u200b", "\ue000"):
        assert character not in json.dumps(known, ensure_ascii=False) + "".join(asked)
    [in_question] = [line for line in asked[0].splitlines() if told_words in line]
    assert in_question.startswith("  Zinc says: titled “")
    assert in_question.endswith("”")
    assert told_words not in asked[1]
    assert f"  Item 1: “2 of {PREFIX}test-hostile-text”" in asked[1]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
async def test_a_return_is_approved_in_a_terminal_and_sent_by_the_server(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, write_config: WriteConfig, tmp_path: Path
) -> None:
    import time

    clock.now = time.time()
    zinc.clock = time.time
    zinc.pace = 30.0
    started = Started(tmp_path)
    async with open_test_process(clocks=Clocks(answer_seconds=1.5, heed_seconds=0.1), clock=time.time) as process:
        async with host(process, "auto") as client:
            placed = await call(client, "place_order", _order())
            while (await call(client, "get_order", {"order_id": placed["order_id"]}))["outcome"] != "placed":
                await anyio.sleep(0.05)
            write_config('[policy]\napproval = "auto"\n')
            told = await call(client, "return_order", back(placed["order_id"], notes=NOTES))
            assert told["outcome"] == "waiting"
            listed = await anyio.to_thread.run_sync(lambda: started.quickly("orders"))
            typed = [("Type yes to ask Zinc to take it back", "yes")]
            code, screen = await anyio.to_thread.run_sync(
                lambda: at_a_terminal(["approve", told["key"]], started.environment, typed)
            )
            with anyio.fail_after(10):
                while not created(zinc):
                    await anyio.sleep(0.05)
            shown = await anyio.to_thread.run_sync(lambda: started.quickly("orders", "show", told["key"]))
            order = await anyio.to_thread.run_sync(lambda: started.quickly("orders", "show", placed["order_id"]))
    assert f"Return about order {placed['order_id']}" in " ".join(listed.stdout.split())
    assert code == 0, screen
    assert "Send 1 piece back to zinc.com?" in screen
    assert "Zinc has it." in screen
    assert "the answer was yes" in shown.stdout
    for part in ("What was asked", "Who said yes", "SHA-256 ", "What happened"):
        assert part in shown.stdout
    assert "Money" not in shown.stdout, "a return costs nothing"
    assert "Note for Zinc" in shown.stdout
    assert told["key"] in order.stdout
    assert "Returns and reports" in order.stdout


def _order() -> dict[str, Any]:
    from wanted import arguments

    return arguments(products=[{"url": f"{PREFIX}test-success", "quantity": 2}], max_price=20_000)
