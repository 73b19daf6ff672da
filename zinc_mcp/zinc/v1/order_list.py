"""Lists of orders of v1 (`GET /v1/orders`): an array of what `GET /v1/orders/{request_id}` answers.

No page says that a row holds its request id. An order without one is named by its key (`answers.BY_KEY`), if the notes
show it, and is found by that key again. No page says in which order rows come, or that every order is listed at once:
an empty list proves nothing.
"""

from collections.abc import Mapping
from typing import Any

from anyio import lowlevel
from pydantic import SecretStr

from zinc_mcp.errors import OrderNotFoundError, UnreadableAnswerError
from zinc_mcp.zinc.client import members
from zinc_mcp.zinc.placed.order_list import MAX_LIST_BYTES, MAX_LISTED, MAX_PAGES, PAGE, SMALL_PAGE, OrderList
from zinc_mcp.zinc.responses import Order, is_a_segment
from zinc_mcp.zinc.texts.notes import RESERVED_METADATA
from zinc_mcp.zinc.v1.answers import BY_KEY, notes_in, order_of, request_id_of
from zinc_mcp.zinc.v1.client import V1Client

_KEY = f"{RESERVED_METADATA}key"


async def find_orders(
    client: V1Client,
    name: str,
    value: str,
    token: SecretStr,
    *,
    since: float | None = None,
    until: float | None = None,
    sent: Mapping[str, Any] | None = None,
) -> list[Order]:
    """Return the listed orders whose notes hold exactly this pair. v1 cannot filter by notes, so pages are read.

    `since` and `until` bound the time of the orders, in seconds of the epoch. An empty list proves nothing.
    """
    found: list[Order] = []
    seen, size = 0, PAGE
    before: object = None
    for _ in range(MAX_PAGES):
        rows, size = await _page(client, token, seen, size, since, until)
        if not rows or rows == before:  # a list that ignores `skip` would be read again and again
            break
        seen, before = seen + len(rows), rows
        for row in rows[:MAX_LISTED]:
            shown = members(row)
            if notes_in(shown).get(name) != value:
                continue
            if (order := read_row(shown, sent)) is not None:
                found.append(order)
        if found:
            break
    return found


async def read_order(client: V1Client, order_id: str, token: SecretStr, sent: Mapping[str, Any] | None = None) -> Order:
    """Read one order, also one that Zinc listed without its request id. `sent`: see `V1Client.read`.

    Raises:
        OrderNotFoundError: Zinc does not show it.
        ZincUnreachableError, OrderRejectedError, UnreadableAnswerError: nothing was learned.
    """
    if not order_id.startswith(BY_KEY):
        return await client.read(order_id, token, sent)
    found = await find_orders(client, _KEY, order_id.removeprefix(BY_KEY), token, sent=sent)
    if len(found) != 1:
        raise OrderNotFoundError("Zinc's list does not show this order now.")
    return found[0].model_copy(update={"id": order_id})


async def read_list(
    client: V1Client, token: SecretStr, into: OrderList, since: float | None, until: float | None
) -> None:
    """Read the orders of an account page by page, as `zinc.placed.order_list.read_list` does for v2.

    v1 tells no total, so the list is whole when a page is empty or shows nothing new.
    """
    seen, size = 0, PAGE
    for _ in range(MAX_PAGES):
        rows, size = await _page(client, token, seen, size, since, until)
        seen += len(rows)
        known = len(into.orders)
        for row in rows[:MAX_LISTED]:
            await lowlevel.checkpoint()  # lets other tasks run between two orders
            order = read_row(members(row))
            if order is None:
                into.unreadable += 1
            else:
                into.orders.setdefault(order.id.casefold(), order)
        if not rows or (len(into.orders) == known and into.orders):
            into.is_whole = len(rows) <= MAX_LISTED
            return


def read_row(row: Mapping[str, Any], sent: Mapping[str, Any] | None = None) -> Order | None:
    """Return the order of a row; None if it is none, or names neither a request id nor our key."""
    order_id = request_id_of(row)
    if order_id is None:
        key: object = notes_in(row).get(_KEY)
        order_id = f"{BY_KEY}{key}" if isinstance(key, str) else ""
    if not is_a_segment(order_id):
        return None
    try:
        return order_of(row, order_id, sent)
    except UnreadableAnswerError:
        return None


async def _page(
    client: V1Client, token: SecretStr, skip: int, size: int, since: float | None, until: float | None
) -> tuple[list[object], int]:
    """Return the rows of a page, and the number that was asked for: a smaller one after a page that was unreadable."""
    try:
        rows = await client.list_orders(
            token, limit=size, skip=skip, since=since, until=until, most_bytes=MAX_LIST_BYTES
        )
        return rows, size
    except UnreadableAnswerError:
        if size <= SMALL_PAGE:
            raise
    rows = await client.list_orders(
        token, limit=SMALL_PAGE, skip=skip, since=since, until=until, most_bytes=MAX_LIST_BYTES
    )
    return rows, SMALL_PAGE
