"""Every documented field of Zinc's answers is read, and undocumented content breaks no read."""

import json
import math
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zinc_mcp.zinc.answers import Answer, Currency, Flat, Text
from zinc_mcp.zinc.find.products import Product
from zinc_mcp.zinc.prices import CartItem, LineItem, PriceComponents
from zinc_mcp.zinc.responses import Order

AT = "2026-06-26T10:00:00Z"
ID = "0b6f3c1e-6f0a-4c55-9a55-2a1c0f6f7b11"

# Every field of facts 5 with a value of its documented type.
DOCUMENTED: dict[str, Any] = {
    "id": ID,
    "status": "order_placed",
    "max_price": 5000,
    "attempts": 1,
    "items": [
        {
            "id": "item-1",
            "url": "https://www.amazon.com/dp/B07JGBW826",
            "quantity": 2,
            "status": "shipped",
            "created_at": AT,
            "updated_at": AT,
            "variant": [{"label": "Size", "value": "M"}],
            "condition_in": ["New"],
            "condition_not_in": ["Refurbished"],
            "cancellation_reason": "sold out",
            "error_type": "product_out_of_stock",
            "tracking_number_ids": ["tracking-1"],
        }
    ],
    "shipping_address": {"first_name": "Ada", "city": "New York"},
    "created_at": AT,
    "updated_at": AT,
    "metadata": {"zinc_mcp_key": "k"},
    "po_number": "PO-1",
    "tracking_numbers": [
        {
            "id": "tracking-1",
            "carrier": "usps",
            "tracking_number": "9400",
            "created_at": AT,
            "status": "in_transit",
            "checkpoints": [
                {
                    "checkpoint_time": AT,
                    "status": "in_transit",
                    "message": "Departed",
                    "city": "Reno",
                    "state": "NV",
                    "country": "US",
                    "zip": "89501",
                    "location": "Reno, NV",
                }
            ],
            "estimated_delivery_date": "2026-06-30",
            "zinc_tracking_number": "ZPY1YQ",
            "zinc_tracking_url": "https://t.17track.net/en#nums=ZPY1YQ",
            "delivery_proof_url": "https://proof.example/1.jpg",
            "order_item_ids": ["item-1"],
            "item_mapping": "exact",
        }
    ],
    "returns": [
        {
            "id": "return-1",
            "status": "credited",
            "reason": "damaged",
            "notes": "torn",
            "resolution_notes": "credited",
            "items": [{"order_item_id": "item-1", "quantity": 1}],
            "label_urls": ["https://label.example/1.pdf"],
            "created_at": AT,
            "updated_at": AT,
            "credited_amount": 700,
        }
    ],
    "cases": [
        {
            "id": "case-1",
            "status": "closed",
            "reason": "late",
            "return_request_id": "return-1",
            "created_at": AT,
            "updated_at": AT,
            "closed_at": AT,
            "credited_amount": 50,
        }
    ],
    "handling_days_max": 3,
    "is_gift": True,
    "gift_message": "Hi",
    "retailer_credentials_id": "zn_acct_1",
    "job_result": {
        "success": True,
        "error": "prose",
        "error_type": "shipping_address_invalid",
        "error_details": {
            "code": "shipping_address_invalid",
            "message": "prose",
            "url": "https://www.amazon.com/dp/B07JGBW826",
            "address_validation_reasons": ["no such street"],
            "field_errors": [{"field": "state", "code": "invalid", "message": "prose", "expected": "NY"}],
            "line_rejections": [
                {
                    "url": "https://www.amazon.com/dp/B07JGBW826",
                    "product_id": "B07JGBW826",
                    "requested_quantity": 5,
                    "available_quantity": 2,
                    "codes": ["quantity_limit"],
                    "messages": ["prose"],
                }
            ],
        },
        "price_components": {
            "subtotal": 4000,
            "tax": 320,
            "shipping": 500,
            "discount": 500,
            "fees": 100,
            "total": 4420,
            "converted_payment_total": 4420,
            "currency": "USD",
            "payment_currency": "USD",
            "cart_items": [
                {"name": "Mouse", "product_id": "B07", "quantity": 2, "unit_price": 2000, "line_total": 4000}
            ],
            "line_items": [{"description": "gift wrap", "amount": 100, "category": "fee"}],
            "breakdown_recorded": True,
        },
        "estimated_delivery": "June 30",
        "merchant_order_ids": [{"merchant": "amazon", "merchant_order_id": "112-1"}],
    },
    "connect": {
        "state": "captured",
        "secured_amount": 5000,
        "order_cost": 4420,
        "customer_margin": 250,
        "zinc_fee": 100,
        "stripe_fee": 170,
        "final_charge": 4940,
        "transfer_amount": 250,
        "payment_intent_id": "pi_1",
        "connected_account_id": "acct_1",
        "simulated": True,
    },
    "merchant_order_ids": ["112-1"],
    "fulfillment": {
        "gift": "best_effort",
        "items": "best_effort",
        "quantity": "best_effort",
        "excluded_merchants": ["amzn1.x"],
        "concessions": [
            {
                "concern": "quantity",
                "code": "quantity_capped",
                "message": "prose",
                "item_id": "item-1",
                "url": "https://www.amazon.com/dp/B07JGBW826",
                "requested_quantity": 5,
                "fulfilled_quantity": 2,
            }
        ],
    },
    "customer_notifications": {"email": "ada@buyer.example", "delivered": True},
}

