"""Where an order goes: when two addresses are one person at one place, and the address as a person reads it.

An address is sent and shown as it was given; `place_of` only compares. Where it is merely likely that two spellings
are one place, they stay two: neighbours must never be taken for each other. The tables are in `place_tables`,
`street_tables` and `english_tables`.
"""

import functools
import re

from zinc_mcp.zinc.orders import Address
from zinc_mcp.zinc.places import place_tables as tables
from zinc_mcp.zinc.places.english_tables import ENGLISH, ENGLISH_WORDS
from zinc_mcp.zinc.places.letters import fold, folded_characters, in_cyrillic, joined, words_of
from zinc_mcp.zinc.places.streets import english_street, street

_HONOURED = re.compile("(?:様|殿|氏|さま)$")
_DIGRAPH = re.compile("([aou])e")  # Mueller is likely Muller, but Michael need not be Michal
_DISTRICT = re.compile(r"\bdublin\s+\d+w?\b")  # the Eircode says it
_NUMBERS = re.compile(r"\d+")
_BEFORE_THE_TOWN = re.compile(r"^[^\d\s]{1,6}?市(?:[^\d\s]{1,4}?区)?|^[^\d\s]{1,4}?区")


def place_of(address: Address) -> tuple[str, ...]:
    """Return what is equal for two spellings of one person at one place: name, street, city, state, code, country.

    Letters and digits count, digits are never joined, and where a line or a name is broken in two does not count. City
    and state count where the postal code does not settle them. The telephone number does not count.
    """
    code = _code(address.country, address.postal_code)
    country = address.country
    if country in tables.US_POSTED and re.fullmatch(tables.CODE_PARTS["US"], code):
        country = "US"
    whole = tables.CODE_PARTS.get(country)
    if whole is not None and (parts := re.fullmatch(whole, code)):
        code = parts[1]
    settles = tables.CODE_SETTLES.get(country)
    # A filler in place of a code (00000) settles nothing, whatever digits a code has.
    settled = settles is not None and bool(re.fullmatch(settles, code)) and not re.fullmatch(tables.FILLERS, code)
    return (
        _name(country, address),
        _street(country, address, settled=settled),
        "" if settled else _city(country, address.city),
        "" if settled or country in tables.STATE_LEFT_OUT else _state(country, address.state or ""),
        code,
        country,
    )


def near_place_of(address: Address, place: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Return what is equal even where it is only likely that two addresses are one: name, numbers, code and country.

    It is for asking a person, never for taking one order for another. `place` is its `place_of`, where that is known.
    """
    name, *_, code, country = place or place_of(address)
    lines = folded_characters(f"{address.address_line1} {address.address_line2 or ''}")
    return (_DIGRAPH.sub(r"\1", name), *sorted(_NUMBERS.findall(lines)), code, country)


def shown_lines(address: Address) -> list[str]:
    """Return the whole address as lines for a person, every character of it as it is sent; nothing is cut.

    Validation has refused what cannot be seen, so there is nothing to take out.
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
    # `Mc Donald` is `McDonald`, and `Ann Alee` is not `Anna Lee`: the first name ends where it ends.
    return " ".join([*words[:1], joined([(" ", word) for word in words[1:]])])


def _is_title(country: str, word: str) -> bool:
    return word in tables.TITLES or (country == "FR" and word == "m")


def _street(country: str, address: Address, *, settled: bool) -> str:
    text = _characters(country, f"{address.address_line1} {address.address_line2 or ''}").strip()
    if country == "JP":
        text = _without_city(text, _characters(country, address.city).strip(), settled=settled)
    if country == "IE" and settled:
        # An Eircode is one delivery point: only numbers and single letters count, which could be another flat of it.
        found = english_street(country, _DISTRICT.sub(" ", text), parts=True)
        return joined([(gap, word) for gap, word in found if len(word) == 1 or any(map(str.isdigit, word))])
    if country in ENGLISH:
        return joined(english_street(country, text))
    return joined(street(country, text))


def _without_city(text: str, city: str, *, settled: bool) -> str:
    """Return a Japanese line without prefecture and city, which may stand in it or in fields of their own."""
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
    return _one_city(country).get(fold(text)) or joined(words)


@functools.cache
def _one_city(country: str) -> dict[str, str]:
    """Return the one name for each name of a country's cities that have several."""
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
