"""The tools as hosts list them, read from `tools.json` beside this module.

That file is derived from the tools' own modules, and a test holds it against them (`ZINC_MCP_UPDATE_CONTRACT=1` writes
it anew). With it, the list of tools does not wait for the modules behind them, which took a seventh of the time to
start. The module of a tool is loaded by its first call.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations

if TYPE_CHECKING:
    from zinc_mcp.server.mcp.tools.tool import Service
    from zinc_mcp.telemetry.watch import Watch

OpenService = Callable[[], Awaitable["Service"]]
"""Returns the objects that the tools share, and opens the process for them at the first call.

Raises:
    SettingsError, RefusedError: it cannot be opened.
"""
FILE = "tools.json"


class AsGiven(FuncMetadata):
    """Hands the arguments to the tool as they came: `arguments` validates them and its errors are ours."""

    def validate_arguments(self, arguments_to_validate: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments under the one parameter that every tool body has."""
        return {"given": arguments_to_validate}


def listed_tools(
    service: OpenService, names: Collection[str], *, host_asks: bool, watch: "Watch | None" = None
) -> list[Tool]:
    """Return the tools with these names, in the order of the list.

    Args:
        service: see `OpenService`.
        names: the names of the tools to list.
        host_asks: whether the host has to ask its person on each call of a tool that asks one.
        watch: is told of each call.
    """
    return [_tool(service, row, watch, host_asks=host_asks) for row in contract() if row["name"] in names]


@cache
def contract() -> tuple[Mapping[str, Any], ...]:
    """Return the tools as `tools/list` shows them where the owner trusts the host's own prompt."""
    return tuple(json.loads(files("zinc_mcp.server.mcp").joinpath(FILE).read_text(encoding="utf-8")))


def _tool(service: OpenService, row: Mapping[str, Any], watch: "Watch | None", *, host_asks: bool) -> Tool:
    name: str = row["name"]

    async def call(given: Mapping[str, Any], ctx: Context) -> CallToolResult | InputRequiredResult:
        from zinc_mcp.server.mcp.tools.noted import call_and_note

        return await call_and_note(name, service, watch, given, ctx)

    return Tool(
        fn=call,
        name=name,
        title=row["title"],
        description=row["description"],
        parameters=row["inputSchema"],
        fn_metadata=AsGiven(arg_model=ArgModelBase, output_schema=row["outputSchema"]),
        is_async=True,
        context_kwarg="ctx",
        annotations=ToolAnnotations.model_validate(row["annotations"]),
        meta=row.get("_meta") if host_asks else None,
    )
