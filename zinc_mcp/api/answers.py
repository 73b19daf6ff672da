"""How an answer of Zinc's is read: leniently, and so that whatever is read can be written down again.

Zinc adds fields monthly and its enums grow, so an unknown key is ignored, an unknown enum value is kept as the string
it is, a documented field of an undocumented type falls back to its default, and a row of a list that is not one is
passed over: a read never fails over a part that was not asked for.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import Annotated, Any, Self, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticUndefined

T = TypeVar("T")

MAX_ROWS = 200
"""Rows of any list that are read: an order has at most a hundred lines. How many more there were is kept."""
MAX_TEXT = 2_500
"""Characters of a text that are read; the longest that means something is a product's address, of 2,048."""
MAX_FLAT_TEXT = 600
"""Characters of a text in metadata or an address; what is sent there has at most 500."""
MAX_FLAT_MEMBERS = 2_000
"""Members of metadata or an address; what is sent as metadata has at most 8 KB."""


def _code(value: object) -> object:
    # Never taken for dollars, and never shown: XXX is ISO 4217's code for no currency at all.
    if value is None or value == "":
        return None
    known = isinstance(value, str) and len(value) == 3 and value.isascii() and value.isalpha()
    return cast(str, value).upper() if known else "XXX"


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _flat(content: object) -> object:
    """Return the texts and numbers of free content, each bounded. What is nested in it is never looked at."""
    if not isinstance(content, dict):
        return content
    members = islice(cast(dict[Any, Any], content).items(), MAX_FLAT_MEMBERS)
    return {_text(name, MAX_FLAT_TEXT): _scalar(value) for name, value in members if _is_scalar(value)}


def _is_scalar(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | str) or (isinstance(value, int) and abs(value) < 2**63)


def _scalar(value: Any) -> Any:
    return _text(value, MAX_FLAT_TEXT) if isinstance(value, str) else value


Amount = Annotated[int, Field(strict=True, ge=-(10**12), le=10**12)]
"""Minor units of a currency; what could not be one in a lifetime is not stored.

Whole integers only: "49.00" and 49.0 may be dollars, and `true` is no amount.
"""
Credit = Annotated[int, Field(strict=True, ge=0, le=10**12)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Text = Annotated[str, Field(max_length=MAX_TEXT, pattern=r"^[^\x00]*$")]
"""Text that can be written down: no pattern matches half a character. `Answer` mends what has one, or a NUL, and cuts
what is longer; the length is looked at first."""
Currency = Annotated[str | None, BeforeValidator(_code)]
Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A point in time; one without an offset is UTC, as servers that leave it out mean it."""
Rows = Annotated[list[T], Field(max_length=MAX_ROWS)]
Flat = Annotated[dict[str, Any], BeforeValidator(_flat)]
"""Texts and numbers by name, of which nothing is known beforehand."""


class Answer(BaseModel):
    """The base of what we read: open, lenient and immutable."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        coerce_numbers_to_str=True,
        defer_build=True,  # until something is read: whoever only lists the tools does not wait for it
    )

    @cached_property
    def rows_cut(self) -> Mapping[str, int]:
        """How many rows of which list there were beyond `MAX_ROWS`; they were not read."""
        return {}  # for one that was read whole; no field, or an answer could say it of itself

    @classmethod
    def read(cls, value: object) -> Self:
        """Read a decoded answer, in a time that grows with its size and no faster.

        Raises:
            ValidationError: it is not one of these.
        """
        return cls.model_validate(value, context=dict[int, Any]())

    @classmethod
    def _as_documented(cls, value: Any) -> Any:
        """Return what came in the shape that is documented; overridden where Zinc has had others."""
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _lenient(cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        # A part that had to be mended is not mended again for each of the parts around it that has a fault as well.
        mended: dict[int, Any] | None = info.context
        if mended and isinstance(known := mended.get(id(value)), cls):
            return known
        # Nearly every answer is as documented: only where one is not is it looked at part by part.
        parts = cls._as_documented(value)
        try:
            return handler(parts)
        except ValidationError:
            if not isinstance(parts, Mapping):
                raise
        whole, cut = cls._bounded(cast(Mapping[str, Any], parts))
        try:
            answer = handler(whole)
        except ValidationError as error:
            answer = handler(cls._without_faults(whole, error))
        vars(answer)["rows_cut"] = cut
        if mended is not None and isinstance(value, dict):  # of the answer itself: it lives as long as it is read
            mended[id(cast(object, value))] = answer
        return answer

    @classmethod
    def _bounded(cls, parts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
        """Return the parts that are read, texts and lists bounded, and how many rows of which list that left out."""
        whole: dict[str, Any] = {}
        cut: dict[str, int] = {}
        for name in cls.model_fields:
            if name not in parts:
                continue
            part = parts[name]
            if isinstance(part, list):
                rows = cast(list[Any], part)
                if len(rows) > MAX_ROWS:
                    cut[name] = len(rows) - MAX_ROWS
                part = [_text(row) if isinstance(row, str) else row for row in rows[:MAX_ROWS]]
            whole[name] = _text(part) if isinstance(part, str) else part
        return whole, cut

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


def _text(text: str, limit: int = MAX_TEXT) -> str:
    """Return the beginning of a text so that it can be written down."""
    # Half a character (JSON can escape one) is text to Python and to nothing that writes it down, and PostgreSQL
    # writes no NUL.
    return text[:limit].encode(errors="replace").decode().replace("\0", "?")
