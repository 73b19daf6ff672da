"""Sending something of an order of Zinc's v1 back, through the tool, against the sandbox."""

from pathlib import Path
from typing import Any

import pytest
from aftercare.test_v1_cancel import placed, sent
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from on_v1 import ASIN, Practice, arguments, way
from server.as_a_host import both_eras, call, refused, said

from zinc_mcp.sandbox.v1 import book
from zinc_mcp.server.mcp.server import build_server

ACCEPTED = ["drop_after", "http_500_after", "html_200", "truncated"]
LOST = ["drop_before", "http_500_before", "html_502"]


def back(order: dict[str, Any], quantity: int = 1, **changed: Any) -> dict[str, Any]:
    """Return the arguments that send some pieces of the first item back."""
    items = [{"number": 1, "quantity": quantity}]
    return {"order_id": order["order_id"], "items": items, "reason": "not_as_described", **changed}


def filed(zinc: Practice, order: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the bodies of the returns that the sandbox has."""
    return [each.body for each in book.requests_about(zinc.sandbox.ledger, order["order_id"], "return")]


@pytest.mark.sampled(2)
@both_eras
@pytest.mark.parametrize("echo", ["plain", "absent"])
async def test_a_return_is_filed_and_its_labels_are_links(home: Path, mode: str, echo: str) -> None:
    zinc = Practice(home, echo=echo)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, products=[{"product_id": ASIN, "quantity": 2}])
        told = await call(client, "return_order", back(order, notes="The lid is another one."))
        assert (told["outcome"], told["new_request"], told["reason"]) == ("filed", True, "not_as_described")
        assert "passes it on to the retailer" in told["summary"]
        early = await call(client, "get_order", {"order_id": order["order_id"]})
        zinc.clock.now += 2
        shown = await call(client, "get_order", {"order_id": told["key"]})
    assert [row["status"] for row in early["returns"]] == ["open"]
    [row] = shown["returns"]
    assert (row["id"], row["status"], row["key"]) == (told["return_id"], "approved", told["key"])
    assert row["items"] == [{"number": 1, "quantity": 1}]
    assert row["labels"] == [f"https://sandbox.invalid/labels/{told['return_id']}_return_label.pdf"]
    assert row["zinc_says"].startswith("Return it by 20")
    assert "Give the user the labels in returns." in shown["next_step"]
    assert filed(zinc, order) == [
        {
            "products": [{"product_id": ASIN, "quantity": 1}],
            "reason_code": "inaccurate website description",
            "method_code": "UPS Dropoff",
            "explanation": "not as described: The lid is another one.",
        }
    ]


@both_eras
async def test_the_same_return_is_filed_once_and_no_more_goes_back_than_was_bought(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, products=[{"product_id": ASIN, "quantity": 2}])
        first = await call(client, "return_order", back(order))
        again = await call(client, "return_order", back(order))
        more = await refused(client, "return_order", back(order, 2, reason="defective"))
        rest = await call(client, "return_order", back(order, 1, reason="defective"))
    assert (again["key"], again["new_request"]) == (first["key"], False)
    assert "1 can still be sent back" in more["summary"]
    assert rest["key"] != first["key"]
    assert len(filed(zinc, order)) == 2


@both_eras
async def test_a_return_in_progress_is_told_in_zincs_words(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, "return=in_progress")
        await call(client, "return_order", back(order))
        zinc.clock.now += 2
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
    [row] = shown["returns"]
    assert (row["status"], row["zinc_says"]) == ("return_in_progress", "The return was started.")
    assert "labels" not in row


@both_eras
async def test_a_return_that_the_retailer_denies_is_told_and_may_be_filed_again(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, "return=refused")
        told = await call(client, "return_order", back(order))
        zinc.clock.now += 2
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
        assert [row["status"] for row in shown["returns"]] == ["denied"]
        again = await call(client, "return_order", back(order))
    assert (again["key"], again["outcome"]) == (told["key"], "failed")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("fault", [*ACCEPTED, *LOST])
async def test_a_return_whose_answer_is_lost_stays_in_doubt_and_is_never_sent_again(home: Path, fault: str) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        order = await placed(zinc, client, f"return_fault={fault}")
        told = await refused(client, "return_order", back(order))
        assert told["outcome"] == "unknown"
        assert "cannot be looked up" in told["next_step"]
        zinc.clock.now += 100
        again = await refused(client, "return_order", back(order))
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
        other = await refused(client, "return_order", back(order, reason="defective"))
    assert again["key"] == told["key"]
    assert [row["outcome"] for row in shown["requests"]] == ["unknown"]
    assert "which lists none of them" in shown["next_step"]
    assert "in doubt" in other["summary"]
    assert len(sent(zinc, "return")) == 1


@both_eras
async def test_a_reason_without_known_words_of_the_retailer_is_not_sent(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client)
        told = await refused(client, "return_order", back(order, reason="wrong_size"))
    assert "own words" in told["summary"]
    assert "defective, no_longer_needed, not_as_described, wrong_item" in told["next_step"]
    assert not sent(zinc, "return")


@both_eras
async def test_v1_takes_back_orders_of_two_retailers_alone(home: Path, mode: str) -> None:
    zinc = Practice(home, managed_shops="all")
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, retailer="walmart", products=[{"product_id": "123456789"}])
        told = await refused(client, "return_order", back(order))
    assert "amazon.co.uk and amazon.com alone" in told["summary"]
    assert "with the retailer" in told["next_step"]
    assert not sent(zinc, "return")


@both_eras
async def test_an_order_that_is_not_placed_is_not_sent_back(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await call(client, "place_v1_order", arguments(way("slow")))
        told = await refused(client, "return_order", back(order))
    assert "the retailer has not got it yet" in told["summary"]
    assert not sent(zinc, "return")


@both_eras
async def test_a_person_is_shown_all_that_would_be_sent_and_a_no_sends_nothing(home: Path, mode: str) -> None:
    zinc = Practice(home, '[policy]\napproval = "auto"\n')
    asked: list[str] = []
    answers = iter([True, False, True])

    async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"approve": next(answers)})

    async with zinc.opened() as process:
        async with Client(build_server(process), mode=mode, elicitation_callback=answer) as client:
            order = await placed(zinc, client)
            no = said(await client.call_tool("return_order", back(order, notes="Broken.")))
            assert no["outcome"] == "declined"
            assert not sent(zinc, "return")
            yes = await call(client, "return_order", back(order, notes="Broken!"))
    assert yes["outcome"] == "filed"
    question = asked[-1]
    for part in ("inaccurate website description", "UPS Dropoff", "not as described: Broken!", ASIN, order["order_id"]):
        assert part in question
    assert "with the retailer, who decides about it" in question


async def test_hostile_and_foreign_answers_about_a_return_are_not_believed(home: Path) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        faults = "other_order,http_500,html_502,truncated,unauthorized_once,rate_limited"
        order = await placed(zinc, client, f"returned_fault={faults}")
        await call(client, "return_order", back(order))
        zinc.clock.now += 2
        for _ in range(6):
            shown = await call(client, "get_order", {"order_id": order["order_id"]})
            assert [row["status"] for row in shown["returns"]] == ["open"]
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
    assert [row["status"] for row in shown["returns"]] == ["approved"]
