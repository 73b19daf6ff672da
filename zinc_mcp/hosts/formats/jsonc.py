"""Change one member of a JSON text and leave every other character, with its comments, as it is.

Each function works on text and returns splices: parts of the text to replace. The caller applies them and proves the
result (`editing`). Positions are characters.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

Dialect = Literal["json", "commented", "jsonc"]
"""The texts that a host reads: plain JSON; JSON with comments; JSON with comments and with commas after last members.

A host of the second kind (Gemini CLI 0.61 was tried) reads no byte order mark, and ends a comment only at a line feed.
"""

MAX_LEVELS = 200
BOM = "\ufeff"
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_COMMENT = re.compile(rf"{_STRING}|(//[^\r\n]*|/\*(?:.*?\*/|.*))", re.DOTALL)
"""A comment without an end goes to the end of the text; such a text is refused."""
_TRAILING = re.compile(rf"{_STRING}|(,)(?=[ \t\r\n]*[}}\]])", re.DOTALL)
_BRACKETS = re.compile(rf"{_STRING}|([\[{{]+)|([\]}}]+)", re.DOTALL)
_BLANK = " \t\r\n"
_LONE_RETURN = re.compile(r"\r(?!\n)")
_NOT_A_LINE_END = re.compile(r"[^\r\n]")


class UnreadableTextError(Exception):
    """A host would not read a text. The words say why, and quote nothing of the text."""


class Splice(NamedTuple):
    """A part of a text to replace."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, slots=True)
class _Text:
    """A text, and the same without comments and trailing commas, each replaced by as many blanks."""

    whole: str
    blank: str
    comments: Sequence[tuple[int, int]]
    trailing: frozenset[int]

    @property
    def line_end(self) -> str:
        found = re.search(r"\r\n|\n|\r", self.whole)
        return found[0] if found else "\n"

    def skip(self, at: int) -> int:
        while at < len(self.blank) and self.blank[at] in _BLANK:
            at += 1
        return at

    def indent_of_line(self, at: int) -> str:
        """Return the blanks at the beginning of the line that holds a position."""
        start = max(self.whole.rfind("\n", 0, at), self.whole.rfind("\r", 0, at)) + 1
        line = self.whole[start:at].removeprefix(BOM)
        return line[: len(line) - len(line.lstrip(" \t"))]

    def begins_line(self, at: int) -> bool:
        """Say whether only blanks stand before a position on its line."""
        start = max(self.whole.rfind("\n", 0, at), self.whole.rfind("\r", 0, at)) + 1
        return start > 0 and not self.whole[start:at].strip(" \t")


class _Member(NamedTuple):
    name: str
    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class _Object:
    start: int
    end: int
    """The position of its closing bracket."""
    members: Sequence[_Member]

    def member(self, name: str) -> _Member | None:
        return next((each for each in self.members if each.name == name), None)


def read(text: str, *, dialect: Dialect) -> dict[str, Any]:
    """Return the object that a text holds, empty for an empty text.

    Raises:
        UnreadableTextError: it holds none, a name twice in an object, or a comment where the host reads none.
    """
    return _values(_text(text, dialect=dialect))


def put(text: str, path: Sequence[str], name: str, entry: Mapping[str, Any], *, dialect: Dialect) -> list[Splice]:
    """Return the splices that give the object at `path` the member `name`; objects that are missing are made.

    Raises:
        UnreadableTextError: as `read`, or something on the path is no object.
    """
    given = _text(text, dialect=dialect)
    _values(given)
    if not given.blank.strip():
        return [_whole(given, path, name, entry)]
    at = _object(given, given.skip(0))
    for depth, key in enumerate((*path, name)):
        found = at.member(key)
        if found is None:
            value: object = entry
            for outer in reversed((*path, name)[depth + 1 :]):
                value = {outer: value}
            return _added(given, at, key, value)
        if depth == len(path):
            indent, is_on_one_line = given.indent_of_line(found.start), _is_on_one_line(given, at)
            return [Splice(found.value, found.end, _written(given, entry, indent, is_on_one_line=is_on_one_line))]
        at = _inner(given, found)
    raise AssertionError("the path ends above")


def take(text: str, path: Sequence[str], name: str, *, dialect: Dialect) -> list[Splice]:
    """Return the splices that remove the member `name` from the object at `path`, with the comma that it needed.

    Raises:
        UnreadableTextError: as `read`, or it is not there.
    """
    given = _text(text, dialect=dialect)
    _values(given)
    at = _object(given, given.skip(0))
    for key in path:
        found = at.member(key)
        if found is None:
            raise UnreadableTextError("it has no such entry")
        at = _inner(given, found)
    gone = at.member(name)
    if gone is None:
        raise UnreadableTextError("it has no such entry")
    return _removed(given, at, gone)


