"""A host that asks for the newer protocol first may still shake hands in the older one."""

import json
import os
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

import preloaded
import pytest
from server.on_a_port import initialize
from started import ROOT
from wanted import LISTED

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}
GIVEN_UP = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 90}}


def modern(number: int, method: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": {"_meta": META}}


LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}


class Pipes:
    """A server's stdin and stdout."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.stdin, self.stdout = stdin, stdout

    def send(self, *messages: dict[str, Any]) -> None:
        self.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
        self.stdin.flush()

    def answer_to(self, number: int) -> dict[str, Any]:
        for line in self.stdout:
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == number:
                return message
        raise AssertionError(f"the server ended without an answer to {number}")


@pytest.fixture
def server(home: Path) -> Generator[Pipes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZINC_")}
    environment = {**kept, "ZINC_MCP_HOME": str(home), "ZINC_MCP_SANDBOX": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        preloaded.command("zinc_mcp"),
        env={**environment, "ZINC_MCP_BROWSER": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Pipes(process.stdin, process.stdout)
    finally:
        process.stdin.close()
        try:
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.stdout.close()


@pytest.mark.parametrize(
    "before",
    [
        [modern(90, "server/discover")],
        [modern(90, "server/discover"), GIVEN_UP],
        [modern(90, "server/discover"), modern(91, "server/discover")],
    ],
    ids=["asked", "asked and given up", "asked twice"],
)
def test_a_host_that_did_not_wait_for_discovery_shakes_hands(server: Pipes, before: list[dict[str, Any]]) -> None:
    server.send(*before, initialize())
    assert server.answer_to(1)["result"]["serverInfo"]["name"] == "zinc"
    server.send(READY, LIST)
    assert len(server.answer_to(2)["result"]["tools"]) == len(LISTED)


def test_a_host_that_was_told_of_the_newer_protocol_may_shake_hands_all_the_same(server: Pipes) -> None:
    server.send(modern(90, "server/discover"))
    assert "2026-07-28" in server.answer_to(90)["result"]["supportedVersions"]
    server.send(initialize())
    assert server.answer_to(1)["result"]["protocolVersion"] == "2025-11-25"
    server.send(READY, LIST)
    assert len(server.answer_to(2)["result"]["tools"]) == len(LISTED)


def test_a_host_that_uses_the_newer_protocol_keeps_it(server: Pipes) -> None:
    server.send(modern(90, "server/discover"), modern(91, "tools/list"))
    assert len(server.answer_to(91)["result"]["tools"]) == len(LISTED)
    server.send(initialize())
    assert server.answer_to(1)["error"]["code"] == -32022
    server.send(modern(92, "tools/list"))
    assert len(server.answer_to(92)["result"]["tools"]) == len(LISTED)


def test_a_second_handshake_is_not_a_fresh_start(server: Pipes) -> None:
    server.send(modern(90, "server/discover"), initialize())
    assert "result" in server.answer_to(1)
    server.send(READY, modern(91, "server/discover"))
    assert "error" in server.answer_to(91)
    server.send(LIST)
    assert len(server.answer_to(2)["result"]["tools"]) == len(LISTED)
