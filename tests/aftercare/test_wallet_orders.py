"""An order that a wallet paid is changed with its own key; where Zinc does not take that key, the user asks Zinc."""

from pathlib import Path

import httpx
import pytest
from aftercare.after import SUCCESS, back, created, problem
from conftest import HandClock, OpenProcess
from mcp import Client
from server.as_a_host import call, host, refused, said, usually_one_era
from wanted import arguments

from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Clocks
from zinc_mcp.sandbox import Dialect, Sandbox
from zinc_mcp.wiring import open_process


@pytest.fixture
def zinc(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


async def paid(client: Client, clock: HandClock, url: str = SUCCESS) -> str:
    products = [{"url": url, "quantity": 2}]
    placed = await call(client, "place_agent_order", arguments(products=products, max_price=20_000))
    clock.pass_seconds(20)
    return str(placed["order_id"])


@usually_one_era
async def test_an_order_paid_by_wallet_is_sent_back_and_reported_with_its_own_key(
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
async def test_where_zinc_does_not_take_the_orders_key_the_user_is_told_to_ask_zinc(
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


async def test_without_the_orders_key_nothing_is_sent(
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


class _OwnKeyRefused(httpx.AsyncBaseTransport):
    """A sandbox that does not take the own key of an order any more."""

    def __init__(self, sandbox: Sandbox, status: int) -> None:
        self._inner, self._status = sandbox.transport(), status

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Refuse each read of an order, and answer all else."""
        if request.method == "GET" and request.url.path.startswith("/orders/"):
            return httpx.Response(self._status, json={"error": {"code": "unauthorized", "message": "no"}})
        return await self._inner.handle_async_request(request)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("tool", ["return_order", "report_problem", "get_order"])
async def test_where_the_orders_key_reads_nothing_no_step_names_a_key_of_the_owner(
    home: Path, clock: HandClock, clocks: Clocks, status: int, tool: str
) -> None:
    sandbox = Sandbox(clock=clock)
    settings = Settings(home=home, config=home / "zinc.toml", api_key=None, wallet="sandbox", browser=False)
    async with open_process(settings, transport=sandbox.transport(), clocks=clocks, clock=clock) as process:
        async with host(process, "auto") as client:
            order_id = await paid(client, clock)
    refusing = _OwnKeyRefused(sandbox, status)
    async with open_process(settings, transport=refusing, clocks=clocks, clock=clock) as process:
        async with host(process, "auto") as client:
            given = {"return_order": back(order_id), "report_problem": problem(order_id)}.get(tool, {})
            told = said(await client.call_tool(tool, {"order_id": order_id, **given}))
    assert "key that came with this order" in told["summary"]
    assert "ask Zinc" in told["next_step"]
    assert "ZINC_API_KEY" not in told["summary"] + told["next_step"]
