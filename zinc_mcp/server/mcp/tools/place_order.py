"""`place_order`: an order that is paid from the owner's Zinc balance."""

from mcp.server.mcpserver.tools import Tool

from zinc_mcp.server.mcp.tools.placing import placing
from zinc_mcp.server.mcp.tools.tool import Service

_DESCRIPTION = (
    "Buy products from one retailer and have them shipped. Spends real money from the owner's Zinc balance: up to "
    "max_price plus Zinc's fee. Not for looking up an order or a price."
)


def tool(service: Service) -> Tool:
    """Return the tool."""
    return placing(service, "account", "place_order", "Place an order", _DESCRIPTION)
