"""The base of the models of v1 that we send, and the kinds of their values."""

from typing import Annotated

from pydantic import Field, field_validator

from zinc_mcp.zinc.orders import Request
from zinc_mcp.zinc.texts.letters import filled, printable
from zinc_mcp.zinc.v1.private import refuse_secret

MAX_CENTS = 100_000_000
MAX_LISTED = 20
"""Promotion codes of an order, and entries of a list in the seller criteria."""

Switch = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
Days = Annotated[int, Field(strict=True, ge=0, le=365)]
SomeCents = Annotated[int, Field(strict=True, ge=0, le=MAX_CENTS)]


class V1Request(Request):
    """The base of the models of v1. No text may hold the number of a card."""

    _no_secret = field_validator("*")(refuse_secret)


def plain_line(text: str | None) -> str | None:
    """Return a line of text that is not blank; None stays None.

    Raises:
        ValueError: it is blank, too long or has invisible characters.
    """
    return None if text is None else filled(printable(text))
