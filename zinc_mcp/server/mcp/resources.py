"""Orders as resources: `zinc://orders` and `zinc://orders/{order_id}`, for each caller their own."""

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError
from mcp.server.mcpserver.resources import Resource
from mcp.shared.uri_template import UriTemplate
from mcp.types import ResourceTemplate

from zinc_mcp.server.mcp.listing import OpenService

ORDERS = "zinc://orders"
ONE_ORDER = "zinc://orders/{order_id}"
_JSON = "application/json"


class OrdersResource(Resource):
    """The list of orders. Only a request tells who reads the list, so `read_orders` answers instead."""

    async def read(self) -> str:
        """Refuse, because a read without a request has no caller."""
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


def order_template() -> ResourceTemplate:
    """Return the entry of one order in the list of templates."""
    return ResourceTemplate(
        uri_template=ONE_ORDER,
        name="order",
        title="Order",
        description="One order by Zinc's id or our key, as get_order shows it",
        mime_type=_JSON,
    )


def order_in(uri: str) -> str | None:
    """Return the id or key in the address of one order; None for another address."""
    order_id = (UriTemplate.parse(ONE_ORDER).match(uri) or {}).get("order_id")
    return order_id if isinstance(order_id, str) else None


async def read_order(service: OpenService, ctx: Context, order_id: str) -> list[ReadResourceContents]:
    """Read one order for the caller of a request.

    Raises:
        ResourceNotFoundError: this caller has no such order.
        ResourceError: it cannot be read just now.
    """
    from zinc_mcp.server.mcp.resource_texts import order_text

    return [ReadResourceContents(content=await order_text(service, ctx, order_id), mime_type=_JSON)]
