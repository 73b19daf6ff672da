"""Our order model is Zinc's own schema with our rules, and no error repeats a value that was given."""

import json
import math
import time
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from wanted import ADDRESS, BOOK, arguments, order

from zinc_mcp.zinc.orders import Address, OrderCreate, Request, canonical
from zinc_mcp.zinc.texts.countries import ALPHA_2

PLANTED = "planted5a1e"
Changes = dict[str, Any]


def address(**changes: Any) -> Changes:
    return {"shipping_address": {**ADDRESS, **changes}}


def product(**changes: Any) -> Changes:
    return {"products": [{"url": BOOK, **changes}]}


def connect(**changes: Any) -> Changes:
    return {"payment": {"mode": "connect", "payment_method": "pm_1", **changes}}


def margin(kind: str, value: object) -> Changes:
    return connect(margin={"type": kind, "value": value})


def refusals(changes: Changes) -> list[tuple[str, str]]:
    """Return where and why an order is not taken."""
    with pytest.raises(ValidationError) as caught:
        OrderCreate.model_validate(arguments(**changes))
    assert PLANTED not in f"{caught.value!r} {caught.value}"
    found = caught.value.errors(include_url=False, include_context=False, include_input=False)
    return [(".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")) for each in found]


# Zinc's schema

TEXT: Changes = {"type": "string"}
CONDITION: Changes = {
    "type": "string",
    "enum": ["New", "Refurbished", "UsedLikeNew", "UsedVeryGood", "UsedGood", "UsedAcceptable"],
}


def optional(schema: Changes) -> Changes:
    return {"anyOf": [schema, {"type": "null"}], "default": None}


def ref(name: str) -> Changes:
    return {"$ref": f"#/$defs/{name}"}


def listed(schema: Changes) -> Changes:
    return {"type": "array", "items": schema}


# OpenAPI 2026-04-27 and 2026-06-26, and below the rule what the SDK has added since (facts 3 and 3.2).
SCHEMAS: dict[str, tuple[set[str], dict[str, Changes]]] = {
    "OrderCreate": (
        {"products", "shipping_address", "max_price"},
        {
            "products": listed(ref("OrderProduct")),
            "shipping_address": ref("Address"),
            "max_price": {"type": "integer"},
            "idempotency_key": optional({"type": "string", "maxLength": 36}),
            "retailer_credentials_id": optional(TEXT),
            "metadata": optional({"type": "object", "additionalProperties": True}),
            "po_number": optional(TEXT),
            "handling_days_max": optional({"type": "integer", "minimum": 1}),
            "is_gift": {"type": "boolean", "default": False},
            "payment": optional(ref("OrderPayment")),
            # SDK 2026.8.21 and 2026.9.18
            "gift_message": optional({"type": "string", "maxLength": 240}),
            "customer_notifications": optional(ref("CustomerNotifications")),
            "fulfillment": optional(ref("FulfillmentPreferences")),
        },
    ),
    "OrderProduct": (
        {"url"},
        {
            "url": TEXT,
            "quantity": {"type": "integer", "minimum": 1, "maximum": 100, "default": 1},
            "variant": optional(listed(ref("ProductVariant"))),
            "condition_in": optional(listed(CONDITION)),
            "condition_not_in": optional(listed(CONDITION)),
        },
    ),
    "ProductVariant": (
        {"label", "value"},
        {"label": {"type": "string", "minLength": 1}, "value": {"type": "string", "minLength": 1}},
    ),
    "Address": (
        {"first_name", "last_name", "address_line1", "city", "postal_code", "phone_number"},
        {
            **dict.fromkeys(("first_name", "last_name", "address_line1", "city", "postal_code", "phone_number"), TEXT),
            "address_line2": optional(TEXT),
            "state": optional(TEXT),
            "country": {"type": "string", "default": "US"},
        },
    ),
    "OrderPayment": (
        set(),
        {
            "mode": {"type": "string", "enum": ["wallet", "connect"], "default": "wallet"},
            "payment_method": optional(TEXT),
            "customer": optional(TEXT),
            "margin": optional(ref("MarginSpec")),
        },
    ),
    "MarginSpec": (
        {"type", "value"},
        {"type": {"type": "string", "enum": ["flat", "percent"]}, "value": {"type": "number", "minimum": 0}},
    ),
    "CustomerNotifications": ({"email"}, {"email": TEXT}),
    "FulfillmentPreferences": (
        set(),
        {
            **dict.fromkeys(("gift", "items", "quantity"), optional({"type": "string", "const": "best_effort"})),
            "excluded_merchants": optional({**listed(TEXT), "maxItems": 20}),
        },
    ),
}


