"""Makes one change in a host's text, and proves that it is the only one.

The text before and the text after are both read again. All values but the one entry must be the same, and outside the
parts that were replaced every character is the same, so comments are as well.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from zinc_mcp.hosts.formats import jsonc, toml_text
from zinc_mcp.hosts.formats.jsonc import Splice, UnreadableTextError
from zinc_mcp.hosts.table import Form

_IS_YAML = "it is YAML, which is not read here"
_NOT_SAFE = "its servers are written in a form that cannot be changed safely"

Cuts = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A changed text. Without its `cuts` it is the text before, if nothing but these was added."""

    text: str
    cuts: Cuts | None
    made: int
    """The number of maps on the path that were not there before."""


def read(form: Form, text: str) -> dict[str, Any]:
    """Return the values of a host's text.

    Raises:
        UnreadableTextError: the host does not read such a text, or it is not safe to change.
    """
    if form == "toml":
        return toml_text.read(text)
    if form == "yaml":
        raise UnreadableTextError(_IS_YAML)
    return jsonc.read(text, dialect=form)


def servers(values: Mapping[str, Any], path: Sequence[str]) -> Mapping[str, Any]:
    """Return the map of servers, empty where there is none."""
    at: object = values
    for key in path:
        at = cast(Mapping[str, object], at).get(key, {})
        if not isinstance(at, dict):
            return {}
    return cast(Mapping[str, Any], at)


def put(form: Form, text: str, path: Sequence[str], name: str, entry: Mapping[str, Any]) -> Change:
    """Return the text with this entry, whether it had one of the name before or not.

    Raises:
        UnreadableTextError: as `read`, or the change cannot be proved to be the only one.
    """
    before = read(form, text)
    splices = _put(form, text, path, name, entry)
    changed = toml_text.applied(text, splices)
    after = _read_again(form, changed)
    made = _missing(before, path)
    _check_same(_without(after, path, name, made), _without(before, path, name, 0))
    if _canonical(servers(after, path).get(name)) != _canonical(entry):
        raise UnreadableTextError(_NOT_SAFE)
    cuts = _cuts(splices)
    return Change(changed, cuts if cuts is not None and uncut(changed, cuts) == text else None, made)


def take(form: Form, text: str, path: Sequence[str], name: str, made: int = 0) -> Change:
    """Return the text without this entry, and without the `made` innermost maps on the path if they are empty then.

    Raises:
        UnreadableTextError: as `read`, or the change cannot be proved to be the only one.
    """
    before = read(form, text)
    changed = _taken(form, text, path, name)
    after = _read_again(form, changed)
    _check_same(after, _without(before, path, name, _emptied(before, after, path) if form == "toml" else 0))
    for depth in range(len(path), len(path) - made, -1):
        inner = servers(after, path[:depth])
        if inner or path[depth - 1] not in servers(after, path[: depth - 1]):
            break
        changed = _taken(form, changed, path[: depth - 1], path[depth - 1])
        after = _read_again(form, changed)
    return Change(changed, None, 0)


def _read_again(form: Form, text: str) -> dict[str, Any]:
    try:
        return read(form, text)
    except UnreadableTextError:  # which is not about the text that was given
        raise UnreadableTextError(_NOT_SAFE) from None


def uncut(text: str, cuts: Cuts) -> str:
    """Return a text without some parts."""
    return toml_text.applied(text, [Splice(start, end, "") for start, end in cuts])


def _put(form: Form, text: str, path: Sequence[str], name: str, entry: Mapping[str, Any]) -> list[Splice]:
    if form == "toml":
        return toml_text.put(text, path, name, entry)
    if form == "yaml":
        raise UnreadableTextError(_IS_YAML)
    return jsonc.put(text, path, name, entry, dialect=form)


def _taken(form: Form, text: str, path: Sequence[str], name: str) -> str:
    if form == "toml":
        return toml_text.applied(text, toml_text.take(text, path, name))
    if form == "yaml":
        raise UnreadableTextError(_IS_YAML)
    return toml_text.applied(text, jsonc.take(text, path, name, dialect=form))


def _cuts(splices: Sequence[Splice]) -> Cuts | None:
    """Return where the added parts stand in the changed text; None if something was replaced."""
    if any(each.start != each.end for each in splices):
        return None
    cuts: list[tuple[int, int]] = []
    grown = 0
    for each in splices:
        cuts.append((each.start + grown, each.start + grown + len(each.new)))
        grown += len(each.new)
    return tuple(cuts)


def _missing(values: Mapping[str, Any], path: Sequence[str]) -> int:
    at: Mapping[str, Any] = values
    for depth, key in enumerate(path):
        if key not in at:
            return len(path) - depth
        at = at[key]
    return 0


def _emptied(before: Mapping[str, Any], after: Mapping[str, Any], path: Sequence[str]) -> int:
    """Return how many maps on the path went with the last entry: in TOML a table without a header is only implied."""
    return _missing(after, path) - _missing(before, path)


def _without(values: Mapping[str, Any], path: Sequence[str], name: str, made: int) -> dict[str, Any]:
    """Return the values without an entry, and without the `made` innermost maps on the path, which held only it."""
    if not path:
        return {key: value for key, value in values.items() if key != name}
    if path[0] not in values:
        return dict(values)
    inner = _without(values[path[0]], path[1:], name, min(made, len(path) - 1))
    if made == len(path) and not inner:
        return {key: value for key, value in values.items() if key != path[0]}
    return {key: inner if key == path[0] else value for key, value in values.items()}


def _check_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    if _canonical(one) != _canonical(other):
        raise UnreadableTextError(_NOT_SAFE)


def _canonical(value: object) -> str:
    # Comparing texts: in TOML a value may be `nan`, which equals nothing, and a date.
    return json.dumps(value, sort_keys=True, default=repr)
