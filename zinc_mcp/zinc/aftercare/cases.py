"""Cases with Zinc's support: `POST /cases`, its messages, closing, the list and one case (SDK 2026.10.16)."""

from typing import Literal, get_args

from pydantic import Field, SecretStr, ValidationError, field_validator

from zinc_mcp.errors import UnreadableAnswerError
from zinc_mcp.network import NetworkAnswer
from zinc_mcp.zinc.aftercare.changes import Change, empty, form, taken, unproved
from zinc_mcp.zinc.aftercare.returns import rows_in
from zinc_mcp.zinc.answers import Answer, Moment, Rows, Text
from zinc_mcp.zinc.client import ZincClient, members
from zinc_mcp.zinc.credits import CaseSummary
from zinc_mcp.zinc.placed.order_list import MAX_LIST_BYTES, MAX_LISTED
from zinc_mcp.zinc.responses import is_a_segment

CaseReason = Literal[
    "not_received",
    "missing_item",
    "late",
    "damaged_or_wrong_item",
    "cancellation",
    "billing",
    "address_change",
    "other",
]
CASE_REASONS: tuple[str, ...] = get_args(CaseReason)
CLOSED = "closed"
PAGE = 50


class CaseMessage(Answer):
    """One message of a case. Its files are not read: their addresses end after seven days."""

    id: Text = ""
    author: Text = "system"
    body: Text = ""
    created_at: Moment | None = None
    from_you: bool | None = None


class Case(CaseSummary):
    """One case. The list may lack its messages."""

    messages: Rows[CaseMessage] = Field(default_factory=list[CaseMessage])

    @field_validator("id")
    @classmethod
    def _a_segment(cls, text: str) -> str:
        if not is_a_segment(text):
            raise ValueError("is not the id of a case")
        return text


def case_change(order_id: str, reason: str, message: str) -> Change:
    """Return the request that opens a case."""
    return form("/cases", [("order_id", order_id), ("reason", reason), ("body", message)])


def message_change(case_id: str, message: str) -> Change:
    """Return the request that adds a message to a case."""
    return form(f"/cases/{case_id}/messages", [("body", message)])


def closing_change(case_id: str) -> Change:
    """Return the request that closes a case."""
    return empty(f"/cases/{case_id}/close")


def answered_case(answer: NetworkAnswer, order_id: str, case_id: str | None, reason: str | None) -> Case:
    """Return the case in the answer to a change.

    Raises:
        ChangeRejectedError: Zinc answered no.
        ChangeOutcomeUnknownError: the answer shows no case, or another one.
    """
    content = taken(answer)
    try:
        case = Case.read(content)
    except ValidationError:
        raise unproved("the answer could not be read", "unreadable") from None
    is_it = case.order_id.lower() == order_id.lower() and case_id in (None, case.id) and reason in (None, case.reason)
    if not is_it:
        raise unproved("Zinc answered with another case", "another_case")
    return case


async def list_cases(client: ZincClient, order_id: str, api_key: SecretStr) -> list[Case]:
    """List the cases of one order, as Zinc lists them. An empty list proves nothing, because listings may lag."""
    listed = await client.get_json("/cases", api_key, {"order_id": order_id, "limit": str(PAGE)}, MAX_LIST_BYTES)
    found: list[Case] = []
    for row in rows_in(listed, "cases")[:MAX_LISTED]:
        if str(members(row).get("order_id")).lower() != order_id.lower():
            continue
        try:
            found.append(Case.read(row))
        except ValidationError:
            continue
    return found


async def get_case(client: ZincClient, case_id: str, api_key: SecretStr) -> Case:
    """Read one case with its messages."""
    content = await client.get_json(f"/cases/{case_id}", api_key, None, MAX_LIST_BYTES)
    try:
        case = Case.read(content)
    except ValidationError:
        raise UnreadableAnswerError("Zinc did not show the case in a form that can be read.") from None
    if case.id != case_id:
        raise UnreadableAnswerError("Zinc showed another case than the one that was asked for.")
    return case
