"""Each answer of v1 proves what it should, in both documented shapes, and a hostile one proves nothing."""

import base64
import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from zinc_mcp.errors import (
    ChangeOutcomeUnknownError,
    ChangeRejectedError,
    OrderAlreadyExistsError,
    OrderNotFoundError,
    OrderOutcomeUnknownError,
    OrderRejectedError,
    SettingsError,
    UnreadableAnswerError,
    ZincUnreachableError,
)
from zinc_mcp.zinc.placed.order_list import OrderList
from zinc_mcp.zinc.responses import Order
from zinc_mcp.zinc.v1.aftercare.cancellations import ask_to_cancel
from zinc_mcp.zinc.v1.client import V1Client
from zinc_mcp.zinc.v1.codes import CODES
from zinc_mcp.zinc.v1.order_list import find_orders, read_list, read_order

PLANTED = "client-token-planted-5a1e"
TOKEN = SecretStr(PLANTED)
ID = "3f1c0a9e5b7d4c2f8a6e0d1b2c3f4a5b"
OTHER_ID = "00000000000000000000000000000000"
KEY = "key-1"
PLACED: dict[str, Any] = {
    "_type": "order_response",
    "price_components": {
        "converted_payment_total": 1999,
        "currency": "USD",
        "payment_currency": "USD",
        "shipping": 0,
        "subtotal": 1850,
        "tax": 149,
        "total": 1999,
    },
    "merchant_order_ids": [
        {
            "merchant_order_id": "112-1234567-1234567",
            "merchant": "amazon",
            "account": "planted@example.com",
            "placed_at": "2026-11-07T05:31:56Z",
        }
    ],
    "tracking": [
        {
            "product_id": "B07JGBW826",
            "merchant_order_id": "112-1234567-1234567",
            "carrier": "UPS",
            "tracking_number": "1Z9",
            "obtained_at": "2026-11-08T05:31:56Z",
        }
    ],
    "request": {
        "retailer": "amazon",
        "products": [{"product_id": "B07JGBW826", "quantity": 2}],
        "shipping_address": {"first_name": "planted-name", "address_line1": "planted-street"},
        "retailer_credentials": {"email": "planted@example.com", "password": "planted-password"},
        "payment_method": {"number": "4111111111111111", "security_code": "123"},
        "client_notes": {"mine": "x", "zinc_mcp_key": KEY},
    },
    "delivery_dates": [{"date": "2026-11-12", "products": [{"product_id": "B07JGBW826", "quantity": 2}]}],
    "account_status": {"prime": True, "fresh": False, "business": False, "charity": None},
}
OLDER: dict[str, Any] = {
    **PLACED,
    "price_components": {
        "total": 1999,
        "subtotal": 1850,
        "tax": 149,
        "shipping": 0,
        "currency": "USD",
        "products": [{"product_id": "B07JGBW826", "quantity": 2, "price": 925}],
        "gift_certificate": 0,
    },
    "merchant_order_ids": [
        {
            "merchant_order_id": "112-1234567-1234567",
            "merchant": "amazon",
            "account": "planted@example.com",
            "placed_at": "2026-11-07T05:31:56.000Z",
            "tracking": ["1Z9"],
            "product_ids": ["B07JGBW826"],
            "tracking_url": "https://track.example/1Z9",
            "delivery_date": "2026-11-12",
        }
    ],
    "tracking": [
        {
            "product_ids": ["B07JGBW826"],
            "merchant_order_id": "112-1234567-1234567",
            "carrier": "UPS",
            "tracking_number": "1Z9",
            "obtained_at": "2026-11-08T05:31:56.000Z",
            "delivery_status": "InTransit",
            "tracking_url": "https://track.example/1Z9",
            "retailer_tracking_number": "TBA1",
            "retailer_tracking_url": "https://retailer.example/TBA1",
        }
    ],
    "account_status": [{"prime": True}],
}


