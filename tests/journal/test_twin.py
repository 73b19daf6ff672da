"""Two orders are one intention exactly when their differences do not matter, and their keys follow from that."""

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wanted import ADDRESS, BOOK, arguments, order

from zinc_mcp.journal.records.twin import (
    KEY_FIELD,
    TWIN_FIELD,
    body_digest,
    derived_key,
    given_key,
    to_bytes,
    twin_digest,
)
from zinc_mcp.zinc.orders import OrderCreate


def twin(caller: str = "local", **changes: Any) -> str:
    return twin_digest(caller, order(**changes))


def at(**changes: Any) -> str:
    return twin(shipping_address={**ADDRESS, **changes})


def of(*products: dict[str, Any]) -> str:
    return twin(products=list(products))


# Twins


def line(number: int, quantity: int, options: dict[str, str]) -> dict[str, Any]:
    return {
        "url": f"https://shop.example/p/{number}",
        "quantity": quantity,
        "variant": [{"label": label, "value": value} for label, value in options.items()],
    }


lines = st.builds(
    line,
    st.integers(1, 5),
    st.integers(1, 9),
    st.dictionaries(st.sampled_from(["Colour", "Size", "Fit"]), st.sampled_from(["Red", "M", "L"]), max_size=3),
)


@given(st.lists(lines, min_size=1, max_size=5), st.data())
def test_the_order_of_products_and_options_does_not_matter(products: list[dict[str, Any]], data: st.DataObject) -> None:
    turned: list[dict[str, Any]] = [
        {**line, "variant": data.draw(st.permutations(line["variant"]))}
        for line in data.draw(st.permutations(products))
    ]
    assert of(*products) == of(*turned)


@given(st.lists(lines, min_size=1, max_size=4), lines)
def test_one_more_is_another_intention(products: list[dict[str, Any]], more: dict[str, Any]) -> None:
    assert of(*products) != of(*products, more)


def test_two_lines_of_one_product_are_the_sum() -> None:
    assert of({"url": BOOK, "quantity": 2}, {"url": f"{BOOK}?ref=x"}) == of({"url": BOOK, "quantity": 3})


OTHER_SPELLINGS: dict[str, dict[str, Any]] = {
    "capitals and spaces": {"city": " NEW  york", "first_name": "ADA"},
    "wide letters": {"address_line1": "\uff11\uff12 Planted Street"},
    "telephone": {"phone_number": "+1 (646) 555-0199"},
    "default country": {"country": "us"},
    "the state in full": {"state": "New York"},
    "no state": {"state": None},
    "the longer ZIP code": {"postal_code": "10001-1234"},
    "an empty second line": {"address_line2": ""},
    "punctuation": {"address_line1": "12, Planted Street."},
    "a short street": {"address_line1": "12 Planted St"},
    "another name of the city": {"city": "NYC"},
    "a line broken in two": {"address_line1": "12 Planted", "address_line2": "Street"},
}
OTHER_WORDS: dict[str, dict[str, Any]] = {
    "the rail's own options": {"payment": {"mode": "connect", "payment_method": "pm_1"}},
    "key": {"idempotency_key": "another"},
    "price": {"max_price": 9000},
    "metadata": {"metadata": {"why": "again"}},
    "purchase order number": {"po_number": "PO-2"},
    "gift text": {"is_gift": True, "gift_message": "Hi"},
    "speed": {"handling_days_max": 3},
    "noise in the URL": {"products": [{"url": f"{BOOK}/ref=sr_1_1?tag=x", "quantity": 1}]},
    "conditions": {"products": [{"url": BOOK, "condition_in": ["New"]}]},
    "no options": {"products": [{"url": BOOK, "variant": []}]},
    **{f"address: {what}": {"shipping_address": {**ADDRESS, **spelt}} for what, spelt in OTHER_SPELLINGS.items()},
}


@pytest.mark.parametrize("what", OTHER_WORDS)
def test_the_same_intention_in_other_words_is_a_twin(what: str) -> None:
    assert twin(**OTHER_WORDS[what]) == twin()


OTHER_INTENTIONS: dict[str, dict[str, Any]] = {
    "product": {"products": [{"url": "https://www.amazon.com/dp/B000000002"}]},
    "quantity": {"products": [{"url": BOOK, "quantity": 2}]},
    "variant": {"products": [{"url": BOOK, "variant": [{"label": "Size", "value": "M"}]}]},
    **{
        f"address: {name}": {"shipping_address": {**ADDRESS, name: other}}
        for name, other in {
            "first_name": "Bob",
            "last_name": "Other",
            "address_line1": "13 Planted Street",
            "address_line2": "Apt 5",
            "postal_code": "10002",
            "country": "CA",
        }.items()
    },
}


@pytest.mark.parametrize("what", OTHER_INTENTIONS)
def test_other_goods_or_another_place_is_no_twin(what: str) -> None:
    assert twin(**OTHER_INTENTIONS[what]) != twin()


def test_a_name_may_be_broken_in_two_at_any_place() -> None:
    assert at(first_name="Ada Mary", last_name="Buyer") == at(first_name="Ada", last_name="Mary Buyer")