def _text(text: str, *, dialect: Dialect) -> _Text:
    whole = text
    if text.startswith(BOM):
        text = f" {text[1:]}"
    spans = [found.span() for found in _COMMENT.finditer(text) if found[1]]
    if spans and text.startswith("/*", spans[-1][0]) and not text.endswith("*/", spans[-1][0] + 2, spans[-1][1]):
        raise UnreadableTextError("it holds a comment that does not end")
    if spans and dialect == "json":
        raise UnreadableTextError("it holds a comment, and this host reads no file with comments")
    if dialect == "commented" and (whole.startswith(BOM) or (spans and _LONE_RETURN.search(whole))):
        raise UnreadableTextError("it holds a byte order mark or a line end that this host does not read")
    text = _blanked(text, spans)
    commas = [found.start() for found in _TRAILING.finditer(text) if found[1]]
    if commas and dialect != "jsonc":
        raise UnreadableTextError("a comma stands after its last member, and this host reads no such file")
    if any(_sign_before(text, at) in ("", "{", "[", ",", ":") for at in commas):
        raise UnreadableTextError("it is not valid JSON")
    text = _blanked(text, [(at, at + 1) for at in commas])
    return _Text(whole, text, spans, frozenset(commas))


def _blanked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return a text of the same length with blanks in some parts; the ends of lines stay."""
    pieces: list[str] = []
    at = 0
    for start, end in spans:
        pieces += [text[at:start], _NOT_A_LINE_END.sub(" ", text[start:end])]
        at = end
    return "".join([*pieces, text[at:]])


def _sign_before(text: str, at: int) -> str:
    """Return the last character before a position that is no blank."""
    at -= 1
    while at >= 0 and text[at] in _BLANK:
        at -= 1
    return text[at] if at >= 0 else ""


def _values(text: _Text) -> dict[str, Any]:
    if not text.blank.strip(_BLANK):
        return {}
    _check_levels(text.blank)
    try:
        found: object = json.loads(text.blank, object_pairs_hook=_once, parse_constant=_no_constant)
    except UnreadableTextError:
        raise
    except (ValueError, RecursionError):
        raise UnreadableTextError("it is not valid JSON") from None
    if not isinstance(found, dict):
        raise UnreadableTextError("it holds no object at its top")
    return cast(dict[str, Any], found)


def _check_levels(text: str) -> None:
    level = 0
    for found in _BRACKETS.finditer(text):
        level += len(found[1] or "") - len(found[2] or "")
        if level > MAX_LEVELS:
            raise UnreadableTextError(f"it is nested deeper than {MAX_LEVELS} levels")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableTextError("it holds a name twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


_decoder = json.JSONDecoder()


def _object(text: _Text, start: int) -> _Object:
    members: list[_Member] = []
    at = text.skip(start + 1)
    while text.blank[at] != "}":
        name, end = _decoder.raw_decode(text.blank, at)
        value = text.skip(text.skip(end) + 1)
        _, end = _decoder.raw_decode(text.blank, value)
        members.append(_Member(name, at, value, end))
        at = text.skip(end)
        if text.blank[at] == ",":
            at = text.skip(at + 1)
    return _Object(start, at, members)


def _inner(text: _Text, found: _Member) -> _Object:
    if text.blank[found.value] != "{":
        raise UnreadableTextError("it has no object in the place of its servers")
    return _object(text, found.value)


def _unit(text: _Text) -> str:
    """Return the blanks by which the text indents one level."""
    root = _object(text, text.skip(0))
    for member in root.members:
        if text.begins_line(member.start) and (unit := text.indent_of_line(member.start)):
            return unit
    return "  "


def _is_on_one_line(text: _Text, at: _Object) -> bool:
    inside = text.whole[at.start : at.end]
    has_line_end = "\n" in inside or "\r" in inside
    if at.members:
        return not has_line_end
    is_all_on_one_line = "\n" not in text.whole.rstrip() and "\r" not in text.whole.rstrip()
    return not has_line_end and is_all_on_one_line and at.start > text.skip(0)


def _written(text: _Text, value: object, indent: str, *, is_on_one_line: bool) -> str:
    if is_on_one_line:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":") if _is_tight(text) else (", ", ": "))
    unit = _unit(text) if text.blank.strip() else "  "
    lines = json.dumps(value, ensure_ascii=False, indent=unit).split("\n")
    return f"{text.line_end}{indent}".join(lines)


def _whole(text: _Text, path: Sequence[str], name: str, entry: Mapping[str, Any]) -> Splice:
    value: object = entry
    for outer in reversed((*path, name)):
        value = {outer: value}
    end = len(text.whole)
    last = text.whole[-1:]
    begin = "" if last in ("", "\n", "\r", BOM, " ", "\t") and not _ends_in_comment(text) else text.line_end
    return Splice(end, end, f"{begin}{_written(text, value, '', is_on_one_line=False)}{text.line_end}")


def _ends_in_comment(text: _Text) -> bool:
    if not text.comments:
        return False
    after = text.whole[text.comments[-1][1] :]
    return "\n" not in after and "\r" not in after


def _added(text: _Text, at: _Object, name: str, value: object) -> list[Splice]:
    one_line = _is_on_one_line(text, at)
    begins = bool(at.members) and text.begins_line(at.members[0].start)
    outer = text.indent_of_line(at.start)
    indent = text.indent_of_line(at.members[0].start) if begins else outer + _unit(text)
    shown = f"{json.dumps(name)}:{'' if one_line and _is_tight(text) else ' '}"
    shown += _written(text, value, indent, is_on_one_line=one_line)
    separator = ("" if _is_tight(text) else " ") if one_line else f"{text.line_end}{indent}"
    if not at.members:
        place = _after_comments(text, at.start + 1, at.end)
        rest = text.whole[place : at.end]
        closes = "" if one_line or "\n" in rest or "\r" in rest else f"{text.line_end}{outer}"
        if one_line and place == at.start + 1 and not rest.strip():
            separator = ""
        return [Splice(place, place, f"{separator}{shown}{closes}")]
    last = at.members[-1].end
    comma = next((each for each in sorted(text.trailing) if last <= each < at.end), None)
    if comma is not None:
        place = _after_comments(text, comma + 1, at.end)
        return [Splice(place, place, f"{separator}{shown},")]
    place = _after_comments(text, last, at.end)
    if place == last:
        return [Splice(last, last, f",{separator}{shown}")]
    return [Splice(last, last, ","), Splice(place, place, f"{separator}{shown}")]


def _is_tight(text: _Text) -> bool:
    return re.search(r'":\S', text.blank) is not None and '": ' not in text.blank


def _after_comments(text: _Text, start: int, end: int) -> int:
    """Return the end of the last comment between two positions, or the first position where there is none."""
    inside = [stop for begin, stop in text.comments if start <= begin and stop <= end]
    return inside[-1] if inside else start


def _removed(text: _Text, at: _Object, gone: _Member) -> list[Splice]:
    place = at.members.index(gone)
    has_comment = any(at.start <= begin < at.end and not gone.start <= begin < gone.end for begin, _ in text.comments)
    if len(at.members) == 1 and not has_comment:
        return [Splice(at.start + 1, at.end, "")]
    start = _before_blanks(text, gone)
    if place + 1 < len(at.members):
        comma, following = text.skip(gone.end), at.members[place + 1].start
        if place == 0 and not text.whole[gone.end : following].strip(f",{_BLANK}"):
            return [Splice(gone.start, following, "")]
        return _joined([Splice(start, gone.end, ""), Splice(comma, comma + 1, "")])
    own = next((each for each in sorted(text.trailing) if gone.end <= each < at.end), None)
    if own is not None:
        return _joined([Splice(start, gone.end, ""), Splice(own, own + 1, "")])
    if place == 0:
        return [Splice(start, gone.end, "")]
    comma = text.skip(at.members[place - 1].end)
    return _joined([Splice(comma, comma + 1, ""), Splice(start, gone.end, "")])


def _before_blanks(text: _Text, gone: _Member) -> int:
    """Return the start of the blanks before a member. A comment that ends with its line keeps the end of the line."""
    bound = max((stop for _, stop in text.comments if stop <= gone.start), default=0)
    start = gone.start
    while start > bound and text.whole[start - 1] in _BLANK:
        start -= 1
    follows_line_comment = any(stop == start and text.whole.startswith("//", begin) for begin, stop in text.comments)
    if follows_line_comment and not re.match(r"[ \t]*,?[ \t]*(?:\r|\n)", text.whole[gone.end :]):
        return gone.start
    return start


def _joined(splices: list[Splice]) -> list[Splice]:
    """Return the same splices, with those that touch each other joined."""
    found: list[Splice] = []
    for each in splices:
        if found and found[-1].end >= each.start:
            found[-1] = Splice(found[-1].start, each.end, "")
        else:
            found.append(each)
    return found