def _published(name: str) -> dict[str, Any]:
    schema = OrderCreate.model_json_schema()
    return schema if name == "OrderCreate" else schema["$defs"][name]


def _bare(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in schema.items() if name not in ("title", "description")}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_is_zincs_own(name: str) -> None:
    required, properties = SCHEMAS[name]
    published = _published(name)
    assert {part: _bare(schema) for part, schema in published["properties"].items()} == properties
    assert set(published.get("required", [])) == required
    assert published["additionalProperties"] is False


def test_no_model_is_published_that_the_table_does_not_know() -> None:
    assert {"OrderCreate", *OrderCreate.model_json_schema()["$defs"]} == set(SCHEMAS)


# Refused orders

REFUSED: dict[str, tuple[Changes, str, str]] = {
    "no product": ({"products": []}, "products", "at least one product"),
    "101 products": ({"products": [{"url": BOOK}] * 101}, "products", "more than 100 products; split"),
    "two retailers": (
        {"products": [{"url": BOOK}, {"url": "https://www.walmart.com/ip/1234567"}]},
        "products",
        "one order for each retailer",
    ),
    "no url": ({"products": [{}]}, "products.0.url", "required"),
    "an http url": (product(url=f"http://amazon.com/{PLANTED}"), "products.0.url", "https://"),
    "a search page": (product(url="https://www.amazon.com/s?k=mouse"), "products.0.url", "search results"),
    "a url in two lines": (product(url=f"https://amazon.com/\n{PLANTED}"), "products.0.url", "invisible"),
    "half a character in a url": (product(url="https://amazon.com/\ud800"), "products.0.url", "invisible"),
    "quantity 0": (product(quantity=0), "products.0.quantity", "greater than or equal to 1"),
    "quantity 101": (product(quantity=101), "products.0.quantity", "less than or equal to 100"),
    "quantity as text": (product(quantity="1"), "products.0.quantity", "valid integer"),
    "quantity as true": (product(quantity=True), "products.0.quantity", "valid integer"),
    "quantity as 1.0": (product(quantity=1.0), "products.0.quantity", "valid integer"),
    "quantity null": (product(quantity=None), "products.0.quantity", "valid integer"),
    "an unknown part of a product": (product(asin=PLANTED), "products.0.asin", "not permitted"),
    "a nameless option": (
        product(variant=[{"label": "", "value": "M"}]),
        "products.0.variant.0.label",
        "at least 1 character",
    ),
    "an option without a value": (product(variant=[{"label": "Size"}]), "products.0.variant.0.value", "required"),
    "an invisible option": (
        product(variant=[{"label": "Size", "value": f"M\u200b{PLANTED}"}]),
        "products.0.variant.0.value",
        "invisible",
    ),
    "51 options": (product(variant=[{"label": "a", "value": "b"}] * 51), "products.0.variant", "more than 50"),
    "a condition of an offer's spelling": (product(condition_in=["Used - Good"]), "products.0.condition_in.0", "New"),
    "a condition in small letters": (product(condition_not_in=["new"]), "products.0.condition_not_in.0", "New"),
    "max_price 0": ({"max_price": 0}, "max_price", "between 1 and"),
    "max_price below 0": ({"max_price": -100}, "max_price", "between 1 and"),
    "max_price of a million and a cent": ({"max_price": 100_000_001}, "max_price", "between 1 and"),
    "max_price without an end": ({"max_price": 10**400}, "max_price", "between 1 and"),
    "max_price as text": ({"max_price": "100"}, "max_price", "valid integer"),
    "max_price as true": ({"max_price": True}, "max_price", "valid integer"),
    "max_price in dollars": ({"max_price": 100.5}, "max_price", "valid integer"),
    "max_price as 100.0": ({"max_price": 100.0}, "max_price", "valid integer"),
    "max_price null": ({"max_price": None}, "max_price", "valid integer"),
    "an unknown argument": ({"coupon": PLANTED}, "coupon", "not permitted"),
    "a card": ({"payment": {"mode": "card"}}, "payment.mode", "'wallet' or 'connect'"),
    "payment as text": ({"payment": PLANTED}, "payment", "dictionary"),
    "connect without a card": (
        {"payment": {"mode": "connect", "customer": "cus_1"}},
        "payment",
        "payment_method: connect mode needs",
    ),
    "a card without connect": ({"payment": {"payment_method": "pm_1"}}, "payment", "mode: payment_method"),
    "a margin without connect": (
        {"payment": {"mode": "wallet", "margin": {"type": "flat", "value": 1}}},
        "payment",
        "belong to mode connect",
    ),
    "another kind of card": (connect(payment_method=f"tok_{PLANTED}"), "payment", "payment_method: must be"),
    "another kind of customer": (connect(customer=PLANTED), "payment", "customer: must be"),
    "an unknown kind of margin": (margin("share", 5), "payment.margin.type", "'flat' or 'percent'"),
    "a margin as text": (margin("flat", "250"), "payment.margin.value", "valid number"),
    "a margin as true": (margin("flat", True), "payment.margin.value", "valid number"),
    "a margin below 0": (margin("percent", -0.5), "payment.margin.value", "greater than or equal to 0"),
    "a margin that is no number": (margin("percent", math.nan), "payment.margin.value", "finite"),
    "a margin without an end": (margin("percent", math.inf), "payment.margin.value", "finite"),
    "a margin in parts of a cent": (margin("flat", 2.5), "payment.margin", "value: a flat margin is whole cents"),
    "a key of 37 characters": ({"idempotency_key": "k" * 37}, "idempotency_key", "at most 36 characters"),
    "an empty key": ({"idempotency_key": ""}, "idempotency_key", "1 to 36"),
    "a key with a space": ({"idempotency_key": f"my {PLANTED}"}, "idempotency_key", "without spaces"),
    "a key in other letters": ({"idempotency_key": "schlüssel"}, "idempotency_key", "ASCII"),
    "a key as a number": ({"idempotency_key": 5}, "idempotency_key", "valid string"),
    "handling_days_max 0": ({"handling_days_max": 0}, "handling_days_max", "greater than or equal to 1"),
    "handling_days_max as text": ({"handling_days_max": "3"}, "handling_days_max", "valid integer"),
    "is_gift as text": ({"is_gift": "true"}, "is_gift", "valid boolean"),
    "is_gift as 1": ({"is_gift": 1}, "is_gift", "valid boolean"),
    "is_gift null": ({"is_gift": None}, "is_gift", "valid boolean"),
    "a message without a gift": ({"gift_message": "Hi"}, "", "gift_message: needs is_gift true"),
    "a message of 241 characters": (
        {"is_gift": True, "gift_message": "x" * 241},
        "gift_message",
        "at most 240 characters",
    ),
    "a message that runs backwards": (
        {"is_gift": True, "gift_message": f"\u202e{PLANTED}"},
        "gift_message",
        "invisible",
    ),
    "a gift preference without a gift": (
        {"fulfillment": {"gift": "best_effort"}},
        "",
        "fulfillment.gift: needs is_gift true",
    ),
    "an unknown preference": ({"fulfillment": {"speed": "best_effort"}}, "fulfillment.speed", "not permitted"),
    "an unknown way": ({"fulfillment": {"items": "strict"}}, "fulfillment.items", "'best_effort'"),
    "21 excluded merchants": (
        {"fulfillment": {"excluded_merchants": ["m"] * 21}},
        "fulfillment.excluded_merchants",
        "at most 20 items",
    ),
    "a nameless merchant": (
        {"fulfillment": {"excluded_merchants": [" "]}},
        "fulfillment.excluded_merchants",
        "must not be empty",
    ),
    "an e-mail address without a host": (
        {"customer_notifications": {"email": PLANTED}},
        "customer_notifications.email",
        "e-mail",
    ),
    "two e-mail addresses": (
        {"customer_notifications": {"email": "a@b.example,c@d.example"}},
        "customer_notifications.email",
        "e-mail",
    ),
    "notifications without an address": ({"customer_notifications": {}}, "customer_notifications.email", "required"),
    "an empty po_number": ({"po_number": " "}, "po_number", "must not be empty"),
    "a po_number in two lines": ({"po_number": f"{PLANTED}\r\nX: y"}, "po_number", "control"),
    "a po_number of 501 characters": ({"po_number": "x" * 501}, "po_number", "longer than 500"),
    "an account in two lines": ({"retailer_credentials_id": "zn_acct_1\n"}, "retailer_credentials_id", "control"),
    "metadata as a list": ({"metadata": [PLANTED]}, "metadata", "dictionary"),
    "metadata as text": ({"metadata": '{"a":1}'}, "metadata", "dictionary"),
    "metadata under our names": ({"metadata": {"zinc_mcp_key": PLANTED}}, "metadata", "zinc_mcp_ are reserved"),
    "NaN in metadata": ({"metadata": {"a": math.nan}}, "metadata", "plain JSON"),
    "infinity in metadata": ({"metadata": {"a": [{"b": -math.inf}]}}, "metadata", "plain JSON"),
    "half a character in metadata": ({"metadata": {"a": "\udc00"}}, "metadata", "plain JSON"),
    "half a character in a name": ({"metadata": {"\udc00": 1}}, "metadata", "plain JSON"),
    "bytes in metadata": ({"metadata": {"a": PLANTED.encode()}}, "metadata", "plain JSON"),
    "a number without an end in metadata": ({"metadata": {"a": 10**5000}}, "metadata", "plain JSON"),
    "a bell in metadata": ({"metadata": {"a": ["\x07"]}}, "metadata", "control"),
    "an invisible name in metadata": ({"metadata": {"a": {"b\u2066": 1}}}, "metadata", "control"),
    "metadata of 8193 bytes": ({"metadata": {"a": "x" * 8184}}, "metadata", "8192 bytes"),
    "metadata of 4097 long characters": ({"metadata": {"a": "é" * 4093}}, "metadata", "8192 bytes"),
    "metadata of 21 levels": ({"metadata": json.loads('{"a":' * 20 + "{}" + "}" * 20)}, "metadata", "20 levels"),
    "an unknown part of an address": (address(company=PLANTED), "shipping_address.company", "not permitted"),
    "the sandbox page's name": ({"shipping_address": {"name": PLANTED}}, "shipping_address.first_name", "required"),
    "a country's name": (address(country="United States"), "shipping_address.country", "alpha-2"),
    "USA": (address(country="USA"), "shipping_address.country", "not USA"),
    "UK": (address(country="UK"), "shipping_address.country", "GB"),
    "an unassigned country": (address(country="ZZ"), "shipping_address.country", "alpha-2"),
    "no country": (address(country=""), "shipping_address.country", "alpha-2"),
    "61 characters in line 1": (address(address_line1="x" * 61), "shipping_address.address_line1", "60 characters"),
    "61 characters in line 2": (address(address_line2="x" * 61), "shipping_address.address_line2", "60 characters"),
    "a line in two lines": (address(address_line1="a\nb"), "shipping_address.address_line1", "control"),
    "a short telephone number": (address(phone_number="555-01"), "shipping_address.phone_number", "at least 7 digits"),
    **{
        f"{name} {what}": (address(**{name: text}), f"shipping_address.{name}", reason)
        for name in ("first_name", "last_name", "address_line1", "city", "postal_code", "phone_number")
        for what, text, reason in (
            ("empty", " ", "must not be empty"),
            ("of joiners", "\u200d\u200c", "must not be empty"),
            ("of blank letters", "\u3164", "invisible"),
            ("backwards", f"\u202e{PLANTED}", "invisible"),
            ("without an end", "7" * 501, "longer than 500"),
            ("null", None, "valid string"),
        )
    },
    **{
        f"the ZIP code {code!r}": (address(postal_code=code), "shipping_address", "postal_code: a US ZIP code is 5")
        for code in (
            "1000",
            "100011",
            "10001-",
            "10001-12",
            "10001-12345",
            "1000A",
            "10001 1234",
            " 10001",
            "\u0661\u0660\u0660\u0660\u0661",
        )
    },
}