def test_two_values_of_one_option_are_two_intentions() -> None:
    small, large = ([{"url": BOOK, "variant": [{"label": "Size", "value": value}]}] for value in ("S", "L"))
    assert twin(products=small) != twin(products=large)


def test_another_caller_has_no_twin_here() -> None:
    assert len({twin("local"), twin("ada"), twin("bob")}) == 3


def test_the_state_counts_outside_the_us() -> None:
    assert at(country="MX", state="JAL") != at(country="MX", state="MEX")


def test_the_city_counts_where_the_postal_code_does_not_settle_it() -> None:
    assert at(country="DE", postal_code="19055", city="Alfa") != at(country="DE", postal_code="19055", city="Beta")
    assert at(city="Manhattan") == at()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+1.50", "-1.50"),
        ("C", "C++"),
        ("1/2", "12"),
        ("Ros\u00e9", "Rose"),
        ("10.5", "10 5"),
        ("\U0001f44d", "\U0001f44e"),
    ],
)
def test_values_of_an_option_that_differ_by_a_sign_are_two(one: str, other: str) -> None:
    values = ([{"url": BOOK, "variant": [{"label": "Model", "value": value}]}] for value in (one, other))
    assert len({twin(products=products) for products in values}) == 2


@pytest.mark.parametrize(
    "value", ["gross\u200d", "GRO\u00df", "\uff27\uff32\uff2f\uff33\uff33", " gross  ", "gro\u00df\u200c"]
)
def test_values_of_an_option_that_look_alike_are_one(value: str) -> None:
    values = ([{"url": BOOK, "variant": [{"label": "Model", "value": each}]}] for each in (value, "Gross"))
    assert len({twin(products=products) for products in values}) == 1


def test_an_option_that_is_named_twice_is_chosen_once() -> None:
    once, twice = ([{"url": BOOK, "variant": [{"label": "Size", "value": "M"}] * times}] for times in (1, 2))
    assert twin(products=once) == twin(products=twice)


def test_a_digest_is_forty_hexadecimal_digits() -> None:
    assert len(twin()) == 40
    assert int(twin(), 16)


# Bodies


def test_a_body_is_the_same_whatever_was_left_to_its_default() -> None:
    said = arguments(
        products=[{"url": BOOK, "quantity": 1, "variant": None, "condition_in": []}],
        shipping_address={**ADDRESS, "country": "us", "address_line2": " "},
        is_gift=False,
        payment={"mode": "wallet"},
        fulfillment={},
        metadata={},
        idempotency_key="any",
    )
    assert body_digest(OrderCreate.model_validate(said)) == body_digest(order())


@pytest.mark.parametrize(
    "changes",
    [
        {"max_price": 5001},
        {"metadata": {"a": 0}},
        {"metadata": {"a": False}},
        {"po_number": "PO-1"},
        {"is_gift": True},
        {"fulfillment": {"items": "best_effort"}},
        {"handling_days_max": 3},
        {"shipping_address": {**ADDRESS, "phone_number": "212-555-0148"}},
        {"products": [{"url": f"{BOOK}?psc=1"}]},
    ],
)
def test_anything_else_that_was_asked_for_makes_another_body(changes: dict[str, Any]) -> None:
    assert body_digest(order(**changes)) != body_digest(order())


def test_the_bytes_carry_the_key_the_twin_and_the_order() -> None:
    wanted = order(metadata={"mine": None}, idempotency_key="replaced")
    sent = json.loads(to_bytes(wanted, "the-key", "the-twin"))
    assert sent == {
        **arguments(),
        "idempotency_key": "the-key",
        "metadata": {"mine": None, KEY_FIELD: "the-key", TWIN_FIELD: "the-twin"},
    }


def test_equal_orders_are_equal_bytes() -> None:
    turned = OrderCreate.model_validate(dict(reversed(arguments(metadata={"b": 1, "a": 2}).items())))
    assert to_bytes(turned, "k", "t") == to_bytes(order(metadata={"a": 2, "b": 1}), "k", "t")


# Keys


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(["live", "test", "sandbox"]),
    st.integers(0, 10**6),
)
def test_a_derived_key_is_a_uuid_of_version_5(caller: str, mode: str, earlier: int) -> None:
    key = derived_key(caller, mode, twin(), earlier)
    assert len(key) == 36
    assert uuid.UUID(key).version == 5
    assert key == derived_key(caller, mode, twin(), earlier)


def test_a_derived_key_is_another_for_every_caller_mode_twin_and_turn() -> None:
    keys = {
        derived_key(caller, mode, digest, earlier)
        for caller in ("local", "ada")
        for mode in ("live", "test")
        for digest in ("a" * 40, "b" * 40)
        for earlier in (0, 1, 10)
    }
    assert len(keys) == 24


def test_a_given_key_goes_out_as_it_is_for_the_local_caller() -> None:
    assert given_key("local", "order-1") == "order-1"


def test_a_given_key_of_a_member_meets_no_other_members() -> None:
    ada, bob = given_key("ada", "order-1"), given_key("bob", "order-1")
    assert ada != bob != "order-1" != ada
    assert ada == given_key("ada", "order-1") != given_key("ada", "order-2")
    assert len(ada) == 36
    assert uuid.UUID(ada).version == 5
