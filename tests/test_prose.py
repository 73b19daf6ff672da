"""Text from outside is made safe to show."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zinc_mcp.text import invisible, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Logitech M185 Mouse", "Logitech M185 Mouse"),
        ("Crème brûlée 京都 🎁", "Crème brûlée 京都 🎁"),
        ("  two \t words\r\n\r\nand\u2028a\u0085line\x0b.\u00a0", "two words and a line ."),
        ("nul\x00bell\x07escape\x1b", "nulbellescape"),
        ("\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07link\x1b]8;;\x07", "red link"),
        ("\x1b]0;a title without an end", ""),
        ("abc\u202edef\u2066ghi\u200f", "abcdefghi"),
        ("zero\u200bwidth\ufeff\u00ad\u2060", "zerowidth"),
        ("a\u3164\u115f\u2800\u034fb", "ab"),
        ("half \ud83d", "half"),
        ("private \ue000\U000f0000 unassigned \U000e0080\uffff", "private unassigned"),
        # A message spelt in variation selectors, and one in tags.
        ("a" + "".join(chr(0xE0100 + ord(letter)) for letter in "obey") + "\ufe0f", "a"),
        ("a" + "".join(chr(0xE0000 + ord(letter)) for letter in "obey"), "a"),
        ("", ""),
        (None, "None"),
        (["a", 1], "['a', 1]"),
    ],
)
def test_shown_text_is_one_line_of_visible_characters(text: object, shown: str) -> None:
    assert plain(text) == shown


def test_a_long_text_is_cut_where_the_reader_sees_it() -> None:
    assert plain("x" * 200) == "x" * 200
    assert plain("x" * 201) == "x" * 199 + "…"
    assert plain("word " * 10, 12) == "word word w…"
    assert plain("word " * 10, 11) == "word word…"


def test_a_very_long_text_is_not_walked_to_its_end() -> None:
    text = "\x1b[" * 10_000_000
    best = 1.0  # of several: on a busy machine each may be disturbed, and none is too fast
    for _ in range(5):
        started = time.process_time()
        plain(text)
        best = min(best, time.process_time() - started)
    assert best < 0.05


def test_a_value_that_cannot_be_text_is_no_text() -> None:
    deep: object = "x"
    for _ in range(100_000):
        deep = [deep]
    assert plain(deep) == ""
    assert plain(10**5000) == ""


@given(st.text(st.characters(exclude_categories=[])), st.integers(2, 50))
def test_nothing_invisible_is_ever_shown(text: str, limit: int) -> None:
    shown = plain(text, limit)
    assert len(shown) <= limit
    assert shown == " ".join(shown.split())
    assert {unicodedata.category(character)[0] for character in shown} <= {"L", "M", "N", "P", "S", "Z"}
    assert plain(shown, limit) == shown
    shown.encode()


@pytest.mark.parametrize("character", "\x00\t\n\x7f\x85\u200b\u200d\u202e\u2028\u2029\u3164\u2800\ud800\ue000\ufeff")
def test_invisible_characters_are_known(character: str) -> None:
    assert invisible(character)


@pytest.mark.parametrize("character", "a 1é京🎁\u0301\u00a0-…")
def test_visible_characters_are_known(character: str) -> None:
    assert not invisible(character)
