"""The question before a placed order is changed: a return, or a step of a case with Zinc's support.

It is built from all fields that would be sent, as `consent.question` is, and none of it is cut.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict

from zinc_mcp.consent.field_words import Labelled, in_words, leaves, quoted
from zinc_mcp.consent.question import MOST_BYTES, PRACTICE
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.records.entry import Mode
from zinc_mcp.known_settings import RailName
from zinc_mcp.zinc.aftercare.changes import JSON_TYPE, Change

Action = Literal["return", "open", "message", "close"]
"""The change: a return is filed; a case is opened, gets a message, or is closed."""


class ReturnLine(BaseModel):
    """One item that would go back."""

    model_config = ConfigDict(frozen=True)

    order_item_id: str
    """As it would be sent."""
    quantity: int
    ordered: int | None = None
    number: int | None = None
    """The number of the item in its order, from 1."""
    host: str | None = None
    url: str | None = None
    title: str | None = None
    """The title that Zinc shows."""


class ChangeQuestion(BaseModel):
    """The question. A yes allows exactly what it shows."""

    model_config = ConfigDict(frozen=True)

    action: Action
    retailer: str
    mode: Mode
    rail: RailName
    order_id: str
    lines: Sequence[ReturnLine] = ()
    fields: Sequence[Labelled] = ()
    """All other fields that would be sent, and the case that they go to."""
    about: Sequence[Labelled] = ()
    """The ordered items, as Zinc shows them, where the change itself names none."""
    warnings: Sequence[str] = ()
    """Other things that a person should know before they decide."""

    @property
    def asks(self) -> str:
        """The question in one line of our own words."""
        pieces = sum(line.quantity for line in self.lines)
        return {
            "return": f"Send {pieces} {'piece' if pieces == 1 else 'pieces'} back to {self.retailer}?",
            "open": f"Report a problem with the order from {self.retailer} to Zinc's support?",
            "message": f"Send Zinc's support a message about the order from {self.retailer}?",
            "close": f"Close the case about the order from {self.retailer}?",
        }[self.action]

    @property
    def yes(self) -> str:
        """The words of a yes."""
        return {
            "return": "Send it back",
            "open": "Report it",
            "message": "Send the message",
            "close": "Close the case",
        }[self.action]

    @property
    def no(self) -> str:
        """The words of a no."""
        return "Do nothing"

    @property
    def typed(self) -> str:
        """The effect of a typed yes, as the end of a sentence."""
        return {
            "return": "to ask Zinc to take it back",
            "open": "to report it to Zinc's support",
            "message": "to send the message",
            "close": "to close the case",
        }[self.action]

    @property
    def consequence(self) -> str:
        """The consequence of a yes, in sentences."""
        if self.rail == "v1" and self.action == "return":
            return (
                "A yes asks Zinc to arrange the return with the retailer, who decides about it. Money comes back only "
                "if the retailer or Zinc refunds it."
            )
        return {
            "return": "A yes asks Zinc to take it back. Zinc decides about it, and money comes back only if Zinc "
            "credits it.",
            "open": "A yes sends this to Zinc's support, and nothing else changes.",
            "message": "A yes sends this to Zinc's support, and nothing else changes.",
            "close": "A yes tells Zinc's support that nothing more is to be done about it.",
        }[self.action]

    @property
    def invitation(self) -> str:
        """The question as an offer to open the page, which others may read."""
        practice = PRACTICE.get(self.mode, "")
        return f"Decide on the approval page: {self.asks}{practice} Opening the page does nothing."

    def text(self) -> str:
        """Return the whole question as plain lines. Foreign words are in quotes, one field on each line."""
        said = [f"{self.asks}{PRACTICE.get(self.mode, '')}", *self.warnings]
        for place, line in enumerate(self.lines, start=1):
            said += _described(line, line.number or place)
        said.append(f"Order: {quoted(self.order_id)}")
        said += [f"  {label}: {quoted(value)}" for label, value in self.about]
        said += [f"{label}: {quoted(value)}" for label, value in self.fields]
        return "\n".join([*said, self.consequence])


def _described(line: ReturnLine, number: int) -> list[str]:
    of = "" if line.ordered is None else f" of {line.ordered} ordered"
    said = [f"Item {number}: {line.quantity}{of}{f' at {line.host}' if line.host else ''}"]
    said += [f"  {quoted(line.url)}"] if line.url else []
    said += [f"  Zinc says: titled {quoted(line.title)}"] if line.title else []
    return [*said, f"  Its number at Zinc: {quoted(line.order_item_id)}"]


def check_length(question: ChangeQuestion) -> None:
    """Refuse a question that is longer than the longest that is asked.

    Raises:
        RefusedError: `order_too_large`.
    """
    if len(question.text().encode()) > MOST_BYTES:
        raise RefusedError(
            f"This is longer than a person is ever asked about ({MOST_BYTES // 1024} KB), so nothing was sent.",
            "Ask for fewer items at once.",
            code="order_too_large",
        )


_LABELS = {
    "reason": "Reason",
    "notes": "Note for Zinc",
    "body": "Message",
    "message": "Message",
    "reason_code": "Reason, in the retailer's words",
    "method_code": "Way of sending it back",
    "case": "Case",
    "case_reason": "Opened because of",
    "return_request_id": "Return",
}


def fields_of(change: Change) -> tuple[str, list[Mapping[str, Any]], list[Labelled]]:
    """Return all that a change would send: the order's id, the items, and every other field with its label.

    The order's id is empty where only the path says what the change is about.
    """
    if change.content_type == JSON_TYPE:
        rest: dict[str, Any] = json.loads(change.content) if change.content else {}
        order_id, items = str(rest.pop("order_id", "")), cast(list[Mapping[str, Any]], rest.pop("items", []))
        products = cast(list[Mapping[str, Any]], rest.pop("products", []))  # the items of v1
        items += [{"order_item_id": each["product_id"], "quantity": each["quantity"]} for each in products]
        return order_id, items, [(label(path), value) for path, value in leaves(rest)]
    fields = list(change.fields)
    found = "".join(text for name, text in fields if name == "order_id")
    return found, [], [(label(name), in_words(name, text)) for name, text in fields if name != "order_id"]


def label(name: str) -> str:
    """Return the name of a field for a person."""
    return _LABELS.get(name) or name.replace("_", " ").replace(".", ", ").capitalize()
