"""A refused argument is a structured error that echoes no value and sends nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from server.as_a_host import both_eras, call, host, refused, size, usually_one_era
from wanted import ADDRESS, BOOK, arguments

PLANTED = "planted-and-never-echoed"


def address(**changes: Any) -> dict[str, Any]:
    return arguments(shipping_address={**ADDRESS, **changes})


def product(**changes: Any) -> dict[str, Any]:
    return arguments(products=[{"url": BOOK, **changes}])


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "money as text": (arguments(max_price="100"), "max_price", "whole number"),
    "money as true": (arguments(max_price=True), "max_price", "whole number"),
    "money with a fraction": (arguments(max_price=100.5), "max_price", "whole number"),
    "money that is whole but a float": (arguments(max_price=1e400), "max_price", "US cents, 6000"),
    "no money": (arguments(max_price=0), "max_price", "between 1 and"),
    "negative money": (arguments(max_price=-1), "max_price", "between 1 and"),
    "money without end": (arguments(max_price=10**30), "max_price", "between 1 and"),
    "money that is null": (arguments(max_price=None), "max_price", "is required; US cents, 6000 for $60.00"),
    "an argument nobody knows": (arguments(max_prise=1), "max_prise", "did you mean max_price"),
    "an argument nobody could mean": (arguments(loyalty="gold"), "loyalty", "ask the user before"),
    "a confirmation of the model's own": (arguments(confirmed=True), "confirmed", "only the user can confirm"),
    "no product": (arguments(products=[]), "products", "at least one"),
    "products of several retailers": (
        arguments(products=[{"url": BOOK}, {"url": "https://www.target.com/p/x/-/A-1"}]),
        "products",
        "several retailers",
    ),
    "quantity as text": (product(quantity="2"), "products[0].quantity", "whole number"),
    "quantity as true": (product(quantity=True), "products[0].quantity", "whole number"),
    "quantity of none": (product(quantity=0), "products[0].quantity", "at least 1"),
    "quantity of too many": (product(quantity=101), "products[0].quantity", "at most 100"),
    "a key of a product nobody knows": (product(qty=2), "products[0].qty", "did you mean quantity?"),
    "a search page": (product(url="https://www.amazon.com/s?k=book"), "products[0].url", "search results"),
    "plain http": (product(url="http://www.amazon.com/dp/B07JGBW826"), "products[0].url", "https://"),
    "no url": (product(url=PLANTED), "products[0].url", "https://"),
    "a condition nobody knows": (product(condition_in=["Broken"]), "products[0].condition_in[0]", "'New'"),
    "an empty variant": (product(variant=[{"label": "", "value": "M"}]), "products[0].variant[0].label", "at least 1"),
    "a product that is none": (arguments(products=["book"]), "products[0]", "object"),
    "no city": (
        arguments(shipping_address={k: v for k, v in ADDRESS.items() if k != "city"}),
        "shipping_address.city",
        "required",
    ),
    "USA": (address(country="USA"), "shipping_address.country", "alpha-2"),
    "a ZIP that is none": (address(postal_code="1000"), "shipping_address.postal_code", "5 digits"),
    "a line too long": (address(address_line1="x" * 61), "shipping_address.address_line1", "60 characters"),
    "no telephone": (address(phone_number="none"), "shipping_address.phone_number", "7 digits"),
    "a bidirectional mark": (address(city="New\u202eYork"), "shipping_address.city", "invisible"),
    "a control character": (address(first_name="A\x1b[2Jda"), "shipping_address.first_name", "control"),
    "an address that is none": (arguments(shipping_address="home"), "shipping_address", "object"),
    "a saved address that is none": (arguments(shipping_address={"saved": 7}), "shipping_address.saved", "text"),
    "a saved address and more": (
        arguments(shipping_address={"saved": "home", "city": PLANTED}),
        "shipping_address.city",
        "a saved address alone, or the whole address",
    ),
    "a gift message without a gift": (arguments(gift_message="Hello"), "gift_message", "is_gift"),
    "a gift message too long": (arguments(is_gift=True, gift_message="x" * 241), "gift_message", "at most 240"),
    "a gift that is text": (arguments(is_gift="true"), "is_gift", "true or false"),
    "a key too long": (arguments(idempotency_key="k" * 37), "idempotency_key", "at most 36"),
    "a key with spaces": (arguments(idempotency_key="a b"), "idempotency_key", "without spaces"),
    "days that are none": (arguments(handling_days_max=0), "handling_days_max", "at least 1"),
    "metadata of ours": (arguments(metadata={"zinc_mcp_key": PLANTED}), "metadata", "reserved"),
    "metadata that is text": (arguments(metadata=PLANTED), "metadata", "object"),
    "metadata a little too large": (arguments(metadata={"a": "x" * 9_000}), "metadata", "8192"),
    "metadata far too large": (arguments(metadata={"a": "x" * 10_000_000}), "metadata", "far too large"),
    "metadata far too large as text": (arguments(metadata="x" * 10_000_000), "metadata", "far too large"),
    "metadata with too much in it": (arguments(metadata={"a": [0] * 30_000}), "metadata", "far too many"),
    "metadata far too deep": (arguments(metadata=nested(60)), "metadata", "nested"),
    "metadata as text far too deep": (arguments(metadata="[" * 60 + "]" * 60), "metadata", "nested"),
    "metadata as text no parser takes": (arguments(metadata="[" * 99_999 + "]" * 99_999), "metadata", "object"),
    "connect without its fields": (arguments(payment={"mode": "connect"}), "payment.payment_method", "pm_"),
    "a margin with a fraction of a cent": (
        arguments(payment={"mode": "connect", "payment_method": "pm_1", "margin": {"type": "flat", "value": 0.5}}),
        "payment.margin.value",
        "whole cents",
    ),
    "an e-mail that is none": (
        arguments(customer_notifications={"email": PLANTED}),
        "customer_notifications.email",
        "e-mail",
    ),
    "a preference nobody knows": (arguments(fulfillment={"items": "strict"}), "fulfillment.items", "best_effort"),
}


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize("tool", ["place_order", "place_agent_order"])
@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_argument_is_named_and_nothing_is_sent(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, tool: str, wrong: str
) -> None:
    given, field, reason = WRONG[wrong]
    async with open_test_process() as process, host(process, mode) as client:
        facts = await refused(client, tool, given)
    assert (facts["code"], facts["outcome"]) == ("invalid_arguments", "refused")
    assert facts["money_may_have_moved"] is False
    assert [problem["field"] for problem in facts["problems"]] == [field]
    assert reason in facts["problems"][0]["reason"]
    assert PLANTED not in json.dumps(facts)
    assert size(facts) < 1_000
    assert zinc.requests == []


@usually_one_era
async def test_everything_that_is_wrong_is_named_at_once(open_test_process: OpenProcess, mode: str) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        facts = await refused(client, "place_order", {"max_price": "5", "colour": "red", "shipping_address": {}})
        assert {problem["field"] for problem in facts["problems"]} == {
            "products",
            "max_price",
            "colour",
            *(f"shipping_address.{name}" for name in ("first_name", "last_name", "address_line1", "city")),
            *(f"shipping_address.{name}" for name in ("postal_code", "phone_number")),
        }
        assert "9 arguments must change" in facts["summary"]


@usually_one_era
async def test_a_long_list_of_problems_is_cut(open_test_process: OpenProcess, mode: str) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        facts = await refused(client, "place_order", arguments(products=[{"url": 1}] * 90))
        assert len(facts["problems"]) == 10
        assert size(facts) < 2_000
        thousands = await refused(client, "place_order", arguments(products=[{"url": 1}] * 5_000))
        assert [each["reason"] for each in thousands["problems"]] == ["has more than 100 products; split the order"]
        many = await refused(client, "place_order", {f"argument{number}" * 50: number for number in range(1_000)})
        assert "1000 arguments" in many["problems"][0]["reason"]


@usually_one_era
async def test_lists_and_objects_are_taken_as_json_text_as_well(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    given = arguments(metadata={"note": "for Ada"})
    as_text = {name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in given.items()}
    async with open_test_process() as process, host(process, mode) as client:
        assert (await call(client, "place_order", as_text))["new_order"] is True
    assert zinc.bodies()[0]["products"] == [{"url": BOOK}]
    assert zinc.bodies()[0]["metadata"]["note"] == "for Ada"


@usually_one_era
async def test_nulls_for_optional_arguments_are_taken(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    left_out = dict.fromkeys(("idempotency_key", "metadata", "po_number", "payment", "gift_message"))
    async with open_test_process() as process, host(process, mode) as client:
        await call(client, "place_order", arguments(**left_out))
    assert left_out.keys() & zinc.bodies()[0].keys() <= {"idempotency_key", "metadata"}


@usually_one_era
async def test_a_saved_address_is_used_by_its_name(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, write_config: Callable[[str], Path]
) -> None:
    write_config("[addresses.home]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in ADDRESS.items()))
    async with open_test_process() as process, host(process, mode) as client:
        facts = await call(client, "place_order", arguments(shipping_address={"saved": "home"}))
        assert facts["ship_to"] == {"city": "New York", "country": "US", "saved": "home"}
        sent = zinc.bodies()[0]["shipping_address"]
        assert {**ADDRESS, **sent} == sent
        unknown = await refused(client, "place_order", arguments(shipping_address={"saved": PLANTED}))
        assert unknown["code"] == "unknown_address"
        assert "home" in unknown["next_step"]
        assert PLANTED not in json.dumps(unknown)


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "order_id"),
        ({"order_id": ""}, "order_id"),
        ({"order_id": 7}, "order_id"),
        ({"order_id": "x" * 101}, "order_id"),
        ({"order_id": "a b"}, "order_id"),
        ({"order_id": "a\u202eb"}, "order_id"),
        ({"order_id": "x", "wait_seconds": 26}, "wait_seconds"),
        ({"order_id": "x", "wait_seconds": -1}, "wait_seconds"),
        ({"order_id": "x", "wait_seconds": True}, "wait_seconds"),
        ({"order_id": "x", "wait_seconds": "5"}, "wait_seconds"),
        ({"order_id": "x", "wait_seconds": 2.5}, "wait_seconds"),
        ({"order_id": "x", "wait": 5}, "wait"),
        ({"order_id": {"a": 1}}, "order_id"),
    ],
)
async def test_a_look_up_takes_an_id_and_a_short_wait(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, given: dict[str, Any], field: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        facts = await refused(client, "get_order", given)
    assert facts["code"] == "invalid_arguments"
    assert [problem["field"] for problem in facts["problems"]] == [field]
    assert zinc.requests == []
