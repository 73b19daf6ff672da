"""An order of v1 for an account of the owner's own can be changed afterwards, and nothing of the account is told."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from conftest import HandClock
from mcp import Client
from own_accounts import ALLOWED, ORIGIN, Wire, keyring_of_the_test, practising, wish
from planted_account import keep, shown_in
from server.as_a_host import call, host, refused, usually_one_era

from zinc_mcp.process import Clocks
from zinc_mcp.sandbox.aftercare.requests import changes

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def ready(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_config: Write) -> Generator[None]:
    """Keep the account `work`, let the policy allow it, and let the keyring be a file."""
    write_config(ALLOWED)
    monkeypatch.setenv("FAKE_KEYRING", str(tmp_path / "keyring.json"))
    with keyring_of_the_test():
        keep(home, ORIGIN)
        yield


async def placed(client: Client, clock: HandClock, practice: str) -> dict[str, Any]:
    """Place an order for the account and wait until the retailer has it."""
    order = await call(client, "place_v1_order", wish(client_notes={"practice": practice}))
    clock.pass_seconds(3)
    told = await call(client, "get_order", {"order_id": order["order_id"]})
    assert told["outcome"] == "placed", told
    return told


@usually_one_era
async def test_zincs_support_takes_no_report_about_an_order_for_an_own_account(
    home: Path, clocks: Clocks, clock: HandClock, mode: str
) -> None:
    wire = Wire(clock)
    async with practising(home, wire, clocks, clock) as process, host(process, mode) as client:
        order = await placed(client, clock, "cancel=direct")
        told = await refused(
            client, "report_problem", {"order_id": order["order_id"], "reason": "late", "message": "?"}
        )
    assert "An account of the user's own placed this order" in told["summary"]
    assert "with the retailer" in told["next_step"]
    assert "cases" not in order
    assert not changes(wire.sandbox)


@usually_one_era
async def test_an_order_for_an_own_account_is_cancelled_and_sent_back_and_no_word_of_the_account_is_told(
    home: Path, clocks: Clocks, clock: HandClock, mode: str
) -> None:
    wire = Wire(clock)
    async with practising(home, wire, clocks, clock) as process, host(process, mode) as client:
        order = await placed(client, clock, "cancel=direct&return=refused")
        about = {"order_id": order["order_id"]}
        back = {**about, "items": [{"number": 1, "quantity": 1}], "reason": "not_as_described"}
        told = [await call(client, "return_order", back), await call(client, "cancel_order", about)]
        clock.pass_seconds(2)
        shown = await call(client, "get_order", about)
        told += [shown, await call(client, "cancel_order", about), await call(client, "get_balance", {})]
    assert [(row["status"], row.get("zinc_says")) for row in shown["returns"]] == [("denied", None)]
    assert told[3]["cancellation"] == "cancelled"
    assert not shown_in(str(told))
