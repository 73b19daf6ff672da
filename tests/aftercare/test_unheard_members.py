"""A member whose change a server has not heard of changes no placed order through it, on PostgreSQL."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aftercare.after import SUCCESS, back, created, delivered, problem
from conftest import HandClock, OpenProcess
from journal.test_schema_guard import run
from mcp import Client
from on_v1 import arguments as v1_arguments
from on_v1 import way
from pydantic import SecretStr
from server.as_a_host import call, refused
from server.on_a_port import connected, served
from variants import rare
from wanted import arguments

from zinc_mcp.aftercare.cancellation import ASKED
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.members import Members, add_member
from zinc_mcp.owner.team.places import MembersCopy, MembersTable
from zinc_mcp.process import Clocks, Process
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.aftercare.requests import changes

REMOVED = "DELETE FROM zinc_members"
CHANGES = [REMOVED, rare("UPDATE zinc_members SET mark = 'another'")]


@pytest.fixture
def zinc(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


async def pending(client: Client, quantity: int) -> str:
    """Place an order that Zinc works on; return its id."""
    products = [{"url": SUCCESS, "quantity": quantity}]
    return str((await call(client, "place_order", arguments(products=products, max_price=20_000)))["order_id"])


def sent(sandbox: Sandbox) -> list[str]:
    """Return the outcomes of the cancellations that v1 was asked for at a retailer."""
    return [str(each["outcome"]) for each in changes(sandbox) if each["path"].endswith("/cancel")]


class Team:
    """A server on PostgreSQL that hears of no change of its members, and the host of one of them."""

    def __init__(self, journal: str, process: Process, client: Client) -> None:
        self.journal, self.process, self.client = journal, process, client

    def change(self, statement: str) -> None:
        """Change the members in the database, and tell nobody."""
        run(self.journal, statement)

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
    never_asks = replace(clocks, members=3600.0)

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
            yield Team(journal, process, client)

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


async def test_what_was_asked_for_before_the_change_is_told_when_the_rest_is_not_asked_for(
    team: Callable[..., Any], zinc: Sandbox, clock: HandClock
) -> None:
    opened: list[Team] = []

    def remove(step: str) -> None:
        if step == "cancelling":
            opened[0].change(REMOVED)

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
