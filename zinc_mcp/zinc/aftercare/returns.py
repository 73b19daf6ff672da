"""Returns at Zinc: `POST /returns` and `GET /returns` (SDK 2026.10.16)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast, get_args

from pydantic import SecretStr, ValidationError

from zinc_mcp.network import NetworkAnswer
from zinc_mcp.zinc.aftercare.changes import Change, json_change, taken, unproved
from zinc_mcp.zinc.answers import Text
from zinc_mcp.zinc.client import ZincClient, members
from zinc_mcp.zinc.credits import ReturnSummary
from zinc_mcp.zinc.placed.order_list import MAX_LIST_BYTES, MAX_LISTED

ReturnReason = Literal[
    "damaged",
    "not_delivered",
    "empty_box",
    "wrong_item",
    "defective",
    "not_as_described",
    "wrong_size",
    "no_longer_needed",
    "forced_cancellation",
    "other",
]
RETURN_REASONS: tuple[str, ...] = get_args(ReturnReason)

MAX_PAGES = 4
"""Pages of the list of returns that are read if Zinc does not filter it."""
PAGE = 100
DENIED = frozenset({"denied", "rejected"})
"""States of a return that Zinc does not take."""


class ReturnRequest(ReturnSummary):
    """One return, as the 201 and the list give it."""

    merchant_return_id: Text | None = None


def return_change(order_id: str, items: Sequence[tuple[str, int]], reason: str, notes: str | None) -> Change:
    """Return the request that files a return."""
    body: dict[str, Any] = {
        "order_id": order_id,
        "items": [{"order_item_id": item_id, "quantity": quantity} for item_id, quantity in items],
        "reason": reason,
    }
    return json_change("/returns", body if notes is None else {**body, "notes": notes})


def filed_return(answer: NetworkAnswer, body: Mapping[str, Any]) -> ReturnRequest:
    """Return the return in the answer to a request that filed one.

    Raises:
        ChangeRejectedError: Zinc answered no.
        ChangeOutcomeUnknownError: the answer shows no return, or another one than the one that was sent.
    """
    content = taken(answer)
    try:
        filed = ReturnRequest.read(content)
    except ValidationError:
        raise unproved("the answer could not be read", "unreadable") from None
    if not filed.id or not is_return(filed, body):
        raise unproved("Zinc answered with another return", "another_return")
    return filed


def is_return(found: ReturnRequest | ReturnSummary, body: Mapping[str, Any]) -> bool:
    """Say whether a return is for the order, the items, the quantities and the reason of a request."""
    if isinstance(found, ReturnRequest) and found.order_id.lower() != str(body["order_id"]).lower():
        return False
    if not found.rows_cut.keys().isdisjoint(("items",)):
        return False
    if not found.items:  # the answer and the list may lack them (ReturnResponse)
        return bool(found.reason == body["reason"])
    wanted = {str(each["order_item_id"]).lower(): int(each["quantity"]) for each in body["items"]}
    shown: dict[str, int] = {}
    for each in found.items:
        shown[each.order_item_id.lower()] = shown.get(each.order_item_id.lower(), 0) + each.quantity
    return shown == wanted and bool(found.reason == body["reason"])


async def list_returns(client: ZincClient, order_id: str, api_key: SecretStr) -> list[ReturnRequest]:
    """List the returns of one order. An empty list proves nothing, because listings may lag."""
    found: list[ReturnRequest] = []
    seen = 0
    for _ in range(MAX_PAGES):
        page = {"search": order_id, "limit": str(PAGE), **({"offset": str(seen)} if seen else {})}
        listed = await client.get_json("/returns", api_key, page, MAX_LIST_BYTES)
        rows = rows_in(listed, "return_requests")
        seen += len(rows)
        for row in rows[:MAX_LISTED]:
            # The server may have ignored the filter, which also finds parts of an id.
            if str(members(row).get("order_id")).lower() != order_id.lower():
                continue
            try:
                found.append(ReturnRequest.read(row))
            except ValidationError:
                continue
        total = members(listed).get("total")
        if not rows or seen >= (total if type(total) is int else 0):
            break
    return found


def rows_in(listed: object, name: str) -> list[Any]:
    """Return the rows of a page; no rows if the answer is no page."""
    rows: Any = members(listed).get(name)
    return cast(list[Any], rows) if isinstance(rows, list) else []
