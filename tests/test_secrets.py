"""No tool result, log line, exception, repr, command output or journal shows a secret."""

import os
import traceback
from pathlib import Path
from typing import Any

import anyio
import httpx
import preloaded
import pytest
from conftest import OpenProcess, as_json
from fake_zinc import FakeZinc, Step, failure
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from pydantic import SecretStr
from server.on_a_port import zinc_on_a_port
from started import ROOT
from wanted import arguments, book, intent

from zinc_mcp.checkout.place_order import place
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.rails.account import AccountRail
from zinc_mcp.zinc.client import ZincClient

KEY = "zn_test_planted-secret-51c7"
PRIVATE = ("12 Planted Street", "212-555-0147", "10001")

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("place_order", arguments()),
    ("place_order", arguments(max_price=7000)),
    ("place_order", arguments(products=book(1))),
    ("place_order", arguments(products=book(2))),
    ("place_order", arguments(products=book(3))),
    ("place_order", arguments(products=book(4), max_price=99_999)),
    ("place_order", arguments(shipping_address={"saved": "nobody"})),
    ("place_order", {"max_price": True, "shipping_address": {"address_line1": PRIVATE[0]}}),
    ("place_agent_order", arguments(products=book(5))),
    ("get_order", {"order_id": "no-such-order"}),
    ("get_order", {"order_id": "7", "wait_seconds": "x"}),
]


async def test_a_server_that_meets_every_kind_of_trouble_shows_no_secret_anywhere(
    zinc: FakeZinc, home: Path, tmp_path: Path
) -> None:
    quoting = httpx.Response(401, json={"error": {"code": "unauthorized", "message": f"{KEY} is not known here"}})
    zinc.script = ["ok", "lose_after", quoting, httpx.Response(502, html=f"<b>{KEY}</b>")]
    log = tmp_path / "stderr.log"
    said: list[str] = []
    async with zinc_on_a_port(zinc) as origin:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ZINC_")},
            "ZINC_MCP_HOME": str(home),
            "ZINC_API_KEY": KEY,
            "ZINC_API_URL": origin,
            "PYTHONPATH": str(ROOT),
        }
        [program, *words] = preloaded.command("zinc_mcp")
        server = StdioServerParameters(command=program, args=words, env=environment)
        with log.open("w+", encoding="utf-8") as errlog:
            async with Client(stdio_client(server, errlog=errlog)) as client:
                said.extend([(await client.call_tool(tool, given)).model_dump_json() for tool, given in CALLS])
                [order_id, *_] = zinc.orders
                said.append((await client.call_tool("get_order", {"order_id": order_id})).model_dump_json())
        for command in (["doctor"], ["orders"], ["orders", "--json"], ["policy"], ["pause"], ["resume"]):
            ended = await anyio.to_thread.run_sync(preloaded.finished, command, environment)
            said.append(ended.stdout + ended.stderr)
    assert any(order["status"] == "pending" for order in zinc.orders.values()), "the calls did reach Zinc"
    said.append(log.read_text(encoding="utf-8"))
    for text in said:
        assert KEY not in text
        for private in PRIVATE:
            assert private not in text, text[:2000]
    for file in home.iterdir():
        assert KEY.encode() not in file.read_bytes(), file.name


async def test_no_exception_of_ours_carries_the_key_not_even_in_its_traceback(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    shown: list[str] = []
    troubles: list[Step] = ["refuse", failure(401, "unauthorized"), httpx.ReadError("lost"), httpx.Response(500)]
    async with open_test_process(api_key=KEY) as ours:
        for number, step in enumerate(troubles):
            zinc.script = [step, step]
            zinc.lists = [httpx.Response(500), httpx.Response(302)]
            try:
                answer = await place(ours, intent(products=book(number)))
                shown.append(repr(answer))
            except ZincMcpError as error:
                shown += ["".join(traceback.format_exception(error)), as_json(error.facts)]
        zinc.reads = [httpx.Response(200, html="no json")]
        with pytest.raises(ZincMcpError) as failed:
            await look(ours, "local", "somewhere-else")
        shown.append("".join(traceback.format_exception(failed.value)))
    assert len(shown) >= 5
    for text in shown:
        assert KEY not in text


def test_no_repr_shows_a_secret() -> None:
    settings = load_settings({"ZINC_API_KEY": KEY, "ZINC_MCP_JOURNAL": f"postgresql://u:{KEY}@h/db"})
    client = ZincClient("https://api.zinc.com")
    rail = AccountRail(client, SecretStr(KEY), "test")
    for thing in (settings, client, rail, vars(client), vars(rail), Settings):
        assert KEY not in repr(thing) + str(thing)
    assert KEY not in rail.account