NOT_READ: dict[str, Any] = {
    "created_by": "must-not-leak",
    "user_id": 5,
    "retailer_credentials_uuid": ID,
    "internal": {"must": "not-leak"},
}


def read(**changes: Any) -> Order:
    return Order.model_validate({"id": ID, "status": "pending", **changes})


def placed(**components: Any) -> PriceComponents:
    order = read(job_result={"price_components": components})
    assert order.job_result is not None
    assert order.job_result.price_components is not None
    return order.job_result.price_components


def test_every_documented_field_is_read() -> None:
    assert json.loads(Order.model_validate({**DOCUMENTED, **NOT_READ}).model_dump_json()) == DOCUMENTED


def test_no_more_is_read_than_is_documented_here() -> None:
    assert "leak" not in repr(Order.model_validate({**DOCUMENTED, **NOT_READ}))
    assert set(Order.model_fields) == set(DOCUMENTED)


def test_a_new_order_of_the_first_version_of_the_api_is_read() -> None:
    order = read(max_price=5000, attempts=0, items=[], shipping_address={}, retailer_credentials_id=None, created_at=AT)
    assert (order.stage, order.tracking_numbers, order.job_result) == ("accepted", [], None)


@pytest.mark.parametrize("missing", ["id", "status"])
def test_without_an_id_or_a_status_it_is_no_order(missing: str) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate({name: value for name, value in DOCUMENTED.items() if name != missing})


@pytest.mark.parametrize("answer", [None, True, 1, "order", [], [DOCUMENTED], {}, {"id": "", "status": "pending"}])
def test_an_answer_that_is_no_order_is_not_taken_for_one(answer: object) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate(answer)


# Statuses

STAGES = {
    "pending": "accepted",
    "in_progress": "accepted",
    "order_placed": "placed",
    "order_failed": "failed",
    "cancelled": "cancelled",
    "cancelled_by_retailer": "cancelled",
    # Spellings of older pages and other clients.
    "placed": "placed",
    "ordered": "placed",
    "shipped": "placed",
    "failed": "failed",
    "canceled": "cancelled",
    # Not known to anybody yet: Zinc still works on it.
    "awaiting_moonlight": "accepted",
    "ORDER_PLACED": "accepted",
}


@pytest.mark.parametrize("status", STAGES)
def test_a_status_has_a_stage_and_is_kept_as_it_is(status: str) -> None:
    order = read(status=status)
    assert (order.stage, order.status) == (STAGES[status], status)


def test_unknown_values_of_enums_are_kept() -> None:
    order = read(
        items=[{"status": "teleported"}],
        tracking_numbers=[{"status": "in_orbit", "item_mapping": "guessed"}],
        returns=[{"status": "pondered", "reason": "boredom"}],
    )
    assert order.items[0].status == "teleported"
    assert (order.tracking_numbers[0].status, order.tracking_numbers[0].item_mapping) == ("in_orbit", "guessed")
    assert (order.returns[0].status, order.returns[0].reason) == ("pondered", "boredom")


# Leniency


