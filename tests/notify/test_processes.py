"""Telling the owner by whole processes: killed in the middle, and started by a host."""

import json
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import preloaded
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from notify.listener import Listener, listening
from started import ROOT, Started
from wanted import arguments

from zinc_mcp.journal.journal import Journal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")
PRODUCT = "https://zinc.com/shop/products/test-success"


@pytest.fixture
def listener() -> Generator[Listener]:
    with listening() as listener:
        yield listener


def run(home: Path, listener: Listener, *, step: str = "", place: bool = False) -> int:
    word = json.dumps({"home": str(home), "url": listener.url, "step": step, "place": place})
    return preloaded.finished([word], {"PATH": "/usr/bin:/bin"}, program="notify.teller").returncode


def pause(home: Path) -> None:
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        journal.pause("for a look")


@pytest.mark.parametrize(("step", "told"), [("telling", 0), ("told", 1)])
def test_a_process_killed_while_it_tells_loses_at_most_that_message_and_doubles_none(
    tmp_path: Path, listener: Listener, step: str, told: int
) -> None:
    home = tmp_path / "home"
    assert run(home, listener) == 0  # so that the journal is there
    pause(home)
    assert run(home, listener, step=step) == -signal.SIGKILL
    assert len(listener.messages) == told
    assert run(home, listener) == 0
    assert len(listener.messages) == told


def test_the_next_process_tells_the_events_that_a_killed_one_has_not_told(tmp_path: Path, listener: Listener) -> None:
    started = Started(tmp_path)
    started.configure('[policy]\napproval = "page"\n')
    assert run(started.home, listener, step="asked", place=True) == -signal.SIGKILL
    assert listener.events == []
    assert run(started.home, listener) == 0
    assert run(started.home, listener) == 0
    assert listener.events == ["waiting"]


async def test_a_server_that_a_host_starts_tells_what_the_file_says(tmp_path: Path, listener: Listener) -> None:
    started = Started(tmp_path)
    started.configure(f'[notify]\nurl = "{listener.url}"\nevents = ["waiting"]\n[policy]\napproval = "page"\n')
    environment = {**started.environment, "ZINC_MCP_SANDBOX": "1", "ZINC_MCP_NOTIFY_SECRET": "a-secret-of-the-owner"}
    [program, *words] = preloaded.command("zinc_mcp")
    server = StdioServerParameters(command=program, args=words, env=environment, cwd=ROOT)
    async with Client(server) as client:
        wanted = arguments(products=[{"url": PRODUCT}])
        answer = await client.call_tool("place_order", wanted)
        assert answer.structured_content is not None
        assert answer.structured_content["outcome"] == "waiting"
        await listener.until(lambda: bool(listener.messages))
    said = listener.of("waiting")
    assert said["text"].startswith("[practice: nothing is bought] An order waits for your yes")
    assert "X-Zinc-MCP-Signature" in listener.messages[0].headers
