"""How an answer of Zinc's is read: leniently, and so that whatever is read can be written down again.

Zinc adds fields monthly and its enums grow, so an unknown key is ignored, an unknown enum value is kept as the string
it is, a documented field of an undocumented type falls back to its default, and a row of a list that is not one is
passed over: a read never fails over a part that was not asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from itertools import islice
from typing import Annotated, Any, ClassVar, Self, TypeVar, cast, get_args, get_origin

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

T = TypeVar("T")

MAX_ROWS = 200
"""Rows of any list that are read: an order has at most a hundred lines. How many more there were is kept."""
MAX_TEXT = 2_500
"""Characters of a text that are read; the longest that means something is a product's address, of 2,048."""
MAX_MENDED = 200
"""Parts of an answer that are mended. Where there are more faults, whole lists are left out and counted."""
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
    """Return the texts and numbers of free content, each bounded; what is nested in it is there and nothing."""
    if not isinstance(content, dict):
        return content
    members = islice(cast(dict[Any, Any], content).items(), MAX_FLAT_MEMBERS)
    return {_text(str(name), MAX_FLAT_TEXT): _scalar(value) for name, value in members}


def _scalar(value: object) -> object:
    if isinstance(value, str):
        return _text(value, MAX_FLAT_TEXT)
    is_finite = isinstance(value, bool | float) and math.isfinite(value)
    return value if is_finite or (isinstance(value, int) and abs(value) < 2**63) else None


MAX_CENTS = 10**12
Amount = Annotated[int, Field(strict=True, ge=-MAX_CENTS, le=MAX_CENTS)]
"""Minor units of a currency; what could not be one in a lifetime is not stored.

Whole integers only: "49.00" and 49.0 may be dollars, and `true` is no amount.
"""
Credit = Annotated[int, Field(strict=True, ge=0, le=MAX_CENTS)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Text = Annotated[str, Field(max_length=MAX_TEXT, pattern=r"^[^\x00]*$")]
"""Text that can be written down: no pattern matches half a character. `Answer` mends what has one, or a NUL, and cuts
what is longer; the length is looked at first."""
Currency = Annotated[str | None, BeforeValidator(_code)]
Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A point in time; one without an offset is UTC, as servers that leave it out mean it."""
Rows = Annotated[list[T], Field(max_length=MAX_ROWS, fail_fast=True)]
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

    written_as: ClassVar[tuple[type, ...]] = (dict,)
    """The types in JSON of what one is made of."""

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
        return cls.model_validate(value, context=_Reading(value))

    @classmethod
    def _as_documented(cls, value: Any) -> Any:
        """Return what came in the shape that is documented; overridden where Zinc has had others."""
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _lenient(cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        # A part that had to be mended is not mended again for each of the parts around it that has a fault as well.
        reading: _Reading | None = info.context
        if reading is not None and isinstance(known := reading.mended.get(id(value)), cls):
            return known
        # Nearly every answer is as documented: only where one is not is it looked at part by part.
        documented = cls._as_documented(value)
        try:
            return handler(documented)
        except ValidationError as error:
            if not isinstance(documented, Mapping) or (reading is not None and reading.is_over(value)):
                raise
            faults = _faulty(error)
        parts: dict[str, Any] = {str(name): part for name, part in cast(Mapping[object, Any], documented).items()}
        cut: dict[str, int] = {}
        for mend in (cls._bound, cls._leave_out):
            for name in faults:
                mend(parts, name, cut)
            try:
                answer = handler(parts)
                break
            except ValidationError as error:
                faults = _faulty(error)
        else:
            answer = handler(parts)
        vars(answer)["rows_cut"] = cut
        if reading is not None and isinstance(value, dict):  # of the answer itself: it lives as long as it is read
            reading.mended[id(cast(object, value))] = answer
        return answer

    @classmethod
    def _bound(cls, parts: dict[str, Any], name: str, cut: dict[str, int]) -> None:
        """Cut a text or a list that is too long, and pass over rows that cannot be one."""
        part = parts.get(name)
        if isinstance(part, str):
            parts[name] = _text(part)
        elif isinstance(part, list):
            rows = cast(list[Any], part)
            if len(rows) > MAX_ROWS:
                cut[name] = len(rows) - MAX_ROWS
            kinds = _row_kinds(cls).get(name, ())
            parts[name] = [
                _text(row) if isinstance(row, str) else row
                for row in rows[:MAX_ROWS]
                if isinstance(row, kinds) and not isinstance(row, bool)
            ]

    @classmethod
    def _leave_out(cls, parts: dict[str, Any], name: str, cut: dict[str, int]) -> None:
        """Take a part for one that was not given."""
        part = parts.pop(name, None)
        if isinstance(part, list):
            cut[name] = cut.get(name, 0) + len(cast(list[Any], part))


@dataclass(slots=True)
class _Reading:
    """What one answer's parts have in common while it is read."""

    whole: object
    mended: dict[int, Any] = field(default_factory=dict[int, Any])
    """The parts that were mended, by the identity of what they were made of."""

    def is_over(self, value: object) -> bool:
        """Say whether so many parts were mended that no other is, but the answer itself."""
        return len(self.mended) >= MAX_MENDED and value is not self.whole


def _faulty(error: ValidationError) -> set[str]:
    """Return the names of the parts in which something cannot be read."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return {str(each["loc"][0]) for each in found if each["loc"]}


@cache
def _row_kinds(model: type[Answer]) -> Mapping[str, tuple[type, ...]]:
    """Return of which types a row of each list can be."""
    found: dict[str, tuple[type, ...]] = {}
    for name, declared in model.model_fields.items():
        for row in _rows_in(declared.annotation):
            found[name] = (str, int, float)
            if isinstance(row, type) and issubclass(row, Answer):
                found[name] = row.written_as
    return found


def _rows_in(annotation: Any) -> Iterator[Any]:
    """Yield what a list's rows are, looking through `Annotated` and unions."""
    if get_origin(annotation) is list:
        yield get_args(annotation)[0]
        return
    for part in get_args(annotation):
        yield from _rows_in(part)


def _text(text: str, limit: int = MAX_TEXT) -> str:
    """Return the beginning of a text so that it can be written down."""
    # Half a character (JSON can escape one) is text to Python and to nothing that writes it down, and PostgreSQL
    # writes no NUL.
    return text[:limit].encode(errors="replace").decode().replace("\0", "?")
