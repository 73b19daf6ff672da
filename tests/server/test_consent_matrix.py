"""No host, mode, transport or era sends an order without the consent that its mode demands.

{elicits, cannot, declines, cancels, answers late, disconnects} x {auto, host, page, none} x {stdio, Streamable HTTP,
SSE} x both eras; a run of all tests leaves out two modes and SSE, which are thorough.
"""

import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx2
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from journals import journal_of
from mcp import Client
from mcp.client import Transport
from mcp.client.context import ClientRequestContext
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import (
    ElicitRequestParams,
    ElicitRequestURLParams,
    ElicitResult,
)
from server.as_a_host import both_eras, said
from server.in_a_process import ClockInAFile, Desktop
from server.on_a_port import served, token_in, zinc_on_a_port
from server.visitor import Shown
from variants import rare
from wanted import arguments, book

from zinc_mcp.process import Clocks
from zinc_mcp.server.mcp.asking import MODERN

Person = Literal["elicits", "cannot", "declines", "cancels", "answers late", "disconnects"]
Mode = Literal["auto", "host", "page", "none"]
unix = pytest.mark.skipif(sys.platform == "win32", reason="a shell, and a browser that is a script")
PERSONS: tuple[Person, ...] = ("elicits", "cannot", "declines", "cancels", "answers late", "disconnects")


@dataclass(frozen=True)
class Row:
    """One cell: the number of orders sent, the outcome told to the model, and the things that the person saw."""

    sent: int
    told: str
    saw: str


BOUGHT_UNASKED = Row(1, "accepted", "nothing")
ON_THE_PAGE = Row(0, "waiting", "page")


