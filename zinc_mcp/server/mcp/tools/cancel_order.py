"""`cancel_order`: an order that is still pending is cancelled, or a question that waits is withdrawn."""

from collections.abc import Mapping
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field

from zinc_mcp.aftercare.cancel import cancel, withdraw_change
from zinc_mcp.errors import OrderNotFoundError, ZincMcpError
from zinc_mcp.server.mcp.arguments import input_schema, normalized, validated
from zinc_mcp.server.mcp.results import ALWAYS, crashed, failed, shown
from zinc_mcp.server.mcp.tools.tool import Service, caller_of, handle_in, logged, published
from zinc_mcp.views.cancellation import cancellation_view, change_cancellation_view

SHOWS = {**ALWAYS, "cancellation": "string", "status": "string"}
_DESCRIPTION = (
    "Cancel an order that is still pending, or withdraw an order, return or report that waits for the user's approval. "
    "Later it says what can be done instead. Costs nothing; calling again is safe. Not for sending something back."
)


class OrderCancel(BaseModel):
    """The arguments of `cancel_order`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    order_id: str = Field(min_length=1, max_length=100, description="Zinc's order id, or a key")


def tool(service: Service) -> Tool:
    """Return the tool."""
    process = service.process

    async def stop(given: Mapping[str, Any], ctx: Context) -> CallToolResult:
        reached, handle = False, None
        try:
            handle = handle_in(validated(OrderCancel, normalized(OrderCancel, given)).order_id)
            caller = caller_of(ctx)
            with service.calls.one_more(caller):
                reached = True
                try:
                    done = await cancel(process, caller, handle)
                except OrderNotFoundError:
                    change = await withdraw_change(process, caller, handle)
                    if change is None:
                        raise
                    return shown(change_cancellation_view(change))
            return shown(
                cancellation_view(
                    done.how,
                    done.answer,
                    mode=process.settings.mode,
                    now=process.times.clock(),
                    tools=service.tools,
                )
            )
        except ZincMcpError as error:
            return failed(error, "change")
        except Exception as error:
            return crashed(logged(error), "change", reached_checkout=reached, key=handle)

    return published(
        stop,
        "cancel_order",
        "Cancel an order",
        _DESCRIPTION,
        arguments=input_schema(OrderCancel),
        shows=SHOWS,
        repeats=True,
    )
