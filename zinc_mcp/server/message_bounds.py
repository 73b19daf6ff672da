"""How large and how nested one message of a client may be: a body over HTTP, a line on stdin.

Reading JSON stops everybody else for as long as it takes, and a megabyte can be made of half a million empty lists.
So a message is looked through before anything is made of it, and the look itself ends as soon as a bound is passed.
"""

import re

MOST_MESSAGE_BYTES = 1024 * 1024
"""An order of a hundred products, gift messages and metadata included, takes a tenth of it."""
MOST_LEVELS = 64
"""Objects and lists inside each other; the deepest argument of a tool is at seven."""
MOST_MARKS = 10_000
"""Brackets, commas and colons outside text, and quotation marks inside it; an order of a hundred products has three
thousand."""
MOST_WORD_CHARACTERS = 400
"""Of a number, or whatever else stands outside text; a double can be written with 325."""
MOST_NAME_BYTES = 1000
"""Of the name of a field."""

_TOKEN = re.compile(rb'(?:(")|([\[{])|([\]}])|([,:])|[^\s"\[\]{},:]{1,401})\s*')
_SPACE = re.compile(rb"\s*")
_TEXT, _OPENS, _CLOSES, _BETWEEN = 1, 2, 3, 4


def objection_to(message: bytes) -> str | None:
    """Return a sentence that says which bound a message passes; None when it passes none, also when it is not JSON."""
    if len(message) > MOST_MESSAGE_BYTES:
        return f"A message may have {MOST_MESSAGE_BYTES:,} bytes."
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
            # Between two of them is a mark, or it is not JSON and the parser says so at once.
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
    """Return where the text that starts here has ended, and how many quotation marks are inside it, one too many at
    the most."""
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
