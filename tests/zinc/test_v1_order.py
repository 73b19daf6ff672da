"""An order of v1 holds every field of Zinc's page, each with its rule, and becomes the bytes that Zinc documents."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from v1_fields import FIELDS

from zinc_mcp.errors import InvalidArgumentsError
from zinc_mcp.server.mcp.arguments import input_schema, normalized, shapes, validated
from zinc_mcp.zinc.v1.order import PROFILE_FIELD, V1_NOT_IN_SCHEMA, V1Order
from zinc_mcp.zinc.v1.products import RETAILERS
from zinc_mcp.zinc.v1.sellers import DEFAULT_CRITERIA

ADDRESS: dict[str, Any] = {
    "first_name": "Ada",
    "last_name": "Buyer",
    "address_line1": "12 Planted Street",
    "zip_code": "10001",
    "city": "New York",
    "state": "NY",
    "phone_number": "212-555-0147",
}
CRITERIA = "products[0].seller_selection_criteria"
CARD = "4111 1111 1111 1111"


def arguments(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "retailer": "amazon",
        "products": [{"product_id": "B07JGBW826"}],
        "shipping_address": dict(ADDRESS),
        "max_price": 5000,
        "shipping_method": "cheapest",
        **changes,
    }
    return {name: value for name, value in given.items() if value is not None}


def order(**changes: Any) -> V1Order:
    return validated(V1Order, normalized(V1Order, arguments(**changes)))


def problems(**changes: Any) -> list[tuple[str, str]]:
    """Return the fields to change, each with its reason."""
    with pytest.raises(InvalidArgumentsError) as refused:
        order(**changes)
    return [(problem.field, problem.reason) for problem in refused.value.problems]


def product(**parts: Any) -> list[dict[str, Any]]:
    return [{"product_id": "B07JGBW826", **parts}]


def criteria(**parts: Any) -> list[dict[str, Any]]:
    return product(seller_selection_criteria=parts)


# The page


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each member of an order; rows of a list share a path."""
    if isinstance(value, list):
        for row in value:  # pyright: ignore[reportUnknownVariableType]
            yield from paths(row, path)
    elif isinstance(value, dict):
        for name, part in value.items():  # pyright: ignore[reportUnknownVariableType]
            inner = f"{path}.{name}" if path else str(name)  # pyright: ignore[reportUnknownArgumentType]
            yield inner
            yield from paths(part, inner)


def test_each_field_of_the_page_is_taken_or_has_a_reason() -> None:
    taken = {path.replace("[]", "") for path in fields(V1Order)}
    for path in FIELDS:
        top = path.partition(".")[0]
        assert (path in taken) != (top in V1_NOT_IN_SCHEMA), path
    assert set(V1_NOT_IN_SCHEMA) <= {path.partition(".")[0] for path in FIELDS}
    assert all(len(reason) > 20 for reason in V1_NOT_IN_SCHEMA.values())
    assert taken - FIELDS == {"idempotency_key", "retailer_account", "retailer_account.profile"}


