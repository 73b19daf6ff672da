"""Who must be asked, in every host: what is sent, what the model is told, and what the person saw.

{elicits, cannot, declines, cancels, answers late, disconnects} x {auto, host, page, none} x {stdio, Streamable HTTP,
SSE} x both eras. Nothing is sent without the consent that the mode demands.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx2
import pytest
from conftest import HandClock, OpenShop
from fake_zinc import FakeZinc
from journals import journal_of
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitRequestParams, ElicitResult
from serving.as_a_host import both_eras, said
from serving.on_a_port import served
from serving.visitor import Shown
from wanted import arguments, book

from zinc_mcp.ordering.clocks import Clocks
from zinc_mcp.serving.browser import page_beside
from zinc_mcp.serving.server import build_server

Person = Literal["elicits", "cannot", "declines", "cancels", "answers late", "disconnects"]
Mode = Literal["auto", "host", "page", "none"]
FORM_SECONDS = 0.2

PERSONS: tuple[Person, ...] = ("elicits", "cannot", "declines", "cancels", "answers late", "disconnects")


@dataclass(frozen=True)
class Row:
    """One cell: how many orders were sent, what the model was told, what the person saw."""

    sent: int
    told: str
    saw: str


BOUGHT_UNASKED = Row(1, "accepted", "nothing")
ON_THE_PAGE = Row(0, "waiting", "page")


def expected(person: Person, approval: Mode, era: str) -> Row:
    """Return the row of the table; the eras differ only in what an answer that comes too late meets."""
    if approval in ("host", "none"):
        return BOUGHT_UNASKED
    if approval == "page" or person == "cannot":
        return ON_THE_PAGE
    late = Row(0, "approval_expired", "dialogue") if era == "auto" else Row(0, "waiting", "dialogue and page")
    return {
        "elicits": Row(1, "accepted", "dialogue"),
        "declines": Row(0, "declined", "dialogue"),
        "cancels": Row(0, "waiting", "dialogue and page"),
        "answers late": late,
        "disconnects": Row(0, "nothing", "dialogue"),
    }[person]


@dataclass
class Somebody:
    """A person before a host: answers its dialogue as their kind does, and remembers what it said."""

    kind: Person
    era: str
    clock: HandClock
    read: list[str] = field(default_factory=list[str])
    gone: anyio.Event = field(default_factory=anyio.Event)

    async def answer(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.read.append(params.message)
        if self.kind == "declines":
            return ElicitResult(action="decline")
        if self.kind == "cancels":
            return ElicitResult(action="cancel")
        if self.kind == "disconnects":
            self.gone.set()
            await anyio.sleep_forever()
        if self.kind == "answers late":
            if self.era == "auto":
                self.clock.pass_seconds(601)
            else:
                await anyio.sleep(FORM_SECONDS + 0.3)
        return ElicitResult(action="accept", content={"approve": True})


@pytest.fixture
def impatient(clocks: Clocks, approval: Mode) -> Clocks:
    # Where nobody is waited for, a call has all the time that a busy machine may take.
    return replace(clocks, form=FORM_SECONDS, answer=0.5 if approval in ("auto", "page") else 10.0)


Connect = Callable[[Somebody], Any]


@asynccontextmanager
async def hosted(
    open_test_shop: OpenShop, clocks: Clocks, transport: str, era: str, shown: Shown
) -> AsyncGenerator[Connect]:
    """Run one server, and give what connects a host to it."""
    async with open_test_shop(clocks=clocks) as shop:
        if transport == "stdio":
            # The same server and page as over stdin and stdout; what a pipe adds is tested with a process of its own.
            async with page_beside(shop, show=shown) as page:
                server = build_server(shop, page)

                @asynccontextmanager
                async def in_memory(person: Somebody) -> AsyncGenerator[Client]:
                    async with Client(server, mode=era, **asks(person)) as client:
                        yield client

                yield in_memory
            return
        async with served(shop, show=shown) as origin:

            @asynccontextmanager
            async def on_the_wire(person: Somebody) -> AsyncGenerator[Client]:
                if transport == "sse":
                    async with Client(sse_client(f"{origin}/sse"), mode=era, **asks(person)) as client:
                        yield client
                    return
                async with httpx2.AsyncClient(timeout=30) as http:
                    wire = streamable_http_client(f"{origin}/mcp", http_client=http)
                    async with Client(wire, mode=era, **asks(person)) as client:
                        yield client

            yield on_the_wire


def asks(person: Somebody) -> dict[str, Any]:
    return {} if person.kind == "cannot" else {"elicitation_callback": person.answer}


async def told(connect: Connect, person: Somebody, number: int) -> str:
    """Place an order as this person's host does, and return the outcome or the code that the model got."""
    outcome = "nothing"

    async def place(client: Client) -> None:
        nonlocal outcome
        facts = said(await client.call_tool("place_order", arguments(products=book(number))))
        outcome = str(facts.get("code") or facts["outcome"])

    async def leave(host: anyio.CancelScope) -> None:
        await person.gone.wait()
        host.cancel()

    try:
        async with connect(person) as client, anyio.create_task_group() as host:
            host.start_soon(leave, host.cancel_scope)
            await place(client)
            host.cancel_scope.cancel()
    except* anyio.BrokenResourceError:
        assert person.kind == "disconnects"  # the SDK's client minds being cut off in the middle of a message
    return outcome


@both_eras
@pytest.mark.parametrize("transport", ["stdio", "mcp", "sse"])
@pytest.mark.parametrize("approval", ["auto", "host", "page", "none"])
async def test_nothing_is_sent_without_the_consent_that_its_mode_demands(
    open_test_shop: OpenShop,
    zinc: FakeZinc,
    clock: HandClock,
    impatient: Clocks,
    home: Path,
    write_config: Callable[[str], Path],
    mode: str,
    transport: str,
    approval: Mode,
) -> None:
    write_config(f'[policy]\napproval = "{approval}"\nmax_day = 1000000\n')
    found: dict[Person, Row] = {}
    wanted: dict[Person, Row] = {person: expected(person, approval, mode) for person in PERSONS}
    shown = Shown()
    async with hosted(open_test_shop, impatient, transport, mode, shown) as connect:
        for number, kind in enumerate(PERSONS):
            person = Somebody(kind, mode, clock)
            posts, pages = len(zinc.posts), len(shown.paths)
            with anyio.fail_after(20):
                outcome = await told(connect, person, number)
            if kind == "disconnects" and person.read:
                await anyio.sleep(0.6)  # what is asked after that, and what it sets going
            saw = [name for name, seen in (("dialogue", person.read), ("page", shown.paths[pages:])) if seen]
            found[kind] = Row(len(zinc.posts) - posts, outcome, " and ".join(saw) or "nothing")
    assert found == wanted
    assert len(zinc.orders) == sum(row.sent for row in wanted.values())
    states = [entry.state for entry in journal_of(home)[0]]
    assert states.count("accepted") == sum(row.sent for row in wanted.values())
    assert "sending" not in states
    assert "unknown" not in states
