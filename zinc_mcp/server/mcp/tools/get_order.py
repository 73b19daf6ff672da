"""`get_order`: one order looked up, with a wait for news where the caller wants one."""

from collections.abc import Mapping
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field

from zinc_mcp.aftercare import followed
from zinc_mcp.errors import Problem, ZincMcpError
from zinc_mcp.server.mcp.arguments import input_schema, must_change, normalized, validated
from zinc_mcp.server.mcp.results import ALWAYS, crashed, failed, shown
from zinc_mcp.server.mcp.tools.tool import Service, caller_of, logged, published
from zinc_mcp.text import plain
from zinc_mcp.views.order import order_view

MAX_WAIT_SECONDS = 25
SHOWS = {
    **ALWAYS,
    "is_final": "boolean",
    "status": "string",
    "items": "array",
    "price": "object",
    "tracking": "array",
    "failure": "object",
    "returns": "array",
    "cases": "array",
    "requests": "array",
}
_DESCRIPTION = (
    "Look up one order: status, items, price, tracking, returns, cases. Changes nothing and costs nothing; can wait "
    "for news. Not for ordering again."
)


class OrderLookup(BaseModel):
    """The arguments of `get_order`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    order_id: str = Field(min_length=1, max_length=100, description="Zinc's order id, or the key of an earlier call")
    wait_seconds: Annotated[int, Field(strict=True, ge=0, le=MAX_WAIT_SECONDS)] = Field(
        0, description="Wait this long for news"
    )


def tool(service: Service) -> Tool:
    """Return the tool."""
    process = service.process

    async def look(given: Mapping[str, Any], ctx: Context) -> CallToolResult:
        steps = 0

        async def progress(status: str) -> None:
            nonlocal steps
            steps += 1
            await ctx.report_progress(steps, message=plain(status, 60))

        try:
            lookup = _read(given)
            caller = caller_of(ctx)
            with service.calls.one_more(caller):
                known = await followed.look(process, caller, lookup.order_id, lookup.wait_seconds, progress)
            view = order_view(
                known.answer,
                "look",
                mode=process.settings.mode,
                now=process.times.clock(),
                changes=known.changes,
                thread=known.thread,
            )
            return shown(view)
        except ZincMcpError as error:
            return failed(error, "look")
        except Exception as error:
            return crashed(logged(error), "look", reached_checkout=False, key=None)

    return published(
        look,
        "get_order",
        "Look up an order",
        _DESCRIPTION,
        arguments=input_schema(OrderLookup),
        shows=SHOWS,
        reads=True,
    )


def _read(given: Mapping[str, Any]) -> OrderLookup:
    lookup = validated(OrderLookup, normalized(OrderLookup, given))
    if any(not 33 <= ord(character) <= 126 for character in lookup.order_id):
        raise must_change([Problem("order_id", "must be an id or a key, without spaces")])
    return lookup
