"""Lists of orders at Zinc (`GET /orders`)."""

from collections.abc import Mapping
from typing import Any, cast

from anyio import lowlevel
from pydantic import SecretStr, ValidationError

from zinc_mcp.zinc.client import ZincClient, members
from zinc_mcp.zinc.responses import Order

MAX_LIST_BYTES = 512 * 1024
"""A page of a list of orders."""
MAX_PAGES = 10
"""Pages of a list that are read if Zinc does not filter it."""
PAGE = 50
"""Orders asked for on each page: few enough for the bound of its bytes. Zinc's default may be another number."""
MAX_LISTED = 500
"""Orders of one page that are read, if Zinc lists more than were asked for."""


async def find_orders(client: ZincClient, metadata_key: str, metadata_value: str, api_key: SecretStr) -> list[Order]:
    """List the orders whose metadata holds exactly this pair (`GET /orders`, since SDK 8.21).

    An empty list proves nothing, because listings may lag. Malformed rows are skipped. Releases before 8.21 had no
    such filter and list all orders; then more pages are read.
    """
    parameters = {"metadata_key": metadata_key, "metadata_value": metadata_value, "limit": str(PAGE)}
    found: list[Order] = []
    seen = 0
    for _ in range(MAX_PAGES):
        page = {"offset": str(seen)} if seen else {}
        listed = await client.get_json("/orders", api_key, {**parameters, **page}, MAX_LIST_BYTES)
        rows = _rows(listed)
        seen += len(rows)
        for row in rows[:MAX_LISTED]:
            # The server may have ignored the filter and listed other orders.
            if members(members(row).get("metadata")).get(metadata_key) != metadata_value:
                continue
            await lowlevel.checkpoint()  # lets other tasks run between two orders
            try:
                found.append(Order.read(row))
            except ValidationError:
                continue
        total = members(listed).get("total")
        if found or not rows or seen >= (total if type(total) is int else 0):
            break
    return found


def _rows(listed: object) -> list[Any]:
    rows: Any = cast(Any, listed).get("orders") if isinstance(listed, Mapping) else listed
    return cast(list[Any], rows) if isinstance(rows, list) else []