@pytest.mark.parametrize("what", REFUSED)
def test_each_rule_names_the_field_and_the_change_to_make(what: str) -> None:
    changes, field, reason = REFUSED[what]
    found = refusals(changes)
    assert field in [where for where, _ in found]
    assert reason in dict(found)[field]


@pytest.mark.parametrize("what", [what for what in REFUSED if what != "the sandbox page's name"])
def test_a_mistake_is_reported_once(what: str) -> None:
    assert len(refusals(REFUSED[what][0])) == 1


# Accepted orders

TAKEN: dict[str, Changes] = {
    "bounds of the quantity": {"products": [{"url": BOOK, "quantity": 1}, {"url": BOOK, "quantity": 100}]},
    "100 products": {"products": [{"url": BOOK}] * 100},
    "one retailer under two hosts": {"products": [{"url": BOOK}, {"url": "https://smile.amazon.com/dp/B000000001"}]},
    "options as on the page": product(variant=[{"label": "Size", "value": "½ \u200dM"}]),
    "all conditions": product(condition_in=CONDITION["enum"], condition_not_in=[]),
    "the bounds of max_price": {"max_price": 1},
    "the upper bound of max_price": {"max_price": 100_000_000},
    "a key of 36 characters": {"idempotency_key": "6f1f2f0e-3d0b-5d0e-9a55-2a1c0f6f7b11"},
    "an address line of 60 characters": address(address_line1="x" * 60, address_line2="y" * 60),
    "a ZIP code of 5+4": address(postal_code="10001-1234"),
    "a postal code elsewhere": address(country="GB", postal_code="SW1A 1AA", state=None),
    "other letters": address(first_name="अक्ष\u200dय", last_name="Ωμέγα", city="京都"),
    "a percent margin in parts": margin("percent", 12.5),
    "a margin of nothing": margin("flat", 0),
    "a saved card": connect(customer="cus_1"),
    "the wallet, said": {"payment": {"mode": "wallet"}},
    "a gift in two lines": {"is_gift": True, "gift_message": "Happy birthday\nAda", "fulfillment": {}},
    "every preference": {
        "is_gift": True,
        "fulfillment": {
            **dict.fromkeys(("gift", "items", "quantity"), "best_effort"),
            "excluded_merchants": ["amzn1.x"] * 20,
        },
    },
    "metadata of 8192 bytes": {"metadata": {"a": "x" * 8183}},
    "metadata of 8192 bytes in small parts": {"metadata": {"a": [1] * 2728}},
    "metadata of 20 levels": {"metadata": json.loads('{"a":' * 19 + "{}" + "}" * 19)},
    "every kind of metadata": {"metadata": {"a": [None, True, 1, 1.5, "é\n", {}], "zinc": 1}},
}


