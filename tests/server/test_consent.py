"""Consent holds among real processes: killed ones, four at once, a terminal beside a page; and nothing leaks."""

import json
import logging
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import preloaded
import pytest
from conftest import OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from journals import entry_of, journal_of
from keyboard import at_a_terminal
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from mcp.types import (
    ElicitRequestParams,
    ElicitResult,
    InputRequiredResult,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import SecretStr
from server.as_a_host import both_eras, by_hand, call, host, said
from server.in_a_process import ClockInAFile, Desktop
from server.on_a_port import initialize, zinc_on_a_port
from server.visitor import Shown, forms, visitor, words
from started import Started
from wanted import ADDRESS, arguments, book, intent

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.deciding import decide as decisions
from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.pin import hashed
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Clocks
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.server.pages.browser import page_beside
from zinc_mcp.wiring import open_process

unix = pytest.mark.skipif(sys.platform == "win32", reason="signals and pseudo-terminals")
WriteConfig = Callable[[str], Path]
PRIVATE = ("Planted Street", "10001", "212-555-0147", "2125550147")


@pytest.fixture
def clock() -> Callable[[], float]:
    return time.time


@pytest.fixture
def started(tmp_path: Path, write_config: WriteConfig) -> Started:
    write_config('[policy]\napproval = "auto"\n')
    return Started(tmp_path)


def configured(started: Started, origin: str, **more: str) -> dict[str, str]:
    return {**started.environment, "ZINC_API_URL": origin, "ZINC_API_KEY": "zn_test_planted-secret", **more}


@asynccontextmanager
async def stdio_host(environ: dict[str, str], log: Path) -> AsyncGenerator[Client]:
    """Be a host that cannot ask, with a server of its own over real pipes."""
    [program, *given] = preloaded.command("zinc_mcp")
    parameters = StdioServerParameters(command=program, args=given, env=environ)
    with log.open("w", encoding="utf-8") as errors:
        async with Client(stdio_client(parameters, errlog=errors), mode="legacy") as client:
            yield client


async def terminal(environ: dict[str, str], command: str, key: str, *typed: tuple[str, str]) -> tuple[int, str]:
    return await anyio.to_thread.run_sync(lambda: at_a_terminal([command, key], environ, typed))


YES = ("Type yes", "yes")


@unix
async def test_a_server_whose_call_was_answered_long_ago_sends_soon_after_a_yes_in_a_terminal(
    started: Started, zinc: FakeZinc, tmp_path: Path
) -> None:
    async with zinc_on_a_port(zinc) as origin, stdio_host(configured(started, origin), tmp_path / "log") as client:
        waiting = ""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "place_order", arguments())
            waiting = await until_waiting(started.home)
            tasks.cancel_scope.cancel()  # the host gives up, as it would after a minute
        code, screen = await terminal(started.environment, "approve", waiting, YES)
        assert (code, len(zinc.posts)) == (0, 1), screen
        assert "Ordered." in screen
        told = await call(client, "get_order", {"order_id": waiting})
    assert told["outcome"] == "accepted"


async def until_waiting(home: Path) -> str:
    with anyio.fail_after(20):
        while True:
            entries = await anyio.to_thread.run_sync(lambda: journal_of(home)[0])
            if entries and (entries[0].consent or {}).get("question"):
                return entries[0].key
            await anyio.sleep(0.05)


@unix
async def test_a_process_killed_while_it_asked_leaves_one_order_after_a_yes(
    started: Started, zinc: FakeZinc, tmp_path: Path
) -> None:
    async with zinc_on_a_port(zinc) as origin:
        environ = configured(started, origin)
        key = await asked_and_killed(environ, started.home)
        screens: list[str] = []
        told: dict[str, Any] = {}

        async def decide() -> None:
            # The terminal has no key to pay with: the decision is written down, and nobody is there to send it.
            screens.append((await terminal(started.environment, "approve", key, YES))[1])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(decide)
            while not any(event.what.startswith("approved") for event in journal_of(started.home)[1]):
                await anyio.sleep(0.05)
            assert zinc.posts == []
            async with stdio_host(environ, tmp_path / "log") as client:
                told = await call(client, "get_order", {"order_id": key, "wait_seconds": 10})
                while told["outcome"] in ("waiting", "sending"):
                    told = await call(client, "get_order", {"order_id": key, "wait_seconds": 10})
        assert "Approved." in screens[0]
        assert "Ordered." in screens[0]
    assert told["outcome"] == "accepted"
    assert len(zinc.posts) == len(zinc.orders) == 1


