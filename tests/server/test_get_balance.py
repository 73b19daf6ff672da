"""`get_balance` tells what may be spent and what waits, for each caller, and no secret."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc, failure
from server.as_a_host import both_eras, call, host, refused, usually_one_era
from server.on_a_port import TRANSPORTS, connected, served
from wanted import arguments, book, intent

from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.owner.members import add_member

WriteConfig = Callable[[str], Path]


@usually_one_era
async def test_balance_fee_limits_and_wallet_are_told(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, mode: str, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "none"\nmax_month = 90000\nmax_orders_day = 5\n')
    async with open_test_process(wallet="sandbox") as process, host(process, mode) as client:
        await call(client, "place_order", arguments(products=book(1)))
        clock.pass_seconds(3_600)
        await call(client, "place_order", arguments(products=book(2)))
        told = await call(client, "get_balance", {})
        short = await call(client, "get_balance", {"limits_only": True})
    assert told["account"] == {"balance_cents": 10_000_000, "spendable_cents": 10_000_000, "order_fee_cents": 100}
    assert told["wallet"] == {"kind": "sandbox", "pays_by": ["sandbox"], "can_pay": True}
    [mode_view] = told["modes"]
    day, month, orders, look_ups = mode_view["limits"]
    assert (day["limit"], day["of"], day["used"], day["left"]) == ("max_day", 50_000, 10_200, 39_800)
    assert day["frees"] == [{"at": "2026-11-19T11:07Z", "cents": 5100}, {"at": "2026-11-19T12:07Z", "cents": 5100}]
    assert (month["limit"], month["left"]) == ("max_month", 79_800)
    assert (orders["limit"], orders["used"], orders["left"]) == ("max_orders_day", 2, 3)
    assert (look_ups["limit"], look_ups["used"], look_ups["left"]) == ("max_lookups_day", 0, 100)
    assert "$398.00 left of max_day" in told["summary"]
    assert not {"account", "wallet"} & short.keys()


async def test_a_look_up_moves_nothing_and_asks_for_the_balance_only(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process(wallet="sandbox") as process, host(process, "auto") as client:
        await call(client, "get_balance", {})
    assert [(each.method, each.url.path) for each in zinc.requests] == [("GET", "/wallet/me")]


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.ConnectError("down"), "Zinc could not be reached."),
        (failure(401, "unauthorized"), "Zinc does not accept the API key."),
        (httpx.Response(200, text="<html>"), "readable"),
        (httpx.Response(200, json={"balance": "49.00", "order_fee_cents": True}), "holds no balance"),
        (httpx.Response(200, json={"balance": 10**15, "spendable_balance": 4.5}), "holds no balance"),
        (httpx.Response(200, json=[]), "holds no balance"),
    ],
)
async def test_a_balance_that_zinc_does_not_show_is_not_told_as_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, answer: Any, reason: str
) -> None:
    zinc.wallets = [answer]
    async with open_test_process() as process, host(process, mode) as client:
        told = await call(client, "get_balance", {})
    assert reason in told["account"]["unread"]
    assert "balance_cents" not in told["account"]
    assert "The Zinc balance is not known just now" in told["summary"]
    assert "$0.00" not in told["summary"]


async def test_a_negative_balance_is_told_as_it_is(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.wallets = [httpx.Response(200, json={"balance": -250, "spendable_balance": -300, "billed_by_invoice": True})]
    async with open_test_process() as process, host(process, "auto") as client:
        told = await call(client, "get_balance", {})
    assert "-$3.00" in told["summary"]
    assert "billed by invoice" in told["summary"]


async def test_refunds_that_are_not_proved_are_told_by_age(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    async with open_test_process(wallet="sandbox") as process, host(process, "auto") as client:
        for number, days in ((1, 31), (2, 10), (3, 0)):
            order = await call(client, "place_agent_order", arguments(products=book(number), max_price=1000 * number))
            zinc.advance(order["order_id"], "order_failed", job_result={"error_type": "checkout_failed"})
            await call(client, "get_order", {"order_id": order["key"]})
            clock.pass_seconds(days * 86_400)
        order = await call(client, "place_agent_order", arguments(products=book(4), max_price=5000))
        zinc.settle(order["order_id"], 4_000)
        await call(client, "get_order", {"order_id": order["key"]})
        told = await call(client, "get_balance", {})
    unproved = told["modes"][0]["unproved"]
    assert unproved["counts_cents"] == 1100 + 2100 + 3100
    assert unproved["expected_back_cents"] == 1100 + 2100 + 3100 + 1000
    assert unproved["max_unproved_cents"] == 50_000
    assert unproved["by_age"] == [
        {"age": "up to 7 days", "orders": 2, "cents": 4100},
        {"age": "8 to 30 days", "orders": 1, "cents": 2100},
        {"age": "more than 30 days", "orders": 1, "cents": 1100},
    ]
    assert "$73.00 should come back to the wallet and is not proved yet." in told["summary"]


@usually_one_era
async def test_orders_that_wait_for_a_yes_are_told_with_the_way_to_decide_and_no_secret(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "page"\n')
    async with open_test_process() as process, host(process, mode) as client:
        waiting = (await place(process, intent())).entry
        await place(process, intent("ada", products=book(2)))
        told = await call(client, "get_balance", {})
    assert waiting is not None and waiting.consent is not None
    assert told["waiting"] == [{"key": waiting.key, "most_cents": 5100, "retailer": "amazon.com"}]
    assert f"approve {waiting.key}" in told["next_step"]
    assert str(waiting.consent["id"]) not in str(told)
    assert str(waiting.consent["digest"]) not in str(told)


async def test_a_pause_is_told_for_the_rails_that_it_stops(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process(wallet="sandbox") as process, host(process, "auto") as client:
        entry = (await place(process, Intent("local", "agent", intent().order))).entry
        await process.journal.run(lambda journal: journal.pause("above a ceiling", entry))
        told = await call(client, "get_balance", {})
        assert (told["outcome"], told["modes"][0]["paused"]) == ("paused", ["place_agent_order"])
        await process.journal.run(lambda journal: journal.pause("by the owner (KEY-OF-ANOTHER)"))
        told = await call(client, "get_balance", {})
    assert told["modes"][0]["paused"] == ["place_order", "place_agent_order"]
    assert "KEY-OF-ANOTHER" not in str(told)
    assert "resume" in told["next_step"]


async def test_a_wallet_that_cannot_pay_says_why(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with (
        open_test_process(wallet="command", wallet_command="/no/such/program") as process,
        host(process, "auto") as client,
    ):
        told = await call(client, "get_balance", {})
    assert told["wallet"]["can_pay"] is False
    assert "cannot be found or started" in told["wallet"]["trouble"]
    assert "The payment wallet command cannot pay" in told["summary"]


async def test_a_policy_that_cannot_be_read_is_told(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        write_config("[policy]\nmax_dya = 5\n")
        told = await call(client, "get_balance", {})
    assert "policy cannot be used" in told["policy_unread"]
    assert "modes" not in told


async def test_without_a_way_to_pay_it_says_so(open_test_process: OpenProcess) -> None:
    async with open_test_process(api_key=None) as process, host(process, "auto") as client:
        told = await call(client, "get_balance", {})
        wrong = await refused(client, "get_balance", {"limits_only": "yes"})
    assert told["summary"].startswith("No Zinc account is set up here. No payment wallet is set up here.")
    assert wrong["problems"][0]["field"] == "limits_only"


@usually_one_era
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_members_are_told_their_own(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, mode: str, transport: str
) -> None:
    tokens = {name: add_member(home / "members.json", name) for name in ("ada", "bob")}
    told: dict[str, dict[str, Any]] = {}
    listed: dict[str, dict[str, Any]] = {}
    placed: dict[str, Any] = {}
    async with open_test_process() as process, served(process) as origin:
        async with connected(origin, transport, mode, tokens["ada"]) as client:
            placed = await call(client, "place_order", arguments())
        for name, token in tokens.items():
            async with connected(origin, transport, mode, token) as client:
                told[name] = await call(client, "get_balance", {"limits_only": True})
                listed[name] = await call(client, "list_orders", {})
                uri = f"zinc://orders/{placed['order_id']}"
                if name == "ada":
                    assert placed["key"] in (await client.read_resource(uri)).contents[0].text  # type: ignore[union-attr]
                    assert placed["order_id"] in (await client.read_resource("zinc://orders")).contents[0].text  # type: ignore[union-attr]
                else:
                    with pytest.raises(Exception, match="No order with this id"):
                        await client.read_resource(uri)
                    assert placed["order_id"] not in (await client.read_resource("zinc://orders")).contents[0].text  # type: ignore[union-attr]
                    missing = await refused(client, "cancel_order", {"order_id": placed["order_id"]})
                    assert missing["code"] == "order_not_found"
    assert [told[name]["modes"][0]["limits"][0]["used"] for name in ("ada", "bob")] == [5100, 0]
    assert len(listed["ada"]["orders"]) == 1
    assert "orders" not in listed["bob"]
    assert zinc.cancellations == []
