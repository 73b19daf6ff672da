"""Change one table of a TOML text and leave every other character, with its comments, as it is.

A new table goes to the end of the text, written by tomlkit. What is removed is found statement by statement, because
tomlkit counts the comment above the next table to the table before it.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from zinc_mcp.hosts.formats.jsonc import BOM, MAX_LEVELS, Splice, UnreadableTextError

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*|[\[\]{}=\n]",
    re.DOTALL,
)
_LINE = re.compile(r"[ \t]*(\[{1,2})?")
MAX_BRACKETS = 20_000


class _Statement(NamedTuple):
    start: int
    end: int
    path: tuple[str, ...]
    is_header: bool


def read(text: str) -> dict[str, Any]:
    """Return the values that a text holds.

    Raises:
        UnreadableTextError: it is not valid TOML.
    """
    if text.count("[") + text.count("{") > MAX_BRACKETS:
        raise UnreadableTextError(f"it holds more than {MAX_BRACKETS} brackets")
    _check_levels(text)
    try:
        return tomllib.loads(text.removeprefix(BOM))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        raise UnreadableTextError("it is not valid TOML") from None


def put(text: str, path: Sequence[str], name: str, entry: Mapping[str, Any]) -> list[Splice]:
    """Return the splices that give the table at `path` the table `name`, whole.

    Raises:
        UnreadableTextError: as `read`, or something on the path is no table.
    """
    at = read(text)
    for key in path:
        inner: object = at.get(key, {})
        if not isinstance(inner, dict):
            raise UnreadableTextError("it has no table in the place of its servers")
        at = cast(dict[str, Any], inner)
    line_end = "\r\n" if "\r\n" in text else "\n"
    block = table_text(path, name, entry).replace("\n", line_end)
    if name in at:
        return _replaced(text, path, name, entry, block)
    begin = "" if not text.strip(f"\r\n\t {BOM}") else line_end if text.endswith("\n") else line_end * 2
    if begin and text.endswith(line_end * 2):
        begin = ""
    added = [Splice(len(text), len(text), begin + block)]
    return added if _holds(applied(text, added), path, name, entry) else _inline(text, path, name, entry)


def take(text: str, path: Sequence[str], name: str) -> list[Splice]:
    """Return the splices that remove the table `name` from the table at `path`.

    Raises:
        UnreadableTextError: as `read`.
    """
    read(text)
    spans = _spans(text, (*path, name))
    return _gone(text, spans) if spans else _inline(text, path, name, None)


def applied(text: str, splices: Sequence[Splice]) -> str:
    """Return a text with its splices done."""
    for start, end, new in reversed(splices):
        text = f"{text[:start]}{new}{text[end:]}"
    return text


def _replaced(text: str, path: Sequence[str], name: str, entry: Mapping[str, Any], block: str) -> list[Splice]:
    spans = _spans(text, (*path, name))
    if not spans:
        return _inline(text, path, name, entry)
    first, *others = _gone(text, spans)
    inside = [Splice(spans[0][0], first.end, block), *others]
    if _holds(applied(text, inside), path, name, entry):
        return inside
    return [first, *others, Splice(len(text), len(text), block)]


def table_text(path: Sequence[str], name: str, entry: Mapping[str, Any]) -> str:
    """Return a table of its own, as tomlkit writes it."""
    import tomlkit

    document, at = tomlkit.document(), tomlkit.table()
    for key, value in entry.items():
        at.add(key, _inline_value(value))
    for key in reversed((*path[1:], name)):
        inner, at = at, tomlkit.table(is_super_table=True)
        at.add(key, inner)
    document.add(path[0], at)
    return tomlkit.dumps(document)


def _inline_value(value: object) -> Any:
    import tomlkit

    if isinstance(value, dict):
        table = tomlkit.inline_table()
        for key, each in cast(dict[str, object], value).items():
            table.add(key, _inline_value(each))
        return table
    return tomlkit.item(value)


def _inline(text: str, path: Sequence[str], name: str, entry: Mapping[str, Any] | None) -> list[Splice]:
    """Return the change of a map that is written in one value, such as `mcp_servers = {…}`."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    begin = BOM if text.startswith(BOM) else ""
    try:
        document = tomlkit.parse(text.removeprefix(BOM))
        at: Any = document
        for key in path:
            at = at[key]
        if entry is None:
            del at[name]
        else:
            at[name] = _inline_value(dict(entry))
        changed = begin + tomlkit.dumps(document)
    except (TOMLKitError, KeyError, TypeError, ValueError):
        raise UnreadableTextError("its servers are written in a form that cannot be changed safely") from None
    start = 0
    while start < min(len(text), len(changed)) and text[start] == changed[start]:
        start += 1
    end = 0
    while end < min(len(text), len(changed)) - start and text[-1 - end] == changed[-1 - end]:
        end += 1
    return [Splice(start, len(text) - end, changed[start : len(changed) - end])]


