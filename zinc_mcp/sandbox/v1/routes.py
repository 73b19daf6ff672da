"""The paths of Zinc v1 in the sandbox."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.checks import as_json
from zinc_mcp.sandbox.v1 import money, orders
from zinc_mcp.sandbox.v1.aftercare import cancellations, cases, returns
from zinc_mcp.sandbox.v1.answers import caller_of
from zinc_mcp.sandbox.v1.rules import products

Endpoint = Callable[[Sandbox, Request], Awaitable[Response]]


async def list_practice_products(sandbox: Sandbox, request: Request) -> Response:
    """`GET /v1/practice/products`: ours, because Zinc v1 has no products to practise on."""
    caller_of(sandbox, request)
    return as_json({"products": products.listed()})


ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("POST", "/v1/orders", orders.create_order),
    ("GET", "/v1/orders", orders.list_orders),
    ("GET", "/v1/orders/{request_id}", orders.get_order),
    ("POST", "/v1/orders/{request_id}/abort", orders.abort_order),
    ("POST", "/v1/orders/{request_id}/retry", orders.retry_order),
    ("POST", "/v1/orders/{request_id}/cancel", cancellations.cancel_order),
    ("GET", "/v1/cancellations/{request_id}", cancellations.get_cancellation),
    ("POST", "/v1/orders/{request_id}/return", returns.return_order),
    ("GET", "/v1/returns/{request_id}", returns.get_return),
    ("GET", "/v1/orders/{request_id}/case", cases.get_case),
    ("POST", "/v1/orders/{request_id}/case", cases.say_in_case),
    ("GET", "/v1/addax/balance", money.get_balance),
    ("GET", "/v1/addax/transactions", money.list_transactions),
    ("GET", "/v1/practice/products", list_practice_products),
)
