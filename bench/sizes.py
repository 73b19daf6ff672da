"""The size of the tools and of a result in a model's context, in bytes of compact JSON (UTF-8).

Measured:

- each tool as `tools/list` gives it, with its output schema, and all of them (budget 20 KB);
- the server's instructions (budget 2,000 bytes);
- the structure of `get_order` for a typical order that is on its way, compared with Zinc's own JSON for the same order,
  and its tokens, estimated as bytes / 4 (budget 600);
- a search of ten products with long addresses and titles, as at real shops, compared with Zinc's own JSON (budget 900
  tokens);
- the results of a whole purchase in the sandbox: search, check with details, place, wait until placed, look up (budget
  3,000 tokens).

Nothing here depends on the machine, so there are no rounds.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.baselines.zinc import TYPICAL
from bench.callers import HELLO, Stdio, started, succeeded, upstream
from bench.figures import Figure, run_bench
from bench.wanted import ADDRESS, configured, order
from zinc_mcp.views.find.search import search_view
from zinc_mcp.views.order import compact
from zinc_mcp.zinc.find.products import SearchResults

TOOLS_BUDGET = 20 * 1024
INSTRUCTIONS_BUDGET = 2_000
TOKENS_BUDGET = 600
SEARCH_BUDGET = 900
PURCHASE_BUDGET = 3000
_LOOKS = 20
TEN_PRODUCTS: dict[str, Any] = {
    "status": "completed",
    "query": "whole bean coffee",
    "excluded_by_price": 7,
    "hint": None,
    "results": [
        {
            "url": f"https://www.amazon.com/Roasters-Whole-Coffee-Medium-Roast/dp/B0{number:08d}",
            "retailer": "amazon",
            "title": f"Roasters No. {number} Whole Bean Coffee, Medium Roast, Cocoa and Orange, Fair Trade, 2 lb Bag",
            "image": f"https://m.media-amazon.com/images/I/71{number:09d}L._AC_UL320_.jpg",
            "brand": "Roasters",
            "price": 1499 + number,
            "stars": 4.6,
            "num_reviews": 12840 + number,
            "available": True,
            "free_shipping": True if number % 2 else None,
            "has_variants": None,
        }
        for number in range(10)
    ],
}
"""Zinc's answer to a search, with the fields of the SDK 2026.10.16."""


async def measure(*, quick: bool = False) -> list[Figure]:
    """Ask a real server for its tools and for one order; `quick` changes nothing."""
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-bench-") as folder:
        async with (
            upstream() as origin,
            started(["-m", "zinc_mcp"], configured(Path(folder) / "home", origin)) as process,
        ):
            server = Stdio(process, "legacy")
            instructions: str = (await server.asked("initialize", HELLO))["instructions"]
            tools: list[dict[str, Any]] = (await server.asked("tools/list", {}))["tools"]
            placed = succeeded(await server.call("place_order", order(0)))
            shown = await server.call("get_order", {"order_id": placed["order_id"]})
    view = search_view(SearchResults.read(TEN_PRODUCTS), cost_cents=1, age_seconds=None, mode="live", limit=10)
    structure, raw = _size(succeeded(shown)), _size(TYPICAL)
    text = len(shown["content"][0]["text"].encode())
    tokens = round(structure / 4)
    return [
        *(_bytes(f"`{tool['name']}` in `tools/list`", _size(tool)) for tool in tools),
        _bytes("`tools/list`, all tools", _size(tools), TOOLS_BUDGET),
        _bytes("server instructions", len(instructions.encode()), INSTRUCTIONS_BUDGET),
        Figure("typical `get_order`, structure", f"{structure} B", f"{raw} B", structure / raw),
        Figure("typical `get_order`, text", f"{text} B", f"{raw} B", text / raw),
        Figure(
            "typical `get_order`, estimated tokens",
            str(tokens),
            str(round(raw / 4)),
            structure / raw,
            target=f"≤ {TOKENS_BUDGET} tokens",
            holds=tokens <= TOKENS_BUDGET,
        ),
        _searched(_size(compact(view)), _size(TEN_PRODUCTS)),
        await _purchase(),
    ]


async def _purchase() -> Figure:
    """Buy something in the sandbox as an agent does, and add up the sizes of the results."""
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-bench-") as home:
        variables = {"ZINC_MCP_HOME": home, "ZINC_MCP_SANDBOX": "1", "ZINC_MCP_SANDBOX_PACE": "10"}
        async with started(["-m", "zinc_mcp"], variables) as process:
            server = Stdio(process)
            await server.opened()
            told: list[dict[str, Any]] = []

            async def call(tool: str, **arguments: Any) -> dict[str, Any]:
                told.append(succeeded(await server.call(tool, arguments)))
                return told[-1]

            found = await call("search_products", query="whole bean coffee", max_price=2000)
            url = found["results"][0]["url"]
            await call("check_product", url=url, details=True)
            product = {"url": url, "quantity": 1}
            placed = await call("place_order", products=[product], shipping_address=ADDRESS, max_price=2000)
            for _ in range(_LOOKS):
                if (await call("get_order", order_id=placed["order_id"], wait_seconds=25))["is_final"]:
                    break
            await call("get_order", order_id=placed["order_id"])
    tokens = round(sum(_size(each) for each in told) / 4)
    return Figure(
        "a whole purchase, estimated tokens",
        str(tokens),
        "",
        target=f"≤ {PURCHASE_BUDGET} tokens",
        holds=tokens <= PURCHASE_BUDGET,
    )


def _searched(structure: int, raw: int) -> Figure:
    tokens = round(structure / 4)
    return Figure(
        "search of ten products, estimated tokens",
        str(tokens),
        str(round(raw / 4)),
        structure / raw,
        target=f"≤ {SEARCH_BUDGET} tokens",
        holds=tokens <= SEARCH_BUDGET,
    )


def _bytes(name: str, size: int, budget: int | None = None) -> Figure:
    if budget is None:
        return Figure(name, f"{size} B", "")
    return Figure(name, f"{size} B", "", target=f"≤ {budget} B", holds=size <= budget)


def _size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


if __name__ == "__main__":
    sys.exit(run_bench(measure, __doc__))
