"""A host's dialogue counts only a real answer, in time, and other ways to decide close it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import OpenProcess
from deciding import no, yes
from fake_zinc import FakeZinc
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult, InputRequiredResult
from server.as_a_host import both_eras, by_hand, call, said
from server.on_a_port import TRANSPORTS, connected, served, token_in
from wanted import BOOK, arguments, intent

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.deciding import decide as decisions
from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.checkout.watch import entry_with_key
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.records.decision import Decision
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.process import Clocks, Process
from zinc_mcp.server.mcp.dialogue import MOST_DIALOGUES
from zinc_mcp.server.mcp.server import build_server

YES = ElicitResult(action="accept", content={"approve": True})


@pytest.fixture(autouse=True)
def ask_always(write_config: Callable[[str], Path]) -> None:
    write_config('[policy]\napproval = "auto"\n')


@dataclass
class Person:
    """Sits before a host's dialogue and answers when the test lets them."""

    answer: ElicitResult = field(default_factory=lambda: YES)
    may_answer: anyio.Event = field(default_factory=anyio.Event)
    asked: anyio.Event = field(default_factory=anyio.Event)
    times: int = 0
    """The number of times that they were asked."""
    closed: anyio.Event = field(default_factory=anyio.Event)
    """The dialogue was taken from the screen."""

    async def decide(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.asked.set()
        self.times += 1
        try:
            await self.may_answer.wait()
        except BaseException:
            self.closed.set()
            raise
        return self.answer


def short(clocks: Clocks) -> Clocks:
    """Return clocks with which a tool answers before a slow person does."""
    return replace(clocks, answer_seconds=0.6, form_seconds=0.3)


async def states(process: Process, key: str, *ended: str) -> Entry:
    """Wait until an entry is in one of these states."""
    with anyio.fail_after(10):
        while True:
            entry = await entry_with_key(process, key)
            if entry is not None and entry.state in ended:
                return entry
            await anyio.sleep(0.02)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (YES, "accepted"),
        (ElicitResult(action="decline"), "declined"),
        (ElicitResult(action="accept", content={"approve": False}), "declined"),
    ],
    ids=["yes", "decline", "false"],
)
async def test_an_answer_after_the_tool_has_answered_counts(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, answer: ElicitResult, state: str
) -> None:
    person = Person(answer)
    async with open_test_process(clocks=short(clocks)) as process:
        server = build_server(process)
        async with Client(server, mode="legacy", elicitation_callback=person.decide) as client:
            with anyio.fail_after(5):
                told = await call(client, "place_order", arguments())
            assert told["outcome"] == "waiting"
            assert "still open in the host's dialogue" in told["next_step"]
            assert f"approve {told['key']}" in told["next_step"]
            assert zinc.posts == []
            person.may_answer.set()
            await states(process, told["key"], state)
            followed = await call(client, "get_order", {"order_id": told["key"]})
    assert followed["outcome"] == state
    assert len(zinc.posts) == (state == "accepted")


