"""`place_v1_order`: an order of Zinc's v1, which names products by their numbers."""

from mcp.server.mcpserver.tools import Tool

from zinc_mcp.server.mcp.tools.placing import Form, placing
from zinc_mcp.server.mcp.tools.tool import Service
from zinc_mcp.zinc.v1.address import from_v2
from zinc_mcp.zinc.v1.order import V1Order

_DESCRIPTION = (
    "Buy products of one retailer by their numbers (such as ASINs) through Zinc's v1, and have them shipped. Spends "
    "real money: up to max_price plus zma_priority_bid. Not for products known by their page; that is place_order."
)


def tool(service: Service) -> Tool:
    """Return the tool."""
    return placing(
        service, "v1", "place_v1_order", "Place an order of Zinc's v1", _DESCRIPTION, Form(V1Order, from_v2)
    )
