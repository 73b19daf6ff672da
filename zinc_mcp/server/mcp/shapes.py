"""What the fields of an argument model take, and arguments in the one form that is validated.

Hosts write JSON in several ways: a whole number as `6000.0` (JSON Schema, "integer": a number with a zero fraction is
one), and what was not given as `null` or as the words `null`, `None` and `undefined`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import BaseModel

NOT_GIVEN = frozenset({"null", "None", "undefined"})
"""Whole texts that stand for nothing where a field may be null."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What one field takes."""

    kind: Any
    """A model, or the type of a value; of one entry, where a list is taken."""
    listed: bool
    nullable: bool

    @property
    def model(self) -> type[BaseModel] | None:
        """The model of the value or of an entry, if it is one."""
        return self.kind if isinstance(self.kind, type) and issubclass(self.kind, BaseModel) else None


@cache
def shapes(model: type[BaseModel]) -> Mapping[str, Shape]:
    """Return what each field of a model takes."""
    return {name: _shape(field.annotation) for name, field in model.model_fields.items()}


def model_at(model: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel] | None:
    """Return the model of the object at a place in a model's arguments; None where any object is taken."""
    current: type[BaseModel] | None = model
    for part in place:
        if isinstance(part, int):
            continue
        if current is None or part not in shapes(current):
            return None
        current = shapes(current)[part].model
    return current


def settled(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments without what is not given, and with whole numbers as integers where a number is taken.

    Nothing else is changed: free objects (`metadata`) stay as they are, and so does what the model does not know.
    """
    kept: dict[str, Any] = {}
    for name, value in given.items():
        shape = shapes(model).get(name)
        if shape is None:
            kept[name] = value
        elif not (value is None or (shape.nullable and isinstance(value, str) and value in NOT_GIVEN)):
            kept[name] = _settled(shape, value)
    return kept


def _settled(shape: Shape, value: Any) -> Any:
    if shape.listed and isinstance(value, list):
        return [_settled(Shape(shape.kind, False, False), each) for each in cast(list[Any], value)]
    if shape.model is not None and isinstance(value, dict):
        return settled(shape.model, cast(dict[str, Any], value))
    if shape.kind in (int, float) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _shape(annotation: Any) -> Shape:
    kind, nullable = _bare(annotation), False
    if get_origin(kind) in (Union, UnionType):
        arms = [_bare(arm) for arm in get_args(kind)]
        nullable = NoneType in arms
        others = [arm for arm in arms if arm is not NoneType]
        kind = others[0] if len(others) == 1 else object
    listed = get_origin(kind) is list
    return Shape(_bare(get_args(kind)[0]) if listed else kind, listed, nullable)


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
