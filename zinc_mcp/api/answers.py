"""How an answer of Zinc's is read: leniently, and so that whatever is read can be written down again.

Zinc adds fields monthly and its enums grow, so an unknown key is ignored, an unknown enum value is kept as the string
it is, a documented field of an undocumented type falls back to its default, and a row of a list that is not one is
passed over: a read never fails over a part that was not asked for.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticUndefined

T = TypeVar("T")

MAX_ROWS = 1_000
"""Rows of any list that are read; no order has more."""


def _code(value: object) -> object:
    # Never taken for dollars, and never shown: XXX is ISO 4217's code for no currency at all.
    if value is None or value == "":
        return None
    known = isinstance(value, str) and len(value) == 3 and value.isascii() and value.isalpha()
    return cast(str, value).upper() if known else "XXX"


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _storable(content: object) -> object:
    """Return free content so that it can be written as JSON again: half characters and NaN are valid in neither."""
    if not isinstance(content, dict):
        return content
    try:
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
        return cast(object, content)
    except (ValueError, RecursionError):  # UnicodeEncodeError is a ValueError
        pass
    try:
        text = json.dumps(content, ensure_ascii=False).encode(errors="replace").decode()
        return cast(object, json.loads(text, parse_constant=lambda _: None))
    except (ValueError, RecursionError):
        return {}


Amount = Annotated[int, Field(strict=True, ge=-(10**12), le=10**12)]
"""Minor units of a currency; what could not be one in a lifetime is not stored.

Whole integers only: "49.00" and 49.0 may be dollars, and `true` is no amount.
"""
Credit = Annotated[int, Field(strict=True, ge=0, le=10**12)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Text that can be written down: no pattern matches half a character. `Answer` mends what has one, or a NUL."""
Currency = Annotated[str | None, BeforeValidator(_code)]
Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A point in time; one without an offset is UTC, as servers that leave it out mean it."""
Rows = Annotated[list[T], Field(max_length=MAX_ROWS)]
Open = Annotated[dict[str, Any], BeforeValidator(_storable)]


class Answer(BaseModel):
    """The base of what we read: open, lenient and immutable."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        coerce_numbers_to_str=True,
        defer_build=True,  # until something is read: whoever only lists the tools does not wait for it
    )

    @classmethod
    def _as_documented(cls, value: Any) -> Any:
        """Return what came in the shape that is documented; overridden where Zinc has had others."""
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _lenient(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        # Nearly every answer is as documented: only where one is not is it looked at part by part.
        value = cls._as_documented(value)
        try:
            return handler(value)
        except ValidationError:
            if not isinstance(value, Mapping):
                raise
        whole: dict[str, Any] = {name: _whole(part) for name, part in cast(Mapping[str, Any], value).items()}
        try:
            return handler(whole)
        except ValidationError as error:
            return handler(cls._without_faults(whole, error))

    @classmethod
    def _without_faults(cls, parts: dict[str, Any], error: ValidationError) -> dict[str, Any]:
        """Return the parts with defaults for those that cannot be read, and lists without such rows."""
        faults: dict[str, set[int | str]] = {}
        for found in error.errors(include_url=False, include_context=False, include_input=False):
            name, *row = found["loc"]
            faults.setdefault(str(name), set()).update(row[:1])
        mended = dict(parts)
        for name, unreadable in faults.items():
            rows = cast(list[Any], parts[name]) if isinstance(parts.get(name), list) else []
            readable = [row for index, row in enumerate(rows) if index not in unreadable] if unreadable else []
            default = cls.model_fields[name].get_default(call_default_factory=True, validated_data={})
            if readable or default is not PydanticUndefined:
                mended[name] = readable or default
        return mended


def _whole(value: Any) -> Any:
    """Return text, and the texts in a list, so that they can be written down, and no more of a list than is read."""
    if isinstance(value, list):
        return [_whole(row) if isinstance(row, str) else row for row in cast(list[Any], value)[:MAX_ROWS]]
    # Half a character (JSON can escape one) is text to Python and to nothing that writes it down, and PostgreSQL
    # writes no NUL.
    return value.encode(errors="replace").decode().replace("\0", "?") if isinstance(value, str) else value