def fields(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, shape in shapes(model).items():
        yield path + name
        if shape.model is not None:
            yield from fields(shape.model, f"{path}{name}.")


def test_the_published_schema_names_no_secret() -> None:
    schema = json.dumps(input_schema(V1Order))
    for name in (*V1_NOT_IN_SCHEMA, "password", "security_code", "totp", "number_on_card"):
        assert f'"{name}"' not in schema


# The bytes


def test_a_managed_order_is_these_bytes() -> None:
    sent = order(client_notes={"mine": 1}).wire("key-1", {"zinc_mcp_key": "key-1"})
    assert sent.decode() == (
        '{"addax":true,"client_notes":{"mine":1,"zinc_mcp_key":"key-1"},"idempotency_key":"key-1","is_gift":false,'
        '"max_price":5000,"products":[{"product_id":"B07JGBW826","quantity":1}],"retailer":"amazon",'
        '"shipping_address":{"address_line1":"12 Planted Street","city":"New York","country":"US",'
        '"first_name":"Ada",'
        '"last_name":"Buyer","phone_number":"212-555-0147","state":"NY","zip_code":"10001"},'
        '"shipping_method":"cheapest"}'
    )


def test_an_order_with_an_account_of_ones_own_names_the_profile_and_nothing_else() -> None:
    body = order(retailer_account={"profile": "shop-1"}).body("key-1", {})
    assert body[PROFILE_FIELD] == "shop-1"
    assert "addax" not in body
    assert "retailer_account" not in body


WHOLE: dict[str, Any] = {
    "products": [
        {
            "product_id": "B07JGBW826",
            "quantity": 2,
            "seller_selection_criteria": {
                "addon": False,
                "buy_box": True,
                "condition_in": ["New", "Used - Very Good"],
                "condition_not_in": ["UsedGood"],
                "first_party_seller": True,
                "handling_days_max": 5,
                "international": False,
                "max_item_price": 2500,
                "merchant_id_in": ["A1SELLER"],
                "merchant_id_not_in": ["A2SELLER"],
                "min_seller_num_ratings": 100,
                "min_seller_percent_positive_feedback": 95,
                "prime": True,
                "allow_oos": False,
            },
        }
    ],
    "shipping_address": {**ADDRESS, "address_line2": "Apt 4", "country": "US", "instructions": "Ring twice"},
    "shipping": {"order_by": "price", "max_days": 5, "max_price": 900},
    "is_gift": True,
    "gift_message": "One\nTwo",
    "require_gift": True,
    "promo_codes": [
        {
            "code": "SAVE",
            "optional": True,
            "merchant_id": "A1SELLER",
            "discount_amount": 100,
            "discount_percentage": 10,
            "cost_override": 900,
        }
    ],
    "max_delivery_days": 9,
    "strict_expired_product_id": True,
    "fail_if_taxed": True,
    "force_offers_postal_code": "10001",
    "zma_discount": -10,
    "addax_queue_timeout": 3600,
    "zma_prime_optout": True,
    "zma_priority_bid": 150,
    "po_number": 42,
    "client_notes": {"mine": [1, {"deep": None}]},
}


def test_every_field_that_is_given_is_sent_as_it_was_given() -> None:
    body = order(**WHOLE, shipping_method=None).body("key-1", {})
    assert body == {
        **WHOLE,
        "retailer": "amazon",
        "max_price": 5000,
        "addax": True,
        "idempotency_key": "key-1",
    }
    assert fields_in(body) | {"take_buybox_offers", "amazon_day", "shipping_method"} >= {
        path for path in FIELDS if path.partition(".")[0] not in V1_NOT_IN_SCHEMA
    }


def fields_in(body: dict[str, Any]) -> set[str]:
    return set(paths(body))


# Money


@pytest.mark.parametrize(
    ("changes", "ceiling"),
    [
        ({}, 5000),
        ({"zma_priority_bid": 150}, 5150),
        ({"zma_discount": -50}, 7500),
        ({"zma_discount": -7, "max_price": 999}, 1069),  # 69.93 cents are 70
        ({"zma_discount": -1, "max_price": 1, "zma_priority_bid": 3}, 5),
        ({"retailer_account": {"profile": "mine"}}, 5000),
    ],
)
def test_the_most_that_may_be_debited_counts_bid_and_surcharge(changes: dict[str, Any], ceiling: int) -> None:
    assert order(**changes).ceiling_cents == ceiling


def test_without_criteria_the_documented_default_holds() -> None:
    bare, chosen, buybox = order(), order(products=criteria(prime=False)), order(take_buybox_offers=True)
    assert bare.criteria_of(bare.products[0]) == DEFAULT_CRITERIA
    assert DEFAULT_CRITERIA.shown() == {"prime": True, "handling_days_max": 6, "condition_in": ["New"]}
    shown = chosen.criteria_of(chosen.products[0])
    assert shown is not None
    assert shown.shown() == {"prime": False}
    assert buybox.criteria_of(buybox.products[0]) is None


# The rules

TAKEN: dict[str, dict[str, Any]] = {
    "the shipping object": {"shipping_method": None, "shipping": {"order_by": "speed"}},
    "an Amazon day": {"shipping_method": "amazon_day", "amazon_day": "Tuesday, free"},
    "an Amazon day by default": {"shipping_method": "amazon_day"},
    "240 characters": {"is_gift": True, "gift_message": "x" * 240},
    "9 lines": {"is_gift": True, "gift_message": "\n".join("123456789")},
    "v2's words for a condition": {"products": criteria(condition_in=["UsedLikeNew"])},
    "the offers' words for one": {"products": criteria(condition_in=["Used - Like New", "New"])},
    "the most above face value": {"zma_discount": -50},
    "numbers with a zero fraction": {"max_price": 5000.0, "po_number": 7.0},
    "words for nothing": {"gift_message": "null", "po_number": None},
    "a state as a blank": {"shipping_address": {**ADDRESS, "state": " ", "address_line2": ""}},
    "another country": {
        "shipping_address": {**ADDRESS, "country": "gb", "zip_code": "SW1A 1AA", "city": "London", "state": None}
    },
    "an order number with hyphens in the notes": {"client_notes": {"order": "112-1234567-1234567"}},
    "sixteen digits that are no card's": {"client_notes": {"order": "4111111111111112"}},
    "a telephone number like a card's": {"shipping_address": {**ADDRESS, "phone_number": "+49 151 12345603"}},
    "a telephone number with its country": {"shipping_address": {**ADDRESS, "phone_number": "+49 1511 1234567"}},
}


@pytest.mark.parametrize("what", TAKEN)
def test_a_body_that_the_page_allows_is_taken(what: str) -> None:
    assert order(**TAKEN[what]).body("key-1", {})


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown retailer": ({"retailer": "bestbuy"}, "retailer", "one of amazon"),
    "a page for a number": ({"products": product(product_id="https://www.amazon.com/dp/B07JGBW826")},
                            "products[0].product_id", "place_order"),
    "a page without its scheme": ({"products": product(product_id="amazon.com/dp/B07JGBW826")},
                                  "products[0].product_id", "place_order"),
    "a number of another shop": ({"products": product(product_id="123456789")}, "products", "B07JGBW826"),
    "a number with signs": ({"products": product(product_id="B07JGBW826?x")}, "products[0].product_id", "letters"),
    "no product": ({"products": []}, "products", "at least one"),
    "too many products": ({"products": product() * 101}, "products", "split the order"),
    "no quantity": ({"products": product(quantity=0)}, "products[0].quantity", "at least 1"),
    "both ways of shipping": ({"shipping": {"order_by": "price"}}, "shipping_method", "either"),
    "no way of shipping": ({"shipping_method": None}, "shipping_method", "either"),
    "another way of shipping": ({"shipping_method": "drone"}, "shipping_method", "cheapest"),
    "an Amazon day without its method": ({"amazon_day": "Tuesday"}, "amazon_day", "shipping_method amazon_day"),
    "an Amazon day elsewhere": ({"retailer": "walmart", "products": product(product_id="123456789"),
                                 "shipping_method": "amazon_day"}, "shipping_method", "Amazon alone"),
    "days at Amazon elsewhere": ({"retailer": "walmart", "products": product(product_id="123456789"),
                                  "max_delivery_days": 3}, "max_delivery_days", "Amazon alone"),
    "a message that is too long": ({"is_gift": True, "gift_message": "x" * 241}, "gift_message", "240"),
    "a message of ten lines": ({"is_gift": True, "gift_message": "\n".join("1234567890")}, "gift_message", "9 lines"),
    "a message without a gift": ({"gift_message": "Hi"}, "gift_message", "is_gift"),
    "a gift that is required and none": ({"require_gift": True}, "require_gift", "is_gift"),
    "a discount above nothing": ({"zma_discount": 1}, "zma_discount", "at most 0"),
    "a discount below fifty": ({"zma_discount": -51}, "zma_discount", "at least -50"),
    "half a per cent": ({"zma_discount": -0.5}, "zma_discount", "whole number"),
    "a purchase order as text": ({"po_number": "PO-1"}, "po_number", "whole number"),
    "a price as text": ({"max_price": "50"}, "max_price", "whole number"),
    "no price": ({"max_price": None}, "max_price", "required"),
    "nothing to spend": ({"max_price": 0}, "max_price", "between 1"),
    "empty criteria": ({"products": criteria()}, CRITERIA, "say something"),
    "an unknown condition": ({"products": criteria(condition_in=["Shiny"])},
                             f"{CRITERIA}.condition_in[0]", "New"),
    "a merchant with signs": ({"products": criteria(merchant_id_in=["A/B"])},
                              f"{CRITERIA}.merchant_id_in", "plain ids"),
    "more than all ratings": ({"products": criteria(min_seller_percent_positive_feedback=101)},
                              f"{CRITERIA}.min_seller_percent_positive_feedback", "at most 100"),
    "criteria beside the page's own offer": ({"products": criteria(prime=True), "take_buybox_offers": True},
                                             "take_buybox_offers", "leave one"),
    "a code without its text": ({"promo_codes": [{"optional": True}]}, "promo_codes[0].code", "required"),
    "a blank code": ({"promo_codes": [{"code": " "}]}, "promo_codes[0].code", "empty"),
    "too many codes": ({"promo_codes": [{"code": "A"}] * 21}, "promo_codes", "at most 20"),
    "our own notes": ({"client_notes": {"zinc_mcp_key": "x"}}, "client_notes", "reserved"),
    "huge notes": ({"client_notes": {"text": "x" * 9000}}, "client_notes", "larger"),
    "a wrong ZIP code": ({"shipping_address": {**ADDRESS, "zip_code": "123"}}, "shipping_address.zip_code", "5 digits"),
    "v2's name of the ZIP code": ({"shipping_address": {**ADDRESS, "postal_code": "10001"}},
                                  "shipping_address.postal_code", "zip_code"),
    "a word for nothing as a name": ({"shipping_address": {**ADDRESS, "first_name": "null"}},
                                     "shipping_address.first_name", "real value"),
    "a long line": ({"shipping_address": {**ADDRESS, "address_line1": "x" * 61}}, "shipping_address.address_line1",
                    "60 characters"),
    "a country in three letters": ({"shipping_address": {**ADDRESS, "country": "USA"}}, "shipping_address.country",
                                   "alpha-2"),
    "a profile with signs": ({"retailer_account": {"profile": "../x"}}, "retailer_account.profile", ""),
    "a profile as text": ({"retailer_account": "mine"}, "retailer_account", "object"),
    **{
        f"{name} without a managed account": (
            {"retailer_account": {"profile": "mine"}, name: value}, name, "managed account alone"
        )
        for name, value in {
            "zma_discount": -1, "addax_queue_timeout": 60, "zma_prime_optout": True, "zma_priority_bid": 1
        }.items()
    },
    **{f"the owner's own {name}": ({name: {"x": "y"}}, name, why) for name, why in V1_NOT_IN_SCHEMA.items()},
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_arguments_that_the_page_or_the_promise_forbids_are_refused_with_what_to_change(what: str) -> None:
    changes, field, words = REFUSED[what]
    found = problems(**changes)
    assert [(name, words in reason) for name, reason in found] == [(field, True)], found


def test_all_that_is_wrong_with_an_address_is_told_at_once() -> None:
    wrong = {**ADDRESS, "zip_code": "None", "phone_number": "12", "first_name": "null", "country": "XX"}
    assert {field for field, _ in problems(shipping_address=wrong)} == {
        f"shipping_address.{name}" for name in ("first_name", "phone_number", "country", "zip_code")
    }


@pytest.mark.parametrize("retailer", RETAILERS)
@pytest.mark.parametrize("number", ["", "0", "x" * 40, "../../etc", "B07JGBW826\n", "\u0661" * 10, "%2e", "a b"])
def test_no_odd_number_passes_for_a_product(retailer: str, number: str) -> None:
    assert problems(retailer=retailer, products=product(product_id=number))


# Secrets


def texts() -> dict[str, dict[str, Any]]:
    """Return an order for each field that takes text, with the number of a card in that field."""
    address = {name: {"shipping_address": {**ADDRESS, name: CARD}} for name in (*ADDRESS, "address_line2", "country")}
    return {
        **address,
        "instructions": {"shipping_address": {**ADDRESS, "instructions": f"gate {CARD}"}},
        "product_id": {"retailer": "aliexpress", "products": product(product_id="4111111111111111")},
        "merchant_id_in": {"products": criteria(merchant_id_in=["4111111111111111"])},
        "gift_message": {"is_gift": True, "gift_message": f"pay with\n{CARD} 12/29 123"},
        "promo_codes": {"promo_codes": [{"code": CARD}]},
        "merchant_id": {"promo_codes": [{"code": "A", "merchant_id": CARD}]},
        "force_offers_postal_code": {"force_offers_postal_code": CARD},
        "amazon_day": {"shipping_method": "amazon_day", "amazon_day": CARD},
        "po_number": {"po_number": 4111111111111111},
        "max_price": {"max_price": 4111111111111111},
        "zma_priority_bid": {"zma_priority_bid": 4111111111111111},
        "client_notes": {"client_notes": {"a": [{"b": CARD}]}},
        "a number in client_notes": {"client_notes": {"a": 4111111111111111}},
        "a name in client_notes": {"client_notes": {CARD: 1}},
        "idempotency_key": {"idempotency_key": "5555-5555-5555-4444"},
        "profile": {"retailer_account": {"profile": "4111-1111-1111-1111"}},
        "retailer": {"retailer": CARD},
        "shipping_method": {"shipping_method": CARD},
        "American Express": {"client_notes": {"a": "378282246310005"}},
        "other digits": {"client_notes": {"a": "\uff14111\uff0d1111\uff0d1111\uff0d1111"}},
        "dots": {"client_notes": {"a": "4111.1111.1111.1111"}},
        "wide signs": {"client_notes": {"a": "4111 - 1111 - 1111 - 1111"}},
        "many spaces": {"client_notes": {"a": "   ".join("4111111111111111")}},
        "underscores": {"promo_codes": [{"code": "4111_1111_1111_1111"}]},
        "words between the groups": {"client_notes": {"a": "4111 then 1111 then 1111, and 1111"}},
        "letters like digits": {"client_notes": {"a": "4lll IIII llll 1111"}},
        "a date at once behind it": {"client_notes": {"a": "41111111111111111229"}},
        "a number with a point": {"client_notes": {"a": 4111111111111111.0}},
        "a number with a power of ten": {"client_notes": {"a": 4.111111111111111e15}},
        "several numbers": {"client_notes": {"a": [4111, 1111, 1111, 1111]}},
        "single digits": {"client_notes": {"a": [int(digit) for digit in "4111111111111111"]}},
        "several notes": {"client_notes": {"a": "41111111", "b": {"c": "11111111"}}},
        "several codes": {"promo_codes": [{"code": "41111111"}, {"code": "11111111"}]},
        "several sellers": {"products": criteria(merchant_id_in=["41111111", "11111111"])},
        "two lines": {"shipping_address": {**ADDRESS, "address_line1": "4111 1111", "address_line2": "1111 1111"}},
        "two names": {"shipping_address": {**ADDRESS, "first_name": "4111 1111", "last_name": "1111 1111"}},
        "a security code": {"client_notes": {"a": "CVV: 123"}},
        "a key for codes": {"client_notes": {"a": "otpauth://totp/x?secret=JBSWY3DPEHPK3PXP"}},
    }


def numbered(begins: str, length: int) -> str:
    """Return digits that begin so and add up as those of a card do."""
    rest = begins + "0" * (length - len(begins) - 1)
    total = sum(
        int(digit) if place % 2 else sum(divmod(2 * int(digit), 10)) for place, digit in enumerate(reversed(rest))
    )
    return f"{rest}{-total % 10}"


TELEPHONES = {
    "Brazil": "5511", "China": "8613", "Argentina": "5491", "Mexico": "5215", "Indonesia": "6281", "Egypt": "2010",
}  # fmt: skip
CARDS = {
    "American Express": ("37", 15), "Diners Club": ("36", 14), "Diners Club of the US": ("305", 14),
    "the older JCB": ("2131", 15), "Maestro": ("6304", 14), "Visa": ("4", 16), "Visa of 19": ("4", 19),
    "Mastercard": ("2221", 16), "Mir": ("2200", 16), "UnionPay": ("62", 16), "JCB": ("3528", 16),
}  # fmt: skip


@pytest.mark.parametrize("country", TELEPHONES)
def test_a_telephone_number_may_add_up_like_a_card_s(country: str) -> None:
    number = numbered(TELEPHONES[country], 13)
    for written in (number, f"+{number}", f"+{number[:2]} {number[2:]}", f"00{number}"):
        order(shipping_address={**ADDRESS, "phone_number": written})
    german = numbered("4915", 13)
    order(shipping_address={**ADDRESS, "phone_number": f"+{german[:2]} {german[2:]}"})
    [(_, reason)] = problems(shipping_address={**ADDRESS, "phone_number": german})
    assert "begins with + and its country" in reason


@pytest.mark.parametrize("card", CARDS)
def test_a_card_is_no_telephone_number_however_it_is_written(card: str) -> None:
    number = numbered(*CARDS[card])
    for written in (number, f"+{number}", f"+ {number[:4]} {number[4:]}", f"tel. {number}"):
        for field in ("phone_number", "instructions"):
            [(_, reason), *_] = problems(shipping_address={**ADDRESS, field: written})
            assert number not in reason


@pytest.mark.parametrize("where", texts())
def test_the_number_of_a_card_comes_in_nowhere_and_is_not_repeated(where: str) -> None:
    for _, reason in problems(**texts()[where]):
        assert "1111" not in reason
        assert "4444" not in reason


def test_numbers_that_are_no_card_s_are_taken() -> None:
    numbers = {
        "ticket": 51234567,
        "at": "2026-11-28 10:30:05",
        "parts": [4111, 2026, 11, 28],
        "parcel": "94001112025512345678",
    }
    assert order(client_notes={**numbers, "list": "4 pens, 12 cups, 2026 cards, 1 lamp", "rate": 0.125})


@pytest.mark.parametrize(
    "name",
    ["password", "old_password", "cvv", "CVC2", "card_number", "cardNumber", "totp_2fa_key", "totpKey", "apiSecret",
     "retailer_credentials", "security-code", "otp", "PAN", "pass", "Token", "api_key", "p\u0430ssw\u043erd",
     "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44", "Kennwort"],
)  # fmt: skip
def test_notes_with_the_name_of_a_secret_are_refused(name: str) -> None:
    for notes in ({name: "x"}, {"a": [{"b": {name: 1}}]}):
        ((field, reason),) = problems(client_notes=notes)
        assert field == "client_notes"
        assert "secret" in reason


@pytest.mark.parametrize(
    "name",
    ["company", "panel", "span", "secretary", "discovery", "pin_board", "customer_key", "bus_pass", "page_token"],
)
def test_notes_with_other_names_are_taken(name: str) -> None:
    assert order(client_notes={name: "x"})


def test_an_order_in_an_error_or_a_log_shows_no_text_of_the_arguments() -> None:
    with pytest.raises(ValueError) as refused:
        V1Order.model_validate(arguments(client_notes={"password": "planted-5a1e"}, po_number="planted-5a1e"))
    assert "planted-5a1e" not in str(refused.value)
