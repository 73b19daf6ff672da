"""A member whose change a server has not heard of changes no placed order through it, on PostgreSQL."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any

import httpx
import httpx2
import pytest
from aftercare.after import SUCCESS, back, created, delivered, problem
from conftest import HandClock, OpenProcess
from journal.test_journal import draft, entry
from journal.test_schema_guard import run
from mcp import Client
from mcp.shared.exceptions import MCPError
from on_v1 import arguments as v1_arguments
from on_v1 import way
from pydantic import SecretStr
from server.as_a_host import call, refused
from server.on_a_port import connected, served
from variants import rare
from wanted import arguments

from zinc_mcp.aftercare.cancellation import ASKED
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.members import Members, add_member
from zinc_mcp.owner.team.places import MembersCopy, MembersTable
from zinc_mcp.process import Clocks, Process
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.aftercare.requests import changes

REMOVED = "DELETE FROM zinc_members"
READER = """UPDATE zinc_members SET mark = 'another', kept = replace(kept, '"order"', '"read"')"""
CHANGES = [REMOVED, rare("UPDATE zinc_members SET mark = 'another'")]


class Interrupted(Sandbox):
    """A Zinc at which something happens before it lists orders: a placing call asks for them before it opens."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def transport(self) -> httpx.AsyncBaseTransport:
        answers = super().transport()

        async def answer(request: httpx.Request) -> httpx.Response:
            if (request.method, request.url.path.rstrip("/")) == ("GET", "/orders"):
                self.meanwhile()
            return await answers.handle_async_request(request)

        return httpx.MockTransport(answer)


@pytest.fixture
def zinc(clock: HandClock) -> Interrupted:
    return Interrupted(clock=clock)


async def pending(client: Client, quantity: int) -> str:
    """Place an order that Zinc works on; return its id."""
    products = [{"url": SUCCESS, "quantity": quantity}]
    return str((await call(client, "place_order", arguments(products=products, max_price=20_000)))["order_id"])


def sent(sandbox: Sandbox) -> list[str]:
    """Return the outcomes of the cancellations that v1 was asked for at a retailer."""
    return [str(each["outcome"]) for each in changes(sandbox) if each["path"].endswith("/cancel")]


class Team:
    """A server on PostgreSQL that hears of no change of its members, and the host of one of them."""

    def __init__(self, journal: str, copy: MembersCopy, process: Process, client: Client) -> None:
        self.journal, self.copy, self.process, self.client = journal, copy, process, client

    def change(self, statement: str) -> None:
        """Change the members in the database, and tell nobody."""
        run(self.journal, statement)

    def hear(self) -> None:
        """Let the server hear of all changes."""
        with Journal.open(self.journal) as journal:
            self.copy.take(journal.team(), 0.0)

    async def is_refused(self, tool: str, given: dict[str, Any]) -> None:
        told = await refused(self.client, tool, given)
        assert told["code"] == "not_allowed", told
        assert told["summary"] == (
            "Error: The members of the team have just changed, and this server is only hearing of it, so nothing was "
            "sent."
        )

    async def asked(self) -> list[str]:
        """Return the events by which a cancellation was asked for."""

        def look(journal: Journal) -> list[str]:
            events = [event for entry in journal.entries() for event in journal.events(entry.id)]
            return [event.what for event in events if event.what == ASKED]

        return await self.process.journal.run(look)


@pytest.fixture
def team(
    open_test_process: OpenProcess, make_database: Callable[..., str], clock: HandClock, clocks: Clocks
) -> Callable[..., Any]:
    journal = make_database()
    never_asks = replace(clocks, members_seconds=3600.0)

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncGenerator[Team]:
        copy = MembersCopy(lambda: 0.0)  # what was heard once counts on
        with Journal.open(journal, clock=clock) as kept:
            token = add_member(MembersTable(kept), "ada")
            copy.take(kept.team(), 0.0)
        members = Members(copy)
        async with (
            open_test_process(journal=journal, members=members, clocks=never_asks, **settings) as process,
            served(process, members=members, members_only=True) as origin,
            connected(origin, "mcp", "auto", token) as client,
        ):
            yield Team(journal, copy, process, client)

    return opened


@pytest.mark.parametrize("change", CHANGES)
async def test_nothing_is_sent_back_reported_or_cancelled_for_a_member_of_whose_change_a_server_has_not_heard(
    team: Callable[..., Any], zinc: Sandbox, clock: HandClock, change: str
) -> None:
    async with team() as ada:
        order_id = await delivered(ada.client, clock)
        first, second = [await pending(ada.client, quantity) for quantity in (3, 4)]
        assert (await call(ada.client, "cancel_order", {"order_id": first}))["outcome"] == "cancelled"
        assert (await call(ada.client, "return_order", back(order_id)))["outcome"] == "filed"
        ada.change(change)
        await ada.is_refused("cancel_order", {"order_id": second})
        await ada.is_refused("return_order", back(order_id, reason="damaged"))
        await ada.is_refused("report_problem", problem(order_id))
        assert len(await ada.asked()) == 1
    assert [each["path"] for each in created(zinc)] == ["/returns"]


