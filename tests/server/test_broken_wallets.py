"""A broken payment wallet stops no server: orders go the other way, and the server says why."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import preloaded
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from journals import entry_of
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from pydantic import SecretStr
from server.as_a_host import host, said
from server.on_a_port import served
from started import Started
from variants import usual
from wanted import arguments, intent

from zinc_mcp.checkout.place_order import place
from zinc_mcp.errors import RefusedError
from zinc_mcp.known_settings import RailName

TEMPO_KEY = "0x" + "11" * 32

BROKEN: dict[str, dict[str, str]] = {
    "no key": {"ZINC_WALLET": "tempo"},
    "a key that is none": {"ZINC_WALLET": "tempo", "ZINC_TEMPO_PRIVATE_KEY": "0xplanted"},
    "a key with a line break": {"ZINC_WALLET": "tempo", "ZINC_TEMPO_PRIVATE_KEY": "0x11 22"},
    "a chain that is none": {"ZINC_WALLET": "tempo", "ZINC_TEMPO_CHAIN_ID": "mainnet"},
    "an unknown chain": {"ZINC_WALLET": "tempo", "ZINC_TEMPO_PRIVATE_KEY": TEMPO_KEY, "ZINC_TEMPO_CHAIN_ID": "1"},
    "a node in clear text": {
        "ZINC_WALLET": "tempo",
        "ZINC_TEMPO_PRIVATE_KEY": TEMPO_KEY,
        "ZINC_TEMPO_RPC_URL": "http://node.example",
    },
    "a key file that is not there": {"ZINC_WALLET": "tempo", "ZINC_TEMPO_PRIVATE_KEY_FILE": "/nowhere/key"},
    "stripe without a method": {"ZINC_WALLET": "stripe", "ZINC_STRIPE_SECRET_KEY": "rk_test_planted"},
    "a command that cannot be read": {"ZINC_WALLET": "command", "ZINC_WALLET_COMMAND": "'unclosed"},
    "no command": {"ZINC_WALLET": "command"},
    "methods that are none": {
        "ZINC_WALLET": "command",
        "ZINC_WALLET_COMMAND": "pay",
        "ZINC_WALLET_METHODS": "bank transfer",
    },
    "fees in words": {"ZINC_WALLET": "command", "ZINC_WALLET_COMMAND": "pay", "ZINC_WALLET_FEES": "one dollar"},
    "an unknown wallet": {"ZINC_WALLET": "paypal"},
}
OFTEN = ("no key", "a key with a line break", "stripe without a method", "fees in words", "an unknown wallet")


def without_the_extra(folder: Path) -> str:
    """Return a search path on which the signer cannot be imported, as where the extra is not installed."""
    (folder / "pytempo.py").write_text("raise ImportError('not installed')\n", encoding="utf-8")
    return str(folder)


async def in_a_process(folder: Path, **variables: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return what both placing tools of a server answer, and what it has written to stderr."""
    started = Started(folder)
    environment = {**started.environment, "ZINC_API_KEY": "zn_test_x", "ZINC_API_URL": "http://127.0.0.1:1"}
    log = folder / "log"
    # A search path of its own counts only in a program that imports everything anew.
    anew = "PYTHONPATH" in variables
    [program, *words] = [sys.executable, "-m", "zinc_mcp"] if anew else preloaded.command("zinc_mcp")
    environment |= {"ZINC_MCP_APPROVAL": "none", **variables}
    parameters = StdioServerParameters(command=program, args=words, env=environment)
    with log.open("w", encoding="utf-8") as errors:
        async with Client(stdio_client(parameters, errlog=errors)) as client:
            paid = said(await client.call_tool("place_agent_order", arguments()))
            await anyio.sleep(0.2)
            ordered = said(await client.call_tool("place_order", arguments()))
    return paid, ordered, log.read_text(encoding="utf-8")


@pytest.mark.parametrize("broken", usual(BROKEN, lambda broken: broken in OFTEN))
async def test_a_wallet_that_is_set_up_wrongly_ends_no_server_and_is_told(tmp_path: Path, broken: str) -> None:
    paid, ordered, log = await in_a_process(tmp_path, **BROKEN[broken])
    assert paid["code"] == "wallet_unavailable", paid
    assert paid["money_may_have_moved"] is False
    assert ordered["code"] == "zinc_unreachable", "the other way to order works"
    assert "Traceback" not in log
    assert any(name in log for name in BROKEN[broken] if broken != "no key") or "ZINC_TEMPO_PRIVATE_KEY" in log
    assert "planted" not in log + json.dumps([paid, ordered])
    variables = {**BROKEN[broken], "ZINC_API_URL": "http://127.0.0.1:1"}
    examined = await anyio.to_thread.run_sync(lambda: Started(tmp_path).run("doctor", **variables))
    assert "WRONG place_agent_order" in examined.stdout


