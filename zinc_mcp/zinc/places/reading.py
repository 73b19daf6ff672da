"""Compares postal addresses, whether they are one person at one place, and prints an address for a person.

An address is sent and shown as it was given; `place_of` only compares. Where it is merely likely that two spellings
are one place, they stay two: neighbours must never be confused. The tables are in `tables` and `street_tables`.
"""

import functools
import re

from zinc_mcp.zinc.orders import Address
from zinc_mcp.zinc.places import street_tables, tables
from zinc_mcp.zinc.places.street_tables import ENGLISH, ENGLISH_WORDS
from zinc_mcp.zinc.texts.letters import fold, folded_characters, in_cyrillic, joined, words_of

Words = list[tuple[str, str]]
"""Words, each with the separator before it. A word in capitals is our name for a class of spellings."""

_PLAIN_TYPES = frozenset(
    "ALLEY AVENUE BOULEVARD CIRCLE CLOSE COURT COVE CRESCENT DRIVE GROVE HIGHWAY LANE PARADE PARKWAY PLACE PLAZA ROAD "
    "SQUARE STREET TERRACE TRAIL TURNPIKE WALK WAY".split()
)
_PO_BOX = re.compile(r"\b(?:p\s*\.?\s*o\s*\.?\s*b(?:ox\b|\b\.?)|post\s+office\s+box\b)\s*#?")
_INITIALS = re.compile(r"\b([a-z])\.(?=[a-z]\b)")
_GLUED = re.compile(r"\b(apt|apartment|unit|suite|ste|flat)(?=\d)")
_ROADS = (
    (re.compile(r"\b(?:county\s+r(?:oa)?d|co\.?\s+rd|cr)\b\.?\s*(?=\d)"), "cr "),
    (re.compile(r"\b(?:rural\s+route|rr)\b\.?\s*#?\s*(?=\d)"), "rr "),
    (re.compile(r"\b(?:highway\s+contract(?:\s+route)?|hc)\b\.?\s*#?\s*(?=\d)"), "hc "),
)
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)")
_REPEATED = frozenset({"bis", "ter", "quater"})
_NUMERALS = "一二三四五六七八九"
_FLAT_FIRST = {"CA": "-", "AU": "/", "NZ": "/"}
"""The sign between flat and house number, in countries that write the flat first."""


def street_words(country: str, text: str) -> Words:
    """Return the words of a street line of a country whose streets are not written in English."""
    if country in street_tables.COUNTED:
        text = re.sub(f"[{_NUMERALS}十]+{street_tables.COUNTED[country]}", lambda number: _in_digits(number[0]), text)
    for pattern, replacement in (*street_tables.REWRITES.get(country, ()), *street_tables.SHORTER.get(country, ())):
        text = re.sub(pattern, replacement, text)
    classes, first = street_tables.WORDS.get(country, {}), street_tables.FIRST_WORDS.get(country, {})
    dropped, movable = (
        street_tables.DROPPED.get(country, frozenset()),
        street_tables.TYPES_ANYWHERE.get(country, frozenset()),
    )
    words: Words = []
    moved: Words = []
    given = words_of(_PO_BOX.sub(" pobox ", text))
    for place, (gap, word) in enumerate(given):
        if word in dropped:
            continue
        starts = all(before[0].isdigit() or before in _REPEATED for _, before in given[:place])
        name = first.get(word) if starts and word in first else classes.get(word, word)
        (moved if name in movable else words).append((gap, name or word))
    return [*words, *moved]


def _in_digits(numeral: str) -> str:
    """Return a Chinese numeral below one hundred in digits; any other unchanged."""
    tens, ten, ones = numeral.partition("十")
    if len(tens) > 1 or len(ones) > 1 or ones == "十":
        return numeral
    digit = dict(zip(_NUMERALS, "123456789", strict=True))
    return f"{digit.get(tens, '1')}{digit.get(ones, '0')}" if ten else digit[tens]