@pytest.mark.parametrize("change", CHANGES)
async def test_no_order_of_v1_is_stopped_or_cancelled_at_its_retailer_for_such_a_member(
    team: Callable[..., Any], zinc: Sandbox, clock: HandClock, change: str
) -> None:
    async with team(sandbox=True, v1_client_token=SecretStr("planted-token-of-v1")) as ada:
        placed = await call(ada.client, "place_v1_order", v1_arguments())
        clock.pass_seconds(3)
        assert (await call(ada.client, "get_order", {"order_id": placed["order_id"]}))["outcome"] == "placed"
        slow = await call(ada.client, "place_v1_order", v1_arguments(way("slow")))
        ada.change(change)
        for order in (placed, slow):
            await ada.is_refused("cancel_order", {"order_id": order["order_id"]})
        assert await ada.asked() == []
        assert (await call(ada.client, "get_order", {"order_id": slow["order_id"]}))["outcome"] == "accepted"
    assert sent(zinc) == []


@pytest.mark.parametrize("change", [REMOVED, READER])
@pytest.mark.parametrize("is_heard", [False, True])
async def test_a_change_in_the_middle_of_a_call_counts_for_it(
    team: Callable[..., Any], zinc: Interrupted, change: str, is_heard: bool
) -> None:
    opened: list[Team] = []

    def meanwhile() -> None:
        zinc.meanwhile = lambda: None
        opened[0].change(change)
        if is_heard:
            opened[0].hear()

    # A server that has heard of a removal may end the connection before its answer: the client's call fails then, or,
    # if no byte of an answer has come, the client as a whole.
    ends = (change, is_heard) == (REMOVED, True)
    try:
        async with team() as ada:
            opened.append(ada)
            zinc.meanwhile = meanwhile
            with suppress(MCPError) if ends else nullcontext():
                await ada.is_refused("place_order", arguments())
    except* httpx2.TransportError:
        assert ends
    assert zinc.meanwhile is not meanwhile
    with Journal.open(opened[0].journal) as journal:
        assert journal.entries() == []
    assert zinc.placed() == []


# A server that has heard of a removal ends the connection of the member.
@pytest.mark.parametrize(("change", "is_heard"), [(REMOVED, False), (READER, False), (READER, True)])
async def test_the_parts_asked_for_before_the_change_are_told_when_the_rest_is_not_asked_for(
    team: Callable[..., Any], zinc: Sandbox, clock: HandClock, change: str, is_heard: bool
) -> None:
    opened: list[Team] = []

    def remove(step: str) -> None:
        if step == "cancelling" and opened:
            ada = opened.pop()
            ada.change(change)
            if is_heard:
                ada.hear()

    token = SecretStr("planted-token-of-v1")
    async with team(sandbox=True, v1_client_token=token, checkpoint=remove) as ada:
        opened.append(ada)
        two = v1_arguments(way("two_parcels"), max_price=20_000)
        order = await call(ada.client, "place_v1_order", two)
        clock.pass_seconds(3)
        assert (await call(ada.client, "get_order", {"order_id": order["order_id"]}))["outcome"] == "placed"
        told = await call(ada.client, "cancel_order", {"order_id": order["order_id"]})
        assert len(await ada.asked()) == 1
    assert len(told["parts"]) == 1, told
    assert sent(zinc) == ["accepted"]


async def test_a_stop_that_was_sent_is_told_when_the_retailer_is_not_asked_after_it(
    team: Callable[..., Any], zinc: Sandbox, clock: HandClock
) -> None:
    opened: list[Team] = []

    def meanwhile(step: str) -> None:
        if step == "cancelling":
            clock.pass_seconds(6)  # v1 has placed it
        if step == "cancel_answered":
            opened[0].change(REMOVED)

    async with team(sandbox=True, v1_client_token=SecretStr("planted-token-of-v1"), checkpoint=meanwhile) as ada:
        opened.append(ada)
        order = await call(ada.client, "place_v1_order", v1_arguments(way("abort_refused")))
        told = await call(ada.client, "cancel_order", {"order_id": order["order_id"]})
    assert (told["cancellation"], told["outcome"]) == ("not_cancelled", "placed")
    assert "nothing was sent" not in told["summary"]
    assert sent(zinc) == []


def test_nothing_is_opened_for_a_member_of_whose_removal_a_process_has_heard(
    make_database: Callable[..., str], clock: HandClock
) -> None:
    address, copy = make_database(), MembersCopy(lambda: 0.0)
    with Journal.open(address, clock=clock, marks=copy.mark_of) as journal:
        add_member(MembersTable(journal), "ada")
        copy.take(journal.team(), 0.0)
        [ada] = copy.listed().by_caller
        assert entry(journal, draft(1, caller=ada)).caller == ada
        run(address, REMOVED)
        copy.take(replace(journal.team(), revision="another"), 0.0)
        with pytest.raises(RefusedError, match="have just changed"):
            entry(journal, draft(2, caller=ada))
        assert entry(journal, draft(2)).caller == "local"
