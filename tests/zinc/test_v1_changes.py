"""The outcome of a cancellation, a return and a case is read in every shape in which v1 may tell it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest
from pydantic import SecretStr

from zinc_mcp.errors import UnreadableAnswerError
from zinc_mcp.zinc.credits import ReturnSummary
from zinc_mcp.zinc.v1.aftercare.cancellations import read_outcome
from zinc_mcp.zinc.v1.aftercare.cases import cases_in
from zinc_mcp.zinc.v1.aftercare.returns import read_return
from zinc_mcp.zinc.v1.client import V1Client
from zinc_mcp.zinc.v1.codes import CODES
from zinc_mcp.zinc.v1.money import read_balance, read_credits

ID, OTHER_ID = "0123456789abcdef" * 2, "f" * 32
TOKEN = SecretStr("planted-token")
NUMBER = "112-1234567-1234567"
KNOWN = ReturnSummary.read({"id": ID, "reason": "defective", "items": [{"order_item_id": "B07JGBW826"}]})
LABEL = "https://labels.example/a.pdf"
MADE = {"_type": "return_response", "return_by": "2026-12-01T00:00:00", "label_urls": [LABEL, 5, None]}


@asynccontextmanager
async def client_of(content: object, status: int = 200) -> AsyncGenerator[V1Client]:
    """Open a client to which Zinc gives one answer."""
    answer = {"content": content} if isinstance(content, bytes) else {"json": content}
    transport = httpx.MockTransport(lambda request: httpx.Response(status, **cast(Any, answer)))
    client = V1Client("http://127.0.0.1:9/v1", transport=transport)
    yield client
    await client.aclose()


def error(code: object, **more: Any) -> dict[str, Any]:
    return {"_type": "error", "code": code, "message": "m", "data": {}, **more}


async def outcome(content: object, status: int = 200) -> str:
    async with client_of(content, status) as client:
        return await read_outcome(client, ID, NUMBER, TOKEN)


async def returned(content: object, status: int = 200) -> ReturnSummary:
    async with client_of(content, status) as client:
        return await read_return(client, KNOWN, TOKEN)


@pytest.mark.parametrize("status", [200, 400])
async def test_an_outcome_is_a_yes_a_no_or_not_decided(status: int) -> None:
    assert await outcome({"_type": "cancellation_response", "merchant_order_id": NUMBER}, status) == "cancelled"
    assert await outcome(error("attempting_to_cancel"), status) == "asked"
    assert await outcome(error("request_processing"), status) == "asked"
    assert await outcome(error("too_late_to_cancel"), status) == "refused"


@pytest.mark.parametrize(
    "content",
    [
        {"_type": "cancellation_response", "merchant_order_id": "112-0000000-0000000"},
        {"_type": "cancellation_response"},
        {"_type": "cancellation_response", "merchant_order_id": NUMBER, "request_id": OTHER_ID},
        {"_type": "order_response", "merchant_order_id": NUMBER},
        {"merchant_order_id": NUMBER},
        error("internal_error"),
        error("product_unavailable"),
        b"<html>",
        [],
    ],
)
async def test_an_answer_without_an_outcome_of_this_cancellation_is_unreadable(content: object) -> None:
    with pytest.raises(UnreadableAnswerError):
        await outcome(content)


async def test_a_return_is_made_denied_or_under_way() -> None:
    made = await returned(MADE)
    assert (made.status, made.label_urls, made.reason) == ("approved", [LABEL], "defective")
    assert (await returned(error("return_failed"))).status == "denied"
    assert (await returned(error("request_processing"))).status == "open"
    under_way = await returned(error("return_in_progress", data={"status": {"description": "$6.30 refund issued."}}))
    assert (under_way.status, under_way.resolution_notes) == ("return_in_progress", "$6.30 refund issued.")
    assert under_way.credited_amount == 0, "words prove no refund"
    assert (await returned({**MADE, "request": {"products": [{"product_id": "b07jgbw826"}]}})).status == "approved"


@pytest.mark.parametrize(
    "content",
    [
        {**MADE, "request": {"products": [{"product_id": "B0OTHER000"}]}},
        {**MADE, "request_id": OTHER_ID},
        error("return_failed", request={"products": [{"product_id": "B0OTHER000"}]}),
        {"label_urls": [LABEL]},
        *(error(code) for code in ("internal_error", "product_unavailable")),
        b"",
    ],
)
async def test_an_answer_about_another_return_is_not_believed(content: object) -> None:
    with pytest.raises(UnreadableAnswerError):
        await returned(content)


def test_no_code_of_an_order_is_the_end_of_a_cancellation() -> None:
    assert not CODES.keys() & {"too_late_to_cancel", "cancellation_failed", "return_failed"}


def test_each_opening_after_a_closing_is_another_case() -> None:
    kinds = ["opened.other", "freetext", "closed", "freetext", "opened.nondelivery.damaged", "opened.other"]
    rows = [{"type": f"case.{kind}", "message": kind, "timestamp": "2026-11-01T00:00:00Z"} for kind in kinds]
    first, second = cases_in({"state": "open", "messages": rows}, ID)
    assert (first.id, first.status, first.reason, len(first.messages)) == (f"{ID}-1", "closed", "other", 4)
    assert (second.id, second.status, second.reason) == (f"{ID}-2", "open", "nondelivery.damaged")
    assert [each.author for each in first.messages] == ["unknown", "unknown", "zinc", "unknown"]


HISTORIES: list[tuple[dict[str, Any], list[str]]] = [
    ({"state": None, "messages": []}, []),
    ({"state": "open"}, ["open"]),
    ({"state": "open", "messages": "many"}, ["open"]),
    ({"state": "open", "messages": [1, None, {"type": 5, "message": []}]}, ["open"]),
    ({"state": "closed", "messages": [{"type": "case.opened.other"}]}, ["closed"]),
]


@pytest.mark.parametrize(("content", "statuses"), HISTORIES)
def test_a_history_of_any_shape_is_read(content: dict[str, Any], statuses: list[str]) -> None:
    assert [case.status for case in cases_in(content, ID)] == statuses


@pytest.mark.parametrize("content", [{}, {"messages": []}, {"state": 5}, error("internal_error")])
def test_an_answer_that_is_no_case_is_not_told_as_none(content: dict[str, Any]) -> None:
    with pytest.raises(UnreadableAnswerError):
        cases_in(content, ID)


def test_the_newest_messages_of_a_long_case_are_read() -> None:
    rows: list[Any] = [{"type": "case.freetext", "message": str(number)} for number in range(500)]
    [case] = cases_in({"state": "open", "messages": rows}, ID)
    assert (len(case.messages), case.messages[-1].body, case.messages[-1].id) == (200, "499", "1.500")


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ({"balance": 5}, (5, "USD")),
        ({"available_balance": -5, "currency": "GBP"}, (-5, "GBP")),
        ({"balance": "5.00"}, (None, "USD")),
        ({"balance": 5.0}, (None, "USD")),
        ({"balance": True}, (None, "USD")),
        ({"balance": 10**20}, (None, "USD")),
        ({"balance": 5, "currency": {}}, (5, "XXX")),
    ],
)
async def test_only_whole_cents_are_a_balance(content: object, read: tuple[int | None, str]) -> None:
    async with client_of(content) as client:
        assert await read_balance(client, TOKEN) == read


@pytest.mark.parametrize("wrapped", [True, False])
async def test_only_money_that_names_its_order_is_a_credit(wrapped: bool) -> None:
    row = {"request_id": ID, "amount": 500, "currency": "USD"}
    rows: list[Any] = [row, {**row, "amount": -5}, {**row, "amount": "5"}, {**row, "request_id": None}, 5]
    rows += [{**row, "currency": "GBP"}, {**row, "request_id": "../x"}, {"order_id": OTHER_ID, "amount": 7}]
    async with client_of({"transactions": rows} if wrapped else rows) as client:
        found = await read_credits(client, TOKEN)
    assert [(each.order_id, each.cents) for each in found] == [(ID, 500), (OTHER_ID, 7)]