async def test_a_wallet_whose_extra_is_not_installed_ends_no_server_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "path").mkdir()
    path = os.pathsep.join([without_the_extra(tmp_path / "path"), Started(tmp_path).environment["PYTHONPATH"]])
    variables = {"ZINC_WALLET": "tempo", "ZINC_TEMPO_PRIVATE_KEY": TEMPO_KEY, "PYTHONPATH": path}
    paid, ordered, log = await in_a_process(tmp_path, **variables)
    assert paid["code"] == "wallet_unavailable", paid
    assert "not installed" in paid["summary"]
    assert ordered["code"] == "zinc_unreachable"
    assert "pympp[tempo]" in log
    assert "Traceback" not in log
    examined = Started(tmp_path).process("-m", "zinc_mcp", "doctor", **variables, ZINC_API_URL="http://127.0.0.1:1")
    assert "WRONG place_agent_order: ZINC_WALLET is tempo, but its signer is not installed" in examined.stdout


@pytest.mark.thorough
async def test_a_wallet_whose_library_is_broken_ends_no_server(tmp_path: Path) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "pytempo.py").write_text("raise AttributeError('half an installation')\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path / "path"), Started(tmp_path).environment["PYTHONPATH"]])
    variables = {"ZINC_WALLET": "tempo", "ZINC_TEMPO_PRIVATE_KEY": TEMPO_KEY, "PYTHONPATH": path}
    environment = {**Started(tmp_path).environment, "ZINC_API_KEY": "zn_test_x", "ZINC_API_URL": "http://127.0.0.1:1"}
    log = tmp_path / "log"
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "zinc_mcp"], env={**environment, **variables}
    )
    with log.open("w", encoding="utf-8") as errors:
        async with Client(stdio_client(parameters, errlog=errors)) as client:
            with anyio.fail_after(20):
                while "place_agent_order cannot pay" not in log.read_text(encoding="utf-8"):
                    await anyio.sleep(0.05)
            paid = said(await client.call_tool("place_agent_order", arguments()))
    assert (paid["code"], paid["money_may_have_moved"]) == ("wallet_unavailable", False)
    assert "half an installation" not in json.dumps(paid)


@pytest.mark.parametrize(
    ("api_key", "status"), [("zn_test_x", 200), (None, 503)], ids=["beside an API key", "as the only way to pay"]
)
async def test_a_watchdog_hears_that_nothing_can_be_ordered_where_the_wallet_was_the_only_way(
    open_test_process: OpenProcess, api_key: str | None, status: int
) -> None:
    async with open_test_process(api_key=api_key, wallet="stripe", stripe_secret_key=SecretStr("rk_test_x")) as ours:
        async with served(ours) as base, httpx.AsyncClient() as client:
            ready = await client.get(f"{base}/readyz")
            assert ready.status_code == status, ready.text
            assert (await client.get(f"{base}/healthz")).status_code == 200


async def test_an_earlier_order_is_told_although_the_wallet_that_paid_it_cannot_be_used_any_more(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process(api_key=None, wallet="sandbox") as ours, host(ours, "legacy") as client:
        first = said(await client.call_tool("place_agent_order", arguments()))
    async with open_test_process(wallet="stripe") as ours, host(ours, "legacy") as client:
        looked = said(await client.call_tool("get_order", {"order_id": first["key"]}))
        assert (looked["key"], looked["outcome"]) == (first["key"], "accepted")
    assert len(zinc.orders) == 1


async def test_the_reason_is_named_once_for_each_way_to_buy(open_test_process: OpenProcess) -> None:
    agent: RailName = "agent"
    async with open_test_process(wallet="command") as ours:
        assert set(ours.unusable) == {agent}
        with pytest.raises(RefusedError) as refused:
            await place(ours, intent_by_wallet())
        assert refused.value.code == "wallet_unavailable"
        assert entry_of(await place(ours, intent())).state == "accepted"


def intent_by_wallet() -> Any:
    from wanted import order

    from zinc_mcp.checkout.place_order import Intent

    return Intent("local", "agent", order())
