"""An agent goes from a wish to a delivered order and a return, and sends only words that it was told."""

import json
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from conftest import HandClock, as_json
from mcp import Client, StdioServerParameters
from mcp.types import TextResourceContents
from server.as_a_host import both_eras, host, said, size
from started import ROOT
from wanted import ADDRESS

from bench.sizes import PURCHASE_BUDGET, TOOLS_BUDGET
from zinc_mcp.owner.settings import Settings
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.wiring import open_process

TASK = (
    "Buy two of whole bean coffee under $20 (2000 cents) each from practiceroasters.example, the 12 oz bag, for at "
    "most $45 (4500 cents) in all, and send it home. When it has come, send one back."
)
PACE = 25
"""How many times faster the orders of a server process advance."""


def words_in(value: Any) -> Iterator[str]:
    """Yield every text in a value: names, and texts however deep."""
    if isinstance(value, dict):
        for name, part in cast(dict[str, Any], value).items():
            yield name
            yield from words_in(part)
    elif isinstance(value, list):
        for part in cast(list[Any], value):
            yield from words_in(part)
    elif isinstance(value, str):
        yield value


class Agent:
    """Calls tools and reads resources, and knows only the task, the listings, and what it was told."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.known = f"{TASK} {as_json(ADDRESS)}"
        self.told = 0

    async def looks_around(self) -> None:
        """Read the listings of the server."""
        tools = (await self.client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)["tools"]
        assert size(tools) <= TOOLS_BUDGET
        templates = await self.client.session.list_resource_templates()
        resources = await self.client.session.list_resources()
        self.known += as_json(tools) + templates.model_dump_json() + resources.model_dump_json()

    def knows(self, word: str) -> bool:
        """Say whether a word stands, whole, in what is known."""
        return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", self.known) is not None

    async def calls(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool with words that are known already."""
        assert [word for word in words_in([tool, arguments]) if not self.knows(word)] == []
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, said(result)
        answer = said(result)
        self.known += as_json(answer)
        # A host shows its model one of the two halves: the larger one counts.
        self.told += max(size(answer), size(result.content[0].model_dump()["text"]))
        return answer

    async def reads(self, template: str, order_id: str) -> dict[str, Any]:
        """Read the resource of an order, whose form was listed."""
        assert self.knows(template)
        assert self.knows(order_id)
        [content] = (await self.client.read_resource(template.replace("{order_id}", order_id))).contents
        assert isinstance(content, TextResourceContents)
        return cast(dict[str, Any], json.loads(content.text))


Wait = Callable[[Agent, str, Callable[[dict[str, Any]], bool]], Awaitable[dict[str, Any]]]


async def lives(agent: Agent, wait: Wait) -> None:
    """Go from the task to a delivered order and a credited return."""
    await agent.looks_around()
    found = await agent.calls(
        "search_products", query="whole bean coffee", max_price=2000, retailers=["practiceroasters.example"]
    )
    [result] = found["results"]
    checked = await agent.calls("check_product", url=result["url"], details=True)
    assert checked["details"]["needs_variant"] is True
    [variant] = [each for each in checked["details"]["variants"] if "12 oz" in as_json(each)]
    product = {"url": result["url"], "quantity": 2, "variant": variant["variant"]}
    accepted = await agent.calls("place_order", products=[product], shipping_address=ADDRESS, max_price=4500)
    assert accepted["outcome"] == "accepted"
    placed = await wait(agent, accepted["order_id"], lambda order: order["is_final"])
    assert placed["outcome"] == "placed"
    delivered = await wait(agent, accepted["order_id"], is_delivered)
    assert delivered["price"]["subtotal_cents"] == 2 * result["price_cents"] == 3200
    assert delivered["items"][0]["variant"] == {"Size": "12 oz", "Grind": "Whole bean"}
    assert agent.told / 4 < PURCHASE_BUDGET

    item = {"number": 1, "quantity": 1}
    filed = await agent.calls("return_order", order_id=accepted["order_id"], items=[item], reason="no_longer_needed")
    assert filed["outcome"] == "filed"
    again = await agent.calls("return_order", order_id=accepted["order_id"], items=[item], reason="no_longer_needed")
    assert (again["new_request"], again["return_id"]) == (False, filed["return_id"])
    credited = await wait(agent, accepted["order_id"], is_credited)
    [back] = credited["returns"]
    assert (back["id"], back["items"]) == (filed["return_id"], [item])
    assert back["credited_cents"] == delivered["price"]["total_cents"] // 2
    assert back["labels"][0].startswith("https://")
    read = await agent.reads("zinc://orders/{order_id}", accepted["order_id"])
    assert read["returns"] == credited["returns"]


def is_delivered(order: dict[str, Any]) -> bool:
    return [parcel["status"] for parcel in order.get("tracking", [])] == ["delivered"]


def is_credited(order: dict[str, Any]) -> bool:
    return [each["status"] for each in order.get("returns", [])] == ["credited"]


@both_eras
async def test_an_agent_finds_orders_follows_and_sends_back_with_words_that_it_was_told(
    clock: HandClock, home: Path, mode: str
) -> None:
    settings = Settings(home=home, config=home / "zinc.toml", sandbox=True, browser=False)
    sandbox = Sandbox(clock=clock)

    async def wait(agent: Agent, order_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        clock.pass_seconds(60)
        order = await agent.calls("get_order", order_id=order_id, wait_seconds=25)
        assert is_so(order), order
        return order

    async with (
        open_process(settings, transport=sandbox.transport(), clock=clock, uptime=None) as process,
        host(process, mode) as client,
    ):
        await lives(Agent(client), wait)
    assert len(sandbox.placed()) == 1


@both_eras
async def test_the_same_works_over_stdio_with_a_server_process(tmp_path: Path, mode: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZINC_")}
    ours = {"ZINC_MCP_HOME": str(tmp_path), "ZINC_MCP_SANDBOX": "1", "ZINC_MCP_SANDBOX_PACE": str(PACE)}
    environment = {**kept, **ours, "PYTHONPATH": str(ROOT)}

    async def wait(agent: Agent, order_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        with anyio.fail_after(60):
            while not is_so(order := await agent.calls("get_order", order_id=order_id, wait_seconds=25)):
                await anyio.sleep(0.2)
        return order

    server = StdioServerParameters(command=sys.executable, args=["-m", "zinc_mcp"], env=environment)
    async with Client(server, mode=mode) as client:
        await lives(Agent(client), wait)


@pytest.mark.parametrize("word", ["B0SNDBXC0", "https://www.amazon.com/dp/B0SNDBXC01?tag=x", "ee"])
async def test_a_word_that_was_never_told_is_noticed(clock: HandClock, home: Path, word: str) -> None:
    settings = Settings(home=home, config=home / "zinc.toml", sandbox=True, browser=False)
    async with (
        open_process(settings, transport=Sandbox(clock=clock).transport(), clock=clock, uptime=None) as process,
        host(process, "auto") as client,
    ):
        agent = Agent(client)
        await agent.looks_around()
        await agent.calls("search_products", query="whole bean coffee")
        assert agent.knows("https://www.amazon.com/dp/B0SNDBXC01")
        assert not agent.knows(word)
