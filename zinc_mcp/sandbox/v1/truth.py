"""The true state of a sandbox's v1 orders, whatever its answers show, for tests and the judge of a campaign."""

from dataclasses import dataclass
from typing import Any

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.ledger import OrderRow
from zinc_mcp.sandbox.v1.reading import progress_now
from zinc_mcp.sandbox.v1.rules.products import Product
from zinc_mcp.sandbox.v1.rules.progress import Stage


@dataclass(frozen=True, slots=True)
class Ordered:
    """One order as it is. `body` has an account's secrets masked."""

    request_id: str
    body: dict[str, Any]
    created_at: float
    stage: Stage
    code: str | None
    is_bought: bool
    cents: int
    """The amount taken: from the balance if it is managed, else at the retailer; 0 if nothing was bought."""
    canonical: tuple[str, ...]
    """Its products by canonical address, which is the same in v1 and v2."""


def orders(sandbox: Sandbox) -> list[Ordered]:
    """Return every v1 order, oldest first. Nothing counts as a look."""
    rows = (each for each in sandbox.placed() if each["rail"] == "v1")
    return [_ordered(sandbox, sandbox.ledger.find(each["api_key"], each["order_id"])) for each in rows]


def _ordered(sandbox: Sandbox, row: OrderRow | None) -> Ordered:
    if row is None:
        raise LookupError("the ledger lost an order while it was read")
    progress, body = progress_now(sandbox, row), row.body
    taken = progress.bill.cost if body.get("addax") else progress.bill.total
    return Ordered(
        row.order_id,
        body,
        row.created_at,
        progress.stage,
        progress.code,
        progress.is_bought,
        taken if progress.is_bought else 0,
        tuple(Product(body["retailer"], each["product_id"]).canonical for each in body["products"]),
    )