def english_street_words(country: str, text: str, *, parts: bool = False) -> Words:
    """Return the words of a street line that is written in English, with the flat moved to the end.

    Args:
        country: the country code, which chooses the tables.
        text: both lines, in folded characters.
        parts: only move the flat, and leave every other word unchanged.
    """
    for pattern, replacement in street_tables.REWRITES.get(country, ()):
        text = re.sub(pattern, replacement, text)
    text = _GLUED.sub(r"\1 ", _INITIALS.sub(r"\1", _PO_BOX.sub(" pobox ", text)))
    for road, name in _ROADS if country == "US" else ():
        text = road.sub(name, text)
    units = street_tables.UNITS.get(country, {})
    words = [(gap, street_tables.ORDINALS.get(word, word)) for gap, word in words_of(text, marks="#")]
    rest, inside = _take_units_out(country, words, units)
    if country in _FLAT_FIRST and len(rest) > 2 and not any(kind == "UNIT" for kind, _ in inside):
        (_, flat), (gap, number) = rest[:2]
        if gap == _FLAT_FIRST[country] and _is_number(flat) and number[0].isdigit():
            inside, rest = [*inside, ("UNIT", flat)], rest[1:]
    if not parts:
        rest = _name_types_and_directions(country, rest)
    return [*rest, *((" ", part) for kind, value in sorted(inside) for part in (kind, value))]


def _take_units_out(country: str, words: Words, units: dict[str, str]) -> tuple[Words, list[tuple[str, str]]]:
    """Take flats, floors and the like out of a line. Return the other words, and each unit's kind and number."""
    rest: Words = []
    inside: list[tuple[str, str]] = []
    place = 0
    while place < len(words):
        word = words[place][1]
        following = words[place + 1][1] if place + 1 < len(words) else ""
        if (floor := _ORDINAL.fullmatch(word)) and units.get(following) == "FL":
            inside.append(("FL", floor[1]))
            place += 2
            continue
        kind, at = units.get(word), place + 1
        while at < len(words) and words[at][1] in ("#", "no", "number"):
            at += 1
        if kind is not None and at < len(words) and _is_number(words[at][1]):
            value, place = _unit_number(country, words, at, starts=not rest)
            inside.append((kind, value))
            continue
        if word != "#":
            rest.append(words[place])
        place += 1
    return rest, inside


def _unit_number(country: str, words: Words, at: int, *, starts: bool) -> tuple[str, int]:
    """Return the number of a flat that begins at a word, and the place of the next word."""
    value, at = words[at][1], at + 1
    while at < len(words) and words[at][0] in "-/" and _is_number(words[at][1]):
        if starts and words[at][0] == _FLAT_FIRST.get(country) and at + 1 < len(words):
            return value, at  # 5-123 Main Street: the next number is the house's
        gap = words[at][0] if value[-1].isdigit() and words[at][1][0].isdigit() else ""
        value, at = value + gap + words[at][1], at + 1
    if value[-1].isdigit() and at < len(words) and words[at][1].isalpha() and len(words[at][1]) == 1:
        after = words[at + 1][1] if at + 1 < len(words) else ""
        if not after or after[0].isdigit():
            value, at = value + words[at][1], at + 1
    return value, at


def _is_number(word: str) -> bool:
    return any(map(str.isdigit, word)) or (len(word) == 1 and word.isalpha())


