"""JSON-RPC messages from outside: bounded, read, or answered where they are none (JSON-RPC 2.0, section 5.1).

A host that sent something unreadable must not wait for its time-out: the answer carries the id wherever one can be
read, even from a broken message. Reading JSON stops everybody else for as long as it takes, and a megabyte can hold
half a million empty lists. So a message is looked through before it is read, and the look ends at the first bound.
"""

import json
import logging
import math
import re
from dataclasses import dataclass, replace
from typing import Any, cast

from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

MOST_MESSAGE_BYTES = 1024 * 1024
"""The largest message. An order of a hundred products, gift messages and metadata included, takes a tenth of it."""
MOST_LEVELS = 64
"""Objects and lists inside each other; the deepest argument of a tool is at seven."""
MOST_MARKS = 10_000
"""Brackets, commas and colons outside text, and quotation marks inside it; an order of a hundred products has three
thousand."""
MOST_WORD_CHARACTERS = 400
"""The longest number, or other word outside text. A double can take 325 characters."""
MOST_NAME_BYTES = 1000
"""The longest name of a field."""
MOST_AT_ONCE = 100
"""Messages in one batch, or on one line, that are answered one by one; more get one answer without an id."""
MOST_ID_CHARACTERS = 1000
"""The longest id that is sent back with an error."""
SEARCHED_BYTES = 16 * 1024
"""The part at each end of a broken message that is searched for its id."""

TOO_LARGE = f"A message may have {MOST_MESSAGE_BYTES:,} bytes."

QUICKLY_READ_BYTES = 16 * 1024
"""A message of this size is read within milliseconds, with any content."""
_BOM = b"\xef\xbb\xbf"
_WHOLE_FLOATS = 2**53
_TOO_LARGE_AN_ID = 10**MOST_ID_CHARACTERS
_TOKEN = re.compile(rb'(?:(")|([\[{])|([\]}])|([,:])|[^\s"\[\]{},:]{1,401})\s*')
_SPACE = re.compile(rb"\s*")
_TEXT, _OPENS, _CLOSES, _BETWEEN = 1, 2, 3, 4
_PART = re.compile(r'[^"{}\[\]]+|"(?:[^"\\]|\\.)*"|[{}\[\]]')
_ID = r'(-?\d{1,18}(?![\d.eE])|"(?:[^"\\]|\\.)*")'
_GIVEN = re.compile(rf"\s*:\s*{_ID}\s*[,}}]")
_AT_THE_END = re.compile(rf'(?<!\\)"id"\s*:\s*{_ID}\s*(?:,\s*"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*)*\}}\s*$')

logger = logging.getLogger("zinc_mcp")


class Refusal(JSONRPCError):
    """An error that carries the id as it came: JSON-RPC allows fractions, which the SDK's own model does not."""

    id: Any


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """A message that was read, or the answers to its sender. Both are empty where no answer is owed."""

    message: JSONRPCMessage | None = None
    refusals: tuple[Refusal, ...] = ()
    is_rewritten: bool = False
    """Whether the message differs from the bytes that came."""


def read_message(given: bytes) -> ReadMessage:
    """Read one message. One byte order mark before it is ignored (RFC 8259, section 8.1).

    Nothing is raised: one message that nobody foresaw must not end the server for all others.
    """
    try:
        if given.startswith(_BOM):
            return replace(_read(given[len(_BOM) :]), is_rewritten=True)
        return _read(given)
    except Exception as error:
        # Only the type of the error: its text may hold the message.
        logger.error("a message could not be read (%s)", type(error).__name__)
        return _refused(INTERNAL_ERROR, None, "this message could not be read")


def too_large(head: bytes, tail: bytes) -> ReadMessage:
    """Answer a message of more than `MOST_MESSAGE_BYTES`, of which only both ends were kept."""
    found = _id_in(head[:SEARCHED_BYTES], tail[-SEARCHED_BYTES:])
    why = f"a message may have {MOST_MESSAGE_BYTES:,} bytes"
    return _refused(PARSE_ERROR if found is None else INVALID_REQUEST, found, why)


