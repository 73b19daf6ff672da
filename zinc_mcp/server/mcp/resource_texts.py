"""The texts of resources, with the views of the tools. They are loaded when the first resource is read."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from pydantic import ValidationError

from zinc_mcp.errors import InvalidArgumentsError, OrderNotFoundError, ZincMcpError
from zinc_mcp.server.mcp.listing import OpenService
from zinc_mcp.server.mcp.tools.get_order import looked_up, read_lookup
from zinc_mcp.server.mcp.tools.list_orders import OrdersWanted, orders_view
from zinc_mcp.server.mcp.tools.tool import Service, caller_of
from zinc_mcp.views.order import compact
from zinc_mcp.views.parts import View


async def orders_text(service: OpenService, ctx: Context) -> str:
    """Return the newest orders of the caller of a request as JSON text.

    Raises:
        ResourceError: they cannot be read just now.
    """
    return await _told(service, ctx, lambda opened, caller: orders_view(opened.process, caller, OrdersWanted()))


async def order_text(service: OpenService, ctx: Context, order_id: str) -> str:
    """Return one order of the caller of a request as JSON text.

    Raises:
        ResourceNotFoundError: this caller has no such order.
        ResourceError: it cannot be read just now.
    """

    async def look(opened: Service, caller: str) -> View:
        return await looked_up(opened, caller, read_lookup({"order_id": order_id}))

    return await _told(service, ctx, look)


async def _told(service: OpenService, ctx: Context, look: Callable[[Service, str], Awaitable[View]]) -> str:
    try:
        opened, caller = await service(), caller_of(ctx)
        with opened.calls.one_more(caller):
            facts: dict[str, Any] = compact(await look(opened, caller))
    except (OrderNotFoundError, InvalidArgumentsError) as error:
        raise ResourceNotFoundError(error.summary) from error
    except ZincMcpError as error:
        raise ResourceError(f"{error.summary} {error.next_step}") from error
    except ValidationError as error:  # outside it would be taken for a mistake in the request
        raise RuntimeError("an order could not be shown") from error
    return json.dumps(facts, separators=(",", ":"), ensure_ascii=False)
