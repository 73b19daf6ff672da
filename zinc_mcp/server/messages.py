"""JSON-RPC messages as they come from outside: read, or answered where they are none (JSON-RPC 2.0, section 5.1).

A host that sent something unreadable must not wait for its time-out: the answer carries the id wherever one can be
read, even in what is broken.
"""

import json
import logging
import math
import re
from collections.abc import Sequence
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

from zinc_mcp.server.message_bounds import MOST_MESSAGE_BYTES, objection_to

MOST_AT_ONCE = 100
"""Messages in one batch, or on one line, that are answered one by one; more get one answer without an id."""
MOST_ID_CHARACTERS = 1000
"""The longest id that is sent back with an error."""
GLIMPSED_BYTES = 16 * 1024
"""So much of either end of a broken message is searched for its id."""

_QUICKLY_READ_BYTES = 16 * 1024
"""So much is read within milliseconds whatever it is made of."""
_BOM = b"\xef\xbb\xbf"
_WHOLE_FLOATS = 2**53
_TOO_LARGE_AN_ID = 10**MOST_ID_CHARACTERS
_PART = re.compile(r'[^"{}\[\]]+|"(?:[^"\\]|\\.)*"|[{}\[\]]')
_ID = r'(-?\d{1,18}(?![\d.eE])|"(?:[^"\\]|\\.)*")'
_GIVEN = re.compile(rf"\s*:\s*{_ID}\s*[,}}]")
_AT_THE_END = re.compile(rf'(?<!\\)"id"\s*:\s*{_ID}\s*(?:,\s*"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*)*\}}\s*$')


logger = logging.getLogger("zinc_mcp")


class Refusal(JSONRPCError):
    """An error that carries the id as it came: JSON-RPC allows fractions, which the SDK's own model does not."""

    id: Any


@dataclass(frozen=True, slots=True)
class Read:
    """What became of a message from outside: itself, or the answers that it gets. Both empty: nothing is owed."""

    message: JSONRPCMessage | None = None
    refusals: tuple[Refusal, ...] = ()
    is_rewritten: bool = False
    """The message is not, byte for byte, what came."""


def read_message(given: bytes) -> Read:
    """Read one message. One byte order mark before it is ignored (RFC 8259, section 8.1).

    Nothing is raised: one message that nobody foresaw must not end the server for all others.
    """
    try:
        if given.startswith(_BOM):
            return replace(_read(given[len(_BOM) :]), is_rewritten=True)
        return _read(given)
    except Exception as error:
        # Its type alone: its words may hold the message.
        logger.error("a message could not be read (%s)", type(error).__name__)
        return _one(INTERNAL_ERROR, None, "this message could not be read")


def _read(given: bytes) -> Read:
    if len(given) > _QUICKLY_READ_BYTES and (objection := objection_to(given)) is not None:
        return _one(INVALID_REQUEST, _glimpsed(given[:GLIMPSED_BYTES], given[-GLIMPSED_BYTES:]), objection)
    try:
        message = jsonrpc_message_adapter.validate_json(given, by_name=False)
    except ValidationError as error:
        return _refused(given, error)
    if isinstance(message, JSONRPCNotification):
        return _notification(given, message)
    return Read(message)


def too_large(head: bytes, tail: bytes) -> Read:
    """Answer a message of more than `MOST_MESSAGE_BYTES`, of which only both ends were kept."""
    found = _glimpsed(head[:GLIMPSED_BYTES], tail[-GLIMPSED_BYTES:])
    why = f"a message may have {MOST_MESSAGE_BYTES:,} bytes"
    return _one(PARSE_ERROR if found is None else INVALID_REQUEST, found, why)


def _glimpsed(head: bytes, tail: bytes) -> object:
    """Return the id of a message of which both ends are looked at; None when none can be read."""
    found = _at_the_start(_text(head))
    return found if found is not None else _at_the_end(_text(tail))


def several(refusals: Sequence[Refusal]) -> Refusal:
    """Return one answer, without an id, for several messages that came where one belongs."""
    return Refusal(jsonrpc="2.0", id=None, error=refusals[0].error)


def _notification(given: bytes, message: JSONRPCNotification) -> Read:
    """Tell notifications from requests with an id that is none, which the SDK's model takes for notifications."""
    text = _text(given)
    try:
        whole = cast(dict[str, Any], _DECODER.decode(text))
    except ValueError:  # NaN, which the SDK takes and JSON does not
        return _one(PARSE_ERROR, _at_the_start(text[:GLIMPSED_BYTES]), "not JSON")
    if "id" not in whole:
        return Read(message)
    name = whole["id"]
    if name is None and message.method.startswith("notifications/"):
        # Hosts that fill in every optional field with null. The newer era's SDK would take it for a broken request.
        return Read(message, is_rewritten=True)
    if isinstance(name, float) and name.is_integer() and abs(name) < _WHOLE_FLOATS:
        # A number without a fraction is that integer, as JSON Schema says and as bridges in between send it.
        request = JSONRPCRequest(jsonrpc="2.0", id=int(name), method=message.method, params=message.params)
        return Read(request, is_rewritten=True)
    return _one(INVALID_REQUEST, name, "an id is a string or a whole number")


