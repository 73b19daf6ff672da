"""Two addresses are one person at one place as the corpus says, and general rules hold for any address."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError
from wanted import ADDRESS, intent

from zinc_mcp.checkout import place_order
from zinc_mcp.consent.question import question_about
from zinc_mcp.zinc.orders import Address
from zinc_mcp.zinc.places.reading import near_place_of, place_of, shown_lines
from zinc_mcp.zinc.texts.letters import fold, fold_label

CORPUS = [
    pair
    for path in sorted((Path(__file__).parent / "twin_corpus").glob("places*.json"))
    for pair in json.loads(path.read_text(encoding="utf-8"))
]
NAMES = [f"{number} {pair['country']} {pair['verdict']}: {pair['why']}" for number, pair in enumerate(CORPUS)]
COUNTRIES = sorted({pair["country"] for pair in CORPUS})


def address(country: str = "US", **parts: Any) -> Address:
    return Address.model_validate({**ADDRESS, "country": country, **parts})


def read(country: str, parts: dict[str, Any]) -> Address | None:
    """Return the address of a pair, or None where validation refuses it."""
    try:
        return Address.model_validate({"phone_number": "212-555-0147", "country": country, **parts})
    except ValidationError:
        return None


@pytest.mark.parametrize("pair", CORPUS, ids=NAMES)
def test_two_addresses_are_one_place_or_two_as_the_corpus_says(pair: dict[str, Any]) -> None:
    one, other = read(pair["country"], pair["a"]), read(pair["country"], pair["b"])
    if pair["verdict"] == "refused":
        assert one is None or other is None
        return
    assert one is not None
    assert other is not None
    assert (place_of(one) == place_of(other)) is (pair["verdict"] == "same")


def test_the_corpus_knows_many_countries() -> None:
    assert len(CORPUS) >= 90
    assert len(COUNTRIES) >= 18
    assert {pair["verdict"] for pair in CORPUS} == {"same", "different", "refused"}
    assert all(pair["source"] and pair["why"] for pair in CORPUS)


BOUGHT = [
    ("US", "12 Elm Street #4B"),
    ("GB", "Flat 2, 10 High St."),
    ("DE", "Elmenstra\u00dfe 12 a"),
    ("JP", "\u9053\u7384\u57422\u4e01\u76ee14\u756a5\u53f7"),
    ("CO", "Cl. 12 # 4-56"),
]
AGAIN = [
    "12 Elm St, Apt 4 B",
    "10 High Street Flat 2",
    "ELMENSTR. 12A",
    "\u9053\u7384\u5742\uff12\u2212\uff11\uff14\u2212\uff15",
    "Calle 12 No. 4-56",
]
NEXT_DOOR = [
    "12 Elm St, Apt 4",
    "10 High Street Flat 3",
    "Elmenweg 12 a",
    "\u9053\u7384\u574221-4-5",
    "Carrera 12 # 4-56",
]
CODES = {"US": "10001", "GB": "SW1A 2AA", "DE": "10115", "JP": "1500043", "CO": "110221"}


def _to(country: str, line: str) -> dict[str, Any]:
    return {**ADDRESS, "state": None, "country": country, "postal_code": CODES[country], "address_line1": line}


@pytest.mark.parametrize(("place", "again"), list(zip(BOUGHT, AGAIN, strict=True)))
async def test_one_place_in_two_spellings_is_bought_for_once(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, place: tuple[str, str], again: str
) -> None:
    country, line = place
    async with open_test_process() as process:
        await place_order.place(process, intent(shipping_address=_to(country, line)))
        clock.pass_seconds(60)
        second = await place_order.place(process, intent(shipping_address=_to(country, again)))
    assert second.earlier
    assert len(zinc.orders) == 1
    assert zinc.bodies()[0]["shipping_address"]["address_line1"] == line, "it is sent as it was given"


@pytest.mark.parametrize(("place", "other"), list(zip(BOUGHT, NEXT_DOOR, strict=True)))
async def test_two_neighbours_are_bought_for_twice(
    open_test_process: OpenProcess, zinc: FakeZinc, place: tuple[str, str], other: str
) -> None:
    country, line = place
    async with open_test_process() as process:
        await place_order.place(process, intent(shipping_address=_to(country, line)))
        second = await place_order.place(process, intent(shipping_address=_to(country, other)))
    assert not second.earlier
    assert len(zinc.orders) == 2


# Any text

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
lines = st.text(
    st.sampled_from(
        "0123456789 -/.,#aAbBeE\u00e9\u0130\u0131\u00df\u00bd\u2019\uff11\u0663\u0430\u03bf\u4e01\u76ee\u53f7"
    )
    | st.characters(),
    max_size=40,
)


@given(texts | lines)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold_label(fold_label(text)) == fold_label(text)


@given(texts | lines)
def test_case_and_form_of_letters_never_matter(text: str) -> None:
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))
    assert all(
        character.isalnum() or unicodedata.category(character)[0] == "M" or character in " -/."
        for character in fold(text)
    )


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("9\u00bd", "9 1/2"),
        ("4\u00b2", "4 2"),
        ("O\u2019Brien-Smith", "obriensmith"),
        ("O\u02bbahu", "oahu"),
        ("1-23-4", "1-23-4"),
        ("1 / 2, 3.", "1/2 3"),
        ("\u0661\u0662", "12"),
        ("\u0130STANBUL \u0131\u015f\u0131k", "istanbulisik"),
        ("\ufb01le \u0152uvre \u0141\u00f3d\u017a", "fileoeuvrelodz"),
        ("\u0928\u092e\u0938\u094d\u0924\u0947", "\u0928\u092e\u0938\u094d\u0924\u0947"),
        ("\u041c\u043e\u0441\u043a\u0432a", "mockba"),
        ("10\u201112", "10-12"),
    ],
)
def test_letters_and_digits_stay_in_one_spelling(text: str, folded: str) -> None:
    assert fold(text) == folded


UNSEEN = (
    "\u200c\u200d\ufe0f\ufe00\U000e0100\U000e0041\U000e01f0\u00ad\u200b\u2060"
    "\u034f\u115f\u3164\u180b\u17b4\U0001d159\u202e\ufeff\u0378"
)


@given(texts, st.sampled_from(UNSEEN), st.integers(0, 30))
def test_invisible_characters_are_left_out_of_the_folded_text(text: str, unseen: str, at: int) -> None:
    assert fold(text[:at] + unseen + text[at:]) == fold(text)
    assert fold_label(text[:at] + unseen + text[at:]) == fold_label(text)


# Any address

WORDS = (
    "12|3|4B|05|Elm|St|N|E|O|Apt|#|Flat|Floor|bis|C/|No.|nr|-|/|,|1-23|2nd|II|i|em|bus|b|m.|kv|D:|rue|rr|Stiege|Top"
    "|\u53f7|\u865f|4\u4e01\u76ee|\u756a|\u53f7\u5ba4|5\u6a13|\u4e4b|\u53f7\u697c|6\u5355\u5143|7\u5ba4|\ub3d9|\ud638|\u043a\u0432|\u0434.|\u00bd|\u0663"
).split("|")
numbered = st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join).filter(lambda line: len(line) <= 60)
# Elsewhere part of a long code is left out, or there is none.
FINE = {
    "DE": "10115",
    "GB": "SW1A 2AA",
    "JP": "1500043",
    "IE": "D02 AF30",
    "FR": "75008",
    "CA": "H2X 1L4",
    "AU": "3053",
    "US": "10001",
}


@given(numbered, st.sampled_from(COUNTRIES), st.data())
def test_another_digit_in_the_line_is_another_place(line: str, country: str, data: st.DataObject) -> None:
    digits = [at for at, character in enumerate(line) if character.isdigit()]
    assume(digits)
    at = data.draw(st.sampled_from(digits))
    digit = data.draw(st.sampled_from([each for each in "0123456789" if each != str(int(line[at]))]))
    parts = {"postal_code": FINE.get(country, "10001"), "state": None}
    one = address(country, address_line1=line, **parts)
    other = address(country, address_line1=f"{line[:at]}{digit}{line[at + 1 :]}", **parts)
    assert place_of(one) != place_of(other)


@given(st.sampled_from(sorted(FINE.items())), st.data())
def test_another_digit_in_the_postal_code_is_another_place(code: tuple[str, str], data: st.DataObject) -> None:
    country, given = code
    at = data.draw(st.sampled_from([at for at, character in enumerate(given) if character.isdigit()]))
    digit = data.draw(st.sampled_from([each for each in "0123456789" if each != given[at]]))
    other = f"{given[:at]}{digit}{given[at + 1 :]}"
    assert place_of(address(country, postal_code=given)) != place_of(address(country, postal_code=other))


@given(
    st.sampled_from(["first_name", "last_name", "address_line1", "address_line2", "city", "state", "postal_code"]),
    st.sampled_from(UNSEEN),
    st.integers(0, 8),
)
def test_invisible_characters_make_no_other_place(name: str, unseen: str, at: int) -> None:
    whole = {
        **ADDRESS,
        "address_line2": "Apt 4 Main",
        "country": "DE",
        "last_name": "\u0639\u0644\u06cc\u0631\u0636\u0627",
    }
    text = str(whole[name])
    hidden = read("DE", {**whole, name: text[:at] + unseen + text[at:]})
    assert hidden is None or place_of(hidden) == place_of(Address.model_validate(whole))


readable = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20)


@given(readable, readable, st.sampled_from(COUNTRIES))
def test_any_address_that_is_taken_has_a_place_and_is_shown_whole(one: str, two: str, country: str) -> None:
    taken = read(country, {**ADDRESS, "address_line1": one, "address_line2": two, "city": one, "state": two})
    assume(taken is not None)
    assert taken is not None
    assert place_of(taken) == place_of(taken.model_copy())
    shown = shown_lines(taken)
    assert all(text in "\n".join(shown) for text in taken.model_dump(exclude_none=True).values())


@given(numbered, numbered, st.sampled_from(COUNTRIES))
def test_where_the_lines_are_broken_does_not_matter(one: str, two: str, country: str) -> None:
    assume(len(f"{one} {two}") <= 60)
    parts = {"postal_code": FINE.get(country, "10001"), "state": None}
    assert place_of(address(country, address_line1=one, address_line2=two, **parts)) == place_of(
        address(country, address_line1=f"{one} {two}", **parts)
    )


def test_one_place_is_near_itself_and_near_a_likely_equal_place() -> None:
    one = address("DE", postal_code="10115", last_name="M\u00fcller", address_line1="Elmenweg 12")
    for likely in (
        address("DE", postal_code="10115", last_name="Mueller", address_line1="Elmenweg 12"),
        address("DE", postal_code="10115", last_name="Muller", address_line1="Elmen-Weg, 12"),
        address("DE", postal_code="D-10115", last_name="M\u00fcller", address_line1="12, Am Elmenweg", city="Mitte"),
    ):
        assert near_place_of(one) == near_place_of(likely)
    assert near_place_of(one) != near_place_of(address("DE", postal_code="10115", address_line1="Elmenweg 13"))


def test_the_question_shows_the_address_as_it_is_sent() -> None:
    given = {
        **ADDRESS,
        "first_name": "\u0905\u0915\u094d\u0937\u200d\u092f",
        "address_line2": "\u00bd  #4",
        "country": "IN",
    }
    order = intent(shipping_address=given).order
    question = question_about(
        order, [None], rail="account", mode="test", fee_cents=100, left_day_cents=None, saved_as=None
    )
    assert list(question.ship_to) == shown_lines(order.ship_to)
    assert all(str(text) in question.text() for text in given.values())


# The text "null"


@pytest.mark.parametrize("nothing", ["null", "None", "undefined", " null ", "NULL", "NONE", "UNDEFINED"])
def test_a_text_for_nothing_is_not_given_where_it_may_be_left_out(nothing: str) -> None:
    taken = address(address_line2=nothing, state=nothing)
    assert (taken.address_line2, taken.state) == (None, None)


@pytest.mark.parametrize("nothing", ["null", "None", "undefined", "NULL", "NONE", "UNDEFINED"])
@pytest.mark.parametrize("name", ["first_name", "last_name", "address_line1", "city", "postal_code"])
def test_a_text_for_nothing_is_refused_where_a_value_is_needed(nothing: str, name: str) -> None:
    with pytest.raises(ValidationError, match=f'must be the real value, not the text "{nothing}"'):
        address("GB", **{name: nothing})


def test_a_family_may_be_called_null_and_a_town_none() -> None:
    assert address(last_name="Null").last_name == "Null"
    assert address(first_name="ADA", last_name="NULL").last_name == "NULL"
    assert address("IT", city="None", postal_code="10060").city == "None"
    assert address("IT", city="NONE", postal_code="10060").city == "NONE"


NO_CODE = [
    ("CO", "-", "Bogotá", "Cali"),
    ("PA", "-", "Colón", "David"),
    ("KE", ".", "Nairobi", "Mombasa"),
    ("JM", "--", "Kingston", "Montego Bay"),
    ("AE", "00000", "Dubai", "Sharjah"),
    ("QA", "00000", "Doha", "Al Khor"),
    ("HK", "000000", "Kowloon", "Central"),
    ("MO", "999078", "Macau", "Taipa"),
    ("US", "00000", "Athol", "Bayview"),
    ("ZW", "0000", "Harare", "Bulawayo"),
]


@pytest.mark.parametrize(("country", "code", "one", "other"), NO_CODE)
def test_where_there_is_no_postal_code_the_city_counts(country: str, code: str, one: str, other: str) -> None:
    def place(city: str) -> tuple[str, ...]:
        address = {"first_name": "Ada", "last_name": "Buyer", "address_line1": "12 First Street", "city": city}
        whole = {**address, "country": country, "postal_code": code, "phone_number": "2125550147"}
        return place_of(Address.model_validate(whole))

    assert place(one) != place(other)


def test_a_first_name_ends_where_it_ends() -> None:
    def named(first: str, last: str) -> tuple[str, ...]:
        rest = {"address_line1": "1 Main St", "city": "Springfield", "state": "IL", "postal_code": "62704"}
        return place_of(
            Address.model_validate({"first_name": first, "last_name": last, "phone_number": "2125550147", **rest})
        )

    assert named("Ann", "Alee") != named("Anna", "Lee")
    assert named("Mary Ann", "Lee") == named("Mary", "Ann Lee")