def _name_types_and_directions(country: str, words: Words) -> Words:
    """Replace street types and directions by their class names.

    A word is a direction only right after the number, or at the end after a street type. `E Street` is not
    `East Street`: a letter is a direction only if a name is left without it.
    """
    classes = street_tables.ENGLISH_WORDS | street_tables.ENGLISH_WORDS_OF.get(country, {})
    directions = street_tables.DIRECTIONS | (street_tables.FRENCH_DIRECTIONS if country == "CA" else {})
    named = [(gap, classes.get(word, word)) for gap, word in words]
    if len(words) < 3 or not words[0][1][0].isdigit():
        return named
    raw = [word for _, word in words]
    last = len(words) - 1
    first = 3 if len(words) > 4 and words[2][0] == "/" and raw[1].isdigit() and raw[2].isdigit() else 1  # 842 1/2
    turned = raw[last] in directions
    has_name = any(word not in directions for word in raw[first : last - 1])  # `Avenue E` has no name
    grid = country == "US" and raw[last - 1].isdigit() and raw[last - 2] in directions  # 842 E 1700 S
    french = country == "CA" and raw[1] in street_tables.FRENCH_TYPES and named[last - turned][1] not in _PLAIN_TYPES
    if not french and raw[first] in directions and _is_name(raw, named, first + 1):
        named[first] = (" ", directions[raw[first]])
    ends = len(words)
    if turned and (french or grid or (has_name and _ends_in_a_type(raw, named, last))):
        named[last] = (" ", directions[raw[last]])
        ends = last
    if french and ends > 2:
        named = [named[0], *named[2:ends], (" ", street_tables.FRENCH_TYPES[raw[1]]), *named[ends:]]
    return named


def _ends_in_a_type(raw: list[str], named: Words, end: int) -> bool:
    """Say whether a street's type stands before a word, or a numbered highway does."""
    return named[end - 1][1] in _PLAIN_TYPES or (raw[end - 1].isdigit() and named[end - 2][1] in ("HIGHWAY", "ROUTE"))


def _is_name(raw: list[str], named: Words, place: int) -> bool:
    """Say whether a street's name begins at a word, and not its type."""
    if named[place][1] not in _PLAIN_TYPES:
        return True
    return place + 1 < len(raw) and named[place + 1][1] in _PLAIN_TYPES


_HONOURED = re.compile("(?:様|殿|氏|さま)$")
_DIGRAPH = re.compile("([aou])e")  # Mueller is likely Muller, but Michael need not be Michal
_DISTRICT = re.compile(r"\bdublin\s+\d+w?\b")  # the Eircode already names the district
_NUMBERS = re.compile(r"\d+")
_BEFORE_THE_TOWN = re.compile(r"^[^\d\s]{1,6}?市(?:[^\d\s]{1,4}?区)?|^[^\d\s]{1,4}?区")


@functools.lru_cache(maxsize=64)  # each order asks several times, and most orders go to a few addresses
def place_of(address: Address) -> tuple[str, ...]:
    """Return name, street, city, state, code and country in a form that is equal for the same person and place.

    Letters and digits are compared, digits are never joined, and line breaks are ignored. City and state are empty if
    the postal code implies them. The telephone number is not compared.
    """
    code = _code(address.country, address.postal_code)
    country = address.country
    if country in tables.US_POSTED and re.fullmatch(tables.CODE_PARTS["US"], code):
        country = "US"
    whole = tables.CODE_PARTS.get(country)
    if whole is not None and (parts := re.fullmatch(whole, code)):
        code = parts[1]
    settles = tables.CODE_SETTLES.get(country)
    # A filler in the place of a code (00000) implies nothing, whatever digits a code has.
    settled = settles is not None and bool(re.fullmatch(settles, code)) and not re.fullmatch(tables.FILLERS, code)
    return (
        _name(country, address),
        _street_of(country, address, settled=settled),
        "" if settled else _city(country, address.city),
        "" if settled or country in tables.STATE_LEFT_OUT else _state(country, address.state or ""),
        code,
        country,
    )


@functools.lru_cache(maxsize=64)
def near_place_of(address: Address) -> tuple[str, ...]:
    """Return name, numbers, code and country in a form that is equal if two addresses are likely the same.

    It is equal for any two addresses that `place_of` takes for one. It serves to ask a person, never to treat two
    orders as one.
    """
    name, street, *_, code, country = place_of(address)
    numbers = _NUMBERS.findall(street)
    if country in ENGLISH and country != "IE":  # an Eircode is compared without the street's words
        words = words_of(folded_characters(f"{address.address_line1} {address.address_line2 or ''}"))
        numbers += [street_tables.NUMBER_WORDS[word] for _, word in words if word in street_tables.NUMBER_WORDS]
    return (_DIGRAPH.sub(r"\1", name), *sorted(numbers), code, country)


