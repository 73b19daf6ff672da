"""`return_order`: send something of a placed order back."""

from collections.abc import Mapping
from typing import Annotated, Any

from mcp.server.mcpserver.tools import Tool
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from zinc_mcp.aftercare.return_order import MAX_NOTES, ReturnedItem, ReturnWish, return_order
from zinc_mcp.process import Answer
from zinc_mcp.server.mcp.arguments import normalized, validated
from zinc_mcp.server.mcp.tools.changing import changing
from zinc_mcp.server.mcp.tools.tool import Service
from zinc_mcp.zinc.aftercare.returns import ReturnReason
from zinc_mcp.zinc.orders import MAX_PRODUCTS, Quantity
from zinc_mcp.zinc.texts.letters import unprintable
from zinc_mcp.zinc.v1.private import refuse_secret

_DESCRIPTION = (
    "Ask Zinc to take back items of a placed order. The user may be asked first. The same return asked for again "
    "within a day is answered with the first one; get_order then shows labels, decision and credit."
)


def an_id(text: str) -> str:
    """Return an id or a key.

    Raises:
        ValueError: it has characters that no id or key has.
    """
    if any(not 33 <= ord(character) <= 126 for character in text):
        raise ValueError("must be an id or a key, without spaces")
    return text


Handle = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(an_id)]


class Item(BaseModel):
    """One item to send back."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    number: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = None
    order_item_id: Handle | None = Field(None, description="Or its id at Zinc")
    quantity: Quantity

    @model_validator(mode="after")
    def _named(self) -> "Item":
        if self.number is None and self.order_item_id is None:
            raise ValueError("number: is required, unless order_item_id is given")
        return self


class Return(BaseModel):
    """The arguments of `return_order`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    order_id: Handle = Field(description="Zinc's order id, or the key of the placing call")
    # Some clients lose the fields of nested objects (docs/clients.md), and keep this description.
    items: Annotated[list[Item], Field(min_length=1, max_length=MAX_PRODUCTS)] = Field(
        description="quantity of each, and its number: its place in get_order's items, from 1"
    )
    reason: ReturnReason
    notes: Annotated[str, Field(max_length=MAX_NOTES)] | None = Field(None, description="For Zinc, in plain words")

    @field_validator("notes")
    @classmethod
    def _plain(cls, text: str | None) -> str | None:
        return plain_words(text)


def plain_words(text: str | None) -> str | None:
    """Return a text that a person can read whole before it is sent; None for a blank text.

    Raises:
        ValueError: it hides something, or holds the number of a card.
    """
    if text is None or not text.strip():
        return None
    if unprintable(text, lines=True):
        raise ValueError("contains control or invisible characters; send plain text")
    refuse_secret(text)
    return text


def tool(service: Service) -> Tool:
    """Return the tool."""

    async def do(caller: str, wanted: Return) -> Answer:
        items = [ReturnedItem(item.quantity, item.order_item_id, item.number) for item in wanted.items]
        return await return_order(
            service.process, ReturnWish(caller, wanted.order_id, items, wanted.reason, wanted.notes)
        )

    return changing(
        service,
        "return",
        "return_order",
        "Send something back",
        _DESCRIPTION,
        arguments=Return,
        read=_read,
        handle=lambda wanted: wanted.order_id,
        do=do,
    )


def _read(given: Mapping[str, Any]) -> Return:
    return validated(Return, normalized(Return, given))
