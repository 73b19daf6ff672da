"""The case of a managed order of v1 (v1, "Cases"), read as v2's cases are.

v1 keeps one history for each order and gives its case no id. Each opening after a closing begins another case here, so
that an earlier one is told from the one that is open. Its id is the order's, with its number.
"""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import SecretStr, ValidationError

from zinc_mcp.zinc.aftercare.cases import CLOSED, Case
from zinc_mcp.zinc.aftercare.changes import Change, json_change
from zinc_mcp.zinc.client import members
from zinc_mcp.zinc.v1.answers import moment_of, unreadable_error
from zinc_mcp.zinc.v1.client import V1Client, path_of

REASONS: Mapping[str, str] = {
    "not_received": "nondelivery.not_delivered",
    "damaged_or_wrong_item": "nondelivery.damaged",
    "late": "tracking.request_update",
}
"""v1's reason to open a case, by v2's. Every other one is `other`; the message says what it is about."""
OTHER = "other"

_OPENED, _CLOSED, _FREE = "case.opened.", "case.closed", "case.freetext"
MAX_MESSAGES = 200
"""Messages of one case that are read, the newest ones."""
MAX_CASES = 20
"""Cases of one order that are read, the newest ones."""


def case_change(order_id: str, reason: str, message: str) -> Change:
    """Return the request that opens a case."""
    return json_change(f"{path_of(order_id)}/case", {"message": message, "reason": REASONS.get(reason, OTHER)})


def message_change(order_id: str, message: str) -> Change:
    """Return the request that adds a message: "do not include the reason field when updating a case" ("Cases")."""
    return json_change(f"{path_of(order_id)}/case", {"message": message})


async def read_cases(client: V1Client, order_id: str, token: SecretStr) -> list[Case]:
    """Return the cases of an order, the oldest first.

    Raises:
        ZincUnreachableError, OrderNotFoundError, OrderRejectedError, UnreadableAnswerError: nothing was learned.
    """
    return cases_in(await client.get_case(order_id, token), order_id)


def cases_in(body: Mapping[str, Any], order_id: str) -> list[Case]:
    """Return the cases that v1's one history of an order holds, the oldest first.

    Raises:
        UnreadableAnswerError: it is no such history.
    """
    state, rows = body.get("state"), body.get("messages")
    if body.get("_type") == "error" or "state" not in body or not isinstance(state, str | None):
        raise unreadable_error()
    if state is None:
        return []
    messages = [members(row) for row in cast(list[object], rows)] if isinstance(rows, list) else []
    parts: list[list[Mapping[str, Any]]] = [[]]
    for message in messages:
        is_over = bool(parts[-1]) and any(each.get("type") == _CLOSED for each in parts[-1])
        if is_over and _type(message).startswith(_OPENED):
            parts.append([])
        parts[-1].append(message)
    last = len(parts)
    try:
        return [
            Case.read(_case(order_id, number, part, state if number == last else CLOSED))
            for number, part in enumerate(parts, start=1)
        ][-MAX_CASES:]
    except ValidationError:
        raise unreadable_error() from None


def order_of_case(case_id: str) -> str:
    """Return the order of a case that this module has named."""
    return case_id.rpartition("-")[0]


def _case(order_id: str, number: int, messages: list[Mapping[str, Any]], state: str) -> dict[str, Any]:
    opened = [_type(each).removeprefix(_OPENED) for each in messages if _type(each).startswith(_OPENED)]
    shown = [_message(f"{number}.{place}", each) for place, each in enumerate(messages, start=1)]
    return {
        "id": f"{order_id}-{number}",
        "order_id": order_id,
        "status": state,
        "reason": opened[0] if opened else OTHER,
        "created_at": shown[0]["created_at"] if shown else None,
        "messages": shown[-MAX_MESSAGES:],
    }


def _message(number: str, row: Mapping[str, Any]) -> dict[str, Any]:
    kind, text = _type(row), row.get("message")
    # v1 does not say whose words an opening and a free text are; the other types are events at Zinc.
    by_either = kind.startswith(_OPENED) or kind == _FREE
    return {
        "id": number,
        "author": "unknown" if by_either else "zinc",
        "body": text if isinstance(text, str) and text else kind.removeprefix("case."),
        "created_at": moment_of(row.get("timestamp") or row.get("created_at")),
    }


def _type(row: Mapping[str, Any]) -> str:
    kind: object = row.get("type")
    return kind if isinstance(kind, str) else ""
