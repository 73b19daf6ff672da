"""`list_orders`: the caller's orders, newest first, with the money that they took."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field

from zinc_mcp.checkout.order_list import OrderFilter, list_orders, made_at
from zinc_mcp.errors import Problem, ZincMcpError
from zinc_mcp.journal.records.entry import Mode
from zinc_mcp.process import Process
from zinc_mcp.server.mcp.arguments import input_schema, must_change, normalized, validated
from zinc_mcp.server.mcp.results import ALWAYS, crashed, failed, shown
from zinc_mcp.server.mcp.tools.tool import Service, caller_of, logged, published
from zinc_mcp.views.order_list import Missing, OrderListView, order_list_view

MAX_LIMIT = 50
SHOWS = {**ALWAYS, "orders": "array", "next_page": "string", "totals": "array"}
_DESCRIPTION = (
    "List the user's orders, newest first, also those that wait for a yes or came to nothing, and what they cost. "
    "Changes nothing and costs nothing. Not for one order; that is get_order."
)

Status = Literal[
    "waiting",
    "unknown",
    "accepted",
    "placed",
    "failed",
    "cancelled",
    "rejected",
    "refused",
    "declined",
    "paid_no_order",
]
Tracking = Literal["none", "pending", "in_transit", "available_for_pickup", "delivered", "undeliverable"]


class OrdersWanted(BaseModel):
    """The arguments of `list_orders`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    since: str | None = Field(default=None, max_length=40, description="A day or moment, such as 2026-11-21")
    until: str | None = Field(default=None, max_length=40, description="Before this day or moment")
    status: Status | None = None
    retailer: str | None = Field(default=None, max_length=100)
    text: str | None = Field(
        default=None, max_length=100, description="Part of a product's title or address, a number, a name"
    )
    tracking: Tracking | None = None
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_LIMIT)] = 10
    page: str | None = Field(default=None, max_length=200, description="next_page of the result before")


def tool(service: Service) -> Tool:
    """Return the tool."""
    process = service.process

    async def listed(given: Mapping[str, Any], ctx: Context) -> CallToolResult:
        try:
            wanted = validated(OrdersWanted, normalized(OrdersWanted, given))
            caller = caller_of(ctx)
            with service.calls.one_more(caller):
                return shown(await orders_view(process, caller, wanted))
        except ZincMcpError as error:
            return failed(error, "look")
        except Exception as error:
            return crashed(logged(error), "look", reached_checkout=False, key=None)

    return published(
        listed,
        "list_orders",
        "List orders",
        _DESCRIPTION,
        arguments=input_schema(OrdersWanted),
        shows=SHOWS,
        reads=True,
    )


async def orders_view(process: Process, caller: str, wanted: OrdersWanted) -> OrderListView:
    """List orders and return the view of the list.

    Raises:
        InvalidArgumentsError: a time or a page cannot be read.
        JournalError: the journal cannot be read.
    """
    listing = await list_orders(process, caller, _wish(wanted))
    missing = Missing(
        unasked=listing.unasked,
        has_account=listing.has_account,
        zinc_cut=listing.zinc_cut,
        journal_cut=listing.journal_cut,
        unreadable=listing.unreadable,
        parcels_unread=listing.parcels_unread,
    )
    page = None if listing.next_page is None else f"{listing.next_page[0]!r}~{listing.next_page[1]}"
    rows = [(made_at(row), row) for row in listing.shown]
    modes: list[Mode] = sorted({rail.mode for rail in process.rails.values()})
    return order_list_view(rows, listing.matched, missing, modes=modes, next_page=page)


def _wish(wanted: OrdersWanted) -> OrderFilter:
    return OrderFilter(
        since=_moment("since", wanted.since),
        until=_moment("until", wanted.until),
        status=wanted.status,
        retailer=wanted.retailer or "",
        text=wanted.text or "",
        tracking=wanted.tracking,
        limit=wanted.limit,
        after=_after(wanted.page),
    )


def _moment(name: str, text: str | None) -> float | None:
    """Return a day or moment as seconds since the epoch; without an offset it is UTC."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise must_change([Problem(name, "must be a day such as 2026-11-21, or a moment with an offset")]) from None


def _after(page: str | None) -> tuple[float, str] | None:
    if not page:
        return None
    at, mark, name = page.partition("~")
    try:
        found = float(at)
        if not mark or not abs(found) < 1e12:
            raise ValueError
    except ValueError:
        raise must_change([Problem("page", "must be next_page of the result before, as it was")]) from None
    return found, name
