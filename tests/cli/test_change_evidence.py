"""The evidence of returns and reports: a true file is believed, a changed one is found where Zinc can tell."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from aftercare.after import back, delivered, problem
from conftest import HandClock, OpenProcess
from server.as_a_host import call, host
from started import Started

from zinc_mcp.owner.secrets.evidence_key import sign
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.app import serve
from zinc_mcp.views.evidence.file import signed_content

KEY = "zn_test_planted-secret"
WORDS = "It is broken, and I live at 12 Planted Street now."
Forge = Callable[[dict[str, Any]], None]


@pytest.fixture
def zinc(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


@pytest.fixture
def started(tmp_path: Path) -> Started:
    return Started(tmp_path)


async def changed(open_test_process: OpenProcess, clock: HandClock) -> dict[str, str]:
    """Send something back, report a problem, add to it and close it; return the keys."""
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock)
        told = {
            "return": await call(client, "return_order", back(order_id, notes=WORDS)),
            "report": await call(client, "report_problem", problem(order_id, message=WORDS)),
            "message": await call(client, "report_problem", problem(order_id, message=f"{WORDS} Please.")),
            "closing": await call(client, "report_problem", {"order_id": order_id, "close": True}),
        }
    return {name: str(each["key"]) for name, each in told.items()}


def made(started: Started, *words: str) -> dict[str, Any]:
    ended = started.run("orders", "evidence", *words)
    assert ended.returncode == 0, ended.stderr
    return cast(dict[str, Any], json.loads(ended.stdout))


def kept(started: Started, document: Mapping[str, Any], *, forged: bool = False) -> str:
    """Keep a file; a forger signs it anew with the key of the home."""
    if forged:
        public, value = sign(started.home, signed_content(document))
        document = {**document, "signature": {"algorithm": "Ed25519", "public_key": public, "value": value}}
    path = started.home.parent / "evidence.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


@asynccontextmanager
async def on_a_port(sandbox: Sandbox) -> AsyncGenerator[str]:
    ports: list[int] = []
    async with anyio.create_task_group() as tasks:

        async def served() -> None:
            await serve(sandbox, "127.0.0.1", 0, ready=ports.append)

        tasks.start_soon(served)
        while not ports:
            await anyio.sleep(0.01)
        yield f"http://127.0.0.1:{ports[0]}"
        tasks.cancel_scope.cancel()


async def verified_at_zinc(zinc: Sandbox, started: Started, path: str) -> Any:
    async with on_a_port(zinc) as origin:
        environment = {"ZINC_API_URL": origin, "ZINC_API_KEY": KEY}
        return await anyio.to_thread.run_sync(
            lambda: started.quickly("evidence", "verify", "--ask-zinc", path, **environment)
        )


@pytest.mark.parametrize("words", [(), ("--with-address",)])
async def test_a_true_file_about_a_return_or_report_is_believed(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, started: Started, words: tuple[str, ...]
) -> None:
    for name, key in (await changed(open_test_process, clock)).items():
        document = made(started, key, *words)
        ended = started.run("evidence", "verify", kept(started, document))
        assert ended.returncode == 0, (name, ended.stdout)
        assert "has no anchor: Zinc keeps no field of ours with it" in ended.stdout
        assert ("Planted Street" in json.dumps(document)) is (bool(words) and name != "closing")


async def test_a_file_about_a_return_or_report_says_what_was_asked_for(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, started: Started
) -> None:
    keys = await changed(open_test_process, clock)
    sent = made(started, keys["return"])["request"]
    assert (sent["public"]["reason"], sent["public"]["items"][0]["quantity"]) == ("defective", 1)
    report = made(started, keys["report"])["request"]
    assert (report["public"]["path"], report["public"]["reason"]) == ("/cases", "not_received")
    assert made(started, keys["closing"])["request"]["public"]["path"] == f"/cases/{report['zinc_id']}/close"


def _reason(document: dict[str, Any]) -> None:
    document["request"]["public"]["reason"] = "damaged"


def _quantity(document: dict[str, Any]) -> None:
    document["request"]["public"]["items"][0]["quantity"] = 2


def _id(document: dict[str, Any]) -> None:
    document["request"]["zinc_id"] = document["request"]["case_id"] = "11111111-2222-4333-8444-555555555555"


def _order(document: dict[str, Any]) -> None:
    document["request"]["public"]["order_id"] = "11111111-2222-4333-8444-555555555555"


FORGED: Mapping[str, tuple[str, Forge]] = {
    "another reason of a return": ("return", _reason),
    "another quantity": ("return", _quantity),
    "a return that is not at Zinc": ("return", _id),
    "another reason of a report": ("report", _reason),
    "a message to a case that is not at Zinc": ("message", _id),
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_file_about_a_return_or_report_is_found_where_zinc_has_it(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, started: Started, name: str
) -> None:
    what, forge = FORGED[name]
    document = made(started, (await changed(open_test_process, clock))[what])
    asked = await verified_at_zinc(zinc, started, kept(started, document))
    assert asked.returncode == 0, asked.stdout
    assert "with the order, and says that it is" in asked.stdout
    forge(document)
    asked = await verified_at_zinc(zinc, started, kept(started, document, forged=True))
    assert (asked.returncode, "WRONG Zinc" in asked.stdout) == (1, True), asked.stdout


@pytest.mark.parametrize("forge", [_reason, _quantity, _order])
async def test_bytes_that_do_not_belong_to_the_rest_of_the_file_are_found_without_zinc(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, started: Started, forge: Forge
) -> None:
    document = made(started, (await changed(open_test_process, clock))["return"], "--with-address")
    forge(document)
    ended = started.run("evidence", "verify", kept(started, document, forged=True))
    assert ended.returncode == 1
    assert "The bytes in the file are not the request that the file describes." in ended.stdout