async def test_the_host_hears_that_a_person_is_waited_for(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    person = Person()
    heard: list[str | None] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with open_test_process(clocks=short(clocks)) as process:
        async with Client(build_server(process), mode="legacy", elicitation_callback=person.decide) as client:
            await client.call_tool("place_order", arguments(), progress_callback=progress)
    assert "Waiting for the user's decision" in heard


async def test_a_dialogue_whose_call_was_cancelled_decides_nothing_any_more(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    person = Person()
    async with open_test_process(clocks=replace(clocks, answer_seconds=20.0)) as process:
        async with Client(build_server(process), mode="legacy", elicitation_callback=person.decide) as client:
            async with anyio.create_task_group() as host:
                host.start_soon(client.call_tool, "place_order", arguments())
                await person.asked.wait()
                host.cancel_scope.cancel()
            person.may_answer.set()
            await anyio.sleep(0.3)
            [waiting] = await questions_for(process, "local")
            assert zinc.posts == []
            await decisions.decide(process, yes(waiting, how="terminal"))
    assert len(zinc.posts) == 1, "the question itself stood for the page and the terminal"


@pytest.mark.parametrize("decided", [yes, no])
async def test_a_dialogue_is_taken_back_when_its_question_was_answered_elsewhere(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, decided: Callable[[Entry], Decision]
) -> None:
    person = Person()
    async with open_test_process(clocks=replace(clocks, answer_seconds=20.0)) as process:
        async with Client(build_server(process), mode="legacy", elicitation_callback=person.decide) as client:
            told: dict[str, Any] = {}

            async def place() -> None:
                told.update(await call(client, "place_order", arguments()))

            async with anyio.create_task_group() as host:
                host.start_soon(place)
                await person.asked.wait()
                [waiting] = await questions_for(process, "local")
                await decisions.decide(process, decided(waiting))
                with anyio.fail_after(5):
                    await person.closed.wait()
    assert told["outcome"] == ("accepted" if decided is yes else "declined")


@both_eras
@pytest.mark.parametrize("in_the_dialogue", [YES, ElicitResult(action="decline"), ElicitResult(action="cancel")])
async def test_a_dialogue_s_answer_after_a_yes_in_a_terminal_tells_the_order(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, mode: str, in_the_dialogue: ElicitResult
) -> None:
    async with open_test_process(clocks=replace(clocks, answer_seconds=20.0)) as process:

        async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
            [waiting] = await questions_for(process, "local")
            await decisions.decide(process, yes(waiting, how="terminal"))
            return in_the_dialogue

        async with Client(build_server(process), mode=mode, elicitation_callback=answer) as client:
            told = await call(client, "place_order", arguments())
    assert told["outcome"] == "accepted"
    assert "nothing was sent" not in f"{told['summary']} {told['next_step']}".lower()
    assert len(zinc.posts) == 1


@both_eras
async def test_a_yes_to_a_question_that_another_order_has_overtaken_is_asked_anew(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, mode: str
) -> None:
    async with open_test_process(clocks=replace(clocks, answer_seconds=4.0)) as process:

        async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
            await place_order.place(process, intent(products=[{"url": BOOK, "quantity": 3}]))
            return YES

        async with Client(build_server(process), mode=mode, elicitation_callback=answer) as client:
            told = await call(client, "place_order", arguments())
        assert told["outcome"] == "waiting"
        assert "another order like it has come" in told["next_step"]
        assert f"approve {told['key']}" in told["next_step"]
    assert zinc.posts == []


async def test_sealed_state_of_one_question_is_none_for_another(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process, by_hand(process) as client:
        first = await client.session.call_tool("place_order", arguments(), allow_input_required=True)
        assert isinstance(first, InputRequiredResult)
        [question] = await questions_for(process, "local")
        await decisions.decide(process, no(question))
        second = await client.session.call_tool("place_order", arguments(), allow_input_required=True)
        assert isinstance(second, InputRequiredResult)
        result = await client.session.call_tool(
            "place_order",
            arguments(),
            input_responses={"consent": YES},
            request_state=first.request_state,
            allow_input_required=True,
        )
        assert not isinstance(result, InputRequiredResult)
        assert said(result)["outcome"] == "declined"
        assert len(await questions_for(process, "local")) == 1, "the second question was not answered"
    assert zinc.posts == []


STILL_OPEN = "still open in the host's dialogue"


async def test_calls_that_ask_the_same_share_one_dialogue_and_one_of_them_bought(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    person = Person()
    told: list[dict[str, Any]] = []
    # Long enough for twenty calls at once on a busy machine.
    async with open_test_process(clocks=replace(short(clocks), answer_seconds=3.0)) as process:
        async with Client(build_server(process), mode="legacy", elicitation_callback=person.decide) as client:

            async def place() -> None:
                told.append(await call(client, "place_order", arguments()))

            for _ in range(3):
                async with anyio.create_task_group() as tasks:
                    for _ in range(20):
                        tasks.start_soon(place)
            assert {each["outcome"] for each in told} == {"waiting"}
            assert all(STILL_OPEN in each["next_step"] for each in told)
            assert person.times == 1
            key = told[0]["key"]
            person.may_answer.set()
            await states(process, key, "accepted")
    assert len(zinc.posts) == 1


async def test_a_yes_is_told_to_all_who_wait_for_it_and_as_new_to_one(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    person = Person()
    told: list[dict[str, Any]] = []
    async with open_test_process(clocks=replace(clocks, answer_seconds=20.0)) as process:
        async with Client(build_server(process), mode="legacy", elicitation_callback=person.decide) as client:

            async def place() -> None:
                told.append(await call(client, "place_order", arguments()))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(place)
                await person.asked.wait()
                for _ in range(5):
                    tasks.start_soon(place)
                await anyio.sleep(0.5)
                person.may_answer.set()
    assert [each["outcome"] for each in told] == ["accepted"] * 6
    assert [each["new_order"] for each in told].count(True) == 1
    assert (len(zinc.posts), person.times) == (1, 1)


async def test_a_cancelled_call_leaves_the_dialogue_to_another_that_listens(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    person = Person()
    told: list[dict[str, Any]] = []
    async with open_test_process(clocks=replace(clocks, answer_seconds=20.0)) as process:
        async with Client(build_server(process), mode="legacy", elicitation_callback=person.decide) as client:

            async def place() -> None:
                told.append(await call(client, "place_order", arguments()))

            async with anyio.create_task_group() as tasks:
                async with anyio.create_task_group() as first:
                    first.start_soon(place)
                    await person.asked.wait()
                    tasks.start_soon(place)
                    await anyio.sleep(0.3)
                    first.cancel_scope.cancel()
                await anyio.sleep(0.3)
                assert not person.closed.is_set()
                person.may_answer.set()
    assert [each["outcome"] for each in told] == ["accepted"]
    assert (len(zinc.posts), person.times) == (1, 1)


async def test_dialogues_of_one_caller_are_bounded_in_all_their_hosts(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    person = Person()
    async with open_test_process(clocks=short(clocks)) as process, AsyncExitStack() as hosts:
        server = build_server(process)
        told: list[dict[str, Any]] = []
        for _ in range(MOST_DIALOGUES + 2):
            host = Client(server, mode="legacy", elicitation_callback=person.decide)
            told.append(await call(await hosts.enter_async_context(host), "place_order", arguments()))
        assert person.times == MOST_DIALOGUES
        assert [STILL_OPEN in each["next_step"] for each in told] == [True] * MOST_DIALOGUES + [False] * 2
        assert all(f"approve {each['key']}" in each["next_step"] for each in told)
    assert zinc.posts == []


@asynccontextmanager
async def asked_by_a_call(process: Process) -> AsyncGenerator[dict[str, Any]]:
    """Place an order and wait for its dialogue; afterwards wait until the call has its answer and the dialogue closed.

    Yields the answer, which is empty until then.
    """
    person = Person()
    told: dict[str, Any] = {}
    async with Client(build_server(process), mode="legacy", elicitation_callback=person.decide) as client:

        async def place() -> None:
            told.update(await call(client, "place_order", arguments()))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(place)
            await person.asked.wait()
            yield told
        with anyio.fail_after(15):
            await person.closed.wait()


async def test_a_dialogue_that_closed_because_another_question_took_its_place_is_not_told_as_open(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    async with open_test_process(clocks=replace(clocks, answer_seconds=4.0, form_seconds=3.0)) as process:
        async with asked_by_a_call(process) as told:
            [waiting] = await questions_for(process, "local")
            await place_order.place(process, intent(products=[{"url": BOOK, "quantity": 3}]))
            with pytest.raises(RefusedError):
                await decisions.decide(process, yes(waiting))
    assert told["outcome"] == "waiting"
    assert STILL_OPEN not in told["next_step"]
    assert zinc.posts == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_dialogue_goes_out_before_the_answer_of_a_call_that_has_no_time_left(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, home: Path, transport: str
) -> None:
    person = Person()
    async with open_test_process(clocks=replace(clocks, answer_seconds=0.0)) as process, served(process) as origin:
        async with connected(origin, transport, "legacy", token_in(home), asks=person.decide) as client:
            told = await call(client, "place_order", arguments())
            assert told["outcome"] == "waiting"
            assert STILL_OPEN in told["next_step"]
            person.may_answer.set()
            await states(process, told["key"], "accepted")
    assert (len(zinc.posts), person.times) == (1, 1)


async def test_a_dialogue_that_a_stop_closed_while_the_call_waited_is_not_said_to_be_open(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    async with open_test_process(clocks=replace(clocks, answer_seconds=20.0, form_seconds=0.2)) as process:
        async with asked_by_a_call(process) as told:
            await anyio.sleep(0.5)  # the call waits for another answer by now
            process.stopping.set()
    assert told["outcome"] == "waiting"
    assert STILL_OPEN not in told["next_step"]
    assert "dialogue was closed" in told["next_step"]
    assert zinc.posts == []
