"""The log has a line for each call: who, which tool, how it ended, how long it took; and never what it was about."""

import json
import logging
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from server.as_a_host import both_eras, call, host, refused
from server.on_a_port import connected, served
from started import Started
from variants import rare
from wanted import ADDRESS, arguments

from zinc_mcp.owner.members import add_member

REFERENCE = re.compile(r"[0-9a-f]{8}")
TWO = [{"url": "https://zinc.com/shop/products/test-success", "quantity": 2}]
WISH = {"products": [{"url": "https://zinc.com/shop/products/test-success"}]}


@asynccontextmanager
async def started(folder: Path, mode: str, log: Path, **variables: str) -> AsyncGenerator[Client]:
    """Start the server as a host does, with its stderr in a file."""
    environment = {**Started(folder).environment, "ZINC_MCP_SANDBOX": "1", **variables}
    command = StdioServerParameters(command=sys.executable, args=["-m", "zinc_mcp"], env=environment)
    with log.open("w", encoding="utf-8") as errors:
        async with Client(stdio_client(command, errlog=errors), mode=mode) as client:
            yield client


def is_clean(text: str) -> None:
    """Check that no word of the order's address or of its products is in a log."""
    for value in (*map(str, ADDRESS.values()), "test-success", "zn_"):
        assert len(value) < 4 or value not in text, value


@pytest.mark.parametrize("mode", ["auto", rare("legacy")])
async def test_each_call_is_one_line_of_json(tmp_path: Path, mode: str) -> None:
    log = tmp_path / "log"
    async with started(tmp_path, mode, log, ZINC_MCP_LOG="json") as client:
        placed = await call(client, "place_order", arguments(**WISH))
        await call(client, "get_order", {"order_id": placed["key"]})
        over = await refused(client, "place_order", arguments(products=TWO, max_price=99_999_999))
        wrong = await refused(client, "get_order", {"order_id": "x" * 30})
    text = log.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    calls = [line for line in lines if line["logger"] == "zinc_mcp.calls"]
    assert [(each["tool"], each["ending"], each.get("code")) for each in calls] == [
        ("place_order", placed["outcome"], None),
        ("get_order", placed["outcome"], None),
        ("place_order", over["outcome"], over["code"]),
        ("get_order", wrong["outcome"], wrong["code"]),
    ]
    for each in calls:
        assert each["caller"] == "local"
        assert type(each["milliseconds"]) is int and 0 <= each["milliseconds"] < 60_000
        assert re.fullmatch(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["time"])
    assert calls[0]["key"] == calls[1]["key"] == placed["key"]
    assert [calls[2]["reference"], calls[3]["reference"]] == [over["reference"], wrong["reference"]]
    assert [each["level"] for each in calls] == ["info", "info", "warning", "warning"]
    is_clean(text)


@pytest.mark.thorough
async def test_without_the_setting_only_failed_calls_are_logged_and_each_is_found(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with started(tmp_path, "auto", log) as client:
        await call(client, "place_order", arguments(**WISH))
        told = await refused(client, "get_order", {"order_id": "x" * 30})
    text = log.read_text(encoding="utf-8")
    [line] = [each for each in text.splitlines() if "zinc_mcp.calls" in each]
    assert f"tool=get_order ending={told['outcome']}" in line
    assert f"code={told['code']} reference={told['reference']}" in line
    assert "place_order" not in text
    is_clean(text)


async def test_the_line_of_a_member_s_call_names_the_member_and_no_text_that_was_chosen(
    open_test_process: OpenProcess, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "zinc_mcp.calls")
    token = add_member(home / "members.json", "ada")
    async with open_test_process() as process, served(process) as origin:
        async with connected(origin, "mcp", "auto", token) as client:
            await call(client, "place_order", arguments())
        async with host(process, "auto") as client:
            await call(client, "place_order", arguments(idempotency_key="for-ada-lovelace"))
    of_member, facts = _calls(caplog)
    assert of_member["caller"].startswith("ada#")
    assert facts["caller"] == "local"
    assert re.fullmatch(r"sha256:[0-9a-f]{12}", facts["key"])


@both_eras
async def test_every_failure_that_a_caller_sees_has_a_reference_that_the_log_has(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    caplog.set_level(logging.WARNING)
    token = add_member(home / "members.json", "ada")
    zinc.script += ["lose_after"]
    zinc.listing = False
    async with open_test_process() as process, served(process) as origin:
        async with connected(origin, "mcp", mode, token) as client:
            told = [
                await refused(client, "place_order", arguments()),  # in doubt
                await refused(client, "place_order", {}),
                await refused(client, "get_order", {"order_id": "no such"}),
                await refused(client, "cancel_order", {"order_id": "unknown"}),
            ]
            zinc.meanwhile = _crash
            told.append(await refused(client, "place_order", arguments(idempotency_key="another", max_price=4_000)))
    references = [each["reference"] for each in told]
    assert [facts["reference"] for facts in _calls(caplog)] == references
    assert all(map(REFERENCE.fullmatch, references))
    assert len(set(references)) == len(references)


def test_an_unforeseen_error_is_logged_by_kind_and_place_and_without_its_text(tmp_path: Path) -> None:
    program = (
        "import logging, sys\n"
        "from zinc_mcp.server.log import log_to_stderr\n"
        "log_to_stderr(sys.argv[1] if sys.argv[1:] else None)\n"
        "def buy():\n"
        "    raise ValueError('Ada Lovelace, 12 Analytical Street')\n"
        "try:\n"
        "    buy()\n"
        "except ValueError as error:\n"
        "    group = ExceptionGroup('12 Analytical Street', [error])\n"
        "    for each in (error, group):\n"
        "        logging.getLogger('zinc_mcp').error('unexpected failure %s', 'ab12cd34', exc_info=each)\n"
    )
    for form in ((), ("text",), ("json",)):
        ended = Started(tmp_path).process("-c", program, *form)
        assert "Analytical" not in ended.stderr
        assert "builtins.ValueError" in ended.stderr
        assert "5 buy" in ended.stderr
        if form == ("json",):
            first, second = map(json.loads, ended.stderr.splitlines())
            assert first["message"] == "unexpected failure ab12cd34"
            assert second["error"][-1] == "builtins.ValueError"


def _crash() -> None:
    raise KeyError("planted")


def _calls(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__["facts"] for record in caplog.records if record.name == "zinc_mcp.calls"]
