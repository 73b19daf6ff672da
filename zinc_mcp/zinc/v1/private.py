"""What never comes in through a tool: numbers of cards, keys for codes, and notes that are named like a secret.

A login, a card or a key in an order's text would be kept in the journal and shown, so such text is refused. The
sentence names the field and never repeats the text.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, cast

ELSEWHERE = "Accounts at retailers are the owner's, who keeps them in a profile of this program"

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
"""How the numbers of cards begin (ISO/IEC 7812-1), with the lengths that are in use for each: 13 to 15 digits are also
those of a telephone number with its country."""
_GROUPS = re.compile(r"\d+(?:[^\w]{0,2}\d+)*")
_DIGITS = re.compile(r"\d+")
_KEY_FOR_CODES = re.compile(r"otpauth:", re.IGNORECASE)
_SECRET_WORDS = frozenset(
    "password passwords passwd passphrase passcode pwd cvv cvv2 cvc cvc2 csc ccv totp otp 2fa mfa secret secrets "
    "credential credentials pan ccnumber creditcard cardnumber".split()
)
_SECRET_NAMES = ("password", "passwd", "passphrase", "securitycode", "cardnumber", "creditcard", "totp", "otpsecret",
                 "2fa", "cvv", "secretkey", "clientsecret", "credential")  # fmt: skip
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def refuse_secret(value: Any) -> Any:
    """Return the value of a field that holds no number of a card and no key for codes.

    Raises:
        ValueError: it holds one.
    """
    for text in _scalars(value):
        if holds_card_number(text):
            raise ValueError(
                "holds what looks like the number of a card; leave it out (a telephone number begins with + and its "
                f"country). {ELSEWHERE}"
            )
        if _KEY_FOR_CODES.search(text):
            raise ValueError(f"holds a key that makes codes for signing in; leave it out. {ELSEWHERE}")
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
    """Say whether digits in a text, with at most two signs between each group, can be a card's number.

    13 digits behind a plus sign are taken for a telephone number: numbers of mobiles in Germany are like that, and of
    cards only the older Visa. No country has longer ones that begin like a card of 14 or 15 digits.
    """
    if len(text) < _SHORTEST or sum(map(str.isdigit, text)) < _SHORTEST:
        return False
    plain = "".join(str(unicodedata.digit(sign, "")) if sign.isdigit() else sign for sign in text)
    for run in _GROUPS.finditer(plain):
        groups = _DIGITS.findall(run[0])
        if plain[: run.start()].rstrip().endswith("+") and sum(map(len, groups)) == _SHORTEST:
            continue
        for first in range(len(groups)):
            for number in accumulate(groups[first:]):
                if len(number) > _LONGEST:
                    break
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
    squeezed = re.sub(r"[^a-z0-9]", "", name.lower())
    words = {word.lower() for word in _WORD.findall(name)}
    return squeezed in _SECRET_WORDS or bool(words & _SECRET_WORDS) or any(each in squeezed for each in _SECRET_NAMES)


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in cast(dict[Any, Any], value).items():
            yield str(name)
            yield from _names(part)
    elif isinstance(value, list):
        for part in cast(list[Any], value):
            yield from _names(part)


def _scalars(value: Any) -> Iterator[str]:
    """Yield each text and each number of a value, also the names of its members."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, dict):
        for name, part in cast(dict[Any, Any], value).items():
            yield str(name)
            yield from _scalars(part)
    elif isinstance(value, list):
        for part in cast(list[Any], value):
            yield from _scalars(part)
