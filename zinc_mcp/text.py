"""Printing and cleaning: amounts as a person reads them, and text from outside made safe to show."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, cast

from pydantic import Field

Cents = Annotated[int, Field(strict=True)]
"""US cents. Strict: without it `true` would be 1 cent and `"100"` would be 100."""

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "CAD": "CA$", "AUD": "A$", "MXN": "MX$", "NZD": "NZ$"}
_NO_MINOR_UNIT = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split())
_THOUSANDTHS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())


def printed(cents: int, currency: str = "USD") -> str:
    """Return an amount as a person reads it: `$1,234.50`, `-$3.00`, `CHF 12.00`.

    `cents` are minor units of `currency` (ISO 4217). A text that is not a currency code is not printed: it may be any
    foreign text.
    """
    code = currency.upper() if len(currency) == 3 and currency.isascii() and currency.isalpha() else "XXX"
    sign = "-" if cents < 0 else ""
    symbol = _SYMBOLS.get(code, f"{code} ")
    if code in _NO_MINOR_UNIT:
        return f"{sign}{symbol}{abs(cents):,}"
    digits = 3 if code in _THOUSANDTHS else 2
    whole, rest = divmod(abs(cents), 10**digits)
    return f"{sign}{symbol}{whole:,}.{rest:0{digits}d}"


def without_currency(cents: int) -> str:
    """Return an amount whose currency is not known, as a person reads it: `1,234.50`."""
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole:,}.{rest:02d}"


def ago(seconds: float) -> str:
    """Return how long ago something was, in whole minutes: `less than a minute ago`, `3 minutes ago`."""
    minutes = int(seconds // 60)
    return f"{minutes} minute{'' if minutes == 1 else 's'} ago" if minutes > 0 else "less than a minute ago"


def in_minutes(seconds: float) -> str:
    """Return a time to wait in whole minutes, rounded up, so that it is over after them: `1 minute`, `10 minutes`."""
    minutes = max(1, math.ceil(seconds / 60))
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


def in_hours(seconds: float) -> str:
    """Return a time to wait in whole hours, rounded up, or in minutes if it is less than two hours."""
    return in_minutes(seconds) if seconds < 7_200 else f"{math.ceil(seconds / 3600)} hours"


_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_SPACES = "\t\n\v\f\r\x85\u2028\u2029"
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\U0001d159")
"""Letters, marks and symbols without a glyph (Unicode, Default_Ignorable_Code_Point), the empty Braille cell and the
null note."""
_HIDDEN = re.compile(f"[{''.join(sorted(_BLANKS))}\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Characters that pass `str.isprintable` although they have no glyph or only change the character before them."""


def invisible(character: str) -> bool:
    """Say whether a character has no glyph: control, format, bidirectional, private, unassigned or blank."""
    return character in _BLANKS or unicodedata.category(character) in ("Cc", "Cf", "Cn", "Cs", "Co", "Zl", "Zp")


def plain(text: object, limit: int = 200) -> str:
    """Return `text` on one line, cut at `limit` characters, without invisible characters and terminal escapes.

    The result is still foreign data: callers show it in a field of its own.
    """
    if isinstance(text, str) and len(text) <= limit and text.isprintable() and not _HIDDEN.search(text):
        return " ".join(text.split())  # true of most text, which then needs no check of each character
    # Cut first: text from outside may be megabytes long.
    source = _ANSI.sub("", _as_text(text)[: limit * 8])
    kept = "".join(map(_shown, source))
    kept = " ".join(kept.split())
    return kept if len(kept) <= limit else kept[: limit - 1].rstrip() + "…"


@lru_cache(maxsize=4096)
def _shown(character: str) -> str:
    if character in _SPACES:
        return " "
    return "" if invisible(character) or selects_a_variation(character) else character


def _as_text(text: object) -> str:
    try:
        return str(text)
    except (RecursionError, ValueError):  # a list a thousand levels deep, a number of ten thousand digits
        return ""


def selects_a_variation(character: str) -> bool:
    """Say whether a character only changes the look of the character before it (Unicode, chapter 23.4)."""
    # There are 256 of them, one for each byte, so a row of them can spell a hidden message.
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def blotted(text: str, private: Sequence[str]) -> str:
    """Return a text without the private parts, in any case of letters. No foreign text becomes a regular expression."""
    folded = _folded(text)
    for part in map(_folded, private):
        start, kept = 0, list[str]()
        while (found := folded.find(part, start)) >= 0:
            kept += [text[start:found], "[...]"]
            start = found + len(part)
        if kept:
            text = "".join([*kept, text[start:]])
            folded = _folded(text)
    return text


def _folded(text: str) -> str:
    """Return a text in lower case and of the same length, so that positions in both texts agree."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)


def bounded_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return codes and numbers unchanged, and texts cleaned and cut."""
    return {plain(name, 40): _bounded(value) for name, value in list(facts.items())[:12]}


def _bounded(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_bounded(item) for item in cast(Sequence[object], value)[:5]]
    return plain(value, 200)
