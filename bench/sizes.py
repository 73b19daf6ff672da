"""The size of the tools and of a result in a model's context, in bytes of compact JSON (UTF-8).

Measured: each tool as `tools/list` gives it, with its output schema, and all of them (budget 20 KB); the server's
instructions (budget 2,000 bytes); the structure of `get_order` for a typical order that is on its way, compared with
Zinc's own JSON for the same order, and its tokens, estimated as bytes / 4 (budget 600). Nothing here depends on the
machine, so there are no rounds.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.baselines.zinc import TYPICAL
from bench.callers import HELLO, Stdio, started, succeeded, upstream
from bench.figures import Figure, run_bench
from bench.wanted import configured, order

TOOLS_BUDGET = 20 * 1024
INSTRUCTIONS_BUDGET = 2_000
TOKENS_BUDGET = 600


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
    ]


def _bytes(name: str, size: int, budget: int | None = None) -> Figure:
    if budget is None:
        return Figure(name, f"{size} B", "")
    return Figure(name, f"{size} B", "", target=f"≤ {budget} B", holds=size <= budget)


def _size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


if __name__ == "__main__":
    sys.exit(run_bench(measure, __doc__))
