"""Orders as resources: `zinc://orders` and `zinc://orders/{order_id}`, with the views of the tools, for each caller."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.server.mcpserver.resources import Resource

from zinc_mcp.errors import InvalidArgumentsError, OrderNotFoundError, ZincMcpError
from zinc_mcp.server.mcp.tools.get_order import looked_up, read_lookup
from zinc_mcp.server.mcp.tools.list_orders import OrdersWanted, orders_view
from zinc_mcp.server.mcp.tools.tool import Service, caller_of
from zinc_mcp.views.order import compact
from zinc_mcp.views.parts import View

ORDERS = "zinc://orders"
ONE_ORDER = "zinc://orders/{order_id}"
_JSON = "application/json"


class OrdersResource(Resource):
    """The list of orders. Who reads it is known only by the request, so that `read_orders` answers."""

    async def read(self) -> str:
        """Refuse: this has no caller."""
        raise ResourceError("The list of orders is read through a server.")


def orders_resource() -> Resource:
    """Return the entry of `zinc://orders` in the list of resources."""
    return OrdersResource(
        uri=ORDERS,
        name="orders",
        title="Orders",
        description="The newest orders, as list_orders shows them",
        mime_type=_JSON,
    )


async def read_orders(service: Service, ctx: Context) -> list[ReadResourceContents]:
    """Read `zinc://orders` for the caller of a request."""
    text = await _told(service, ctx, lambda caller: orders_view(service.process, caller, OrdersWanted()))
    return [ReadResourceContents(content=text, mime_type=_JSON)]


def add_order(server: MCPServer[Any], service: Service) -> None:
    """Add the template of one order to a server."""

    async def order(order_id: str, ctx: Context) -> str:
        async def look(caller: str) -> View:
            return await looked_up(service, caller, read_lookup({"order_id": order_id}))

        return await _told(service, ctx, look)

    described = "One order by Zinc's id or our key, as get_order shows it"
    server.resource(ONE_ORDER, title="Order", description=described, mime_type=_JSON)(order)


async def _told(service: Service, ctx: Context, look: Callable[[str], Awaitable[View]]) -> str:
    """Return a view as JSON text.

    Raises:
        ResourceNotFoundError: this caller has no such order.
        ResourceError: it cannot be read just now.
    """
    try:
        caller = caller_of(ctx)
        with service.calls.one_more(caller):
            facts: dict[str, Any] = compact(await look(caller))
    except (OrderNotFoundError, InvalidArgumentsError) as error:
        raise ResourceNotFoundError(error.summary) from error
    except ZincMcpError as error:
        raise ResourceError(f"{error.summary} {error.next_step}") from error
    return json.dumps(facts, separators=(",", ":"), ensure_ascii=False)