def objection_to(message: bytes) -> str | None:
    """Return a sentence that says which bound a message passes; None when it passes none, also when it is not JSON."""
    if len(message) > MOST_MESSAGE_BYTES:
        return TOO_LARGE
    level = marks = others = name = 0
    at, end, match = _end_of(_SPACE, message, 0), len(message), _TOKEN.match
    while at < end and (found := match(message, at)) is not None:
        kind, start, at = found.lastindex, at, found.end()
        if kind is None or kind == _TEXT:
            others += 1
            if kind is None:
                if at - start > MOST_WORD_CHARACTERS and len(found[0].rstrip()) > MOST_WORD_CHARACTERS:
                    return f"A number may have {MOST_WORD_CHARACTERS} characters."
            else:
                at, quotes = _past_text(message, start + 1, MOST_MARKS - marks)
                marks += quotes
                name = at - start
                at = _end_of(_SPACE, message, at)
            # JSON has a mark between two texts or words. Where there is none, the parser refuses the message at once.
            if others > marks + 2:
                return None
        else:
            marks += 1
            if kind == _BETWEEN:
                if name > MOST_NAME_BYTES and message.startswith(b":", start):
                    return f"The name of a field may have {MOST_NAME_BYTES:,} bytes."
            else:
                level += 1 if kind == _OPENS else -1
                if level > MOST_LEVELS:
                    return f"Objects and lists may be {MOST_LEVELS} levels deep."
            name = 0
        if marks > MOST_MARKS:
            return f"A message may have {MOST_MARKS:,} brackets, commas and colons."
    return None


def _past_text(message: bytes, start: int, most_quotes: int) -> tuple[int, int]:
    """Return the end of the text that starts here, and the number of quotation marks in it.

    The search ends at the first mark over the bound.
    """
    quotes = 0
    while (end := message.find(b'"', start)) >= 0:
        before = message[start:end]
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            return end + 1, quotes
        quotes += 1
        start = end + 1
        if quotes > most_quotes:
            return start, quotes
    return len(message), quotes


def _end_of(pattern: re.Pattern[bytes], message: bytes, at: int) -> int:
    found = pattern.match(message, at)
    return at if found is None else found.end()


def _read(given: bytes) -> ReadMessage:
    if len(given) > QUICKLY_READ_BYTES and (objection := objection_to(given)) is not None:
        return _refused(INVALID_REQUEST, _id_in(given[:SEARCHED_BYTES], given[-SEARCHED_BYTES:]), objection)
    try:
        message = jsonrpc_message_adapter.validate_json(given, by_name=False)
    except ValidationError as error:
        return _not_a_message(_text(given), error)
    if isinstance(message, JSONRPCNotification):
        return _notification(_text(given), message)
    return ReadMessage(message)


def _notification(text: str, message: JSONRPCNotification) -> ReadMessage:
    """Tell notifications from requests with an unusable id, which the SDK's model takes for notifications."""
    try:
        whole = cast(dict[str, Any], _DECODER.decode(text))
    except ValueError:  # NaN, which the SDK takes and JSON does not
        return _refused(PARSE_ERROR, _id_at_start(text[:SEARCHED_BYTES]), "not JSON")
    if "id" not in whole:
        return ReadMessage(message)
    found = whole["id"]
    if found is None and message.method.startswith("notifications/"):
        # Some hosts fill in every optional field with null, which the newer era's SDK would take for a broken request.
        return ReadMessage(message, is_rewritten=True)
    if isinstance(found, float) and found.is_integer() and abs(found) < _WHOLE_FLOATS:
        # A number without a fraction is that integer, as JSON Schema says and as bridges in between send it.
        request = JSONRPCRequest(jsonrpc="2.0", id=int(found), method=message.method, params=message.params)
        return ReadMessage(request, is_rewritten=True)
    return _refused(INVALID_REQUEST, found, "an id is a string or a whole number")


def _not_a_message(text: str, error: ValidationError) -> ReadMessage:
    problem = error.errors(include_url=False, include_input=False)[0]
    is_json = problem["type"] != "json_invalid"
    why = str(problem.get("ctx", {}).get("error", "")) or "not JSON"
    why = why.replace("unexpected end of hex escape", "half of a surrogate pair")
    values = _values(text)
    if not values:
        found = _id_at_start(text[:SEARCHED_BYTES])
        return _refused(PARSE_ERROR, found if found is not None else _id_at_end(text[-SEARCHED_BYTES:]), why)
    if len(values) > 1:
        return _each(PARSE_ERROR, values, "one message belongs on a line or in a body")
    [value] = values
    if isinstance(value, list):
        return _each(INVALID_REQUEST, cast(list[object], value), "this server takes no batches")
    if not isinstance(value, dict):
        return _refused(INVALID_REQUEST if is_json else PARSE_ERROR, None, "a message is an object" if is_json else why)
    return _object(cast(dict[str, Any], value), None if is_json else why)