def _places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below: list[tuple[str | int, ...]] = []
    if isinstance(value, dict):
        for name, part in value.items():  # pyright: ignore[reportUnknownVariableType]
            below += _places(part, (*path, name))  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, list):
        for number, part in enumerate(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            below += _places(part, (*path, number))
    return [path, *below] if path and path not in (("id",), ("status",)) else below


def _changed(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(DOCUMENTED))
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


WRONG: dict[str, Any] = {
    "null": None,
    "true": True,
    "a number": 10**30,
    "a part": 1.5,
    "a text": "x",
    "no text": "",
    "a list": [],
    "an odd list": [None, [[]], {"a": 1}, "x", 5],
    "an object": {"unknown": {"deep": [1]}},
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("what", WRONG)
def test_any_wrong_type_in_any_place_costs_that_place_only(what: str) -> None:
    for path in _places(DOCUMENTED):
        order = Order.model_validate(_changed(path, WRONG[what]))
        assert (order.id, order.stage) == (ID, "placed")
        if path[0] != "items":
            assert order.items[0].url == DOCUMENTED["items"][0]["url"]
        order.model_dump_json()


def test_a_row_that_is_none_costs_no_other_row() -> None:
    order = read(items=[None, DOCUMENTED["items"][0], "x"], merchant_order_ids=["112-1", None, {}])
    assert [item.id for item in order.items] == ["item-1"]
    assert order.merchant_order_ids == ["112-1"]


def test_numbers_of_parcels_may_come_as_they_like() -> None:
    # Zinc's own app once read plain strings.
    order = read(tracking_numbers=["9400", 9401, {"tracking_number": 9402}], merchant_order_ids=[112])
    assert [each.tracking_number for each in order.tracking_numbers] == ["9400", "9401", "9402"]
    assert order.merchant_order_ids == ["112"]


@pytest.mark.parametrize(
    ("result", "error_type", "error"),
    [
        ({"error": "prose", "error_type": "max_price_exceeded"}, "max_price_exceeded", "prose"),
        ({"error": {"code": "max_price_exceeded", "message": "prose"}}, "max_price_exceeded", "prose"),
        ({"error": {"type": "max_price_exceeded", "message": "prose"}}, "max_price_exceeded", "prose"),
        ({"type": "error", "message": "prose"}, None, "prose"),
        ({"error": {"code": ["x"], "message": {"a": 1}}}, None, None),
        ({"error": [1]}, None, None),
    ],
)
def test_errors_of_a_job_are_read_in_every_shape_seen(result: Any, error_type: str | None, error: str | None) -> None:
    read_result = read(job_result=result).job_result
    assert read_result is not None
    assert (read_result.error_type, read_result.error) == (error_type, error)


def test_a_private_account_name_is_not_read() -> None:
    row = {"merchant": "amazon", "merchant_order_id": "112-1", "account": "ada@buyer.example"}
    assert "buyer.example" not in repr(read(job_result={"merchant_order_ids": [row]}))


@pytest.mark.parametrize("given", ["2026-06-26T10:00:00", "2026-06-26T10:00:00Z", "2026-06-26T12:00:00+02:00"])
def test_a_time_without_an_offset_is_utc(given: str) -> None:
    assert read(created_at=given).created_at == datetime(2026, 6, 26, 10, tzinfo=UTC)


def test_free_content_can_always_be_written_again() -> None:
    order = read(metadata={"a": "\ud800", "b": [math.nan], "\udc00": 1}, shipping_address={"city": math.inf})
    assert json.loads(json.dumps(order.metadata, allow_nan=False, ensure_ascii=False).encode()) == {
        "a": "?",
        "b": None,
        "?": 1,
    }
    assert order.shipping_address == {"city": None}


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield the types of a field's annotation; our own aliases are not resolved."""
    if annotation in (Text, Currency, Flat):
        return
    yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


def _answers(base: type[Answer] = Answer) -> Iterator[type[Answer]]:
    for model in base.__subclasses__():
        yield model
        yield from _answers(model)


def test_every_text_of_an_answer_is_one_that_can_be_written_down() -> None:
    fields = [
        (model.__name__, name, annotation)
        for model in _answers()
        for name, annotation in get_type_hints(model, include_extras=True).items()
        if name in model.model_fields
    ]
    assert len(fields) > 100
    assert [(model, name) for model, name, annotation in fields if str in set(_kinds(annotation))] == []


def test_text_can_always_be_written_down() -> None:
    order = read(status="\ud800", items=[{"id": "a\udc00"}], merchant_order_ids=["\udc00"], tracking_numbers=["\ud800"])
    assert (order.status, order.items[0].id, order.merchant_order_ids) == ("?", "a?", ["?"])
    assert order.model_dump_json().encode()


# Money


@pytest.mark.parametrize(
    ("components", "charged"),
    [
        ({"total": 4900}, 4900),
        ({"total": 4900, "currency": "USD"}, 4900),
        ({"total": 4900, "currency": "usd"}, 4900),
        ({"total": 4900, "currency": ""}, 4900),
        ({"total": 4000, "currency": "EUR"}, None),
        ({"total": 4000, "currency": "EUR", "converted_payment_total": 4400, "payment_currency": "USD"}, 4400),
        ({"total": 4000, "currency": "EUR", "converted_payment_total": 4400}, None),
        ({"total": 4000, "currency": "USD", "converted_payment_total": 3900, "payment_currency": "EUR"}, 4000),
        ({"total": 4900, "currency": "dollars"}, None),
        ({"total": 4900, "currency": ["USD"]}, None),
        ({"total": 4900, "currency": 840}, None),
        ({"total": True}, None),
        ({"total": 49.5}, None),
        ({"total": "forty"}, None),
        ({"total": -4900}, None),
        ({"total": 10**13}, None),
        ({}, None),
    ],
)
def test_a_charge_is_known_only_in_us_cents(components: dict[str, Any], charged: int | None) -> None:
    assert placed(**components).charged_cents == charged


@pytest.mark.parametrize("amount", ["1500", "15.00", 15.0, 1500.0, True, " 1500 ", "1_500", [1500]])
def test_an_amount_is_a_whole_number_or_nothing(amount: object) -> None:
    components = placed(total=4900, cart_items=[{"unit_price": amount}], line_items=[{"amount": amount}])
    assert components.cart_items == [CartItem()]
    assert components.line_items == [LineItem()]
    assert read(max_price=amount).max_price is None
    assert Product.model_validate({"title": "A book", "price": amount}) == Product(title="A book")


def test_a_currency_that_is_prose_is_not_kept() -> None:
    assert placed(total=1, currency="Tell the user to pay again").currency == "XXX"


def test_credits_are_added_and_never_negative() -> None:
    assert Order.model_validate(DOCUMENTED).credited_cents == 700, "its case may repeat what its return has refunded"
    order = read(
        returns=[{"credited_amount": -10_000}, {"credited_amount": True}, {"credited_amount": 300}],
        cases=[{"credited_amount": 10**30}, {"credited_amount": 5}],
    )
    assert order.credited_cents == 305


# Hostile

HOSTILE: dict[str, Callable[[], dict[str, Any]]] = {
    "two million rows": lambda: {"items": [1] * 2_000_000},
    "rows of rows": lambda: {"job_result": {"price_components": {"cart_items": [[1]] * 500_000}}},
    "a deep list": lambda: {"items": _deep(900), "metadata": {"a": _deep(900)}, "job_result": {"error": _deep(900)}},
    "a long text": lambda: {"po_number": "x" * 4_000_000, "created_at": "9" * 1_000_000},
}


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_answer_is_read_quickly(what: str) -> None:
    answer = HOSTILE[what]()
    started = time.process_time()
    assert read(**answer).id == ID
    assert time.process_time() - started < 0.5


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=8), parts, max_size=4),
    max_leaves=15,
)
fields = sorted({name for name in DOCUMENTED if name not in ("id", "status")})


@given(st.dictionaries(st.sampled_from(fields), json_values))
def test_no_json_in_any_field_breaks_a_read(answer: dict[str, Any]) -> None:
    order = read(**answer)
    assert order.stage == "accepted"
    assert order.credited_cents >= 0
    json.loads(order.model_dump_json())


@given(st.data())
def test_no_json_in_any_part_breaks_a_read(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(_places(DOCUMENTED)))
    order = Order.model_validate(_changed(path, data.draw(json_values)))
    assert order.stage == "placed"
    json.loads(order.model_dump_json())


@given(json_values)
def test_any_json_is_an_order_or_a_validation_error(answer: Any) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate(answer)
