"""The endpoints of Zinc v1 about the balance of managed accounts (v1, "Funding your account").

Every amount follows from the orders in the ledger: "Successful orders will result in a transaction decreasing your
account balance. Failed orders will not cost you anything" (older pages). The fees of orders are billed separately,
each month. The documents give no shape for either answer; third parties read a balance in cents.
"""

from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.checks import as_json
from zinc_mcp.sandbox.ledger import OrderRow
from zinc_mcp.sandbox.v1.aftercare.cancellations import cancelled_orders
from zinc_mcp.sandbox.v1.aftercare.cases import refunded_at
from zinc_mcp.sandbox.v1.aftercare.returns import REFUND_SECONDS, REFUNDED_METHOD, returns_made
from zinc_mcp.sandbox.v1.answers import Json, caller_of
from zinc_mcp.sandbox.v1.reading import number_of, progress_now
from zinc_mcp.sandbox.v1.rules.progress import Progress
from zinc_mcp.sandbox.v1.view import merchant_order_ids, stamp

OPENING_CENTS = 100_000_000
"""The money with which each client starts: one deposit, so that a balance is the sum of its transactions."""
_OPENED_AT = 1_767_225_600.0


async def get_balance(sandbox: Sandbox, request: Request) -> Response:
    """`GET /v1/addax/balance`."""
    balance = sum(each["amount"] for each in transactions_of(sandbox, caller_of(sandbox, request)))
    return as_json({sandbox.dialect.v1.balance: balance, "currency": "USD"})


async def list_transactions(sandbox: Sandbox, request: Request) -> Response:
    """`GET /v1/addax/transactions`, newest first."""
    found = transactions_of(sandbox, caller_of(sandbox, request))[::-1]
    count = number_of(sandbox, request, "count")
    offset = number_of(sandbox, request, "offset") or 0
    page = found[offset : offset + (100 if count is None else count)]
    return as_json({"transactions": page} if sandbox.dialect.v1.transactions == "wrapped" else page)


def transactions_of(sandbox: Sandbox, caller: str) -> list[Json]:
    """Return the transactions of a client by now, oldest first. Amounts are cents."""
    found = [(_OPENED_AT, "deposit", OPENING_CENTS, "")]
    for row in sandbox.ledger.orders_of(caller):
        if row.body.get("addax"):
            found += _of_order(sandbox, row)
    found.sort(key=lambda each: each[0])
    return [
        {"type": kind, "amount": amount, "currency": "USD", "request_id": request_id or None, "created_at": stamp(at)}
        for at, kind, amount, request_id in found
    ]


def _of_order(sandbox: Sandbox, row: OrderRow) -> list[tuple[float, str, int, str]]:
    progress = progress_now(sandbox, row)
    if not progress.is_bought:
        return []
    cost = progress.bill.cost
    found = [(row.created_at + progress.since / sandbox.pace, "order", -cost, row.order_id)]
    left = cost
    for at, amount in sorted(_refunds(sandbox, row, progress)):
        if 0 < (given := min(amount, left)):
            left -= given
            found.append((at, "refund", given, row.order_id))
    return found


def _refunds(sandbox: Sandbox, row: OrderRow, progress: Progress) -> list[tuple[float, int]]:
    """Return the times and amounts of an order's refunds: cancelled parts, its case, returns by `REFUNDED_METHOD`."""
    bill, numbers, now = progress.bill, merchant_order_ids(row, progress.bill), sandbox.clock()
    share = -(-bill.cost // len(numbers))
    found = [(at, share) for at in cancelled_orders(sandbox, row).values()]
    if (whole := refunded_at(sandbox, row)) is not None:
        found.append((whole, bill.cost))
    units = {line.product.product_id: line.unit for line in bill.lines}
    for each in returns_made(sandbox, row):
        at = each.created_at + REFUND_SECONDS / sandbox.pace
        if each.body["method_code"] == REFUNDED_METHOD and at <= now:
            back = sum(units.get(item["product_id"], 0) * int(item["quantity"]) for item in each.body["products"])
            found.append((at, back))
    return found