@pytest.mark.parametrize("what", TAKEN)
def test_an_order_that_zinc_takes_is_taken_and_sent_as_given(what: str) -> None:
    assert json.loads(canonical(order(**TAKEN[what]).to_wire())) == _without_nulls(arguments(**TAKEN[what]))


def _without_nulls(given: dict[str, Any]) -> dict[str, Any]:
    kept = {name: part for name, part in given["shipping_address"].items() if part is not None}
    return {**given, "shipping_address": kept}


def test_a_field_that_was_not_set_is_not_sent() -> None:
    assert order().to_wire() == arguments()


def test_a_null_means_the_same_as_no_value() -> None:
    nothing = {name: None for name, part in OrderCreate.model_fields.items() if part.default is None}
    assert len(nothing) == 9
    given = arguments(
        **nothing,
        products=[{"url": BOOK, "variant": None, "condition_in": None, "condition_not_in": None}],
        shipping_address={**ADDRESS, "address_line2": None},
    )
    assert OrderCreate.model_validate(given).to_wire() == arguments()


def test_a_null_inside_metadata_is_the_callers_own_and_is_sent() -> None:
    assert order(metadata={"a": None, "b": [None, {"c": None}]}).to_wire()["metadata"] == {
        "a": None,
        "b": [None, {"c": None}],
    }


