"""An agent goes from a wish to a delivered order and a return, and sends only words that it was told."""

import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import anyio
import preloaded
import pytest
from conftest import HandClock, as_json
from mcp import Client, StdioServerParameters
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult, TextResourceContents
from server.as_a_host import both_eras, call, host, said, size, usually_one_era
from started import ROOT
from wanted import ADDRESS

from bench.sizes import PURCHASE_BUDGET, TOOLS_BUDGET
from zinc_mcp.owner.settings import Settings
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.wiring import open_process

TASK = (
    "Buy 2 bags of whole bean coffee under $20 (2000 cents) each from practiceroasters.example, the 12 oz bag, for at "
    "most $45 (4500 cents) in all, and send them home. When they have come, send 1 back: it is no longer needed."
)
PACE = 25
"""The orders of a server process advance so many times faster."""
SMALL = 1
"""Numbers up to this one are how many or which of a few, and come from nobody's words."""


class UntoldError(AssertionError):
    """The agent was about to send something that it was never told."""


def parts_of(value: Any) -> Iterator[Any]:
    """Yield a value and all that it holds: names, texts, numbers, lists and objects, however deep."""
    yield value
    if isinstance(value, dict):
        for name, part in cast(dict[str, Any], value).items():
            yield name
            yield from parts_of(part)
    elif isinstance(value, list):
        for part in cast(list[Any], value):
            yield from parts_of(part)


