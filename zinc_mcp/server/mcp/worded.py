"""A published schema that describes objects inside the arguments in words, derived from the same model.

All tools together have 20 KB. The fields of an order of v1 alone would take a fourth of that, most of it for objects
that few orders have. In words they take a third. Mistakes in a call are reported as for any other argument.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

_LEFT_OUT = frozenset(
    "minimum maximum exclusiveMinimum exclusiveMaximum minLength maxLength minItems maxItems pattern default "
    "description".split()
)
_KINDS = {"string": "", "integer": "numbers: ", "boolean": "true or false: ", "array": "lists: "}
_FEW = 4
"""The most values of a field that are named in words."""


def worded(schema: Mapping[str, Any], said: Mapping[str, str]) -> dict[str, Any]:
    """Return the schema of arguments with each object inside them in words, without bounds.

    `said` describes arguments, by their names, also those of a list's objects. No other argument is described.
    """
    properties = cast(Mapping[str, dict[str, Any]], schema["properties"])
    return {
        **{name: part for name, part in schema.items() if name not in _LEFT_OUT},
        "properties": {name: _argument(name, part, said) for name, part in properties.items()},
    }


def _argument(name: str, node: Mapping[str, Any], said: Mapping[str, str]) -> dict[str, Any]:
    described = {"description": said[name]} if name in said else {}
    kept = {key: part for key, part in node.items() if key not in _LEFT_OUT}
    if "properties" in kept:
        return _in_words(kept, said.get(name))
    items = cast(dict[str, Any], kept.get("items") or {})
    if any("properties" in part for part in items.get("properties", {}).values()):
        kept["items"] = worded(items, said)
    elif "properties" in items:
        kept["items"] = _in_words(items, None)
    return kept | described


def _in_words(node: Mapping[str, Any], lead: str | None) -> dict[str, Any]:
    """Return an object whose fields stand in its description: the required ones first, then the others by kind."""
    fields = cast(Mapping[str, dict[str, Any]], node["properties"])
    required: list[str] = node.get("required", [])
    words = [", ".join(_named(name, fields[name]) for name in required)] if required else []
    others = {name: part for name, part in fields.items() if name not in required}
    optional = "; ".join(_by_kind(others))
    words += [f"optional: {optional}" if required else optional] if optional else []
    return {"type": "object", "description": " ".join([*([lead] if lead else []), "; ".join(words)])}


def _by_kind(fields: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for kind, word in _KINDS.items():
        names = [_named(name, part) for name, part in fields.items() if part.get("type") == kind]
        if names:
            yield f"{word}{', '.join(names)}"


def _named(name: str, part: Mapping[str, Any]) -> str:
    values: list[str] = part.get("enum", [])
    notes = [" or ".join(values)] if 0 < len(values) <= _FEW else []
    notes += ["cents"] if "cents" in str(part.get("description")) else []
    return f"{name} ({'; '.join(notes)})" if notes else name
