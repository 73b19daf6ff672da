"""A look at an order says how its returns and cases stand and what is next; the list adds up what was credited."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aftercare.after import back, delivered, problem
from conftest import HandClock, OpenProcess
from mcp import Client
from server.as_a_host import call, host, usually_one_era
from wanted import arguments

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.products import HOSTILE
from zinc_mcp.views.after_sale import news
from zinc_mcp.zinc.responses import Order

NOTHING = "Nothing more to do."


@pytest.fixture
def zinc(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


async def seen(client: Client, order_id: str) -> dict[str, Any]:
    return await call(client, "get_order", {"order_id": order_id})


@usually_one_era
async def test_a_return_is_told_from_its_filing_to_its_credit(
    open_test_process: OpenProcess, clock: HandClock, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order_id = await delivered(client, clock)
        before = await seen(client, order_id)
        assert before["next_step"] == NOTHING
        assert "Returns:" not in before["summary"]
        await call(client, "return_order", back(order_id))
        filed = await seen(client, order_id)
        clock.pass_seconds(3)
        approved = await seen(client, order_id)
        clock.pass_seconds(3)
        credited = await seen(client, order_id)
        [total] = (await call(client, "list_orders", {}))["totals"]
    assert "Returns: 1 open." in filed["summary"]
    assert filed["next_step"] == "Look again another day for the decision about the return."
    assert "Returns: 1 approved." in approved["summary"]
    assert approved["returns"][0]["labels"]
    assert approved["next_step"] == "Give the user the labels in returns."
    amount = credited["price"]["printed"]["credited"]
    assert "Returns: 1 credited." in credited["summary"]
    assert credited["summary"].count(amount) == 1
    assert f"{amount} was credited since." in credited["summary"]
    assert credited["next_step"] == NOTHING
    assert (total["spent_cents"], total["credited_cents"]) == (
        credited["price"]["paid_cents"],
        credited["price"]["credited_cents"],
    )
    assert total["printed"]["credited"] == amount


@usually_one_era
async def test_a_case_that_waits_for_the_user_is_never_nothing_to_do(
    open_test_process: OpenProcess, clock: HandClock, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order_id = await delivered(client, clock)
        await call(client, "report_problem", problem(order_id))
        asked = await seen(client, order_id)
        clock.pass_seconds(3)
        answered = await seen(client, order_id)
        await call(client, "report_problem", {"order_id": order_id, "close": True})
        closed = await seen(client, order_id)
        listed = await call(client, "list_orders", {})
    assert "Cases with Zinc's support: 1 open." in asked["summary"]
    assert asked["next_step"] == "Look again another day for the answer of Zinc's support."
    assert "Cases with Zinc's support: 1 waiting for the user's answer." in answered["summary"]
    assert answered["next_step"] == "Show the user what zinc_says in cases, and ask for their answer."
    assert "Cases with" not in closed["summary"]
    assert closed["next_step"] == NOTHING
    assert listed["totals"][0]["credited_cents"] == 0


@usually_one_era
@pytest.mark.parametrize("tool", ["return_order", "report_problem"])
async def test_a_change_that_waits_for_the_user_is_what_is_next(
    open_test_process: OpenProcess,
    clock: HandClock,
    write_config: Callable[[str], Path],
    mode: str,
    tool: str,
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order_id = await delivered(client, clock)
        write_config('[policy]\napproval = "auto"\n')
        given = back(order_id) if tool == "return_order" else problem(order_id)
        asked = await call(client, tool, given)
        assert asked["outcome"] == "waiting"
        known = await seen(client, order_id)
    assert "waits for the user's approval; nothing has been sent." in known["summary"]
    assert known["next_step"] == known["decide_at"]
    assert known["next_step"].startswith(
        "Ask the user to decide: in the host's dialogue, on the approval page if it is "
    )
    assert f"approve {asked['key']}" in known["next_step"]


@usually_one_era
async def test_an_order_on_its_way_keeps_its_own_next_step_beside_that_of_its_case(
    open_test_process: OpenProcess, clock: HandClock, zinc: Sandbox, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        placed = await call(client, "place_order", arguments())
        clock.pass_seconds(6)
        await call(client, "report_problem", problem(placed["order_id"], reason="late"))
        clock.pass_seconds(3)
        known = await seen(client, placed["order_id"])
    assert known["outcome"] == "placed"
    assert "news of the delivery. Show the user what zinc_says in cases" in known["next_step"]


def test_a_status_that_no_document_names_is_told_in_our_words() -> None:
    rows = [{"status": HOSTILE}, {"status": "lost_in_the_post"}, {"status": "open"}]
    cases = [{"status": HOSTILE}, {"status": "on_hold"}]
    order = Order.model_validate({"id": "1", "status": "order_placed", "returns": rows, "cases": cases})
    told, step = news(order, None, [], [], None)
    assert told == "Returns: 1 open, 2 with a status of their own. Cases with Zinc's support: 1 on hold."
    assert step == "Look again another day for the answer of Zinc's support and the decision about the return."
