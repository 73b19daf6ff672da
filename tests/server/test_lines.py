"""Each line on stdin gets its answer, even a broken or unusual one, and the next line does too."""

import json
import os
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import preloaded
import pytest
from mcp.types import INTERNAL_ERROR, jsonrpc_message_adapter
from server.as_a_host import both_eras
from server.broken import BROKEN, LARGE, SERVED, UNANSWERED, Owed, modern, request
from server.on_a_port import initialize
from started import Started

from zinc_mcp.server.messages import read_message


@pytest.fixture
def started(tmp_path: Path) -> Started:
    return Started(tmp_path)


class Wire:
    """A host that writes bytes, and the era it opened with."""

    def __init__(self, process: anyio.abc.Process, era: str) -> None:
        self.process = process
        self.era = era
        self._answers = self._lines()
        self._asked = 0

    async def answers_to(self, line: bytes) -> list[dict[str, Any]]:
        """Send a line and one that is certainly answered; return what was answered before that."""
        self._asked += 1
        name = f"next {self._asked}"
        await self.send(line + b"\n" + self.made(request(json.dumps(name), params='{"cursor":null}').encode()) + b"\n")
        found: list[dict[str, Any]] = []
        with anyio.fail_after(20):
            async for answer in self._answers:
                if answer.get("id") == name:
                    return found
                found.append(answer)
        raise AssertionError("the server has ended")

    async def next_answer(self) -> dict[str, Any]:
        """Return what the server writes next."""
        return await anext(self._answers)

    def made(self, line: bytes) -> bytes:
        return modern(line) if self.era == "auto" else line

    async def send(self, given: bytes) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send(given)

    async def _lines(self) -> AsyncGenerator[dict[str, Any]]:
        assert self.process.stdout is not None
        waiting = b""
        async for chunk in self.process.stdout:
            *whole, waiting = (waiting + chunk).split(b"\n")
            for line in whole:
                yield json.loads(line)


@asynccontextmanager
async def wire(started: Started, era: str, first: bytes = b"") -> AsyncGenerator[Wire]:
    """Start a server, open it in an era, and see that it ends well and has written nothing but the protocol."""
    environ = {**os.environ, **started.environment, "ZINC_MCP_SANDBOX": "1"}
    async with await anyio.open_process(preloaded.command("zinc_mcp"), env=environ, stderr=subprocess.PIPE) as process:
        host = Wire(process, era)
        await host.send(first)
        if era == "legacy":
            await host.send(
                json.dumps(initialize()).encode() + b'\n{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
            )
        else:
            await host.send(modern(request("1", method='"server/discover"').encode()) + b"\n")
        yield host
        assert process.stdin is not None
        await process.stdin.aclose()
        with anyio.fail_after(20):
            assert await process.wait() == 0
            assert process.stderr is not None
            assert b"".join([chunk async for chunk in process.stderr]) == b""


def errors(answers: list[dict[str, Any]]) -> Owed:
    assert all(answer["jsonrpc"] == "2.0" and "id" in answer for answer in answers)
    return [(answer["error"]["code"], answer["id"]) for answer in answers if "error" in answer]


@both_eras
async def test_every_line_gets_its_answer_and_none_ends_the_server(started: Started, mode: str) -> None:
    async with wire(started, mode) as host:
        await host.answers_to(b"{}")
        for name, (line, owed) in {**BROKEN, **LARGE}.items():
            answers = await host.answers_to(line)
            assert errors(answers) == owed, name
            assert len(answers) == len(owed), name
            assert "planted" not in str(answers)
        for name, (line, wanted) in SERVED.items():
            [answer] = await host.answers_to(host.made(line))
            assert (answer["id"], "tools" in answer["result"]) == (wanted, True), name
        for name, line in UNANSWERED.items():
            assert await host.answers_to(line) == [], name


async def test_a_line_that_came_before_the_first_request_is_answered_too(started: Started) -> None:
    async with wire(started, "legacy", b"junk\n[]\n\n") as host:
        answers = await host.answers_to(b"")
    assert sorted(str(answer["id"]) for answer in answers) == ["1", "None", "None", "None", "None"]


async def test_an_error_names_the_fault_and_repeats_nothing(started: Started) -> None:
    async with wire(started, "legacy") as host:
        await host.answers_to(b"{}")
        [cut] = await host.answers_to(request(params='{"planted":"planted \\ud83d"}').encode())
        [large] = await host.answers_to(b'"planted' * 1_000_000)
        [wrong] = await host.answers_to(b'{"jsonrpc":"2.0","id":5,"method":["planted"],"planted":1}')
    assert cut["error"]["message"].startswith("Parse error: half of a surrogate pair at line 1 column ")
    assert "1,048,576 bytes" in large["error"]["message"]
    assert wrong["error"]["message"] == "Invalid request: a request names a method."
    assert "planted" not in str([cut, large, wrong])


@pytest.mark.parametrize("ending", [b"", b"\n"], ids=["without an end", "with one"])
async def test_the_last_line_is_answered(started: Started, ending: bytes) -> None:
    environ = {**os.environ, **started.environment, "ZINC_MCP_SANDBOX": "1"}
    given = json.dumps(initialize()).encode() + b"\n{" + ending
    ended = await anyio.run_process(preloaded.command("zinc_mcp"), input=given, env=environ)
    assert [json.loads(line)["id"] for line in ended.stdout.splitlines()] in ([1, None], [None, 1])
    assert ended.stderr == b""


async def test_a_host_that_reads_late_gets_each_answer_whole(started: Started) -> None:
    asked = [f"list {number}" for number in range(60)]  # a pipe holds three of these answers
    async with wire(started, "legacy") as host:
        await host.answers_to(b"{}")
        await host.send(b"".join(request(json.dumps(name)).encode() + b"\n" for name in asked))
        with anyio.fail_after(60):
            answers = [await host.next_answer() for _ in asked]
    assert sorted(answer["id"] for answer in answers) == sorted(asked)
    assert all(len(answer["result"]["tools"]) > 1 for answer in answers)


async def test_stdin_and_stdout_may_be_files(started: Started, tmp_path: Path) -> None:
    environ = {**os.environ, **started.environment, "ZINC_MCP_SANDBOX": "1"}
    given, taken = tmp_path / "given", tmp_path / "taken"
    given.write_bytes(json.dumps(initialize()).encode() + b"\n{\n")
    with given.open("rb") as stdin, taken.open("wb") as stdout:
        ended = await anyio.run_process(preloaded.command("zinc_mcp"), stdin=stdin, stdout=stdout, env=environ)
    assert ended.returncode == 0
    assert sorted(str(json.loads(line)["id"]) for line in taken.read_bytes().splitlines()) == ["1", "None"]


@pytest.mark.parametrize("fault", [RecursionError("planted"), ValueError("planted")])
def test_any_failure_while_a_line_is_read_is_answered(
    fault: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*given: Any, **options: Any) -> None:
        raise fault

    monkeypatch.setattr(jsonrpc_message_adapter, "validate_json", fails)
    read = read_message(request().encode())
    [refusal] = read.refusals
    assert (refusal.error.code, refusal.id, read.message) == (INTERNAL_ERROR, None, None)
    assert type(fault).__name__ in caplog.text
    assert "planted" not in caplog.text + refusal.error.message
