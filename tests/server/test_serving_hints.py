"""An unknown argument gets a hint to the one that was meant, and never to another purchase."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from server.as_a_host import both_eras, call, host, refused, usually_one_era
from wanted import ADDRESS, BOOK, arguments

from zinc_mcp.server.mcp.arguments import shapes
from zinc_mcp.server.mcp.hints import hint
from zinc_mcp.zinc.orders import OrderCreate


def models(model: type[BaseModel] = OrderCreate) -> Iterator[type[BaseModel]]:
    yield model
    for shape in shapes(model).values():
        if shape.model is not None:
            yield from models(shape.model)


FIELDS = [(model, field) for model in models() for field in model.model_fields]


def misspelt(field: str) -> Iterator[str]:
    """Return how a name is misspelt by people and by other APIs."""
    yield field.replace("_", "")
    yield "".join(part.title() for part in field.split("_"))
    yield field.upper()
    yield field.replace("_", "-")
    yield f"{field}_"
    if len(field) > 5:
        yield from (field[:place] + field[place + 1 :] for place in range(1, len(field) - 1))
        yield from (field[:place] + field[place] + field[place:] for place in range(len(field)))
        yield from (
            field[:place] + field[place + 1] + field[place] + field[place + 2 :] for place in range(len(field) - 2)
        )


def test_every_model_of_an_order_is_walked() -> None:
    assert {model.__name__ for model in models()} == {
        "OrderCreate",
        "OrderProduct",
        "ProductVariant",
        "Address",
        "OrderPayment",
        "MarginSpec",
        "CustomerNotifications",
        "FulfillmentPreferences",
    }


@pytest.mark.parametrize(("model", "field"), FIELDS, ids=lambda part: getattr(part, "__name__", part))
def test_a_misspelt_field_leads_to_that_field(model: type[BaseModel], field: str) -> None:
    wrong = {
        name: hint(name, model)
        for name in misspelt(field)
        if name not in model.model_fields and f"did you mean {field}?" not in hint(name, model)
    }
    assert wrong == {}


ALSO_CALLED = {
    "qty": ("products", "quantity"),
    "count": ("products", "quantity"),
    "variants": ("products", "variant"),
    "options": ("products", "variant"),
    "colour": ("products", "variant"),
    "size": ("products", "variant"),
    "link": ("products", "url"),
    "conditions": ("products", "condition_in"),
    "excludeConditions": ("products", "condition_not_in"),
    "zip": ("shipping_address", "postal_code"),
    "zipcode": ("shipping_address", "postal_code"),
    "postcode": ("shipping_address", "postal_code"),
    "phone": ("shipping_address", "phone_number"),
    "address2": ("shipping_address", "address_line2"),
    "street2": ("shipping_address", "address_line2"),
    "street": ("shipping_address", "address_line1"),
    "province": ("shipping_address", "state"),
    "name": ("shipping_address", "first_name and last_name"),
    "price": ("", "max_price"),
    "budget": ("", "max_price"),
    "max_cost": ("", "max_price"),
    "items": ("", "products"),
    "shipTo": ("", "shipping_address"),
    "quantity": ("", "products[].quantity"),
    "color": ("", "products[].variant"),
    "zip_code": ("", "shipping_address.postal_code"),
}


def with_unknown(where: str, name: str) -> dict[str, Any]:
    if where == "products":
        return arguments(products=[{"url": BOOK, name: 2}])
    if where == "shipping_address":
        return arguments(shipping_address={**ADDRESS, name: "x"})
    return arguments(**{name: 2})


@pytest.mark.sampled(8)
@both_eras
@pytest.mark.parametrize("name", ALSO_CALLED)
async def test_a_name_of_others_is_told_ours(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, name: str
) -> None:
    where, meant = ALSO_CALLED[name]
    async with open_test_process() as process, host(process, mode) as client:
        facts = await refused(client, "place_order", with_unknown(where, name))
    [problem] = facts["problems"]
    assert f"did you mean {meant}?" in problem["reason"]
    if meant == "max_price":
        assert "US cents, 6000 for $60.00" in problem["reason"]
    assert zinc.requests == []


OPPOSITE = [
    (OrderCreate, "min_price", "max_price"),
    (OrderCreate, "handling_days_min", "handling_days_max"),
    (shapes(OrderCreate)["fulfillment"].model, "merchants", "excluded_merchants"),
    (shapes(OrderCreate)["fulfillment"].model, "included_merchants", "excluded_merchants"),
    (shapes(OrderCreate)["fulfillment"].model, "not_gift", "gift"),
    (shapes(OrderCreate)["products"].model, "condition_not", "condition_in"),
    (shapes(OrderCreate)["products"].model, "not_condition_in", "condition_in"),
    (shapes(OrderCreate)["products"].model, "min_quantity", "quantity"),
]


@pytest.mark.parametrize(("model", "name", "field"), OPPOSITE)
def test_no_name_leads_to_the_field_that_says_the_opposite(model: type[BaseModel], name: str, field: str) -> None:
    assert f"did you mean {field}?" not in hint(name, model)


@pytest.mark.parametrize("name", ["dry_run", "test", "preview", "confirm"])
def test_a_caller_that_asks_for_a_trial_is_told_that_every_call_orders(name: str) -> None:
    assert "every call orders" in hint(name, OrderCreate)


@given(name=st.text(max_size=80), model=st.sampled_from(list(models())))
def test_no_hint_is_only_to_leave_something_out(name: str, model: type[BaseModel]) -> None:
    said = hint(name, model)
    assert "leave it out" not in said
    assert "did you mean" in said or "user" in said or "max_price" in said or "products[].url" in said
    assert len(said) <= 400


def test_fields_that_spend_outside_the_limits_are_no_hint_for_a_name_in_another_place() -> None:
    for model in (OrderCreate, shapes(OrderCreate)["products"].model, shapes(OrderCreate)["shipping_address"].model):
        for name in ("email", "e_mail", "customer", "margin", "payment_method", "mode"):
            if model is not None and name not in model.model_fields:
                assert not any(f"did you mean {place}" in hint(name, model) for place in ("payment.", "customer_not"))


@usually_one_era
async def test_a_look_up_with_another_name_is_told_ours(open_test_process: OpenProcess, mode: str) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        facts = await refused(client, "get_order", {"order_id": "x", "timeout": 5})
        assert "did you mean wait_seconds?" in facts["problems"][0]["reason"]
        facts = await refused(client, "get_order", {"id": "x"})
        assert "did you mean order_id?" in json.dumps(facts["problems"])
        assert "sent" not in facts["summary"]


# Values as hosts write them


@usually_one_era
async def test_whole_numbers_are_taken_however_they_are_written(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    wanted = arguments(
        max_price=json.loads("6e3"), handling_days_max=3.0, products=[{"url": BOOK, "quantity": json.loads("2.0")}]
    )
    async with open_test_process() as process, host(process, mode) as client:
        placed = await call(client, "place_order", wanted)
        looked = await call(client, "get_order", {"order_id": placed["key"], "wait_seconds": 0.0})
        again = await call(client, "place_order", arguments(**{**wanted, "max_price": 6000, "handling_days_max": 3}))
    [body] = zinc.bodies()
    assert (body["max_price"], body["handling_days_max"], body["products"][0]["quantity"]) == (6000, 3, 2)
    assert b"6000.0" not in zinc.posts[0].content and b"2.0" not in zinc.posts[0].content
    assert looked["order_id"] == again["order_id"] == placed["order_id"]


@usually_one_era
@pytest.mark.parametrize("price", [59.99, True, "6000", "6000.0", 6000.5, 1e400, float("-0.0")])
async def test_an_amount_that_is_not_whole_cents_is_refused(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, price: Any
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        facts = await refused(client, "place_order", arguments(max_price=price))
    assert [problem["field"] for problem in facts["problems"]] == ["max_price"]
    assert zinc.requests == []


@usually_one_era
async def test_null_is_not_given_at_every_depth(open_test_process: OpenProcess, zinc: FakeZinc, mode: str) -> None:
    product = {"url": BOOK, "quantity": None, "variant": None, "condition_in": None}
    address = {**ADDRESS, "country": None, "address_line2": None, "saved": None}
    wanted = arguments(
        products=[product], shipping_address=address, is_gift=None, fulfillment={"gift": None, "items": None}
    )
    async with open_test_process() as process, host(process, mode) as client:
        placed = await call(client, "place_order", wanted)
        await call(client, "get_order", {"order_id": placed["key"], "wait_seconds": None})
        assert (await call(client, "place_order", arguments()))["order_id"] == placed["order_id"]
    [body] = zinc.bodies()
    assert body["products"] == [{"url": BOOK}]
    assert "is_gift" not in body


@usually_one_era
@pytest.mark.parametrize("nothing", ["null", "None", "undefined"])
async def test_the_words_for_nothing_are_nothing_where_a_field_may_be_null(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, nothing: str
) -> None:
    left_out = dict.fromkeys(("idempotency_key", "po_number", "gift_message", "metadata", "payment"), nothing)
    async with open_test_process() as process, host(process, mode) as client:
        await call(client, "place_order", arguments(**left_out))
    body = zinc.bodies()[0]
    assert not {"po_number", "gift_message", "payment"} & body.keys()
    assert body["idempotency_key"] != nothing
    assert nothing not in json.dumps(body["metadata"])


@usually_one_era
async def test_notes_of_the_models_own_stay_as_they_are(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    notes = {"ratio": 2.0, "word": "null", "deep": [{"none": "None"}]}
    async with open_test_process() as process, host(process, mode) as client:
        await call(client, "place_order", arguments(metadata=notes))
    assert {**zinc.bodies()[0]["metadata"], **notes} == zinc.bodies()[0]["metadata"]
    assert b'"ratio":2.0' in zinc.posts[0].content


@usually_one_era
async def test_the_published_schemas_keep_whole_numbers(open_test_process: OpenProcess, mode: str) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        tools = {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}
    assert tools["place_order"]["properties"]["max_price"]["type"] == "integer"
    assert tools["get_order"]["properties"]["wait_seconds"]["type"] == "integer"
