"""What the model pays in its context: bytes of `tools/list`, and of a typical `get_order` result. No times.

    python -m bench.sizes

Compact JSON as it goes over the wire. Tokens are estimated as bytes / 4. `tools/list`: three tools within 9 KB
(9,216 bytes). A typical result (delivered, with tracking) is read once by the model, as text or as structure: the
larger of the two within 600 tokens.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.types import TextContent

from zinc_mcp.sandbox.sandbox import Sandbox
from zinc_mcp.serving.server import build_server
from zinc_mcp.settings import Settings
from zinc_mcp.shop import open_shop

BUDGET = 9 * 1024
TOKENS = 600
CORE = ("place_order", "place_agent_order", "get_order")
_ORDER: dict[str, Any] = {
    "products": [{"url": "https://zinc.com/shop/products/test-success"}],
    "shipping_address": {
        "first_name": "Ada",
        "last_name": "Buyer",
        "address_line1": "12 Bench Street",
        "city": "New York",
        "state": "NY",
        "postal_code": "10001",
        "phone_number": "212-555-0147",
    },
    "max_price": 7500,
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes."""

    tools: dict[str, int]
    listed: int
    core: int
    raw: int
    text: int
    structure: int

    @property
    def tokens(self) -> int:
        """What the model reads of a typical result, in estimated tokens."""
        return -(-max(self.text, self.structure) // 4)

    @property
    def kept(self) -> bool:
        """Whether the budget is kept."""
        return self.core <= BUDGET and self.tokens <= TOKENS


async def measure() -> Sizes:
    """List the tools, place one order in the sandbox, wait until it is delivered, and look it up."""
    now = time.time()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        sandbox = Sandbox(clock=lambda: now)
        settings = Settings(home=home, config=home / "zinc.toml", sandbox=True)
        async with (
            open_shop(settings, transport=sandbox.transport()) as shop,
            Client(build_server(shop)) as client,
        ):
            tools = {tool.name: _size(tool.model_dump(mode="json", by_alias=True, exclude_none=True))
                     for tool in (await client.list_tools()).tools}  # fmt: skip
            placed = (await client.call_tool("place_order", _ORDER)).structured_content
            assert placed is not None
            now += 30
            result = await client.call_tool("get_order", {"order_id": placed["order_id"]})
            [content] = result.content
            assert isinstance(content, TextContent)
            raw = await _raw(sandbox, placed["order_id"])
    return Sizes(
        tools=tools,
        listed=sum(tools.values()),
        core=sum(tools[name] for name in CORE),
        raw=raw,
        text=len(content.text.encode()),
        structure=_size(result.structured_content),
    )


async def _raw(sandbox: Sandbox, order_id: str) -> int:
    import httpx

    async with httpx.AsyncClient(transport=sandbox.transport(), base_url="https://sandbox.invalid") as zinc:
        headers = {"Authorization": "Bearer zn_test_sandbox"}
        return _size((await zinc.get(f"/orders/{order_id}", headers=headers)).json())


def _size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def lines(sizes: Sizes) -> Sequence[tuple[str, str, str]]:
    """Return rows of what, how much, and the budget."""
    return [
        *((f"tools/list, {name}", f"{size} bytes", "") for name, size in sizes.tools.items()),
        ("tools/list, the three core tools", f"{sizes.core} bytes", f"<= {BUDGET}"),
        ("a typical get_order result, Zinc's raw JSON", f"{sizes.raw} bytes", ""),
        ("the same, our structure", f"{sizes.structure} bytes", f"{sizes.structure / sizes.raw:.2f} of raw"),
        ("the same, our text", f"{sizes.text} bytes", f"{sizes.text / sizes.raw:.2f} of raw"),
        ("tokens the model reads of it", f"{sizes.tokens}", f"<= {TOKENS}"),
    ]


def main() -> int:
    """Print the sizes."""
    sizes = asyncio.run(measure())
    for what, much, budget in lines(sizes):
        print(f"{what:52} {much:>14}  {budget}")
    return 0 if sizes.kept else 1


if __name__ == "__main__":
    sys.exit(main())
