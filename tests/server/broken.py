"""Broken messages that hosts send, with the code and id of the error that each gets."""

import json
from typing import Any

PARSE, INVALID, PARAMS = -32700, -32600, -32602

Owed = list[tuple[int, Any]]
"""Code and id of each expected error."""


def request(name: str = "5", **fields: str) -> str:
    """Return a request as text, with its id spelled as given."""
    members = {"jsonrpc": '"2.0"', "id": name, "method": '"tools/list"', "params": "{}", **fields}
    return "{" + ",".join(f'"{key}":{value}' for key, value in members.items() if value) + "}"


def last_id(params: str) -> str:
    """Return a request that names its id last, as the TypeScript SDK does."""
    return '{"method":"tools/call","params":' + params + ',"jsonrpc":"2.0","id":5}'


_DEEP = '{"name":"get_order","arguments":' + '{"a":' * 5_000 + "1" + "}" * 5_001

BROKEN: dict[str, tuple[bytes, Owed]] = {
    "half a surrogate pair": (request(params='{"name":"\\ud83d"}').encode(), [(PARSE, 5)]),
    "the other half": (request(params='{"name":"\\udc00 x"}').encode(), [(PARSE, 5)]),
    "half a pair before the id": (last_id('{"name":"\\ud83d"}').encode(), [(PARSE, 5)]),
    "half a pair in the id": (request('"\\ud83d"').encode(), [(PARSE, None)]),
    "a surrogate in UTF-8": (request(method='"\udcff"').encode("utf-8", "surrogateescape"), [(PARSE, 5)]),
    "UTF-16": (request().encode("utf-16"), [(PARSE, None)]),
    "Latin-1": (request(params='{"name":"Zürich"}').encode("latin-1"), [(PARSE, 5)]),
    "NUL bytes": (b"\0\0\0", [(PARSE, None)]),
    "a NUL byte after it": (request().encode() + b"\0", [(PARSE, 5)]),
    "nothing": (b"", [(PARSE, None)]),
    "spaces": (b"  \t ", [(PARSE, None)]),
    "words": (b"Content-Length: 52", [(PARSE, None)]),
    "cut off": (request(params='{"name":"get_ord').encode()[:-1], [(PARSE, 5)]),
    "cut off before its id": (last_id('{"name":"get_order"}').encode()[:-10], [(PARSE, None)]),
    "single quotes": (request().replace('"', "'").encode(), [(PARSE, None)]),
    "a comma too many": (request(params='{"a":[1,]}').encode(), [(PARSE, 5)]),
    "another's id inside": (b'{"params":{"id":7,"x":[{"id":8}]},"method":"x","id":"me","bad":}', [(PARSE, "me")]),
    "an id as a value": (b'{"method":"id","x":"id","params":{"id":7},', [(PARSE, None)]),
    "nested without end": (b"[" * 100_000, [(INVALID, None)]),
    "nested deeply": (request(params=_DEEP).encode(), [(INVALID, 5)]),
    "nested deeply before the id": (last_id(_DEEP).encode(), [(INVALID, 5)]),
    "two requests": ((request() + request('"b"')).encode(), [(PARSE, 5), (PARSE, "b")]),
    "a request and words": ((request() + " x").encode(), [(PARSE, 5)]),
    "a batch": (f"[{request()},{request('6')}]".encode(), [(INVALID, 5), (INVALID, 6)]),
    "a batch of nothing": (b"[]", [(INVALID, None)]),
    "a batch of numbers": (b"[1,2,3]", [(INVALID, None)]),
    "a batch of notifications": (f"[{request('')}]".encode(), [(INVALID, None)]),
    "a batch of a thousand": (f"[{','.join(request(str(each)) for each in range(1_000))}]".encode(), [(INVALID, None)]),
    "a number": (b"42", [(INVALID, None)]),
    "null": (b"null", [(INVALID, None)]),
    "a text": (b'"ping"', [(INVALID, None)]),
    "an empty object": (b"{}", [(INVALID, None)]),
    "without jsonrpc": (request(jsonrpc="").encode(), [(INVALID, 5)]),
    "jsonrpc as a number": (request('"five"', jsonrpc="2.0").encode(), [(INVALID, "five")]),
    "without a method": (request(method="").encode(), [(INVALID, 5)]),
    "a method that is a list": (request(method='["ping"]').encode(), [(INVALID, 5)]),
    "params that are a list": (request(params="[1]").encode(), [(PARAMS, 5)]),
    "params that are a text": (request(params='"x"').encode(), [(INVALID, 5)]),
    "an id with a fraction": (request("1.5").encode(), [(INVALID, 1.5)]),
    "an id of null": (request("null").encode(), [(INVALID, None)]),
    "an id of true": (request("true").encode(), [(INVALID, None)]),
    "an id of a list": (request("[5]").encode(), [(INVALID, None)]),
    "an endless id": (request("1e999").encode(), [(INVALID, None)]),
    "an id that is no number": (request("NaN").encode(), [(PARSE, None)]),
    "an id of 5,000 digits": (request("9" * 5_000).encode(), [(PARSE, None)]),
    "an id of 400 digits in what is no request": (
        request("9" * 400, method="[]").encode(),
        [(INVALID, int("9" * 400))],
    ),
    "an id of 4,000 digits in what is no request": (request("9" * 4_000, method="[]").encode(), [(INVALID, None)]),
    "two byte order marks": (b"\xef\xbb\xbf" * 2 + request().encode(), [(PARSE, 5)]),
    "5,000 byte order marks": (b"\xef\xbb\xbf" * 5_000 + request().encode(), [(PARSE, 5)]),
    "byte order marks and nothing else": (b"\xef\xbb\xbf" * 5_000, [(PARSE, None)]),
}