def shown_lines(address: Address) -> list[str]:
    """Return the whole address as lines for a person, exactly as it is sent. Nothing is cut.

    Validation has refused invisible characters, so none need to be removed.
    """
    lines = (
        f"{address.first_name} {address.last_name}",
        address.address_line1,
        address.address_line2,
        address.city,
        f"{address.state} {address.postal_code}" if address.state else address.postal_code,
        address.country,
        f"tel. {address.phone_number}",
    )
    return [line for line in lines if line]


def _characters(country: str, text: str) -> str:
    text = folded_characters(text, tables.LETTERS.get(country))
    return in_cyrillic(text) if country in tables.CYRILLIC else text


def _name(country: str, address: Address) -> str:
    text = _HONOURED.sub("", _characters(country, f"{address.first_name} {address.last_name}").strip())
    words = [word for _, word in words_of(text)]
    while len(words) > 2 and _is_title(country, words[0]) and len(words[1]) > 1:
        words = words[1:]
    if country in tables.FAMILY_NAME_FIRST and len(words) == 2:
        words.sort()
    # `Mc Donald` is `McDonald`, but `Ann Alee` is not `Anna Lee`, so the first name is kept apart.
    return " ".join([*words[:1], joined([(" ", word) for word in words[1:]])])


def _is_title(country: str, word: str) -> bool:
    return word in tables.TITLES or (country == "FR" and word == "m")


def _street_of(country: str, address: Address, *, settled: bool) -> str:
    text = _characters(country, f"{address.address_line1} {address.address_line2 or ''}").strip()
    if country == "JP":
        text = _without_city(text, _characters(country, address.city).strip(), settled=settled)
    if country == "IE" and settled:
        # An Eircode is one delivery point. Only numbers and single letters count, which may name another flat.
        found = english_street_words(country, _DISTRICT.sub(" ", text), parts=True)
        return joined([(gap, word) for gap, word in found if len(word) == 1 or any(map(str.isdigit, word))])
    if country in ENGLISH:
        return joined(english_street_words(country, text))
    return joined(street_words(country, text))


def _without_city(text: str, city: str, *, settled: bool) -> str:
    """Return a Japanese line without prefecture and city, which people write in it or in separate fields."""
    for prefecture in tables.PREFECTURES:
        text, city = text.removeprefix(prefecture).lstrip(), city.removeprefix(prefecture).lstrip()
    text = text.removeprefix(city).lstrip()
    return _BEFORE_THE_TOWN.sub("", text).lstrip() if settled else text


def _city(country: str, city: str) -> str:
    text = _characters(country, city).strip()
    for pattern, replacement in tables.CITY_REWRITES.get(country, ()):
        text = re.sub(pattern, replacement, text).strip()
    words = words_of(text)
    if country in ENGLISH:
        words = [(gap, ENGLISH_WORDS.get(word, word)) for gap, word in words]
    return _city_names(country).get(fold(text)) or joined(words)


@functools.cache
def _city_names(country: str) -> dict[str, str]:
    """Return the first name of each city that has several names, by every name."""
    cities = [[fold(name) for name in names.split("/")] for names in tables.CITIES.get(country, "").split(",")]
    return {name: names[0] for names in cities for name in names if name}


def _state(country: str, state: str) -> str:
    text = folded_characters(state).strip()
    for pattern, replacement in tables.STATE_REWRITES.get(country, ()):
        text = re.sub(pattern, replacement, text).strip()
    name = fold(text)
    return tables.STATES.get(country, {}).get(name, name)


def _code(country: str, code: str) -> str:
    if country in tables.NO_CODES:
        return ""
    text = "".join(character for character in folded_characters(code) if character.isalnum())
    for prefix in tables.CODE_PREFIXES.get(country, ()):
        if text.startswith(prefix) and text[len(prefix) : len(prefix) + 1].isdigit():
            text = text.removeprefix(prefix)
    if country in tables.FILLED_CODES and re.fullmatch(tables.FILLERS, text):
        return ""
    return text