async def asked_and_killed(environ: dict[str, str], home: Path) -> str:
    """Let a server ask, and kill it while it waits for the answer."""
    process = await anyio.open_process(preloaded.command("zinc_mcp"), env=environ)
    async with process:
        assert process.stdin is not None
        place = {"name": "place_order", "arguments": arguments()}
        for message in (
            initialize(),
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": place},
        ):
            await process.stdin.send(json.dumps(message).encode() + b"\n")
        key = await until_waiting(home)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    return key


@unix
async def test_a_process_killed_while_it_asked_gives_its_reservation_back_when_nobody_says_yes(
    started: Started, zinc: FakeZinc
) -> None:
    async with zinc_on_a_port(zinc) as origin:
        key = await asked_and_killed(configured(started, origin), started.home)
        with Journal.open(f"sqlite:///{started.home / 'journal.db'}") as journal:
            assert journal.counted("local", "test", 86_400) == (5100, 1)
        settings = Settings(
            home=started.home,
            config=started.config,
            api_key=SecretStr("zn_test_planted-secret"),
            api_url=origin,
            browser=False,
        )
        async with open_process(settings, clock=lambda: time.time() + 601) as ours:
            assert entry_of(await look(ours, "local", key)).state == "refused"
    [entry] = journal_of(started.home)[0]
    assert (entry.state, entry.counts_cents, (entry.problem or {})["code"]) == ("refused", 0, "approval_expired")
    assert zinc.posts == []


async def test_of_200_orders_by_four_processes_at_once_a_limit_that_admits_ten_admits_ten(
    started: Started, zinc: FakeZinc, write_config: WriteConfig, tmp_path: Path
) -> None:
    write_config('[policy]\napproval = "none"\nmax_order = 5100\nmax_day = 51000\n')
    start = tmp_path / "start"
    async with zinc_on_a_port(zinc) as origin:
        environ = configured(started, origin)
        ended: list[dict[str, int]] = []

        async def buyer(number: int) -> None:
            given = [str(number), str(tmp_path / f"ready {number}"), str(start)]
            done = await anyio.to_thread.run_sync(
                lambda: preloaded.finished(given, environ, program="server.fifty_buyer")
            )
            ended.append(json.loads(done.stdout))

        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                for number in range(4):
                    tasks.start_soon(buyer, number)
                while len(list(tmp_path.glob("ready *"))) < 4:
                    await anyio.sleep(0.02)
                start.touch()
    together = {name: sum(each.get(name, 0) for each in ended) for each in ended for name in each}
    assert together == {"accepted": 10, "limit_exceeded": 190}
    assert len(zinc.posts) == len(zinc.orders) == 10
    entries, events = journal_of(started.home)
    held: dict[int, int] = {}
    for event in sorted(events, key=lambda event: (event.at, event.entry_id, event.version)):
        held[event.entry_id] = int(event.detail.get("reserved_cents", held.get(event.entry_id, 0)))
        assert sum(held.values()) <= 51_000, "at no event"
    assert sum(entry.counts_cents for entry in entries) == 51_000