def expected(person: Person, approval: Mode, era: str) -> Row:
    """Return the row of the table; the eras differ only in what a late answer meets.

    In the newer one the question was over when the host brought it; in the older one the tool has answered, and the
    dialogue is still open.
    """
    if approval in ("host", "none"):
        return BOUGHT_UNASKED
    if person == "cannot":
        return ON_THE_PAGE
    if approval == "page":  # their hosts can open an address, which is no answer
        ends = {"declines": "declined", "disconnects": "nothing"}
        if era == "auto":
            ends["answers late"] = "approval_expired"
        return Row(0, ends[person], "dialogue") if person in ends else Row(0, "waiting", "dialogue and page")
    late = Row(0, "approval_expired", "dialogue") if era == "auto" else Row(1, "waiting", "dialogue and page")
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
    pages: Callable[[], int]
    """Returns how many pages were shown to the person."""
    read: list[str] = field(default_factory=list[str])
    modes: list[str] = field(default_factory=list[str])
    """The way in which each dialogue asked: by a form, or with the page's address."""
    addresses: list[str] = field(default_factory=list[str])
    gone: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.pages_before = self.pages()

    async def answer(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.read.append(params.message)
        self.modes.append(params.mode or "form")
        if isinstance(params, ElicitRequestURLParams):
            self.addresses.append(params.url)
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
                await self.has_a_page()  # the dialogue's time is over for certain when the page takes its place
        return ElicitResult(action="accept", content={"approve": True})

    async def has_a_page(self) -> None:
        """Wait for a page that must come, as long as a busy machine may take to show it."""
        with anyio.move_on_after(10):
            while self.pages() == self.pages_before:
                await anyio.sleep(0.01)

    def saw(self) -> str:
        """Return what they saw, in words."""
        seen = ("dialogue", bool(self.read)), ("page", self.pages() > self.pages_before)
        return " and ".join(name for name, was_seen in seen if was_seen) or "nothing"


def clocks_for(row: Row, person: Somebody, clocks: Clocks) -> Clocks:
    """Return clocks that are short only where a time must run out; the rest may last as long as a machine is busy."""
    late = person.kind == "answers late"
    return replace(
        clocks,
        wire_seconds=30.0,
        form_seconds=1.0 if late else 20.0,
        answer_seconds=0.3 if row.told == "waiting" else 20.0,
    )


Connect = Callable[[Somebody, Clocks], AbstractAsyncContextManager[Client]]


@dataclass(frozen=True)
class Place:
    """A place with hosts: it connects a host to a server, and counts the pages shown."""

    connect: Connect
    pages: Callable[[], int]


@asynccontextmanager
async def on_pipes(folder: Path, clock: ClockInAFile, zinc: FakeZinc, home: Path) -> AsyncGenerator[Place]:
    """Give each host a server process of its own, which ends with it."""
    desktop = Desktop(folder)
    async with zinc_on_a_port(zinc) as origin:
        environ = {"ZINC_MCP_HOME": str(home), "ZINC_API_URL": origin, "ZINC_API_KEY": "zn_test_planted-secret"}

        def connect(person: Somebody, clocks: Clocks) -> AbstractAsyncContextManager[Client]:
            return hosted(desktop.started(environ, clocks, clock), person)

        yield Place(connect, desktop.pages)


@asynccontextmanager
async def on_the_wire(transport: str, open_test_process: OpenProcess) -> AsyncGenerator[Place]:
    """Give each host a server that lives on when the host is gone."""
    shown = Shown()

    @asynccontextmanager
    async def connect(person: Somebody, clocks: Clocks) -> AsyncGenerator[Client]:
        if person.kind == "disconnects":
            clocks = replace(clocks, form_seconds=3.0)  # waited out below
        async with open_test_process(clocks=clocks) as process, served(process, show=shown) as origin:
            headers = {"Authorization": f"Bearer {token_in(process.settings.home)}"}
            if transport == "sse":
                async with hosted(sse_client(f"{origin}/sse", headers=headers), person) as client:
                    yield client
            else:
                async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
                    wire = streamable_http_client(f"{origin}/mcp", http_client=http)
                    async with hosted(wire, person) as client:
                        yield client
            if person.gone.is_set():
                # Wait for later questions, and for the end of an open dialogue with its consequences.
                await anyio.sleep(0.5 + (clocks.form_seconds if person.era == "legacy" else 0.0))

    yield Place(connect, lambda: len(shown.paths))


@asynccontextmanager
async def hosted(wire: Transport, person: Somebody) -> AsyncGenerator[Client]:
    """Be the host that this person sits before."""
    asks: dict[str, Any] = {} if person.kind == "cannot" else {"elicitation_callback": person.answer}
    try:
        async with Client(wire, mode=person.era, **asks) as client:
            assert (client.protocol_version >= MODERN) == (person.era == "auto")
            yield client
    except* anyio.BrokenResourceError:
        assert person.kind == "disconnects"  # the SDK's client minds being cut off in the middle of a message


async def told(connected: AbstractAsyncContextManager[Client], person: Somebody, number: int) -> str:
    """Place an order as this person's host does, and return the outcome or the code that the model got."""
    outcome = "nothing"

    async def leave(host: anyio.CancelScope) -> None:
        await person.gone.wait()
        host.cancel()

    async with connected as client, anyio.create_task_group() as host:
        host.start_soon(leave, host.cancel_scope)
        facts = said(await client.call_tool("place_order", arguments(products=book(number))))
        outcome = str(facts.get("code") or facts["outcome"])
        if (
            person.kind == "answers late"
            and person.read
            and outcome in ("sending", "accepted")
            and person.era == "legacy"
        ):
            outcome = "waiting"  # a quick answer on a slow machine comes before the tool's own
        if outcome == "waiting":
            await person.has_a_page()  # a busy machine's browser may start after the answer, and before the server ends
            if person.kind == "answers late" and "form" in person.modes:
                await sent(client, str(facts["key"]))
        host.cancel_scope.cancel()
    return outcome


async def sent(client: Client, key: str) -> None:
    """Wait until a late yes has sent the order."""
    while said(await client.call_tool("get_order", {"order_id": key}))["outcome"] != "accepted":
        await anyio.sleep(0.05)


@pytest.fixture
def clock(tmp_path: Path) -> ClockInAFile:
    return ClockInAFile(tmp_path / "time")


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize("transport", [pytest.param("stdio", marks=unix), "mcp", rare("sse")])
@pytest.mark.parametrize("approval", ["auto", rare("host"), "page", rare("none")])
async def test_nothing_is_sent_without_the_consent_that_its_mode_demands(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clock: ClockInAFile,
    clocks: Clocks,
    home: Path,
    tmp_path: Path,
    write_config: Callable[[str], Path],
    mode: str,
    transport: str,
    approval: Mode,
) -> None:
    write_config(f'[policy]\napproval = "{approval}"\nmax_day = 1000000\n')
    found: dict[Person, Row] = {}
    wanted: dict[Person, Row] = {person: expected(person, approval, mode) for person in PERSONS}
    stdio = transport == "stdio"
    async with on_pipes(tmp_path, clock, zinc, home) if stdio else on_the_wire(transport, open_test_process) as place:
        for number, kind in enumerate(PERSONS):
            person = Somebody(kind, mode, clock, place.pages)
            posts = len(zinc.posts)
            with anyio.fail_after(60):
                outcome = await told(place.connect(person, clocks_for(wanted[kind], person, clocks)), person, number)
            found[kind] = Row(len(zinc.posts) - posts, outcome, person.saw())
    assert found == wanted
    assert len(zinc.orders) == sum(row.sent for row in wanted.values())
    states = [entry.state for entry in journal_of(home)[0]]
    assert states.count("accepted") == sum(row.sent for row in wanted.values())
    assert "sending" not in states
    assert "unknown" not in states
