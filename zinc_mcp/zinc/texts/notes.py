"""The caller's own notes of an order (`metadata` of v2, `client_notes` of v1): small and plain JSON."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from zinc_mcp.zinc.texts.letters import unprintable

MAX_METADATA_BYTES = 8_192
MAX_METADATA_DEPTH = 20
RESERVED_METADATA = "zinc_mcp_"
"""Keys with this prefix are ours; a look-up finds an order by them."""


def notes_field(body: Mapping[str, Any]) -> str:
    """Return the name of the notes in an order's body. Only an order of v1 names its retailer."""
    return "client_notes" if "retailer" in body else "metadata"


def notes_in(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the notes of an order's body, ours and the caller's."""
    told: object = body.get(notes_field(body))
    return cast(dict[str, Any], told) if isinstance(told, dict) else dict[str, Any]()


def refuse_huge(notes: object) -> object:
    """Return notes that are not huge. They are counted level by level and only up to the bound.

    So megabytes or ten thousand levels cost no more than small notes.

    Raises:
        ValueError: they are larger or deeper than the bounds.
    """
    if not isinstance(notes, dict):
        return notes
    level: list[Any] = [cast(object, notes)]
    left = MAX_METADATA_BYTES
    for _ in range(MAX_METADATA_DEPTH):
        left -= sum(_length(item) for item in level)
        if left < 0:
            raise ValueError(f"is larger than {MAX_METADATA_BYTES} bytes of JSON")
        level = [part for item in level for part in _parts(item)]
        if not level:
            return cast(object, notes)
    raise ValueError(f"is nested more than {MAX_METADATA_DEPTH} levels deep")


def plain_notes(notes: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return notes that are plain JSON without our own names.

    Raises:
        ValueError: they are not; the text says what to change.
    """
    if notes is None:
        return None
    try:
        size = len(json.dumps(notes, allow_nan=False, ensure_ascii=False).encode())
    except (ValueError, TypeError):
        raise ValueError("must be plain JSON: no NaN, no infinity, no broken characters") from None
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"is larger than {MAX_METADATA_BYTES} bytes of JSON")
    if any(key.startswith(RESERVED_METADATA) for key in notes):
        raise ValueError(f"keys that start with {RESERVED_METADATA} are reserved")
    if any(unprintable(text, lines=True) for text in texts_in(notes)):
        raise ValueError("contains control or invisible characters; send plain text")
    return notes


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text of a JSON value, also the names of its members."""
    if isinstance(value, str):
        yield value
    for part in _parts(value):
        yield from texts_in(part)


def _length(value: object) -> int:
    """Return the least number of bytes of a JSON value, without its parts."""
    return len(cast(list[Any], value)) if isinstance(value, str | dict | list) else 1


def _parts(value: object) -> list[Any]:
    """Return the parts of a JSON value: the keys and values of an object, or the items of a list."""
    if isinstance(value, dict):
        entries = cast(dict[Any, Any], value)
        return [*entries, *entries.values()]
    return cast(list[Any], value) if isinstance(value, list) else []
