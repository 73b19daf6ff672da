"""`get_order`: one order looked up, with a wait for news where the caller wants one."""

from collections.abc import Mapping
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field

from zinc_mcp.aftercare import followed
from zinc_mcp.checkout import watch
from zinc_mcp.checkout.milestones import milestones
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.records.decision import reference_of
from zinc_mcp.server.mcp.arguments import input_schema, normalized, validated
from zinc_mcp.server.mcp.asking import where_to_decide
from zinc_mcp.server.mcp.results import ALWAYS, crashed, failed, shown
from zinc_mcp.server.mcp.tools.tool import Service, caller_of, handle_in, logged, published
from zinc_mcp.text import plain
from zinc_mcp.views.order import OrderView, order_view

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
    timeline: Annotated[bool, Field(strict=True)] = Field(False, description="Also show when each step happened")


def tool(service: Service) -> Tool:
    """Return the tool."""

    async def look(given: Mapping[str, Any], ctx: Context) -> CallToolResult:
        steps = 0

        async def progress(status: str) -> None:
            nonlocal steps
            steps += 1
            await ctx.report_progress(steps, message=plain(status, 60))

        try:
            lookup = read_lookup(given)
            caller = caller_of(ctx)
            with service.calls.one_more(caller):
                view = await looked_up(service, caller, lookup, progress)
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


async def looked_up(
    service: Service, caller: str, lookup: OrderLookup, progress: watch.Progress | None = None
) -> OrderView:
    """Look an order up and return its view.

    Raises:
        ZincMcpError: see `followed.look`.
    """
    process = service.process
    known = await followed.look(process, caller, lookup.order_id, lookup.wait_seconds, progress)
    asked = [each for each in (known.answer.entry, *known.changes) if each is not None and reference_of(each)]
    return order_view(
        known.answer,
        "look",
        mode=process.settings.mode,
        now=process.times.clock(),
        decide_at=await where_to_decide(service.process, service.page, caller, asked[0]) if asked else None,
        steps=await milestones(process, known.answer) if lookup.timeline else None,
        changes=known.changes,
        thread=known.thread,
    )


def read_lookup(given: Mapping[str, Any]) -> OrderLookup:
    """Return the arguments of a look-up.

    Raises:
        InvalidArgumentsError: it names every field to change.
    """
    lookup = validated(OrderLookup, normalized(OrderLookup, given))
    handle_in(lookup.order_id)
    return lookup