@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_line_or_state_is_not_sent(blank: str) -> None:
    sent = order(**address(address_line2=blank, state=blank)).to_wire()["shipping_address"]
    assert {"address_line2", "state"}.isdisjoint(sent)


@pytest.mark.parametrize("country", ["us", "Us"])
def test_a_country_is_taken_in_small_letters_and_sent_in_capitals(country: str) -> None:
    assert order(**address(country=country)).to_wire()["shipping_address"]["country"] == "US"


def test_the_countries_are_alpha_2_codes() -> None:
    assert len(ALPHA_2) == 250
    assert all(len(code) == 2 and code.isupper() and code.isascii() for code in ALPHA_2)
    assert {"US", "CA", "GB", "DE", "XK"} <= ALPHA_2
    assert ALPHA_2.isdisjoint({"UK", "EU", "AN", "ZZ"})


@pytest.mark.parametrize("kind", ["flat", "percent"])
def test_a_whole_margin_is_sent_as_a_whole_number(kind: str) -> None:
    assert '"value":250}' in canonical(order(**margin(kind, 250)).to_wire())


def test_an_order_knows_its_retailer_and_cannot_be_changed() -> None:
    wanted = order()
    assert wanted.retailer == "amazon.com"
    with pytest.raises(ValidationError):
        setattr(wanted, "max_price", 1)  # noqa: B010  # as code that no type checker has seen


