"""Reporting a problem with an order of Zinc's v1, through the tool, against the sandbox."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aftercare.test_v1_cancel import placed, sent
from conftest import as_json
from mcp import Client
from on_v1 import Practice, way
from server.as_a_host import call, refused, usually_one_era

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry, Event
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.views.evidence.change_check import check_at_zinc
from zinc_mcp.views.evidence.file import evidence

ACCEPTED = ["drop_after", "http_500_after", "html_200", "truncated"]
LOST = ["drop_before", "http_500_before", "html_502"]


def problem(order: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return the arguments that report a problem."""
    return {"order_id": order["order_id"], "reason": "late", "message": "Where is it?", **changed}


@usually_one_era
async def test_a_case_is_opened_in_v1s_words_answered_and_continued(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client)
        told = await call(client, "report_problem", problem(order))
        assert (told["outcome"], told["new_request"], told["reason"]) == ("filed", True, "late")
        again = await call(client, "report_problem", problem(order))
        zinc.clock.now += 3.5
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
        more = await call(client, "report_problem", problem(order, message="It is my mother's birthday."))
        close = await refused(client, "report_problem", {"order_id": order["order_id"], "close": True})
    assert (again["key"], again["new_request"]) == (told["key"], False)
    [case] = shown["cases"]
    assert (case["id"], case["status"], case["reason"], case["key"]) == (
        told["case_id"],
        "open",
        "tracking.request_update",
        told["key"],
    )
    # v1 does not say whose words these are.
    assert [message["said"] for message in case["messages"]] == ["Where is it?", "We look into this order."]
    assert more["case_id"] == told["case_id"]
    assert "closes no case on request" in close["summary"]
    assert sent(zinc, "case") == ["accepted", "accepted"]


@usually_one_era
async def test_the_steps_of_zinc_in_a_case_are_told_and_a_new_report_is_another_case(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client)
        told = await call(client, "report_problem", problem(order, reason="not_received", message="It never came."))
        zinc.clock.now += 5
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
        money = await call(client, "get_balance", {})
        another = await call(client, "report_problem", problem(order, message="Is the refund whole?", reason="billing"))
        after = await call(client, "get_order", {"order_id": order["order_id"]})
    [case] = shown["cases"]
    assert (case["status"], case["reason"]) == ("closed", "nondelivery.not_delivered")
    assert [message.get("zinc_says") for message in case["messages"]] == [
        None,
        "The order is refunded.",
        "The case is closed.",
    ]
    assert [row["order_id"] for row in money["managed"]["credits"]] == [order["order_id"]]
    assert another["case_id"] != told["case_id"]
    assert [(row["id"], row["status"]) for row in after["cases"]] == [
        (told["case_id"], "closed"),
        (another["case_id"], "open"),
    ]


@usually_one_era
async def test_a_case_that_zinc_opened_is_shown_and_gets_a_message(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, "return=made")
        back = {"order_id": order["order_id"], "items": [{"number": 1, "quantity": 1}], "reason": "not_as_described"}
        await call(client, "return_order", back)
        zinc.clock.now += 5
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
        told = await call(client, "report_problem", problem(order, reason="other", message="The label is for A4."))
        after = await call(client, "get_order", {"order_id": order["order_id"]})
    assert [row["reason"] for row in shown["cases"]] == ["return.request_label"]
    assert told["case_id"] == shown["cases"][0]["id"]
    assert after["cases"][0]["messages"][-1]["said"] == "The label is for A4."


@pytest.mark.sampled(2)
@pytest.mark.parametrize("fault", ACCEPTED)
async def test_a_report_whose_answer_is_lost_is_found_and_sent_once(home: Path, fault: str) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        order = await placed(zinc, client, f"case_fault={fault},{fault}")
        told = await call(client, "report_problem", problem(order, message="Ask ada@example.org, please."))
        more = await call(client, "report_problem", problem(order, message="Two  words\nmore"))
    assert told["outcome"] == more["outcome"] == "filed"
    assert sent(zinc, "case") == ["accepted", "accepted"]


@pytest.mark.parametrize("fault", LOST)
async def test_a_report_that_never_arrived_stays_in_doubt_and_is_not_sent_again(home: Path, fault: str) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        order = await placed(zinc, client, f"case_fault={fault}")
        told = await refused(client, "report_problem", problem(order))
        zinc.clock.now += 100
        again = await refused(client, "report_problem", problem(order))
        other = await refused(client, "report_problem", problem(order, message="Other words."))
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
    assert told["outcome"] == "unknown" and again["key"] == told["key"]
    assert "in doubt" in other["summary"]
    assert [row["outcome"] for row in shown["requests"]] == ["unknown"]
    assert "is looked up" in shown["next_step"]
    assert len(sent(zinc, "case")) == 1


@pytest.mark.sampled(3)
@pytest.mark.parametrize("fault", ["http_500", "html_502", "truncated", "other_order", "unauthorized_once"])
async def test_a_case_that_cannot_be_read_is_not_told_as_none(home: Path, fault: str) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        order = await placed(zinc, client, f"case_read_fault=none,{','.join([fault] * 3)}")
        told = await refused(client, "report_problem", {**problem(order), "close": True, "message": None})
    assert "No case about this order is open" not in told["summary"]
    assert not sent(zinc, "case")


def _change(journal: Journal, key: str) -> Entry:
    entry = journal.find_change(key, caller="local")
    assert entry is not None
    return entry


def _events(journal: Journal, entry: Entry) -> list[Event]:
    return list(journal.events(entry.id))


async def test_evidence_of_a_report_or_return_holds_no_words_and_claims_no_more_than_v1_shows(home: Path) -> None:
    zinc = Practice(home)
    async with zinc.opened() as process, Client(build_server(process), mode="auto") as client:
        order = await placed(zinc, client)
        items = [{"number": 1, "quantity": 1}]
        back = {"order_id": order["order_id"], "items": items, "reason": "defective", "notes": "Planted words"}
        keys = [
            (await call(client, "report_problem", problem(order, message="Planted words")))["key"],
            (await call(client, "return_order", back))["key"],
        ]
        rail = process.rails["v1"]
        for key in keys:
            entry = await process.journal.run(partial(_change, key=key))
            events = await process.journal.run(partial(_events, entry=entry))
            document = evidence(entry, events, None, with_address=False, program="", now=0.0)
            assert "Planted" not in as_json(document)
            said = check_at_zinc(document, await rail.read(order["order_id"]))
            assert [line.sentence for line in said if line.is_right is False] == []
            assert "Zinc's v1 shows no" in said[-1].sentence


@usually_one_era
async def test_a_hostile_order_has_no_words_of_ours_and_no_account(home: Path, mode: str) -> None:
    zinc = Practice(home, tracking="v1", merchant_ids="v1")
    async with zinc.host(mode) as client:
        order = await placed(zinc, client, products=[{"product_id": way("hostile_text")}])
        zinc.clock.now += 5
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
    assert "@" not in str(shown)
    assert shown["tracking"]
    assert "javascript" not in str(shown)


@usually_one_era
@pytest.mark.parametrize("shape", ["v1p", "v1"])
async def test_parcels_and_the_retailers_numbers_are_told_in_both_shapes(home: Path, mode: str, shape: str) -> None:
    zinc = Practice(home, tracking=shape, merchant_ids=shape)
    async with zinc.host(mode) as client:
        order = await placed(zinc, client)
        zinc.clock.now += 6
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
    [parcel] = shown["tracking"]
    assert parcel["number"].startswith("ZINC_TEST_")
    assert shown["merchant_order_ids"] == order["merchant_order_ids"]
    assert "@" not in str(shown)
