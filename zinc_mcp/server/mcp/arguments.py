"""Tool arguments: the published schemas, derived from the models, and the reading of arguments.

The SDK's own validation is lax (`true` becomes 1, unknown arguments are dropped) and answers in prose. Here everything
that is wrong becomes one `InvalidArgumentsError` whose problems name a field and what to change, never a value.

Hosts write JSON in several ways: a whole number as `6000.0` (JSON Schema, "integer": a number with a zero fraction is
one), an argument that is not given as `null` or as the words `null`, `None` and `undefined`, and a list or an object as
JSON text.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from zinc_mcp.errors import InvalidArgumentsError, Problem
from zinc_mcp.server.mcp.hints import hint
from zinc_mcp.text import plain

MAX_ARGUMENTS = 64
_DIGITS_OF_A_CARD = 13
"""The fewest digits of a card's number (ISO/IEC 7812-1)."""
MAX_CHARACTERS = 1_000_000
MAX_VALUES = 20_000
MAX_DEPTH = 32
MAX_PROBLEMS = 10
CENTS_EXAMPLE = "6000 for $60.00"

_NOT_GIVEN = frozenset({"null", "None", "undefined"})
"""Whole texts that stand for nothing where a field may be null."""
_SELF_EVIDENT = frozenset(
    {
        "label",
        "value",
        "address_line1",
        "address_line2",
        "metadata",
        "condition_in",
        "condition_not_in",
        "mode",
        "customer",
        "margin",
        "fulfillment",
    }
)
"""Fields that the published schema does not describe: their names and their parents' say enough."""

_REASONS = {
    "missing": "is required",
    "int_type": "must be a whole number, without quotes or a decimal point",
    "int_from_float": "must be a whole number, without quotes or a decimal point",
    "int_parsing": "must be a whole number, without quotes or a decimal point",
    "int_parsing_size": "is too large",
    "float_type": "must be a number, without quotes",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false, without quotes",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_unicode": "contains characters that are not text",
    "too_long": "must have at most {max_length} entries",
}
"""Our words for pydantic's error types; the braces stand for the rule's bound, never for the input."""