# Large and hostile


def _deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


HUGE: dict[str, Callable[[], Any]] = {
    "one value of 10 MB": lambda: {"a": "x" * 10_000_000},
    "one name of 10 MB": lambda: {"x" * 10_000_000: 1},
    "very many values": lambda: {str(number): number for number in range(300_000)},
    "a list of a million values": lambda: {"a": [0] * 1_000_000},
    "a hundred thousand levels": lambda: _deep(100_000),
}


@pytest.mark.parametrize("what", HUGE)
def test_huge_metadata_is_refused_before_anything_walks_it(what: str) -> None:
    metadata = HUGE[what]()
    given = arguments(metadata=metadata)
    best = 1.0  # of several: on a busy machine each may be disturbed, and none is too fast
    for _ in range(5):
        started = time.process_time()
        with pytest.raises(ValidationError) as caught:
            OrderCreate.model_validate(given)
        best = min(best, time.process_time() - started)
        assert len(str(caught.value)) < 500
    assert best < 0.1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=8), parts, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(sorted(OrderCreate.model_fields)) | st.text(max_size=5), json_values))
def test_any_arguments_are_an_order_or_a_validation_error(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OrderCreate.model_validate(given)


@given(json_values, st.sampled_from(sorted(OrderCreate.model_fields)))
def test_every_order_that_is_taken_can_be_sent(value: Any, name: str) -> None:
    try:
        taken = OrderCreate.model_validate(arguments(**{name: value}))
    except ValidationError:
        return
    assert json.loads(canonical(taken.to_wire()))["max_price"] == taken.max_price


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=70))
def test_an_address_that_is_taken_can_be_read_by_a_person(text: str) -> None:
    try:
        taken = Address.model_validate({**ADDRESS, "address_line1": text})
    except ValidationError:
        return
    assert taken.address_line1 == text
    assert text.strip()
    assert {unicodedata.category(character) for character in text}.isdisjoint({"Cc", "Cs", "Co", "Zl", "Zp"})
    assert not {"\u202e", "\u2066", "\u200b", "\u00ad", "\u3164"} & set(text)


def test_every_part_of_a_request_is_closed_and_hides_its_values() -> None:
    models = [model for model in Request.__subclasses__() if model.__module__ == OrderCreate.__module__]
    assert {model.__name__ for model in models} == set(SCHEMAS)
    for model in models:
        assert model.model_config.get("extra") == "forbid"
        assert model.model_config.get("hide_input_in_errors") is True
