"""docs/bounds.md has the values of the code."""

from bench.bounds import PAGE, SECTIONS, page


def test_the_page_of_bounds_has_the_values_of_the_code() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "python -m bench.bounds --write renews it"


def test_no_bound_stands_there_twice() -> None:
    named = [each.constant for _, bounds in SECTIONS for each in bounds]
    assert len(named) == len(set(named)) > 60
