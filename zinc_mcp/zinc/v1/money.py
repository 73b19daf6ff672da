"""The balance of Zinc's managed accounts, and the refunds that its transactions prove (v1, "Funding your account").

v1 documents no shape of either. Only whole numbers are read, as US cents; third parties read cents there. An amount
counts as refunded for an order only if a transaction names that order and adds money.
"""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import SecretStr

from zinc_mcp.zinc.answers import MAX_CENTS
from zinc_mcp.zinc.client import members
from zinc_mcp.zinc.credits import ManagedCredit
from zinc_mcp.zinc.responses import is_a_segment
from zinc_mcp.zinc.v1.answers import moment_of
from zinc_mcp.zinc.v1.client import V1Client

MOST_TRANSACTIONS = 100
"""The number of transactions that are read, the newest ones."""
_BALANCES = ("balance", "available_balance")
_ORDERS = ("request_id", "order_id")


async def read_balance(client: V1Client, token: SecretStr) -> tuple[int | None, str]:
    """Return the balance in the minor units of its currency, and that currency.

    Raises:
        ZincUnreachableError, OrderRejectedError, UnreadableAnswerError: nothing was learned.
    """
    told = await client.balance(token)
    cents = next((told[name] for name in _BALANCES if type(told.get(name)) is int), None)
    return cents if cents is not None and abs(cents) <= MAX_CENTS else None, _currency(told)


async def read_credits(client: V1Client, token: SecretStr) -> tuple[ManagedCredit, ...]:
    """Return the refunds for orders among the newest transactions, the newest first.

    Raises:
        ZincUnreachableError, OrderRejectedError, UnreadableAnswerError: nothing was learned.
    """
    told = await client.transactions(token, count=MOST_TRANSACTIONS)
    rows: object = told.get("transactions")
    shown = [members(row) for row in cast(list[object], rows)[:MOST_TRANSACTIONS]] if isinstance(rows, list) else []
    return tuple(credit for row in shown if (credit := _credit(row)) is not None)


def _credit(row: Mapping[str, Any]) -> ManagedCredit | None:
    order_id = next((row[name] for name in _ORDERS if isinstance(row.get(name), str)), "")
    cents: object = row.get("amount")
    if not is_a_segment(order_id) or type(cents) is not int or not 0 < cents <= MAX_CENTS or _currency(row) != "USD":
        return None
    return ManagedCredit(order_id, cents, moment_of(row.get("created_at") or row.get("timestamp")))


def _currency(row: Mapping[str, Any]) -> str:
    """Return the currency of an answer that may leave it out."""
    named: object = row.get("currency", "USD")
    known = isinstance(named, str) and len(named) == 3 and named.isascii() and named.isalpha()
    return cast(str, named).upper() if known else "XXX"
