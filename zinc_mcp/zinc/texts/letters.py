"""The letters of texts: fold a text for comparing, and refuse a text whose characters cannot be seen.

Texts are sent and shown unfolded. The Unicode rules are those of UAX 15 (normal forms), UAX 44 (categories) and UTS 39
(letters of two alphabets that look alike).
"""

import re
import unicodedata
from collections.abc import Mapping
from itertools import pairwise

from zinc_mcp.text import invisible, selects_a_variation

MAX_TEXT = 500
"""Characters of a text that is sent."""
JOINERS = "\u200c\u200d"
_APOSTROPHES = dict.fromkeys(
    map(ord, "'`\u00b4\u2018\u2019\u201a\u201b\u02b9\u02bb\u02bc\u02bd\u2032\u2035\uff07\ua78c")
)
_DASHES = dict.fromkeys(map(ord, "\u2043\u2212\u02d7\u207b\u208b\uff0d"), "-")
_SLASHES = dict.fromkeys(map(ord, "\u2044\u2215\u29f8"), "/")
_SIGNS = _APOSTROPHES | _DASHES | _SLASHES
_ONE_LETTER = str.maketrans(
    {
        "\u0131": "i",  # dotless i
        "\u00f8": "o",
        "\u0142": "l",
        "\u0111": "d",
        "\u00f0": "d",
        "\u0127": "h",
        "\u0167": "t",
        "\u00e6": "ae",
        "\u0153": "oe",
        "\u00fe": "th",
        "\u0451": "\u0435",  # Russian io, mostly written as ie
        "\u0640": None,  # the Arabic stretch
        "\u53f0": "\u81fa",  # tai, as in Taipei
    }
)
"""Letters that Unicode does not decompose."""

_CYRILLIC = dict(zip("авекмнорстухіјѕһԛԝԁ", "abekmhopctyxijshqwd", strict=True))
_GREEK = dict(zip("αβεζηικμνορτυχ", "abezhikmnoptyx", strict=True))
_LOOK_LATIN = str.maketrans(_CYRILLIC | _GREEK)
_LOOK_CYRILLIC = str.maketrans({latin: other for other, latin in reversed(_CYRILLIC.items())})
_LOOK_GREEK = str.maketrans({latin: other for other, latin in reversed(_GREEK.items())})
"""Letters of two alphabets that look alike, small or capital."""
_LIKE_CYRILLIC = frozenset(_CYRILLIC.values())

_LETTERS = re.compile(r"[^\W\d_]+")
_OTHER_ALPHABET = re.compile(r"[\u0370-\u03ff\u0400-\u052f]")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)\u30fc(?=\d)")  # the Japanese long vowel, typed for a hyphen
_ACCENTS = (
    range(0x300, 0x370),
    range(0x1AB0, 0x1B00),
    range(0x1DC0, 0x1E00),
    range(0x20D0, 0x2100),
    range(0xFE20, 0xFE30),
)
_OTHER_LETTERS = frozenset(unicodedata.normalize("NFD", letter) for letter in "йїўѓќ")


def fold(text: str) -> str:
    """Return the letters and digits of a text in one spelling, for comparing only. Folding twice changes nothing.

    Case, width, accents of Latin and Greek letters, ligatures, apostrophes, spaces and punctuation are ignored. A
    separator between two digits is kept as a space, hyphen, slash or full stop: digits are never joined.
    """
    return joined(words_of(folded_characters(text)))


def fold_label(text: str) -> str:
    """Return an option's label or value in one spelling, for comparing only.

    Signs and accents are kept: `+1.5` is not `-1.5`, `C` is not `C++`, `rosé` is not `rose`.
    """
    text = _normalised(_without_invisible(text).translate(_STRAIGHT))
    return " ".join(text.casefold().split())


_STRAIGHT = (
    dict.fromkeys(map(ord, "\u2018\u2019\u02bc\uff07"), "'") | _DASHES | dict.fromkeys(range(0x2010, 0x2016), "-")
)


