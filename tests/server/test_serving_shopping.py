"""An agent goes from a wish to a delivered order, and sends only words of the task or of earlier results."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from conftest import HandClock, as_json
from mcp import Client
from server.as_a_host import call, host, size
from wanted import ADDRESS

from zinc_mcp.owner.settings import Settings
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.wiring import open_process

TASK = "Buy whole bean coffee under $20 (2000 cents) from practiceroasters.example, the 12 oz bag, and send it home."


def words_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for part in cast(dict[str, Any], value).values():
            yield from words_in(part)
    elif isinstance(value, list):
        for part in cast(list[Any], value):
            yield from words_in(part)
    elif isinstance(value, str):
        yield value


class Agent:
    """Calls tools, and knows only the task, the list of tools, and what it was told."""

    def __init__(self, client: Client, known: str) -> None:
        self.client = client
        self.known = known
        self.told = 0

    async def calls(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool with words that are known already."""
        assert tool in self.known
        unknown = [word for word in words_in(arguments) if word not in self.known]
        assert unknown == [], unknown
        answer = await call(self.client, tool, arguments)
        self.known += as_json(answer)
        self.told += size(answer)
        return answer


async def test_an_agent_finds_checks_orders_and_follows_with_words_that_it_was_told(
    clock: HandClock, home: Path
) -> None:
    settings = Settings(home=home, config=home / "zinc.toml", sandbox=True, browser=False)
    transport = Sandbox(clock=clock).transport()
    async with (
        open_process(settings, transport=transport, clock=clock, uptime=None) as process,
        host(process, "auto") as client,
    ):
        tools = [tool.name for tool in (await client.list_tools()).tools]
        agent = Agent(client, f"{TASK} {tools} {as_json(ADDRESS)}")
        found = await agent.calls(
            "search_products", query="whole bean coffee", max_price=2000, retailers=["practiceroasters.example"]
        )
        [result] = found["results"]
        checked = await agent.calls("check_product", url=result["url"], details=True)
        assert checked["details"]["needs_variant"] is True
        [variant] = [each for each in checked["details"]["variants"] if "12 oz" in as_json(each)]
        product = {"url": result["url"], "variant": variant["variant"]}
        placed = await agent.calls("place_order", products=[product], shipping_address=ADDRESS, max_price=2000)
        assert placed["outcome"] == "accepted"
        clock.pass_seconds(60)
        order = await agent.calls("get_order", order_id=placed["order_id"])
    assert (order["outcome"], order["tracking"][0]["status"]) == ("placed", "delivered")
    assert order["price"]["subtotal_cents"] == result["price_cents"] == 1600
    assert order["items"][0]["variant"] == {"Size": "12 oz", "Grind": "Whole bean"}
    assert agent.told / 4 < 3000