def _refused(given: bytes, error: ValidationError) -> Read:
    problem = error.errors(include_url=False, include_input=False)[0]
    is_json = problem["type"] != "json_invalid"
    why = str(problem.get("ctx", {}).get("error", "")) or "not JSON"
    why = why.replace("unexpected end of hex escape", "half of a surrogate pair")
    text = _text(given)
    values = _values(text)
    if not values:
        found = _at_the_start(text[:GLIMPSED_BYTES])
        return _one(PARSE_ERROR, found if found is not None else _at_the_end(text[-GLIMPSED_BYTES:]), why)
    if len(values) > 1:
        return _each(PARSE_ERROR, values, "one message belongs on a line or in a body")
    [value] = values
    if isinstance(value, list):
        return _each(INVALID_REQUEST, cast(list[object], value), "this server takes no batches")
    if not isinstance(value, dict):
        return _one(INVALID_REQUEST if is_json else PARSE_ERROR, None, "a message is an object" if is_json else why)
    return _object(cast(dict[str, Any], value), None if is_json else why)


def _object(value: dict[str, Any], broken: str | None) -> Read:
    name = value.get("id")
    if "method" not in value and ("result" in value or "error" in value):
        # An answer of the host's, whose ids are ours: an error to it would be taken for the answer to a request.
        if _usable(name) is None or isinstance(name, float):
            return Read()
        error = ErrorData(code=INVALID_REQUEST, message="The answer could not be read.")
        return Read(JSONRPCError(jsonrpc="2.0", id=cast("int | str", name), error=error), is_rewritten=True)
    if broken is not None:
        return _one(PARSE_ERROR, name, broken)
    if value.get("jsonrpc") != "2.0":
        return _one(INVALID_REQUEST, name, 'a message says "jsonrpc": "2.0"')
    if not isinstance(value.get("method"), str):
        return _one(INVALID_REQUEST, name, "a request names a method")
    if isinstance(value.get("params"), list):
        return _one(INVALID_PARAMS, name, "params are an object")
    return _one(INVALID_REQUEST, name, "params are an object and an id is a string or a whole number")


def _each(code: int, values: list[object], why: str) -> Read:
    """Answer what can be answered of several messages at once."""
    names = [
        cast(dict[str, Any], value).get("id")
        for value in values[: MOST_AT_ONCE + 1]
        if isinstance(value, dict) and "method" in value
    ]
    names = [name for name in names if _usable(name) is not None]
    if not names or len(values) > MOST_AT_ONCE:
        return _one(code, None, why)
    return Read(refusals=tuple(_refusal(code, name, why) for name in names))


def _one(code: int, name: object, why: str) -> Read:
    return Read(refusals=(_refusal(code, name, why),))


_MEANINGS = {
    PARSE_ERROR: "Parse error",
    INVALID_REQUEST: "Invalid request",
    INVALID_PARAMS: "Invalid params",
    INTERNAL_ERROR: "Internal error",
}


def _refusal(code: int, name: object, why: str) -> Refusal:
    error = ErrorData(code=code, message=f"{_MEANINGS[code]}: {why.removesuffix('.')}.")
    return Refusal(jsonrpc="2.0", id=_usable(name), error=error)


def _usable(name: object) -> int | float | str | None:
    """Return an id that can be sent back; None for what is none."""
    if isinstance(name, str):
        is_text = len(name) <= MOST_ID_CHARACTERS and not any("\ud800" <= sign <= "\udfff" for sign in name)
        return name if is_text else None
    if isinstance(name, bool):
        return None
    if isinstance(name, int):
        return name if abs(name) < _TOO_LARGE_AN_ID else None
    return name if isinstance(name, float) and math.isfinite(name) else None


def _text(given: bytes) -> str:
    return given.decode("utf-8", "replace")


def _not_json(constant: str) -> object:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(parse_constant=_not_json)


def _values(text: str) -> list[object]:
    """Return the values that stand in a text, one more than are answered at most; none when it is broken."""
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


def _at_the_start(text: str) -> object:
    """Return the id of a message whose beginning this is; None when none can be read."""
    depth = position = 0
    while (part := _PART.match(text, position)) is not None:
        position = part.end()
        depth += (part[0] in "{[") - (part[0] in "}]") if len(part[0]) == 1 else 0
        if depth == 1 and part[0] == '"id"' and (given := _GIVEN.match(text, position)) is not None:
            return _spelled(given[1])
    return None


def _at_the_end(text: str) -> object:
    """Return the id of a message whose end this is; None when none can be read."""
    given = _AT_THE_END.search(text)
    return None if given is None else _spelled(given[1])


def _spelled(given: str) -> object:
    try:
        return json.loads(given)
    except ValueError:
        return None
