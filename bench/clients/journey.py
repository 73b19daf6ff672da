"""The calls that each client makes, and the required result of each."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from bench.wanted import ADDRESS
from zinc_mcp.server.mcp.arguments import input_schema
from zinc_mcp.server.mcp.tools.cancel_order import OrderCancel
from zinc_mcp.server.mcp.tools.check_product import Check
from zinc_mcp.server.mcp.tools.get_balance import BalanceAsked
from zinc_mcp.server.mcp.tools.get_order import OrderLookup
from zinc_mcp.server.mcp.tools.list_orders import OrdersWanted
from zinc_mcp.server.mcp.tools.placing import order_schema
from zinc_mcp.server.mcp.tools.report_problem import Problem
from zinc_mcp.server.mcp.tools.return_order import Return
from zinc_mcp.server.mcp.tools.search_products import Search

Json = dict[str, Any]

OURS: Mapping[str, Json] = {
    "place_order": order_schema(),
    "place_agent_order": order_schema(),
    "get_order": input_schema(OrderLookup),
    "search_products": input_schema(Search),
    "check_product": input_schema(Check),
    "list_orders": input_schema(OrdersWanted),
    "cancel_order": input_schema(OrderCancel),
    "get_balance": input_schema(BalanceAsked),
    "return_order": input_schema(Return),
    "report_problem": input_schema(Problem),
}
"""The arguments of each tool, as the server publishes them."""

KEY = "a-client-s-order"
_COFFEE = "https://www.amazon.com/dp/B0SNDBXC01"
_GOODS = "https://zinc.com/shop/products/test-success"
_BY_WALLET = "https://www.amazon.com/dp/B07JGBW826"
_NEVER_BOUGHT = "https://www.amazon.com/dp/B0SNDBXC03"
_WISH = "whole bean coffee"
_FINAL = '"is_final":true'


def _step(name: str, tool: str, outcome: str, /, says: str = "", until: str = "", **arguments: Any) -> Json:
    more = {"until": until, "times": 5} if until else {}
    return {"name": name, "tool": tool, "arguments": arguments, "outcome": outcome, "says": says, **more}


def _ordered(url: str, max_price: int = 6000) -> Json:
    return {"products": [{"url": url}], "shipping_address": ADDRESS, "max_price": max_price}


_ONE_BACK: Json = {"order_id": KEY, "items": [{"number": 1, "quantity": 1}], "reason": "no_longer_needed"}
_LATE: Json = {"order_id": KEY, "reason": "late", "message": "It has not come yet."}


def journey() -> tuple[Json, ...]:
    """Return the steps without questions to a person, with a test key and a practice wallet."""
    # The sandbox keeps all orders that a wallet pays under one caller, so the same order there would be a repeat.
    own_key = str(uuid.uuid4())
    return (
        _step("found", "search_products", "found", says=_COFFEE, query=_WISH, max_price=2000),
        _step("checked", "check_product", "orderable", says='"cost_cents":0', url=_COFFEE, details=True),
        _step("placed", "place_order", "accepted", **_ordered(_GOODS), idempotency_key=KEY),
        _step("followed", "get_order", "placed", says=_FINAL, until=_FINAL, order_id=KEY, wait_seconds=25),
        _step("paid by wallet", "place_agent_order", "accepted", **_ordered(_BY_WALLET), idempotency_key=own_key),
        _step("listed", "list_orders", "listed", says='"totals":', limit=5),
        _step("balance", "get_balance", "shown", says='"can_pay":true', limits_only=False),
        _step("cancelled late", "cancel_order", "placed", says='"cancellation":"not_cancelled"', order_id=KEY),
        _step("sent back", "return_order", "filed", says='"return_id":', **_ONE_BACK),
        _step("reported", "report_problem", "filed", says='"case_id":', **_LATE),
        _step("looked at again", "get_order", "placed", says='"you_said":', order_id=KEY),
        _step("over a limit", "place_order", "refused", **_ordered(_NEVER_BOUGHT, 2_600_000)),
        _step("invalid", "place_order", "refused", **_ordered(_NEVER_BOUGHT), max_total=1),
    )


ASKED: tuple[Json, ...] = (
    _step("asked for a yes", "place_order", "accepted", **_ordered(_GOODS), idempotency_key=KEY),
    _step("followed after a yes", "get_order", "placed", says=_FINAL, until=_FINAL, order_id=KEY, wait_seconds=25),
    _step("sent back with a yes", "return_order", "filed", says='"return_id":', **_ONE_BACK),
    _step("reported with a yes", "report_problem", "filed", says='"case_id":', **_LATE),
)
"""The steps with a person who is asked before each change, in the client's own dialogue."""

QUESTIONS = 3
"""The number of questions in `ASKED`: those of the order, of the return and of the report."""

LEFT_WAITING: tuple[Json, ...] = (
    _step(
        "waiting",
        "place_order",
        "waiting",
        says=f" approve {KEY}",
        **_ordered(_GOODS),
        idempotency_key=KEY,
    ),
    _step("withdrawn", "cancel_order", "refused", says='"cancellation":"withdrawn"', order_id=KEY),
)
"""The steps with a person who is asked before each change, while the client cannot ask."""

OFFERED: Json = {"resource": f"zinc://orders/{KEY}", "prompt": "buy_something", "arguments": {"what": _WISH}}
"""The resource and the prompt that a client gets after the journey."""

_SHOWN: Mapping[str, tuple[str, ...]] = {
    "resources": ("zinc://orders",),
    "resource": ('"outcome":"placed"', f'"key":"{KEY}"', '"returns":'),
    "prompts": ("buy_something", "where_is_my_order", "send_something_back"),
    "prompt": (_WISH, "place_order", "place_agent_order"),
}


def untold(steps: Sequence[Json], calls: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the steps whose result lacks something required, each with the beginning of the result."""
    found: list[str] = []
    for step in steps:
        shown = calls[step["name"]]["seen"]
        said = bare(shown)
        if f'"outcome":"{step["outcome"]}"' not in said or step["says"] not in said:
            found.append(f"{step['name']}: {shown[:160]}")
        elif ("Error:" in said) is not (step["outcome"] == "refused" and step["tool"] != "cancel_order"):
            found.append(f"{step['name']}: does not say whether it is an error")
    return found


def not_offered(offers: tuple[str, ...], got: Mapping[str, str]) -> list[str]:
    """Return the resources and prompts that a client did not get, or got although it is not known to get them."""
    found = [f"{what}: {got[what][:160]}" for what in got if any(each not in bare(got[what]) for each in _SHOWN[what])]
    if set(got) != set(offers):
        found.append(f"gets {', '.join(got) or 'neither resources nor prompts'}, not {', '.join(offers)}")
    return found


def bare(shown: str) -> str:
    """Return the text that a client shows, without the marks and spaces that differ from client to client."""
    return shown.replace("\\", "").replace('": ', '":')
