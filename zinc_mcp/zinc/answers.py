"""The base of Zinc's answers: it reads them leniently, and bounds and cleans every text so that it can be stored.

Zinc adds fields monthly and its enums grow. So an unknown key is ignored, and an unknown enum value is kept as its
string. A documented field of an undocumented type gets its default, and a malformed row of a list is skipped. A read
never fails because of a part that is not needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
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
"""Rows of any list that are read; an order has at most a hundred lines. The number of further rows is kept."""
MAX_TEXT = 2_500
"""Characters of a text that are read; the longest useful text is a product's address of 2,048 characters."""
MAX_MENDED = 200
"""Faulty parts of an answer that are mended. With more faults, whole lists are left out and counted."""
MAX_FLAT_TEXT = 600
"""Characters of a text in metadata or an address; we send at most 500 there."""
MAX_FLAT_MEMBERS = 2_000
"""Members of metadata or an address; we send at most 8 KB of metadata."""


def _currency_code(value: object) -> object:
    # An unknown currency is never read as dollars: XXX is ISO 4217's code for no currency.
    if value is None or value == "":
        return None
    known = isinstance(value, str) and len(value) == 3 and value.isascii() and value.isalpha()
    return cast(str, value).upper() if known else "XXX"


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _flat(content: object) -> object:
    """Return the texts and numbers of a free object, each bounded. A nested value becomes None."""
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
Switch = Annotated[bool, Field(strict=True)]
"""True or false; no other value is read as one of them."""
Amount = Annotated[int, Field(strict=True, ge=-MAX_CENTS, le=MAX_CENTS)]
"""Minor units of a currency, bounded. Only integers are read: "49.00" and 49.0 may be dollars."""
Credit = Annotated[int, Field(strict=True, ge=0, le=MAX_CENTS)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Text = Annotated[str, Field(max_length=MAX_TEXT, pattern=r"^[^\x00]*$")]
"""Text that can be stored. The pattern refuses NUL and half a surrogate pair; `Answer` mends these, and cuts longer
texts."""
Currency = Annotated[str | None, BeforeValidator(_currency_code)]
Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A point in time; without an offset it is UTC."""
Rows = Annotated[list[T], Field(max_length=MAX_ROWS, fail_fast=True)]
Flat = Annotated[dict[str, Any], BeforeValidator(_flat)]
"""Texts and numbers by undocumented names."""


class Answer(BaseModel):
    """The base of the models that we read. Unknown fields are ignored, faulty parts are mended."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        coerce_numbers_to_str=True,
        defer_build=True,  # built with the first answer, so that listing the tools does not wait for it
    )

    json_types: ClassVar[tuple[type, ...]] = (dict,)
    """The JSON types that this model can be read from."""

    rows_cut: ClassVar[Mapping[str, int]] = {}  # not a field: an answer could set a field
    """The number of unread rows beyond `MAX_ROWS` by the name of their list. An instance may have one of its own."""

    @classmethod
    def read(cls, value: object) -> Self:
        """Read a decoded answer in linear time.

        Raises:
            ValidationError: the value is no answer of this kind.
        """
        return cls.model_validate(value, context=_Reading(value))

    @classmethod
    def _as_documented(cls, value: Any) -> Any:
        """Return a value in its documented shape; overridden where Zinc has used other shapes."""
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _lenient(cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        # A mended part is not mended again when a part around it is faulty as well.
        reading: _Reading | None = info.context
        if reading is not None and isinstance(known := reading.mended.get(id(value)), cls):
            return known
        # Nearly every answer is as documented; only a faulty one is examined part by part.
        documented = cls._as_documented(value)
        try:
            return handler(documented)
        except ValidationError as error:
            if not isinstance(documented, Mapping) or (reading is not None and reading.is_over(value)):
                raise
            faults = _faulty_names(error)
        parts: dict[str, Any] = {str(name): part for name, part in cast(Mapping[object, Any], documented).items()}
        cut: dict[str, int] = {}
        for mend in (cls._bound, cls._leave_out):
            for name in faults:
                mend(parts, name, cut)
            try:
                answer = handler(parts)
                break
            except ValidationError as error:
                faults = _faulty_names(error)
        else:
            answer = handler(parts)
        vars(answer)["rows_cut"] = cut
        if reading is not None and isinstance(value, dict):  # its identity is stable: the whole answer is still alive
            reading.mended[id(cast(object, value))] = answer
        return answer

    @classmethod
    def _bound(cls, parts: dict[str, Any], name: str, cut: dict[str, int]) -> None:
        """Cut a text or a list that is too long, and skip rows of a wrong type."""
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
        """Remove a part, so that its default is used."""
        part = parts.pop(name, None)
        if isinstance(part, list):
            cut[name] = cut.get(name, 0) + len(cast(list[Any], part))


@dataclass(slots=True)
class _Reading:
    """The state of reading one answer, shared by its parts."""

    whole: object
    mended: dict[int, Any] = field(default_factory=dict[int, Any])
    """The mended parts by the identity of their JSON values."""

    def is_over(self, value: object) -> bool:
        """Say whether the bound of mended parts is reached; the answer itself is always mended."""
        return len(self.mended) >= MAX_MENDED and value is not self.whole


def _faulty_names(error: ValidationError) -> set[str]:
    """Return the names of the parts with a fault."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return {str(each["loc"][0]) for each in found if each["loc"]}


@cache
def _row_kinds(model: type[Answer]) -> Mapping[str, tuple[type, ...]]:
    """Return the JSON types that the rows of each list can have."""
    found: dict[str, tuple[type, ...]] = {}
    for name, declared in model.model_fields.items():
        for row in _rows_in(declared.annotation):
            found[name] = (str, int, float)
            if isinstance(row, type) and issubclass(row, Answer):
                found[name] = row.json_types
    return found


def _rows_in(annotation: Any) -> Iterator[Any]:
    """Yield the row types of the lists in an annotation, also inside `Annotated` and unions."""
    if get_origin(annotation) is list:
        yield get_args(annotation)[0]
        return
    for part in get_args(annotation):
        yield from _rows_in(part)


def _text(text: str, limit: int = MAX_TEXT) -> str:
    """Return the beginning of a text in a form that can be stored."""
    # JSON can escape half a surrogate pair, which cannot be encoded, and PostgreSQL stores no NUL.
    return text[:limit].encode(errors="replace").decode().replace("\0", "?")