LARGE: dict[str, tuple[bytes, Owed]] = {
    "too large": (request(params='{"x":"' + "y" * 20_000_000 + '"}').encode(), [(INVALID, 5)]),
    "too large before its id": (last_id('{"x":"' + "y" * 2_000_000 + '"}').encode(), [(INVALID, 5)]),
    "too large and no message": (b"x" * 20_000_000, [(PARSE, None)]),
    "a byte too large": (request(params='{"x":"' + "y" * (1024 * 1024) + '"}').encode(), [(INVALID, 5)]),
}

SERVED: dict[str, tuple[bytes, Any]] = {
    "a byte order mark": (b"\xef\xbb\xbf" + request().encode(), 5),
    "an id of 5.0": (request("5.0").encode(), 5),
    "carriage returns inside": (request().replace(",", ",\r").encode(), 5),
    "a carriage return at its end": (request().encode() + b"\r", 5),
    "an id of many letters": (request('"' + "x" * 100_000 + '"').encode(), "x" * 100_000),
    "an id of many digits": (request('"' + "9" * 5_000 + '"').encode(), "9" * 5_000),
    "a large id": (request(str(2**70)).encode(), 2**70),
    "an id of 400 digits": (request("9" * 400).encode(), int("9" * 400)),
    "an escaped emoji": (request('"\\ud83d\\ude00"').encode(), "\U0001f600"),
    "almost too large": (request(params='{"x":"' + "y" * 1_000_000 + '"}').encode(), 5),
}
"""Unusual messages that are valid, and the id of each one's answer."""

UNANSWERED = {
    "a stray answer": b'{"jsonrpc":"2.0","id":5,"result":{}}',
    "a stray error": b'{"jsonrpc":"2.0","id":5,"error":{"code":1,"message":"no"}}',
    "an answer that is none": b'{"jsonrpc":"2.0","id":5,"result":"yes"}',
    "an error that is none": b'{"jsonrpc":"2.0","id":5,"error":"no"}',
    "a notification": b'{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}',
    "a notification with an id of null": b'{"jsonrpc":"2.0","id":null,"method":"notifications/roots/list_changed"}',
    "an unknown notification": b'{"jsonrpc":"2.0","method":"what/ever"}',
}
"""An error to one of these, whose ids are ours if they have any, would be taken for the answer to a request."""


def modern(line: bytes) -> bytes:
    """Return a message as the newer protocol wants it, where it is one."""
    meta: dict[str, Any] = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return line.replace(b'"params":{', b'"params":{"_meta":' + json.dumps(meta).encode() + b",").replace(b",}", b"}")
