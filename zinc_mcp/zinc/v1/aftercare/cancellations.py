"""Cancels a placed order of v1 at its retailer, and reads the outcome that Zinc tells (v1, "Cancellations").

Each of the retailer's orders is cancelled on its own. The answer to the request tells only the id with which the
outcome is read. `attempting_to_cancel` is no outcome: the retailer has not decided.
"""

from typing import Literal
from uuid import NAMESPACE_URL, uuid5

from pydantic import SecretStr

from zinc_mcp.zinc.orders import canonical
from zinc_mcp.zinc.v1.answers import code_in, request_id_of, unreadable_error
from zinc_mcp.zinc.v1.client import V1Client, changed_id, path_of
from zinc_mcp.zinc.v1.codes import CODES, code_of

CHANGED_AT = frozenset({"amazon.com", "amazon.co.uk"})
"""The retailers at which v1 cancels and returns placed orders ("Cancellations", "Returns")."""

Outcome = Literal["asked", "cancelled", "refused"]
"""`cancelled`: Zinc says that the retailer has cancelled it. `refused`: that it has not. `asked`: Zinc says neither."""


async def ask_to_cancel(client: V1Client, request_id: str, number: str, key: str, token: SecretStr) -> str:
    """Ask Zinc once to cancel one of the retailer's orders. Return the id with which its outcome is read.

    "The same key always returns the same response" (v1, "Idempotency"), so a second request with this key asks for
    nothing new if the first one arrived.

    Raises:
        OrderNotFoundError, ZincUnreachableError: nothing was sent.
        ChangeRejectedError: Zinc did not take it.
        ChangeOutcomeUnknownError: sent, and no usable answer came.
    """
    body = canonical({"idempotency_key": key, "merchant_order_id": number}).encode()
    return changed_id(await client.change(f"{path_of(request_id)}/cancel", body, token))


def key_of(order_key: str, number: str, nth: int) -> str:
    """Return the key of the nth request to cancel one of the retailer's orders."""
    return str(uuid5(NAMESPACE_URL, canonical(["zinc-mcp v1 cancel", order_key, number, nth])))


async def read_outcome(client: V1Client, cancellation_id: str, number: str, token: SecretStr) -> Outcome:
    """Return the outcome of a cancellation, as Zinc tells it.

    Raises:
        ZincUnreachableError, OrderNotFoundError, OrderRejectedError, UnreadableAnswerError: nothing was learned.
    """
    body = await client.read_cancellation(cancellation_id, token)
    named = request_id_of(body)
    if named is not None and named.casefold() != cancellation_id.casefold():
        raise unreadable_error()
    if body.get("_type") == "cancellation_response" and body.get("merchant_order_id") == number:
        return "cancelled"
    if body.get("_type") != "error":
        raise unreadable_error()
    code = code_in(body)
    if code_of(code).later == "running":
        return "asked"
    if code in CODES:  # a code about an order, or about the question, says nothing about a cancellation
        raise unreadable_error()
    return "refused"
