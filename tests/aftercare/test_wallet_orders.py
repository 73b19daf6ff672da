"""An order that a wallet paid is changed with its own key; where Zinc does not take that key, the user asks Zinc."""

from pathlib import Path

import pytest
from aftercare.after import SUCCESS, back, created, problem
from conftest import HandClock, OpenProcess
from mcp import Client
from server.as_a_host import both_eras, call, host, refused
from wanted import arguments

from zinc_mcp.journal.journal import Journal
from zinc_mcp.sandbox import Dialect, Sandbox


@pytest.fixture
def zinc(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


async def paid(client: Client, clock: HandClock, url: str = SUCCESS) -> str:
    products = [{"url": url, "quantity": 2}]
    placed = await call(client, "place_agent_order", arguments(products=products, max_price=20_000))
    clock.pass_seconds(20)
    return str(placed["order_id"])


@both_eras
async def test_it_is_sent_back_and_reported_with_its_own_key(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, mode: str
) -> None:
    async with open_test_process(api_key=None, wallet="sandbox") as process, host(process, mode) as client:
        order_id = await paid(client, clock)
        told = await call(client, "return_order", back(order_id))
        reported = await call(client, "report_problem", problem(order_id))
        clock.pass_seconds(6)
        known = await call(client, "get_order", {"order_id": order_id})
        entry = await process.journal.find(order_id)
    assert known["returns"][0]["id"] == told["return_id"]
    assert known["cases"][0]["id"] == reported["case_id"]
    assert known["returns"][0]["status"] == "credited"
    assert entry is not None
    assert entry.refunded_cents == known["returns"][0]["credited_cents"] > 0


@pytest.mark.parametrize("refusal", ["unauthorized_401", "forbidden_403"])
async def test_where_zinc_does_not_take_its_key_the_answer_is_ask_zinc(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, refusal: str
) -> None:
    zinc.dialect = Dialect.parse(f"order_key_after_sale={refusal}")
    async with open_test_process(api_key=None, wallet="sandbox") as process, host(process, "auto") as client:
        order_id = await paid(client, clock)
        for tool, given in (("return_order", back(order_id)), ("report_problem", problem(order_id))):
            said = await refused(client, tool, given)
            assert said["outcome"] == "rejected"
            assert "ask Zinc" in said["next_step"]
            assert "not possible" not in said["summary"]
            assert "with the key that is used here" in said["summary"]
    assert created(zinc) == []


async def test_a_lost_answer_is_found_in_the_order_where_the_list_is_closed_to_its_key(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock
) -> None:
    async with open_test_process(api_key=None, wallet="sandbox") as process, host(process, "auto") as client:
        order_id = await paid(client, clock, f"{SUCCESS}?return_fault=drop_after&returns_fault=http_500_before")
        told = await refused(client, "return_order", back(order_id))
        assert told["outcome"] == "unknown"
        zinc.dialect = Dialect.parse("order_key_after_sale=forbidden_403")
        clock.pass_seconds(60)
        known = await call(client, "get_order", {"order_id": order_id})
    assert known["returns"][0]["key"] == told["key"]
    assert len(created(zinc)) == 1


async def test_without_its_key_nothing_is_sent(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, home: Path
) -> None:
    async with open_test_process(api_key=None, wallet="sandbox") as process, host(process, "auto") as client:
        order_id = await paid(client, clock)
        await call(client, "get_order", {"order_id": order_id})
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        journal.purge(-1.0)
    async with open_test_process(api_key=None, wallet="sandbox") as process, host(process, "auto") as client:
        said = await refused(client, "return_order", back(order_id))
    assert created(zinc) == []
    assert "ask Zinc" in said["next_step"]
