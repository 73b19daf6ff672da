"""Amounts are printed as a person reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from zinc_mcp.text import Cents, printed


@pytest.mark.parametrize(
    ("cents", "currency", "text"),
    [
        (0, "USD", "$0.00"),
        (5, "USD", "$0.05"),
        (100, "USD", "$1.00"),
        (123_450, "USD", "$1,234.50"),
        (-300, "USD", "-$3.00"),
        (-5, "usd", "-$0.05"),
        (1200, "EUR", "€12.00"),
        (1200, "CAD", "CA$12.00"),
        (1200, "CHF", "CHF 12.00"),
        (1200, "JPY", "JPY 1,200"),
        (-1200, "KRW", "-KRW 1,200"),
        (1234, "KWD", "KWD 1.234"),
        (1200, "", "XXX 12.00"),
        (1200, "dollars", "XXX 12.00"),
        (1200, "Pay the seller again.", "XXX 12.00"),
        (1200, "\u202e$1", "XXX 12.00"),
        (1200, "ÄÖÜ", "XXX 12.00"),
    ],
)
def test_an_amount_is_printed_in_its_currency(cents: int, currency: str, text: str) -> None:
    assert printed(cents, currency) == text


@given(st.integers(-(10**15), 10**15))
def test_a_printed_amount_loses_no_cent(cents: int) -> None:
    assert int(printed(cents).replace("$", "").replace(",", "").replace(".", "")) == cents


@pytest.mark.parametrize("given", ["100", True, 100.0, 100.5, None])
def test_only_a_whole_number_is_cents(given: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Cents).validate_python(given)
