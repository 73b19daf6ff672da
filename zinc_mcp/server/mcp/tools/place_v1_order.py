"""`place_v1_order`: an order of Zinc's v1, which names products by their numbers."""

from typing import Any

from mcp.server.mcpserver.tools import Tool

from zinc_mcp.server.mcp.arguments import input_schema
from zinc_mcp.server.mcp.tools.placing import Form, placing
from zinc_mcp.server.mcp.tools.tool import Service
from zinc_mcp.server.mcp.worded import worded
from zinc_mcp.zinc.v1.address import V1Address, from_v2
from zinc_mcp.zinc.v1.order import V1Order

_DESCRIPTION = (
    "Buy products by their numbers (ASINs) through Zinc's v1. Spends real money: up to max_price, plus what "
    "zma_priority_bid and zma_discount add. Not for pages of products; that is place_order."
)


_SAID = {
    "seller_selection_criteria": "Absent: Prime, New, 6 days to hand over.",
    "max_price": "US cents: items, tax, shipping",
    "shipping_method": "Or shipping",
    "zma_discount": "Per cent; below 0 costs more",
    "zma_priority_bid": "US cents on top",
    "retailer_account": "The user's own, not Zinc's:",
}
"""Descriptions of the arguments whose names do not say enough."""


_NEEDED = [name for name, field in V1Address.model_fields.items() if field.is_required()]


def v1_schema() -> dict[str, Any]:
    """Return the input schema: V1Order's own at the top level, with the objects inside its arguments in words."""
    schema = worded(input_schema(V1Order), _SAID)
    # Without `required`, because a host may give the name of a saved address alone, and a union takes more bytes.
    schema["properties"]["shipping_address"] = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in V1Address.model_fields},
        "description": f'{", ".join(_NEEDED)}; or {{"saved": "home"}}',
    }
    return schema


def tool(service: Service) -> Tool:
    """Return the tool."""
    form = Form(V1Order, from_v2, v1_schema)
    return placing(service, "v1", "place_v1_order", "Place a v1 order", _DESCRIPTION, form)
