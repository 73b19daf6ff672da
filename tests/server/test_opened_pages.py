"""A host that opens the approval page for its person gives no yes by any of its answers."""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.lowlevel
import httpx
import pytest
from conftest import OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from journals import entry_of
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.shared.message import SessionMessage
from mcp.types import (
    ElicitCompleteNotification,
    ElicitRequestParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from server.as_a_host import both_eras, call, said
from server.in_a_process import ClockInAFile, Desktop
from server.on_a_port import connected, initialize, served, zinc_on_a_port
from server.test_ways_of_asking import declaring, unix
from server.visitor import Shown, visitor, words
from wanted import arguments, book, intent

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.deciding import decide as decisions
from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.owner.members import add_member
from zinc_mcp.process import Clocks
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.server.pages.browser import page_beside

ACCEPTS: Sequence[dict[str, Any] | None] = (
    None,
    {},
    {"approve": True},
    {"approve": "true"},
    {"decision": "yes"},
    {"consent": True, "page": True, "yes": 1},
)


@pytest.fixture
def clocks(clocks: Clocks) -> Clocks:
    """Let a call wait for two seconds for its yes, which comes after the call in these tests."""
    return replace(clocks, answer_seconds=2.0)


@pytest.fixture(autouse=True)
def on_the_page_only(write_config: Callable[[str], Path]) -> None:
    write_config('[policy]\napproval = "page"\nmax_day = 1000000\n')


@pytest.fixture
def only_addresses() -> Generator[None]:
    """Let every host declare that it opens addresses and shows no forms."""
    with declaring("url"):
        yield


@dataclass
class Host:
    """Offers its person the page, and answers as it is told to."""

    answer: ElicitResult = field(default_factory=lambda: ElicitResult(action="accept"))
    before: Callable[[ElicitRequestURLParams], Any] | None = None
    asked: list[ElicitRequestURLParams] = field(default_factory=list[ElicitRequestURLParams])

    async def open(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert isinstance(params, ElicitRequestURLParams)
        self.asked.append(params)
        if self.before is not None:
            await self.before(params)
        return self.answer


def quick(clocks: Clocks, seconds: float = 0.3) -> Clocks:
    return replace(clocks, answer_seconds=seconds, form_seconds=seconds)


any_way = pytest.mark.parametrize("approval", ["page", "auto"])
"""Only the page may decide, or a form might. A host that shows no forms gets the page in both cases."""


@pytest.mark.sampled(2)
@any_way
@both_eras
async def test_no_accept_ever_buys(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clocks: Clocks,
    write_config: Callable[[str], Path],
    mode: str,
    approval: str,
    only_addresses: None,
) -> None:
    write_config(f'[policy]\napproval = "{approval}"\nmax_day = 1000000\n')
    async with open_test_process(clocks=quick(clocks)) as process, page_beside(process, show=Shown()) as page:
        for number, content in enumerate(ACCEPTS):
            host = Host(ElicitResult(action="accept", content=content))
            async with Client(build_server(process, page), mode=mode, elicitation_callback=host.open) as client:
                for _ in range(3):
                    told = await call(client, "place_order", arguments(products=book(number)))
                    assert told["outcome"] == "waiting"
            assert len(host.asked) >= 1
        for waiting in await questions_for(process, "local"):
            assert (waiting.consent or {}).get("decision") is None
    assert zinc.posts == []


@any_way
async def test_no_content_of_a_second_call_buys(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clocks: Clocks,
    write_config: Callable[[str], Path],
    approval: str,
    only_addresses: None,
) -> None:
    write_config(f'[policy]\napproval = "{approval}"\n')
    async with open_test_process(clocks=quick(clocks)) as process, page_beside(process, show=Shown()) as page:
        async with Client(build_server(process, page), mode="auto", elicitation_callback=Host().open) as client:
            asked = await client.session.call_tool("place_order", arguments(), allow_input_required=True)
            assert isinstance(asked, InputRequiredResult)
            assert list(asked.input_requests or {}) == ["page"]
            for content in ACCEPTS:
                accept = ElicitResult(action="accept", content=content)
                for names in (["page"], ["consent"], ["page", "consent"], ["approve"], []):
                    result = await client.session.call_tool(
                        "place_order",
                        arguments(),
                        input_responses=dict.fromkeys(names, accept),
                        request_state=asked.request_state,
                        allow_input_required=True,
                    )
                    assert not isinstance(result, InputRequiredResult)
                    assert said(result)["outcome"] == "waiting"
    assert zinc.posts == []


async def test_a_form_s_yes_counts_no_more_once_only_the_page_may_decide(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, write_config: Callable[[str], Path]
) -> None:
    write_config('[policy]\napproval = "auto"\n')

    async def never(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        raise AssertionError("the second leg is driven by hand")

    async with open_test_process(clocks=quick(clocks)) as process, page_beside(process, show=Shown()) as page:
        async with Client(build_server(process, page), mode="auto", elicitation_callback=never) as client:
            asked = await client.session.call_tool("place_order", arguments(), allow_input_required=True)
            assert isinstance(asked, InputRequiredResult)
            assert list(asked.input_requests or {}) == ["consent"]
            write_config('[policy]\napproval = "page"\n')
            result = await client.session.call_tool(
                "place_order",
                arguments(),
                input_responses={"consent": ElicitResult(action="accept", content={"approve": True})},
                request_state=asked.request_state,
                allow_input_required=True,
            )
            assert not isinstance(result, InputRequiredResult)
            assert said(result)["outcome"] == "waiting"
    assert zinc.posts == []


@pytest.mark.sampled(2)
@both_eras
@pytest.mark.parametrize("decision", ["yes", "no"])
@pytest.mark.parametrize("when", ["before the host answers", "after it"])
async def test_the_call_tells_the_decision_made_on_the_page(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clocks: Clocks,
    mode: str,
    decision: str,
    when: Literal["before the host answers", "after it"],
) -> None:
    shown = Shown()
    told: dict[str, Any] = {}
    async with open_test_process(clocks=quick(clocks, 10.0)) as process, page_beside(process, show=shown) as page:

        async def decide() -> None:
            while not shown.paths:
                await anyio.sleep(0.01)
            async with visitor(shown.address) as person:
                await person.open(shown.secret)
                await person.decide(decision)

        async def before(params: ElicitRequestURLParams) -> None:
            if when == "before the host answers":
                [waiting] = await questions_for(process, "local")
                await page.offer(waiting)
                await decide()

        host = Host(before=before)
        async with Client(build_server(process, page), mode=mode, elicitation_callback=host.open) as client:
            async with anyio.create_task_group() as tasks:
                if when == "after it":
                    tasks.start_soon(decide)
                told = await call(client, "place_order", arguments())
        assert host.asked[0].url == shown.address
    assert told["outcome"] == ("accepted" if decision == "yes" else "declined")
    assert len(zinc.posts) == (decision == "yes")


@both_eras
async def test_decline_is_a_no_and_cancel_leaves_the_question_open(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, mode: str
) -> None:
    shown = Shown()
    async with open_test_process(clocks=quick(clocks, 3.0)) as process, page_beside(process, show=shown) as page:
        told: dict[str, dict[str, Any]] = {}
        for number, action in enumerate(("decline", "cancel")):
            host = Host(ElicitResult(action=action))  # pyright: ignore[reportArgumentType]
            async with Client(build_server(process, page), mode=mode, elicitation_callback=host.open) as client:
                told[action] = await call(client, "place_order", arguments(products=book(number)))
        [waiting] = await questions_for(process, "local")
        assert told["decline"]["outcome"] == "declined"
        assert (told["cancel"]["outcome"], told["cancel"]["key"]) == ("waiting", waiting.key)
        assert "dialogue ended without an answer" in told["cancel"]["next_step"]
        assert len(shown.paths) == 1, "the window came for the question that still stands"
        assert zinc.posts == []
        await decisions.decide(process, yes(waiting))
    assert len(zinc.posts) == 1


@both_eras
async def test_the_address_lets_nobody_in_and_is_in_no_result(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    shown, host = Shown(), Host()
    async with open_test_process(clocks=quick(clocks)) as process, page_beside(process, show=shown) as page:
        async with Client(build_server(process, page), mode=mode, elicitation_callback=host.open) as client:
            result = await client.call_tool("place_order", arguments())
        [asked] = host.asked
        async with httpx.AsyncClient() as anybody:
            for method in ("GET", "HEAD"):
                assert (await anybody.request(method, asked.url)).status_code in (403, 405)
            looked = await anybody.get(asked.url)
            tried = await anybody.post(asked.url, data={"decision": "yes"}, headers={"Origin": asked.url[:21]})
        assert "look there" in words(looked.text)
        assert tried.status_code == 403
    for private in ("Planted", "Ada", shown.secret):
        assert private not in looked.text + asked.url + asked.message
    assert asked.url not in result.model_dump_json() + caplog.text
    assert shown.secret not in result.model_dump_json() + caplog.text
    assert "Opening the page buys nothing" in asked.message
    assert zinc.posts == []


@both_eras
async def test_without_a_browser_here_no_host_is_sent_to_an_address(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, mode: str
) -> None:
    host = Host()
    async with open_test_process(clocks=quick(clocks)) as process:  # no page: a terminal
        async with Client(build_server(process), mode=mode, elicitation_callback=host.open) as client:
            told = await call(client, "place_order", arguments())
    assert host.asked == []
    assert f"approve {told['key']}" in told["next_step"]


@both_eras
async def test_a_member_s_host_opens_the_page_that_only_the_member_can_use(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, home: Path, mode: str
) -> None:
    host = Host()
    async with open_test_process(clocks=quick(clocks)) as process:
        ada, bob = (add_member(home / "members.json", name) for name in ("ada", "bob"))
        async with served(process) as origin:
            async with connected(origin, "mcp", mode, ada, asks=host.open) as client:
                told = await call(client, "place_order", arguments())
            [asked] = host.asked
            async with visitor(asked.url) as stranger:
                assert (await stranger.client.get(asked.url)).status_code == 401
                assert (await stranger.sign_in(bob)).status_code == 404, "another member sees nothing of it"
            assert zinc.posts == []
            async with visitor(asked.url) as member:
                assert (await member.sign_in(ada)).status_code == 200
                await member.decide("yes")
    assert told["outcome"] == "waiting"
    assert asked.url.removeprefix(origin).removeprefix("/approve/").isdecimal()
    assert len(zinc.posts) == 1


async def test_the_older_era_s_host_is_told_when_the_page_has_done_its_work(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    shown, host, heard = Shown(), Host(), list[Any]()

    async def hear(message: Any) -> None:
        heard.append(message)

    async with open_test_process(clocks=quick(clocks)) as process, page_beside(process, show=shown) as page:
        server = build_server(process, page)
        async with Client(server, mode="legacy", elicitation_callback=host.open, message_handler=hear) as client:
            told = await call(client, "place_order", arguments())
            assert told["outcome"] == "waiting"
            assert not any(isinstance(each, ElicitCompleteNotification) for each in heard)
            async with visitor(shown.address) as person:
                await person.open(shown.secret)
                await person.decide("yes")
            with anyio.fail_after(5):
                while not (done := [each for each in heard if isinstance(each, ElicitCompleteNotification)]):
                    await anyio.sleep(0.05)
    assert [each.params.elicitation_id for each in done] == [host.asked[0].elicitation_id]


async def test_a_host_that_opened_the_page_often_is_told_once_when_it_has_done_its_work(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    shown, host, heard = Shown(), Host(), list[Any]()

    async def hear(message: Any) -> None:
        heard.append(message)

    async with open_test_process(clocks=quick(clocks)) as process, page_beside(process, show=shown) as page:
        server = build_server(process, page)
        async with Client(server, mode="legacy", elicitation_callback=host.open, message_handler=hear) as client:
            for _ in range(4):
                assert (await call(client, "place_order", arguments()))["outcome"] == "waiting"
            host.answer = ElicitResult(action="cancel")
            assert (await call(client, "place_order", arguments()))["outcome"] == "waiting"
            async with visitor(shown.address) as person:
                await person.open(shown.secret)
                await person.decide("yes")
            await anyio.sleep(2.5)
    done = [each for each in heard if isinstance(each, ElicitCompleteNotification)]
    assert len(host.asked) == 5, "each time anew: the person may have closed the page"
    assert [each.params.elicitation_id for each in done] == [host.asked[0].elicitation_id]
    assert {each.elicitation_id for each in host.asked} == {host.asked[0].elicitation_id}


@unix
async def test_a_version_that_knows_no_addresses_is_sent_none(
    zinc: FakeZinc, clocks: Clocks, home: Path, tmp_path: Path
) -> None:
    desktop, clock = Desktop(tmp_path), ClockInAFile(tmp_path / "time")
    opening = initialize()
    opening["params"] |= {"protocolVersion": "2025-06-18", "capabilities": {"elicitation": {"form": {}, "url": {}}}}
    own = {"ZINC_MCP_HOME": str(home), "ZINC_API_KEY": "zn_test_planted-secret"}
    place = {"name": "place_order", "arguments": arguments()}
    async with zinc_on_a_port(zinc) as origin:
        own["ZINC_API_URL"] = origin
        async with desktop.started(own, quick(clocks, 0.5), clock) as (answers, messages):
            for message in (
                opening,
                {"jsonrpc": "2.0", "method": "notifications/initialized"},
                {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": place},
            ):
                await messages.send(SessionMessage(jsonrpc_message_adapter.validate_python(message)))
            facts: dict[str, Any] = {}
            with anyio.fail_after(40):
                while not facts:
                    message = (await answers.receive()).message
                    assert not isinstance(message, JSONRPCRequest)
                    if isinstance(message, JSONRPCResponse) and message.id == 2:
                        facts = message.result["structuredContent"]
    assert facts["outcome"] == "waiting"
    assert "open in their browser" in facts["next_step"]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("steps", range(12))
async def test_a_call_cancelled_while_the_page_starts_leaves_nothing_that_keeps_the_process(
    open_test_process: OpenProcess, steps: int
) -> None:
    async with open_test_process() as process:
        entry = entry_of(await place_order.place(process, intent()))
        async with page_beside(process, show=Shown()) as page:
            async with anyio.create_task_group() as call:
                call.start_soon(page.address, entry)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                call.cancel_scope.cancel()
            addresses = {await page.address(entry) for _ in range(2)}
            began = time.monotonic()
    assert len(addresses) == 1
    assert time.monotonic() - began < 4, "it would be cut off after five seconds"