@unix
@pytest.mark.parametrize("command", ["approve", "decline"])
async def test_a_page_and_a_terminal_that_decide_at_once_are_one_decision(
    started: Started, zinc: FakeZinc, open_test_process: OpenProcess, clocks: Clocks, command: str
) -> None:
    shown = Shown()
    async with (
        open_test_process(clocks=replace(clocks, heed_seconds=0.05)) as ours,
        page_beside(ours, show=shown) as page,
    ):
        entry = entry_of(await place_order.place(ours, intent()))
        await page.offer(entry)
        async with visitor(shown.address) as person:
            await person.open(shown.secret)
            form = next(each.fields for each in forms(person.page) if "about" in each.fields)
            typed = (YES,) if command == "approve" else ()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: terminal(started.environment, command, entry.key, *typed))
                await anyio.sleep(0.5)
                for _ in range(3):
                    tasks.start_soon(lambda: person.send(**form, decision="yes"))
            on_the_page = await person.look()
    [entry] = journal_of(started.home)[0]
    decisions = [event for event in journal_of(started.home)[1] if event.what.startswith(("approved", "declined"))]
    assert len(decisions) == 1
    assert len(zinc.posts) == (1 if entry.state == "accepted" else 0)
    assert ("Ordered" in on_the_page) == (entry.state == "accepted")


async def test_an_answer_that_is_replayed_or_given_many_times_at_once_is_one_order(
    started: Started, zinc: FakeZinc, open_test_process: OpenProcess
) -> None:
    zinc.script = ["slow"]
    states: list[str | None] = []

    async with open_test_process() as ours, by_hand(ours) as client:
        first = await client.session.call_tool("place_order", arguments(), allow_input_required=True)
        assert isinstance(first, InputRequiredResult)
        yes: dict[str, Any] = {"consent": ElicitResult(action="accept", content={"approve": True})}

        async def answer() -> None:
            result = await client.session.call_tool(
                "place_order",
                arguments(),
                input_responses=yes,
                request_state=first.request_state,
                allow_input_required=True,
            )
            assert not isinstance(result, InputRequiredResult)
            facts = said(result)
            states.append(facts.get("code") or facts["outcome"])

        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(answer)
        await answer()
    assert len(zinc.posts) == len(zinc.orders) == 1
    assert "accepted" in states
    assert states[-1] == "accepted", "the question is closed, and a second answer says how the order stands"


@pytest.mark.parametrize(
    "changes",
    [
        {"max_price": 5001},
        {"products": book(7)},
        {"shipping_address": {**ADDRESS, "city": "Albany"}},
        {"metadata": {"note": "x"}},
        {"is_gift": True},
    ],
    ids=["price", "product", "address", "notes", "gift"],
)
async def test_an_answer_after_the_order_changed_buys_nothing(
    started: Started, zinc: FakeZinc, open_test_process: OpenProcess, changes: dict[str, Any]
) -> None:
    async with open_test_process() as ours, by_hand(ours) as client:
        first = await client.session.call_tool("place_order", arguments(), allow_input_required=True)
        assert isinstance(first, InputRequiredResult)
        with pytest.raises(MCPError, match="requestState"):  # the SDK seals it with the arguments it was asked about
            await client.session.call_tool(
                "place_order",
                arguments(**changes),
                input_responses={"consent": ElicitResult(action="accept", content={"approve": True})},
                request_state=first.request_state,
                allow_input_required=True,
            )
    assert zinc.posts == []
    assert [entry.state for entry in journal_of(started.home)[0]] == ["waiting"], "the question that was asked stands"


@pytest.mark.sampled(6)
@both_eras
@pytest.mark.parametrize(
    "content",
    [None, {}, {"approve": "yes"}, {"approve": "no"}, {"approve": 1}, {"approve": 0}, {"approved": True}],
    ids=str,
)
async def test_a_dialogue_that_was_accepted_without_a_plain_answer_is_neither_yes_nor_no(
    started: Started,
    zinc: FakeZinc,
    open_test_process: OpenProcess,
    clocks: Clocks,
    mode: str,
    content: dict[str, Any] | None,
) -> None:
    async def accept(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content=content)

    async with (
        open_test_process(clocks=replace(clocks, answer_seconds=0.5)) as ours,
        Client(build_server(ours), mode=mode, elicitation_callback=accept) as client,
    ):
        told = await call(client, "place_order", arguments())
        assert told["outcome"] == "waiting"
        assert "gave no usable answer" in told["next_step"]
        assert f"approve {told['key']}" in told["next_step"]
        assert zinc.posts == []
        [waiting] = await questions_for(ours, "local")
        await decisions.decide(ours, yes(waiting, how="terminal"))
    assert len(zinc.posts) == 1, "the question stood, so a person could still say yes"


