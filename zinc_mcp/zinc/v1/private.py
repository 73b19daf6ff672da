"""Refuses secrets in an order: numbers of cards, keys for codes, and notes that are named like a secret.

A login, a card or a key in an order's text would be kept in the journal and shown, so such text is refused. The
sentence names the field and never repeats the text.
"""

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from itertools import accumulate, takewhile
from typing import Any, cast

from pydantic import BaseModel

from zinc_mcp.zinc.texts.letters import fold

ELSEWHERE = "The owner keeps accounts at retailers in profiles of this program"

MAX_PHONE_DIGITS = 15
"""Digits of a telephone number with its country (ITU-T E.164)."""
_SHORTEST, _LONGEST = 13, 19
"""Digits of a card's number (ISO/IEC 7812-1)."""
_ISSUERS = tuple(
    (re.compile(begins), lengths)
    for begins, lengths in (
        (r"[456]|3(?:0[0-59]|[689]|5(?:2[89]|[3-8]))|2(?:20[0-4]|22[1-9]|2[3-9]|[3-6]|7[01]|720)|8[12]|9792",
         range(16, _LONGEST + 1)),
        (r"5(?:018|020|038|893)|6(?:304|7)", range(_SHORTEST, 16)),  # Maestro
        (r"3[47]|2131|1800", (15,)),  # American Express, the older JCB
        (r"3(?:0[0-59]|[689])", (14, 15)),  # Diners Club
        (r"4", (_SHORTEST,)),  # the older Visa
    )
)  # fmt: skip
"""The beginnings of card numbers (ISO/IEC 7812-1), with the lengths in use for each. Telephone numbers with their
country have 13 to 15 digits as well."""
_APART = 8
"""The most signs between two groups of a card's number, if they are neither letters nor digits."""
_WORDS_APART = 12
"""The most signs of any kind between two groups of the sizes in which cards are printed."""
_GROUPS = re.compile(rf"\d+(?:[\W_]{{0,{_APART}}}\d+)*")
_PRINTED = re.compile(rf"\d+(?:\D{{1,{_WORDS_APART}}}\d+)*")
_SIZES = ((4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (8, 8))
"""Sizes of the groups of a card's number, printed or cut in two halves. Groups of one or two digits also count."""
_LONGEST_TEXT = 10_000
"""More than any field takes, so that no time is spent on a text that is refused for its length."""
_DIGITS = re.compile(r"\d+")
_LIKE_DIGITS = re.compile(r"\b[0-9OolI]+\b")
_READ_AS_DIGITS = str.maketrans("OolI", "0011")
_KEY_FOR_CODES = re.compile(r"otpauth\s*:", re.IGNORECASE)
_SECURITY_CODE = re.compile(r"\b(?:cvv|cvc)2?\W{0,3}[0-9]{3,4}\b", re.IGNORECASE)
_SECRET_WORDS = frozenset(
    "password passwords passwd passphrase passcode passcodes pwd cvv cvv2 cvc cvc2 cvn csc ccv totp otp 2fa mfa secret "
    "secrets credential credentials pan ccnumber creditcard cardnumber passwort kennwort".split()
)
_SECRET_ALONE = frozenset("pass pw login token senha mdp".split())
"""Words that are a secret's name only if nothing stands beside them: a `bus_pass` is none."""
_SECRET_NAMES = ("password", "passwd", "passphrase", "securitycode", "cardnumber", "creditcard", "totp", "otpsecret",
                 "2fa", "twofactor", "cvv", "secretkey", "clientsecret", "credential", "clienttoken",
                 "accesstoken", "authtoken", "apikey", "privatekey")  # fmt: skip
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def refuse_secret(value: Any) -> Any:
    """Return the value of a field that holds no number of a card and no key for codes.

    Raises:
        ValueError: it holds one.
    """
    for text in _scalars(value):
        if len(text) > _LONGEST_TEXT:
            raise ValueError(f"is longer than {_LONGEST_TEXT} characters")
        if holds_card_number(text):
            raise ValueError(
                "holds what looks like the number of a card; leave it out (a telephone number begins with + and its "
                f"country). {ELSEWHERE}"
            )
        if _KEY_FOR_CODES.search(text):
            raise ValueError(f"holds a key that makes codes for signing in; leave it out. {ELSEWHERE}")
        if _SECURITY_CODE.search(text):
            raise ValueError(f"holds what looks like the security code of a card; leave it out. {ELSEWHERE}")
    parts = list(_scalars(value, names=False))
    if len(parts) > 1 and _holds_printed(" ".join(parts)):
        raise ValueError(f"holds what looks like the number of a card in several parts; leave it out. {ELSEWHERE}")
    return value


def refuse_secret_names(notes: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return notes without a member whose name is that of a secret, at any depth.

    Raises:
        ValueError: there is one.
    """
    if any(map(_names_a_secret, _names(notes))):
        raise ValueError(f"has a name that stands for a secret, such as password or cvv; leave it out. {ELSEWHERE}")
    return notes


def holds_card_number(text: str) -> bool:
    """Say whether digits in a text can be a card's number, with signs or short words between its groups.

    In a word of digits and letters that look like digits, these letters count as digits. 13 digits behind a plus sign
    are taken for a telephone number: German mobile numbers have that form, and among cards only the older Visa has 13
    digits. No country has longer telephone numbers that begin like a card of 14 or 15 digits.
    """
    if len(text) < _SHORTEST or not any(map(str.isdigit, text)):
        return False
    plain = _in_digits(text)
    if len(_DIGITS.sub("", plain)) > len(plain) - _SHORTEST:
        return False
    if _holds_printed(plain):
        return True
    for run in _GROUPS.finditer(plain):
        groups = _DIGITS.findall(run[0])
        if plain[: run.start()].rstrip().endswith("+") and sum(map(len, groups)) == _SHORTEST:
            continue
        for first, group in enumerate(groups):
            begin = (group[:15], group[:16]) if len(group) > _LONGEST else ()  # its date or code may follow at once
            for number in (*begin, *accumulate(groups[first : first + _LONGEST])):
                if len(number) > _LONGEST:
                    break
                if _is_issued(number) and _adds_up(number):
                    return True
    return False


def _in_digits(text: str) -> str:
    plain = "".join(str(unicodedata.digit(sign, "")) if sign.isdigit() else sign for sign in text)
    return _LIKE_DIGITS.sub(lambda word: word[0].translate(_READ_AS_DIGITS), plain)


def _holds_printed(text: str) -> bool:
    """Say whether digits in a text can be a card's number in groups of the sizes in which cards are printed."""
    for run in _PRINTED.finditer(_in_digits(text)):
        groups = _DIGITS.findall(run[0])
        sizes = tuple(map(len, groups))
        for first, size in enumerate(sizes):
            counts = {len(each) for each in _SIZES if sizes[first : first + len(each)] == each}
            if size in (1, 2):
                alike = len(list(takewhile(size.__eq__, sizes[first : first + _LONGEST])))
                counts |= {count for count in range(2, alike + 1) if _SHORTEST <= count * size <= _LONGEST}
            for count in counts:
                number = "".join(groups[first : first + count])
                if _is_issued(number) and _adds_up(number):
                    return True
    return False


def _is_issued(number: str) -> bool:
    return any(len(number) in lengths and begins.match(number) for begins, lengths in _ISSUERS)


def _adds_up(number: str) -> bool:
    """Say whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = (int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(number)))
    return sum(each - 9 if each > 9 else each for each in doubled) % 10 == 0


def _names_a_secret(name: str) -> bool:
    squeezed = re.sub(r"[^a-z0-9]", "", fold(name))
    words = {word.lower() for word in _WORD.findall(name)}
    if squeezed in _SECRET_ALONE:
        return True
    return squeezed in _SECRET_WORDS or bool(words & _SECRET_WORDS) or any(each in squeezed for each in _SECRET_NAMES)


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in cast(dict[Any, Any], value).items():
            yield str(name)
            yield from _names(part)
    elif isinstance(value, list):
        for part in cast(list[Any], value):
            yield from _names(part)


def _scalars(value: Any, *, names: bool = True) -> Iterator[str]:
    """Yield each text and each number of a value, and with `names` the names of its members."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield format(Decimal(repr(value)), "f")  # a card's number may come as 4111111111111111.0 or as 4.1e15
    elif isinstance(value, BaseModel):
        yield from _scalars(list(value.__dict__.values()), names=names)
    elif isinstance(value, dict):
        for name, part in cast(dict[Any, Any], value).items():
            if names:
                yield str(name)
            yield from _scalars(part, names=names)
    elif isinstance(value, list):
        for part in cast(list[Any], value):
            yield from _scalars(part, names=names)
