"""`place_v1_order`: an order of Zinc's v1, which names products by their numbers."""

from typing import Any

from mcp.server.mcpserver.tools import Tool

from zinc_mcp.server.mcp.arguments import input_schema
from zinc_mcp.server.mcp.tools.placing import Form, placing
from zinc_mcp.server.mcp.tools.tool import Service
from zinc_mcp.server.mcp.worded import worded
from zinc_mcp.zinc.v1.address import from_v2
from zinc_mcp.zinc.v1.order import V1Order

_DESCRIPTION = (
    "Buy products by their numbers (ASINs) through Zinc's v1. Spends real money: up to max_price, plus what "
    "zma_priority_bid and zma_discount add. Not for products known by their page; that is place_order."
)


_SAID = {
    "product_id": "The retailer's own number",
    "seller_selection_criteria": "Absent: Prime, New, 6 days to hand over.",
    "max_price": "US cents: items, tax and shipping together",
    "shipping_method": "Or shipping",
    "take_buybox_offers": "Whoever sells it",
    "zma_discount": "Per cent, -50 to 0: above face value, goes first",
    "zma_priority_bid": "US cents on top",
    "retailer_account": "The user's own account. Absent: one of Zinc's.",
}
"""What is said of an argument, where its name does not say enough."""


def v1_schema() -> dict[str, Any]:
    """Return the input schema: V1Order's own at the top level, with what is inside its arguments in words."""
    schema = worded(input_schema(V1Order), _SAID)
    address = schema["properties"]["shipping_address"]
    schema["properties"]["shipping_address"] = {
        **address,
        "description": f'{address["description"]}; or {{"saved": "home"}}',
    }
    return schema


def tool(service: Service) -> Tool:
    """Return the tool."""
    form = Form(V1Order, from_v2, v1_schema)
    return placing(service, "v1", "place_v1_order", "Place a v1 order", _DESCRIPTION, form)