def in_cyrillic(text: str) -> str:
    """Return folded characters; words whose letters all look like Cyrillic ones are spelled in Cyrillic."""
    return _LETTERS.sub(
        lambda word: word[0].translate(_LOOK_CYRILLIC) if set(word[0]) <= _LIKE_CYRILLIC else word[0], text
    )


def folded_characters(text: str, custom: Mapping[str, str] | None = None) -> str:
    """Return a text with each character in its one spelling: small letters, ASCII digits, `-` for every dash.

    Args:
        text: any text.
        custom: a language's own spelling of letters with accents, such as `ü` as `ue`.
    """
    if text.isascii() and text.isprintable():
        return text.translate(_APOSTROPHES).lower()  # most text: it saves two thirds of the time for a whole address
    text = _without_invisible(text).translate(_SIGNS)
    for _ in range(4):  # rarely more than twice: a folded letter may fold again
        before = text
        text = _fold_once(text, custom or {})
        if text == before:
            break
    return text


def _fold_once(text: str, custom: Mapping[str, str]) -> str:
    text = _normalised(text).casefold()
    # Capital İ is i and a dot above; a long s and the like are decomposed only here.
    text = unicodedata.normalize("NFKC", text.replace("i\u0307", "i"))
    text = "".join(custom.get(character, character) for character in text)
    text = _without_accents(text).translate(_ONE_LETTER).translate(_SIGNS)
    text = "".join(map(_character, text))
    text = _BETWEEN_DIGITS.sub("-", text)
    if _OTHER_ALPHABET.search(text):
        text = _LETTERS.sub(lambda word: _in_one_alphabet(word[0]), text)
    return text.replace("\u03c2", "\u03c3")


def _normalised(text: str) -> str:
    """Return the compatibility form, with a space where it would join digits: `9½` is `9 1/2`, `4²` is `4 2`."""
    parts: list[str] = []
    for character in text:
        kind, _, rest = unicodedata.decomposition(character).partition(" ")
        apart = kind in _SET_APART and any(unicodedata.normalize("NFKC", character).count(digit) for digit in _DIGITS)
        parts.append(f" {unicodedata.normalize('NFKC', character)} " if apart and rest else character)
    return unicodedata.normalize("NFKC", "".join(parts).translate(_SLASHES)).translate(_SLASHES)


_DIGITS = "0123456789"
_SET_APART = frozenset({"<fraction>", "<super>", "<sub>", "<circle>", "<compat>", "<square>"})


def _without_invisible(text: str) -> str:
    return "".join(
        " " if character.isspace() else character
        for character in text
        if character.isspace() or not (invisible(character) or selects_a_variation(character))
    )


def _character(character: str) -> str:
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    return "-" if category == "Pd" else character


def _without_accents(text: str) -> str:
    """Return text without accents, except those that make other Cyrillic letters; other scripts' marks are kept."""
    if text.isascii():
        return text
    kept: list[str] = []
    base = ""
    for character in unicodedata.normalize("NFD", text):
        if any(ord(character) in block for block in _ACCENTS):
            if base + character not in _OTHER_LETTERS:
                continue
        elif not unicodedata.combining(character):
            base = character
        kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept))


def _in_one_alphabet(word: str) -> str:
    """Return a word with letters of two alphabets spelled in one, if its look-alike letters allow that.

    A word whose letters could all belong to another alphabet is left to `joined`, after the tables were searched.
    """
    foreign = _OTHER_ALPHABET.findall(word)
    own = next((letter for letter in foreign if letter not in _CYRILLIC and letter not in _GREEK), None)
    if own is not None:
        return word.translate(_LOOK_CYRILLIC if own >= "\u0400" else _LOOK_GREEK)
    return word.translate(_LOOK_LATIN) if len(foreign) < len(word) else word


