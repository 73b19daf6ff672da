"""Sending something back, through the tool, against the sandbox."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from aftercare.after import SUCCESS, back, created, delivered, problem
from conftest import HandClock, OpenProcess
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from server.as_a_host import both_eras, call, host, refused, said

from zinc_mcp.sandbox import Dialect, Sandbox
from zinc_mcp.sandbox.products import PREFIX
from zinc_mcp.server.mcp.server import build_server

WriteConfig = Callable[[str], Path]


@pytest.fixture
def zinc(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


@both_eras
async def test_a_return_is_filed_followed_and_credited(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order_id = await delivered(client, clock)
        before = await call(client, "get_order", {"order_id": order_id})
        told = await call(client, "return_order", back(order_id, notes="The handle is loose."))
        assert (told["outcome"], told["new_request"], told["status"]) == ("filed", True, "open")
        [sent] = created(zinc, "/returns")
        assert sent["order_id"] == order_id
        clock.pass_seconds(3)
        known = await call(client, "get_order", {"order_id": order_id})
        [shown] = known["returns"]
        assert (shown["id"], shown["status"], shown["key"]) == (told["return_id"], "approved", told["key"])
        assert shown["items"] == [{"number": 1, "quantity": 1}]
        assert shown["labels"][0].startswith("https://labels.sandbox.invalid/")
        clock.pass_seconds(3)
        known = await call(client, "get_order", {"order_id": told["key"]})
        assert known["order_id"] == order_id
        assert known["returns"][0]["status"] == "credited"
        credited = known["returns"][0]["credited_cents"]
        entry = await process.journal.find(order_id)
    assert entry is not None
    assert credited > 0
    assert entry.counts_cents == before["price"]["paid_cents"] - credited


@both_eras
async def test_the_same_return_asked_for_twice_is_the_first_one(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order_id = await delivered(client, clock)
        first = await call(client, "return_order", back(order_id))
        again = await call(client, "return_order", back(order_id, notes="in other words"))
    assert again["key"] == first["key"]
    assert again["new_request"] is False
    assert again["summary"].startswith(
        "Practice with a test key: no real money, no real goods. This is an earlier return"
    )
    assert len(created(zinc)) == 1


async def test_no_more_goes_back_than_came(open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock)
        await call(client, "return_order", back(order_id))
        both = back(order_id, reason="damaged", items=[{"number": 1, "quantity": 2}])
        said = await refused(client, "return_order", both)
        assert "1 can still be sent back" in said["summary"]
        assert said["outcome"] == "refused"
        rest = await call(client, "return_order", back(order_id, reason="damaged"))
        assert rest["new_request"] is True
        over = await refused(client, "return_order", back(order_id, reason="other"))
    assert "0 can still be sent back" in over["summary"]
    assert len(created(zinc)) == 2


@pytest.mark.parametrize(
    "items",
    [
        [{"number": 2, "quantity": 1}],
        [{"order_item_id": "no-such-item", "quantity": 1}],
        [{"number": 1, "quantity": 1}, {"number": 1, "quantity": 1}],
        [{"number": 1, "order_item_id": "no-such-item", "quantity": 1}],
    ],
)
async def test_an_item_that_is_not_clearly_one_of_the_order_is_refused(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, items: list[dict[str, Any]]
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock)
        said = await refused(client, "return_order", back(order_id, items=items))
    assert "Nothing was sent" in said["summary"]
    assert created(zinc) == []


async def test_an_order_that_is_not_placed_is_not_sent_back(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock)
        failing = {"url": f"{PREFIX}test-out-of-stock"}
        placed = await call(client, "place_order", {**_arguments(), "products": [failing]})
        early = await refused(client, "return_order", back(placed["order_id"]))
        assert "the retailer has not got it yet" in early["summary"]
        clock.pass_seconds(10)
        late = await refused(client, "return_order", back(placed["order_id"]))
        assert "it failed, and nothing was bought" in late["summary"]
        unknown = await refused(client, "return_order", back("00000000-0000-4000-8000-000000000000"))
        assert unknown["code"] == "order_not_found"
    assert order_id
    assert created(zinc) == []


def _arguments() -> dict[str, Any]:
    from wanted import arguments

    return arguments()


@pytest.mark.parametrize("fault", ["drop_after", "http_500_after", "html_200", "truncated", "redirect_after", "huge"])
async def test_a_return_whose_answer_is_lost_is_found_and_filed_once(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, fault: str
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, f"{SUCCESS}?return_fault={fault}")
        told = await call(client, "return_order", back(order_id))
        assert told["outcome"] == "filed"
        again = await call(client, "return_order", back(order_id))
    assert again["key"] == told["key"]
    assert len(created(zinc)) == 1


@pytest.mark.parametrize("fault", ["drop_before", "http_500_before", "html_502", "redirect_307"])
async def test_a_return_that_zinc_never_got_stays_in_doubt_and_is_not_sent_again(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, fault: str
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, f"{SUCCESS}?return_fault={fault}")
        told = await refused(client, "return_order", back(order_id))
        assert (told["outcome"], told["code"]) == ("unknown", "outcome_unknown")
        clock.pass_seconds(100_000)
        again = await refused(client, "return_order", back(order_id))
        assert again["key"] == told["key"]
        known = await call(client, "get_order", {"order_id": order_id})
        assert [(each["key"], each["outcome"]) for each in known["requests"]] == [(told["key"], "unknown")]
        entry = await process.journal.run(lambda journal: journal.resolve(told["key"], order_id=None))
        assert entry.state == "rejected"
        filed = await call(client, "return_order", back(order_id))
    assert filed["new_request"] is True
    assert len(created(zinc)) == 1


async def test_a_return_found_in_a_list_that_lags_ends_the_doubt(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock
) -> None:
    zinc.dialect = Dialect(after_sale_listing="lags")
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, f"{SUCCESS}?return_fault=drop_after")
        told = await refused(client, "return_order", back(order_id))
        assert told["outcome"] == "unknown"
        clock.pass_seconds(40)
        known = await call(client, "get_order", {"order_id": order_id})
    assert known["returns"][0]["key"] == told["key"]
    assert "requests" not in known


async def test_zincs_no_is_told_and_another_try_is_another_return(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, f"{SUCCESS}?return=refused")
        said = await refused(client, "return_order", back(order_id))
        assert (said["code"], said["outcome"]) == ("change_rejected", "rejected")
        assert said["facts"]["zinc_code"] == "return_not_allowed"
        again = await refused(client, "return_order", back(order_id))
    assert again["key"] != said["key"]


async def test_a_denied_return_does_not_stand(open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, f"{SUCCESS}?return=denied")
        told = await call(client, "return_order", back(order_id))
        clock.pass_seconds(3)
        known = await call(client, "get_order", {"order_id": order_id})
        assert known["returns"][0]["status"] == "denied"
        assert known["returns"][0]["zinc_says"] == "Denied: outside the return window."
        assert "requests" not in known
        clock.pass_seconds(600)
        again = await call(client, "return_order", back(order_id))
    assert again["key"] != told["key"]
    assert len(created(zinc)) == 2


@pytest.mark.parametrize("query", ["", "&return_fault=drop_after", "&return_fault=drop_after&returns_fault=http_500"])
async def test_a_return_that_was_denied_before_the_call_was_repeated_is_told_so_and_not_filed_again(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, query: str
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, f"{SUCCESS}?return=denied{query}")
        await client.call_tool("return_order", back(order_id))
        clock.pass_seconds(3)
        told = [await call(client, "return_order", back(order_id)) for _ in range(2)]
    for each in told:
        assert (each["outcome"], each["new_request"], each["status"]) == ("failed", False, "denied")
        assert "Zinc denied the return." in each["summary"]
    assert len(created(zinc)) == 1


async def test_a_return_that_is_found_as_denied_is_told_as_denied_at_once(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock
) -> None:
    def time_passes(step: str) -> None:
        if step == "unknown":
            clock.pass_seconds(3)  # Zinc denies it before it is looked up

    async with open_test_process(checkpoint=time_passes) as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, f"{SUCCESS}?return=denied&return_fault=drop_after")
        told = await call(client, "return_order", back(order_id))
        entry = await process.journal.run(lambda journal: journal.find_change(told["key"]))
    assert entry is not None
    assert (told["outcome"], told["status"], entry.state) == ("failed", "denied", "failed")


@pytest.mark.sampled(2)
@both_eras
@pytest.mark.parametrize("answer", [True, False])
async def test_a_person_decides_about_exactly_this_return(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, write_config: WriteConfig, mode: str, answer: bool
) -> None:
    asked: list[str] = []

    async def decide(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        yes = answer or params.message.startswith("Buy")
        return ElicitResult(action="accept", content={"approve": yes})

    write_config('[policy]\napproval = "auto"\n')
    async with open_test_process() as process:
        async with Client(build_server(process), mode=mode, elicitation_callback=decide) as client:
            order_id = await delivered(client, clock)
            known = await call(client, "get_order", {"order_id": order_id})
            told = await call(client, "return_order", back(order_id, notes="Loose “handle”,\nsecond line"))
        entry = await process.journal.run(lambda journal: journal.find_change(told["key"]))
    assert told["outcome"] == ("filed" if answer else "declined")
    assert len(created(zinc)) == int(answer)
    assert entry is not None
    assert entry.body is not None
    sent = json.loads(json.loads(entry.body)["content"])
    question = asked[-1]
    assert question.startswith("Send 1 piece back to zinc.com? (test key")
    assert f"Order: “{order_id}”" in question
    assert f"Its number at Zinc: “{sent['items'][0]['order_item_id']}”" in question
    assert "Reason: “defective”" in question
    assert 'Note for Zinc: “Loose "handle",⏎second line”' in question
    assert known["items"][0]["url"] in question


@pytest.mark.parametrize(
    "other_words",
    [{"reason": "damaged"}, {"reason": "other", "notes": "again"}, {"items": [{"number": 1, "quantity": 2}]}],
)
async def test_while_a_return_is_in_doubt_no_other_one_of_its_items_is_filed(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, other_words: dict[str, Any]
) -> None:
    urls = (f"{SUCCESS}?return_fault=reset_before,none", f"{SUCCESS}?n=2")
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, *urls, quantity=3)
        doubtful = await refused(client, "return_order", back(order_id))
        clock.pass_seconds(100_000)
        told = await refused(client, "return_order", back(order_id, **other_words))
        assert created(zinc) == []
        another = await call(client, "return_order", back(order_id, items=[{"number": 2, "quantity": 1}]))
    assert doubtful["outcome"] == "unknown"
    assert (told["outcome"], told["key"]) == ("refused", doubtful["key"])
    assert "in doubt: Zinc may have it" in told["summary"]
    assert another["new_request"] is True


@pytest.mark.parametrize("notes", ["The handle is loose.", None])
async def test_a_return_filed_by_hand_later_is_not_taken_for_ours(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, notes: str | None
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        faults = "return_fault=drop_after,none&returns_fault=http_500_before"
        order_id = await delivered(client, clock, f"{SUCCESS}?{faults}")
        zinc.dialect = Dialect.parse("after_sale_listing=lags")
        told = said(await client.call_tool("return_order", back(order_id, notes=notes)))
        assert told["outcome"] == "unknown"
        [ours] = returns_at(zinc)
        clock.pass_seconds(60)
        async with httpx.AsyncClient(transport=zinc.transport(), base_url="https://api.zinc.com") as by_hand:
            key = {"Authorization": "Bearer zn_test_planted-secret"}
            order = (await by_hand.get(f"/orders/{order_id}", headers=key)).json()
            filed = {
                "order_id": order_id,
                "items": [{"order_item_id": order["items"][0]["id"], "quantity": 1}],
                "reason": "defective",
                "notes": notes and "By hand.",
            }
            assert (await by_hand.post("/returns", headers=key, json=filed)).status_code == 201
        clock.pass_seconds(60)
        known = await call(client, "get_order", {"order_id": order_id})
    assert len(known["returns"]) == 2
    assert [each["id"] for each in known["returns"] if each.get("key") == told["key"]] == [ours]


def returns_at(sandbox: Sandbox) -> list[str]:
    return [row["return_id"] for row in sandbox.ledger.select("SELECT return_id FROM returns ORDER BY seq")]


@both_eras
async def test_the_key_of_a_return_withdraws_it_and_names_no_order(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, write_config: WriteConfig, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order_id = await delivered(client, clock)
        filed = await call(client, "return_order", back(order_id))
        write_config('[policy]\napproval = "page"\n')
        waits = await call(client, "return_order", back(order_id, reason="damaged"))
        report = await call(client, "report_problem", problem(order_id))
        for key in (waits["key"], report["key"]):
            for tool, given in (("return_order", back(key)), ("report_problem", problem(key))):
                told = await refused(client, tool, given)
                assert "and not of an order. Nothing was sent." in told["summary"]
                assert told["order_id"] == order_id
            gone = await call(client, "cancel_order", {"order_id": key})
            assert (gone["cancellation"], gone["outcome"]) == ("withdrawn", "refused")
            assert "new_request" not in gone
            again = await call(client, "cancel_order", {"order_id": key})
            assert again["cancellation"] == "withdrawn"
        stays = await call(client, "cancel_order", {"order_id": filed["key"]})
        stranger = await refused(client, "cancel_order", {"order_id": "3f2504e0-4f89-11d3-9a0c-0305e82c3301"})
    assert (stays["cancellation"], stays["outcome"]) == ("not_cancelled", "filed")
    assert "only a return or report that waits" in stays["summary"]
    assert stranger["code"] == "order_not_found"
    assert [waits["outcome"], report["outcome"]] == ["waiting", "waiting"]
    assert len(created(zinc)) == 1
