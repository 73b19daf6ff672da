"""Returns of v1: `POST /v1/orders/{request_id}/return`, and the outcome of a return (v1, "Returns").

v1 lists no returns. The outcome of a return is read with the id in the answer to its request, so a return whose answer
was lost cannot be looked up.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import SecretStr, ValidationError

from zinc_mcp.zinc.aftercare.changes import Change, json_change
from zinc_mcp.zinc.client import members
from zinc_mcp.zinc.credits import ReturnItem, ReturnSummary
from zinc_mcp.zinc.v1.answers import code_in, request_id_of, unreadable_error, words_of
from zinc_mcp.zinc.v1.client import V1Client, path_of
from zinc_mcp.zinc.v1.codes import CODES, code_of

METHOD = "UPS Dropoff"
""""The only method supported for automatic refunds on Zinc Managed Account orders" ("Returns")."""

REASON_CODES: Mapping[str, Mapping[str, str]] = {
    "amazon.com": {
        "not_as_described": "inaccurate website description",
        "no_longer_needed": "no longer needed",
        "wrong_item": "wrong item was sent",
        "defective": "item defective or doesn't work",
    },
    "amazon.co.uk": {"not_as_described": "description on website was not accurate"},
}
"""The retailer's own words for each reason; v1 takes only these exact words.

Those for `not_as_described` are in v1's documents. The others are on Amazon's list, which Zinc does not document.
"""
MAX_READ = 5
"""Returns of one order, the newest ones, whose outcome is read at once."""


def return_change(order_id: str, items: Sequence[tuple[str, int]], reason_code: str, explanation: str) -> Change:
    """Return the request that asks for a return of products, each with its quantity."""
    body = {
        "explanation": explanation,
        "method_code": METHOD,
        "products": [{"product_id": product_id, "quantity": quantity} for product_id, quantity in items],
        "reason_code": reason_code,
    }
    return json_change(f"{path_of(order_id)}/return", body)


async def read_return(client: V1Client, known: ReturnSummary, token: SecretStr) -> ReturnSummary:
    """Return a return with the outcome that Zinc tells now. `known` has the rest of it, from the journal.

    Raises:
        ZincUnreachableError, OrderNotFoundError, OrderRejectedError, UnreadableAnswerError: nothing was learned.
    """
    body = await client.read_return(known.id, token)
    named = request_id_of(body)
    if (named is not None and named.casefold() != known.id.casefold()) or not _is_about(body, known.items):
        raise unreadable_error()
    if body.get("_type") == "return_response":
        by = body.get("return_by")
        say = f"Return it by {by}." if isinstance(by, str) and by else None
        return _with(known, status="approved", resolution_notes=say, label_urls=_texts(body.get("label_urls")))
    if body.get("_type") != "error":
        raise unreadable_error()
    code = code_in(body)
    if code == "return_in_progress":
        status = members(members(body.get("data")).get("status"))
        return _with(known, status=code, resolution_notes=words_of(status.get("description") or body.get("message")))
    if code_of(code).later == "running":
        return _with(known, status="open")
    if code in CODES:  # a code about an order, or about the question, says nothing about a return
        raise unreadable_error()
    return _with(known, status="denied", resolution_notes=words_of(body.get("message")))


def _is_about(body: Mapping[str, Any], items: Sequence[ReturnItem]) -> bool:
    """Say whether an answer may be about a return of these items, by the request that it echoes, if it echoes one."""
    rows = members(body.get("request")).get("products")
    if not isinstance(rows, list) or not items:
        return True
    shown = {str(members(row).get("product_id")).casefold() for row in cast(list[object], rows)}
    return shown == {item.order_item_id.casefold() for item in items}


def _with(known: ReturnSummary, **parts: Any) -> ReturnSummary:
    try:
        return ReturnSummary.read({**known.model_dump(mode="json", exclude_none=True), **parts})
    except ValidationError:
        raise unreadable_error() from None


def _texts(value: object) -> list[str]:
    return [each for each in cast(list[object], value) if isinstance(each, str)] if isinstance(value, list) else []
