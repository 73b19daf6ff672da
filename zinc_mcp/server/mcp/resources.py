"""Orders as resources: `zinc://orders` and `zinc://orders/{order_id}`, for each caller their own."""

from typing import Any

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError
from mcp.server.mcpserver.resources import Resource

from zinc_mcp.server.mcp.listing import OpenService

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


async def read_orders(service: OpenService, ctx: Context) -> list[ReadResourceContents]:
    """Read `zinc://orders` for the caller of a request.

    Raises:
        ResourceError: it cannot be read just now.
    """
    from zinc_mcp.server.mcp.resource_texts import orders_text

    return [ReadResourceContents(content=await orders_text(service, ctx), mime_type=_JSON)]


def add_order(server: MCPServer[Any], service: OpenService) -> None:
    """Add the template of one order to a server."""

    async def order(order_id: str, ctx: Context) -> str:
        from zinc_mcp.server.mcp.resource_texts import order_text

        return await order_text(service, ctx, order_id)

    described = "One order by Zinc's id or our key, as get_order shows it"
    server.resource(ONE_ORDER, title="Order", description=described, mime_type=_JSON)(order)