class Agent:
    """Calls tools and reads resources, and knows only the task, the listings, and what it was told."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.texts: list[str] = []
        self.numbers = set[int]()
        self.variants: list[Any] = []
        self.told = 0
        self.sent = set[str]()
        """All texts that it sent."""
        self._learns([TASK, ADDRESS])

    async def looks_around(self) -> None:
        """Read the listings of the server."""
        tools = (await self.client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)["tools"]
        assert size(tools) <= TOOLS_BUDGET
        templates = await self.client.session.list_resource_templates()
        resources = await self.client.session.list_resources()
        self._learns([tools, json.loads(templates.model_dump_json()), json.loads(resources.model_dump_json())])

    def knows(self, word: str) -> bool:
        """Say whether a word was told: as a whole text or name, or in a sentence between spaces, quotes or commas."""
        whole = re.compile(rf"""(?<![^\s"'“(`]){re.escape(word)}(?=[.,;:!?]*(?:[\s"'”)`]|$))""")
        return any(whole.search(text) for text in self.texts)

    def untold(self, given: Any) -> list[Any]:
        """Return the parts of a call that were never told: words, numbers, and variants that are not as they were."""
        found = list[Any]()
        for part in parts_of(given):
            if isinstance(part, str) and not self.knows(part):
                found.append(part)
            elif isinstance(part, int) and part > SMALL and part not in self.numbers and not self.knows(str(part)):
                found.append(part)
            elif isinstance(part, dict) and "variant" in part and part["variant"] not in self.variants:
                found.append(cast(Any, part["variant"]))
        return found

    async def calls(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool with words that are known already.

        Raises:
            UntoldError: one is not. Nothing was called.
        """
        if untold := self.untold([tool, arguments]):
            raise UntoldError(untold)
        self.sent |= {part for part in parts_of([tool, arguments]) if isinstance(part, str)}
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, said(result)
        answer = said(result)
        self._learns(answer)
        # A host shows its model one of the two halves: the larger one counts.
        self.told += max(size(answer), size(result.content[0].model_dump()["text"]))
        return answer

    async def reads(self, template: str, order_id: str) -> dict[str, Any]:
        """Read the resource of an order, whose form was listed.

        Raises:
            UntoldError: the form or the id was never told.
        """
        if untold := self.untold([template, order_id]):
            raise UntoldError(untold)
        self.sent |= {template, order_id}
        [content] = (await self.client.read_resource(template.replace("{order_id}", order_id))).contents
        assert isinstance(content, TextResourceContents)
        return cast(dict[str, Any], json.loads(content.text))

    def _learns(self, told: Any) -> None:
        for part in parts_of(told):
            if isinstance(part, str):
                self.texts.append(part)
            elif isinstance(part, int):
                self.numbers.add(part)
            elif isinstance(part, dict) and "variant" in part:
                self.variants.append(cast(Any, part["variant"]))


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
    # So that the check above had something to check: every kind of word was sent, and told by an answer.
    answered = {result["url"], accepted["order_id"], *(each[name] for each in variant["variant"] for name in each)}
    tools = {"search_products", "check_product", "place_order", "get_order", "return_order"}
    assert agent.sent >= answered | tools | {"no_longer_needed", "zinc://orders/{order_id}"}
    assert not any(word in TASK for word in answered - {"12 oz"})


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

    [program, *words] = preloaded.command("zinc_mcp")
    server = StdioServerParameters(command=program, args=words, env=environment)
    async with Client(server, mode=mode) as client:
        await lives(Agent(client), wait)


@both_eras
async def test_the_same_works_where_a_person_says_yes_to_the_order_and_to_the_return(
    clock: HandClock, home: Path, write_config: Callable[[str], Path], mode: str
) -> None:
    write_config('[policy]\napproval = "auto"\n')
    settings = Settings(home=home, config=home / "zinc.toml", sandbox=True, browser=False)
    sandbox = Sandbox(clock=clock)
    asked: list[str] = []

    async def agree(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"approve": True})

    async def wait(agent: Agent, order_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        clock.pass_seconds(60)
        order = await agent.calls("get_order", order_id=order_id, wait_seconds=25)
        assert is_so(order), order
        return order

    async with (
        open_process(settings, transport=sandbox.transport(), clock=clock, uptime=None) as process,
        Client(build_server(process), mode=mode, elicitation_callback=agree) as client,
    ):
        await lives(Agent(client), wait)
    assert len(asked) == 2
    assert len(sandbox.placed()) == 1


@usually_one_era
async def test_a_search_takes_the_retailers_that_results_name(clock: HandClock, home: Path, mode: str) -> None:
    settings = Settings(home=home, config=home / "zinc.toml", sandbox=True, browser=False)
    async with (
        open_process(settings, transport=Sandbox(clock=clock).transport(), clock=clock, uptime=None) as process,
        host(process, mode) as client,
    ):
        found = await call(client, "search_products", {"query": "coffee"})
        shop = await call(client, "search_products", {"query": "coffee", "retailers": ["practiceroasters.example"]})
        names = {each["retailer"] for each in found["results"] + shop["results"]}
        assert len(names) > 3
        for name in names:
            narrowed = await call(client, "search_products", {"query": "coffee", "retailers": [name]})
            assert {each["retailer"] for each in narrowed["results"]} == {name}


HOUSE_BLEND = "https://practiceroasters.example/products/house-blend"
MIXED = [{"label": "Size", "value": "Whole bean"}, {"label": "Grind", "value": "12 oz"}]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("check_products", {"url": HOUSE_BLEND}),
        ("check_product", {"link": HOUSE_BLEND}),
        ("check_product", {"url": HOUSE_BLEND.removesuffix("/house-blend")}),
        ("check_product", {"url": HOUSE_BLEND[:-1]}),
        ("check_product", {"url": f"{HOUSE_BLEND}?variant=1"}),
        ("check_product", {"url": HOUSE_BLEND.upper()}),
        ("check_product", {"url": "house-blend"}),
        ("search_products", {"query": "ee"}),
        ("search_products", {"query": "whole bean coffee", "max_price": 1999}),
        ("place_order", {"products": [{"url": HOUSE_BLEND, "variant": MIXED}]}),
        ("place_order", {"products": [{"url": HOUSE_BLEND, "variant": [{"label": "Size", "value": "12 oz"}]}]}),
        ("get_order", {"order_id": "{changed}"}),
        ("get_order", {"order_id": "{half}"}),
        ("return_order", {"order_id": "{id}", "items": [{"number": 1, "quantity": 1}], "reason": "unwanted"}),
        ("return_order", {"order_id": "{id}", "items": [{"order_item_id": "{id}-1", "quantity": 1}]}),
    ],
    ids=str,
)
async def test_a_word_that_was_never_told_is_noticed_before_it_is_sent(
    clock: HandClock, home: Path, tool: str, arguments: dict[str, Any]
) -> None:
    settings = Settings(home=home, config=home / "zinc.toml", sandbox=True, browser=False)
    async with (
        open_process(settings, transport=Sandbox(clock=clock).transport(), clock=clock, uptime=None) as process,
        host(process, "auto") as client,
    ):
        agent = Agent(client)
        await agent.looks_around()
        with pytest.raises(UntoldError, match="house-blend"):
            await agent.calls("check_product", url=HOUSE_BLEND)
        found = await agent.calls("search_products", query="whole bean coffee", max_price=2000)
        assert HOUSE_BLEND not in [each["url"] for each in found["results"]]
        found = await agent.calls("search_products", query="coffee", retailers=["practiceroasters.example"])
        assert HOUSE_BLEND in [each["url"] for each in found["results"]]
        checked = await agent.calls("check_product", url=HOUSE_BLEND, details=True)
        product = {"url": HOUSE_BLEND, "variant": checked["details"]["variants"][0]["variant"]}
        order = await agent.calls("place_order", products=[product], shipping_address=ADDRESS, max_price=2000)
        known = order["order_id"]
        changed = known[:-1] + ("0" if known[-1] != "0" else "1")
        given = as_json(arguments).replace("{id}", known).replace("{changed}", changed).replace("{half}", known[:8])
        with pytest.raises(UntoldError):
            await agent.calls(tool, **json.loads(given))
        with pytest.raises(UntoldError):
            await agent.reads("zinc://orders/{order_id}", changed)