def error(code: str, **more: Any) -> dict[str, Any]:
    return {"_type": "error", "code": code, "message": "words for developers", "data": {}, **more}


class FakeV1:
    """Answers every request with what it is given, and keeps the requests."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status, content = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(content, Exception):
            raise content
        if isinstance(content, bytes):
            return httpx.Response(status, content=content)
        return httpx.Response(status, json=content)


@asynccontextmanager
async def client_of(zinc: Callable[[httpx.Request], httpx.Response]) -> AsyncGenerator[V1Client]:
    client = V1Client("http://127.0.0.1:9/v1", transport=httpx.MockTransport(zinc))
    try:
        yield client
    finally:
        await client.aclose()


async def posted(content: object, status: int = 200) -> Order:
    async with client_of(FakeV1((status, content))) as client:
        return await client.create(b"{}", TOKEN)


async def read(content: object, status: int = 200, sent: dict[str, Any] | None = None) -> Order:
    async with client_of(FakeV1((status, content))) as client:
        return await client.read(ID, TOKEN, sent)


# Requests


async def test_an_order_is_posted_with_the_token_as_user_and_without_a_password() -> None:
    zinc = FakeV1((200, {"request_id": ID}))
    async with client_of(zinc) as client:
        order = await client.create(b'{"a":"\xc3\xa4"}', TOKEN)
    assert (order.id, order.status, order.stage) == (ID, "pending", "accepted")
    (request,) = zinc.requests
    assert (request.method, str(request.url)) == ("POST", "http://127.0.0.1:9/v1/orders")
    assert request.content == b'{"a":"\xc3\xa4"}'
    assert request.headers["content-type"] == "application/json"
    assert base64.b64decode(request.headers["authorization"].removeprefix("Basic ")) == f"{PLANTED}:".encode()


async def test_each_question_has_its_address() -> None:
    zinc = FakeV1((200, {"_type": "x", "request_id": ID, "code": "y"}))
    async with client_of(zinc) as client:
        await ask_to_cancel(client, ID, "112-1", "k", TOKEN)
        await client.read_cancellation(ID, TOKEN)
        await client.read_return(ID, TOKEN)
        await client.get_case(ID, TOKEN)
        await client.balance(TOKEN)
        await client.transactions(TOKEN, count=5, offset=10)
        with pytest.raises(ChangeOutcomeUnknownError):
            await client.abort(ID, TOKEN)
    asked = [f"{each.method} {each.url.raw_path.decode()} {each.content.decode()}".strip() for each in zinc.requests]
    assert asked == [
        f'POST /v1/orders/{ID}/cancel {{"idempotency_key":"k","merchant_order_id":"112-1"}}',
        f"GET /v1/cancellations/{ID}",
        f"GET /v1/returns/{ID}",
        f"GET /v1/orders/{ID}/case",
        "GET /v1/addax/balance",
        "GET /v1/addax/transactions?count=5&offset=10",
        f"POST /v1/orders/{ID}/abort {{}}",
    ]


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "a:b", "ä"])
async def test_a_token_that_no_header_can_carry_is_not_sent(token: str) -> None:
    zinc = FakeV1((200, {"request_id": ID}))
    async with client_of(zinc) as client:
        with pytest.raises(ZincUnreachableError) as refused:
            await client.create(b"{}", SecretStr(token))
    assert zinc.requests == []
    assert not token or token not in str(refused.value)


@pytest.mark.parametrize("request_id", ["", "../x", "a/b", "a b", "key:1", "x" * 101])
async def test_an_id_that_is_none_is_not_asked_for(request_id: str) -> None:
    zinc = FakeV1((200, PLACED))
    async with client_of(zinc) as client:
        with pytest.raises(OrderNotFoundError):
            await client.read(request_id, TOKEN)
    assert zinc.requests == []


def test_plain_http_is_for_this_machine_alone() -> None:
    with pytest.raises(SettingsError, match="ZINC_V1_API_URL"):
        V1Client("http://api.zinc.example/v1")


async def test_a_connection_that_is_not_made_has_sent_nothing() -> None:
    async with client_of(FakeV1((0, httpx.ConnectError("no")))) as client:
        with pytest.raises(ZincUnreachableError, match="nothing was sent"):
            await client.create(b"{}", TOKEN)
        with pytest.raises(ZincUnreachableError):
            await client.read(ID, TOKEN)


@pytest.mark.parametrize("lost", [httpx.ReadError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x")])
async def test_a_lost_answer_leaves_the_outcome_open(lost: Exception) -> None:
    async with client_of(FakeV1((0, lost))) as client:
        with pytest.raises(OrderOutcomeUnknownError):
            await client.create(b"{}", TOKEN)
        with pytest.raises(ChangeOutcomeUnknownError):
            await client.abort(ID, TOKEN)
        with pytest.raises(UnreadableAnswerError):
            await client.read(ID, TOKEN)


async def test_the_token_is_taken_out_of_answers_and_stays_out_of_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = {**PLACED, "request": {**PLACED["request"], "client_notes": {"quoted": PLANTED}}}
    order = await read(shown)
    assert PLANTED not in order.model_dump_json()
    assert PLANTED not in caplog.text


# The answer to the request that orders


@pytest.mark.sampled(40)
@pytest.mark.parametrize("status", [200, 201, 400, 500])
@pytest.mark.parametrize("code", sorted(CODES))
async def test_each_code_as_the_answer_to_the_request(code: str, status: int) -> None:
    row = CODES[code]
    if row.post == "rejected":
        with pytest.raises(OrderRejectedError) as refused:
            await posted(error(code), status)
        assert (refused.value.zinc_code, refused.value.summary) == (code, row.sentence)
        assert refused.value.next_step == row.next_step
        assert refused.value.facts["zinc_message"] == "words for developers"
    elif code == "duplicate_order":
        with pytest.raises(OrderAlreadyExistsError):
            await posted(error(code), status)
    else:
        with pytest.raises(OrderOutcomeUnknownError):
            await posted(error(code), status)


@pytest.mark.parametrize("status", [200, 202])
async def test_an_id_is_an_accepted_order(status: int) -> None:
    assert (await posted({"request_id": ID}, status)).id == ID


@pytest.mark.parametrize("status", [302, 403, 502])
async def test_an_id_with_a_status_of_an_error_may_be_a_gateways_own(status: int) -> None:
    with pytest.raises(OrderOutcomeUnknownError):
        await posted({"message": "Bad gateway", "request_id": OTHER_ID}, status)


@pytest.mark.parametrize("code", ["request_processing", "internal_error", "max_price_exceeded"])
async def test_an_error_with_an_id_is_looked_at_and_not_believed(code: str) -> None:
    order = await posted(error(code, request_id=ID))
    assert (order.id, order.stage) == (ID, "accepted")


@pytest.mark.parametrize("where", [{"request_id": OTHER_ID}, {"data": {"request_id": OTHER_ID}}])
async def test_the_order_that_a_duplicate_is_like_is_not_taken_for_it(where: dict[str, Any]) -> None:
    with pytest.raises(OrderAlreadyExistsError):
        await posted(error("duplicate_order", **where))
    shown = await read(error("duplicate_order", data={"request_id": OTHER_ID}))
    assert (shown.id, shown.is_left_to_people) == (ID, True)
    listed = {**error("duplicate_order", data={"request_id": OTHER_ID}), "request": PLACED["request"]}
    async with client_of(FakeV1((200, [listed]))) as client:
        [order] = await find_orders(client, "zinc_mcp_key", KEY, TOKEN)
    assert order.id == f"key:{KEY}"


@pytest.mark.parametrize("code", sorted(name for name, row in CODES.items() if row.later == "no_answer"))
async def test_the_id_of_a_refused_call_is_no_order(code: str) -> None:
    with pytest.raises(OrderRejectedError if CODES[code].post == "rejected" else OrderOutcomeUnknownError):
        await posted(error(code, request_id=OTHER_ID))


@pytest.mark.parametrize("status", [200, 400, 401, 404, 422, 500, 503])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>planted</html>",
        b'{"request_id":',
        b'"text"',
        b"[]",
        {},
        {"request_id": None},
        {"request_id": 5},
        {"request_id": "../x"},
        {"request_id": "x" * 300},
        {"error": {"code": "validation_error"}},
        {"_type": "error"},
        {"_type": "error", "code": None},
        {"_type": "error", "code": "something_new"},
        {"_type": "error", "code": ["invalid_request"]},
        {"_type": "Error", "code": "invalid_request"},
        {"_type": "order_response"},
    ],
)
async def test_a_text_that_is_no_answer_of_v1_leaves_the_outcome_open(content: object, status: int) -> None:
    with pytest.raises(OrderOutcomeUnknownError):
        await posted(content, status)


async def test_the_fields_that_zinc_objects_to_are_named_without_their_values() -> None:
    rows = [
        {"path": "shipping_address.zip_code", "message": "is \x1b[31mnot valid", "value": "planted-value"},
        {"path": ["x"], "message": {"a": 1}},
        "text",
        {"path": "payment_method.number", "message": "4111 1111 1111 1111 is not valid"},
    ]
    with pytest.raises(OrderRejectedError) as refused:
        await posted(error("invalid_request", data={"validator_errors": rows * 20}))
    first, _, third = refused.value.problems[:3]
    assert (first.field, first.reason) == ("shipping_address.zip_code", "Zinc says: is not valid")
    assert (third.field, third.reason) == ("payment_method.number", "Zinc says: ")
    assert len(refused.value.problems) == 20
    assert "planted-value" not in str(refused.value.problems)


# What became of an order


@pytest.mark.parametrize("code", sorted(CODES))
async def test_each_code_as_what_became_of_an_order(code: str) -> None:
    row = CODES[code]
    if row.later == "no_answer":
        with pytest.raises(OrderNotFoundError if code == "invalid_request_id" else OrderRejectedError):
            await read(error(code))
        return
    order = await read(error(code))
    assert order.id == ID
    stages = {"failed": "failed", "cancelled": "cancelled", "running": "accepted", "unknown": "accepted"}
    assert order.stage == stages[row.later]
    assert order.is_status_known == (row.later != "unknown")
    assert order.is_unclear == (row.later == "unknown")
    if code == "request_processing":
        assert order.status == "in_progress"
        assert order.job_result is not None and order.job_result.error_type is None
    else:
        assert order.job_result is not None and order.job_result.error_type == code


@pytest.mark.parametrize("code", sorted(CODES))
async def test_nothing_ends_an_order_that_comes_with_a_5xx(code: str) -> None:
    try:
        order = await read(error(code), 500)
    except (UnreadableAnswerError, OrderRejectedError, OrderNotFoundError):
        return
    assert order.stage == "accepted"


@pytest.mark.parametrize("code", ["invalid_request", "something_new"])
async def test_a_general_refusal_with_a_4xx_is_one_of_the_question(code: str) -> None:
    with pytest.raises(OrderRejectedError):
        await read(error(code), 400)


async def test_a_code_that_nobody_knows_ends_nothing() -> None:
    order = await read(error("something_new"))
    assert (order.status, order.stage, order.is_unclear) == ("error_something_new", "accepted", True)
    assert (await read(error("Not \x1b a code"))).status == "error_other"


@pytest.mark.parametrize(
    "word", "cancelled canceled cancelled_by_retailer failed order_failed placed ordered shipped pending".split()
)
async def test_a_code_that_is_a_status_of_v2_proves_nothing(word: str) -> None:
    order = await read(error(word))
    assert (order.stage, order.is_status_known) == ("accepted", False)


@pytest.mark.parametrize("shape", [PLACED, OLDER], ids=["newer", "older"])
@pytest.mark.parametrize("status", [200, 400])
async def test_a_placed_order_is_read_in_both_shapes(shape: dict[str, Any], status: int) -> None:
    order = await read(shape, status)
    assert (order.id, order.status, order.stage, order.is_unclear) == (ID, "order_placed", "placed", False)
    assert order.merchant_order_ids == ["112-1234567-1234567"]
    (item,) = order.items
    assert (item.url, item.quantity, item.status) == ("https://www.amazon.com/dp/B07JGBW826", 2, "ordered")
    (parcel,) = order.tracking_numbers
    assert (parcel.carrier, parcel.tracking_number) == ("UPS", "1Z9")
    assert parcel.created_at == datetime(2026, 11, 8, 5, 31, 56, tzinfo=UTC)
    assert parcel.order_item_ids == [item.id]
    assert parcel.status == ("in_transit" if shape is OLDER else None)
    assert order.created_at == datetime(2026, 11, 7, 5, 31, 56, tzinfo=UTC)
    result = order.job_result
    assert result is not None and result.price_components is not None
    assert (result.success, result.estimated_delivery) == (True, "2026-11-12")
    price = result.price_components
    assert (price.subtotal, price.tax, price.shipping, price.total) == (1850, 149, 0, 1999)
    assert price.charged_cents == 1999
    assert order.metadata == {"mine": "x", "zinc_mcp_key": KEY}


@pytest.mark.parametrize("shape", [PLACED, OLDER], ids=["newer", "older"])
async def test_nothing_of_the_echoed_request_but_products_and_notes_is_kept(shape: dict[str, Any]) -> None:
    told = error("invalid_login_credentials", message="planted@example.com cannot sign in", request=shape["request"])
    for order in (await read(shape), await read(told)):
        kept = f"{order.model_dump_json()} {order!r}"
        for planted in ("planted", "4111111111111111", "@"):
            assert planted not in kept


async def test_the_number_of_a_card_in_zincs_words_is_not_kept() -> None:
    order = await read(error("invalid_card_number", message="4111-1111-1111-1111 is not a card"))
    assert order.job_result is not None
    assert order.job_result.error is None


async def test_a_retailers_number_that_is_an_address_is_left_out() -> None:
    rows = [{"merchant_order_id": "planted@example.com", "merchant": "amazon"}, {"merchant_order_id": "112-2"}]
    assert (await read({**PLACED, "merchant_order_ids": rows})).merchant_order_ids == ["112-2"]


async def test_of_several_days_of_delivery_none_is_told() -> None:
    order = await read({**PLACED, "delivery_dates": ["2026-11-12", {"date": "2026-11-13"}]})
    assert order.job_result is not None and order.job_result.estimated_delivery is None


async def test_a_failed_order_with_a_retailers_number_is_unclear() -> None:
    order = await read(error("internal_error", data={"merchant_order_ids": PLACED["merchant_order_ids"]}))
    assert (order.named_stage, order.stage) == ("failed", "accepted")
    assert order.ending_is_unclear


# Money


def managed(**more: Any) -> dict[str, Any]:
    return {"retailer": "amazon", "addax": True, **more}


@pytest.mark.parametrize(
    ("price", "sent", "charged", "fees"),
    [
        # The total is that of the retailer: what the managed account adds comes on top.
        ({"total": 1999}, managed(zma_priority_bid=150), 2149, 150),
        ({"total": 1999, "subtotal": 1850, "tax": 149, "shipping": 0}, managed(zma_priority_bid=150), 2149, 150),
        ({"total": 1999}, managed(zma_discount=-10), 2199, 200),
        ({"total": 1999, "converted_payment_total": 1999}, managed(zma_priority_bid=1), 2000, 1),
        # It counts them already.
        ({"total": 2149, "subtotal": 1850, "tax": 149, "shipping": 0}, managed(zma_priority_bid=150), 2149, 150),
        ({"total": 1999, "converted_payment_total": 2149}, managed(zma_priority_bid=150), 2149, 150),
        # In other money, what is added is in dollars.
        (
            {"total": 1000, "currency": "GBP", "converted_payment_total": 1300, "payment_currency": "USD"},
            managed(zma_priority_bid=150, zma_discount=-10),
            1580,
            None,
        ),
        ({"total": 1000, "currency": "GBP"}, managed(zma_priority_bid=150), None, None),
        # Nothing is added.
        ({"total": 1999}, managed(), 1999, None),
        ({"total": 1999}, {"retailer": "amazon", "zma_priority_bid": 150}, 1999, None),
        ({"total": 1999}, managed(zma_priority_bid="150", zma_discount=5), 1999, None),
        # No amount can be believed.
        ({"total": "19.99"}, managed(zma_priority_bid=150), None, None),
        ({"total": 1999, "converted_payment_total": 2500}, managed(zma_priority_bid=150), None, None),
        ({"total": 19.99}, managed(), None, None),
        ({"total": -5}, managed(), None, None),
        ({"total": 1999, "subtotal": 9000, "tax": 0, "shipping": 0}, managed(), None, None),
    ],
)
async def test_the_costs_that_a_managed_account_adds_are_counted(
    price: dict[str, Any], sent: dict[str, Any], charged: int | None, fees: int | None
) -> None:
    for order in (
        await read({**PLACED, "price_components": price, "request": sent}),
        await read({**PLACED, "price_components": price, "request": {}}, sent=sent),
    ):
        assert order.job_result is not None and order.job_result.price_components is not None
        assert order.job_result.price_components.charged_cents == charged
        assert order.job_result.price_components.fees == fees


@pytest.mark.parametrize(
    ("price", "charged"),
    [
        ({"total": 1999, "gift_certificate": 500}, 1999),
        ({"total": 1499, "gift_certificate": 500}, 1999),
        ({"total": 0, "gift_certificate": 1999}, 1999),
        ({"total": 1499, "converted_payment_total": 1499, "gift_certificate": 500}, 1999),
        ({"total": 700, "gift_certificate": 500}, None),
        ({"total": 1499, "tax": None, "gift_certificate": 500}, None),
    ],
)
async def test_money_of_the_gift_balance_is_paid_whether_the_total_counts_it_or_not(
    price: dict[str, Any], charged: int | None
) -> None:
    parts = {"subtotal": 1850, "tax": 149, "shipping": 0}
    order = await read({**PLACED, "price_components": {**parts, **price}})
    assert order.job_result is not None and order.job_result.price_components is not None
    assert order.job_result.price_components.charged_cents == charged


# Hostile answers


async def test_an_answer_about_another_request_is_not_used() -> None:
    for content in ({**PLACED, "request_id": OTHER_ID}, error("max_price_exceeded", request_id=OTHER_ID)):
        with pytest.raises(UnreadableAnswerError, match="another request"):
            await read(content)
    assert (await read({**PLACED, "request_id": ID.upper()})).id == ID


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b"null", {}, {"request_id": ID}, {"_type": "cancellation_response"}, {"_type": ["error"]}],
)
@pytest.mark.parametrize("status", [200, 404, 500])
async def test_an_answer_that_is_no_order_is_not_read_as_one(content: object, status: int) -> None:
    with pytest.raises(UnreadableAnswerError):
        await read(content, status)


WRONG: list[object] = [None, True, 5, -1.5, 10**30, "", "\x00\ud800\x1b[31m", "x" * 100_000, [], [None, 5, "x", {}, []],
                       {}, {"a": {"b": []}}, [[[]]], [{}] * 500]  # fmt: skip


@pytest.mark.parametrize("wrong", range(len(WRONG)))
async def test_no_part_of_a_wrong_type_breaks_the_reading(wrong: int) -> None:
    for name in (*PLACED, "client_notes", "_created_at", "created_at", "data", "message"):
        if name != "_type":
            for whole in (PLACED, error("max_price_exceeded"), error("request_processing")):
                order = await read_or_none({**whole, name: WRONG[wrong]})
                assert order is None or order.model_dump_json().encode()


async def read_or_none(content: dict[str, Any]) -> Order | None:
    try:
        return await read(json.dumps(content).encode())
    except (UnreadableAnswerError, OrderRejectedError):
        return None


@pytest.mark.sampled(16)
@pytest.mark.parametrize("wrong", range(len(WRONG)))
@pytest.mark.parametrize("part", ["price_components", "merchant_order_ids", "tracking", "request", "delivery_dates"])
async def test_no_inner_part_of_a_wrong_type_breaks_the_reading(part: str, wrong: int) -> None:
    inner = OLDER[part][0] if isinstance(OLDER[part], list) else OLDER[part]
    for name in inner:
        broken: dict[str, Any] = {**inner, name: WRONG[wrong]}
        order = await read_or_none({**OLDER, part: [broken] if isinstance(OLDER[part], list) else broken})
        assert order is None or order.stage == "placed"


async def test_many_rows_are_bounded_and_counted() -> None:
    rows = [{"tracking_number": str(number), "carrier": "UPS"} for number in range(500)]
    order = await read({**PLACED, "tracking": rows})
    assert len(order.tracking_numbers) == 200
    assert order.rows_cut["tracking_numbers"] == 300


async def test_an_answer_that_is_too_large_is_not_read() -> None:
    with pytest.raises(UnreadableAnswerError):
        await read(json.dumps({**PLACED, "more": "x" * 300_000}).encode())
    with pytest.raises(OrderOutcomeUnknownError):
        await posted(json.dumps({"request_id": ID, "more": "x" * 300_000}).encode())


# Lists


def row(key: str, **more: Any) -> dict[str, Any]:
    return {**PLACED, "request": {**PLACED["request"], "client_notes": {"zinc_mcp_key": key}}, **more}


async def test_an_order_is_found_by_our_key_within_a_time() -> None:
    zinc = FakeV1((200, [row("key-0", request_id=OTHER_ID), row(KEY, request_id=ID)]))
    async with client_of(zinc) as client:
        (found,) = await find_orders(
            client, "zinc_mcp_key", KEY, TOKEN, since=1_700_000_000.0001, until=1_700_000_001.5
        )
    assert found.id == ID
    assert dict(zinc.requests[0].url.params) == {
        "limit": "50",
        "starting_after": "1700000000000",
        "ending_before": "1700000001500",
    }


async def test_the_end_of_a_time_is_rounded_so_that_nothing_is_missed() -> None:
    zinc = FakeV1((200, []))
    async with client_of(zinc) as client:
        assert await find_orders(client, "zinc_mcp_key", KEY, TOKEN, since=1.0009, until=2.0001) == []
    assert dict(zinc.requests[0].url.params)["starting_after"] == "1000"
    assert dict(zinc.requests[0].url.params)["ending_before"] == "2001"


async def test_further_pages_are_asked_for_until_one_is_empty() -> None:
    zinc = FakeV1((200, [row("a"), row("b")]), (200, [row("c")]), (200, []))
    async with client_of(zinc) as client:
        assert await find_orders(client, "zinc_mcp_key", KEY, TOKEN) == []
    assert [each.url.params.get("skip") for each in zinc.requests] == [None, "2", "3"]


async def test_a_list_that_ignores_its_pages_ends() -> None:
    zinc = FakeV1((200, [row("a"), row("b")]))
    async with client_of(zinc) as client:
        assert await find_orders(client, "zinc_mcp_key", KEY, TOKEN) == []
    assert len(zinc.requests) == 2


async def test_an_order_that_is_listed_without_an_id_is_named_by_its_key_and_found_by_it_again() -> None:
    zinc = FakeV1((200, [row("key-0"), row(KEY)]))
    async with client_of(zinc) as client:
        (found,) = await find_orders(client, "zinc_mcp_key", KEY, TOKEN)
        again = await read_order(client, found.id, TOKEN)
    assert (found.id, again.id, again.stage) == (f"key:{KEY}", found.id, "placed")
    assert "key%3A" not in str(zinc.requests[-1].url)


async def test_an_order_by_its_key_that_is_not_listed_now_is_not_found() -> None:
    async with client_of(FakeV1((200, [row("key-0")]))) as client:
        with pytest.raises(OrderNotFoundError):
            await read_order(client, f"key:{KEY}", TOKEN)


async def test_a_row_that_is_no_order_is_skipped_and_counted() -> None:
    rows: list[object] = [None, 5, "x", [], {}, {"_type": "order_response"}, row("a", request_id=ID)]
    into = OrderList()
    async with client_of(FakeV1((200, rows), (200, []))) as client:
        await read_list(client, TOKEN, into, None, None)
    assert (list(into.orders), into.unreadable, into.is_whole) == ([ID], 6, True)


async def test_running_and_failed_orders_are_listed_as_well() -> None:
    rows = [
        error("request_processing", request_id="a", request=PLACED["request"]),
        error("max_price_exceeded", request_id="b", request=PLACED["request"]),
    ]
    into = OrderList()
    async with client_of(FakeV1((200, rows), (200, []))) as client:
        await read_list(client, TOKEN, into, None, None)
    assert [order.stage for order in into.orders.values()] == ["accepted", "failed"]


async def test_a_smaller_page_is_asked_for_where_one_is_too_large() -> None:
    huge = json.dumps([row(KEY, more="x" * 600_000)]).encode()
    zinc = FakeV1((200, huge), (200, [row(KEY, request_id=ID)]))
    async with client_of(zinc) as client:
        (found,) = await find_orders(client, "zinc_mcp_key", KEY, TOKEN)
    assert found.id == ID
    assert [each.url.params["limit"] for each in zinc.requests] == ["50", "10"]


@pytest.mark.parametrize("content", [b"<html>", {}, {"orders": 5}, error("internal_error")])
async def test_an_answer_that_is_no_list_proves_nothing(content: object) -> None:
    async with client_of(FakeV1((200, content))) as client:
        with pytest.raises(UnreadableAnswerError):
            await find_orders(client, "zinc_mcp_key", KEY, TOKEN)


async def test_a_token_that_zinc_does_not_accept_is_told() -> None:
    async with client_of(FakeV1((200, error("invalid_client_token")))) as client:
        with pytest.raises(OrderRejectedError, match="client token"):
            await find_orders(client, "zinc_mcp_key", KEY, TOKEN)


# After the order


async def abort(content: object, status: int = 200) -> Order:
    async with client_of(FakeV1((status, content))) as client:
        return await client.abort(ID, TOKEN)


async def test_an_order_that_was_stopped_is_cancelled_and_one_that_goes_on_is_not() -> None:
    assert (await abort(error("aborted_request"))).stage == "cancelled"
    assert (await abort(error("request_processing"))).stage == "accepted"
    assert (await abort(PLACED)).stage == "placed"


async def test_a_refusal_to_stop_is_no_end_of_the_order() -> None:
    for code in ("invalid_request", "max_price_exceeded", "invalid_client_token"):
        with pytest.raises(ChangeRejectedError):
            await abort(error(code))
    for content in (error("internal_error"), error("something_new"), error("order_probably_placed"), {}, b"<html>"):
        with pytest.raises(ChangeOutcomeUnknownError):
            await abort(content)