def _object(value: dict[str, Any], broken: str | None) -> ReadMessage:
    found = value.get("id")
    if "method" not in value and ("result" in value or "error" in value):
        # An answer from the host carries one of our ids: an error with that id would pass for the answer to a request.
        if _sendable(found) is None or isinstance(found, float):
            return ReadMessage()
        error = ErrorData(code=INVALID_REQUEST, message="The answer could not be read.")
        return ReadMessage(JSONRPCError(jsonrpc="2.0", id=cast("int | str", found), error=error), is_rewritten=True)
    if broken is not None:
        return _refused(PARSE_ERROR, found, broken)
    if value.get("jsonrpc") != "2.0":
        return _refused(INVALID_REQUEST, found, 'a message says "jsonrpc": "2.0"')
    if not isinstance(value.get("method"), str):
        return _refused(INVALID_REQUEST, found, "a request names a method")
    if isinstance(value.get("params"), list):
        return _refused(INVALID_PARAMS, found, "params are an object")
    return _refused(INVALID_REQUEST, found, "params are an object and an id is a string or a whole number")


def _each(code: int, values: list[object], why: str) -> ReadMessage:
    """Answer each of several messages that came at once, if it has an id."""
    ids = [
        cast(dict[str, Any], value).get("id")
        for value in values[: MOST_AT_ONCE + 1]
        if isinstance(value, dict) and "method" in value
    ]
    ids = [found for found in ids if _sendable(found) is not None]
    if not ids or len(values) > MOST_AT_ONCE:
        return _refused(code, None, why)
    return ReadMessage(refusals=tuple(_refusal(code, found, why) for found in ids))


def _refused(code: int, found: object, why: str) -> ReadMessage:
    return ReadMessage(refusals=(_refusal(code, found, why),))


_MEANINGS = {
    PARSE_ERROR: "Parse error",
    INVALID_REQUEST: "Invalid request",
    INVALID_PARAMS: "Invalid params",
    INTERNAL_ERROR: "Internal error",
}


def _refusal(code: int, found: object, why: str) -> Refusal:
    error = ErrorData(code=code, message=f"{_MEANINGS[code]}: {why.removesuffix('.')}.")
    return Refusal(jsonrpc="2.0", id=_sendable(found), error=error)


def _sendable(found: object) -> int | float | str | None:
    """Return an id that can be sent back; None for a value that cannot."""
    if isinstance(found, str):
        is_text = len(found) <= MOST_ID_CHARACTERS and not any("\ud800" <= sign <= "\udfff" for sign in found)
        return found if is_text else None
    if isinstance(found, bool):
        return None
    if isinstance(found, int):
        return found if abs(found) < _TOO_LARGE_AN_ID else None
    return found if isinstance(found, float) and math.isfinite(found) else None


def _text(given: bytes) -> str:
    return given.decode("utf-8", "replace")


def _not_json(constant: str) -> object:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(parse_constant=_not_json)


def _values(text: str) -> list[object]:
    """Return the values in a text, up to one more than are answered; none when the text is broken."""
    values: list[object] = []
    position = 0
    while len(values) <= MOST_AT_ONCE:
        while position < len(text) and text[position] in " \t\r\n\0":
            position += 1
        if position == len(text):
            break
        try:
            value, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            return []
        values.append(value)
    return values


def _id_in(head: bytes, tail: bytes) -> object:
    """Return the id of a message by both its ends; None when none can be read."""
    found = _id_at_start(_text(head))
    return found if found is not None else _id_at_end(_text(tail))


def _id_at_start(text: str) -> object:
    """Return the id that the beginning of a message shows; None when none can be read."""
    depth = position = 0
    while (part := _PART.match(text, position)) is not None:
        position = part.end()
        depth += (part[0] in "{[") - (part[0] in "}]") if len(part[0]) == 1 else 0
        if depth == 1 and part[0] == '"id"' and (given := _GIVEN.match(text, position)) is not None:
            return _parsed(given[1])
    return None


def _id_at_end(text: str) -> object:
    """Return the id that the end of a message shows; None when none can be read."""
    given = _AT_THE_END.search(text)
    return None if given is None else _parsed(given[1])


def _parsed(given: str) -> object:
    try:
        return json.loads(given)
    except ValueError:
        return None
