"""Lists of orders at Zinc (`GET /orders`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from anyio import lowlevel
from pydantic import SecretStr, ValidationError

from zinc_mcp.errors import OrderRejectedError, UnreadableAnswerError
from zinc_mcp.zinc.client import ZincClient, members
from zinc_mcp.zinc.responses import Order

MAX_LIST_BYTES = 512 * 1024
"""Bytes of one page of a list that are read."""
MAX_PAGES = 10
"""Pages of a list that are read if Zinc does not filter it."""
PAGE = 50
"""Orders asked for on each page: few enough for the bound of its bytes. Zinc's default may be another number."""
SMALL_PAGE = 10
"""Orders asked for on a page if a usual one could not be read."""
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


@dataclass(slots=True)
class OrderList:
    """The orders of an account that were read so far, by their ids in lower case, as Zinc lists them."""

    orders: dict[str, Order] = field(default_factory=dict[str, Order])
    is_whole: bool = False
    """Whether Zinc's whole list was read."""
    unreadable: int = 0
    """Rows that are no orders."""


async def read_list(
    client: ZincClient, api_key: SecretStr, into: OrderList, since: float | None, until: float | None
) -> None:
    """Read the orders of an account page by page (`GET /orders`), into a list that keeps them if this is cancelled.

    Zinc is asked for the orders that were created from `since` to before `until` (seconds since the epoch). It may list
    others: old releases have no filters and no pages, and refuse or ignore both. At most `MAX_PAGES` pages are read.

    Raises:
        ZincUnreachableError, OrderRejectedError, UnreadableAnswerError: see `ZincClient`. What was read before stays.
    """
    wanted = {"created_after": since, "created_before": until}
    filters = {name: _instant(at) for name, at in wanted.items() if at is not None}
    seen, size = 0, PAGE
    for _ in range(MAX_PAGES):
        paging = {"limit": str(size), **({"offset": str(seen)} if seen else {})}
        try:
            listed = await client.get_json("/orders", api_key, {**filters, **paging}, MAX_LIST_BYTES)
        except OrderRejectedError as refused:
            if not filters or refused.status not in (400, 422):
                raise
            filters = {}
            continue
        except UnreadableAnswerError:
            if size <= SMALL_PAGE:
                raise
            size = SMALL_PAGE  # the page may have been larger than what is read
            continue
        if not isinstance(members(listed).get("orders", listed), list):
            raise UnreadableAnswerError("Zinc's answer holds no list of orders.")
        rows = _rows(listed)
        seen += len(rows)
        before = len(into.orders)
        for row in rows[:MAX_LISTED]:
            await lowlevel.checkpoint()  # lets other tasks run between two orders
            try:
                order = Order.read(row)
            except ValidationError:
                into.unreadable += 1
                continue
            into.orders.setdefault(order.id.casefold(), order)
        told: object = members(listed).get("total")
        total = told if isinstance(told, int) and not isinstance(told, bool) else None
        is_last = not rows or (len(rows) != size if total is None else seen >= total)
        is_same = len(into.orders) == before  # a list that ignores the offset would be read again and again
        if is_last or is_same:
            # An empty page may end a list too early. Without a total, a list that shows the same again shows all.
            all_came = True if total is None else is_last and seen >= total
            into.is_whole = all_came and len(rows) <= MAX_LISTED
            return


def _instant(at: float) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)  # also before 1970, on every system
    return moment.isoformat().replace("+00:00", "Z")


def _rows(listed: object) -> list[Any]:
    rows: Any = cast(Any, listed).get("orders") if isinstance(listed, Mapping) else listed
    return cast(list[Any], rows) if isinstance(rows, list) else []