def _holds(text: str, path: Sequence[str], name: str, entry: Mapping[str, Any]) -> bool:
    try:
        at: Any = read(text)
        for key in (*path, name):
            at = at[key]
    except (UnreadableTextError, KeyError, TypeError):
        return False
    return bool(at == entry)


def _spans(text: str, wanted: tuple[str, ...]) -> list[tuple[int, int]]:
    """Return the parts of a text that make up one table, without the comments that follow its last statement."""
    spans: list[tuple[int, int]] = []
    inside = False
    for each in _statements(text):
        if each.is_header:
            inside = each.path[: len(wanted)] == wanted
            if inside:
                spans.append((each.start, each.end))
        elif inside:
            spans[-1] = (spans[-1][0], each.end)
        elif each.path[: len(wanted)] == wanted:
            spans.append((each.start, each.end))
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and not text[joined[-1][1] : start].strip():
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _gone(text: str, spans: Sequence[tuple[int, int]]) -> list[Splice]:
    *others, (start, end) = spans
    return [*(Splice(*each, "") for each in others), Splice(_before_empty_line(text, start, end), end, "")]


def _before_empty_line(text: str, start: int, end: int) -> int:
    """Return the start of a table, or of the empty line before it if another one or the end of the text follows."""
    rest = text[end:].lstrip(" \t")
    if rest and not rest.startswith(("\n", "\r\n")):
        return start
    found = re.search(r"(?<=\n)[ \t]*\r?\n\Z", text[:start])
    return found.start() if found else start


def _statements(text: str) -> Iterator[_Statement]:
    """Yield headers and pairs, each with its whole lines; the text is valid TOML."""
    at, table = len(BOM) if text.startswith(BOM) else 0, tuple[str, ...]()
    while at < len(text):
        line = _LINE.match(text, at)
        if line is None:
            return
        first = text[line.end() : line.end() + 1]
        if not line[1] and first in ("", "\n", "\r", "#"):
            at = _line_end(text, line.end())
            continue
        if line[1]:
            closes = _key_end(text, line.end(), "]")
            table = _key(text[line.end() : closes])
            end = _line_end(text, closes)
            yield _Statement(at, end, table, is_header=True)
        else:
            equals = _key_end(text, line.end(), "=")
            end = _value_end(text, equals + 1)
            yield _Statement(at, end, (*table, *_key(text[line.end() : equals])), is_header=False)
        at = end


def _key_end(text: str, at: int, sign: str) -> int:
    return next(found.start() for found in _TOKEN.finditer(text, at) if found[0] == sign)


def _value_end(text: str, at: int) -> int:
    level = 0
    for found in _TOKEN.finditer(text, at):
        if found[0] in "[{":
            level += 1
        elif found[0] in "]}":
            level -= 1
        elif found[0] == "\n" and level == 0:
            return found.end()
    return len(text)


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _key(text: str) -> tuple[str, ...]:
    path: list[str] = []
    at: object = tomllib.loads(f"{text.strip()} = 0")
    while isinstance(at, dict):
        [(name, at)] = cast(dict[str, object], at).items()
        path.append(name)
    return tuple(path)


def _check_levels(text: str) -> None:
    level = 0
    for found in _TOKEN.finditer(text):
        if found[0] in ("[", "{"):
            level += 1
        elif found[0] in ("]", "}"):
            level -= 1
        if level > MAX_LEVELS:
            raise UnreadableTextError(f"it is nested deeper than {MAX_LEVELS} levels")