@both_eras
@pytest.mark.parametrize(
    "answer", [ElicitResult(action="decline"), ElicitResult(action="accept", content={"approve": False})]
)
async def test_a_decline_and_a_plain_false_are_a_no(
    started: Started, zinc: FakeZinc, open_test_process: OpenProcess, mode: str, answer: ElicitResult
) -> None:
    async def refuse(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return answer

    async with (
        open_test_process() as ours,
        Client(build_server(ours), mode=mode, elicitation_callback=refuse) as client,
    ):
        told = await call(client, "place_order", arguments())
    assert told["outcome"] == "declined"
    assert zinc.posts == []


@unix
@pytest.mark.parametrize(
    "answer",
    [{"error": {"code": -32603, "message": "no screen"}}, {"result": {"action": "perhaps"}}, {"result": {}}],
    ids=["an error", "another action", "nothing"],
)
async def test_a_host_whose_dialogue_fails_is_one_that_cannot_ask(
    started: Started, zinc: FakeZinc, clocks: Clocks, tmp_path: Path, answer: dict[str, Any]
) -> None:
    desktop, clock = Desktop(tmp_path), ClockInAFile(tmp_path / "time")
    opening = initialize()
    opening["params"]["capabilities"] = {"elicitation": {}}
    place = {"name": "place_order", "arguments": arguments()}
    own = {"ZINC_MCP_HOME": str(started.home), "ZINC_API_KEY": "zn_test_planted-secret"}
    async with zinc_on_a_port(zinc) as origin:
        own["ZINC_API_URL"] = origin
        async with desktop.started(own, replace(clocks, answer_seconds=0.2), clock) as (answers, messages):

            async def tell(message: dict[str, Any]) -> None:
                await messages.send(SessionMessage(jsonrpc_message_adapter.validate_python(message)))

            await tell(opening)
            await tell({"jsonrpc": "2.0", "method": "notifications/initialized"})
            await tell({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": place})
            facts: dict[str, Any] = {}
            with anyio.fail_after(40):
                while not facts:
                    message = (await answers.receive()).message
                    if isinstance(message, JSONRPCRequest):
                        assert message.method == "elicitation/create"
                        await tell({"jsonrpc": "2.0", "id": message.id, **answer})
                    elif isinstance(message, JSONRPCResponse) and message.id == 2:
                        facts = message.result["structuredContent"]
    assert facts["outcome"] == "waiting"
    assert facts["next_step"].startswith(("The host's dialogue failed.", "The host gave no usable answer"))
    assert "open in their browser" in facts["next_step"]
    assert zinc.posts == []


@both_eras
async def test_a_saved_address_shows_nothing_private_in_any_result_question_or_log(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clocks: Clocks,
    home: Path,
    mode: str,
    caplog: pytest.LogCaptureFixture,
    started: Started,
) -> None:
    caplog.set_level(logging.DEBUG)
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        journal.save_address("home", ADDRESS)
    seen: list[str] = []

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        seen.append(params.message)
        return ElicitResult(action="accept", content={"approve": True})

    async with open_test_process(clocks=replace(clocks, answer_seconds=0.2)) as ours:
        async with Client(build_server(ours), mode=mode, elicitation_callback=agree) as client:
            placed = await call(client, "place_order", arguments(shipping_address={"saved": "Home"}))
            seen.append(json.dumps(placed))
            while not zinc.orders or ours.attempts:  # on a busy machine the call was answered before Zinc
                await anyio.sleep(0.01)
            [order_id] = zinc.orders
            zinc.settle(order_id, 4_000)
            seen.append(json.dumps(await call(client, "get_order", {"order_id": placed["key"]})))
        async with host(ours, mode) as client:
            other = arguments(shipping_address={"saved": "home"}, products=book(2))
            result = await client.call_tool("place_order", other)
            seen.append(result.model_dump_json())
    assert zinc.bodies()[0]["shipping_address"]["address_line1"] == "12 Planted Street"
    assert "your saved address “Home”: Ada Buyer, New York, US" in seen[0]
    assert placed["ship_to"] == {"saved": "Home", "city": "New York", "country": "US"}
    logged = [
        record.getMessage() for record in caplog.records if record.name.split(".")[0] in ("zinc_mcp", "mcp", "root")
    ]
    for private in PRIVATE:
        assert private not in "\n".join([*seen, *logged]), private


async def test_with_saved_addresses_only_any_other_is_refused_whatever_the_model_says(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "none"\nship_to = "saved"\n')
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        journal.save_address("home", ADDRESS)
    async with open_test_process() as ours, host(ours, "legacy") as client:
        for address in (dict(ADDRESS), {**ADDRESS, "saved": "home"}, {"saved": "nowhere"}):
            result = await client.call_tool("place_order", arguments(shipping_address=address))
            assert result.is_error
            assert zinc.posts == []
        await call(client, "place_order", arguments(shipping_address={"saved": "home"}))
    assert len(zinc.posts) == 1


@both_eras
async def test_while_a_pin_is_set_a_host_s_dialogue_is_no_consent(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, home: Path, mode: str, started: Started
) -> None:
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        journal.set_pin(hashed("2468"))

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        raise AssertionError("nobody is asked there")

    async with open_test_process(clocks=replace(clocks, answer_seconds=0.2)) as ours:
        async with Client(build_server(ours), mode=mode, elicitation_callback=agree) as client:
            told = await call(client, "place_order", arguments())
        with pytest.raises(RefusedError) as refused:
            [waiting] = await questions_for(ours, "local")
            await decisions.decide(ours, yes(waiting, how="elicitation"))
    assert (told["outcome"], refused.value.code) == ("waiting", "approval_required")
    assert f"approve {told['key']}" in told["next_step"]
    assert zinc.posts == []


FAKE_BROWSER = """#!/bin/sh
printf '%s\\n' "$@" > "$0.seen"
tr '\\0' '\\n' < /proc/self/environ >> "$0.environ"
echo "what a browser prints"
"""


@unix
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
async def test_a_stdio_server_opens_the_browser_and_its_page_ends_with_it(
    started: Started, zinc: FakeZinc, tmp_path: Path
) -> None:
    browser = tmp_path / "browser"
    browser.write_text(FAKE_BROWSER, encoding="utf-8")
    browser.chmod(0o755)
    own = {"BROWSER": str(browser), "ZINC_MCP_BROWSER": "1", "SSH_CONNECTION": ""}  # the tests may run over SSH
    told: list[str] = []
    shown, seen = Shown(), tmp_path / "browser.seen"
    async with zinc_on_a_port(zinc) as origin:
        async with stdio_host(configured(started, origin, **own), tmp_path / "log") as client:

            async def place() -> None:
                told.append((await client.call_tool("place_order", arguments())).model_dump_json())

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(place)
                with anyio.fail_after(20):
                    while not seen.exists() or not seen.read_text(encoding="utf-8"):
                        await anyio.sleep(0.05)
                path = Path(seen.read_text(encoding="utf-8").strip().removeprefix("file://"))
                assert path.parent == started.home
                shown(path)
                async with visitor(shown.address) as person:
                    assert (await person.open(shown.secret)).status_code == 200
                    assert "Ordered" in words((await person.decide("yes")).text)
            assert not shown.paths[0].exists()
        async with visitor(shown.address) as person:
            with pytest.raises(Exception, match="connect"):
                await person.open(shown.secret)
    assert '"outcome":"accepted"' in told[0]
    assert len(zinc.posts) == 1
    noise = (tmp_path / "log").read_text(encoding="utf-8")
    environ = (tmp_path / "browser.environ").read_text(encoding="utf-8")
    for where in (told[0], noise, seen.read_text(encoding="utf-8"), environ):
        assert shown.secret not in where
    assert "planted-secret" not in environ
    assert "what a browser prints" not in noise