def _in_latin(word: str) -> str:
    """Return a word in Latin letters if all its letters look Latin, so that words that look alike are equal."""
    if _is_class_name(word):
        return word
    if any(letter not in _CYRILLIC and letter not in _GREEK for letter in word):
        return _in_one_alphabet(word)
    return word.translate(_LOOK_LATIN)


# Words


def words_of(text: str, *, marks: str = "") -> list[tuple[str, str]]:
    """Return the words of folded characters, each with the separator before it: ` `, `-`, `/` or `.`.

    Args:
        text: folded characters.
        marks: signs that count as words, such as `#`.
    """
    words: list[tuple[str, str]] = []
    word, gap = "", ""
    for character in [*text, " "]:
        if unicodedata.category(character)[0] in "LMN":
            word += character
            continue
        if word:
            words.append((_separator(gap), word))
            word, gap = "", ""
        if character in marks:
            words.append((_separator(gap), character))
            gap = ""
        else:
            gap += character
    return words


def _separator(between: str) -> str:
    for sign in "-/":
        if sign in between:
            return sign
    return "." if between == "." else " "


def joined(words: list[tuple[str, str]]) -> str:
    """Join words to one text. Class names in capitals stay apart; other separators are kept only between digits."""
    text = words[0][1] if words else ""
    for (_, before), (gap, word) in pairwise(words):
        if _is_class_name(word) or _is_class_name(before):
            text += "|"
        elif before[-1:].isnumeric() and word[:1].isnumeric():
            text += gap
        text += word
    return _LETTERS.sub(lambda run: _in_latin(run[0]), text) if _OTHER_ALPHABET.search(text) else text


def _is_class_name(word: str) -> bool:
    return word != word.casefold()  # not `isupper`: Cherokee folds to capitals


_HIDING = re.compile("(?:^|[\\s\ufe0e\ufe0f\u200c\u200d])[\ufe0e\ufe0f]|[\ufe00-\ufe0d\U000e0100-\U000e01ef]")
"""Variation selectors in a row, or of the 256 kinds that can encode bytes: they can hide a message."""


def unprintable(text: str, *, lines: bool = False) -> bool:
    """Say whether text holds control, bidirectional or other invisible characters.

    Joiners are allowed, because several scripts need them, and so is the one selector that makes a sign an emoji. Line
    breaks are allowed only with `lines`. Addresses are stricter.
    """
    if text.isascii() and text.isprintable():
        return False  # most text: no single character needs a check
    allowed = JOINERS + "\n\r" if lines else JOINERS
    return bool(_HIDING.search(text)) or any(invisible(character) for character in text if character not in allowed)


def printable(text: str) -> str:
    """Return a text of at most `MAX_TEXT` visible characters.

    Raises:
        ValueError: it has invisible characters or is longer.
    """
    if unprintable(text):
        raise ValueError("contains control or invisible characters; send plain text")
    if len(text) > MAX_TEXT:
        raise ValueError(f"is longer than {MAX_TEXT} characters")
    return text


def printable_or_none(text: str | None) -> str | None:
    """Check a text as `printable` does; None stays None."""
    return None if text is None else printable(text)


def filled(text: str) -> str:
    """Return a text that is not empty.

    Raises:
        ValueError: it is empty or blank.
    """
    if not "".join(text.split()).strip(JOINERS):
        raise ValueError("must not be empty")
    return text


def stray_joiner(text: str) -> bool:
    """Say whether text has a joiner in a place without effect: joiners belong between letters of scripts that join."""
    return any(
        character in JOINERS and not (0 < place < len(text) - 1 and _joins(text[place - 1]) and _joins(text[place + 1]))
        for place, character in enumerate(text)
    )


def _joins(character: str) -> bool:
    # Arabic to Samaritan, the scripts of India, Myanmar, Khmer and Mongolian.
    block = ord(character)
    joining = 0x600 <= block < 0xE00 or 0x1000 <= block < 0x10A0 or 0x1780 <= block < 0x18B0
    return joining and unicodedata.category(character)[0] in "LM"
