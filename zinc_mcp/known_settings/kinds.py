"""Reading values of settings by their kind, from a variable or from a file."""

import re
from typing import cast

from zinc_mcp.errors import SettingsError
from zinc_mcp.proxies import ENVIRONMENT, NONE, UnusableRouteError, checked

LEAST_KEY_BYTES = 32
"""The least length of each of several keys. A random key of this length cannot be guessed."""
MOST_KEYS = 8
_CENTS_RANGE = re.compile(r"([0-9]{1,5})(?: ?- ?([0-9]{1,5}))?")


def text_in(given: object, place: str) -> str:
    """Return a given value that is a text.

    Raises:
        SettingsError: it is not a text.
    """
    if not isinstance(given, str):
        raise SettingsError(f"{place} must be text in quotes.")
    return given


def keys_in(given: str) -> tuple[str, ...]:
    """Return the keys that a text holds, separated by commas or white space: the first one seals, all of them open."""
    return tuple(given.replace(",", " ").split())


def objection_to(kind: str, secret: str) -> str | None:
    """Return what is wrong with a secret of a kind, as the end of a sentence that never shows it; None for nothing."""
    match kind:
        case "key":
            # It travels in an HTTP header, where a line break or a foreign letter has no place.
            if any(not 33 <= ord(character) <= 126 for character in secret):
                return "holds spaces or characters that no key has"
        case "keys":
            keys = keys_in(secret)
            if not 1 <= len(keys) <= MOST_KEYS or len(set(keys)) < len(keys):
                return f"must hold 1 to {MOST_KEYS} different keys, separated by commas"
            if any(len(key.encode()) < LEAST_KEY_BYTES for key in keys):
                return f"holds a key of less than {LEAST_KEY_BYTES} bytes"
        case "proxy":
            try:
                if secret not in (ENVIRONMENT, NONE):
                    checked(secret)
            except UnusableRouteError:
                return "must be environment, none or an address like http://proxy.example:3128"
        case _:
            if not secret.startswith(("sqlite:", "sqlite+", "postgresql:", "postgresql+")) or "://" not in secret:
                return "must be an address such as postgresql://user:password@host/name"
    return None


def switch(given: object, place: str) -> bool:
    """Return whether a switch is on.

    Raises:
        SettingsError: it is neither on nor off.
    """
    word = str(given).lower() if isinstance(given, str | bool) else ""
    if word not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise SettingsError(f"{place} must be true or false.")
    return word in ("1", "true", "yes", "on")


def number(given: object, place: str, wanted: str) -> int:
    """Return a number of at most twelve digits that is not negative.

    Raises:
        SettingsError: it is not one; the sentence says what is wanted.
    """
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) <= 12:
        return int(given)
    if type(given) is int and given >= 0:
        return given
    raise SettingsError(f"{place} must be {wanted}.")


def cents_range(given: object, place: str) -> tuple[int, int]:
    """Return the least and the most of a range in cents; one number is both.

    Raises:
        SettingsError: it is neither.
    """
    matched = _CENTS_RANGE.fullmatch(str(given)) if isinstance(given, str) or type(given) is int else None
    lowest, highest = (int(matched[1]), int(matched[2] or matched[1])) if matched else (1, 0)
    if lowest > highest:
        raise SettingsError(f"{place} must be cents, such as 100, or the least and the most, such as 50-100.")
    return lowest, highest


def listed(given: object, place: str, wanted: str) -> list[str]:
    """Return the words of a list, or of a text with commas between the words.

    Raises:
        SettingsError: it is neither.
    """
    words = given.split(",") if isinstance(given, str) else given
    if not isinstance(words, list) or not all(isinstance(word, str) for word in cast(list[object], words)):
        raise SettingsError(f"{place} must be {wanted}.")
    return [word.strip() for word in cast(list[str], words)]
