"""Finds the fields of a schema that a client's converter lost."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

Schema = Mapping[str, Any]
Field = tuple[str, str]
"""A statement and its place: `("field", "products[].url")`."""


def lost(ours: Schema, theirs: Schema) -> list[str]:
    """Return the statements of `ours` that `theirs` lacks, in our order: fields, types, required fields and choices.

    A place is a path of names, with `[]` for the entries of a list; the arms of a union count as one place. Spelling
    makes no difference: `anyOf` or `any_of`, `object` or `OBJECT`, a reference or its target.
    """
    there = set(statements(theirs))
    gone = [each for each in statements(ours) if each not in there]
    missing = {place for what, place in gone if what == "field"}
    return [
        place if what == "field" else f"{place}: {what}"
        for what, place in gone
        if not (what != "field" and place in missing) and not _within(place, missing)
    ]


def statements(schema: Schema) -> list[Field]:
    """Return all statements of a schema about its fields, each once."""
    return list(dict.fromkeys(_said(schema, schema, "")))


def _within(place: str, missing: set[str]) -> bool:
    return any(place.startswith((f"{each}.", f"{each}[]")) for each in missing)


def _said(node: Schema, root: Schema, place: str, depth: int = 0) -> Iterator[Field]:
    if depth > 12:  # a reference to itself
        return
    node = _resolved(node, root)
    kinds: Any = node.get("type", ())
    for kind in cast(list[str], kinds) if isinstance(kinds, list) else [kinds] if kinds else []:
        if kind.lower() != "null":
            yield f"type {kind.lower()}", place
    choices: Any = node.get("enum") or ([node["const"]] if "const" in node else [])
    for choice in cast(list[Any], choices):
        yield f"choice {choice}", place
    for name in cast(list[str], node.get("required") or ()):
        yield "required", f"{place}.{name}".lstrip(".")
    for name, part in cast(Mapping[str, Schema], node.get("properties") or {}).items():
        inner = f"{place}.{name}".lstrip(".")
        yield "field", inner
        yield from _said(part, root, inner, depth + 1)
    items: Any = node.get("items")
    if isinstance(items, Mapping):
        yield from _said(cast(Schema, items), root, f"{place}[]", depth + 1)
    for union in ("anyOf", "any_of", "oneOf", "allOf"):
        for arm in cast(list[Schema], node.get(union) or ()):
            yield from _said(arm, root, place, depth + 1)


def _resolved(node: Schema, root: Schema) -> Schema:
    reference: Any = node.get("$ref") or node.get("ref")
    if not isinstance(reference, str):
        return node
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = cast(Mapping[str, Any], found).get(step, {})
    rest = {key: value for key, value in node.items() if key not in ("$ref", "ref")}
    return {**cast(Schema, found), **rest}
