"""`place_agent_order`: an order that is paid by a payment wallet, without a Zinc account."""

from mcp.server.mcpserver.tools import Tool

from zinc_mcp.server.mcp.tools.placing import placing
from zinc_mcp.server.mcp.tools.tool import Service

_DESCRIPTION = (
    "Buy products like place_order, paid from a payment wallet (MPP) without a Zinc account. Spends real money: up to "
    "max_price plus Zinc's fee. Not for owners with a Zinc balance; that is place_order."
)


def tool(service: Service) -> Tool:
    """Return the tool."""
    return placing(service, "agent", "place_agent_order", "Place an order paid by wallet", _DESCRIPTION)