_M = TypeVar("_M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Shape:
    """The values that one field takes."""

    kind: Any
    """A model, or the type of a value; of one entry, where a list is taken."""
    listed: bool
    nullable: bool
    model: type[BaseModel] | None
    """The model of the value or of an entry, if it is one."""


@cache
def shapes(model: type[BaseModel]) -> Mapping[str, Shape]:
    """Return the shape of each field of a model."""
    return {name: _shape(field.annotation) for name, field in model.model_fields.items()}


@cache
def input_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the published schema of an argument model, kept short: hosts show every tool to the model all the time.

    No titles, `T | None = None` as an optional T, models in place. It does not say that no other field is taken,
    because converters to Gemini's schema fail at `additionalProperties: false` (docs/clients.md).
    """
    schema = model.model_json_schema()
    short = _short(schema, cast(dict[str, Any], schema.get("$defs", {})))
    short.pop("description", None)  # the tool has a description of its own
    return short


def normalized(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as they came in the one form that `validated` takes.

    Raises:
        InvalidArgumentsError: they are too large to look at.
    """
    return _normalized(model, _bounded(given, model))


def validated(model: type[_M], arguments: Mapping[str, Any]) -> _M:
    """Return normalized arguments as their model.

    Raises:
        InvalidArgumentsError: it names every field to change.
    """
    try:
        return model.model_validate(arguments)
    except ValidationError as error:
        raise invalid_arguments(error, model) from None
    except RecursionError:
        raise must_change([Problem("", "are nested too deeply")]) from None


def invalid_arguments(
    error: ValidationError, model: type[BaseModel], prefix: tuple[str, ...] = ()
) -> InvalidArgumentsError:
    """Return the error for the mistakes that a model found, in our words; `prefix` is the place of its value."""
    return must_change(_problems(error, model, prefix))


def must_change(problems: Sequence[Problem]) -> InvalidArgumentsError:
    """Return the error that names the arguments to change."""
    shown = list(dict.fromkeys(problems))
    count = len(shown)
    summary = f"{'One argument' if count == 1 else f'{count} arguments'} must change."
    if count > MAX_PROBLEMS:
        summary = f"{summary} The first {MAX_PROBLEMS} are listed."
    return InvalidArgumentsError(summary, problems=shown[:MAX_PROBLEMS])


def _bounded(given: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Refuse arguments that are too large to look at, and read lists and objects that came as JSON text.

    Hosts send such text ("Claude Desktop is prone to this", mcp 2.3, `func_metadata`). Only whole arguments are read
    so, and only into lists and objects: text is never taken for a number.
    """
    if len(given) > MAX_ARGUMENTS:
        raise must_change([Problem("", f"are {len(given)} arguments; at most {MAX_ARGUMENTS} are read")])
    arguments: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in given.items():
        objection = _objection(value)
        if objection is None and isinstance(value, str) and _takes_structure(model, name):
            value = _from_text(value)
            objection = _objection(value)
        if objection:
            problems.append(Problem(_named(name), objection))
        arguments[name] = value
    if problems:
        raise must_change(problems)
    return arguments


def _objection(value: Any) -> str | None:
    """Say why a value is too large to validate, without recursion."""
    values = characters = 0
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            values += 1
            if isinstance(item, str):
                characters += len(item)
            elif isinstance(item, dict):
                entries = cast(dict[Any, Any], item)
                characters += sum(len(str(key)) for key in entries)
                below.extend(entries.values())
            elif isinstance(item, list):
                below.extend(cast(list[Any], item))
        if characters > MAX_CHARACTERS:
            return f"is far too large; at most {MAX_CHARACTERS} characters are read"
        if values + len(below) > MAX_VALUES:
            return f"has far too many entries; at most {MAX_VALUES} are read"
        if not below:
            return None
        level = below
    return f"is nested more than {MAX_DEPTH} levels deep"


def _from_text(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return cast(object, value) if isinstance(value, list | dict) else text


def _takes_structure(model: type[BaseModel], name: str) -> bool:
    published = input_schema(model)["properties"].get(name, {})
    return "anyOf" in published or published.get("type") in ("array", "object")


def _normalized(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the arguments that are given, with whole numbers as integers where a number is taken.

    Nothing else is changed: free objects (`metadata`) and unknown arguments stay as they are.
    """
    kept: dict[str, Any] = {}
    known = shapes(model)
    for name, value in given.items():
        shape = known.get(name)
        if shape is None:
            kept[name] = value
        elif not (value is None or (shape.nullable and isinstance(value, str) and value in _NOT_GIVEN)):
            kept[name] = _value(shape, value)
    return kept


def _value(shape: Shape, value: Any) -> Any:
    if shape.listed and isinstance(value, list):
        return [_one_value(shape, each) for each in cast(list[Any], value)]
    return _one_value(shape, value)


def _one_value(shape: Shape, value: Any) -> Any:
    if shape.model is not None and isinstance(value, dict):
        return _normalized(shape.model, cast(dict[str, Any], value))
    if shape.kind in (int, float) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _problems(error: ValidationError, model: type[BaseModel], prefix: tuple[str, ...]) -> list[Problem]:
    problems: list[Problem] = []
    for found in error.errors(include_url=False, include_input=False):
        place = (*prefix, *found["loc"])
        if found["type"] == "extra_forbidden":
            within = None if prefix else _model_at(model, place[:-1])
            problems.append(Problem(_path(place), hint(str(place[-1]), within)))
        elif found["type"] == "value_error":
            # A rule about several fields begins with the name of the field to change: "postal_code: a US ZIP code ...".
            objection = found["msg"].removeprefix("Value error, ")
            field, colon, reason = objection.partition(": ")
            if colon and field.replace("_", "").replace(".", "").isalpha():
                problems.append(Problem(_path((*place, field)), reason))
            else:
                problems.append(Problem(_path(place), objection))
        else:
            words = _REASONS.get(found["type"], "is not valid").format_map(found.get("ctx", {}))
            cents = f"{words}; US cents, {CENTS_EXAMPLE}" if place[-1:] == ("max_price",) else words
            problems.append(Problem(_path(place), cents))
    return problems


def _path(place: Sequence[int | str]) -> str:
    path = ""
    for part in place:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{_named(part)}"
    return path if len(path) <= 120 else path[:119] + "…"


def _named(part: str) -> str:
    """Return a name as the caller gave it, unless it has so many digits that it may be a card's number."""
    return plain(part, 60) if sum(map(str.isdigit, part)) < _DIGITS_OF_A_CARD else "[...]"


def _model_at(model: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel] | None:
    """Return the model of the object at a place in a model's arguments; None where any object is taken."""
    current: type[BaseModel] | None = model
    for part in place:
        if isinstance(part, int):
            continue
        if current is None or part not in shapes(current):
            return None
        current = shapes(current)[part].model
    return current


def _shape(annotation: Any) -> Shape:
    kind, nullable = _bare(annotation), False
    if get_origin(kind) in (Union, UnionType):
        arms = [_bare(arm) for arm in get_args(kind)]
        nullable = NoneType in arms
        others = [arm for arm in arms if arm is not NoneType]
        kind = others[0] if len(others) == 1 else object
    listed = get_origin(kind) is list
    kind = _bare(get_args(kind)[0]) if listed else kind
    model = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
    return Shape(kind, listed, nullable, model)


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _short(node: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        target = _short(models[str(node["$ref"]).rsplit("/", 1)[-1]], models)
        target.pop("description", None)
        return target | {key: value for key, value in node.items() if key != "$ref"}
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("title", "$defs", "additionalProperties") or (key == "default" and value is None):
            continue
        if key == "properties":
            kept[key] = {name: _short(part, models) for name, part in value.items()}
            for name in _SELF_EVIDENT & kept[key].keys():
                kept[key][name].pop("description", None)
        elif key == "const":
            kept["enum"] = [value]  # the same choice; the Gemini API answers 400 to the other word
        elif key == "anyOf":
            arms = [_short(arm, models) for arm in value if arm != {"type": "null"}]
            kept.update(arms[0] if len(arms) == 1 else {"anyOf": arms})
        elif isinstance(value, dict):
            kept[key] = _short(cast(dict[str, Any], value), models)
        else:
            kept[key] = value
    return kept
