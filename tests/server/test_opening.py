"""A server on stdio opens its process at the first need: until then it only lists what there is."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pytest
from server.on_a_port import initialize
from started import ROOT
from wanted import LISTED

READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}
LOADED = """
import atexit, sys
from zinc_mcp.__main__ import main
def tell():
    rooms = {name.split(".")[1] for name in sys.modules if name.startswith("zinc_mcp.")}
    print(*rooms, *({"httpx", "sqlalchemy", "jinja2"} & set(sys.modules)), file=sys.stderr)
atexit.register(tell)
sys.argv = ["zinc-mcp"]
main()
"""


class Pipes:
    """A server's streams, and what it told on stderr at its end."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.stdin, self.stdout = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
        self.loaded: set[str] = set()

    def ask(self, number: int, method: str, **params: Any) -> dict[str, Any]:
        """Send a request, and return its result."""
        self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return self.answer_to(number)

    def open(self) -> None:
        """Shake hands."""
        self._send(initialize())
        self.answer_to(1)
        self._send(READY)

    def answer_to(self, number: int) -> dict[str, Any]:
        for line in self.stdout:
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == number:
                result: dict[str, Any] = message["result"]
                return result
        raise AssertionError(f"the server ended without an answer to {number}")

    def end(self) -> None:
        """Close its stdin, and wait for its end."""
        self.stdin.close()
        errors = cast(IO[bytes], self._process.stderr).read().decode()
        assert self._process.wait(30) == 0, errors
        self.loaded = set(errors.split())

    def _send(self, message: dict[str, Any]) -> None:
        self.stdin.write(json.dumps(message).encode() + b"\n")
        self.stdin.flush()


@contextmanager
def server(home: Path, **variables: str) -> Generator[Pipes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZINC_")}
    own = {"ZINC_MCP_HOME": str(home), "ZINC_MCP_BROWSER": "0", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", LOADED],
        env={**kept, **own, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield Pipes(process)
        finally:
            process.kill()


@pytest.fixture
def practice(home: Path) -> Generator[Pipes]:
    with server(home, ZINC_MCP_SANDBOX="1") as pipes:
        yield pipes


def test_a_server_that_only_lists_what_there_is_loads_no_room_that_buys(practice: Pipes, home: Path) -> None:
    practice.open()
    assert {tool["name"] for tool in practice.ask(2, "tools/list")["tools"]} == set(LISTED)
    assert practice.ask(3, "resources/templates/list")["resourceTemplates"]
    assert practice.ask(4, "prompts/list")["prompts"]
    practice.end()
    rooms = {"journal", "checkout", "consent", "spending", "find", "aftercare", "views", "rails", "sandbox", "process"}
    loaded = practice.loaded & {*rooms, "httpx", "sqlalchemy", "jinja2"}
    assert not loaded, loaded
    assert not home.exists() or not [path for path in home.iterdir() if "journal" in path.name]


def test_the_first_call_opens_what_it_needs_and_later_calls_use_it(practice: Pipes) -> None:
    practice.open()
    first = practice.ask(2, "tools/call", name="search_products", arguments={"query": "coffee"})
    assert first["structuredContent"]["results"]
    second = practice.ask(3, "tools/call", name="get_balance", arguments={})
    assert second["structuredContent"]["modes"]
    practice.end()


@pytest.mark.thorough
def test_a_resource_opens_the_process_as_a_call_does(practice: Pipes) -> None:
    practice.open()
    [content] = practice.ask(2, "resources/read", uri="zinc://orders")["contents"]
    assert json.loads(content["text"])["outcome"]
    practice.end()


def test_a_process_that_cannot_be_opened_is_told_to_each_call_until_it_can(home: Path) -> None:
    with server(home, ZINC_API_KEY="zn_test_x", ZINC_API_URL="http://127.0.0.1:9") as pipes:
        pipes.open()
        home.mkdir(exist_ok=True)
        config = home / "zinc.toml"
        config.write_text("[policy]\nmax_order = true\n", encoding="utf-8")
        for number in (2, 3):
            told = pipes.ask(number, "tools/call", name="get_balance", arguments={"limits_only": True})
            assert told["isError"]
            assert told["structuredContent"]["code"] == "policy_invalid", told
        told = pipes.ask(4, "tools/call", name="place_order", arguments={})
        assert told["structuredContent"]["money_may_have_moved"] is False
        config.write_text("[policy]\nmax_order = 1000\n", encoding="utf-8")
        told = pipes.ask(5, "tools/call", name="get_balance", arguments={"limits_only": True})
        assert told["structuredContent"]["modes"][0]["max_order_cents"] == 1000, told
        pipes.end()


def test_a_host_that_leaves_before_any_call_leaves_nothing_behind(practice: Pipes) -> None:
    practice.open()
    began = time.monotonic()
    practice.end()
    assert time.monotonic() - began < 10


def test_messages_to_the_owner_do_not_wait_for_a_call(home: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "zinc.toml").write_text('[notify]\nurl = "http://127.0.0.1:9/"\n', encoding="utf-8")
    with server(home, ZINC_API_KEY="zn_test_x", ZINC_API_URL="http://127.0.0.1:9") as pipes:
        pipes.open()
        time.sleep(5)
        pipes.end()
        assert "journal" in pipes.loaded
